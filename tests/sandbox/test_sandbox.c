/*
 * The lock-down by itself, in a process of the test: which calls end it, which work, and what /proc says
 * about it. Each check forks a child that enters the sandbox and then tries one thing. The same inside a
 * whole executor, with V8 in it, is test_executor.c's subject.
 *
 * Every denied call runs twice: as the user of the test, and as nobody, if the test is run by root.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/sandbox.h"

#ifdef ISOQ_SANITIZE
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

#define NOBODY 65534

/* What a child exits with, besides what its check returns. */
enum {
  CALL_RETURNED = 40,
  NOT_LOCKED = 41
};

static int file_fd; /* a regular file, open when the sandbox is entered */
static int pipe_fd[2];
static pid_t parent;

/* ---- calls that must end the process ---- */

static void try_open(void) {
  open("/etc/passwd", O_RDONLY);
}
static void try_openat(void) {
  syscall(SYS_openat, AT_FDCWD, "/", O_RDONLY | O_DIRECTORY);
}
static void try_openat2(void) {
  syscall(SYS_openat2, AT_FDCWD, "/", NULL, 0);
}
static void try_stat(void) {
  syscall(SYS_statx, AT_FDCWD, "/", 0, 0, NULL);
}
static void try_unlink(void) {
  unlink("/nothing");
}
static void try_chdir(void) {
  syscall(SYS_chdir, "/");
}
static void try_chroot(void) {
  syscall(SYS_chroot, "/");
}
static void try_dup(void) {
  syscall(SYS_dup, 0);
}
static void try_socket(void) {
  socket(AF_INET, SOCK_STREAM, 0);
}
static void try_unix_socketpair(void) {
  int fds[2];
  socketpair(AF_UNIX, SOCK_STREAM, 0, fds);
}
static void try_recvmsg(void) {
  struct msghdr message = {0};
  recvmsg(0, &message, 0);
}
static void try_sendmsg(void) {
  struct msghdr message = {0};
  sendmsg(0, &message, 0);
}
static void try_pipe(void) {
  int fds[2];
  syscall(SYS_pipe2, fds, 0);
}
static void try_fork(void) {
  fork();
}
static void try_clone_thread(void) {
  syscall(SYS_clone, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD, NULL, NULL, NULL,
          NULL);
}
static void try_clone3(void) {
  syscall(SYS_clone3, NULL, 0);
}
static void try_execve(void) {
  char *none[] = {NULL};
  execve("/bin/true", none, none);
}
static void try_execveat(void) {
  syscall(SYS_execveat, file_fd, "", NULL, NULL, AT_EMPTY_PATH);
}
static void try_ptrace_traceme(void) {
  syscall(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0);
}
static void try_ptrace_attach(void) {
  syscall(SYS_ptrace, PTRACE_ATTACH, parent, 0, 0);
}
static void try_process_vm_readv(void) {
  syscall(SYS_process_vm_readv, parent, NULL, 0, NULL, 0, 0);
}
static void try_kill_other(void) {
  kill(parent, 0);
}
static void try_kill_self(void) {
  kill(getpid(), 0);
}
static void try_kill_group(void) {
  kill(0, 0);
}
static void try_tgkill_other(void) {
  syscall(SYS_tgkill, parent, parent, 0);
}
static void try_tkill(void) {
  syscall(SYS_tkill, parent, 0);
}
static void try_sigqueue(void) {
  sigqueue(parent, 0, (union sigval){0});
}
static void try_pidfd_open(void) {
  syscall(SYS_pidfd_open, parent, 0);
}
static void try_mount(void) {
  mount("none", "/", "tmpfs", 0, NULL);
}
static void try_umount(void) {
  umount2("/", MNT_DETACH);
}
static void try_unshare(void) {
  unshare(CLONE_NEWUSER);
}
static void try_setns(void) {
  setns(0, 0);
}
static void try_setuid(void) {
  syscall(SYS_setuid, 0);
}
static void try_capset(void) {
  syscall(SYS_capset, NULL, NULL);
}
static void try_keyctl(void) {
  syscall(SYS_keyctl, 0, 0, 0, 0, 0);
}
static void try_add_key(void) {
  syscall(SYS_add_key, NULL, NULL, NULL, 0, 0);
}
static void try_bpf(void) {
  syscall(SYS_bpf, 0, NULL, 0);
}
static void try_io_uring(void) {
  syscall(SYS_io_uring_setup, 1, NULL);
}
static void try_perf_event(void) {
  syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0);
}
static void try_userfaultfd(void) {
  syscall(SYS_userfaultfd, 0);
}
static void try_seccomp(void) {
  syscall(SYS_seccomp, 0, 0, NULL);
}
static void try_prctl_seccomp(void) {
  prctl(PR_GET_SECCOMP);
}
static void try_prctl_dumpable(void) {
  prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}
