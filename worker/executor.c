/*
 * The state machine of one child. What keeps it simple to reason about:
 *
 * - executor_enter() is the only function that changes the state, and the only one that arms or disarms a
 * timer.
 * - Everything that comes in goes through executor_pump(): read, handle frame by frame up to one that is news for
 * the owner (a RESULT, jobs that were given back), tell him, go on. No callback runs in the middle of a frame. Behind
 * the RESULT of the last job it reads until there is no more: so it finds out that an executor died right behind it
 * before the next job is given to it.
 * - Of several jobs an executor runs the oldest that has no verdict. That one's number is on every frame, its are the
 * deadlines, and it is to blame for a death, unless the executor was killed for the one before it, whose RESULT was
 * on its way.
 * - The end is decided by the pidfd alone. Before a job's outcome is made from a death, the socket is read to
 * its end: what was printed is kept, and a RESULT that was complete counts.
 * - After SIGKILL nothing is left to wait for but the kernel. If even that takes too long (a process stuck in
 * the kernel), the job gets its outcome and the process is left to linger.
 *
 * What an executor sends is never asserted on: a script may have taken it over. See executor_breach().
 */
#include "worker/executor.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "queue/job.h"
#include "queue/result.h"
#include "worker/calls.h"
#include "worker/clock.h"
#include "worker/inbox.h"
#include "worker/log.h"
#include "worker/replay.h"
#include "worker/wire.h"

#define MIB (UINT64_C(1) << 20)

#define WATCH_INTERVAL_MS 50
#define LINGER_MS 5000        /* SIGKILL to "it does not die" */
#define PUMP_BYTES (4u << 20) /* for one executor, before the others get their turn */
#define INSPECT_DEADLINE_NS (INT64_C(86400) * 1000 * CLOCK_NS_PER_MS) /* for host functions */
#define RESULT_SLACK_BYTES (4 * MIB) /* the error's texts: executor_main.c cuts each at 1 MiB */
#define LAST_WORDS_SIZE 2048
#define KEEP_BYTES (64u << 10)
#define AHEAD_BYTES (64u << 10) /* the socket holds them: a JOB never waits for its reader behind another */
#define JOB_OVERHEAD_BYTES 256  /* of a JOB, beside its texts: more than enough */

/* A JOB that was written to the executor. */
struct given {
  struct job *job;
  uint32_t number;
  size_t end, bytes; /* where it ends in `outgoing`; how long it is, about */
  int64_t at_ms;     /* when it was given; the wall clock */
  bool ahead;        /* it was written while another one ran */
};

struct executor {
  struct event_base *base;
  struct executor_options options;
  struct executor_callbacks callbacks;
  void *ctx;

  enum executor_state state;
  struct spawn_child child;
  struct event *readable, *writable, *said, *ended, *deadline, *watch, *impatience;
  int64_t deadline_ns;

  struct inbox inbox;
  struct wire_buffer outgoing;
  size_t sent; /* a JOB is sent when this is past its end */
  bool deaf;   /* nothing more is read: a rule was broken, or the stream is over */

  struct job *job;      /* the one that runs: the oldest without a verdict */
  struct given current; /* that job's, also when it has ended */
  struct given next[EXECUTOR_AHEAD_MAX];
  unsigned next_count;
  uint32_t last_number;   /* of a job on this connection */
  uint32_t killed_number; /* of the job that the executor was killed for */
  uint32_t jobs;
  struct outcome outcome;
  struct job_result result; /* told by a RESULT, not delivered yet */
  bool has_result, cancelled;
  bool taking_back;              /* the jobs ahead were asked for */
  struct wire_returned returned; /* not told to the owner yet; up_to 0: nothing */
  bool retire;                   /* the RESULT asked for another process */
  struct calls *calls;           /* NULL: the job has called nothing so far */
  struct result_text trace;      /* of the job, as far as it came */
  size_t trace_bytes;            /* that came; not all of them may be kept */
  int64_t job_started_ns, job_started_ms, job_cpu_ns;

  char v8_version[65];
  int64_t spawned_ns, ready_ns;
  int64_t resident_at_ready, resident_max, resident_job_max; /* bytes */
  struct outcome_death death;
  char last_words[LAST_WORDS_SIZE]; /* its stderr before it got ready */
  size_t last_words_len;
};

/* ---- accessors ---- */

enum executor_state executor_state(const struct executor *e) {
  return e->state;
}

const struct job *executor_job(const struct executor *e) {
  return e->job;
}

uint32_t executor_jobs(const struct executor *e) {
  return e->jobs;
}

int64_t executor_ready_ms(const struct executor *e) {
  return e->ready_ns == 0 ? -1 : (clock_monotonic_ns() - e->ready_ns) / CLOCK_NS_PER_MS;
}

pid_t executor_pid(const struct executor *e) {
  return e->child.pid;
}

const struct outcome_death *executor_death(const struct executor *e) {
  return &e->death;
}

const char *executor_v8_version(const struct executor *e) {
  return e->v8_version;
}

static int64_t resident_bytes(const struct executor *e) {
  const struct executor_faults *faults = e->options.faults;

  return faults != NULL && faults->resident_bytes != NULL ? faults->resident_bytes(&e->child)
                                                          : spawn_resident_bytes(&e->child);
}

static void send_signal(const struct executor *e, int signal) {
  const struct executor_faults *faults = e->options.faults;

  if (faults != NULL && faults->signal != NULL)
    faults->signal(&e->child, signal);
  else
    spawn_signal(&e->child, signal);
}

/* ---- the one place where the state and the timers change ---- */

/* Zero or less is due at once. */
static void arm(struct event *timer, int64_t ns) {
  /* Rounded up: a timer that comes early would only be armed again. */
  int64_t us = ns > 0 ? ns / 1000 + 1 : 0;
  struct timeval after = {.tv_sec = us / 1000000, .tv_usec = us % 1000000};

  event_add(timer, &after);
}

static void arm_deadline(struct executor *e, int64_t at_ns) {
  e->deadline_ns = at_ns;
  arm(e->deadline, at_ns - clock_monotonic_ns());
}

static int64_t ms_to_ns(int64_t ms) {
  return ms * CLOCK_NS_PER_MS;
}

/* The job's own. Under a debugger there is none to speak of. */
static int64_t job_deadline(const struct executor *e) {
  return e->job_started_ns +
         (e->options.inspect != NULL ? INSPECT_DEADLINE_NS : ms_to_ns(e->job->timeout_ms));
}

