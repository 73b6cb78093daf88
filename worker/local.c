/*
 * A pool of one. What differs from a worker is patience: an executor that does not start is tried once, since
 * a person is waiting for the reason.
 */
#include "worker/local.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "bindings/bindings.h"
#include "config/config.h"
#include "queue/job.h"
#include "queue/result.h"
#include "worker/executor.h"
#include "worker/inspect.h"
#include "worker/pool.h"
#include "worker/replay.h"
#include "worker/settings.h"

struct local {
  struct event_base *base;
  struct bindings *bindings; /* NULL: the job has no host functions */
  struct pool *pool;
  const struct job *job;
  const struct local_options *options; /* may be NULL */
  struct executor_inspect inspect;
  struct inspect_server *server; /* NULL: no debugger, or not yet */
  struct job_result *out;
  bool finished, failed, interrupted;
  char *error;
  size_t error_size;
};

static void stop(struct local *local) {
  event_base_loopbreak(local->base);
}

static void on_done(void *ctx, struct job *job, struct job_result *result) {
  struct local *local = ctx;

  (void)job; /* the caller has it */
  *local->out = *result;
  *result = (struct job_result){0};
  local->finished = true;
  stop(local);
}

static void on_trouble(void *ctx, const char *why, int64_t retry_ms) {
  struct local *local = ctx;

  (void)retry_ms;
  snprintf(local->error, local->error_size, "%s", why);
  local->failed = true;
  stop(local);
}

/* ---- the debugger, between its server and the executor ---- */

static void on_debugger_message(void *ctx, const char *text, size_t len) {
  struct local *local = ctx;

  pool_inspect(local->pool, text, len); /* where the job is over, nobody waits for an answer */
}

static void on_debugger_attached(void *ctx) {
  (void)ctx;
}

static void on_debugger_detached(void *ctx) {
  struct local *local = ctx;

  pool_inspect(local->pool, "", 0);
}

/* The job waits. Only from here on is the port open. */
static void on_started(void *ctx, const struct job *job) {
  struct local *local = ctx;
  const struct inspect_callbacks callbacks = {.ctx = local,
                                              .message = on_debugger_message,
                                              .attached = on_debugger_attached,
                                              .detached = on_debugger_detached};

  if (inspect_server_new(local->base, local->options->inspect_port, job->id, &callbacks, &local->server,
                         local->error, local->error_size) < 0) {
    local->failed = true;
    stop(local);
    return;
  }
  local->options->listening(local->options->ctx, inspect_server_url(local->server));
}

static void on_executor_message(void *ctx, const char *text, size_t len) {
  struct local *local = ctx;

  if (local->server != NULL)
    inspect_server_send(local->server, text, len); /* else nobody is attached any more */
}

static void on_signal(evutil_socket_t signal, short what, void *ctx) {
  struct local *local = ctx;

  (void)signal, (void)what;
  if (local->interrupted) stop(local);
  local->interrupted = true;
  pool_cancel(local->pool, NULL, local->job->id);
}

static void keep_job(void *ctx, struct job *job) {
  (void)ctx, (void)job;
}

/* Runs the loop until the job has its result, or there is nothing to wait for. */
static int run(struct local *local, struct job *job) {
  struct event *events[] = {
      evsignal_new(local->base, SIGINT, on_signal, local),
      evsignal_new(local->base, SIGTERM, on_signal, local),
  };
  int r = 0;

  for (size_t i = 0; i < 2; i++)
    if (events[i] == NULL || event_add(events[i], NULL) < 0) r = -ENOMEM;
  if (r == 0) r = pool_submit(local->pool, job);
  if (r == 0 && !local->failed) event_base_dispatch(local->base);
  for (size_t i = 0; i < 2; i++)
    if (events[i] != NULL) event_free(events[i]);
  if (r < 0) {
    snprintf(local->error, local->error_size, "out of memory");
  } else if (!local->finished) {
    r = local->failed ? -EIO : -EINTR;
    if (r == -EINTR) snprintf(local->error, local->error_size, "interrupted");
  }
  return r;
}

static int make_parts(struct local *local, const struct config *config,
                      const struct pool_callbacks *callbacks) {
  static const struct executor_inspect hooks = {.started = on_started, .message = on_executor_message};
  struct bindings_options bindings;
  struct pool_options pool;
  int r = 0;

  local->base = event_base_new();
  if (local->base == NULL) {
    snprintf(local->error, local->error_size, "cannot make an event loop");
    return -ENOMEM;
  }
  settings_bindings(config, &bindings);
  settings_pool(config, &pool);
  pool.executors = 1;
  pool.spare_executors = 0;
  pool.rewind_mb = 0; /* after its one job there is nothing to go back to */
  if (local->job->functions != 0 && (local->job->replay == NULL || local->job->replay->live))
    r = bindings_new(local->base, &bindings, &local->bindings, local->error, local->error_size);
  if (local->bindings != NULL) prctl(PR_SET_DUMPABLE, 0); /* as in worker.c: it holds credentials */
  pool.bindings = local->bindings;
  if (local->options != NULL && local->options->inspect) {
    local->inspect = hooks;
    local->inspect.ctx = local;
    pool.inspect = &local->inspect;
  }
  return r < 0 ? r : pool_new(local->base, &pool, callbacks, &local->pool, local->error, local->error_size);
}

/* Who compares with a record wants to know what it ran with. */
static void note_replay(const struct local *local, const struct job *job) {
  if (job->replay != NULL && local->pool != NULL)
    snprintf(job->replay->v8_version, sizeof(job->replay->v8_version), "%s", pool_v8_version(local->pool));
}

static void free_parts(struct local *local) {
  inspect_server_free(local->server);
  local->server = NULL;
  if (local->pool != NULL) pool_take_back(local->pool, keep_job, NULL);
  pool_free(local->pool);
  if (local->bindings != NULL) bindings_free(local->bindings);
  if (local->base != NULL) event_base_free(local->base);
}

int local_run(const struct config *config, struct job *job, const struct local_options *local_options,
              struct job_result *out, char *error, size_t error_size) {
  struct local local = {.job = job, .options = local_options, .error = error, .error_size = error_size};
  const struct pool_callbacks callbacks = {.ctx = &local, .done = on_done, .trouble = on_trouble};
  struct job_result result = {0};
  void (*on_pipe)(int);
  int r;

  if (job->error != NULL) {
    r = outcome_from_invalid(job, out);
    if (r < 0) snprintf(error, error_size, "out of memory");
    return r;
  }
  r = settings_check(config, error, error_size);
  if (r < 0) return r;
  local.out = &result;
  on_pipe = signal(SIGPIPE, SIG_IGN); /* libcurl and TLS write to sockets that may be closed */
  r = make_parts(&local, config, &callbacks);
  job->record = false; /* nobody keeps one */
  if (r == 0) r = run(&local, job);
  note_replay(&local, job);
  free_parts(&local);
  signal(SIGPIPE, on_pipe);
  if (r == 0) *out = result;
  return r;
}