static void try_prlimit(void) {
  struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
  setrlimit(RLIMIT_NOFILE, &limit);
}
static void try_memfd(void) {
  syscall(SYS_memfd_create, "x", 0);
}
static void try_shmget(void) {
  syscall(SYS_shmget, 0, 4096, 0600);
}
static void try_mmap_shared(void) {
  mmap(NULL, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}
static void try_mmap_file(void) {
  mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, file_fd, 0);
}
static void try_mmap_file_exec(void) {
  mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, file_fd, 0);
}
static void try_pkey_mprotect(void) {
  syscall(SYS_pkey_mprotect, NULL, 0, 0, -1);
}
static void try_process_madvise(void) {
  syscall(SYS_process_madvise, -1, NULL, 0, 0, 0);
}
static void try_madvise_ksm(void) {
  static char page[4096];
  madvise(page, sizeof(page), MADV_MERGEABLE);
}
static void try_futex_pi(void) {
  static uint32_t word;
  syscall(SYS_futex, &word, FUTEX_LOCK_PI, 0, NULL, NULL, 0);
}
static void try_timer_create(void) {
  timer_t timer;
  timer_create(CLOCK_MONOTONIC, NULL, &timer);
}
static void try_close_socket(void) {
  close(3);
}
static void try_fcntl(void) {
  fcntl(0, F_GETFD);
}
static void try_getdents(void) {
  syscall(SYS_getdents64, file_fd, NULL, 0);
}
static void try_settimeofday(void) {
  syscall(SYS_settimeofday, NULL, NULL);
}
static void try_sched_setscheduler(void) {
  syscall(SYS_sched_setscheduler, 0, 0, NULL);
}
static void try_personality(void) {
  syscall(SYS_personality, 0xffffffff);
}
static void try_reboot(void) {
  syscall(SYS_reboot, 0, 0, 0, NULL);
}
static void try_kernel_module(void) {
  syscall(SYS_finit_module, -1, "", 0);
}
static void try_no_such_call(void) {
  syscall(100000);
}
#ifdef __x86_64__
/* The x32 variant of getpid(), which is allowed in its 64-bit form. */
static void try_x32(void) {
  syscall(0x40000000 | SYS_getpid);
}
static void try_modify_ldt(void) {
  syscall(SYS_modify_ldt, 0, NULL, 0);
}
static void try_set_fs_base(void) {
  syscall(SYS_arch_prctl, 0x1002, 0);
}
#endif

