/*
 * The order of the steps is the design here, since each one takes away what another needs:
 *
 *   1. one thread     unshare(CLONE_NEWUSER) refuses several, and the filter would bind only the calling one
 *   2. namespaces     need capabilities, or a new user namespace, whose maps are written through
 *                     /proc, which the kernel allows to a dumpable process only
 *   3. empty root     needs the mount namespace; nothing can be opened by name from here on
 *   4. uid, caps      the bounding set and the securebits need CAP_SETPCAP, so they go before the uid
 *   5. not dumpable, parent-death signal   a change of the uid resets both, so they follow it
 *   6. rlimits        after the last file was opened (RLIMIT_NOFILE) and, for root, after the uid
 *   7. no_new_privs and the seccomp filter; nothing but the filter's calls from here on
 *
 * There is no PID namespace: its first process ignores the signals that it sends to itself, abort() included,
 * and the broker reads the cause of a death from the signal.
 */
#include "engine/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <linux/securebits.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08
#endif

#define NOBODY 65534

/* ---- the system calls that remain ---- */

/* int arguments: the kernel ignores the upper half of the register, and so must the filter. */
#define INT_MASK UINT64_C(0xffffffff)
#define INT_IS(index, value)                                                                                 \
  { index, SCMP_CMP_MASKED_EQ, INT_MASK, (uint32_t)(value) }
#define NO_BITS_BUT(index, bits)                                                                             \
  { index, SCMP_CMP_MASKED_EQ, ~(uint64_t)(bits), 0 }
#define BITS_ARE(index, mask, value)                                                                         \
  { index, SCMP_CMP_MASKED_EQ, (uint64_t)(mask), (uint64_t)(value) }

/* Stand for what is known only at run time: the process's own id, and the descriptor of statm. */
#define SELF UINT64_C(0xfffffffe)
#define STATM UINT64_C(0xfffffffd)
/* Private only: a shared one reaches every process that has mapped the same page of a library. */
#define FUTEX_IS(operation)                                                                                  \
  BITS_ARE(1, INT_MASK & ~(uint64_t)FUTEX_CLOCK_REALTIME, FUTEX_PRIVATE_FLAG | (operation))
/* The clocks of this process and of the machine; the others are negative, and name a process. */
#define OWN_CLOCK BITS_ARE(0, INT_MASK & ~(uint64_t)0xf, 0)
#define MAP_KIND (MAP_TYPE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_LOCKED | MAP_HUGETLB)

struct sandbox_syscall {
  int number;
  const char *name;
  const char *why;
  struct scmp_arg_cmp conditions[2]; /* all of them must hold; those with op 0 are none */
};

#define SYSCALL(name, why, ...)                                                                              \
  {                                                                                                          \
    SCMP_SYS(name), #name, why, {                                                                            \
      __VA_ARGS__                                                                                            \
    }                                                                                                        \
  }

