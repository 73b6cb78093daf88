/*
 * The broker's view of one isoq-executor process, from its start to its obituary.
 *
 *                     HELLO                  JOB
 *     SPAWNING ─────────────────▶ READY ◀──────────▶ BUSY          RESULT leads back
 *         │                         │                  │
 *         └───── kill, a broken rule, end of stream, RESULT of an unclean job ─────▶ DRAINING ──▶ DEAD
 *
 * Owns the process, its descriptors, its timers, and the job while it runs. DRAINING: no job is given any
 * more, the process is about to end; a job that is still inside gets its outcome from what the socket still
 * holds, else from the death. Messages permitted in each state are a table in executor.c, and whatever breaks
 * it costs this executor only.
 *
 * Callbacks come from the event loop, never from within a call of this header, except `changed`.
 */
#ifndef ISOQ_WORKER_EXECUTOR_H
#define ISOQ_WORKER_EXECUTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/outcome.h"
#include "worker/spawn.h"

struct event_base;
struct executor;
struct job;
struct job_result;

#define EXECUTOR_AHEAD_MAX 32   /* jobs in an executor's socket, beside the one that runs */
#define EXECUTOR_PATIENCE_MS 10 /* they come back from behind one that takes longer */
_Static_assert(2 * EXECUTOR_AHEAD_MAX <= 64,
               "an executor notes 64 jobs that it gave back, of which some may be unread");

enum executor_state {
  EXECUTOR_SPAWNING,
  EXECUTOR_READY,
  EXECUTOR_BUSY,
  EXECUTOR_DRAINING,
  EXECUTOR_DEAD,
  EXECUTOR_STATES
};

/* What a test may replace. NULL members: the real thing. */
struct executor_faults {
  int (*start)(const char *path, bool unlocked, uint32_t rewind_mb, struct spawn_child *out, char *error,
               size_t error_size);
  int64_t (*resident_bytes)(const struct spawn_child *child);
  void (*signal)(const struct spawn_child *child, int signal);
};

/* The debugger of every job that an executor is given. Called from the event loop, `started` from executor_run() too. */
struct executor_inspect {
  void *ctx;
  /* The job waits for executor_inspect(). */
  void (*started)(void *ctx, const struct job *job);
  /* A message of the Chrome DevTools protocol, for the debugger. It was written by who may be a stranger. */
  void (*message)(void *ctx, const char *text, size_t len);
};

struct executor_options {
  const char *path;   /* borrowed, for executor_new() */
  bool unlocked;      /* one that is not locked down is accepted only then */
  uint32_t rewind_mb; /* above 0: jobs with this memory_mb share an isolate, rewound after each */
  uint32_t grace_ms, start_timeout_ms, memory_slack_mb, max_timers;
  uint64_t max_result_bytes;
  struct bindings *bindings; /* the host functions; borrowed; NULL: jobs have none */
  const struct executor_inspect
      *inspect; /* borrowed; NULL: no job has a debugger. With one, there is no time limit */
  const struct executor_faults *faults; /* may be NULL */
};

struct executor_callbacks {
  /* The state is `to` now: for counting; must not call back. */
  void (*changed)(void *ctx, enum executor_state from, enum executor_state to);
  void (*ready)(void *ctx);
  /*
   * A job that executor_run() took has its outcome; it is the callee's again. The state is READY (a job may
   * be given at once), DRAINING, or BUSY with the next one that was sent ahead. Contents of `result` may be moved out by zeroing it; the rest is freed on
   * return.
   */
  void (*done)(void *ctx, struct job *job, struct job_result *result);
  /*
   * The executor has not begun the job, and will not: it gave it back, or it ended before. (Or it was killed for the job
   * before, too late, and may just have begun.) The job is the callee's again, without an outcome. False: not taken, the
   * job gets its outcome from the death; permitted where the state is DRAINING. May be NULL where nothing is sent ahead.
   */
  bool (*returned)(void *ctx, struct job *job);
  /* The process is gone and logged, and has no job. The callee frees the executor. */
  void (*dead)(void *ctx);
};

/* Starts the process. 0, or a negative errno with what failed in `error`. */
int executor_new(struct event_base *base, const struct executor_options *options,
                 const struct executor_callbacks *callbacks, void *ctx, struct executor **out, char *error,
                 size_t error_size);

/* Kills and reaps it if need be; no callback. Has no job, or the caller took it by executor_abandon(). */
void executor_free(struct executor *executor);

/*
 * Takes the job on 0; -ENOMEM: it stays the caller's. READY: it runs now. BUSY, and executor_has_room(): it is sent
 * ahead, and runs after those which were given before it. Its deadlines begin when it does. If the one that runs takes
 * longer than EXECUTOR_PATIENCE_MS, or waits for anything, those ahead come back by `returned`. executor_flush() sends
 * what was given.
 */
int executor_run(struct executor *executor, struct job *job);
void executor_flush(struct executor *executor);

/* BUSY with a job that has just begun and has asked for nothing: others may be sent ahead. */
bool executor_keeps_up(const struct executor *executor);
/* And this one is small, with fewer than EXECUTOR_AHEAD_MAX before it. */
bool executor_has_room(const struct executor *executor, const struct job *job);
unsigned executor_ahead(const struct executor *executor); /* jobs sent ahead and not begun */

/* Asks for the jobs that were sent ahead: each comes back by `returned`, unless it begins before the question arrives. */
void executor_take_back(struct executor *executor);

/* A message of the debugger, to the job that runs; empty: the debugger has gone. 0; -ENOENT: none runs that has a
 * debugger; -EMSGSIZE: above WIRE_INSPECT_MAX; -ENOMEM. */
int executor_inspect(struct executor *executor, const char *text, size_t len);

/* BUSY: asks the executor to stop the job, and kills it after the grace. Otherwise nothing. */
void executor_cancel(struct executor *executor);

/* It is not needed any more, and has no job. */
void executor_retire(struct executor *executor);

/* Kills it; a job of its, which gets no outcome; NULL: no more. */
struct job *executor_abandon(struct executor *executor);

enum executor_state executor_state(const struct executor *executor);
const struct job *executor_job(const struct executor *executor);
uint32_t executor_jobs(const struct executor *executor);          /* given to it so far */
int64_t executor_ready_ms(const struct executor *executor);       /* since it got ready; -1: it never did */
const char *executor_v8_version(const struct executor *executor); /* "" before it is ready */
pid_t executor_pid(const struct executor *executor);

/* Once DEAD: how, and (for one that never got ready) why in words. */
const struct outcome_death *executor_death(const struct executor *executor);

#endif