static int64_t busy_deadline(const struct executor *e, int64_t now) {
  int64_t grace = ms_to_ns(e->options.grace_ms);
  int64_t at = job_deadline(e) + grace;

  return e->cancelled && now + grace < at ? now + grace : at;
}

/* Entering the state one is in arms the timers anew: BUSY when the job is cancelled, when another takes its place or is
 * sent ahead; DRAINING after SIGKILL. */
static void executor_enter(struct executor *e, enum executor_state next) {
  static const bool allowed[EXECUTOR_STATES][EXECUTOR_STATES] = {
      [EXECUTOR_SPAWNING] = {[EXECUTOR_SPAWNING] = true, [EXECUTOR_READY] = true, [EXECUTOR_DRAINING] = true},
      [EXECUTOR_READY] = {[EXECUTOR_BUSY] = true, [EXECUTOR_DRAINING] = true},
      [EXECUTOR_BUSY] = {[EXECUTOR_READY] = true, [EXECUTOR_BUSY] = true, [EXECUTOR_DRAINING] = true},
      [EXECUTOR_DRAINING] = {[EXECUTOR_DRAINING] = true, [EXECUTOR_DEAD] = true},
  };
  enum executor_state before = e->state;
  int64_t now = clock_monotonic_ns();

  assert(allowed[before][next]);
  event_del(e->deadline);
  e->deadline_ns = INT64_MAX;
  event_del(e->impatience);
  if (next != EXECUTOR_BUSY) event_del(e->watch);
  e->state = next;
  switch (next) {
  case EXECUTOR_SPAWNING: arm_deadline(e, now + ms_to_ns(e->options.start_timeout_ms)); break;
  case EXECUTOR_BUSY:
    if (e->options.inspect == NULL || e->cancelled) arm_deadline(e, busy_deadline(e, now));
    if (before != EXECUTOR_BUSY) arm(e->watch, ms_to_ns(WATCH_INTERVAL_MS));
    if (e->next_count > 0 && !e->taking_back)
      arm(e->impatience, e->job_started_ns + ms_to_ns(EXECUTOR_PATIENCE_MS) - now);
    break;
  case EXECUTOR_DRAINING:
    arm_deadline(e, now + ms_to_ns(e->death.killed ? LINGER_MS : (int64_t)e->options.grace_ms));
    break;
  case EXECUTOR_READY:
  case EXECUTOR_DEAD:
  case EXECUTOR_STATES: break;
  }
  if (next != before && e->callbacks.changed != NULL) e->callbacks.changed(e->ctx, before, next);
}

/* ---- killing ---- */

/* The first reason stands. */
__attribute__((format(printf, 3, 4))) static void executor_kill(struct executor *e, enum outcome_end why,
                                                                const char *format, ...) {
  va_list arguments;

  if (e->state == EXECUTOR_DEAD || e->death.killed) return;
  e->death.killed = true;
  e->death.kill_reason = why;
  e->killed_number = e->current.number;
  if (!e->death.gave_up) {
    va_start(arguments, format);
    vsnprintf(e->death.message, sizeof(e->death.message), format, arguments);
    va_end(arguments);
  }
  send_signal(e, SIGKILL);
  executor_enter(e, EXECUTOR_DRAINING);
}

static void executor_go_deaf(struct executor *e) {
  e->deaf = true;
  event_del(e->readable);
  event_del(e->writable);
}

/* The executor broke a rule. Nothing that it sends is believed from here on. */
__attribute__((format(printf, 2, 3))) static void executor_breach(struct executor *e, const char *format,
                                                                  ...) {
  char rule[OUTCOME_MESSAGE_SIZE - 64];
  va_list arguments;

  va_start(arguments, format);
  vsnprintf(rule, sizeof(rule), format, arguments);
  va_end(arguments);
  executor_go_deaf(e);
  if (e->death.killed && e->death.kill_reason != OUTCOME_END_PROTOCOL) {
    /* On its way out for another reason, which stays the outcome; the log has this one too. */
    log_event(LOG_LEVEL_WARN, "executor_breach", LOG_INT("pid", e->child.pid), LOG_TEXT("rule", rule));
    return;
  }
  executor_kill(e, OUTCOME_END_PROTOCOL, "the executor broke the protocol: %s", rule);
}

void executor_retire(struct executor *e) {
  assert(e->job == NULL);
  executor_kill(e, OUTCOME_END_RETIRED, "not needed any more");
}

/* What the running job had beside its outcome. */
static void end_calls(struct executor *e) {
  calls_free(e->calls);
  e->calls = NULL;
  free(e->trace.data);
  e->trace = (struct result_text){0};
  e->trace_bytes = 0;
}

static struct given take_next(struct executor *e) {
  struct given first = e->next[0];

  e->next_count--;
  memmove(e->next, e->next + 1, e->next_count * sizeof(e->next[0]));
  if (e->next_count == 0) e->taking_back = false;
  return first;
}

struct job *executor_abandon(struct executor *e) {
  struct job *job = e->job;

  if (job == NULL && e->next_count > 0) job = take_next(e).job;
  e->job = NULL;
  end_calls(e);
  outcome_clear(&e->outcome);
  job_result_free(&e->result);
  e->result = (struct job_result){0};
  e->has_result = false;
  executor_go_deaf(e);
  executor_kill(e, OUTCOME_END_RETIRED, "its job was taken back");
  return job;
}

void executor_cancel(struct executor *e) {
  if (e->state != EXECUTOR_BUSY || e->cancelled) return;
  e->cancelled = true;
  spawn_cancel(&e->child, e->current.number);
  executor_enter(e, EXECUTOR_BUSY);
}

void executor_take_back(struct executor *e) {
  if (e->state != EXECUTOR_BUSY || e->next_count == 0 || e->taking_back) return;
  e->taking_back = true;
  spawn_take_back(&e->child, e->current.number, e->last_number);
}

static void on_impatience(evutil_socket_t fd, short what, void *ctx) {
  (void)fd, (void)what;
  executor_take_back(ctx);
}

/* ---- messages ---- */

#define BIT(type) (1u << (type))

#define OF_A_JOB                                                                                             \
  (BIT(WIRE_CONSOLE) | BIT(WIRE_RESULT) | BIT(WIRE_DYING) | BIT(WIRE_CALL) | BIT(WIRE_TRACE) |               \
   BIT(WIRE_INSPECT_OUT))

