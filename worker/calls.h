/*
 * The host functions that one running job calls: between its executor and bindings.h, or the record of a run that
 * happens again (replay.h).
 *
 * Owns the job's session with the bindings, and what is noted for the job's record. Made when the first call comes,
 * freed with the job's end, which aborts what is under way.
 */
#ifndef ISOQ_WORKER_CALLS_H
#define ISOQ_WORKER_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/wire.h"

struct bindings;
struct calls;
struct job;
struct job_result;

/* The answer to one call; from the event loop, or (in a replay) from within calls_start(). `json` is borrowed. */
typedef void (*calls_answer_fn)(void *ctx, uint32_t call, bool ok, const char *json, size_t len);

/* `bindings` is NULL in a replay that makes no calls in earnest. 0 or -ENOMEM. */
int calls_new(struct bindings *bindings, const struct job *job, int64_t deadline_ns, calls_answer_fn answer,
              void *ctx, struct calls **out);
void calls_free(struct calls *calls);

/* 0, -ENOMEM, -EPROTO: no executor in good faith sends this call (its number is not the next one, or above the
 * job's limit); or -ECANCELED: it is not the recorded one, and the replay is over. */
int calls_start(struct calls *calls, const struct wire_call *call);

/* Moves what was noted into result->calls. Calls that have no answer yet get none. */
void calls_take_notes(struct calls *calls, struct job_result *result);

#endif
