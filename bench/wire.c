/*
 * One job again and again through the frames of worker/wire.h, with one executor at a time and no Redis: what a job
 * costs once it has reached a broker.
 *
 *     bench-wire [--process|--other] CODE_FILE EXPECTED SECONDS JOBS_AT_LEAST EXECUTOR [ARGUMENT...]
 *
 * One job after the other: the next is sent when the result of the last is there, so that a job's time holds what its
 * executor does after the result, too. --process: an executor for each job. --other: another script in each job, by a
 * comment. Every result is compared with EXPECTED.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/samples.h"
#include "worker/wire.h"

#define CODE_MAX 65536
#define WARM_UP_MIN 3
#define WARM_UP_MAX 20
#define WARM_UP_NS 300000000
#define SOCKET_FD 3
#define MEMORY_BYTES (UINT64_C(256) << 20)

/* A worker's jobs find all host functions. */
enum {
#define BINDING(id, ...) FUNCTION_##id,
#include "bindings/bindings.def"
#undef BINDING
  FUNCTIONS
};

static struct {
  pid_t pid;
  int socket;
  uint32_t job;
} executor = {.pid = -1, .socket = -1};

static char code[CODE_MAX + 16];
static size_t code_len; /* without the comment */
static bool other_scripts;
static const char *expected;
static char **command;
static bool rewinding;
static uint32_t replaced; /* executors that said they could not run another job */

static void fail(const char *what, const char *detail) {
  fprintf(stderr, "bench-wire: %s: %s\n", what, detail);
  exit(1);
}

static void send_all(const uint8_t *data, size_t len) {
  while (len > 0) {
    ssize_t n = send(executor.socket, data, len, MSG_NOSIGNAL);

    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail("send", strerror(errno));
    data += n;
    len -= (size_t)n;
  }
}

static void receive_all(uint8_t *data, size_t len) {
  while (len > 0) {
    ssize_t n = read(executor.socket, data, len);

    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail("the executor ended", n < 0 ? strerror(errno) : "end of stream");
    data += n;
    len -= (size_t)n;
  }
}

/* Into a buffer that the next frame uses again. */
static const uint8_t *receive_frame(struct wire_header *header) {
  static uint8_t payload[1 << 20];
  uint8_t head[WIRE_HEADER_SIZE];

  receive_all(head, sizeof(head));
  if (wire_header_decode(head, header) < 0) fail("frame", "not of the protocol");
  if (header->length > sizeof(payload)) fail("frame", "longer than any result here");
  receive_all(payload, header->length);
  return payload;
}

static void start_executor(void) {
  struct wire_header header;
  struct wire_hello hello;
  const uint8_t *payload;
  int pair[2];

  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) fail("socketpair", strerror(errno));
  executor.pid = fork();
  if (executor.pid < 0) fail("fork", strerror(errno));
  if (executor.pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (pair[1] == SOCKET_FD) pair[1] = dup(pair[1]);
    if (dup2(pair[1], SOCKET_FD) < 0) _exit(126);
    execv(command[0], command);
    _exit(127);
  }
  close(pair[1]);
  executor.socket = pair[0];
  executor.job = 0;
  payload = receive_frame(&header);
  if (header.type != WIRE_HELLO || wire_hello_decode(payload, header.length, &hello) < 0)
    fail("the first frame is no HELLO", wire_type_name((int)header.type));
  /* Where it cannot, it makes isolates: that would be measured under a wrong name. */
  if (rewinding && memmem(hello.sandbox.data, hello.sandbox.len, "rewind", 6) == NULL)
    fail("the executor does not rewind", command[0]);
}

/* It ends by itself when its socket is closed; by then it has no job. */
static void end_executor(void) {
  close(executor.socket);
  while (waitpid(executor.pid, NULL, 0) < 0 && errno == EINTR)
    continue;
  executor.pid = -1;
}

