/*
 * isoq-executor: one process that runs JavaScript for one broker, one job at a time, and nothing else.
 *
 * The start goes from free to locked: V8 starts and runs one job of our own, so that every file, library and
 * symbol it ever wants is loaded; then sandbox_enter() takes the process's rights away; then HELLO says so.
 * What comes from the broker is read only afterwards.
 *
 * Console output is the delicate part. What a script printed must survive a SIGKILL a moment later, and a
 * script that prints in a loop must not make one system call for each line. So the first entry of a job is
 * written at once, and later ones are batched: by size, by time, before every wait, and, for a script that
 * prints and then computes, by the watchdog's tick, which is a signal handler. The handlers never see a
 * half-made batch and never write into the middle of a frame, because the main code marks every use of the
 * batch and the socket as busy, and a handler that finds the mark does nothing. A tick that was skipped comes
 * again. The trace of a recorded run waits beside the batch, and always leaves before it: what is known of the reads of
 * a script that is killed reaches as far as what it printed.
 *
 * With --rewind, jobs run in an isolate that is made before the lock-down, and after each RESULT all memory is put back
 * as it was then (engine_checkpoint()). So nothing here may be remembered from one job to the next but on the stack:
 * what the lock-down leaves in memory is forgotten as well. Where a job cannot be undone, its RESULT asks for another
 * process, and this one takes no more jobs. A script that comes several times in a row is compiled in the state to which
 * rewinds go back, until another one comes (choose_script()).
 *
 * JOBs may come ahead of their turn, and wait in the socket. Some are given back: those which the broker asks for
 * (on_take_back), and one that is found while a script waits. Their numbers are noted, the broker is told, and when such
 * a JOB is read at last, it is skipped. A job is either begun or given back: it counts as begun from the moment in which
 * its number is noted as such, and what counts as begun is not given back.
 *
 * Signals: SIGUSR1 cancels (see on_cancel), SIGUSR2 asks for jobs (on_take_back), the fatal ones save the console
 * and then kill as they would have; those which a terminal or an init system sends to everybody are ignored, since
 * the broker decides when its executors end. What V8 writes to stderr when it finds no way on is kept for them, since
 * there is no stderr then: it tells an array that V8 cannot make from a crash. Without a broker there is no executor:
 * the socket closes, and the kernel kills it as well (PR_SET_PDEATHSIG).
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#ifdef ISOQ_SANITIZE
#include <sanitizer/common_interface_defs.h>
#define SANITIZED true
#else
#define SANITIZED false
#endif

#include "engine/engine.h"
#include "engine/executor_exit.h"
#include "engine/sandbox.h"
#include "worker/wire.h"

#ifndef ISOQ_VERSION
#define ISOQ_VERSION "unknown"
#endif

#define BROKER_FD 3
#define STATM_FD 4 /* with --rewind */
#define BATCH_BYTES (16u << 10)
#define BATCH_MS 10
#define ERROR_NAME_MAX 1024u
#define ERROR_TEXT_MAX (1u << 20)
#define DYING_WHY_MAX 512u
#define RESULT_BUFFER_KEPT (1u << 20)
#define FATAL_STACK_BYTES (64u << 10)
#define LAST_WORDS_BYTES (4u << 10)
#define REWIND_MB_MAX (1u << 20)
#define UNREAD_BYTES (16u << 10)
#define SMALL_JOB_BYTES (64u << 10)
#define HOLD_AFTER 4 /* jobs with one script in a row, at least: to hold it costs what it saves for as many */
#define HOLD_AFTER_MAX 4096
#define HOLD_WORTH 2   /* times as many jobs in all, or it was not worth it */
#define HOLD_CPU_MS 50 /* of each of these jobs, at most; to compile its script is a part of that */

/* What V8 wrote to stderr in this job, for on_fatal(). */
static struct {
  size_t len, memory_mb;
  char text[LAST_WORDS_BYTES];
} last_words;

/* The main code and the signal handlers share this; `busy` says whose it is. */
static struct {
  volatile sig_atomic_t busy; /* the main code, or a handler, uses what follows or the socket */
  volatile sig_atomic_t job;  /* number of the job that was received and not answered yet; 0: none */
  int64_t written_ms;         /* when the console was last written, CLOCK_MONOTONIC; 0: not in this job */
  size_t batch_len;           /* of the CONSOLE payload that waits in `batch` */
  uint8_t batch[WIRE_HEADER_SIZE + BATCH_BYTES];
  size_t trace_len; /* of the trace that waits; it always leaves before the batch */
  char trace[BATCH_BYTES];
} console;

/* What outlasts a rewind: numbers of jobs. The signal handlers share this, too. */
static struct {
  volatile sig_atomic_t cancel_job;  /* shall be cancelled; 0: none */
  volatile sig_atomic_t seen, begun; /* the last JOB that came; the last that is run, or was skipped */
  volatile sig_atomic_t owed_after, owed_up_to; /* given back, and the broker was not told; up_to 0: none */
  _Atomic uint64_t returned; /* the jobs that were given back: a bit of each number modulo 64 */
} kept;

/*
 * What was read from the socket and not used yet. On main()'s stack, so no rewind loses it, as it would what
 * worker/inbox.h allocates. What was used is wiped: the next job finds nothing of it.
 */
struct unread {
  size_t at, end;
  uint8_t bytes[UNREAD_BYTES];
};
static struct unread *unread;

/* ---- the socket ---- */

static void broker_write(const void *head, size_t head_len, const void *tail, size_t tail_len);

static void acquire(void) {
  console.busy = 1;
  atomic_signal_fence(memory_order_seq_cst);
}

