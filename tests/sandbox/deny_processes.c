/*
 * No other process is made, signalled, looked into or waited for; no right is gained; nothing of the kernel
 * is configured; and the filter stays as it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/perf_event.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/sandbox/deny.h"

#define DENY_SUBJECT "processes"
#define BROKER_FD 3

static char buffer[4096];

/* ---- making processes ---- */

/* The child of a call that got through must not go on as a second executor. */
static long no_child(long r) {
  if (r == 0) _exit(0);
  return r;
}

#ifdef SYS_fork
DENIED(forking) {
  return no_child(syscall(SYS_fork));
}
DENIED(forking_by_vfork) {
  return no_child(vfork());
}
#endif
DENIED(forking_by_clone) {
  return no_child(syscall(SYS_clone, (long)SIGCHLD, NULL, NULL, NULL, NULL));
}
DENIED(forking_by_clone3) {
  struct clone_args args = {.exit_signal = SIGCHLD};

  return no_child(syscall(SYS_clone3, &args, sizeof(args)));
}
DENIED(making_a_thread) {
  static char stack[4096] __attribute__((aligned(16)));

  return no_child(syscall(SYS_clone, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD,
                          stack + sizeof(stack), NULL, NULL, NULL));
}
DENIED(forking_into_a_new_user_namespace) {
  return no_child(syscall(SYS_clone, (long)(CLONE_NEWUSER | CLONE_NEWPID | SIGCHLD), NULL, NULL, NULL, NULL));
}
DENIED(executing_a_program) {
  char *words[] = {"true", NULL};

  return syscall(SYS_execve, "/bin/true", words, words + 1);
}
DENIED(executing_itself_again) {
  char *words[] = {"isoq-executor", "--unlocked", NULL};

  return syscall(SYS_execve, "/proc/self/exe", words, words + 2);
}
DENIED(executing_a_descriptor) {
  char *words[] = {"true", NULL};

  return syscall(SYS_execveat, BROKER_FD, "", words, words + 1, AT_EMPTY_PATH);
}
DENIED(waiting_for_a_child) {
  return syscall(SYS_wait4, -1, NULL, WNOHANG, NULL);
}
DENIED(waiting_for_a_child_by_waitid) {
  return syscall(SYS_waitid, P_ALL, 0, buffer, WEXITED | WNOHANG, NULL);
}

/* ---- signalling ---- */

DENIED(signalling_the_broker) {
  return syscall(SYS_kill, deny_broker, 0);
}
DENIED(signalling_init) {
  return syscall(SYS_kill, 1, 0);
}
DENIED(signalling_its_own_group) {
  return syscall(SYS_kill, 0, 0);
}
DENIED(signalling_everybody) {
  return syscall(SYS_kill, -1, 0);
}
DENIED(signalling_itself_by_kill) {
  return syscall(SYS_kill, getpid(), 0);
}
DENIED(signalling_a_thread_of_the_broker) {
  return syscall(SYS_tgkill, deny_broker, deny_broker, 0);
}
DENIED(signalling_a_thread_of_anybody) {
  return syscall(SYS_tgkill, -1, deny_broker, 0);
}
DENIED(signalling_by_tkill) {
  return syscall(SYS_tkill, deny_broker, 0);
}
DENIED(queueing_a_signal) {
  siginfo_t info = {.si_signo = SIGUSR1, .si_code = SI_QUEUE};

  return syscall(SYS_rt_sigqueueinfo, deny_broker, 0, &info);
}
DENIED(queueing_a_signal_to_a_thread) {
  siginfo_t info = {.si_signo = SIGUSR1, .si_code = SI_QUEUE};

  return syscall(SYS_rt_tgsigqueueinfo, deny_broker, deny_broker, 0, &info);
}
DENIED(opening_a_process) {
  return syscall(SYS_pidfd_open, deny_broker, 0);
}
DENIED(taking_a_descriptor_of_a_process) {
  return syscall(SYS_pidfd_getfd, 0, 0, 0);
}
DENIED(signalling_by_pidfd) {
  return syscall(SYS_pidfd_send_signal, 0, 0, NULL, 0);
}
/* ---- looking into processes ---- */

