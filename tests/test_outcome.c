/* Results from frames and from deaths, without a process: outcome.c is pure. */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/error_text.h"
#include "queue/job.h"
#include "worker/log.h"
#include "worker/outcome.h"

static struct outcome outcome;
static struct job_result result;
static struct job job;

static void set_up(void) {
  job = (struct job){.id = "j", .capture_console = true, .max_output_bytes = 1000, .timeout_ms = 5};
  outcome_begin(&outcome, &job);
  result = (struct job_result){0};
}

static void tear_down(void) {
  outcome_clear(&outcome);
  job_result_free(&result);
}

static struct wire_text text(const char *value) {
  return (struct wire_text){value, strlen(value)};
}

static int print(enum isoq_console_level level, const char *value) {
  return outcome_console(&outcome, &(struct wire_console_entry){.level = level, .text = text(value)});
}

static int finish(struct wire_result message) {
  return outcome_from_result(&outcome, &message, &result);
}

/* ---- the console ---- */

START_TEST(test_levels_go_to_their_streams) {
  ck_assert_int_eq(print(ISOQ_CONSOLE_LOG, "a"), 0);
  ck_assert_int_eq(print(ISOQ_CONSOLE_WARN, "b"), 0);
  ck_assert_int_eq(print(ISOQ_CONSOLE_INFO, "c"), 0);
  ck_assert_int_eq(print(ISOQ_CONSOLE_ERROR, "d"), 0);
  ck_assert_int_eq(print(ISOQ_CONSOLE_DEBUG, ""), 0);
  ck_assert_int_eq(finish((struct wire_result){.status = ISOQ_STATUS_OK}), 0);
  ck_assert_str_eq(result.stdout_text.data, "a\nc\n\n");
  ck_assert_uint_eq(result.stdout_text.len, 5);
  ck_assert_str_eq(result.stderr_text.data, "b\nd\n");
  ck_assert_uint_eq(result.console_count, 5);
  ck_assert_int_eq(result.console[3].level, ISOQ_CONSOLE_ERROR);
  ck_assert_str_eq(result.console[3].text.data, "d");
  ck_assert_ptr_nonnull(result.console[4].text.data);
  ck_assert_uint_eq(outcome.count, 0); /* they moved */
}
END_TEST

START_TEST(test_nul_bytes_survive) {
  const struct wire_console_entry entry = {.level = ISOQ_CONSOLE_LOG, .text = {"a\0b", 3}};

  ck_assert_int_eq(outcome_console(&outcome, &entry), 0);
  ck_assert_int_eq(
      finish((struct wire_result){.status = ISOQ_STATUS_OK, .has_result = true, .result = {"\0", 1}}), 0);
  ck_assert_uint_eq(result.stdout_text.len, 4);
  ck_assert_int_eq(memcmp(result.stdout_text.data, "a\0b\n", 4), 0);
  ck_assert_uint_eq(result.result.len, 1);
}
END_TEST

START_TEST(test_truncation_is_of_the_stream) {
  const struct wire_console_entry cut = {.level = ISOQ_CONSOLE_WARN, .truncated = true, .text = {"cu", 2}};

  ck_assert_int_eq(print(ISOQ_CONSOLE_LOG, "whole"), 0);
  ck_assert_int_eq(outcome_console(&outcome, &cut), 0);
  ck_assert_int_eq(finish((struct wire_result){.status = ISOQ_STATUS_OK}), 0);
  ck_assert(!result.stdout_truncated);
  ck_assert(result.stderr_truncated);
}
END_TEST

START_TEST(test_truncation_as_the_executor_tells_it) {
  ck_assert_int_eq(finish((struct wire_result){.status = ISOQ_STATUS_OK, .stdout_truncated = true}), 0);
  ck_assert(result.stdout_truncated);
  ck_assert(!result.stderr_truncated);
}
END_TEST

