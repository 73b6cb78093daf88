/*
 * Between Redis and the executors: takes jobs, hands them to the pool, publishes what became of them.
 *
 * Two rules shape it. A job that was claimed is always in one of three hands: the pool's, the queue client's
 * (a settle or give-back that Redis has not confirmed), or Redis' own; so nothing here keeps a list, and a
 * drain is over when the first two are empty. And nothing is claimed that could not start soon: with
 * executors that do not start, or in a drain, the capacity told to the queue is zero.
 *
 * A round trip to Redis takes longer than a small job, so while jobs are small some are fetched ahead: as many as are
 * done in PREFETCH_MS, and only when half of them are used up, so that they come several at a time. A job that was fetched
 * ahead and got stuck behind a long one is given back, to whoever is idle. While there are jobs at hand, results go to
 * Redis several at a time, too, and are looked at several at a time (worker_serve()).
 */
#include "worker/worker.h"

#include <ctype.h>
#include <errno.h>
#include <event2/event.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/queue.h>
#include <sys/random.h>
#include <unistd.h>

#include "bindings/bindings.h"
#include "config/config.h"
#include "queue/queue.h"
#include "queue/record.h"
#include "queue/redis_url.h"
#include "worker/clock.h"
#include "worker/log.h"
#include "worker/pool.h"
#include "worker/retry.h"
#include "worker/settings.h"

#ifndef ISOQ_VERSION
#define ISOQ_VERSION "unknown"
#endif

#define NAME_SIZE 101
#define PREFETCH_BELOW_MS 20.0 /* average run time */
#define PREFETCH_MS 8.0
#define PREFETCH_MAX 128 /* for one executor; in its socket or waiting here */
#define PREFETCH_NEVER_MS 1000.0
#define PAUSE_MIN_MS 0.02 /* less is not worth a system call */
#define PAUSE_MAX_MS 0.3
#define STUCK_MS 250 /* fetched ahead and not started */
#define TICK_MS 250
#define LAST_WORD_S 5 /* for Redis to confirm, after the drain's own time */
#define LEAVE_S 2
#define RATE_MS 5000
#define TRIM_ABOVE_BYTES (1u << 20) /* that malloc keeps */
#define SEEDS 32                    /* 256 bytes: what getrandom() gives whole, whatever signal comes */
#define TRIM_TICKS 4                /* between two looks */

enum phase {
  PHASE_SERVING,
  PHASE_DRAINING,    /* running jobs may end */
  PHASE_GIVING_BACK, /* time is up: everything is with the queue client */
  PHASE_LEAVING,     /* nothing is held any more */
};

struct worker {
  const struct config *config;
  struct event_base *base;
  struct redis_url url;
  struct job_limits limits;
  char name[NAME_SIZE];
  unsigned executors;
  struct bindings *bindings; /* NULL: jobs have no host functions here */
  struct pool *pool;
  struct queue_client *queue;
  struct event *signals[2], *phase_timer, *tick, *give_up;
  LIST_HEAD(, errand) errands;
  enum phase phase;
  int exit_status;
  bool told_ready;
  unsigned trim_ticks; /* since malloc was looked at */
  double run_ms_average;
  uint64_t given_back, fenced, duplicates, redis_down;
  int64_t started_ns, started_at_ms;
  char host[65];
  double jobs_per_s; /* of late */
  uint64_t jobs_before;
  int64_t rated_ns;
  uint64_t seeds[SEEDS]; /* the first seed_count of them are unused */
  size_t seed_count;
};

/* What a settle's answer is about. */
struct errand {
  LIST_ENTRY(errand) entry;
  struct worker *worker;
  char id[JOB_ID_MAX + 1];
  char queue[65];
};

/* ---- capacity ---- */

/* How many jobs may wait in the pool for those that run. */
static size_t worker_ahead(const struct worker *w) {
  double each = PREFETCH_MS / (w->run_ms_average > 0.05 ? w->run_ms_average : 0.05);

  if (w->run_ms_average >= PREFETCH_BELOW_MS) return 0;
  if (each > PREFETCH_MAX) each = PREFETCH_MAX;
  return pool_busy(w->pool) * (each < 1 ? 1 : (size_t)each);
}

