/*
 * The frame codec between the broker and one executor, used by both sides.
 *
 * A frame is a header of WIRE_HEADER_SIZE bytes and a payload:
 *
 *     u32 payload length | u8 type | u8[3] zero | u32 job sequence number      (little-endian)
 *
 * Whoever reads a frame trusts none of it: wire_header_decode() refuses a type that does not exist, non-zero
 * padding, and a length over that type's maximum, before anything is allocated. Payloads are decoded in
 * place: strings point into the caller's buffer and are not NUL-terminated. Decoders consume the payload to
 * its last byte and return -EBADMSG for anything else; outputs are untouched then.
 *
 * Who sends what, and when (the state is the broker's view, executor.h):
 *
 *     HELLO    executor → broker   SPAWNING only, once: locked down and ready
 *     JOB      broker → executor   READY; BUSY, ahead: it runs after those that were sent before it
 *     CONSOLE  executor → broker   BUSY
 *     RESULT   executor → broker   BUSY, once per job; READY again, or BUSY with the next one
 *     DYING    executor → broker   BUSY: V8 gives up; the process ends next
 *     CALL     executor → broker   BUSY: the script called a host function
 *     REPLY    broker → executor   the answer to one CALL; where its job is over already, nobody reads it
 *     TRACE    executor → broker   BUSY, in pieces, before RESULT, where the JOB asked for it; in a strict replay,
 *                                  the first difference, where there was one
 *     INSPECT_IN   broker → executor   while a job runs that is inspected: a message of the debugger
 *     INSPECT_OUT  executor → broker   BUSY, of a job that is inspected: a message to the debugger
 *     RETURNED executor → broker   BUSY: JOBs sent ahead that have not begun and never will, since they were asked back,
 *                                  or the one that runs waits
 *
 * Cancelling a job is SIGUSR1, not a frame: the executor reads only while the script waits. The signal's
 * value is the job's sequence number (sigqueue), so that it cannot hit another job. JOBs that were sent ahead are
 * asked back by SIGUSR2, whose value is a range of numbers (wire_range_value()). Those which have begun by then are run,
 * the others come in a RETURNED. After a RESULT that is not clean (engine/status.h), or asks for another process, no JOB
 * begins.
 */
#ifndef ISOQ_WORKER_WIRE_H
#define ISOQ_WORKER_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/status.h"

#define WIRE_PROTOCOL_VERSION 4
#define WIRE_HEADER_SIZE 12
#define WIRE_CALL_NAME_MAX 64u
#define WIRE_CALL_ARGS_MAX (64u << 10)
#define WIRE_TRACE_MAX (8u << 20)
#define WIRE_TRACE_WRITTEN_MAX                                                                               \
  (WIRE_TRACE_MAX - 64) /* by an executor: a replay's has one more word (engine/trace.hh) */
#define WIRE_INSPECT_MAX (32u << 20)
#define WIRE_INSPECT_NAME_MAX 128u

/* Payload maxima in bytes, per type. Text fields are capped by the configuration's maxima as well. */
#define WIRE_FRAME_LIST(X)                                                                                   \
  X(HELLO, 1, 512)                                                                                           \
  X(JOB, 2, 64u << 20)     /* code as JSON text (6 times 1 MiB), input, and a trace */                       \
  X(CONSOLE, 3, 17u << 20) /* one batch; a single entry may be as long as max_output_bytes */                \
  X(RESULT, 4, 80u << 20)  /* the largest result that may be configured, and the error's texts */            \
  X(DYING, 5, 1024)                                                                                          \
  X(CALL, 6, (64u << 10) + 128)                                                                              \
  X(REPLY, 7, 34u << 20) /* the largest answer that may be configured */                                     \
  X(TRACE, 8, WIRE_TRACE_MAX + 4)                                                                            \
  X(INSPECT_IN, 9, WIRE_INSPECT_MAX + 4)                                                                     \
  X(INSPECT_OUT, 10, WIRE_INSPECT_MAX + 4)                                                                   \
  X(RETURNED, 11, 8)

