/*
 * Jobs as producers push them, mostly wrong ones. What JSON is, is tested against V8's view of it: a text
 * that JSON.parse refuses must be refused here, or a job fails later with a worse message.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue/job.h"

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
    .max_code_bytes = 64,
    .max_input_bytes = 4096,
    .max_payload_bytes = 8192,
};

static struct job *parse_bytes(const char *payload, size_t len) {
  struct job *job = NULL;
  /* An exact copy on the heap, so that the sanitizer sees a read past the end. */
  char *copy = malloc(len ? len : 1);
  memcpy(copy, payload, len);
  ck_assert_int_eq(job_parse(copy, len, &limits, "isoq", "default", &job), 0);
  free(copy);
  ck_assert_ptr_nonnull(job);
  return job;
}

static struct job *parse(const char *payload) {
  return parse_bytes(payload, strlen(payload));
}

static void assert_span(struct job_span span, const char *text) {
  if (!text) {
    ck_assert_ptr_null(span.data);
    return;
  }
  ck_assert_uint_eq(span.len, strlen(text));
  ck_assert_mem_eq(span.data, text, span.len);
}

static void assert_error(const char *payload, const char *wanted) {
  struct job *job = parse(payload);
  if (!job->error) ck_abort_msg("accepted: %s", payload);
  if (!strstr(job->error, wanted)) ck_abort_msg("%s\n  says   %s\n  wanted %s", payload, job->error, wanted);
  job_free(job);
}

static void assert_valid(const char *payload) {
  struct job *job = parse(payload);
  if (job->error) ck_abort_msg("refused: %s: %s", payload, job->error);
  job_free(job);
}

START_TEST(test_minimal_job_has_the_defaults) {
  struct job *job = parse("{\"id\":\"a1\",\"code\":\"2 + 2\"}");
  ck_assert_ptr_null(job->error);
  ck_assert_str_eq(job->id, "a1");
  ck_assert_str_eq(job->reply_to, "isoq:{default}:reply:a1");
  ck_assert_str_eq(job->queue, "default");
  ck_assert_str_eq(job->tenant, "");
  assert_span(job->code, "\"2 + 2\"");
  assert_span(job->input, NULL);
  assert_span(job->metadata, NULL);
  ck_assert_uint_eq(job->timeout_ms, 30000);
  ck_assert_uint_eq(job->cpu_ms, 0);
  ck_assert_uint_eq(job->memory_mb, 256);
  ck_assert_uint_eq(job->max_output_bytes, 1 << 20);
  ck_assert_uint_eq(job->reply_ttl_s, 3600);
  ck_assert(job->capture_console);
  ck_assert(!job->has_seed);
  ck_assert_uint_eq(job->attempt, 1);
  job_free(job);
}
END_TEST

START_TEST(test_every_field_is_stored) {
  struct job *job =
      parse("{\"id\":\"A.b_c:d-9\",\"code\":\"\",\"input\":[1],\"timeout_ms\":5,\"cpu_ms\":6,\"memory_mb\":8,"
            "\"max_output_bytes\":0,\"capture_console\":false,\"bindings\":[],\"tenant\":\"t\\u00e9\","
            "\"reply_to\":\"k\",\"reply_ttl_s\":7,\"max_attempts\":3,\"backoff_ms\":5,\"delay_ms\":0,"
            "\"run_at_ms\":1700000000000,\"isolation\":\"process\",\"seed\":9007199254740991,\"record\":"
            "false,\"metadata\":{\"a\":1}}");
  ck_assert_msg(!job->error, "%s", job->error);
  ck_assert_str_eq(job->id, "A.b_c:d-9");
  assert_span(job->code, "\"\"");
  assert_span(job->input, "[1]");
  assert_span(job->metadata, "{\"a\":1}");
  ck_assert_uint_eq(job->timeout_ms, 5);
  ck_assert_uint_eq(job->cpu_ms, 6);
  ck_assert_uint_eq(job->memory_mb, 8);
  ck_assert_uint_eq(job->max_output_bytes, 0);
  ck_assert_uint_eq(job->reply_ttl_s, 7);
  ck_assert(!job->capture_console);
  ck_assert_str_eq(job->tenant, "t\xc3\xa9");
  ck_assert_str_eq(job->reply_to, "k");
  ck_assert(job->has_seed);
  ck_assert_uint_eq(job->seed, 9007199254740991u);
  ck_assert_uint_eq(job->max_attempts, 3);
  ck_assert_uint_eq(job->backoff_ms, 5);
  ck_assert_int_eq(job->delay_ms, 0);
  ck_assert_int_eq(job->run_at_ms, 1700000000000);
  ck_assert(job->own_process);
  job_free(job);
}
END_TEST

