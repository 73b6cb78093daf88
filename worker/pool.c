/*
 * Which executor runs which job. A member is one executor and what the pool knows of it. It is fresh until
 * its first job, bound to that job's tenant from then on, and ending when it is no use any more. There are
 * `executors` + `spare_executors` members that are not ending, of which no more than `executors` are bound:
 * the rest is fresh, or about to be. Any number of ending ones wait for their process to be gone. So whatever
 * ends, what takes its place was there before, and what takes the place of that starts while the old process
 * is still being torn down.
 *
 * Jobs wait in one line. pool_dispatch() walks it from its head whenever something changed, and gives each
 * job an idle executor of its tenant, else a fresh one, else leaves it to one that is starting. A fresh one
 * that would be one bound too many makes the executor that was idle for longest, and so belongs to another
 * tenant, go. So does a job for which none of all these is left; but one whose tenant has an executor that is busy with
 * small jobs waits for START_MS first, or two tenants would end each other's executors all the time. A job may overtake
 * only those which nothing
 * idle could serve, and no more than `executors` run at once, counted until they have their outcome.
 *
 * A job with a process of its own is given a fresh executor, which ends with it.
 *
 * A small job takes less time than two processes need to wake each other. So when nothing idle can serve the job that is
 * first in line, and an executor of its tenant has run small jobs of late, it is sent to that one ahead of its turn, and
 * so are those behind it: as many as are done in AHEAD_MS, and more when half of them are. What got stuck behind a job that
 * takes longer comes back (executor.h), into the line where it was, and waits there for an idle one. Only the first in line is
 * sent ahead: a tenant that has no executor yet is not overtaken for ever. While as many executors as there are processors
 * keep up with a tenant's small jobs, it gets no further one (pool_leaves_idle()).
 *
 * An executor that has served its number of jobs is worn: it ends when a fresh one is ready to take its
 * place, and goes on working until then (or until it has served twice its number). While there is a worn one,
 * a pool without spares keeps one. So a planned replacement costs no time.
 *
 * Jobs come before spares: they are given to what is ready before anything is started, and what is started
 * for later waits until nothing else is starting.
 *
 * An executor that dies before it did anything useful must not be started again in a tight loop: such ends
 * are counted, and delay the next start (100 ms doubling to 10 s, jittered). While they go on, one executor
 * is tried at a time, no idle one has to go for another tenant, and pool_trouble() says why.
 *
 * `done` is called from the event loop only. Outcomes that the pool makes itself (a waiting job is cancelled)
 * go through a list and an event, so that nobody's pool_submit() or pool_cancel() calls him back.
 */
#include "worker/pool.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>

#include "worker/clock.h"
#include "worker/executor.h"

#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 10000
#define POOL_MAX 256
#define RETURNS_MAX 3 /* an executor that ends so may lie */
#define AHEAD_MS 2.0
#define PACE_SMALL_MS 0.25
#define START_MS 100         /* what a start takes, and more */
#define PACE_UNKNOWN_MS 10.0 /* no job is sent ahead */
#define LIVED_MS 1000        /* an executor that was ready for so long did start properly */

/* A job in one of three lists: waiting for an executor, given to one, or settled without one. */
struct waiter {
  TAILQ_ENTRY(waiter) entry;
  struct job *job;
  int64_t since_ns, started_ns; /* 0: not yet */
  unsigned returns;             /* by executors that did not begin it */
  bool cancelled;               /* given, and not started */
  struct job_result result;     /* settled */
};
TAILQ_HEAD(waiters, waiter);

struct member {
  LIST_ENTRY(member) entry;
  struct pool *pool;
  struct executor *executor;
  bool worn, last_job;
  bool bound; /* to `tenant`; not fresh any more */
  char tenant[JOB_TENANT_MAX + 1];
  int64_t idle_since_ns;
  struct waiters given; /* the first one runs, the others were sent ahead */
  double pace_ms;       /* of its jobs: how long one takes, on average of late */
  bool behind;          /* less than half of what may be ahead is */
};

