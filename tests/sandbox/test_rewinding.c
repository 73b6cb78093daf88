/*
 * Rewinding as the broker sees it: real executors, locked down, that rewind between jobs; and what happens to jobs when
 * one cannot. ISOQ_TEST_PROBE names isoq-executor-probe, whose jobs may spoil the memory of their process (probe.c).
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/executor_exit.h"
#include "worker/spawn.h"
#include "worker/wire.h"

#define PATIENCE_MS 30000
#define MEMORY_MB 256

static const char *probe_path;
static struct spawn_child child;
static struct wire_header header;
static uint8_t *payload;
static char sandbox[300];

static void await(int fd, const char *what) {
  struct pollfd ready = {.fd = fd, .events = POLLIN};
  int r;

  while ((r = poll(&ready, 1, PATIENCE_MS)) < 0 && errno == EINTR)
    ;
  ck_assert_msg(r == 1, "waited too long for %s", what);
}

static bool read_all(void *buffer, size_t len) {
  for (size_t got = 0; got < len;) {
    ssize_t n;

    await(child.socket, "the executor");
    n = read(child.socket, (char *)buffer + got, len - got);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    got += (size_t)n;
  }
  return true;
}

static bool next_frame(void) {
  uint8_t head[WIRE_HEADER_SIZE];

  if (!read_all(head, sizeof(head))) return false;
  ck_assert_int_eq(wire_header_decode(head, &header), 0);
  free(payload);
  payload = malloc(header.length + 1);
  ck_assert_ptr_nonnull(payload);
  return read_all(payload, header.length);
}

static void start(void) {
  char error[SPAWN_ERROR_SIZE];
  struct wire_hello hello;

  ck_assert_msg(spawn_start(probe_path, false, MEMORY_MB, &child, error, sizeof(error)) == 0, "%s", error);
  ck_assert(next_frame());
  ck_assert_int_eq(wire_hello_decode(payload, header.length, &hello), 0);
  snprintf(sandbox, sizeof(sandbox), "%.*s", (int)hello.sandbox.len, hello.sandbox.data);
  ck_assert_ptr_nonnull(strstr(sandbox, ",rewind"));
}

static void stop(void) {
  struct spawn_end end;

  spawn_signal(&child, SIGKILL);
  await(child.pidfd, "the end");
  spawn_reap(&child, &end);
  spawn_close(&child);
  free(payload);
  payload = NULL;
}

/* Of the jobs to come. */
static uint64_t memory_mb = MEMORY_MB;

static void send_job(uint32_t number, const char *code) {
  const struct wire_job job = {.timeout_ms = 20000,
                               .max_timers = 10,
                               .max_heap_bytes = memory_mb << 20,
                               .max_output_bytes = 1 << 20,
                               .max_result_bytes = 1 << 20,
                               .code = {code, strlen(code)}};
  struct wire_buffer buffer = {0};

  ck_assert_int_eq(wire_job_encode(&buffer, number, &job), 0);
  ck_assert_int_eq(send(child.socket, buffer.data, buffer.len, MSG_NOSIGNAL), (ssize_t)buffer.len);
  wire_buffer_free(&buffer);
}

static struct wire_result await_result(uint32_t number) {
  struct wire_result result;

  do
    ck_assert_msg(next_frame(), "the executor ended in job %u", number);
  while (header.type != WIRE_RESULT);
  ck_assert_uint_eq(header.job, number);
  ck_assert_int_eq(wire_result_decode(payload, header.length, &result), 0);
  return result;
}

static void expect(const struct wire_result *result, const char *text, bool retire) {
  ck_assert_int_eq(result->status, ISOQ_STATUS_OK);
  ck_assert_msg(result->result.len == strlen(text) && memcmp(result->result.data, text, strlen(text)) == 0,
                "%.*s", (int)result->result.len, result->result.data);
  ck_assert_int_eq(result->retire, retire);
}

static void expect_exit(int code) {
  struct spawn_end end;

  ck_assert(!next_frame());
  await(child.pidfd, "the end");
  ck_assert_int_eq(spawn_reap(&child, &end), 0);
  ck_assert_msg(end.exited, "killed by signal %d", end.signal);
  ck_assert_int_eq(end.exit_code, code);
}

START_TEST(a_job_finds_nothing_of_the_one_before) {
  struct wire_result result;

  for (uint32_t job = 1; job <= 50; job++) {
    send_job(job, "globalThis.x = (globalThis.x || 0) + 1; Array.prototype.y = 1; String(x)");
    result = await_result(job);
    expect(&result, "1", false);
  }
}
END_TEST

