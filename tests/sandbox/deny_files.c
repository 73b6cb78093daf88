/* Nothing is opened, looked at, made, changed, mounted or handed on by a name or a descriptor. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/sandbox/deny.h"

#define DENY_SUBJECT "files"

#define PRESENT "/etc/passwd"
#define ABSENT "/isoq-deny/absent" /* where a success would be felt */
#define BROKER_FD 3
#define STATM_FD 4 /* of an executor that rewinds */

static char buffer[4096];
static struct iovec io = {buffer, 1};

/* ---- opening ---- */

DENIED(opening_a_file) {
  return syscall(SYS_openat, AT_FDCWD, PRESENT, O_RDONLY);
}
DENIED(opening_a_directory) {
  return syscall(SYS_openat, AT_FDCWD, "/", O_RDONLY | O_DIRECTORY);
}
DENIED(opening_a_path_only) {
  return syscall(SYS_openat, AT_FDCWD, "/", O_PATH);
}
DENIED(opening_a_device) {
  return syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR);
}
DENIED(opening_by_openat2) {
  struct open_how how = {.flags = O_RDONLY};

  return syscall(SYS_openat2, AT_FDCWD, PRESENT, &how, sizeof(how));
}
DENIED(creating_a_file_by_openat) {
  return syscall(SYS_openat, AT_FDCWD, ABSENT, O_CREAT | O_WRONLY, 0600);
}
DENIED(creating_a_file_without_a_name) {
  return syscall(SYS_openat, AT_FDCWD, "/tmp", O_TMPFILE | O_RDWR, 0600);
}
#ifdef SYS_open
DENIED(opening_by_open) {
  return syscall(SYS_open, PRESENT, O_RDONLY);
}
DENIED(creating_a_file_by_creat) {
  return syscall(SYS_creat, ABSENT, 0600);
}
#endif
DENIED(creating_a_device) {
  return syscall(SYS_mknodat, AT_FDCWD, ABSENT, S_IFCHR | 0600, 0x0103);
}
DENIED(opening_by_a_handle) {
  static struct file_handle handle;

  return syscall(SYS_open_by_handle_at, AT_FDCWD, &handle, O_RDONLY);
}
DENIED(making_a_handle_of_a_name) {
  static struct file_handle handle;
  int mount_id;

  return syscall(SYS_name_to_handle_at, AT_FDCWD, "/", &handle, &mount_id, 0);
}
DENIED(making_a_memory_file) {
  return syscall(SYS_memfd_create, "isoq", 0);
}
#ifdef SYS_memfd_secret
DENIED(making_a_secret_memory_file) {
  return syscall(SYS_memfd_secret, 0);
}
#endif

/* ---- looking ---- */