enum wire_type {
#define X(name, number, max) WIRE_##name = number,
  WIRE_FRAME_LIST(X)
#undef X
};

struct wire_header {
  uint32_t length; /* of the payload */
  enum wire_type type;
  uint32_t job; /* sequence number of the job on this connection, from 1; 0 in HELLO and RETURNED */
};

struct wire_text {
  const char *data;
  size_t len;
};

/* "CONSOLE"; "?" for what is no type. */
const char *wire_type_name(int type);

/* Maximum payload length of a type, 0 for what is no type. */
uint32_t wire_type_max(int type);

void wire_header_encode(uint8_t out[WIRE_HEADER_SIZE], enum wire_type type, uint32_t length, uint32_t job);

/* 0, -EBADMSG (no such type, padding), or -EMSGSIZE (longer than the type allows). */
int wire_header_decode(const uint8_t in[WIRE_HEADER_SIZE], struct wire_header *out);

/* ---- a growing buffer that frames are written into ---- */

struct wire_buffer {
  uint8_t *data;
  size_t len, capacity;
  bool failed; /* an allocation failed, or a text is over its limit: what was written is not usable */
};

void wire_buffer_free(struct wire_buffer *buffer);

/* Forgets the content, keeps up to `keep_bytes` of memory. */
void wire_buffer_reset(struct wire_buffer *buffer, size_t keep_bytes);

/* ---- messages: each encoder stands beside its decoder in wire.c ---- */
/* Encoders append one whole frame, header included. They return 0, -ENOMEM or -EMSGSIZE (nothing is
 * appended). */

struct wire_hello {
  uint32_t protocol;
  bool locked_down;            /* false only where the operator asked for --unlocked by name */
  struct wire_text v8_version; /* ≤ 64 bytes */
  struct wire_text sandbox; /* what is in force, for the log: "seccomp,rlimits,userns,netns,…" ≤ 256 bytes */
};
int wire_hello_encode(struct wire_buffer *buffer, const struct wire_hello *hello);
int wire_hello_decode(const uint8_t *payload, size_t len, struct wire_hello *out);

struct wire_job {
  uint32_t timeout_ms, cpu_ms, max_timers;
  uint32_t functions,
      max_calls; /* host functions that exist for the job, a bit each (bindings.def); calls of them */
  uint64_t max_heap_bytes, max_output_bytes, max_result_bytes;
  bool capture_console, code_is_json, has_seed;
  bool record; /* a TRACE is wanted; beside a trace: that is of another script, and gives its values only */
  uint64_t seed;
  struct wire_text code;
  struct wire_text input; /* data NULL: no input */
  struct wire_text trace; /* of an earlier run, which this one is to repeat; data NULL: it is no replay */
  /* The job's name for the debugger that it waits for, ≤ WIRE_INSPECT_NAME_MAX; data NULL: it is not inspected */
  struct wire_text inspect;
};
int wire_job_encode(struct wire_buffer *buffer, uint32_t job, const struct wire_job *message);
int wire_job_decode(const uint8_t *payload, size_t len, struct wire_job *out);

/*
 * A CONSOLE payload is a run of entries: u8 level | u8 truncated | u32 length | text. The executor appends
 * entries to a batch by wire_console_entry_encode() and sends it with a header of its own.
 */
struct wire_console_entry {
  enum isoq_console_level level;
  bool truncated; /* the output limit cut this entry, or dropped what came after it */
  struct wire_text text;
};
#define WIRE_CONSOLE_ENTRY_OVERHEAD 6
/* Writes the entry's fixed part; the text follows it. */
void wire_console_entry_encode(uint8_t out[WIRE_CONSOLE_ENTRY_OVERHEAD], enum isoq_console_level level,
                               bool truncated, uint32_t text_len);
/* Takes one entry off the front of payload[*offset..len). 1: one entry; 0: the end; -EBADMSG. */
int wire_console_entry_decode(const uint8_t *payload, size_t len, size_t *offset,
                              struct wire_console_entry *out);

