/*
 * Memory is private, anonymous, and the process's own.
 *
 * What is not denied, and cannot be: making private memory executable. V8 compiles into pages that it makes
 * with mprotect(PROT_EXEC), in the same process and by the same calls as any code that took V8 over would.
 * The kernel's PR_SET_MDWE forbids both or neither; its memory protection keys are changed by an instruction
 * that needs no system call. So the last case here says what is: such code runs, in a process where that does
 * not help it, because every way out is closed to machine code as it is to JavaScript. Executable memory out
 * of a file, or shared with another process, is denied.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/sandbox/deny.h"

#define DENY_SUBJECT "memory"
#define BROKER_FD 3
#define PAGE 4096L

#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08
#endif

static char page[2 * PAGE] __attribute__((aligned(4096)));

static long map(long protection, long flags, long fd) {
  return syscall(SYS_mmap, NULL, PAGE, protection, flags, fd, 0L);
}

/* ---- mapping ---- */

DENIED(mapping_shared_memory) {
  return map(PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
}
DENIED(mapping_shared_executable_memory) {
  return map(PROT_READ | PROT_EXEC, MAP_SHARED | MAP_ANONYMOUS, -1);
}
DENIED(mapping_shared_memory_by_its_newer_name) {
  return map(PROT_READ, MAP_SHARED_VALIDATE | MAP_ANONYMOUS, -1);
}
DENIED(mapping_a_file) {
  return map(PROT_READ, MAP_PRIVATE, BROKER_FD);
}
DENIED(mapping_a_file_as_executable) {
  return map(PROT_READ | PROT_EXEC, MAP_PRIVATE, BROKER_FD);
}
DENIED(mapping_a_file_for_all) {
  return map(PROT_READ | PROT_WRITE, MAP_SHARED, BROKER_FD);
}
DENIED(mapping_huge_pages) {
  return map(PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1);
}
DENIED(mapping_locked_memory) {
  return map(PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1);
}
DENIED(mapping_a_growing_stack) {
  return map(PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1);
}
DENIED(mapping_memory_of_no_kind) {
  return map(PROT_READ, MAP_ANONYMOUS, -1);
}
REFUSED(mapping_droppable_memory, ENOMEM) {
  return map(PROT_READ, MAP_DROPPABLE | MAP_ANONYMOUS, -1);
}
DENIED(mapping_by_the_old_call) {
  return syscall(SYS_remap_file_pages, page, PAGE, 0, 0, 0);
}
DENIED(moving_memory_and_keeping_the_place) {
  return syscall(SYS_mremap, page, PAGE, PAGE, MREMAP_MAYMOVE | 4 /* DONTUNMAP */, NULL);
}
DENIED(moving_memory_with_flags_above_32_bits) {
  return syscall(SYS_mremap, page, PAGE, PAGE, 0x100000000L, NULL);
}
DENIED(making_a_shadow_stack) {
  return syscall(453 /* map_shadow_stack */, 0, PAGE, 0);
}
DENIED(sealing_memory) {
  return syscall(462 /* mseal */, page, 0, 0);
}

/* ---- protecting ---- */

DENIED(protecting_downwards) {
  return syscall(SYS_mprotect, page, PAGE, PROT_READ | PROT_WRITE | PROT_GROWSDOWN);
}
DENIED(protecting_upwards) {
  return syscall(SYS_mprotect, page, PAGE, PROT_READ | PROT_WRITE | PROT_GROWSUP);
}
DENIED(protecting_with_a_bit_that_linux_does_not_have) {
  return syscall(SYS_mprotect, page, PAGE, PROT_READ | PROT_WRITE | 0x8);
}
DENIED(protecting_with_bits_above_32) {
  return syscall(SYS_mprotect, page, PAGE, 0x100000000L | PROT_READ | PROT_WRITE);
}
DENIED(protecting_by_a_key) {
  return syscall(SYS_pkey_mprotect, page, PAGE, PROT_READ | PROT_WRITE, -1);
}
DENIED(freeing_a_key) {
  return syscall(SYS_pkey_free, 15);
}
REFUSED(allocating_a_key, ENOSYS) {
  return syscall(SYS_pkey_alloc, 0, 0);
}

/* ---- advising ---- */

#define DENIED_ADVICE(name, advice)                                                                          \
  DENIED(name) {                                                                                             \
    return syscall(SYS_madvise, page, 0, advice);                                                            \
  }

DENIED_ADVICE(advising_hardware_poison, 100)
DENIED_ADVICE(advising_soft_offline, 101)
DENIED_ADVICE(advising_mergeable, MADV_MERGEABLE)
DENIED_ADVICE(advising_remove, MADV_REMOVE)
DENIED_ADVICE(advising_will_need, MADV_WILLNEED)
DENIED_ADVICE(advising_cold, MADV_COLD)
DENIED_ADVICE(advising_page_out, MADV_PAGEOUT)
DENIED_ADVICE(advising_wipe_on_fork, MADV_WIPEONFORK)
DENIED_ADVICE(advising_do_dump, MADV_DODUMP)
DENIED_ADVICE(advising_populate, 22 /* POPULATE_READ */)
DENIED_ADVICE(advising_collapse, 25)
DENIED_ADVICE(advising_guard, 102 /* GUARD_INSTALL */)
DENIED(advising_the_broker) {
  return syscall(SYS_process_madvise, 0, NULL, 0, MADV_PAGEOUT, 0);
}
DENIED(freeing_the_memory_of_a_dying_process) {
  return syscall(448 /* process_mrelease */, 0, 0);
}

/* ---- locking, looking, placing ---- */

DENIED(locking_memory) {
  return syscall(SYS_mlock, page, PAGE);
}
DENIED(locking_memory_by_mlock2) {
  return syscall(SYS_mlock2, page, PAGE, 0);
}
DENIED(locking_all_memory) {
  return syscall(SYS_mlockall, 1);
}
DENIED(unlocking_memory) {
  return syscall(SYS_munlock, page, PAGE);
}
DENIED(writing_memory_back) {
  return syscall(SYS_msync, page, PAGE, MS_ASYNC);
}
/* Which pages of a library somebody else has just used. */
DENIED(asking_which_pages_are_present) {
  return syscall(SYS_mincore, page, PAGE, page + PAGE);
}
DENIED(placing_memory) {
  return syscall(SYS_mbind, page, PAGE, 0, NULL, 0, 0);
}
DENIED(placing_all_memory) {
  return syscall(SYS_set_mempolicy, 0, NULL, 0);
}
DENIED(asking_where_memory_is) {
  return syscall(SYS_get_mempolicy, NULL, NULL, 0, NULL, 0);
}
DENIED(moving_pages_of_the_broker) {
  return syscall(SYS_move_pages, deny_broker, 0, NULL, NULL, NULL, 0);
}
DENIED(migrating_the_broker) {
  return syscall(SYS_migrate_pages, deny_broker, 0, NULL, NULL);
}

/* ---- what there is ---- */

WORKS(mapping_private_memory) {
  long at = map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

  return at == -1 ? -1 : syscall(SYS_munmap, at, PAGE);
}

/* See the top of this file. */
WORKS(running_code_in_private_memory_which_cannot_be_denied_to_a_jit) {
#if defined(__x86_64__)
  static const uint8_t code[] = {0xb8, 42, 0, 0, 0, 0xc3}; /* return 42 */
#elif defined(__aarch64__)
  static const uint32_t code[] = {0x52800540, 0xd65f03c0};
#else
#error "the same two instructions for this processor"
#endif
  long at = map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  int (*call)(void);

  if (at == -1) return -1;
  memcpy((void *)at, code, sizeof(code));
  if (syscall(SYS_mprotect, at, PAGE, PROT_READ | PROT_EXEC) != 0) return -1;
  __builtin___clear_cache((char *)at, (char *)at + sizeof(code));
  memcpy(&call, &at, sizeof(call));
  return call() == 42 ? 0 : -1;
}