static void worker_tell_capacity(struct worker *w) {
  size_t waiting, ahead, missing;

  if (w->queue == NULL || w->pool == NULL) return;
  if (w->phase != PHASE_SERVING) {
    queue_client_set_patient(w->queue, false);
    queue_client_set_capacity(w->queue, 0);
    return;
  }
  waiting = pool_waiting(w->pool);
  ahead = worker_ahead(w);
  missing = ahead > waiting ? ahead - waiting : 0;
  if (missing < ahead - ahead / 2) missing = 0;
  queue_client_set_patient(w->queue, waiting > 0);
  queue_client_set_capacity(w->queue, pool_free_slots(w->pool) + (unsigned)missing);
}

static void on_capacity(void *ctx, unsigned free_slots) {
  struct worker *w = ctx;

  (void)free_slots;
  if (!w->told_ready && w->pool != NULL && pool_executors(w->pool) >= w->executors) {
    w->told_ready = true;
    log_event(LOG_LEVEL_INFO, "ready", LOG_INT("executors", w->executors),
              LOG_MS("start_ms", clock_ms(clock_monotonic_ns() - w->started_ns)));
  }
  worker_tell_capacity(w);
}

/* That ended so far. */
static uint64_t worker_jobs(const struct worker *w) {
  const struct pool_counters *counters = pool_counters(w->pool);
  uint64_t jobs = 0;

  for (int i = 0; i < ISOQ_STATUS_COUNT; i++)
    jobs += counters->jobs[i];
  return jobs;
}

static void on_trouble(void *ctx, const char *why, int64_t retry_ms) {
  (void)ctx;
  log_event(LOG_LEVEL_ERROR, "executor_start_failed", LOG_TEXT("why", why), LOG_INT("retry_ms", retry_ms));
}

/* ---- phases ---- */

static void worker_set_phase(struct worker *w, enum phase phase, long seconds) {
  struct timeval after = {.tv_sec = seconds};

  w->phase = phase;
  event_del(w->phase_timer);
  event_add(w->phase_timer, &after);
  worker_tell_capacity(w);
}

static void on_left(void *ctx, enum queue_settled outcome) {
  struct worker *w = ctx;

  (void)outcome;
  event_base_loopbreak(w->base);
}

/* The next phase, when nothing holds it up any more. */
static void worker_check(struct worker *w) {
  if (w->phase != PHASE_DRAINING && w->phase != PHASE_GIVING_BACK) return;
  if (pool_busy(w->pool) > 0 || pool_waiting(w->pool) > 0 || queue_client_pending(w->queue) > 0) return;
  worker_set_phase(w, PHASE_LEAVING, LEAVE_S);
  if (queue_client_leave(w->queue, on_left, w) < 0) event_base_loopbreak(w->base);
}

/* Memory ran out with a job in hand that cannot be settled: it must not hang for as long as this worker
 * lives. */
static void worker_give_up(struct worker *w, const char *what);

/* ---- settling ---- */

static void errand_free(struct errand *errand) {
  if (errand != NULL) LIST_REMOVE(errand, entry);
  free(errand);
}

static void on_settled(void *ctx, enum queue_settled outcome) {
  struct errand *errand = ctx;
  struct worker *w = errand->worker;

  if (outcome == QUEUE_FENCED) {
    w->fenced++;
    log_event(LOG_LEVEL_WARN, "result_fenced", LOG_TEXT("id", errand->id), LOG_TEXT("queue", errand->queue),
              LOG_TEXT("why", "the lease was lost; another worker has the job"));
  } else if (outcome == QUEUE_DUPLICATE) {
    w->duplicates++;
    log_event(LOG_LEVEL_WARN, "result_duplicate", LOG_TEXT("id", errand->id),
              LOG_TEXT("queue", errand->queue), LOG_TEXT("why", "this id has a result already"));
  }
  errand_free(errand);
  worker_check(w);
}

