/*
 * A job as a producer pushed it: text from outside, checked field by field (DESIGN 1.2).
 *
 * The payload is kept byte for byte (settling removes exactly these bytes from the claimed list, a dead
 * letter and a replay record carry them), and `code`, `input` and `metadata` are spans of it: numbers that no
 * C type holds, duplicate keys and lone surrogates in them reach the script, or go back to the producer, as
 * they came.
 */
#ifndef ISOQ_QUEUE_JOB_H
#define ISOQ_QUEUE_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JOB_ID_MAX 128
#define JOB_TENANT_MAX 128
#define JOB_REPLY_TO_MAX 512
#define JOB_DEPTH_MAX 256 /* nesting of the payload */

struct replay;

struct job_span { /* points into job.payload; data NULL: the field was absent */
  const char *data;
  size_t len;
};

/* What the configuration says of each number. `max` is inclusive. */
struct job_limit {
  int64_t default_value, min, max;
};

struct job_limits {
  struct job_limit timeout_ms, cpu_ms, memory_mb, max_output_bytes, reply_ttl_s;
  struct job_limit max_attempts, backoff_ms, delay_ms;
  bool own_process;             /* what a job that names no isolation gets */
  const char *const *functions; /* names of the host functions there are, at most 32 */
  size_t function_count;
  uint32_t functions_allowed; /* bit i: functions[i] is permitted, and what a job that names none gets */
  uint32_t max_calls;         /* of them, in one job */
  bool record;                /* what a job gets that does not say */
  int64_t record_max_bytes;
  int64_t max_code_bytes;  /* decoded UTF-8 */
  int64_t max_input_bytes; /* JSON text; of metadata too */
  int64_t max_payload_bytes;
};

struct job {
  char *payload; /* owned, as it came; NUL-terminated after payload_len */
  size_t payload_len;

  char *queue;              /* owned: the queue it was taken from, or NULL (isoq run) */
  char id[JOB_ID_MAX + 1];  /* "" when the job has none (then reply_to is set) */
  char *reply_to;           /* owned; never NULL in a valid job with a queue */
  struct job_span code;     /* the JSON string literal, quotes included */
  struct job_span input;    /* JSON text */
  struct job_span metadata; /* JSON text of an object */
  char tenant[JOB_TENANT_MAX + 1];

  uint32_t timeout_ms;
  uint32_t cpu_ms; /* 0: none */
  uint32_t memory_mb;
  uint64_t max_output_bytes;
  uint32_t reply_ttl_s;
  bool capture_console;
  bool own_process; /* isolation: "process" */
  bool has_seed;
  uint64_t seed;

  uint32_t functions; /* the host functions it may call, as job_limits.functions_allowed */
  uint32_t max_calls;

  bool record; /* a replay record is wanted (record.h) */
  uint64_t record_max_bytes;
  struct replay *replay; /* it repeats a recorded run (worker/replay.h); borrowed; NULL: it does not */

  uint32_t max_attempts; /* of a script that fails */
  uint32_t backoff_ms;   /* before the second attempt; doubles */
  int64_t delay_ms;      /* after the first claim; 0: none */
  int64_t run_at_ms;     /* CLOCK_REALTIME; 0: at once */

  /* What workers noted on it: */
  uint32_t deaths;  /* workers that died while they had it */
  uint32_t attempt; /* from 1 */
  bool delayed;     /* its delay is over */
  size_t note_len;  /* of the payload, up to the end of that note; 0: there is none */

  int64_t claimed_at_ms; /* CLOCK_REALTIME, set by whoever took it */

  char *error; /* owned; why it is invalid: names the field, what was wrong, and what would be right. NULL:
                  valid */
};

/*
 * Checks `payload` (any bytes) and always makes a job of it, unless memory is short. Where the text is
 * invalid, job->error says why and as many fields as could be known are filled (id, reply_to, reply_ttl_s,
 * metadata), so that the producer can be told. `prefix` and `queue` make the default reply key; both NULL for
 * a job without Redis. Returns 0 (look at (*out)->error) or -ENOMEM.
 */
int job_parse(const char *payload, size_t len, const struct job_limits *limits, const char *prefix,
              const char *queue, struct job **out);

void job_free(struct job *job);

/*
 * What workers must remember of a job while it waits stands in the payload itself: a first member "isoq",
 * spliced in as text, so that nothing of what the producer wrote is encoded anew. It is always of the form
 *
 *   {"isoq":{"deaths":1,"attempt":2,"delayed":true,"token":"<worker>:<n>"},…the rest as it came
 *
 * with `deaths` first, where queue/lua/reap.lua counts. The token makes two payloads of the same bytes differ.
 */
struct job_note {
  uint32_t deaths, attempt;
  bool delayed;
  const char *token; /* [A-Za-z0-9._:-]* */
};

/* The job's payload with this note instead of the one it had, if any; malloc'ed, NUL-terminated. NULL: no memory.
 * Only for a payload that is an object with a member, such as that of a valid job. */
char *job_payload_noted(const struct job *job, const struct job_note *note, size_t *len);

/* The payload as the producer pushed it, without a note; the same terms, but for any job. */
char *job_payload_original(const struct job *job, size_t *len);

/* True for a usable id: [A-Za-z0-9._:-]{1,128}. */
bool job_id_valid(const char *id, size_t len);

/* True for a usable queue name: [A-Za-z0-9_.-]{1,64}. */
bool job_queue_name_valid(const char *name, size_t len);

#endif
