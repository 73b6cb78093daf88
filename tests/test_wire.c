/*
 * The frame codec: what one side writes the other reads back unchanged, and whatever else arrives is refused
 * with the outputs untouched. Payloads are decoded from blocks of their exact size, so that a sanitizer build
 * sees a read beyond the end.
 */
#include <check.h>
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "worker/wire.h"

#define TEXT(literal) ((struct wire_text){literal, sizeof(literal) - 1})

/* ---- one interface over all messages ---- */

union message {
  struct wire_hello hello;
  struct wire_job job;
  struct wire_result result;
  struct wire_dying dying;
  struct wire_returned returned;
  struct wire_console_entry entry;
  struct wire_call call;
  struct wire_reply reply;
  struct wire_text text;
  uint8_t bytes[512];
};

static int decode_hello(const uint8_t *payload, size_t len, union message *out) {
  return wire_hello_decode(payload, len, &out->hello);
}

static int decode_job(const uint8_t *payload, size_t len, union message *out) {
  return wire_job_decode(payload, len, &out->job);
}

static int decode_result(const uint8_t *payload, size_t len, union message *out) {
  return wire_result_decode(payload, len, &out->result);
}

static int decode_dying(const uint8_t *payload, size_t len, union message *out) {
  return wire_dying_decode(payload, len, &out->dying);
}

static int decode_call(const uint8_t *payload, size_t len, union message *out) {
  return wire_call_decode(payload, len, &out->call);
}

static int decode_reply(const uint8_t *payload, size_t len, union message *out) {
  return wire_reply_decode(payload, len, &out->reply);
}

static int decode_trace(const uint8_t *payload, size_t len, union message *out) {
  return wire_trace_decode(payload, len, &out->text);
}

static int decode_inspect_in(const uint8_t *payload, size_t len, union message *out) {
  return wire_inspect_in_decode(payload, len, &out->text);
}

static int decode_inspect_out(const uint8_t *payload, size_t len, union message *out) {
  return wire_inspect_out_decode(payload, len, &out->text);
}

static int decode_returned(const uint8_t *payload, size_t len, union message *out) {
  return wire_returned_decode(payload, len, &out->returned);
}

/* A batch of exactly one entry. */
static int decode_entry(const uint8_t *payload, size_t len, union message *out) {
  struct wire_console_entry entry = {0};
  size_t offset = 0;
  int r = wire_console_entry_decode(payload, len, &offset, &entry);

  if (r < 0) {
    ck_assert_uint_eq(offset, 0);
    ck_assert_ptr_null(entry.text.data);
    return r;
  }
  if (r == 0 || offset != len) return -EBADMSG;
  out->entry = entry;
  return 0;
}

typedef int decoder(const uint8_t *payload, size_t len, union message *out);

static decoder *const decoders[] = {decode_hello,      decode_job,         decode_result,  decode_dying,
                                    decode_entry,      decode_call,        decode_reply,   decode_trace,
                                    decode_inspect_in, decode_inspect_out, decode_returned};
#define DECODER_COUNT ((int)(sizeof(decoders) / sizeof(decoders[0])))

/* Decodes a copy of exactly this size; a refusal must leave the output as it was. */
static int decode_exact(decoder *decode, const uint8_t *payload, size_t len) {
  static union message before, after;
  uint8_t *copy = malloc(len > 0 ? len : 1);
  int r;

  ck_assert_ptr_nonnull(copy);
  if (len > 0) memcpy(copy, payload, len);
  memset(&before, 0xA5, sizeof(before));
  memset(&after, 0xA5, sizeof(after));
  r = decode(copy, len, &after);
  if (r < 0) ck_assert_mem_eq(&before, &after, sizeof(before));
  free(copy);
  return r;
}

/* ---- examples ---- */

static const struct wire_hello a_hello = {.protocol = WIRE_PROTOCOL_VERSION,
                                          .locked_down = true,
                                          .v8_version = TEXT("13.6.233.17-node.28"),
                                          .sandbox = TEXT("userns,netns,nocaps,rlimits,seccomp")};

static const struct wire_job a_job = {.timeout_ms = 30000,
                                      .cpu_ms = 7,
                                      .max_timers = 10000,
                                      .functions = 0x80000001,
                                      .max_calls = 500,
                                      .max_heap_bytes = UINT64_C(256) << 20,
                                      .max_output_bytes = 1 << 20,
                                      .max_result_bytes = UINT64_C(1) << 40,
                                      .capture_console = true,
                                      .code_is_json = true,
                                      .has_seed = true,
                                      .seed = UINT64_C(0xFEDCBA9876543210),
                                      .code = TEXT("\"2 + 2\\u0000\""),
                                      .record = true,
                                      .input = TEXT("{\"a\": [1]}"),
                                      .trace = TEXT("{\"clock\":[1]}"),
                                      .inspect = TEXT("job-1")};

static const struct wire_result a_result = {.status = ISOQ_STATUS_OK,
                                            .result_type = ISOQ_TYPE_STRING,
                                            .has_result = true,
                                            .result = TEXT("a\0b"),
                                            .stdout_truncated = true,
                                            .execution_time_ms = 0.412,
                                            .cpu_time_ms = 0.371,
                                            .peak_memory_bytes = UINT64_C(5) << 32};

