/*
 * Spliced from texts rather than built as a tree: a dead letter exists to show, and to retry, just what was
 * pushed, and parsing would change it.
 */
#include "queue/dead_letter.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue/job.h"
#include "queue/json_text.h"
#include "queue/utf8.h"

/* A JSON string literal of any bytes; malloc'ed. */
static char *quote(const char *text, size_t len) {
  size_t clean_len;
  char *clean = utf8_sanitize(text, len, &clean_len), *copy = NULL;
  struct json_object *json =
      clean && clean_len <= INT32_MAX ? json_object_new_string_len(clean, (int)clean_len) : NULL;
  if (json) {
    const char *quoted =
        json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
    copy = quoted ? strdup(quoted) : NULL;
  }
  json_object_put(json);
  free(clean);
  return copy;
}

int dead_letter_make(const char *payload, size_t payload_len, const char *reason, const char *result,
                     size_t result_len, int64_t at_ms, char **out, size_t *out_len) {
  char *quoted = NULL, *quoted_reason = quote(reason, strlen(reason));
  int r = -ENOMEM;
  if (!quoted_reason) goto out;
  if (!json_text_is_object(payload, payload_len, JOB_DEPTH_MAX)) {
    quoted = quote(payload, payload_len);
    if (!quoted) goto out;
    payload = quoted;
    payload_len = strlen(quoted);
  }
  if (!result) {
    result = "null";
    result_len = 4;
  }
  const size_t size = payload_len + strlen(quoted_reason) + result_len + 96;
  char *letter = malloc(size);
  if (!letter) goto out;
  const int n = snprintf(letter, size, "{\"job\":%.*s,\"reason\":%s,\"result\":%.*s,\"at\":%" PRId64 "}",
                         (int)payload_len, payload, quoted_reason, (int)result_len, result, at_ms);
  *out = letter;
  *out_len = (size_t)n;
  r = 0;
out:
  free(quoted);
  free(quoted_reason);
  return r;
}