/* ---- the workers' note ---- */

static const struct job_note second = {.deaths = 4, .attempt = 2, .delayed = true, .token = "w-1:7"};

START_TEST(test_a_note_comes_and_goes_without_a_trace) {
  static const char *const payloads[] = {
      "{\"id\":\"i\",\"code\":\"1\"}",
      " \n{ \"code\":\"1\", \"id\":\"i\" , \"input\":{\"a\":1,\"a\":2.50,\"b\":[],\"c\":\"\\u0000\"}}",
      "{\t\"isoqq\":1}", /* invalid, but an object */
  };
  for (size_t i = 0; i < COUNT(payloads); i++) {
    struct job *job = parse(payloads[i]), *noted;
    size_t len;
    char *text = job_payload_noted(job, &second, &len);
    ck_assert_uint_eq(len, strlen(text));
    noted = parse_bytes(text, len);
    ck_assert_int_eq(noted->error == NULL, job->error == NULL);
    ck_assert_uint_eq(noted->deaths, 4);
    ck_assert_uint_eq(noted->attempt, 2);
    ck_assert(noted->delayed);
    ck_assert_str_eq(noted->id, job->id);
    free(text);

    const struct job_note third = {.deaths = 4, .attempt = 3, .token = ""};
    text = job_payload_noted(noted, &third, &len);
    job_free(noted);
    noted = parse_bytes(text, len);
    ck_assert_uint_eq(noted->attempt, 3);
    ck_assert(!noted->delayed);
    ck_assert_ptr_null(strstr(text, "w-1:7"));
    free(text);

    text = job_payload_original(noted, &len);
    ck_assert_str_eq(text, payloads[i][0] == '{' ? payloads[i] : strchr(payloads[i], '{'));
    free(text);
    job_free(noted);
    job_free(job);
  }
}
END_TEST

START_TEST(test_the_original_of_a_payload_without_note_is_itself) {
  static const char *const payloads[] = {"{\"code\":\"1\"}", " { }", "nonsense", "",
                                         "{\"isoq\":1,\"code\":\"1\"}"};
  for (size_t i = 0; i < COUNT(payloads); i++) {
    struct job *job = parse(payloads[i]);
    size_t len;
    char *text = job_payload_original(job, &len);
    ck_assert_str_eq(text, payloads[i]);
    free(text);
    job_free(job);
  }
}
END_TEST

START_TEST(test_a_note_is_read_only_where_workers_write_it) {
  static const char *const rest = ",\"id\":\"i\",\"code\":\"1\"}";
  static const char *const notes[] = {
      "{\"isoq\": {\"deaths\":1}",
      "{ \"isoq\":{\"deaths\":1}",
      "{\"isoq\":1",
      "{\"isoq\":{\"deaths\":-1}",
      "{\"isoq\":{\"deaths\":\"1\"}",
      "{\"isoq\":{\"attempt\":0}",
      "{\"tenant\":\"t\",\"isoq\":{\"deaths\":1}",
  };
  char payload[256];
  for (size_t i = 0; i < COUNT(notes); i++) {
    snprintf(payload, sizeof payload, "%s%s", notes[i], rest);
    assert_error(payload, "isoq: reserved for what workers note on a job; leave it out");
  }
  assert_error("{\"isoq\":{\"deaths\":1},\"isoq\":{\"deaths\":1},\"id\":\"i\",\"code\":\"1\"}",
               "isoq: given twice");
  assert_valid("{\"isoq\":{\"deaths\":1},\"id\":\"i\",\"code\":\"1\"}"); /* as reap.lua writes it */
}
END_TEST

START_TEST(test_a_note_does_not_make_a_payload_too_long) {
  char payload[8193], *text;
  size_t len;
  snprintf(payload, sizeof payload, "{\"id\":\"i\",\"code\":\"1\",\"tenant\":\"t\"%*s}", 8192 - 34, "");
  ck_assert_uint_eq(strlen(payload), 8192);
  struct job *job = parse(payload);
  ck_assert_msg(!job->error, "%s", job->error);
  text = job_payload_noted(job, &second, &len);
  job_free(job);
  job = parse_bytes(text, len);
  ck_assert_msg(!job->error, "%s", job->error);
  job_free(job);
  free(text);
}
END_TEST