static const struct wire_result an_error = {.status = ISOQ_STATUS_ERROR,
                                            .stderr_truncated = true,
                                            .has_error = true,
                                            .error_name = TEXT("TypeError"),
                                            .error_message = TEXT("x is not a function"),
                                            .error_stack =
                                                TEXT("TypeError: x is not a function\n    at job.js:1:1"),
                                            .error_line = INT32_MAX,
                                            .error_column = 1};

static const struct wire_call a_call = {
    .call = 0xFFFFFFFE, .name = TEXT("listRegions"), .args = TEXT("[\"a\",null]")};

static const struct wire_reply a_reply = {.call = 3, .ok = true, .json = TEXT("[{\"name\":\"eu-west-1\"}]")};

static const struct wire_text a_trace = TEXT("{}");

static const struct wire_text a_message = TEXT("{\"id\":1,\"method\":\"Debugger.enable\"}");

static const struct wire_dying a_death = {.status = ISOQ_STATUS_OOM, .why = TEXT("Reached heap limit")};

/* The payload of the one frame in the buffer, whose header is checked. */
static const uint8_t *payload_of(const struct wire_buffer *buffer, enum wire_type type, uint32_t job,
                                 size_t *len) {
  struct wire_header header;

  ck_assert_uint_ge(buffer->len, WIRE_HEADER_SIZE);
  ck_assert_int_eq(wire_header_decode(buffer->data, &header), 0);
  ck_assert_int_eq(header.type, type);
  ck_assert_uint_eq(header.job, job);
  ck_assert_uint_eq(header.length, buffer->len - WIRE_HEADER_SIZE);
  *len = header.length;
  return buffer->data + WIRE_HEADER_SIZE;
}

static size_t make_entry(uint8_t *out, enum isoq_console_level level, bool truncated, const char *text) {
  wire_console_entry_encode(out, level, truncated, (uint32_t)strlen(text));
  memcpy(out + WIRE_CONSOLE_ENTRY_OVERHEAD, text, strlen(text));
  return WIRE_CONSOLE_ENTRY_OVERHEAD + strlen(text);
}

/* Puts example `i` into the buffer as a frame; false when there are no more. */
static bool make_example(int i, struct wire_buffer *buffer, decoder **decode) {
  uint8_t small[1024];
  size_t len;

  switch (i) {
  case 0: *decode = decode_hello; return wire_hello_encode(buffer, &a_hello) == 0;
  case 1: *decode = decode_job; return wire_job_encode(buffer, 1, &a_job) == 0;
  case 2: *decode = decode_result; return wire_result_encode(buffer, 1, &a_result) == 0;
  case 3: *decode = decode_result; return wire_result_encode(buffer, 1, &an_error) == 0;
  case 4:
    *decode = decode_dying;
    ck_assert_int_eq(wire_dying_encode(small, &len, 1, &a_death), 0);
    break;
  case 5:
    *decode = decode_entry;
    wire_header_encode(small, WIRE_CONSOLE, WIRE_CONSOLE_ENTRY_OVERHEAD + 5, 1);
    len = WIRE_HEADER_SIZE + make_entry(small + WIRE_HEADER_SIZE, ISOQ_CONSOLE_WARN, false, "hello");
    break;
  case 6: *decode = decode_call; return wire_call_encode(buffer, 1, &a_call) == 0;
  case 7: *decode = decode_reply; return wire_reply_encode(buffer, 1, &a_reply) == 0;
  case 8: *decode = decode_trace; return wire_trace_encode(buffer, 1, a_trace) == 0;
  case 9: *decode = decode_inspect_in; return wire_inspect_in_encode(buffer, 1, a_message) == 0;
  case 10: *decode = decode_inspect_out; return wire_inspect_out_encode(buffer, 1, a_message) == 0;
  case 11:
    *decode = decode_returned;
    wire_returned_encode(small, &(struct wire_returned){.after = 1, .up_to = 3});
    len = WIRE_RETURNED_SIZE;
    break;
  default: return false;
  }
  buffer->data = malloc(len);
  ck_assert_ptr_nonnull(buffer->data);
  memcpy(buffer->data, small, len);
  buffer->len = buffer->capacity = len;
  return true;
}

/* ---- headers ---- */

START_TEST(a_header_comes_back) {
  uint8_t bytes[WIRE_HEADER_SIZE];
  struct wire_header header;

  wire_header_encode(bytes, WIRE_CONSOLE, 0x00010203, 0xFFFFFFFF);
  ck_assert_mem_eq(bytes, "\x03\x02\x01\x00\x03\x00\x00\x00\xff\xff\xff\xff", WIRE_HEADER_SIZE);
  ck_assert_int_eq(wire_header_decode(bytes, &header), 0);
  ck_assert_uint_eq(header.length, 0x00010203);
  ck_assert_int_eq(header.type, WIRE_CONSOLE);
  ck_assert_uint_eq(header.job, 0xFFFFFFFF);
}
END_TEST

START_TEST(an_unknown_type_is_refused) {
  for (int type = 0; type < 256; type++) {
    uint8_t bytes[WIRE_HEADER_SIZE] = {0};
    struct wire_header header = {.length = 77};
    bool known = type >= WIRE_HELLO && type <= WIRE_RETURNED;

    bytes[4] = (uint8_t)type;
    ck_assert_int_eq(wire_header_decode(bytes, &header), known ? 0 : -EBADMSG);
    ck_assert_uint_eq(header.length, known ? 0 : 77);
    ck_assert_int_eq(strcmp(wire_type_name(type), "?") != 0, known);
    ck_assert_int_eq(wire_type_max(type) != 0, known);
  }
  ck_assert_str_eq(wire_type_name(WIRE_CONSOLE), "CONSOLE");
  ck_assert_str_eq(wire_type_name(-1), "?");
}
END_TEST