/* Which messages each state permits; those of a job only while it has no verdict yet. */
static const unsigned permitted[EXECUTOR_STATES] = {
    [EXECUTOR_SPAWNING] = BIT(WIRE_HELLO),
    [EXECUTOR_BUSY] = OF_A_JOB | BIT(WIRE_RETURNED),
    [EXECUTOR_DRAINING] = OF_A_JOB | BIT(WIRE_RETURNED),
};

static const char *const state_names[] = {
    [EXECUTOR_SPAWNING] = "SPAWNING", [EXECUTOR_READY] = "READY", [EXECUTOR_BUSY] = "BUSY",
    [EXECUTOR_DRAINING] = "DRAINING", [EXECUTOR_DEAD] = "DEAD",
};

static bool has_verdict(const struct executor *e) {
  return e->has_result || e->death.gave_up;
}

static uint64_t longest(const struct executor *e, enum wire_type type) {
  uint64_t max = wire_type_max((int)type), own = max;

  if (type == WIRE_RESULT) own = e->options.max_result_bytes + RESULT_SLACK_BYTES;
  /* One batch is no longer than all the output may be; every entry of it costs an overhead. */
  if (type == WIRE_CONSOLE) own = e->outcome.limit_bytes * (WIRE_CONSOLE_ENTRY_OVERHEAD + 1);
  return own < max ? own : max;
}

/* Of a job that is recorded; or of one that repeats a record, which tells its first difference. */
static bool trace_was_asked_for(const struct job *job) {
  return job->replay != NULL ? !job->replay->loose : job->record;
}

/* Looks at a header before its payload has come. */
static bool executor_admits(struct executor *e, const struct wire_header *header) {
  const char *name = wire_type_name((int)header->type);
  bool of_a_job = BIT(header->type) & OF_A_JOB;
  uint32_t job = of_a_job ? e->current.number : 0;

  if (!(permitted[e->state] & BIT(header->type)))
    executor_breach(e, "a %s message in state %s", name, state_names[e->state]);
  else if (of_a_job && e->job == NULL)
    executor_breach(e, "a %s message without a job", name);
  else if (of_a_job && has_verdict(e))
    executor_breach(e, "a %s message after the end of the job", name);
  else if (header->type == WIRE_INSPECT_OUT && e->options.inspect == NULL)
    executor_breach(e, "an %s message of a job that is not inspected", name);
  else if (header->job != job)
    executor_breach(e, "a %s message for job number %u, not %u", name, header->job, job);
  else if (header->type == WIRE_TRACE && !trace_was_asked_for(e->job))
    executor_breach(e, "a TRACE message that nobody asked for");
  else if (header->length > longest(e, header->type))
    executor_breach(e, "a %s message of %u bytes; the limit is %llu", name, header->length,
                    (unsigned long long)longest(e, header->type));
  else
    return true;
  return false;
}

/* From here on its descriptor 2 leads nowhere: a pipe that nobody reads would fill and stop it. */
static void forget_stderr(struct executor *e) {
  if (e->said == NULL) return;
  event_free(e->said);
  e->said = NULL;
  close(e->child.stderr_fd);
  e->child.stderr_fd = -1;
}

/* Once in a process: every executor of a machine gets the same. */
static void warn_of_reduced_sandbox(const char *sandbox) {
  static bool warned;

  if (warned || strstr(sandbox, "netns") != NULL) return;
  warned = true;
  log_event(LOG_LEVEL_WARN, "sandbox_reduced", LOG_TEXT("in_force", sandbox),
            LOG_TEXT("why", "this system permits no namespaces; seccomp still refuses files and sockets"));
}

static void warn_of_no_rewinding(const struct executor *e, const char *sandbox) {
  static bool warned;

  if (warned || e->options.rewind_mb == 0 || strstr(sandbox, "rewind") != NULL) return;
  warned = true;
  log_event(
      LOG_LEVEL_WARN, "no_rewinding", LOG_TEXT("v8", e->v8_version),
      LOG_TEXT("why",
               "this executor cannot be put back as new after a job: each job gets a new isolate, which "
               "takes some ms, as with `isolate = fresh`"));
}

static void on_hello(struct executor *e, const uint8_t *payload, size_t len) {
  struct wire_hello hello;
  char sandbox[257];

  if (wire_hello_decode(payload, len, &hello) < 0) {
    executor_breach(e, "a HELLO message that cannot be read");
    return;
  }
  if (hello.protocol != WIRE_PROTOCOL_VERSION) {
    executor_breach(e, "it speaks version %u of the protocol, this program %u; install both from one build",
                    hello.protocol, (unsigned)WIRE_PROTOCOL_VERSION);
    return;
  }
  if (!hello.locked_down && !e->options.unlocked) {
    executor_breach(e, "it is not locked down, and nobody asked for that");
    return;
  }
  snprintf(e->v8_version, sizeof(e->v8_version), "%.*s", (int)hello.v8_version.len, hello.v8_version.data);
  snprintf(sandbox, sizeof(sandbox), "%.*s", (int)hello.sandbox.len, hello.sandbox.data);
  e->ready_ns = clock_monotonic_ns();
  e->resident_at_ready = e->resident_max = resident_bytes(e);
  forget_stderr(e);
  log_event(LOG_LEVEL_DEBUG, "executor_ready", LOG_INT("pid", e->child.pid), LOG_TEXT("v8", e->v8_version),
            LOG_TEXT("sandbox", sandbox), LOG_MS("start_ms", clock_ms(e->ready_ns - e->spawned_ns)),
            LOG_INT("resident_mb", e->resident_at_ready / (int64_t)MIB));
  if (hello.locked_down) warn_of_reduced_sandbox(sandbox);
  warn_of_no_rewinding(e, sandbox);
  executor_enter(e, EXECUTOR_READY);
}

