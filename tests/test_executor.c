/*
 * The real isoq-executor, as a broker sees it: frames over a socketpair, signals, exit codes and /proc. The
 * test plays the broker, well-behaved and otherwise.
 *
 * ISOQ_TEST_EXECUTOR names the program. It must be readable to the user nobody for the tests that start it as
 * such.
 */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/executor_exit.h"
#include "worker/wire.h"

#ifdef ISOQ_SANITIZE
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

#define NOBODY 65534
#define PATIENCE_MS 20000

static const char *executor_path;

/* ---- starting one ---- */

struct executor {
  pid_t pid;
  int fd; /* the broker's end; -1: closed */
  uint32_t last_job;
  struct wire_header header; /* of the frame that was read last */
  uint8_t *payload;
};

struct how {
  char *argument;         /* one more, or NULL */
  bool without_socket;    /* descriptor 3 stays closed */
  bool extra_descriptors; /* leaves some more open, and an environment */
  bool nobody;            /* as an ordinary user */
  bool without_seccomp;   /* the kernel seems not to have it */
  bool signals_blocked;   /* inherits a signal mask, as from a careless broker */
  bool blind;             /* stderr is closed: an error message is expected, or a crash report */
};

static void deny_seccomp(void) {
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

  seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(seccomp), 0);
  seccomp_rule_add(filter, SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(prctl), 1, SCMP_A0(SCMP_CMP_EQ, PR_SET_SECCOMP));
  if (seccomp_load(filter) < 0) _exit(99);
}

static void become_executor(const struct how *how, int fd) {
  static char *plain[] = {NULL}, *with_secrets[] = {"AWS_SECRET_ACCESS_KEY=hunter2", "LD_SOMETHING=1", NULL};
  char *argv[] = {"isoq-executor", how->argument, NULL};
  sigset_t all;

  if (how->without_socket)
    close(3);
  else if (dup2(fd, 3) < 0)
    _exit(99);
  for (int other = 4; other < 64; other++)
    close(other);
  if (how->extra_descriptors)
    for (int i = 0; i < 5; i++)
      if (dup(0) < 0) _exit(99);
  if (how->blind) close(2);
  sigfillset(&all);
  if (how->signals_blocked) sigprocmask(SIG_SETMASK, &all, NULL);
  if (how->without_seccomp) deny_seccomp();
  if (how->nobody && (setgroups(0, NULL) < 0 || setgid(NOBODY) < 0 || setuid(NOBODY) < 0)) _exit(99);
  execve(executor_path, argv, how->extra_descriptors ? with_secrets : plain);
  _exit(98);
}

static struct executor start_only(struct how how) {
  struct executor executor = {.fd = -1};
  int fds[2];

  ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
  executor.pid = fork();
  ck_assert_int_ge(executor.pid, 0);
  if (executor.pid == 0) become_executor(&how, fds[1]);
  close(fds[1]);
  executor.fd = fds[0];
  return executor;
}

/* 1: all of it; 0: the end came first. */
static int read_all(int fd, void *buffer, size_t len) {
  size_t got = 0;

  while (got < len) {
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    ssize_t n;

    ck_assert_msg(poll(&wait, 1, PATIENCE_MS) == 1, "the executor says nothing");
    n = read(fd, (char *)buffer + got, len - got);
    if (n < 0 && errno == ECONNRESET) n = 0;
    ck_assert_int_ge(n, 0);
    if (n == 0) return 0;
    got += (size_t)n;
  }
  return 1;
}

/* Reads a frame into the executor's header and payload; false at the end. */
static bool next_frame(struct executor *executor) {
  uint8_t head[WIRE_HEADER_SIZE];

  free(executor->payload);
  executor->payload = NULL;
  if (read_all(executor->fd, head, sizeof(head)) == 0) return false;
  ck_assert_int_eq(wire_header_decode(head, &executor->header), 0);
  executor->payload = malloc(executor->header.length + 1);
  ck_assert_ptr_nonnull(executor->payload);
  return read_all(executor->fd, executor->payload, executor->header.length) == 1;
}

static struct wire_hello expect_hello(struct executor *executor) {
  struct wire_hello hello;

  ck_assert(next_frame(executor));
  ck_assert_int_eq(executor->header.type, WIRE_HELLO);
  ck_assert_int_eq(wire_hello_decode(executor->payload, executor->header.length, &hello), 0);
  return hello;
}

static struct executor start(void) {
  struct executor executor = start_only((struct how){0});

  ck_assert(expect_hello(&executor).locked_down);
  return executor;
}

static int end(struct executor *executor) {
  int status;

  while (waitpid(executor->pid, &status, 0) < 0)
    ck_assert_int_eq(errno, EINTR);
  if (executor->fd >= 0) close(executor->fd);
  free(executor->payload);
  *executor = (struct executor){.fd = -1};
  return status;
}

static void close_socket(struct executor *executor) {
  close(executor->fd);
  executor->fd = -1;
}

static void expect_exit(struct executor *executor, int code) {
  int status = end(executor);

  ck_assert_msg(WIFEXITED(status), "wait status %#x", (unsigned)status);
  ck_assert_int_eq(WEXITSTATUS(status), code);
}

/* Closes the socket between two jobs: a clean end. */
static void finish(struct executor *executor) {
  close_socket(executor);
  expect_exit(executor, EXECUTOR_EXIT_OK);
}

/* ---- jobs
 */

static struct wire_job job_of(const char *code) {
  return (struct wire_job){.timeout_ms = 10000,
                           .max_timers = 1000,
                           .max_heap_bytes = 64 << 20,
                           .max_output_bytes = 8 << 20,
                           .max_result_bytes = 8 << 20,
                           .capture_console = true,
                           .code = {code, strlen(code)}};
}

static void send_job(struct executor *executor, const struct wire_job *job) {
  struct wire_buffer buffer = {0};

  ck_assert_int_eq(wire_job_encode(&buffer, ++executor->last_job, job), 0);
  ck_assert_int_eq(send(executor->fd, buffer.data, buffer.len, MSG_NOSIGNAL), (ssize_t)buffer.len);
  wire_buffer_free(&buffer);
}

static void send_code(struct executor *executor, const char *code) {
  struct wire_job job = job_of(code);

  send_job(executor, &job);
}

/* What a job said, and how it ended. */
struct answer {
  char *text; /* of all console entries, a line each */
  size_t text_len;
  int entries, frames;
  char trace[1 << 20];
  bool ended;                /* by a RESULT */
  struct wire_result result; /* points into the executor's payload */
};

static void add_console(struct answer *answer, const struct executor *executor) {
  struct wire_console_entry entry;
  size_t offset = 0;
  int r;

  ck_assert_uint_eq(executor->header.job, executor->last_job);
  /* Enough for all of the frame: an entry's overhead is more than its newline. */
  answer->text = realloc(answer->text, answer->text_len + executor->header.length + 1);
  ck_assert_ptr_nonnull(answer->text);
  while ((r = wire_console_entry_decode(executor->payload, executor->header.length, &offset, &entry)) == 1) {
    memcpy(answer->text + answer->text_len, entry.text.data, entry.text.len);
    answer->text_len += entry.text.len;
    answer->text[answer->text_len++] = '\n';
    answer->text[answer->text_len] = '\0';
    answer->entries++;
  }
  ck_assert_int_eq(r, 0);
  answer->frames++;
}

static void add_trace(struct answer *answer, const struct executor *executor) {
  struct wire_text text;
  size_t len = strlen(answer->trace);

  ck_assert_uint_eq(executor->header.job, executor->last_job);
  ck_assert_int_eq(wire_trace_decode(executor->payload, executor->header.length, &text), 0);
  ck_assert_uint_gt(text.len, 0);
  snprintf(answer->trace + len, sizeof(answer->trace) - len, "%.*s", (int)text.len, text.data);
}

