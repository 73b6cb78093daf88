/*
 * The replay record of a job that has run: one JSON document (docs/replay.md), made by the worker beside the result, and
 * read again by isoq replay.
 *
 * It is spliced from texts that are there already: the job as it was pushed, the arguments and answers of its calls, its
 * result. Nothing of them is encoded anew. It holds no credential, because nothing that goes into it knows any.
 */
#ifndef ISOQ_QUEUE_RECORD_H
#define ISOQ_QUEUE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "queue/job.h"

struct job_result;

#define RECORD_VERSION 1 /* the one that is written; all up to it are read */
#define RECORD_ERROR_SIZE 320

/*
 * What is compared of a result that is too large for its record: FNV-1a, 64 bits, of each part. Of a run that was stopped,
 * what is measured is left out of it (cli/compare.h).
 */
#define RECORD_DIGEST_LIST(X) X(result) X(error) X(console_output) X(stdout) X(stderr) X(truncated)

enum record_digest_part {
#define X(name) RECORD_DIGEST_##name,
  RECORD_DIGEST_LIST(X)
#undef X
  RECORD_DIGEST_COUNT
};

struct record_digest {
  uint64_t part[RECORD_DIGEST_COUNT];
  size_t entries; /* of console output */
};

void record_digest_make(const struct job_result *result, struct record_digest *out);
const char *record_digest_name(enum record_digest_part part);

/* ---- writing ---- */

/* What the run depended on, beside its job. All borrowed. */
struct record_setting {
  const char *isoq_version, *v8_version;
  const char *const *functions; /* names, as job_limits.functions */
  size_t function_count;
  uint64_t max_result_bytes;
  uint32_t max_timers;
};

/*
 * The record of `job`, which has run and whose result is `json`, with result->trace and result->calls. It has at most
 * job->record_max_bytes bytes: what does not fit is left out, the calls first, then the trace, then the result (a digest of
 * it stays); and "left_out" names it. `*out` is malloc'ed, NUL-terminated. 0 or -ENOMEM.
 */
int record_make(const struct job *job, const struct job_result *result, const char *json, size_t json_len,
                const struct record_setting *setting, int64_t at_ms, char **out, size_t *out_len);

/*
 * One element of "calls"; malloc'ed, NULL: no memory. `args` and `answer` are any bytes: what is no JSON array, or no
 * JSON, goes in as a string. answer NULL: none had come when the job ended; or, with `left_out`, it is not kept.
 */
struct record_noted {
  uint32_t call;
  const char *name, *args, *answer;
  size_t name_len, args_len, answer_len;
  bool ok, left_out;
};
char *record_call_make(const struct record_noted *noted, size_t *len);

/* ---- reading ---- */

struct record_call {
  uint32_t call;
  char *name;             /* owned */
  struct job_span args;   /* JSON text of an array; or of a string, where it was no array */
  bool answered, ok;      /* `ok` and `answer` count only where it was answered */
  bool left_out;          /* its answer is not in the record */
  struct job_span answer; /* JSON text */
};

enum record_part {
  RECORD_JOB = 1,
  RECORD_RESULT = 2,
  RECORD_TRACE = 4,
  RECORD_CALLS = 8
};

struct record {
  char *text; /* owned; the spans point into it */
  size_t len;
  int version;
  char *isoq, *v8, *queue, *id, *worker, *status; /* owned; "" where the record does not say */
  int64_t at_ms;
  uint32_t attempt;
  struct job_span job, result; /* JSON text of objects; data NULL: left out */
  uint32_t timeout_ms, cpu_ms, memory_mb, max_timers, max_calls;
  uint64_t max_output_bytes, max_result_bytes;
  bool capture_console;
  char **functions; /* owned names */
  size_t function_count;
  bool has_seed;
  uint64_t seed;
  char *trace; /* owned, NUL-terminated */
  size_t trace_len;
  struct record_call *calls; /* owned */
  size_t call_count;
  unsigned left_out; /* enum record_part */
  bool has_digest;   /* where the result is left out */
  struct record_digest digest;
};

/*
 * Reads a record, whoever wrote it. 0; -EINVAL: it is none, or one of a later version, and `error` says what is wrong,
 * where, and what would be right; -ENOMEM.
 */
int record_parse(const char *text, size_t len, struct record *out, char error[RECORD_ERROR_SIZE]);
void record_free(struct record *record); /* frees what it owns, not the struct */

#endif