static void on_console(struct executor *e, const uint8_t *payload, size_t len) {
  struct wire_console_entry entry;
  size_t offset = 0;
  int r;

  for (;;) {
    r = wire_console_entry_decode(payload, len, &offset, &entry);
    if (r == 0) return;
    if (r < 0) {
      executor_breach(e, "a CONSOLE message that cannot be read");
      return;
    }
    r = outcome_console(&e->outcome, &entry);
    if (r == -EOVERFLOW) {
      executor_breach(e, "%llu bytes of console output, over max_output_bytes %llu and %u of slack",
                      (unsigned long long)(e->outcome.bytes + entry.text.len + 1),
                      (unsigned long long)e->job->max_output_bytes, OUTCOME_OUTPUT_SLACK_BYTES);
      return;
    }
    if (r < 0) {
      executor_go_deaf(e);
      executor_kill(e, OUTCOME_END_BROKER, "the worker has no memory for the job's output");
      return;
    }
  }
}

static void on_result(struct executor *e, const uint8_t *payload, size_t len) {
  struct wire_result message;
  int r;

  if (wire_result_decode(payload, len, &message) < 0) {
    executor_breach(e, "a RESULT message that cannot be read");
    return;
  }
  if (message.has_result && message.result.len > e->options.max_result_bytes) {
    executor_breach(e, "a result of %zu bytes, over max_result_bytes %llu", message.result.len,
                    (unsigned long long)e->options.max_result_bytes);
    return;
  }
  r = outcome_from_result(&e->outcome, &message, &e->result);
  if (r == -EBADMSG) {
    executor_breach(e, "a RESULT with status %s, which is not an executor's to say",
                    isoq_status_name(message.status));
    return;
  }
  if (r < 0) {
    executor_go_deaf(e);
    executor_kill(e, OUTCOME_END_BROKER, "the worker has no memory for the job's result");
    return;
  }
  e->has_result = true;
  e->retire = message.retire;
}

static void on_dying(struct executor *e, const uint8_t *payload, size_t len) {
  struct wire_dying dying;

  if (wire_dying_decode(payload, len, &dying) < 0) {
    executor_breach(e, "a DYING message that cannot be read");
    return;
  }
  e->death.gave_up = true;
  e->death.gave_up_status = dying.status;
  snprintf(e->death.message, sizeof(e->death.message), "%s: %.*s",
           dying.status == ISOQ_STATUS_OOM ? "memory" : "V8 gave up", (int)dying.why.len, dying.why.data);
  if (e->state == EXECUTOR_BUSY) executor_enter(e, EXECUTOR_DRAINING);
}

/* ---- the trace ---- */

/* Words of printable ASCII (engine/trace.hh): nothing that a JSON string would have to escape. */
static bool is_trace(struct wire_text text) {
  for (size_t i = 0; i < text.len; i++)
    if (text.data[i] < ' ' || text.data[i] > '~' || text.data[i] == '"' || text.data[i] == '\\') return false;
  return true;
}

static uint64_t trace_bytes_kept(const struct executor *e) {
  return e->job->replay != NULL ? WIRE_TRACE_MAX : e->job->record_max_bytes;
}

static void on_trace(struct executor *e, const uint8_t *payload, size_t len) {
  struct wire_text text;

  if (wire_trace_decode(payload, len, &text) < 0 || !is_trace(text)) {
    executor_breach(e, "a TRACE message that cannot be read");
    return;
  }
  e->trace_bytes += text.len;
  if (e->trace_bytes > WIRE_TRACE_MAX) {
    executor_breach(e, "a trace of more than %u bytes", WIRE_TRACE_MAX);
    return;
  }
  if (e->trace_bytes > trace_bytes_kept(e)) return; /* no record could hold it */
  if (result_text_append(&e->trace, text.data, text.len) < 0) {
    executor_go_deaf(e);
    executor_kill(e, OUTCOME_END_BROKER, "the worker has no memory for the job's trace");
  }
}

/* ---- host functions ---- */

static void executor_write(struct executor *e);

static void on_answer(void *ctx, uint32_t call, bool ok, const char *json, size_t len) {
  struct executor *e = ctx;
  const struct wire_reply reply = {.call = call, .ok = ok, .json = {json, len}};

  if (e->state != EXECUTOR_BUSY) return;
  if (wire_reply_encode(&e->outgoing, e->current.number, &reply) < 0)
    executor_kill(e, OUTCOME_END_BROKER, "the worker has no memory for the answer of a host function");
  else
    executor_write(e);
}

static void on_call(struct executor *e, const uint8_t *payload, size_t len) {
  struct wire_call call;
  int r = 0;

  if (wire_call_decode(payload, len, &call) < 0) {
    executor_breach(e, "a CALL message that is malformed");
    return;
  }
  if ((e->options.bindings == NULL && e->job->replay == NULL) || e->job->functions == 0) {
    executor_breach(e, "a CALL message of a job that has no host functions");
    return;
  }
  if (e->state != EXECUTOR_BUSY) return; /* it dies: nobody waits for the answer */
  if (e->calls == NULL) r = calls_new(e->options.bindings, e->job, job_deadline(e), on_answer, e, &e->calls);
  if (r == 0) r = calls_start(e->calls, &call);
  if (r == -ECANCELED)
    executor_cancel(e); /* the job's replay knows why */
  else if (r == -EPROTO)
    executor_breach(e, "call number %u, out of order or above the limit of %u", call.call, e->job->max_calls);
  else if (r < 0)
    executor_kill(e, OUTCOME_END_BROKER, "the worker has no memory for a call of a host function");
}

/* ---- the debugger ---- */

int executor_inspect(struct executor *e, const char *text, size_t len) {
  int r;

  if (e->state != EXECUTOR_BUSY || e->options.inspect == NULL) return -ENOENT;
  if (len > WIRE_INSPECT_MAX) return -EMSGSIZE;
  r = wire_inspect_in_encode(&e->outgoing, e->current.number, (struct wire_text){text, len});
  if (r < 0)
    executor_kill(e, OUTCOME_END_BROKER, "there is no memory for a message of the debugger");
  else
    executor_write(e);
  return r;
}

static void on_inspect_out(struct executor *e, const uint8_t *payload, size_t len) {
  struct wire_text message;

  if (wire_inspect_out_decode(payload, len, &message) < 0)
    executor_breach(e, "an INSPECT_OUT message that is malformed");
  else
    e->options.inspect->message(e->options.inspect->ctx, message.data, message.len);
}

/* ---- which job runs ---- */

