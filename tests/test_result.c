/* ExecutionResult as JSON: read back by json-c and, where one byte matters, compared as text. */
#include <check.h>
#include <json-c/json.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue/job.h"
#include "queue/json_write.h"
#include "queue/result.h"
#include "queue/utf8.h"

static const struct job_limits limits = {
    .timeout_ms = {30000, 1, 600000},
    .max_output_bytes = {1, 0, 1},
    .reply_ttl_s = {3600, 1, 86400},
    .max_attempts = {1, 1, 25},
    .backoff_ms = {1000, 0, 86400000},
    .delay_ms = {0, 0, 86400000},
    .max_code_bytes = 64,
    .max_input_bytes = 4096,
    .max_payload_bytes = 8192,
};

static struct job *job_of(const char *payload) {
  struct job *job;
  ck_assert_int_eq(job_parse(payload, strlen(payload), &limits, "isoq", "q", &job), 0);
  return job;
}

static char *json_of(const struct job_result *result, const struct job *job) {
  char *json;
  size_t len;
  ck_assert_int_eq(job_result_to_json(result, job, &json, &len), 0);
  ck_assert_uint_eq(strlen(json), len);
  ck_assert_uint_eq(utf8_check(json, len), len);
  ck_assert_ptr_null(strchr(json, '\n'));
  struct json_object *read_back = json_tokener_parse(json);
  ck_assert_msg(read_back, "not JSON: %s", json);
  json_object_put(read_back);
  return json;
}

START_TEST(test_fields_are_in_the_order_of_the_contract) {
  struct job *job = job_of("{\"id\":\"a1\",\"code\":\"1\",\"metadata\":{\"k\": 1e2,\r\n\"k\":[ ]}}");
  struct job_result result = {.status = ISOQ_STATUS_OK,
                              .result_type = ISOQ_TYPE_NUMBER,
                              .execution_time_ms = 0.4124,
                              .cpu_time_ms = 12,
                              .queued_ms = 1.9,
                              .peak_memory_bytes = 1843200,
                              .started_at_ms = 5,
                              .finished_at_ms = 6,
                              .stdout_truncated = true,
                              .worker = "host-1"};
  struct result_console_entry entry = {.level = ISOQ_CONSOLE_WARN, .text = {.data = (char *)"w/", .len = 2}};
  result_text_set(&result.result, "4", 1);
  result.console = &entry;
  result.console_count = 1;
  char *json = json_of(&result, job);
  ck_assert_str_eq(
      json, "{\"id\":\"a1\",\"success\":true,\"status\":\"ok\",\"result\":\"4\",\"result_type\":\"number\","
            "\"stdout\":\"\",\"stderr\":\"\",\"console_output\":[{\"level\":\"warn\",\"text\":\"w/\"}],"
            "\"error\":null,\"execution_time_ms\":0.412,\"cpu_time_ms\":12,\"queued_ms\":1.9,"
            "\"peak_memory_bytes\":1843200,\"truncated\":{\"stdout\":true,\"stderr\":false},"
            "\"attempt\":1,\"worker\":\"host-1\",\"started_at_ms\":5,\"finished_at_ms\":6,"
            "\"metadata\":{\"k\": 1e2,  \"k\":[ ]}}");
  free(json);
  result.console = NULL;
  result.console_count = 0;
  job_result_free(&result);
  job_free(job);
}
END_TEST

START_TEST(test_nulls) {
  struct job *job = job_of("{\"code\":\"1\",\"reply_to\":\"k\"}");
  struct job_result result = {.status = ISOQ_STATUS_ERROR, .has_error = true, .error_line = 3};
  char *json = json_of(&result, job);
  ck_assert_ptr_nonnull(strstr(
      json, "{\"id\":null,\"success\":false,\"status\":\"error\",\"result\":null,\"result_type\":null,"));
  ck_assert_ptr_nonnull(
      strstr(json, "\"error\":{\"name\":\"\",\"message\":\"\",\"stack\":\"\",\"line\":3,\"column\":null}"));
  ck_assert_ptr_nonnull(strstr(json, "\"worker\":\"\""));
  ck_assert_ptr_nonnull(strstr(json, "\"metadata\":{}}"));
  free(json);
  job_free(job);
}
END_TEST

