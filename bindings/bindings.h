/*
 * Host functions: what a script may ask the broker to do for it. The script has a stub that returns a
 * promise; the call crosses to the broker as JSON text, and its answer comes back as JSON text.
 *
 * Which functions there are stands in one table (bindings.def). This module owns credentials, connections and
 * rate limits, and what one job may spend of them. Everything a script can say is checked here: it is text
 * from outside. Nothing here blocks.
 */
#ifndef ISOQ_BINDINGS_BINDINGS_H
#define ISOQ_BINDINGS_BINDINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;
struct bindings;
struct bindings_session;

enum binding_id {
#define BINDING(id, ...) BINDING_##id,
#include "bindings/bindings.def"
#undef BINDING
  BINDING_COUNT
};

/* A set of bindings: bit i is enum binding_id i. */
typedef uint32_t binding_set;
#define BINDING_ALL ((binding_set)((UINT64_C(1) << BINDING_COUNT) - 1))

/* "listAccounts"; NULL past the last. */
const char *binding_name(unsigned id);
/* The id, or -ENOENT. */
int binding_find(const char *name, size_t len);

struct bindings_options {
  uint32_t max_calls;          /* of one job; 1 000 */
  uint32_t max_parallel_calls; /* of one job at a time, the rest wait; 8 */
  uint64_t max_answer_bytes;   /* of one call, as JSON; 8 MiB */
  uint64_t max_total_bytes;    /* read for one job; 64 MiB */
  uint32_t call_timeout_ms;    /* of one call, retries and pages included; 60 000 */
  uint32_t max_requests;       /* under way at a time, all jobs together, the rest wait; 64 */
  uint32_t cloudtrail_per_s;   /* requests a second, all jobs together; 2, AWS' own limit */
  const char *assume_role;     /* name of the role to assume in other accounts; borrowed; "" none */
  bool warm_up; /* read the system's certificates now, so that the first call blocks nobody: 0.1 s */
  char *const *environment; /* where the standard AWS_ variables are read; borrowed for bindings_new() */
};

/*
 * Reads the AWS configuration files once, here; asks for no credentials before the first call. 0, -ENOMEM, or
 * -EINVAL with what is wrong, where, and what would be right in `error`.
 */
int bindings_new(struct event_base *base, const struct bindings_options *options, struct bindings **out,
                 char *error, size_t error_size);

/* No session may be left. */
void bindings_free(struct bindings *bindings);

/* The answer to one call: `ok`, and the JSON text of its value; or of the error: an object with name,
 * message, and, where AWS told them, statusCode, requestId, retryable. Borrowed for the call. */
typedef void (*bindings_answer_fn)(void *ctx, uint32_t call, bool ok, const char *json, size_t len);

/*
 * One job's calls. `deadline_ns`: CLOCK_MONOTONIC, when the job is over. `answer` is called from the event
 * loop, never from within bindings_call(), once for each call, unless the session is freed before. What is
 * not answered by the deadline is aborted, and never answered: whoever ends the job then says so. 0 or
 * -ENOMEM.
 */
int bindings_session_new(struct bindings *bindings, binding_set allowed, int64_t deadline_ns,
                         bindings_answer_fn answer, void *ctx, struct bindings_session **out);

/* Aborts what is under way; no answer comes any more. */
void bindings_session_free(struct bindings_session *session);

/* Starts a call. `name` and `args` (a JSON array of the arguments) are whatever the executor sent; what is
 * wrong with them is the call's answer. Copies. 0 or -ENOMEM. */
int bindings_call(struct bindings_session *session, uint32_t call, const char *name, size_t name_len,
                  const char *args, size_t args_len);

#endif
