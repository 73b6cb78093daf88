/*
 * From what an executor said, and how it died, to the one outcome of a job. Pure: no process, no clock, no
 * log.
 *
 * Owns the console entries of the job that runs, until they move into its result.
 */
#ifndef ISOQ_WORKER_OUTCOME_H
#define ISOQ_WORKER_OUTCOME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/status.h"
#include "queue/result.h"
#include "worker/spawn.h"
#include "worker/wire.h"

struct job;

/*
 * How an executor ended: X(name, text for log and counters, the job's status, the error's name, log level).
 * The first ones are our own doing.
 */
#define OUTCOME_END_LIST(X)                                                                                  \
  X(RETIRED, "retired", CANCELLED, "CancelledError", DEBUG) /* it was replaced, or not needed */             \
  X(START, "start", CRASHED, "CrashError", WARN)            /* it never got ready */                         \
  X(TIMEOUT, "timeout", TIMEOUT, "TimeoutError", INFO)                                                       \
  X(CPU_TIMEOUT, "cpu_timeout", CPU_TIMEOUT, "TimeoutError", INFO)                                           \
  X(MEMORY, "memory", OOM, "MemoryError", INFO) /* resident size */                                          \
  X(CANCELLED, "cancelled", CANCELLED, "CancelledError", INFO)                                               \
  X(PROTOCOL, "protocol", CRASHED, "CrashError", WARN) /* it broke a rule of the wire */                     \
  X(BROKER, "broker", CRASHED, "CrashError", WARN)     /* we could not go on with it */                      \
  /* and these it did itself */                                                                              \
  X(OOM, "oom", OOM, "MemoryError", INFO)                                                                    \
  X(GAVE_UP, "gave_up", CRASHED, "CrashError", WARN) /* V8, for another reason */                            \
  X(REWIND, "rewind", CRASHED, "CrashError", WARN)   /* it could not be put back as new after a job */       \
  X(SANDBOX, "sandbox", SANDBOX_VIOLATION, "SandboxError", WARN)                                             \
  X(SIGNAL, "signal", CRASHED, "CrashError", WARN)                                                           \
  X(EXIT, "exit", CRASHED, "CrashError", WARN)

enum outcome_end {
#define X(name, text, status, error_name, level) OUTCOME_END_##name,
  OUTCOME_END_LIST(X)
#undef X
  OUTCOME_END_COUNT
};

#define OUTCOME_MESSAGE_SIZE 768

/* All that is known of one death. */
struct outcome_death {
  bool before_ready; /* it had not said HELLO */
  bool killed;       /* by us, for kill_reason: RETIRED to BROKER */
  enum outcome_end kill_reason;
  char message[OUTCOME_MESSAGE_SIZE]; /* for the reader of the result; "" gives a general one */
  bool gave_up;                       /* a DYING frame came */
  enum isoq_status gave_up_status;
  uint32_t memory_mb;      /* the job's limit, for the message */
  uint64_t resident_bytes; /* of the job, when last looked at; 0: never */
  bool lingers;            /* it is not gone: SIGKILL did nothing for long; `end` is empty */
  struct spawn_end end;
};

const char *outcome_end_name(enum outcome_end end);

/* enum log_level */
int outcome_end_log_level(enum outcome_end end);

enum outcome_end outcome_classify(const struct outcome_death *death);

/* "SIGSEGV, core dumped", "exit status 70", …: how the kernel tells it. */
void outcome_describe(const struct outcome_death *death, char *out, size_t size);

/* ---- one job ---- */

/* Above max_output_bytes: what an executor may send in good faith (the entries that say where the cut is). */
#define OUTCOME_OUTPUT_SLACK_BYTES (64u * 1024)

/* Entries beyond these are dropped, and the stream counts as truncated: an empty line costs us 70 times its
 * size. */
#define OUTCOME_ENTRIES_MAX ((size_t)256 * 1024)

struct outcome {
  uint64_t limit_bytes;
  uint64_t bytes; /* texts and their newlines */
  struct result_console_entry *console;
  size_t count, capacity;
  bool stdout_truncated, stderr_truncated;
};

void outcome_begin(struct outcome *outcome, const struct job *job);
void outcome_clear(struct outcome *outcome);

/* 0, -ENOMEM, or -EOVERFLOW: more output than this job may have, which its executor was to prevent. */
int outcome_console(struct outcome *outcome, const struct wire_console_entry *entry);

/*
 * The result as its executor tells it; takes the console. -EBADMSG: no executor may claim that status;
 * -ENOMEM. Both leave everything as it was. A failure always has an error and never a result, success the
 * other way round.
 */
int outcome_from_result(struct outcome *outcome, const struct wire_result *message, struct job_result *out);

/* The result of a job whose executor died before it told one; takes the console. Always gives a result. */
void outcome_from_death(struct outcome *outcome, const struct outcome_death *death, struct job_result *out);

/* The result of a job that was stopped before it ran. */
void outcome_from_cancel(struct job_result *out);

/* The result of a job that cannot run, because job->error says so. 0 or -ENOMEM. */
int outcome_from_invalid(const struct job *job, struct job_result *out);

#endif