START_TEST(test_text_of_a_hijacked_executor_is_repaired) {
  static const struct {
    const char *bytes;
    size_t len;
    const char *json;
  } cases[] = {
      {"a\xff"
       "b",
       3,
       "\"a\xef\xbf\xbd"
       "b\""},
      {"\xe2\x82", 2, "\"\xef\xbf\xbd\""}, /* cut: one maximal subpart */
      {"\xe2\x82"
       "A",
       3,
       "\"\xef\xbf\xbd"
       "A\""},
      {"\xf0\x9f\x98", 3, "\"\xef\xbf\xbd\""},
      {"\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""}, /* a surrogate: three */
      {"\xc0\xaf", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\""},
      {"\xf4\x90\x80\x80", 4, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
      {"\xf0\x9f\x98\x80", 4, "\"\xf0\x9f\x98\x80\""},
      {"a\0b", 3, "\"a\\u0000b\""},
      {"\x1b[31m\x7f", 6, "\"\\u001b[31m\x7f\""},
      {"\xe2\x80\xa8</script>", 12, "\"\xe2\x80\xa8</script>\""},
      {"\"\\\n", 3, "\"\\\"\\\\\\n\""},
  };
  struct job *job = job_of("{\"id\":\"i\",\"code\":\"1\"}");
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct job_result result = {.status = ISOQ_STATUS_OK, .result_type = ISOQ_TYPE_STRING};
    char wanted[128];
    ck_assert_int_eq(result_text_set(&result.result, cases[i].bytes, cases[i].len), 0);
    char *json = json_of(&result, job);
    snprintf(wanted, sizeof wanted, "\"result\":%s,\"result_type\"", cases[i].json);
    ck_assert_msg(strstr(json, wanted), "case %zu: %s", i, json);
    free(json);
    job_result_free(&result);
  }
  job_free(job);
}
END_TEST

START_TEST(test_milliseconds) {
  static const struct {
    double ms;
    const char *json;
  } cases[] = {{0, "0"},
               {0.0004, "0"},
               {0.0005, "0.001"},
               {0.05, "0.05"},
               {1.5, "1.5"},
               {-1, "0"},
               {NAN, "0"},
               {INFINITY, "1000000000000000"},
               {123456.789, "123456.789"},
               {0.9996, "1"},
               {100, "100"},
               {2.010, "2.01"}};
  struct job *job = job_of("{\"id\":\"i\",\"code\":\"1\"}");
  setlocale(LC_ALL, "de_DE.UTF-8"); /* where it is installed, %f writes a comma */
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct job_result result = {.queued_ms = cases[i].ms};
    char wanted[64], *json = json_of(&result, job);
    snprintf(wanted, sizeof wanted, "\"queued_ms\":%s,", cases[i].json);
    ck_assert_msg(strstr(json, wanted), "wanted %s in %s", wanted, json);
    free(json);
  }
  job_free(job);
}
END_TEST

START_TEST(test_every_status_and_type_has_its_name) {
  struct job *job = job_of("{\"id\":\"i\",\"code\":\"1\"}");
  for (int status = 0; status < ISOQ_STATUS_COUNT; status++) {
    struct job_result result = {.status = (enum isoq_status)status};
    char wanted[64], *json = json_of(&result, job);
    snprintf(wanted, sizeof wanted, "\"success\":%s,\"status\":\"%s\"",
             status == ISOQ_STATUS_OK ? "true" : "false", isoq_status_name((enum isoq_status)status));
    ck_assert_ptr_nonnull(strstr(json, wanted));
    free(json);
  }
  job_free(job);
}
END_TEST