/* Allowed. Anything else ends the process by SIGSYS. */
static const struct sandbox_syscall SANDBOX_SYSCALLS[] = {
    /* The one socket. Beside it there is at most statm, which can only be read, so which one is not asked. No sendmsg
     * and recvmsg: they pass descriptors. */
    SYSCALL(read, "frames of the broker", {0}),
    SYSCALL(write, "frames to the broker", {0}),
    SYSCALL(writev, "a large console entry, without a copy", {0}),
    SYSCALL(poll, "waiting for a timer or the broker", {0}),
    SYSCALL(ppoll, "poll() on aarch64", {0}),
    SYSCALL(close, "descriptors 0 to 2, after the filter is in force", {0, SCMP_CMP_LE, 2, 0}),

    SYSCALL(pread64, "how much memory this process has mapped, at each rewind", INT_IS(0, STATM)),

    /* Memory, private and anonymous only. */
    SYSCALL(mmap, "V8's heap, malloc", BITS_ARE(3, MAP_KIND, MAP_PRIVATE | MAP_ANONYMOUS)),
    SYSCALL(munmap, "V8's heap, malloc", {0}),
    SYSCALL(mprotect, "V8's heap: reserve, commit, and code pages",
            NO_BITS_BUT(2, PROT_READ | PROT_WRITE | PROT_EXEC)),
    SYSCALL(mremap, "realloc() of a large block", NO_BITS_BUT(3, MREMAP_MAYMOVE | MREMAP_FIXED)),
    SYSCALL(brk, "malloc", {0}),
    SYSCALL(madvise, "pages given back", INT_IS(2, MADV_DONTNEED)),
    SYSCALL(madvise, "pages given back lazily", INT_IS(2, MADV_FREE)),
    SYSCALL(madvise, "V8's reservations, and their rewinding", INT_IS(2, MADV_DONTFORK)),
    SYSCALL(madvise, "V8's reservations, and their rewinding", INT_IS(2, MADV_DOFORK)),
    SYSCALL(madvise, "V8's and malloc's large pages", INT_IS(2, MADV_HUGEPAGE)),
    SYSCALL(madvise, "V8's and malloc's large pages", INT_IS(2, MADV_NOHUGEPAGE)),

    /* Waiting and locks. No priority inheritance and no requeuing: nothing uses them, and they had holes. */
    SYSCALL(futex, "Atomics.wait, locks of V8 and libc", FUTEX_IS(FUTEX_WAIT)),
    SYSCALL(futex, "Atomics.notify, locks", FUTEX_IS(FUTEX_WAKE)),
    SYSCALL(futex, "Atomics.wait with a time limit", FUTEX_IS(FUTEX_WAIT_BITSET)),
    SYSCALL(futex, "locks of libc", FUTEX_IS(FUTEX_WAKE_BITSET)),
    SYSCALL(nanosleep, "sleeping without a descriptor", {0}),
    SYSCALL(clock_nanosleep, "the same; libc's nanosleep()", OWN_CLOCK),
    SYSCALL(sched_yield, "spin locks of V8", {0}),
    SYSCALL(restart_syscall, "a wait that a stop interrupted", {0}),

    /* Time. */
    SYSCALL(clock_gettime, "processor time; the other clocks are in the vDSO mostly", OWN_CLOCK),
    SYSCALL(clock_getres, "the resolution of a clock", OWN_CLOCK),
    SYSCALL(gettimeofday, "Date, where there is no vDSO", {0}),
    SYSCALL(timer_settime, "the watchdog; its timer is made before", {0}),
    SYSCALL(getrusage, "processor time and peak memory of this process", INT_IS(0, RUSAGE_SELF)),

    /* Signals to itself. */
    SYSCALL(rt_sigreturn, "the end of a signal handler", {0}),
    SYSCALL(rt_sigaction, "abort(), and the end of a fatal signal's handler", {0}),
    SYSCALL(rt_sigprocmask, "abort()", {0}),
    SYSCALL(sigaltstack, "the stack of the fatal signals' handler", {0}),
    SYSCALL(getpid, "raise()", {0}),
    SYSCALL(gettid, "raise()", {0}),
    SYSCALL(tgkill, "raise(), to this process only", INT_IS(0, SELF)),

    SYSCALL(getrandom, "seeds and crypto.getRandomValues", {0}),
    SYSCALL(exit, "the end", {0}),
    SYSCALL(exit_group, "the end", {0}),
};

struct sandbox_refusal {
  struct sandbox_syscall call;
  int answer;
};