START_TEST(test_text_of_values_is_kept) {
  static const char *const inputs[] = {
      "123456789012345678901234567890",
      "1.0000000000000000000001",
      "-0",
      "1E400",
      "{\"a\":1,\"a\":2}",
      "\"\\ud800\"",
      "\"\\u0000\"",
      "[ 1 ,\n\t2 ]",
      "null",
      "false",
      "\"a\\/b\"",
      "\"\xe2\x80\xa8\"",
      "{}",
      "\"\x7f\"",
  };
  for (size_t i = 0; i < COUNT(inputs); i++) {
    char payload[256], metadata[160];
    snprintf(metadata, sizeof metadata, "{ \"x\" :%s}", inputs[i]);
    snprintf(payload, sizeof payload,
             "\r\n { \"code\" : \"1\" ,\"id\":\"i\", \"input\" :\t%s , \"metadata\":%s } ", inputs[i],
             metadata);
    struct job *job = parse(payload);
    ck_assert_msg(!job->error, "%s: %s", payload, job->error);
    assert_span(job->input, inputs[i]);
    assert_span(job->metadata, metadata);
    ck_assert_uint_eq(job->payload_len, strlen(payload));
    ck_assert_str_eq(job->payload, payload);
    job_free(job);
  }
}
END_TEST

/* Each is refused by JSON.parse; json-c accepts a good part of them. */
START_TEST(test_what_is_not_json_is_refused_inside_values) {
  static const char *const values[] = {
      "NaN",
      "nan",
      "Infinity",
      "-Infinity",
      "inf",
      "TRUE",
      "True",
      "nul",
      "Null",
      "01",
      "-01",
      "1.",
      "1.e5",
      "-",
      "+1",
      ".5",
      "1e",
      "1e+",
      "--1",
      "1ee5",
      "0x10",
      "1_000",
      "'a'",
      "[1,]",
      "[,1]",
      "{\"a\":1,}",
      "{a:1}",
      "[1 2]",
      "[1,,2]",
      "{\"a\" 1}",
      "\"\\x\"",
      "\"\\u12\"",
      "\"\\u12g4\"",
      "\"a\tb\"",
      "\"a\nb\"",
      "\"\x01\"",
      "{'a':1}",
      "[1]]",
      "/*c*/1",
      "1//c",
      "[\v1]",
      "[1\f]",
      "[NaN]",
      "{\"a\":NaN}",
      "[01]",
      "[1.]",
      "[-]",
      "[\"\x1f\"]",
      "undefined",
      "",
      "{\"a\":{'b':1}}",
      "[1}",
      "{\"a\":1]",
      "\"a",
      "[1",
      "{\"a\":",
      "tru",
      "nulll",
      "truefalse",
      "1 2",
      "\xc2\xa0"
      "1",
  };
  for (size_t i = 0; i < COUNT(values); i++) {
    char payload[128];
    snprintf(payload, sizeof payload, "{\"id\":\"i\",\"code\":\"1\",\"input\":%s}", values[i]);
    struct job *job = parse(payload);
    ck_assert_msg(job->error, "accepted: %s", payload);
    ck_assert_msg(strstr(job->error, "not JSON: "), "%s: %s", payload, job->error);
    ck_assert_str_eq(job->reply_to, "isoq:{default}:reply:i");
    job_free(job);
  }
}
END_TEST

START_TEST(test_text_that_is_no_object) {
  assert_error("nonsense",
               "not JSON: unexpected character 'n' at byte 0; a job is a JSON object such as {\"id\":\"a1\"");
  assert_error("", "not JSON: it ends too early, at byte 0");
  assert_error("  ", "not JSON: it ends too early, at byte 2");
  assert_error("[]", "unexpected character '[' at byte 0");
  assert_error("\"x\"", "unexpected character '\"' at byte 0");
  assert_error("{", "it ends too early, at byte 1");
  assert_error("{}", "code: missing; a job is a JSON object such as");
  assert_error("{}{}", "unexpected character '{' at byte 2");
  assert_error("{,}", "unexpected character ',' at byte 1");
  assert_error("{\"id\":\"i\",\"code\":\"1\",}", "unexpected character '}' at byte 21");
  assert_error("{'code':\"1\"}", "unexpected character ''' at byte 1");
  assert_error("{\"code\" \"1\"}", "unexpected character '\"' at byte 8");
  assert_error("{\"id\":\"i\",\"code\":\"1\"} x", "unexpected character 'x' at byte 22");
  assert_error("\x01", "unexpected byte 0x01 at byte 0");
  assert_error("\xc3\xa9", "unexpected character '\xc3\xa9' at byte 0");
}
END_TEST

