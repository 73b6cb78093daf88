/*
 * One job's calls: their budgets, their deadlines, and the order in which they start and answer.
 *
 * A call moves one way through three lists: waiting, running, finished. Whatever ends it (its host function,
 * AWS, its timer, a refusal) only puts it into the last of them; one event of the session then gives the
 * answers out, in that order, and starts what waits. So no answer is ever given from within bindings_call(),
 * no host function runs inside another's callback, and a session may be freed from its own answer callback.
 *
 * Items are turned into text as they come, so that a call never holds more than its answer, and the limit on
 * its size is exact.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bindings/session.h"
#include "config/nearest.h"
#include "queue/utf8.h"
#include "worker/clock.h"

#define JSON_FLAGS (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)
#define NO_MEMORY_JSON                                                                                       \
  "{\"name\":\"BindingError\",\"message\":\"the worker is out of memory\",\"retryable\":true}"
/* The AWS client keeps the deadline too, and can say what it was at; we end what it has not ended. */
#define DEADLINE_GRACE_NS (100 * CLOCK_NS_PER_MS)
#define AWS_TEXT_MAX 2000 /* bytes of a name or message that AWS gave */
/* What a page may have on the wire, for an answer of some size: JSON in JSON doubles its quotes, and pages
 * have more members than we take. */
#define PAGE_BYTES_MAX(answer_bytes) (2 * (answer_bytes) + (UINT64_C(64) << 10))

struct bindings_session {
  struct bindings *bindings;
  binding_set allowed;
  int64_t deadline_ns;
  bindings_answer_fn answer;
  void *ctx;
  uint32_t calls, running;
  uint64_t bytes_read;
  struct call_list lists[3]; /* by enum call_state */
  struct event flush;
  bool *freed; /* of the flush under way, which looks at it after each answer */
};

/* ---- states ---- */

static void call_move(struct binding_call *call, enum call_state state) {
  struct bindings_session *session = call->session;
  TAILQ_REMOVE(&session->lists[call->state], call, entry);
  if (call->state == CALL_RUNNING) session->running--;
  call->state = state;
  TAILQ_INSERT_TAIL(&session->lists[state], call, entry);
  if (state == CALL_RUNNING) session->running++;
}

/* What it had running is stopped; its answer, if it has one, remains. */
static void call_stop(struct binding_call *call) {
  if (event_initialized(&call->timer)) evtimer_del(&call->timer);
  if (call->transfer) aws_cancel(call->transfer);
  call->transfer = NULL;
  if (call->is_naming) account_names_leave(call->bindings->names, call);
  binding_call_drop_page(call);
  json_object_put(call->question);
  call->question = NULL;
}

static void call_finish(struct binding_call *call, bool ok) {
  call->ok = ok;
  call_stop(call);
  call_move(call, CALL_FINISHED);
  event_active(&call->session->flush, EV_TIMEOUT, 0);
}

static void call_free(struct binding_call *call) {
  call_stop(call);
  binding_values_clear(&call->values);
  free(call->json);
  free(call);
}

/* ---- answering ---- */

const char *binding_call_name(const struct binding_call *call) {
  return call->row ? call->row->name : "";
}

static void call_forget_answer(struct binding_call *call) {
  free(call->json);
  call->json = NULL;
  call->json_len = call->json_size = 0;
}

void binding_call_no_memory(struct binding_call *call) {
  if (call->state == CALL_FINISHED) return;
  call_forget_answer(call);
  call_finish(call, false);
}

static bool json_append(struct binding_call *call, const char *text, size_t len) {
  const size_t needed = call->json_len + len + 1;
  if (needed > call->json_size) {
    const size_t size = needed > call->json_size * 2 ? needed : call->json_size * 2;
    char *grown = realloc(call->json, size);
    if (!grown) return false;
    call->json = grown;
    call->json_size = size;
  }
  memcpy(call->json + call->json_len, text, len);
  call->json_len += len;
  call->json[call->json_len] = '\0';
  return true;
}

static void fail_too_large(struct binding_call *call) {
  const uint64_t max = call->session->bindings->options.max_answer_bytes;
  binding_call_fail(call, "AnswerTooLargeError",
                    "%s: the answer is larger than max_answer_bytes, %" PRIu64
                    " bytes, permits (items read: %" PRIu32
                    "); ask for less: a smaller limit, or a narrower question",
                    binding_call_name(call), max, call->items);
}

