/* What a child gets, and does not get; and what can be learnt of it. The children are
 * support/fake_executor.c. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "worker/spawn.h"

static char folder[] = "/tmp/isoq-test-spawn-XXXXXX";
static char path[PATH_MAX], error[SPAWN_ERROR_SIZE];
static struct spawn_child child;

static const char *named(const char *manner) {
  snprintf(path, sizeof(path), "%s/fake-executor%s", folder, manner);
  ck_assert(symlink(FAKE_EXECUTOR, path) == 0 || errno == EEXIST);
  return path;
}

static void set_up(void) {
  ck_assert_ptr_nonnull(mkdtemp(folder));
  error[0] = '\0';
}

static void tear_down(void) {
  char command[PATH_MAX];

  ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
  ck_assert_int_eq(errno, ECHILD);
  snprintf(command, sizeof(command), "rm -r %s", folder);
  ck_assert_int_eq(system(command), 0);
}

static void start(const char *manner, bool unlocked) {
  ck_assert_msg(spawn_start(named(manner), unlocked, 0, &child, error, sizeof(error)) == 0, "%s", error);
}

static struct spawn_end wait_for_end(void) {
  struct pollfd ended = {.fd = child.pidfd, .events = POLLIN};
  struct spawn_end end;

  ck_assert_int_eq(poll(&ended, 1, 20000), 1);
  ck_assert_int_eq(spawn_reap(&child, &end), 0);
  return end;
}

/* All that the child writes to its socket. */
static char *read_report(void) {
  static char text[65536];
  struct pollfd readable = {.fd = child.socket, .events = POLLIN};
  size_t len = 0;
  ssize_t n;

  do {
    ck_assert_int_eq(poll(&readable, 1, 20000), 1);
    n = read(child.socket, text + len, sizeof(text) - 1 - len);
    ck_assert_int_ge(n, 0);
    len += (size_t)n;
  } while (n > 0);
  text[len] = '\0';
  return text;
}

static unsigned count(const char *text, const char *part) {
  unsigned found = 0;

  for (const char *at = strstr(text, part); at != NULL; at = strstr(at + 1, part))
    found++;
  return found;
}

/* Without 32 and 33, which are the C library's own: it lets nobody reset them, and some parents ignore them.
 */
static uint64_t ignored_signals(const char *report) {
  const char *line = strstr(report, "SigIgn:\t");

  ck_assert_ptr_nonnull(line);
  return strtoull(line + strlen("SigIgn:\t"), NULL, 16) & ~(UINT64_C(3) << 31);
}

START_TEST(test_child_is_clean) {
  char *report;
  sigset_t mask;
  int leak;

  /* A broker that is untidy in every way. */
  leak = open("/dev/null", O_RDONLY);
  ck_assert_int_ge(dup2(leak, 700), 0);
  ck_assert_int_ge(dup2(leak, 5), 0);
  setenv("AWS_SECRET_ACCESS_KEY", "very secret", 1);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGUSR1, SIG_IGN);
  sigfillset(&mask);
  sigprocmask(SIG_SETMASK, &mask, NULL);

  start(".report", false);
  report = read_report();
  ck_assert_msg(count(report, "variable ") == 0, "%s", report);
  ck_assert_msg(count(report, "argument ") == 0, "%s", report);
  ck_assert_msg(count(report, "fd ") == 4, "%s", report);
  ck_assert_ptr_nonnull(strstr(report, "fd 0 /dev/null\n"));
  ck_assert_ptr_nonnull(strstr(report, "fd 1 /dev/null\n"));
  ck_assert_ptr_nonnull(strstr(report, "fd 3 socket\n"));
  ck_assert_ptr_nonnull(strstr(report, "SigBlk:\t0000000000000000\n"));
  ck_assert_msg(ignored_signals(report) == 0, "%s", report);
  ck_assert_ptr_nonnull(strstr(report, "leader 1 1\n"));
  wait_for_end();
  spawn_close(&child);

  /* And the broker's own signals are as they were. */
  sigprocmask(SIG_SETMASK, NULL, &mask);
  ck_assert_int_eq(sigismember(&mask, SIGTERM), 1);
}
END_TEST

