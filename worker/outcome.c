/*
 * Every job gets a result with the same shape, whoever tells it: the executor, the kernel, or the broker that
 * lost patience. So the three ways in (a RESULT, a death, a cancel before the start) end in one function that
 * fills the streams from the console entries and puts the error's text at the end of stderr.
 *
 * Which death means what is a table and one function that reads it in order of trust: a broken rule of the
 * wire beats everything the executor said; what V8 said with its last breath beats the signal that followed;
 * our own SIGKILL explains a death only if it was the SIGKILL that the process died of.
 */
#include "worker/outcome.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/error_text.h"
#include "engine/executor_exit.h"
#include "queue/job.h"
#include "worker/log.h"

static const struct end_row {
  const char *name;
  enum isoq_status status;
  const char *error_name;
  enum log_level level;
} ends[] = {
#define X(name, text, status, error_name, level) {text, ISOQ_STATUS_##status, error_name, LOG_LEVEL_##level},
    OUTCOME_END_LIST(X)
#undef X
};

static const struct end_row *end_row(enum outcome_end end) {
  return &ends[(unsigned)end < OUTCOME_END_COUNT ? end : OUTCOME_END_EXIT];
}

const char *outcome_end_name(enum outcome_end end) {
  return end_row(end)->name;
}

int outcome_end_log_level(enum outcome_end end) {
  return (int)end_row(end)->level;
}

/* ---- deaths ---- */

enum outcome_end outcome_classify(const struct outcome_death *death) {
  const struct spawn_end *end = &death->end;

  if (death->killed && death->kill_reason == OUTCOME_END_PROTOCOL) return OUTCOME_END_PROTOCOL;
  if (death->before_ready) return death->killed ? death->kill_reason : OUTCOME_END_START;
  if (death->gave_up) return death->gave_up_status == ISOQ_STATUS_OOM ? OUTCOME_END_OOM : OUTCOME_END_GAVE_UP;
  if (death->lingers) return death->killed ? death->kill_reason : OUTCOME_END_BROKER;
  if (end->exited && end->exit_code == EXECUTOR_EXIT_OOM) return OUTCOME_END_OOM;
  if (end->exited && end->exit_code == EXECUTOR_EXIT_CRASHED) return OUTCOME_END_GAVE_UP;
  if (end->exited && end->exit_code == EXECUTOR_EXIT_REWIND && !death->killed) return OUTCOME_END_REWIND;
  if (!end->exited && end->signal == SIGSYS) return OUTCOME_END_SANDBOX;
  if (death->killed && (end->exited || end->signal == SIGKILL)) return death->kill_reason;
  return end->exited ? OUTCOME_END_EXIT : OUTCOME_END_SIGNAL;
}

void outcome_describe(const struct outcome_death *death, char *out, size_t size) {
  const struct spawn_end *end = &death->end;
  const char *name;

  if (death->lingers) {
    snprintf(out, size, "still there after SIGKILL");
  } else if (end->exited) {
    snprintf(out, size, "exit status %d", end->exit_code);
  } else {
    name = sigabbrev_np(end->signal);
    if (name != NULL)
      snprintf(out, size, "SIG%s%s", name, end->core_dumped ? ", core dumped" : "");
    else
      snprintf(out, size, "signal %d%s", end->signal, end->core_dumped ? ", core dumped" : "");
  }
}

/* What the result says where whoever killed, or V8, left no words. */
static void general_message(const struct outcome_death *death, enum outcome_end end, char *out, size_t size) {
  char how[64];

  outcome_describe(death, how, sizeof(how));
  switch (end) {
  case OUTCOME_END_OOM:
    snprintf(out, size,
             "memory: %.1f MB resident when last looked at, and V8 could not get more within memory_mb "
             "%u (%s)",
             (double)death->resident_bytes / (1 << 20), death->memory_mb, how);
    break;
  case OUTCOME_END_GAVE_UP: snprintf(out, size, "V8 gave up (%s)", how); break;
  case OUTCOME_END_REWIND:
    snprintf(out, size, "the executor could not be put back as new after an earlier job (%s)", how);
    break;
  case OUTCOME_END_SANDBOX:
    snprintf(out, size, "the executor made a system call that the sandbox forbids (%s)", how);
    break;
  case OUTCOME_END_SIGNAL:
    if (death->end.signal == SIGKILL)
      snprintf(out, size,
               "the executor was killed by SIGKILL, not by its worker: by the kernel, which was out "
               "of memory, or by somebody");
    else
      snprintf(out, size, "the executor was killed by %s", how);
    break;
  case OUTCOME_END_EXIT: snprintf(out, size, "the executor ended in the middle of the job (%s)", how); break;
  default: snprintf(out, size, "%s: the executor was killed", outcome_end_name(end)); break;
  }
}