void binding_call_add(struct binding_call *call, struct json_object *item) {
  size_t len = 0;
  const char *text = item ? json_object_to_json_string_length(item, JSON_FLAGS, &len) : NULL;

  if (call->state == CALL_FINISHED) {
    json_object_put(item);
    return;
  }
  if (!text)
    binding_call_no_memory(call);
  else if (call->json_len + 1 + len + 1 > call->session->bindings->options.max_answer_bytes)
    fail_too_large(call);
  else if (!json_append(call, call->items ? "," : "[", 1) || !json_append(call, text, len))
    binding_call_no_memory(call);
  else
    call->items++;
  json_object_put(item);
}

void binding_call_done(struct binding_call *call) {
  if (call->state == CALL_FINISHED) return;
  if (call->items ? json_append(call, "]", 1) : json_append(call, "[]", 2))
    call_finish(call, true);
  else
    binding_call_no_memory(call);
}

static bool error_put(struct json_object *error, const char *name, struct json_object *value) {
  return value && json_object_object_add(error, name, value) == 0;
}

/* `text` is whatever came. */
static bool error_put_text(struct json_object *error, const char *name, const char *text) {
  size_t clean_len, len = strlen(text);
  char *clean = utf8_sanitize(text, len < AWS_TEXT_MAX ? len : AWS_TEXT_MAX, &clean_len);
  const bool put = clean && error_put(error, name, json_object_new_string_len(clean, (int)clean_len));
  free(clean);
  return put;
}

/* `answer`: NULL, when the fault is not AWS'. */
static void fail(struct binding_call *call, const char *name, const char *message,
                 const struct aws_answer *answer) {
  struct json_object *error = json_object_new_object();
  const char *text = NULL;
  size_t len;

  bool built = error && error_put_text(error, "name", name) && error_put_text(error, "message", message);
  if (built && answer) {
    if (answer->status > 0) built = error_put(error, "statusCode", json_object_new_int(answer->status));
    if (answer->request_id && *answer->request_id)
      built = built && error_put_text(error, "requestId", answer->request_id);
    built = built && error_put(error, "retryable", json_object_new_boolean(answer->retryable));
  }
  call_forget_answer(call);
  if (built) text = json_object_to_json_string_length(error, JSON_FLAGS, &len);
  if (text && !json_append(call, text, len)) call_forget_answer(call);
  json_object_put(error);
  call_finish(call, false);
}

void binding_call_fail(struct binding_call *call, const char *name, const char *format, ...) {
  char message[BINDING_MESSAGE_SIZE];
  va_list args;
  if (call->state == CALL_FINISHED) return;
  va_start(args, format);
  vsnprintf(message, sizeof message, format, args);
  va_end(args);
  fail(call, name, message, NULL);
}

/* Where it is the job's time that is over, the script is stopped right now, and an error would only give it
 * something to do in the meantime, with an outcome of its own: the call stays without an answer, and nothing
 * runs for it. */
static void fail_timeout(struct binding_call *call, const char *detail) {
  const struct bindings_session *session = call->session;
  if (call->deadline_ns == session->deadline_ns)
    call_stop(call);
  else
    binding_call_fail(call, "TimeoutError",
                      "%s: no answer within call_timeout_ms, %" PRIu32 " ms (pages read: %" PRIu32
                      ", items: %" PRIu32 ")%s%s",
                      binding_call_name(call), session->bindings->options.call_timeout_ms, call->pages,
                      call->items, *detail ? ": " : "", detail);
}

static void fail_bytes(struct binding_call *call) {
  const struct bindings_session *session = call->session;
  binding_call_fail(call, "BudgetError",
                    "%s: this job's calls have read %" PRIu64
                    " bytes; max_total_answer_bytes permits %" PRIu64,
                    binding_call_name(call), session->bytes_read, session->bindings->options.max_total_bytes);
}

void binding_call_fail_as(struct binding_call *call, const struct aws_answer *answer) {
  if (call->state == CALL_FINISHED) return;
  const char *message = answer->error_message ? answer->error_message : "";
  char text[64];
  /* Ours, and not that nobody spoke for a while, or that no connection could be made. */
  if (strcmp(answer->error_name, "TimeoutError") == 0 &&
      clock_monotonic_ns() >= call->deadline_ns - DEADLINE_GRACE_NS) {
    fail_timeout(call, message);
    return;
  }
  snprintf(text, sizeof text, "AWS answered %d without a message", answer->status);
  fail(call, answer->error_name, *message ? message : text, answer);
}

/* ---- asking ---- */

static const struct binding_value *value_of(const struct binding_call *call, const char *name) {
  for (size_t i = 0; i < call->row->argument_count; i++)
    if (strcmp(call->row->arguments[i].name, name) == 0) return &call->values.of[i];
  fprintf(stderr, "isoq: %s has no argument %s\n", call->row->name, name);
  abort();
}

