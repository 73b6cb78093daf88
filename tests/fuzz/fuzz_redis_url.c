/* Addresses of any bytes: refused with a message, or parsed into parts whose display holds no password. */
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "queue/redis_url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition) {
  if (!condition) abort();
}

/* Looked for only where it cannot be there by chance: letters and digits, some length, not in another part. */
static bool shows(const struct redis_url *url, const char *password) {
  if (!password || strlen(password) < 8 || (url->host && strstr(url->host, password)) ||
      (url->user && strstr(url->user, password)) || (url->master_name && strstr(url->master_name, password)))
    return false;
  for (size_t i = 0; i < url->sentinel_count; i++)
    if (strstr(url->sentinels[i].display, password)) return false;
  for (const char *c = password; *c; c++)
    if (!isalnum((unsigned char)*c)) return false;
  return strstr(url->display, password) != NULL && !strstr("redis-sentinel://", password);
}

static void check_address(const struct redis_url *url) {
  require(url->host && *url->host && url->display);
  require(url->is_unix ? url->host[0] == '/' : url->port >= 1 && url->port <= 65535);
  require(url->db >= 0 && (!url->user || url->password));
}

static void check_sentinels(const struct redis_url *url) {
  require(!url->host && !url->is_unix && *url->master_name && url->db >= 0 && (!url->user || url->password));
  require(url->sentinel_count >= 1 && url->sentinel_count <= REDIS_URL_SENTINELS_MAX);
  for (size_t i = 0; i < url->sentinel_count; i++) {
    const struct redis_url *sentinel = &url->sentinels[i];
    check_address(sentinel);
    require(!sentinel->is_unix && sentinel->tls == url->tls && !sentinel->master_name && sentinel->db == 0);
    require(!shows(url, sentinel->password));
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct redis_url url;
  char error[256] = "";
  char *text = malloc(size + 1);
  require(text != NULL);
  memcpy(text, data, size);
  text[size] = '\0';
  if (redis_url_parse(text, &url, error, sizeof error) == 0) {
    require(url.display && error[0] == '\0');
    if (url.master_name)
      check_sentinels(&url);
    else
      check_address(&url);
    require(!shows(&url, url.password));
    redis_url_free(&url);
  } else {
    require(strncmp(error, "Redis URL: ", 11) == 0);
  }
  free(text);
  return 0;
}
