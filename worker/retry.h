/* When a job that failed is tried again. Pure, but for its random numbers. */
#ifndef ISOQ_WORKER_RETRY_H
#define ISOQ_WORKER_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/status.h"

struct job;

/*
 * Whether this end of the job's present attempt calls for another one: it failed in a way that may be different next
 * time, and has attempts left. What was stopped on purpose, or breaks the rules, is not tried again.
 */
bool retry_wanted(const struct job *job, enum isoq_status status);

/* Attempts were granted, and this was the last one of several. */
bool retry_exhausted(const struct job *job, enum isoq_status status);

/* The pause before the next attempt: backoff_ms, doubled with each attempt up to max_ms, give or take a quarter, so
 * that what failed together does not come back together. */
int64_t retry_pause_ms(const struct job *job, int64_t max_ms);

#endif
