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
  bool has_seed;
  uint64_t seed;

  int64_t claimed_at_ms; /* CLOCK_REALTIME, set by whoever took it */
  uint32_t attempt;      /* from 1 */

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

/* True for a usable id: [A-Za-z0-9._:-]{1,128}. */
bool job_id_valid(const char *id, size_t len);

/* True for a usable queue name: [A-Za-z0-9_.-]{1,64}. */
bool job_queue_name_valid(const char *name, size_t len);

#endif