struct pool {
  struct event_base *base;
  struct pool_options options;
  struct pool_callbacks callbacks;
  struct executor_options executor_options;
  char path[SPAWN_PATH_SIZE];
  char worker[sizeof(((struct job_result *)0)->worker)];
  char v8_version[65]; /* of the executor that got ready last */

  LIST_HEAD(, member) members;
  unsigned by_state[EXECUTOR_STATES]; /* members */
  unsigned running;                   /* jobs that were started and have no outcome */
  unsigned ahead;                     /* jobs that were given, and not started */

  struct waiters waiting;
  size_t waiting_count;
  struct waiters settled; /* have a result, and wait for `deliver` */
  struct event *deliver;
  struct event *flush;   /* jobs that were sent ahead, to the executors */
  struct event *recheck; /* whether jobs that were left waiting for busy executors still have to */

  struct event *respawn;
  unsigned failures; /* in a row */
  bool shut;
  char trouble[OUTCOME_MESSAGE_SIZE];
  struct pool_counters counters;

  unsigned reported; /* free slots, as last told */
  bool reporting;
};

/* ---- numbers ---- */

size_t pool_executors(const struct pool *pool) {
  return pool->by_state[EXECUTOR_READY] + pool->by_state[EXECUTOR_BUSY];
}

size_t pool_busy(const struct pool *pool) {
  return pool->running;
}

double pool_work_ahead_ms(const struct pool *pool) {
  const struct member *member;
  double least = 0;

  LIST_FOREACH(member, &pool->members, entry) {
    double ms = executor_ahead(member->executor) * member->pace_ms;

    if (executor_state(member->executor) != EXECUTOR_BUSY) continue;
    if (least == 0 || ms < least) least = ms;
    if (least <= 0) return 0;
  }
  return least;
}

void pool_each_running(const struct pool *pool, void (*each)(void *ctx, const struct job *job), void *ctx) {
  const struct member *member;

  LIST_FOREACH(member, &pool->members, entry) {
    const struct job *job = executor_job(member->executor);

    if (job != NULL) each(ctx, job);
  }
}

size_t pool_waiting(const struct pool *pool) {
  return pool->waiting_count + pool->ahead;
}

unsigned pool_free_slots(const struct pool *pool) {
  unsigned idle = pool->by_state[EXECUTOR_READY], allowed = pool->options.executors - pool->running;

  if (idle > allowed) idle = allowed;
  return idle > pool->waiting_count && !pool->shut ? idle - (unsigned)pool->waiting_count : 0;
}

const char *pool_trouble(const struct pool *pool) {
  return pool->trouble[0] != '\0' ? pool->trouble : NULL;
}

const char *pool_v8_version(const struct pool *pool) {
  return pool->v8_version;
}

const struct pool_counters *pool_counters(const struct pool *pool) {
  return &pool->counters;
}

/* Tells the owner until what it was told is true: it may submit from within. */
static void pool_report(struct pool *pool) {
  if (pool->callbacks.capacity == NULL || pool->reporting) return;
  pool->reporting = true;
  while (pool->reported != pool_free_slots(pool)) {
    pool->reported = pool_free_slots(pool);
    pool->callbacks.capacity(pool->callbacks.ctx, pool->reported);
  }
  pool->reporting = false;
}

/* ---- starting executors ---- */

static void pool_dispatch(struct pool *pool);
static const struct executor_callbacks member_callbacks;

static int64_t backoff_ms(unsigned failures) {
  int64_t ms = BACKOFF_MIN_MS;
  uint32_t random = 0;

  for (unsigned i = 1; i < failures && ms < BACKOFF_MAX_MS; i++)
    ms *= 2;
  if (ms > BACKOFF_MAX_MS) ms = BACKOFF_MAX_MS;
  if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0) random = 0;
  return ms * 3 / 4 + (int64_t)(random % (unsigned)(ms / 4 + 1));
}