/* Reads on until the RESULT, the end, or (with until_entries) so many console entries. */
static void read_answer(struct executor *executor, struct answer *answer, int until_entries) {
  while (until_entries == 0 || answer->entries < until_entries) {
    if (!next_frame(executor)) return;
    if (executor->header.type == WIRE_CONSOLE) {
      add_console(answer, executor);
      continue;
    }
    if (executor->header.type == WIRE_TRACE) {
      add_trace(answer, executor);
      continue;
    }
    if (executor->header.type != WIRE_RESULT) return;
    ck_assert_uint_eq(executor->header.job, executor->last_job);
    ck_assert_int_eq(wire_result_decode(executor->payload, executor->header.length, &answer->result), 0);
    answer->ended = true;
    return;
  }
}

static struct answer run(struct executor *executor, const char *code) {
  struct answer answer = {0};

  send_code(executor, code);
  read_answer(executor, &answer, 0);
  ck_assert(answer.ended);
  return answer;
}

static void expect_result(struct executor *executor, const char *code, const char *wanted) {
  struct answer answer = run(executor, code);

  ck_assert_msg(answer.result.status == ISOQ_STATUS_OK, "%s: %s: %.*s", code,
                isoq_status_name(answer.result.status), (int)answer.result.error_message.len,
                answer.result.error_message.data);
  ck_assert_uint_eq(answer.result.result.len, strlen(wanted));
  ck_assert_mem_eq(answer.result.result.data, wanted, strlen(wanted));
  free(answer.text);
}

static void nap(int ms) {
  nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
}

