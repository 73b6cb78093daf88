/*
 * The executors of one broker: a fixed number of slots, each an isoq-executor process, spare ones to take the
 * place of those that end, and the jobs given to them.
 *
 * Owns the processes, their sockets and every deadline. A job goes to an idle executor of its own tenant,
 * else to one that has served nobody; a job with a process of its own only to the latter, and that executor
 * is given no other. A job given while none is free waits in the pool (first come, first served), or, while jobs are
 * small, in the socket of an executor of its tenant, even if another one is idle, from where it comes back if that one
 * gets busy. Each job gets exactly one outcome, whatever its executor does: pool_done_fn is called once per
 * pool_submit() that returned 0.
 */
#ifndef ISOQ_WORKER_POOL_H
#define ISOQ_WORKER_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "queue/job.h"
#include "queue/result.h"
#include "worker/outcome.h"

struct event_base;
struct executor_faults;
struct executor_inspect;
struct pool;

struct pool_options {
  unsigned executors;             /* slots: as many jobs run at once; 1..256 */
  unsigned spare_executors;       /* more processes than slots, which have served nobody; 0..256 */
  unsigned processors;            /* executors that small jobs of a tenant keep busy, at most; 0: any
                                     number */
  const char *executor_path;      /* NULL: beside this program, else ../libexec/isoq */
  uint32_t grace_ms;              /* after a job's deadline, before SIGKILL; 250 */
  uint32_t start_timeout_ms;      /* SPAWNING to READY; 10 000 */
  uint32_t max_jobs_per_executor; /* then it is replaced, as soon as a fresh one is ready; 1 000 */
  uint32_t memory_slack_mb;       /* resident size above a job's memory_mb that is one too many; 64, plus the
                                     executor's own at READY */
  uint64_t max_result_bytes;
  uint32_t max_timers;
  struct bindings *bindings; /* the host functions; borrowed; NULL: jobs have none */
  const struct executor_inspect
      *inspect;       /* a debugger of every job (executor.h); borrowed; NULL: there is none */
  bool unlocked;      /* the operator asked by name for executors without a sandbox */
  uint32_t rewind_mb; /* see executor.h */
  const char *worker; /* name for results; "" in isoq run */
  const struct executor_faults *faults; /* for tests; borrowed; NULL */
};

/* What became of this pool's executors and jobs so far. */
struct pool_counters {
  uint64_t started;                  /* executors */
  uint64_t ended[OUTCOME_END_COUNT]; /* executors, by kind of end */
  uint64_t jobs[ISOQ_STATUS_COUNT];  /* jobs, by outcome */
};

typedef void (*pool_done_fn)(void *ctx, struct job *job, struct job_result *result);

struct pool_callbacks {
  void *ctx;
  /* A job has its result. Ownership of job passes back to the callee; `result` is the pool's, freed on
   * return. */
  pool_done_fn done;
  /* The number of jobs that could start at once changed (idle slots minus waiting jobs); may be NULL. */
  void (*capacity)(void *ctx, unsigned free_slots);
  /* Executors do not start, for this reason (pool_trouble()); the next try is in retry_ms. May be NULL. */
  void (*trouble)(void *ctx, const char *why, int64_t retry_ms);
};

/*
 * Spawns the executors at once, and the spare ones when these are ready. Returns 0, -ENOENT when there is no executor program (`error` says where it
 * was looked for), or another negative errno.
 */
int pool_new(struct event_base *base, const struct pool_options *options,
             const struct pool_callbacks *callbacks, struct pool **out, char *error, size_t error_size);

/* Kills the executors and frees everything. No callback is called for jobs still inside: pool_take_back()
 * first. */
void pool_free(struct pool *pool);

/*
 * Takes ownership of a valid `job` on 0. -ENOMEM or -ESHUTDOWN: it stays the caller's. Like pool_cancel(), it
 * may be called from within `done`, and never calls `done` itself.
 */
int pool_submit(struct pool *pool, struct job *job);

/* Stops one job, waiting or running, by queue (NULL: any) and id; its outcome is `cancelled`. 0 or -ENOENT. */
int pool_cancel(struct pool *pool, const char *queue, const char *id);

/* A message of the debugger, to the job that runs; of several, to any. As executor_inspect(). */
int pool_inspect(struct pool *pool, const char *text, size_t len);

unsigned pool_free_slots(const struct pool *pool);
size_t pool_executors(const struct pool *pool); /* ready or busy, spare ones too */
size_t pool_busy(const struct pool *pool);      /* jobs started and without an outcome */
size_t pool_waiting(const struct pool *pool);   /* jobs given and not started, sent ahead or not */

/* For how long, by its pace, the busy executor with the fewest jobs sent ahead has work; 0: one has none, or none is busy. */
double pool_work_ahead_ms(const struct pool *pool);

/* The jobs that run now, one call each. */
void pool_each_running(const struct pool *pool, void (*each)(void *ctx, const struct job *job), void *ctx);

/*
 * Hands back the jobs that have waited for `waited_ms` and were given to no executor, one call of `take` each, oldest
 * first: so that a job which was fetched ahead is not stuck behind a long one while other workers are idle.
 */
void pool_take_waiting(struct pool *pool, uint32_t waited_ms, void (*take)(void *ctx, struct job *job),
                       void *ctx);

/*
 * Drain's end: stops every job without an outcome and hands the jobs back, one call of `take` each. From then
 * on no job is accepted and no executor started.
 */
void pool_take_back(struct pool *pool, void (*take)(void *ctx, struct job *job), void *ctx);

/* When the pool cannot start executors at all: why, else NULL. (Bad path, sandbox refused: for log and
 * health.) */
const char *pool_trouble(const struct pool *pool);

/* "13.6.233.17-node.28": of its executors; "" before one was ready. */
const char *pool_v8_version(const struct pool *pool);

const struct pool_counters *pool_counters(const struct pool *pool);

#endif
