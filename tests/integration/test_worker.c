/*
 * isoq worker as it is installed, against a real Redis: the promises of DESIGN 3 and 6.
 *
 * Where a test must know that a job is running, the executor is support/fake_executor.c, whose jobs meet the
 * test at a named pipe: opening it returns when the other side has come. What a worker does by itself is
 * awaited in its log.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <json-c/json.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/program.h"
#include "tests/support/redis_server.h"
#include "worker/clock.h"

#define PATIENCE_MS 30000
#define JOBS "isoq:{default}:jobs"

static struct redis_server server;
static redisContext *redis;
static char fifo[128];

/* ---- workers ---- */

struct worker {
  pid_t pid; /* 0: gone */
  int log_fd;
  char *log;
  size_t log_len, seen;
};

static struct worker a, b;

/* `more`: settings, NULL at the end. */
static void worker_start_with(struct worker *worker, const char *executor, const char *const *more) {
  const char *const arguments[] = {program_path("isoq"), "worker", NULL};
  char executor_variable[PATH_MAX + 32], url[160];
  const char *environment[32] = {url,
                                 executor_variable,
                                 "ISOQ_LEASE_MS=1500",
                                 "ISOQ_LEASE_RENEW_MS=300",
                                 "ISOQ_REAP_INTERVAL_MS=300",
                                 "ISOQ_LOG_LEVEL=debug"};
  size_t count = 6;
  int fds[2];

  snprintf(url, sizeof(url), "ISOQ_REDIS_URL=%s", server.unix_url);
  snprintf(executor_variable, sizeof(executor_variable), "ISOQ_EXECUTOR_PATH=%s", executor);
  if (*executor == '\0') strcpy(executor_variable, "LANG=C");
  for (; more != NULL && *more != NULL; more++)
    environment[count++] = *more;
  if (getenv("ASAN_OPTIONS") != NULL) {
    static char options[512];

    snprintf(options, sizeof(options), "ASAN_OPTIONS=%s", getenv("ASAN_OPTIONS"));
    environment[count++] = options;
  }
  ck_assert_msg(access(arguments[0], X_OK) == 0, "%s: %s; set ISOQ_TEST_BIN_DIR", arguments[0],
                strerror(errno));
  ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
  fflush(NULL);
  worker->pid = fork();
  ck_assert_int_ge(worker->pid, 0);
  if (worker->pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(fds[1], 2);
    execve(arguments[0], (char *const *)arguments, (char *const *)environment);
    _exit(127);
  }
  close(fds[1]);
  worker->log_fd = fds[0];
  worker->log = calloc(1, 1);
  worker->log_len = worker->seen = 0;
}