static const struct {
  const char *name;
  void (*call)(void);
} denied[] = {
#define DENIED(name)                                                                                         \
  { #name, try_##name }
    DENIED(open),
    DENIED(openat),
    DENIED(openat2),
    DENIED(stat),
    DENIED(unlink),
    DENIED(chdir),
    DENIED(chroot),
    DENIED(dup),
    DENIED(socket),
    DENIED(recvmsg),
    DENIED(unix_socketpair),
    DENIED(sendmsg),
    DENIED(pipe),
    DENIED(fork),
    DENIED(clone_thread),
    DENIED(clone3),
    DENIED(execve),
    DENIED(execveat),
    DENIED(ptrace_traceme),
    DENIED(ptrace_attach),
    DENIED(kill_other),
    DENIED(kill_self),
    DENIED(process_vm_readv),
    DENIED(kill_group),
    DENIED(tgkill_other),
    DENIED(tkill),
    DENIED(sigqueue),
    DENIED(pidfd_open),
    DENIED(mount),
    DENIED(umount),
    DENIED(unshare),
    DENIED(setns),
    DENIED(setuid),
    DENIED(capset),
    DENIED(keyctl),
    DENIED(add_key),
    DENIED(bpf),
    DENIED(io_uring),
    DENIED(perf_event),
    DENIED(userfaultfd),
    DENIED(seccomp),
    DENIED(prctl_seccomp),
    DENIED(prctl_dumpable),
    DENIED(prlimit),
    DENIED(memfd),
    DENIED(shmget),
    DENIED(mmap_shared),
    DENIED(mmap_file),
    DENIED(mmap_file_exec),
    DENIED(pkey_mprotect),
    DENIED(process_madvise),
    DENIED(madvise_ksm),
    DENIED(futex_pi),
    DENIED(timer_create),
    DENIED(close_socket),
    DENIED(fcntl),
    DENIED(getdents),
    DENIED(settimeofday),
    DENIED(sched_setscheduler),
    DENIED(personality),
    DENIED(reboot),
    DENIED(kernel_module),
    DENIED(no_such_call),
#ifdef __x86_64__
    DENIED(x32),
    DENIED(modify_ldt),
    DENIED(set_fs_base),
#endif
#undef DENIED
};
#define DENIED_COUNT ((int)(sizeof(denied) / sizeof(denied[0])))

/* ---- calls that must work ---- */

static bool use_memory(void) {
  char *large = malloc(64 << 20);
  void *code = mmap(NULL, 1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

  if (large == NULL || code == MAP_FAILED) return false;
  memset(large, 1, 64 << 20);
  large = realloc(large, 128 << 20);
  free(large);
  return mprotect(code, 4096, PROT_READ | PROT_WRITE) == 0 &&
         mprotect(code, 4096, PROT_READ | PROT_EXEC) == 0 &&
         mmap(code, 4096, PROT_NONE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == code &&
         madvise(code, 1 << 20, MADV_DONTNEED) == 0 && madvise(code, 1 << 20, MADV_FREE) <= 0 &&
         munmap(code, 1 << 20) == 0;
}

static bool use_clocks(void) {
  struct timespec time, nap = {0, 1000000};
  struct rusage usage;

  return clock_gettime(CLOCK_MONOTONIC, &time) == 0 && clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) == 0 &&
         syscall(SYS_clock_gettime, CLOCK_REALTIME, &time) == 0 && nanosleep(&nap, NULL) == 0 &&
         getrusage(RUSAGE_SELF, &usage) == 0;
}

static bool use_random(void) {
  char bytes[16];

  return syscall(SYS_getrandom, bytes, sizeof(bytes), 0) == (long)sizeof(bytes);
}

static bool use_futex(void) {
  static uint32_t word;
  const struct timespec nap = {0, 1000000};

  return syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &nap) == -1 && errno == ETIMEDOUT &&
         syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1) == 0;
}

static volatile sig_atomic_t handled;

static void count_signal(int signal) {
  (void)signal;
  handled++;
}

static bool use_signals(void) {
  struct sigaction action = {.sa_handler = count_signal};

  return sigaction(SIGUSR2, &action, NULL) == 0 && raise(SIGUSR2) == 0 && handled == 1;
}

static bool use_descriptors(void) {
  char byte = 'x';
  struct iovec iov = {&byte, 1};

  return write(pipe_fd[1], &byte, 1) == 1 && writev(pipe_fd[1], &iov, 1) == 1 &&
         read(pipe_fd[0], &byte, 1) == 1 && close(0) == 0;
}

