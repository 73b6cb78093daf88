/*
 * Spliced from texts rather than built as a tree: a dead letter exists to show, and to retry, just what was
 * pushed, and parsing would change it.
 */
#include "queue/dead_letter.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue/job.h"
#include "queue/json_text.h"

int dead_letter_make(const char *payload, size_t payload_len, const char *reason, const char *result,
                     size_t result_len, int64_t at_ms, char **out, size_t *out_len) {
  size_t quoted_len;
  char *quoted = NULL, *quoted_reason = json_text_quote(reason, strlen(reason), &quoted_len);
  int r = -ENOMEM;
  if (!quoted_reason) goto out;
  if (!json_text_is_object(payload, payload_len, JOB_DEPTH_MAX)) {
    quoted = json_text_quote(payload, payload_len, &quoted_len);
    if (!quoted) goto out;
    payload = quoted;
    payload_len = quoted_len;
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
