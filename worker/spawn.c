/*
 * fork() and exec, done by hand because each line of the child's set-up is a promise (DESIGN 3.2): no
 * descriptor, no variable and no signal of the broker may reach a process that runs JavaScript.
 *
 * - What fails in the child before exec comes back over a pipe that exec closes, as step and errno (libuv's
 * way); an empty pipe means that the program runs. So a missing program is an error here, not a strange death
 * later.
 * - Signals are blocked across fork(): the loop's handlers write into a socket which the child shares.
 * - A pidfd, not SIGCHLD: no handler, no lost wake-up, and a late kill cannot hit whoever got the pid next.
 * - PR_SET_PDEATHSIG: when the broker is killed its jobs go to other workers, and must not go on running
 * here.
 */
#include "worker/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "worker/wire.h"

#define PROGRAM "isoq-executor"

/* Above every number that the child's set-up hands out itself. */
#define HIGH_FD 16

enum step {
  STEP_DESCRIPTORS,
  STEP_SESSION,
  STEP_CORE,
  STEP_PARENT,
  STEP_EXEC
};

static const char *const step_names[] = {
    [STEP_DESCRIPTORS] = "setting up its descriptors",
    [STEP_SESSION] = "making a session",
    [STEP_CORE] = "forbidding core files",
    [STEP_PARENT] = "tying it to this process",
    [STEP_EXEC] = "running the program",
};

struct failure {
  int step, error;
};

struct plan {
  const char *path;
  char **arguments, **environment;
  int socket, stderr_fd, report; /* the child's ends; stderr_fd -1: our own */
  pid_t parent;
};

/* ---- where the program is ---- */

static int program_usable(const char *path) {
  return access(path, X_OK) == 0 ? 0 : -errno;
}

int spawn_find(const char *configured, char path[SPAWN_PATH_SIZE], char *error, size_t error_size) {
  static const char *const places[] = {"/" PROGRAM, "/../libexec/isoq/" PROGRAM};
  char self[SPAWN_PATH_SIZE - 64];
  ssize_t len;
  int r;

  if (configured != NULL && *configured != '\0') {
    if (strlen(configured) >= SPAWN_PATH_SIZE) return -ENAMETOOLONG;
    r = program_usable(configured);
    if (r < 0) {
      snprintf(error, error_size, "executor_path: cannot run %s: %s", configured, strerror(-r));
      return r == -EACCES ? r : -ENOENT;
    }
    strcpy(path, configured);
    return 0;
  }

  len = readlink("/proc/self/exe", self, sizeof(self) - 1);
  if (len < 0) {
    snprintf(error, error_size, "cannot read /proc/self/exe: %s; set executor_path", strerror(errno));
    return -ENOENT;
  }
  self[len] = '\0';
  *strrchr(self, '/') = '\0';
  for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
    snprintf(path, SPAWN_PATH_SIZE, "%s%s", self, places[i]);
    if (program_usable(path) == 0) return 0;
  }
  snprintf(error, error_size, "no " PROGRAM " in %s or %s/../libexec/isoq; set executor_path", self, self);
  return -ENOENT;
}

/* ---- the child, between fork and exec: async-signal-safe calls only ---- */

static _Noreturn void child_fail(const struct plan *plan, enum step step, int error) {
  struct failure failure = {.step = (int)step, .error = error};
  ssize_t written;

  do
    written = write(plan->report, &failure, sizeof(failure));
  while (written < 0 && errno == EINTR);
  _exit(127);
}

static void child_reset_signals(void) {
  struct sigaction standard = {.sa_handler = SIG_DFL};
  sigset_t none;

  /* Ignored signals survive exec; the C library's own two refuse, which is as it should be. */
  for (int number = 1; number < _NSIG; number++)
    sigaction(number, &standard, NULL);
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Not closed but marked: the report pipe must still work until exec does. */
static void child_close_the_rest(void) {
  struct rlimit limit = {.rlim_cur = 1024};

  if (close_range(SPAWN_SOCKET_FD + 1, ~0u, CLOSE_RANGE_CLOEXEC) == 0) return;
  /* An old kernel, or a container whose seccomp filter does not know the call. */
  getrlimit(RLIMIT_NOFILE, &limit);
  for (int fd = SPAWN_SOCKET_FD + 1; fd < 65536 && (rlim_t)fd < limit.rlim_cur; fd++)
    fcntl(fd, F_SETFD, FD_CLOEXEC);
}

static int child_place_descriptors(struct plan *plan) {
  int null;

  /* Out of the way first: any of them may sit on a number that is about to be filled. */
  plan->report = fcntl(plan->report, F_DUPFD_CLOEXEC, HIGH_FD);
  plan->socket = fcntl(plan->socket, F_DUPFD_CLOEXEC, HIGH_FD);
  if (plan->report < 0 || plan->socket < 0) return -errno;
  if (plan->stderr_fd >= 0) {
    plan->stderr_fd = fcntl(plan->stderr_fd, F_DUPFD_CLOEXEC, HIGH_FD);
    if (plan->stderr_fd < 0 || dup2(plan->stderr_fd, STDERR_FILENO) < 0) return -errno;
  }
  null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) return -errno;
  if (dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0) return -errno;
  if (dup2(plan->socket, SPAWN_SOCKET_FD) < 0) return -errno;
  child_close_the_rest();
  return 0;
}