START_TEST(padding_that_is_not_zero_is_refused) {
  for (int at = 5; at < 8; at++) {
    uint8_t bytes[WIRE_HEADER_SIZE];
    struct wire_header header;

    wire_header_encode(bytes, WIRE_JOB, 1, 1);
    bytes[at] = 0x80;
    ck_assert_int_eq(wire_header_decode(bytes, &header), -EBADMSG);
  }
}
END_TEST

START_TEST(a_length_over_the_types_maximum_is_refused) {
  for (int type = WIRE_HELLO; type <= WIRE_RETURNED; type++) {
    uint8_t bytes[WIRE_HEADER_SIZE];
    struct wire_header header = {.length = 77};

    wire_header_encode(bytes, (enum wire_type)type, wire_type_max(type) + 1, 0);
    ck_assert_int_eq(wire_header_decode(bytes, &header), -EMSGSIZE);
    wire_header_encode(bytes, (enum wire_type)type, UINT32_MAX, 0);
    ck_assert_int_eq(wire_header_decode(bytes, &header), -EMSGSIZE);
    ck_assert_uint_eq(header.length, 77);
    wire_header_encode(bytes, (enum wire_type)type, wire_type_max(type), 0);
    ck_assert_int_eq(wire_header_decode(bytes, &header), 0);
  }
}
END_TEST

/* ---- round trips ---- */

static void assert_text(struct wire_text got, struct wire_text wanted) {
  ck_assert_uint_eq(got.len, wanted.len);
  ck_assert_mem_eq(got.data, wanted.data, wanted.len);
}

START_TEST(a_hello_comes_back) {
  struct wire_buffer buffer = {0};
  struct wire_hello got;
  const uint8_t *payload;
  size_t len;

  ck_assert_int_eq(wire_hello_encode(&buffer, &a_hello), 0);
  payload = payload_of(&buffer, WIRE_HELLO, 0, &len);
  ck_assert_int_eq(wire_hello_decode(payload, len, &got), 0);
  ck_assert_uint_eq(got.protocol, WIRE_PROTOCOL_VERSION);
  ck_assert(got.locked_down);
  assert_text(got.v8_version, a_hello.v8_version);
  assert_text(got.sandbox, a_hello.sandbox);
  wire_buffer_free(&buffer);
}
END_TEST

START_TEST(a_job_comes_back) {
  struct wire_buffer buffer = {0};
  struct wire_job got;
  const uint8_t *payload;
  size_t len;

  ck_assert_int_eq(wire_job_encode(&buffer, 0x80000001, &a_job), 0);
  payload = payload_of(&buffer, WIRE_JOB, 0x80000001, &len);
  ck_assert_int_eq(wire_job_decode(payload, len, &got), 0);
  ck_assert_uint_eq(got.timeout_ms, a_job.timeout_ms);
  ck_assert_uint_eq(got.cpu_ms, a_job.cpu_ms);
  ck_assert_uint_eq(got.max_timers, a_job.max_timers);
  ck_assert_uint_eq(got.functions, a_job.functions);
  ck_assert_uint_eq(got.max_calls, a_job.max_calls);
  ck_assert(got.record);
  ck_assert_uint_eq(got.max_heap_bytes, a_job.max_heap_bytes);
  ck_assert_uint_eq(got.max_output_bytes, a_job.max_output_bytes);
  ck_assert_uint_eq(got.max_result_bytes, a_job.max_result_bytes);
  ck_assert_uint_eq(got.seed, a_job.seed);
  ck_assert(got.capture_console && got.code_is_json && got.has_seed);
  assert_text(got.code, a_job.code);
  assert_text(got.input, a_job.input);
  assert_text(got.trace, a_job.trace);
  assert_text(got.inspect, a_job.inspect);
  wire_buffer_free(&buffer);
}
END_TEST

START_TEST(a_jobs_flags_and_input_are_kept_apart) {
  for (int flags = 0; flags < 128; flags++) {
    struct wire_job job = {
        .capture_console = flags & 1, .code_is_json = flags & 2, .has_seed = flags & 4, .record = flags & 16};
    struct wire_buffer buffer = {0};
    struct wire_job got;
    const uint8_t *payload;
    size_t len;

    /* An empty input is not the same as none. */
    if (flags & 8) job.input = TEXT("");
    if (flags & 32) job.trace = TEXT("");
    if (flags & 64) job.inspect = TEXT("");
    ck_assert_int_eq(wire_job_encode(&buffer, 1, &job), 0);
    payload = payload_of(&buffer, WIRE_JOB, 1, &len);
    ck_assert_int_eq(wire_job_decode(payload, len, &got), 0);
    ck_assert_int_eq(got.capture_console, job.capture_console);
    ck_assert_int_eq(got.code_is_json, job.code_is_json);
    ck_assert_int_eq(got.has_seed, job.has_seed);
    ck_assert_int_eq(got.record, job.record);
    ck_assert_int_eq(got.input.data != NULL, (flags & 8) != 0);
    ck_assert_int_eq(got.trace.data != NULL, (flags & 32) != 0);
    ck_assert_int_eq(got.inspect.data != NULL, (flags & 64) != 0);
    ck_assert_uint_eq(got.code.len, 0);
    wire_buffer_free(&buffer);
  }
}
END_TEST