START_TEST(test_bytes_that_are_not_utf8) {
  static const char *const bad[] = {"\xff",         "\xc3", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                    "\xe2\x28\xa1", "\x80"};
  for (size_t i = 0; i < COUNT(bad); i++) {
    char payload[96], wanted[64];
    snprintf(payload, sizeof payload, "{\"input\":\"%s\",\"id\":\"i\",\"code\":\"1\",\"metadata\":{\"a\":1}}",
             bad[i]);
    snprintf(wanted, sizeof wanted, "not UTF-8: byte 0x%02x at byte 10", (unsigned char)bad[i][0]);
    struct job *job = parse(payload);
    ck_assert_msg(job->error && strstr(job->error, wanted), "%s", job->error);
    ck_assert_str_eq(job->id, "i"); /* the rest is still known */
    assert_span(job->metadata, "{\"a\":1}");
    job_free(job);
  }
  struct job *job =
      parse("{\"id\":\"i\",\"code\":\"1\",\"reply_to\":\"k\xff\",\"metadata\":{\"a\":\"\xff\"}}");
  assert_span(job->metadata, NULL);
  ck_assert_str_eq(job->reply_to, "isoq:{default}:reply:i");
  job_free(job);
  assert_error("\xef\xbb\xbf{\"id\":\"i\",\"code\":\"1\"}", "byte order mark (U+FEFF) at byte 0");
  job = parse_bytes("{\"id\":\"i\",\"code\":\"a\0b\"}", 24);
  ck_assert_ptr_nonnull(job->error);
  job_free(job);
  job = parse_bytes("{\"id\":\"i\",\"code\":\"b\"}\0", 22);
  ck_assert_ptr_nonnull(job->error);
  job_free(job);
}
END_TEST