/* Refused with an errno: libc or V8 asks without need and copes. The kernel never carries them out. */
static const struct sandbox_refusal SANDBOX_REFUSALS[] = {
    {SYSCALL(prctl, "naming of mappings, for /proc/.../maps", INT_IS(0, PR_SET_VMA)), EINVAL},
    {SYSCALL(mmap, "libc's getrandom() in the vDSO asks for droppable memory once; else it calls the kernel",
             BITS_ARE(3, MAP_TYPE, MAP_DROPPABLE)),
     ENOMEM},
    {SYSCALL(pkey_alloc, "V8 looks whether it could protect its code pages by keys", {0}), ENOSYS},
    {SYSCALL(fstat, "libc, before it first writes to stdout or stderr", {0}), EBADF},
    {SYSCALL(newfstatat, "the same, newer; a path in it is never looked at", {0}), EBADF},
    {SYSCALL(ioctl, "the same: is it a terminal?", {0}), EBADF},
    {SYSCALL(lseek, "libc, when it flushes at the end", {0}), EBADF},
    /*
     * V8's locks, when one is contended for the first time, ask for the machine's clock rate and the
     * scheduler. In one thread that is only when the watchdog interrupts V8 within a lock that stopping the
     * script takes too; V8 then waits for itself until the broker ends it, and that is a timeout, no
     * violation.
     */
    {SYSCALL(openat, "V8's locks: the clock rate in /sys; no other open() has just these flags",
             INT_IS(2, O_RDONLY | O_CLOEXEC)),
     EACCES},
    {SYSCALL(sched_getparam, "V8's locks: the priority", {0}), ENOSYS},
    {SYSCALL(sched_getscheduler, "V8's locks: the scheduler", {0}), ENOSYS},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static unsigned conditions_of(const struct sandbox_options *options, const struct sandbox_syscall *call,
                              struct scmp_arg_cmp out[2]) {
  unsigned count = 0;

  for (size_t i = 0; i < COUNT(call->conditions); i++) {
    if (call->conditions[i].op == 0) continue;
    out[count] = call->conditions[i];
    if (out[count].datum_b == SELF) out[count].datum_b = (uint32_t)getpid();
    if (out[count].datum_b == STATM) out[count].datum_b = (uint32_t)options->statm_fd;
    count++;
  }
  return count;
}

static int filter_add(scmp_filter_ctx filter, uint32_t action, const struct sandbox_options *options,
                      const struct sandbox_syscall *call) {
  struct scmp_arg_cmp conditions[2];
  unsigned count = conditions_of(options, call, conditions);
  bool absent = call->number == SCMP_SYS(pread64) && options->statm_fd < 0;

  /* A number below zero is a system call which this architecture does not have (poll on aarch64). */
  return call->number < 0 || absent ? 0
                                    : seccomp_rule_add_array(filter, action, call->number, count, conditions);
}

static int filter_load(const struct sandbox_options *options) {
  scmp_filter_ctx filter = seccomp_init(options->lenient ? SCMP_ACT_ERRNO(EPERM) : SCMP_ACT_KILL_PROCESS);
  int r;

  if (filter == NULL) return -ENOTSUP;
  r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
  /* A binary search instead of a chain: this runs at every system call. */
  if (r == 0) r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
  for (size_t i = 0; r == 0 && i < COUNT(SANDBOX_SYSCALLS); i++)
    r = filter_add(filter, SCMP_ACT_ALLOW, options, &SANDBOX_SYSCALLS[i]);
  for (size_t i = 0; r == 0 && i < COUNT(SANDBOX_REFUSALS); i++)
    r = filter_add(filter, SCMP_ACT_ERRNO((uint32_t)SANDBOX_REFUSALS[i].answer), options,
                   &SANDBOX_REFUSALS[i].call);
  if (r == 0) r = seccomp_load(filter);
  seccomp_release(filter);
  return r;
}

/* ---- reporting ---- */

static void report_add(struct sandbox_report *report, const char *name) {
  size_t len = strlen(report->text);

  snprintf(report->text + len, sizeof(report->text) - len, "%s%s", len > 0 ? "," : "", name);
}

__attribute__((format(printf, 4, 5))) static int fail(int r, char *error, size_t size, const char *format,
                                                      ...) {
  va_list args;
  int len;

  va_start(args, format);
  len = vsnprintf(error, size, format, args);
  va_end(args);
  if (len >= 0 && (size_t)len < size) snprintf(error + len, size - (size_t)len, ": %s", strerror(-r));
  return r;
}

/* ---- 1: one thread ---- */

/* 0, -EBUSY for several threads, or another negative errno where it can't be told. */
static int check_single_threaded(void) {
  struct dirent *entry;
  int threads = 0;
  DIR *dir = opendir("/proc/self/task");

  if (dir == NULL) {
    /* No /proc. For this combination unshare() does nothing but answer -EINVAL to a process of several
     * threads. */
    if (unshare(CLONE_THREAD | CLONE_SIGHAND | CLONE_VM) == 0) return 0;
    return errno == EINVAL ? -EBUSY : -errno;
  }
  while ((entry = readdir(dir)) != NULL)
    threads += entry->d_name[0] != '.';
  closedir(dir);
  return threads == 1 ? 0 : -EBUSY;
}

/* ---- 2 and 3: namespaces, where permitted ---- */

static bool write_file(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  ssize_t written;

  if (fd < 0) return false;
  written = write(fd, text, strlen(text));
  close(fd);
  return written == (ssize_t)strlen(text);
}

/* A user namespace in which this user is nobody. It gives the rights to make the other namespaces. */
static bool enter_user_namespace(void) {
  unsigned uid = geteuid(), gid = getegid();
  char map[64];

  if (unshare(CLONE_NEWUSER) < 0) return false;
  /* A failure leaves the user without a name in the namespace, which is as good for us. */
  snprintf(map, sizeof(map), "%d %u 1\n", NOBODY, uid);
  write_file("/proc/self/uid_map", map);
  write_file("/proc/self/setgroups", "deny\n");
  snprintf(map, sizeof(map), "%d %u 1\n", NOBODY, gid);
  write_file("/proc/self/gid_map", map);
  return true;
}

/*
 * The root directory becomes an empty file system that can't be written. pivot_root() onto the directory
 * itself puts the old root on top of the new one, from where it is unmounted; so no directory for it is
 * needed.
 */
static bool enter_empty_root(void) {
  static const unsigned long flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
  static const char *const places[] = {"/tmp", "/proc", "/usr"};

  /* Nothing of this may reach the machine's own mount table. */
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) return false;
  for (size_t i = 0; i < COUNT(places); i++) {
    if (mount("isoq", places[i], "tmpfs", flags, "size=4k,nr_inodes=2,mode=555") < 0) continue;
    if (chdir(places[i]) < 0) return false;
    if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0) return false;
    return chdir("/") == 0;
  }
  return false;
}

