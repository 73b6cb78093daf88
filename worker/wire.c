/*
 * The frame codec. Every message has one layout, written by its encoder and read by the decoder beside it:
 * little-endian integers, booleans as one byte of flags, doubles as their IEEE 754 bits, a text as a u32
 * length and its bytes.
 *
 * Encoders compute the size first, so that a frame is appended whole or not at all, and nothing is patched
 * later. Decoders run over a cursor that only ever fails once: reading past the end marks it bad and gives
 * zeros, and the decoder looks at the mark at the end, together with "was all of it used?". So no decoder can
 * forget a bounds check, and none writes its output before the whole payload was found good.
 *
 * There is one form for each value (unknown flag bits, padding and out-of-range numbers are refused). A text
 * is bytes here; whoever puts it into JSON checks that it is UTF-8.
 */
#include "worker/wire.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_OVERHEAD 4

#define HELLO_VERSION_MAX 64
#define HELLO_SANDBOX_MAX 256
#define DYING_WHY_MAX 512

#define HELLO_FIXED (4 + 1)
#define JOB_FIXED (5 * 4 + 4 * 8 + 1)
#define RESULT_FIXED (1 + 1 + 1 + 3 * 8)
#define RESULT_ERROR_FIXED (4 + 4)
#define DYING_FIXED 1
#define CALL_FIXED 4
#define REPLY_FIXED (4 + 1)

/* Bits of a message's flag byte. */
enum {
  HELLO_LOCKED_DOWN = 1,
  HELLO_FLAGS = 1
};
enum {
  JOB_CAPTURE_CONSOLE = 1,
  JOB_CODE_IS_JSON = 2,
  JOB_HAS_SEED = 4,
  JOB_HAS_INPUT = 8,
  JOB_RECORD = 16,
  JOB_HAS_TRACE = 32,
  JOB_INSPECT = 64,
  JOB_FLAGS = 127
};
enum {
  RESULT_HAS_RESULT = 1,
  RESULT_STDOUT_TRUNCATED = 2,
  RESULT_STDERR_TRUNCATED = 4,
  RESULT_HAS_ERROR = 8,
  RESULT_RETIRE = 16,
  RESULT_FLAGS = 31
};

/* ---- types and headers ---- */

const char *wire_type_name(int type) {
  switch (type) {
#define X(name, number, max)                                                                                 \
  case number: return #name;
    WIRE_FRAME_LIST(X)
#undef X
  default: return "?";
  }
}

uint32_t wire_type_max(int type) {
  switch (type) {
#define X(name, number, max)                                                                                 \
  case number: return max;
    WIRE_FRAME_LIST(X)
#undef X
  default: return 0;
  }
}

static uint8_t *put_u8(uint8_t *at, unsigned value) {
  *at = (uint8_t)value;
  return at + 1;
}

static uint8_t *put_u32(uint8_t *at, uint32_t value) {
  for (int i = 0; i < 4; i++)
    at[i] = (uint8_t)(value >> (8 * i));
  return at + 4;
}

static uint8_t *put_u64(uint8_t *at, uint64_t value) {
  at = put_u32(at, (uint32_t)value);
  return put_u32(at, (uint32_t)(value >> 32));
}

static uint8_t *put_f64(uint8_t *at, double value) {
  uint64_t bits;

  memcpy(&bits, &value, sizeof(bits));
  return put_u64(at, bits);
}

static uint8_t *put_text(uint8_t *at, struct wire_text text) {
  at = put_u32(at, (uint32_t)text.len);
  if (text.len > 0) memcpy(at, text.data, text.len);
  return at + text.len;
}

