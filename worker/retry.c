#include "worker/retry.h"

#include <event2/util.h>

#include "queue/job.h"

static bool may_differ_next_time(enum isoq_status status) {
  switch (status) {
  case ISOQ_STATUS_ERROR:
  case ISOQ_STATUS_TIMEOUT:
  case ISOQ_STATUS_CPU_TIMEOUT:
  case ISOQ_STATUS_OOM:
  case ISOQ_STATUS_OUTPUT_LIMIT:
  case ISOQ_STATUS_CRASHED: return true;
  default: return false;
  }
}

bool retry_wanted(const struct job *job, enum isoq_status status) {
  return may_differ_next_time(status) && job->attempt < job->max_attempts;
}

bool retry_exhausted(const struct job *job, enum isoq_status status) {
  return may_differ_next_time(status) && job->max_attempts > 1 && job->attempt >= job->max_attempts;
}

int64_t retry_pause_ms(const struct job *job, int64_t max_ms) {
  int64_t ms = job->backoff_ms;
  uint32_t random;

  for (uint32_t i = 1; i < job->attempt && ms < max_ms; i++)
    ms *= 2;
  if (ms > max_ms) ms = max_ms;
  evutil_secure_rng_get_bytes(&random, sizeof(random));
  return ms - ms / 4 + random % (ms / 2 + 1);
}