static bool meet_refusals(void) {
  struct stat status;

  return prctl(PR_SET_VMA, 0, 0, 0, 0) == -1 && errno == EINVAL && syscall(SYS_fstat, 1, &status) == -1 &&
         errno == EBADF && syscall(SYS_pkey_alloc, 0, 0) == -1 && errno == ENOSYS;
}

static const struct {
  const char *name;
  bool (*check)(void);
} allowed[] = {
    {"memory", use_memory},      {"clocks", use_clocks},   {"random", use_random},
    {"futex", use_futex},        {"signals", use_signals}, {"descriptors", use_descriptors},
    {"refusals", meet_refusals},
};
#define ALLOWED_COUNT ((int)(sizeof(allowed) / sizeof(allowed[0])))

/* ---- running them ---- */

static void become_nobody(void) {
  if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
      setresuid(NOBODY, NOBODY, NOBODY) < 0)
    _exit(NOT_LOCKED);
}

static void enter_with(bool lenient, struct sandbox_report *report) {
  const struct sandbox_options options = {.highest_fd = 16, .statm_fd = -1, .lenient = lenient};
  char error[256];

  if (sandbox_enter(&options, report, error, sizeof(error)) < 0) {
    fprintf(stderr, "%s\n", error);
    _exit(NOT_LOCKED);
  }
}

static int wait_for(pid_t child) {
  int status;

  while (waitpid(child, &status, 0) < 0)
    ck_assert_int_eq(errno, EINTR);
  return status;
}

static void enter(struct sandbox_report *report) {
  enter_with(false, report);
}

/* The wait status of a child that enters the sandbox and makes the call. */
static int status_of_denied(int i, bool nobody) {
  pid_t child = fork();
  struct sandbox_report report;

  ck_assert_int_ge(child, 0);
  if (child == 0) {
    if (nobody) become_nobody();
    enter(&report);
    denied[i].call();
    _exit(CALL_RETURNED);
  }
  return wait_for(child);
}

static void set_up(void) {
  parent = getpid();
  file_fd = open("/proc/self/exe", O_RDONLY);
  ck_assert_int_ge(file_fd, 0);
  ck_assert_int_eq(pipe(pipe_fd), 0);
}

static void tear_down(void) {
  close(file_fd);
  close(pipe_fd[0]);
  close(pipe_fd[1]);
}

static void assert_killed(int i, int status) {
  ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, "%s: wait status %#x, not SIGSYS",
                denied[i].name, (unsigned)status);
}

START_TEST(a_denied_call_ends_the_process) {
  assert_killed(_i, status_of_denied(_i, false));
}
END_TEST

START_TEST(a_denied_call_ends_an_ordinary_users_process) {
  if (geteuid() != 0) return;
  assert_killed(_i, status_of_denied(_i, true));
}
END_TEST

START_TEST(an_allowed_call_works) {
  for (int nobody = 0; nobody <= (geteuid() == 0); nobody++) {
    pid_t child = fork();
    struct sandbox_report report;
    int status;

    ck_assert_int_ge(child, 0);
    if (child == 0) {
      if (nobody) become_nobody();
      /* The sanitizer's malloc() makes calls which the strict filter does not know. */
      enter_with(SANITIZED, &report);
      _exit(allowed[_i].check() ? 0 : 1);
    }
    status = wait_for(child);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: wait status %#x", allowed[_i].name,
                  (unsigned)status);
  }
}
END_TEST

#ifdef __x86_64__
/* The 32-bit entry of the kernel numbers its calls differently: 20 is getpid() there, writev() here. */
START_TEST(a_32_bit_call_ends_the_process) {
  pid_t child = fork();
  struct sandbox_report report;
  int status;

  if (child == 0) {
    long result;

    enter(&report);
    __asm__ volatile("int $0x80" : "=a"(result) : "0"(20L) : "memory");
    _exit(CALL_RETURNED);
  }
  status = wait_for(child);
  /* A kernel without 32-bit programs answers by SIGSEGV. */
  ck_assert(WIFSIGNALED(status) && (WTERMSIG(status) == SIGSYS || WTERMSIG(status) == SIGSEGV));
}
END_TEST
#endif

