/* How the calls of a replay are answered from a record, and what is said of those that are not in it. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/replay.h"

static struct record record;
static struct replay *replay;

#define START                                                                                                \
  "{\"record\":1,\"limits\":{\"timeout_ms\":200,\"cpu_ms\":50,\"memory_mb\":64,\"max_output_bytes\":9,"      \
  "\"max_result_bytes\":1,\"max_timers\":1,\"max_calls\":7,\"functions\":[\"listRegions\",\"old\"],"         \
  "\"capture_console\":false},\"seed\":5,\"trace\":\"c5 "                                                    \
  "\",\"job\":{\"id\":\"a\",\"code\":\"1\"},\"calls\":["

static void load(const char *calls, bool loose) {
  char text[4096], error[RECORD_ERROR_SIZE];

  snprintf(text, sizeof(text), "%s%s]}", START, calls);
  ck_assert_msg(record_parse(text, strlen(text), &record, error) == 0, "%s", error);
  ck_assert_int_eq(replay_new(&record, ISOQ_STATUS_OK, 3, 0, loose, false, &replay), 0);
}

static void finish(void) {
  replay_free(replay);
  record_free(&record);
  replay = NULL;
}

static int call(uint32_t number, const char *name, const char *args, const struct record_call **out) {
  const struct wire_call message = {
      .call = number, .name = {name, strlen(name)}, .args = {args, strlen(args)}};

  return replay_call(replay, &message, out);
}

#define CALLS                                                                                                \
  "{\"call\":1,\"name\":\"f\",\"args\":[\"a b\",{\"x\":\"\\\" \\\\\"}],\"ok\":true,\"answer\":1},"           \
  "{\"call\":2,\"name\":\"f\",\"args\":[2]},"                                                                \
  "{\"call\":3,\"name\":\"queryResources\",\"args\":[\"AWS::S3::Bucket\",\"self\"],\"ok\":false,\"answer\":" \
  "{}},"                                                                                                     \
  "{\"call\":4,\"name\":\"f\",\"args\":[4],\"ok\":true,\"left_out\":true}"

START_TEST(the_same_calls_are_answered) {
  const struct record_call *found;

  load(CALLS, false);
  ck_assert_int_eq(call(1, "f", "[\"a b\",{\"x\":\"\\\" \\\\\"}]", &found), 0);
  ck_assert(found->answered && found->ok);
  ck_assert_int_eq(call(2, "f", "[2]", &found), 0);
  ck_assert(!found->answered);
  ck_assert_int_eq(call(3, "queryResources", "[ \"AWS::S3::Bucket\",\n\"self\" ]", &found),
                   0); /* printed prettily */
  ck_assert(found->answered && !found->ok);
  ck_assert_ptr_null(replay->difference);
}
END_TEST

static const struct {
  uint32_t number;
  const char *name, *args, *difference;
} differences[] = {
    {3, "queryResources", "[\"AWS::EC2::Instance\",\"self\"]",
     "call 3: recorded queryResources('AWS::S3::Bucket', 'self'), now queryResources('AWS::EC2::Instance', "
     "'self')"},
    {2, "g", "[2]", "call 2: recorded f(2), now g(2)"},
    {2, "f", "[22]", "call 2: recorded f(2), now f(22)"},
    {1, "f", "[\"ab\",{\"x\":\"\\\" \\\\\"}]",
     "call 1: recorded f('a b', {'x':'\\\" \\\\'}), now f('ab', {'x':'\\\" \\\\'})"},
    {4, "f", "[4]", "call 4: f(4): its answer did not fit into the record (record_max_bytes)"},
    {5, "f", "[]", "call 5: recorded none, now f()"},
};

START_TEST(the_first_other_call_is_told) {
  const struct record_call *found;

  load(CALLS, false);
  ck_assert_int_eq(call(differences[_i].number, differences[_i].name, differences[_i].args, &found), -EPROTO);
  ck_assert_str_eq(replay->difference, differences[_i].difference);
  ck_assert_int_eq(call(2, "other", "[]", &found), -EPROTO);
  ck_assert_str_eq(replay->difference, differences[_i].difference);
}
END_TEST