START_TEST(test_only_what_is_asked_for_is_an_argument) {
  start(".report", true);
  ck_assert_ptr_nonnull(strstr(read_report(), "argument --unlocked\n"));
  wait_for_end();
  spawn_close(&child);
}
END_TEST

START_TEST(test_no_core_file_from_the_first_moment_on) {
  struct rlimit before, cores;
  char proc[64], limits[4096];
  ssize_t n;
  int fd;

  ck_assert_int_eq(getrlimit(RLIMIT_CORE, &before), 0);
  cores = (struct rlimit){before.rlim_max, before.rlim_max};
  setrlimit(RLIMIT_CORE, &cores); /* a broker that may */
  start(".silent", false);
  setrlimit(RLIMIT_CORE, &before);
  snprintf(proc, sizeof(proc), "/proc/%d/limits", (int)child.pid);
  fd = open(proc, O_RDONLY | O_CLOEXEC);
  n = read(fd, limits, sizeof(limits) - 1);
  close(fd);
  ck_assert_int_gt(n, 0);
  limits[n] = '\0';
  ck_assert_msg(strstr(limits, "Max core file size        0                    0 ") != NULL, "%s", limits);
  spawn_signal(&child, SIGKILL);
  wait_for_end();
  spawn_close(&child);
}
END_TEST

START_TEST(test_standard_descriptors_closed_in_the_broker) {
  char *report;
  int saved = fcntl(2, F_DUPFD_CLOEXEC, 100);

  close(0);
  close(1);
  close(2);
  start(".report", false);
  dup2(saved, 2);
  report = read_report();
  ck_assert_msg(strstr(report, "fd 0 /dev/null\nfd 1 /dev/null\n") != NULL, "%s", report);
  ck_assert_msg(strstr(report, "fd 3 socket\n") != NULL, "%s", report);
  wait_for_end();
  spawn_close(&child);
}
END_TEST

START_TEST(test_descriptors_at_the_parent) {
  struct {
    int fd;
    bool non_blocking;
  } ours[4];

  start(".silent", false);
  ours[0].fd = child.socket, ours[0].non_blocking = true;
  ours[1].fd = child.pidfd, ours[1].non_blocking = false;
  ours[2].fd = child.statm_fd, ours[2].non_blocking = false;
  ours[3].fd = child.stderr_fd, ours[3].non_blocking = true;
  for (int i = 0; i < 4; i++) {
    if (i == 3 && ours[i].fd < 0) /* sanitizer builds */
      continue;
    ck_assert_msg(fcntl(ours[i].fd, F_GETFD) & FD_CLOEXEC, "descriptor %d of the child", i);
    if (ours[i].non_blocking) ck_assert(fcntl(ours[i].fd, F_GETFL) & O_NONBLOCK);
  }
  spawn_signal(&child, SIGKILL);
  wait_for_end();
  spawn_close(&child);
  ck_assert_int_eq(child.socket, -1);
  ck_assert_int_eq(fcntl(ours[0].fd, F_GETFD), -1);
}
END_TEST

START_TEST(test_missing_program) {
  ck_assert_int_eq(spawn_start("/nowhere/at-all", false, 0, &child, error, sizeof(error)), -ENOENT);
  ck_assert_str_eq(error, "running the program: No such file or directory");
}
END_TEST

START_TEST(test_file_that_is_no_program) {
  snprintf(path, sizeof(path), "%s/empty", folder);
  ck_assert_int_eq(close(creat(path, 0755)), 0);
  ck_assert_int_eq(spawn_start(path, false, 0, &child, error, sizeof(error)), -ENOEXEC);
  ck_assert_ptr_nonnull(strstr(error, "running the program: "));
}
END_TEST

static int open_descriptors(void) {
  int open_now = 0;

  for (int fd = 0; fd < 256; fd++)
    open_now += fcntl(fd, F_GETFD) >= 0;
  return open_now;
}

