/*
 * Payloads of any bytes. Beyond not crashing: a job always comes out, an error is said in valid UTF-8 and on
 * one line, spans lie within the payload, the payload is unchanged, and what was accepted makes a result and
 * a dead letter that are JSON.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "queue/dead_letter.h"
#include "queue/job.h"
#include "queue/json_text.h"
#include "queue/result.h"
#include "queue/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct job_limits limits = {
    .timeout_ms = {30000, 1, 600000},
    .cpu_ms = {0, 1, 600000},
    .memory_mb = {256, 8, 1024},
    .max_output_bytes = {1 << 20, 0, 16 << 20},
    .reply_ttl_s = {3600, 1, 86400},
    .max_attempts = {1, 1, 25},
    .backoff_ms = {1000, 0, 86400000},
    .delay_ms = {0, 0, 86400000},
    .max_code_bytes = 1 << 10,
    .max_input_bytes = 1 << 12,
    .max_payload_bytes = 1 << 14,
};

static void require(bool condition) {
  if (!condition) abort();
}

static void check_span(const struct job *job, struct job_span span) {
  if (!span.data) return;
  require(span.len > 0 && span.data >= job->payload &&
          span.data + span.len <= job->payload + job->payload_len);
  require(utf8_check(span.data, span.len) == span.len);
}

static void check_texts(const struct job *job) {
  struct job_result result = {0};
  char *json, *letter;
  size_t len;
  require(job_result_invalid(&result, job) == 0);
  require(result_text_set(&result.stdout_text, job->payload, job->payload_len) == 0);
  require(job_result_to_json(&result, job, &json, &len) == 0);
  require(json_text_is_object(json, len, JOB_DEPTH_MAX + 4) && !memchr(json, '\n', len));
  const char *reason = job->error ? job->error : "none";
  size_t letter_len;
  require(dead_letter_make(job->payload, job->payload_len, reason, json, len, 1, &letter, &letter_len) == 0);
  require(json_text_is_object(letter, letter_len, JOB_DEPTH_MAX + 4) && strlen(letter) == letter_len);
  free(letter);
  free(json);
  job_result_free(&result);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct job *job = NULL;
  char *payload = malloc(size ? size : 1); /* just as long, so that a read past its end is seen */
  require(payload != NULL);
  if (size) memcpy(payload, data, size);
  require(job_parse(payload, size, &limits, "isoq", "q", &job) == 0);
  free(payload);
  require(job->payload_len == size && memcmp(job->payload, data, size) == 0);
  require(job->error ||
          (job->code.data && job->reply_to && json_text_is_object(job->payload, size, JOB_DEPTH_MAX + 1)));
  require(!job->error ||
          (utf8_check(job->error, strlen(job->error)) == strlen(job->error) && !strchr(job->error, '\n')));
  require(!job->id[0] || job_id_valid(job->id, strlen(job->id)));
  check_span(job, job->code);
  check_span(job, job->input);
  check_span(job, job->metadata);
  check_texts(job);
  job_free(job);
  return 0;
}
