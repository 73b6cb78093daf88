/*
 * The worker's side of the queue against a real Redis: every promise of PROTOCOL.md, and every outage we
 * could think of, caused for real (killed, frozen, read-only, full, scripts flushed, connections cut).
 * Nothing sleeps to synchronise: a test runs the loop until what it waits for is so, or fails at a deadline.
 */
#include <check.h>
#include <event2/event.h>
#include <hiredis/hiredis.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue/client.h" /* to cut a connection at a chosen moment */
#include "queue/job.h"
#include "queue/queue.h"
#include "queue/redis_url.h"
#include "queue/result.h"
#include "tests/support/redis_server.h"

#define DEADLINE_MS 20000
#define JOBS_MAX 2048
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct job_limits limits = {
    .timeout_ms = {30000, 1, 600000},
    .cpu_ms = {0, 1, 600000},
    .memory_mb = {256, 8, 1024},
    .max_output_bytes = {1 << 20, 0, 16 << 20},
    .reply_ttl_s = {3600, 1, 86400},
    .max_attempts = {1, 1, 25},
    .backoff_ms = {1000, 0, 86400000},
    .delay_ms = {0, 0, 86400000},
    .max_code_bytes = 1 << 20,
    .max_input_bytes = 1 << 20,
    .max_payload_bytes = 4 << 20,
};

static struct redis_server server;
static redisContext *redis;

/* ---- a worker ---- */

struct worker {
  struct event_base *base;
  struct redis_url url;
  struct queue_client *client;
  struct job *jobs[JOBS_MAX];
  size_t job_count;
  bool settle_at_once;
  unsigned top_up; /* capacity to ask for again after each settle */
  size_t outcomes[3];
  size_t returned, left;
  int link; /* -1: not told yet */
  char link_why[256];
  char notes[8192];
};

static void on_settled(void *ctx, enum queue_settled outcome) {
  struct worker *worker = ctx;
  worker->outcomes[outcome]++;
  if (worker->top_up) queue_client_set_capacity(worker->client, worker->top_up);
}

static void on_returned(void *ctx, enum queue_settled outcome) {
  struct worker *worker = ctx;
  if (outcome == QUEUE_SETTLED) worker->returned++;
}

static void on_left(void *ctx, enum queue_settled outcome) {
  struct worker *worker = ctx;
  (void)outcome;
  worker->left++;
}

static const struct queue_record *record_of_settles; /* NULL: none */

static void settle_as(struct worker *worker, struct job *job, const char *dead_reason) {
  struct job_result result = {.status = job->error ? ISOQ_STATUS_INVALID : ISOQ_STATUS_OK,
                              .result_type = ISOQ_TYPE_NUMBER};
  char *json;
  size_t len;
  if (job->error)
    job_result_invalid(&result, job);
  else
    result_text_set(&result.result, "4", 1);
  snprintf(result.worker, sizeof result.worker, "%s", worker->client->worker);
  ck_assert_int_eq(job_result_to_json(&result, job, &json, &len), 0);
  struct queue_record record;
  if (record_of_settles) {
    record = *record_of_settles;
    ck_assert_ptr_nonnull(record.text = strdup(record.text));
  }
  ck_assert_int_eq(queue_settle(worker->client, job, json, len, isoq_status_name(result.status), dead_reason,
                                record_of_settles ? &record : NULL, on_settled, worker),
                   0);
  job_result_free(&result);
}

static void settle(struct worker *worker, size_t index) {
  settle_as(worker, worker->jobs[index], NULL);
}

static void on_claimed(void *ctx, const char *queue, const char *payload, size_t len) {
  struct worker *worker = ctx;
  struct job *job;
  ck_assert_uint_lt(worker->job_count, JOBS_MAX);
  ck_assert_int_eq(job_parse(payload, len, &limits, "isoq", queue, &job), 0);
  worker->jobs[worker->job_count++] = job;
  if (worker->settle_at_once) settle(worker, worker->job_count - 1);
}

static void on_link(void *ctx, bool up, const char *why) {
  struct worker *worker = ctx;
  worker->link = up;
  snprintf(worker->link_why, sizeof worker->link_why, "%s", why);
}

static void on_note(void *ctx, const char *level, const char *event, const char *detail) {
  struct worker *worker = ctx;
  const size_t n = strlen(worker->notes);
  snprintf(worker->notes + n, sizeof worker->notes - n, "%s %s: %s\n", level, event, detail);
}

struct settings {
  const char *url;
  const char *const *queues;
  size_t queue_count;
  uint32_t lease_ms, lease_renew_ms, reap_interval_ms, dead_letters_max;
};

static void worker_start_with(struct worker *worker, struct event_base *base, const char *name,
                              struct settings set) {
  static const char *const only_default[] = {"default"};
  char error[256];
  *worker = (struct worker){.base = base, .link = -1};
  ck_assert_msg(redis_url_parse(set.url ? set.url : server.unix_url, &worker->url, error, sizeof error) == 0,
                "%s", error);
  const struct queue_options options = {
      .url = &worker->url,
      .prefix = "isoq",
      .queues = set.queues ? set.queues : only_default,
      .queue_count = set.queues ? set.queue_count : 1,
      .worker = name,
      .lease_ms = set.lease_ms ? set.lease_ms : 30000,
      .lease_renew_ms = set.lease_renew_ms ? set.lease_renew_ms : 5000,
      .reap_interval_ms = set.reap_interval_ms ? set.reap_interval_ms : 60000,
      .max_worker_deaths = 3,
      .dead_letters_max = set.dead_letters_max ? set.dead_letters_max : 1000,
      .default_reply_ttl_s = 3600,
  };
  const struct queue_callbacks callbacks = {
      .ctx = worker, .claimed = on_claimed, .link = on_link, .note = on_note};
  ck_assert_int_eq(queue_client_new(base, &options, &callbacks, &worker->client), 0);
}

static void worker_start(struct worker *worker, struct event_base *base, const char *name) {
  worker_start_with(worker, base, name, (struct settings){0});
}

/* As kill -9 would: not a word to Redis. */
static void worker_die(struct worker *worker) {
  queue_client_free(worker->client);
  for (size_t i = 0; i < worker->job_count; i++)
    job_free(worker->jobs[i]);
  redis_url_free(&worker->url);
  *worker = (struct worker){0};
}

/* ---- waiting ---- */

static void on_tick(evutil_socket_t fd, short events, void *ctx) {
  (void)fd;
  (void)events;
  (void)ctx;
}