static int64_t now_ms(void) {
  struct timespec now;

  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- jobs and results ---- */

START_TEST(it_says_hello_when_it_is_locked_down) {
  struct executor executor = start_only((struct how){0});
  struct wire_hello hello = expect_hello(&executor);
  char sandbox[300];

  ck_assert_uint_eq(hello.protocol, WIRE_PROTOCOL_VERSION);
  ck_assert_uint_eq(executor.header.job, 0);
  ck_assert(hello.locked_down);
  ck_assert_uint_gt(hello.v8_version.len, 3);
  snprintf(sandbox, sizeof(sandbox), "%.*s", (int)hello.sandbox.len, hello.sandbox.data);
  ck_assert_ptr_nonnull(strstr(sandbox, "seccomp"));
  ck_assert_ptr_nonnull(strstr(sandbox, "rlimits"));
  finish(&executor);
}
END_TEST

static struct answer run_job(struct executor *executor, const struct wire_job *job) {
  struct answer answer = {0};

  send_job(executor, job);
  read_answer(executor, &answer, 0);
  ck_assert(answer.ended);
  return answer;
}

START_TEST(it_tells_a_trace_where_it_is_asked_for) {
  struct executor executor = start();
  struct wire_job job =
      job_of("console.log(Date.now()); crypto.randomUUID(); await new Promise(r => setTimeout(r, 1)); 1");
  struct answer answer = run_job(&executor, &job);

  ck_assert_str_eq(answer.trace, "");
  free(answer.text);
  job.record = true;
  answer = run_job(&executor, &job);
  ck_assert_msg(answer.trace[0] == 'c' && strstr(answer.trace, " r") != NULL &&
                    strstr(answer.trace, " t1 ") != NULL,
                "%s", answer.trace);
  free(answer.text);
  finish(&executor);
}
END_TEST

START_TEST(a_replay_tells_its_first_difference_and_no_trace) {
  struct executor executor = start();
  struct wire_job job = job_of("Date.now()");
  struct answer answer;

  job.trace = (struct wire_text){"c1234 ", 6};
  answer = run_job(&executor, &job);
  ck_assert_str_eq(answer.trace, "");
  ck_assert_mem_eq(answer.result.result.data, "1234", 4);
  job.trace = (struct wire_text){"c1234 t7 ", 9};
  answer = run_job(&executor, &job);
  ck_assert_str_eq(answer.trace, "step 2: recorded: timer 7 fired; now the script is over");
  job.record = true; /* loose: for another script */
  answer = run_job(&executor, &job);
  ck_assert_str_eq(answer.trace, "");
  finish(&executor);
}
END_TEST

/* Whatever it had printed when it was killed, the reads that led to it are known. */
START_TEST(the_trace_of_a_killed_job_reaches_as_far_as_its_output) {
  struct executor executor = start();
  struct wire_job job =
      job_of("for (let i = 0; ; i++) { console.log(crypto.randomUUID()); if (i % 100 === 99) for (let k = 0; "
             "k < 3e5; k++); }");
  struct answer answer = {0};
  int reads = 0;

  job.record = true;
  send_job(&executor, &job);
  read_answer(&executor, &answer, 2000);
  kill(executor.pid, SIGKILL);
  read_answer(&executor, &answer, 0);
  ck_assert(!answer.ended);
  for (const char *at = answer.trace; (at = strchr(at, 'r')) != NULL; at++)
    reads++;
  ck_assert_int_ge(answer.entries, 2000);
  ck_assert_int_ge(reads, answer.entries);
  free(answer.text);
  end(&executor);
}
END_TEST

START_TEST(it_runs_one_job_after_the_other) {
  struct executor executor = start();

  expect_result(&executor, "2 + 2", "4");
  expect_result(&executor, "globalThis.left = 1; 'text'", "text");
  expect_result(&executor, "typeof left", "undefined");
  for (int i = 0; i < 20; i++)
    expect_result(&executor, "const a = await Promise.resolve([1, 2]); a.length", "2");
  finish(&executor);
}
END_TEST

/* Whatever V8, ICU or libc opened here for the first time would end the executor by SIGSYS. */
START_TEST(nothing_is_loaded_after_the_lock_down) {
  static const struct {
    const char *code, *wanted;
  } jobs[] = {
      {"Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 40)", "timed-out"},
      {"new Date(2024, 1, 1).toString().slice(0, 33)", "Thu Feb 01 2024 00:00:00 GMT+0000"},
      {"new Intl.DateTimeFormat('de-DE', {timeZone: 'Asia/Tokyo', dateStyle: 'full'}).format(0)",
       "Donnerstag, 1. Januar 1970"},
      {"['z', '\xc3\xa4', 'a'].sort(new Intl.Collator('sv').compare).join('')", "az\xc3\xa4"},
      {"new WebAssembly.Memory({initial: 1, maximum: 9}).grow(3)", "1"},
      {"let s = 0; for (let i = 0; i < 3e6; i++) s = (s + i) | 0; s", "-1127226208"},
      {"new Array(1e6).fill(0).map((x, i) => ({i})).length", "1000000"},
      {"try { null.x } catch (e) { e.stack.split('\\n').length }", "2"},
  };
  static const unsigned heap_mb[] = {256, 64, 100, 512};
  struct executor executor = start();

  for (size_t heap = 0; heap < sizeof(heap_mb) / sizeof(heap_mb[0]); heap++) {
    struct wire_job job = job_of("1");
    struct answer answer = {0};

    /* V8 sizes its reservations by the limit. */
    job.max_heap_bytes = (uint64_t)heap_mb[heap] << 20;
    send_job(&executor, &job);
    read_answer(&executor, &answer, 0);
    ck_assert(answer.ended);
  }
  for (size_t i = 0; i < sizeof(jobs) / sizeof(jobs[0]); i++)
    expect_result(&executor, jobs[i].code, jobs[i].wanted);
  finish(&executor);
}
END_TEST

START_TEST(an_error_has_its_place) {
  struct executor executor = start();
  struct answer answer = run(&executor, "\n  throw new TypeError('no')");

  ck_assert_int_eq(answer.result.status, ISOQ_STATUS_ERROR);
  ck_assert(answer.result.has_error && !answer.result.has_result);
  ck_assert_mem_eq(answer.result.error_name.data, "TypeError", 9);
  ck_assert_mem_eq(answer.result.error_message.data, "no", 2);
  ck_assert_int_eq(answer.result.error_line, 2);
  finish(&executor);
}
END_TEST

START_TEST(input_and_limits_arrive) {
  struct executor executor = start();
  struct wire_job job = job_of("\"for (;;) { input.list.push(\\u0031) }\"");
  struct answer answer = {0};

  job.code_is_json = true;
  job.input = (struct wire_text){"{\"list\": [1, 2]}", 16};
  job.max_heap_bytes = 16 << 20;
  send_job(&executor, &job);
  read_answer(&executor, &answer, 0);
  ck_assert_msg(!answer.ended || answer.result.status == ISOQ_STATUS_OOM, "%s",
                isoq_status_name(answer.result.status));
  close_socket(&executor);
  end(&executor);
  executor = start();
  job = job_of("input.list.length");
  job.input = (struct wire_text){"{\"list\": [1, 2]}", 16};
  send_job(&executor, &job);
  read_answer(&executor, &answer, 0);
  ck_assert(answer.ended);
  ck_assert_uint_eq(answer.result.result.len, 1);
  ck_assert_int_eq(answer.result.result.data[0], '2');
  finish(&executor);
}
END_TEST

START_TEST(a_timeout_keeps_what_was_printed) {
  struct executor executor = start();
  struct wire_job job = job_of("console.log('before'); console.log('more'); for (;;);");
  struct answer answer = {0};

  job.timeout_ms = 200;
  send_job(&executor, &job);
  read_answer(&executor, &answer, 0);
  ck_assert(answer.ended);
  ck_assert_int_eq(answer.result.status, ISOQ_STATUS_TIMEOUT);
  ck_assert_str_eq(answer.text, "before\nmore\n");
  free(answer.text);
  finish(&executor);
}
END_TEST

START_TEST(a_result_over_the_limit_is_said) {
  struct executor executor = start();
  struct wire_job job = job_of("'x'.repeat(2000)");
  struct answer answer = {0};

  job.max_result_bytes = 1000;
  send_job(&executor, &job);
  read_answer(&executor, &answer, 0);
  ck_assert(answer.ended);
  ck_assert_int_eq(answer.result.status, ISOQ_STATUS_OUTPUT_LIMIT);
  ck_assert(!answer.result.has_result);
  finish(&executor);
}
END_TEST

/* Larger than a frame may be, whatever the job's limit says. */
START_TEST(a_result_over_the_frames_limit_is_said) {
  struct executor executor = start();
  struct wire_job job = job_of("'x'.repeat(100 * 2 ** 20)");
  struct answer answer = {0};

  job.max_result_bytes = 200 << 20;
  job.max_heap_bytes = 512 << 20;
  send_job(&executor, &job);
  read_answer(&executor, &answer, 0);
  ck_assert(answer.ended);
  ck_assert_int_eq(answer.result.status, ISOQ_STATUS_OUTPUT_LIMIT);
  send_code(&executor, "console.log('not after such an end')");
  shutdown(executor.fd, SHUT_WR);
  ck_assert(!next_frame(&executor));
  expect_exit(&executor, EXECUTOR_EXIT_OK);
}
END_TEST

START_TEST(text_of_any_kind_comes_through) {
  struct executor executor = start();

  expect_result(&executor, "'\\u00e4\\u20ac\\u{1F600}'", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
  expect_result(&executor, "'a\\0b'.length", "3");
  expect_result(&executor, "'\\ud800'", "\xef\xbf\xbd");
  finish(&executor);
}
END_TEST

/* ---- the console ---- */

START_TEST(the_first_entry_is_written_at_once) {
  struct executor executor = start();
  struct answer answer = {0};

  send_code(&executor,
            "console.log('first'); const end = Date.now() + 8; while (Date.now() < end); console.log('2nd')");
  read_answer(&executor, &answer, 0);
  ck_assert_int_eq(answer.entries, 2);
  ck_assert_int_eq(answer.frames, 2);
  free(answer.text);
  finish(&executor);
}
END_TEST

START_TEST(many_entries_travel_in_few_frames) {
  struct executor executor = start();
  struct answer answer = run(&executor, "for (let i = 0; i < 2000; i++) console.log('line ' + i)");
  char wanted[32000];
  size_t len = 0;

  for (int i = 0; i < 2000; i++)
    len += (size_t)snprintf(wanted + len, sizeof(wanted) - len, "line %d\n", i);
  ck_assert_int_eq(answer.entries, 2000);
  ck_assert_int_lt(answer.frames, 500);
  ck_assert_str_eq(answer.text, wanted);
  free(answer.text);
  finish(&executor);
}
END_TEST

START_TEST(a_large_entry_arrives_whole_and_in_order) {
  struct executor executor = start();
  struct answer answer =
      run(&executor, "console.log('a'); console.log('b'); console.log('x'.repeat(3 * 2 ** 20));"
                     "console.log('c'); 1");

  ck_assert_int_eq(answer.entries, 4);
  ck_assert_uint_eq(answer.text_len, 2 + 2 + (3 << 20) + 1 + 2);
  ck_assert_mem_eq(answer.text, "a\nb\nxxx", 7);
  ck_assert_mem_eq(answer.text + answer.text_len - 5, "xx\nc\n", 5);
  free(answer.text);
  finish(&executor);
}
END_TEST

/* Sizes around the batch's own: an entry that just fits, and one that just does not. */
START_TEST(entries_around_the_batch_size_arrive) {
  struct executor executor = start();
  struct answer answer = run(&executor, "for (let n = 16370; n < 16390; n++) { console.log('s');"
                                        "console.log('y'.repeat(n)); }");
  size_t wanted = 0;

  for (size_t n = 16370; n < 16390; n++)
    wanted += 2 + n + 1;
  ck_assert_int_eq(answer.entries, 40);
  ck_assert_uint_eq(answer.text_len, wanted);
  free(answer.text);
  finish(&executor);
}
END_TEST

/* Whoever prints and then computes for long is heard by the tick. */
START_TEST(what_was_printed_survives_sigkill) {
  struct executor executor = start();
  struct answer answer = {0};
  int status;

  send_code(&executor, "console.log('one'); console.log('two'); console.log('three'); for (;;);");
  read_answer(&executor, &answer, 3);
  ck_assert_str_eq(answer.text, "one\ntwo\nthree\n");
  kill(executor.pid, SIGKILL);
  read_answer(&executor, &answer, 0);
  ck_assert(!answer.ended);
  status = end(&executor);
  ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  free(answer.text);
}
END_TEST

START_TEST(what_was_printed_is_sent_before_a_wait) {
  struct executor executor = start();
  struct answer answer = {0};

  send_code(&executor,
            "console.log('one'); console.log('two'); await new Promise(r => setTimeout(r, 5000)); 1");
  read_answer(&executor, &answer, 2);
  ck_assert_str_eq(answer.text, "one\ntwo\n");
  kill(executor.pid, SIGKILL);
  end(&executor);
  free(answer.text);
}
END_TEST

/* The ticks of a slow reader's job fall into the writes; the frames must not mix. */
START_TEST(a_slow_reader_gets_whole_frames) {
  struct executor executor = start();
  struct answer answer = {0};

  send_code(&executor, "for (let i = 0; i < 4000; i++) console.log('z'.repeat(i % 1999)); 'done'");
  for (int i = 0; i < 20 && !answer.ended; i++) {
    nap(30);
    read_answer(&executor, &answer, answer.entries + 100);
  }
  if (!answer.ended) read_answer(&executor, &answer, 0);
  ck_assert(answer.ended);
  ck_assert_int_eq(answer.result.status, ISOQ_STATUS_OK);
  ck_assert_int_eq(answer.entries, 4000);
  free(answer.text);
  finish(&executor);
}
END_TEST

START_TEST(no_console_when_it_is_not_captured) {
  struct executor executor = start();
  struct wire_job job = job_of("console.log('x'); 1");
  struct answer answer = {0};

  job.capture_console = false;
  send_job(&executor, &job);
  read_answer(&executor, &answer, 0);
  ck_assert(answer.ended);
  ck_assert_int_eq(answer.entries, 0);
  finish(&executor);
}
END_TEST

/* ---- cancelling ---- */

static void cancel(const struct executor *executor, uint32_t job) {
  ck_assert_int_eq(sigqueue(executor->pid, SIGUSR1, (union sigval){.sival_int = (int)job}), 0);
}

static void expect_cancelled(struct executor *executor) {
  struct answer answer = {0};

  read_answer(executor, &answer, 0);
  ck_assert(answer.ended);
  ck_assert_int_eq(answer.result.status, ISOQ_STATUS_CANCELLED);
  free(answer.text);
}

START_TEST(a_loop_is_cancelled) {
  struct executor executor = start();
  struct answer answer = {0};

  send_code(&executor, "console.log('go'); for (;;);");
  read_answer(&executor, &answer, 1);
  cancel(&executor, 1);
  expect_cancelled(&executor);
  free(answer.text);
  finish(&executor);
}
END_TEST

START_TEST(a_wait_is_cancelled) {
  struct executor executor = start();
  struct answer answer = {0};
  int64_t began = now_ms();

  send_code(&executor, "console.log('go'); await new Promise(r => setTimeout(r, 9000))");
  read_answer(&executor, &answer, 1);
  nap(50);
  cancel(&executor, 1);
  expect_cancelled(&executor);
  ck_assert_int_lt(now_ms() - began, 5000);
  free(answer.text);
  finish(&executor);
}
END_TEST

START_TEST(a_plain_kill_cancels_the_job_that_runs) {
  struct executor executor = start();
  struct answer answer = {0};

  send_code(&executor, "console.log('go'); for (;;);");
  read_answer(&executor, &answer, 1);
  kill(executor.pid, SIGUSR1);
  expect_cancelled(&executor);
  free(answer.text);
  finish(&executor);
}
END_TEST

/* Sent right behind the job, the signal may come before it runs, before it is read, or while it starts. */
START_TEST(a_cancel_right_behind_the_job_is_not_lost) {
  for (uint32_t i = 0; i < 40; i++) {
    struct executor executor = start();

    send_code(&executor, "for (;;);");
    for (volatile uint32_t spin = 0; spin < i * 50000; spin++)
      ;
    cancel(&executor, 1);
    expect_cancelled(&executor);
    finish(&executor);
  }
}
END_TEST

START_TEST(a_late_cancel_does_not_hit_the_next_job) {
  struct executor executor = start();

  kill(executor.pid, SIGUSR1);
  for (uint32_t i = 1; i <= 100; i++) {
    expect_result(&executor, "'fine'", "fine");
    cancel(&executor, i);
  }
  finish(&executor);
}
END_TEST

/* ---- jobs ahead of their turn, with a new isolate for each and rewound ---- */

static struct executor start_for(int rewinding) {
  struct executor executor = start_only((struct how){.argument = rewinding ? "--rewind=64" : NULL});

  expect_hello(&executor);
  return executor;
}

static void take_back(const struct executor *executor, uint32_t after, uint32_t up_to) {
  void *value = wire_range_value((struct wire_returned){.after = after, .up_to = up_to});

  ck_assert_int_eq(sigqueue(executor->pid, SIGUSR2, (union sigval){.sival_ptr = value}), 0);
}

/* The next frame is a RESULT of that job, with this text. */
static void expect_result_of(struct executor *executor, uint32_t job, const char *wanted) {
  struct wire_result result;

  ck_assert(next_frame(executor));
  ck_assert_str_eq(wire_type_name((int)executor->header.type), "RESULT");
  ck_assert_uint_eq(executor->header.job, job);
  ck_assert_int_eq(wire_result_decode(executor->payload, executor->header.length, &result), 0);
  ck_assert_int_eq(result.status, ISOQ_STATUS_OK);
  ck_assert_uint_eq(result.result.len, strlen(wanted));
  ck_assert_mem_eq(result.result.data, wanted, strlen(wanted));
}

static void expect_returned(struct executor *executor, uint32_t after, uint32_t up_to) {
  struct wire_returned returned;

  ck_assert(next_frame(executor));
  ck_assert_str_eq(wire_type_name((int)executor->header.type), "RETURNED");
  ck_assert_int_eq(wire_returned_decode(executor->payload, executor->header.length, &returned), 0);
  ck_assert_uint_eq(returned.after, after);
  ck_assert_uint_eq(returned.up_to, up_to);
}

static void expect_console_of(struct executor *executor, uint32_t job) {
  ck_assert(next_frame(executor));
  ck_assert_str_eq(wire_type_name((int)executor->header.type), "CONSOLE");
  ck_assert_uint_eq(executor->header.job, job);
}

static const char busy_code[] =
    "console.log('go'); for (const end = Date.now() + 300; Date.now() < end;); 'first'";

START_TEST(jobs_ahead_run_in_their_order_each_in_a_pristine_isolate) {
  struct executor executor = start_for(_i);
  char wanted[16];

  for (int job = 1; job <= 9; job++)
    send_code(&executor, "globalThis.count = (globalThis.count ?? 0) + 1; 'run ' + count");
  snprintf(wanted, sizeof(wanted), "run 1");
  for (uint32_t job = 1; job <= 9; job++)
    expect_result_of(&executor, job, wanted);
  finish(&executor);
}
END_TEST

START_TEST(jobs_behind_a_busy_one_are_given_back_when_asked_for_and_never_begin) {
  struct executor executor = start_for(_i);

  send_code(&executor, busy_code);
  for (int job = 2; job <= 4; job++)
    send_code(&executor, "console.log('a job that was given back'); 'mine'");
  expect_console_of(&executor, 1);
  take_back(&executor, 1, 3);
  expect_returned(&executor, 1, 3);
  expect_result_of(&executor, 1, "first");
  expect_console_of(&executor, 4);
  expect_result_of(&executor, 4, "mine");
  expect_result(&executor, "5", "5");
  finish(&executor);
}
END_TEST

START_TEST(a_range_that_was_given_back_stays_so_when_more_are_asked_for_before_it_is_read) {
  struct executor executor = start_for(_i);

  send_code(&executor, busy_code);
  for (int job = 2; job <= 8; job++)
    send_code(&executor, job == 4 || job == 8 ? "'mine'" : "'given back'");
  expect_console_of(&executor, 1);
  take_back(&executor, 1, 3);
  expect_returned(&executor, 1, 3);
  take_back(&executor, 4, 7);
  expect_returned(&executor, 4, 7);
  expect_result_of(&executor, 1, "first");
  expect_result_of(&executor, 4, "mine");
  expect_result_of(&executor, 8, "mine");
  finish(&executor);
}
END_TEST

START_TEST(what_has_begun_is_not_given_back) {
  struct executor executor = start_for(_i);

  send_code(&executor, busy_code);
  send_code(&executor, "'second'");
  expect_console_of(&executor, 1);
  take_back(&executor, 0, 1);
  expect_result_of(&executor, 1, "first");
  expect_result_of(&executor, 2, "second");
  take_back(&executor, 0, 2);
  expect_result(&executor, "3", "3");
  finish(&executor);
}
END_TEST

/* At every moment of a job and between two: each is either run or given back, and none both. */
START_TEST(whenever_they_are_asked_for_each_job_is_run_or_given_back) {
  struct executor executor = start_for(_i);
  unsigned run = 0, returned = 0;

  for (uint32_t round = 0; round < 150; round++) {
    uint32_t first = executor.last_job + 1, last = first + 4, next = first;

    for (uint32_t job = first; job <= last; job++)
      send_code(&executor, "[1, 2, 3].map(x => x * 2).join()");
    for (volatile uint32_t spin = 0; spin < round * 5000; spin++)
      ;
    take_back(&executor, first - 1, last);
    while (next <= last) {
      ck_assert(next_frame(&executor));
      if (executor.header.type == WIRE_RESULT) {
        ck_assert_uint_eq(executor.header.job, next);
        next++;
        run++;
      } else {
        struct wire_returned message;

        ck_assert_int_eq(executor.header.type, WIRE_RETURNED);
        ck_assert_int_eq(wire_returned_decode(executor.payload, executor.header.length, &message), 0);
        ck_assert_uint_eq(message.up_to, last);
        ck_assert(message.after == next - 1 || message.after == next);
        returned += last - message.after;
        last = message.after;
      }
    }
  }
  ck_assert_uint_eq(run + returned, 150 * 5);
  expect_result(&executor, "'the end'", "the end");
  finish(&executor);
}
END_TEST

START_TEST(a_job_behind_one_that_waits_is_given_back) {
  struct executor executor = start_for(_i);

  send_code(&executor, "console.log('go'); await new Promise(r => setTimeout(r, 300)); 'waited'");
  expect_console_of(&executor, 1);
  for (int job = 2; job <= 3; job++)
    send_code(&executor, "'given back'");
  expect_returned(&executor, 1, 2);
  expect_returned(&executor, 2, 3);
  expect_result_of(&executor, 1, "waited");
  expect_result(&executor, "4", "4");
  finish(&executor);
}
END_TEST

static void send_bytes(const struct executor *executor, const void *bytes, size_t len) {
  ck_assert_int_eq(send(executor->fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

static void append_job(struct executor *executor, struct wire_buffer *bytes, const char *code) {
  struct wire_job job = job_of(code);

  ck_assert_int_eq(wire_job_encode(bytes, ++executor->last_job, &job), 0);
}

START_TEST(jobs_that_were_read_with_one_that_waits_are_given_back) {
  struct executor executor = start_for(_i);
  struct wire_buffer bytes = {0};

  append_job(&executor, &bytes, "await new Promise(r => setTimeout(r, 300)); 'waited'");
  append_job(&executor, &bytes, "'given back'");
  append_job(&executor, &bytes, "'given back'");
  send_bytes(&executor, bytes.data, bytes.len);
  expect_returned(&executor, 1, 2);
  expect_returned(&executor, 2, 3);
  expect_result_of(&executor, 1, "waited");
  expect_result(&executor, "4", "4");
  wire_buffer_free(&bytes);
  finish(&executor);
}
END_TEST

/* Smaller and larger than what the executor reads at a time, and cut at every place. */
START_TEST(jobs_are_read_whole_however_they_are_cut) {
  static const size_t lengths[] = {30, 40, 4096, 16000, 16384, 16385, 31, 50000, 33, 8191, 400000};
  static const size_t cuts[] = {1, 11, 12, 13, 100, 4095, 16384, 16385, 30000};
  enum {
    JOBS = 60
  };
  struct executor executor = start_for(_i);
  struct wire_buffer bytes = {0};
  char wanted[32];

  for (size_t job = 0; job < JOBS; job++) {
    size_t len = lengths[job % (sizeof(lengths) / sizeof(lengths[0]))];
    char *code = malloc(len + 1);

    ck_assert_ptr_nonnull(code);
    memset(code, ' ', len);
    code[len] = '\0';
    memcpy(code + len - 12, "// the end of", 12);
    snprintf(wanted, sizeof(wanted), "'job %zu'", job + 1);
    memcpy(code, wanted, strlen(wanted));
    append_job(&executor, &bytes, code);
    free(code);
  }
  for (size_t at = 0, i = 0, part; at < bytes.len; at += part, i++) {
    part = cuts[i % (sizeof(cuts) / sizeof(cuts[0]))];
    if (part > bytes.len - at) part = bytes.len - at;
    send_bytes(&executor, bytes.data + at, part);
  }
  for (uint32_t job = 1; job <= JOBS; job++) {
    snprintf(wanted, sizeof(wanted), "job %u", job);
    expect_result_of(&executor, job, wanted);
  }
  wire_buffer_free(&bytes);
  finish(&executor);
}
END_TEST

/* Whether the text is anywhere on the process' stack, where it keeps what it has read and not used. */
static bool is_on_stack(pid_t pid, const char *text) {
  char path[64], line[256];
  unsigned long start = 0, end = 0;
  struct iovec local, remote;
  FILE *maps;
  bool found;

  snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
  maps = fopen(path, "r");
  ck_assert_ptr_nonnull(maps);
  while (fgets(line, sizeof(line), maps) != NULL && strstr(line, "[stack]") == NULL)
    ;
  fclose(maps);
  ck_assert_int_eq(sscanf(line, "%lx-%lx", &start, &end), 2);
  local = (struct iovec){malloc(end - start), end - start};
  remote = (struct iovec){(void *)start, end - start};
  ck_assert_ptr_nonnull(local.iov_base);
  ck_assert_int_eq(process_vm_readv(pid, &local, 1, &remote, 1, 0), (ssize_t)(end - start));
  found = memmem(local.iov_base, end - start, text, strlen(text)) != NULL;
  free(local.iov_base);
  return found;
}

/* Longer than what the registers hold, which a signal leaves on the stack. */
START_TEST(nothing_of_a_job_that_was_read_with_others_is_kept) {
  struct executor executor = start_only((struct how){.without_seccomp = true, .argument = "--unlocked"});
  struct wire_buffer bytes = {0};
  char run[2000] = "1 //", returned[2000] = "2 //";

  memset(run + 4, 'r', sizeof(run) - 5);
  memset(returned + 4, 'b', sizeof(returned) - 5);
  expect_hello(&executor);
  append_job(&executor, &bytes, run);
  append_job(&executor, &bytes, "await new Promise(r => setTimeout(r, 300)); 'waits'");
  append_job(&executor, &bytes, returned);
  send_bytes(&executor, bytes.data, bytes.len);
  wire_buffer_free(&bytes);
  expect_result_of(&executor, 1, "1");
  expect_returned(&executor, 2, 3);
  ck_assert(!is_on_stack(executor.pid, run + 4));
  ck_assert(!is_on_stack(executor.pid, returned + 4));
  expect_result_of(&executor, 2, "waits");
  finish(&executor);
}
END_TEST

/* What is noted of a job that is not read again would cost another one, 64 jobs later. */
START_TEST(a_job_that_was_given_back_cannot_be_asked_for) {
  struct executor executor = start_for(_i);

  send_code(&executor, "console.log('go'); await new Promise(r => setTimeout(r, 300)); 'waited'");
  expect_console_of(&executor, 1);
  send_code(&executor, "'given back'");
  expect_returned(&executor, 1, 2);
  take_back(&executor, 1, 2);
  expect_result_of(&executor, 1, "waited");
  for (int job = 3; job <= 70; job++)
    expect_result(&executor, "'run'", "run");
  finish(&executor);
}
END_TEST

/* The note is of no more use when the job is read: the one 64 jobs later has the same bit. */
START_TEST(a_job_that_was_given_back_and_is_read_during_a_wait_costs_no_other) {
  struct executor executor = start_for(_i);

  send_code(&executor, "console.log('go'); for (const end = Date.now() + 300; Date.now() < end;);"
                       "await new Promise(r => setTimeout(r, 50)); 'waited'");
  send_code(&executor, "'given back'");
  expect_console_of(&executor, 1);
  take_back(&executor, 1, 2);
  expect_returned(&executor, 1, 2);
  expect_result_of(&executor, 1, "waited");
  for (int job = 3; job <= 70; job++)
    expect_result(&executor, "'run'", "run");
  finish(&executor);
}
END_TEST

START_TEST(after_an_end_that_is_not_clean_no_job_begins) {
  struct executor executor = start_for(_i);
  struct wire_job job = job_of("for (;;);");
  struct answer answer = {0};

  job.timeout_ms = 50;
  send_job(&executor, &job);
  send_code(&executor, "console.log('it begins')");
  executor.last_job = 1; /* whose answer it is */
  read_answer(&executor, &answer, 0);
  ck_assert(answer.ended);
  ck_assert_int_eq(answer.result.status, ISOQ_STATUS_TIMEOUT);
  shutdown(executor.fd, SHUT_WR);
  ck_assert(!next_frame(&executor));
  expect_exit(&executor, EXECUTOR_EXIT_OK);
}
END_TEST

/* ---- ends
 */

START_TEST(signals_for_everybody_are_ignored) {
  static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE};
  struct executor executor = start();

  for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
    kill(executor.pid, signals[i]);
  expect_result(&executor, "1", "1");
  finish(&executor);
}
END_TEST

static void send_inspect(const struct executor *executor, uint32_t job, const char *message) {
  struct wire_buffer buffer = {0};

  ck_assert_int_eq(wire_inspect_in_encode(&buffer, job, (struct wire_text){message, strlen(message)}), 0);
  send_bytes(executor, buffer.data, buffer.len);
  wire_buffer_free(&buffer);
}

/* Reads the debugger's messages until one starts so; the console's frames come between them. */
static void expect_inspect(struct executor *executor, const char *beginning) {
  struct wire_text message;

  for (;;) {
    ck_assert(next_frame(executor));
    if (executor->header.type == WIRE_CONSOLE) continue;
    ck_assert_int_eq(executor->header.type, WIRE_INSPECT_OUT);
    ck_assert_uint_eq(executor->header.job, executor->last_job);
    ck_assert_int_eq(wire_inspect_out_decode(executor->payload, executor->header.length, &message), 0);
    if (message.len >= strlen(beginning) && strncmp(message.data, beginning, strlen(beginning)) == 0) return;
  }
}

static void send_inspected(struct executor *executor, const char *code) {
  struct wire_job job = job_of(code);

  job.timeout_ms = 0;
  job.inspect = (struct wire_text){"a-job", 5};
  send_job(executor, &job);
}

START_TEST(an_inspected_job_waits_for_its_debugger_and_the_next_one_has_none) {
  struct executor executor = start();
  struct answer answer = {0};

  send_inspected(&executor, "console.log('not yet'); await 1; 2 + 2");
  send_inspect(&executor, 1, "{\"id\":1,\"method\":\"Runtime.enable\"}");
  expect_inspect(&executor, "{\"method\":\"Runtime.executionContextCreated\"");
  expect_inspect(&executor, "{\"id\":1,\"result\":{}}");
  send_inspect(&executor, 1, "{\"id\":2,\"method\":\"Runtime.runIfWaitingForDebugger\"}");
  expect_inspect(&executor, "{\"method\":\"Runtime.consoleAPICalled\"");
  expect_inspect(&executor, "{\"method\":\"Runtime.executionContextDestroyed\"");
  read_answer(&executor, &answer, 0);
  ck_assert(answer.ended);
  ck_assert_int_eq(answer.result.status, ISOQ_STATUS_OK);
  ck_assert_mem_eq(answer.result.result.data, "4", 1);
  send_inspect(&executor, 1, "{\"id\":3,\"method\":\"Runtime.enable\"}"); /* too late: skipped */
  expect_result(&executor, "console.log(typeof console.memory); await 3", "3");
  free(answer.text);
  finish(&executor);
}
END_TEST

/* It goes on between them, where V8 lets it be interrupted. */
START_TEST(a_busy_script_is_told_all_that_the_debugger_sends_at_once) {
  static const char *const messages[] = {
      "{\"id\":3,\"method\":\"Runtime.evaluate\",\"params\":{\"expression\":\"1\"}}",
      "{\"id\":4,\"method\":\"Runtime.evaluate\",\"params\":{\"expression\":\"stop = true\"}}"};
  struct executor executor = start();
  struct answer answer = {0};
  struct wire_buffer bytes = {0};

  send_inspected(&executor, "var stop = false; console.log('runs'); while (!stop) ; 'stopped'");
  send_inspect(&executor, 1, "{\"id\":1,\"method\":\"Runtime.enable\"}");
  expect_inspect(&executor, "{\"id\":1,\"result\":{}}");
  send_inspect(&executor, 1, "{\"id\":2,\"method\":\"Runtime.runIfWaitingForDebugger\"}");
  expect_inspect(&executor, "{\"method\":\"Runtime.consoleAPICalled\"");
  for (size_t i = 0; i < 2; i++)
    ck_assert_int_eq(wire_inspect_in_encode(&bytes, 1, (struct wire_text){messages[i], strlen(messages[i])}),
                     0);
  send_bytes(&executor, bytes.data, bytes.len);
  wire_buffer_free(&bytes);
  expect_inspect(&executor, "{\"id\":3");
  expect_inspect(&executor, "{\"id\":4");
  expect_inspect(&executor, "{\"method\":\"Runtime.executionContextDestroyed\"");
  read_answer(&executor, &answer, 0);
  ck_assert(answer.ended);
  ck_assert_int_eq(answer.result.status, ISOQ_STATUS_OK);
  free(answer.text);
  finish(&executor);
}
END_TEST

START_TEST(an_inspected_job_that_waits_or_pauses_is_cancelled) {
  for (int paused = 0; paused < 2; paused++) {
    struct executor executor = start();
    struct answer answer = {0};

    send_inspected(&executor, "debugger; 1");
    send_inspect(&executor, 1, "{\"id\":1,\"method\":\"Debugger.enable\"}");
    expect_inspect(&executor, "{\"id\":1");
    if (paused) {
      send_inspect(&executor, 1, "{\"id\":2,\"method\":\"Runtime.runIfWaitingForDebugger\"}");
      expect_inspect(&executor, "{\"method\":\"Debugger.paused\"");
    }
    cancel(&executor, 1);
    do
      read_answer(&executor, &answer, 0);
    while (!answer.ended && executor.header.type == WIRE_INSPECT_OUT);
    ck_assert(answer.ended);
    ck_assert_int_eq(answer.result.status, ISOQ_STATUS_CANCELLED);
    free(answer.text);
    finish(&executor);
  }
}
END_TEST

START_TEST(a_debuggers_message_without_a_job_is_a_protocol_error) {
  struct executor executor = start();

  send_inspect(&executor, 1, "{}");
  expect_exit(&executor, EXECUTOR_EXIT_PROTOCOL);
}
END_TEST

START_TEST(garbage_is_a_protocol_error) {
  struct executor executor = start();

  send_bytes(&executor, "GET / HTTP/1.1\r\n\r\n", 18);
  expect_exit(&executor, EXECUTOR_EXIT_PROTOCOL);
}
END_TEST

START_TEST(a_frame_of_the_wrong_kind_is_a_protocol_error) {
  for (int type = WIRE_HELLO; type <= WIRE_DYING; type++) {
    struct executor executor = start();
    uint8_t head[WIRE_HEADER_SIZE];

    if (type == WIRE_JOB)
      wire_header_encode(head, WIRE_JOB, 0, 0); /* no number */
    else
      wire_header_encode(head, (enum wire_type)type, 0, 1);
    send_bytes(&executor, head, sizeof(head));
    expect_exit(&executor, EXECUTOR_EXIT_PROTOCOL);
  }
}
END_TEST

START_TEST(a_frame_that_is_too_large_is_a_protocol_error) {
  struct executor executor = start();
  uint8_t head[WIRE_HEADER_SIZE];

  wire_header_encode(head, WIRE_JOB, UINT32_MAX, 1);
  send_bytes(&executor, head, sizeof(head));
  expect_exit(&executor, EXECUTOR_EXIT_PROTOCOL);
}
END_TEST

START_TEST(a_malformed_job_is_a_protocol_error) {
  struct executor executor = start();
  uint8_t frame[WIRE_HEADER_SIZE + 10] = {0};

  wire_header_encode(frame, WIRE_JOB, 10, 1);
  send_bytes(&executor, frame, sizeof(frame));
  expect_exit(&executor, EXECUTOR_EXIT_PROTOCOL);
}
END_TEST

START_TEST(a_job_number_twice_is_a_protocol_error) {
  struct executor executor = start();

  expect_result(&executor, "1", "1");
  executor.last_job = 0;
  send_code(&executor, "2");
  expect_exit(&executor, EXECUTOR_EXIT_PROTOCOL);
}
END_TEST

START_TEST(the_end_of_the_socket_ends_it) {
  struct executor executor = start();
  struct answer answer = {0};
  uint8_t head[WIRE_HEADER_SIZE];

  finish(&executor); /* idle: a clean end */

  executor = start();
  wire_header_encode(head, WIRE_JOB, 100, 1);
  send_bytes(&executor, head, 5);
  close_socket(&executor);
  expect_exit(&executor, EXECUTOR_EXIT_BROKER_GONE);

  executor = start();
  send_bytes(&executor, head, sizeof(head));
  close_socket(&executor);
  expect_exit(&executor, EXECUTOR_EXIT_BROKER_GONE);

  executor = start();
  send_code(&executor, "console.log('go'); await new Promise(r => setTimeout(r, 9000))");
  read_answer(&executor, &answer, 1);
  close_socket(&executor);
  expect_exit(&executor, EXECUTOR_EXIT_BROKER_GONE);

  executor = start();
  send_code(&executor, "for (;;) console.log('x')");
  nap(20);
  close_socket(&executor);
  expect_exit(&executor, EXECUTOR_EXIT_BROKER_GONE);
  free(answer.text);
}
END_TEST

/* Whatever V8 does at the heap's end, it must be readable as `oom`, and what was printed must be there. */
START_TEST(running_out_of_memory_is_said) {
  static const char *const codes[] = {
      "console.log('before'); const a = []; for (;;) a.push(new Array(1000).fill(a.length))",
      "console.log('before'); let s = 'x'; const k = []; for (;;) { s += s + 'y'; k.push(s + 1) }",
      "console.log('before'); const k = []; for (;;) k.push(new Uint8Array(1 << 20).fill(1))",
  };

  for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
    struct executor executor = start_only((struct how){.blind = true});
    struct wire_job job = job_of(codes[i]);
    struct answer answer = {0};
    struct wire_dying dying;

    expect_hello(&executor);
    job.max_heap_bytes = 16 << 20;
    send_job(&executor, &job);
    read_answer(&executor, &answer, 0);
    ck_assert_str_eq(answer.text, "before\n");
    if (answer.ended) {
      ck_assert_msg(answer.result.status == ISOQ_STATUS_OOM || answer.result.status == ISOQ_STATUS_ERROR,
                    "%s: %s", codes[i], isoq_status_name(answer.result.status));
      finish(&executor);
    } else {
      ck_assert_int_eq(executor.header.type, WIRE_DYING);
      ck_assert_int_eq(wire_dying_decode(executor.payload, executor.header.length, &dying), 0);
      ck_assert_int_eq(dying.status, ISOQ_STATUS_OOM);
      expect_exit(&executor, EXECUTOR_EXIT_OOM);
    }
    free(answer.text);
  }
}
END_TEST

/* V8 ends by a trap here, with the second entry still in the batch. */
START_TEST(a_crash_of_v8_saves_the_console) {
  struct executor executor = start_only((struct how){.blind = true});
  struct answer answer = {0};

  expect_hello(&executor);
  send_code(&executor, "console.log('one'); console.log('two'); new Array(2 ** 32 - 1).fill(0)");
  read_answer(&executor, &answer, 0);
  ck_assert(!answer.ended);
  ck_assert_str_eq(answer.text, "one\ntwo\n");
  free(answer.text);
  end(&executor);
}
END_TEST

/* V8 writes why to stderr, and traps: no array has so many elements. */
START_TEST(an_array_that_v8_cannot_make_is_out_of_memory) {
  struct executor executor;
  struct wire_job job = job_of("console.log('before'); 'x'.repeat(2 ** 29 - 24).split('')");
  struct answer answer = {0};
  struct wire_dying dying;
  char why[512];

  if (SANITIZED) return; /* its stderr is the sanitizer's */
  executor = start_only((struct how){.blind = true});
  expect_hello(&executor);
  job.max_heap_bytes = (uint64_t)700 << 20;
  job.timeout_ms = 60000;
  send_job(&executor, &job);
  read_answer(&executor, &answer, 0);
  ck_assert(!answer.ended);
  ck_assert_str_eq(answer.text, "before\n");
  ck_assert_int_eq(executor.header.type, WIRE_DYING);
  ck_assert_int_eq(wire_dying_decode(executor.payload, executor.header.length, &dying), 0);
  snprintf(why, sizeof(why), "%.*s", (int)dying.why.len, dying.why.data);
  ck_assert_msg(dying.status == ISOQ_STATUS_OOM, "%s", why);
  ck_assert_msg(strstr(why, "memory_mb 700") != NULL && strstr(why, "invalid size error") != NULL, "%s", why);
  free(answer.text);
  end(&executor);
}
END_TEST

START_TEST(a_fatal_signal_is_seen_as_itself) {
  static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGABRT, SIGFPE};

  if (SANITIZED) return; /* the sanitizer's own handlers are there instead */
  for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
    struct executor executor = start();
    struct answer answer = {0};
    int status;

    send_code(&executor, "console.log('one'); console.log('two'); for (;;);");
    read_answer(&executor, &answer, 2);
    kill(executor.pid, signals[i]);
    read_answer(&executor, &answer, 0);
    ck_assert(!answer.ended);
    status = end(&executor);
    ck_assert(WIFSIGNALED(status));
    ck_assert_int_eq(WTERMSIG(status), signals[i]);
    free(answer.text);
  }
}
END_TEST

/* ---- the start
 */

START_TEST(without_a_socket_it_is_wrong_usage) {
  struct executor executor = start_only((struct how){.without_socket = true, .blind = true});

  expect_exit(&executor, EXECUTOR_EXIT_USAGE);
  executor = start_only((struct how){.argument = "--fast", .blind = true});
  expect_exit(&executor, EXECUTOR_EXIT_USAGE);
}
END_TEST

START_TEST(without_seccomp_it_refuses) {
  struct executor executor = start_only((struct how){.without_seccomp = true, .blind = true});

  ck_assert(!next_frame(&executor));
  expect_exit(&executor, EXECUTOR_EXIT_SANDBOX);
}
END_TEST

START_TEST(unlocked_must_be_asked_for_by_name) {
  struct executor executor = start_only((struct how){.without_seccomp = true, .argument = "--unlocked"});

  ck_assert(!expect_hello(&executor).locked_down);
  expect_result(&executor, "2 + 2", "4");
  finish(&executor);
}
END_TEST

/* A tree below /root, say, is out of an ordinary user's reach. */
static bool nobody_can_reach(const char *path) {
  int status;
  pid_t pid = fork();

  if (pid == 0)
    _exit(setgroups(0, NULL) == 0 && setgid(NOBODY) == 0 && setuid(NOBODY) == 0 && access(path, X_OK) == 0
              ? 0
              : 1);
  return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

START_TEST(an_ordinary_user_can_start_it) {
  struct executor executor;

  if (geteuid() != 0) return;
  executor = start_only((struct how){.nobody = true});
  ck_assert(expect_hello(&executor).locked_down);
  expect_result(&executor, "console.log({a: 1}); await 2", "2");
  finish(&executor);
}
END_TEST

START_TEST(inherited_signal_masks_do_not_matter) {
  struct executor executor = start_only((struct how){.signals_blocked = true});
  struct answer answer = {0};

  expect_hello(&executor);
  send_code(&executor, "console.log('go'); for (;;);");
  read_answer(&executor, &answer, 1);
  cancel(&executor, 1);
  expect_cancelled(&executor);
  free(answer.text);
  finish(&executor);
}
END_TEST

static int count_entries(const char *path, char *names, size_t size) {
  DIR *dir = opendir(path);
  struct dirent *entry;
  int count = 0;

  ck_assert_msg(dir != NULL, "%s: %s", path, strerror(errno));
  names[0] = '\0';
  while ((entry = readdir(dir)) != NULL) {
    if (entry->d_name[0] == '.') continue;
    snprintf(names + strlen(names), size - strlen(names), "%s ", entry->d_name);
    count++;
  }
  closedir(dir);
  return count;
}

START_TEST(it_has_one_descriptor_one_thread_and_no_environment) {
  struct executor executor;
  char path[64], names[256], bytes[4096];
  ssize_t len;
  int fd;

  if (geteuid() != 0) return; /* only root may look into a process that is not dumpable */
  executor = start_only((struct how){.extra_descriptors = true});
  expect_hello(&executor);
  nap(10);
  snprintf(path, sizeof(path), "/proc/%d/fd", executor.pid);
  count_entries(path, names, sizeof(names));
  ck_assert_str_eq(names, SANITIZED ? "2 3 " : "3 ");
  snprintf(path, sizeof(path), "/proc/%d/task", executor.pid);
  ck_assert_int_eq(count_entries(path, names, sizeof(names)), 1);

  snprintf(path, sizeof(path), "/proc/%d/environ", executor.pid);
  fd = open(path, O_RDONLY);
  ck_assert_int_ge(fd, 0);
  len = read(fd, bytes, sizeof(bytes));
  close(fd);
  for (ssize_t i = 0; i < len; i++)
    ck_assert_int_eq(bytes[i], 0);
  finish(&executor);
}
END_TEST

START_TEST(the_version_needs_no_broker) {
  char command[512], line[256] = "";
  FILE *pipe;

  snprintf(command, sizeof(command), "'%s' --version 3<&-", executor_path);
  pipe = popen(command, "r");
  ck_assert_ptr_nonnull(pipe);
  ck_assert_ptr_nonnull(fgets(line, sizeof(line), pipe));
  ck_assert_int_eq(pclose(pipe), 0);
  ck_assert_msg(strncmp(line, "isoq-executor ", 14) == 0 && strstr(line, ", V8 1") != NULL, "%s", line);
}
END_TEST

static Suite *executor_suite(void) {
  Suite *suite = suite_create("executor");
  TCase *jobs = tcase_create("jobs"), *text = tcase_create("console"), *stop = tcase_create("cancelling");
  TCase *ends = tcase_create("ends"), *begin = tcase_create("start"), *ahead = tcase_create("ahead");

  tcase_add_test(jobs, it_says_hello_when_it_is_locked_down);
  tcase_add_test(jobs, it_runs_one_job_after_the_other);
  tcase_add_test(jobs, it_tells_a_trace_where_it_is_asked_for);
  tcase_add_test(jobs, a_replay_tells_its_first_difference_and_no_trace);
  tcase_add_test(jobs, the_trace_of_a_killed_job_reaches_as_far_as_its_output);
  tcase_add_test(jobs, nothing_is_loaded_after_the_lock_down);
  tcase_add_test(jobs, an_error_has_its_place);
  tcase_add_test(jobs, input_and_limits_arrive);
  tcase_add_test(jobs, a_timeout_keeps_what_was_printed);
  tcase_add_test(jobs, a_result_over_the_limit_is_said);
  tcase_add_test(jobs, a_result_over_the_frames_limit_is_said);
  tcase_add_test(jobs, text_of_any_kind_comes_through);

  tcase_add_test(text, the_first_entry_is_written_at_once);
  tcase_add_test(text, many_entries_travel_in_few_frames);
  tcase_add_test(text, a_large_entry_arrives_whole_and_in_order);
  tcase_add_test(text, entries_around_the_batch_size_arrive);
  tcase_add_test(text, what_was_printed_survives_sigkill);
  tcase_add_test(text, what_was_printed_is_sent_before_a_wait);
  tcase_add_test(text, a_slow_reader_gets_whole_frames);
  tcase_add_test(text, no_console_when_it_is_not_captured);

  tcase_add_test(stop, a_loop_is_cancelled);
  tcase_add_test(stop, an_inspected_job_waits_for_its_debugger_and_the_next_one_has_none);
  tcase_add_test(stop, a_busy_script_is_told_all_that_the_debugger_sends_at_once);
  tcase_add_test(stop, an_inspected_job_that_waits_or_pauses_is_cancelled);
  tcase_add_test(stop, a_wait_is_cancelled);
  tcase_add_test(stop, a_plain_kill_cancels_the_job_that_runs);
  tcase_add_test(stop, a_cancel_right_behind_the_job_is_not_lost);
  tcase_add_test(stop, a_late_cancel_does_not_hit_the_next_job);

  tcase_add_loop_test(ahead, jobs_ahead_run_in_their_order_each_in_a_pristine_isolate, 0, 2 - SANITIZED);
  tcase_add_loop_test(ahead, jobs_behind_a_busy_one_are_given_back_when_asked_for_and_never_begin, 0,
                      2 - SANITIZED);
  tcase_add_loop_test(ahead, a_range_that_was_given_back_stays_so_when_more_are_asked_for_before_it_is_read,
                      0, 2 - SANITIZED);
  tcase_add_loop_test(ahead, what_has_begun_is_not_given_back, 0, 2 - SANITIZED);
  tcase_add_loop_test(ahead, whenever_they_are_asked_for_each_job_is_run_or_given_back, 0, 2 - SANITIZED);
  tcase_add_loop_test(ahead, a_job_behind_one_that_waits_is_given_back, 0, 2 - SANITIZED);
  tcase_add_loop_test(ahead, jobs_that_were_read_with_one_that_waits_are_given_back, 0, 2 - SANITIZED);
  tcase_add_loop_test(ahead, jobs_are_read_whole_however_they_are_cut, 0, 2 - SANITIZED);
  if (!SANITIZED) tcase_add_test(ahead, nothing_of_a_job_that_was_read_with_others_is_kept);
  tcase_add_loop_test(ahead, a_job_that_was_given_back_cannot_be_asked_for, 0, 2 - SANITIZED);
  tcase_add_loop_test(ahead, a_job_that_was_given_back_and_is_read_during_a_wait_costs_no_other, 0,
                      2 - SANITIZED);
  tcase_add_loop_test(ahead, after_an_end_that_is_not_clean_no_job_begins, 0, 2 - SANITIZED);
  tcase_add_test(ends, signals_for_everybody_are_ignored);
  tcase_add_test(ends, garbage_is_a_protocol_error);
  tcase_add_test(ends, a_frame_of_the_wrong_kind_is_a_protocol_error);
  tcase_add_test(ends, a_frame_that_is_too_large_is_a_protocol_error);
  tcase_add_test(ends, a_malformed_job_is_a_protocol_error);
  tcase_add_test(ends, a_job_number_twice_is_a_protocol_error);
  tcase_add_test(ends, a_debuggers_message_without_a_job_is_a_protocol_error);
  tcase_add_test(ends, the_end_of_the_socket_ends_it);
  tcase_add_test(ends, running_out_of_memory_is_said);
  tcase_add_test(ends, a_crash_of_v8_saves_the_console);
  tcase_add_test(ends, an_array_that_v8_cannot_make_is_out_of_memory);
  tcase_add_test(ends, a_fatal_signal_is_seen_as_itself);

  tcase_add_test(begin, without_a_socket_it_is_wrong_usage);
  tcase_add_test(begin, without_seccomp_it_refuses);
  tcase_add_test(begin, unlocked_must_be_asked_for_by_name);
  if (nobody_can_reach(executor_path))
    tcase_add_test(begin, an_ordinary_user_can_start_it);
  else
    puts("test_executor: the user nobody cannot reach the executor; the test that starts it so is left out");
  tcase_add_test(begin, inherited_signal_masks_do_not_matter);
  tcase_add_test(begin, it_has_one_descriptor_one_thread_and_no_environment);
  tcase_add_test(begin, the_version_needs_no_broker);

  for (size_t i = 0; i < 6; i++) {
    TCase *all[] = {jobs, text, stop, ahead, ends, begin};

    tcase_set_timeout(all[i], 60);
    suite_add_tcase(suite, all[i]);
  }
  return suite;
}

int main(void) {
  SRunner *runner;
  int failed;

  executor_path = getenv("ISOQ_TEST_EXECUTOR");
  if (executor_path == NULL) {
    fprintf(stderr, "test_executor: ISOQ_TEST_EXECUTOR must name the executor\n");
    return 2;
  }
  runner = srunner_create(executor_suite());
  srunner_run_all(runner, CK_ENV);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? 0 : 1;
}