START_TEST(test_every_field_says_what_is_wrong) {
  static const struct {
    const char *member, *error;
  } cases[] = {
      {"\"timeout_ms\":900000", "timeout_ms: 900000 is over this worker's maximum 600000"},
      {"\"timeout_ms\":0", "timeout_ms: 0 is under the minimum 1"},
      {"\"timeout_ms\":-1", "timeout_ms: -1 is under the minimum 1"},
      {"\"timeout_ms\":1.5", "timeout_ms: 1.5 is not an integer; give one from 1 to 600000"},
      {"\"timeout_ms\":\"5\"", "timeout_ms: \"5\" is not an integer"},
      {"\"timeout_ms\":null", "timeout_ms: null is not an integer"},
      {"\"timeout_ms\":true", "timeout_ms: true is not an integer"},
      {"\"timeout_ms\":1e999", "timeout_ms: 1e999 is out of range"},
      {"\"timeout_ms\":-1e999", "timeout_ms: -1e999 is out of range"},
      {"\"timeout_ms\":1e300", "timeout_ms: 1e300 is out of range"},
      {"\"timeout_ms\":9223372036854775808", "timeout_ms: 9223372036854775808 is out of range"},
      {"\"timeout_ms\":-9223372036854775809", "is out of range"},
      {"\"timeout_ms\":123456789012345678901234567890", "is out of range"},
      {"\"timeout_ms\":4294967297", "is over this worker's maximum"},
      {"\"cpu_ms\":0", "cpu_ms: 0 is under the minimum 1"},
      {"\"memory_mb\":4096", "memory_mb: 4096 is over this worker's maximum 1024 (max_memory_mb)"},
      {"\"max_output_bytes\":-1", "max_output_bytes: -1 is under the minimum 0"},
      {"\"reply_ttl_s\":0", "reply_ttl_s: 0 is under the minimum 1"},
      {"\"seed\":-1", "seed: -1 is under the minimum 0"},
      {"\"seed\":9007199254740992", "seed: 9007199254740992 is over the maximum 9007199254740991"},
      {"\"capture_console\":1", "capture_console: 1 is not true or false"},
      {"\"bindings\":[\"listAccounts\"]",
       "bindings: \"listAccounts\" is no host function of this worker; it has: none"},
      {"\"bindings\":[1]", "bindings: 1 is not a name"},
      {"\"bindings\":[null]", "bindings: null is not a name"},
      {"\"bindings\":\"a\"", "bindings: \"a\" is not an array of names"},
      {"\"tenant\":1", "tenant: 1 is not a string"},
      {"\"tenant\":\"a\\u0000b\"", "tenant: \"a\\u0000b\" holds a control character"},
      {"\"reply_to\":\"\"", "reply_to: \"\" is 0 bytes long; 1 to 512 are allowed"},
      {"\"reply_to\":\"a\\nb\"", "reply_to: \"a\\nb\" holds a control character"},
      {"\"reply_to\":[]", "reply_to: [] is not a string"},
      {"\"metadata\":[]", "metadata: [] is not an object"},
      {"\"metadata\":null", "metadata: null is not an object"},
      {"\"max_attempts\":1001", "max_attempts: 1001 is over this worker's maximum 25 (max_max_attempts)"},
      {"\"max_attempts\":0", "max_attempts: 0 is under the minimum 1"},
      {"\"backoff_ms\":-1", "backoff_ms: -1 is under the minimum 0"},
      {"\"delay_ms\":5,\"run_at_ms\":5", "delay_ms, run_at_ms: give one of the two"},
      {"\"delay_ms\":-5", "delay_ms: -5 is under the minimum 0"},
      {"\"delay_ms\":\"5\"", "delay_ms: \"5\" is not an integer"},
      {"\"run_at_ms\":1e15", "run_at_ms: 1e15 is over the maximum 253402300799999"},
      {"\"isolation\":\"vm\"", "isolation: \"vm\" is not \"isolate\" or \"process\""},
      {"\"isolation\":null", "isolation: null is not \"isolate\" or \"process\""},
      {"\"record\":\"yes\"", "record: \"yes\" is not true or false"},
      {"\"cod\":\"1\"", "cod: unknown field (did you mean \"code\"? known fields: id, code, input, "},
      {"\"Timeout_ms\":1", "did you mean \"timeout_ms\"?"},
      {"\"timeout\":1", "timeout: unknown field (known fields: "},
      {"\"xyzzy\":1", "xyzzy: unknown field (known fields: "},
      {"\"\":1", ": unknown field (known fields: "},
      {"\"tenant\\u0000\":\"a\"", "tenant\\u0000: unknown field"},
      {"\"tenant\":\"a\",\"tenant\":\"b\"", "tenant: given twice"},
      {"\"input\":NaN", "input: not JSON: unexpected character 'N' at byte 29"},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    char payload[256];
    snprintf(payload, sizeof payload, "{\"id\":\"i\",\"code\":\"1\",%s}", cases[i].member);
    assert_error(payload, cases[i].error);
    /* The bad field first: what follows it is still read. */
    snprintf(payload, sizeof payload, "{%s,\"metadata\":{\"m\":1},\"code\":\"1\",\"id\":\"i\"}",
             cases[i].member);
    struct job *job = parse(payload);
    ck_assert_ptr_nonnull(job->error);
    ck_assert_str_eq(job->id, "i");
    if (!strstr(cases[i].member, "metadata")) assert_span(job->metadata, "{\"m\":1}");
    job_free(job);
  }
}
END_TEST

START_TEST(test_integral_doubles_are_integers) {
  struct job *job = parse("{\"id\":\"i\",\"code\":\"1\",\"timeout_ms\":1e3,\"memory_mb\":64.0,\"seed\":-0}");
  ck_assert_msg(!job->error, "%s", job->error);
  ck_assert_uint_eq(job->timeout_ms, 1000);
  ck_assert_uint_eq(job->memory_mb, 64);
  ck_assert(job->has_seed && job->seed == 0);
  job_free(job);
  assert_valid("{\"id\":\"i\",\"code\":\"1\",\"backoff_ms\":1000,\"max_attempts\":1.0}");
}
END_TEST

