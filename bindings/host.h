/*
 * What the file of a host function sees: its checked arguments, ways to ask AWS, and ways to answer the
 * script.
 *
 * A host function is called once for each call. It asks with binding_call_list() or binding_call_send() and
 * returns; what it gave to them goes on from the event loop, until the call ends: binding_call_done(),
 * binding_call_fail(), its deadline or its session. Once a call has ended, everything below does nothing with
 * it, so that a mapping of items need not look at each step whether the one before has failed.
 */
#ifndef ISOQ_BINDINGS_HOST_H
#define ISOQ_BINDINGS_HOST_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "bindings/aws.h"

struct binding_call;

/* ---- arguments, by their names in bindings.def; another name is a bug, and aborts ---- */

/* "" when it was left out. Borrowed. */
const char *binding_call_text(const struct binding_call *call, const char *name);
/* False when it was left out. */
bool binding_call_time_ms(const struct binding_call *call, const char *name, int64_t *time_ms);

/* ---- asking ---- */

/* An operation of AWS that speaks JSON and lists something, page by page. */
struct binding_operation {
  enum aws_service service;
  const char *path, *content_type, *target; /* as in struct aws_request */
  const char *items;                        /* member of the answer: the array of items */
  const char *token;                        /* of the next page, in the answer and in the question */
  const char *page_size;                    /* member of the question: how many items on a page */
  int32_t page_size_max;
  bool names_account; /* items have binding_put_account() */
  /* Adds the members that the script sees to `to`, an empty object. */
  void (*item)(struct binding_call *call, struct json_object *from, struct json_object *to);
  /* NULL, or what to do about an error: true when it asks or answers itself. */
  bool (*on_error)(struct binding_call *call, const struct aws_answer *answer);
};

/* The whole of a call: all pages, up to the script's limit. `question`: what the first request says besides
 * page size and token; taken over; NULL: memory is short. `operation` is static. */
void binding_call_list(struct binding_call *call, const struct binding_operation *operation,
                       struct json_object *question);

/* One request. Account and region are the call's arguments, where it has such; deadline and size are set here
 * too. `on_answer` gets what AWS said, good or bad, but for what goes over a limit of ours. */
typedef void (*binding_answer_fn)(struct binding_call *call, const struct aws_answer *answer);
void binding_call_send(struct binding_call *call, const struct aws_request *request,
                       binding_answer_fn on_answer);

/* ---- answering ---- */

/* One more item of the result. Taken over; NULL: memory is short. */
void binding_call_add(struct binding_call *call, struct json_object *item);
void binding_call_done(struct binding_call *call);
/* `name`: of the error that the script sees; static. */
__attribute__((format(printf, 3, 4))) void binding_call_fail(struct binding_call *call, const char *name,
                                                             const char *format, ...);
/* As AWS said it. */
void binding_call_fail_as(struct binding_call *call, const struct aws_answer *answer);
/* As AnswerError: "AWS gave an answer that cannot be used: ...". */
__attribute__((format(printf, 2, 3))) void binding_call_broken(struct binding_call *call, const char *format,
                                                               ...);
void binding_call_no_memory(struct binding_call *call);
/* "queryResources" */
const char *binding_call_name(const struct binding_call *call);

/* ---- building questions and items: `value` is taken over, NULL: memory is short ---- */

void binding_put(struct binding_call *call, struct json_object *to, const char *name,
                 struct json_object *value);
/* "" is null. */
void binding_put_text(struct binding_call *call, struct json_object *to, const char *name, const char *text);
/* The account and the region that were asked. */
void binding_put_account(struct binding_call *call, struct json_object *to, const char *name);
void binding_put_region(struct binding_call *call, struct json_object *to, const char *name);

/* A member of AWS' item goes into ours. Absent: null. Of another type: the call fails as AnswerError. */
void binding_take(struct binding_call *call, struct json_object *to, const char *name,
                  struct json_object *from, const char *member, enum json_type type);
/* Seconds, whole or not, become milliseconds. */
void binding_take_seconds(struct binding_call *call, struct json_object *to, const char *name,
                          struct json_object *from, const char *member);
/* JSON inside a string becomes the value itself, as it came: V8 reads it, and loses nothing that json-c would. */
void binding_take_json(struct binding_call *call, struct json_object *to, const char *name,
                       struct json_object *from, const char *member);

/* ---- the functions themselves ---- */

#define BINDING(id, name, host, ...) void host(struct binding_call *call);
#include "bindings/bindings.def"
#undef BINDING

#endif