DENIED(tracing_the_broker) {
  return syscall(SYS_ptrace, PTRACE_SEIZE, deny_broker, 0, 0);
}
DENIED(attaching_to_the_broker) {
  return syscall(SYS_ptrace, PTRACE_ATTACH, deny_broker, 0, 0);
}
DENIED(being_traced) {
  return syscall(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0);
}
DENIED(reading_the_memory_of_the_broker) {
  struct iovec mine = {buffer, 1}, theirs = {buffer, 1};

  return syscall(SYS_process_vm_readv, deny_broker, &mine, 1, &theirs, 1, 0);
}
DENIED(writing_the_memory_of_the_broker) {
  struct iovec mine = {buffer, 0}, theirs = {buffer, 0};

  return syscall(SYS_process_vm_writev, deny_broker, &mine, 1, &theirs, 1, 0);
}
DENIED(comparing_itself_with_the_broker) {
  return syscall(SYS_kcmp, getpid(), deny_broker, 0 /* KCMP_FILE */, BROKER_FD, BROKER_FD);
}
DENIED(opening_its_own_memory) {
  return syscall(SYS_openat, AT_FDCWD, "/proc/self/mem", O_RDWR);
}
DENIED(opening_its_own_list_of_mappings) {
  return syscall(SYS_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY);
}
DENIED(opening_the_environment_of_init) {
  return syscall(SYS_openat, AT_FDCWD, "/proc/1/environ", O_RDONLY);
}
DENIED(opening_the_memory_of_the_broker) {
  char path[64];

  snprintf(path, sizeof(path), "/proc/%d/mem", (int)deny_broker);
  return syscall(SYS_openat, AT_FDCWD, path, O_RDONLY);
}
DENIED(asking_for_the_parent) {
  return syscall(SYS_getppid);
}
DENIED(asking_for_the_group_of_the_broker) {
  return syscall(SYS_getpgid, deny_broker);
}
DENIED(asking_for_the_session_of_the_broker) {
  return syscall(SYS_getsid, deny_broker);
}
DENIED(asking_for_the_load_of_the_machine) {
  return syscall(SYS_sysinfo, buffer);
}
DENIED(asking_what_its_children_used) {
  return syscall(SYS_getrusage, RUSAGE_CHILDREN, buffer);
}
DENIED(asking_for_the_locks_of_the_broker) {
  size_t len;
  void *head;

  return syscall(SYS_get_robust_list, deny_broker, &head, &len);
}

/* A process has a clock, its processor time, that anybody may read by its id: which ids there are, and how
 * busy each of them is. */
static clockid_t clock_of(pid_t pid) {
  return (clockid_t)(~(unsigned)pid << 3 | 2 /* CPUCLOCK_SCHED */);
}

DENIED(reading_the_processor_time_of_the_broker) {
  struct timespec used;

  return syscall(SYS_clock_gettime, clock_of(deny_broker), &used);
}
DENIED(reading_the_processor_time_of_init) {
  struct timespec used;

  return syscall(SYS_clock_gettime, clock_of(1), &used);
}
DENIED(asking_whether_there_is_such_a_process) {
  struct timespec resolution;

  return syscall(SYS_clock_getres, clock_of(deny_broker), &resolution);
}
/* It sleeps for as long as the other one computes. */
DENIED(waiting_for_the_processor_time_of_the_broker) {
  struct timespec nothing = {0, 1};

  return syscall(SYS_clock_nanosleep, clock_of(deny_broker), 0, &nothing, NULL);
}
/* The page cache is the same for all: a word in the text of a library is one that every executor can wait at
 * and be woken from, in whatever namespaces they are. Only the private kind of futex stays in its process. */
