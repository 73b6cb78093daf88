/* Log lines as a reader gets them: descriptor 2 is a pipe, or a file, of the test's own. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "queue/utf8.h"
#include "worker/clock.h"
#include "worker/log.h"

static int reader, saved_stderr;

static void set_up(void) {
  int fds[2];

  ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
  saved_stderr = fcntl(2, F_DUPFD_CLOEXEC, 10);
  dup2(fds[1], 2);
  close(fds[1]);
  reader = fds[0];
  fcntl(reader, F_SETFL, O_NONBLOCK);
}

static void tear_down(void) {
  dup2(saved_stderr, 2);
  close(saved_stderr);
  close(reader);
}

/* What one read(2) gives: what one write(2) wrote. "" when there is nothing. */
static const char *line(void) {
  static char text[65536];
  ssize_t n = read(reader, text, sizeof(text) - 1);

  text[n > 0 ? n : 0] = '\0';
  return text;
}

/* The line without its time, which must be one. */
static const char *fields(void) {
  static int year;
  const char *text = line();
  int month, day, hour, minute, second, ms, len = 0;

  ck_assert_msg(sscanf(text, "time=%d-%2d-%2dT%2d:%2d:%2d.%3dZ %n", &year, &month, &day, &hour, &minute,
                       &second, &ms, &len) == 7 &&
                    len == (int)strlen("time=2024-01-02T03:04:05.678Z "),
                "'%s'", text);
  return text + len;
}

START_TEST(test_logfmt) {
  log_setup(LOG_LEVEL_DEBUG, LOG_FORMAT_LOGFMT);
  log_event(LOG_LEVEL_INFO, "job", LOG_TEXT("id", "a-1"), LOG_INT("attempt", 2), LOG_MS("run_ms", 1.5));
  ck_assert_str_eq(fields(), "level=info event=job id=a-1 attempt=2 run_ms=1.500\n");
  log_event(LOG_LEVEL_WARN, "nothing");
  ck_assert_str_eq(fields(), "level=warn event=nothing\n");
}
END_TEST

static const struct {
  const char *value, *expected;
} quoted[] = {
    {"plain-1.2:3/4", "plain-1.2:3/4"},
    {"", "\"\""},
    {NULL, "\"\""},
    {"two words", "\"two words\""},
    {"a=b", "\"a=b\""},
    {"say \"hi\"", "\"say \\\"hi\\\"\""},
    {"back\\slash", "\"back\\\\slash\""},
    {"line\nbreak", "\"line\\nbreak\""},
    {"\x1b[31mred\r\t\x7f", "\"\\x1b[31mred\\x0d\\x09\\x7f\""},
    {"M\xc3\xbcller", "\"M\xc3\xbcller\""},
    {"\xf0\x9f\x98\x80", "\"\xf0\x9f\x98\x80\""},
    {"bad \xff\xc3", "\"bad \\xff\\xc3\""},
    {"csi \xc2\x9b"
     "1m",
     "\"csi \\u009b1m\""},
    {"level=error event=forged\n", "\"level=error event=forged\\n\""},
};

START_TEST(test_values_are_quoted) {
  char expected[256];

  log_setup(LOG_LEVEL_DEBUG, LOG_FORMAT_LOGFMT);
  log_event(LOG_LEVEL_INFO, "e", LOG_TEXT("v", quoted[_i].value));
  snprintf(expected, sizeof(expected), "level=info event=e v=%s\n", quoted[_i].expected);
  ck_assert_str_eq(fields(), expected);
}
END_TEST

START_TEST(test_json) {
  json_object *object, *value;
  const char *text;

  log_setup(LOG_LEVEL_DEBUG, LOG_FORMAT_JSON);
  log_event(LOG_LEVEL_ERROR, "job", LOG_TEXT("id", "a/1"), LOG_TEXT("evil", "\"\n\x1b\xff end"),
            LOG_INT("n", -5), LOG_MS("run_ms", 0.1), LOG_MS("odd", NAN), LOG_TEXT("none", NULL));
  text = line();
  ck_assert_uint_eq(strlen(text), strcspn(text, "\n") + 1);
  ck_assert_uint_eq(utf8_check(text, strlen(text)), strlen(text));
  object = json_tokener_parse(text);
  ck_assert_ptr_nonnull(object);
  ck_assert(json_object_object_get_ex(object, "time", &value));
  ck_assert_uint_eq(strlen(json_object_get_string(value)), strlen("2024-01-02T03:04:05.678Z"));
  ck_assert(json_object_object_get_ex(object, "level", &value));
  ck_assert_str_eq(json_object_get_string(value), "error");
  ck_assert(json_object_object_get_ex(object, "event", &value));
  ck_assert_str_eq(json_object_get_string(value), "job");
  ck_assert(json_object_object_get_ex(object, "id", &value));
  ck_assert_str_eq(json_object_get_string(value), "a/1");
  ck_assert(json_object_object_get_ex(object, "evil", &value));
  ck_assert_str_eq(json_object_get_string(value), "\"\n\x1b\xef\xbf\xbd end");
  ck_assert(json_object_object_get_ex(object, "n", &value));
  ck_assert_int_eq(json_object_get_int64(value), -5);
  ck_assert_ptr_nonnull(strstr(text, "\"run_ms\":0.100,\"odd\":0.000,"));
  ck_assert(json_object_object_get_ex(object, "none", &value));
  ck_assert_str_eq(json_object_get_string(value), "");
  json_object_put(object);
}
END_TEST

