/*
 * Nothing gets out of a locked executor: every attempt of the deny_*.c files, made from inside one.
 *
 *     test_deny SUBJECT SETTING [rewind]
 *
 * SUBJECT is that of one file (files, network, processes, memory); `numbers`, every system call that the
 * sandbox's table does not list; or `worker`, what a real worker makes of a violation. SETTING is where the
 * broker lives, so where the executors it starts do: `root`; `user`, an ordinary user; `no-userns`, an
 * ordinary user whom the machine refuses user namespaces. The whole program moves there at its start, by
 * giving up rights and by a seccomp filter, so that everything it starts is started as in production
 * (worker/spawn.c), and nothing of the machine is changed. With `rewind`, the executors are such as rewind, which have
 * one descriptor more.
 *
 * ISOQ_TEST_PROBE names isoq-executor-probe (probe.c). Each attempt has an executor of its own, since it is
 * to be the last thing that one does; the next ones start meanwhile. Only where the filter is lenient, in
 * sanitizer builds, an executor that survived is used again. Tests do not fork here: the spare executors are
 * children of this process.
 */
#include <check.h>
#include <errno.h>
#include <grp.h>
#include <hiredis/hiredis.h>
#include <json-c/json.h>
#include <poll.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/executor_exit.h"
#include "tests/sandbox/deny.h"
#include "tests/support/program.h"
#include "tests/support/redis_server.h"
#include "worker/spawn.h"
#include "worker/wire.h"

#ifdef ISOQ_SANITIZE
#define SANITIZED true
#else
#define SANITIZED false
#endif

#define NOBODY 65534
#define SKIPPED 77
#define PATIENCE_MS 30000
#define SPARES 2
#define CASES_MAX 1024
#define NUMBERS 600

static const char *probe_path, *subject;
static enum setting {
  SETTING_ROOT,
  SETTING_USER,
  SETTING_NO_USERNS
} setting;
static const char *const setting_names[] = {"root", "user", "no-userns"};
static uint32_t rewind_mb; /* 0: they do not rewind */

/* ---- executors ---- */

struct executor {
  struct spawn_child child;
  uint32_t jobs;
  char sandbox[300]; /* from HELLO, once it was read */
  bool retired;      /* its last RESULT asked for another process: an attempt that worked cannot be rewound */
  struct wire_header header;
  uint8_t *payload;
};

static struct executor spares[SPARES];
static size_t spare_count;
static struct executor current = {.child.pid = 0}; /* the one of the test that runs; pid 0: none */

static struct executor start(bool unlocked) {
  struct executor executor = {0};
  char error[SPAWN_ERROR_SIZE];
  int r = spawn_start(probe_path, unlocked, unlocked ? 0 : rewind_mb, &executor.child, error, sizeof(error));

  ck_assert_msg(r == 0, "%s: %s", probe_path, error);
  return executor;
}

static void await(int fd, const char *what) {
  struct pollfd ready = {.fd = fd, .events = POLLIN};
  int r;

  while ((r = poll(&ready, 1, PATIENCE_MS)) < 0 && errno == EINTR)
    ;
  ck_assert_msg(r == 1, "waited too long for %s", what);
}

/* False: the executor has closed its end first. */
static bool read_all(int fd, void *buffer, size_t len) {
  size_t got = 0;

  while (got < len) {
    ssize_t n;

    await(fd, "the executor's answer");
    n = read(fd, (char *)buffer + got, len - got);
    if (n < 0 && errno == EINTR) continue;
    if (n == 0 || (n < 0 && errno == ECONNRESET)) return false;
    ck_assert_msg(n > 0, "read: %s", strerror(errno));
    got += (size_t)n;
  }
  return true;
}