static struct errand *errand_new(struct worker *w, const struct job *job) {
  struct errand *errand = calloc(1, sizeof(*errand));

  if (errand == NULL) return NULL;
  LIST_INSERT_HEAD(&w->errands, errand, entry);
  errand->worker = w;
  snprintf(errand->id, sizeof(errand->id), "%s", job->id);
  snprintf(errand->queue, sizeof(errand->queue), "%s", job->queue != NULL ? job->queue : "");
  return errand;
}

/* Whether this job, with this result, leaves a record. */
static bool is_recorded(const struct worker *w, const struct job *job, const struct job_result *result) {
  return job->record && result->ran &&
         (result->status != ISOQ_STATUS_OK || strcmp(w->config->record_on, "failure") != 0);
}

/* Publishes, with a record where there is to be one. Takes `json` in any case. */
static int worker_settle(struct worker *w, const struct job *job, const struct job_result *result, char *json,
                         size_t len, const char *dead_reason, struct errand *errand) {
  const struct record_setting setting = {.isoq_version = ISOQ_VERSION,
                                         .v8_version = pool_v8_version(w->pool),
                                         .functions = w->limits.functions,
                                         .function_count = w->limits.function_count,
                                         .max_result_bytes = (uint64_t)w->config->max_result_bytes,
                                         .max_timers = (uint32_t)w->config->max_timers};
  struct queue_record record = {.ttl_s = (uint32_t)w->config->record_ttl_s};
  bool recorded = is_recorded(w, job, result);
  int r = 0;

  if (recorded) r = record_make(job, result, json, len, &setting, clock_real_ms(), &record.text, &record.len);
  if (r < 0) {
    free(json);
    return r;
  }
  return queue_settle(w->queue, job, json, len, isoq_status_name(result->status), dead_reason,
                      recorded ? &record : NULL, on_settled, errand);
}

/* `retry` NULL: it is not tried again. */
static void worker_log_job(const struct job *job, const struct job_result *result,
                           const struct queue_deferral *retry) {
  struct log_field pause = {0}; /* without a name: the end */

  if (retry != NULL) pause = LOG_INT("retry_in_ms", retry->in_ms);
  log_event(LOG_LEVEL_INFO, "job", LOG_TEXT("id", job->id), LOG_TEXT("queue", job->queue),
            LOG_TEXT("status", isoq_status_name(result->status)), LOG_MS("queued_ms", result->queued_ms),
            LOG_MS("run_ms", result->execution_time_ms), LOG_INT("attempt", job->attempt), pause);
}

/* Takes the job. */
static void worker_publish(struct worker *w, struct job *job, const struct job_result *result,
                           const char *dead_reason) {
  struct errand *errand = errand_new(w, job);
  char *json = NULL;
  size_t len = 0;

  worker_log_job(job, result, NULL);
  if (errand == NULL || job_result_to_json(result, job, &json, &len) < 0 ||
      worker_settle(w, job, result, json, len, dead_reason, errand) < 0) {
    errand_free(errand);
    worker_give_up(w, "publishing a result");
  }
  job_free(job);
}

/* ---- attempts and delays ---- */

/* Takes the job. */
static void worker_defer(struct worker *w, struct job *job, const struct queue_deferral *deferral) {
  struct errand *errand = errand_new(w, job);

  if (errand == NULL || queue_defer(w->queue, job, deferral, on_settled, errand) < 0) {
    errand_free(errand);
    worker_give_up(w, "putting off a job");
  }
  job_free(job);
}

/* Takes the job. */
static void worker_retry(struct worker *w, struct job *job, const struct job_result *result) {
  const struct queue_deferral deferral = {
      .attempt = job->attempt + 1, .retry = true, .in_ms = retry_pause_ms(job, w->config->max_backoff_ms)};

  worker_log_job(job, result, &deferral);
  worker_defer(w, job, &deferral);
}