/* Every descriptor in turn is the one that cannot be had. */
START_TEST(test_no_descriptors_left) {
  struct rlimit limit, small;
  int before = open_descriptors();
  bool failed = false, succeeded = false;

  getrlimit(RLIMIT_NOFILE, &limit);
  small = limit;
  for (small.rlim_cur = 4; small.rlim_cur < 40; small.rlim_cur++) {
    setrlimit(RLIMIT_NOFILE, &small);
    if (spawn_start(named(".silent"), false, 0, &child, error, sizeof(error)) == 0) {
      succeeded = true;
      spawn_signal(&child, SIGKILL);
      wait_for_end();
      spawn_close(&child);
    } else {
      failed = true;
      ck_assert_msg(error[0] != '\0', "with %d descriptors", (int)small.rlim_cur);
    }
    ck_assert_int_eq(open_descriptors(), before);
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  ck_assert(failed && succeeded);
}
END_TEST

START_TEST(test_exit_status) {
  struct spawn_end end;

  start(".refused", false);
  end = wait_for_end();
  ck_assert(end.exited);
  ck_assert_int_eq(end.exit_code, 73);
  spawn_close(&child);
}
END_TEST

START_TEST(test_signal_and_reap) {
  struct spawn_end end;

  start(".silent", false);
  ck_assert_int_eq(spawn_reap(&child, &end), -EAGAIN);
  spawn_signal(&child, SIGTERM);
  end = wait_for_end();
  ck_assert(!end.exited);
  ck_assert_int_eq(end.signal, SIGTERM);
  spawn_signal(&child, SIGKILL); /* nobody is hit */
  spawn_close(&child);
  spawn_signal(&child, SIGKILL);
}
END_TEST

START_TEST(test_ignored_sigchld_is_no_matter) {
  signal(SIGCHLD, SIG_IGN);
  start(".refused", false);
  ck_assert_int_eq(wait_for_end().exit_code, 73);
  spawn_close(&child);
}
END_TEST

START_TEST(test_start_up_words_come_back) {
  char text[256];
  ssize_t len;

  start(".refused", false);
  wait_for_end();
  if (child.stderr_fd >= 0) {
    len = read(child.stderr_fd, text, sizeof(text) - 1);
    ck_assert_int_gt(len, 0);
    text[len] = '\0';
    ck_assert_ptr_nonnull(strstr(text, "sandbox: seccomp"));
  }
  spawn_close(&child);
}
END_TEST

START_TEST(test_vital_signs) {
  struct spawn_end end;
  int64_t resident, cpu, later;

  start(".spin", false);
  ck_assert_int_eq(poll(&(struct pollfd){.fd = child.socket, .events = POLLIN}, 1, 20000), 1); /* HELLO */
  resident = spawn_resident_bytes(&child);
  ck_assert_int_gt(resident, 100 * 1024);
  ck_assert_int_lt(resident, 256 * 1024 * 1024);
  cpu = spawn_cpu_ns(&child);
  ck_assert_int_ge(cpu, 0);
  do
    later = spawn_cpu_ns(&child);
  while (later < cpu + 200 * 1000 * 1000);
  spawn_signal(&child, SIGKILL);
  end = wait_for_end();
  ck_assert_int_ge(end.cpu_ns, later - 50 * 1000 * 1000); /* it rounds by ticks */
  ck_assert_int_eq(spawn_resident_bytes(&child), -1);
  spawn_close(&child);
}
END_TEST

START_TEST(test_children_die_with_their_broker) {
  struct pollfd gone;
  int pipe_fds[2], status;
  char byte;
  pid_t broker;

  /* The child keeps this pipe's writing end open as its descriptor 2 and closes it by dying. */
  ck_assert_int_eq(pipe2(pipe_fds, O_CLOEXEC), 0);
  broker = fork();
  ck_assert_int_ge(broker, 0);
  if (broker == 0) {
    if (spawn_start(named(".silent"), false, 0, &child, error, sizeof(error)) < 0) _exit(1);
    if (write(pipe_fds[1], &child.pid, sizeof(child.pid)) < 0) _exit(1);
    for (;;)
      pause();
  }
  close(pipe_fds[1]);
  ck_assert_int_eq(read(pipe_fds[0], &child.pid, sizeof(child.pid)), (ssize_t)sizeof(child.pid));
  gone = (struct pollfd){.fd = pidfd_open(child.pid, 0), .events = POLLIN};
  ck_assert_int_ge(gone.fd, 0);
  kill(broker, SIGKILL);
  ck_assert_int_eq(poll(&gone, 1, 20000), 1);
  ck_assert_int_eq(waitpid(broker, &status, 0), broker);
  ck_assert_int_eq(read(pipe_fds[0], &byte, 1), 0);
  close(gone.fd);
  close(pipe_fds[0]);
}
END_TEST

START_TEST(test_find) {
  char found[SPAWN_PATH_SIZE];

  ck_assert_int_eq(spawn_find(named(""), found, error, sizeof(error)), 0);
  ck_assert_str_eq(found, path);
  ck_assert_int_eq(spawn_find("/nowhere/isoq-executor", found, error, sizeof(error)), -ENOENT);
  ck_assert_ptr_nonnull(strstr(error, "executor_path: cannot run /nowhere/isoq-executor"));
  snprintf(path, sizeof(path), "%s/data", folder);
  ck_assert_int_eq(close(creat(path, 0644)), 0);
  ck_assert_int_eq(spawn_find(path, found, error, sizeof(error)), -EACCES);
}
END_TEST

/* Copies of this program in the places where an installation has them, asked where they see the other one. */
static char *ask_copy(const char *at) {
  static char answer[2 * PATH_MAX];
  char command[3 * PATH_MAX];
  FILE *out;

  snprintf(command, sizeof(command), "mkdir -p %s/%s && cp /proc/%d/exe %s/%s/isoq && %s/%s/isoq --find",
           folder, at, (int)getpid(), folder, at, folder, at);
  out = popen(command, "re");
  ck_assert_ptr_nonnull(out);
  if (fgets(answer, sizeof(answer), out) == NULL) answer[0] = '\0';
  pclose(out);
  return answer;
}

START_TEST(test_find_beside_this_program) {
  char command[PATH_MAX], expected[PATH_MAX];

  ck_assert_ptr_nonnull(strstr(ask_copy("bin"), "no isoq-executor in "));
  snprintf(command, sizeof(command), "mkdir -p %s/libexec/isoq && cp /bin/true %s/libexec/isoq/isoq-executor",
           folder, folder);
  ck_assert_int_eq(system(command), 0);
  snprintf(expected, sizeof(expected), "%s/bin/../libexec/isoq/isoq-executor", folder);
  ck_assert_str_eq(ask_copy("bin"), expected);
  snprintf(command, sizeof(command), "cp /bin/true %s/bin/isoq-executor", folder);
  ck_assert_int_eq(system(command), 0);
  snprintf(expected, sizeof(expected), "%s/bin/isoq-executor", folder);
  ck_assert_str_eq(ask_copy("bin"), expected);
}
END_TEST

int main(int argc, char **argv) {
  Suite *suite;
  TCase *tests;
  SRunner *runner;
  int failed;

  if (argc == 2 && strcmp(argv[1], "--find") == 0) {
    char found[SPAWN_PATH_SIZE];

    fputs(spawn_find("", found, error, sizeof(error)) == 0 ? found : error, stdout);
    return 0;
  }
  suite = suite_create("spawn");
  tests = tcase_create("spawn");
  tcase_add_checked_fixture(tests, set_up, tear_down);
  tcase_set_timeout(tests, 60);
  tcase_add_test(tests, test_child_is_clean);
  tcase_add_test(tests, test_only_what_is_asked_for_is_an_argument);
  tcase_add_test(tests, test_no_core_file_from_the_first_moment_on);
  tcase_add_test(tests, test_standard_descriptors_closed_in_the_broker);
  tcase_add_test(tests, test_descriptors_at_the_parent);
  tcase_add_test(tests, test_missing_program);
  tcase_add_test(tests, test_file_that_is_no_program);
  tcase_add_test(tests, test_no_descriptors_left);
  tcase_add_test(tests, test_exit_status);
  tcase_add_test(tests, test_signal_and_reap);
  tcase_add_test(tests, test_ignored_sigchld_is_no_matter);
  tcase_add_test(tests, test_start_up_words_come_back);
  tcase_add_test(tests, test_vital_signs);
  tcase_add_test(tests, test_children_die_with_their_broker);
  tcase_add_test(tests, test_find);
  tcase_add_test(tests, test_find_beside_this_program);
  suite_add_tcase(suite, tests);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? 0 : 1;
}