START_TEST(memory_mapped_behind_the_allocator_retires_the_executor_with_its_result) {
  struct wire_result result;

  send_job(1, "//probe spoil more");
  result = await_result(1);
  expect(&result, "spoilt", true);
  send_job(2, "1"); /* is not begun */
  ck_assert_int_eq(shutdown(child.socket, SHUT_WR), 0);
  expect_exit(EXECUTOR_EXIT_OK);
}
END_TEST

static void expect_result_and_then_the_end(const char *code) {
  struct wire_result result;

  send_job(1, "String(6 * 7)");
  result = await_result(1);
  expect(&result, "42", false);
  send_job(2, code);
  send_job(3, "String(6 * 7)"); /* is not begun, and says nothing */
  result = await_result(2);
  expect(&result, "spoilt", false);
  expect_exit(EXECUTOR_EXIT_REWIND);
}

START_TEST(a_rewind_that_finds_other_permissions_ends_the_executor_after_the_result) {
  expect_result_and_then_the_end("//probe spoil exchange");
}
END_TEST

START_TEST(a_rewind_that_faults_ends_the_executor_after_the_result) {
  expect_result_and_then_the_end("//probe spoil fault");
}
END_TEST

/* The signal comes while the executor rewinds, mostly: it was sent as soon as the RESULT before was read. */
START_TEST(a_cancel_that_comes_during_a_rewind_reaches_its_job_and_no_other) {
  struct wire_result result;

  for (int i = 0; i < 40; i++) {
    send_job(1, "String(6 * 7)");
    result = await_result(1);
    expect(&result, "42", false);
    spawn_cancel(&child, 2);
    send_job(2, "for (;;) {}");
    result = await_result(2);
    ck_assert_int_eq(result.status, ISOQ_STATUS_CANCELLED);
    stop();
    start();
  }
}
END_TEST

START_TEST(a_late_cancel_of_the_last_job_does_not_touch_the_next) {
  struct wire_result result;

  for (uint32_t job = 1; job <= 200; job++) {
    send_job(job, "String(6 * 7)");
    result = await_result(job);
    expect(&result, "42", false);
    spawn_cancel(&child, job);
  }
}
END_TEST

START_TEST(a_kill_during_a_rewind_is_a_kill) {
  struct spawn_end end;
  struct wire_result result;

  for (int i = 0; i < 5; i++) {
    send_job(1, "new Array(1e6).fill({}).length + ''");
    result = await_result(1);
    expect(&result, "1000000", false);
    spawn_signal(&child, SIGKILL);
    await(child.pidfd, "the end");
    ck_assert_int_eq(spawn_reap(&child, &end), 0);
    ck_assert(!end.exited);
    ck_assert_int_eq(end.signal, SIGKILL);
    spawn_close(&child);
    start();
  }
}
END_TEST

/* ---- a script that comes again */

#define HELD "//probe held"
#define HOLD_AFTER 4 /* executor_main.c */

static uint32_t last_job;

static void run_and_expect(const char *code, const char *text) {
  struct wire_result result;

  send_job(++last_job, code);
  result = await_result(last_job);
  expect(&result, text, false);
}

/* So many times, then it is held. */
static void expect_held_after(unsigned times) {
  for (unsigned i = 0; i < times; i++)
    run_and_expect(HELD, "not held");
  run_and_expect(HELD, "held");
}

START_TEST(a_script_that_comes_again_is_held_until_another_one_comes) {
  last_job = 0;
  expect_held_after(HOLD_AFTER);
  for (int i = 0; i < 100; i++)
    run_and_expect(HELD, "held");
  run_and_expect("globalThis.x = 1; String(x)", "1");
  expect_held_after(HOLD_AFTER);
}
END_TEST

START_TEST(after_one_that_was_held_for_little_the_next_must_come_more_often) {
  last_job = 0;
  expect_held_after(HOLD_AFTER);
  run_and_expect("'other'", "other");
  expect_held_after(2 * HOLD_AFTER);
  for (int i = 0; i < 10 * HOLD_AFTER; i++)
    run_and_expect(HELD, "held");
  run_and_expect("'other'", "other");
  expect_held_after(HOLD_AFTER);
}
END_TEST

START_TEST(after_one_that_could_not_be_held_the_next_must_come_more_often) {
  last_job = 0;
  for (int i = 0; i < 3 * HOLD_AFTER; i++)
    run_and_expect("return '7'", "7");
  expect_held_after(2 * HOLD_AFTER);
}
END_TEST

START_TEST(scripts_that_alternate_are_not_held) {
  last_job = 0;
  for (int i = 0; i < 5 * HOLD_AFTER; i++) {
    run_and_expect(HELD, "not held");
    run_and_expect("'other'", "other");
  }
}
END_TEST

START_TEST(scripts_that_need_long_are_not_held) {
  last_job = 0;
  for (int i = 0; i < 3 * HOLD_AFTER; i++)
    run_and_expect("//probe held slow", "not held");
}
END_TEST