START_TEST(test_output_limit) {
  size_t limit = (size_t)job.max_output_bytes + OUTCOME_OUTPUT_SLACK_BYTES;
  char *large = malloc(limit + 1);
  struct wire_console_entry entry = {.level = ISOQ_CONSOLE_LOG, .text = {large, limit}};

  memset(large, 'l', limit);
  ck_assert_int_eq(outcome_console(&outcome, &entry), -EOVERFLOW); /* its newline counts */
  entry.text.len = limit - 3;
  ck_assert_int_eq(outcome_console(&outcome, &entry), 0);
  ck_assert_int_eq(print(ISOQ_CONSOLE_ERROR, ""), 0);
  ck_assert_int_eq(print(ISOQ_CONSOLE_ERROR, "x"), -EOVERFLOW);
  ck_assert_int_eq(print(ISOQ_CONSOLE_ERROR, ""), 0);
  ck_assert_int_eq(print(ISOQ_CONSOLE_ERROR, ""), -EOVERFLOW);
  entry.text.len = SIZE_MAX;
  ck_assert_int_eq(outcome_console(&outcome, &entry), -EOVERFLOW);
  free(large);
}
END_TEST

START_TEST(test_no_capture_no_output) {
  job.capture_console = false;
  job.max_output_bytes = 1 << 20;
  outcome_begin(&outcome, &job);
  ck_assert_uint_eq(outcome.limit_bytes, OUTCOME_OUTPUT_SLACK_BYTES);
}
END_TEST

START_TEST(test_number_of_entries_is_bounded) {
  job.max_output_bytes = 16 << 20;
  outcome_begin(&outcome, &job);
  for (size_t i = 0; i < OUTCOME_ENTRIES_MAX + 10; i++)
    ck_assert_int_eq(print(ISOQ_CONSOLE_LOG, ""), 0);
  ck_assert_int_eq(finish((struct wire_result){.status = ISOQ_STATUS_OK}), 0);
  ck_assert_uint_eq(result.console_count, OUTCOME_ENTRIES_MAX);
  ck_assert_uint_eq(result.stdout_text.len, OUTCOME_ENTRIES_MAX);
  ck_assert(result.stdout_truncated);
  ck_assert(!result.stderr_truncated);
}
END_TEST

/* ---- results ---- */

START_TEST(test_ok) {
  const struct wire_result message = {
      .status = ISOQ_STATUS_OK,
      .result_type = ISOQ_TYPE_NUMBER,
      .has_result = true,
      .result = text("4"),
      .execution_time_ms = 2.5,
      .cpu_time_ms = 1.5,
      .peak_memory_bytes = 77,
  };

  ck_assert_int_eq(finish(message), 0);
  ck_assert_int_eq(result.status, ISOQ_STATUS_OK);
  ck_assert_str_eq(result.result.data, "4");
  ck_assert_int_eq(result.result_type, ISOQ_TYPE_NUMBER);
  ck_assert(!result.has_error);
  ck_assert_double_eq(result.execution_time_ms, 2.5);
  ck_assert_double_eq(result.cpu_time_ms, 1.5);
  ck_assert_uint_eq(result.peak_memory_bytes, 77);
  ck_assert_str_eq(result.stdout_text.data, "");
}
END_TEST

START_TEST(test_empty_result_is_not_null) {
  ck_assert_int_eq(finish((struct wire_result){.status = ISOQ_STATUS_OK, .has_result = true}), 0);
  ck_assert_ptr_nonnull(result.result.data);
  ck_assert_uint_eq(result.result.len, 0);
}
END_TEST

START_TEST(test_no_result_is_null) {
  ck_assert_int_eq(finish((struct wire_result){.status = ISOQ_STATUS_OK, .result_type = ISOQ_TYPE_UNDEFINED}),
                   0);
  ck_assert_ptr_null(result.result.data);
  ck_assert_int_eq(result.result_type, ISOQ_TYPE_UNDEFINED);
}
END_TEST