const char *binding_call_text(const struct binding_call *call, const char *name) {
  const struct binding_value *value = value_of(call, name);
  return value->text ? value->text : "";
}

bool binding_call_time_ms(const struct binding_call *call, const char *name, int64_t *time_ms) {
  const struct binding_value *value = value_of(call, name);
  if (value->given) *time_ms = value->time_ms;
  return value->given;
}

const char *binding_call_asked(const struct binding_call *call, enum binding_type type) {
  for (size_t i = 0; i < call->row->argument_count; i++)
    if (call->row->arguments[i].type == type) return call->values.of[i].text;
  return NULL;
}

const char *binding_call_account(const struct binding_call *call) {
  const char *asked = binding_call_asked(call, BINDING_ACCOUNT);
  if (!asked || account_is_number(asked)) return asked;
  return *call->account_number ? call->account_number : NULL;
}

void binding_call_pay(struct binding_call *call, uint64_t bytes) {
  call->session->bytes_read += bytes;
  if (call->session->bytes_read > call->session->bindings->options.max_total_bytes) fail_bytes(call);
}

static void answered(void *ctx, const struct aws_answer *answer) {
  struct binding_call *call = ctx;
  struct bindings_session *session = call->session;
  const uint64_t max = session->bindings->options.max_total_bytes;
  const bool too_large = !answer->ok && strcmp(answer->error_name, "AnswerTooLargeError") == 0;

  call->transfer = NULL;
  session->bytes_read += answer->bytes_read;
  if (session->bytes_read > max || (too_large && call->last_of_budget))
    fail_bytes(call);
  else if (too_large)
    fail_too_large(call);
  else
    call->on_answer(call, answer);
}

void binding_call_send(struct binding_call *call, const struct aws_request *request,
                       binding_answer_fn on_answer) {
  const struct bindings_session *session = call->session;
  const struct bindings_options *options = &session->bindings->options;
  const uint64_t page_max = PAGE_BYTES_MAX(options->max_answer_bytes);
  struct aws_request sent = *request;

  if (call->state == CALL_FINISHED) return;
  if (session->bytes_read >= options->max_total_bytes) {
    fail_bytes(call);
    return;
  }
  if (clock_monotonic_ns() >= call->deadline_ns) {
    fail_timeout(call, "");
    return;
  }
  const uint64_t left = options->max_total_bytes - session->bytes_read;
  call->last_of_budget = left < page_max;
  sent.max_answer_bytes = call->last_of_budget ? left : page_max;
  sent.account = binding_call_account(call);
  sent.region = binding_call_asked(call, BINDING_REGION);
  sent.deadline_ns = call->deadline_ns;
  call->on_answer = on_answer;
  if (aws_send(session->bindings->aws, &sent, answered, call, &call->transfer) < 0) {
    call->transfer = NULL;
    binding_call_no_memory(call);
  }
}

/* ---- the session ---- */

static void on_deadline(evutil_socket_t fd, short what, void *ctx) {
  (void)fd;
  (void)what;
  fail_timeout(ctx, "");
}

/* By a name that has to be looked up. */
static bool is_named(const struct binding_call *call) {
  const char *asked = binding_call_asked(call, BINDING_ACCOUNT);
  return asked && !account_is_number(asked);
}

void binding_call_begin(struct binding_call *call) {
  call->row->start(call);
}

static void call_start(struct binding_call *call) {
  struct bindings_session *session = call->session;
  const int64_t now_ns = clock_monotonic_ns();
  const int64_t own_ns = now_ns + (int64_t)session->bindings->options.call_timeout_ms * CLOCK_NS_PER_MS;

  call_move(call, CALL_RUNNING);
  call->deadline_ns = own_ns < session->deadline_ns ? own_ns : session->deadline_ns;
  const int64_t left_ns = call->deadline_ns > now_ns ? call->deadline_ns - now_ns : 0;
  const int64_t left_us = (left_ns + DEADLINE_GRACE_NS) / 1000;
  const struct timeval left = {.tv_sec = left_us / 1000000, .tv_usec = left_us % 1000000};
  evtimer_assign(&call->timer, session->bindings->base, on_deadline, call);
  if (evtimer_add(&call->timer, &left) < 0)
    binding_call_no_memory(call);
  else if (is_named(call))
    account_names_look_up(call->bindings->names, call);
  else
    binding_call_begin(call);
}

static void start_waiting(struct bindings_session *session) {
  struct binding_call *call;
  while (session->running < session->bindings->options.max_parallel_calls &&
         (call = TAILQ_FIRST(&session->lists[CALL_WAITING])))
    call_start(call);
}