DENIED(waking_a_process_that_shares_a_library) {
  return syscall(SYS_futex, (uintptr_t)&memcpy & ~(uintptr_t)3, FUTEX_WAKE, 1, NULL, NULL, 0);
}
DENIED(waiting_for_a_process_that_shares_a_library) {
  const struct timespec nothing = {0, 1};
  const uint32_t *word = (const uint32_t *)((uintptr_t)&memcpy & ~(uintptr_t)3);

  return syscall(SYS_futex, word, FUTEX_WAIT, *word, &nothing, NULL, 0);
}

/* ---- namespaces and rights ---- */

#define DENIED_NAMESPACE(name, flag)                                                                         \
  DENIED(name) {                                                                                             \
    return syscall(SYS_unshare, flag);                                                                       \
  }

DENIED_NAMESPACE(making_a_namespace_user, CLONE_NEWUSER)
DENIED_NAMESPACE(making_a_namespace_mount, CLONE_NEWNS)
DENIED_NAMESPACE(making_a_namespace_net, CLONE_NEWNET)
DENIED_NAMESPACE(making_a_namespace_pid, CLONE_NEWPID)
DENIED_NAMESPACE(making_a_namespace_ipc, CLONE_NEWIPC)
DENIED_NAMESPACE(making_a_namespace_uts, CLONE_NEWUTS)
DENIED_NAMESPACE(making_a_namespace_cgroup, CLONE_NEWCGROUP)
DENIED_NAMESPACE(making_a_namespace_time, CLONE_NEWTIME)
DENIED(entering_a_namespace) {
  return syscall(SYS_setns, BROKER_FD, 0);
}
DENIED(becoming_root) {
  return syscall(SYS_setuid, 0);
}
DENIED(becoming_root_by_setresuid) {
  return syscall(SYS_setresuid, 0, 0, 0);
}
DENIED(becoming_root_by_setreuid) {
  return syscall(SYS_setreuid, 0, 0);
}
DENIED(becoming_root_for_files) {
  return syscall(SYS_setfsuid, 0);
}
DENIED(joining_the_group_root) {
  return syscall(SYS_setgid, 0);
}
DENIED(joining_the_group_root_by_setresgid) {
  return syscall(SYS_setresgid, 0, 0, 0);
}
DENIED(joining_groups) {
  gid_t group = 0;

  return syscall(SYS_setgroups, 1, &group);
}
DENIED(asking_for_its_user) {
  return syscall(SYS_getuid);
}
DENIED(gaining_capabilities) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct all[2] = {{~0U, ~0U, 0}, {~0U, ~0U, 0}};

  return syscall(SYS_capset, &header, all);
}
DENIED(asking_for_capabilities) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};

  return syscall(SYS_capget, &header, buffer);
}
DENIED(raising_its_limits) {
  struct rlimit limit = {64, 64};

  return syscall(SYS_setrlimit, RLIMIT_NOFILE, &limit);
}
DENIED(raising_its_limits_by_prlimit64) {
  uint64_t limit[2] = {64, 64};

  return syscall(SYS_prlimit64, 0, RLIMIT_NPROC, limit, NULL);
}
DENIED(reading_the_limits_of_the_broker) {
  uint64_t limit[2];

  return syscall(SYS_prlimit64, deny_broker, RLIMIT_NOFILE, NULL, limit);
}
DENIED(raising_its_priority) {
  return syscall(SYS_setpriority, PRIO_PROCESS, 0, 0);
}
DENIED(changing_its_io_priority) {
  return syscall(SYS_ioprio_set, 1, 0, 0);
}
DENIED(choosing_its_processors) {
  unsigned long mask = 1;

  return syscall(SYS_sched_setaffinity, 0, sizeof(mask), &mask);
}
DENIED(asking_for_its_processors) {
  return syscall(SYS_sched_getaffinity, 0, sizeof(buffer), buffer);
}
REFUSED(asking_for_the_scheduler_of_the_broker, ENOSYS) {
  return syscall(SYS_sched_getscheduler, deny_broker);
}
REFUSED(asking_for_the_priority_of_the_broker, ENOSYS) {
  struct sched_param parameters;

  return syscall(SYS_sched_getparam, deny_broker, &parameters);
}
DENIED(choosing_its_scheduler) {
  struct sched_param parameters = {0};

  return syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, &parameters);
}
DENIED(choosing_its_scheduling_attributes) {
  return syscall(SYS_sched_setattr, 0, buffer, 0);
}
DENIED(leaving_its_group) {
  return syscall(SYS_setpgid, 0, 0);
}
DENIED(leaving_its_session) {
  return syscall(SYS_setsid);
}