START_TEST(test_ids) {
  static const char *const bad[] = {"\"\"", "\"a b\"", "\"a/b\"", "\"\xc3\xa9\"", "\"a\\u0000\"",
                                    "1",    "null",    "{}",      "\"a\\n\""};
  for (size_t i = 0; i < COUNT(bad); i++) {
    char payload[128];
    snprintf(payload, sizeof payload, "{\"id\":%s,\"code\":\"1\"}", bad[i]);
    struct job *job = parse(payload);
    ck_assert_msg(job->error && strstr(job->error, "is no id; an id is a string of 1 to 128"), "%s",
                  job->error);
    ck_assert_str_eq(job->id, "");
    ck_assert_ptr_null(job->reply_to);
    job_free(job);
    snprintf(payload, sizeof payload, "{\"id\":%s,\"code\":\"1\",\"reply_to\":\"mine\"}", bad[i]);
    job = parse(payload);
    ck_assert_str_eq(job->reply_to, "mine");
    job_free(job);
  }
  char payload[256], id[131];
  memset(id, 'x', 130);
  id[128] = '\0';
  snprintf(payload, sizeof payload, "{\"id\":\"%s\",\"code\":\"1\"}", id);
  assert_valid(payload);
  id[128] = 'x';
  id[129] = '\0';
  snprintf(payload, sizeof payload, "{\"id\":\"%s\",\"code\":\"1\"}", id);
  assert_error(payload, "is no id");
  assert_error("{\"code\":\"1\"}",
               "id: missing; a job without an id must name the key of its result in reply_to");
  assert_valid("{\"code\":\"1\",\"reply_to\":\"k\"}");
}
END_TEST

START_TEST(test_reply_to_cannot_name_the_queues_own_keys) {
  static const char *const bad[] = {"isoq:{default}:jobs", "isoq:{default}:reply:", "isoq:{other}:reply:a",
                                    "isoq:{default}:claimed:w", "isoq:{"};
  for (size_t i = 0; i < COUNT(bad); i++) {
    char payload[128];
    snprintf(payload, sizeof payload, "{\"id\":\"i\",\"code\":\"1\",\"reply_to\":\"%s\"}", bad[i]);
    struct job *job = parse(payload);
    ck_assert_msg(job->error && strstr(job->error, "is one of isoq's own keys"), "%s: %s", bad[i],
                  job->error);
    ck_assert_str_eq(job->reply_to, "isoq:{default}:reply:i"); /* where the producer may be told */
    job_free(job);
  }
  assert_valid("{\"id\":\"i\",\"code\":\"1\",\"reply_to\":\"isoq:{default}:reply:other\"}");
  assert_valid("{\"id\":\"i\",\"code\":\"1\",\"reply_to\":\"isoq:x\"}");
}
END_TEST

START_TEST(test_text_that_breaks_off_keeps_what_is_complete) {
  struct job *job = parse("{\"reply_to\":\"k\",\"id\":\"i\",\"metadata\":{\"a\":1},\"code\":\"1 +");
  ck_assert_msg(job->error && strstr(job->error, "not JSON: it ends too early, at byte 55"), "%s",
                job->error);
  ck_assert_str_eq(job->id, "i");
  ck_assert_str_eq(job->reply_to, "k");
  assert_span(job->metadata, "{\"a\":1}");
  job_free(job);
}
END_TEST

START_TEST(test_sizes) {
  char payload[9000], code[66];
  memset(code, '1', 65);
  code[64] = '\0';
  snprintf(payload, sizeof payload, "{\"id\":\"i\",\"code\":\"%s\"}", code);
  assert_valid(payload);
  code[64] = '1';
  code[65] = '\0';
  snprintf(payload, sizeof payload, "{\"id\":\"i\",\"code\":\"%s\"}", code);
  assert_error(payload, "code: 65 bytes are over this worker's maximum 64");
  /* 12 escapes are 12 bytes of code */
  assert_valid("{\"id\":\"i\",\"code\":"
               "\"\\u0031\\u0031\\u0031\\u0031\\u0031\\u0031\\u0031\\u0031\\u0031\\u0031\\u0031\\u0031\"}");

  snprintf(payload, sizeof payload, "{\"id\":\"i\",\"code\":\"1\",\"input\":\"%04095d\"}", 1);
  assert_error(payload, "input: 4097 bytes of JSON are over this worker's maximum 4096");
  snprintf(payload, sizeof payload, "{\"id\":\"i\",\"code\":\"1\",\"input\":%08200d}", 1);
  struct job *job = parse(payload);
  ck_assert_msg(job->error && strstr(job->error, "payload: 8230 bytes are over this worker's maximum 8192"),
                "%s", job->error);
  ck_assert_str_eq(job->id, "i");
  ck_assert_str_eq(job->payload, payload);
  job_free(job);
}
END_TEST

