/*
 * Replay records: made beside a result, cut to their limit, and read again; and what is said of a text that is none.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue/job.h"
#include "queue/json_text.h"
#include "queue/record.h"
#include "queue/result.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const names[] = {"listAccounts", "listRegions", "queryResources"};
static const struct record_setting setting = {.isoq_version = "0.1.0",
                                              .v8_version = "13.6.1",
                                              .functions = names,
                                              .function_count = 3,
                                              .max_result_bytes = 8 << 20,
                                              .max_timers = 10000};
static struct job_limits limits = {
    .timeout_ms = {30000, 1, 600000},
    .cpu_ms = {0, 1, 600000},
    .memory_mb = {256, 8, 1024},
    .max_output_bytes = {1 << 20, 0, 16 << 20},
    .reply_ttl_s = {3600, 1, 86400},
    .max_attempts = {1, 1, 25},
    .backoff_ms = {1000, 0, 86400000},
    .functions = names,
    .function_count = 3,
    .functions_allowed = 5,
    .max_calls = 100,
    .record = true,
    .record_max_bytes = 1 << 20,
    .max_code_bytes = 1 << 20,
    .max_input_bytes = 1 << 20,
    .max_payload_bytes = 4 << 20,
};

static struct job *job;
static struct job_result result;
static char *json, *text;
static size_t json_len, text_len;
static struct record record;
static char error[RECORD_ERROR_SIZE];

static void parse_job(const char *payload) {
  ck_assert_int_eq(job_parse(payload, strlen(payload), &limits, "isoq", "default", &job), 0);
  ck_assert_msg(job->error == NULL, "%s", job->error);
}

static void start(void) {
  limits.record_max_bytes = 1 << 20;
  job = NULL;
  json = text = NULL;
  result = (struct job_result){.status = ISOQ_STATUS_OK, .result_type = ISOQ_TYPE_STRING, .ran = true};
  result_text_set(&result.result, "it is done", 10);
  snprintf(result.worker, sizeof(result.worker), "host-1-ab");
  record = (struct record){0};
}

static void finish(void) {
  job_free(job);
  job_result_free(&result);
  record_free(&record);
  free(json);
  free(text);
}

static void add_call(const char *args, const char *answer, bool ok) {
  const struct record_noted noted = {.call = (uint32_t)result.call_count + 1,
                                     .name = "queryResources",
                                     .name_len = 14,
                                     .args = args,
                                     .args_len = strlen(args),
                                     .answer = answer,
                                     .answer_len = answer != NULL ? strlen(answer) : 0,
                                     .ok = ok};

  result.calls = realloc(result.calls, (result.call_count + 1) * sizeof(*result.calls));
  result.calls[result.call_count].data = record_call_make(&noted, &result.calls[result.call_count].len);
  ck_assert_ptr_nonnull(result.calls[result.call_count++].data);
}

static void make(void) {
  free(text);
  free(json);
  ck_assert_int_eq(job_result_to_json(&result, job, &json, &json_len), 0);
  ck_assert_int_eq(record_make(job, &result, json, json_len, &setting, 1700000000000, &text, &text_len), 0);
  ck_assert_uint_eq(strlen(text), text_len);
  ck_assert_msg(json_text_is_object(text, text_len, JOB_DEPTH_MAX + 16), "%s", text);
  ck_assert_uint_le(text_len, job->record_max_bytes);
}

static void make_and_read(void) {
  make();
  record_free(&record);
  ck_assert_msg(record_parse(text, text_len, &record, error) == 0, "%s\n%s", error, text);
}

static void assert_span(struct job_span span, const char *wanted) {
  ck_assert_ptr_nonnull(span.data);
  ck_assert_msg(span.len == strlen(wanted) && memcmp(span.data, wanted, span.len) == 0, "%.*s\nnot %s",
                (int)span.len, span.data, wanted);
}

START_TEST(what_is_written_is_read_again) {
  const char *payload =
      "{\"id\":\"a1\", \"code\":\"x\\ud800\", \"input\":1e400,\"timeout_ms\":70,\"seed\":9007199254740991}";

  parse_job(payload);
  result_text_set(&result.trace, "c5 t1 ", 6);
  add_call("[\"AWS::S3::Bucket\",1.0]", "[{\"id\":1e2}]", true);
  add_call("[]", NULL, false);
  add_call("[ ]", "{\"name\":\"Error\"}", false);
  make_and_read();
  ck_assert_int_eq(record.version, 1);
  ck_assert_str_eq(record.isoq, "0.1.0");
  ck_assert_str_eq(record.v8, "13.6.1");
  ck_assert_str_eq(record.queue, "default");
  ck_assert_str_eq(record.id, "a1");
  ck_assert_str_eq(record.worker, "host-1-ab");
  ck_assert_str_eq(record.status, "ok");
  ck_assert_int_eq(record.at_ms, 1700000000000);
  ck_assert_uint_eq(record.attempt, 1);
  assert_span(record.job, payload);
  assert_span(record.result, json);
  ck_assert_uint_eq(record.timeout_ms, 70);
  ck_assert_uint_eq(record.cpu_ms, 0);
  ck_assert_uint_eq(record.memory_mb, 256);
  ck_assert_uint_eq(record.max_output_bytes, 1 << 20);
  ck_assert_uint_eq(record.max_result_bytes, 8 << 20);
  ck_assert_uint_eq(record.max_timers, 10000);
  ck_assert_uint_eq(record.max_calls, 100);
  ck_assert(record.capture_console && record.has_seed);
  ck_assert_uint_eq(record.seed, 9007199254740991);
  ck_assert_uint_eq(record.function_count, 2);
  ck_assert_str_eq(record.functions[1], "queryResources");
  ck_assert_str_eq(record.trace, "c5 t1 ");
  ck_assert_uint_eq(record.call_count, 3);
  assert_span(record.calls[0].args, "[\"AWS::S3::Bucket\",1.0]");
  assert_span(record.calls[0].answer, "[{\"id\":1e2}]");
  ck_assert(record.calls[0].answered && record.calls[0].ok && !record.calls[1].answered);
  ck_assert(record.calls[2].answered && !record.calls[2].ok);
  ck_assert_uint_eq(record.left_out, 0);
  ck_assert_ptr_null(strstr(text, "left_out"));
}
END_TEST

START_TEST(the_workers_note_is_not_part_of_it_but_its_attempt_is) {
  parse_job("{\"isoq\":{\"deaths\":1,\"attempt\":2,\"delayed\":true,\"token\":\"w:1\"},\"id\":\"a1\","
            "\"code\":\"1\"}");
  make_and_read();
  assert_span(record.job, "{\"id\":\"a1\",\"code\":\"1\"}");
  ck_assert_uint_eq(record.attempt, 3);
}
END_TEST

/* A script that has taken over its executor may send anything as arguments. */
START_TEST(arguments_that_are_no_array_go_in_as_a_string) {
  static char deep[2000];

  parse_job("{\"id\":\"a1\",\"code\":\"1\"}");
  memset(deep, '[', 1000);
  memset(deep + 1000, ']', 999);
  add_call("\"],\"ok\":true", "1", true);
  add_call("\xff\n", "1", true);
  add_call("{\"a\":1}", "1", true);
  add_call(deep, "1", true);
  make_and_read();
  ck_assert_uint_eq(record.call_count, 4);
  assert_span(record.calls[0].args, "\"\\\"],\\\"ok\\\":true\"");
  assert_span(record.calls[2].args, "\"{\\\"a\\\":1}\"");
}
END_TEST