/* ---- its own locks ---- */

static struct sock_filter allow_all[] = {{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}};
static struct sock_fprog program = {1, allow_all};

DENIED(adding_a_seccomp_filter) {
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}
DENIED(adding_a_seccomp_listener) {
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
}
DENIED(going_back_to_strict_seccomp) {
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0, NULL);
}
DENIED(asking_what_seccomp_can_do) {
  uint32_t action = SECCOMP_RET_ALLOW;

  return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action);
}
DENIED(adding_a_seccomp_filter_by_prctl) {
  return syscall(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
}
DENIED(asking_for_seccomp_by_prctl) {
  return syscall(SYS_prctl, PR_GET_SECCOMP, 0, 0, 0, 0);
}
DENIED(becoming_dumpable) {
  return syscall(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0);
}
DENIED(outliving_the_broker) {
  return syscall(SYS_prctl, PR_SET_PDEATHSIG, 0, 0, 0, 0);
}
DENIED(letting_anybody_trace_it) {
  return syscall(SYS_prctl, PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
}
DENIED(renaming_itself) {
  return syscall(SYS_prctl, PR_SET_NAME, "isoq", 0, 0, 0);
}
DENIED(keeping_capabilities) {
  return syscall(SYS_prctl, PR_SET_KEEPCAPS, 1, 0, 0, 0);
}
DENIED(raising_an_ambient_capability) {
  return syscall(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 0, 0, 0);
}
DENIED(changing_its_securebits) {
  return syscall(SYS_prctl, PR_SET_SECUREBITS, 0, 0, 0, 0);
}
DENIED(moving_its_memory_map) {
  return syscall(SYS_prctl, PR_SET_MM, PR_SET_MM_BRK, 0, 0, 0);
}
DENIED(adopting_orphans) {
  return syscall(SYS_prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}
DENIED(switching_off_speculation_controls) {
  return syscall(SYS_prctl, PR_SET_SPECULATION_CTRL, 0, 0, 0, 0);
}
/* The filter asks for 32 bits, and so does the kernel: what is above them makes no other call of it. */
REFUSED(naming_a_mapping, EINVAL) {
  return syscall(SYS_prctl, PR_SET_VMA, 0, buffer, sizeof(buffer), "isoq");
}
REFUSED(naming_a_mapping_with_high_bits, EINVAL) {
  return syscall(SYS_prctl, 0x100000000L | PR_SET_VMA, 0, buffer, sizeof(buffer), "isoq");
}

/* Whatever it makes of the signal, a forbidden call is its last. */
DENIED(ignoring_the_signal_of_the_filter) {
  signal(SIGSYS, SIG_IGN);
  return syscall(SYS_getppid);
}
DENIED(blocking_the_signal_of_the_filter) {
  sigset_t all;

  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, NULL);
  return syscall(SYS_getppid);
}
static void ignore(int number) {
  (void)number;
}
DENIED(handling_the_signal_of_the_filter) {
  signal(SIGSYS, ignore);
  return syscall(SYS_getppid);
}

/* ---- the kernel ---- */

DENIED(loading_a_bpf_program) {
  union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_SOCKET_FILTER};

  return syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
}
DENIED(making_a_bpf_map) {
  union bpf_attr attr = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};

  return syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));
}
DENIED(opening_a_performance_counter) {
  struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE, .size = sizeof(attr)};

  return syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}