struct wire_result {
  enum isoq_status status;
  enum isoq_result_type result_type;
  bool has_result;
  struct wire_text result;
  bool stdout_truncated, stderr_truncated;
  bool retire; /* this process cannot run another job, however well this one ended */
  bool has_error;
  struct wire_text error_name, error_message, error_stack;
  int32_t error_line, error_column;
  double execution_time_ms, cpu_time_ms; /* finite and not negative, or the decoder refuses them */
  uint64_t peak_memory_bytes;
};
int wire_result_encode(struct wire_buffer *buffer, uint32_t job, const struct wire_result *message);
int wire_result_decode(const uint8_t *payload, size_t len, struct wire_result *out);

struct wire_dying {
  enum isoq_status status; /* OOM or CRASHED */
  struct wire_text why;    /* ≤ 512 bytes */
};
int wire_dying_encode(uint8_t out[1024], size_t *len, uint32_t job,
                      const struct wire_dying *message); /* no malloc */
int wire_dying_decode(const uint8_t *payload, size_t len, struct wire_dying *out);

struct wire_call {
  uint32_t call;         /* number of the call in its job, from 1 */
  struct wire_text name; /* of the function; ≤ WIRE_CALL_NAME_MAX */
  struct wire_text args; /* JSON array; ≤ WIRE_CALL_ARGS_MAX */
};
int wire_call_encode(struct wire_buffer *buffer, uint32_t job, const struct wire_call *message);
int wire_call_decode(const uint8_t *payload, size_t len, struct wire_call *out);

struct wire_reply {
  uint32_t call;
  bool ok;
  struct wire_text json; /* the value, or an object that describes the error */
};
int wire_reply_encode(struct wire_buffer *buffer, uint32_t job, const struct wire_reply *message);
int wire_reply_decode(const uint8_t *payload, size_t len, struct wire_reply *out);

/* What a run read from clock and timers (engine.h): text of the engine's, opaque to the broker. */
int wire_trace_encode(struct wire_buffer *buffer, uint32_t job, struct wire_text trace);
/* The frame's part before the text, by itself: no malloc. */
#define WIRE_TRACE_HEAD_SIZE (WIRE_HEADER_SIZE + 4)
void wire_trace_head_encode(uint8_t out[WIRE_TRACE_HEAD_SIZE], uint32_t job, uint32_t text_len);
int wire_trace_decode(const uint8_t *payload, size_t len, struct wire_text *out);

/*
 * One message of the Chrome DevTools protocol, ≤ WIRE_INSPECT_MAX; opaque to the broker. To the executor, an empty one
 * says that the debugger has gone.
 */
int wire_inspect_in_encode(struct wire_buffer *buffer, uint32_t job, struct wire_text message);
int wire_inspect_in_decode(const uint8_t *payload, size_t len, struct wire_text *out);
int wire_inspect_out_encode(struct wire_buffer *buffer, uint32_t job, struct wire_text message);
int wire_inspect_out_decode(const uint8_t *payload, size_t len, struct wire_text *out);

/*
 * The JOBs with a number above `after`, the last that has begun, and not above `up_to`. No empty range: the first of them
 * is the one that runs next, or runs as far as the broker knows and has neither RESULT nor DYING.
 */
struct wire_returned {
  uint32_t after, up_to;
};
#define WIRE_RETURNED_SIZE (WIRE_HEADER_SIZE + 8)
void wire_returned_encode(uint8_t out[WIRE_RETURNED_SIZE],
                          const struct wire_returned *message); /* no malloc */
int wire_returned_decode(const uint8_t *payload, size_t len, struct wire_returned *out);

/* A range as the value of a signal (sigval's sival_ptr), and back. Async-signal-safe. NULL: the range of none. */
_Static_assert(sizeof(uintptr_t) >= 8, "holds two numbers of jobs");
static inline void *wire_range_value(struct wire_returned range) {
  return (void *)(uintptr_t)((uint64_t)range.after << 32 | range.up_to);
}
static inline struct wire_returned wire_range_of(const void *value) {
  uint64_t bits = (uintptr_t)value;

  return (struct wire_returned){.after = (uint32_t)(bits >> 32), .up_to = (uint32_t)bits};
}

#endif