/* An executor did not start, or died too young. Those of one batch count as one. */
static void pool_start_failed(struct pool *pool, const char *why) {
  int64_t ms;
  struct timeval after;

  snprintf(pool->trouble, sizeof(pool->trouble), "%s", why);
  if (pool->shut || event_pending(pool->respawn, EV_TIMEOUT, NULL)) return;
  pool->failures++;
  ms = backoff_ms(pool->failures);
  after = (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
  event_add(pool->respawn, &after);
  if (pool->callbacks.trouble != NULL) pool->callbacks.trouble(pool->callbacks.ctx, why, ms);
}

static int pool_start_one(struct pool *pool) {
  struct member *member = calloc(1, sizeof(*member));
  char error[SPAWN_ERROR_SIZE] = "out of memory", why[SPAWN_ERROR_SIZE + SPAWN_PATH_SIZE + 32];
  int r;

  if (member == NULL) return -ENOMEM;
  member->pool = pool;
  member->pace_ms = PACE_UNKNOWN_MS;
  TAILQ_INIT(&member->given);
  pool->executor_options.path = pool->path;
  r = executor_new(pool->base, &pool->executor_options, &member_callbacks, member, &member->executor, error,
                   sizeof(error));
  if (r < 0) {
    free(member);
    snprintf(why, sizeof(why), "cannot start %s: %s", pool->path, error);
    pool_start_failed(pool, why);
    return r;
  }
  LIST_INSERT_HEAD(&pool->members, member, entry);
  pool->by_state[EXECUTOR_SPAWNING]++;
  pool->counters.started++;
  return 0;
}

static bool member_serves(const struct member *member) {
  enum executor_state state = executor_state(member->executor);

  return state == EXECUTOR_READY || state == EXECUTOR_BUSY;
}

static bool pool_has_worn(const struct pool *pool) {
  const struct member *member;

  LIST_FOREACH(member, &pool->members, entry)
  if (member->worn && member_serves(member)) return true;
  return false;
}

/* Members that are not ending. */
static unsigned pool_living(const struct pool *pool) {
  return (unsigned)pool_executors(pool) + pool->by_state[EXECUTOR_SPAWNING];
}

/* How many more there should be. */
static unsigned pool_missing(const struct pool *pool) {
  unsigned spares = pool->options.spare_executors, wanted;

  if (spares == 0 && pool_has_worn(pool)) spares = 1;
  wanted = pool->options.executors + spares;
  return pool_living(pool) < wanted ? wanted - pool_living(pool) : 0;
}

/* Starts what is missing, as far as past failures allow; those for later one at a time. */
static void pool_fill(struct pool *pool) {
  const unsigned *starting = &pool->by_state[EXECUTOR_SPAWNING];

  while (!pool->shut && pool_missing(pool) > 0) {
    if (event_pending(pool->respawn, EV_TIMEOUT, NULL)) return;
    if (pool->failures > 0 && *starting > 0) return;
    if (pool_living(pool) >= pool->options.executors && *starting > 0 && *starting >= pool->waiting_count)
      return;
    if (pool_start_one(pool) < 0) return;
  }
}

static void on_respawn(evutil_socket_t fd, short what, void *ctx) {
  (void)fd, (void)what;
  pool_fill(ctx);
}

/* ---- what executors tell ---- */

static void member_changed(void *ctx, enum executor_state from, enum executor_state to) {
  struct member *member = ctx;

  member->pool->by_state[from]--;
  member->pool->by_state[to]++;
  if (to == EXECUTOR_READY) member->idle_since_ns = clock_monotonic_ns();
}

/* As many as there are fresh ones to take their place. */
static void pool_retire_worn(struct pool *pool) {
  struct member *member;
  unsigned fresh = 0;

  LIST_FOREACH(member, &pool->members, entry)
  fresh += executor_state(member->executor) == EXECUTOR_READY && !member->bound;
  LIST_FOREACH(member, &pool->members, entry) {
    if (fresh == 0) return;
    if (!member->worn || executor_state(member->executor) != EXECUTOR_READY) continue;
    executor_retire(member->executor);
    fresh--;
  }
}

static void pool_advance(struct pool *pool) {
  pool_retire_worn(pool);
  pool_dispatch(pool);
  pool_fill(pool);
}

static void pool_changed(struct pool *pool) {
  pool_advance(pool);
  pool_report(pool);
}

static void member_ready(void *ctx) {
  struct member *member = ctx;
  struct pool *pool = member->pool;

  snprintf(pool->v8_version, sizeof(pool->v8_version), "%s", executor_v8_version(member->executor));
  pool->trouble[0] = '\0';
  pool_changed(pool);
}

/* After a job that ended cleanly: is it time to go? */
static void member_wear(struct member *member) {
  uint64_t jobs = executor_jobs(member->executor), max = member->pool->options.max_jobs_per_executor;

  member->worn = jobs >= max;
  if (member->last_job || jobs >= 2 * max) executor_retire(member->executor);
}

/* Hands a job and its result to the owner. */
static void pool_deliver(struct pool *pool, struct job *job, struct job_result *result, double queued_ms) {
  result->queued_ms = queued_ms;
  memcpy(result->worker, pool->worker, sizeof(result->worker));
  pool->counters.jobs[(unsigned)result->status < ISOQ_STATUS_COUNT ? result->status : ISOQ_STATUS_CRASHED]++;
  pool->callbacks.done(pool->callbacks.ctx, job, result);
}

/* The executor has gone on to the job that is first now. */
static void member_note_start(struct member *member) {
  struct waiter *first = TAILQ_FIRST(&member->given);
  struct pool *pool = member->pool;

  if (first == NULL || first->started_ns != 0 || executor_job(member->executor) != first->job) return;
  first->started_ns = clock_monotonic_ns();
  pool->ahead--;
  pool->running++;
  if (first->cancelled) executor_cancel(member->executor);
}

static struct waiter *member_find(const struct member *member, const struct job *job) {
  struct waiter *waiter;

  TAILQ_FOREACH(waiter, &member->given, entry)
  if (waiter->job == job) break;
  assert(waiter != NULL);
  return waiter;
}

/* The job need not have been started where the executor is dead. */
static void member_take(struct member *member, struct waiter *waiter) {
  TAILQ_REMOVE(&member->given, waiter, entry);
  if (waiter->started_ns != 0)
    member->pool->running--;
  else
    member->pool->ahead--;
}

static void member_done(void *ctx, struct job *job, struct job_result *result) {
  struct member *member = ctx;
  struct pool *pool = member->pool;
  struct waiter *waiter = member_find(member, job);
  int64_t started_ns = waiter->started_ns != 0 ? waiter->started_ns : clock_monotonic_ns();
  double queued_ms = clock_ms(started_ns - waiter->since_ns);

  member_take(member, waiter);
  free(waiter);
  member->pace_ms += (result->execution_time_ms - member->pace_ms) / 4;
  member_note_start(member);
  if (executor_state(member->executor) == EXECUTOR_READY) {
    pool->failures = 0;
    member_wear(member);
  }
  /* Before the owner hears of it: the next job starts while he works, and the replacement does too. */
  pool_advance(pool);
  pool_deliver(pool, job, result, queued_ms);
  pool_changed(pool);
}

/* Whoever waits for longer is before it. */
static void pool_wait_again(struct pool *pool, struct waiter *waiter) {
  struct waiter *other;

  TAILQ_FOREACH(other, &pool->waiting, entry)
  if (other->since_ns > waiter->since_ns) break;
  if (other != NULL)
    TAILQ_INSERT_BEFORE(other, waiter, entry);
  else
    TAILQ_INSERT_TAIL(&pool->waiting, waiter, entry);
  pool->waiting_count++;
}

static void pool_settle(struct pool *pool, struct waiter *waiter);

static bool member_returned(void *ctx, struct job *job) {
  struct member *member = ctx;
  struct pool *pool = member->pool;
  struct waiter *waiter = member_find(member, job);

  if (waiter->returns == RETURNS_MAX || pool->shut) return false;
  member_take(member, waiter);
  member->pace_ms = PACE_UNKNOWN_MS;
  waiter->returns++;
  waiter->started_ns = 0;
  if (waiter->cancelled) {
    outcome_from_cancel(&waiter->result);
    pool_settle(pool, waiter);
  } else {
    pool_wait_again(pool, waiter);
    event_active(pool->deliver, 0, 0); /* the executor may have more to return before it can be given a job */
  }
  member_note_start(member);
  return true;
}

static void member_dead(void *ctx) {
  struct member *member = ctx;
  struct pool *pool = member->pool;
  const struct outcome_death *death = executor_death(member->executor);
  enum outcome_end end = outcome_classify(death);
  int64_t ready_ms = executor_ready_ms(member->executor);
  char why[OUTCOME_MESSAGE_SIZE];

  pool->counters.ended[end]++;
  if (end != OUTCOME_END_RETIRED && executor_jobs(member->executor) == 0 && ready_ms < LIVED_MS) {
    outcome_describe(death, why, sizeof(why));
    pool_start_failed(pool, death->message[0] != '\0' ? death->message : why);
  } else if (ready_ms >= LIVED_MS) {
    pool->failures = 0;
  }
  LIST_REMOVE(member, entry);
  pool->by_state[EXECUTOR_DEAD]--;
  executor_free(member->executor);
  free(member);
  pool_changed(pool);
}

static const struct executor_callbacks member_callbacks = {
    .changed = member_changed,
    .ready = member_ready,
    .done = member_done,
    .returned = member_returned,
    .dead = member_dead,
};

/* ---- giving jobs to executors ---- */

static struct waiter *waiter_take(struct pool *pool, struct waiter *waiter) {
  TAILQ_REMOVE(&pool->waiting, waiter, entry);
  pool->waiting_count--;
  return waiter;
}

/* Has an outcome without an executor; the loop delivers it. */
static void pool_settle(struct pool *pool, struct waiter *waiter) {
  waiter->result.started_at_ms = waiter->result.finished_at_ms = clock_real_ms();
  TAILQ_INSERT_TAIL(&pool->settled, waiter, entry);
  event_active(pool->deliver, 0, 0);
}

static void on_deliver(evutil_socket_t fd, short what, void *ctx) {
  struct pool *pool = ctx;
  struct waiter *waiter;

  (void)fd, (void)what;
  while ((waiter = TAILQ_FIRST(&pool->settled)) != NULL) {
    TAILQ_REMOVE(&pool->settled, waiter, entry);
    pool_deliver(pool, waiter->job, &waiter->result, clock_ms(clock_monotonic_ns() - waiter->since_ns));
    job_result_free(&waiter->result);
    free(waiter);
  }
  pool_changed(pool);
}

/* The tenant's own, which may run the job. */
static bool member_is_for(const struct member *member, const struct job *job) {
  return member->bound && !job->own_process && strcmp(member->tenant, job->tenant) == 0;
}

/* What there is for a job. */
struct choice {
  struct member *member;   /* idle: its tenant's own, else a fresh one; or NULL */
  struct member *stranger; /* idle for longest of those that cannot be given the job; or NULL */
  unsigned bound;          /* members, idle or not */
  bool soon; /* one of its tenant's, busy with small jobs, is free sooner than a process starts */
};

static struct choice pool_choose(const struct pool *pool, const struct waiter *waiter) {
  bool waited = clock_monotonic_ns() - waiter->since_ns > START_MS * CLOCK_NS_PER_MS;
  struct choice choice = {0};
  struct member *member, *fresh = NULL;

  LIST_FOREACH(member, &pool->members, entry) {
    enum executor_state state = executor_state(member->executor);
    bool own = member_is_for(member, waiter->job);

    choice.bound += member->bound && member_serves(member);
    choice.soon |= own && !waited && state == EXECUTOR_BUSY && member->pace_ms <= PACE_SMALL_MS;
    if (state != EXECUTOR_READY) continue;
    if (!member->bound)
      fresh = member;
    else if (own)
      choice.member = member;
    else if (choice.stranger == NULL || member->idle_since_ns < choice.stranger->idle_since_ns)
      choice.stranger = member;
  }
  if (choice.member == NULL) choice.member = fresh;
  return choice;
}

/* To an idle one, or ahead to one that runs another. */
static void pool_give(struct pool *pool, struct member *member, struct waiter *waiter) {
  int r;

  waiter_take(pool, waiter);
  r = executor_run(member->executor, waiter->job);
  if (r < 0) {
    char message[96];

    snprintf(message, sizeof(message), "the job could not be given to an executor: %s", strerror(-r));
    job_result_set_error(&waiter->result, ISOQ_STATUS_CRASHED, "CrashError", message);
    waiter->result.status = ISOQ_STATUS_CRASHED;
    pool_settle(pool, waiter);
    return;
  }
  member->bound = true;
  member->last_job = waiter->job->own_process;
  snprintf(member->tenant, sizeof(member->tenant), "%s", waiter->job->tenant);
  TAILQ_INSERT_TAIL(&member->given, waiter, entry);
  pool->ahead++;
  member_note_start(member);
}

static unsigned member_ahead_max(const struct member *member) {
  double jobs = AHEAD_MS / (member->pace_ms > 0.01 ? member->pace_ms : 0.01);
  uint64_t served = executor_jobs(member->executor), max = member->pool->options.max_jobs_per_executor;

  if (jobs > EXECUTOR_AHEAD_MAX) jobs = EXECUTOR_AHEAD_MAX;
  if (member->worn || member->last_job || served >= max) return 0;
  return jobs < (double)(max - served) ? (unsigned)jobs : (unsigned)(max - served);
}

/*
 * Small jobs take nothing but processor time. As many executors as there are processors do them as fast as more would,
 * which would only empty each other's caches. False: what is idle is needed.
 */
static bool pool_leaves_idle(const struct pool *pool, const struct waiter *waiter) {
  const struct member *member;
  unsigned enough = pool->options.processors;

  if (enough == 0 || waiter->returns > 0) return false;
  LIST_FOREACH(member, &pool->members, entry)
  if (enough > 0 && member->pace_ms <= PACE_SMALL_MS && member_is_for(member, waiter->job) &&
      member_ahead_max(member) > 0 &&
      (executor_has_room(member->executor, waiter->job) ||
       (executor_ahead(member->executor) == EXECUTOR_AHEAD_MAX && executor_keeps_up(member->executor))))
    enough--;
  return enough == 0;
}

static void pool_recheck_later(struct pool *pool) {
  if (!event_pending(pool->recheck, EV_TIMEOUT, NULL))
    event_add(pool->recheck, &(struct timeval){.tv_usec = EXECUTOR_PATIENCE_MS * 1000});
}

static void pool_give_idle(struct pool *pool) {
  unsigned passed = 0; /* jobs that nothing idle can serve */
  struct waiter *waiter, *next;
  struct choice choice;
  bool too_many; /* to be bound: somebody else's has to go for it */

  for (waiter = TAILQ_FIRST(&pool->waiting); waiter != NULL; waiter = next) {
    if (pool->by_state[EXECUTOR_READY] == 0 || pool->running >= pool->options.executors) return;
    next = TAILQ_NEXT(waiter, entry);
    if (pool_leaves_idle(pool, waiter)) {
      pool_recheck_later(pool);
      return; /* whoever is behind it waits no longer than small jobs take */
    }
    choice = pool_choose(pool, waiter);
    too_many = choice.member != NULL && !choice.member->bound && choice.bound >= pool->options.executors;
    if (choice.soon && choice.stranger != NULL && (choice.member == NULL || too_many)) {
      pool_recheck_later(pool);
      continue; /* a start costs as much as thousands of small jobs: nobody's executor has to go for this one */
    }
    if (choice.member != NULL) {
      if (too_many) {
        assert(choice.stranger != NULL); /* fewer jobs run than are bound, and none idle is this tenant's */
        executor_retire(choice.stranger->executor);
      }
      pool_give(pool, choice.member, waiter);
      continue;
    }
    /* It gets one that is starting, if there are enough for those before it; else one more has to go. */
    if (passed >= pool->by_state[EXECUTOR_SPAWNING] + pool_missing(pool) && choice.stranger != NULL &&
        pool_trouble(pool) == NULL)
      executor_retire(choice.stranger->executor);
    passed++;
  }
}

/* The one with the fewest before it; NULL: none. */
static struct member *pool_choose_busy(const struct pool *pool, const struct waiter *waiter) {
  struct member *member, *best = NULL;

  if (waiter->returns > 0) return NULL;
  LIST_FOREACH(member, &pool->members, entry) {
    unsigned ahead = executor_ahead(member->executor), max;

    if (executor_state(member->executor) != EXECUTOR_BUSY || !member_is_for(member, waiter->job)) continue;
    max = member_ahead_max(member);
    if (ahead <= max / 2) member->behind = true;
    if (ahead >= max) member->behind = false;
    if (member->behind && (best == NULL || ahead < executor_ahead(best->executor)) &&
        executor_has_room(member->executor, waiter->job))
      best = member;
  }
  return best;
}

static void pool_dispatch(struct pool *pool) {
  struct member *member;
  struct waiter *waiter;

  pool_give_idle(pool);
  while ((waiter = TAILQ_FIRST(&pool->waiting)) != NULL && (member = pool_choose_busy(pool, waiter)) != NULL)
    pool_give(pool, member, waiter);
  LIST_FOREACH(member, &pool->members, entry)
  if (executor_ahead(member->executor) == 0)
    executor_flush(member->executor);
  else
    event_active(pool->flush, 0, 0); /* what comes in this turn of the loop goes with these */
}

static void on_flush(evutil_socket_t fd, short what, void *ctx) {
  struct pool *pool = ctx;
  struct member *member;

  (void)fd, (void)what;
  LIST_FOREACH(member, &pool->members, entry)
  executor_flush(member->executor);
}

static void on_recheck(evutil_socket_t fd, short what, void *ctx) {
  (void)fd, (void)what;
  pool_changed(ctx);
}

int pool_submit(struct pool *pool, struct job *job) {
  struct waiter *waiter;

  assert(job->error == NULL);
  if (pool->shut) return -ESHUTDOWN;
  waiter = calloc(1, sizeof(*waiter));
  if (waiter == NULL) return -ENOMEM;
  waiter->job = job;
  waiter->since_ns = clock_monotonic_ns();
  TAILQ_INSERT_TAIL(&pool->waiting, waiter, entry);
  pool->waiting_count++;
  pool_changed(pool);
  return 0;
}

static bool is_job(const struct job *job, const char *queue, const char *id) {
  return strcmp(job->id, id) == 0 &&
         (queue == NULL || (job->queue != NULL && strcmp(job->queue, queue) == 0));
}

int pool_cancel(struct pool *pool, const char *queue, const char *id) {
  struct waiter *waiter;
  struct member *member;

  TAILQ_FOREACH(waiter, &pool->waiting, entry) {
    if (!is_job(waiter->job, queue, id)) continue;
    outcome_from_cancel(&waiter_take(pool, waiter)->result);
    pool_settle(pool, waiter);
    pool_report(pool);
    return 0;
  }
  LIST_FOREACH(member, &pool->members, entry)
  TAILQ_FOREACH(waiter, &member->given, entry) {
    if (!is_job(waiter->job, queue, id)) continue;
    if (waiter->started_ns != 0)
      executor_cancel(member->executor);
    else
      executor_take_back(member->executor);
    waiter->cancelled = true;
    return 0;
  }
  return -ENOENT;
}

int pool_inspect(struct pool *pool, const char *text, size_t len) {
  struct member *member;

  LIST_FOREACH(member, &pool->members, entry)
  if (executor_job(member->executor) != NULL) return executor_inspect(member->executor, text, len);
  return -ENOENT;
}

/* ---- taking jobs back ---- */

void pool_take_waiting(struct pool *pool, uint32_t waited_ms, void (*take)(void *ctx, struct job *job),
                       void *ctx) {
  int64_t before_ns = clock_monotonic_ns() - (int64_t)waited_ms * CLOCK_NS_PER_MS;
  struct waiter *waiter;

  while ((waiter = TAILQ_FIRST(&pool->waiting)) != NULL && waiter->since_ns <= before_ns) {
    struct job *job = waiter_take(pool, waiter)->job;

    free(waiter);
    take(ctx, job);
  }
  pool_report(pool);
}

void pool_take_back(struct pool *pool, void (*take)(void *ctx, struct job *job), void *ctx) {
  struct member *member;
  struct waiter *waiter;
  struct job *job;

  pool->shut = true;
  event_del(pool->respawn);
  pool_take_waiting(pool, 0, take, ctx);
  while ((waiter = TAILQ_FIRST(&pool->settled)) != NULL) {
    TAILQ_REMOVE(&pool->settled, waiter, entry);
    take(ctx, waiter->job);
    job_result_free(&waiter->result);
    free(waiter);
  }
  LIST_FOREACH(member, &pool->members, entry)
  while ((job = executor_abandon(member->executor)) != NULL) {
    waiter = member_find(member, job);
    member_take(member, waiter);
    free(waiter);
    take(ctx, job);
  }
}

/* ---- making and freeing ---- */

static int pool_make_events(struct pool *pool) {
  pool->respawn = event_new(pool->base, -1, 0, on_respawn, pool);
  pool->deliver = event_new(pool->base, -1, 0, on_deliver, pool);
  pool->flush = event_new(pool->base, -1, 0, on_flush, pool);
  pool->recheck = event_new(pool->base, -1, 0, on_recheck, pool);
  return pool->respawn != NULL && pool->deliver != NULL && pool->flush != NULL && pool->recheck != NULL
             ? 0
             : -ENOMEM;
}

int pool_new(struct event_base *base, const struct pool_options *options,
             const struct pool_callbacks *callbacks, struct pool **out, char *error, size_t error_size) {
  struct pool *pool;
  int r;

  if (options->executors < 1 || options->executors > POOL_MAX || options->spare_executors > POOL_MAX ||
      callbacks->done == NULL)
    return -EINVAL;
  pool = calloc(1, sizeof(*pool));
  if (pool == NULL) return -ENOMEM;
  LIST_INIT(&pool->members);
  TAILQ_INIT(&pool->waiting);
  TAILQ_INIT(&pool->settled);
  pool->base = base;
  pool->options = *options;
  pool->options.executor_path = pool->options.worker = NULL;
  pool->callbacks = *callbacks;
  snprintf(pool->worker, sizeof(pool->worker), "%s", options->worker != NULL ? options->worker : "");
  pool->executor_options = (struct executor_options){
      .unlocked = options->unlocked,
      .rewind_mb = options->rewind_mb,
      .grace_ms = options->grace_ms,
      .start_timeout_ms = options->start_timeout_ms,
      .memory_slack_mb = options->memory_slack_mb,
      .max_timers = options->max_timers,
      .bindings = options->bindings,
      .inspect = options->inspect,
      .max_result_bytes = options->max_result_bytes,
      .faults = options->faults,
  };
  r = spawn_find(options->executor_path, pool->path, error, error_size);
  if (r == 0) r = pool_make_events(pool);
  if (r < 0) {
    pool_free(pool);
    return r;
  }
  pool_fill(pool);
  *out = pool;
  return 0;
}

static void drop_job(void *ctx, struct job *job) {
  (void)ctx;
  job_free(job);
}

void pool_free(struct pool *pool) {
  struct member *member;

  if (pool == NULL) return;
  pool->callbacks.capacity = NULL;
  if (pool->respawn != NULL)
    pool_take_back(pool, drop_job, NULL); /* all of them are dying now, side by side */
  while ((member = LIST_FIRST(&pool->members)) != NULL) {
    LIST_REMOVE(member, entry);
    executor_free(member->executor);
    free(member);
  }
  if (pool->respawn != NULL) event_free(pool->respawn);
  if (pool->deliver != NULL) event_free(pool->deliver);
  if (pool->flush != NULL) event_free(pool->flush);
  if (pool->recheck != NULL) event_free(pool->recheck);
  free(pool);
}
