/*
 * Starting isoq-executor, and what can be known of a child from outside: its end, its resident size, its
 * processor time.
 *
 * A child has the socket as descriptor 3 and nothing else of ours: an empty environment, /dev/null as 0 and
 * 1, a pipe (or, in sanitizer builds, our own stderr) as 2, its own session, default signals, no core file. The kernel
 * kills it when this process dies, since an executor that runs JavaScript does not look at its socket.
 */
#ifndef ISOQ_WORKER_SPAWN_H
#define ISOQ_WORKER_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SPAWN_SOCKET_FD 3
#define SPAWN_PATH_SIZE 4096
#define SPAWN_ERROR_SIZE 256

struct spawn_child {
  pid_t pid;
  int pidfd;     /* readable when the child has ended; signals go through it, so never to a reused pid */
  int socket;    /* non-blocking */
  int stderr_fd; /* what it says before it is ready; non-blocking; -1 in sanitizer builds */
  int statm_fd;  /* /proc/PID/statm, held open: a locked-down child may be out of sight later. -1: none */
};

struct spawn_end {
  bool exited; /* else killed by `signal` */
  int exit_code;
  int signal;
  bool core_dumped;
  int64_t cpu_ns; /* used in its life */
};

/*
 * Finds the program: `configured` where it is not empty, else isoq-executor beside this program, else in
 * ../libexec/isoq. Returns 0, or -ENOENT / -EACCES with the places looked at in `error`.
 */
int spawn_find(const char *configured, char path[SPAWN_PATH_SIZE], char *error, size_t error_size);

/* Runs the program; rewind_mb 0: without --rewind. 0, or a negative errno with the step that failed in `error`; nothing is left behind then.
 */
int spawn_start(const char *path, bool unlocked, uint32_t rewind_mb, struct spawn_child *out, char *error,
                size_t error_size);

/* Sends a signal to the child and no other; harmless when it has ended. */
void spawn_signal(const struct spawn_child *child, int signal);

/* SIGUSR1 with the job's number in its value, so that it can stop no other job, however late it comes. */
void spawn_cancel(const struct spawn_child *child, uint32_t job);

/* SIGUSR2: the jobs with a number above `after` and not above `up_to` are asked back (wire.h, RETURNED). */
void spawn_take_back(const struct spawn_child *child, uint32_t after, uint32_t up_to);

/* Reaps a child that has ended: 0, or -EAGAIN when it has not. */
int spawn_reap(const struct spawn_child *child, struct spawn_end *out);

/* Closes the descriptors. The child must have been reaped, or will be init's. */
void spawn_close(struct spawn_child *child);

/* Resident bytes now, shared pages included; -1 when not known. */
int64_t spawn_resident_bytes(const struct spawn_child *child);

/* Processor time used until now; -1 when not known. Not for a child that was reaped: its pid is somebody
 * else's. */
int64_t spawn_cpu_ns(const struct spawn_child *child);

#endif
