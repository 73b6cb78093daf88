/*
 * An executor without V8: a real process with real signals, that speaks the wire protocol, or breaks it, as
 * the text of the job says. So the broker's side is tested against every way in which an executor can go
 * wrong, at the moment that a test wants it.
 *
 * How it starts is chosen by the name it is called by (a test makes symbolic links): fake-executor is
 * well-behaved, fake-executor.silent never gets ready, and so on. What a job does is the row of `deeds` that
 * its code names; what follows a colon is the deed's argument.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/executor_exit.h"
#include "worker/wire.h"

#define SOCKET 3

static volatile sig_atomic_t cancelled_job;

static void on_cancel(int number, siginfo_t *info, void *context) {
  (void)number, (void)context;
  cancelled_job = info->si_code == SI_QUEUE ? info->si_value.sival_int : -1;
}

static void send_bytes(const void *data, size_t len) {
  const uint8_t *at = data;

  while (len > 0) {
    ssize_t n = write(SOCKET, at, len);

    if (n < 0 && errno == EINTR) continue;
    if (n < 0) _exit(90);
    at += n;
    len -= (size_t)n;
  }
}

static bool receive_bytes(void *data, size_t len) {
  uint8_t *at = data;

  while (len > 0) {
    ssize_t n = read(SOCKET, at, len);

    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    at += n;
    len -= (size_t)n;
  }
  return true;
}

/* Only while it waits is it asked for jobs: so no frame is written into another. */
static void listen_for_take_back(bool listen) {
  sigset_t usr2;

  sigemptyset(&usr2);
  sigaddset(&usr2, SIGUSR2);
  sigprocmask(listen ? SIG_UNBLOCK : SIG_BLOCK, &usr2, NULL);
}

static volatile sig_atomic_t begun;
static bool returned[65536];

static void send_returned(uint32_t after, uint32_t up_to) {
  uint8_t frame[WIRE_RETURNED_SIZE];

  wire_returned_encode(frame, &(struct wire_returned){.after = after, .up_to = up_to});
  send_bytes(frame, sizeof(frame));
}

static void on_take_back(int number, siginfo_t *info, void *context) {
  struct wire_returned range = wire_range_of(info->si_value.sival_ptr);

  (void)number, (void)context;
  if (range.after < (uint32_t)begun) range.after = (uint32_t)begun;
  if (range.after >= range.up_to) return;
  for (uint32_t job = range.after + 1; job <= range.up_to; job++)
    returned[job % 65536] = true;
  send_returned(range.after, range.up_to);
}

static void send_header(int type, uint32_t len, uint32_t job) {
  uint8_t header[WIRE_HEADER_SIZE];

  wire_header_encode(header, (enum wire_type)type, len, job);
  send_bytes(header, sizeof(header));
}

static void send_console(uint32_t job, enum isoq_console_level level, const char *text, size_t len) {
  uint8_t entry[WIRE_CONSOLE_ENTRY_OVERHEAD];

  wire_console_entry_encode(entry, level, false, (uint32_t)len);
  send_header(WIRE_CONSOLE, (uint32_t)(sizeof(entry) + len), job);
  send_bytes(entry, sizeof(entry));
  send_bytes(text, len);
}

static void make_timed(struct wire_buffer *buffer, uint32_t job, enum isoq_status status, const char *text,
                       size_t len, double took_ms) {
  struct wire_result message = {
      .status = status, .execution_time_ms = took_ms, .cpu_time_ms = 1.25, .peak_memory_bytes = 4096};

  if (status == ISOQ_STATUS_OK) {
    message.has_result = true;
    message.result_type = ISOQ_TYPE_STRING;
    message.result = (struct wire_text){text, len};
  } else {
    message.has_error = true;
    message.error_name = (struct wire_text){"TestError", 9};
    message.error_message = (struct wire_text){text, len};
    message.error_stack = (struct wire_text){"", 0};
  }
  if (wire_result_encode(buffer, job, &message) < 0) _exit(91);
}

static void make_result(struct wire_buffer *buffer, uint32_t job, enum isoq_status status, const char *text,
                        size_t len) {
  make_timed(buffer, job, status, text, len, 1.5);
}