static bool not_due(const struct job *job) {
  return !job->delayed && (job->delay_ms > 0 || job->run_at_ms > job->claimed_at_ms);
}

/* Takes the job. */
static void worker_delay(struct worker *w, struct job *job) {
  const struct queue_deferral deferral = {
      .attempt = job->attempt, .in_ms = job->delay_ms, .at_ms = job->run_at_ms};

  log_event(LOG_LEVEL_DEBUG, "job_delayed", LOG_TEXT("id", job->id), LOG_TEXT("queue", job->queue),
            LOG_INT("delay_ms", job->delay_ms > 0 ? job->delay_ms : job->run_at_ms - job->claimed_at_ms));
  worker_defer(w, job, &deferral);
}

/* Takes the job. */
static void worker_give_back(void *ctx, struct job *job) {
  struct worker *w = ctx;
  struct errand *errand = errand_new(w, job);

  w->given_back++;
  log_event(LOG_LEVEL_INFO, "job_given_back", LOG_TEXT("id", job->id), LOG_TEXT("queue", job->queue));
  if (errand == NULL || queue_give_back(w->queue, job, on_settled, errand) < 0) {
    errand_free(errand);
    worker_give_up(w, "giving back a job");
  }
  job_free(job);
}

static void on_done(void *ctx, struct job *job, struct job_result *result) {
  struct worker *w = ctx;
  double run_ms = (double)(result->finished_at_ms - result->started_at_ms);
  char reason[OUTCOME_MESSAGE_SIZE];

  w->run_ms_average = w->run_ms_average * 0.9 + run_ms * 0.1;
  if (retry_wanted(job, result->status)) {
    worker_retry(w, job, result);
  } else if (retry_exhausted(job, result->status)) {
    snprintf(reason, sizeof(reason), "%s at the last of %u attempts: %s", isoq_status_name(result->status),
             job->max_attempts, result->error_message.data != NULL ? result->error_message.data : "");
    worker_publish(w, job, result, reason);
  } else {
    worker_publish(w, job, result, NULL);
  }
  worker_tell_capacity(w);
  worker_check(w);
}

static void worker_refuse(struct worker *w, struct job *job) {
  char reason[OUTCOME_MESSAGE_SIZE];
  struct job_result result = {0};

  snprintf(reason, sizeof(reason), "invalid: %s", job->error);
  if (outcome_from_invalid(job, &result) < 0) {
    job_free(job);
    worker_give_up(w, "refusing a job");
    return;
  }
  result.started_at_ms = result.finished_at_ms = clock_real_ms();
  snprintf(result.worker, sizeof(result.worker), "%s", w->name);
  worker_publish(w, job, &result, reason);
  job_result_free(&result);
}

/* Unpredictable, and asked of the kernel for many jobs at a time. */
static bool worker_seed(struct worker *w, uint64_t *out) {
  if (w->seed_count == 0) {
    if (getrandom(w->seeds, sizeof(w->seeds), GRND_NONBLOCK) != (ssize_t)sizeof(w->seeds)) return false;
    w->seed_count = SEEDS;
  }
  *out = w->seeds[--w->seed_count];
  w->seeds[w->seed_count] = 0; /* nobody's twice */
  return true;
}

/*
 * A job that is recorded has a seed, so that Math.random gives the same values again; and a name. Any other one has a
 * seed as well: for an executor, to ask the kernel is a system call.
 */
static void worker_prepare(struct worker *w, struct job *job) {
  uint64_t seed;

  job->record = job->record && job->id[0] != '\0';
  if (job->has_seed) return;
  job->has_seed = worker_seed(w, &seed);
  if (job->has_seed)
    job->seed = seed >> 11; /* 53 bits: a JSON number */
  else
    job->record = false; /* no values that could be had again */
}