/* UNTIL(base, condition): runs the loop until the condition is true. */
#define UNTIL(base, condition)                                                                               \
  do {                                                                                                       \
    struct event *tick_ = event_new(base, -1, EV_PERSIST, on_tick, NULL);                                    \
    const int64_t deadline_ = conn_now_ms() + DEADLINE_MS;                                                   \
    event_add(tick_, &(struct timeval){.tv_usec = 5000});                                                    \
    while (!(condition)) {                                                                                   \
      if (conn_now_ms() > deadline_) ck_abort_msg("not within %d ms: %s", DEADLINE_MS, #condition);          \
      event_base_loop(base, EVLOOP_ONCE);                                                                    \
    }                                                                                                        \
    event_free(tick_);                                                                                       \
  } while (0)

/* Runs the loop for a while: only to see that something does NOT happen. */
static void idle(struct event_base *base, int ms) {
  const int64_t until = conn_now_ms() + ms;
  UNTIL(base, conn_now_ms() >= until);
}

/* ---- Redis ---- */

static redisReply *command(const char *format, ...) {
  va_list args;
  va_start(args, format);
  redisReply *reply = redisvCommand(redis, format, args);
  va_end(args);
  ck_assert_msg(reply != NULL, "%s: %s", format, redis->errstr);
  ck_assert_msg(reply->type != REDIS_REPLY_ERROR, "%s: %s", format, reply->str);
  return reply;
}

static void run(const char *format, ...) {
  va_list args;
  va_start(args, format);
  redisReply *reply = redisvCommand(redis, format, args);
  va_end(args);
  ck_assert_msg(reply && reply->type != REDIS_REPLY_ERROR, "%s: %s", format,
                reply ? reply->str : redis->errstr);
  freeReplyObject(reply);
}

static long long number(const char *format, const char *a) {
  redisReply *reply = command(format, a);
  const long long n = reply->type == REDIS_REPLY_STRING ? atoll(reply->str) : reply->integer;
  freeReplyObject(reply);
  return n;
}

static long long stat(const char *field) {
  return number("HGET isoq:{default}:stats %s", field);
}

/* Valid until the next call; NULL for nil. */
static const char *text(const char *format, const char *a) {
  static char copy[65536];
  redisReply *reply = command(format, a);
  const bool nil = reply->type == REDIS_REPLY_NIL;
  if (!nil) snprintf(copy, sizeof copy, "%s", reply->str);
  freeReplyObject(reply);
  return nil ? NULL : copy;
}

static void push(const char *queue, const char *id) {
  run("LPUSH isoq:{%s}:jobs {\"id\":\"%s\",\"code\":\"2+2\"}", queue, id);
}

static void push_default(const char *id) {
  push("default", id);
}

static bool has_member(const char *json, const char *name, const char *value) {
  struct json_object *object = json_tokener_parse(json), *member;
  const bool same =
      json_object_object_get_ex(object, name, &member) && strcmp(json_object_get_string(member), value) == 0;
  json_object_put(object);
  return same;
}

static struct event_base *base;

static void start(void) {
  signal(SIGPIPE, SIG_IGN);
  ck_assert_int_eq(redis_server_start(&server, NULL), 0);
  redis = redis_server_connect(&server);
  base = event_base_new();
}

static void stop(void) {
  /* A look-up of a name that was cancelled is freed from the loop. */
  while (event_base_get_num_events(base, EVENT_BASE_COUNT_ACTIVE) > 0)
    event_base_loop(base, EVLOOP_NONBLOCK);
  event_base_free(base);
  redisFree(redis);
  redis_server_end(&server);
}

/* ---- claim and settle ---- */

START_TEST(test_a_job_goes_round) {
  struct worker w;
  worker_start(&w, base, "w1");
  push_default("a1");
  queue_client_set_capacity(w.client, 4);
  UNTIL(base, w.job_count == 1);
  ck_assert(queue_client_up(w.client));
  ck_assert_str_eq(w.jobs[0]->id, "a1");
  ck_assert_str_eq(w.jobs[0]->queue, "default");
  ck_assert_int_eq(number("LLEN isoq:{default}:claimed:%s", "w1"), 1);
  ck_assert_int_eq(number("ZCARD isoq:{default}:workers", NULL), 1);
  settle(&w, 0);
  ck_assert_uint_eq(queue_client_pending(w.client), 1);
  UNTIL(base, w.outcomes[QUEUE_SETTLED] == 1);
  ck_assert_uint_eq(queue_client_pending(w.client), 0);
  ck_assert_int_eq(number("EXISTS isoq:{default}:claimed:%s", "w1"), 0);
  ck_assert_int_eq(number("LLEN isoq:{default}:reply:%s", "a1"), 1);
  const long long ttl = number("PTTL isoq:{default}:reply:%s", "a1");
  ck_assert(ttl > 3590000 && ttl <= 3600000);
  ck_assert_int_gt(number("PTTL isoq:{default}:done:%s", "a1"), 3590000);
  ck_assert_int_eq(stat("processed"), 1);
  ck_assert_int_eq(stat("status:ok"), 1);
  ck_assert_int_eq(number("EXISTS isoq:{default}:dead", NULL), 0);
  const char *json = text("RPOP isoq:{default}:reply:%s", "a1");
  ck_assert(has_member(json, "id", "a1") && has_member(json, "result", "4") &&
            has_member(json, "worker", "w1"));
  worker_die(&w);
}
END_TEST

START_TEST(test_jobs_come_in_order_and_no_more_than_asked_for) {
  struct worker w;
  char id[32];
  for (int i = 0; i < 30; i++) {
    snprintf(id, sizeof id, "j%d", i);
    push_default(id);
  }
  worker_start(&w, base, "w1");
  queue_client_set_capacity(w.client, 7);
  UNTIL(base, w.job_count == 7);
  idle(base, 50);
  ck_assert_uint_eq(w.job_count, 7);
  queue_client_set_capacity(w.client, 100);
  UNTIL(base, w.job_count == 30);
  for (int i = 0; i < 30; i++) {
    snprintf(id, sizeof id, "j%d", i);
    ck_assert_str_eq(w.jobs[i]->id, id);
  }
  worker_die(&w);
}
END_TEST

START_TEST(test_queues_are_served_in_strict_order) {
  static const char *const queues[] = {"high", "default", "low"};
  struct worker w;
  for (int i = 0; i < 3; i++) {
    push("low", "l");
    push("high", "h");
    push("default", "d");
  }
  worker_start_with(&w, base, "w1", (struct settings){.queues = queues, .queue_count = 3});
  w.settle_at_once = true;
  w.top_up = 1;
  queue_client_set_capacity(w.client, 1);
  UNTIL(base, w.job_count == 9);
  for (size_t i = 0; i < 9; i++)
    ck_assert_str_eq(w.jobs[i]->queue, queues[i / 3]);
  /* and each of them is waited on when all are empty */
  for (size_t i = 0; i < 3; i++) {
    push(queues[i], "later");
    UNTIL(base, w.job_count == 10 + i);
    ck_assert_str_eq(w.jobs[9 + i]->queue, queues[i]);
  }
  worker_die(&w);
}
END_TEST

START_TEST(test_more_room_while_a_higher_queue_is_asked) {
  static const char *const queues[] = {"high", "default"};
  struct worker w;
  worker_start_with(&w, base, "w1", (struct settings){.queues = queues, .queue_count = 2});
  UNTIL(base, w.link == 1);
  for (int i = 0; i < 5; i++) {
    push("high", "h");
    push("default", "d");
  }
  queue_client_set_capacity(w.client, 1);
  queue_client_set_capacity(w.client, 5); /* the first question is under way */
  UNTIL(base, w.job_count == 5);
  for (size_t i = 0; i < 5; i++)
    ck_assert_str_eq(w.jobs[i]->queue, "high");
  worker_die(&w);
}
END_TEST

START_TEST(test_a_thousand_jobs_two_workers_each_once) {
  struct worker w[2];
  char id[32];
  for (int i = 0; i < 1000; i++) {
    snprintf(id, sizeof id, "j%d", i);
    push_default(id);
  }
  for (int i = 0; i < 2; i++) {
    worker_start(&w[i], base, i ? "w1" : "w0");
    w[i].settle_at_once = true;
    w[i].top_up = 5;
    queue_client_set_capacity(w[i].client, 5);
  }
  UNTIL(base, w[0].outcomes[QUEUE_SETTLED] + w[1].outcomes[QUEUE_SETTLED] == 1000);
  ck_assert_uint_eq(w[0].job_count + w[1].job_count, 1000);
  ck_assert_uint_gt(w[0].job_count, 0);
  ck_assert_uint_gt(w[1].job_count, 0);
  for (int i = 0; i < 1000; i++) {
    snprintf(id, sizeof id, "j%d", i);
    ck_assert_int_eq(number("LLEN isoq:{default}:reply:%s", id), 1);
  }
  ck_assert_int_eq(stat("processed"), 1000);
  ck_assert_int_eq(number("EXISTS isoq:{default}:claimed:w0 isoq:{default}:claimed:w1", NULL), 0);
  worker_die(&w[0]);
  worker_die(&w[1]);
}
END_TEST

static bool blocked_clients_are(const char *wanted) {
  const char *info = text("INFO clients", NULL), *at = strstr(info, "blocked_clients:");
  return at && strncmp(at + 16, wanted, strlen(wanted)) == 0;
}

START_TEST(test_waiting_on_an_empty_queue_and_no_longer) {
  struct worker w;
  worker_start(&w, base, "w1");
  queue_client_set_capacity(w.client, 2);
  UNTIL(base, blocked_clients_are("1"));
  push_default("a");
  UNTIL(base, w.job_count == 1);
  UNTIL(base, blocked_clients_are("1")); /* room for one more */
  const int64_t asked = conn_now_ms();
  queue_client_set_capacity(w.client, 0);
  UNTIL(base, blocked_clients_are("0"));
  ck_assert_int_lt(conn_now_ms() - asked, 2000); /* the timeout of BLMOVE is 5 s */
  push_default("b");
  idle(base, 100);
  ck_assert_uint_eq(w.job_count, 1);
  ck_assert_int_eq(number("LLEN isoq:{default}:jobs", NULL), 1);
  queue_client_set_capacity(w.client, 1);
  UNTIL(base, w.job_count == 2);
  worker_die(&w);
}
END_TEST

START_TEST(test_a_job_given_back_is_next) {
  struct worker w;
  push_default("first");
  push_default("second");
  worker_start(&w, base, "w1");
  queue_client_set_capacity(w.client, 1);
  UNTIL(base, w.job_count == 1);
  ck_assert_int_eq(queue_give_back(w.client, w.jobs[0], on_returned, &w), 0);
  UNTIL(base, w.returned == 1);
  ck_assert_int_eq(number("EXISTS isoq:{default}:claimed:%s", "w1"), 0);
  ck_assert(has_member(text("LINDEX isoq:{default}:jobs -1", NULL), "id", "first"));
  ck_assert_ptr_null(strstr(text("LINDEX isoq:{default}:jobs -1", NULL), "\"isoq\"")); /* nobody died */
  queue_client_set_capacity(w.client, 2);
  UNTIL(base, w.job_count == 3);
  ck_assert_str_eq(w.jobs[1]->id, "first");
  ck_assert_str_eq(w.jobs[2]->id, "second");
  worker_die(&w);
}
END_TEST

START_TEST(test_a_second_job_of_the_same_id_is_dropped) {
  struct worker w;
  worker_start(&w, base, "w1");
  w.settle_at_once = true;
  queue_client_set_capacity(w.client, 10);
  push_default("a");
  UNTIL(base, w.outcomes[QUEUE_SETTLED] == 1);
  push_default("a");
  run("LPUSH isoq:{default}:jobs {\"id\":\"a\",\"code\":\"3\"}");
  UNTIL(base, w.outcomes[QUEUE_DUPLICATE] == 2);
  ck_assert_int_eq(number("LLEN isoq:{default}:reply:%s", "a"), 1);
  ck_assert_int_eq(number("EXISTS isoq:{default}:claimed:%s", "w1"), 0);
  ck_assert_int_eq(stat("duplicates"), 2);
  ck_assert_int_eq(stat("processed"), 1);
  worker_die(&w);
}
END_TEST

START_TEST(test_a_record_comes_with_the_result_and_only_with_it) {
  static const struct queue_record first = {"{\"record\":1}", 12, 100}, second = {"{\"record\":22}", 13, 100};
  struct worker w;
  worker_start(&w, base, "w1");
  queue_client_set_capacity(w.client, 10);
  push_default("a");
  push_default("b");
  UNTIL(base, w.job_count == 2);
  record_of_settles = &first;
  settle(&w, 0);
  UNTIL(base, w.outcomes[QUEUE_SETTLED] == 1);
  ck_assert_str_eq(text("GET isoq:{default}:record:%s", "a"), "{\"record\":1}");
  const long long ttl = number("PTTL isoq:{default}:record:%s", "a");
  ck_assert(ttl > 90000 && ttl <= 100000);
  /* A duplicate of it leaves the record alone, and one that is fenced writes none. */
  record_of_settles = &second;
  push_default("a");
  UNTIL(base, w.job_count == 3);
  settle(&w, 2);
  UNTIL(base, w.outcomes[QUEUE_DUPLICATE] == 1);
  ck_assert_str_eq(text("GET isoq:{default}:record:%s", "a"), "{\"record\":1}");
  run("DEL isoq:{default}:claimed:w1");
  settle(&w, 1);
  UNTIL(base, w.outcomes[QUEUE_FENCED] == 1);
  ck_assert_int_eq(number("EXISTS isoq:{default}:record:%s", "b"), 0);
  record_of_settles = NULL;
  worker_die(&w);
}
END_TEST

START_TEST(test_leaving_takes_the_lease_along) {
  static const char *const queues[] = {"default", "other"};
  struct worker w;
  worker_start_with(&w, base, "w1", (struct settings){.queues = queues, .queue_count = 2});
  queue_client_set_capacity(w.client, 1);
  UNTIL(base, blocked_clients_are("2"));
  /* As if Redis had given us one whose answer is on its way. */
  run("LPUSH isoq:{default}:claimed:w1 {\"id\":\"a\",\"code\":\"1\"} {\"id\":\"b\",\"code\":\"1\"}");
  ck_assert_int_eq(queue_client_leave(w.client, on_left, &w), 0);
  UNTIL(base, w.left == 1);
  ck_assert_int_eq(
      number("EXISTS isoq:{default}:workers isoq:{other}:workers isoq:{default}:claimed:w1", NULL), 0);
  ck_assert_int_eq(number("LLEN isoq:{default}:jobs", NULL), 2);
  ck_assert(blocked_clients_are("0"));
  push_default("c");
  idle(base, 50);
  ck_assert_uint_eq(w.job_count, 0);
  ck_assert_uint_eq(queue_client_pending(w.client), 0);
  worker_die(&w);
}
END_TEST

/* ---- results that cannot go where they should ---- */

START_TEST(test_reply_to_of_another_type_makes_a_dead_letter) {
  struct worker w;
  run("SET mine precious");
  run("LPUSH isoq:{default}:jobs {\"id\":\"a\",\"code\":\"1\",\"reply_to\":\"mine\"}");
  worker_start(&w, base, "w1");
  w.settle_at_once = true;
  queue_client_set_capacity(w.client, 1);
  UNTIL(base, w.outcomes[QUEUE_SETTLED] == 1);
  ck_assert_str_eq(text("GET mine", NULL), "precious");
  ck_assert_int_eq(number("PTTL mine", NULL), -1);
  ck_assert_int_eq(number("EXISTS isoq:{default}:claimed:%s", "w1"), 0);
  const char *letter = text("LINDEX isoq:{default}:dead 0", NULL);
  ck_assert(has_member(letter, "reason", "reply_to holds a string, so the result cannot be pushed there"));
  ck_assert_ptr_nonnull(strstr(letter, "\"result\":{\"id\":\"a\",\"success\":true"));
  worker_die(&w);
}
END_TEST

START_TEST(test_nothing_is_dropped_silently) {
  struct worker w;
  run("LPUSH isoq:{default}:jobs %b", "no \"JSON\xff\0", (size_t)10);
  worker_start_with(&w, base, "w1", (struct settings){.dead_letters_max = 2});
  queue_client_set_capacity(w.client, 9);
  UNTIL(base, w.job_count == 1);
  ck_assert_ptr_null(w.jobs[0]->reply_to);
  settle(&w, 0); /* without a reason: the letter must be made all the same */
  UNTIL(base, w.outcomes[QUEUE_SETTLED] == 1);
  const char *letter = text("LINDEX isoq:{default}:dead 0", NULL);
  ck_assert_msg(
      strstr(letter, "{\"job\":\"no \\\"JSON\xef\xbf\xbd\\u0000\",\"reason\":\"no reply key is known\","),
      "%s", letter);
  ck_assert_int_eq(number("EXISTS isoq:{default}:claimed:%s", "w1"), 0);

  run("LPUSH isoq:{default}:jobs %s", "{\"id\":\"b\",\n \"cod\": 1e2}");
  UNTIL(base, w.job_count == 2);
  settle_as(&w, w.jobs[1], "invalid");
  UNTIL(base, w.outcomes[QUEUE_SETTLED] == 2);
  letter = text("LINDEX isoq:{default}:dead 0", NULL); /* the newest, as it was pushed */
  ck_assert_msg(
      strstr(letter,
             "{\"job\":{\"id\":\"b\",\n \"cod\": 1e2},\"reason\":\"invalid\",\"result\":{\"id\":\"b\""),
      "%s", letter);
  ck_assert_int_eq(number("LLEN isoq:{default}:reply:%s", "b"), 1);
  push_default("c");
  UNTIL(base, w.job_count == 3);
  settle_as(&w, w.jobs[2], "because");
  UNTIL(base, w.outcomes[QUEUE_SETTLED] == 3);
  ck_assert_int_eq(number("LLEN isoq:{default}:dead", NULL), 2); /* capped */
  worker_die(&w);
}
END_TEST

START_TEST(test_a_broken_key_of_ours_is_said_and_survived) {
  struct worker w;
  run("SET isoq:{default}:jobs oops");
  worker_start(&w, base, "w1");
  queue_client_set_capacity(w.client, 1);
  UNTIL(base, strstr(w.notes, "error redis_error: claim: WRONGTYPE"));
  ck_assert_int_eq(w.link, 1);
  run("DEL isoq:{default}:jobs");
  push_default("a");
  UNTIL(base, w.job_count == 1);
  run("SET isoq:{default}:dead oops");
  settle(&w, 0);
  UNTIL(base, strstr(w.notes, "isoq:{default}:dead must be a list and is a string"));
  ck_assert_int_eq(number("LLEN isoq:{default}:claimed:%s", "w1"), 1); /* nothing half done */
  ck_assert_uint_eq(queue_client_pending(w.client), 1);
  run("DEL isoq:{default}:dead");
  UNTIL(base, w.outcomes[QUEUE_SETTLED] == 1);
  worker_die(&w);
}
END_TEST

/* ---- several results in one call ---- */

/* `n` jobs, claimed, and nothing counted by Redis since. */
static void claim_some(struct worker *w, size_t n) {
  worker_start(w, base, "w1");
  queue_client_set_capacity(w->client, (unsigned)n);
  UNTIL(base, w->job_count == n);
  run("CONFIG RESETSTAT");
}

/* settle.lua counts once for each call: what was processed, and the status. */
static bool counted(const char *calls) {
  char wanted[64];
  snprintf(wanted, sizeof wanted, "cmdstat_hincrby:calls=%s,", calls);
  return strstr(text("INFO commandstats", NULL), wanted) != NULL;
}

START_TEST(test_results_wait_for_each_other_only_when_they_may) {
  struct worker w;
  for (size_t i = 0; i < 12; i++)
    push_default((const char[]){(char)('a' + i), '\0'});
  claim_some(&w, 12);
  queue_client_set_patient(w.client, true);
  for (size_t i = 0; i < 6; i++)
    settle(&w, i);
  UNTIL(base, w.outcomes[QUEUE_SETTLED] == 6);
  ck_assert(counted("2"));

  run("CONFIG RESETSTAT");
  queue_client_set_patient(w.client, false);
  for (size_t i = 6; i < 12; i++) /* the first is not held up; the others find it under way */
    settle(&w, i);
  UNTIL(base, w.outcomes[QUEUE_SETTLED] == 12);
  ck_assert(counted("4"));
  ck_assert_int_eq(stat("processed"), 12);
  ck_assert_int_eq(stat("status:ok"), 12);
  ck_assert_int_eq(number("LLEN isoq:{default}:reply:%s", "f"), 1);
  ck_assert_int_eq(number("EXISTS isoq:{default}:claimed:%s", "w1"), 0);
  worker_die(&w);
}
END_TEST

START_TEST(test_results_stop_waiting_when_there_is_no_more_to_do) {
  struct worker w;
  push_default("a");
  claim_some(&w, 1);
  queue_client_set_patient(w.client, true);
  redis_server_freeze(&server); /* so that nothing but the call can have sent it */
  settle(&w, 0);
  ck_assert_ptr_null(w.client->slots[0].batches);
  queue_client_set_patient(w.client, false);
  ck_assert_ptr_nonnull(w.client->slots[0].batches);
  redis_server_thaw(&server);
  UNTIL(base, w.outcomes[QUEUE_SETTLED] == 1);
  worker_die(&w);
}
END_TEST

START_TEST(test_each_result_of_a_call_has_its_own_end) {
  struct worker w;
  run("SET mine precious");
  push_default("a");
  push_default("twice");
  push_default("twice");
  run("LPUSH isoq:{default}:jobs {\"id\":\"b\",\"code\":\"1\",\"reply_to\":\"mine\"}");
  push_default("lost");
  push_default("c");
  claim_some(&w, 6);
  run("HSET isoq:{default}:submitted a 1 b 1 lost 1 other 1");
  ck_assert_int_eq(number("LREM isoq:{default}:claimed:w1 1 %s", w.jobs[4]->payload), 1);
  queue_client_set_patient(w.client, true);
  for (size_t i = 0; i < 6; i++)
    settle(&w, i);
  UNTIL(base, queue_client_pending(w.client) == 0);
  ck_assert_uint_eq(w.outcomes[QUEUE_SETTLED], 4);
  ck_assert_uint_eq(w.outcomes[QUEUE_FENCED], 1);
  ck_assert_uint_eq(w.outcomes[QUEUE_DUPLICATE], 1);
  ck_assert_int_eq(number("LLEN isoq:{default}:reply:%s", "a"), 1);
  ck_assert_int_eq(number("LLEN isoq:{default}:reply:%s", "c"), 1);
  ck_assert_int_eq(number("LLEN isoq:{default}:reply:%s", "twice"), 1);
  ck_assert_int_eq(number("EXISTS isoq:{default}:reply:%s", "lost"), 0);
  ck_assert_int_eq(number("EXISTS isoq:{default}:done:%s", "lost"), 0);
  ck_assert_int_eq(number("EXISTS isoq:{default}:done:%s", "b"), 1);
  ck_assert_str_eq(text("GET mine", NULL), "precious");
  ck_assert_int_eq(number("LLEN isoq:{default}:dead", NULL), 1);
  ck_assert_int_eq(number("EXISTS isoq:{default}:claimed:%s", "w1"), 0);
  ck_assert_int_eq(number("HLEN isoq:{default}:submitted", NULL), 2); /* the lost one's next worker ends it */
  ck_assert_int_eq(stat("processed"), 4);
  ck_assert_int_eq(stat("duplicates"), 1);
  ck_assert_int_eq(stat("fenced"), 1);
  ck_assert_int_eq(stat("dead"), 1);
  worker_die(&w);
}
END_TEST

/* As a reply key of another slot does in a cluster, one that the worker may not write makes Redis refuse the whole call. */
START_TEST(test_results_that_are_refused_together_are_sent_one_by_one) {
  struct worker w;
  push_default("a");
  run("LPUSH isoq:{default}:jobs {\"id\":\"b\",\"code\":\"1\",\"reply_to\":\"elsewhere\"}");
  push_default("c");
  claim_some(&w, 3);
  run("ACL SETUSER default resetkeys ~isoq:*");
  queue_client_set_patient(w.client, true);
  for (size_t i = 0; i < 3; i++)
    settle(&w, i);
  UNTIL(base, w.outcomes[QUEUE_SETTLED] == 3);
  run("ACL SETUSER default allkeys");
  ck_assert_int_eq(number("LLEN isoq:{default}:reply:%s", "a"), 1);
  ck_assert_int_eq(number("LLEN isoq:{default}:reply:%s", "c"), 1);
  ck_assert_int_eq(number("LLEN isoq:{default}:dead", NULL), 1);
  ck_assert_ptr_nonnull(strstr(text("LINDEX isoq:{default}:dead 0", NULL),
                               "\"reason\":\"the result could not be published on reply_to: NOPERM"));
  ck_assert_int_eq(number("EXISTS isoq:{default}:claimed:%s", "w1"), 0);
  ck_assert_int_eq(stat("processed"), 3);
  worker_die(&w);
}
END_TEST

START_TEST(test_a_lost_answer_to_several_results_counts_each_once) {
  struct worker w;
  push_default("a");
  push_default("b");
  push_default("b"); /* the same bytes: stays claimed, whatever is sent again */
  claim_some(&w, 3);
  queue_client_set_patient(w.client, true);
  redis_server_freeze(&server);
  settle(&w, 0);
  settle(&w, 1);
  queue_client_set_patient(w.client, false);
  event_base_loop(base, EVLOOP_NONBLOCK); /* they are in the server's socket now */
  event_base_loop(base, EVLOOP_NONBLOCK);
  conn_drop(w.client->command, "cut by the test");
  ck_assert_uint_eq(queue_client_pending(w.client), 2);
  redis_server_thaw(&server);
  UNTIL(base, w.outcomes[QUEUE_SETTLED] == 2);
  ck_assert_uint_eq(w.outcomes[QUEUE_FENCED] + w.outcomes[QUEUE_DUPLICATE], 0);
  ck_assert_int_eq(number("LLEN isoq:{default}:reply:%s", "b"), 1);
  ck_assert_int_eq(number("LLEN isoq:{default}:claimed:%s", "w1"), 1);
  ck_assert_int_eq(stat("processed"), 2);
  settle(&w, 2);
  UNTIL(base, w.outcomes[QUEUE_DUPLICATE] == 1);
  worker_die(&w);
}
END_TEST

/* ---- delayed jobs ---- */

static void defer(struct worker *w, size_t index, struct queue_deferral deferral) {
  ck_assert_int_eq(queue_defer(w->client, w->jobs[index], &deferral, on_returned, w), 0);
}

START_TEST(test_a_deferred_job_comes_back_when_it_is_due) {
  struct worker w;
  push_default("a");
  worker_start(&w, base, "w1");
  queue_client_set_capacity(w.client, 1);
  UNTIL(base, w.job_count == 1);
  const int64_t before_ms = conn_now_ms();
  defer(&w, 0, (struct queue_deferral){.attempt = 2, .retry = true, .in_ms = 300});
  UNTIL(base, w.returned == 1);
  ck_assert_int_eq(number("ZCARD isoq:{default}:delayed", NULL), 1);
  ck_assert_int_eq(
      number("EXISTS isoq:{default}:claimed:w1 isoq:{default}:jobs isoq:{default}:reply:a", NULL), 0);
  ck_assert_int_eq(stat("retried"), 1);
  queue_client_set_capacity(w.client, 1);
  UNTIL(base, w.job_count == 2);
  ck_assert_int_ge(conn_now_ms() - before_ms, 300);
  ck_assert_str_eq(w.jobs[1]->id, "a");
  ck_assert_uint_eq(w.jobs[1]->attempt, 2);
  ck_assert(w.jobs[1]->delayed);
  settle(&w, 1);
  UNTIL(base, w.outcomes[QUEUE_SETTLED] == 1);
  ck_assert_ptr_nonnull(strstr(text("LINDEX isoq:{default}:reply:%s 0", "a"), "\"attempt\":2"));
  ck_assert_int_eq(number("EXISTS isoq:{default}:delayed isoq:{default}:claimed:w1", NULL), 0);
  worker_die(&w);
}
END_TEST

START_TEST(test_what_is_due_first_comes_first_and_the_past_at_once) {
  struct worker w;
  const char *const ids[] = {"c", "a", "b"};
  for (size_t i = 0; i < COUNT(ids); i++)
    push_default(ids[i]);
  worker_start(&w, base, "w1");
  queue_client_set_capacity(w.client, 3);
  UNTIL(base, w.job_count == 3);
  defer(&w, 0, (struct queue_deferral){.attempt = 1, .at_ms = 3});
  defer(&w, 1, (struct queue_deferral){.attempt = 1, .at_ms = 1});
  defer(&w, 2, (struct queue_deferral){.attempt = 1, .at_ms = 2});
  UNTIL(base, w.returned == 3);
  ck_assert_int_eq(stat("delayed"), 3);
  UNTIL(base, number("LLEN isoq:{default}:jobs", NULL) == 3);
  queue_client_set_capacity(w.client, 3);
  UNTIL(base, w.job_count == 6);
  ck_assert_str_eq(w.jobs[3]->id, "a");
  ck_assert_str_eq(w.jobs[4]->id, "b");
  ck_assert_str_eq(w.jobs[5]->id, "c");
  worker_die(&w);
}
END_TEST

START_TEST(test_two_deferred_jobs_of_the_same_bytes_stay_two) {
  struct worker w;
  for (int i = 0; i < 2; i++)
    run("LPUSH isoq:{default}:jobs %s", "{\"reply_to\":\"k\",\"code\":\"1\"}");
  worker_start(&w, base, "w1");
  queue_client_set_capacity(w.client, 2);
  UNTIL(base, w.job_count == 2);
  for (size_t i = 0; i < 2; i++)
    defer(&w, i, (struct queue_deferral){.attempt = 2, .retry = true, .in_ms = 3600000});
  UNTIL(base, w.returned == 2);
  ck_assert_int_eq(number("ZCARD isoq:{default}:delayed", NULL), 2);
  worker_die(&w);
}
END_TEST

START_TEST(test_any_worker_promotes_what_a_producer_put_aside) {
  struct worker w;
  worker_start(&w, base, "w1");
  queue_client_set_capacity(w.client, 1);
  UNTIL(base, w.link == 1);
  run("ZADD isoq:{default}:delayed 5 {\"id\":\"z\",\"code\":\"1\"}");
  UNTIL(base, w.job_count == 1);
  ck_assert_str_eq(w.jobs[0]->id, "z");
  worker_die(&w);
}
END_TEST

START_TEST(test_a_lost_claim_is_not_deferred) {
  struct worker w;
  push_default("a");
  worker_start(&w, base, "w1");
  queue_client_set_capacity(w.client, 1);
  UNTIL(base, w.job_count == 1);
  run("DEL isoq:{default}:claimed:w1");
  defer(&w, 0, (struct queue_deferral){.attempt = 2, .retry = true, .in_ms = 1});
  UNTIL(base, queue_client_pending(w.client) == 0);
  ck_assert_uint_eq(w.returned, 0); /* fenced */
  ck_assert_int_eq(number("EXISTS isoq:{default}:delayed isoq:{default}:jobs", NULL), 0);
  worker_die(&w);
}
END_TEST

START_TEST(test_a_deferral_whose_answer_was_lost_is_not_done_twice) {
  struct worker w;
  push_default("a");
  worker_start(&w, base, "w1");
  queue_client_set_capacity(w.client, 1);
  UNTIL(base, w.job_count == 1);
  defer(&w, 0, (struct queue_deferral){.attempt = 2, .retry = true, .in_ms = 3600000});
  conn_drop(w.client->command, "cut by the test"); /* it may have been sent, or not */
  UNTIL(base, w.returned == 1);
  ck_assert_int_eq(number("ZCARD isoq:{default}:delayed", NULL), 1);
  ck_assert_int_eq(number("EXISTS isoq:{default}:claimed:w1", NULL), 0);
  worker_die(&w);
}
END_TEST

START_TEST(test_a_delayed_key_of_another_type_is_said_and_survived) {
  struct worker w;
  push_default("a");
  worker_start(&w, base, "w1");
  queue_client_set_capacity(w.client, 1);
  UNTIL(base, w.job_count == 1);
  run("SET isoq:{default}:delayed oops");
  defer(&w, 0, (struct queue_deferral){.attempt = 2, .retry = true, .in_ms = 3600000});
  UNTIL(base, strstr(w.notes, "isoq:{default}:delayed must be a zset and is a string") ||
                  strstr(w.notes, "promote: WRONGTYPE"));
  ck_assert_int_eq(number("LLEN isoq:{default}:claimed:%s", "w1"), 1);
  run("DEL isoq:{default}:delayed");
  UNTIL(base, w.returned == 1);
  ck_assert_int_eq(number("ZCARD isoq:{default}:delayed", NULL), 1);
  worker_die(&w);
}
END_TEST

START_TEST(test_a_result_ends_the_submission_of_its_id) {
  struct worker w;
  run("HSET isoq:{default}:submitted a 1 b 2");
  push_default("a");
  worker_start(&w, base, "w1");
  queue_client_set_capacity(w.client, 1);
  UNTIL(base, w.job_count == 1);
  settle(&w, 0);
  UNTIL(base, w.outcomes[QUEUE_SETTLED] == 1);
  ck_assert_int_eq(number("HEXISTS isoq:{default}:submitted a", NULL), 0);
  ck_assert_int_eq(number("HEXISTS isoq:{default}:submitted b", NULL), 1);
  worker_die(&w);
}
END_TEST

/* ---- dead workers ---- */

static const struct settings hasty = {.lease_ms = 500, .lease_renew_ms = 100, .reap_interval_ms = 50};

START_TEST(test_a_late_result_is_fenced) {
  struct worker slow, other;
  struct event_base *slow_base = event_base_new();
  worker_start_with(&slow, slow_base, "slow", hasty);
  queue_client_set_capacity(slow.client, 2);
  push_default("a");
  push_default("b");
  UNTIL(slow_base, slow.job_count == 2);
  /* Now its loop stands still, and its lease runs out. */
  worker_start_with(&other, base, "other", hasty);
  queue_client_set_capacity(other.client, 2);
  UNTIL(base, other.job_count == 2);
  ck_assert_str_eq(other.jobs[0]->id, "a"); /* in the order they had */
  ck_assert_str_eq(other.jobs[1]->id, "b");
  ck_assert_ptr_nonnull(
      strstr(other.notes, "warn reaped: queue default: worker slow is gone; jobs taken from it: 2"));
  ck_assert_int_eq(number("ZCARD isoq:{default}:workers", NULL), 1);
  settle(&slow, 0);
  UNTIL(slow_base, slow.outcomes[QUEUE_FENCED] == 1);
  ck_assert_int_eq(number("EXISTS isoq:{default}:reply:a isoq:{default}:done:a", NULL), 0);
  ck_assert_uint_eq(other.jobs[0]->deaths, 1);
  ck_assert_uint_eq(other.jobs[1]->deaths, 1);
  settle(&other, 0);
  settle(&other, 1);
  UNTIL(base, other.outcomes[QUEUE_SETTLED] == 2);
  ck_assert(has_member(text("LINDEX isoq:{default}:reply:%s 0", "a"), "worker", "other"));
  ck_assert_ptr_nonnull(strstr(text("LINDEX isoq:{default}:reply:%s 0", "a"), "\"attempt\":2"));
  ck_assert_int_eq(stat("fenced"), 1);
  UNTIL(slow_base, strstr(slow.notes, "warn lease_lost"));
  worker_die(&slow);
  worker_die(&other);
  event_base_free(slow_base);
}
END_TEST

START_TEST(test_a_job_that_kills_workers_is_given_up) {
  struct worker w;
  push_default("poison");
  for (int i = 0; i < 3; i++) {
    char name[32];
    snprintf(name, sizeof name, "victim%d", i);
    worker_start_with(&w, base, name, hasty);
    queue_client_set_capacity(w.client, 1);
    UNTIL(base, w.job_count == 1);
    ck_assert_uint_eq(w.jobs[0]->deaths, (unsigned)i);
    worker_die(&w);
  }
  worker_start_with(&w, base, "last", hasty);
  queue_client_set_capacity(w.client, 1);
  UNTIL(base, number("LLEN isoq:{default}:reply:%s", "poison") == 1);
  ck_assert_uint_eq(w.job_count, 0);
  const char *json = text("LINDEX isoq:{default}:reply:%s 0", "poison");
  ck_assert(has_member(json, "status", "worker_lost") && has_member(json, "worker", "last"));
  ck_assert_ptr_nonnull(
      strstr(text("LINDEX isoq:{default}:dead 0", NULL), "\"reason\":\"given up: 3 workers died"));
  ck_assert_ptr_nonnull(
      strstr(text("LINDEX isoq:{default}:dead 0", NULL), "{\"job\":{\"id\":\"poison\"")); /* as pushed */
  UNTIL(base, queue_client_pending(w.client) == 0);
  ck_assert_int_eq(number("EXISTS isoq:{default}:claimed:last isoq:{default}:jobs", NULL), 0);
  ck_assert_int_eq(stat("status:worker_lost"), 1);
  worker_die(&w);
}
END_TEST

/* Slow enough that doing one part at each reap, or at each search, would take far longer than AT_ONCE_MS. */
static const struct settings unhurried = {
    .lease_ms = 30000, .lease_renew_ms = 5000, .reap_interval_ms = 1000};
#define AT_ONCE_MS 900

START_TEST(test_a_long_list_of_a_dead_worker_is_taken_in_parts) {
  struct worker w;
  for (int i = 0; i < 450; i++)
    run("LPUSH isoq:{default}:claimed:gone {\"id\":\"j%d\",\"code\":\"1\"}", i);
  run("ZADD isoq:{default}:workers 1 gone");
  worker_start_with(&w, base, "w1", unhurried);
  UNTIL(base, number("LLEN isoq:{default}:jobs", NULL) > 0);
  const int64_t first = conn_now_ms();
  UNTIL(base, number("LLEN isoq:{default}:jobs", NULL) == 450);
  ck_assert_int_lt(conn_now_ms() - first, AT_ONCE_MS);
  queue_client_set_capacity(w.client, 450);
  UNTIL(base, w.job_count == 450);
  ck_assert_str_eq(w.jobs[0]->id, "j0");
  ck_assert_str_eq(w.jobs[449]->id, "j449");
  ck_assert_int_eq(number("ZCARD isoq:{default}:workers", NULL), 1);
  worker_die(&w);
}
END_TEST

START_TEST(test_a_claimed_list_without_a_worker_is_found) {
  struct worker w;
  for (int i = 0; i < 450; i++)
    run("LPUSH isoq:{default}:claimed:nobody {\"id\":\"j%d\",\"code\":\"1\"}", i);
  for (int i = 0; i < 3000; i++) /* more keys than one step of the search sees */
    run("SET other:%d x", i);
  run("SET isoq:{default}:claimed:strange x");
  worker_start_with(&w, base, "w1", unhurried);
  UNTIL(base, number("LLEN isoq:{default}:jobs", NULL) > 0);
  const int64_t first = conn_now_ms();
  UNTIL(base, number("LLEN isoq:{default}:jobs", NULL) == 450);
  ck_assert_int_lt(conn_now_ms() - first, AT_ONCE_MS);
  ck_assert_int_eq(number("EXISTS isoq:{default}:claimed:nobody", NULL), 0);
  worker_die(&w);
}
END_TEST

START_TEST(test_a_search_leaves_its_own_claims_alone) {
  struct worker w;
  worker_start_with(&w, base, "w1", hasty);
  push_default("a");
  queue_client_set_capacity(w.client, 1);
  UNTIL(base, w.job_count == 1);
  run("HDEL isoq:{default}:stats orphans_searched_at_ms");
  UNTIL(base, number("HEXISTS isoq:{default}:stats orphans_searched_at_ms", NULL) == 1);
  idle(base, 100);
  ck_assert_int_eq(number("LLEN isoq:{default}:claimed:%s", "w1"), 1);
  worker_die(&w);
}
END_TEST

START_TEST(test_a_claim_whose_answer_was_lost_is_put_back) {
  struct worker w;
  worker_start_with(&w, base, "w1",
                    (struct settings){.lease_ms = 2000, .lease_renew_ms = 100, .reap_interval_ms = 60000});
  push_default("known");
  queue_client_set_capacity(w.client, 1);
  UNTIL(base, w.job_count == 1);
  run("LPUSH isoq:{default}:claimed:w1 {\"id\":\"lost\",\"code\":\"1\"}");
  UNTIL(base, number("LLEN isoq:{default}:jobs", NULL) == 1);
  ck_assert_ptr_nonnull(strstr(w.notes, "warn claim_recovered"));
  ck_assert(has_member(text("LINDEX isoq:{default}:claimed:%s 0", "w1"), "id", "known"));
  queue_client_set_capacity(w.client, 1);
  UNTIL(base, w.job_count == 2);
  ck_assert_str_eq(w.jobs[1]->id, "lost");
  worker_die(&w);
}
END_TEST

/* ---- outages ---- */

START_TEST(test_scripts_may_be_flushed) {
  struct worker w;
  worker_start(&w, base, "w1");
  push_default("a");
  queue_client_set_capacity(w.client, 1);
  UNTIL(base, w.job_count == 1);
  run("SCRIPT FLUSH");
  settle(&w, 0);
  UNTIL(base, w.outcomes[QUEUE_SETTLED] == 1);
  ck_assert_int_eq(number("LLEN isoq:{default}:reply:%s", "a"), 1);
  run("SCRIPT FLUSH");
  push_default("b");
  queue_client_set_capacity(w.client, 1);
  UNTIL(base, w.job_count == 2);
  ck_assert_ptr_nonnull(strstr(w.notes, "info scripts_reloaded"));
  ck_assert_int_eq(w.link, 1);
  worker_die(&w);
}
END_TEST

START_TEST(test_cut_connections_come_back) {
  struct worker w;
  worker_start(&w, base, "w1");
  queue_client_set_capacity(w.client, 5);
  UNTIL(base, blocked_clients_are("1"));
  run("CLIENT KILL TYPE normal SKIPME yes");
  UNTIL(base, w.link == 0);
  ck_assert(!queue_client_up(w.client));
  UNTIL(base, w.link == 1 && blocked_clients_are("1"));
  push_default("a");
  UNTIL(base, w.job_count == 1);
  worker_die(&w);
}
END_TEST

START_TEST(test_redis_killed_and_restarted) {
  static const char *const args[] = {"--appendonly", "yes", "--appendfsync", "always", NULL};
  struct worker w;
  redisFree(redis);
  redis_server_end(&server);
  ck_assert_int_eq(redis_server_start(&server, args), 0);
  redis = redis_server_connect(&server);
  worker_start(&w, base, "w1");
  push_default("a");
  push_default("b");
  queue_client_set_capacity(w.client, 2);
  UNTIL(base, w.job_count == 2);
  redis_server_kill(&server);
  UNTIL(base, w.link == 0);
  settle(&w, 0); /* the job went on meanwhile */
  settle(&w, 1);
  queue_client_set_capacity(w.client, 1);
  idle(base, 300);
  ck_assert_uint_eq(queue_client_pending(w.client), 2);
  redisFree(redis);
  ck_assert_int_eq(redis_server_restart(&server), 0);
  redis = redis_server_connect(&server);
  UNTIL(base, w.outcomes[QUEUE_SETTLED] == 2);
  ck_assert_int_eq(w.link, 1);
  ck_assert_int_eq(number("LLEN isoq:{default}:reply:%s", "a"), 1);
  ck_assert_int_eq(number("LLEN isoq:{default}:reply:%s", "b"), 1);
  ck_assert_int_eq(number("EXISTS isoq:{default}:claimed:%s", "w1"), 0);
  push_default("c");
  UNTIL(base, w.job_count == 3);
  worker_die(&w);
}
END_TEST

START_TEST(test_redis_restarted_without_its_data) {
  struct worker w;
  worker_start(&w, base, "w1");
  push_default("a");
  queue_client_set_capacity(w.client, 1);
  UNTIL(base, w.job_count == 1);
  redis_server_kill(&server);
  UNTIL(base, w.link == 0);
  settle(&w, 0);
  redisFree(redis);
  ck_assert_int_eq(redis_server_restart(&server), 0); /* nothing was ever written to a file */
  redis = redis_server_connect(&server);
  UNTIL(base, w.link == 1);
  UNTIL(base, w.outcomes[QUEUE_FENCED] == 1); /* Redis knows of no claim, so nothing is published */
  ck_assert_int_eq(number("EXISTS isoq:{default}:reply:a isoq:{default}:done:a", NULL), 0);
  ck_assert_int_eq(number("ZCARD isoq:{default}:workers", NULL), 1); /* it has a lease again */
  push_default("b");
  queue_client_set_capacity(w.client, 1);
  UNTIL(base, w.job_count == 2);
  settle(&w, 1);
  UNTIL(base, w.outcomes[QUEUE_SETTLED] == 1);
  ck_assert_int_eq(number("LLEN isoq:{default}:reply:b", NULL), 1);
  worker_die(&w);
}
END_TEST

START_TEST(test_a_settle_whose_answer_was_lost_counts_once) {
  struct worker w;
  worker_start(&w, base, "w1");
  push_default("a");
  push_default("a"); /* the same bytes again: the resend must not take this one for its own */
  queue_client_set_capacity(w.client, 2);
  UNTIL(base, w.job_count == 2);
  redis_server_freeze(&server);
  settle(&w, 0);
  event_base_loop(base, EVLOOP_NONBLOCK); /* it is in the server's socket now */
  event_base_loop(base, EVLOOP_NONBLOCK);
  conn_drop(w.client->command, "cut by the test");
  ck_assert_uint_eq(queue_client_pending(w.client), 1);
  redis_server_thaw(&server);
  UNTIL(base, w.outcomes[QUEUE_SETTLED] == 1);
  ck_assert_uint_eq(w.outcomes[QUEUE_FENCED], 0);
  ck_assert_int_eq(number("LLEN isoq:{default}:reply:%s", "a"), 1);
  ck_assert_int_eq(number("LLEN isoq:{default}:claimed:%s", "w1"), 1);
  ck_assert_int_eq(stat("processed"), 1);
  settle(&w, 1);
  UNTIL(base, w.outcomes[QUEUE_DUPLICATE] == 1);
  worker_die(&w);
}
END_TEST

START_TEST(test_a_full_redis_stops_claims_and_nothing_else) {
  struct worker w;
  worker_start_with(&w, base, "w1",
                    (struct settings){.lease_ms = 1000, .lease_renew_ms = 100, .reap_interval_ms = 50});
  push_default("a");
  push_default("b");
  queue_client_set_capacity(w.client, 1);
  UNTIL(base, w.job_count == 1);
  run("CONFIG SET maxmemory 1");
  settle(&w, 0);
  UNTIL(base, w.outcomes[QUEUE_SETTLED] == 1);
  queue_client_set_capacity(w.client, 1);
  UNTIL(base, strstr(w.notes, "warn redis_error: claim: OOM"));
  const long long before = number("ZSCORE isoq:{default}:workers %s", "w1");
  UNTIL(base, number("ZSCORE isoq:{default}:workers %s", "w1") > before); /* the lease goes on */
  ck_assert_int_eq(w.link, 1);
  ck_assert_uint_eq(w.job_count, 1);
  run("CONFIG SET maxmemory 0");
  UNTIL(base, w.job_count == 2);
  worker_die(&w);
}
END_TEST

START_TEST(test_a_replica_is_no_place_to_work) {
  struct worker w;
  worker_start_with(&w, base, "w1",
                    (struct settings){.lease_ms = 30000, .lease_renew_ms = 100, .reap_interval_ms = 60000});
  queue_client_set_capacity(w.client, 1);
  UNTIL(base, blocked_clients_are("1"));
  run("REPLICAOF 127.0.0.1 1");
  UNTIL(base, w.link == 0);
  ck_assert_msg(strstr(w.link_why, "UNBLOCKED") || strstr(w.link_why, "READONLY") ||
                    strstr(w.link_why, "MASTERDOWN"),
                "%s", w.link_why);
  idle(base, 300);
  ck_assert_int_eq(w.link, 0);
  run("REPLICAOF NO ONE");
  UNTIL(base, w.link == 1);
  push_default("a");
  UNTIL(base, w.job_count == 1);
  worker_die(&w);
}
END_TEST

START_TEST(test_a_redis_that_hangs_is_noticed) {
  struct worker w;
  worker_start_with(&w, base, "w1", hasty);
  queue_client_set_capacity(w.client, 1);
  UNTIL(base, w.link == 1 && blocked_clients_are("1"));
  redis_server_freeze(&server); /* the connections stay, and nothing answers */
  UNTIL(base, w.link == 0);
  ck_assert_str_eq(w.link_why, "a command was not answered in time");
  redis_server_thaw(&server);
  UNTIL(base, w.link == 1);
  push_default("a");
  UNTIL(base, w.job_count == 1);
  worker_die(&w);
}
END_TEST

START_TEST(test_redis_not_there_at_first) {
  struct worker w;
  redis_server_kill(&server);
  worker_start(&w, base, "w1");
  queue_client_set_capacity(w.client, 1);
  UNTIL(base, w.link == 0);
  ck_assert(!queue_client_up(w.client));
  redisFree(redis);
  ck_assert_int_eq(redis_server_restart(&server), 0);
  redis = redis_server_connect(&server);
  push_default("a");
  UNTIL(base, w.job_count == 1);
  ck_assert_int_eq(w.link, 1);
  worker_die(&w);
}
END_TEST

START_TEST(test_over_tcp_by_name) {
  struct worker w;
  char url[64];
  snprintf(url, sizeof url, "redis://localhost:%d/3", server.port);
  worker_start_with(&w, base, "w1", (struct settings){.url = url});
  run("SELECT 3");
  push_default("a");
  queue_client_set_capacity(w.client, 1);
  UNTIL(base, w.job_count == 1);
  ck_assert_ptr_nonnull(strstr(w.link_why, "connected to redis://localhost:"));
  ck_assert_ptr_nonnull(strstr(text("CLIENT LIST", NULL), " name=w1 "));
  worker_die(&w);
}
END_TEST

START_TEST(test_a_name_that_does_not_resolve) {
  struct worker w;
  worker_start_with(&w, base, "w1", (struct settings){.url = "redis://no-such-host.invalid:1"});
  UNTIL(base, w.link == 0);
  ck_assert_msg(strstr(w.link_why, "resolve") || strstr(w.link_why, "timed out"), "%s", w.link_why);
  worker_die(&w);
}
END_TEST

START_TEST(test_passwords) {
  struct worker right, wrong;
  char url[160];
  run("CONFIG SET requirepass secret");
  snprintf(url, sizeof url, "%s?password=wrong", server.unix_url);
  worker_start_with(&wrong, base, "wrong", (struct settings){.url = url});
  snprintf(url, sizeof url, "%s?password=secret&user=default", server.unix_url);
  worker_start_with(&right, base, "right", (struct settings){.url = url});
  UNTIL(base, wrong.link == 0 && right.link == 1);
  ck_assert_ptr_nonnull(strstr(wrong.link_why, "WRONGPASS"));
  worker_die(&wrong);
  worker_die(&right);
}
END_TEST

START_TEST(test_a_forbidden_blocking_command_is_made_up_for_by_polling) {
  struct worker w;
  run("ACL SETUSER default -blmove");
  worker_start(&w, base, "w1");
  queue_client_set_capacity(w.client, 1);
  UNTIL(base, strstr(w.notes, "error redis_error: BLMOVE: NOPERM"));
  push_default("a");
  UNTIL(base, w.job_count == 1);
  ck_assert_int_eq(w.link, 1);
  worker_die(&w);
}
END_TEST

START_TEST(test_a_lease_that_cannot_be_kept_takes_the_link_down) {
  struct worker w;
  run("ACL SETUSER default -zadd");
  worker_start_with(&w, base, "w1", hasty);
  queue_client_set_capacity(w.client, 1);
  push_default("a");
  UNTIL(base, w.link == 0 && strstr(w.link_why, "lease"));
  run("ACL SETUSER default +zadd");
  UNTIL(base, w.link == 1 && w.job_count == 1);
  run("ACL SETUSER default -zadd");
  UNTIL(base, w.link == 0);
  run("ACL SETUSER default +zadd");
  UNTIL(base, w.link == 1);
  worker_die(&w);
}
END_TEST

START_TEST(test_options_are_checked) {
  static const char *const good[] = {"a"}, *const bad[] = {"a b"}, *const twice[] = {"a", "a"};
  struct redis_url url;
  struct queue_client *client;
  char error[128];
  ck_assert_int_eq(redis_url_parse(server.unix_url, &url, error, sizeof error), 0);
  const struct queue_options fine = {.url = &url,
                                     .prefix = "p",
                                     .queues = good,
                                     .queue_count = 1,
                                     .worker = "w",
                                     .lease_ms = 100,
                                     .lease_renew_ms = 10,
                                     .reap_interval_ms = 10,
                                     .max_worker_deaths = 1,
                                     .dead_letters_max = 1,
                                     .default_reply_ttl_s = 1};
  const struct queue_callbacks callbacks = {.claimed = on_claimed};
  struct queue_options wrong[7];
  for (size_t i = 0; i < COUNT(wrong); i++)
    wrong[i] = fine;
  wrong[0].queue_count = 0;
  wrong[1].queues = bad;
  wrong[2].queues = twice;
  wrong[2].queue_count = 2;
  wrong[3].prefix = "p{x}";
  wrong[4].worker = "w w";
  wrong[5].worker = "";
  wrong[6].lease_renew_ms = 90;
  for (size_t i = 0; i < COUNT(wrong); i++)
    ck_assert_int_eq(queue_client_new(base, &wrong[i], &callbacks, &client), -22);
  ck_assert_int_eq(queue_client_new(base, &fine, &callbacks, &client), 0);
  queue_client_free(client);
  redis_url_free(&url);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("queue");
  TCase *tc = tcase_create("queue");
  tcase_set_timeout(tc, 60);
  tcase_add_checked_fixture(tc, start, stop);
  tcase_add_test(tc, test_a_job_goes_round);
  tcase_add_test(tc, test_jobs_come_in_order_and_no_more_than_asked_for);
  tcase_add_test(tc, test_queues_are_served_in_strict_order);
  tcase_add_test(tc, test_more_room_while_a_higher_queue_is_asked);
  tcase_add_test(tc, test_a_thousand_jobs_two_workers_each_once);
  tcase_add_test(tc, test_waiting_on_an_empty_queue_and_no_longer);
  tcase_add_test(tc, test_a_job_given_back_is_next);
  tcase_add_test(tc, test_a_second_job_of_the_same_id_is_dropped);
  tcase_add_test(tc, test_a_record_comes_with_the_result_and_only_with_it);
  tcase_add_test(tc, test_leaving_takes_the_lease_along);
  tcase_add_test(tc, test_reply_to_of_another_type_makes_a_dead_letter);
  tcase_add_test(tc, test_nothing_is_dropped_silently);
  tcase_add_test(tc, test_a_broken_key_of_ours_is_said_and_survived);
  tcase_add_test(tc, test_results_wait_for_each_other_only_when_they_may);
  tcase_add_test(tc, test_results_stop_waiting_when_there_is_no_more_to_do);
  tcase_add_test(tc, test_each_result_of_a_call_has_its_own_end);
  tcase_add_test(tc, test_results_that_are_refused_together_are_sent_one_by_one);
  tcase_add_test(tc, test_a_lost_answer_to_several_results_counts_each_once);
  tcase_add_test(tc, test_a_deferred_job_comes_back_when_it_is_due);
  tcase_add_test(tc, test_what_is_due_first_comes_first_and_the_past_at_once);
  tcase_add_test(tc, test_two_deferred_jobs_of_the_same_bytes_stay_two);
  tcase_add_test(tc, test_any_worker_promotes_what_a_producer_put_aside);
  tcase_add_test(tc, test_a_lost_claim_is_not_deferred);
  tcase_add_test(tc, test_a_deferral_whose_answer_was_lost_is_not_done_twice);
  tcase_add_test(tc, test_a_delayed_key_of_another_type_is_said_and_survived);
  tcase_add_test(tc, test_a_result_ends_the_submission_of_its_id);
  tcase_add_test(tc, test_a_late_result_is_fenced);
  tcase_add_test(tc, test_a_job_that_kills_workers_is_given_up);
  tcase_add_test(tc, test_a_long_list_of_a_dead_worker_is_taken_in_parts);
  tcase_add_test(tc, test_a_claimed_list_without_a_worker_is_found);
  tcase_add_test(tc, test_a_search_leaves_its_own_claims_alone);
  tcase_add_test(tc, test_a_claim_whose_answer_was_lost_is_put_back);
  tcase_add_test(tc, test_scripts_may_be_flushed);
  tcase_add_test(tc, test_cut_connections_come_back);
  tcase_add_test(tc, test_redis_killed_and_restarted);
  tcase_add_test(tc, test_redis_restarted_without_its_data);
  tcase_add_test(tc, test_a_settle_whose_answer_was_lost_counts_once);
  tcase_add_test(tc, test_a_full_redis_stops_claims_and_nothing_else);
  tcase_add_test(tc, test_a_replica_is_no_place_to_work);
  tcase_add_test(tc, test_a_redis_that_hangs_is_noticed);
  tcase_add_test(tc, test_redis_not_there_at_first);
  tcase_add_test(tc, test_over_tcp_by_name);
  tcase_add_test(tc, test_a_name_that_does_not_resolve);
  tcase_add_test(tc, test_passwords);
  tcase_add_test(tc, test_a_forbidden_blocking_command_is_made_up_for_by_polling);
  tcase_add_test(tc, test_a_lease_that_cannot_be_kept_takes_the_link_down);
  tcase_add_test(tc, test_options_are_checked);
  suite_add_tcase(suite, tc);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed != 0;
}
