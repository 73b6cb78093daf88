/*
 * What AWS sends: a digit for the function, or r for listAccounts with a refusal first; then the bodies, each begun by
 * a byte 0x1e, which neither JSON nor XML may have. After the last, empty pages. Beyond not crashing: there is one answer,
 * JSON in valid UTF-8 within its limit, and nothing is left under way.
 */
#include "tests/fuzz/binding_calls.h"

#define SEPARATOR 0x1e

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const args[BINDING_COUNT] = {
    [BINDING_LIST_ACCOUNTS] = "[]",
    [BINDING_LIST_REGIONS] = "[{\"limit\":5}]",
    [BINDING_QUERY_RESOURCES] = "[\"AWS::EC2::Instance\",\"acct\",\"us-east-1\"]",
    [BINDING_QUERY_LOG_EVENTS] = "[\"g\"]",
    [BINDING_TRAIL_EVENTS] = "[]",
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0) return 0;
  const bool refused = data[0] == 'r';
  const unsigned function = refused ? BINDING_LIST_ACCOUNTS : data[0] - (unsigned)'0';
  if (function >= BINDING_COUNT || !args[function]) return 0;
  const char *name = binding_name(function), *at = (const char *)data + 1, *end = (const char *)data + size;
  size_t request = 0;

  start_call(name, strlen(name), args[function], strlen(args[function]));
  for (; call_answers == 0; turn()) {
    if (request == scripted_aws_count()) continue; /* a page is being read */
    if (refused && request == 0) {
      scripted_aws_answer(request++,
                          &(struct aws_answer){.error_name = "AccessDeniedException", .status = 400});
      continue;
    }
    if (at < end && *at == SEPARATOR) at++;
    const char *next = at < end ? memchr(at, SEPARATOR, (size_t)(end - at)) : NULL;
    if (!next) next = end;
    if (at < end)
      scripted_aws_body(request++, at, (size_t)(next - at));
    else
      scripted_aws_body(request++, "{}", 2);
    at = next;
  }
  require(call_answers == 1);
  end_call();
  return 0;
}