START_TEST(test_error) {
  const struct wire_result message = {
      .status = ISOQ_STATUS_ERROR,
      .has_error = true,
      .error_name = text("TypeError"),
      .error_message = text("x is not a function"),
      .error_stack = text("TypeError: x is not a function\n    at job.js:1:2"),
      .error_line = 1,
      .error_column = 2,
  };

  ck_assert_int_eq(print(ISOQ_CONSOLE_WARN, "careful"), 0);
  ck_assert_int_eq(finish(message), 0);
  ck_assert(result.has_error);
  ck_assert_str_eq(result.error_name.data, "TypeError");
  ck_assert_str_eq(result.error_message.data, "x is not a function");
  ck_assert_int_eq(result.error_line, 1);
  ck_assert_int_eq(result.error_column, 2);
  ck_assert_str_eq(result.stderr_text.data, "careful\nTypeError: x is not a function\n    at job.js:1:2\n");
  ck_assert_ptr_null(result.result.data);
}
END_TEST

START_TEST(test_error_without_stack) {
  const struct wire_result message = {.status = ISOQ_STATUS_ERROR,
                                      .has_error = true,
                                      .error_name = text("Uncaught"),
                                      .error_message = text("5")};

  ck_assert_int_eq(finish(message), 0);
  ck_assert_str_eq(result.stderr_text.data, "Uncaught: 5\n");
}
END_TEST

START_TEST(test_failure_without_error_gets_one) {
  ck_assert_int_eq(finish((struct wire_result){.status = ISOQ_STATUS_TIMEOUT}), 0);
  ck_assert(result.has_error);
  ck_assert_ptr_nonnull(strstr(result.stderr_text.data, "timeout"));
}
END_TEST

START_TEST(test_success_and_failure_do_not_mix) {
  struct wire_result message = {
      .status = ISOQ_STATUS_ERROR,
      .has_result = true,
      .result = text("a result"),
      .result_type = ISOQ_TYPE_STRING,
      .has_error = true,
      .error_name = text("E"),
      .error_message = text("m"),
  };

  ck_assert_int_eq(finish(message), 0);
  ck_assert_ptr_null(result.result.data);
  ck_assert_int_eq(result.result_type, ISOQ_TYPE_NONE);
  job_result_free(&result);
  result = (struct job_result){0};

  message.status = ISOQ_STATUS_OK;
  ck_assert_int_eq(finish(message), 0);
  ck_assert(!result.has_error);
  ck_assert_str_eq(result.stderr_text.data, "");
  ck_assert_str_eq(result.result.data, "a result");
}
END_TEST

START_TEST(test_what_no_executor_may_claim) {
  static const bool allowed[ISOQ_STATUS_COUNT] = {
      [ISOQ_STATUS_OK] = true,          [ISOQ_STATUS_ERROR] = true,     [ISOQ_STATUS_TIMEOUT] = true,
      [ISOQ_STATUS_CPU_TIMEOUT] = true, [ISOQ_STATUS_OOM] = true,       [ISOQ_STATUS_OUTPUT_LIMIT] = true,
      [ISOQ_STATUS_CRASHED] = true,     [ISOQ_STATUS_CANCELLED] = true,
  };
  int r;

  for (int status = 0; status < ISOQ_STATUS_COUNT; status++) {
    print(ISOQ_CONSOLE_LOG, "kept");
    r = finish((struct wire_result){.status = (enum isoq_status)status});
    ck_assert_int_eq(r, allowed[status] ? 0 : -EBADMSG);
    ck_assert_uint_eq(outcome.count, allowed[status] ? 0 : 1); /* untouched on failure */
    if (r == 0) job_result_free(&result);
    result = (struct job_result){0};
    outcome_clear(&outcome);
    outcome_begin(&outcome, &job);
  }
}
END_TEST

/* ---- deaths ---- */

#define KILLED_FOR(reason) .killed = true, .kill_reason = OUTCOME_END_##reason, .message = "why: words"
#define EXITED(code) .end = {.exited = true, .exit_code = (code)}
#define SIGNALLED(number) .end = {.signal = (number)}