static _Noreturn void child_run(struct plan *plan) {
  int r;

  child_reset_signals();
  r = child_place_descriptors(plan);
  if (r < 0) child_fail(plan, STEP_DESCRIPTORS, -r);
  if (setsid() < 0) child_fail(plan, STEP_SESSION, errno);
  /* It will forbid them itself, but it may be killed before it has come to that. */
  if (setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}) < 0) child_fail(plan, STEP_CORE, errno);
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) child_fail(plan, STEP_PARENT, errno);
  if (getppid() != plan->parent) /* it died before the line above */
    child_fail(plan, STEP_PARENT, ESRCH);
  execve(plan->path, plan->arguments, plan->environment);
  child_fail(plan, STEP_EXEC, errno);
}

/* ---- the parent ---- */

static void close_if_open(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

/* Nothing of ours, but for the sanitizers' own options in a build that has them. */
static void fill_environment(char *environment[4]) {
  size_t count = 0;

#ifdef ISOQ_SANITIZE
  static const char *const names[] = {"ASAN_OPTIONS=", "UBSAN_OPTIONS=", "LSAN_OPTIONS="};

  for (char **variable = environ; variable != NULL && *variable != NULL; variable++)
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && count < 3; i++)
      if (strncmp(*variable, names[i], strlen(names[i])) == 0) environment[count++] = *variable;
#endif
  environment[count] = NULL;
}

/* Waits for exec or a failure. 0: the program runs. */
static int read_report(int fd, char *error, size_t error_size) {
  struct failure failure;
  ssize_t got;

  do
    got = read(fd, &failure, sizeof(failure));
  while (got < 0 && errno == EINTR);
  if (got == 0) return 0;
  if (got != (ssize_t)sizeof(failure) || failure.step < 0 || failure.step > STEP_EXEC || failure.error <= 0) {
    snprintf(error, error_size, "the child's report is unreadable");
    return -EIO;
  }
  snprintf(error, error_size, "%s: %s", step_names[failure.step], strerror(failure.error));
  return -failure.error;
}

static pid_t fork_blocked(struct plan *plan) {
  struct sigaction action;
  sigset_t all, before;
  pid_t pid;
  int saved;

  /* An ignored SIGCHLD (inherited from a careless parent) would reap children behind our back. */
  if (sigaction(SIGCHLD, NULL, &action) == 0 && action.sa_handler == SIG_IGN) signal(SIGCHLD, SIG_DFL);
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &before);
  pid = fork();
  if (pid == 0) child_run(plan);
  saved = errno;
  sigprocmask(SIG_SETMASK, &before, NULL);
  errno = saved;
  return pid;
}

static int fail(char *error, size_t error_size, const char *what) {
  int r = -errno;

  snprintf(error, error_size, "%s: %s", what, strerror(-r));
  return r;
}

static int open_channels(struct spawn_child *child, int sockets[2], int report[2], int said[2], char *error,
                         size_t error_size) {
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0)
    return fail(error, error_size, "socketpair");
  child->socket = sockets[0];
  if (fcntl(child->socket, F_SETFL, O_NONBLOCK) < 0) return fail(error, error_size, "fcntl");
  if (pipe2(report, O_CLOEXEC) < 0) return fail(error, error_size, "pipe");
#ifndef ISOQ_SANITIZE
  if (pipe2(said, O_CLOEXEC) < 0) return fail(error, error_size, "pipe");
  child->stderr_fd = said[0];
  if (fcntl(child->stderr_fd, F_SETFL, O_NONBLOCK) < 0) return fail(error, error_size, "fcntl");
#else
  (void)said;
#endif
  return 0;
}

/* When the machine runs out of memory, an executor is to go before its broker. Best effort, and from here:
 * before exec the child is as undumpable as the broker, so that its files in /proc are not its own. */
static void volunteer_for_oom(pid_t pid) {
  char path[64];
  int fd;

  snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", (int)pid);
  fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  if (write(fd, "500", 3) < 0) errno = 0;
  close(fd);
}

/* Ends a child that got no further than its own set-up. */
static void put_down(struct spawn_child *child) {
  if (child->pidfd >= 0)
    spawn_signal(child, SIGKILL);
  else
    kill(child->pid, SIGKILL); /* ours and not reaped, so the pid is not reused */
  while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
    ;
}