START_TEST(another_scripts_calls_are_found_by_name_and_arguments) {
  const struct record_call *found;

  load("{\"call\":1,\"name\":\"f\",\"args\":[1],\"ok\":true,\"answer\":\"first\"},"
       "{\"call\":2,\"name\":\"f\",\"args\":[2],\"ok\":true,\"answer\":\"other\"},"
       "{\"call\":3,\"name\":\"f\",\"args\":[1],\"ok\":true,\"answer\":\"second\"},"
       "{\"call\":4,\"name\":\"f\",\"args\":[5]}",
       true);
  ck_assert_int_eq(call(1, "f", "[2]", &found), 0);
  ck_assert_uint_eq(found->call, 2);
  ck_assert_int_eq(call(2, "f", "[1]", &found), 0);
  ck_assert_uint_eq(found->call, 1);
  ck_assert_int_eq(call(3, "f", "[1]", &found), 0);
  ck_assert_uint_eq(found->call, 3);
  ck_assert_int_eq(call(4, "f", "[1]", &found), -ENOENT); /* each once */
  ck_assert_int_eq(call(5, "f", "[5]", &found), -ENOENT); /* was never answered */
  ck_assert_uint_eq(replay->made_count, 5);
  ck_assert_uint_eq(replay->made[0].recorded, 2);
  ck_assert_uint_eq(replay->made[3].recorded, 0);
  ck_assert_str_eq(replay->made[3].text, "f(1)");
}
END_TEST

START_TEST(a_long_call_is_told_in_short) {
  char args[600], text[40];

  memset(args, 'x', sizeof(args));
  memcpy(args, "[\"", 2);
  memcpy(args + sizeof(args) - 2, "\"]", 2);
  replay_describe_call("f", 1, args, sizeof(args), text, sizeof(text));
  ck_assert_uint_lt(strlen(text), sizeof(text));
  ck_assert_str_eq(text + strlen(text) - 5, "x\xe2\x80\xa6)");
  replay_describe_call("f", 1, "[\"\xc3\xa4\x01\x1b\"]", 8, text, sizeof(text));
  ck_assert_str_eq(text, "f('\xc3\xa4?"
                         "?')");
}
END_TEST

/* A run that was stopped has more time, and is told where to stop. */
START_TEST(limits_are_as_recorded_and_wide_enough_to_get_there) {
  static const char *const names[] = {"listAccounts", "listRegions"};
  struct job job = {0};

  load("", false);
  ck_assert_str_eq(replay->trace, "c5 ");
  ck_assert_uint_eq(replay_set_up_job(replay, ISOQ_STATUS_OK, names, 2, &job), 1); /* "old" is not known */
  ck_assert_uint_eq(job.functions, 2);
  ck_assert_uint_eq(job.timeout_ms, 2000);
  ck_assert_uint_eq(job.cpu_ms, 500);
  ck_assert_uint_eq(job.memory_mb, 64);
  ck_assert(job.has_seed && job.seed == 5 && !job.capture_console);
  replay_free(replay);
  ck_assert_int_eq(replay_new(&record, ISOQ_STATUS_TIMEOUT, 3, 0, false, false, &replay), 0);
  ck_assert_str_eq(replay->trace, "s2,3,200 c5 ");
  replay_free(replay);
  ck_assert_int_eq(replay_new(&record, ISOQ_STATUS_CANCELLED, 3, 70.5, false, false, &replay), 0);
  ck_assert_str_eq(replay->trace, "s8,3,71 c5 ");
  replay_free(replay);
  ck_assert_int_eq(replay_new(&record, ISOQ_STATUS_OOM, 0, 0, false, false, &replay), 0);
  replay_set_up_job(replay, ISOQ_STATUS_OOM, names, 2, &job);
  ck_assert_uint_eq(job.memory_mb, 128);
  replay_free(replay);
  ck_assert_int_eq(replay_new(&record, ISOQ_STATUS_TIMEOUT, 3, 0, true, false, &replay), 0);
  ck_assert_str_eq(replay->trace, "c5 ");
  replay_set_up_job(replay, ISOQ_STATUS_TIMEOUT, names, 2, &job);
  ck_assert_uint_eq(job.timeout_ms, 200);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("replay");
  TCase *tests = tcase_create("replay");
  SRunner *runner = srunner_create(suite);
  int failed;

  tcase_add_checked_fixture(tests, NULL, finish);
  tcase_add_test(tests, the_same_calls_are_answered);
  tcase_add_loop_test(tests, the_first_other_call_is_told, 0,
                      (int)(sizeof(differences) / sizeof(differences[0])));
  tcase_add_test(tests, another_scripts_calls_are_found_by_name_and_arguments);
  tcase_add_test(tests, a_long_call_is_told_in_short);
  tcase_add_test(tests, limits_are_as_recorded_and_wide_enough_to_get_there);
  suite_add_tcase(suite, tests);
  srunner_run_all(runner, CK_ENV);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? 0 : 1;
}