/* What is not put back is wiped: jobs, and the script that was held, lie on the stack. */
START_TEST(nothing_of_a_jobs_text_is_left_for_the_next) {
  enum {
    LONG = 1000
  };
  char code[LONG + 100];

  snprintf(code, sizeof(code), "/*%*s*/ '1'", LONG, "left-by-a-job");
  last_job = 0;
  for (int times = 1; times <= 3 * HOLD_AFTER; times += HOLD_AFTER) {
    for (int i = 0; i < times; i++)
      run_and_expect(code, "1");
    run_and_expect("//probe left", "nothing");
  }
  snprintf(code, sizeof(code), "//probe left %*s", LONG, "left-by-a-job"); /* it would be found */
  run_and_expect(code, "something");
}
END_TEST

/* An executor that is made for small jobs would compile the scripts of large ones. */
START_TEST(scripts_of_jobs_with_another_memory_limit_are_not_held) {
  last_job = 0;
  memory_mb = MEMORY_MB / 2;
  for (int i = 0; i < 3 * HOLD_AFTER; i++)
    run_and_expect(HELD, "not held");
  memory_mb = MEMORY_MB;
  expect_held_after(HOLD_AFTER);
}
END_TEST

/* It is read to where rewinds reach: so nothing may be released after it was read. */
START_TEST(a_large_job_releases_the_script_and_runs) {
  enum {
    LARGE = 100000
  };
  char *code = malloc(LARGE + 1);

  ck_assert_ptr_nonnull(code);
  memset(code, ' ', LARGE);
  memcpy(code, "'large'", 7);
  code[LARGE] = '\0';
  last_job = 0;
  expect_held_after(HOLD_AFTER);
  for (int i = 0; i < 2 * HOLD_AFTER; i++)
    run_and_expect(code, "large");
  expect_held_after(2 * HOLD_AFTER);
  free(code);
}
END_TEST

/* Whenever it comes: the script is held, compiled, or being put back. */
START_TEST(a_cancel_reaches_its_job_where_a_script_is_held) {
  struct wire_result result;

  for (unsigned before = HOLD_AFTER - 1; before <= HOLD_AFTER + 1; before++) {
    last_job = 0;
    for (unsigned i = 0; i < before; i++)
      run_and_expect("String(6 * 7)", "42");
    spawn_cancel(&child, ++last_job);
    send_job(last_job, "String(6 * 7)");
    result = await_result(last_job);
    ck_assert_int_eq(result.status, ISOQ_STATUS_CANCELLED);
    stop();
    start();
  }
}
END_TEST

int main(void) {
#ifdef ISOQ_SANITIZE
  fprintf(stderr, "skipped: sanitizers keep a shadow of the memory, which cannot be put back\n");
  return 77;
#endif
  Suite *suite = suite_create("rewinding");
  TCase *tests = tcase_create("rewinding");
  SRunner *runner;
  int failed;

  probe_path = getenv("ISOQ_TEST_PROBE");
#ifdef PROBE_EXECUTOR
  if (probe_path == NULL) probe_path = PROBE_EXECUTOR;
#endif
  tcase_set_timeout(tests, 300);
  tcase_add_checked_fixture(tests, start, stop);
  tcase_add_test(tests, a_job_finds_nothing_of_the_one_before);
  tcase_add_test(tests, memory_mapped_behind_the_allocator_retires_the_executor_with_its_result);
  tcase_add_test(tests, a_rewind_that_finds_other_permissions_ends_the_executor_after_the_result);
  tcase_add_test(tests, a_rewind_that_faults_ends_the_executor_after_the_result);
  tcase_add_test(tests, a_cancel_that_comes_during_a_rewind_reaches_its_job_and_no_other);
  tcase_add_test(tests, a_late_cancel_of_the_last_job_does_not_touch_the_next);
  tcase_add_test(tests, a_kill_during_a_rewind_is_a_kill);
  tcase_add_test(tests, a_script_that_comes_again_is_held_until_another_one_comes);
  tcase_add_test(tests, after_one_that_was_held_for_little_the_next_must_come_more_often);
  tcase_add_test(tests, after_one_that_could_not_be_held_the_next_must_come_more_often);
  tcase_add_test(tests, scripts_that_alternate_are_not_held);
  tcase_add_test(tests, scripts_that_need_long_are_not_held);
  tcase_add_test(tests, nothing_of_a_jobs_text_is_left_for_the_next);
  tcase_add_test(tests, scripts_of_jobs_with_another_memory_limit_are_not_held);
  tcase_add_test(tests, a_large_job_releases_the_script_and_runs);
  tcase_add_test(tests, a_cancel_reaches_its_job_where_a_script_is_held);
  suite_add_tcase(suite, tests);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