/* The job is worth most, then the result, the trace, the calls. */
START_TEST(what_does_not_fit_is_left_out_and_said) {
  static char payload[3000], trace[3001], answer[3000];
  size_t whole;

  snprintf(payload, sizeof(payload), "{\"id\":\"a1\",\"code\":\"%02000d\"}", 0);
  for (size_t i = 0; i < 1000; i++)
    memcpy(trace + 3 * i, "c1 ", 3);
  memset(answer, '1', sizeof(answer) - 1);
  parse_job(payload);
  result_text_set(&result.trace, trace, 3000);
  add_call("[1]", answer, true);
  add_call("[2]", answer, true);
  make_and_read();
  ck_assert_uint_eq(record.left_out, 0);
  whole = text_len;

  for (size_t max = 4096; max <= whole + 600; max += 37) {
    job->record_max_bytes = max;
    make_and_read();
    ck_assert_ptr_nonnull(record.job.data); /* 2 kB fit always */
    if (record.left_out & RECORD_TRACE) {
      ck_assert_str_eq(record.trace + record.trace_len - 2, "! ");
      ck_assert_uint_eq(record.trace_len % 3, 2); /* whole words */
      ck_assert(record.left_out & RECORD_CALLS);
    }
    ck_assert_int_eq(record.call_count < 2, (record.left_out & RECORD_CALLS) != 0);
    ck_assert_int_eq(record.result.data == NULL, (record.left_out & RECORD_RESULT) != 0);
  }
  job->record_max_bytes = whole + 600;
  make_and_read();
  ck_assert_uint_eq(record.left_out, 0);
}
END_TEST