static bool next_frame(struct executor *executor) {
  uint8_t head[WIRE_HEADER_SIZE];

  free(executor->payload);
  executor->payload = NULL;
  if (!read_all(executor->child.socket, head, sizeof(head))) return false;
  ck_assert_int_eq(wire_header_decode(head, &executor->header), 0);
  executor->payload = malloc(executor->header.length + 1);
  ck_assert_ptr_nonnull(executor->payload);
  return read_all(executor->child.socket, executor->payload, executor->header.length);
}

static void await_hello(struct executor *executor, bool locked) {
  struct wire_hello hello;
  char said[512] = "";

  if (executor->sandbox[0] != '\0') return;
  if (!next_frame(executor)) {
    if (executor->child.stderr_fd >= 0 && read(executor->child.stderr_fd, said, sizeof(said) - 1) < 0)
      said[0] = '\0';
    ck_abort_msg("an executor did not start: %s", said);
  }
  ck_assert_int_eq(executor->header.type, WIRE_HELLO);
  ck_assert_int_eq(wire_hello_decode(executor->payload, executor->header.length, &hello), 0);
  ck_assert(hello.locked_down == locked);
  snprintf(executor->sandbox, sizeof(executor->sandbox), "%.*s", (int)hello.sandbox.len, hello.sandbox.data);
}

static struct spawn_end reap(struct executor *executor) {
  struct spawn_end end = {0};

  await(executor->child.pidfd, "the executor's end");
  ck_assert_int_eq(spawn_reap(&executor->child, &end), 0);
  spawn_close(&executor->child);
  free(executor->payload);
  *executor = (struct executor){0};
  return end;
}

static void put_down(struct executor *executor) {
  if (executor->child.pid == 0) return;
  spawn_signal(&executor->child, SIGKILL);
  reap(executor);
}

/* An executor that is ready, and as many others on their way. */
static void take(void) {
  put_down(&current);
  if (spare_count == 0) spares[spare_count++] = start(false);
  current = spares[--spare_count];
  while (!SANITIZED && spare_count < SPARES)
    spares[spare_count++] = start(false);
  await_hello(&current, true);
}

static void no_more_spares(void) {
  put_down(&current);
  while (spare_count > 0)
    put_down(&spares[--spare_count]);
}

/* ---- attempts ---- */

struct outcome {
  bool answered; /* by a RESULT; else the process has ended */
  char text[128];
  long value;
  int error;
  struct spawn_end end;
};

static struct outcome run(const char *code) {
  struct outcome outcome = {0};
  struct wire_buffer buffer = {0};
  struct wire_result result;
  struct wire_job job = {.timeout_ms = 10000,
                         .max_timers = 10,
                         .max_heap_bytes = 64 << 20,
                         .max_output_bytes = 1 << 20,
                         .max_result_bytes = 1 << 20,
                         .code = {code, strlen(code)}};

  ck_assert_int_eq(wire_job_encode(&buffer, ++current.jobs, &job), 0);
  ck_assert_int_eq(send(current.child.socket, buffer.data, buffer.len, MSG_NOSIGNAL), (ssize_t)buffer.len);
  wire_buffer_free(&buffer);
  outcome.answered = next_frame(&current);
  if (!outcome.answered) {
    outcome.end = reap(&current);
    return outcome;
  }
  ck_assert_int_eq(current.header.type, WIRE_RESULT);
  ck_assert_int_eq(wire_result_decode(current.payload, current.header.length, &result), 0);
  current.retired = result.retire;
  ck_assert_msg(result.status == ISOQ_STATUS_OK, "'%s' ended with %s", code, isoq_status_name(result.status));
  snprintf(outcome.text, sizeof(outcome.text), "%.*s", (int)result.result.len, result.result.data);
  sscanf(outcome.text, "%ld %d", &outcome.value, &outcome.error);
  return outcome;
}

static struct outcome probe(const char *name) {
  char code[160];

  snprintf(code, sizeof(code), "//probe %s", name);
  return run(code);
}

static bool killed_by(const struct outcome *outcome, int signal) {
  return !outcome->answered && !outcome->end.exited && outcome->end.signal == signal;
}