/* In DRAINING as well: its RESULT may have come before the end. */
static void executor_begin(struct executor *e, struct given given) {
  e->current = given;
  e->job = given.job;
  e->jobs++;
  e->cancelled = false;
  e->has_result = false;
  e->resident_job_max = 0;
  e->job_started_ns = clock_monotonic_ns();
  e->job_started_ms = clock_real_ms();
  e->job_cpu_ns = spawn_cpu_ns(&e->child);
  outcome_begin(&e->outcome, given.job);
  if (e->state != EXECUTOR_DRAINING) executor_enter(e, EXECUTOR_BUSY);
}

static void executor_begin_next(struct executor *e) {
  executor_begin(e, take_next(e));
}

/* ---- jobs that were given back ---- */

static bool has_said_nothing(const struct executor *e) {
  return e->outcome.count == 0 && e->trace_bytes == 0 && e->calls == NULL;
}

static bool returns_current(const struct executor *e, const struct wire_returned *returned) {
  return e->job != NULL && returned->after < e->current.number && e->current.number <= returned->up_to;
}

/* Each job comes back once, and none is left out: so there is an end to these messages, too. */
static bool returns_something(const struct executor *e, const struct wire_returned *returned) {
  if (e->next_count == 0) return returns_current(e, returned);
  if (returned->after >= e->next[0].number) return false;
  return returned->up_to >= e->next[0].number || returns_current(e, returned);
}

static void on_returned(struct executor *e, const uint8_t *payload, size_t len) {
  struct wire_returned message;

  if (wire_returned_decode(payload, len, &message) < 0)
    executor_breach(e, "a RETURNED message that is malformed");
  else if (message.up_to > e->last_number || !returns_something(e, &message))
    executor_breach(e, "it returned jobs number %u to %u, and has number %u to %u", message.after + 1,
                    message.up_to, e->current.number, e->last_number);
  else if (returns_current(e, &message) && (!e->current.ahead || !has_said_nothing(e) || has_verdict(e)))
    executor_breach(e, "it returned job number %u, which it had begun", e->current.number);
  else
    e->returned = message;
}

/* The owner hears of the jobs in the order in which they were given. */
static void executor_hand_back(struct executor *e) {
  struct job *jobs[1 + EXECUTOR_AHEAD_MAX];
  unsigned count = 0;
  bool taken;

  if (returns_current(e, &e->returned)) {
    jobs[count++] = e->job;
    e->job = NULL;
    outcome_clear(&e->outcome);
  }
  while (e->next_count > 0 && e->next[0].number <= e->returned.up_to)
    jobs[count++] = take_next(e).job;
  e->returned = (struct wire_returned){0};
  if (e->job == NULL && e->next_count > 0)
    executor_begin_next(e);
  else if (e->job == NULL && e->state == EXECUTOR_BUSY)
    executor_enter(e, EXECUTOR_READY);
  for (unsigned i = 0; i < count; i++) {
    taken = e->callbacks.returned(e->ctx, jobs[i]);
    assert(taken);
    (void)taken;
  }
}

/* What has come that the owner must hear of before more is read. */
static bool has_news(const struct executor *e) {
  return e->returned.up_to > 0 || (e->has_result && e->next_count > 0);
}

/* Handles the frames that are whole, up to one that is news for the owner. */
static void executor_dispatch(struct executor *e) {
  static void (*const handlers[])(struct executor *, const uint8_t *, size_t) = {
      [WIRE_HELLO] = on_hello,
      [WIRE_CONSOLE] = on_console,
      [WIRE_RESULT] = on_result,
      [WIRE_DYING] = on_dying,
      [WIRE_CALL] = on_call,
      [WIRE_TRACE] = on_trace,
      [WIRE_INSPECT_OUT] = on_inspect_out,
      [WIRE_RETURNED] = on_returned,
  };
  struct wire_header header;
  const uint8_t *payload;
  int r;

  while (!e->deaf && !has_news(e)) {
    r = inbox_header(&e->inbox, &header);
    if (r == -EBADMSG)
      executor_breach(e, "a message of no known type");
    else if (r < 0)
      executor_breach(e, "a message longer than its type allows");
    if (r <= 0 || !executor_admits(e, &header)) return;
    payload = inbox_payload(&e->inbox, &header);
    if (payload == NULL) return;
    handlers[header.type](e, payload, header.length);
    inbox_next(&e->inbox, &header);
  }
}

/* ---- outcomes ---- */

/* The most that was seen of it. */
static uint64_t resident_of_job(const struct executor *e) {
  int64_t resident = e->resident_job_max - e->resident_at_ready;

  return resident > 0 ? (uint64_t)resident : 0;
}

/* What only the broker can know of a job whose executor told no result. */
static void measure_from_outside(const struct executor *e, struct job_result *result) {
  int64_t cpu =
      e->state == EXECUTOR_DRAINING && !e->death.lingers ? e->death.end.cpu_ns : spawn_cpu_ns(&e->child);

  result->execution_time_ms = clock_ms(clock_monotonic_ns() - e->job_started_ns);
  if (cpu >= 0 && e->job_cpu_ns >= 0 && cpu > e->job_cpu_ns)
    result->cpu_time_ms = clock_ms(cpu - e->job_cpu_ns);
  result->peak_memory_bytes = resident_of_job(e);
}

/* Takes the job out, with its result. */
static struct job *executor_finish(struct executor *e, struct job_result *result) {
  struct job *job = e->job;
  double ran_ms = result->execution_time_ms; /* says the executor */
  int64_t began_ms = e->current.at_ms;

  result->ran = true;
  result->trace_left_out = e->trace_bytes > e->trace.len;
  result->trace = e->trace;
  e->trace = (struct result_text){0};
  if (e->calls != NULL) calls_take_notes(e->calls, result);
  e->job = NULL;
  end_calls(e);
  outcome_clear(&e->outcome);
  result->finished_at_ms = clock_real_ms();
  /* One that was sent ahead may have begun before we saw the RESULT of the one before it. */
  if (ran_ms < (double)(result->finished_at_ms - began_ms))
    began_ms = result->finished_at_ms - (int64_t)ran_ms;
  result->started_at_ms = began_ms < e->job_started_ms ? began_ms : e->job_started_ms;
  return job;
}

static void executor_deliver(struct executor *e, struct job *job, struct job_result *result) {
  e->callbacks.done(e->ctx, job, result);
  job_result_free(result);
}

