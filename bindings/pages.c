/*
 * An operation that lists something, page by page, and the building of items.
 *
 * All five functions are lists, and AWS' lists differ in little but names, so what they share is here once: the page
 * size, the token, the end at the script's limit, and what a list may not do to us. The page size stays the same from
 * the first page to the last, because some operations want a token back with the very parameters that it came with; what
 * the last page has over the limit is dropped.
 *
 * An empty page is no end: CloudWatch gives them while it searches. A page token that repeats is one, though, since it
 * would go on for ever.
 */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "bindings/json_answer.h"
#include "bindings/session.h"

#define PAGES_MAX 10000

static void broken(struct binding_call *call, const char *member, const char *what) {
  binding_call_fail(call, "AnswerError", "%s: AWS gave an answer that cannot be used: %s %s",
                    binding_call_name(call), member, what);
}

/* ---- building ---- */

void binding_put(struct binding_call *call, struct json_object *to, const char *name,
                 struct json_object *value) {
  if (!value || json_object_object_add(to, name, value) < 0) {
    json_object_put(value);
    binding_call_no_memory(call);
  }
}

void binding_put_text(struct binding_call *call, struct json_object *to, const char *name, const char *text) {
  if (text && *text)
    binding_put(call, to, name, json_object_new_string(text));
  else if (json_object_object_add(to, name, NULL) < 0)
    binding_call_no_memory(call);
}

void binding_put_account(struct binding_call *call, const struct aws_answer *answer, struct json_object *to,
                         const char *name) {
  const char *account = binding_call_asked(call, BINDING_ACCOUNT);
  binding_put_text(call, to, name, account ? account : answer->account);
}

void binding_put_region(struct binding_call *call, const struct aws_answer *answer, struct json_object *to,
                        const char *name) {
  const char *region = binding_call_asked(call, BINDING_REGION);
  binding_put_text(call, to, name, region ? region : answer->region);
}

void binding_take(struct binding_call *call, struct json_object *to, const char *name,
                  struct json_object *from, const char *member, enum json_type type) {
  struct json_object *value = json_object_object_get(from, member);
  if (!value)
    binding_put_text(call, to, name, NULL);
  else if (!json_object_is_type(value, type))
    broken(call, member, type == json_type_string ? "is not a string" : "is not a whole number");
  else
    binding_put(call, to, name, json_object_get(value));
}

void binding_take_seconds(struct binding_call *call, struct json_object *to, const char *name,
                          struct json_object *from, const char *member) {
  struct json_object *value = json_object_object_get(from, member);
  if (!value) {
    binding_put_text(call, to, name, NULL);
    return;
  }
  const double ms = json_object_get_double(value) * 1000;
  if ((!json_object_is_type(value, json_type_int) && !json_object_is_type(value, json_type_double)) ||
      !(fabs(ms) <= 8.64e15))
    broken(call, member, "is not a time in seconds");
  else
    binding_put(call, to, name, json_object_new_int64(llround(ms)));
}

void binding_take_json(struct binding_call *call, struct json_object *to, const char *name,
                       struct json_object *from, const char *member) {
  struct json_object *value = json_object_object_get(from, member);
  char problem[JSON_PROBLEM_SIZE];
  if (!value) {
    binding_put_text(call, to, name, NULL);
    return;
  }
  if (!json_object_is_type(value, json_type_string)) {
    broken(call, member, "is not a string of JSON");
    return;
  }
  value =
      json_answer_verbatim(json_object_get_string(value), (size_t)json_object_get_string_len(value), problem);
  if (value)
    binding_put(call, to, name, value);
  else
    broken(call, member, problem);
}

/* ---- pages ---- */

static void on_page(struct binding_call *call, const struct aws_answer *answer);

static void ask(struct binding_call *call) {
  const struct binding_operation *operation = call->operation;
  size_t len;
  const char *body = json_object_to_json_string_length(
      call->question, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);
  if (!body) {
    binding_call_no_memory(call);
    return;
  }
  const struct aws_request request = {
      .service = operation->service,
      .path = operation->path,
      .content_type = operation->content_type,
      .target = operation->target,
      .body = body,
      .body_len = len,
  };
  binding_call_send(call, &request, on_page);
}

static void take_items(struct binding_call *call, const struct aws_answer *answer,
                       struct json_object *items) {
  const size_t count = items ? json_object_array_length(items) : 0;
  for (size_t i = 0; i < count && call->items < call->values.limit && call->state != CALL_FINISHED; i++) {
    struct json_object *from = json_object_array_get_idx(items, i), *to;
    if (!json_object_is_type(from, json_type_object)) {
      broken(call, call->operation->items, "has an item that is not an object");
      return;
    }
    to = json_object_new_object();
    if (to) call->operation->item(call, answer, from, to);
    binding_call_add(call, to);
  }
}

/* Asks for the next page, or is done. */
static void go_on(struct binding_call *call, struct json_object *token) {
  const char *name = call->operation->token;
  if (call->state == CALL_FINISHED) return;
  if (!token || call->items >= call->values.limit) {
    binding_call_done(call);
  } else if (!json_object_is_type(token, json_type_string)) {
    broken(call, name, "is not a string");
  } else if (json_object_get_string_len(token) == 0) {
    binding_call_done(call);
  } else if (json_object_equal(token, json_object_object_get(call->question, name))) {
    broken(call, name, "is the same twice, so the pages have no end");
  } else if (call->pages >= PAGES_MAX) {
    broken(call, name, "follows after 10000 pages, which is the most that are read");
  } else {
    binding_put(call, call->question, name, json_object_get(token));
    if (call->state != CALL_FINISHED) ask(call);
  }
}

static void on_page(struct binding_call *call, const struct aws_answer *answer) {
  const struct binding_operation *operation = call->operation;
  char problem[JSON_PROBLEM_SIZE];

  if (!answer->ok) {
    if (!operation->on_error || !operation->on_error(call, answer)) binding_call_fail_as(call, answer);
    return;
  }
  call->pages++;
  struct json_object *page = json_answer_parse(answer->body, answer->body_len, problem);
  struct json_object *items =
      json_object_is_type(page, json_type_object) ? json_object_object_get(page, operation->items) : NULL;
  if (!page) {
    broken(call, "it", problem);
  } else if (!json_object_is_type(page, json_type_object)) {
    broken(call, "it", "is not an object");
  } else if (items && !json_object_is_type(items, json_type_array)) {
    broken(call, operation->items, "is not an array");
  } else {
    take_items(call, answer, items);
    go_on(call, json_object_object_get(page, operation->token));
  }
  json_object_put(page);
}

void binding_call_list(struct binding_call *call, const struct binding_operation *operation,
                       struct json_object *question) {
  const int32_t limit = (int32_t)call->values.limit;
  if (!question) {
    binding_call_no_memory(call);
    return;
  }
  if (call->state == CALL_FINISHED) {
    json_object_put(question);
    return;
  }
  call->operation = operation;
  call->question = question;
  binding_put(call, question, operation->page_size,
              json_object_new_int(limit < operation->page_size_max ? limit : operation->page_size_max));
  if (call->state != CALL_FINISHED) ask(call);
}
