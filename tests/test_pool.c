/*
 * The pool and its executors, against real processes that misbehave on demand (support/fake_executor.c).
 *
 * Every test runs the loop until what it waits for has happened; nothing sleeps. A loop that waits for too
 * long fails the test. At the end of each test every job must have had exactly one outcome.
 */
#include <check.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/config.h"
#include "queue/job.h"
#include "queue/result.h"
#include "worker/clock.h"
#include "worker/executor.h"
#include "worker/pool.h"
#include "worker/settings.h"

#define PATIENCE_S 20
#define JOBS_MAX 256

/* ---- a pool and what it told ---- */

struct told {
  char id[JOB_ID_MAX + 1];
  unsigned times;
  struct job_result result;
};

static struct event_base *base;
static struct pool *pool;
static struct pool_options options;
static struct told told[JOBS_MAX];
static size_t submitted, done_calls, taken_back;
static unsigned last_capacity, capacity_calls, trouble_calls;
static int64_t trouble_retry_ms[64];
static bool impatient;
static char folder[] = "/tmp/isoq-test-pool-XXXXXX";
static void (*in_done)(struct job *job, struct job_result *result);

static struct told *told_of(const char *id) {
  for (size_t i = 0; i < submitted; i++)
    if (strcmp(told[i].id, id) == 0) return &told[i];
  ck_abort_msg("a result for a job that was never submitted: %s", id);
  return NULL;
}

static void on_done(void *ctx, struct job *job, struct job_result *result) {
  struct told *entry = told_of(job->id);

  ck_assert_ptr_eq(ctx, &told);
  ck_assert_uint_eq(entry->times, 0);
  entry->times++;
  done_calls++;
  if (in_done != NULL) in_done(job, result);
  entry->result = *result;
  *result = (struct job_result){0};
  job_free(job);
}

static void on_capacity(void *ctx, unsigned free_slots) {
  (void)ctx;
  ck_assert_uint_ne(last_capacity, free_slots); /* only changes are told */
  last_capacity = free_slots;
  capacity_calls++;
}

static void on_trouble(void *ctx, const char *why, int64_t retry_ms) {
  (void)ctx;
  ck_assert_ptr_nonnull(why);
  if (trouble_calls < sizeof(trouble_retry_ms) / sizeof(trouble_retry_ms[0]))
    trouble_retry_ms[trouble_calls] = retry_ms;
  trouble_calls++;
}

static void on_impatience(evutil_socket_t fd, short what, void *ctx) {
  (void)fd, (void)what, (void)ctx;
  impatient = true;
}

static void on_taken(void *ctx, struct job *job) {
  struct told *entry = told_of(job->id);

  ck_assert_ptr_eq(ctx, &taken_back);
  entry->times++;
  taken_back++;
  job_free(job);
}