/* A RESULT has come. What follows depends on how clean the end was. */
static void executor_settle(struct executor *e) {
  struct job_result result = e->result;
  bool stays = isoq_status_is_clean(result.status) && !e->retire;
  struct job *job;

  e->result = (struct job_result){0};
  e->has_result = false;
  if (e->state == EXECUTOR_BUSY && e->next_count == 0 && inbox_left(&e->inbox) > 0)
    executor_breach(e, "bytes after the RESULT");
  if (e->state == EXECUTOR_BUSY && e->sent < e->current.end)
    executor_breach(e, "a RESULT before the JOB was read");
  if (e->state == EXECUTOR_BUSY && e->deaf)
    executor_enter(e, EXECUTOR_DRAINING); /* it closed its socket; its death tells why */
  if (e->state == EXECUTOR_BUSY && !isoq_status_is_clean(result.status))
    executor_kill(e, OUTCOME_END_RETIRED, "after a job that ended as %s", isoq_status_name(result.status));
  else if (e->state == EXECUTOR_BUSY && e->retire)
    executor_kill(e, OUTCOME_END_RETIRED, "it asked for it after a job that it cannot rewind");
  inbox_rest(&e->inbox);
  job = executor_finish(e, &result);
  if (stays && e->next_count > 0)
    executor_begin_next(e);
  else if (e->state == EXECUTOR_BUSY)
    executor_enter(e, EXECUTOR_READY);
  executor_deliver(e, job, &result);
}

/*
 * A job is not to blame for an executor that could not be rewound after the one before it, which is found out after
 * the RESULT; nor for one that was killed for the one before it, whose RESULT was on its way.
 */
static bool is_innocent(const struct executor *e) {
  if (outcome_classify(&e->death) == OUTCOME_END_REWIND) return has_said_nothing(e);
  return e->death.killed && e->killed_number != e->current.number;
}

static bool executor_return(struct executor *e) {
  struct job *job = e->job;

  if (e->callbacks.returned == NULL || e->cancelled) return false;
  e->job = NULL;
  if (e->callbacks.returned(e->ctx, job)) {
    end_calls(e);
    outcome_clear(&e->outcome);
    return true;
  }
  e->job = job;
  return false;
}

/* Of the jobs which it had, the one that ran gets its outcome from the death; the others never began. */
static void executor_settle_by_death(struct executor *e) {
  struct job_result result;
  struct job *job;
  bool began = e->job != NULL && !is_innocent(e);

  for (; e->job != NULL || e->next_count > 0; began = false) {
    if (e->job == NULL) executor_begin_next(e);
    if (!began && executor_return(e)) continue;
    e->death.memory_mb = e->job->memory_mb;
    e->death.resident_bytes = resident_of_job(e);
    outcome_from_death(&e->outcome, &e->death, &result);
    measure_from_outside(e, &result);
    job = executor_finish(e, &result);
    executor_deliver(e, job, &result);
  }
}

/* ---- input and output ---- */

/* Reads and handles what is there, up to `*budget` bytes, or to what is news. Calls no owner but `changed`. */
static void executor_read(struct executor *e, size_t *budget) {
  int r;

  for (;;) {
    executor_dispatch(e);
    if (e->deaf || has_news(e) || *budget == 0) return;
    r = inbox_fill(&e->inbox, e->child.socket);
    if (r == -EAGAIN) return;
    if (r <= 0) {
      executor_go_deaf(e);
      if (r == -ENOMEM)
        executor_kill(e, OUTCOME_END_BROKER, "the worker has no memory for a message of the executor");
      else if (e->state != EXECUTOR_DRAINING && !e->has_result)
        executor_enter(e, EXECUTOR_DRAINING); /* its death comes next, or its deadline */
      return;
    }
    *budget -= (size_t)r < *budget ? (size_t)r : *budget;
  }
}

static void executor_pump(struct executor *e, size_t budget) {
  enum executor_state before = e->state;

  do {
    executor_read(e, &budget);
    if (e->returned.up_to > 0)
      executor_hand_back(e);
    else if (e->has_result)
      executor_settle(e);
    else if (before == EXECUTOR_SPAWNING && e->state == EXECUTOR_READY)
      e->callbacks.ready(e->ctx);
    else
      return;
  } while (!e->deaf && (inbox_left(&e->inbox) > 0 || e->state == EXECUTOR_DRAINING));
}

static void on_readable(evutil_socket_t fd, short what, void *ctx) {
  (void)fd, (void)what;
  executor_pump(ctx, PUMP_BYTES);
}

static void executor_write(struct executor *e) {
  ssize_t n;

  while (e->sent < e->outgoing.len) {
    n = send(e->child.socket, e->outgoing.data + e->sent, e->outgoing.len - e->sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) {
      event_add(e->writable, NULL);
      return;
    }
    if (n < 0) break; /* it is gone: reading finds out, and its death tells why */
    e->sent += (size_t)n;
  }
  event_del(e->writable);
  if (e->sent == e->outgoing.len) {
    wire_buffer_reset(&e->outgoing, KEEP_BYTES);
    e->sent = e->current.end = 0;
    for (unsigned i = 0; i < e->next_count; i++)
      e->next[i].end = 0;
  }
}

static void on_writable(evutil_socket_t fd, short what, void *ctx) {
  (void)fd, (void)what;
  executor_write(ctx);
}

static int encode_job(struct executor *e, const struct job *job) {
  const struct replay *replay = job->replay;
  bool inspected = e->options.inspect != NULL;
  const struct wire_job message = {
      .timeout_ms = inspected ? 0 : job->timeout_ms,
      .cpu_ms = inspected ? 0 : job->cpu_ms,
      .max_timers = e->options.max_timers,
      .functions = e->options.bindings != NULL || replay != NULL ? job->functions : 0,
      .max_calls = job->max_calls,
      .max_heap_bytes = (uint64_t)job->memory_mb * MIB,
      .max_output_bytes = job->max_output_bytes,
      .max_result_bytes = e->options.max_result_bytes,
      .capture_console = job->capture_console,
      .code_is_json = true,
      .has_seed = job->has_seed,
      .seed = job->seed,
      .code = {job->code.data, job->code.len},
      .input = {job->input.data, job->input.len},
      .record = replay != NULL ? replay->loose : job->record,
      .trace = {replay != NULL ? replay->trace : NULL, replay != NULL ? replay->trace_len : 0},
      .inspect = {inspected ? job->id : NULL, inspected ? strlen(job->id) : 0},
  };

  return wire_job_encode(&e->outgoing, e->last_number + 1, &message);
}