START_TEST(a_result_that_does_not_fit_leaves_its_digest_and_room_for_the_trace) {
  struct record_digest digest;

  parse_job("{\"id\":\"a1\",\"code\":\"1\"}");
  char *large = calloc(1, 200001);
  memset(large, 'x', 200000);
  result_text_set(&result.result, large, 200000);
  free(large);
  result_text_set(&result.trace, "c5 ", 3);
  job->record_max_bytes = 100000;
  make_and_read();
  ck_assert_uint_eq(record.left_out, RECORD_RESULT);
  ck_assert_str_eq(record.trace, "c5 ");
  ck_assert_str_eq(record.status, "ok");
  ck_assert(record.has_digest);
  record_digest_make(&result, &digest);
  ck_assert_mem_eq(&record.digest, &digest, sizeof(digest));
  result.result.data[100000] = 'y';
  record_digest_make(&result, &digest);
  ck_assert_uint_ne(record.digest.part[RECORD_DIGEST_result], digest.part[RECORD_DIGEST_result]);
}
END_TEST

START_TEST(a_job_that_does_not_fit_is_said) {
  static char payload[9000];

  snprintf(payload, sizeof(payload), "{\"id\":\"a1\",\"code\":\"%08000d\"}", 0);
  parse_job(payload);
  job->record_max_bytes = 4096;
  make_and_read();
  ck_assert_ptr_null(record.job.data);
  ck_assert_uint_eq(record.left_out, RECORD_JOB | RECORD_RESULT | RECORD_TRACE | RECORD_CALLS);
  ck_assert_str_eq(record.id, "a1");
}
END_TEST

START_TEST(what_was_lost_before_is_said_too) {
  parse_job("{\"id\":\"a1\",\"code\":\"1\"}");
  result_text_set(&result.trace, "c5 ! ", 5);
  make_and_read();
  ck_assert_uint_eq(record.left_out, RECORD_TRACE);
  ck_assert_str_eq(record.trace, "c5 ! ");
  result_text_set(&result.trace, "c5 c", 4);
  result.trace_left_out = result.calls_left_out = true;
  make_and_read();
  ck_assert_uint_eq(record.left_out, RECORD_TRACE | RECORD_CALLS);
  ck_assert_str_eq(record.trace, "c5 ! ");
}
END_TEST

/* ---- reading ---- */

#define LIMITS                                                                                               \
  "\"limits\":{\"timeout_ms\":1,\"cpu_ms\":0,\"memory_mb\":64,\"max_output_bytes\":0,\"max_result_bytes\":"  \
  "1,"                                                                                                       \
  "\"max_timers\":1,\"max_calls\":0,\"functions\":[],\"capture_console\":true}"
#define JOB "\"job\":{\"id\":\"a\",\"code\":\"1\"}"