DENIED(handling_its_own_page_faults) {
  return syscall(SYS_userfaultfd, UFFD_USER_MODE_ONLY);
}
DENIED(adding_a_key) {
  return syscall(SYS_add_key, "user", "isoq", "x", 1, -3);
}
DENIED(asking_for_a_key) {
  return syscall(SYS_request_key, "user", "isoq", NULL, 0);
}
DENIED(using_a_keyring) {
  return syscall(SYS_keyctl, 0 /* KEYCTL_GET_KEYRING_ID */, -3, 0, 0, 0);
}
DENIED(loading_a_kernel) {
  return syscall(SYS_kexec_load, 0, ~0UL, NULL, 0);
}
#ifdef SYS_kexec_file_load
DENIED(loading_a_kernel_from_a_file) {
  return syscall(SYS_kexec_file_load, -1, -1, 0, NULL, ~0UL);
}
#endif
DENIED(loading_a_module) {
  return syscall(SYS_init_module, NULL, 0, "");
}
DENIED(loading_a_module_from_a_file) {
  return syscall(SYS_finit_module, -1, "", 0);
}
DENIED(removing_a_module) {
  return syscall(SYS_delete_module, "isoq_absent", O_NONBLOCK);
}
DENIED(rebooting) {
  return syscall(SYS_reboot, 0, 0, 0, NULL);
}
DENIED(swapping_on) {
  return syscall(SYS_swapon, "/isoq-deny/absent", 0);
}
DENIED(swapping_off) {
  return syscall(SYS_swapoff, "/isoq-deny/absent");
}
DENIED(reading_the_log_of_the_kernel) {
  return syscall(SYS_syslog, 3, buffer, sizeof(buffer));
}
DENIED(switching_accounting_on) {
  return syscall(SYS_acct, "/isoq-deny/absent");
}
DENIED(looking_up_a_cookie) {
#ifdef SYS_lookup_dcookie
  return syscall(SYS_lookup_dcookie, 0UL, buffer, sizeof(buffer));
#else
  return syscall(SYS_nfsservctl);
#endif
}
DENIED(setting_the_clock) {
  struct timespec never = {-1, -1};

  return syscall(SYS_clock_settime, CLOCK_REALTIME, &never);
}
DENIED(setting_the_time_of_day) {
  return syscall(SYS_settimeofday, NULL, NULL);
}
DENIED(adjusting_the_clock) {
  return syscall(SYS_adjtimex, buffer);
}
DENIED(hanging_up_the_terminal) {
  return syscall(SYS_vhangup);
}

/* ---- memory and messages that several processes share ---- */

DENIED(making_shared_memory) {
  return syscall(SYS_shmget, 0, 4096, 0600);
}
DENIED(attaching_shared_memory) {
  return syscall(SYS_shmat, 0, NULL, 0);
}
DENIED(controlling_shared_memory) {
  return syscall(SYS_shmctl, 0, 2 /* IPC_STAT */, buffer);
}
DENIED(making_a_message_queue) {
  return syscall(SYS_msgget, 0, 0600);
}
DENIED(sending_a_message) {
  return syscall(SYS_msgsnd, 0, buffer, 0, 0);
}
DENIED(making_a_semaphore) {
  return syscall(SYS_semget, 0, 1, 0600);
}
DENIED(opening_a_posix_message_queue) {
  return syscall(SYS_mq_open, "isoq", O_RDONLY, 0, NULL);
}

/* ---- timers, waits and whatever else runs in the kernel's name ---- */