static void send_result(uint32_t job, enum isoq_status status, const char *text) {
  struct wire_buffer buffer = {0};

  make_result(&buffer, job, status, text, strlen(text));
  send_bytes(buffer.data, buffer.len);
  wire_buffer_free(&buffer);
}

static void hang(void) {
  listen_for_take_back(true);
  for (;;)
    pause();
}

/* ---- what a job may be ---- */

struct order {
  uint32_t job;
  const char *argument;
  const struct wire_job *message;
};

static void do_ok(const struct order *o) {
  send_result(o->job, ISOQ_STATUS_OK, o->argument);
}
static void do_error(const struct order *o) {
  send_result(o->job, ISOQ_STATUS_ERROR, o->argument);
}
static void do_timeout(const struct order *o) {
  send_result(o->job, ISOQ_STATUS_TIMEOUT, o->argument);
}
static void do_claim_sandbox(const struct order *o) {
  send_result(o->job, ISOQ_STATUS_SANDBOX_VIOLATION, "liar");
}
static void do_hang(const struct order *o) {
  (void)o, hang();
}
static void do_exit(const struct order *o) {
  _exit(atoi(o->argument));
}

static const char *own_pid(void) {
  static char text[32];

  snprintf(text, sizeof(text), "%d", (int)getpid());
  return text;
}

/* As the RESULT of a job that took so long. */
static void send_timed(uint32_t job, const char *text, double took_ms) {
  struct wire_buffer buffer = {0};

  make_timed(&buffer, job, ISOQ_STATUS_OK, text, strlen(text), took_ms);
  send_bytes(buffer.data, buffer.len);
  wire_buffer_free(&buffer);
}

static void do_quick(const struct order *o) {
  send_timed(o->job, o->argument, 0.01);
}

static void do_quick_pid(const struct order *o) {
  send_timed(o->job, own_pid(), 0.01);
}

static void do_slow(const struct order *o) {
  send_timed(o->job, o->argument, 50);
}

/* Tells whether more than this job has been sent. */
static void do_more_waits(const struct order *o) {
  int bytes = 0;

  if (ioctl(SOCKET, FIONREAD, &bytes) < 0) _exit(100);
  send_timed(o->job, bytes > 0 ? "yes" : "no", 0.01);
}

/* RETURNED, with numbers that are relative to its own. */
static void do_return(const struct order *o) {
  int after = 0, up_to = 0;

  if (sscanf(o->argument, "%d,%d", &after, &up_to) != 2) _exit(101);
  send_returned(o->job + (uint32_t)after, o->job + (uint32_t)up_to);
  hang();
}

/* A RESULT of a run that took longer than anything can. */
static void do_eternal(const struct order *o) {
  send_timed(o->job, o->argument, 1e300);
}

/* In one piece: a RESULT, and its own job as one that it has not begun. */
static void do_result_return(const struct order *o) {
  struct wire_buffer buffer = {0};
  struct wire_result message = {.status = ISOQ_STATUS_OK};
  uint8_t frame[WIRE_RETURNED_SIZE + 1] = {0};

  if (wire_result_encode(&buffer, o->job, &message) < 0) _exit(91);
  wire_returned_encode(frame, &(struct wire_returned){.after = o->job - 1, .up_to = o->job});
  buffer.data = realloc(buffer.data, buffer.len + sizeof(frame));
  if (buffer.data == NULL) _exit(91);
  memcpy(buffer.data + buffer.len, frame, sizeof(frame));
  send_bytes(buffer.data, buffer.len + sizeof(frame));
  wire_buffer_free(&buffer);
  hang();
}

static void do_pid(const struct order *o) {
  send_result(o->job, ISOQ_STATUS_OK, own_pid());
}

static void do_input(const struct order *o) {
  struct wire_buffer buffer = {0};

  make_result(&buffer, o->job, ISOQ_STATUS_OK, o->message->input.data, o->message->input.len);
  send_bytes(buffer.data, buffer.len);
  wire_buffer_free(&buffer);
}