static void on_claimed(void *ctx, const char *queue, const char *payload, size_t len) {
  struct worker *w = ctx;
  struct job *job;

  if (job_parse(payload, len, &w->limits, w->config->prefix, queue, &job) < 0) {
    worker_give_up(w, "reading a job");
    return;
  }
  job->claimed_at_ms = clock_real_ms();
  worker_prepare(w, job);
  if (w->phase != PHASE_SERVING)
    worker_give_back(w, job); /* it was on its way when the drain began */
  else if (job->error != NULL)
    worker_refuse(w, job);
  else if (not_due(job))
    worker_delay(w, job);
  else if (pool_submit(w->pool, job) < 0)
    worker_give_back(w, job);
  worker_tell_capacity(w);
}

/* ---- the end ---- */

static void worker_drain(struct worker *w, const char *why) {
  log_event(LOG_LEVEL_INFO, "drain", LOG_TEXT("why", why), LOG_INT("running", pool_busy(w->pool)),
            LOG_INT("waiting", pool_waiting(w->pool)), LOG_INT("unconfirmed", queue_client_pending(w->queue)),
            LOG_INT("timeout_s", w->config->drain_timeout_s));
  worker_set_phase(w, PHASE_DRAINING, (long)w->config->drain_timeout_s);
  pool_take_waiting(w->pool, 0, worker_give_back, w);
  worker_check(w);
}

static void worker_give_up(struct worker *w, const char *what) {
  log_event(LOG_LEVEL_ERROR, "out_of_memory", LOG_TEXT("while", what));
  w->exit_status = 1;
  event_active(w->give_up, 0, 0); /* later: the caller is in the middle of something */
}

static void on_give_up(evutil_socket_t fd, short what, void *ctx) {
  struct worker *w = ctx;

  (void)fd, (void)what;
  if (w->phase == PHASE_SERVING) worker_drain(w, "out of memory");
}

static void on_phase_timer(evutil_socket_t fd, short what, void *ctx) {
  struct worker *w = ctx;

  (void)fd, (void)what;
  switch (w->phase) {
  case PHASE_DRAINING:
    log_event(LOG_LEVEL_WARN, "drain_timeout", LOG_INT("running", pool_busy(w->pool)),
              LOG_INT("unconfirmed", queue_client_pending(w->queue)));
    worker_set_phase(w, PHASE_GIVING_BACK, LAST_WORD_S);
    pool_take_back(w->pool, worker_give_back, w);
    worker_check(w);
    break;
  case PHASE_GIVING_BACK:
    w->exit_status = 1;
    log_event(LOG_LEVEL_ERROR, "left_unconfirmed", LOG_INT("settles", queue_client_pending(w->queue)),
              LOG_TEXT("why", "Redis did not answer; other workers get these jobs when the lease is over"));
    event_base_loopbreak(w->base);
    break;
  case PHASE_LEAVING: event_base_loopbreak(w->base); break;
  case PHASE_SERVING: break;
  }
}

static void on_signal(evutil_socket_t signal, short what, void *ctx) {
  struct worker *w = ctx;

  (void)what;
  if (w->phase == PHASE_SERVING) {
    worker_drain(w, signal == SIGINT ? "SIGINT" : "SIGTERM");
    return;
  }
  w->exit_status = 128 + (int)signal;
  log_event(LOG_LEVEL_WARN, "stop_at_once", LOG_INT("running", pool_busy(w->pool)),
            LOG_INT("unconfirmed", queue_client_pending(w->queue)));
  event_base_loopbreak(w->base);
}

/* ---- what the queue client tells ---- */

static void on_cancel(void *ctx, const char *queue, const char *id) {
  struct worker *w = ctx;

  if (pool_cancel(w->pool, queue, id) == 0)
    log_event(LOG_LEVEL_INFO, "cancel", LOG_TEXT("id", id), LOG_TEXT("queue", queue));
}

/* For `isoq status`; names and numbers only. */
struct description {
  const char *queue;
  FILE *out;
  bool more;
};