static const struct {
  const char *text, *error;
} bad[] = {
    {"", "not a replay record: it is no JSON object"},
    {"[]", "not a replay record: it is no JSON object"},
    {"{\"record\":1", "not a replay record, since it is no JSON: it ends too early, at byte 11"},
    {"{\"record\":1,}", "unexpected character '}' at byte 12"},
    {"{} x", "unexpected character 'x' at byte 3"},
    {"{\"id\":\"a1\",\"status\":\"ok\"}",
     "it has no member \"record\"; isoq result ID --record FILE writes one"},
    {"{\"record\":2}", "record: version 2 is newer than this isoq, which reads up to 1"},
    {"{\"record\":0}", "record: not an integer from 1 to"},
    {"{\"record\":\"1\"}", "record: not an integer"},
    {"{\"record\":1," JOB "}", "limits: missing"},
    {"{\"record\":1," LIMITS "}", "job: missing"},
    {"{\"record\":1," LIMITS ",\"job\":5}", "job: not an object"},
    {"{\"record\":1," JOB "," LIMITS "," LIMITS "}", "limits: given twice"},
    {"{\"record\":1,\"limits\":{\"timeout_ms\":0}}", "limits.timeout_ms: not an integer from 1 to 86400000"},
    {"{\"record\":1,\"limits\":{\"timeout_ms\":1e3}}", "limits.timeout_ms: not an integer"},
    {"{\"record\":1,\"limits\":{\"timeout_ms\":1,\"cpu_ms\":0,\"memory_mb\":99999999}}",
     "limits.memory_mb: not an integer"},
    {"{\"record\":1," JOB "," LIMITS ",\"calls\":5}", "calls: not an array"},
    {"{\"record\":1," JOB "," LIMITS ",\"calls\":[{}]}", "calls: element 1 is call number 0"},
    {"{\"record\":1," JOB "," LIMITS ",\"calls\":[{\"call\":2}]}", "calls: element 1 is call number 2"},
    {"{\"record\":1," JOB "," LIMITS ",\"calls\":[{\"call\":1}]}", "calls: call 1 has no name or no args"},
    {"{\"record\":1," JOB "," LIMITS ",\"calls\":[{\"call\":1,\"name\":\"f\",\"args\":{}}]}",
     "calls.args: not an array"},
    {"{\"record\":1," JOB "," LIMITS ",\"calls\":[],\"calls\":[{\"call\":1}]}", "calls: call 1"},
    {"{\"record\":1," JOB "," LIMITS ",\"trace\":[]}", "trace: not a string"},
    {"{\"record\":1," JOB "," LIMITS ",\"digest\":{\"entries\":1,\"result\":\"xyz\"}}",
     "digest.result: not a string of 16"},
    {"{\"record\":1," JOB "," LIMITS ",\"seed\":-1}", "seed: not an integer"},
    {"{\"record\":1," JOB "," LIMITS ",\"left_out\":\"job\"}", "left_out: not an array"},
};

START_TEST(what_is_no_record_is_told) {
  ck_assert_int_eq(record_parse(bad[_i].text, strlen(bad[_i].text), &record, error), -EINVAL);
  ck_assert_msg(strstr(error, bad[_i].error) != NULL, "%s\nsays %s\nnot %s", bad[_i].text, error,
                bad[_i].error);
}
END_TEST

START_TEST(members_of_later_versions_and_blanks_do_not_matter) {
  const char *with =
      " { \"new\" : [ { } ] , \"record\" : 1 , " JOB " , " LIMITS
      " , \"calls\" : [ { \"call\" : 1 , \"name\" : \"f\" , \"args\" : [ 1 ] , \"soon\" : 2 } ] } \n";

  ck_assert_msg(record_parse(with, strlen(with), &record, error) == 0, "%s", error);
  ck_assert_uint_eq(record.call_count, 1);
  ck_assert_str_eq(record.trace, "");
  ck_assert_ptr_null(record.result.data);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("record");
  TCase *making = tcase_create("making"), *reading = tcase_create("reading");
  SRunner *runner = srunner_create(suite);
  int failed;

  tcase_add_checked_fixture(making, start, finish);
  tcase_add_checked_fixture(reading, start, finish);
  tcase_add_test(making, what_is_written_is_read_again);
  tcase_add_test(making, the_workers_note_is_not_part_of_it_but_its_attempt_is);
  tcase_add_test(making, arguments_that_are_no_array_go_in_as_a_string);
  tcase_add_test(making, what_does_not_fit_is_left_out_and_said);
  tcase_add_test(making, a_result_that_does_not_fit_leaves_its_digest_and_room_for_the_trace);
  tcase_add_test(making, a_job_that_does_not_fit_is_said);
  tcase_add_test(making, what_was_lost_before_is_said_too);
  tcase_add_loop_test(reading, what_is_no_record_is_told, 0, (int)COUNT(bad));
  tcase_add_test(reading, members_of_later_versions_and_blanks_do_not_matter);
  suite_add_tcase(suite, making);
  suite_add_tcase(suite, reading);
  srunner_run_all(runner, CK_ENV);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? 0 : 1;
}