static void do_limits(const struct order *o) {
  const struct wire_job *m = o->message;
  char text[256];

  snprintf(text, sizeof(text),
           "timeout=%u cpu=%u heap=%llu output=%llu result=%llu timers=%u capture=%d seed=%d:%llu",
           m->timeout_ms, m->cpu_ms, (unsigned long long)m->max_heap_bytes,
           (unsigned long long)m->max_output_bytes, (unsigned long long)m->max_result_bytes, m->max_timers,
           m->capture_console, m->has_seed, (unsigned long long)m->seed);
  send_result(o->job, ISOQ_STATUS_OK, text);
}

static void do_cancellable(const struct order *o) {
  char text[32];

  while (cancelled_job == 0)
    usleep(1000);
  snprintf(text, sizeof(text), "job %d", (int)cancelled_job);
  cancelled_job = 0;
  send_result(o->job, ISOQ_STATUS_CANCELLED, text);
}

static void do_die_by(const struct order *o) {
  signal(atoi(o->argument), SIG_DFL);
  raise(atoi(o->argument));
}

static void do_dying(const struct order *o) {
  struct wire_dying dying = {.status =
                                 strcmp(o->argument, "oom") == 0 ? ISOQ_STATUS_OOM : ISOQ_STATUS_CRASHED,
                             .why = {"the heap is full", 16}};
  uint8_t frame[1024];
  size_t len;

  if (wire_dying_encode(frame, &len, o->job, &dying) < 0) _exit(92);
  send_bytes(frame, len);
  raise(SIGTRAP);
}

static void do_dying_and_living_on(const struct order *o) {
  struct wire_dying dying = {.status = ISOQ_STATUS_OOM, .why = {"soon", 4}};
  uint8_t frame[1024];
  size_t len;

  wire_dying_encode(frame, &len, o->job, &dying);
  send_bytes(frame, len);
  hang();
}

static void do_spin(const struct order *o) {
  (void)o;
  for (volatile unsigned long i = 0;; i++)
    ;
}

/* Resident megabytes. */
static void do_grow(const struct order *o) {
  size_t size = (size_t)atoi(o->argument) << 20;
  void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

  if (memory == MAP_FAILED) _exit(93);
  memset(memory, 1, size);
  hang();
}

static void do_flood(const struct order *o) {
  char text[1000];

  memset(text, 'x', sizeof(text));
  for (;;)
    send_console(o->job, ISOQ_CONSOLE_LOG, text, sizeof(text));
}

static void do_empty_lines(const struct order *o) {
  for (;;)
    send_console(o->job, ISOQ_CONSOLE_LOG, "", 0);
}

/* `argument` bytes in one entry, and then a result. */
static void do_print_bytes(const struct order *o) {
  size_t len = (size_t)atol(o->argument);
  char *text = malloc(len + 1);

  memset(text, 'y', len);
  send_console(o->job, ISOQ_CONSOLE_LOG, text, len);
  send_result(o->job, ISOQ_STATUS_OK, "printed");
  free(text);
}

static void do_result_bytes(const struct order *o) {
  struct wire_buffer buffer = {0};
  size_t len = (size_t)atol(o->argument);
  char *text = malloc(len + 1);

  memset(text, 'z', len);
  make_result(&buffer, o->job, ISOQ_STATUS_OK, text, len);
  send_bytes(buffer.data, buffer.len);
  wire_buffer_free(&buffer);
  free(text);
}

static void send_trace(uint32_t job, const char *text, size_t len) {
  struct wire_buffer buffer = {0};

  if (wire_trace_encode(&buffer, job, (struct wire_text){text, len}) < 0) _exit(94);
  send_bytes(buffer.data, buffer.len);
  wire_buffer_free(&buffer);
}

static void do_trace(const struct order *o) {
  send_trace(o->job, o->argument, strlen(o->argument));
  send_trace(o->job, "t1 ", 3);
  send_result(o->job, ISOQ_STATUS_OK, o->message->record ? "recorded" : "not recorded");
}

static void do_trace_crash(const struct order *o) {
  send_trace(o->job, o->argument, strlen(o->argument));
  abort();
}