/* ---- console ---- */

void outcome_begin(struct outcome *outcome, const struct job *job) {
  *outcome = (struct outcome){
      .limit_bytes = (job->capture_console ? job->max_output_bytes : 0) + OUTCOME_OUTPUT_SLACK_BYTES,
  };
}

void outcome_clear(struct outcome *outcome) {
  for (size_t i = 0; i < outcome->count; i++)
    free(outcome->console[i].text.data);
  free(outcome->console);
  *outcome = (struct outcome){0};
}

static void mark_truncated(struct outcome *outcome, enum isoq_console_level level) {
  if (isoq_console_level_stream(level) == 1)
    outcome->stdout_truncated = true;
  else
    outcome->stderr_truncated = true;
}

int outcome_console(struct outcome *outcome, const struct wire_console_entry *entry) {
  struct result_console_entry *console, *added;
  size_t capacity;
  int r;

  if (entry->text.len >= outcome->limit_bytes - outcome->bytes) /* its newline counts */
    return -EOVERFLOW;
  if (outcome->count == OUTCOME_ENTRIES_MAX) {
    mark_truncated(outcome, entry->level);
    outcome->bytes += (uint64_t)entry->text.len + 1;
    return 0;
  }
  if (outcome->count == outcome->capacity) {
    capacity = outcome->capacity ? outcome->capacity * 2 : 16;
    console = realloc(outcome->console, capacity * sizeof(*console));
    if (console == NULL) return -ENOMEM;
    outcome->console = console;
    outcome->capacity = capacity;
  }
  added = &outcome->console[outcome->count];
  *added = (struct result_console_entry){.level = entry->level};
  r = result_text_set(&added->text, entry->text.len ? entry->text.data : "", entry->text.len);
  if (r < 0) return r;
  outcome->count++;
  outcome->bytes += (uint64_t)entry->text.len + 1;
  if (entry->truncated) mark_truncated(outcome, entry->level);
  return 0;
}

/* ---- results ---- */

static const char *or_empty(const char *text) {
  return text != NULL ? text : "";
}

/* The line that an uncaught error is to stderr. `*owned` is to be freed. */
static int error_line(const struct job_result *result, const char **text, char **owned) {
  const char *name = or_empty(result->error_name.data), *message = or_empty(result->error_message.data);
  size_t size = strlen(name) + strlen(message) + 3;

  *text = "";
  *owned = NULL;
  if (!result->has_error) return 0;
  *owned = malloc(size);
  if (*owned == NULL) return -ENOMEM;
  *text = engine_error_text_parts(name, message, result->error_stack.data, *owned, size);
  return 0;
}

/* One stream: its entries, each with a newline, then `last` with one, if there is any. */
static int fill_stream(const struct outcome *outcome, int stream, const char *last, struct result_text *out) {
  size_t len = *last != '\0' ? strlen(last) + 1 : 0;
  char *data, *at;

  for (size_t i = 0; i < outcome->count; i++)
    if (isoq_console_level_stream(outcome->console[i].level) == stream)
      len += outcome->console[i].text.len + 1;
  at = data = malloc(len + 1);
  if (data == NULL) return -ENOMEM;
  for (size_t i = 0; i < outcome->count; i++) {
    const struct result_text *text = &outcome->console[i].text;

    if (isoq_console_level_stream(outcome->console[i].level) != stream) continue;
    if (text->len > 0) memcpy(at, text->data, text->len);
    at += text->len;
    *at++ = '\n';
  }
  if (*last != '\0') {
    at = stpcpy(at, last);
    *at++ = '\n';
  }
  *at = '\0';
  *out = (struct result_text){.data = data, .len = len};
  return 0;
}

