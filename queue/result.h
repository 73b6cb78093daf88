/*
 * The ExecutionResult of a job (DESIGN 1.3), as the broker builds it and as JSON.
 *
 * Everything here may come from an executor that a script has taken over, so all text is taken for bytes:
 * job_result_to_json() replaces what is not UTF-8 by U+FFFD.
 */
#ifndef ISOQ_QUEUE_RESULT_H
#define ISOQ_QUEUE_RESULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/status.h"

struct job;

struct result_text { /* owned; data NULL: JSON null where that is allowed, else "" */
  char *data;
  size_t len;
};

struct result_console_entry {
  enum isoq_console_level level;
  struct result_text text;
};

struct job_result {
  enum isoq_status status;
  struct result_text result; /* NULL: null */
  enum isoq_result_type result_type;
  struct result_text stdout_text, stderr_text;
  struct result_console_entry *console; /* owned array */
  size_t console_count;
  bool stdout_truncated, stderr_truncated;

  bool has_error;
  struct result_text error_name, error_message, error_stack;
  int error_line, error_column; /* 0: JSON null */

  double execution_time_ms, cpu_time_ms, queued_ms;
  uint64_t peak_memory_bytes;
  int64_t started_at_ms, finished_at_ms; /* CLOCK_REALTIME */
  char worker[128];                      /* "" in isoq run */

  /* Not part of the JSON; for a replay record (record.h), or of a replay: */
  bool ran;                  /* an executor had it */
  struct result_text trace;  /* of the engine; in a strict replay, the first step that was not as recorded */
  bool trace_left_out;       /* there was more of it */
  struct result_text *calls; /* owned array; of host functions, each an element of the record's "calls" */
  size_t call_count;
  bool calls_left_out; /* there was more in them */
};

void job_result_free(struct job_result *result); /* frees what it owns, not the struct */

/* Sets an error and a status in one go; copies. Returns 0 or -ENOMEM. */
int job_result_set_error(struct job_result *result, enum isoq_status status, const char *name,
                         const char *message);

/* The result of a job that never ran because job->error says so. */
int job_result_invalid(struct job_result *result, const struct job *job);

/*
 * One line of JSON, fields in the order of DESIGN 1.3, metadata as it came. `*out` is malloc'ed,
 * NUL-terminated. Returns 0 or -ENOMEM.
 */
int job_result_to_json(const struct job_result *result, const struct job *job, char **out, size_t *out_len);

/* Copies len bytes into an owned text; data NULL gives a NULL text. 0 or -ENOMEM. */
int result_text_set(struct result_text *text, const char *data, size_t len);
int result_text_append(struct result_text *text, const char *data, size_t len);

#endif