/* Of this process, of the executor, and of those before it. */
static int64_t cpu_ns(void) {
  int64_t sum = samples_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
  struct rusage dead;
  clockid_t clock;

  if (executor.pid > 0 && clock_getcpuclockid(executor.pid, &clock) == 0) sum += samples_clock_ns(clock);
  if (getrusage(RUSAGE_CHILDREN, &dead) < 0) fail("getrusage", strerror(errno));
  return sum + ((int64_t)dead.ru_utime.tv_sec + dead.ru_stime.tv_sec) * 1000000000 +
         ((int64_t)dead.ru_utime.tv_usec + dead.ru_stime.tv_usec) * 1000;
}

static void run_job(void) {
  static struct wire_buffer buffer;
  struct wire_job job = {
      .timeout_ms = 30000,
      .max_timers = 10000,
      .functions = (UINT32_C(1) << FUNCTIONS) - 1,
      .max_calls = 1000,
      .max_heap_bytes = MEMORY_BYTES,
      .max_output_bytes = 1 << 20,
      .max_result_bytes = 8 << 20,
      .capture_console = true,
      .code = {code, code_len},
  };
  struct wire_header header;
  struct wire_result result;
  const uint8_t *payload;

  if (other_scripts)
    job.code.len += (size_t)snprintf(code + code_len, sizeof(code) - code_len, "//%u", executor.job);
  if (wire_job_encode(&buffer, ++executor.job, &job) < 0) fail("JOB", "does not fit");
  send_all(buffer.data, buffer.len);
  wire_buffer_reset(&buffer, 1 << 20);
  payload = receive_frame(&header);
  if (header.type != WIRE_RESULT || header.job != executor.job ||
      wire_result_decode(payload, header.length, &result) < 0)
    fail("not a RESULT of the job", wire_type_name((int)header.type));
  if (result.status != ISOQ_STATUS_OK) fail("the job failed", isoq_status_name(result.status));
  if (result.result.len != strlen(expected) || memcmp(result.result.data, expected, result.result.len) != 0)
    fail("not the result that was expected", code);
  if (result.retire) {
    replaced++;
    end_executor();
    start_executor();
  }
}

static void warm_up(void) {
  int64_t began = samples_now_ns();

  for (int i = 0; i < WARM_UP_MAX && (i < WARM_UP_MIN || samples_now_ns() - began < WARM_UP_NS); i++)
    run_job();
  replaced = 0;
}

static void read_code(const char *path) {
  FILE *file = fopen(path, "rb");

  if (file == NULL) fail(path, strerror(errno));
  code_len = fread(code, 1, CODE_MAX, file);
  if (code_len == CODE_MAX) fail(path, "too long");
  fclose(file);
}

int main(int argc, char **argv) {
  static struct samples samples;
  bool process = argc > 1 && strcmp(argv[1], "--process") == 0;

  other_scripts = argc > 1 && strcmp(argv[1], "--other") == 0;
  argv += process || other_scripts ? 2 : 1;
  argc -= process || other_scripts ? 2 : 1;
  if (argc < 5)
    fail("usage", "[--process|--other] CODE_FILE EXPECTED SECONDS JOBS_AT_LEAST EXECUTOR [ARGUMENT...]");
  read_code(argv[0]);
  expected = argv[1];
  command = argv + 4;
  for (int i = 5; i < argc; i++)
    rewinding = rewinding || strncmp(argv[i], "--rewind", 8) == 0;
  if (!process) start_executor();
  if (!process) warm_up();
  samples_start(&samples, strtod(argv[2], NULL), (uint32_t)strtoul(argv[3], NULL, 10));
  samples.cpu_ns = cpu_ns();
  while (samples_want_more(&samples)) {
    if (process) start_executor();
    run_job();
    if (process) end_executor();
    samples_add(&samples);
  }
  samples.cpu_ns = cpu_ns() - samples.cpu_ns;
  if (!process) end_executor();
  samples_print(&samples, replaced);
  return 0;
}