START_TEST(a_result_comes_back) {
  struct wire_buffer buffer = {0};
  struct wire_result got;
  const uint8_t *payload;
  size_t len;

  ck_assert_int_eq(wire_result_encode(&buffer, 3, &a_result), 0);
  payload = payload_of(&buffer, WIRE_RESULT, 3, &len);
  ck_assert_int_eq(wire_result_decode(payload, len, &got), 0);
  ck_assert_int_eq(got.status, ISOQ_STATUS_OK);
  ck_assert_int_eq(got.result_type, ISOQ_TYPE_STRING);
  ck_assert(got.has_result && got.stdout_truncated && !got.stderr_truncated && !got.has_error);
  assert_text(got.result, a_result.result);
  ck_assert_double_eq(got.execution_time_ms, 0.412);
  ck_assert_double_eq(got.cpu_time_ms, 0.371);
  ck_assert_uint_eq(got.peak_memory_bytes, a_result.peak_memory_bytes);
  wire_buffer_free(&buffer);
}
END_TEST

START_TEST(an_error_comes_back) {
  struct wire_buffer buffer = {0};
  struct wire_result got;
  const uint8_t *payload;
  size_t len;

  ck_assert_int_eq(wire_result_encode(&buffer, 3, &an_error), 0);
  payload = payload_of(&buffer, WIRE_RESULT, 3, &len);
  ck_assert_int_eq(wire_result_decode(payload, len, &got), 0);
  ck_assert_int_eq(got.status, ISOQ_STATUS_ERROR);
  ck_assert_int_eq(got.result_type, ISOQ_TYPE_NONE);
  ck_assert(!got.has_result && !got.stdout_truncated && got.stderr_truncated && got.has_error);
  ck_assert_ptr_null(got.result.data);
  assert_text(got.error_name, an_error.error_name);
  assert_text(got.error_message, an_error.error_message);
  assert_text(got.error_stack, an_error.error_stack);
  ck_assert_int_eq(got.error_line, INT32_MAX);
  ck_assert_int_eq(got.error_column, 1);
  wire_buffer_free(&buffer);
}
END_TEST

START_TEST(every_status_and_type_comes_back) {
  for (int status = 0; status < ISOQ_STATUS_COUNT; status++) {
    for (int type = 0; type < ISOQ_TYPE_COUNT; type++) {
      struct wire_result result = {.status = (enum isoq_status)status,
                                   .result_type = (enum isoq_result_type)type};
      struct wire_buffer buffer = {0};
      struct wire_result got;
      const uint8_t *payload;
      size_t len;

      ck_assert_int_eq(wire_result_encode(&buffer, 1, &result), 0);
      payload = payload_of(&buffer, WIRE_RESULT, 1, &len);
      ck_assert_int_eq(wire_result_decode(payload, len, &got), 0);
      ck_assert_int_eq(got.status, result.status);
      ck_assert_int_eq(got.result_type, result.result_type);
      wire_buffer_free(&buffer);
    }
  }
}
END_TEST

START_TEST(a_death_comes_back) {
  uint8_t frame[1024];
  struct wire_header header;
  struct wire_dying got;
  size_t len;

  ck_assert_int_eq(wire_dying_encode(frame, &len, 9, &a_death), 0);
  ck_assert_int_eq(wire_header_decode(frame, &header), 0);
  ck_assert_int_eq(header.type, WIRE_DYING);
  ck_assert_uint_eq(header.job, 9);
  ck_assert_uint_eq(header.length, len - WIRE_HEADER_SIZE);
  ck_assert_int_eq(wire_dying_decode(frame + WIRE_HEADER_SIZE, header.length, &got), 0);
  ck_assert_int_eq(got.status, ISOQ_STATUS_OOM);
  assert_text(got.why, a_death.why);
}
END_TEST

START_TEST(a_range_of_returned_jobs_comes_back_and_is_never_empty) {
  uint8_t frame[WIRE_RETURNED_SIZE];
  struct wire_returned got = {0};
  struct wire_header header;

  wire_returned_encode(frame, &(struct wire_returned){.after = 0x01020304, .up_to = UINT32_MAX});
  ck_assert_int_eq(wire_header_decode(frame, &header), 0);
  ck_assert_int_eq(header.type, WIRE_RETURNED);
  ck_assert_uint_eq(header.job, 0);
  ck_assert_uint_eq(header.length, WIRE_RETURNED_SIZE - WIRE_HEADER_SIZE);
  ck_assert_int_eq(wire_returned_decode(frame + WIRE_HEADER_SIZE, header.length, &got), 0);
  ck_assert_uint_eq(got.after, 0x01020304);
  ck_assert_uint_eq(got.up_to, UINT32_MAX);
  wire_returned_encode(frame, &(struct wire_returned){.after = 7, .up_to = 7});
  ck_assert_int_eq(wire_returned_decode(frame + WIRE_HEADER_SIZE, header.length, &got), -EBADMSG);
}
END_TEST