/* The caller is busy. Async-signal-safe. */
static void owed_write(void) {
  const struct wire_returned message = {.after = (uint32_t)kept.owed_after,
                                        .up_to = (uint32_t)kept.owed_up_to};
  uint8_t frame[WIRE_RETURNED_SIZE];

  if (message.up_to == 0) return;
  kept.owed_up_to = 0; /* first: the broker may ask for more as soon as it has read this */
  atomic_signal_fence(memory_order_seq_cst);
  wire_returned_encode(frame, &message);
  broker_write(frame, sizeof(frame), NULL, 0);
}

/* A handler that found the socket busy has left it to us to tell the broker. */
static void release(void) {
  do {
    acquire();
    owed_write();
    atomic_signal_fence(memory_order_seq_cst);
    console.busy = 0;
    atomic_signal_fence(memory_order_seq_cst);
  } while (kept.owed_up_to != 0);
}

/* Writes all of it, or ends the process: without a broker there is nobody to run for. Async-signal-safe. */
static void broker_write(const void *head, size_t head_len, const void *tail, size_t tail_len) {
  struct iovec iov[2] = {{(void *)(uintptr_t)head, head_len}, {(void *)(uintptr_t)tail, tail_len}};
  size_t left = head_len + tail_len;

  while (left > 0) {
    ssize_t n = writev(BROKER_FD, iov, 2);

    if (n < 0 && errno == EINTR) continue;
    if (n < 0) _exit(EXECUTOR_EXIT_BROKER_GONE);
    left -= (size_t)n;
    for (size_t i = 0; i < 2; i++) {
      size_t done = (size_t)n < iov[i].iov_len ? (size_t)n : iov[i].iov_len;

      if (done > 0) iov[i].iov_base = (uint8_t *)iov[i].iov_base + done;
      iov[i].iov_len -= done;
      n -= (ssize_t)done;
    }
  }
}

static bool unread_is_empty(void) {
  return unread->at == unread->end;
}

static size_t unread_take(uint8_t *out, size_t len) {
  size_t part = unread->end - unread->at < len ? unread->end - unread->at : len;

  memcpy(out, unread->bytes + unread->at, part);
  explicit_bzero(unread->bytes + unread->at, part);
  unread->at += part;
  return part;
}

/* As read(), but for signals: waits for the first byte only. Small frames come several at a time. */
static ssize_t broker_read_some(uint8_t *out, size_t len) {
  bool direct = len >= sizeof(unread->bytes);
  ssize_t n;

  if (!unread_is_empty()) return (ssize_t)unread_take(out, len);
  do
    n = direct ? read(BROKER_FD, out, len) : read(BROKER_FD, unread->bytes, sizeof(unread->bytes));
  while (n < 0 && errno == EINTR);
  if (direct || n <= 0) return n;
  unread->at = 0;
  unread->end = (size_t)n;
  return (ssize_t)unread_take(out, len);
}

/* 1: all of it; 0: the end, before the first byte; -EPIPE: the end, in the middle; another negative errno. */
static int broker_read(void *buffer, size_t len) {
  size_t got = 0;

  if (len >= sizeof(unread->bytes)) engine_rewind_touch(buffer, len); /* read() writes to it */
  while (got < len) {
    ssize_t n = broker_read_some((uint8_t *)buffer + got, len - got);

    if (n < 0) return -errno;
    if (n == 0) return got == 0 ? 0 : -EPIPE;
    got += (size_t)n;
  }
  return 1;
}

static bool broker_skip(size_t len) {
  uint8_t waste[4096]; /* somebody's job, which may run elsewhere */

  while (len > 0) {
    size_t part = len < sizeof(waste) ? len : sizeof(waste);

    if (broker_read(waste, part) != 1) return false;
    explicit_bzero(waste, part);
    len -= part;
  }
  return true;
}

/* ---- the console ---- */