static const struct {
  struct outcome_death death;
  enum outcome_end end;
  enum isoq_status status;
  const char *message;
} deaths[] = {
    /* by us */
    {{KILLED_FOR(TIMEOUT), SIGNALLED(SIGKILL)}, OUTCOME_END_TIMEOUT, ISOQ_STATUS_TIMEOUT, "why: words"},
    {{KILLED_FOR(CPU_TIMEOUT), SIGNALLED(SIGKILL)},
     OUTCOME_END_CPU_TIMEOUT,
     ISOQ_STATUS_CPU_TIMEOUT,
     "why: words"},
    {{KILLED_FOR(MEMORY), SIGNALLED(SIGKILL)}, OUTCOME_END_MEMORY, ISOQ_STATUS_OOM, "why: words"},
    {{KILLED_FOR(CANCELLED), SIGNALLED(SIGKILL)}, OUTCOME_END_CANCELLED, ISOQ_STATUS_CANCELLED, "why: words"},
    {{KILLED_FOR(PROTOCOL), SIGNALLED(SIGKILL)}, OUTCOME_END_PROTOCOL, ISOQ_STATUS_CRASHED, "why: words"},
    {{KILLED_FOR(BROKER), SIGNALLED(SIGKILL)}, OUTCOME_END_BROKER, ISOQ_STATUS_CRASHED, "why: words"},
    /* by us, but it was faster */
    {{KILLED_FOR(TIMEOUT), SIGNALLED(SIGSEGV)}, OUTCOME_END_SIGNAL, ISOQ_STATUS_CRASHED, "SIGSEGV"},
    {{KILLED_FOR(TIMEOUT), SIGNALLED(SIGSYS)}, OUTCOME_END_SANDBOX, ISOQ_STATUS_SANDBOX_VIOLATION, "sandbox"},
    {{KILLED_FOR(TIMEOUT), EXITED(70)}, OUTCOME_END_OOM, ISOQ_STATUS_OOM, "memory"},
    {{KILLED_FOR(TIMEOUT), EXITED(0)}, OUTCOME_END_TIMEOUT, ISOQ_STATUS_TIMEOUT, "why: words"},
    /* a broken rule is never forgiven */
    {{KILLED_FOR(PROTOCOL), EXITED(70)}, OUTCOME_END_PROTOCOL, ISOQ_STATUS_CRASHED, "why: words"},
    {{KILLED_FOR(PROTOCOL), .gave_up = true, .gave_up_status = ISOQ_STATUS_OOM, SIGNALLED(SIGTRAP)},
     OUTCOME_END_PROTOCOL,
     ISOQ_STATUS_CRASHED,
     "why: words"},
    /* V8's last words */
    {{.gave_up = true, .gave_up_status = ISOQ_STATUS_OOM, .message = "memory: heap", SIGNALLED(SIGTRAP)},
     OUTCOME_END_OOM,
     ISOQ_STATUS_OOM,
     "memory: heap"},
    {{.gave_up = true, .gave_up_status = ISOQ_STATUS_CRASHED, .message = "fatal", EXITED(71)},
     OUTCOME_END_GAVE_UP,
     ISOQ_STATUS_CRASHED,
     "fatal"},
    {{KILLED_FOR(TIMEOUT), .gave_up = true, .gave_up_status = ISOQ_STATUS_OOM, SIGNALLED(SIGKILL)},
     OUTCOME_END_OOM,
     ISOQ_STATUS_OOM,
     "why: words"},
    /* on its own */
    {{.memory_mb = 64, .resident_bytes = 3 << 19, EXITED(70)},
     OUTCOME_END_OOM,
     ISOQ_STATUS_OOM,
     "memory: 1.5 MB resident when last looked at, and V8 could not get more within memory_mb 64 (exit "
     "status 70)"},
    {{EXITED(71)}, OUTCOME_END_GAVE_UP, ISOQ_STATUS_CRASHED, "V8 gave up (exit status 71)"},
    {{EXITED(72)}, OUTCOME_END_EXIT, ISOQ_STATUS_CRASHED, "exit status 72"},
    {{EXITED(74)}, OUTCOME_END_EXIT, ISOQ_STATUS_CRASHED, "exit status 74"},
    {{EXITED(76)},
     OUTCOME_END_REWIND,
     ISOQ_STATUS_CRASHED,
     "put back as new after an earlier job (exit status 76)"},
    {{KILLED_FOR(TIMEOUT), EXITED(76)}, OUTCOME_END_TIMEOUT, ISOQ_STATUS_TIMEOUT, "why: words"},
    {{EXITED(0)}, OUTCOME_END_EXIT, ISOQ_STATUS_CRASHED, "exit status 0"},
    {{SIGNALLED(SIGSYS)}, OUTCOME_END_SANDBOX, ISOQ_STATUS_SANDBOX_VIOLATION, "sandbox"},
    {{SIGNALLED(SIGSEGV)}, OUTCOME_END_SIGNAL, ISOQ_STATUS_CRASHED, "SIGSEGV"},
    {{SIGNALLED(SIGTRAP)}, OUTCOME_END_SIGNAL, ISOQ_STATUS_CRASHED, "SIGTRAP"},
    {{SIGNALLED(SIGILL)}, OUTCOME_END_SIGNAL, ISOQ_STATUS_CRASHED, "SIGILL"},
    {{SIGNALLED(SIGABRT)}, OUTCOME_END_SIGNAL, ISOQ_STATUS_CRASHED, "SIGABRT"},
    {{SIGNALLED(SIGBUS)}, OUTCOME_END_SIGNAL, ISOQ_STATUS_CRASHED, "SIGBUS"},
    {{SIGNALLED(SIGKILL)}, OUTCOME_END_SIGNAL, ISOQ_STATUS_CRASHED, "out of memory, or by somebody"},
    {{SIGNALLED(40)}, OUTCOME_END_SIGNAL, ISOQ_STATUS_CRASHED, "signal 40"},
    {{.end = {.signal = SIGSEGV, .core_dumped = true}},
     OUTCOME_END_SIGNAL,
     ISOQ_STATUS_CRASHED,
     "core dumped"},
    /* it is not even dead */
    {{KILLED_FOR(TIMEOUT), .lingers = true}, OUTCOME_END_TIMEOUT, ISOQ_STATUS_TIMEOUT, "why: words"},
    {{KILLED_FOR(MEMORY), .lingers = true}, OUTCOME_END_MEMORY, ISOQ_STATUS_OOM, "why: words"},
    /* before there was a job */
    {{.before_ready = true, EXITED(70)}, OUTCOME_END_START, ISOQ_STATUS_CRASHED, "start"},
    {{.before_ready = true, SIGNALLED(SIGSYS)}, OUTCOME_END_START, ISOQ_STATUS_CRASHED, "start"},
    {{.before_ready = true, KILLED_FOR(RETIRED), SIGNALLED(SIGKILL)},
     OUTCOME_END_RETIRED,
     ISOQ_STATUS_CANCELLED,
     "why: words"},
};