/* The broker reads the cause of a death from the signal: the sandbox must not hide it. */
START_TEST(abort_is_seen_as_sigabrt) {
  pid_t child = fork();
  struct sandbox_report report;
  int status;

  if (child == 0) {
    enter(&report);
    abort();
  }
  status = wait_for(child);
  ck_assert(WIFSIGNALED(status));
  ck_assert_int_eq(WTERMSIG(status), SIGABRT);
}
END_TEST

START_TEST(a_lenient_filter_answers_eperm) {
  pid_t child = fork();
  struct sandbox_report report;
  int status;

  if (child == 0) {
    enter_with(true, &report);
    _exit(open("/etc/passwd", O_RDONLY) == -1 && errno == EPERM && strstr(report.text, "lenient") != NULL
              ? 0
              : 1);
  }
  status = wait_for(child);
  ck_assert(WIFEXITED(status));
  ck_assert_int_eq(WEXITSTATUS(status), 0);
}
END_TEST

static void *sleep_for_ever(void *unused) {
  pause();
  return unused;
}

START_TEST(a_second_thread_is_refused) {
  pid_t child = fork();
  int status;

  if (child == 0) {
    const struct sandbox_options options = {.highest_fd = 16, .statm_fd = -1, .lenient = false};
    struct sandbox_report report;
    char error[256] = "";
    pthread_t thread;

    if (pthread_create(&thread, NULL, sleep_for_ever, NULL) != 0) _exit(NOT_LOCKED);
    _exit(sandbox_enter(&options, &report, error, sizeof(error)) == -EBUSY &&
                  strstr(error, "one thread") != NULL
              ? 0
              : 1);
  }
  status = wait_for(child);
  ck_assert(WIFEXITED(status));
  ck_assert_int_eq(WEXITSTATUS(status), 0);
}
END_TEST

START_TEST(without_seccomp_the_error_names_the_step) {
  pid_t child = fork();
  int status;

  if (child == 0) {
    const struct sandbox_options options = {.highest_fd = 16, .statm_fd = -1, .lenient = false};
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    struct sandbox_report report;
    char error[256] = "";

    /* A machine whose kernel or container does not let a process filter its calls. */
    seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(seccomp), 0);
    seccomp_rule_add(filter, SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(prctl), 1,
                     SCMP_A0(SCMP_CMP_EQ, PR_SET_SECCOMP));
    if (seccomp_load(filter) < 0) _exit(NOT_LOCKED);
    if (sandbox_enter(&options, &report, error, sizeof(error)) == 0) _exit(1);
    _exit(strstr(error, "seccomp filter") != NULL && !report.seccomp ? 0 : 2);
  }
  status = wait_for(child);
  ck_assert(WIFEXITED(status));
  ck_assert_int_eq(WEXITSTATUS(status), 0);
}
END_TEST

/* ---- what others see of a locked process ---- */

struct locked {
  pid_t pid;
  struct sandbox_report report;
};

static struct locked start_locked(bool nobody) {
  struct locked locked = {.pid = fork()};

  ck_assert_int_ge(locked.pid, 0);
  if (locked.pid == 0) {
    if (nobody) become_nobody();
    enter(&locked.report);
    if (write(pipe_fd[1], &locked.report, sizeof(locked.report)) != sizeof(locked.report)) _exit(1);
    for (;;)
      nanosleep(&(struct timespec){1, 0}, NULL);
  }
  ck_assert_int_eq(read(pipe_fd[0], &locked.report, sizeof(locked.report)), (ssize_t)sizeof(locked.report));
  return locked;
}