static void nest(char *out, int depth) {
  memset(out, '[', (size_t)depth);
  out[depth] = '1';
  memset(out + depth + 1, ']', (size_t)depth);
  out[2 * depth + 1] = '\0';
}

START_TEST(test_depth) {
  char nested[2048], payload[3000];
  nest(nested, JOB_DEPTH_MAX - 1);
  snprintf(payload, sizeof payload, "{\"input\":%s,\"id\":\"i\",\"code\":\"1\"}", nested);
  assert_valid(payload);
  nest(nested, JOB_DEPTH_MAX);
  snprintf(payload, sizeof payload, "{\"input\":%s,\"id\":\"i\",\"code\":\"1\"}", nested);
  struct job *job = parse(payload);
  ck_assert_msg(job->error && strstr(job->error, "input: nested too deep; a job may be nested 256 levels"),
                "%s", job->error);
  ck_assert_str_eq(job->id, "i");
  job_free(job);
  memset(nested, '[', 1000);
  nested[1000] = '\0';
  snprintf(payload, sizeof payload, "{\"id\":\"i\",\"input\":%s", nested);
  assert_error(payload, "not JSON");
}
END_TEST

START_TEST(test_messages_are_short_and_clean) {
  char payload[2048];
  snprintf(payload, sizeof payload, "{\"id\":\"i\",\"code\":\"1\",\"tenant\":\"%0200d\xc3\xa9\xc2\x9b\"}", 1);
  struct job *job = parse(payload);
  ck_assert_uint_lt(strlen(job->error), 160);
  ck_assert_ptr_nonnull(strstr(job->error, "\xe2\x80\xa6 is 204 bytes long"));
  job_free(job);
  job = parse("{\"id\":\"i\",\"code\":\"1\",\"a\xc2\x9b[31m\x7f\":1}");
  ck_assert_ptr_nonnull(strstr(job->error, "a?[31m?: unknown field"));
  job_free(job);
}
END_TEST

START_TEST(test_without_redis_no_id_is_needed) {
  struct job *job;
  ck_assert_int_eq(job_parse("{\"code\":\"1\"}", 12, &limits, NULL, NULL, &job), 0);
  ck_assert_msg(!job->error, "%s", job->error);
  ck_assert_ptr_null(job->queue);
  ck_assert_ptr_null(job->reply_to);
  job_free(job);
}
END_TEST

START_TEST(test_queue_names) {
  ck_assert(job_queue_name_valid("default", 7));
  ck_assert(job_queue_name_valid("a.b_C-9", 7));
  ck_assert(!job_queue_name_valid("", 0));
  ck_assert(!job_queue_name_valid("a:b", 3));
  ck_assert(!job_queue_name_valid("a}b", 3));
  char name[66];
  memset(name, 'q', sizeof name);
  ck_assert(job_queue_name_valid(name, 64));
  ck_assert(!job_queue_name_valid(name, 65));
}
END_TEST

int main(void) {
  Suite *suite = suite_create("job");
  TCase *tc = tcase_create("job");
  tcase_add_test(tc, test_minimal_job_has_the_defaults);
  tcase_add_test(tc, test_every_field_is_stored);
  tcase_add_test(tc, test_a_note_comes_and_goes_without_a_trace);
  tcase_add_test(tc, test_the_original_of_a_payload_without_note_is_itself);
  tcase_add_test(tc, test_a_note_is_read_only_where_workers_write_it);
  tcase_add_test(tc, test_a_note_does_not_make_a_payload_too_long);
  tcase_add_test(tc, test_text_of_values_is_kept);
  tcase_add_test(tc, test_what_is_not_json_is_refused_inside_values);
  tcase_add_test(tc, test_text_that_is_no_object);
  tcase_add_test(tc, test_bytes_that_are_not_utf8);
  tcase_add_test(tc, test_every_field_says_what_is_wrong);
  tcase_add_test(tc, test_integral_doubles_are_integers);
  tcase_add_test(tc, test_ids);
  tcase_add_test(tc, test_reply_to_cannot_name_the_queues_own_keys);
  tcase_add_test(tc, test_text_that_breaks_off_keeps_what_is_complete);
  tcase_add_test(tc, test_sizes);
  tcase_add_test(tc, test_depth);
  tcase_add_test(tc, test_messages_are_short_and_clean);
  tcase_add_test(tc, test_without_redis_no_id_is_needed);
  tcase_add_test(tc, test_queue_names);
  suite_add_tcase(suite, tc);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed != 0;
}