static const char *describe(const struct outcome *outcome) {
  static char text[128];

  if (outcome->answered)
    snprintf(text, sizeof(text), "the call returned %ld (%s)", outcome->value,
             outcome->value == -1 ? strerrorname_np(outcome->error) : "no error");
  else if (outcome->end.exited)
    snprintf(text, sizeof(text), "the executor ended with exit status %d", outcome->end.exit_code);
  else
    snprintf(text, sizeof(text), "the executor was killed by SIG%s", sigabbrev_np(outcome->end.signal));
  return text;
}

static bool denied(const struct outcome *outcome) {
  return killed_by(outcome, SIGSYS) ||
         (SANITIZED && outcome->answered && outcome->value == -1 && outcome->error == EPERM);
}

static bool as_written(const struct deny_case *one, const struct outcome *outcome) {
  switch (one->end) {
  case DENY_DIES: return denied(outcome);
  case DENY_DIES_OR_FAULTS: return killed_by(outcome, SIGSYS) || killed_by(outcome, SIGSEGV);
  case DENY_REFUSED: return outcome->answered && outcome->value == -1 && outcome->error == one->error;
  case DENY_WORKS: return outcome->answered && outcome->value >= 0;
  }
  return false;
}

/* The executor of the last attempt lives: it serves on, ends when its broker goes, or is the next test's. */
static void let_go(void) {
  struct spawn_end end;

  if (current.child.pid == 0) return;
  if (current.retired) {
    put_down(&current);
    return;
  }
  ck_assert_str_eq(run("6 * 7").text, "42");
  if (SANITIZED) {
    spares[spare_count++] = current;
    spares[spare_count - 1].payload = NULL;
    free(current.payload);
    current = (struct executor){0};
    return;
  }
  shutdown(current.child.socket, SHUT_RDWR);
  end = reap(&current);
  ck_assert(end.exited);
  ck_assert_int_eq(end.exit_code, EXECUTOR_EXIT_OK);
}

/* One test a case, under the case's name; _i is its index. */
static void test_attempt(int _i) {
  const struct deny_case *one = deny_at((size_t)_i);
  struct outcome outcome;

  take();
  outcome = probe(one->name);
  ck_assert_msg(as_written(one, &outcome), "%s as %s: %s", one->name, setting_names[setting],
                describe(&outcome));
  let_go();
}

/* ---- the setting, and that the tests can fail ---- */