static uint32_t load_u32(const uint8_t *at) {
  return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

void wire_header_encode(uint8_t out[WIRE_HEADER_SIZE], enum wire_type type, uint32_t length, uint32_t job) {
  uint8_t *at = put_u32(out, length);

  at = put_u8(at, (unsigned)type);
  at = put_u8(put_u8(put_u8(at, 0), 0), 0);
  put_u32(at, job);
}

int wire_header_decode(const uint8_t in[WIRE_HEADER_SIZE], struct wire_header *out) {
  uint32_t length = load_u32(in);
  uint32_t max = wire_type_max(in[4]);

  if (max == 0 || in[5] != 0 || in[6] != 0 || in[7] != 0) return -EBADMSG;
  if (length > max) return -EMSGSIZE;
  *out = (struct wire_header){.length = length, .type = (enum wire_type)in[4], .job = load_u32(in + 8)};
  return 0;
}

/* ---- the buffer that frames are appended to ---- */

void wire_buffer_free(struct wire_buffer *buffer) {
  free(buffer->data);
  *buffer = (struct wire_buffer){0};
}

void wire_buffer_reset(struct wire_buffer *buffer, size_t keep_bytes) {
  buffer->len = 0;
  buffer->failed = false;
  if (buffer->capacity > keep_bytes) wire_buffer_free(buffer);
}

/*
 * Makes room for one frame of this payload, writes its header and puts the place of the payload into *at.
 * `payload` is 64-bit so that a sum of lengths cannot wrap before it is compared.
 */
static int frame_begin(struct wire_buffer *buffer, enum wire_type type, uint64_t payload, uint32_t job,
                       uint8_t **at) {
  size_t need, capacity = buffer->capacity;
  uint8_t *data;

  if (buffer->failed) return -ENOMEM;
  if (payload > wire_type_max((int)type)) {
    buffer->failed = true;
    return -EMSGSIZE;
  }
  if (buffer->len > SIZE_MAX / 2 - WIRE_HEADER_SIZE - (size_t)payload) goto out_of_memory;
  need = buffer->len + WIRE_HEADER_SIZE + (size_t)payload;
  if (need > capacity) {
    /* Grow by half at least: a batch of frames must not copy itself once per frame. */
    capacity += capacity / 2;
    if (capacity < need) capacity = need;
    data = realloc(buffer->data, capacity);
    if (data == NULL) goto out_of_memory;
    buffer->data = data;
    buffer->capacity = capacity;
  }
  wire_header_encode(buffer->data + buffer->len, type, (uint32_t)payload, job);
  *at = buffer->data + buffer->len + WIRE_HEADER_SIZE;
  buffer->len = need;
  return 0;

out_of_memory:
  buffer->failed = true;
  return -ENOMEM;
}

/* A text's share of a payload. Lengths are cut off above 4 GiB so that a sum of several stays far from 2^64.
 */
static uint64_t text_size(struct wire_text text) {
  return TEXT_OVERHEAD + (text.len > UINT32_MAX ? (uint64_t)UINT32_MAX : (uint64_t)text.len);
}

static int buffer_refuse(struct wire_buffer *buffer) {
  buffer->failed = true;
  return -EMSGSIZE;
}

/* ---- the cursor that payloads are read with ---- */

struct cursor {
  const uint8_t *at;
  size_t left;
  bool bad;
};

static const uint8_t *take(struct cursor *cursor, size_t len) {
  static const uint8_t zeros[8];
  const uint8_t *at = cursor->at;

  if (cursor->bad || len > cursor->left) {
    cursor->bad = true;
    return len <= sizeof(zeros) ? zeros : NULL;
  }
  cursor->at += len;
  cursor->left -= len;
  return at;
}

static unsigned take_u8(struct cursor *cursor) {
  return *take(cursor, 1);
}

/* One byte below `limit`: a status, a type, a set of flags. */
static unsigned take_below(struct cursor *cursor, unsigned limit) {
  unsigned value = take_u8(cursor);

  if (value >= limit) cursor->bad = true;
  return value;
}

static uint32_t take_u32(struct cursor *cursor) {
  return load_u32(take(cursor, 4));
}

static uint64_t take_u64(struct cursor *cursor) {
  uint64_t low = take_u32(cursor);

  return low | (uint64_t)take_u32(cursor) << 32;
}

/* A duration in milliseconds: NaN, an infinity or a negative number would spoil sums and JSON further on. */
static double take_duration(struct cursor *cursor) {
  uint64_t bits = take_u64(cursor);
  double value;

  memcpy(&value, &bits, sizeof(value));
  if (!isfinite(value) || signbit(value)) cursor->bad = true;
  return value;
}

/* A line or a column: not negative. */
static int32_t take_position(struct cursor *cursor) {
  uint32_t value = take_u32(cursor);

  if (value > INT32_MAX) {
    cursor->bad = true;
    return 0;
  }
  return (int32_t)value;
}

static struct wire_text take_text(struct cursor *cursor, size_t max) {
  size_t len = take_u32(cursor);
  const uint8_t *data;

  if (len > max) cursor->bad = true;
  data = cursor->bad ? NULL : take(cursor, len);
  if (cursor->bad) return (struct wire_text){0};
  return (struct wire_text){.data = (const char *)data, .len = len};
}

static bool cursor_is_done(const struct cursor *cursor) {
  return !cursor->bad && cursor->left == 0;
}

/* ---- HELLO ---- */

int wire_hello_encode(struct wire_buffer *buffer, const struct wire_hello *hello) {
  uint8_t *at;
  int r;

  if (hello->v8_version.len > HELLO_VERSION_MAX || hello->sandbox.len > HELLO_SANDBOX_MAX)
    return buffer_refuse(buffer);
  r = frame_begin(buffer, WIRE_HELLO, HELLO_FIXED + text_size(hello->v8_version) + text_size(hello->sandbox),
                  0, &at);
  if (r < 0) return r;
  at = put_u32(at, hello->protocol);
  at = put_u8(at, hello->locked_down ? HELLO_LOCKED_DOWN : 0);
  at = put_text(at, hello->v8_version);
  put_text(at, hello->sandbox);
  return 0;
}

int wire_hello_decode(const uint8_t *payload, size_t len, struct wire_hello *out) {
  struct cursor cursor = {.at = payload, .left = len};
  struct wire_hello hello = {0};

  hello.protocol = take_u32(&cursor);
  hello.locked_down = take_below(&cursor, HELLO_FLAGS + 1) & HELLO_LOCKED_DOWN;
  hello.v8_version = take_text(&cursor, HELLO_VERSION_MAX);
  hello.sandbox = take_text(&cursor, HELLO_SANDBOX_MAX);
  if (!cursor_is_done(&cursor)) return -EBADMSG;
  *out = hello;
  return 0;
}

/* ---- JOB ---- */

int wire_job_encode(struct wire_buffer *buffer, uint32_t job, const struct wire_job *message) {
  bool has_input = message->input.data != NULL, has_trace = message->trace.data != NULL;
  bool inspect = message->inspect.data != NULL;
  uint64_t size = JOB_FIXED + text_size(message->code) + (has_input ? text_size(message->input) : 0) +
                  (has_trace ? text_size(message->trace) : 0) + (inspect ? text_size(message->inspect) : 0);
  uint8_t *at;
  int r;

  if (message->inspect.len > WIRE_INSPECT_NAME_MAX) return buffer_refuse(buffer);
  r = frame_begin(buffer, WIRE_JOB, size, job, &at);
  if (r < 0) return r;
  at = put_u32(at, message->timeout_ms);
  at = put_u32(at, message->cpu_ms);
  at = put_u32(at, message->max_timers);
  at = put_u32(at, message->functions);
  at = put_u32(at, message->max_calls);
  at = put_u64(at, message->max_heap_bytes);
  at = put_u64(at, message->max_output_bytes);
  at = put_u64(at, message->max_result_bytes);
  at = put_u64(at, message->seed);
  at = put_u8(at, (message->capture_console ? JOB_CAPTURE_CONSOLE : 0u) |
                      (message->code_is_json ? JOB_CODE_IS_JSON : 0u) |
                      (message->has_seed ? JOB_HAS_SEED : 0u) | (has_input ? JOB_HAS_INPUT : 0u) |
                      (message->record ? JOB_RECORD : 0u) | (has_trace ? JOB_HAS_TRACE : 0u) |
                      (inspect ? JOB_INSPECT : 0u));
  at = put_text(at, message->code);
  if (has_input) at = put_text(at, message->input);
  if (has_trace) at = put_text(at, message->trace);
  if (inspect) put_text(at, message->inspect);
  return 0;
}

int wire_job_decode(const uint8_t *payload, size_t len, struct wire_job *out) {
  struct cursor cursor = {.at = payload, .left = len};
  struct wire_job job = {0};
  unsigned flags;

  job.timeout_ms = take_u32(&cursor);
  job.cpu_ms = take_u32(&cursor);
  job.max_timers = take_u32(&cursor);
  job.functions = take_u32(&cursor);
  job.max_calls = take_u32(&cursor);
  job.max_heap_bytes = take_u64(&cursor);
  job.max_output_bytes = take_u64(&cursor);
  job.max_result_bytes = take_u64(&cursor);
  job.seed = take_u64(&cursor);
  flags = take_below(&cursor, JOB_FLAGS + 1);
  job.capture_console = flags & JOB_CAPTURE_CONSOLE;
  job.code_is_json = flags & JOB_CODE_IS_JSON;
  job.has_seed = flags & JOB_HAS_SEED;
  job.code = take_text(&cursor, SIZE_MAX);
  job.record = flags & JOB_RECORD;
  if (flags & JOB_HAS_INPUT) job.input = take_text(&cursor, SIZE_MAX);
  if (flags & JOB_HAS_TRACE) job.trace = take_text(&cursor, WIRE_TRACE_MAX);
  if (flags & JOB_INSPECT) job.inspect = take_text(&cursor, WIRE_INSPECT_NAME_MAX);
  if (!cursor_is_done(&cursor)) return -EBADMSG;
  *out = job;
  return 0;
}

/* ---- CONSOLE ---- */

void wire_console_entry_encode(uint8_t out[WIRE_CONSOLE_ENTRY_OVERHEAD], enum isoq_console_level level,
                               bool truncated, uint32_t text_len) {
  put_u32(put_u8(put_u8(out, (unsigned)level), truncated), text_len);
}

int wire_console_entry_decode(const uint8_t *payload, size_t len, size_t *offset,
                              struct wire_console_entry *out) {
  struct wire_console_entry entry = {0};
  struct cursor cursor = {0};

  if (*offset == len) return 0;
  if (*offset > len) return -EBADMSG;
  cursor.at = payload + *offset;
  cursor.left = len - *offset;
  entry.level = (enum isoq_console_level)take_below(&cursor, ISOQ_CONSOLE_COUNT);
  entry.truncated = take_below(&cursor, 2);
  entry.text = take_text(&cursor, SIZE_MAX);
  if (cursor.bad) return -EBADMSG;
  *offset = len - cursor.left;
  *out = entry;
  return 1;
}

/* ---- RESULT ---- */

static uint64_t result_size(const struct wire_result *message) {
  uint64_t size = RESULT_FIXED;

  if (message->has_result) size += text_size(message->result);
  if (message->has_error)
    size += RESULT_ERROR_FIXED + text_size(message->error_name) + text_size(message->error_message) +
            text_size(message->error_stack);
  return size;
}

int wire_result_encode(struct wire_buffer *buffer, uint32_t job, const struct wire_result *message) {
  uint8_t *at;
  int r;

  r = frame_begin(buffer, WIRE_RESULT, result_size(message), job, &at);
  if (r < 0) return r;
  at = put_u8(at, (unsigned)message->status);
  at = put_u8(at, (unsigned)message->result_type);
  at = put_u8(at, (message->has_result ? RESULT_HAS_RESULT : 0u) |
                      (message->stdout_truncated ? RESULT_STDOUT_TRUNCATED : 0u) |
                      (message->stderr_truncated ? RESULT_STDERR_TRUNCATED : 0u) |
                      (message->has_error ? RESULT_HAS_ERROR : 0u) | (message->retire ? RESULT_RETIRE : 0u));
  at = put_f64(at, message->execution_time_ms);
  at = put_f64(at, message->cpu_time_ms);
  at = put_u64(at, message->peak_memory_bytes);
  if (message->has_result) at = put_text(at, message->result);
  if (message->has_error) {
    at = put_u32(at, (uint32_t)message->error_line);
    at = put_u32(at, (uint32_t)message->error_column);
    at = put_text(at, message->error_name);
    at = put_text(at, message->error_message);
    put_text(at, message->error_stack);
  }
  return 0;
}

int wire_result_decode(const uint8_t *payload, size_t len, struct wire_result *out) {
  struct cursor cursor = {.at = payload, .left = len};
  struct wire_result result = {0};
  unsigned flags;

  result.status = (enum isoq_status)take_below(&cursor, ISOQ_STATUS_COUNT);
  result.result_type = (enum isoq_result_type)take_below(&cursor, ISOQ_TYPE_COUNT);
  flags = take_below(&cursor, RESULT_FLAGS + 1);
  result.has_result = flags & RESULT_HAS_RESULT;
  result.stdout_truncated = flags & RESULT_STDOUT_TRUNCATED;
  result.stderr_truncated = flags & RESULT_STDERR_TRUNCATED;
  result.has_error = flags & RESULT_HAS_ERROR;
  result.retire = flags & RESULT_RETIRE;
  result.execution_time_ms = take_duration(&cursor);
  result.cpu_time_ms = take_duration(&cursor);
  result.peak_memory_bytes = take_u64(&cursor);
  if (result.has_result) result.result = take_text(&cursor, SIZE_MAX);
  if (result.has_error) {
    result.error_line = take_position(&cursor);
    result.error_column = take_position(&cursor);
    result.error_name = take_text(&cursor, SIZE_MAX);
    result.error_message = take_text(&cursor, SIZE_MAX);
    result.error_stack = take_text(&cursor, SIZE_MAX);
  }
  if (!cursor_is_done(&cursor)) return -EBADMSG;
  *out = result;
  return 0;
}

/* ---- DYING ---- */

_Static_assert(WIRE_HEADER_SIZE + DYING_FIXED + TEXT_OVERHEAD + DYING_WHY_MAX <= 1024,
               "fits wire_dying_encode()");

int wire_dying_encode(uint8_t out[1024], size_t *len, uint32_t job, const struct wire_dying *message) {
  size_t payload = DYING_FIXED + TEXT_OVERHEAD + message->why.len;

  if (message->why.len > DYING_WHY_MAX) return -EMSGSIZE;
  wire_header_encode(out, WIRE_DYING, (uint32_t)payload, job);
  put_text(put_u8(out + WIRE_HEADER_SIZE, (unsigned)message->status), message->why);
  *len = WIRE_HEADER_SIZE + payload;
  return 0;
}

int wire_dying_decode(const uint8_t *payload, size_t len, struct wire_dying *out) {
  struct cursor cursor = {.at = payload, .left = len};
  struct wire_dying dying = {0};

  dying.status = (enum isoq_status)take_below(&cursor, ISOQ_STATUS_COUNT);
  dying.why = take_text(&cursor, DYING_WHY_MAX);
  if (!cursor_is_done(&cursor) || (dying.status != ISOQ_STATUS_OOM && dying.status != ISOQ_STATUS_CRASHED))
    return -EBADMSG;
  *out = dying;
  return 0;
}

/* ---- CALL ---- */

int wire_call_encode(struct wire_buffer *buffer, uint32_t job, const struct wire_call *message) {
  uint8_t *at;
  int r;

  if (message->name.len > WIRE_CALL_NAME_MAX || message->args.len > WIRE_CALL_ARGS_MAX)
    return buffer_refuse(buffer);
  r = frame_begin(buffer, WIRE_CALL, CALL_FIXED + text_size(message->name) + text_size(message->args), job,
                  &at);
  if (r < 0) return r;
  at = put_u32(at, message->call);
  at = put_text(at, message->name);
  put_text(at, message->args);
  return 0;
}

int wire_call_decode(const uint8_t *payload, size_t len, struct wire_call *out) {
  struct cursor cursor = {.at = payload, .left = len};
  struct wire_call call = {0};

  call.call = take_u32(&cursor);
  call.name = take_text(&cursor, WIRE_CALL_NAME_MAX);
  call.args = take_text(&cursor, WIRE_CALL_ARGS_MAX);
  if (!cursor_is_done(&cursor)) return -EBADMSG;
  *out = call;
  return 0;
}

/* ---- REPLY ---- */

int wire_reply_encode(struct wire_buffer *buffer, uint32_t job, const struct wire_reply *message) {
  uint8_t *at;
  int r = frame_begin(buffer, WIRE_REPLY, REPLY_FIXED + text_size(message->json), job, &at);

  if (r < 0) return r;
  at = put_u32(at, message->call);
  at = put_u8(at, message->ok);
  put_text(at, message->json);
  return 0;
}

int wire_reply_decode(const uint8_t *payload, size_t len, struct wire_reply *out) {
  struct cursor cursor = {.at = payload, .left = len};
  struct wire_reply reply = {0};

  reply.call = take_u32(&cursor);
  reply.ok = take_below(&cursor, 2);
  reply.json = take_text(&cursor, SIZE_MAX);
  if (!cursor_is_done(&cursor)) return -EBADMSG;
  *out = reply;
  return 0;
}

/* ---- payloads of one text: TRACE, INSPECT_IN, INSPECT_OUT ---- */

static int text_encode(struct wire_buffer *buffer, enum wire_type type, uint32_t job, struct wire_text text,
                       size_t max) {
  uint8_t *at;
  int r;

  if (text.len > max) return buffer_refuse(buffer);
  r = frame_begin(buffer, type, text_size(text), job, &at);
  if (r == 0) put_text(at, text);
  return r;
}

static int text_decode(const uint8_t *payload, size_t len, size_t max, struct wire_text *out) {
  struct cursor cursor = {.at = payload, .left = len};
  struct wire_text text = take_text(&cursor, max);

  if (!cursor_is_done(&cursor)) return -EBADMSG;
  *out = text;
  return 0;
}

int wire_trace_encode(struct wire_buffer *buffer, uint32_t job, struct wire_text trace) {
  return text_encode(buffer, WIRE_TRACE, job, trace, WIRE_TRACE_MAX);
}

void wire_trace_head_encode(uint8_t out[WIRE_TRACE_HEAD_SIZE], uint32_t job, uint32_t text_len) {
  wire_header_encode(out, WIRE_TRACE, text_len + 4, job);
  put_u32(out + WIRE_HEADER_SIZE, text_len);
}

int wire_trace_decode(const uint8_t *payload, size_t len, struct wire_text *out) {
  return text_decode(payload, len, WIRE_TRACE_MAX, out);
}

int wire_inspect_in_encode(struct wire_buffer *buffer, uint32_t job, struct wire_text message) {
  return text_encode(buffer, WIRE_INSPECT_IN, job, message, WIRE_INSPECT_MAX);
}

int wire_inspect_in_decode(const uint8_t *payload, size_t len, struct wire_text *out) {
  return text_decode(payload, len, WIRE_INSPECT_MAX, out);
}

int wire_inspect_out_encode(struct wire_buffer *buffer, uint32_t job, struct wire_text message) {
  return text_encode(buffer, WIRE_INSPECT_OUT, job, message, WIRE_INSPECT_MAX);
}

int wire_inspect_out_decode(const uint8_t *payload, size_t len, struct wire_text *out) {
  return text_decode(payload, len, WIRE_INSPECT_MAX, out);
}

/* ---- RETURNED ---- */

void wire_returned_encode(uint8_t out[WIRE_RETURNED_SIZE], const struct wire_returned *message) {
  wire_header_encode(out, WIRE_RETURNED, WIRE_RETURNED_SIZE - WIRE_HEADER_SIZE, 0);
  put_u32(put_u32(out + WIRE_HEADER_SIZE, message->after), message->up_to);
}

int wire_returned_decode(const uint8_t *payload, size_t len, struct wire_returned *out) {
  struct cursor cursor = {.at = payload, .left = len};
  struct wire_returned returned = {0};

  returned.after = take_u32(&cursor);
  returned.up_to = take_u32(&cursor);
  if (!cursor_is_done(&cursor) || returned.after >= returned.up_to) return -EBADMSG;
  *out = returned;
  return 0;
}
