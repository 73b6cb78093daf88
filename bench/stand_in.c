/*
 * An executor that stands in for isoq-executor, to show what is not the executor's cost. Compiled three times:
 *
 * bench-null-executor runs no JavaScript and answers every JOB with one and the same RESULT. A worker with it
 * (executor_path, unlocked) shows what Redis and the broker cost by themselves, the ceiling of every worker.
 * bench-reused-executor (STAND_IN_V8) runs the script in an isolate that is already there (reused.h): what V8 costs on
 * top, without a pristine isolate, limits or console. bench-cached-executor does not even compile a text again.
 *
 * Read and written in as few system calls as can be. Arguments are those of isoq-executor, and ignored. It is for
 * bench/ only: it has no sandbox, and says so in HELLO.
 */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "bench/samples.h"
#include "worker/wire.h"
#ifdef STAND_IN_V8
#include "bench/reused.h"
#include "engine/engine.h"
#endif

#define SOCKET_FD 3
#define RESULT_TEXT                                                                                          \
  "{\"a\":[2,4,6]}" /* of the tiny job in bench/support.py: whoever checks results need not know */

static uint8_t input[1 << 20]; /* larger jobs are not for this one */
static size_t filled;

static void send_all(const uint8_t *data, size_t len) {
  while (len > 0) {
    ssize_t n = write(SOCKET_FD, data, len);

    if (n < 0 && errno == EINTR) continue;
    if (n < 0) _exit(1);
    data += n;
    len -= (size_t)n;
  }
}

/* The next frame's payload, which stays until the next call. Ends with the broker. */
static const uint8_t *receive_frame(struct wire_header *header) {
  static size_t taken;

  filled -= taken;
  memmove(input, input + taken, filled);
  taken = 0;
  for (;;) {
    ssize_t n;

    if (filled >= WIRE_HEADER_SIZE) {
      if (wire_header_decode(input, header) < 0 || header->length > sizeof(input) - WIRE_HEADER_SIZE)
        _exit(1);
      taken = WIRE_HEADER_SIZE + header->length;
      if (filled >= taken) return input + WIRE_HEADER_SIZE;
    }
    n = read(SOCKET_FD, input + filled, sizeof(input) - filled);
    if (n == 0) _exit(0);
    if (n < 0 && errno != EINTR) _exit(1);
    if (n > 0) filled += (size_t)n;
  }
}

/* The text of the result, in `text`; its length. */
static size_t run(const struct wire_job *job, char *text, size_t text_size) {
#ifdef STAND_IN_V8
  long len = reused_run(job->code.data, job->code.len, job->code_is_json, STAND_IN_COMPILES, text, text_size);

  if (len < 0) _exit(1);
  return (size_t)len;
#else
  (void)job;
  memcpy(text, RESULT_TEXT, sizeof(RESULT_TEXT) < text_size ? sizeof(RESULT_TEXT) : text_size);
  return sizeof(RESULT_TEXT) - 1;
#endif
}

static void answer(uint32_t number, const uint8_t *payload, size_t len) {
  static struct wire_buffer buffer;
  char text[256];
  struct wire_job job;
  int64_t began_ns;
  struct wire_result result = {
      .status = ISOQ_STATUS_OK,
      .result_type = ISOQ_TYPE_STRING,
      .has_result = true,
      .cpu_time_ms = 0.01,
      .peak_memory_bytes = 1 << 20,
  };

  if (wire_job_decode(payload, len, &job) < 0) _exit(1);
  began_ns = samples_now_ns();
  result.result = (struct wire_text){text, run(&job, text, sizeof(text))};
  result.execution_time_ms = (double)(samples_now_ns() - began_ns) / 1e6; /* the worker goes by it */
  if (wire_result_encode(&buffer, number, &result) < 0) _exit(1);
  send_all(buffer.data, buffer.len);
  wire_buffer_reset(&buffer, 4096);
}

int main(void) {
  struct wire_buffer buffer = {0};
  const struct wire_hello hello = {
      .protocol = WIRE_PROTOCOL_VERSION, .v8_version = {"0.0", 3}, .sandbox = {"none", 4}};
  struct wire_header header;

  signal(SIGUSR2, SIG_IGN); /* jobs that are asked back are answered in their turn */
#ifdef STAND_IN_V8
  if (engine_init() < 0 || reused_init() < 0) return 1;
#endif
  if (wire_hello_encode(&buffer, &hello) < 0) return 1;
  send_all(buffer.data, buffer.len);
  wire_buffer_free(&buffer);
  for (;;) {
    const uint8_t *payload = receive_frame(&header);

    if (header.type == WIRE_JOB) answer(header.job, payload, header.length);
  }
}