/* Whether this process, where it lives, may make this namespace. */
static bool may_unshare(int flags) {
  int status;
  pid_t child = fork();

  ck_assert_int_ge(child, 0);
  if (child == 0) _exit(unshare(flags) == 0 ? 0 : 1);
  ck_assert_int_eq(waitpid(child, &status, 0), child);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool in_force(const char *name) {
  char list[310], wanted[40];

  snprintf(list, sizeof(list), ",%s,", current.sandbox);
  snprintf(wanted, sizeof(wanted), ",%s,", name);
  return strstr(list, wanted) != NULL;
}

START_TEST(the_executors_are_locked_as_the_setting_permits) {
  bool mounts = may_unshare(CLONE_NEWNS), users = may_unshare(CLONE_NEWUSER);

  take();
  printf("%s: %s\n", setting_names[setting], current.sandbox);
  ck_assert(in_force(SANITIZED ? "seccomp-lenient" : "seccomp"));
  ck_assert(in_force("rlimits"));
  ck_assert(in_force("nocaps"));
  ck_assert(in_force("nodump"));
  ck_assert_int_eq(in_force("rewind"), rewind_mb > 0);
  if (setting == SETTING_NO_USERNS) ck_assert(!users && !mounts);
  ck_assert_int_eq(in_force("userns"), !mounts && users);
  ck_assert_int_eq(in_force("mountns"), mounts || users);
  ck_assert_int_eq(in_force("netns"), mounts || users);
  let_go();
}
END_TEST

START_TEST(an_attempt_is_made_in_the_executor_itself) {
  pid_t pid;

  take();
  pid = current.child.pid;
  ck_assert_int_eq(probe("control_asking_for_its_own_id").value, pid);
  let_go();
}
END_TEST

START_TEST(an_attempt_that_nobody_wrote_is_not_a_denial) {
  struct wire_buffer buffer = {0};
  struct wire_result result;
  struct wire_job job = {.timeout_ms = 1000, .max_heap_bytes = 64 << 20, .code = {"//probe no_such", 15}};

  take();
  ck_assert_int_eq(wire_job_encode(&buffer, ++current.jobs, &job), 0);
  ck_assert_int_eq(send(current.child.socket, buffer.data, buffer.len, MSG_NOSIGNAL), (ssize_t)buffer.len);
  wire_buffer_free(&buffer);
  ck_assert(next_frame(&current));
  ck_assert_int_eq(wire_result_decode(current.payload, current.header.length, &result), 0);
  ck_assert_int_eq(result.status, ISOQ_STATUS_CRASHED);
  put_down(&current); /* after such an end it takes no more jobs */
}
END_TEST

/* What the sandbox alone denies, since without it these are anybody's right. */
START_TEST(without_the_sandbox_attempts_succeed) {
  static const char *const names[] = {
      "opening_a_file",    "making_a_socket_tcp",  "making_a_pair_of_sockets", "forking",
      "forking_by_clone",  "making_a_memory_file", "signalling_the_broker",    "mapping_shared_memory",
      "becoming_dumpable", "asking_for_the_parent"};

  put_down(&current);
  current = start(true);
  await_hello(&current, false);
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    struct outcome outcome = probe(names[i]);

#ifndef SYS_fork
    if (strcmp(names[i], "forking") == 0) continue;
#endif
    ck_assert_msg(outcome.answered && outcome.value != -1, "%s: %s", names[i], describe(&outcome));
    ck_assert(!denied(&outcome));
  }
  put_down(&current);
}
END_TEST

/* ---- every number ---- */

/*
 * The second book-keeping of the table in engine/sandbox.c: what is not in here dies whatever its arguments
 * are, or is refused always. Who adds a call there writes it down here, and says why in the review.
 */
static const int answered_calls[] = {
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(close),
    SCMP_SYS(mmap),
    SCMP_SYS(munmap),
    SCMP_SYS(mprotect),
    SCMP_SYS(mremap),
    SCMP_SYS(brk),
    SCMP_SYS(madvise),
    SCMP_SYS(futex),
    SCMP_SYS(nanosleep),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(sched_yield),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(timer_settime),
    SCMP_SYS(getrusage),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(tgkill),
    SCMP_SYS(getrandom),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(prctl),
    SCMP_SYS(pkey_alloc),
    SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(ioctl),
    SCMP_SYS(lseek),
    SCMP_SYS(openat),
    SCMP_SYS(sched_getparam),
    SCMP_SYS(sched_getscheduler),
};

static bool is_answered(int number) {
  for (size_t i = 0; i < sizeof(answered_calls) / sizeof(answered_calls[0]); i++)
    if (answered_calls[i] == number) return true;
  return false;
}

/*
 * uretprobe() and uprobe() of x86-64, which the kernel (6.11 and later) takes past every filter: a kernel's
 * tracer plants them into a program's code. From anywhere but there they do nothing: SIGILL, or an error.
 */
static bool is_beyond_filters(int number, const struct outcome *outcome) {
#ifdef __x86_64__
  return (number == 335 || number == 336) &&
         (killed_by(outcome, SIGILL) || (outcome->answered && outcome->value == -1));
#else
  (void)number, (void)outcome;
  return false;
#endif
}

START_TEST(no_other_number_is_answered) {
  char name[32];
  struct outcome outcome;

  if (is_answered(_i)) return;
  take();
  snprintf(name, sizeof(name), "number_%d", _i);
  outcome = probe(name);
  ck_assert_msg(denied(&outcome) || is_beyond_filters(_i, &outcome), "system call %d as %s: %s", _i,
                setting_names[setting], describe(&outcome));
  let_go();
}
END_TEST

