/* Addresses of any bytes: refused with a message, or parsed into parts whose display holds no password. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "queue/redis_url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition) {
  if (!condition) abort();
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
    /* A password of some length is not in the display by chance. */
    require(!url.password || strlen(url.password) < 8 || strstr(url.host, url.password) ||
            (url.user && strstr(url.user, url.password)) || !strstr(url.display, url.password));
    redis_url_free(&url);
  } else {
    require(strncmp(error, "Redis URL: ", 11) == 0);
  }
  free(text);
  return 0;
}