/* `argument` bytes, in pieces. */
static void do_trace_bytes(const struct order *o) {
  static char piece[1000];

  memset(piece, 'c', sizeof(piece));
  for (long left = atol(o->argument); left > 0; left -= (long)sizeof(piece))
    send_trace(o->job, piece, left < (long)sizeof(piece) ? (size_t)left : sizeof(piece));
  send_result(o->job, ISOQ_STATUS_OK, "traced");
}

static void do_no_such_type(const struct order *o) {
  uint8_t header[WIRE_HEADER_SIZE] = {4, 0, 0, 0, 99, 0, 0, 0, (uint8_t)o->job};

  send_bytes(header, sizeof(header));
  hang();
}

static void do_padding(const struct order *o) {
  uint8_t header[WIRE_HEADER_SIZE] = {4, 0, 0, 0, WIRE_RESULT, 1, 0, 0, (uint8_t)o->job};

  send_bytes(header, sizeof(header));
  hang();
}

static void do_too_long(const struct order *o) {
  uint8_t header[WIRE_HEADER_SIZE] = {0xff, 0xff, 0xff, 0xff, WIRE_RESULT, 0, 0, 0, (uint8_t)o->job};

  send_bytes(header, sizeof(header));
  hang();
}

/* A length that the type allows, and this job does not. */
static void do_long_for_job(const struct order *o) {
  send_header(WIRE_RESULT, wire_type_max(WIRE_RESULT), o->job);
  hang();
}

static void do_unreadable(const struct order *o) {
  send_header(WIRE_RESULT, 5, o->job);
  send_bytes("\xff\xff\xff\xff\xff", 5);
  hang();
}

static void do_hello_again(const struct order *o) {
  (void)o;
  send_header(WIRE_HELLO, 0, 0);
  hang();
}

/* Of a job that nobody debugs. */
static void do_inspect(const struct order *o) {
  static const struct wire_text message = {"{}", 2};
  struct wire_buffer buffer = {0};

  if (wire_inspect_out_encode(&buffer, o->job, message) < 0) _exit(91);
  send_bytes(buffer.data, buffer.len);
  hang();
}

static void do_other_job(const struct order *o) {
  send_result(o->job + 1, ISOQ_STATUS_OK, "not mine");
  hang();
}

static void do_twice(const struct order *o) {
  struct wire_buffer buffer = {0};

  make_result(&buffer, o->job, ISOQ_STATUS_OK, "first", 5);
  make_result(&buffer, o->job, ISOQ_STATUS_OK, "second", 6);
  send_bytes(buffer.data, buffer.len);
  wire_buffer_free(&buffer);
}

static void do_truncated(const struct order *o) {
  struct wire_buffer buffer = {0};

  make_result(&buffer, o->job, ISOQ_STATUS_OK, "half of it", 10);
  send_bytes(buffer.data, buffer.len / 2);
  _exit(0);
}

static void do_result_and_exit(const struct order *o) {
  send_result(o->job, ISOQ_STATUS_OK, "complete");
  _exit(3);
}

static void do_close(const struct order *o) {
  (void)o;
  close(SOCKET);
  hang();
}

/* Deeds that begin with output: "print-hang:text" prints first. */
static void print(const struct order *o) {
  send_console(o->job, ISOQ_CONSOLE_LOG, o->argument, strlen(o->argument));
  send_console(o->job, ISOQ_CONSOLE_ERROR, "to stderr", 9);
}

static void do_print(const struct order *o) {
  print(o), send_result(o->job, ISOQ_STATUS_OK, "printed");
}
static void do_print_hang(const struct order *o) {
  print(o), hang();
}

/* Lets whoever opens the named pipe know that all is printed. */
static void do_print_fifo_hang(const struct order *o) {
  print(o);
  if (open(o->argument, O_WRONLY | O_CLOEXEC) < 0) _exit(98);
  hang();
}

/* A RESULT and the end of the stream, both there when the test has opened the named pipe. */
static void do_result_close_fifo(const struct order *o) {
  send_result(o->job, ISOQ_STATUS_OK, "complete");
  close(SOCKET);
  if (open(o->argument, O_WRONLY | O_CLOEXEC) < 0) _exit(98);
  hang();
}