/* ---- a real worker ---- */

static struct redis_server server;
static redisContext *redis;
static struct program worker;
static char redis_variable[160], executor_variable[4200];
static const char *worker_environment[] = {redis_variable, executor_variable, "ISOQ_EXECUTORS=1", NULL};

static void start_worker(void) {
  const char *const words[] = {program_path("isoq"), "worker", NULL};

  ck_assert_int_eq(redis_server_start(&server, NULL), 0);
  redis = redis_server_connect(&server);
  ck_assert_ptr_nonnull(redis);
  snprintf(redis_variable, sizeof(redis_variable), "ISOQ_REDIS_URL=%s", server.unix_url);
  snprintf(executor_variable, sizeof(executor_variable), "ISOQ_EXECUTOR_PATH=%s", probe_path);
  worker = (struct program){.environment = worker_environment};
  ck_assert_int_eq(program_start(&worker, words), 0);
}

static void stop_worker(void) {
  if (worker.pid > 0) {
    kill(worker.pid, SIGTERM);
    program_finish(&worker);
    if (worker.status != 0) fprintf(stderr, "the worker ended with %d:\n%s\n", worker.status, worker.err);
  }
  program_free(&worker);
  if (redis != NULL) redisFree(redis);
  redis = NULL;
  redis_server_end(&server);
}

static void submit(const char *id, const char *code) {
  redisReply *reply =
      redisCommand(redis, "LPUSH isoq:{default}:jobs {\"id\":\"%s\",\"code\":\"%s\"}", id, code);

  ck_assert(reply != NULL && reply->type == REDIS_REPLY_INTEGER);
  freeReplyObject(reply);
}

static const char *text_of(json_object *object, const char *name) {
  json_object *value = NULL;

  return json_object_object_get_ex(object, name, &value) ? json_object_get_string(value) : NULL;
}

static void expect(const char *id, const char *status, const char *value) {
  redisReply *reply = redisCommand(redis, "BLPOP isoq:{default}:reply:%s 30", id);
  json_object *result;

  ck_assert_msg(reply != NULL && reply->type == REDIS_REPLY_ARRAY, "no result of %s", id);
  result = json_tokener_parse(reply->element[1]->str);
  ck_assert_ptr_nonnull(result);
  ck_assert_msg(strcmp(text_of(result, "status"), status) == 0, "%s: %s", id, reply->element[1]->str);
  if (value != NULL) ck_assert_str_eq(text_of(result, "result"), value);
  json_object_put(result);
  freeReplyObject(reply);
}

START_TEST(a_violation_has_its_status_and_the_next_job_is_served) {
  submit("before", "'a' + 'b'");
  submit("violation", "//probe opening_a_file");
  submit("after", "6 * 7");
  submit("again", "//probe making_a_socket_tcp");
  submit("last", "[1, 2].length");
  expect("before", "ok", "ab");
  if (SANITIZED)
    expect("violation", "ok", "-1 1");
  else
    expect("violation", "sandbox_violation", NULL);
  expect("after", "ok", "42");
  expect("again", SANITIZED ? "ok" : "sandbox_violation", NULL);
  expect("last", "ok", "2");
}
END_TEST

/* ---- going to the setting ---- */

/* As a container's profile does it: what asks for a user namespace is refused, and the newer form unknown. */
static int refuse_user_namespaces(void) {
  const struct scmp_arg_cmp asks = SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_NEWUSER, CLONE_NEWUSER);
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
  int r;

  if (filter == NULL) return -ENOMEM;
  r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(unshare), 1, asks);
  if (r == 0) r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1, asks);
  if (r == 0) r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
  if (r == 0) r = seccomp_load(filter);
  seccomp_release(filter);
  return r;
}