static void describe_running(void *ctx, const struct job *job) {
  struct description *description = ctx;

  if (strcmp(job->queue, description->queue) != 0) return;
  fprintf(description->out, "%s{\"id\":\"%s\",\"since_ms\":%lld,\"attempt\":%u}",
          description->more ? "," : "", job->id, (long long)job->claimed_at_ms, job->attempt);
  description->more = true;
}

static void on_describe(void *ctx, const char *queue, char *out, size_t size) {
  struct worker *w = ctx;
  struct description description = {.queue = queue, .out = fmemopen(out, size, "w")};
  bool whole;

  if (description.out == NULL) return;
  fprintf(
      description.out,
      "{\"host\":\"%s\",\"pid\":%d,\"version\":\"%s\",\"started_at_ms\":%lld,\"executors\":%u,\"busy\":%zu,"
      "\"jobs_per_s\":%.1f,\"redis_down_count\":%llu,\"running\":[",
      w->host, (int)getpid(), ISOQ_VERSION, (long long)w->started_at_ms, w->executors, pool_busy(w->pool),
      w->jobs_per_s, (unsigned long long)w->redis_down);
  pool_each_running(w->pool, describe_running, &description);
  fputs("]}", description.out);
  fflush(description.out);
  whole = !ferror(description.out) && ftell(description.out) < (long)size;
  fclose(description.out);
  if (!whole) snprintf(out, size, "{}");
}

static void on_link(void *ctx, bool up, const char *why) {
  struct worker *w = ctx;

  if (!up) w->redis_down++;
  log_event(up ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, up ? "redis_up" : "redis_down",
            LOG_TEXT("redis", w->url.display), LOG_TEXT("why", why),
            LOG_INT("unconfirmed", w->queue != NULL ? queue_client_pending(w->queue) : 0));
}

static void on_note(void *ctx, const char *level, const char *event, const char *detail) {
  enum log_level as = LOG_LEVEL_INFO;

  (void)ctx;
  if (strcmp(level, "warn") == 0)
    as = LOG_LEVEL_WARN;
  else if (strcmp(level, "error") == 0)
    as = LOG_LEVEL_ERROR;
  log_event(as, event, LOG_TEXT("detail", detail));
}

static void worker_rate(struct worker *w) {
  int64_t now_ns = clock_monotonic_ns();
  uint64_t jobs = worker_jobs(w);

  if (now_ns - w->rated_ns < RATE_MS * CLOCK_NS_PER_MS) return;
  w->jobs_per_s = (double)(jobs - w->jobs_before) * 1000 / clock_ms(now_ns - w->rated_ns);
  w->jobs_before = jobs;
  w->rated_ns = now_ns;
}

/* What a large result or many waiting jobs needed goes back to the kernel when they are gone. */
static void worker_trim(struct worker *w) {
  if (++w->trim_ticks < TRIM_TICKS) return;
  w->trim_ticks = 0;
  if (mallinfo2().fordblks > TRIM_ABOVE_BYTES) malloc_trim(0);
}

static void on_tick(evutil_socket_t fd, short what, void *ctx) {
  struct worker *w = ctx;
  uint64_t before = w->given_back;

  (void)fd, (void)what;
  worker_rate(w);
  worker_trim(w);
  if (pool_waiting(w->pool) == 0) return;
  pool_take_waiting(w->pool, STUCK_MS, worker_give_back, w);
  if (w->given_back == before) return;
  w->run_ms_average = PREFETCH_NEVER_MS;
  worker_tell_capacity(w);
}

/* ---- set-up ---- */

/* <host>-<pid>-<random>: new for every incarnation, which is what fences late results. */
static int worker_make_name(struct worker *w) {
  char *host = w->host;
  uint64_t random;

  if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random)) return -EIO;
  if (gethostname(host, sizeof(w->host)) < 0 || host[0] == '\0') strcpy(host, "host");
  host[sizeof(w->host) - 1] = '\0';
  for (char *c = host; *c != '\0'; c++)
    if (!isalnum((unsigned char)*c) && strchr("_.-", *c) == NULL) *c = '_';
  snprintf(w->name, NAME_SIZE, "%s-%d-%08x", host, (int)getpid(), (unsigned)random);
  return 0;
}

