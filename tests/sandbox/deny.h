/*
 * What an executor must not be able to do, one attempt each: raw system calls made from inside the locked
 * process.
 *
 * The deny_*.c files are linked into two programs. isoq-executor-probe is isoq-executor itself, from the same
 * objects, with one call wrapped (probe.c): a job whose code is `//probe NAME` makes the attempt of that name
 * where any other job runs JavaScript. test_deny.c plays the broker, starts that program as a broker does,
 * and compares what became of it with what is written here; it never makes an attempt itself.
 *
 * An attempt's arguments are those of somebody who means it, as far as they do no harm to the machine of the
 * test should the call get through. It returns what syscall() returned, errno beside it.
 */
#ifndef ISOQ_TESTS_DENY_H
#define ISOQ_TESTS_DENY_H

#include <stddef.h>
#include <sys/types.h>

enum deny_end {
  DENY_DIES,           /* SIGSYS; in a sanitizer build, whose filter is lenient, EPERM */
  DENY_DIES_OR_FAULTS, /* SIGSYS, or SIGSEGV from a kernel that has no such entry; in every build */
  DENY_REFUSED,        /* -1 and the errno below, and the process goes on */
  DENY_WORKS,          /* not below zero: for what cannot be denied, and as the control */
};

struct deny_case {
  const char *subject; /* of its file: "files" */
  const char *name;    /* what must not happen: "opening_a_file" */
  long (*attempt)(void);
  enum deny_end end;
  int error;
  const char *file;
  int line;
};

/* All cases of the program, in no certain order; NULL beyond the last. */
const struct deny_case *deny_at(size_t index);

/* The id of the process that started the executor. Set before the lock-down; asking for it is denied. */
extern pid_t deny_broker;

/*
 * DENIED(name) { return syscall(...); } defines a case and enters it in the list: the linker makes an array
 * of the pointers. The file defines DENY_SUBJECT before.
 */
#define DENY_CASE(name, end, error)                                                                          \
  static long attempt_##name(void);                                                                          \
  static const struct deny_case case_##name = {DENY_SUBJECT, #name,    attempt_##name, end,                  \
                                               error,        __FILE__, __LINE__};                            \
  __attribute__((section("deny_cases"), used)) static const struct deny_case *const entry_##name =           \
      &case_##name;                                                                                          \
  static long attempt_##name(void)

#define DENIED(name) DENY_CASE(name, DENY_DIES, 0)
#define DENIED_OR_FAULTS(name) DENY_CASE(name, DENY_DIES_OR_FAULTS, 0)
#define REFUSED(name, error) DENY_CASE(name, DENY_REFUSED, error)
#define WORKS(name) DENY_CASE(name, DENY_WORKS, 0)

#endif
