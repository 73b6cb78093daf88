/* Building the JSON of questions and items. What fails here fails the call, so that a mapping is a list of lines. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "bindings/json_answer.h"
#include "bindings/session.h"

#define TIME_MS_MAX 8.64e15 /* of a Date */

void binding_call_broken(struct binding_call *call, const char *format, ...) {
  char what[JSON_PROBLEM_SIZE + 64];
  va_list args;
  va_start(args, format);
  vsnprintf(what, sizeof what, format, args);
  va_end(args);
  binding_call_fail(call, "AnswerError", "%s: AWS gave an answer that cannot be used: %s",
                    binding_call_name(call), what);
}

void binding_put(struct binding_call *call, struct json_object *to, const char *name,
                 struct json_object *value) {
  if (!value || json_object_object_add(to, name, value) < 0) {
    json_object_put(value);
    binding_call_no_memory(call);
  }
}

static void put_null(struct binding_call *call, struct json_object *to, const char *name) {
  if (json_object_object_add(to, name, NULL) < 0) binding_call_no_memory(call);
}

void binding_put_text(struct binding_call *call, struct json_object *to, const char *name, const char *text) {
  if (text && *text)
    binding_put(call, to, name, json_object_new_string(text));
  else
    put_null(call, to, name);
}

void binding_put_account(struct binding_call *call, struct json_object *to, const char *name) {
  const char *asked = binding_call_asked(call, BINDING_ACCOUNT), *number = binding_call_account(call);
  if (!number && *call->account) number = call->account;
  binding_put_text(call, to, name, number ? number : asked);
}

void binding_put_region(struct binding_call *call, struct json_object *to, const char *name) {
  const char *region = binding_call_asked(call, BINDING_REGION);
  binding_put_text(call, to, name, region ? region : call->region);
}

void binding_take(struct binding_call *call, struct json_object *to, const char *name,
                  struct json_object *from, const char *member, enum json_type type) {
  struct json_object *value = json_object_object_get(from, member);
  if (!value)
    put_null(call, to, name);
  else if (!json_object_is_type(value, type))
    binding_call_broken(call, "%s is not a %s", member, type == json_type_string ? "string" : "whole number");
  else
    binding_put(call, to, name, json_object_get(value));
}

void binding_take_seconds(struct binding_call *call, struct json_object *to, const char *name,
                          struct json_object *from, const char *member) {
  struct json_object *value = json_object_object_get(from, member);
  if (!value) {
    put_null(call, to, name);
    return;
  }
  const double ms = json_object_get_double(value) * 1000;
  if ((!json_object_is_type(value, json_type_int) && !json_object_is_type(value, json_type_double)) ||
      !(fabs(ms) <= TIME_MS_MAX))
    binding_call_broken(call, "%s is not a time in seconds", member);
  else
    binding_put(call, to, name, json_object_new_int64(llround(ms)));
}

void binding_take_json(struct binding_call *call, struct json_object *to, const char *name,
                       struct json_object *from, const char *member) {
  struct json_object *value = json_object_object_get(from, member);
  char problem[JSON_PROBLEM_SIZE];
  if (!value) {
    put_null(call, to, name);
    return;
  }
  if (!json_object_is_type(value, json_type_string)) {
    binding_call_broken(call, "%s is not a string of JSON", member);
    return;
  }
  value = json_verbatim(json_object_get_string(value), (size_t)json_object_get_string_len(value), problem);
  if (value)
    binding_put(call, to, name, value);
  else
    binding_call_broken(call, "%s %s", member, problem);
}