static void set_up_log(const struct config *config) {
  static const char *const levels[] = {"debug", "info", "warn", "error"};
  enum log_level level = LOG_LEVEL_INFO;

  for (int i = 0; i <= LOG_LEVEL_ERROR; i++)
    if (strcmp(config->log_level, levels[i]) == 0) level = (enum log_level)i;
  log_setup(level, strcmp(config->log_format, "json") == 0 ? LOG_FORMAT_JSON : LOG_FORMAT_LOGFMT);
}

static int refuse_to_start(const char *why) {
  log_event(LOG_LEVEL_ERROR, "cannot_start", LOG_TEXT("why", why));
  return 2;
}

static int worker_make_events(struct worker *w) {
  static const int numbers[] = {SIGTERM, SIGINT};
  struct timeval tick = {.tv_usec = TICK_MS * 1000};

  w->base = event_base_new();
  if (w->base == NULL) return -ENOMEM;
  for (size_t i = 0; i < 2; i++) {
    w->signals[i] = evsignal_new(w->base, numbers[i], on_signal, w);
    if (w->signals[i] == NULL || event_add(w->signals[i], NULL) < 0) return -ENOMEM;
  }
  w->phase_timer = event_new(w->base, -1, 0, on_phase_timer, w);
  w->tick = event_new(w->base, -1, EV_PERSIST, on_tick, w);
  w->give_up = event_new(w->base, -1, 0, on_give_up, w);
  if (w->phase_timer == NULL || w->tick == NULL || w->give_up == NULL || event_add(w->tick, &tick) < 0)
    return -ENOMEM;
  return 0;
}

static void log_start(const struct worker *w) {
  char queues[512];
  size_t len = 0;

  queues[0] = '\0';
  for (size_t i = 0; i < w->config->queue.count && len < sizeof(queues); i++)
    len += (size_t)snprintf(queues + len, sizeof(queues) - len, "%s%s", i > 0 ? "," : "",
                            w->config->queue.items[i]);
  log_event(LOG_LEVEL_INFO, "start", LOG_TEXT("version", ISOQ_VERSION), LOG_TEXT("worker", w->name),
            LOG_TEXT("queues", queues), LOG_TEXT("redis", w->url.display), LOG_INT("executors", w->executors),
            LOG_INT("pid", getpid()));
  if (w->config->unlocked)
    log_event(LOG_LEVEL_WARN, "unlocked",
              LOG_TEXT("why", "executors run WITHOUT their sandbox, because the configuration says so"));
}

static void log_stop(const struct worker *w) {
  const struct pool_counters *counters = pool_counters(w->pool);

  log_event(LOG_LEVEL_INFO, "stop", LOG_INT("exit_status", w->exit_status), LOG_INT("jobs", worker_jobs(w)),
            LOG_INT("ok", counters->jobs[ISOQ_STATUS_OK]), LOG_INT("given_back", w->given_back),
            LOG_INT("fenced", w->fenced), LOG_INT("duplicates", w->duplicates),
            LOG_INT("executors_started", counters->started),
            LOG_INT("unconfirmed", queue_client_pending(w->queue)));
}