#define worker_start(worker, executor, ...)                                                                  \
  worker_start_with((worker), (executor), (const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

/* Reads more of the log; false at its end. */
static bool worker_read_log(struct worker *worker, int64_t until_ns) {
  struct pollfd readable = {.fd = worker->log_fd, .events = POLLIN};
  int64_t left_ms = (until_ns - clock_monotonic_ns()) / CLOCK_NS_PER_MS;
  char chunk[8192];
  ssize_t n;

  ck_assert_msg(left_ms > 0 && poll(&readable, 1, (int)left_ms) > 0, "waited for too long; the log:\n%s",
                worker->log);
  n = read(worker->log_fd, chunk, sizeof(chunk));
  if (n <= 0) return false;
  worker->log = realloc(worker->log, worker->log_len + (size_t)n + 1);
  memcpy(worker->log + worker->log_len, chunk, (size_t)n);
  worker->log_len += (size_t)n;
  worker->log[worker->log_len] = '\0';
  return true;
}

/* Until the log has this text, after what was awaited before. */
static void worker_await(struct worker *worker, const char *text) {
  int64_t until = clock_monotonic_ns() + PATIENCE_MS * CLOCK_NS_PER_MS;
  const char *found;

  while ((found = strstr(worker->log + worker->seen, text)) == NULL)
    ck_assert_msg(worker_read_log(worker, until), "'%s' is not in the log:\n%s", text, worker->log);
  worker->seen = (size_t)(found - worker->log) + strlen(text);
}

/* Waits for the end. The exit status as a shell has it. */
static int worker_end(struct worker *worker) {
  int64_t until = clock_monotonic_ns() + PATIENCE_MS * CLOCK_NS_PER_MS;
  int status;

  while (worker_read_log(worker, until))
    ;
  ck_assert_int_eq(waitpid(worker->pid, &status, 0), worker->pid);
  worker->pid = 0;
  close(worker->log_fd);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int worker_stop(struct worker *worker) {
  kill(worker->pid, SIGTERM);
  return worker_end(worker);
}

static void worker_forget(struct worker *worker) {
  if (worker->pid > 0) {
    kill(worker->pid, SIGKILL);
    waitpid(worker->pid, NULL, 0);
    close(worker->log_fd);
  }
  free(worker->log);
  *worker = (struct worker){0};
}

/* ---- Redis ---- */

static redisReply *ask(const char *format, ...) {
  redisReply *reply;
  va_list arguments;

  va_start(arguments, format);
  reply = redisvCommand(redis, format, arguments);
  va_end(arguments);
  ck_assert_msg(reply != NULL, "%s: %s", format, redis->errstr);
  ck_assert_msg(reply->type != REDIS_REPLY_ERROR, "%s: %s", format, reply->str);
  return reply;
}

static long long ask_number(const char *format, const char *key) {
  redisReply *reply = ask(format, key);
  long long number = reply->integer;

  freeReplyObject(reply);
  return number;
}

static void submit(const char *queue, const char *id, const char *code, const char *more) {
  freeReplyObject(ask("LPUSH isoq:{%s}:jobs {\"id\":\"%s\",\"code\":\"%s\"%s}", queue, id, code, more));
}

/* The result of a job: a json-c object of the caller's. */
static json_object *await_result(const char *id) {
  redisReply *reply = ask("BLPOP isoq:{default}:reply:%s 30", id);
  json_object *result;

  ck_assert_msg(reply->type == REDIS_REPLY_ARRAY, "no result of %s; the logs:\n%s\n%s", id,
                a.log ? a.log : "", b.log ? b.log : "");
  result = json_tokener_parse(reply->element[1]->str);
  ck_assert_ptr_nonnull(result);
  freeReplyObject(reply);
  return result;
}

static const char *text_of(json_object *object, const char *name) {
  json_object *value;

  ck_assert_msg(json_object_object_get_ex(object, name, &value), "no %s", name);
  return json_object_get_string(value);
}

static void assert_result(const char *id, const char *status, const char *value) {
  json_object *result = await_result(id);

  ck_assert_str_eq(text_of(result, "status"), status);
  if (value != NULL) ck_assert_str_eq(text_of(result, "result"), value);
  json_object_put(result);
}

/* Nothing is held any more, and no lease is left. */
static void assert_nothing_held(void) {
  redisReply *keys = ask("KEYS isoq:{*}:claimed:*");

  ck_assert_uint_eq(keys->elements, 0);
  freeReplyObject(keys);
  ck_assert_int_eq(ask_number("ZCARD %s", "isoq:{default}:workers"), 0);
}

/* A named pipe's other side is there when this returns. */
static int meet(const char *path, int flags) {
  int fd = open(path, flags | O_CLOEXEC);

  ck_assert_int_ge(fd, 0);
  return fd;
}

static void set_up(void) {
  static const char *const durable[] = {"--appendonly", "yes", "--appendfsync", "always", NULL};

  ck_assert_int_eq(redis_server_start(&server, durable), 0);
  redis = redis_server_connect(&server);
  ck_assert_ptr_nonnull(redis);
  snprintf(fifo, sizeof(fifo), "%s/fifo", server.dir);
  ck_assert_int_eq(mkfifo(fifo, 0600), 0);
}

static void tear_down(void) {
  worker_forget(&a);
  worker_forget(&b);
  redisFree(redis);
  redis_server_end(&server);
}

/* ---- the ordinary ---- */

START_TEST(test_result_on_the_reply_key) {
  json_object *result, *value;

  worker_start(&a, "");
  submit("default", "sum", "2 + 2", ",\"metadata\":{\"n\":1e3}");
  result = await_result("sum");
  ck_assert_str_eq(text_of(result, "id"), "sum");
  ck_assert_str_eq(text_of(result, "status"), "ok");
  ck_assert_str_eq(text_of(result, "result"), "4");
  ck_assert_str_eq(text_of(result, "result_type"), "number");
  ck_assert_str_eq(text_of(result, "metadata"), "{ \"n\": 1e3 }");
  ck_assert(json_object_object_get_ex(result, "error", &value) && value == NULL);
  worker_await(&a, "event=job id=sum queue=default status=ok");
  ck_assert_ptr_nonnull(strstr(a.log, text_of(result, "worker")));
  json_object_put(result);
  ck_assert_int_eq(ask_number("EXISTS %s", "isoq:{default}:done:sum"), 1);
  ck_assert_int_eq(worker_stop(&a), 0);
  assert_nothing_held();
}
END_TEST

START_TEST(test_log_of_a_life) {
  worker_start(&a, FAKE_EXECUTOR, "ISOQ_EXECUTORS=2", "ISOQ_QUEUE=high,low");
  worker_await(&a, "event=start version=");
  worker_await(&a, "queues=high,low");
  worker_await(&a, "executors=2");
  worker_await(&a, "event=ready executors=2");
  kill(a.pid, SIGINT);
  worker_await(&a, "event=drain why=SIGINT");
  worker_await(&a, "event=stop exit_status=0");
  ck_assert_int_eq(worker_end(&a), 0);
}
END_TEST

START_TEST(test_many_jobs) {
  char id[32];

  for (int i = 0; i < 500; i++) {
    snprintf(id, sizeof(id), "job-%d", i);
    submit("default", id, "ok:done", "");
  }
  worker_start(&a, FAKE_EXECUTOR, "ISOQ_EXECUTORS=3");
  worker_start(&b, FAKE_EXECUTOR, "ISOQ_EXECUTORS=3");
  for (int i = 0; i < 500; i++) {
    snprintf(id, sizeof(id), "job-%d", i);
    assert_result(id, "ok", "done");
  }
  ck_assert_int_eq(worker_stop(&a), 0);
  ck_assert_int_eq(worker_stop(&b), 0);
  assert_nothing_held();
  ck_assert_int_eq(ask_number("LLEN %s", "isoq:{default}:dead"), 0);
}
END_TEST

/* "seed=1:5", from what the executor was given. */
static void await_seed(const char *id, char seed[32]) {
  json_object *result = await_result(id);
  const char *found = strstr(text_of(result, "result"), "seed=");

  ck_assert_ptr_nonnull(found);
  snprintf(seed, 32, "%s", found);
  json_object_put(result);
}

START_TEST(test_each_job_has_a_seed_of_its_own_and_one_that_asks_for_it_the_one_it_asks_for) {
  enum {
    COUNT = 40 /* more than the worker asks the kernel for at a time */
  };
  char id[32], seeds[COUNT][32], seed[32];

  for (int i = 0; i < COUNT; i++) {
    snprintf(id, sizeof(id), "job-%d", i);
    submit("default", id, "limits", i % 2 ? "" : ",\"record\":false");
  }
  submit("default", "seeded", "limits", ",\"seed\":5");
  submit("default", "seeded-too", "limits", ",\"seed\":0,\"record\":false");
  worker_start(&a, FAKE_EXECUTOR, "ISOQ_EXECUTORS=1");
  for (int i = 0; i < COUNT; i++) {
    snprintf(id, sizeof(id), "job-%d", i);
    await_seed(id, seeds[i]);
    ck_assert_ptr_eq(strstr(seeds[i], "seed=1:"), seeds[i]);
    for (int j = 0; j < i; j++)
      ck_assert_str_ne(seeds[i], seeds[j]);
  }
  await_seed("seeded", seed);
  ck_assert_str_eq(seed, "seed=1:5");
  await_seed("seeded-too", seed);
  ck_assert_str_eq(seed, "seed=1:0");
  ck_assert_int_eq(worker_stop(&a), 0);
}
END_TEST

START_TEST(test_queues_in_strict_order) {
  for (int i = 0; i < 3; i++) {
    char id[16];

    snprintf(id, sizeof(id), "low-%d", i);
    submit("low", id, "ok:x", "");
    snprintf(id, sizeof(id), "high-%d", i);
    submit("high", id, "ok:x", "");
  }
  worker_start(&a, FAKE_EXECUTOR, "ISOQ_EXECUTORS=1", "ISOQ_QUEUE=high,low");
  worker_await(&a, "event=job id=high-0");
  worker_await(&a, "event=job id=high-1");
  worker_await(&a, "event=job id=high-2");
  worker_await(&a, "event=job id=low-0");
  worker_await(&a, "event=job id=low-1");
  worker_await(&a, "event=job id=low-2");
}
END_TEST

START_TEST(test_not_json_is_a_dead_letter) {
  redisReply *letters;
  json_object *letter;

  worker_start(&a, FAKE_EXECUTOR);
  freeReplyObject(ask("LPUSH " JOBS " %s", "this is not JSON"));
  submit("default", "after", "ok:fine", "");
  assert_result("after", "ok", "fine");
  ck_assert_int_eq(worker_stop(&a), 0);
  letters = ask("LRANGE isoq:{default}:dead 0 -1");
  ck_assert_uint_eq(letters->elements, 1);
  letter = json_tokener_parse(letters->element[0]->str);
  ck_assert_str_eq(text_of(letter, "job"), "this is not JSON");
  ck_assert_int_eq(strncmp(text_of(letter, "reason"), "invalid: ", 9), 0);
  json_object_put(letter);
  freeReplyObject(letters);
  assert_nothing_held();
}
END_TEST

START_TEST(test_invalid_job_is_answered) {
  json_object *result;

  worker_start(&a, FAKE_EXECUTOR);
  submit("default", "odd", "ok:x", ",\"timeout_ms\":\"soon\"");
  result = await_result("odd");
  ck_assert_str_eq(text_of(result, "status"), "invalid");
  ck_assert_ptr_nonnull(strstr(text_of(result, "stderr"), "timeout_ms"));
  json_object_put(result);
  worker_await(&a, "event=job id=odd queue=default status=invalid");
  ck_assert_int_eq(worker_stop(&a), 0);
  ck_assert_int_eq(ask_number("LLEN %s", "isoq:{default}:dead"), 1);
}
END_TEST

START_TEST(test_duplicate_id) {
  worker_start(&a, FAKE_EXECUTOR, "ISOQ_EXECUTORS=1");
  submit("default", "twin", "ok:first", "");
  submit("default", "twin", "ok:second", "");
  assert_result("twin", "ok", "first");
  worker_await(&a, "event=result_duplicate id=twin");
  ck_assert_int_eq(worker_stop(&a), 0);
  ck_assert_int_eq(ask_number("EXISTS %s", "isoq:{default}:reply:twin"), 0);
}
END_TEST

/* ---- attempts and delays ---- */

static json_object *dead_letter(int index) {
  redisReply *reply = ask("LINDEX isoq:{default}:dead %d", index);
  json_object *letter = reply->type == REDIS_REPLY_STRING ? json_tokener_parse(reply->str) : NULL;

  freeReplyObject(reply);
  return letter;
}

START_TEST(test_failing_job_is_tried_again_until_it_succeeds) {
  char more[128];
  json_object *result;

  worker_start(&a, "");
  worker_await(&a, "event=ready");
  snprintf(more, sizeof(more), ",\"input\":%lld,\"max_attempts\":25,\"backoff_ms\":50",
           (long long)clock_real_ms() + 1000);
  submit("default", "late", "if (Date.now() < input) throw new Error(0); 9", more);
  result = await_result("late");
  ck_assert_str_eq(text_of(result, "status"), "ok");
  ck_assert_str_eq(text_of(result, "result"), "9");
  ck_assert_int_gt(atoi(text_of(result, "attempt")), 1);
  json_object_put(result);
  worker_await(&a, "id=late queue=default status=error");
  worker_await(&a, "attempt=1 retry_in_ms=");
  worker_await(&a, "id=late queue=default status=ok");
  ck_assert_ptr_null(dead_letter(0));
  ck_assert_int_eq(worker_stop(&a), 0);
  assert_nothing_held();
}
END_TEST

START_TEST(test_attempts_that_run_out_give_the_last_result_and_a_dead_letter) {
  json_object *result, *letter;

  worker_start(&a, "");
  submit("default", "never", "throw new TypeError('no ' + input)",
         ",\"input\":1.50,\"max_attempts\":3,\"backoff_ms\":20");
  result = await_result("never");
  ck_assert_str_eq(text_of(result, "status"), "error");
  ck_assert_str_eq(text_of(result, "attempt"), "3");
  json_object_put(result);
  letter = dead_letter(0);
  ck_assert_str_eq(text_of(letter, "reason"), "error at the last of 3 attempts: no 1.5");
  ck_assert_ptr_nonnull(strstr(text_of(letter, "job"), "\"input\": 1.50")); /* as it was pushed */
  ck_assert_ptr_null(strstr(text_of(letter, "job"), "isoq"));
  json_object_put(letter);
  ck_assert_int_eq(ask_number("LLEN %s", "isoq:{default}:reply:never"), 0); /* one, which was read */
  ck_assert_int_eq(worker_stop(&a), 0);
}
END_TEST

START_TEST(test_what_breaks_the_rules_is_not_tried_again) {
  worker_start(&a, "");
  submit("default", "bad", "1", ",\"max_attempts\":3,\"timeout_ms\":\"x\"");
  assert_result("bad", "invalid", NULL);
  ck_assert_int_eq(ask_number("EXISTS %s", "isoq:{default}:delayed"), 0);
}
END_TEST

START_TEST(test_timeouts_and_crashes_are_tried_again) {
  worker_start(&a, "");
  submit("default", "slow", "for(;;);", ",\"max_attempts\":2,\"backoff_ms\":0,\"timeout_ms\":50");
  assert_result("slow", "timeout", NULL);
  worker_await(&a, "id=slow queue=default status=timeout");
  worker_await(&a, "retry_in_ms=0");
  worker_await(&a, "id=slow queue=default status=timeout");
}
END_TEST

START_TEST(test_delayed_jobs_wait_and_others_do_not_wait_for_them) {
  char more[64];
  int64_t began_ms = clock_real_ms();

  worker_start(&a, "", "ISOQ_EXECUTORS=1");
  submit("default", "in", "Date.now()", ",\"delay_ms\":700");
  snprintf(more, sizeof(more), ",\"run_at_ms\":%lld", (long long)began_ms + 700);
  submit("default", "at", "Date.now()", more);
  submit("default", "past", "1", ",\"run_at_ms\":1000");
  submit("default", "now", "1", "");
  worker_await(&a, "event=job id=past");
  worker_await(&a, "event=job id=now");
  for (int i = 0; i < 2; i++) {
    json_object *result = await_result(i ? "at" : "in");

    ck_assert_int_ge(atoll(text_of(result, "result")), began_ms + 700);
    ck_assert_str_eq(text_of(result, "attempt"), "1");
    json_object_put(result);
  }
}
END_TEST

START_TEST(test_delayed_job_survives_its_worker) {
  worker_start(&a, "");
  submit("default", "later", "3", ",\"delay_ms\":1000");
  worker_await(&a, "event=job_delayed id=later");
  while (ask_number("ZCARD %s", "isoq:{default}:delayed") == 0)
    ;
  kill(a.pid, SIGKILL);
  worker_end(&a);
  worker_start(&b, "");
  assert_result("later", "ok", "3");
}
END_TEST

START_TEST(test_running_job_is_stopped_by_a_message_with_its_id) {
  json_object *result;

  worker_start(&a, "", "ISOQ_EXECUTORS=1");
  submit("default", "first", "console.log('before'); for (;;);", ",\"timeout_ms\":60000,\"max_attempts\":3");
  submit("default", "second", "2", "");
  worker_await(&a, "event=redis_up");
  do {
    freeReplyObject(ask("PUBLISH isoq:{default}:cancel unknown"));
    freeReplyObject(ask("PUBLISH isoq:{default}:cancel %b", "not an id", (size_t)9));
    freeReplyObject(
        ask("PUBLISH isoq:{default}:cancel first")); /* until it is heard: at the latest when it runs */
  } while (ask_number("LLEN %s", "isoq:{default}:reply:first") == 0);
  result = await_result("first");
  ck_assert_str_eq(text_of(result, "status"), "cancelled");
  ck_assert_str_eq(text_of(result, "attempt"), "1"); /* not tried again */
  json_object_put(result);
  assert_result("second", "ok", "2");
}
END_TEST

START_TEST(test_a_worker_tells_what_it_runs) {
  json_object *about;
  redisReply *keys, *reply;

  worker_start(&a, FAKE_EXECUTOR, "ISOQ_EXECUTORS=2");
  submit("default", "held", "hang", "");
  do {
    keys = ask("KEYS isoq:{default}:worker:*");
    reply = keys->elements == 1 ? ask("GET %s", keys->element[0]->str) : NULL;
    about = reply != NULL && reply->type == REDIS_REPLY_STRING ? json_tokener_parse(reply->str) : NULL;
    if (reply != NULL) freeReplyObject(reply);
    freeReplyObject(keys);
    if (about != NULL && strstr(json_object_to_json_string(about), "\"id\": \"held\"") != NULL) break;
    json_object_put(about);
  } while (true);
  ck_assert_int_eq(atoi(text_of(about, "pid")), a.pid);
  ck_assert_str_eq(text_of(about, "executors"), "2");
  ck_assert_str_eq(text_of(about, "busy"), "1");
  json_object_put(about);
}
END_TEST

/* ---- deaths ---- */

START_TEST(test_crash_of_an_executor) {
  worker_start(&a, FAKE_EXECUTOR, "ISOQ_EXECUTORS=1");
  submit("default", "bad", "die-by:11", "");
  submit("default", "good", "ok:still here", "");
  assert_result("bad", "crashed", NULL);
  assert_result("good", "ok", "still here");
  worker_await(&a, "kind=signal end=SIGSEGV");
}
END_TEST

START_TEST(test_job_of_a_killed_worker_is_done_by_another) {
  char code[256], b_pid[32];
  json_object *result;
  int gate;

  snprintf(code, sizeof(code), "gate:%s", fifo);
  worker_start(&a, FAKE_EXECUTOR, "ISOQ_EXECUTORS=1");
  submit("default", "orphan", code, "");
  gate = meet(fifo, O_WRONLY); /* it runs at A, and cannot end */
  kill(a.pid, SIGKILL);
  ck_assert_int_eq(worker_end(&a), 128 + SIGKILL);
  /* Its executor is gone with it: the other side of the pipe was closed without our doing. */
  ck_assert_int_eq(poll(&(struct pollfd){.fd = gate}, 1, PATIENCE_MS), 1);
  close(gate);

  worker_start(&b, FAKE_EXECUTOR, "ISOQ_EXECUTORS=1");
  snprintf(b_pid, sizeof(b_pid), "-%d-", (int)b.pid);
  close(meet(fifo, O_WRONLY)); /* it runs again, at B */
  result = await_result("orphan");
  ck_assert_str_eq(text_of(result, "status"), "ok");
  ck_assert_ptr_nonnull(strstr(text_of(result, "worker"), b_pid));
  json_object_put(result);
  ck_assert_int_eq(worker_stop(&b), 0);
  assert_nothing_held();
}
END_TEST

START_TEST(test_frozen_worker_is_fenced) {
  char code[256];
  int gate;

  /* A worker that stops for longer than its lease: its late result must not be a second one. */
  snprintf(code, sizeof(code), "gate:%s", fifo);
  worker_start(&a, FAKE_EXECUTOR, "ISOQ_EXECUTORS=1");
  submit("default", "slow", code, "");
  gate = meet(fifo, O_WRONLY);
  kill(a.pid, SIGSTOP);
  worker_start(&b, FAKE_EXECUTOR, "ISOQ_EXECUTORS=1");
  worker_await(&b, "event=reaped");
  close(gate); /* lets both through */
  while (ask_number("EXISTS %s", "isoq:{default}:done:slow") == 0) {
    gate = open(fifo, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (gate >= 0) close(gate);
  }
  kill(a.pid, SIGCONT);
  worker_await(&a, "event=result_fenced id=slow");
  assert_result("slow", "ok", "through");
  ck_assert_int_eq(ask_number("LLEN %s", "isoq:{default}:reply:slow"), 0);
}
END_TEST

/* ---- the end ---- */

START_TEST(test_drain_lets_jobs_end) {
  char code[256];
  int gate;

  snprintf(code, sizeof(code), "gate:%s", fifo);
  worker_start(&a, FAKE_EXECUTOR, "ISOQ_EXECUTORS=2");
  submit("default", "running", code, "");
  gate = meet(fifo, O_WRONLY);
  kill(a.pid, SIGTERM);
  worker_await(&a, "event=drain why=SIGTERM running=1");
  submit("default", "too-late", "ok:x", "");
  close(gate);
  ck_assert_int_eq(worker_end(&a), 0);
  assert_result("running", "ok", "through");
  ck_assert_int_eq(ask_number("LLEN %s", JOBS), 1);
  /* Taken and given back at most once: by a BLMOVE that was under way when the drain began. */
  const char *late = strstr(a.log, "too-late");
  ck_assert(late == NULL || strstr(late + 1, "too-late") == NULL);
  assert_nothing_held();
}
END_TEST

START_TEST(test_drain_gives_back_what_does_not_end) {
  redisReply *job;
  char code[256];
  int gate;

  snprintf(code, sizeof(code), "gate:%s", fifo);
  worker_start(&a, FAKE_EXECUTOR, "ISOQ_EXECUTORS=1", "ISOQ_DRAIN_TIMEOUT_S=1");
  submit("default", "endless", code, "");
  gate = meet(fifo, O_WRONLY);
  submit("default", "behind", "ok:x", "");
  ck_assert_int_eq(worker_stop(&a), 0);
  ck_assert_ptr_nonnull(strstr(a.log, "event=drain_timeout running=1"));
  ck_assert_ptr_nonnull(strstr(a.log, "event=job_given_back id=endless"));
  ck_assert_ptr_null(
      strstr(a.log, "behind")); /* nothing is fetched ahead before jobs are known to be small */
  close(gate);
  ck_assert_int_eq(ask_number("LLEN %s", JOBS), 2);
  job = ask("LINDEX " JOBS " -1"); /* the next to be taken */
  ck_assert_ptr_nonnull(strstr(job->str, "endless"));
  freeReplyObject(job);
  ck_assert_int_eq(ask_number("EXISTS %s", "isoq:{default}:reply:endless"), 0);
  assert_nothing_held();
}
END_TEST

START_TEST(test_second_signal_ends_at_once) {
  char code[256];
  int gate;

  snprintf(code, sizeof(code), "gate:%s", fifo);
  worker_start(&a, FAKE_EXECUTOR, "ISOQ_EXECUTORS=1", "ISOQ_DRAIN_TIMEOUT_S=3600");
  submit("default", "running", code, "");
  gate = meet(fifo, O_WRONLY);
  kill(a.pid, SIGTERM);
  worker_await(&a, "event=drain why=SIGTERM");
  kill(a.pid, SIGTERM);
  ck_assert_int_eq(worker_end(&a), 128 + SIGTERM);
  ck_assert_ptr_nonnull(strstr(a.log, "event=stop_at_once running=1"));
  close(gate);
}
END_TEST

/* ---- Redis goes away ---- */

static void restart_redis(void) {
  redisFree(redis);
  ck_assert_int_eq(redis_server_restart(&server), 0);
  redis = redis_server_connect(&server);
  ck_assert_ptr_nonnull(redis);
}

START_TEST(test_idle_worker_survives_an_outage) {
  worker_start(&a, FAKE_EXECUTOR);
  submit("default", "before", "ok:1", "");
  assert_result("before", "ok", "1");
  redis_server_kill(&server);
  worker_await(&a, "event=redis_down");
  restart_redis();
  submit("default", "after", "ok:2", "");
  assert_result("after", "ok", "2");
  worker_await(&a, "event=redis_up");
  ck_assert_int_eq(worker_stop(&a), 0);
}
END_TEST

START_TEST(test_result_made_during_an_outage) {
  char code[256];
  int gate;

  snprintf(code, sizeof(code), "gate:%s", fifo);
  worker_start(&a, FAKE_EXECUTOR, "ISOQ_EXECUTORS=1", "ISOQ_LEASE_MS=60000");
  submit("default", "job", code, "");
  gate = meet(fifo, O_WRONLY);
  redis_server_kill(&server);
  worker_await(&a, "event=redis_down");
  close(gate);
  worker_await(&a, "event=job id=job queue=default status=ok"); /* it went on, and its result waits */
  restart_redis();
  assert_result("job", "ok", "through");
  ck_assert_int_eq(worker_stop(&a), 0);
  assert_nothing_held();
}
END_TEST

START_TEST(test_stopped_during_an_outage) {
  worker_start(&a, FAKE_EXECUTOR, "ISOQ_EXECUTORS=1", "ISOQ_DRAIN_TIMEOUT_S=0", "ISOQ_LEASE_MS=60000");
  worker_await(&a, "event=redis_up");
  redis_server_kill(&server);
  worker_await(&a, "event=redis_down");
  ck_assert_int_eq(worker_stop(&a), 0); /* it held nothing */
  restart_redis();
}
END_TEST

START_TEST(test_stopped_with_a_result_that_redis_never_got) {
  char code[256];
  int gate;

  snprintf(code, sizeof(code), "gate:%s", fifo);
  worker_start(&a, FAKE_EXECUTOR, "ISOQ_EXECUTORS=1", "ISOQ_DRAIN_TIMEOUT_S=0", "ISOQ_LEASE_MS=60000");
  submit("default", "unheard", code, "");
  gate = meet(fifo, O_WRONLY);
  redis_server_kill(&server);
  worker_await(&a, "event=redis_down");
  close(gate);
  worker_await(&a, "event=job id=unheard");
  ck_assert_int_eq(worker_stop(&a), 1);
  ck_assert_ptr_nonnull(strstr(a.log, "event=left_unconfirmed settles=1"));
  restart_redis();
}
END_TEST

/* ---- executors that do not start ---- */

START_TEST(test_nothing_is_claimed_without_executors) {
  char refused[PATH_MAX];

  snprintf(refused, sizeof(refused), "%s/fake-executor.mute", server.dir);
  ck_assert_int_eq(symlink(FAKE_EXECUTOR, refused), 0);
  submit("default", "patient", "ok:x", "");
  worker_start(&a, refused);
  worker_await(&a, "event=executor_start_failed why=\"the executor ended before it was ready and said "
                   "nothing (exit status 1)\"");
  worker_await(&a, "event=executor_start_failed");
  ck_assert_int_eq(worker_stop(&a), 0);
  ck_assert_int_eq(ask_number("LLEN %s", JOBS), 1);
}
END_TEST

START_TEST(test_no_executor_program) {
  worker_start(&a, "/nowhere/isoq-executor");
  ck_assert_int_eq(worker_end(&a), 2);
  ck_assert_ptr_nonnull(strstr(a.log, "event=cannot_start"));
  ck_assert_ptr_nonnull(strstr(a.log, "/nowhere/isoq-executor"));
}
END_TEST

/* ---- isolation ---- */

/* The next death in the log: whose it was. */
static long await_death(struct worker *worker, const char *why) {
  const char *start;
  char *end;
  long pid;

  worker_await(worker, "event=executor_death pid=");
  start = worker->log + worker->seen;
  pid = strtol(start, &end, 10);
  ck_assert_int_gt(pid, 0);
  worker_await(worker, "\n"); /* all of the line */
  end = worker->log + worker->seen;
  *(end - 1) = '\0';
  ck_assert_msg(strstr(start, why) != NULL, "'%s' is not in: %s", why, start);
  *(end - 1) = '\n';
  return pid;
}

START_TEST(test_isolation_process_is_a_process_of_its_own) {
  char ready[64];
  long own[2], shared;

  worker_start(&a, "", "ISOQ_EXECUTORS=1");
  for (int i = 0; i < 2; i++) {
    submit("default", i == 0 ? "own-1" : "own-2", "globalThis.x = 1", ",\"isolation\":\"process\"");
    assert_result(i == 0 ? "own-1" : "own-2", "ok", "1");
    own[i] = await_death(&a, " jobs=1 ");
    snprintf(ready, sizeof(ready), "event=executor_ready pid=%ld ", own[i]);
    ck_assert_ptr_nonnull(strstr(a.log, ready));
  }
  /* These do share one, as the obituary of it tells. */
  submit("default", "shared-1", "2", "");
  submit("default", "shared-2", "for (;;);", ",\"timeout_ms\":50");
  assert_result("shared-1", "ok", "2");
  assert_result("shared-2", "timeout", NULL);
  shared = await_death(&a, " jobs=2 ");
  ck_assert_int_ne(own[0], own[1]);
  ck_assert_int_ne(own[0], shared);
  ck_assert_int_ne(own[1], shared);
  ck_assert_int_eq(worker_stop(&a), 0);
  assert_nothing_held();
}
END_TEST

static void await_pid(const char *id, char pid[32]) {
  json_object *result = await_result(id);

  ck_assert_str_eq(text_of(result, "status"), "ok");
  snprintf(pid, 32, "%s", text_of(result, "result"));
  json_object_put(result);
}

START_TEST(test_isolation_by_the_workers_default) {
  char pids[4][32];

  worker_start(&a, FAKE_EXECUTOR, "ISOQ_EXECUTORS=1", "ISOQ_ISOLATION=process", "ISOQ_SPARE_EXECUTORS=0");
  submit("default", "p0", "pid", "");
  submit("default", "p1", "pid", "");
  submit("default", "p2", "pid", ",\"isolation\":\"isolate\"");
  submit("default", "p3", "pid", ",\"isolation\":\"isolate\"");
  for (int i = 0; i < 4; i++) {
    char id[8];

    snprintf(id, sizeof(id), "p%d", i);
    await_pid(id, pids[i]);
  }
  ck_assert_str_ne(pids[0], pids[1]);
  ck_assert_str_ne(pids[0], pids[2]);
  ck_assert_str_ne(pids[1], pids[2]);
  ck_assert_str_eq(pids[2], pids[3]);
}
END_TEST

START_TEST(test_unknown_isolation_is_invalid) {
  json_object *result, *error;

  worker_start(&a, FAKE_EXECUTOR);
  submit("default", "odd", "ok:x", ",\"isolation\":\"vm\"");
  result = await_result("odd");
  ck_assert_str_eq(text_of(result, "status"), "invalid");
  ck_assert(json_object_object_get_ex(result, "error", &error));
  ck_assert_str_eq(text_of(error, "message"), "isolation: \"vm\" is not \"isolate\" or \"process\"");
  json_object_put(result);
}
END_TEST

/* ---- fetching ahead ---- */

START_TEST(test_job_stuck_behind_a_long_one_is_given_back) {
  char code[256], id[32];
  json_object *result;
  int gate;

  /* Small jobs first, so that the worker begins to fetch ahead; then one that is long, and one behind it. */
  for (int i = 0; i < 80; i++) {
    snprintf(id, sizeof(id), "small-%d", i);
    submit("default", id, "ok:x", "");
  }
  snprintf(code, sizeof(code), "gate:%s", fifo);
  submit("default", "long", code, "");
  submit("default", "behind", "ok:not stuck", "");
  worker_start(&a, FAKE_EXECUTOR, "ISOQ_EXECUTORS=1");
  gate = meet(fifo, O_WRONLY);
  worker_await(&a, "event=job_given_back id=behind");
  worker_start(&b, FAKE_EXECUTOR, "ISOQ_EXECUTORS=1");
  result = await_result("behind");
  ck_assert_str_eq(text_of(result, "result"), "not stuck");
  json_object_put(result);
  close(gate);
  assert_result("long", "ok", "through");
}
END_TEST

int main(void) {
  Suite *suite = suite_create("worker");
  TCase *tests = tcase_create("worker");
  SRunner *runner;
  int failed;

  tcase_add_checked_fixture(tests, set_up, tear_down);
  tcase_set_timeout(tests, 120);
  tcase_add_test(tests, test_result_on_the_reply_key);
  tcase_add_test(tests, test_log_of_a_life);
  tcase_add_test(tests, test_many_jobs);
  tcase_add_test(tests, test_each_job_has_a_seed_of_its_own_and_one_that_asks_for_it_the_one_it_asks_for);
  tcase_add_test(tests, test_queues_in_strict_order);
  tcase_add_test(tests, test_not_json_is_a_dead_letter);
  tcase_add_test(tests, test_invalid_job_is_answered);
  tcase_add_test(tests, test_duplicate_id);
  tcase_add_test(tests, test_failing_job_is_tried_again_until_it_succeeds);
  tcase_add_test(tests, test_attempts_that_run_out_give_the_last_result_and_a_dead_letter);
  tcase_add_test(tests, test_what_breaks_the_rules_is_not_tried_again);
  tcase_add_test(tests, test_timeouts_and_crashes_are_tried_again);
  tcase_add_test(tests, test_delayed_jobs_wait_and_others_do_not_wait_for_them);
  tcase_add_test(tests, test_delayed_job_survives_its_worker);
  tcase_add_test(tests, test_running_job_is_stopped_by_a_message_with_its_id);
  tcase_add_test(tests, test_a_worker_tells_what_it_runs);
  tcase_add_test(tests, test_crash_of_an_executor);
  tcase_add_test(tests, test_job_of_a_killed_worker_is_done_by_another);
  tcase_add_test(tests, test_frozen_worker_is_fenced);
  tcase_add_test(tests, test_drain_lets_jobs_end);
  tcase_add_test(tests, test_drain_gives_back_what_does_not_end);
  tcase_add_test(tests, test_second_signal_ends_at_once);
  tcase_add_test(tests, test_idle_worker_survives_an_outage);
  tcase_add_test(tests, test_result_made_during_an_outage);
  tcase_add_test(tests, test_stopped_during_an_outage);
  tcase_add_test(tests, test_stopped_with_a_result_that_redis_never_got);
  tcase_add_test(tests, test_nothing_is_claimed_without_executors);
  tcase_add_test(tests, test_no_executor_program);
  tcase_add_test(tests, test_isolation_process_is_a_process_of_its_own);
  tcase_add_test(tests, test_isolation_by_the_workers_default);
  tcase_add_test(tests, test_unknown_isolation_is_invalid);
  tcase_add_test(tests, test_job_stuck_behind_a_long_one_is_given_back);
  suite_add_tcase(suite, tests);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? 0 : 1;
}