static void stop_locked(const struct locked *locked) {
  kill(locked->pid, SIGKILL);
  wait_for(locked->pid);
}

/* The rest of the line of /proc/<pid>/<file> that starts with `key`, blanks skipped. */
static void proc_line(pid_t pid, const char *file, const char *key, char *out, size_t size) {
  char path[64], line[256];
  FILE *stream;

  snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
  stream = fopen(path, "r");
  ck_assert_msg(stream != NULL, "%s: %s", path, strerror(errno));
  out[0] = '\0';
  while (fgets(line, sizeof(line), stream) != NULL) {
    if (strncmp(line, key, strlen(key)) != 0) continue;
    line[strcspn(line, "\n")] = '\0';
    snprintf(out, size, "%s", line + strlen(key) + strspn(line + strlen(key), "\t :"));
    break;
  }
  fclose(stream);
}

static bool reports(const struct locked *locked, const char *name) {
  char list[300], wanted[40];

  snprintf(list, sizeof(list), ",%s,", locked->report.text);
  snprintf(wanted, sizeof(wanted), ",%s,", name);
  return strstr(list, wanted) != NULL;
}

START_TEST(proc_shows_no_rights) {
  static const char *const sets[] = {"CapInh", "CapPrm", "CapEff", "CapAmb"};

  for (int nobody = 0; nobody <= (geteuid() == 0); nobody++) {
    struct locked locked = start_locked(nobody != 0);
    char value[128];

    proc_line(locked.pid, "status", "Seccomp:", value, sizeof(value));
    ck_assert_str_eq(value, "2");
    proc_line(locked.pid, "status", "NoNewPrivs", value, sizeof(value));
    ck_assert_str_eq(value, "1");
    for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
      proc_line(locked.pid, "status", sets[i], value, sizeof(value));
      ck_assert_str_eq(value, "0000000000000000");
    }
    if (geteuid() == 0) {
      proc_line(locked.pid, "status", "Uid", value, sizeof(value));
      ck_assert_str_eq(value, "65534\t65534\t65534\t65534");
      proc_line(locked.pid, "status", "Groups", value, sizeof(value));
      ck_assert_int_eq((int)strspn(value, " "), (int)strlen(value));
    }
    if (geteuid() == 0 && !nobody) {
      proc_line(locked.pid, "status", "CapBnd", value, sizeof(value));
      ck_assert_str_eq(value, "0000000000000000");
      ck_assert(reports(&locked, "uid"));
    }
    stop_locked(&locked);
  }
}
END_TEST

START_TEST(proc_shows_the_limits) {
  static const struct {
    const char *key, *value;
  } limits[] = {{"Max core file size", "0"}, {"Max file size", "0"},     {"Max open files", "17"},
                {"Max processes", "0"},      {"Max locked memory", "0"}, {"Max msgqueue size", "0"}};
  struct locked locked;

  if (geteuid() != 0) return; /* only root may look into a process that is not dumpable */
  locked = start_locked(false);
  for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
    char line[256], soft[32], hard[32];

    proc_line(locked.pid, "limits", limits[i].key, line, sizeof(line));
    ck_assert_int_eq(sscanf(line, "%31s %31s", soft, hard), 2);
    ck_assert_msg(strcmp(soft, limits[i].value) == 0 && strcmp(hard, limits[i].value) == 0, "%s: %s",
                  limits[i].key, line);
  }
  stop_locked(&locked);
}
END_TEST