START_TEST(test_level) {
  log_event(LOG_LEVEL_WARN, "before"); /* quiet until somebody sets it up */
  ck_assert_str_eq(line(), "");
  log_setup(LOG_LEVEL_WARN, LOG_FORMAT_LOGFMT);
  log_event(LOG_LEVEL_DEBUG, "no");
  log_event(LOG_LEVEL_INFO, "no");
  ck_assert_str_eq(line(), "");
  log_event(LOG_LEVEL_WARN, "yes");
  ck_assert_str_eq(fields(), "level=warn event=yes\n");
  log_event((enum log_level)17, "strange");
  ck_assert_str_eq(fields(), "level=error event=strange\n");
}
END_TEST

/* Long values, and many of them: still one line, one write, and whatever is in it is whole. */
START_TEST(test_long_lines) {
  char large[100000], *text;
  size_t len;

  memset(large, _i & 1 ? '\x01' : 'x', sizeof(large) - 1);
  large[sizeof(large) - 1] = '\0';
  log_setup(LOG_LEVEL_DEBUG, _i & 2 ? LOG_FORMAT_JSON : LOG_FORMAT_LOGFMT);
  log_event(LOG_LEVEL_INFO, "e", LOG_TEXT("a", large), LOG_TEXT("b", large), LOG_TEXT("c", large),
            LOG_TEXT("d", large), LOG_TEXT("e", large), LOG_TEXT("f", large), LOG_INT("last", 7));
  text = strdup(line());
  len = strlen(text);
  ck_assert_uint_le(len, PIPE_BUF);
  ck_assert_uint_gt(len, 1000);
  ck_assert_int_eq(text[len - 1], '\n');
  ck_assert_uint_eq(strcspn(text, "\n"), len - 1);
  if (_i & 2) {
    json_object *object = json_tokener_parse(text);

    ck_assert_ptr_nonnull(object);
    json_object_put(object);
  } else {
    ck_assert_int_eq(text[len - 2] == '"' || strncmp(text + len - 8, " last=7\n", 8) == 0, 1);
  }
  ck_assert_str_eq(line(), "");
  free(text);
}
END_TEST

START_TEST(test_a_full_pipe_does_not_block) {
  unsigned written = 0, lost = 0;
  int64_t before;
  const char *at;

  log_setup(LOG_LEVEL_DEBUG, LOG_FORMAT_LOGFMT);
  before = clock_monotonic_ns();
  for (int i = 0; i < 5000; i++)
    log_event(LOG_LEVEL_INFO, "e", LOG_INT("i", i));
  ck_assert_int_lt((clock_monotonic_ns() - before) / CLOCK_NS_PER_MS, 5000);
  for (const char *text = line(); *text != '\0'; text = line())
    for (; (text = strchr(text, '\n')) != NULL; text++)
      written++;
  ck_assert_uint_gt(written, 100);
  ck_assert_uint_lt(written, 5000);

  /* The next one says how many are missing. */
  log_event(LOG_LEVEL_INFO, "next");
  at = strstr(line(), "event=log_lines_dropped lines=");
  ck_assert_ptr_nonnull(at);
  lost = (unsigned)atoi(at + strlen("event=log_lines_dropped lines="));
  ck_assert_uint_eq(written + lost, 5000);
  ck_assert_ptr_nonnull(strstr(at, "event=next"));
  log_event(LOG_LEVEL_INFO, "after");
  ck_assert_str_eq(fields(), "level=info event=after\n");
}
END_TEST

START_TEST(test_a_closed_reader_is_survived) {
  signal(SIGPIPE, SIG_IGN);
  close(reader);
  log_setup(LOG_LEVEL_DEBUG, LOG_FORMAT_LOGFMT);
  errno = 4711;
  log_event(LOG_LEVEL_INFO, "e");
  log_event(LOG_LEVEL_INFO, "e");
  ck_assert_int_eq(errno, 4711);
  reader = open("/dev/null", O_RDONLY | O_CLOEXEC);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("log");
  TCase *tests = tcase_create("log");
  SRunner *runner;
  int failed;

  tcase_add_checked_fixture(tests, set_up, tear_down);
  tcase_add_test(tests, test_logfmt);
  tcase_add_loop_test(tests, test_values_are_quoted, 0, (int)(sizeof(quoted) / sizeof(quoted[0])));
  tcase_add_test(tests, test_json);
  tcase_add_test(tests, test_level);
  tcase_add_loop_test(tests, test_long_lines, 0, 4);
  tcase_add_test(tests, test_a_full_pipe_does_not_block);
  tcase_add_test(tests, test_a_closed_reader_is_survived);
  suite_add_tcase(suite, tests);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? 0 : 1;
}