/* Fills what depends on the console and moves the entries. -ENOMEM: nothing has moved. */
static int finish(struct outcome *outcome, struct job_result *result) {
  const char *last;
  char *owned;
  int r;

  r = error_line(result, &last, &owned);
  if (r < 0) return r;
  r = fill_stream(outcome, 1, "", &result->stdout_text);
  if (r == 0) r = fill_stream(outcome, 2, last, &result->stderr_text);
  free(owned);
  if (r < 0) return r;
  result->stdout_truncated |= outcome->stdout_truncated;
  result->stderr_truncated |= outcome->stderr_truncated;
  result->console = outcome->console;
  result->console_count = outcome->count;
  *outcome = (struct outcome){0};
  return 0;
}

/* What an executor may say of a job. The rest is the broker's to say. */
static bool may_claim(enum isoq_status status) {
  return status != ISOQ_STATUS_SANDBOX_VIOLATION && status != ISOQ_STATUS_INVALID &&
         status != ISOQ_STATUS_WORKER_LOST && (unsigned)status < ISOQ_STATUS_COUNT;
}

static int copy_text(struct result_text *out, struct wire_text text) {
  return result_text_set(out, text.len ? text.data : "", text.len);
}

static int copy_error(const struct wire_result *message, struct job_result *out) {
  int r;

  if (!message->has_error)
    return job_result_set_error(out, message->status, "Error", isoq_status_name(message->status));
  out->has_error = true;
  out->error_line = message->error_line;
  out->error_column = message->error_column;
  r = copy_text(&out->error_name, message->error_name);
  if (r == 0) r = copy_text(&out->error_message, message->error_message);
  if (r == 0) r = copy_text(&out->error_stack, message->error_stack);
  return r;
}

int outcome_from_result(struct outcome *outcome, const struct wire_result *message, struct job_result *out) {
  struct job_result result = {
      .status = message->status,
      .result_type = ISOQ_TYPE_NONE,
      .stdout_truncated = message->stdout_truncated,
      .stderr_truncated = message->stderr_truncated,
      .execution_time_ms = message->execution_time_ms,
      .cpu_time_ms = message->cpu_time_ms,
      .peak_memory_bytes = message->peak_memory_bytes,
  };
  int r = 0;

  if (!may_claim(message->status)) return -EBADMSG;
  if (message->status != ISOQ_STATUS_OK) {
    r = copy_error(message, &result);
  } else {
    result.result_type = message->result_type;
    if (message->has_result) r = copy_text(&result.result, message->result);
  }
  if (r == 0) r = finish(outcome, &result);
  if (r < 0) {
    job_result_free(&result);
    return r;
  }
  *out = result;
  return 0;
}

void outcome_from_death(struct outcome *outcome, const struct outcome_death *death, struct job_result *out) {
  enum outcome_end end = outcome_classify(death);
  const struct end_row *row = end_row(end);
  struct job_result result = {.status = row->status};
  char message[OUTCOME_MESSAGE_SIZE];

  if (death->message[0] != '\0' && (death->gave_up || (death->killed && end == death->kill_reason)))
    snprintf(message, sizeof(message), "%s", death->message);
  else
    general_message(death, end, message, sizeof(message));
  if (job_result_set_error(&result, row->status, row->error_name, message) < 0 ||
      finish(outcome, &result) < 0) {
    /* Out of memory: the status alone is still an outcome. */
    job_result_free(&result);
    result = (struct job_result){.status = row->status};
  }
  outcome_clear(outcome);
  *out = result;
}

void outcome_from_cancel(struct job_result *out) {
  struct outcome nothing = {0};
  const struct outcome_death death = {
      .killed = true,
      .kill_reason = OUTCOME_END_CANCELLED,
      .message = "cancelled before it started",
      .lingers = true,
  };

  outcome_from_death(&nothing, &death, out);
}

int outcome_from_invalid(const struct job *job, struct job_result *out) {
  struct outcome nothing = {0};
  struct job_result result = {0};
  int r;

  r = job_result_invalid(&result, job);
  if (r == 0) {
    result_text_set(&result.stdout_text, NULL, 0);
    result_text_set(&result.stderr_text, NULL, 0);
    r = finish(&nothing, &result);
  }
  if (r < 0) {
    job_result_free(&result);
    return r;
  }
  *out = result;
  return 0;
}