START_TEST(test_death) {
  print(ISOQ_CONSOLE_LOG, "printed");
  print(ISOQ_CONSOLE_ERROR, "complained");
  ck_assert_str_eq(outcome_end_name(outcome_classify(&deaths[_i].death)), outcome_end_name(deaths[_i].end));
  outcome_from_death(&outcome, &deaths[_i].death, &result);
  ck_assert_str_eq(isoq_status_name(result.status), isoq_status_name(deaths[_i].status));
  ck_assert(result.has_error);
  ck_assert_msg(strstr(result.error_message.data, deaths[_i].message) != NULL, "%s",
                result.error_message.data);
  ck_assert_str_eq(result.stdout_text.data, "printed\n");
  ck_assert_int_eq(strncmp(result.stderr_text.data, "complained\n", 11), 0);
  ck_assert_ptr_nonnull(strstr(result.stderr_text.data, deaths[_i].message));
  ck_assert_uint_eq(result.console_count, 2);
  ck_assert_ptr_null(result.result.data);
  ck_assert_uint_eq(outcome.count, 0);
}
END_TEST

START_TEST(test_cancelled_before_the_start) {
  outcome_from_cancel(&result);
  ck_assert_int_eq(result.status, ISOQ_STATUS_CANCELLED);
  ck_assert_str_eq(result.error_name.data, "CancelledError");
  ck_assert_str_eq(result.stderr_text.data, "CancelledError: cancelled before it started\n");
  ck_assert_str_eq(result.stdout_text.data, "");
}
END_TEST