static size_t job_bytes(const struct job *job) {
  return job->code.len + job->input.len + JOB_OVERHEAD_BYTES;
}

bool executor_keeps_up(const struct executor *e) {
  return e->state == EXECUTOR_BUSY && !e->taking_back && !e->cancelled && e->calls == NULL &&
         e->options.inspect == NULL &&
         clock_monotonic_ns() - e->job_started_ns <= ms_to_ns(EXECUTOR_PATIENCE_MS);
}

bool executor_has_room(const struct executor *e, const struct job *job) {
  size_t bytes = job_bytes(job);

  if (e->next_count == EXECUTOR_AHEAD_MAX || job->replay != NULL || !executor_keeps_up(e)) return false;
  bytes += e->current.bytes;
  for (unsigned i = 0; i < e->next_count; i++)
    bytes += e->next[i].bytes;
  return bytes <= AHEAD_BYTES;
}

unsigned executor_ahead(const struct executor *e) {
  return e->next_count;
}

int executor_run(struct executor *e, struct job *job) {
  struct given given = {.job = job, .bytes = job_bytes(job), .ahead = e->state == EXECUTOR_BUSY};
  size_t before = e->outgoing.len;
  int r;

  /* Not executor_has_room(): its time may just have run out. */
  assert(given.ahead ? e->next_count < EXECUTOR_AHEAD_MAX : e->state == EXECUTOR_READY && e->job == NULL);
  r = encode_job(e, job);
  if (r < 0) {
    /* What is left of an answer that came too late must go out whole, or the stream is lost. */
    e->outgoing.len = before;
    e->outgoing.failed = false;
    return r;
  }
  given.number = ++e->last_number;
  given.at_ms = clock_real_ms();
  given.end = e->outgoing.len;
  if (given.ahead) {
    e->next[e->next_count++] = given;
    executor_enter(e, EXECUTOR_BUSY);
    return 0;
  }
  executor_begin(e, given);
  if (e->options.inspect != NULL) e->options.inspect->started(e->options.inspect->ctx, job);
  return 0;
}

void executor_flush(struct executor *e) {
  if (e->sent < e->outgoing.len && e->state == EXECUTOR_BUSY) executor_write(e);
}

/* What it says on stderr before it is ready: the reason, should it fail. */
static void on_said(evutil_socket_t fd, short what, void *ctx) {
  struct executor *e = ctx;
  char surplus[512];
  ssize_t n;

  (void)what;
  for (;;) {
    size_t room = LAST_WORDS_SIZE - 1 - e->last_words_len;

    n = read(fd, room > 0 ? e->last_words + e->last_words_len : surplus, room > 0 ? room : sizeof(surplus));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    if (room > 0) e->last_words_len += (size_t)n;
  }
  if (n == 0) event_del(e->said);
}

/* ---- deadlines ---- */

static void on_busy_deadline(struct executor *e) {
  if (e->cancelled)
    executor_kill(
        e, OUTCOME_END_CANCELLED,
        "cancelled: the script did not stop by itself within %u ms of grace (kill_grace_ms), and its "
        "executor was killed",
        e->options.grace_ms);
  else
    executor_kill(e, OUTCOME_END_TIMEOUT,
                  "timeout: %.0f ms used, over timeout_ms %u; the script did not stop within %u ms of grace "
                  "(kill_grace_ms), and its executor was killed",
                  clock_ms(clock_monotonic_ns() - e->job_started_ns), e->job->timeout_ms,
                  e->options.grace_ms);
}

static void on_deadline(evutil_socket_t fd, short what, void *ctx) {
  struct executor *e = ctx;

  (void)fd, (void)what;
  if (clock_monotonic_ns() < e->deadline_ns) { /* the loop's clock is coarse */
    arm_deadline(e, e->deadline_ns);
    return;
  }
  switch (e->state) {
  case EXECUTOR_SPAWNING:
    executor_kill(e, OUTCOME_END_START,
                  "the executor did not get ready within %u ms (executor_start_timeout_ms)",
                  e->options.start_timeout_ms);
    break;
  case EXECUTOR_BUSY:
    /* If it is us who were late, its RESULT may be there. */
    executor_pump(e, PUMP_BYTES);
    if (e->state == EXECUTOR_BUSY && clock_monotonic_ns() >= e->deadline_ns) on_busy_deadline(e);
    break;
  case EXECUTOR_DRAINING:
    if (!e->death.killed) {
      executor_kill(e, OUTCOME_END_BROKER, "it closed its socket, or said that it was dying, and went on");
    } else if (e->job != NULL || e->next_count > 0) {
      e->death.lingers = true;
      executor_settle_by_death(e);
    }
    break;
  default: break;
  }
}

static double megabytes(int64_t bytes) {
  return (double)bytes / (double)MIB;
}

/* The backstop for memory outside V8's heap, and for processor time (DESIGN 3.3). */
static void on_watch(evutil_socket_t fd, short what, void *ctx) {
  struct executor *e = ctx;
  int64_t resident = resident_bytes(e), cpu = spawn_cpu_ns(&e->child);
  int64_t limit = e->resident_at_ready + (int64_t)((e->job->memory_mb + e->options.memory_slack_mb) * MIB);
  int64_t cpu_limit = ms_to_ns((int64_t)e->job->cpu_ms + e->options.grace_ms);

  (void)fd, (void)what;
  if (resident > e->resident_max) e->resident_max = resident;
  if (resident > e->resident_job_max) e->resident_job_max = resident;
  if (resident > limit)
    executor_kill(
        e, OUTCOME_END_MEMORY,
        "memory: %.1f MB resident, over memory_mb %u and memory_slack_mb %u; its executor was killed "
        "after %.0f ms",
        megabytes(resident - e->resident_at_ready), e->job->memory_mb, e->options.memory_slack_mb,
        clock_ms(clock_monotonic_ns() - e->job_started_ns));
  else if (e->options.inspect == NULL && e->job->cpu_ms > 0 && cpu >= 0 && e->job_cpu_ns >= 0 &&
           cpu - e->job_cpu_ns > cpu_limit)
    executor_kill(
        e, OUTCOME_END_CPU_TIMEOUT,
        "cpu_timeout: %.0f ms of processor time used, over cpu_ms %u; the script did not stop within "
        "%u ms of grace (kill_grace_ms), and its executor was killed",
        clock_ms(cpu - e->job_cpu_ns), e->job->cpu_ms, e->options.grace_ms);
}