START_TEST(a_call_and_its_answer_come_back) {
  struct wire_buffer buffer = {0};
  struct wire_call call;
  struct wire_reply reply;
  struct wire_text trace;
  const uint8_t *payload;
  size_t len;

  ck_assert_int_eq(wire_call_encode(&buffer, 7, &a_call), 0);
  payload = payload_of(&buffer, WIRE_CALL, 7, &len);
  ck_assert_int_eq(wire_call_decode(payload, len, &call), 0);
  ck_assert_uint_eq(call.call, a_call.call);
  assert_text(call.name, a_call.name);
  assert_text(call.args, a_call.args);
  wire_buffer_reset(&buffer, 0);
  for (int ok = 0; ok < 2; ok++) {
    struct wire_reply sent = a_reply;

    sent.ok = ok;
    ck_assert_int_eq(wire_reply_encode(&buffer, 7, &sent), 0);
    payload = payload_of(&buffer, WIRE_REPLY, 7, &len);
    ck_assert_int_eq(wire_reply_decode(payload, len, &reply), 0);
    ck_assert_uint_eq(reply.call, 3);
    ck_assert_int_eq(reply.ok, ok);
    assert_text(reply.json, a_reply.json);
    wire_buffer_reset(&buffer, 0);
  }
  ck_assert_int_eq(wire_trace_encode(&buffer, 7, a_trace), 0);
  payload = payload_of(&buffer, WIRE_TRACE, 7, &len);
  ck_assert_int_eq(wire_trace_decode(payload, len, &trace), 0);
  assert_text(trace, a_trace);
  wire_buffer_free(&buffer);
}
END_TEST

START_TEST(a_debuggers_messages_come_back) {
  struct wire_buffer buffer = {0};
  struct wire_text got;
  const uint8_t *payload;
  size_t len;

  ck_assert_int_eq(wire_inspect_in_encode(&buffer, 7, a_message), 0);
  payload = payload_of(&buffer, WIRE_INSPECT_IN, 7, &len);
  ck_assert_int_eq(wire_inspect_in_decode(payload, len, &got), 0);
  assert_text(got, a_message);
  wire_buffer_reset(&buffer, 0);
  ck_assert_int_eq(wire_inspect_out_encode(&buffer, 7, a_message), 0);
  payload = payload_of(&buffer, WIRE_INSPECT_OUT, 7, &len);
  ck_assert_int_eq(wire_inspect_out_decode(payload, len, &got), 0);
  assert_text(got, a_message);
  wire_buffer_reset(&buffer, 0);
  /* "The debugger has gone." */
  ck_assert_int_eq(wire_inspect_in_encode(&buffer, 7, (struct wire_text){0}), 0);
  payload = payload_of(&buffer, WIRE_INSPECT_IN, 7, &len);
  ck_assert_int_eq(wire_inspect_in_decode(payload, len, &got), 0);
  ck_assert_uint_eq(got.len, 0);
  wire_buffer_free(&buffer);
}
END_TEST

START_TEST(console_entries_come_back_in_order) {
  uint8_t batch[256];
  struct wire_console_entry entry;
  size_t len = 0, offset = 0;

  for (int level = 0; level < ISOQ_CONSOLE_COUNT; level++)
    len += make_entry(batch + len, (enum isoq_console_level)level, level % 2 != 0, level == 2 ? "" : "text");
  for (int level = 0; level < ISOQ_CONSOLE_COUNT; level++) {
    ck_assert_int_eq(wire_console_entry_decode(batch, len, &offset, &entry), 1);
    ck_assert_int_eq(entry.level, level);
    ck_assert_int_eq(entry.truncated, level % 2 != 0);
    assert_text(entry.text, level == 2 ? TEXT("") : TEXT("text"));
  }
  ck_assert_int_eq(wire_console_entry_decode(batch, len, &offset, &entry), 0);
  ck_assert_uint_eq(offset, len);
}
END_TEST

START_TEST(an_empty_batch_has_no_entries) {
  struct wire_console_entry entry;
  size_t offset = 0;

  ck_assert_int_eq(wire_console_entry_decode(NULL, 0, &offset, &entry), 0);
}
END_TEST

/* ---- refusals ---- */

START_TEST(every_truncation_is_refused) {
  decoder *decode;

  for (int i = 0;; i++) {
    struct wire_buffer buffer = {0};
    const uint8_t *payload;
    size_t len;

    if (!make_example(i, &buffer, &decode)) break;
    payload = buffer.data + WIRE_HEADER_SIZE;
    len = buffer.len - WIRE_HEADER_SIZE;
    ck_assert_int_eq(decode_exact(decode, payload, len), 0);
    for (size_t shorter = 0; shorter < len; shorter++)
      ck_assert_msg(decode_exact(decode, payload, shorter) == -EBADMSG, "example %d, %zu of %zu bytes", i,
                    shorter, len);
    wire_buffer_free(&buffer);
  }
}
END_TEST

START_TEST(a_byte_too_many_is_refused) {
  decoder *decode;

  for (int i = 0;; i++) {
    struct wire_buffer buffer = {0};
    uint8_t longer[1024] = {0};
    size_t len;

    if (!make_example(i, &buffer, &decode)) break;
    len = buffer.len - WIRE_HEADER_SIZE;
    memcpy(longer, buffer.data + WIRE_HEADER_SIZE, len);
    ck_assert_msg(decode_exact(decode, longer, len + 1) == -EBADMSG, "example %d", i);
    wire_buffer_free(&buffer);
  }
}
END_TEST

/* Every byte of every example is set to values of interest: the decoders may take them or refuse them, but a
 * length that points beyond the payload must be refused, which decode_exact() and the sanitizers watch. */