START_TEST(test_invalid) {
  job.error = "timeout_ms: \"soon\" is not an integer";
  ck_assert_int_eq(outcome_from_invalid(&job, &result), 0);
  ck_assert_int_eq(result.status, ISOQ_STATUS_INVALID);
  ck_assert_ptr_nonnull(strstr(result.error_message.data, job.error));
  ck_assert_ptr_nonnull(strstr(result.stderr_text.data, job.error));
  ck_assert_str_eq(result.stdout_text.data, "");
}
END_TEST

START_TEST(test_every_end_has_a_name_and_a_level) {
  for (int a = 0; a < OUTCOME_END_COUNT; a++) {
    int level = outcome_end_log_level((enum outcome_end)a);

    ck_assert(level >= LOG_LEVEL_DEBUG && level <= LOG_LEVEL_ERROR);
    for (int b = 0; b < a; b++)
      ck_assert_str_ne(outcome_end_name((enum outcome_end)a), outcome_end_name((enum outcome_end)b));
  }
  ck_assert_ptr_nonnull(outcome_end_name((enum outcome_end)99));
}
END_TEST

START_TEST(test_error_text) {
  char buffer[32];

  ck_assert_str_eq(engine_error_text_parts("E", "m", "E: m\n  at x", buffer, sizeof(buffer)), "E: m\n  at x");
  ck_assert_str_eq(engine_error_text_parts("E", "m", "", buffer, sizeof(buffer)), "E: m");
  ck_assert_str_eq(engine_error_text_parts("E", "m", NULL, buffer, sizeof(buffer)), "E: m");
  ck_assert_str_eq(engine_error_text_parts("E", "", NULL, buffer, sizeof(buffer)), "E");
  ck_assert_str_eq(engine_error_text_parts("", "m", NULL, buffer, sizeof(buffer)), "m");
  ck_assert_str_eq(engine_error_text_parts(NULL, NULL, NULL, buffer, sizeof(buffer)), "");
}
END_TEST

int main(void) {
  Suite *suite = suite_create("outcome");
  TCase *tests = tcase_create("outcome");
  SRunner *runner;
  int failed;

  tcase_add_checked_fixture(tests, set_up, tear_down);
  tcase_add_test(tests, test_levels_go_to_their_streams);
  tcase_add_test(tests, test_nul_bytes_survive);
  tcase_add_test(tests, test_truncation_is_of_the_stream);
  tcase_add_test(tests, test_truncation_as_the_executor_tells_it);
  tcase_add_test(tests, test_output_limit);
  tcase_add_test(tests, test_no_capture_no_output);
  tcase_add_test(tests, test_number_of_entries_is_bounded);
  tcase_add_test(tests, test_ok);
  tcase_add_test(tests, test_empty_result_is_not_null);
  tcase_add_test(tests, test_no_result_is_null);
  tcase_add_test(tests, test_error);
  tcase_add_test(tests, test_error_without_stack);
  tcase_add_test(tests, test_failure_without_error_gets_one);
  tcase_add_test(tests, test_success_and_failure_do_not_mix);
  tcase_add_test(tests, test_what_no_executor_may_claim);
  tcase_add_loop_test(tests, test_death, 0, (int)(sizeof(deaths) / sizeof(deaths[0])));
  tcase_add_test(tests, test_cancelled_before_the_start);
  tcase_add_test(tests, test_invalid);
  tcase_add_test(tests, test_every_end_has_a_name_and_a_level);
  tcase_add_test(tests, test_error_text);
  suite_add_tcase(suite, tests);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? 0 : 1;
}