/* ---- the end ---- */

/* "isoq-executor: sandbox: seccomp: …": its last line without the newline, control characters made blanks. */
static void last_line(const struct executor *e, char *out, size_t size) {
  const char *end = e->last_words + e->last_words_len, *start;
  size_t len;

  while (end > e->last_words && (unsigned char)end[-1] <= ' ')
    end--;
  for (start = end; start > e->last_words && start[-1] != '\n';)
    start--;
  len = (size_t)(end - start) < size - 1 ? (size_t)(end - start) : size - 1;
  memcpy(out, start, len);
  out[len] = '\0';
  for (size_t i = 0; i < len; i++)
    if ((unsigned char)out[i] < ' ') out[i] = ' ';
}

/* One line for each death. */
static void executor_obituary(struct executor *e) {
  enum outcome_end end = outcome_classify(&e->death);
  char how[64], said[512];

  outcome_describe(&e->death, how, sizeof(how));
  last_line(e, said, sizeof(said));
  if (e->death.before_ready && !e->death.killed)
    snprintf(e->death.message, sizeof(e->death.message), "%s (%s)",
             said[0] != '\0' ? said : "the executor ended before it was ready and said nothing", how);
  if (end == OUTCOME_END_REWIND)
    snprintf(e->death.message, sizeof(e->death.message),
             "it could not be put back as new after a job; that job's result stands, and the next goes to "
             "another one");
  log_event((enum log_level)outcome_end_log_level(end), "executor_death", LOG_INT("pid", e->child.pid),
            LOG_TEXT("kind", outcome_end_name(end)), LOG_TEXT("end", how), LOG_TEXT("why", e->death.message),
            LOG_TEXT("job", e->job != NULL && !is_innocent(e) ? e->job->id : ""), LOG_INT("jobs", e->jobs),
            LOG_MS("lived_ms", clock_ms(clock_monotonic_ns() - e->spawned_ns)),
            LOG_INT("resident_mb", (e->resident_max > 0 ? e->resident_max : 0) / (int64_t)MIB));
}

static void on_ended(evutil_socket_t fd, short what, void *ctx) {
  struct executor *e = ctx;

  (void)fd, (void)what;
  if (spawn_reap(&e->child, &e->death.end) == -EAGAIN) return;
  /* No READY from here on, whatever the socket still holds. */
  if (e->state != EXECUTOR_DRAINING) executor_enter(e, EXECUTOR_DRAINING);
  if (e->said != NULL) on_said(e->child.stderr_fd, 0, e);
  executor_pump(e, SIZE_MAX);
  e->death.lingers = false;
  e->death.before_ready = e->ready_ns == 0;
  event_del(e->ended);
  executor_go_deaf(e);
  executor_obituary(e);
  executor_settle_by_death(e);
  executor_enter(e, EXECUTOR_DEAD);
  e->callbacks.dead(e->ctx);
}

/* ---- making and freeing ---- */

static int make_events(struct executor *e) {
  e->readable = event_new(e->base, e->child.socket, EV_READ | EV_PERSIST, on_readable, e);
  e->writable = event_new(e->base, e->child.socket, EV_WRITE | EV_PERSIST, on_writable, e);
  e->ended = event_new(e->base, e->child.pidfd, EV_READ | EV_PERSIST, on_ended, e);
  e->deadline = event_new(e->base, -1, 0, on_deadline, e);
  e->watch = event_new(e->base, -1, EV_PERSIST, on_watch, e);
  e->impatience = event_new(e->base, -1, 0, on_impatience, e);
  if (e->readable == NULL || e->writable == NULL || e->ended == NULL || e->deadline == NULL ||
      e->watch == NULL || e->impatience == NULL)
    return -ENOMEM;
  if (e->child.stderr_fd >= 0) {
    e->said = event_new(e->base, e->child.stderr_fd, EV_READ | EV_PERSIST, on_said, e);
    if (e->said == NULL || event_add(e->said, NULL) < 0) return -ENOMEM;
  }
  if (event_add(e->readable, NULL) < 0 || event_add(e->ended, NULL) < 0) return -ENOMEM;
  return 0;
}

int executor_new(struct event_base *base, const struct executor_options *options,
                 const struct executor_callbacks *callbacks, void *ctx, struct executor **out, char *error,
                 size_t error_size) {
  const struct executor_faults *faults = options->faults;
  struct executor *e = calloc(1, sizeof(*e));
  int r;

  if (e == NULL) return -ENOMEM;
  e->base = base;
  e->options = *options;
  e->callbacks = *callbacks;
  e->ctx = ctx;
  e->child = (struct spawn_child){.pid = -1, .pidfd = -1, .socket = -1, .stderr_fd = -1, .statm_fd = -1};
  r = (faults != NULL && faults->start != NULL ? faults->start : spawn_start)(
      options->path, options->unlocked, options->rewind_mb, &e->child, error, error_size);
  if (r < 0) goto out;
  e->options.path = NULL;
  e->spawned_ns = clock_monotonic_ns();
  r = make_events(e);
  if (r < 0) {
    snprintf(error, error_size, "out of memory");
    goto out;
  }
  executor_enter(e, EXECUTOR_SPAWNING);
  *out = e;
  return 0;

out:
  executor_free(e);
  return r;
}

/* Kills without a farewell. A process that cannot die within the time is left to init. */
static void put_down(struct executor *e) {
  struct pollfd ended = {.fd = e->child.pidfd, .events = POLLIN};
  int r;

  spawn_signal(&e->child, SIGKILL);
  do
    r = poll(&ended, 1, LINGER_MS);
  while (r < 0 && errno == EINTR);
  if (r > 0) spawn_reap(&e->child, &e->death.end);
}

void executor_free(struct executor *e) {
  struct event *events[] = {e->readable, e->writable, e->said,      e->ended,
                            e->deadline, e->watch,    e->impatience};

  for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
    if (events[i] != NULL) event_free(events[i]);
  if (e->state != EXECUTOR_DEAD && e->child.pid > 0) put_down(e);
  spawn_close(&e->child);
  inbox_free(&e->inbox);
  wire_buffer_free(&e->outgoing);
  end_calls(e);
  outcome_clear(&e->outcome);
  job_result_free(&e->result);
  free(e);
}