START_TEST(changed_bytes_do_no_harm) {
  static const uint8_t values[] = {0, 1, 0x7F, 0x80, 0xFF};
  decoder *decode;

  for (int i = 0;; i++) {
    struct wire_buffer buffer = {0};
    uint8_t *payload;

    if (!make_example(i, &buffer, &decode)) break;
    payload = buffer.data + WIRE_HEADER_SIZE;
    for (size_t at = 0; at < buffer.len - WIRE_HEADER_SIZE; at++) {
      uint8_t original = payload[at];

      for (size_t v = 0; v < sizeof(values); v++) {
        payload[at] = values[v];
        decode_exact(decode, payload, buffer.len - WIRE_HEADER_SIZE);
      }
      payload[at] = original;
    }
    wire_buffer_free(&buffer);
  }
}
END_TEST

START_TEST(random_bytes_do_no_harm) {
  uint64_t state = UINT64_C(0x9E3779B97F4A7C15);
  uint8_t bytes[256];

  for (int round = 0; round < 20000; round++) {
    size_t len = (size_t)(state >> 32) % sizeof(bytes);

    for (size_t i = 0; i < len; i++) {
      /* xorshift: the same bytes at every run. Zeros often, or no length is ever small enough. */
      state ^= state << 13;
      state ^= state >> 7;
      state ^= state << 17;
      bytes[i] = state & 0x300 ? 0 : (uint8_t)state;
    }
    state += 0x12345;
    decode_exact(decoders[round % DECODER_COUNT], bytes, len);
  }
}
END_TEST

/* The offsets are part of the format: a change of them is a change of WIRE_PROTOCOL_VERSION. */
enum {
  RESULT_STATUS_AT = 0,
  RESULT_TYPE_AT = 1,
  RESULT_FLAGS_AT = 2,
  RESULT_TIME_AT = 3,
  RESULT_CPU_AT = 11
};
enum {
  RESULT_LINE_AT = 27,
  HELLO_FLAGS_AT = 4,
  HELLO_VERSION_AT = 5,
  JOB_FLAGS_AT = 52,
  DYING_STATUS_AT = 0
};

static int decode_with_byte(int example, size_t at, uint8_t value) {
  struct wire_buffer buffer = {0};
  decoder *decode;
  int r;

  ck_assert(make_example(example, &buffer, &decode));
  buffer.data[WIRE_HEADER_SIZE + at] = value;
  r = decode_exact(decode, buffer.data + WIRE_HEADER_SIZE, buffer.len - WIRE_HEADER_SIZE);
  wire_buffer_free(&buffer);
  return r;
}

START_TEST(numbers_out_of_their_range_are_refused) {
  ck_assert_int_eq(decode_with_byte(2, RESULT_STATUS_AT, ISOQ_STATUS_COUNT - 1), 0);
  ck_assert_int_eq(decode_with_byte(2, RESULT_STATUS_AT, ISOQ_STATUS_COUNT), -EBADMSG);
  ck_assert_int_eq(decode_with_byte(2, RESULT_TYPE_AT, ISOQ_TYPE_COUNT - 1), 0);
  ck_assert_int_eq(decode_with_byte(2, RESULT_TYPE_AT, ISOQ_TYPE_COUNT), -EBADMSG);
  ck_assert_int_eq(decode_with_byte(3, RESULT_LINE_AT + 3, 0x80), -EBADMSG);
  ck_assert_int_eq(decode_with_byte(3, RESULT_LINE_AT + 7, 0xFF), -EBADMSG);
  ck_assert_int_eq(decode_with_byte(5, 0, ISOQ_CONSOLE_COUNT), -EBADMSG);
  ck_assert_int_eq(decode_with_byte(5, 1, 1), 0);
  ck_assert_int_eq(decode_with_byte(5, 1, 2), -EBADMSG);
}
END_TEST

START_TEST(unknown_flags_are_refused) {
  ck_assert_int_eq(decode_with_byte(0, HELLO_FLAGS_AT, 0), 0);
  ck_assert_int_eq(decode_with_byte(0, HELLO_FLAGS_AT, 2), -EBADMSG);
  ck_assert_int_eq(decode_with_byte(1, JOB_FLAGS_AT, 64 + 32 + 8), 0);
  ck_assert_int_eq(decode_with_byte(1, JOB_FLAGS_AT, 128 + 64 + 32 + 8), -EBADMSG);
  ck_assert_int_eq(decode_with_byte(2, RESULT_FLAGS_AT, 1), 0);
  ck_assert_int_eq(decode_with_byte(2, RESULT_FLAGS_AT, 32 + 1), -EBADMSG);
}
END_TEST

START_TEST(only_oom_and_crashed_are_deaths) {
  for (int status = 0; status < 256; status++) {
    bool good = status == ISOQ_STATUS_OOM || status == ISOQ_STATUS_CRASHED;

    ck_assert_int_eq(decode_with_byte(4, DYING_STATUS_AT, (uint8_t)status), good ? 0 : -EBADMSG);
  }
}
END_TEST

START_TEST(times_that_are_no_durations_are_refused) {
  static const double bad[] = {NAN, INFINITY, -INFINITY, -1.0, -0.0};

  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
    for (int which = 0; which < 2; which++) {
      struct wire_result result = a_result;
      struct wire_buffer buffer = {0};
      const uint8_t *payload;
      size_t len;

      *(which == 0 ? &result.execution_time_ms : &result.cpu_time_ms) = bad[i];
      ck_assert_int_eq(wire_result_encode(&buffer, 1, &result), 0);
      payload = payload_of(&buffer, WIRE_RESULT, 1, &len);
      ck_assert_msg(decode_exact(decode_result, payload, len) == -EBADMSG, "%f", bad[i]);
      wire_buffer_free(&buffer);
    }
  }
}
END_TEST

