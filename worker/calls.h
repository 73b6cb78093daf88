/*
 * The host functions that one running job calls: between its executor and bindings.h.
 *
 * Owns the job's session with the bindings. Made when the first call comes, freed with the job's end, which aborts
 * what is under way.
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

/* The answer to one call; from the event loop only. `json` is borrowed. */
typedef void (*calls_answer_fn)(void *ctx, uint32_t call, bool ok, const char *json, size_t len);

/* 0 or -ENOMEM. */
int calls_new(struct bindings *bindings, const struct job *job, int64_t deadline_ns, calls_answer_fn answer,
              void *ctx, struct calls **out);
void calls_free(struct calls *calls);

/* 0, -ENOMEM, or -EPROTO: no executor in good faith sends this call (its number is not the next one, or above the
 * job's limit). */
int calls_start(struct calls *calls, const struct wire_call *call);

#endif