START_TEST(test_invalid_job) {
  struct job *job = job_of("{\"id\":\"i\",\"cod\":\"1\",\"metadata\":{\"a\":1}}");
  struct job_result result = {0};
  result_text_set(&result.result, "stale", 5);
  ck_assert_int_eq(job_result_invalid(&result, job), 0);
  ck_assert(result.status == ISOQ_STATUS_INVALID);
  char *json = json_of(&result, job);
  ck_assert_ptr_nonnull(strstr(json, "\"status\":\"invalid\",\"result\":null"));
  ck_assert_ptr_nonnull(strstr(json, "\"message\":\"cod: unknown field (did you mean"));
  ck_assert_ptr_nonnull(strstr(json, "\"metadata\":{\"a\":1}}"));
  ck_assert_int_gt(result.finished_at_ms, 1600000000000);
  free(json);
  job_result_free(&result);
  job_free(job);
}
END_TEST

START_TEST(test_texts_grow) {
  struct result_text text = {0};
  for (int i = 0; i < 1000; i++)
    ck_assert_int_eq(result_text_append(&text, "abc", 3), 0);
  ck_assert_uint_eq(text.len, 3000);
  ck_assert_uint_eq(strlen(text.data), 3000);
  ck_assert_int_eq(result_text_set(&text, "x", 1), 0);
  ck_assert_int_eq(result_text_append(&text, "y", 1), 0);
  ck_assert_str_eq(text.data, "xy");
  ck_assert_int_eq(result_text_set(&text, NULL, 0), 0);
  ck_assert_ptr_null(text.data);
  ck_assert_int_eq(result_text_set(&text, "", 0), 0);
  ck_assert_ptr_nonnull(text.data);
  free(text.data);
}
END_TEST

/* Every character of ASCII, beside one of two bytes. */
START_TEST(test_strings_are_written_as_json_c_reads_them) {
  for (unsigned c = 0; c < 0x80; c++) {
    const char text[] = {'a', (char)c, '\xc3', '\xa4', (char)c, '\0'};
    struct json_writer writer = {0};
    size_t len = 0;
    json_write_string(&writer, text, 5);
    char *json = json_writer_take(&writer, &len);
    ck_assert_ptr_nonnull(json);
    ck_assert_uint_eq(strlen(json), len);
    struct json_object *wanted = json_object_new_string_len(text, 5);
    ck_assert_str_eq(json, json_object_to_json_string_ext(wanted, JSON_C_TO_STRING_PLAIN |
                                                                      JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(wanted);
    free(json);
  }
}
END_TEST

START_TEST(test_numbers_are_written_to_their_last_digit) {
  static const double ms[] = {0, -1, NAN, 0.0004, 0.0005, 0.1, 1.05, 12.34, 999.9996, 1e300};
  struct json_writer writer = {0};
  size_t len;
  json_write_int(&writer, INT64_MIN);
  json_write(&writer, " ");
  json_write_uint(&writer, UINT64_MAX);
  json_write(&writer, " ");
  json_write_int(&writer, 0);
  for (size_t i = 0; i < sizeof ms / sizeof ms[0]; i++) {
    json_write(&writer, " ");
    json_write_ms(&writer, ms[i]);
  }
  char *text = json_writer_take(&writer, &len);
  ck_assert_str_eq(text, "-9223372036854775808 18446744073709551615 0 0 0 0 0 0.001 0.1 1.05 12.34 1000 "
                         "1000000000000000");
  free(text);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("result");
  TCase *tc = tcase_create("result");
  tcase_add_test(tc, test_fields_are_in_the_order_of_the_contract);
  tcase_add_test(tc, test_nulls);
  tcase_add_test(tc, test_strings_are_written_as_json_c_reads_them);
  tcase_add_test(tc, test_numbers_are_written_to_their_last_digit);
  tcase_add_test(tc, test_text_of_a_hijacked_executor_is_repaired);
  tcase_add_test(tc, test_milliseconds);
  tcase_add_test(tc, test_every_status_and_type_has_its_name);
  tcase_add_test(tc, test_invalid_job);
  tcase_add_test(tc, test_texts_grow);
  suite_add_tcase(suite, tc);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed != 0;
}
