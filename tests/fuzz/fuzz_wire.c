/*
 * libFuzzer: every decoder of the frame codec, on bytes that an executor could send. The input is a stream of
 * frames, as the broker reads it: a header, then its payload, until one is refused. A payload is copied to a
 * block of its own size, so that a read beyond it is seen, and every text of a decoded message is read to its
 * end.
 *
 * What decodes is encoded again and must give the same bytes: there is one form for each message.
 *
 * Seeds: build tests/fuzz/make_wire_corpus.c and run it with a folder as its argument.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "worker/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile unsigned sink; /* keeps the reading of the texts */

static void require(bool condition) {
  if (!condition) abort();
}

static unsigned touch(struct wire_text text) {
  unsigned sum = 0;

  for (size_t i = 0; i < text.len; i++)
    sum += (unsigned char)text.data[i];
  return sum;
}

static void require_same(const struct wire_buffer *again, const uint8_t *payload, size_t len) {
  require(again->len == WIRE_HEADER_SIZE + len);
  require(len == 0 || memcmp(again->data + WIRE_HEADER_SIZE, payload, len) == 0);
}

static unsigned check_hello(const uint8_t *payload, size_t len) {
  struct wire_buffer again = {0};
  struct wire_hello hello;
  unsigned sum;

  if (wire_hello_decode(payload, len, &hello) < 0) return 0;
  sum = touch(hello.v8_version) + touch(hello.sandbox);
  require(wire_hello_encode(&again, &hello) == 0);
  require_same(&again, payload, len);
  wire_buffer_free(&again);
  return sum;
}

static unsigned check_job(const uint8_t *payload, size_t len) {
  struct wire_buffer again = {0};
  struct wire_job job;
  unsigned sum;

  if (wire_job_decode(payload, len, &job) < 0) return 0;
  sum = touch(job.code) + touch(job.input) + touch(job.trace) + touch(job.inspect);
  require(wire_job_encode(&again, 1, &job) == 0);
  require_same(&again, payload, len);
  wire_buffer_free(&again);
  return sum;
}

static unsigned check_console(const uint8_t *payload, size_t len) {
  struct wire_console_entry entry;
  unsigned sum = 0;
  size_t offset = 0;
  int r;

  while ((r = wire_console_entry_decode(payload, len, &offset, &entry)) == 1) {
    require(offset <= len && entry.level < ISOQ_CONSOLE_COUNT);
    sum += touch(entry.text) + (unsigned)isoq_console_level_stream(entry.level);
  }
  require(r < 0 || offset == len);
  return sum;
}

static unsigned check_result(const uint8_t *payload, size_t len) {
  struct wire_buffer again = {0};
  struct wire_result result;
  unsigned sum;

  if (wire_result_decode(payload, len, &result) < 0) return 0;
  require(result.execution_time_ms >= 0 && result.cpu_time_ms >= 0);
  sum = touch(result.result) + touch(result.error_name) + touch(result.error_message) +
        touch(result.error_stack);
  sum += (unsigned)isoq_status_name(result.status)[0];
  require(wire_result_encode(&again, 1, &result) == 0);
  require_same(&again, payload, len);
  wire_buffer_free(&again);
  return sum;
}

static unsigned check_dying(const uint8_t *payload, size_t len) {
  struct wire_dying dying;
  uint8_t again[1024];
  size_t again_len;

  if (wire_dying_decode(payload, len, &dying) < 0) return 0;
  require(wire_dying_encode(again, &again_len, 1, &dying) == 0);
  require(again_len == WIRE_HEADER_SIZE + len && memcmp(again + WIRE_HEADER_SIZE, payload, len) == 0);
  return touch(dying.why);
}

static unsigned check_call(const uint8_t *payload, size_t len) {
  struct wire_buffer again = {0};
  struct wire_call call;
  unsigned sum;

  if (wire_call_decode(payload, len, &call) < 0) return 0;
  sum = touch(call.name) + touch(call.args);
  require(wire_call_encode(&again, 1, &call) == 0);
  require_same(&again, payload, len);
  wire_buffer_free(&again);
  return sum;
}

static unsigned check_reply(const uint8_t *payload, size_t len) {
  struct wire_buffer again = {0};
  struct wire_reply reply;
  unsigned sum;

  if (wire_reply_decode(payload, len, &reply) < 0) return 0;
  sum = touch(reply.json);
  require(wire_reply_encode(&again, 1, &reply) == 0);
  require_same(&again, payload, len);
  wire_buffer_free(&again);
  return sum;
}

static unsigned check_text(int (*decode)(const uint8_t *, size_t, struct wire_text *),
                           int (*encode)(struct wire_buffer *, uint32_t, struct wire_text),
                           const uint8_t *payload, size_t len) {
  struct wire_buffer again = {0};
  struct wire_text text;
  unsigned sum;

  if (decode(payload, len, &text) < 0) return 0;
  sum = touch(text);
  require(encode(&again, 1, text) == 0);
  require_same(&again, payload, len);
  wire_buffer_free(&again);
  return sum;
}

static unsigned check_returned(const uint8_t *payload, size_t len) {
  uint8_t again[WIRE_RETURNED_SIZE];
  struct wire_returned returned;

  if (wire_returned_decode(payload, len, &returned) < 0) return 0;
  wire_returned_encode(again, &returned);
  require(len == sizeof(again) - WIRE_HEADER_SIZE && memcmp(again + WIRE_HEADER_SIZE, payload, len) == 0);
  return returned.up_to - returned.after;
}

static unsigned check_payload(enum wire_type type, const uint8_t *payload, size_t len) {
  switch (type) {
  case WIRE_HELLO: return check_hello(payload, len);
  case WIRE_JOB: return check_job(payload, len);
  case WIRE_CONSOLE: return check_console(payload, len);
  case WIRE_RESULT: return check_result(payload, len);
  case WIRE_DYING: return check_dying(payload, len);
  case WIRE_CALL: return check_call(payload, len);
  case WIRE_REPLY: return check_reply(payload, len);
  case WIRE_TRACE: return check_text(wire_trace_decode, wire_trace_encode, payload, len);
  case WIRE_INSPECT_IN: return check_text(wire_inspect_in_decode, wire_inspect_in_encode, payload, len);
  case WIRE_INSPECT_OUT: return check_text(wire_inspect_out_decode, wire_inspect_out_encode, payload, len);
  case WIRE_RETURNED: return check_returned(payload, len);
  }
  abort(); /* the header's decoder let a type through that does not exist */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct wire_header header;

  while (size >= WIRE_HEADER_SIZE && wire_header_decode(data, &header) == 0) {
    size_t len;
    uint8_t *payload;

    require(header.length <= wire_type_max((int)header.type));
    data += WIRE_HEADER_SIZE;
    size -= WIRE_HEADER_SIZE;
    /* A payload that is cut off is looked at as well. */
    len = header.length < size ? header.length : size;
    payload = malloc(len > 0 ? len : 1);
    require(payload != NULL);
    memcpy(payload, data, len);
    sink = check_payload(header.type, payload, len);
    free(payload);
    data += len;
    size -= len;
  }
  return 0;
}
