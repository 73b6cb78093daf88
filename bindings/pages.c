/*
 * An operation that lists something, page by page. All five functions are lists, and AWS' lists differ in
 * little but names, so what they share is here once.
 *
 * The page size stays the same from the first page to the last, because some operations want a token back
 * with the very parameters that it came with; what the last page has over the script's limit is dropped. An
 * empty page is no end: CloudWatch gives them while it searches. A page token that repeats is one, since it
 * would go on for ever.
 *
 * A page may have ten thousand items, and pages of many jobs come at the same time. They queue up here and
 * are read for a few milliseconds in each turn of the loop, all together, so that reading never keeps the
 * broker from its deadlines.
 */
#include <string.h>

#include "bindings/json_answer.h"
#include "bindings/session.h"
#include "worker/clock.h"

#define PAGES_MAX 10000
#define SLICE_NS (5 * CLOCK_NS_PER_MS)

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
      .names_account = operation->names_account,
  };
  binding_call_send(call, &request, on_page);
}

/* Asks for the next page, or is done. `token`: NULL after the last. */
static void go_on(struct binding_call *call, struct json_object *token) {
  const char *name = call->operation->token;
  if (!token) {
    binding_call_done(call);
  } else if (json_object_equal(token, json_object_object_get(call->question, name))) {
    binding_call_broken(call, "%s is the same twice, so the pages have no end", name);
  } else if (call->pages >= PAGES_MAX) {
    binding_call_broken(call, "there is a %s after %d pages, which is the most that are read", name,
                        PAGES_MAX);
  } else {
    binding_put(call, call->question, name, json_object_get(token));
    if (call->state != CALL_FINISHED) ask(call);
  }
}

static void stop_reading(struct binding_call *call) {
  TAILQ_REMOVE(&call->bindings->reading, call, reading);
  json_page_free(call->page);
  call->page = NULL;
}

void binding_call_drop_page(struct binding_call *call) {
  if (call->page) stop_reading(call);
}

static void take_item(struct binding_call *call, struct json_object *from) {
  struct json_object *to = json_object_new_object();
  if (to) call->operation->item(call, from, to);
  binding_call_add(call, to); /* which may end the call, and its page with it */
  json_object_put(from);
}

/* One item, or the end of the page. */
static void read_on(struct binding_call *call) {
  struct json_object *item, *token;
  switch (json_page_next(call->page, &item)) {
  case JSON_STEP_ITEM:
    take_item(call, item);
    if (call->items >= call->values.limit) binding_call_done(call);
    break;
  case JSON_STEP_END:
    token = json_object_get(json_page_token(call->page));
    stop_reading(call);
    go_on(call, token);
    json_object_put(token);
    break;
  case JSON_STEP_BROKEN: binding_call_broken(call, "%s", json_page_problem(call->page)); break;
  }
}

void bindings_read_pages(evutil_socket_t fd, short what, void *ctx) {
  struct bindings *bindings = ctx;
  const int64_t until_ns = clock_monotonic_ns() + SLICE_NS;
  const struct timeval next_turn = {0};
  struct binding_call *call;
  (void)fd;
  (void)what;

  do {
    call = TAILQ_FIRST(&bindings->reading);
    if (!call) return;
    read_on(call);
  } while (clock_monotonic_ns() < until_ns);
  if (call->page) { /* the others first, next time */
    TAILQ_REMOVE(&bindings->reading, call, reading);
    TAILQ_INSERT_TAIL(&bindings->reading, call, reading);
  }
  /* A timer, since an event made active would run before the loop has looked at its descriptors. */
  if (!TAILQ_EMPTY(&bindings->reading)) evtimer_add(&bindings->read, &next_turn);
}

static void copy_name(char out[BINDING_NAME_SIZE], const char *name) {
  const size_t len = name ? strlen(name) : 0;
  memcpy(out, len < BINDING_NAME_SIZE ? name : "", len < BINDING_NAME_SIZE ? len : 0);
  out[len < BINDING_NAME_SIZE ? len : 0] = '\0';
}

static void on_page(struct binding_call *call, const struct aws_answer *answer) {
  const struct binding_operation *operation = call->operation;
  const struct timeval next_turn = {0};

  if (!answer->ok) {
    if (!operation->on_error || !operation->on_error(call, answer)) binding_call_fail_as(call, answer);
    return;
  }
  copy_name(call->account, answer->account);
  copy_name(call->region, answer->region);
  call->page = json_page_new(answer->body, answer->body_len, operation->items, operation->token);
  if (!call->page) {
    binding_call_no_memory(call);
    return;
  }
  call->pages++;
  TAILQ_INSERT_TAIL(&call->bindings->reading, call, reading);
  if (!evtimer_pending(&call->bindings->read, NULL) && evtimer_add(&call->bindings->read, &next_turn) < 0)
    binding_call_no_memory(call);
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