/* Goes on when the test has opened the named pipe and closed it again. Gives back nothing meanwhile. */
static void do_deaf_gate(const struct order *o) {
  int fd = open(o->argument, O_RDONLY | O_CLOEXEC);
  char byte;

  if (fd < 0 || read(fd, &byte, 1) < 0) _exit(99);
  close(fd);
  send_result(o->job, ISOQ_STATUS_OK, "through");
}

static void do_gate(const struct order *o) {
  listen_for_take_back(true);
  do_deaf_gate(o);
  listen_for_take_back(false);
}

/* As one that could not be put back as new after an earlier job: as often as it can remove a file of this name. */
static void do_exit_unrewound(const struct order *o) {
  if (strchr(o->argument, '/') == NULL || unlink(o->argument) == 0) _exit(EXECUTOR_EXIT_REWIND);
  send_result(o->job, ISOQ_STATUS_OK, "ran");
}

static void do_print_exit(const struct order *o) {
  print(o), _exit(EXECUTOR_EXIT_REWIND);
}

static void do_print_crash(const struct order *o) {
  print(o), abort();
}
static void do_print_error(const struct order *o) {
  print(o), send_result(o->job, ISOQ_STATUS_ERROR, "after printing");
}

static const struct {
  const char *name;
  void (*act)(const struct order *);
} deeds[] = {
    {"ok", do_ok},
    {"quick", do_quick},
    {"quick-pid", do_quick_pid},
    {"slow", do_slow},
    {"more-waits", do_more_waits},
    {"return", do_return},
    {"result-return", do_result_return},
    {"eternal", do_eternal},
    {"error", do_error},
    {"trace", do_trace},
    {"trace-crash", do_trace_crash},
    {"trace-bytes", do_trace_bytes},
    {"timeout", do_timeout},
    {"pid", do_pid},
    {"input", do_input},
    {"limits", do_limits},
    {"hang", do_hang},
    {"cancellable", do_cancellable},
    {"exit", do_exit},
    {"exit-unrewound", do_exit_unrewound},
    {"print-exit", do_print_exit},
    {"die-by", do_die_by},
    {"dying", do_dying},
    {"dying-and-living-on", do_dying_and_living_on},
    {"spin", do_spin},
    {"grow", do_grow},
    {"flood", do_flood},
    {"empty-lines", do_empty_lines},
    {"print-bytes", do_print_bytes},
    {"result-bytes", do_result_bytes},
    {"no-such-type", do_no_such_type},
    {"padding", do_padding},
    {"too-long", do_too_long},
    {"long-for-job", do_long_for_job},
    {"unreadable", do_unreadable},
    {"hello-again", do_hello_again},
    {"inspect", do_inspect},
    {"other-job", do_other_job},
    {"twice", do_twice},
    {"truncated", do_truncated},
    {"result-and-exit", do_result_and_exit},
    {"close", do_close},
    {"claim-sandbox", do_claim_sandbox},
    {"print", do_print},
    {"print-hang", do_print_hang},
    {"print-fifo-hang", do_print_fifo_hang},
    {"result-close-fifo", do_result_close_fifo},
    {"gate", do_gate},
    {"deaf-gate", do_deaf_gate},
    {"print-crash", do_print_crash},
    {"print-error", do_print_error},
};

static void run_job(uint32_t job, const struct wire_job *message) {
  char code[512];
  size_t len = message->code.len < sizeof(code) ? message->code.len : sizeof(code) - 1;
  struct order order = {.job = job, .argument = "", .message = message};
  char *colon;

  /* A JSON string without escapes, in quotes. */
  memcpy(code, message->code.data + 1, len - 2);
  code[len - 2] = '\0';
  colon = strchr(code, ':');
  if (colon != NULL) {
    *colon = '\0';
    order.argument = colon + 1;
  }
  for (size_t i = 0; i < sizeof(deeds) / sizeof(deeds[0]); i++)
    if (strcmp(deeds[i].name, code) == 0) {
      deeds[i].act(&order);
      return;
    }
  fprintf(stderr, "fake-executor: no such deed: %s\n", code);
  _exit(94);
}

