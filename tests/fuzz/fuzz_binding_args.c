/*
 * What an executor sends: the name of a function, a newline, the arguments. Beyond not crashing: the call is refused
 * with an error that is JSON, on one line and in valid UTF-8, or it asks AWS something that is well formed.
 */
#include <ctype.h>

#include "tests/fuzz/binding_calls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_question(const struct aws_request *asked) {
  if (asked->region)
    require(strspn(asked->region, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(asked->region));
  if (asked->account) {
    require(strlen(asked->account) <= 64);
    for (const char *c = asked->account; *c; c++)
      require(isalnum((unsigned char)*c) || strchr("_.-", *c));
  }
  require(json_text_is_object(asked->body, asked->body_len, 8));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const char *text = (const char *)data, *newline = size ? memchr(text, '\n', size) : NULL;
  if (!newline) return 0;
  const size_t name_len = (size_t)(newline - text);
  start_call(text, name_len, newline + 1, size - name_len - 1);
  turn();
  if (scripted_aws_count() == 0)
    require(call_answers == 1 && !call_ok);
  else
    check_question(&scripted_aws_request(0)->asked);
  end_call();
  return 0;
}