DENIED(making_a_timer) {
  int timer;

  return syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, &timer);
}
/* The kernel would send the signal to whom the timer names. */
DENIED(making_a_timer_that_signals_the_broker) {
  struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};
  int timer;

  event._sigev_un._tid = deny_broker;
  return syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer);
}
DENIED(deleting_a_timer) {
  return syscall(SYS_timer_delete, 0);
}
DENIED(setting_an_interval_timer) {
  return syscall(SYS_setitimer, 0, NULL, NULL);
}
DENIED(ordering_the_memory_of_all_processes) {
  return syscall(SYS_membarrier, 1 /* GLOBAL */, 0, 0);
}
DENIED(registering_a_restartable_sequence) {
  return syscall(SYS_rseq, NULL, 0, 0, 0);
}
DENIED(setting_its_list_of_locks) {
  return syscall(SYS_set_robust_list, buffer, 24);
}
DENIED(locking_with_priority_inheritance) {
  static uint32_t word;

  return syscall(SYS_futex, &word, FUTEX_LOCK_PI | FUTEX_PRIVATE_FLAG, 0, NULL, NULL, 0);
}
DENIED(requeueing_waiters) {
  static uint32_t words[2];

  return syscall(SYS_futex, &words[0], FUTEX_CMP_REQUEUE | FUTEX_PRIVATE_FLAG, 1, 1L, &words[1], 0);
}
DENIED(requeueing_waiters_with_priority_inheritance) {
  static uint32_t words[2];

  return syscall(SYS_futex, &words[0], FUTEX_CMP_REQUEUE_PI | FUTEX_PRIVATE_FLAG, 1, 1L, &words[1], 0);
}
DENIED(waking_by_an_operation) {
  static uint32_t words[2];

  return syscall(SYS_futex, &words[0], FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 1, 1L, &words[1], 0);
}
DENIED(waiting_for_many_words) {
  return syscall(449 /* futex_waitv */, NULL, 0, 0, NULL, 0);
}
DENIED(waiting_for_a_signal) {
  uint64_t mask = 1;
  const struct timespec none = {0, 0};

  return syscall(SYS_rt_sigtimedwait, &mask, NULL, &none, sizeof(mask));
}
DENIED(changing_its_personality) {
  return syscall(SYS_personality, 0xffffffffUL);
}
DENIED(asking_for_the_attributes_of_security_modules) {
  return syscall(459 /* lsm_get_self_attr */, 0, NULL, NULL, 0);
}
DENIED(a_call_that_linux_does_not_have) {
  return syscall(100000);
}
DENIED(a_call_of_a_negative_number) {
  return syscall(-2L);
}

/* ---- other entries of the kernel ---- */

#ifdef __x86_64__
DENIED(changing_the_segments) {
  return syscall(SYS_modify_ldt, 0, buffer, sizeof(buffer));
}
DENIED(changing_the_thread_pointer) {
  return syscall(SYS_arch_prctl, 0x1003 /* ARCH_GET_FS */, buffer);
}
DENIED(using_ports) {
  return syscall(SYS_ioperm, 0x80, 1, 1);
}
DENIED(using_all_ports) {
  return syscall(SYS_iopl, 3);
}

/* The 32-bit entry numbers its calls differently: 20 is getpid() there and writev() here, both allowed. */
DENIED_OR_FAULTS(a_32_bit_call) {
  long result;

  __asm__ volatile("int $0x80" : "=a"(result) : "0"(20L) : "memory", "r8", "r9", "r10", "r11");
  return result;
}
/* 5 is open() there. */
DENIED_OR_FAULTS(opening_a_file_by_a_32_bit_call) {
  long result;

  __asm__ volatile("int $0x80"
                   : "=a"(result)
                   : "0"(5L), "b"(0L), "c"(0L), "d"(0L)
                   : "memory", "r8", "r9", "r10", "r11");
  return result;
}
/* The same calls, marked as those of a program with 32-bit pointers. */
DENIED(an_x32_call) {
  return syscall(0x40000000L | SYS_getpid);
}
DENIED(opening_a_file_by_an_x32_call) {
  return syscall(0x40000000L | SYS_open, "/etc/passwd", O_RDONLY);
}
/* The kernel takes 32 bits of the number. */
WORKS(a_call_whose_number_has_high_bits_is_the_call_below_them) {
  return syscall(0x100000000L | SYS_getpid) == getpid() ? 0 : -1;
}
#endif

/* ---- the control: the machinery makes calls, and says what came of them ---- */

WORKS(control_asking_for_its_own_id) {
  return syscall(SYS_getpid);
}
WORKS(control_nothing) {
  return 0;
}