/* 0, or the exit status. */
static int worker_make_parts(struct worker *w) {
  const struct pool_callbacks pool_callbacks = {
      .ctx = w, .done = on_done, .capacity = on_capacity, .trouble = on_trouble};
  const struct queue_callbacks queue_callbacks = {.ctx = w,
                                                  .claimed = on_claimed,
                                                  .link = on_link,
                                                  .describe = on_describe,
                                                  .cancel = on_cancel,
                                                  .note = on_note};
  const struct queue_options queue_options = {
      .url = &w->url,
      .prefix = w->config->prefix,
      .queues = (const char *const *)w->config->queue.items,
      .queue_count = w->config->queue.count,
      .worker = w->name,
      .lease_ms = (uint32_t)w->config->lease_ms,
      .lease_renew_ms = (uint32_t)w->config->lease_renew_ms,
      .reap_interval_ms = (uint32_t)w->config->reap_interval_ms,
      .max_worker_deaths = (uint32_t)w->config->max_worker_deaths,
      .dead_letters_max = (uint32_t)w->config->dead_letters_max,
      .default_reply_ttl_s = (uint32_t)w->config->reply_ttl_s,
  };
  struct pool_options pool_options;
  struct bindings_options bindings_options;
  char error[CONFIG_ERROR_SIZE] = "out of memory";

  settings_pool(w->config, &pool_options);
  settings_bindings(w->config, &bindings_options);
  bindings_options.warm_up = true;
  pool_options.worker = w->name;
  w->executors = pool_options.executors;
  log_start(w);
  if (w->limits.functions_allowed != 0 &&
      bindings_new(w->base, &bindings_options, &w->bindings, error, sizeof(error)) < 0)
    return refuse_to_start(error);
  /* It holds credentials: no core of it, and no other process of its user reads its memory. What it starts has a flag
   * of its own from exec on. */
  if (w->bindings != NULL) prctl(PR_SET_DUMPABLE, 0);
  pool_options.bindings = w->bindings;
  if (pool_new(w->base, &pool_options, &pool_callbacks, &w->pool, error, sizeof(error)) < 0)
    return refuse_to_start(error);
  if (queue_client_new(w->base, &queue_options, &queue_callbacks, &w->queue) < 0)
    return refuse_to_start("the queue client: out of memory");
  worker_tell_capacity(w);
  return 0;
}

static void worker_free(struct worker *w) {
  struct event *events[] = {w->signals[0], w->signals[1], w->phase_timer, w->tick, w->give_up};

  if (w->queue != NULL) queue_client_free(w->queue);
  while (!LIST_EMPTY(&w->errands))
    errand_free(LIST_FIRST(&w->errands));
  pool_free(w->pool);
  if (w->bindings != NULL) bindings_free(w->bindings);
  for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
    if (events[i] != NULL) event_free(events[i]);
  redis_url_free(&w->url);
  if (w->base != NULL) event_base_free(w->base);
}

/*
 * An executor that writes while we sleep in the event loop wakes us, which costs it a fifth of a small job, and us a turn of
 * the loop for one RESULT. So while all that are busy have other jobs ahead, we sleep elsewhere, for half of the time
 * which those take.
 */
static void worker_serve(struct worker *w) {
  for (;;) {
    double pause_ms;

    event_base_loop(w->base, EVLOOP_ONCE);
    if (event_base_got_break(w->base)) return;
    pause_ms = pool_work_ahead_ms(w->pool) / 2;
    if (pause_ms > PAUSE_MAX_MS) pause_ms = PAUSE_MAX_MS;
    if (pause_ms >= PAUSE_MIN_MS) nanosleep(&(struct timespec){.tv_nsec = (long)(pause_ms * 1e6)}, NULL);
  }
}

int worker_run(const struct config *config) {
  struct worker w = {.config = config,
                     .run_ms_average = PREFETCH_NEVER_MS,
                     .started_ns = clock_monotonic_ns(),
                     .rated_ns = clock_monotonic_ns(),
                     .started_at_ms = clock_real_ms()};
  char error[CONFIG_ERROR_SIZE] = "out of memory";
  int status;

  set_up_log(config);
  signal(SIGPIPE, SIG_IGN);
  if (settings_check(config, error, sizeof(error)) < 0) return refuse_to_start(error);
  settings_job_limits(config, &w.limits);
  if (redis_url_parse(config->redis_url, &w.url, error, sizeof(error)) < 0) return refuse_to_start(error);
  if (worker_make_name(&w) < 0 || worker_make_events(&w) < 0)
    status = refuse_to_start("no event loop, or no random bytes");
  else
    status = worker_make_parts(&w);
  if (status == 0) {
    worker_serve(&w);
    status = w.exit_status;
    log_stop(&w);
  }
  worker_free(&w);
  return status;
}