START_TEST(texts_over_their_limit_are_refused) {
  static char long_text[600];
  struct wire_buffer buffer = {0};
  struct wire_hello hello = a_hello;
  struct wire_dying dying = {.status = ISOQ_STATUS_CRASHED, .why = {long_text, 512}};
  uint8_t frame[1024] = {0};
  size_t len = 77;

  memset(long_text, 'x', sizeof(long_text));
  hello.v8_version = (struct wire_text){long_text, 65};
  ck_assert_int_eq(wire_hello_encode(&buffer, &hello), -EMSGSIZE);
  ck_assert_uint_eq(buffer.len, 0);
  ck_assert(buffer.failed);
  wire_buffer_reset(&buffer, 0);
  hello.v8_version.len = 64;
  hello.sandbox = (struct wire_text){long_text, 257};
  ck_assert_int_eq(wire_hello_encode(&buffer, &hello), -EMSGSIZE);
  wire_buffer_reset(&buffer, 0);
  hello.sandbox.len = 256;
  ck_assert_int_eq(wire_hello_encode(&buffer, &hello), 0);

  /* One byte moved from the second text to the first: the payload is as long, the first text too long. */
  buffer.data[WIRE_HEADER_SIZE + HELLO_VERSION_AT] = 65;
  ck_assert_int_eq(decode_exact(decode_hello, buffer.data + WIRE_HEADER_SIZE, buffer.len - WIRE_HEADER_SIZE),
                   -EBADMSG);
  wire_buffer_free(&buffer);

  struct wire_call call = {.name = {long_text, WIRE_CALL_NAME_MAX + 1}};
  buffer = (struct wire_buffer){0};
  ck_assert_int_eq(wire_call_encode(&buffer, 1, &call), -EMSGSIZE);
  wire_buffer_reset(&buffer, 0);
  call = (struct wire_call){.args = {long_text, WIRE_CALL_ARGS_MAX + 1}}; /* refused, so not read */
  ck_assert_int_eq(wire_call_encode(&buffer, 1, &call), -EMSGSIZE);
  wire_buffer_reset(&buffer, 0);
  ck_assert_int_eq(wire_trace_encode(&buffer, 1, (struct wire_text){long_text, WIRE_TRACE_MAX + 1}),
                   -EMSGSIZE);
  wire_buffer_reset(&buffer, 0);
  ck_assert_int_eq(wire_inspect_in_encode(&buffer, 1, (struct wire_text){long_text, WIRE_INSPECT_MAX + 1}),
                   -EMSGSIZE);
  wire_buffer_reset(&buffer, 0);
  ck_assert_int_eq(wire_inspect_out_encode(&buffer, 1, (struct wire_text){long_text, WIRE_INSPECT_MAX + 1}),
                   -EMSGSIZE);
  wire_buffer_reset(&buffer, 0);
  struct wire_job job = {.inspect = {long_text, WIRE_INSPECT_NAME_MAX + 1}};
  ck_assert_int_eq(wire_job_encode(&buffer, 1, &job), -EMSGSIZE);
  wire_buffer_free(&buffer);

  ck_assert_int_eq(wire_dying_encode(frame, &len, 1, &dying), 0);
  dying.why.len = 513;
  len = 77;
  ck_assert_int_eq(wire_dying_encode(frame, &len, 1, &dying), -EMSGSIZE);
  ck_assert_uint_eq(len, 77);
}
END_TEST

START_TEST(a_frame_over_its_maximum_is_not_made) {
  struct wire_buffer buffer = {0};
  struct wire_job job = a_job;
  struct wire_result result = a_result;
  size_t before;

  ck_assert_int_eq(wire_job_encode(&buffer, 1, &a_job), 0);
  before = buffer.len;
  /* Lengths only: a text that is refused is not read. */
  job.code.len = wire_type_max(WIRE_JOB);
  ck_assert_int_eq(wire_job_encode(&buffer, 2, &job), -EMSGSIZE);
  ck_assert_uint_eq(buffer.len, before);
  ck_assert_int_eq(wire_job_encode(&buffer, 2, &a_job), -ENOMEM); /* failed: not usable before a reset */
  wire_buffer_reset(&buffer, SIZE_MAX);
  job.code.len = SIZE_MAX;
  job.input.len = SIZE_MAX;
  ck_assert_int_eq(wire_job_encode(&buffer, 2, &job), -EMSGSIZE);
  wire_buffer_reset(&buffer, SIZE_MAX);
  result.result.len = SIZE_MAX - 3;
  ck_assert_int_eq(wire_result_encode(&buffer, 2, &result), -EMSGSIZE);
  wire_buffer_reset(&buffer, SIZE_MAX);
  ck_assert_int_eq(wire_job_encode(&buffer, 2, &a_job), 0);
  wire_buffer_free(&buffer);
}
END_TEST

START_TEST(a_text_whose_length_lies_is_refused) {
  uint8_t entry[WIRE_CONSOLE_ENTRY_OVERHEAD + 4];
  static const uint32_t lengths[] = {5, 0x7FFFFFFF, 0x80000000, UINT32_MAX - 6, UINT32_MAX};

  memset(entry, 'x', sizeof(entry));
  for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
    wire_console_entry_encode(entry, ISOQ_CONSOLE_LOG, false, lengths[i]);
    ck_assert_int_eq(decode_exact(decode_entry, entry, sizeof(entry)), -EBADMSG);
  }
}
END_TEST