#define run_until(condition)                                                                                 \
  do {                                                                                                       \
    struct timeval patience = {.tv_sec = PATIENCE_S};                                                        \
    struct event *timer = evtimer_new(base, on_impatience, NULL);                                            \
                                                                                                             \
    impatient = false;                                                                                       \
    event_add(timer, &patience);                                                                             \
    while (!(condition)) {                                                                                   \
      ck_assert_msg(!impatient, "waited %d s for: %s", PATIENCE_S, #condition);                              \
      event_base_loop(base, EVLOOP_ONCE);                                                                    \
    }                                                                                                        \
    event_free(timer);                                                                                       \
  } while (0)

static struct job_limits limits = {
    .timeout_ms = {10000, 1, 60000},
    .cpu_ms = {0, 1, 60000},
    .memory_mb = {64, 4, 1024},
    .max_output_bytes = {100000, 0, 16 << 20},
    .reply_ttl_s = {60, 1, 3600},
    .max_attempts = {1, 1, 25},
    .backoff_ms = {1000, 0, 86400000},
    .delay_ms = {0, 0, 86400000},
    .max_code_bytes = 1 << 20,
    .max_input_bytes = 32 << 20,
    .max_payload_bytes = 40 << 20,
};

static struct job *make_job(const char *id, const char *code, const char *more) {
  size_t size = strlen(code) + strlen(more) + 256;
  char *text = malloc(size);
  struct job *job;
  int len;

  len = snprintf(text, size, "{\"id\":\"%s\",\"code\":\"%s\"%s}", id, code, more);
  ck_assert_int_eq(job_parse(text, (size_t)len, &limits, NULL, NULL, &job), 0);
  ck_assert_msg(job->error == NULL, "%s", job->error);
  free(text);
  return job;
}

static struct told *submit_as(const char *id, const char *code, const char *more) {
  size_t before = done_calls;
  struct told *entry = &told[submitted++];

  snprintf(entry->id, sizeof(entry->id), "%s", id);
  ck_assert_int_eq(pool_submit(pool, make_job(id, code, more)), 0);
  ck_assert_uint_eq(done_calls, before); /* never from within */
  return entry;
}

static struct told *submit(const char *code, const char *more) {
  char id[32];

  snprintf(id, sizeof(id), "job-%zu", submitted + 1);
  return submit_as(id, code, more);
}

static struct told *run(const char *code, const char *more) {
  struct told *entry = submit(code, more);

  run_until(entry->times == 1);
  return entry;
}

static const char *named(const char *manner) {
  static char path[PATH_MAX];

  snprintf(path, sizeof(path), "%s/fake-executor%s", folder, manner);
  ck_assert(symlink(FAKE_EXECUTOR, path) == 0 || errno == EEXIST);
  return path;
}

static void set_up(void) {
  ck_assert_ptr_nonnull(mkdtemp(folder));
  base = event_base_new();
  options = (struct pool_options){
      .executors = 1,
      .executor_path = named(""),
      .grace_ms = 50,
      .start_timeout_ms = 10000,
      .max_jobs_per_executor = 1000,
      .memory_slack_mb = 8,
      .max_result_bytes = 1 << 20,
      .max_timers = 77,
      .worker = "test-worker",
  };
}

static int try_start(char *error, size_t error_size) {
  const struct pool_callbacks callbacks = {
      .ctx = &told, .done = on_done, .capacity = on_capacity, .trouble = on_trouble};

  return pool_new(base, &options, &callbacks, &pool, error, error_size);
}

static void start(unsigned executors) {
  char error[256] = "";

  options.executors = executors;
  ck_assert_msg(try_start(error, sizeof(error)) == 0, "%s", error);
}

static void start_and_wait(unsigned executors) {
  start(executors);
  run_until(pool_free_slots(pool) == executors);
}

static void tear_down(void) {
  char command[PATH_MAX];

  for (size_t i = 0; i < submitted; i++) {
    ck_assert_msg(told[i].times == 1, "%s: %u outcomes", told[i].id, told[i].times);
    job_result_free(&told[i].result);
  }
  pool_free(pool);
  /* Nothing was left behind: not even a zombie. */
  ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
  ck_assert_int_eq(errno, ECHILD);
  event_base_free(base);
  snprintf(command, sizeof(command), "rm -r %s", folder);
  ck_assert_int_eq(system(command), 0);
}

#define assert_status(entry, expected)                                                                       \
  ck_assert_str_eq(isoq_status_name((entry)->result.status), isoq_status_name(expected))

/* A failure has an error whose message contains `part`, and stderr says so too. */
static void assert_failed(const struct told *entry, enum isoq_status status, const char *part) {
  const struct job_result *result = &entry->result;

  assert_status(entry, status);
  ck_assert_ptr_null(result->result.data);
  ck_assert_int_eq(result->result_type, ISOQ_TYPE_NONE);
  ck_assert(result->has_error);
  ck_assert_ptr_nonnull(result->error_message.data);
  ck_assert_msg(strstr(result->error_message.data, part) != NULL, "'%s' is not in: %s", part,
                result->error_message.data);
  ck_assert_ptr_nonnull(strstr(result->stderr_text.data, part));
}

static void assert_next_is_served(void) {
  struct told *next = run("ok:next", "");

  assert_status(next, ISOQ_STATUS_OK);
  ck_assert_str_eq(next->result.result.data, "next");
}

static uint64_t ended(enum outcome_end end) {
  return pool_counters(pool)->ended[end];
}

/* The job's executor is gone for this reason, and for no other. */
static void wait_for_end(enum outcome_end end) {
  uint64_t all = 0;

  run_until(ended(end) == 1);
  for (int i = 0; i < OUTCOME_END_COUNT; i++)
    all += ended((enum outcome_end)i);
  ck_assert_uint_eq(all, 1);
}

/* ---- jobs that go well ---- */

START_TEST(test_result_is_passed_on) {
  struct told *entry;
  int64_t before = clock_real_ms();

  start_and_wait(1);
  entry = run("ok:hello", "");
  assert_status(entry, ISOQ_STATUS_OK);
  ck_assert_str_eq(entry->result.result.data, "hello");
  ck_assert_int_eq(entry->result.result_type, ISOQ_TYPE_STRING);
  ck_assert(!entry->result.has_error);
  ck_assert_str_eq(entry->result.stdout_text.data, "");
  ck_assert_str_eq(entry->result.stderr_text.data, "");
  ck_assert_str_eq(entry->result.worker, "test-worker");
  ck_assert_double_eq(entry->result.execution_time_ms, 1.5);
  ck_assert_double_eq(entry->result.cpu_time_ms, 1.25);
  ck_assert_uint_eq(entry->result.peak_memory_bytes, 4096);
  ck_assert_int_ge(entry->result.started_at_ms, before);
  ck_assert_int_ge(entry->result.finished_at_ms, entry->result.started_at_ms);
  ck_assert_double_ge(entry->result.queued_ms, 0);
}
END_TEST

START_TEST(test_error_keeps_the_executor) {
  struct told *first, *second, *third;

  start_and_wait(1);
  first = run("pid", "");
  second = run("error:boom", "");
  third = run("pid", "");
  assert_failed(second, ISOQ_STATUS_ERROR, "TestError: boom" + 11);
  ck_assert_str_eq(second->result.stderr_text.data, "TestError: boom\n");
  ck_assert_str_eq(first->result.result.data, third->result.result.data);
}
END_TEST

START_TEST(test_console_is_kept) {
  struct told *entry;

  start_and_wait(1);
  entry = run("print-error:one", "");
  ck_assert_str_eq(entry->result.stdout_text.data, "one\n");
  ck_assert_str_eq(entry->result.stderr_text.data, "to stderr\nTestError: after printing\n");
  ck_assert_uint_eq(entry->result.console_count, 2);
  ck_assert_str_eq(entry->result.console[0].text.data, "one");
  ck_assert_int_eq(entry->result.console[1].level, ISOQ_CONSOLE_ERROR);
}
END_TEST

START_TEST(test_limits_reach_the_executor) {
  struct told *entry;

  start_and_wait(1);
  entry =
      run("limits", ",\"timeout_ms\":1234,\"cpu_ms\":567,\"memory_mb\":8,\"max_output_bytes\":9,\"seed\":42,"
                    "\"capture_console\":false");
  ck_assert_str_eq(entry->result.result.data,
                   "timeout=1234 cpu=567 heap=8388608 output=9 result=1048576 timers=77 capture=0 seed=1:42");
}
END_TEST

START_TEST(test_large_input_and_result) {
  size_t size = 8u << 20;
  struct told *entry;
  char *more = malloc(size + 64);

  options.max_result_bytes = 9u << 20;
  start_and_wait(1);
  strcpy(more, ",\"input\":\"");
  memset(more + strlen(more), 'i', size);
  strcpy(more + 10 + size, "\"");
  entry = run("input", more);
  assert_status(entry, ISOQ_STATUS_OK);
  ck_assert_uint_eq(entry->result.result.len, size + 2);
  ck_assert_int_eq(strncmp(entry->result.result.data, more + 9, size + 2), 0);
  free(more);
}
END_TEST

START_TEST(test_many_jobs_in_order) {
  size_t first = submitted;

  start_and_wait(1);
  for (int i = 0; i < 50; i++)
    submit("ok:x", "");
  ck_assert_uint_eq(pool_busy(pool), 1);
  ck_assert_uint_eq(pool_waiting(pool), 49);
  ck_assert_uint_eq(pool_free_slots(pool), 0);
  run_until(done_calls == 50);
  for (size_t i = first + 1; i < submitted; i++)
    ck_assert_double_ge(told[i].result.queued_ms, told[i - 1].result.queued_ms - 1);
  ck_assert_uint_eq(pool_counters(pool)->jobs[ISOQ_STATUS_OK], 50);
  ck_assert_uint_eq(pool_counters(pool)->started, 1);
}
END_TEST

START_TEST(test_jobs_given_before_any_executor_is_ready) {
  start(2);
  ck_assert_uint_eq(pool_free_slots(pool), 0);
  submit("ok:a", "");
  submit("ok:b", "");
  submit("ok:c", "");
  run_until(done_calls == 3);
}
END_TEST

static void submit_another(struct job *job, struct job_result *result) {
  (void)job, (void)result;
  if (submitted < 10) submit("ok:again", "");
}

START_TEST(test_submit_from_within_done) {
  in_done = submit_another;
  start_and_wait(1);
  submit("ok:first", "");
  run_until(done_calls == 10);
  ck_assert_uint_eq(pool_counters(pool)->started, 1);
}
END_TEST

START_TEST(test_capacity_is_told) {
  start_and_wait(3);
  ck_assert_uint_eq(last_capacity, 3);
  submit("cancellable", "");
  ck_assert_uint_eq(last_capacity, 2);
  submit("cancellable", "");
  submit("cancellable", "");
  ck_assert_uint_eq(last_capacity, 0);
  submit("cancellable", "");
  ck_assert_uint_eq(pool_free_slots(pool), 0);
  ck_assert_uint_eq(pool_waiting(pool), 1);
  for (size_t i = 0; i < submitted; i++)
    ck_assert_int_eq(pool_cancel(pool, NULL, told[i].id), 0);
  run_until(done_calls == 4 && pool_free_slots(pool) == 3);
  ck_assert_uint_eq(last_capacity, 3);
}
END_TEST

START_TEST(test_replaced_after_its_number_of_jobs) {
  struct told *first, *second, *last;

  options.max_jobs_per_executor = 2;
  start_and_wait(1);
  first = run("pid", "");
  ck_assert_uint_eq(pool_counters(pool)->started, 1);
  second = run("pid", "");
  ck_assert_str_eq(first->result.result.data, second->result.result.data);
  /* Its place is never empty: it stays until the next one is ready. */
  ck_assert_uint_eq(pool_counters(pool)->started, 2);
  ck_assert_uint_eq(pool_free_slots(pool), 1);
  run_until(ended(OUTCOME_END_RETIRED) == 1);
  ck_assert_uint_eq(pool_free_slots(pool), 1);
  last = run("pid", "");
  ck_assert_str_ne(last->result.result.data, first->result.result.data);
  ck_assert_uint_eq(pool_counters(pool)->started, 2);
  ck_assert_uint_eq(trouble_calls, 0);
}
END_TEST

START_TEST(test_worn_executor_works_on_while_there_is_no_other) {
  const char *path = strdup(named(".gone"));
  struct told *first, *again = NULL, *later;

  options.max_jobs_per_executor = 3;
  options.executor_path = path;
  start_and_wait(1);
  ck_assert_int_eq(unlink(path), 0);
  first = run("pid", "");
  for (int i = 1; i < 6; i++)
    again = run("pid", "");
  ck_assert_str_eq(first->result.result.data, again->result.result.data);
  ck_assert_ptr_nonnull(pool_trouble(pool));
  /* Twice its number is enough. */
  run_until(ended(OUTCOME_END_RETIRED) == 1);
  later = submit("pid", "");
  ck_assert_int_eq(symlink(FAKE_EXECUTOR, path), 0);
  run_until(later->times == 1);
  ck_assert_str_ne(first->result.result.data, later->result.result.data);
  free((char *)path);
}
END_TEST

static bool starts_fail;

static int start_unless_told(const char *path, bool unlocked, uint32_t rewind_mb, struct spawn_child *out,
                             char *error, size_t error_size) {
  if (!starts_fail) return spawn_start(path, unlocked, rewind_mb, out, error, error_size);
  snprintf(error, error_size, "not now");
  return -EAGAIN;
}

START_TEST(test_no_more_jobs_at_once_than_executors) {
  static const struct executor_faults faults = {.start = start_unless_told};
  struct told *jobs[4];

  /* Both are worn and busy before the one that is to replace the first of them can start. */
  options.max_jobs_per_executor = 1;
  options.faults = &faults;
  start_and_wait(2);
  starts_fail = true;
  submit("ok:x", "");
  submit("ok:x", "");
  for (int i = 0; i < 2; i++)
    jobs[i] = submit("cancellable", "");
  run_until(done_calls == 2 && pool_busy(pool) == 2);
  starts_fail = false;
  run_until(pool_executors(pool) == 3);
  ck_assert_uint_eq(pool_busy(pool), 2);
  ck_assert_uint_eq(pool_free_slots(pool), 0);
  for (int i = 2; i < 4; i++)
    jobs[i] = submit("cancellable", "");
  ck_assert_uint_eq(pool_waiting(pool), 2);
  for (int i = 0; i < 4; i++)
    pool_cancel(pool, NULL, jobs[i]->id);
  run_until(done_calls == 6 && pool_executors(pool) == 2);
}
END_TEST

/* ---- deadlines ---- */

START_TEST(test_hang_is_killed_as_timeout) {
  struct told *entry;

  start_and_wait(1);
  entry = run("print-hang:before", ",\"timeout_ms\":100");
  assert_failed(entry, ISOQ_STATUS_TIMEOUT, " ms used, over timeout_ms 100; the script did not stop within");
  ck_assert_str_eq(entry->result.error_name.data, "TimeoutError");
  ck_assert_str_eq(entry->result.stdout_text.data, "before\n");
  ck_assert_ptr_nonnull(strstr(entry->result.stderr_text.data, "to stderr\nTimeoutError: timeout:"));
  ck_assert_double_ge(entry->result.execution_time_ms, 150);
  ck_assert_double_lt(entry->result.execution_time_ms, 3000);
  wait_for_end(OUTCOME_END_TIMEOUT);
  assert_next_is_served();
}
END_TEST

START_TEST(test_own_timeout_replaces_the_executor) {
  struct told *entry;

  start_and_wait(1);
  entry = run("timeout:stopped itself", "");
  assert_failed(entry, ISOQ_STATUS_TIMEOUT, "stopped itself");
  wait_for_end(OUTCOME_END_RETIRED);
  assert_next_is_served();
}
END_TEST

START_TEST(test_processor_time_is_watched) {
  struct told *entry;

  start_and_wait(1);
  entry = run("spin", ",\"cpu_ms\":100");
  assert_failed(entry, ISOQ_STATUS_CPU_TIMEOUT,
                " ms of processor time used, over cpu_ms 100; the script did not");
  ck_assert_double_ge(entry->result.cpu_time_ms, 100);
  wait_for_end(OUTCOME_END_CPU_TIMEOUT);
  assert_next_is_served();
}
END_TEST

START_TEST(test_resident_size_is_watched) {
  struct told *entry;

  start_and_wait(1);
  entry = run("grow:40", ",\"memory_mb\":16");
  assert_failed(entry, ISOQ_STATUS_OOM, " MB resident, over memory_mb 16 and memory_slack_mb ");
  ck_assert_str_eq(entry->result.error_name.data, "MemoryError");
  ck_assert_uint_ge(entry->result.peak_memory_bytes, 24u << 20);
  wait_for_end(OUTCOME_END_MEMORY);
  assert_next_is_served();
}
END_TEST

START_TEST(test_memory_within_the_limit_is_fine) {
  struct told *entry;

  start_and_wait(1);
  entry = run("grow:10", ",\"memory_mb\":16,\"timeout_ms\":300");
  assert_status(entry, ISOQ_STATUS_TIMEOUT);
}
END_TEST

/* ---- cancelling ---- */

START_TEST(test_cancel_running) {
  struct told *entry;

  start_and_wait(1);
  run("ok:so that the number is not 1", "");
  entry = submit("cancellable", "");
  ck_assert_int_eq(pool_cancel(pool, NULL, entry->id), 0);
  run_until(entry->times == 1);
  /* The signal carried the number of the job on that connection. */
  assert_failed(entry, ISOQ_STATUS_CANCELLED, "job 2");
  assert_next_is_served();
}
END_TEST

START_TEST(test_cancel_what_does_not_stop) {
  struct told *entry;

  start_and_wait(1);
  entry = submit("hang", "");
  ck_assert_int_eq(pool_cancel(pool, NULL, entry->id), 0);
  run_until(entry->times == 1);
  assert_failed(entry, ISOQ_STATUS_CANCELLED, "cancelled: the script did not stop by itself");
  ck_assert_double_lt(entry->result.execution_time_ms, 5000);
  wait_for_end(OUTCOME_END_CANCELLED);
  assert_next_is_served();
}
END_TEST

START_TEST(test_cancel_waiting) {
  struct told *running, *waiting;

  start_and_wait(1);
  running = submit("cancellable", "");
  waiting = submit("ok:never", "");
  ck_assert_int_eq(pool_cancel(pool, NULL, waiting->id), 0);
  ck_assert_uint_eq(waiting->times, 0); /* later, from the loop */
  run_until(waiting->times == 1);
  assert_failed(waiting, ISOQ_STATUS_CANCELLED, "cancelled before it started");
  ck_assert_uint_eq(running->times, 0);
  ck_assert_int_eq(pool_cancel(pool, NULL, waiting->id), -ENOENT);
  ck_assert_int_eq(pool_cancel(pool, NULL, running->id), 0);
  run_until(running->times == 1);
}
END_TEST

/* ---- deaths ---- */

static const struct {
  const char *code;
  enum isoq_status status;
  const char *message;
  enum outcome_end end;
} deaths[] = {
    {"die-by:11", ISOQ_STATUS_CRASHED, "SIGSEGV", OUTCOME_END_SIGNAL},
    {"die-by:5", ISOQ_STATUS_CRASHED, "SIGTRAP", OUTCOME_END_SIGNAL},
    {"die-by:4", ISOQ_STATUS_CRASHED, "SIGILL", OUTCOME_END_SIGNAL},
    {"die-by:6", ISOQ_STATUS_CRASHED, "SIGABRT", OUTCOME_END_SIGNAL},
    {"die-by:7", ISOQ_STATUS_CRASHED, "SIGBUS", OUTCOME_END_SIGNAL},
    {"die-by:9", ISOQ_STATUS_CRASHED, "SIGKILL, not by its worker", OUTCOME_END_SIGNAL},
    {"die-by:31", ISOQ_STATUS_SANDBOX_VIOLATION, "sandbox", OUTCOME_END_SANDBOX},
    {"exit:70", ISOQ_STATUS_OOM, "V8 could not get more within memory_mb 64 (exit status 70)",
     OUTCOME_END_OOM},
    {"exit:71", ISOQ_STATUS_CRASHED, "V8 gave up", OUTCOME_END_GAVE_UP},
    {"exit:0", ISOQ_STATUS_CRASHED, "ended in the middle of the job (exit status 0)", OUTCOME_END_EXIT},
    {"exit:74", ISOQ_STATUS_CRASHED, "exit status 74", OUTCOME_END_EXIT},
    {"dying:oom", ISOQ_STATUS_OOM, "memory: the heap is full", OUTCOME_END_OOM},
    {"dying:crash", ISOQ_STATUS_CRASHED, "V8 gave up: the heap is full", OUTCOME_END_GAVE_UP},
    {"dying-and-living-on", ISOQ_STATUS_OOM, "soon", OUTCOME_END_OOM},
    {"truncated", ISOQ_STATUS_CRASHED, "exit status 0", OUTCOME_END_EXIT},
    {"close", ISOQ_STATUS_CRASHED, "closed its socket", OUTCOME_END_BROKER},
    {"no-such-type", ISOQ_STATUS_CRASHED, "protocol: a message of no known type", OUTCOME_END_PROTOCOL},
    {"padding", ISOQ_STATUS_CRASHED, "protocol: a message of no known type", OUTCOME_END_PROTOCOL},
    {"too-long", ISOQ_STATUS_CRASHED, "protocol: a message longer than its type allows",
     OUTCOME_END_PROTOCOL},
    {"long-for-job", ISOQ_STATUS_CRASHED,
     "protocol: a RESULT message of 83886080 bytes; the limit is 5242880", OUTCOME_END_PROTOCOL},
    {"result-bytes:1048577", ISOQ_STATUS_CRASHED,
     "protocol: a result of 1048577 bytes, over max_result_bytes 1048576", OUTCOME_END_PROTOCOL},
    {"unreadable", ISOQ_STATUS_CRASHED, "protocol: a RESULT message that cannot be read",
     OUTCOME_END_PROTOCOL},
    {"trace:c5 ", ISOQ_STATUS_CRASHED, "protocol: a TRACE message that nobody asked for",
     OUTCOME_END_PROTOCOL},
    {"hello-again", ISOQ_STATUS_CRASHED, "protocol: a HELLO message in state BUSY", OUTCOME_END_PROTOCOL},
    {"inspect", ISOQ_STATUS_CRASHED, "protocol: an INSPECT_OUT message of a job that is not inspected",
     OUTCOME_END_PROTOCOL},
    {"other-job", ISOQ_STATUS_CRASHED, "protocol: a RESULT message for job number 2, not 1",
     OUTCOME_END_PROTOCOL},
    {"claim-sandbox", ISOQ_STATUS_CRASHED, "protocol: a RESULT with status sandbox_violation",
     OUTCOME_END_PROTOCOL},
    {"flood", ISOQ_STATUS_CRASHED, "bytes of console output, over max_output_bytes 100000 and 65536 of slack",
     OUTCOME_END_PROTOCOL},
    {"empty-lines", ISOQ_STATUS_CRASHED, "bytes of console output, over max_output_bytes",
     OUTCOME_END_PROTOCOL},
    {"print-bytes:170000", ISOQ_STATUS_CRASHED, "bytes of console output, over max_output_bytes",
     OUTCOME_END_PROTOCOL},
    {"print-bytes:2000000", ISOQ_STATUS_CRASHED, "protocol: a CONSOLE message of 2000006 bytes",
     OUTCOME_END_PROTOCOL},
};

START_TEST(test_death) {
  struct told *entry;

  start_and_wait(1);
  entry = run(deaths[_i].code, "");
  assert_failed(entry, deaths[_i].status, deaths[_i].message);
  wait_for_end(deaths[_i].end);
  ck_assert_uint_eq(pool_counters(pool)->jobs[deaths[_i].status], 1);
  assert_next_is_served();
  ck_assert_uint_eq(trouble_calls, 0); /* a job's crash is no reason to start the next executor late */
}
END_TEST

/* It ended between two jobs, and the second one was on its way. */
START_TEST(test_a_job_whose_executor_could_not_be_rewound_before_it_runs_in_another) {
  struct told *before, *entry;
  char code[128], path[64];

  snprintf(path, sizeof(path), "%s/unrewound", folder);
  ck_assert_int_eq(close(creat(path, 0600)), 0);
  snprintf(code, sizeof(code), "exit-unrewound:%s", path);
  start_and_wait(1);
  before = run("ok:first", "");
  entry = run(code, "");
  ck_assert_int_eq(before->result.status, ISOQ_STATUS_OK);
  ck_assert_str_eq(before->result.result.data, "first");
  ck_assert_int_eq(entry->result.status, ISOQ_STATUS_OK);
  ck_assert_str_eq(entry->result.result.data, "ran");
  wait_for_end(OUTCOME_END_REWIND);
  ck_assert_uint_eq(pool_counters(pool)->jobs[ISOQ_STATUS_CRASHED], 0);
  ck_assert_uint_eq(pool_counters(pool)->jobs[ISOQ_STATUS_OK], 2);
}
END_TEST

START_TEST(test_a_job_that_no_executor_begins_fails_after_a_few) {
  struct told *entry;

  start_and_wait(1);
  entry = run("exit-unrewound:always", "");
  assert_failed(entry, ISOQ_STATUS_CRASHED, "could not be put back as new after an earlier job");
  run_until(ended(OUTCOME_END_REWIND) == 4);
  assert_next_is_served();
}
END_TEST

START_TEST(test_a_job_that_has_begun_is_not_run_again) {
  struct told *entry;

  start_and_wait(1);
  entry = run("print-exit:x", "");
  assert_failed(entry, ISOQ_STATUS_CRASHED, "could not be put back as new");
  ck_assert_ptr_nonnull(strstr(entry->result.stdout_text.data, "x\n"));
  wait_for_end(OUTCOME_END_REWIND);
}
END_TEST

/* ---- jobs that are sent ahead of their turn ---- */

/* Enough small jobs for the pool to know the pace of each executor. */
static void warm_up(void) {
  size_t before = done_calls;

  for (int i = 0; i < 50; i++)
    submit("quick", "");
  run_until(done_calls == before + 50);
}

static const char *make_fifo(const char *name) {
  static char path[8][64];
  static unsigned next;
  char *here = path[next++ % 8];

  snprintf(here, sizeof(path[0]), "%s/%s", folder, name);
  ck_assert_int_eq(mkfifo(here, 0600), 0);
  return here;
}

static struct told *submit_gate(const char *fifo) {
  char code[128];

  snprintf(code, sizeof(code), "gate:%s", fifo);
  return submit(code, "");
}

/* It gives nothing back while it waits. */
static struct told *submit_deaf_gate(const char *fifo, const char *more) {
  char code[128];

  snprintf(code, sizeof(code), "deaf-gate:%s", fifo);
  return submit(code, more);
}

static void open_gate(const char *fifo) {
  int fd = open(fifo, O_WRONLY | O_CLOEXEC);

  ck_assert_int_ge(fd, 0);
  close(fd);
}

START_TEST(test_small_jobs_are_sent_ahead) {
  unsigned more = 0;
  size_t first;

  start_and_wait(1);
  warm_up();
  first = submitted;
  for (int i = 0; i < 50; i++)
    submit("more-waits", "");
  ck_assert_uint_eq(pool_busy(pool), 1);
  ck_assert_uint_eq(pool_waiting(pool), 49);
  run_until(done_calls == submitted);
  for (size_t i = first; i < submitted; i++)
    more += strcmp(told[i].result.result.data, "yes") == 0;
  ck_assert_uint_gt(more, 0);
  ck_assert_uint_eq(pool_waiting(pool), 0);
}
END_TEST

START_TEST(test_jobs_are_not_sent_ahead_of_ones_that_take_longer) {
  start_and_wait(1);
  for (int i = 0; i < 20; i++)
    submit("slow", "");
  submit("more-waits", "");
  run_until(done_calls == submitted);
  ck_assert_str_eq(told[submitted - 1].result.result.data, "no");
}
END_TEST

START_TEST(test_jobs_ahead_of_a_long_one_come_back_to_an_idle_executor) {
  const char *one = make_fifo("one"), *two = make_fifo("two");
  struct told *first, *second;
  size_t before;

  start_and_wait(2);
  warm_up();
  before = done_calls;
  first = submit_gate(one);
  second = submit_gate(two);
  for (int i = 0; i < 12; i++)
    submit("quick", "");
  open_gate(two);
  run_until(done_calls == before + 13); /* all but the one that still waits */
  ck_assert_uint_eq(first->times, 0);
  ck_assert_uint_eq(second->times, 1);
  open_gate(one);
  run_until(first->times == 1);
}
END_TEST

/* One executor's pace is known to be small; the others are fresh. */
#define WARM_UP_JOBS 30
static void start_and_warm_up_one(unsigned executors) {
  start_and_wait(executors);
  for (int i = 0; i < WARM_UP_JOBS; i++)
    run("quick", "");
}

static void start_with_one_processor(unsigned executors) {
  options.processors = 1;
  start_and_warm_up_one(executors);
}

START_TEST(test_small_jobs_keep_no_more_executors_busy_than_there_are_processors) {
  size_t first;

  start_with_one_processor(3);
  first = submitted;
  for (int i = 0; i < 200; i++)
    submit("quick-pid", "");
  run_until(done_calls == submitted);
  for (size_t i = first; i < submitted; i++)
    ck_assert_str_eq(told[i].result.result.data, told[first].result.result.data);
}
END_TEST

START_TEST(test_jobs_that_are_not_small_use_every_executor) {
  const char *one = make_fifo("one"), *two = make_fifo("two");

  options.processors = 1;
  start_and_wait(2);
  for (int i = 0; i < 20; i++)
    run("ok:after 1.5 ms", "");
  submit_gate(one);
  submit_gate(two);
  ck_assert_uint_eq(pool_busy(pool), 2);
  open_gate(one);
  open_gate(two);
  run_until(done_calls == submitted);
}
END_TEST

/* The jobs behind it that it does not give back wait for it; none else does. */
START_TEST(test_idle_executors_are_used_when_small_jobs_are_held_up) {
  const char *fifo = make_fifo("gate");
  struct told *gate, *late;
  size_t before;

  start_with_one_processor(2);
  before = done_calls;
  gate = submit_deaf_gate(fifo, "");
  for (int i = 0; i < EXECUTOR_AHEAD_MAX + 20; i++)
    submit("quick", "");
  run_until(done_calls == before + 20);
  late = run("quick", "");
  ck_assert_uint_eq(gate->times, 0);
  ck_assert_uint_eq(late->times, 1);
  open_gate(fifo);
  run_until(done_calls == submitted);
}
END_TEST

START_TEST(test_another_tenants_job_gets_an_idle_executor_while_small_jobs_run) {
  const char *fifo = make_fifo("gate");

  start_with_one_processor(2);
  submit_deaf_gate(fifo, "");
  submit("quick", "");
  ck_assert_uint_eq(pool_busy(pool), 1);
  submit("quick", ",\"tenant\":\"other\"");
  ck_assert_uint_eq(pool_busy(pool), 2);
  open_gate(fifo);
  run_until(done_calls == submitted);
}
END_TEST

/* It is given to the idle executor, although the other one keeps up with small jobs. */
static void expect_at_once(const char *more) {
  submit("quick", more);
  ck_assert_uint_eq(pool_busy(pool), 2);
}

static void expect_at_once_beside_a_gate(const char *more) {
  const char *fifo = make_fifo("gate");

  start_with_one_processor(2);
  submit_deaf_gate(fifo, "");
  expect_at_once(more);
  open_gate(fifo);
  run_until(done_calls == submitted);
}

START_TEST(test_a_job_with_a_process_of_its_own_does_not_wait_for_small_jobs) {
  expect_at_once_beside_a_gate(",\"isolation\":\"process\"");
}
END_TEST

START_TEST(test_a_large_job_does_not_wait_for_small_jobs) {
  char *more = malloc(100000);

  ck_assert_ptr_nonnull(more);
  snprintf(more, 100000, ",\"input\":\"%*s\"", 70000, "x");
  expect_at_once_beside_a_gate(more);
  free(more);
}
END_TEST

START_TEST(test_no_job_waits_for_an_executor_that_has_served_its_number) {
  options.max_jobs_per_executor = WARM_UP_JOBS + 1;
  expect_at_once_beside_a_gate("");
}
END_TEST

START_TEST(test_no_job_waits_for_an_executor_whose_job_is_cancelled) {
  const char *fifo = make_fifo("gate");
  struct told *gate;

  start_with_one_processor(2);
  gate = submit_deaf_gate(fifo, "");
  ck_assert_int_eq(pool_cancel(pool, NULL, gate->id), 0);
  expect_at_once("");
  run_until(done_calls == submitted); /* the one that does not hear of it is killed */
}
END_TEST

/* Nothing is ahead of it that could come back. */
START_TEST(test_no_job_waits_for_an_executor_whose_job_takes_long) {
  const char *fifo = make_fifo("gate");
  int64_t began_ns;

  start_with_one_processor(2);
  submit_deaf_gate(fifo, "");
  began_ns = clock_monotonic_ns();
  while (clock_monotonic_ns() - began_ns <= EXECUTOR_PATIENCE_MS * CLOCK_NS_PER_MS)
    event_base_loop(base, EVLOOP_NONBLOCK);
  expect_at_once("");
  open_gate(fifo);
  run_until(done_calls == submitted);
}
END_TEST

/* Of two executors, one is idle and another tenant's; the other one waits at the gate. The last job is not sent ahead. */
static struct told *submit_behind_a_gate_beside_a_stranger(const char *fifo, struct told **gate) {
  struct told *last = NULL;

  start_and_warm_up_one(2);
  run("quick", ",\"tenant\":\"other\"");
  run_until(pool_executors(pool) == 2 + options.spare_executors);
  *gate = submit_deaf_gate(fifo, "");
  for (int i = 0; i <= EXECUTOR_AHEAD_MAX; i++)
    last = submit("quick", "");
  return last;
}

START_TEST(test_small_jobs_do_not_end_another_tenants_executor_at_once) {
  const char *fifo = make_fifo("gate");
  struct told *gate;

  options.spare_executors = (unsigned)_i;
  submit_behind_a_gate_beside_a_stranger(fifo, &gate);
  ck_assert_uint_eq(pool_executors(pool), 2 + options.spare_executors);
  open_gate(fifo);
  run_until(done_calls == submitted);
}
END_TEST

START_TEST(test_jobs_that_are_not_small_end_another_tenants_executor_at_once) {
  const char *fifo = make_fifo("gate");

  start_and_wait(2);
  run("slow", "");
  run("slow", ",\"tenant\":\"other\"");
  submit_deaf_gate(fifo, "");
  submit("slow", "");
  ck_assert_uint_eq(pool_executors(pool), 1);
  open_gate(fifo);
  run_until(done_calls == submitted);
}
END_TEST

START_TEST(test_a_small_job_that_has_waited_ends_another_tenants_executor) {
  const char *fifo = make_fifo("gate");
  struct told *gate, *last;

  options.spare_executors = (unsigned)_i;
  last = submit_behind_a_gate_beside_a_stranger(fifo, &gate);
  run_until(last->times == 1);
  ck_assert_uint_eq(gate->times, 0);
  ck_assert_uint_eq(ended(OUTCOME_END_RETIRED), 1);
  open_gate(fifo);
  run_until(done_calls == submitted);
}
END_TEST

START_TEST(test_jobs_ahead_of_a_long_one_can_be_given_back_to_the_queue) {
  const char *fifo = make_fifo("gate");
  struct told *gate;

  start_and_wait(1);
  warm_up();
  gate = submit_gate(fifo);
  for (int i = 0; i < 4; i++)
    submit("exit:1", "");
  run_until((pool_take_waiting(pool, 0, on_taken, &taken_back), taken_back == 4));
  ck_assert_uint_eq(pool_waiting(pool), 0);
  open_gate(fifo);
  run_until(gate->times == 1);
  assert_next_is_served();
}
END_TEST

START_TEST(test_an_executor_that_gave_jobs_back_is_sent_some_again) {
  const char *fifo = make_fifo("gate");
  struct told *gate, *cancelled;
  unsigned more = 0;
  size_t first;

  start_and_wait(1);
  warm_up();
  gate = submit_gate(fifo);
  cancelled = submit("quick", "");
  ck_assert_int_eq(pool_cancel(pool, NULL, cancelled->id), 0);
  run_until(cancelled->times == 1);
  open_gate(fifo);
  run_until(gate->times == 1);
  warm_up();
  first = submitted;
  for (int i = 0; i < 50; i++)
    submit("more-waits", "");
  run_until(done_calls == submitted);
  for (size_t i = first; i < submitted; i++)
    more += strcmp(told[i].result.result.data, "yes") == 0;
  ck_assert_uint_gt(more, 0);
}
END_TEST

START_TEST(test_a_job_that_was_sent_ahead_is_cancelled_without_running) {
  const char *fifo = make_fifo("gate");
  struct told *gate, *cancelled, *other;

  start_and_wait(1);
  warm_up();
  gate = submit_gate(fifo);
  other = submit("quick", "");
  cancelled = submit("exit:1", "");
  ck_assert_int_eq(pool_cancel(pool, NULL, cancelled->id), 0);
  run_until(cancelled->times == 1);
  assert_failed(cancelled, ISOQ_STATUS_CANCELLED, "cancelled");
  ck_assert_uint_eq(gate->times + other->times, 0);
  open_gate(fifo);
  run_until(gate->times + other->times == 2);
  assert_status(other, ISOQ_STATUS_OK);
  ck_assert_uint_eq(ended(OUTCOME_END_EXIT), 0);
}
END_TEST

static const struct {
  const char *code, *more;
  enum isoq_status status;
} ends_with_others_behind[] = {
    {"exit:3", "", ISOQ_STATUS_CRASHED},
    {"die-by:9", "", ISOQ_STATUS_CRASHED},
    {"die-by:31", "", ISOQ_STATUS_SANDBOX_VIOLATION},
    {"dying:oom", "", ISOQ_STATUS_OOM},
    {"close", "", ISOQ_STATUS_CRASHED},
    {"timeout:late", "", ISOQ_STATUS_TIMEOUT},
    {"hang", ",\"timeout_ms\":100", ISOQ_STATUS_TIMEOUT},
    {"spin", ",\"timeout_ms\":100", ISOQ_STATUS_TIMEOUT}, /* it gives nothing back */
    {"no-such-type", "", ISOQ_STATUS_CRASHED},
    {"other-job", "", ISOQ_STATUS_CRASHED},
    {"truncated", "", ISOQ_STATUS_CRASHED},
    {"return:0,200", "", ISOQ_STATUS_CRASHED},
    {"return:-3,-1", "", ISOQ_STATUS_CRASHED}, /* nothing that it has */
    {"return:1,2", "", ISOQ_STATUS_CRASHED},   /* not the next one */
    {"exit-unrewound:always", "", ISOQ_STATUS_CRASHED},
};

START_TEST(test_an_end_is_the_running_jobs_alone) {
  struct told *entry;
  size_t first;

  start_and_wait(1);
  warm_up();
  submit("quick", ",\"timeout_ms\":60000"); /* whose deadline nobody here waits for */
  entry = submit(ends_with_others_behind[_i].code, ends_with_others_behind[_i].more);
  first = submitted;
  for (int i = 0; i < 6; i++)
    submit("quick:behind", "");
  run_until(done_calls == submitted);
  assert_status(entry, ends_with_others_behind[_i].status);
  for (size_t i = first; i < submitted; i++) {
    assert_status(&told[i], ISOQ_STATUS_OK);
    ck_assert_str_eq(told[i].result.result.data, "behind");
  }
}
END_TEST

START_TEST(test_a_job_that_has_begun_cannot_be_given_back) {
  struct told *entry;

  start_and_wait(1);
  entry = run("return:-1,0", "");
  assert_failed(entry, ISOQ_STATUS_CRASHED, "it returned job number 1, which it had begun");
  wait_for_end(OUTCOME_END_PROTOCOL);
}
END_TEST

START_TEST(test_a_job_that_has_its_result_cannot_be_given_back) {
  struct told *entry;

  start_and_wait(1);
  warm_up();
  submit("quick", "");
  entry = submit("result-return", "");
  run_until(done_calls == submitted);
  assert_status(entry, ISOQ_STATUS_OK);
  wait_for_end(OUTCOME_END_PROTOCOL);
  assert_next_is_served();
  ck_assert_uint_eq(entry->times, 1);
}
END_TEST

/* However long the executor says that it took: it was not begun before it was given. */
START_TEST(test_no_job_started_before_it_was_given) {
  struct timespec now;
  int64_t before;

  start_and_wait(1);
  warm_up();
  clock_gettime(CLOCK_REALTIME, &now);
  before = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
  submit("quick", "");
  submit("eternal", "");
  run_until(done_calls == submitted);
  for (size_t i = submitted - 2; i < submitted; i++) {
    ck_assert_int_ge(told[i].result.started_at_ms, before);
    ck_assert_int_le(told[i].result.started_at_ms, told[i].result.finished_at_ms);
  }
}
END_TEST

START_TEST(test_each_job_ahead_has_its_own_limits) {
  struct told *allowed, *over;

  start_and_wait(1);
  warm_up();
  submit("quick", ",\"max_output_bytes\":10");
  allowed = submit("print-bytes:90000", "");
  over = submit("print-bytes:90000", ",\"max_output_bytes\":10");
  run_until(done_calls == submitted);
  assert_status(allowed, ISOQ_STATUS_OK);
  assert_failed(over, ISOQ_STATUS_CRASHED, "over max_output_bytes 10");
}
END_TEST

START_TEST(test_a_job_ahead_that_begins_nevertheless_is_cancelled_then) {
  const char *fifo = make_fifo("gate");
  struct told *gate, *cancelled;

  start_and_wait(1);
  warm_up();
  gate = submit_deaf_gate(fifo, "");
  cancelled = submit("cancellable", ",\"timeout_ms\":60000");
  ck_assert_int_eq(pool_cancel(pool, NULL, cancelled->id), 0);
  open_gate(fifo);
  run_until(gate->times + cancelled->times == 2);
  assert_status(gate, ISOQ_STATUS_OK);
  assert_status(cancelled, ISOQ_STATUS_CANCELLED);
}
END_TEST

static const char *const for_another_process[] = {",\"tenant\":\"other\"", ",\"isolation\":\"process\""};

START_TEST(test_a_job_for_another_process_is_not_sent_ahead) {
  struct told *first, *other;

  start_and_wait(1);
  warm_up();
  first = submit("pid", "");
  other = submit("pid", for_another_process[_i]);
  run_until(done_calls == submitted);
  ck_assert_str_ne(first->result.result.data, other->result.result.data);
}
END_TEST

START_TEST(test_an_executor_that_is_sent_jobs_ahead_ends_in_its_time) {
  unsigned served, most = 0;

  options.max_jobs_per_executor = 30;
  start_and_wait(1);
  for (int i = 0; i < 200; i++)
    submit("pid", "");
  run_until(done_calls == submitted);
  for (size_t i = 0; i < submitted; i++) {
    served = 0;
    for (size_t j = 0; j < submitted; j++)
      served += strcmp(told[i].result.result.data, told[j].result.result.data) == 0;
    if (served > most) most = served;
  }
  ck_assert_uint_le(most, 60);
}
END_TEST

static const char *taken_order[JOBS_MAX];

static void note_taken(void *ctx, struct job *job) {
  taken_order[taken_back] = told_of(job->id)->id;
  on_taken(ctx, job);
}

START_TEST(test_jobs_that_come_back_are_before_younger_ones) {
  const char *fifo = make_fifo("gate");
  struct told *gate, *cancelled;

  start_and_wait(1);
  warm_up();
  gate = submit_gate(fifo);
  cancelled = submit("quick", "");
  for (int i = 0; i < 12; i++)
    submit("quick", "");
  ck_assert_int_eq(pool_cancel(pool, NULL, cancelled->id), 0);
  run_until(cancelled->times == 1);
  pool_take_waiting(pool, 0, note_taken, &taken_back);
  ck_assert_uint_eq(taken_back, 12);
  for (size_t i = 0; i < taken_back; i++)
    ck_assert_ptr_eq(taken_order[i], cancelled[1 + i].id);
  open_gate(fifo);
  run_until(gate->times == 1);
}
END_TEST

START_TEST(test_nothing_is_sent_ahead_that_could_not_come_back) {
  const char *fifo = make_fifo("gate");
  struct told *gate, *cancelled;

  start_and_wait(1);
  warm_up();
  gate = submit_deaf_gate(fifo, "");
  cancelled = submit("quick", "");
  ck_assert_int_eq(pool_cancel(pool, NULL, cancelled->id), 0); /* a question that has no answer yet */
  submit("quick", "");
  pool_take_waiting(pool, 0, on_taken, &taken_back);
  ck_assert_uint_eq(taken_back, 1);
  open_gate(fifo);
  run_until(gate->times + cancelled->times == 2);
}
END_TEST

START_TEST(test_a_large_job_is_not_sent_ahead) {
  const char *fifo = make_fifo("gate");
  char *more = malloc(100000);
  struct told *gate;

  ck_assert_ptr_nonnull(more);
  snprintf(more, 100000, ",\"input\":\"%*s\"", 70000, "x");
  start_and_wait(1);
  warm_up();
  gate = submit_gate(fifo);
  submit("quick", more);
  free(more);
  pool_take_waiting(pool, 0, on_taken, &taken_back);
  ck_assert_uint_eq(taken_back, 1);
  open_gate(fifo);
  run_until(gate->times == 1);
}
END_TEST

static const char *gate_of_the_killed;

/* The RESULT of the job whose time is over comes after the last look, and before the kill. */
static void kill_too_late(const struct spawn_child *child, int signal) {
  struct pollfd answer = {.fd = child->socket, .events = POLLIN};

  if (gate_of_the_killed != NULL) {
    open_gate(gate_of_the_killed);
    gate_of_the_killed = NULL;
    ck_assert_int_eq(poll(&answer, 1, PATIENCE_S * 1000), 1);
  }
  spawn_signal(child, signal);
}

START_TEST(test_a_kill_for_one_job_does_not_cost_the_next_one) {
  static const struct executor_faults faults = {.signal = kill_too_late};
  const char *one = make_fifo("one"), *two = make_fifo("two");
  struct told *late, *next;

  options.faults = &faults;
  start_and_wait(1);
  warm_up();
  gate_of_the_killed = one;
  late = submit_deaf_gate(one, ",\"timeout_ms\":100");
  next = submit_gate(two);
  run_until(late->times == 1);
  assert_status(late, ISOQ_STATUS_OK);
  wait_for_end(OUTCOME_END_TIMEOUT);
  ck_assert_uint_eq(next->times, 0);
  run_until(pool_busy(pool) == 1);
  open_gate(two);
  run_until(next->times == 1);
  assert_status(next, ISOQ_STATUS_OK);
}
END_TEST

static const char *done_order[JOBS_MAX];
static size_t done_count;

static void note_order(struct job *job, struct job_result *result) {
  (void)result;
  done_order[done_count++] = told_of(job->id)->id;
}

START_TEST(test_jobs_ahead_do_not_overtake_another_tenants_job_for_ever) {
  struct told *other;
  size_t before, place = 0;

  start_and_wait(1);
  warm_up();
  in_done = note_order;
  done_count = 0;
  before = submitted;
  for (int i = 0; i < 20; i++)
    submit("quick", "");
  other = submit("quick", ",\"tenant\":\"other\"");
  for (int i = 0; i < 40; i++)
    submit("quick", "");
  run_until(done_calls == submitted);
  while (done_order[place] != other->id)
    place++;
  ck_assert_uint_le(place, 20 + EXECUTOR_AHEAD_MAX);
  ck_assert_uint_eq(done_count, submitted - before);
}
END_TEST

START_TEST(test_take_back_takes_what_was_sent_ahead) {
  const char *fifo = make_fifo("gate");

  start_and_wait(1);
  warm_up();
  submit_gate(fifo);
  for (int i = 0; i < 12; i++)
    submit("quick", "");
  pool_take_back(pool, on_taken, &taken_back);
  ck_assert_uint_eq(taken_back, 13);
  ck_assert_uint_eq(pool_busy(pool) + pool_waiting(pool), 0);
}
END_TEST

#define RECORDED ",\"record\":true"

START_TEST(test_a_recorded_job_brings_its_trace) {
  struct told *entry;

  limits.record_max_bytes = 1 << 20;
  start_and_wait(1);
  entry = run("trace:c5 r00 ", RECORDED);
  ck_assert_str_eq(entry->result.result.data, "recorded");
  ck_assert_str_eq(entry->result.trace.data, "c5 r00 t1 ");
  ck_assert(entry->result.ran && !entry->result.trace_left_out);
  entry = run("ok", RECORDED); /* nothing of it is left for the next */
  ck_assert_ptr_null(entry->result.trace.data);
}
END_TEST

START_TEST(test_the_trace_of_a_crash_is_kept) {
  struct told *entry;

  limits.record_max_bytes = 1 << 20;
  start_and_wait(1);
  entry = run("trace-crash:c5 ", RECORDED);
  assert_failed(entry, ISOQ_STATUS_CRASHED, "SIGABRT");
  ck_assert_str_eq(entry->result.trace.data, "c5 ");
}
END_TEST

START_TEST(test_traces_have_limits) {
  struct told *entry;

  limits.record_max_bytes = 4096;
  start_and_wait(1);
  entry = run("trace-bytes:5000", RECORDED);
  ck_assert_int_eq(entry->result.status, ISOQ_STATUS_OK);
  ck_assert(entry->result.trace_left_out);
  ck_assert_uint_eq(entry->result.trace.len, 4000); /* whole pieces */
  entry = run("trace-bytes:9000000", RECORDED);
  assert_failed(entry, ISOQ_STATUS_CRASHED, "protocol: a trace of more than 8388608 bytes");
  entry = run("trace:\\u00e9 ", RECORDED);
  assert_failed(entry, ISOQ_STATUS_CRASHED, "protocol: a TRACE message that cannot be read");
}
END_TEST

START_TEST(test_the_pool_knows_the_version_of_v8) {
  start_and_wait(1);
  ck_assert_uint_gt(strlen(pool_v8_version(pool)), 0);
}
END_TEST

START_TEST(test_output_survives_a_crash) {
  struct told *entry;

  start_and_wait(1);
  entry = run("print-crash:last words", "");
  assert_failed(entry, ISOQ_STATUS_CRASHED, "SIGABRT");
  ck_assert_str_eq(entry->result.stdout_text.data, "last words\n");
  ck_assert_uint_eq(entry->result.console_count, 2);
}
END_TEST

START_TEST(test_kill_from_outside) {
  struct told *who, *entry;

  start_and_wait(1);
  who = run("pid", "");
  entry = submit("print-hang:so far", "");
  kill((pid_t)atoi(who->result.result.data), SIGKILL);
  run_until(entry->times == 1);
  assert_failed(entry, ISOQ_STATUS_CRASHED, "SIGKILL, not by its worker");
  wait_for_end(OUTCOME_END_SIGNAL);
  assert_next_is_served();
}
END_TEST

START_TEST(test_kill_from_outside_keeps_output) {
  const char *fifo = make_fifo("fifo");
  char code[128];
  struct told *who, *entry;
  int fd;

  start_and_wait(1);
  who = run("pid", "");
  snprintf(code, sizeof(code), "print-fifo-hang:%s", fifo);
  entry = submit(code, "");
  fd = open(fifo, O_RDONLY | O_CLOEXEC); /* returns when it has printed, and nobody has read that */
  ck_assert_int_ge(fd, 0);
  kill((pid_t)atoi(who->result.result.data), SIGKILL);
  run_until(entry->times == 1);
  assert_failed(entry, ISOQ_STATUS_CRASHED, "SIGKILL, not by its worker");
  ck_assert_uint_eq(entry->result.console_count, 2);
  ck_assert_str_eq(entry->result.console[0].text.data, fifo);
  close(fd);
}
END_TEST

START_TEST(test_result_before_the_death_counts) {
  struct told *entry;

  start_and_wait(1);
  entry = run("result-and-exit", "");
  assert_status(entry, ISOQ_STATUS_OK);
  ck_assert_str_eq(entry->result.result.data, "complete");
  wait_for_end(OUTCOME_END_EXIT);
  assert_next_is_served();
}
END_TEST

START_TEST(test_executor_that_closes_is_given_no_job) {
  const char *fifo = make_fifo("fifo");
  char code[128];
  struct told *entry, *next;
  int fd;

  start_and_wait(1);
  snprintf(code, sizeof(code), "result-close-fifo:%s", fifo);
  entry = submit(code, "");
  next = submit("ok:elsewhere", "");
  fd = open(fifo, O_RDONLY | O_CLOEXEC);
  run_until(entry->times == 1 && next->times == 1);
  assert_status(entry, ISOQ_STATUS_OK);
  assert_status(next, ISOQ_STATUS_OK);
  wait_for_end(OUTCOME_END_BROKER); /* it went on living without a socket */
  close(fd);
}
END_TEST

START_TEST(test_two_results) {
  struct told *entry, *next;

  start_and_wait(1);
  entry = submit("twice", "");
  next = submit("ok:mine", "");
  run_until(entry->times == 1 && next->times == 1);
  assert_status(entry, ISOQ_STATUS_OK);
  ck_assert_str_eq(entry->result.result.data, "first");
  /* The second one reached nobody. */
  assert_status(next, ISOQ_STATUS_OK);
  ck_assert_str_eq(next->result.result.data, "mine");
  wait_for_end(OUTCOME_END_PROTOCOL);
}
END_TEST

START_TEST(test_output_up_to_the_limit_is_fine) {
  struct told *entry;

  start_and_wait(1);
  entry = run("print-bytes:100000", "");
  assert_status(entry, ISOQ_STATUS_OK);
  ck_assert_uint_eq(entry->result.stdout_text.len, 100001);
  entry = run("result-bytes:1048576", "");
  assert_status(entry, ISOQ_STATUS_OK);
  ck_assert_uint_eq(entry->result.result.len, 1048576);
  ck_assert_uint_eq(pool_counters(pool)->started, 1);
}
END_TEST

START_TEST(test_idle_executor_dies) {
  struct told *who;

  start_and_wait(1);
  who = run("pid", "");
  kill((pid_t)atoi(who->result.result.data), SIGKILL);
  run_until(ended(OUTCOME_END_SIGNAL) == 1);
  assert_next_is_served();
  ck_assert_uint_eq(done_calls, 2);
}
END_TEST

START_TEST(test_neighbours_are_left_alone) {
  struct told *slow[3], *bad;

  start_and_wait(4);
  for (int i = 0; i < 3; i++)
    slow[i] = submit("cancellable", "");
  bad = submit("no-such-type", "");
  run_until(bad->times == 1);
  for (int i = 0; i < 3; i++) {
    ck_assert_uint_eq(slow[i]->times, 0);
    pool_cancel(pool, NULL, slow[i]->id);
    run_until(slow[i]->times == 1);
    assert_status(slow[i], ISOQ_STATUS_CANCELLED);
  }
}
END_TEST

static bool deaf_to_kill;

static void signal_that_does_nothing(const struct spawn_child *child, int number) {
  if (!deaf_to_kill) spawn_signal(child, number);
}

START_TEST(test_process_that_cannot_be_killed) {
  static const struct executor_faults faults = {.signal = signal_that_does_nothing};
  struct told *entry;

  /* As one that is stuck in the kernel. The job must not wait for it. */
  deaf_to_kill = true;
  options.faults = &faults;
  start_and_wait(1);
  entry = submit("print-hang:x", ",\"timeout_ms\":50");
  run_until(entry->times == 1);
  assert_status(entry, ISOQ_STATUS_TIMEOUT);
  ck_assert_str_eq(entry->result.stdout_text.data, "x\n");
  assert_next_is_served();
}
END_TEST

/* ---- starting ---- */

START_TEST(test_no_program) {
  char error[256] = "";

  options.executor_path = "/nowhere/isoq-executor";
  ck_assert_int_eq(try_start(error, sizeof(error)), -ENOENT);
  ck_assert_ptr_nonnull(strstr(error, "/nowhere/isoq-executor"));
  ck_assert_ptr_nonnull(strstr(error, "executor_path"));
  ck_assert_ptr_null(pool);
}
END_TEST

static const struct {
  const char *manner, *trouble;
  enum outcome_end end;
} bad_starts[] = {
#ifndef ISOQ_SANITIZE /* there, it speaks to our own stderr */
    {".refused", "isoq-executor: sandbox: seccomp: Function not implemented (exit status 73)",
     OUTCOME_END_START},
#endif
    {".mute", "the executor ended before it was ready and said nothing (exit status 1)", OUTCOME_END_START},
    {".old", "it speaks version 0 of the protocol", OUTCOME_END_PROTOCOL},
    {".unlocked", "it is not locked down", OUTCOME_END_PROTOCOL},
    {".silent", "the executor did not get ready within 100 ms", OUTCOME_END_START},
    {".fleeting", "exit status 0", OUTCOME_END_EXIT},
};

/* A script in the place of one program that runs another. */
static int wrap(const char *path, const char *program) {
  FILE *out = fopen(path, "we");

  if (out == NULL) return -errno;
  fprintf(out, "#!/bin/sh\nexec %s \"$@\"\n", program);
  fchmod(fileno(out), 0755);
  return fclose(out);
}

START_TEST(test_bad_start) {
  char *path, link[PATH_MAX];
  struct told *entry;

  options.start_timeout_ms = strcmp(bad_starts[_i].manner, ".silent") == 0 ? 100 : 10000;
  options.executor_path = named(bad_starts[_i].manner);
  start(2);
  /* One that does say HELLO may be given a job before it dies, and that is the job's crash. */
  entry = bad_starts[_i].end != OUTCOME_END_EXIT ? submit("ok:in the end", "") : NULL;
  run_until(trouble_calls >= 3);
  ck_assert_ptr_nonnull(pool_trouble(pool));
  ck_assert_msg(strstr(pool_trouble(pool), bad_starts[_i].trouble) != NULL, "%s", pool_trouble(pool));
  ck_assert_uint_ge(ended(bad_starts[_i].end), 3);
  ck_assert_uint_eq(done_calls, 0); /* the job waits for better times */

  /* The program is repaired: the pool gets well by itself. */
  path = strdup(options.executor_path);
  named("");
  ck_assert_int_eq(unlink(path), 0);
  snprintf(link, sizeof(link), "%s/fake-executor", folder);
  /* The name says how to behave, so the good one must be a program of another name. */
  ck_assert_int_eq(wrap(path, link), 0);
  run_until(pool_free_slots(pool) == 2);
  if (entry != NULL) assert_status(entry, ISOQ_STATUS_OK);
  assert_next_is_served();
  ck_assert_ptr_null(pool_trouble(pool));
  free(path);
}
END_TEST

START_TEST(test_backoff_doubles) {
  options.executor_path = named(".mute");
  start(4);
  run_until(trouble_calls == 5);
  for (unsigned i = 0; i < 5; i++) {
    ck_assert_int_le(trouble_retry_ms[i], 100 << i);
    ck_assert_int_ge(trouble_retry_ms[i], (100 << i) * 3 / 4);
  }
  /* Four at first, then one at a time. */
  ck_assert_uint_eq(pool_counters(pool)->started, 4 + 4);
}
END_TEST

START_TEST(test_program_disappears_and_comes_back) {
  const char *path = strdup(named(".gone"));
  struct told *entry;

  options.executor_path = path;
  start_and_wait(1);
  ck_assert_int_eq(unlink(path), 0);
  run("exit:0", "");
  entry = submit("ok:back", "");
  run_until(trouble_calls >= 2);
  ck_assert_ptr_nonnull(strstr(pool_trouble(pool), "cannot start"));
  ck_assert_ptr_nonnull(strstr(pool_trouble(pool), "No such file"));
  ck_assert_int_eq(symlink(FAKE_EXECUTOR, path), 0);
  run_until(entry->times == 1);
  assert_status(entry, ISOQ_STATUS_OK);
  ck_assert_ptr_null(pool_trouble(pool));
  free((char *)path);
}
END_TEST

static int no_fork(const char *path, bool unlocked, uint32_t rewind_mb, struct spawn_child *out, char *error,
                   size_t error_size) {
  static int tries;

  if (tries++ < 2) {
    snprintf(error, error_size, "fork: Resource temporarily unavailable");
    return -EAGAIN;
  }
  return spawn_start(path, unlocked, rewind_mb, out, error, error_size);
}

START_TEST(test_fork_fails_for_a_while) {
  static const struct executor_faults faults = {.start = no_fork};

  options.faults = &faults;
  start(1);
  ck_assert_uint_eq(trouble_calls, 1);
  ck_assert_ptr_nonnull(strstr(pool_trouble(pool), "fork: Resource temporarily unavailable"));
  run_until(pool_free_slots(pool) == 1);
  ck_assert_uint_eq(trouble_calls, 2);
  assert_next_is_served();
}
END_TEST

START_TEST(test_unlocked_when_asked_for) {
  options.executor_path = named(".unlocked");
  options.unlocked = true;
  start_and_wait(1);
  assert_next_is_served();
}
END_TEST

/* ---- tenants ---- */

START_TEST(test_tenants_never_share_a_process) {
  static const char *const tenants[] = {",\"tenant\":\"a\"", ",\"tenant\":\"b\"", "", ",\"tenant\":\"c\""};
  char owners[JOBS_MAX][2];
  struct told *a, *again;

  start_and_wait(2);
  for (size_t i = 0; i < 24; i++)
    submit("pid", tenants[(i * 7 + i / 3) % 4]);
  run_until(done_calls == 24);
  for (size_t i = 0; i < 24; i++) {
    owners[i][0] = (char)('0' + (i * 7 + i / 3) % 4);
    for (size_t k = 0; k < i; k++)
      if (strcmp(told[i].result.result.data, told[k].result.result.data) == 0)
        ck_assert_int_eq(owners[i][0], owners[k][0]);
  }
  /* Every one that made room is gone, and nothing else has ended. */
  run_until(ended(OUTCOME_END_RETIRED) == pool_counters(pool)->started - pool_executors(pool));
  /* But one tenant's jobs do share. */
  a = run("pid", tenants[0]);
  again = run("pid", tenants[0]);
  ck_assert_str_eq(a->result.result.data, again->result.result.data);
}
END_TEST

START_TEST(test_own_executor_is_preferred) {
  struct told *a, *b, *again;

  start_and_wait(2);
  a = run("pid", ",\"tenant\":\"a\"");
  b = run("pid", ",\"tenant\":\"b\"");
  ck_assert_str_ne(a->result.result.data, b->result.result.data);
  again = run("pid", ",\"tenant\":\"a\"");
  ck_assert_str_eq(a->result.result.data, again->result.result.data);
  again = run("pid", ",\"tenant\":\"b\"");
  ck_assert_str_eq(b->result.result.data, again->result.result.data);
  ck_assert_uint_eq(pool_counters(pool)->started, 2);
}
END_TEST

START_TEST(test_idle_stranger_is_replaced) {
  struct told *a, *b, *c;

  start_and_wait(2);
  a = run("pid", ",\"tenant\":\"a\"");
  b = run("pid", ",\"tenant\":\"b\"");
  c = run("pid", ",\"tenant\":\"c\"");
  ck_assert_str_ne(c->result.result.data, a->result.result.data);
  ck_assert_str_ne(c->result.result.data, b->result.result.data);
  /* The one that had been idle for longest made room. */
  c = run("pid", ",\"tenant\":\"b\"");
  ck_assert_str_eq(c->result.result.data, b->result.result.data);
  ck_assert_uint_eq(pool_counters(pool)->started, 3);
}
END_TEST

START_TEST(test_no_tenant_starves) {
  struct told *other;
  size_t before;

  /* A queue full of one tenant's jobs, and one of another's in the middle. */
  start_and_wait(1);
  for (int i = 0; i < 5; i++)
    submit("ok:a", ",\"tenant\":\"a\"");
  other = submit("ok:b", ",\"tenant\":\"b\"");
  for (int i = 0; i < 5; i++)
    submit("ok:a", ",\"tenant\":\"a\"");
  run_until(other->times == 1);
  before = done_calls;
  ck_assert_uint_ge(before, 6);
  ck_assert_uint_le(before, 7);
  run_until(done_calls == 11);
}
END_TEST

/* ---- spare executors ---- */

#define STARTS_MAX 64

static bool starts_held; /* they start, and never get ready */
static pid_t started_pids[STARTS_MAX];
static size_t starts;

static int start_recorded(const char *path, bool unlocked, uint32_t rewind_mb, struct spawn_child *out,
                          char *error, size_t error_size) {
  int r = spawn_start(starts_held ? named(".silent") : path, unlocked, rewind_mb, out, error, error_size);

  if (r == 0) started_pids[starts++ % STARTS_MAX] = out->pid;
  return r;
}

static const struct executor_faults recorded = {.start = start_recorded};

/* All of them are ready. */
static void start_with_spares(unsigned executors, unsigned spares) {
  options.spare_executors = spares;
  if (options.faults == NULL) options.faults = &recorded;
  start(executors);
  run_until(pool_executors(pool) == executors + spares);
}

static pid_t pid_of(const struct told *entry) {
  assert_status(entry, ISOQ_STATUS_OK);
  return (pid_t)atoi(entry->result.result.data);
}

/* Ended and reaped. */
static bool is_gone(pid_t pid) {
  return kill(pid, 0) < 0 && errno == ESRCH;
}

START_TEST(test_spares_start_when_the_executors_are_ready) {
  options.spare_executors = 2;
  options.faults = &recorded;
  start(1);
  ck_assert_uint_eq(starts, 1);
  starts_held = true;
  run_until(pool_executors(pool) == 1);
  ck_assert_uint_eq(starts, 2); /* and one after the other */
  ck_assert_uint_eq(pool_free_slots(pool), 1);
  assert_next_is_served();
  ck_assert_uint_eq(starts, 2);
}
END_TEST

START_TEST(test_spares_are_no_more_slots) {
  start_with_spares(2, 3);
  ck_assert_uint_eq(pool_free_slots(pool), 2);
  ck_assert_uint_eq(last_capacity, 2);
  for (int i = 0; i < 4; i++)
    submit("cancellable", i % 2 == 0 ? ",\"tenant\":\"a\"" : ",\"isolation\":\"process\"");
  ck_assert_uint_eq(pool_busy(pool), 2);
  ck_assert_uint_eq(pool_waiting(pool), 2);
  ck_assert_uint_eq(pool_free_slots(pool), 0);
  for (int i = 0; i < 4; i++)
    pool_cancel(pool, NULL, told[i].id);
  run_until(done_calls == 4 && pool_executors(pool) == 5);
  ck_assert_uint_eq(pool_free_slots(pool), 2);
}
END_TEST

static bool all_done_and_one_at_a_time(size_t jobs) {
  ck_assert_uint_le(pool_busy(pool), 1);
  return done_calls == jobs;
}

START_TEST(test_job_of_a_dying_executor_still_counts) {
  /* Each of these leaves its executor without a word, and for a while nobody knows whether it goes on. */
  start_with_spares(1, 2);
  for (int i = 0; i < 3; i++)
    submit("close", "");
  for (int i = 0; i < 3; i++)
    submit("dying-and-living-on", "");
  run_until(all_done_and_one_at_a_time(6));
}
END_TEST

static const char *const unclean_ends[] = {"die-by:11", "exit:0", "timeout:x", "no-such-type", "close"};

START_TEST(test_unclean_end_is_followed_by_the_spare) {
  struct told *next;

  start_with_spares(1, 1);
  starts_held = true;
  submit(unclean_ends[_i], "");
  next = submit("pid", "");
  run_until(done_calls == 2);
  ck_assert_int_eq(pid_of(next), started_pids[1]);
  run_until(is_gone(started_pids[0]));
  ck_assert_uint_eq(starts, 3); /* a new spare is on its way */
  ck_assert_uint_eq(pool_free_slots(pool), 1);
}
END_TEST

START_TEST(test_kill_of_a_running_executor_is_followed_by_the_spare) {
  struct told *victim, *next;

  start_with_spares(1, 1);
  victim = submit("hang", "");
  starts_held = true;
  kill(started_pids[0], SIGKILL);
  next = submit("pid", "");
  run_until(done_calls == 2);
  assert_status(victim, ISOQ_STATUS_CRASHED);
  ck_assert_int_eq(pid_of(next), started_pids[1]);
}
END_TEST

START_TEST(test_other_tenant_gets_the_spare) {
  struct told *a, *b;

  start_with_spares(1, 1);
  a = run("pid", ",\"tenant\":\"a\"");
  starts_held = true;
  b = run("pid", ",\"tenant\":\"b\"");
  ck_assert_int_ne(pid_of(a), pid_of(b));
  run_until(is_gone(pid_of(a))); /* no more are bound than there are slots */
  ck_assert_uint_eq(ended(OUTCOME_END_RETIRED), 1);
  ck_assert_uint_eq(starts, 3);
  ck_assert_int_eq(pid_of(run("pid", ",\"tenant\":\"b\"")), pid_of(b));
}
END_TEST

START_TEST(test_worn_executor_is_followed_by_the_spare) {
  struct told *first, *second, *third;

  options.max_jobs_per_executor = 2;
  start_with_spares(1, 1);
  starts_held = true;
  first = run("pid", "");
  second = run("pid", "");
  third = run("pid", "");
  ck_assert_int_eq(pid_of(first), pid_of(second));
  ck_assert_int_ne(pid_of(first), pid_of(third));
  run_until(ended(OUTCOME_END_RETIRED) == 1);
  ck_assert_uint_eq(starts, 3);
}
END_TEST

START_TEST(test_idle_spare_dies_and_is_replaced) {
  struct told *bound;

  start_with_spares(1, 1);
  bound = run("pid", "");
  kill(started_pids[0] == pid_of(bound) ? started_pids[1] : started_pids[0], SIGKILL);
  run_until(ended(OUTCOME_END_SIGNAL) == 1 && pool_executors(pool) == 2);
  ck_assert_int_eq(pid_of(run("pid", "")), pid_of(bound));
}
END_TEST

START_TEST(test_waiting_jobs_get_more_than_the_spare_that_is_starting) {
  static const char *const tenants[] = {",\"tenant\":\"a\"", ",\"tenant\":\"b\"", ",\"tenant\":\"c\""};

  options.start_timeout_ms = 1000;
  start_with_spares(3, 1);
  for (int i = 0; i < 3; i++)
    submit("pid", tenants[i]);
  run_until(done_calls == 3 && pool_executors(pool) == 4);
  /* This one takes the spare, and the next spare hangs in its start. */
  starts_held = true;
  submit("cancellable", ",\"isolation\":\"process\"");
  ck_assert_uint_eq(pool_busy(pool), 1);
  starts_held = false;
  submit("pid", ",\"isolation\":\"process\"");
  ck_assert_uint_eq(starts, 5); /* that one will do */
  submit("pid", ",\"isolation\":\"process\"");
  ck_assert_uint_eq(starts, 6);
  run_until(done_calls == 5);
  pool_cancel(pool, NULL, told[3].id);
  run_until(done_calls == 6);
}
END_TEST

START_TEST(test_backoff_holds_with_spares) {
  options.executor_path = named(".mute");
  options.spare_executors = 3;
  start(2);
  run_until(trouble_calls == 4);
  for (unsigned i = 0; i < 4; i++) {
    ck_assert_int_le(trouble_retry_ms[i], 100 << i);
    ck_assert_int_ge(trouble_retry_ms[i], (100 << i) * 3 / 4);
  }
  ck_assert_uint_eq(pool_counters(pool)->started, 2 + 3); /* never more than one at a time after the first */
}
END_TEST

START_TEST(test_no_executor_is_given_up_while_none_can_start) {
  static const struct executor_faults faults = {.start = start_unless_told};
  struct told *a, *b;

  options.faults = &faults;
  start_and_wait(2);
  a = run("pid", ",\"tenant\":\"a\"");
  starts_fail = true;
  run("exit:0", ",\"tenant\":\"b\"");
  run_until(pool_trouble(pool) != NULL);
  b = submit("pid", ",\"tenant\":\"b\"");
  submit("pid", ",\"tenant\":\"c\"");
  ck_assert_int_eq(pid_of(run("pid", ",\"tenant\":\"a\"")), pid_of(a));
  ck_assert_uint_eq(b->times, 0);
  starts_fail = false;
  run_until(done_calls == submitted);
}
END_TEST

/* ---- a process of its own ---- */

#define OWN ",\"isolation\":\"process\""

START_TEST(test_own_process_has_served_nobody) {
  struct told *shared, *own;

  options.spare_executors = _i > 0 ? 1 : 0;
  start_and_wait(2);
  shared = run("pid", "");
  own = run("pid", OWN);
  ck_assert_int_ne(pid_of(shared), pid_of(own));
  run_until(is_gone(pid_of(own)));
  ck_assert_int_eq(pid_of(run("pid", "")), pid_of(shared));
}
END_TEST

START_TEST(test_own_process_makes_a_used_one_go) {
  struct told *shared, *own;

  options.spare_executors = _i > 0 ? 1 : 0;
  start_and_wait(1);
  shared = run("pid", "");
  own = run("pid", OWN);
  ck_assert_int_ne(pid_of(shared), pid_of(own));
  run_until(is_gone(pid_of(shared)) && is_gone(pid_of(own)));
  run_until(pool_executors(pool) == 1 + options.spare_executors);
  assert_next_is_served();
}
END_TEST

static const char *const ends[] = {"ok:x", "error:x", "timeout:x", "die-by:11", "twice", "hang"};

START_TEST(test_own_process_ends_whatever_the_outcome) {
  options.faults = &recorded;
  start_and_wait(1);
  run(ends[_i], OWN ",\"timeout_ms\":300");
  run_until(is_gone(started_pids[0]));
  ck_assert_int_eq(pid_of(run("pid", "")), started_pids[1]);
}
END_TEST

START_TEST(test_own_processes_of_one_tenant_differ) {
  pid_t pids[12];

  options.spare_executors = _i > 0 ? 1 : 0;
  start_and_wait(2);
  for (size_t i = 0; i < 12; i++)
    submit("pid", i % 3 == 2 ? ",\"tenant\":\"a\"" : ",\"tenant\":\"a\"" OWN);
  run_until(done_calls == 12);
  for (size_t i = 0; i < 12; i++) {
    pids[i] = pid_of(&told[i]);
    for (size_t k = 0; k < i; k++)
      if (i % 3 != 2 || k % 3 != 2) ck_assert_int_ne(pids[i], pids[k]);
  }
  for (size_t i = 0; i < 12; i++)
    if (i % 3 != 2) run_until(is_gone(pids[i]));
}
END_TEST

START_TEST(test_slot_of_an_own_process_is_free_when_a_job_could_start) {
  start_with_spares(1, 1);
  starts_held = true;
  run("ok:x", OWN);
  ck_assert_uint_eq(pool_free_slots(pool), 1); /* there is the spare */
  run("ok:x", OWN);
  ck_assert_uint_eq(pool_free_slots(pool), 0); /* there is none */
  ck_assert_uint_eq(last_capacity, 0);
}
END_TEST

START_TEST(test_own_process_is_the_default_when_the_configuration_says_so) {
  const struct job_limits usual = limits;
  struct config config;
  struct pool_options from_config;
  char error[CONFIG_ERROR_SIZE];
  struct told *first, *second, *third;

  ck_assert_int_eq(config_init(&config), 0);
  settings_pool(&config, &from_config);
  ck_assert_uint_eq(from_config.spare_executors, 1);
  settings_job_limits(&config, &limits);
  ck_assert(!limits.own_process);
  ck_assert_int_eq(config_set(&config, "isolation", "process", error, sizeof(error)), 0);
  ck_assert_int_eq(config_set(&config, "spare_executors", "2", error, sizeof(error)), 0);
  settings_pool(&config, &from_config);
  settings_job_limits(&config, &limits);
  start_with_spares(1, from_config.spare_executors);
  ck_assert_uint_eq(pool_executors(pool), 3);
  first = run("pid", "");
  second = run("pid", ",\"isolation\":\"isolate\"");
  third = run("pid", ",\"isolation\":\"isolate\"");
  ck_assert_int_ne(pid_of(first), pid_of(second));
  ck_assert_int_eq(pid_of(second), pid_of(third));
  ck_assert_int_ne(pid_of(run("pid", "")), pid_of(first));
  config_free(&config);
  limits = usual;
}
END_TEST

/* ---- taking back ---- */

START_TEST(test_take_back) {
  start_and_wait(2);
  for (int i = 0; i < 5; i++)
    submit("print-hang:x", "");
  ck_assert_uint_eq(pool_busy(pool), 2);
  pool_take_back(pool, on_taken, &taken_back);
  ck_assert_uint_eq(taken_back, 5);
  ck_assert_uint_eq(pool_busy(pool), 0);
  ck_assert_uint_eq(pool_waiting(pool), 0);
  run_until(ended(OUTCOME_END_RETIRED) == 2);
  ck_assert_uint_eq(done_calls, 0);
  ck_assert_uint_eq(pool_counters(pool)->started, 2); /* and no new ones */

  struct job *late = make_job("late", "ok", "");

  ck_assert_int_eq(pool_submit(pool, late), -ESHUTDOWN);
  job_free(late);
}
END_TEST

START_TEST(test_take_waiting) {
  struct told *running;

  start_and_wait(1);
  running = submit("cancellable", "");
  submit("ok:1", "");
  submit("ok:2", "");
  pool_take_waiting(pool, 60000, on_taken, &taken_back);
  ck_assert_uint_eq(taken_back, 0);
  pool_take_waiting(pool, 0, on_taken, &taken_back);
  ck_assert_uint_eq(taken_back, 2);
  ck_assert_uint_eq(pool_waiting(pool), 0);
  pool_cancel(pool, NULL, running->id);
  run_until(running->times == 1);
  assert_next_is_served();
}
END_TEST

START_TEST(test_free_with_jobs_inside) {
  start_and_wait(2);
  for (int i = 0; i < 5; i++)
    ck_assert_int_eq(pool_submit(pool, make_job("unheard", "hang", "")), 0);
  event_base_loop(base, EVLOOP_NONBLOCK);
  /* tear_down() frees the pool, and looks for what is left of its processes. */
}
END_TEST

int main(void) {
  Suite *suite = suite_create("pool");
  TCase *tests = tcase_create("pool"), *ahead = tcase_create("ahead");
  SRunner *runner;
  int failed;

  tcase_add_checked_fixture(tests, set_up, tear_down);
  tcase_set_timeout(tests, 60);
  tcase_add_checked_fixture(ahead, set_up, tear_down);
  tcase_set_timeout(ahead, 60);
  tcase_add_test(tests, test_result_is_passed_on);
  tcase_add_test(tests, test_error_keeps_the_executor);
  tcase_add_test(tests, test_console_is_kept);
  tcase_add_test(tests, test_limits_reach_the_executor);
  tcase_add_test(tests, test_large_input_and_result);
  tcase_add_test(tests, test_many_jobs_in_order);
  tcase_add_test(tests, test_jobs_given_before_any_executor_is_ready);
  tcase_add_test(tests, test_submit_from_within_done);
  tcase_add_test(tests, test_capacity_is_told);
  tcase_add_test(tests, test_replaced_after_its_number_of_jobs);
  tcase_add_test(tests, test_worn_executor_works_on_while_there_is_no_other);
  tcase_add_test(tests, test_no_more_jobs_at_once_than_executors);
  tcase_add_test(tests, test_hang_is_killed_as_timeout);
  tcase_add_test(tests, test_own_timeout_replaces_the_executor);
  tcase_add_test(tests, test_processor_time_is_watched);
  tcase_add_test(tests, test_resident_size_is_watched);
  tcase_add_test(tests, test_memory_within_the_limit_is_fine);
  tcase_add_test(tests, test_cancel_running);
  tcase_add_test(tests, test_cancel_what_does_not_stop);
  tcase_add_test(tests, test_cancel_waiting);
  tcase_add_test(tests, test_a_job_whose_executor_could_not_be_rewound_before_it_runs_in_another);
  tcase_add_test(tests, test_a_job_that_no_executor_begins_fails_after_a_few);
  tcase_add_test(tests, test_a_job_that_has_begun_is_not_run_again);
  tcase_add_loop_test(tests, test_death, 0, (int)(sizeof(deaths) / sizeof(deaths[0])));
  tcase_add_test(tests, test_output_survives_a_crash);
  tcase_add_test(tests, test_a_recorded_job_brings_its_trace);
  tcase_add_test(tests, test_the_trace_of_a_crash_is_kept);
  tcase_add_test(tests, test_traces_have_limits);
  tcase_add_test(tests, test_the_pool_knows_the_version_of_v8);
  tcase_add_test(tests, test_kill_from_outside);
  tcase_add_test(tests, test_kill_from_outside_keeps_output);
  tcase_add_test(tests, test_result_before_the_death_counts);
  tcase_add_test(tests, test_executor_that_closes_is_given_no_job);
  tcase_add_test(tests, test_two_results);
  tcase_add_test(tests, test_output_up_to_the_limit_is_fine);
  tcase_add_test(tests, test_idle_executor_dies);
  tcase_add_test(tests, test_neighbours_are_left_alone);
  tcase_add_test(tests, test_process_that_cannot_be_killed);
  tcase_add_test(tests, test_no_program);
  tcase_add_loop_test(tests, test_bad_start, 0, (int)(sizeof(bad_starts) / sizeof(bad_starts[0])));
  tcase_add_test(tests, test_backoff_doubles);
  tcase_add_test(tests, test_program_disappears_and_comes_back);
  tcase_add_test(tests, test_fork_fails_for_a_while);
  tcase_add_test(tests, test_unlocked_when_asked_for);
  tcase_add_test(tests, test_tenants_never_share_a_process);
  tcase_add_test(tests, test_own_executor_is_preferred);
  tcase_add_test(tests, test_idle_stranger_is_replaced);
  tcase_add_test(tests, test_no_tenant_starves);
  tcase_add_test(tests, test_spares_start_when_the_executors_are_ready);
  tcase_add_test(tests, test_spares_are_no_more_slots);
  tcase_add_test(tests, test_job_of_a_dying_executor_still_counts);
  tcase_add_loop_test(tests, test_unclean_end_is_followed_by_the_spare, 0,
                      (int)(sizeof(unclean_ends) / sizeof(unclean_ends[0])));
  tcase_add_test(tests, test_kill_of_a_running_executor_is_followed_by_the_spare);
  tcase_add_test(tests, test_other_tenant_gets_the_spare);
  tcase_add_test(tests, test_worn_executor_is_followed_by_the_spare);
  tcase_add_test(tests, test_idle_spare_dies_and_is_replaced);
  tcase_add_test(tests, test_waiting_jobs_get_more_than_the_spare_that_is_starting);
  tcase_add_test(tests, test_backoff_holds_with_spares);
  tcase_add_test(tests, test_no_executor_is_given_up_while_none_can_start);
  tcase_add_loop_test(tests, test_own_process_has_served_nobody, 0, 2);
  tcase_add_loop_test(tests, test_own_process_makes_a_used_one_go, 0, 2);
  tcase_add_loop_test(tests, test_own_process_ends_whatever_the_outcome, 0,
                      (int)(sizeof(ends) / sizeof(ends[0])));
  tcase_add_loop_test(tests, test_own_processes_of_one_tenant_differ, 0, 2);
  tcase_add_test(tests, test_slot_of_an_own_process_is_free_when_a_job_could_start);
  tcase_add_test(tests, test_own_process_is_the_default_when_the_configuration_says_so);
  tcase_add_test(ahead, test_small_jobs_are_sent_ahead);
  tcase_add_test(ahead, test_jobs_are_not_sent_ahead_of_ones_that_take_longer);
  tcase_add_test(ahead, test_jobs_ahead_of_a_long_one_come_back_to_an_idle_executor);
  tcase_add_test(ahead, test_small_jobs_keep_no_more_executors_busy_than_there_are_processors);
  tcase_add_test(ahead, test_jobs_that_are_not_small_use_every_executor);
  tcase_add_test(ahead, test_idle_executors_are_used_when_small_jobs_are_held_up);
  tcase_add_test(ahead, test_another_tenants_job_gets_an_idle_executor_while_small_jobs_run);
  tcase_add_test(ahead, test_a_job_with_a_process_of_its_own_does_not_wait_for_small_jobs);
  tcase_add_test(ahead, test_a_large_job_does_not_wait_for_small_jobs);
  tcase_add_test(ahead, test_no_job_waits_for_an_executor_that_has_served_its_number);
  tcase_add_test(ahead, test_no_job_waits_for_an_executor_whose_job_is_cancelled);
  tcase_add_test(ahead, test_no_job_waits_for_an_executor_whose_job_takes_long);
  tcase_add_loop_test(ahead, test_small_jobs_do_not_end_another_tenants_executor_at_once, 0, 2);
  tcase_add_test(ahead, test_jobs_that_are_not_small_end_another_tenants_executor_at_once);
  tcase_add_loop_test(ahead, test_a_small_job_that_has_waited_ends_another_tenants_executor, 0, 2);
  tcase_add_test(ahead, test_jobs_ahead_of_a_long_one_can_be_given_back_to_the_queue);
  tcase_add_test(ahead, test_an_executor_that_gave_jobs_back_is_sent_some_again);
  tcase_add_test(ahead, test_a_job_that_was_sent_ahead_is_cancelled_without_running);
  tcase_add_loop_test(ahead, test_an_end_is_the_running_jobs_alone, 0,
                      (int)(sizeof(ends_with_others_behind) / sizeof(ends_with_others_behind[0])));
  tcase_add_test(ahead, test_a_job_that_has_begun_cannot_be_given_back);
  tcase_add_test(ahead, test_a_job_that_has_its_result_cannot_be_given_back);
  tcase_add_test(ahead, test_no_job_started_before_it_was_given);
  tcase_add_test(ahead, test_each_job_ahead_has_its_own_limits);
  tcase_add_test(ahead, test_a_job_ahead_that_begins_nevertheless_is_cancelled_then);
  tcase_add_loop_test(ahead, test_a_job_for_another_process_is_not_sent_ahead, 0,
                      (int)(sizeof(for_another_process) / sizeof(for_another_process[0])));
  tcase_add_test(ahead, test_an_executor_that_is_sent_jobs_ahead_ends_in_its_time);
  tcase_add_test(ahead, test_jobs_that_come_back_are_before_younger_ones);
  tcase_add_test(ahead, test_nothing_is_sent_ahead_that_could_not_come_back);
  tcase_add_test(ahead, test_a_large_job_is_not_sent_ahead);
  tcase_add_test(ahead, test_a_kill_for_one_job_does_not_cost_the_next_one);
  tcase_add_test(ahead, test_jobs_ahead_do_not_overtake_another_tenants_job_for_ever);
  tcase_add_test(ahead, test_take_back_takes_what_was_sent_ahead);
  tcase_add_test(tests, test_take_back);
  tcase_add_test(tests, test_take_waiting);
  tcase_add_test(tests, test_free_with_jobs_inside);
  suite_add_tcase(suite, tests);
  suite_add_tcase(suite, ahead);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? 0 : 1;
}