static void serve(void) {
  uint8_t header_bytes[WIRE_HEADER_SIZE], *payload;
  struct wire_header header;
  struct wire_job job;

  while (receive_bytes(header_bytes, sizeof(header_bytes))) {
    if (wire_header_decode(header_bytes, &header) < 0 || header.type != WIRE_JOB) _exit(95);
    payload = malloc(header.length + 1);
    if (!receive_bytes(payload, header.length) || wire_job_decode(payload, header.length, &job) < 0)
      _exit(96);
    begun = (sig_atomic_t)header.job;
    if (!returned[header.job % 65536]) run_job(header.job, &job);
    returned[header.job % 65536] = false;
    free(payload);
  }
}

/* ---- how it starts ---- */

static void say_hello(uint32_t protocol, bool locked_down) {
  struct wire_buffer buffer = {0};
  struct wire_hello hello = {
      .protocol = protocol, .locked_down = locked_down, .v8_version = {"none", 4}, .sandbox = {"fake", 4}};

  if (wire_hello_encode(&buffer, &hello) < 0) _exit(97);
  send_bytes(buffer.data, buffer.len);
  wire_buffer_free(&buffer);
}

/* Tells what it was given: arguments, variables, descriptors, signals, session. */
static void report(int argc, char **argv) {
  FILE *out = fdopen(SOCKET, "w"), *status = fopen("/proc/self/status", "re");
  char line[256], path[64], target[256];

  for (int i = 1; i < argc; i++)
    fprintf(out, "argument %s\n", argv[i]);
  for (char **variable = environ; variable != NULL && *variable != NULL; variable++)
    if (strncmp(*variable, "ASAN", 4) != 0 && strncmp(*variable, "UBSAN", 5) != 0 &&
        strncmp(*variable, "LSAN", 4) != 0)
      fprintf(out, "variable %s\n", *variable);
  for (int fd = 0; fd < 4096; fd++) {
    ssize_t len;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    len = readlink(path, target, sizeof(target) - 1);
    if (len < 0 || (status != NULL && fd == fileno(status))) continue;
    target[len] = '\0';
    fprintf(out, "fd %d %s\n", fd,
            strncmp(target, "socket:", 7) == 0 ? "socket"
            : strncmp(target, "pipe:", 5) == 0 ? "pipe"
                                               : target);
  }
  while (status != NULL && fgets(line, sizeof(line), status) != NULL)
    if (strncmp(line, "SigBlk", 6) == 0 || strncmp(line, "SigIgn", 6) == 0) fputs(line, out);
  fprintf(out, "leader %d %d\n", getsid(0) == getpid(), getpgrp() == getpid());
  fclose(out);
  if (status != NULL) fclose(status);
  _exit(0);
}

int main(int argc, char **argv) {
  const char *name = strrchr(argv[0], '/'), *manner;
  struct sigaction action = {.sa_sigaction = on_cancel, .sa_flags = SA_SIGINFO};

  manner = strchr(name != NULL ? name : argv[0], '.');
  manner = manner != NULL ? manner + 1 : "";
  if (strcmp(manner, "report") == 0) report(argc, argv);
  sigaction(SIGUSR1, &action, NULL);
  action = (struct sigaction){.sa_sigaction = on_take_back, .sa_flags = SA_SIGINFO | SA_RESTART};
  sigaction(SIGUSR2, &action, NULL);
  listen_for_take_back(false);
  if (strcmp(manner, "silent") == 0) hang();
  if (strcmp(manner, "refused") == 0) {
    fprintf(stderr, "first line\nisoq-executor: sandbox: seccomp: Function not implemented\n");
    _exit(73);
  }
  if (strcmp(manner, "mute") == 0) _exit(1);
  say_hello(strcmp(manner, "old") == 0 ? 0 : WIRE_PROTOCOL_VERSION, strcmp(manner, "unlocked") != 0);
  if (strcmp(manner, "fleeting") == 0) _exit(0);
  if (strcmp(manner, "spin") == 0) do_spin(NULL);
  serve();
  return 0;
}