static void enter_namespaces(struct sandbox_report *report) {
  static const struct {
    int flag;
    const char *name;
  } kinds[] = {
      {CLONE_NEWNS, "mountns"}, {CLONE_NEWNET, "netns"},       {CLONE_NEWIPC, "ipcns"},
      {CLONE_NEWUTS, "utsns"},  {CLONE_NEWCGROUP, "cgroupns"},
  };
  bool in_force[COUNT(kinds)] = {false};

  /* Root without CAP_SYS_ADMIN, as in a container, goes the way of an ordinary user. */
  in_force[0] = unshare(CLONE_NEWNS) == 0;
  if (!in_force[0] && enter_user_namespace()) report_add(report, "userns");
  for (size_t i = 0; i < COUNT(kinds); i++) {
    if (!in_force[i]) in_force[i] = unshare(kinds[i].flag) == 0;
    if (in_force[i]) report_add(report, kinds[i].name);
  }
  if (in_force[0] && enter_empty_root()) report_add(report, "root");
}

/* ---- 4: uid and capabilities ---- */

/* What lets a program gain capabilities later: execve(), files with capabilities, uid 0. Needs CAP_SETPCAP.
 */
static void forbid_new_capabilities(void) {
  for (unsigned long cap = 0; prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0; cap++)
    ;
  prctl(PR_SET_SECUREBITS,
        SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED |
            SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED,
        0, 0, 0);
}

static bool drop_uid(void) {
  return setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
         setresuid(NOBODY, NOBODY, NOBODY) == 0;
}

static int drop_capabilities(void) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};

  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  return syscall(SYS_capset, &header, none) < 0 ? -errno : 0;
}

/* ---- 5 and 6: the process ---- */

static int set_limits(const struct sandbox_options *options, const char **step) {
  const struct {
    __rlimit_resource_t resource;
    rlim_t value;
    const char *name;
  } limits[] = {
      {RLIMIT_CORE, 0, "RLIMIT_CORE"}, /* a core file would hold a tenant's data */
      {RLIMIT_FSIZE, 0, "RLIMIT_FSIZE"},
      {RLIMIT_NOFILE, (rlim_t)options->highest_fd + 1, "RLIMIT_NOFILE"},
      {RLIMIT_NPROC, 0, "RLIMIT_NPROC"},
      {RLIMIT_MEMLOCK, 0, "RLIMIT_MEMLOCK"},
      {RLIMIT_MSGQUEUE, 0, "RLIMIT_MSGQUEUE"},
  };

  for (size_t i = 0; i < COUNT(limits); i++) {
    const struct rlimit limit = {limits[i].value, limits[i].value};

    /* A sanitizer's report may go into a file. */
    if (options->lenient && limits[i].resource == RLIMIT_FSIZE) continue;
    *step = limits[i].name;
    if (setrlimit(limits[i].resource, &limit) < 0) return -errno;
  }
  return 0;
}

static int set_process_flags(const char **step) {
  /* Another process of this uid may not trace it or read its memory. */
  *step = "PR_SET_DUMPABLE";
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) return -errno;
  *step = "PR_SET_PDEATHSIG";
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0) return -errno;
  *step = "PR_SET_NO_NEW_PRIVS";
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return -errno;
  return 0;
}

int sandbox_enter(const struct sandbox_options *options, struct sandbox_report *report, char *error,
                  size_t error_size) {
  const char *step = "";
  int r;

  *report = (struct sandbox_report){0};
  r = check_single_threaded();
  if (r < 0) return fail(r, error, error_size, "sandbox: there must be one thread only");

  enter_namespaces(report);
  forbid_new_capabilities();
  if (geteuid() == 0 && drop_uid()) report_add(report, "uid");
  r = drop_capabilities();
  if (r < 0) return fail(r, error, error_size, "sandbox: cannot drop the capabilities");
  report_add(report, "nocaps");

  r = set_process_flags(&step);
  if (r < 0) return fail(r, error, error_size, "sandbox: prctl(%s)", step);
  report_add(report, "nodump");
  r = set_limits(options, &step);
  if (r < 0) return fail(r, error, error_size, "sandbox: setrlimit(%s)", step);
  report_add(report, "rlimits");

  r = filter_load(options);
  if (r < 0) return fail(r, error, error_size, "sandbox: cannot load the seccomp filter");
  report->seccomp = true;
  report_add(report, options->lenient ? "seccomp-lenient" : "seccomp");
  return 0;
}