int spawn_start(const char *path, bool unlocked, uint32_t rewind_mb, struct spawn_child *out, char *error,
                size_t error_size) {
  struct spawn_child child = {.pid = -1, .pidfd = -1, .socket = -1, .stderr_fd = -1, .statm_fd = -1};
  int sockets[2] = {-1, -1}, report[2] = {-1, -1}, said[2] = {-1, -1};
  char *arguments[4] = {(char *)path}, *environment[4];
  char statm[64], rewind[32];
  size_t count = 1;
  struct plan plan;
  int r;

  r = open_channels(&child, sockets, report, said, error, error_size);
  if (r < 0) goto out;
  fill_environment(environment);
  snprintf(rewind, sizeof(rewind), "--rewind=%u", rewind_mb);
  if (unlocked) arguments[count++] = "--unlocked";
  if (rewind_mb > 0) arguments[count++] = rewind;
  plan = (struct plan){.path = path,
                       .arguments = arguments,
                       .environment = environment,
                       .socket = sockets[1],
                       .stderr_fd = said[1],
                       .report = report[1],
                       .parent = getpid()};
  child.pid = fork_blocked(&plan);
  if (child.pid < 0) {
    r = fail(error, error_size, "fork");
    goto out;
  }
  close_if_open(&report[1]);
  child.pidfd = pidfd_open(child.pid, 0);
  if (child.pidfd < 0) {
    r = fail(error, error_size, "pidfd_open");
    put_down(&child);
    goto out;
  }
  r = read_report(report[0], error, error_size);
  if (r < 0) {
    put_down(&child);
    goto out;
  }
  volunteer_for_oom(child.pid);
  snprintf(statm, sizeof(statm), "/proc/%d/statm", (int)child.pid);
  child.statm_fd = open(statm, O_RDONLY | O_CLOEXEC);
  *out = child;

out:
  close_if_open(&sockets[1]);
  close_if_open(&report[0]);
  close_if_open(&report[1]);
  close_if_open(&said[1]);
  if (r < 0) spawn_close(&child);
  return r;
}

void spawn_signal(const struct spawn_child *child, int signal) {
  if (child->pidfd >= 0) pidfd_send_signal(child->pidfd, signal, NULL, 0);
}

static void send_value(const struct spawn_child *child, int signal, union sigval value) {
  siginfo_t info = {.si_signo = signal, .si_code = SI_QUEUE};

  info.si_pid = getpid();
  info.si_uid = getuid();
  info.si_value = value;
  if (child->pidfd >= 0) pidfd_send_signal(child->pidfd, signal, &info, 0);
}

void spawn_cancel(const struct spawn_child *child, uint32_t job) {
  send_value(child, SIGUSR1, (union sigval){.sival_int = (int)job});
}

void spawn_take_back(const struct spawn_child *child, uint32_t after, uint32_t up_to) {
  const struct wire_returned range = {.after = after, .up_to = up_to};

  send_value(child, SIGUSR2, (union sigval){.sival_ptr = wire_range_value(range)});
}

int spawn_reap(const struct spawn_child *child, struct spawn_end *out) {
  struct rusage used = {0};
  siginfo_t info = {0};

  /* The system call itself: the C library's waitid() leaves out what the child used. */
  while (syscall(SYS_waitid, P_PIDFD, (id_t)child->pidfd, &info, WEXITED | WNOHANG, &used) < 0)
    if (errno != EINTR) return -errno;
  if (info.si_pid == 0) return -EAGAIN;
  *out = (struct spawn_end){.exited = info.si_code == CLD_EXITED};
  if (out->exited)
    out->exit_code = info.si_status;
  else
    out->signal = info.si_status;
  out->core_dumped = info.si_code == CLD_DUMPED;
  out->cpu_ns = ((int64_t)used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000000 +
                ((int64_t)used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1000;
  return 0;
}

void spawn_close(struct spawn_child *child) {
  close_if_open(&child->pidfd);
  close_if_open(&child->socket);
  close_if_open(&child->stderr_fd);
  close_if_open(&child->statm_fd);
}

/* ---- vital signs ---- */

int64_t spawn_resident_bytes(const struct spawn_child *child) {
  char text[128];
  long long pages;
  ssize_t len;

  len = pread(child->statm_fd, text, sizeof(text) - 1, 0);
  if (len <= 0) return -1;
  text[len] = '\0';
  if (sscanf(text, "%*d %lld", &pages) != 1 || pages < 0) return -1;
  return pages * sysconf(_SC_PAGESIZE);
}

int64_t spawn_cpu_ns(const struct spawn_child *child) {
  struct timespec used;
  clockid_t clock;

  /* What clock_getcpuclockid() makes of a pid, without its system call to check it: the next one does that as well. */
  clock = (clockid_t)(~(unsigned)child->pid << 3 | 2);
  if (child->pid <= 0 || clock_gettime(clock, &used) < 0) return -1;
  return (int64_t)used.tv_sec * 1000000000 + used.tv_nsec;
}