static void flush(evutil_socket_t fd, short what, void *ctx) {
  struct bindings_session *session = ctx;
  struct binding_call *call;
  bool freed = false;
  (void)fd;
  (void)what;

  session->freed = &freed;
  while ((call = TAILQ_FIRST(&session->lists[CALL_FINISHED]))) {
    TAILQ_REMOVE(&session->lists[CALL_FINISHED], call, entry);
    const char *json = call->json ? call->json : NO_MEMORY_JSON;
    session->answer(session->ctx, call->id, call->ok, json, call->json ? call->json_len : strlen(json));
    call_free(call);
    if (freed) return;
  }
  session->freed = NULL;
  start_waiting(session);
}

int bindings_session_new(struct bindings *bindings, binding_set allowed, int64_t deadline_ns,
                         bindings_answer_fn answer, void *ctx, struct bindings_session **out) {
  struct bindings_session *session = calloc(1, sizeof *session);
  if (!session) return -ENOMEM;
  session->bindings = bindings;
  session->allowed = allowed;
  session->deadline_ns = deadline_ns;
  session->answer = answer;
  session->ctx = ctx;
  for (size_t i = 0; i < 3; i++)
    TAILQ_INIT(&session->lists[i]);
  event_assign(&session->flush, bindings->base, -1, 0, flush, session);
  bindings->sessions++;
  *out = session;
  return 0;
}

void bindings_session_free(struct bindings_session *session) {
  if (!session) return;
  for (size_t i = 0; i < 3; i++)
    while (!TAILQ_EMPTY(&session->lists[i])) {
      struct binding_call *call = TAILQ_FIRST(&session->lists[i]);
      TAILQ_REMOVE(&session->lists[i], call, entry);
      call_free(call);
    }
  event_del(&session->flush);
  if (session->freed) *session->freed = true;
  session->bindings->sessions--;
  free(session);
}

/* ---- a new call ---- */

static void refuse_unknown(struct binding_call *call, const char *name, size_t name_len) {
  char all[512] = "", excerpt[BINDING_EXCERPT_SIZE];
  size_t used = 0;
  binding_excerpt(name, name_len, excerpt);
  struct nearest nearest = nearest_start(excerpt);
  for (unsigned i = 0; i < BINDING_COUNT; i++) {
    nearest_try(&nearest, binding_rows[i].name);
    if (used < sizeof all)
      used += (size_t)snprintf(all + used, sizeof all - used, "%s%s", i ? ", " : "", binding_rows[i].name);
  }
  if (nearest.best)
    binding_call_fail(call, "BindingError", "%s is not a binding (did you mean %s?)", excerpt, nearest.best);
  else
    binding_call_fail(call, "BindingError", "%s is not a binding; there are %s", excerpt, all);
}

/* False: it has been refused. */
static bool admit(struct binding_call *call, const char *name, size_t name_len, const char *args,
                  size_t args_len) {
  struct bindings_session *session = call->session;
  const uint32_t max = session->bindings->options.max_calls;
  const int id = binding_find(name, name_len);
  char excerpt[BINDING_EXCERPT_SIZE];
  struct binding_error error;

  if (session->calls > max) {
    binding_excerpt(name, name_len, excerpt);
    binding_call_fail(call, "BudgetError",
                      "%s: this is call %" PRIu32 " of this job; max_calls permits %" PRIu32, excerpt,
                      session->calls, max);
    return false;
  }
  if (id < 0) {
    refuse_unknown(call, name, name_len);
    return false;
  }
  call->row = &binding_rows[id];
  if (!(session->allowed & (binding_set)1 << id)) {
    binding_call_fail(call, "BindingError", "%s is not among this job's bindings", call->row->name);
    return false;
  }
  const int rc = binding_arguments_parse(call->row, args, args_len, &call->values, &error);
  if (rc == -EINVAL)
    binding_call_fail(call, error.name, "%s", error.message);
  else if (rc < 0)
    binding_call_no_memory(call);
  return rc == 0;
}

int bindings_call(struct bindings_session *session, uint32_t id, const char *name, size_t name_len,
                  const char *args, size_t args_len) {
  struct binding_call *call = calloc(1, sizeof *call);
  if (!call) return -ENOMEM;
  call->session = session;
  call->bindings = session->bindings;
  call->id = id;
  call->state = CALL_WAITING;
  TAILQ_INSERT_TAIL(&session->lists[CALL_WAITING], call, entry);
  if (session->calls < UINT32_MAX) session->calls++;
  if (admit(call, name, name_len, args, args_len)) start_waiting(session);
  return 0;
}