/* ---- the buffer, and the names ---- */

START_TEST(frames_are_appended_one_after_the_other) {
  struct wire_buffer buffer = {0};
  size_t at = 0;

  for (uint32_t job = 1; job <= 500; job++)
    ck_assert_int_eq(wire_job_encode(&buffer, job, &a_job), 0);
  for (uint32_t job = 1; job <= 500; job++) {
    struct wire_header header;
    struct wire_job got;

    ck_assert_int_eq(wire_header_decode(buffer.data + at, &header), 0);
    ck_assert_uint_eq(header.job, job);
    ck_assert_int_eq(wire_job_decode(buffer.data + at + WIRE_HEADER_SIZE, header.length, &got), 0);
    at += WIRE_HEADER_SIZE + header.length;
  }
  ck_assert_uint_eq(at, buffer.len);
  wire_buffer_free(&buffer);
  ck_assert_ptr_null(buffer.data);
}
END_TEST

START_TEST(a_reset_keeps_a_small_buffer_and_frees_a_large_one) {
  struct wire_buffer buffer = {0};

  ck_assert_int_eq(wire_job_encode(&buffer, 1, &a_job), 0);
  wire_buffer_reset(&buffer, 1 << 20);
  ck_assert_uint_eq(buffer.len, 0);
  ck_assert_uint_gt(buffer.capacity, 0);
  wire_buffer_reset(&buffer, 1);
  ck_assert_uint_eq(buffer.capacity, 0);
  ck_assert_ptr_null(buffer.data);
}
END_TEST

START_TEST(names_are_the_contracts) {
  ck_assert_str_eq(isoq_status_name(ISOQ_STATUS_OK), "ok");
  ck_assert_str_eq(isoq_status_name(ISOQ_STATUS_WORKER_LOST), "worker_lost");
  ck_assert_str_eq(isoq_status_name(ISOQ_STATUS_COUNT), "crashed");
  ck_assert_str_eq(isoq_status_name((enum isoq_status)1000), "crashed");
  ck_assert_ptr_null(isoq_result_type_name(ISOQ_TYPE_NONE));
  ck_assert_ptr_null(isoq_result_type_name(ISOQ_TYPE_COUNT));
  ck_assert_str_eq(isoq_result_type_name(ISOQ_TYPE_NULL_), "null");
  ck_assert_str_eq(isoq_result_type_name(ISOQ_TYPE_OBJECT), "object");
  ck_assert_str_eq(isoq_console_level_name(ISOQ_CONSOLE_DEBUG), "debug");
  ck_assert_str_eq(isoq_console_level_name(ISOQ_CONSOLE_COUNT), "error");
  ck_assert_int_eq(isoq_console_level_stream(ISOQ_CONSOLE_INFO), 1);
  ck_assert_int_eq(isoq_console_level_stream(ISOQ_CONSOLE_WARN), 2);
}
END_TEST

static Suite *wire_suite(void) {
  Suite *suite = suite_create("wire");
  TCase *good = tcase_create("round trips"), *bad = tcase_create("refusals");

  tcase_set_timeout(bad, 60);
  tcase_add_test(good, a_header_comes_back);
  tcase_add_test(good, a_hello_comes_back);
  tcase_add_test(good, a_job_comes_back);
  tcase_add_test(good, a_jobs_flags_and_input_are_kept_apart);
  tcase_add_test(good, a_result_comes_back);
  tcase_add_test(good, an_error_comes_back);
  tcase_add_test(good, every_status_and_type_comes_back);
  tcase_add_test(good, a_death_comes_back);
  tcase_add_test(good, a_range_of_returned_jobs_comes_back_and_is_never_empty);
  tcase_add_test(good, a_call_and_its_answer_come_back);
  tcase_add_test(good, a_debuggers_messages_come_back);
  tcase_add_test(good, console_entries_come_back_in_order);
  tcase_add_test(good, an_empty_batch_has_no_entries);
  tcase_add_test(good, frames_are_appended_one_after_the_other);
  tcase_add_test(good, a_reset_keeps_a_small_buffer_and_frees_a_large_one);
  tcase_add_test(good, names_are_the_contracts);
  suite_add_tcase(suite, good);

  tcase_add_test(bad, an_unknown_type_is_refused);
  tcase_add_test(bad, padding_that_is_not_zero_is_refused);
  tcase_add_test(bad, a_length_over_the_types_maximum_is_refused);
  tcase_add_test(bad, every_truncation_is_refused);
  tcase_add_test(bad, a_byte_too_many_is_refused);
  tcase_add_test(bad, changed_bytes_do_no_harm);
  tcase_add_test(bad, random_bytes_do_no_harm);
  tcase_add_test(bad, numbers_out_of_their_range_are_refused);
  tcase_add_test(bad, unknown_flags_are_refused);
  tcase_add_test(bad, only_oom_and_crashed_are_deaths);
  tcase_add_test(bad, times_that_are_no_durations_are_refused);
  tcase_add_test(bad, texts_over_their_limit_are_refused);
  tcase_add_test(bad, a_frame_over_its_maximum_is_not_made);
  tcase_add_test(bad, a_text_whose_length_lies_is_refused);
  suite_add_tcase(suite, bad);
  return suite;
}

int main(void) {
  SRunner *runner = srunner_create(wire_suite());
  int failed;

  srunner_run_all(runner, CK_ENV);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? 0 : 1;
}
