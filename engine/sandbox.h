/*
 * The lock-down of the executor's process: what remains after sandbox_enter() is memory, a clock, a timer and
 * the descriptors that are open already.
 *
 * Two kinds of measures. Those which every Linux grants (resource limits, no capabilities, no_new_privs, the
 * seccomp filter) must succeed, or the process must not run a job. Those which a machine may refuse to an
 * ordinary user or inside a container (namespaces, an empty root, another uid) are taken where possible and
 * reported: seccomp alone leaves no system call through which they would be missed.
 *
 * The process must be single-threaded, must have opened every file it needs, and must have loaded every
 * library. There is no way back.
 */
#ifndef ISOQ_ENGINE_SANDBOX_H
#define ISOQ_ENGINE_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

struct sandbox_options {
  int highest_fd; /* the highest descriptor in use; there cannot be one above it afterwards */
  int statm_fd;   /* of /proc/self/statm: may be read again and again (rewind.hh); -1: there is none */
  /*
   * Unknown system calls fail with EPERM instead of ending the process: a sanitizer's report makes some that
   * cannot be listed. For sanitizer builds only.
   */
  bool lenient;
};

struct sandbox_report {
  char text[256]; /* what is in force: "uid,caps,rlimits,seccomp", see the source for the names */
  bool seccomp;
};

/*
 * Locks this process down. Returns 0 and fills *report; or a negative errno with a message in `error` (never
 * longer than `error_size`) that names the step. The process may be half locked down then and must end.
 */
int sandbox_enter(const struct sandbox_options *options, struct sandbox_report *report, char *error,
                  size_t error_size);

#endif