DENIED(looking_at_a_file_by_statx) {
  struct statx status;

  return syscall(SYS_statx, AT_FDCWD, PRESENT, 0, STATX_BASIC_STATS, &status);
}
#ifdef SYS_stat
DENIED(looking_at_a_file_by_stat) {
  return syscall(SYS_stat, PRESENT, buffer);
}
DENIED(looking_at_a_file_by_lstat) {
  return syscall(SYS_lstat, PRESENT, buffer);
}
DENIED(asking_for_access) {
  return syscall(SYS_access, PRESENT, R_OK);
}
DENIED(reading_a_link) {
  return syscall(SYS_readlink, "/proc/self/exe", buffer, sizeof(buffer));
}
#endif
DENIED(asking_for_access_by_faccessat) {
  return syscall(SYS_faccessat, AT_FDCWD, PRESENT, R_OK);
}
DENIED(asking_for_access_by_faccessat2) {
  return syscall(SYS_faccessat2, AT_FDCWD, PRESENT, R_OK, 0);
}
DENIED(reading_a_link_by_readlinkat) {
  return syscall(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", buffer, sizeof(buffer));
}
DENIED(listing_a_directory) {
  return syscall(SYS_getdents64, 0, buffer, sizeof(buffer));
}
DENIED(asking_for_the_working_directory) {
  return syscall(SYS_getcwd, buffer, sizeof(buffer));
}
DENIED(asking_for_the_file_system) {
  struct statfs status;

  return syscall(SYS_statfs, "/", &status);
}
DENIED(asking_for_the_file_system_of_a_descriptor) {
  struct statfs status;

  return syscall(SYS_fstatfs, BROKER_FD, &status);
}
DENIED(reading_an_extended_attribute) {
  return syscall(SYS_getxattr, PRESENT, "user.isoq", buffer, sizeof(buffer));
}
DENIED(listing_extended_attributes) {
  return syscall(SYS_listxattr, PRESENT, buffer, sizeof(buffer));
}
DENIED(watching_files_by_inotify) {
  return syscall(SYS_inotify_init1, 0);
}
DENIED(watching_files_by_fanotify) {
  return syscall(SYS_fanotify_init, 0, O_RDONLY);
}
DENIED(asking_for_the_page_cache) {
  return syscall(451 /* cachestat */, 0, buffer, buffer, 0);
}

/* ---- changing ---- */

DENIED(removing_a_file) {
  return syscall(SYS_unlinkat, AT_FDCWD, ABSENT, 0);
}
DENIED(removing_a_directory) {
  return syscall(SYS_unlinkat, AT_FDCWD, ABSENT, AT_REMOVEDIR);
}
DENIED(renaming_a_file) {
  return syscall(SYS_renameat2, AT_FDCWD, ABSENT, AT_FDCWD, ABSENT "2", 0);
}
DENIED(making_a_directory) {
  return syscall(SYS_mkdirat, AT_FDCWD, ABSENT, 0700);
}
DENIED(making_a_symbolic_link) {
  return syscall(SYS_symlinkat, "/", AT_FDCWD, ABSENT);
}
DENIED(making_a_link) {
  return syscall(SYS_linkat, AT_FDCWD, ABSENT, AT_FDCWD, ABSENT "2", 0);
}
DENIED(changing_a_mode) {
  return syscall(SYS_fchmodat, AT_FDCWD, ABSENT, 0777);
}
DENIED(changing_an_owner) {
  return syscall(SYS_fchownat, AT_FDCWD, ABSENT, 0, 0, 0);
}
DENIED(changing_a_time) {
  return syscall(SYS_utimensat, AT_FDCWD, ABSENT, NULL, 0);
}
DENIED(changing_an_extended_attribute) {
  return syscall(SYS_setxattr, ABSENT, "user.isoq", "x", 1, 0);
}
#ifdef SYS_unlink
DENIED(removing_a_file_by_unlink) {
  return syscall(SYS_unlink, ABSENT);
}
DENIED(removing_a_directory_by_rmdir) {
  return syscall(SYS_rmdir, ABSENT);
}
DENIED(renaming_a_file_by_rename) {
  return syscall(SYS_rename, ABSENT, ABSENT "2");
}
DENIED(making_a_directory_by_mkdir) {
  return syscall(SYS_mkdir, ABSENT, 0700);
}
DENIED(making_a_symbolic_link_by_symlink) {
  return syscall(SYS_symlink, "/", ABSENT);
}
DENIED(changing_a_mode_by_chmod) {
  return syscall(SYS_chmod, ABSENT, 0777);
}
DENIED(changing_an_owner_by_chown) {
  return syscall(SYS_chown, ABSENT, 0, 0);
}
#endif
DENIED(changing_the_mode_of_a_descriptor) {
  return syscall(SYS_fchmod, BROKER_FD, 0600);
}
DENIED(cutting_a_file) {
  return syscall(SYS_truncate, ABSENT, 0);
}
DENIED(cutting_a_descriptor) {
  return syscall(SYS_ftruncate, BROKER_FD, 0);
}
DENIED(changing_the_file_mode_mask) {
  return syscall(SYS_umask, 0777);
}
DENIED(writing_all_files_to_the_disk) {
  return syscall(SYS_fsync, BROKER_FD);
}
DENIED(locking_a_file) {
  return syscall(SYS_flock, BROKER_FD, 0);
}
DENIED(setting_a_quota) {
  return syscall(SYS_quotactl, -1, "/dev/null", 0, NULL);
}

/* ---- the root, and mounting ---- */

DENIED(changing_the_directory) {
  return syscall(SYS_chdir, "/");
}
DENIED(changing_the_directory_by_a_descriptor) {
  return syscall(SYS_fchdir, 0);
}
DENIED(changing_the_root) {
  return syscall(SYS_chroot, "/");
}
DENIED(exchanging_the_root) {
  return syscall(SYS_pivot_root, ABSENT, ABSENT);
}
DENIED(mounting) {
  return syscall(SYS_mount, "none", ABSENT, "tmpfs", 0, NULL);
}
DENIED(mounting_again_with_other_rights) {
  return syscall(SYS_mount, NULL, ABSENT, NULL, MS_REMOUNT | MS_BIND, NULL);
}
DENIED(unmounting) {
  return syscall(SYS_umount2, ABSENT, MNT_DETACH);
}
DENIED(opening_a_new_file_system) {
  return syscall(SYS_fsopen, "tmpfs", 0);
}
DENIED(mounting_a_new_file_system) {
  return syscall(SYS_fsmount, 0, 0, 0);
}
DENIED(picking_a_mounted_file_system) {
  return syscall(SYS_fspick, AT_FDCWD, "/", 0);
}
DENIED(configuring_a_file_system) {
  return syscall(SYS_fsconfig, 0, 0, NULL, NULL, 0);
}
DENIED(copying_a_tree_of_mounts) {
  return syscall(SYS_open_tree, AT_FDCWD, "/", 0);
}
DENIED(moving_a_mount) {
  return syscall(SYS_move_mount, AT_FDCWD, ABSENT, AT_FDCWD, ABSENT, 0);
}
DENIED(changing_a_mount) {
  return syscall(442 /* mount_setattr */, AT_FDCWD, ABSENT, 0, NULL, 0);
}
DENIED(listing_mounts) {
  return syscall(458 /* listmount */, NULL, buffer, 1, 0);
}
DENIED(looking_at_a_mount) {
  return syscall(457 /* statmount */, NULL, buffer, sizeof(buffer), 0);
}

/* ---- descriptors ---- */

DENIED(copying_the_socket) {
  return syscall(SYS_dup, BROKER_FD);
}
DENIED(copying_the_socket_to_a_number) {
  return syscall(SYS_dup3, BROKER_FD, 0, 0);
}
DENIED(copying_the_socket_by_fcntl) {
  return syscall(SYS_fcntl, BROKER_FD, F_DUPFD, 0);
}
DENIED(changing_the_mode_of_the_socket) {
  return syscall(SYS_fcntl, BROKER_FD, F_SETFL, O_NONBLOCK);
}
/* The kernel would send that process a signal for us. */
DENIED(sending_the_signals_of_the_socket_elsewhere) {
  return syscall(SYS_fcntl, BROKER_FD, F_SETOWN, deny_broker);
}
DENIED(closing_the_socket) {
  return syscall(SYS_close, BROKER_FD);
}
/* A filter that compares 32 bits where the kernel takes 64, or the other way round, is fooled by these. */
DENIED(closing_a_number_with_high_bits) {
  return syscall(SYS_close, 0x100000003L);
}
DENIED(closing_a_negative_number) {
  return syscall(SYS_close, -1L);
}
DENIED(closing_a_range) {
  return syscall(SYS_close_range, BROKER_FD, ~0U, 0);
}
DENIED(making_a_pipe) {
  int fds[2];

  return syscall(SYS_pipe2, fds, 0);
}
DENIED(making_an_event_descriptor) {
  return syscall(SYS_eventfd2, 0, 0);
}
DENIED(making_a_signal_descriptor) {
  uint64_t mask = 1;

  return syscall(SYS_signalfd4, -1, &mask, sizeof(mask), 0);
}
DENIED(making_a_timer_descriptor) {
  return syscall(SYS_timerfd_create, 1, 0);
}
DENIED(making_an_epoll_descriptor) {
  return syscall(SYS_epoll_create1, 0);
}
DENIED(making_an_io_uring) {
  static char params[256];

  return syscall(SYS_io_uring_setup, 1, params);
}
DENIED(entering_an_io_uring) {
  return syscall(SYS_io_uring_enter, 0, 1, 0, 0, NULL, 0);
}
DENIED(registering_with_an_io_uring) {
  return syscall(SYS_io_uring_register, 0, 0, NULL, 0);
}
DENIED(setting_up_asynchronous_io) {
  unsigned long context = 0;

  return syscall(SYS_io_setup, 1, &context);
}
DENIED(making_a_landlock_ruleset) {
  return syscall(444 /* landlock_create_ruleset */, NULL, 0, 1);
}
DENIED(reading_in_pieces) {
  return syscall(SYS_readv, 0, &io, 1);
}
DENIED(reading_at_a_place) {
  return syscall(SYS_pread64, 0, buffer, 1, 0L);
}
DENIED(reading_the_socket_at_a_place) {
  return syscall(SYS_pread64, BROKER_FD, buffer, 1, 0L);
}
DENIED(writing_at_a_place) {
  return syscall(SYS_pwritev2, 0, &io, 1, 0, 0, 0);
}
DENIED(moving_pages_into_a_pipe) {
  return syscall(SYS_vmsplice, 0, &io, 1, 0);
}
DENIED(splicing) {
  return syscall(SYS_splice, BROKER_FD, NULL, 0, NULL, 1, 0);
}
DENIED(copying_a_pipe) {
  return syscall(SYS_tee, 0, 1, 1, 0);
}
DENIED(sending_a_file) {
  return syscall(SYS_sendfile, BROKER_FD, 0, NULL, 1);
}
DENIED(copying_between_files) {
  return syscall(SYS_copy_file_range, 0, NULL, 1, NULL, 1, 0);
}
#ifdef SYS_select
DENIED(waiting_by_select) {
  struct timeval none = {0, 0};

  return syscall(SYS_select, 0, NULL, NULL, NULL, &none);
}
#endif

/* ---- refused, and not carried out ---- */

/* -1 as it was, if the call left the buffer alone; else a value that no test expects. */
static long untouched(long r) {
  for (size_t i = 0; i < sizeof(struct stat); i++)
    if (buffer[i] != 'x') return 1000;
  return r;
}

REFUSED(looking_at_a_descriptor, EBADF) {
  memset(buffer, 'x', sizeof(buffer));
  return untouched(syscall(SYS_fstat, BROKER_FD, buffer));
}
REFUSED(looking_at_a_path_by_newfstatat, EBADF) {
  memset(buffer, 'x', sizeof(buffer));
  return untouched(syscall(SYS_newfstatat, AT_FDCWD, "/", buffer, 0));
}
/* The one open() that is answered, since a lock of V8 asks for it; whatever is to be opened, nothing is. */
REFUSED(opening_as_the_locks_of_v8_do, EACCES) {
  return syscall(SYS_openat, AT_FDCWD, PRESENT, O_RDONLY | O_CLOEXEC);
}
REFUSED(opening_as_the_locks_of_v8_do_with_high_bits, EACCES) {
  return syscall(SYS_openat, AT_FDCWD, PRESENT, 0x100000000L | O_RDONLY | O_CLOEXEC);
}
DENIED(opening_for_writing_and_close_on_exec) {
  return syscall(SYS_openat, AT_FDCWD, "/dev/null", O_WRONLY | O_CLOEXEC);
}
REFUSED(moving_in_a_file, EBADF) {
  return syscall(SYS_lseek, BROKER_FD, 0, SEEK_SET);
}

/* ---- what the executor is left with ---- */

/* "619 406 381 1 0 89 0": that this is statm, and no more. Asked only where the descriptor is open. */
static bool is_statm(int fd) {
  long len = syscall(SYS_pread64, fd, buffer, sizeof(buffer), 0L);

  return len > 0 && strspn(buffer, "0123456789 \n") == (size_t)len;
}

/* The kernel says that all other descriptors are closed. */
WORKS(only_the_socket_is_open_and_statm_where_there_is_rewinding) {
  long open = 0;

  for (int fd = 0; fd < 4096; fd++) {
    struct pollfd one = {.fd = fd};

    if (poll(&one, 1, 0) == 1 && one.revents & POLLNVAL) continue;
    if (fd == BROKER_FD || (fd == STATM_FD && is_statm(fd))) continue;
#ifdef ISOQ_SANITIZE
    if (fd == STDERR_FILENO) continue; /* for the sanitizers' reports */
#endif
    open++;
  }
  return open == 0 ? 0 : -open - 1;
}