START_TEST(what_is_reported_is_in_force) {
  static const struct {
    const char *name, *file;
  } kinds[] = {{"userns", "user"}, {"mountns", "mnt"}, {"netns", "net"},
               {"ipcns", "ipc"},   {"utsns", "uts"},   {"cgroupns", "cgroup"}};

  if (geteuid() != 0) return;
  for (int nobody = 0; nobody <= 1; nobody++) {
    struct locked locked = start_locked(nobody != 0);

    fprintf(stderr, "%s: %s\n", nobody ? "started as nobody" : "started as root", locked.report.text);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
      char path[64], mine[64] = "", its[64] = "";

      snprintf(path, sizeof(path), "/proc/self/ns/%s", kinds[i].file);
      ck_assert_int_gt(readlink(path, mine, sizeof(mine) - 1), 0);
      snprintf(path, sizeof(path), "/proc/%d/ns/%s", locked.pid, kinds[i].file);
      ck_assert_int_gt(readlink(path, its, sizeof(its) - 1), 0);
      ck_assert_msg(reports(&locked, kinds[i].name) == (strcmp(mine, its) != 0), "%s: %s, %s, reported '%s'",
                    kinds[i].name, mine, its, locked.report.text);
    }
    if (reports(&locked, "root")) {
      char path[64];

      snprintf(path, sizeof(path), "/proc/%d/root/etc", locked.pid);
      ck_assert_int_eq(access(path, F_OK), -1);
      ck_assert_int_eq(errno, ENOENT);
      snprintf(path, sizeof(path), "/proc/%d/root/new", locked.pid);
      ck_assert_int_eq(mkdir(path, 0700), -1);
      ck_assert_int_eq(errno, EROFS);
    }
    stop_locked(&locked);
  }
}
END_TEST

/* The executor must not outlive a broker that could not say goodbye. */
START_TEST(the_death_of_the_parent_ends_it) {
  int link[2], status;
  pid_t middle, child;
  char byte;

  ck_assert_int_eq(pipe(link), 0);
  middle = fork();
  if (middle == 0) {
    struct sandbox_report report;

    child = fork();
    if (child == 0) {
      enter(&report);
      if (write(link[1], &child, sizeof(child)) < 0) _exit(1);
      for (;;)
        nanosleep(&(struct timespec){1, 0}, NULL);
    }
    pause();
    _exit(0);
  }
  close(link[1]);
  ck_assert_int_eq(read(link[0], &child, sizeof(child)), (ssize_t)sizeof(child));
  /* The middle one holds the pipe, too: its end is seen when both are dead. */
  kill(middle, SIGKILL);
  status = wait_for(middle);
  ck_assert(WIFSIGNALED(status));
  ck_assert_int_eq(read(link[0], &byte, 1), 0);
  close(link[0]);
}
END_TEST

static Suite *sandbox_suite(void) {
  Suite *suite = suite_create("sandbox");
  TCase *calls = tcase_create("calls"), *process = tcase_create("process");

  tcase_set_timeout(calls, 30);
  tcase_set_timeout(process, 30);
  tcase_add_checked_fixture(calls, set_up, tear_down);
  tcase_add_loop_test(calls, a_denied_call_ends_the_process, 0, DENIED_COUNT);
  tcase_add_loop_test(calls, a_denied_call_ends_an_ordinary_users_process, 0, DENIED_COUNT);
  tcase_add_loop_test(calls, an_allowed_call_works, 0, ALLOWED_COUNT);
#ifdef __x86_64__
  tcase_add_test(calls, a_32_bit_call_ends_the_process);
#endif
  if (!SANITIZED) tcase_add_test(calls, abort_is_seen_as_sigabrt);
  tcase_add_test(calls, a_lenient_filter_answers_eperm);
  suite_add_tcase(suite, calls);

  tcase_add_checked_fixture(process, set_up, tear_down);
  tcase_add_test(process, a_second_thread_is_refused);
  tcase_add_test(process, without_seccomp_the_error_names_the_step);
  tcase_add_test(process, proc_shows_no_rights);
  tcase_add_test(process, proc_shows_the_limits);
  tcase_add_test(process, what_is_reported_is_in_force);
  tcase_add_test(process, the_death_of_the_parent_ends_it);
  suite_add_tcase(suite, process);
  return suite;
}

int main(void) {
  SRunner *runner = srunner_create(sandbox_suite());
  int failed;

  srunner_run_all(runner, CK_ENV);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? 0 : 1;
}