static int64_t now_ms(void) {
  struct timespec now;

  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The caller is busy. Async-signal-safe. */
static void trace_write(const char *text, size_t len) {
  uint8_t head[WIRE_TRACE_HEAD_SIZE];

  if (len == 0) return;
  wire_trace_head_encode(head, (uint32_t)console.job, (uint32_t)len);
  broker_write(head, sizeof(head), text, len);
}

static void waiting_trace_write(void) {
  trace_write(console.trace, console.trace_len);
  console.trace_len = 0;
}

/* Writes the batch, and the trace that led to it. The caller is busy. Async-signal-safe. */
static void batch_write(void) {
  waiting_trace_write();
  if (console.batch_len == 0) return;
  wire_header_encode(console.batch, WIRE_CONSOLE, (uint32_t)console.batch_len, (uint32_t)console.job);
  broker_write(console.batch, WIRE_HEADER_SIZE + console.batch_len, NULL, 0);
  console.batch_len = 0;
  console.written_ms = now_ms();
}

static void console_flush(void) {
  acquire();
  batch_write();
  release();
}

/* For signal handlers: false when the main code is in the middle of something. */
static bool console_flush_from_handler(void) {
  if (console.busy) return false;
  console_flush();
  return true;
}

/* An entry that is longer than a batch goes out by itself, from where it lies. The caller is busy. */
static void entry_write(enum isoq_console_level level, struct engine_text text, bool truncated) {
  uint8_t head[WIRE_HEADER_SIZE + WIRE_CONSOLE_ENTRY_OVERHEAD];
  uint32_t payload = WIRE_CONSOLE_ENTRY_OVERHEAD + (uint32_t)text.len;

  waiting_trace_write();
  wire_header_encode(head, WIRE_CONSOLE, payload, (uint32_t)console.job);
  wire_console_entry_encode(head + WIRE_HEADER_SIZE, level, truncated, (uint32_t)text.len);
  broker_write(head, sizeof(head), text.data, text.len);
  console.written_ms = now_ms();
}

static size_t utf8_cut(const char *data, size_t len, size_t max) {
  if (len <= max) return len;
  while (max > 0 && ((unsigned char)data[max] & 0xC0) == 0x80)
    max--;
  return max;
}

static void host_console(void *ctx, enum isoq_console_level level, struct engine_text text, bool truncated) {
  size_t max = wire_type_max(WIRE_CONSOLE) - WIRE_CONSOLE_ENTRY_OVERHEAD;
  size_t len = utf8_cut(text.data, text.len, max);

  (void)ctx;
  truncated = truncated || len < text.len;
  text.len = len;
  acquire();
  if (WIRE_CONSOLE_ENTRY_OVERHEAD + text.len > BATCH_BYTES - console.batch_len) batch_write();
  if (WIRE_CONSOLE_ENTRY_OVERHEAD + text.len > BATCH_BYTES) {
    entry_write(level, text, truncated);
  } else {
    uint8_t *at = console.batch + WIRE_HEADER_SIZE + console.batch_len;

    wire_console_entry_encode(at, level, truncated, (uint32_t)text.len);
    if (text.len > 0) memcpy(at + WIRE_CONSOLE_ENTRY_OVERHEAD, text.data, text.len);
    console.batch_len += WIRE_CONSOLE_ENTRY_OVERHEAD + text.len;
    if (console.written_ms == 0 || now_ms() - console.written_ms >= BATCH_MS) batch_write();
  }
  release();
}

static void host_ignore_console(void *ctx, enum isoq_console_level level, struct engine_text text,
                                bool truncated) {
  (void)ctx, (void)level, (void)text, (void)truncated;
}

/* ---- the rest of the engine's host ---- */

static void host_dying(void *ctx, enum isoq_status status, const char *why);

/* No longer than WIRE_TRACE_WRITTEN_MAX in all. */
static void host_trace(void *ctx, struct engine_text text) {
  (void)ctx;
  acquire();
  if (text.len > sizeof(console.trace) - console.trace_len) waiting_trace_write();
  if (text.len > sizeof(console.trace)) {
    trace_write(text.data, text.len);
  } else if (text.len > 0) {
    memcpy(console.trace + console.trace_len, text.data, text.len);
    console.trace_len += text.len;
  }
  release();
}

static void host_call(void *ctx, uint32_t call, struct engine_text name, struct engine_text args) {
  const struct wire_call message = {
      .call = call, .name = {name.data, name.len}, .args = {args.data, args.len}};
  static struct wire_buffer buffer;

  (void)ctx;
  if (wire_call_encode(&buffer, (uint32_t)console.job, &message) < 0)
    host_dying(NULL, ISOQ_STATUS_OOM, "no memory for a call of a host function");
  acquire();
  batch_write(); /* what was printed before the call arrives before it */
  broker_write(buffer.data, buffer.len, NULL, 0);
  release();
  wire_buffer_reset(&buffer, sizeof(console.batch));
}

static void host_inspect_out(void *ctx, struct engine_text message) {
  static struct wire_buffer buffer;

  (void)ctx;
  if (wire_inspect_out_encode(&buffer, (uint32_t)console.job, (struct wire_text){message.data, message.len}) <
      0)
    host_dying(NULL, ISOQ_STATUS_OOM, "no memory for a message to the debugger");
  acquire();
  batch_write();
  broker_write(buffer.data, buffer.len, NULL, 0);
  release();
  wire_buffer_reset(&buffer, sizeof(console.batch));
}

/* In a signal handler, too. A broker that is gone counts: host_wait() finds out. */
static bool host_inspect_pending(void *ctx) {
  struct pollfd fd = {.fd = BROKER_FD, .events = POLLIN};

  (void)ctx;
  return !unread_is_empty() || poll(&fd, 1, 0) > 0;
}

/* 0 or -EBADMSG. What is for a job that is over, nobody waits for. */
static int take_message(const struct wire_header *header, const uint8_t *payload) {
  bool is_ours = header->job == (uint32_t)console.job;
  struct wire_reply reply;
  struct wire_text text;

  if (header->type == WIRE_REPLY) {
    if (wire_reply_decode(payload, header->length, &reply) < 0) return -EBADMSG;
    if (is_ours) engine_reply(reply.call, reply.ok, (struct engine_text){reply.json.data, reply.json.len});
    return 0;
  }
  if (header->type != WIRE_INSPECT_IN || wire_inspect_in_decode(payload, header->length, &text) < 0)
    return -EBADMSG;
  if (is_ours) engine_inspect((struct engine_text){text.data, text.len});
  return 0;
}

/* ---- jobs ahead of their turn ---- */

static uint64_t bit_of(sig_atomic_t job) {
  return UINT64_C(1) << (job % 64);
}

/* What is asked for, and has not begun. What cannot be noted is run, in its turn. */
static void on_take_back(int signal, siginfo_t *info, void *context) {
  int saved_errno = errno;
  struct wire_returned range = wire_range_of(info->si_code == SI_QUEUE ? info->si_value.sival_ptr : NULL);
  sig_atomic_t after = (sig_atomic_t)range.after, up_to = (sig_atomic_t)range.up_to;

  (void)signal, (void)context;
  if (after < kept.begun) after = kept.begun;
  if (after < up_to && up_to - kept.begun <= 64 && kept.owed_up_to == 0) {
    for (sig_atomic_t job = after + 1; job <= up_to; job++)
      kept.returned |= bit_of(job);
    kept.owed_after = after;
    kept.owed_up_to = up_to;
    if (!console.busy) release();
  }
  errno = saved_errno;
}

/* Forgets it, too: its number modulo 64 will be another job's. */
static bool was_returned(sig_atomic_t job) {
  return atomic_fetch_and(&kept.returned, ~bit_of(job)) & bit_of(job);
}

/* False: it was given back. */
static bool begin_job(sig_atomic_t job) {
  kept.begun = job;
  atomic_signal_fence(memory_order_seq_cst);
  return !was_returned(job);
}

/* Behind a job that waits: somebody else may be idle. */
static void return_job(const struct wire_header *header) {
  sig_atomic_t job = (sig_atomic_t)header->job;
  sigset_t usr2, before;

  if (job <= kept.seen) _exit(EXECUTOR_EXIT_PROTOCOL);
  kept.seen = job;
  if (!broker_skip(header->length)) _exit(EXECUTOR_EXIT_BROKER_GONE);
  sigemptyset(&usr2);
  sigaddset(&usr2, SIGUSR2);
  sigprocmask(SIG_BLOCK, &usr2, &before);
  if (!was_returned(job)) {
    kept.owed_after = job - 1;
    kept.owed_up_to = job;
  }
  kept.begun = job; /* nobody shall note it again: it is not read a second time */
  release();
  sigprocmask(SIG_SETMASK, &before, NULL);
}

/* The next frame of the broker: the answer to a call, a message of the debugger, or a job ahead of its turn. */
static void read_message(void) {
  uint8_t head[WIRE_HEADER_SIZE];
  struct wire_header header;
  uint8_t *payload;

  if (broker_read(head, sizeof(head)) != 1) _exit(EXECUTOR_EXIT_BROKER_GONE);
  if (wire_header_decode(head, &header) < 0) _exit(EXECUTOR_EXIT_PROTOCOL);
  if (header.type == WIRE_JOB) {
    return_job(&header);
    return;
  }
  if (header.type != WIRE_REPLY && header.type != WIRE_INSPECT_IN) _exit(EXECUTOR_EXIT_PROTOCOL);
  payload = malloc(header.length > 0 ? header.length : 1);
  if (payload == NULL) host_dying(NULL, ISOQ_STATUS_OOM, "no memory for a message of the broker");
  if (header.length > 0 && broker_read(payload, header.length) != 1) _exit(EXECUTOR_EXIT_BROKER_GONE);
  if (take_message(&header, payload) < 0) _exit(EXECUTOR_EXIT_PROTOCOL);
  free(payload);
}

static void host_wait(void *ctx, int64_t timeout_ms) {
  struct pollfd fd = {.fd = BROKER_FD, .events = POLLIN | POLLRDHUP};

  (void)ctx;
  console_flush();
  if (unread_is_empty()) {
    if (poll(&fd, 1, timeout_ms > INT_MAX ? INT_MAX : (int)timeout_ms) <= 0) return;
    if (fd.revents & (POLLHUP | POLLRDHUP | POLLERR | POLLNVAL)) _exit(EXECUTOR_EXIT_BROKER_GONE);
  }
  read_message();
}

/* In a signal handler. */
static void host_tick(void *ctx) {
  (void)ctx;
  console_flush_from_handler();
  /* Again, because the signal may have come before the engine had a job that it could cancel. */
  if (kept.cancel_job == console.job) engine_cancel(ISOQ_STATUS_CANCELLED, "cancelled");
}

static bool send_dying(enum isoq_status status, const char *why) {
  size_t why_len = strlen(why), len;
  uint8_t frame[1024];
  const struct wire_dying dying = {.status = status, .why = {why, utf8_cut(why, why_len, DYING_WHY_MAX)}};

  /* Busy: a frame is half written, and the exit code or the signal alone has to tell. */
  if (!console_flush_from_handler() || wire_dying_encode(frame, &len, (uint32_t)console.job, &dying) < 0)
    return false;
  acquire();
  broker_write(frame, len, NULL, 0);
  release();
  return true;
}

/* On V8's stack, with a heap that may be unusable: no malloc. */
static void host_dying(void *ctx, enum isoq_status status, const char *why) {
  bool oom = status == ISOQ_STATUS_OOM;

  (void)ctx;
  send_dying(oom ? ISOQ_STATUS_OOM : ISOQ_STATUS_CRASHED, why != NULL ? why : "");
  _exit(oom ? EXECUTOR_EXIT_OOM : EXECUTOR_EXIT_CRASHED);
}

/* ---- signals ---- */

/*
 * SIGUSR1 by sigqueue() names the job in its value; it cannot hit another one, however late or early it
 * arrives. By plain kill(), it is for the job that runs.
 */
static void on_cancel(int signal, siginfo_t *info, void *context) {
  sig_atomic_t job = info->si_code == SI_QUEUE ? info->si_value.sival_int : console.job;
  int saved_errno = errno;

  (void)signal, (void)context;
  if (job != 0) kept.cancel_job = job;
  if (job != 0 && job == console.job) engine_cancel(ISOQ_STATUS_CANCELLED, "cancelled");
  errno = saved_errno;
}

static ssize_t keep_last_words(void *cookie, const char *text, size_t size) {
  size_t room = sizeof(last_words.text) - 1 - last_words.len, fits = size < room ? size : room;

  (void)cookie;
  memcpy(last_words.text + last_words.len, text, fits);
  last_words.len += fits;
  last_words.text[last_words.len] = '\0';
  return (ssize_t)size;
}

/* stderr leads nowhere after the lock-down, but V8 goes on writing to it. */
static void catch_last_words(void) {
  FILE *file = fopencookie(NULL, "w", (cookie_io_functions_t){.write = keep_last_words});

  if (file == NULL) return; /* a crash has no words then */
  setvbuf(file, NULL, _IONBF, 0);
  stderr = file;
}

/*
 * "\n\n#\n# Fatal error in , line 0\n# Fatal JavaScript invalid size error 536870888\n#\n#\n": V8's reason is the
 * line after the place. NULL: it gave none.
 */
static const char *find_last_words(size_t *len) {
  const char *at = strstr(last_words.text, "# Fatal error in "), *end;

  if (at != NULL) at = strchr(at, '\n');
  if (at == NULL) return NULL;
  at += strspn(at, "\n# ");
  end = strchr(at, '\n');
  *len = end != NULL ? (size_t)(end - at) : strlen(at);
  return at;
}

/*
 * The default action is back (SA_RESETHAND), and the signal waits until this handler returns. V8 that ends
 * itself does so here, in the middle of its own code and of nobody else's.
 */
static void on_fatal(int signal) {
  char why[DYING_WHY_MAX];
  size_t len = 0;
  const char *words = console.job != 0 ? find_last_words(&len) : NULL;

  if (engine_is_rewinding()) /* the last job has its result; of no other has anything run */
    _exit(EXECUTOR_EXIT_REWIND);
  if (words == NULL) {
    console_flush_from_handler();
  } else if (strstr(words, "invalid size error") != NULL) { /* a string or an array of more than 512 MB */
    snprintf(why, sizeof(why),
             "more asked for at once than V8 can have, and than memory_mb %zu allows (%.*s)",
             last_words.memory_mb, (int)len, words);
    send_dying(ISOQ_STATUS_OOM, why);
  } else {
    snprintf(why, sizeof(why), "%.*s", (int)len, words);
    send_dying(ISOQ_STATUS_CRASHED, why);
  }
  raise(signal);
}

static int set_up_signals(void) {
  static const int ignored[] = {SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGQUIT};
  static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGABRT, SIGFPE};
  static _Alignas(4096)
      uint8_t fatal_stack[FATAL_STACK_BYTES]; /* a rewind spares its pages if nobody shares them */
  struct sigaction action = {.sa_sigaction = on_cancel, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
  stack_t stack = {.ss_sp = fatal_stack, .ss_size = sizeof(fatal_stack)};
  sigset_t none;

  sigemptyset(&none);
  if (sigprocmask(SIG_SETMASK, &none, NULL) < 0) return -errno;
  if (sigaction(SIGUSR1, &action, NULL) < 0) return -errno;
  action.sa_sigaction = on_take_back;
  if (sigaction(SIGUSR2, &action, NULL) < 0) return -errno;
  action = (struct sigaction){.sa_handler = SIG_IGN};
  for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
    if (sigaction(ignored[i], &action, NULL) < 0) return -errno;
  if (SANITIZED) return 0; /* the sanitizers report these signals by handlers of their own */

  if (sigaltstack(&stack, NULL) < 0) return -errno;
  action = (struct sigaction){.sa_handler = on_fatal, .sa_flags = SA_ONSTACK | (int)SA_RESETHAND};
  for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
    if (sigaction(fatal[i], &action, NULL) < 0) return -errno;
  return 0;
}

/* ---- jobs ---- */

static struct wire_text text_of(const char *text, size_t max) {
  if (text == NULL) return (struct wire_text){"", 0};
  return (struct wire_text){text, utf8_cut(text, strlen(text), max)};
}

static struct wire_result result_of(const struct execution_result *out) {
  return (struct wire_result){
      .status = out->status,
      .result_type = out->result_type,
      .has_result = out->result != NULL,
      .result = {out->result, out->result_len},
      .stdout_truncated = out->stdout_truncated,
      .stderr_truncated = out->stderr_truncated,
      .has_error = out->error.name != NULL || out->error.message != NULL,
      .error_name = text_of(out->error.name, ERROR_NAME_MAX),
      .error_message = text_of(out->error.message, ERROR_TEXT_MAX),
      .error_stack = text_of(out->error.stack, ERROR_TEXT_MAX),
      .error_line = out->error.line > 0 ? out->error.line : 0,
      .error_column = out->error.column > 0 ? out->error.column : 0,
      .execution_time_ms = out->execution_time_ms,
      .cpu_time_ms = out->cpu_time_ms,
      .peak_memory_bytes = out->peak_memory_bytes,
  };
}

/* A failure which the engine has no result for. */
static struct wire_result result_of_failure(enum isoq_status status, const char *name, const char *message) {
  return (struct wire_result){
      .status = status,
      .has_error = true,
      .error_name = text_of(name, ERROR_NAME_MAX),
      .error_message = text_of(message, ERROR_TEXT_MAX),
  };
}

/* Leaves in `result` the status that was told. */
static void send_result(struct wire_result *result) {
  static struct wire_buffer buffer;
  int r = wire_result_encode(&buffer, (uint32_t)console.job, result);

  if (r == -EMSGSIZE) {
    struct wire_result smaller = *result;
    char message[128];

    /* Only the value can be that large, whatever limit the job came with: the error's texts are cut. */
    smaller.status = ISOQ_STATUS_OUTPUT_LIMIT;
    smaller.result_type = ISOQ_TYPE_NONE;
    smaller.has_result = false;
    smaller.has_error = true;
    smaller.error_name = text_of("OutputLimitError", ERROR_NAME_MAX);
    snprintf(message, sizeof(message),
             "result: %zu bytes, over the %u that one message to the worker may have", result->result.len,
             wire_type_max(WIRE_RESULT));
    smaller.error_message = text_of(message, ERROR_TEXT_MAX);
    wire_buffer_reset(&buffer, RESULT_BUFFER_KEPT);
    r = wire_result_encode(&buffer, (uint32_t)console.job, &smaller);
    result->status = smaller.status;
  }
  if (r < 0) host_dying(NULL, ISOQ_STATUS_OOM, "the system has none for the result");
  acquire();
  batch_write();
  broker_write(buffer.data, buffer.len, NULL, 0);
  release();
  wire_buffer_reset(&buffer, RESULT_BUFFER_KEPT);
}

static const char *const function_names[] = {
#define BINDING(id, name, ...) name,
#include "bindings/bindings.def"
#undef BINDING
};

/* The names of the set, into `out`; how many. */
static size_t chosen_functions(uint32_t set, const char **out) {
  size_t count = 0;

  for (size_t i = 0; i < sizeof(function_names) / sizeof(function_names[0]); i++)
    if (set & UINT32_C(1) << i) out[count++] = function_names[i];
  return count;
}

/* False: this process must not run another job. `*cheap`: to hold its script would take no longer than it did. */
static bool run_job(const struct wire_job *message, bool rewinding, bool *cheap) {
  static const struct engine_host host = {
      .console = host_console,
      .trace = host_trace,
      .call = host_call,
      .wait = host_wait,
      .inspect_out = host_inspect_out,
      .inspect_pending = host_inspect_pending,
      .tick = host_tick,
      .dying = host_dying,
  };
  const char *functions[sizeof(function_names) / sizeof(function_names[0])];
  struct runtime_config config = {
      .max_heap_size_bytes = message->max_heap_bytes,
      .timeout_ms = message->timeout_ms,
      .cpu_ms = message->cpu_ms,
      .capture_console = message->capture_console,
      .max_output_bytes = message->max_output_bytes,
      .max_result_bytes = message->max_result_bytes,
      .max_timers = message->max_timers,
      .max_calls = message->max_calls,
      .max_trace_bytes = message->record ? WIRE_TRACE_WRITTEN_MAX : 0,
      .loose_replay = message->record && message->trace.data != NULL,
      .has_seed = message->has_seed,
      .seed = message->seed,
  };
  struct engine_job job = {
      .code = {message->code.data, message->code.len},
      .code_is_json = message->code_is_json,
      .input = {message->input.data, message->input.len},
      .trace = {message->trace.data, message->trace.len},
      .functions = functions,
      .function_count = chosen_functions(message->functions, functions),
      .inspect = {message->inspect.data, message->inspect.len},
  };
  struct execution_result out = {0};
  struct wire_result result;
  int r = 0;

  console.written_ms = 0;
  last_words.len = 0;
  last_words.text[0] = '\0';
  last_words.memory_mb = message->max_heap_bytes >> 20;
  if (kept.cancel_job == console.job) {
    result = result_of_failure(ISOQ_STATUS_CANCELLED, "CancelledError", "cancelled before it started");
  } else {
    r = engine_run(&job, &config, &host, &out);
    if (r == 0)
      result = result_of(&out);
    else if (r == -ENOMEM)
      result = result_of_failure(ISOQ_STATUS_OOM, "MemoryError", "memory: the system has none for the job");
    else
      result = result_of_failure(ISOQ_STATUS_CRASHED, "EngineError", "the engine refused the job");
  }
  if (out.difference != NULL) host_trace(NULL, (struct engine_text){out.difference, strlen(out.difference)});
  result.retire = rewinding && engine_rewind_refusal() != NULL;
  send_result(&result);
  *cheap = engine_used_prepared() && result.cpu_time_ms <= HOLD_CPU_MS;
  execution_result_free(&out);
  return !result.retire && isoq_status_is_clean(result.status);
}

/* Everything that was allocated since the last time is gone afterwards. */
static void rewind_process(void) {
  if (engine_rewind(&kept, sizeof(kept)) < 0) _exit(EXECUTOR_EXIT_REWIND);
}

/* ---- scripts that come again ---- */

/* The script of the last jobs. On the stack: it outlasts rewinds. */
struct streak {
  size_t len;
  bool is_json, refused;
  unsigned jobs;       /* how many of them had it; if it is not held, those which were cheap */
  unsigned hold_after; /* as many */
  char text[SMALL_JOB_BYTES];
};

/* Nothing is left of its text, and nothing held. Where it was in vain, or nearly, more are waited for the next time. */
static void end_streak(struct streak *streak) {
  bool held = engine_is_holding();

  if (held && streak->jobs / HOLD_WORTH >= streak->hold_after)
    streak->hold_after = HOLD_AFTER;
  else if ((held || streak->refused) && streak->hold_after < HOLD_AFTER_MAX)
    streak->hold_after *= 2;
  if (engine_release(&kept, sizeof(kept)) < 0) _exit(EXECUTOR_EXIT_REWIND);
  explicit_bzero(streak->text, streak->len);
  streak->len = streak->jobs = 0;
  streak->refused = false;
}

/* Before a job; with nothing allocated since the last rewind. */
static void choose_script(struct streak *streak, const struct wire_job *job) {
  const struct engine_job wanted = {.code = {job->code.data, job->code.len},
                                    .code_is_json = job->code_is_json};
  int r;

  if (streak->len != wanted.code.len || streak->is_json != wanted.code_is_json ||
      memcmp(streak->text, wanted.code.data, wanted.code.len) != 0) {
    end_streak(streak);
    streak->len = wanted.code.len;
    streak->is_json = wanted.code_is_json;
    memcpy(streak->text, wanted.code.data, wanted.code.len);
  } else if (streak->jobs == streak->hold_after) {
    r = engine_hold(&wanted, &kept, sizeof(kept));
    if (r < 0 && r != -ENOTSUP)
      _exit(EXECUTOR_EXIT_REWIND); /* nothing of the job has run: another one does it */
    streak->refused = r < 0;
  }
}

/*
 * One frame of the broker after the other. Returns the exit code. A small job is not in memory that is rewound, so that
 * its script can be chosen with the job at hand.
 */
static int serve(bool rewinding) {
  struct streak streak = {.hold_after = HOLD_AFTER};
  uint8_t head[WIRE_HEADER_SIZE], small[SMALL_JOB_BYTES];
  struct wire_header header;
  struct wire_job job;
  sig_atomic_t number;
  uint8_t *payload = small;
  bool fit = true, cheap;
  int r;

  for (;;) {
    r = broker_read(head, sizeof(head));
    if (r == 0) return EXECUTOR_EXIT_OK;
    if (r < 0) return EXECUTOR_EXIT_BROKER_GONE;
    if (wire_header_decode(head, &header) < 0) return EXECUTOR_EXIT_PROTOCOL;
    number = (sig_atomic_t)header.job;
    if ((header.type == WIRE_REPLY || header.type == WIRE_INSPECT_IN) && number <= kept.seen && number > 0) {
      if (!broker_skip(header.length)) return EXECUTOR_EXIT_BROKER_GONE;
      continue; /* for a job that is over */
    }
    if (header.type != WIRE_JOB || number <= kept.seen) return EXECUTOR_EXIT_PROTOCOL;
    kept.seen = number;
    if (!fit || !begin_job(number)) { /* who is not fit waits for its end, which is the broker's to bring */
      if (!broker_skip(header.length)) return EXECUTOR_EXIT_BROKER_GONE;
      continue;
    }

    if (header.length > sizeof(small)) {
      end_streak(&streak);
      console.job = number;
      payload = malloc(header.length);
      if (payload == NULL) host_dying(NULL, ISOQ_STATUS_OOM, "the system has none for the job");
    }
    r = header.length > 0 ? broker_read(payload, header.length) : 1;
    if (r == 1 && wire_job_decode(payload, header.length, &job) < 0) r = -EBADMSG;
    if (r != 1) break;
    if (rewinding && payload == small) choose_script(&streak, &job);
    console.job = number; /* not before: it would be held, or put back */
    fit = run_job(&job, rewinding, &cheap);
    console.job = 0;
    streak.jobs = cheap || engine_is_holding() ? streak.jobs + 1 : 0;
    if (payload == small)
      explicit_bzero(small, header.length); /* the next job finds nothing of it */
    else
      free(payload);
    payload = small;
    if (rewinding && fit) rewind_process();
  }
  if (payload != small) free(payload);
  return r == -EBADMSG ? EXECUTOR_EXIT_PROTOCOL : EXECUTOR_EXIT_BROKER_GONE;
}

/* ---- the start ---- */

/* What V8, ICU and libc load lazily: formatting of objects, time zone, locale, timers, WebAssembly, error
 * stacks. */
static const char warm_up_code[] =
    "console.log({list: [1, 'two', new Map([[3, 4n]])], error: new Error('warm')});\n"
    "await new Promise((resolve) => setTimeout(resolve, 1));\n"
    /* The bytecode of the built-in modules is kept by whoever uses them first: not a stranger's job. */
    "new URL('http://\\u00e4.example/?a=b').searchParams.get('a') + new "
    "TextEncoder().encode('\\u00e4').length +\n"
    "    new TextDecoder('gb18030').decode(new TextEncoder().encode('a')) +\n"
    "    (() => { try { return atob('*') } catch (error) { return error.name } })() +\n"
    "    new Date(0).toString() + new Date(0).toLocaleString() + 'a'.localeCompare('\\u00e4') +\n"
    "    (1234.5).toLocaleString() + 'e\\u0301'.normalize('NFC') + 'I'.toLocaleLowerCase() + Math.random() "
    "+\n"
    "    new Intl.DateTimeFormat('en-US', {timeZone: 'Europe/Berlin', timeZoneName: 'long'}).format(0) +\n"
    "    /(?<year>\\p{Number}+)/u.exec('1970').groups.year +\n"
    "    (typeof WebAssembly === 'object'\n"
    "        ? WebAssembly.validate(new Uint8Array([0,97,115,109,1,0,0,0])) : '') +\n"
    /* V8's locks count the processors. */
    "    (typeof SharedArrayBuffer === 'function'\n"
    "        ? Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1) : '') +\n"
    "    JSON.stringify([input]);\n";

static FILE *terminal; /* what stderr was at the start */

static int warm_up(void) {
  static const struct engine_host host = {.console = host_ignore_console, .wait = host_wait};
  struct runtime_config config = runtime_config_default();
  struct engine_job job = {.code = {warm_up_code, sizeof(warm_up_code) - 1}, .input = {"{\"a\":[1]}", 9}};
  struct execution_result out = {0};
  int r = engine_run(&job, &config, &host, &out);

  if (r < 0) {
    fprintf(stderr, "isoq-executor: the warm-up job did not run: %s\n", strerror(-r));
  } else if (!out.success) {
    fprintf(stderr, "isoq-executor: the warm-up job ended with %s: %s\n", isoq_status_name(out.status),
            out.error.message != NULL ? out.error.message : "no message");
    r = -EPROTO;
  }
  execution_result_free(&out);
  return r;
}

/* The broker passes no environment. What somebody else passed is not for scripts, or for whoever breaks V8.
 */
static void forget_environment(void) {
  extern char **environ;

  for (char **entry = environ; entry != NULL && *entry != NULL; entry++)
    explicit_bzero(*entry, strlen(*entry));
  clearenv();
}

static bool broker_socket_is_there(void) {
  int type = 0, domain = 0, flags = fcntl(BROKER_FD, F_GETFL);
  socklen_t type_len = sizeof(type), domain_len = sizeof(domain);

  if (getsockopt(BROKER_FD, SOL_SOCKET, SO_TYPE, &type, &type_len) < 0 ||
      getsockopt(BROKER_FD, SOL_SOCKET, SO_DOMAIN, &domain, &domain_len) < 0)
    return false;
  /* The mode is shared with whoever made the socket; here, every write waits. */
  return type == SOCK_STREAM && domain == AF_UNIX && flags >= 0 &&
         fcntl(BROKER_FD, F_SETFL, flags & ~O_NONBLOCK) == 0;
}

/* Without it, every job gets a new isolate. */
static bool prepare_rewinding(size_t max_heap_bytes) {
  const struct engine_rewind_options options = {.max_heap_size_bytes = max_heap_bytes,
                                                .functions = function_names,
                                                .function_count =
                                                    sizeof(function_names) / sizeof(function_names[0]),
                                                .statm_fd = STATM_FD};
  int r = engine_checkpoint(&options);

  if (r == -ENOTRECOVERABLE) _exit(EXECUTOR_EXIT_REWIND);
  if (r < 0) fprintf(terminal, "isoq-executor: no rewinding, a new isolate for each job: %s\n", strerror(-r));
  return r == 0;
}

static int lock_down(bool unlocked, bool rewinding, struct sandbox_report *report) {
  const struct sandbox_options options = {.highest_fd = rewinding ? STATM_FD : BROKER_FD,
                                          .statm_fd = rewinding ? STATM_FD : -1,
                                          .lenient = SANITIZED};
  char error[256];

  /* Whatever else the engine left open: nothing of it is needed. */
  closefrom(options.highest_fd + 1);
#ifdef ISOQ_SANITIZE
  __sanitizer_sandbox_on_notify(NULL);
#endif
  if (unlocked) {
    *report = (struct sandbox_report){.text = "none"};
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  } else if (sandbox_enter(&options, report, error, sizeof(error)) < 0) {
    fprintf(terminal, "isoq-executor: %s\n", error);
    fprintf(terminal,
            "isoq-executor: it does not run scripts without the sandbox, unless started with --unlocked\n");
    return -EPERM;
  }
  close(0);
  close(1);
  if (!unlocked && !SANITIZED) close(2);
  return 0;
}

static void send_hello(const struct sandbox_report *report) {
  struct wire_buffer buffer = {0};
  struct wire_hello hello = {
      .protocol = WIRE_PROTOCOL_VERSION,
      .locked_down = report->seccomp,
      .v8_version = text_of(engine_v8_version(), 64),
      .sandbox = text_of(report->text, 256),
  };

  if (wire_hello_encode(&buffer, &hello) < 0) _exit(EXECUTOR_EXIT_OOM);
  broker_write(buffer.data, buffer.len, NULL, 0);
  wire_buffer_free(&buffer);
}

static const char usage[] =
    "usage: isoq-executor [--unlocked] [--rewind=MB]\n"
    "Runs JavaScript for `isoq`, which starts it and talks to it over descriptor 3.\n"
    "  --unlocked   without the sandbox: for debugging only\n"
    "  --rewind=MB  jobs with this memory_mb share an isolate, which is put back as new after each\n"
    "  --version    print the versions\n";

int main(int argc, char **argv) {
  struct unread of_the_socket = {0};
  struct sandbox_report report;
  bool unlocked = false, rewinding = false;
  unsigned long rewind_mb = 0;
  char *end;
  int r;

  terminal = stderr;
  unread = &of_the_socket; /* before the checkpoint, and for good */
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--unlocked") == 0) {
      unlocked = true;
    } else if (strncmp(argv[i], "--rewind=", 9) == 0 && (rewind_mb = strtoul(argv[i] + 9, &end, 10)) > 0 &&
               rewind_mb <= REWIND_MB_MAX && *end == '\0') {
      rewinding = true;
    } else if (strcmp(argv[i], "--version") == 0) {
      printf("isoq-executor %s, V8 %s\n", ISOQ_VERSION, engine_v8_version());
      return 0;
    } else if (strcmp(argv[i], "--help") == 0) {
      fputs(usage, stdout);
      return 0;
    } else {
      fprintf(stderr, "isoq-executor: unknown argument '%s'\n%s", argv[i], usage);
      return EXECUTOR_EXIT_USAGE;
    }
  }
  if (!broker_socket_is_there()) {
    fprintf(stderr, "isoq-executor: descriptor 3 is not a stream socket; `isoq` starts this program\n");
    return EXECUTOR_EXIT_USAGE;
  }
  closefrom(BROKER_FD + 1);
  forget_environment();
  if (rewinding && engine_rewind_init() < 0) rewinding = false;
  r = set_up_signals();
  if (r == 0) r = engine_init();
  if (r < 0) fprintf(stderr, "isoq-executor: cannot start V8: %s\n", strerror(-r));
  if (r < 0 || warm_up() < 0) return EXECUTOR_EXIT_ENGINE;
  /* Not exit() from here on: destructors of V8 and of libraries have nothing to do, and may want forbidden
   * calls. */
  if (!unlocked && !SANITIZED) catch_last_words(); /* the checkpoint holds what is in force later */
  rewinding = rewinding && prepare_rewinding(rewind_mb << 20);
  if (lock_down(unlocked, rewinding, &report) < 0) _exit(EXECUTOR_EXIT_SANDBOX);
  if (rewinding) strncat(report.text, ",rewind", sizeof(report.text) - 1 - strlen(report.text));
  if (rewinding) rewind_process(); /* whoever says HELLO can do it */
  send_hello(&report);
  if (rewinding) rewind_process(); /* the first job finds what every other one does */
  _exit(serve(rewinding));
}
