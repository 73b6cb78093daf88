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

/* Looked for only where it cannot be there by chance: letters and digits, some length, not in another part.
 */
static bool shows_password(const struct redis_url *url) {
  const char *password = url->password;
  if (!password || strlen(password) < 8 || strstr(url->host, password) ||
      (url->user && strstr(url->user, password)))
    return false;
  for (const char *c = password; *c; c++)
    if (!isalnum((unsigned char)*c)) return false;
  return strstr(url->display, password) != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct redis_url url;
  char error[256] = "";
  char *text = malloc(size + 1);
  require(text != NULL);
  memcpy(text, data, size);
  text[size] = '\0';
  if (redis_url_parse(text, &url, error, sizeof error) == 0) {
    require(url.host && *url.host && url.display && error[0] == '\0');
    require(url.is_unix ? url.host[0] == '/' : url.port >= 1 && url.port <= 65535);
    require(url.db >= 0 && (!url.user || url.password));
    require(!shows_password(&url));
    redis_url_free(&url);
  } else {
    require(strncmp(error, "Redis URL: ", 11) == 0);
  }
  free(text);
  return 0;
}