static int become_an_ordinary_user(void) {
  if (geteuid() != 0) return 0;
  if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
      setresuid(NOBODY, NOBODY, NOBODY) < 0)
    return -errno;
  /* As if this program had been started by that user. */
  return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0 ? -errno : 0;
}

/* 0; SKIPPED, with the reason on stderr; or 1. */
static int enter_setting(void) {
  int r = 0;

  if (setting == SETTING_ROOT && geteuid() != 0) {
    fprintf(stderr, "skipped: only root can be root\n");
    return SKIPPED;
  }
  if (setting != SETTING_ROOT) r = become_an_ordinary_user();
  if (r == 0 && setting == SETTING_NO_USERNS) r = refuse_user_namespaces();
  if (r < 0) {
    fprintf(stderr, "cannot go to the setting '%s': %s\n", setting_names[setting], strerror(-r));
    return 1;
  }
  if (access(probe_path, R_OK | X_OK) < 0) {
    fprintf(stderr, "skipped: uid %d cannot run %s (%s); build where every user may look\n", (int)geteuid(),
            probe_path, strerror(errno));
    return SKIPPED;
  }
  return 0;
}

/* ---- the suite ---- */

static void add_attempts(TCase *tests) {
  static TTest named[CASES_MAX];
  const struct deny_case *one;

  for (size_t i = 0; (one = deny_at(i)) != NULL && i < CASES_MAX; i++) {
    if (strcmp(one->subject, subject) != 0) continue;
    named[i] = (TTest){one->name, test_attempt, one->file, one->line};
    tcase_add_loop_test(tests, &named[i], (int)i, (int)i + 1);
  }
}

static Suite *suite(void) {
  static char name[64];
  Suite *all = suite_create("deny");
  TCase *tests;

  snprintf(name, sizeof(name), "%s, as %s", subject, setting_names[setting]);
  tests = tcase_create(name);
  tcase_add_unchecked_fixture(tests, NULL, no_more_spares);
  if (strcmp(subject, "worker") == 0) {
    tcase_add_checked_fixture(tests, start_worker, stop_worker);
    tcase_add_test(tests, a_violation_has_its_status_and_the_next_job_is_served);
  } else if (strcmp(subject, "numbers") == 0) {
    tcase_add_loop_test(tests, no_other_number_is_answered, 0, NUMBERS);
  } else {
    tcase_add_test(tests, the_executors_are_locked_as_the_setting_permits);
    tcase_add_test(tests, an_attempt_is_made_in_the_executor_itself);
    tcase_add_test(tests, an_attempt_that_nobody_wrote_is_not_a_denial);
    tcase_add_test(tests, without_the_sandbox_attempts_succeed);
    add_attempts(tests);
  }
  suite_add_tcase(all, tests);
  return all;
}

static bool parse(int argc, char **argv) {
  if (argc == 4 && strcmp(argv[3], "rewind") == 0)
    rewind_mb = 256;
  else if (argc != 3)
    return false;
  subject = argv[1];
  for (size_t i = 0; i < sizeof(setting_names) / sizeof(setting_names[0]); i++) {
    if (strcmp(argv[2], setting_names[i]) != 0) continue;
    setting = (enum setting)i;
    return true;
  }
  return false;
}

int main(int argc, char **argv) {
  SRunner *runner;
  int failed, r;

  probe_path = getenv("ISOQ_TEST_PROBE");
#ifdef PROBE_EXECUTOR
  if (probe_path == NULL) probe_path = PROBE_EXECUTOR;
#endif
  if (!parse(argc, argv) || probe_path == NULL) {
    fprintf(stderr, "usage: [ISOQ_TEST_PROBE=PATH] test_deny files|network|processes|memory|numbers|worker "
                    "root|user|no-userns [rewind]\n");
    return 2;
  }
  r = enter_setting();
  if (r != 0) return r;
  runner = srunner_create(suite());
  srunner_set_fork_status(runner, CK_NOFORK);
  srunner_run_all(runner, CK_ENV);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? 0 : 1;
}
