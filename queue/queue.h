/*
 * The worker's side of the queues: lease, claim, settle, reap, on libevent and hiredis' asynchronous API.
 *
 * Owns the Redis connections of one worker incarnation (one for commands, one per queue that may block in
 * BLMOVE), their reconnection with jittered backoff, and the worker's lease on every queue it serves. Nothing
 * here blocks. What Redis holds, and each atomic step, is in PROTOCOL.md. A worker's name is new for every
 * incarnation; that is what fences results that come late.
 *
 * The process must ignore SIGPIPE: hiredis writes with write(). No callback may free the client.
 */
#ifndef ISOQ_QUEUE_QUEUE_H
#define ISOQ_QUEUE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;
struct redis_url;
struct job;
struct queue_client;

struct queue_options {
  const struct redis_url *url;  /* borrowed for the client's life */
  const char *prefix;           /* "isoq" */
  const char *const *queues;    /* in strict order of preference */
  size_t queue_count;           /* 1..16 */
  const char *worker;           /* this incarnation's name */
  uint32_t lease_ms;            /* 30 000 */
  uint32_t lease_renew_ms;      /* 5 000 */
  uint32_t reap_interval_ms;    /* 5 000, jittered by a quarter */
  uint32_t max_worker_deaths;   /* 3 */
  uint32_t dead_letters_max;    /* 1 000 */
  uint32_t default_reply_ttl_s; /* for worker_lost results of payloads that name none */
};

enum queue_settled {
  QUEUE_SETTLED,   /* published, or dead-lettered */
  QUEUE_FENCED,    /* the lease was lost: somebody else has the job; nothing was published */
  QUEUE_DUPLICATE, /* the id has a result already; this one was dropped */
};

struct queue_callbacks {
  void *ctx;
  /* A payload was taken from `queue`; it is in claimed:<worker> until settled or given back. Bytes are
   * borrowed. */
  void (*claimed)(void *ctx, const char *queue, const char *payload, size_t len);
  /* The link to Redis changed; `why` is for the log. */
  void (*link)(void *ctx, bool up, const char *why);
  /* What this worker says of itself to whoever asks (`isoq status`): JSON, NUL-terminated, into `out`. Called at
   * each renewal of the lease of `queue`. May be NULL. */
  void (*describe)(void *ctx, const char *queue, char *out, size_t size);
  /* Somebody wants this job stopped. May be NULL. */
  void (*cancel)(void *ctx, const char *queue, const char *id);
  /* Something worth a log line happened (a reap, a script reloaded, READONLY…). level: "info", "warn",
   * "error". */
  void (*note)(void *ctx, const char *level, const char *event, const char *detail);
};

/* Starts connecting at once. 0, -ENOMEM, or -EINVAL. */
int queue_client_new(struct event_base *base, const struct queue_options *options,
                     const struct queue_callbacks *callbacks, struct queue_client **out);

/* Closes the connections without another word to Redis. Pending settle callbacks are dropped. */
void queue_client_free(struct queue_client *client);

bool queue_client_up(const struct queue_client *client);

/*
 * How many more jobs the caller can take now. Above zero the client claims, several at a time where there are
 * several waiting; at zero it stops (a BLMOVE under way is unblocked; what it took in the last moment is
 * still delivered). The client counts down by itself, one for each claimed(); every call sets the number
 * anew.
 */
void queue_client_set_capacity(struct queue_client *client, unsigned capacity);

/*
 * Whether results may wait a millisecond for others, to share a round trip: while the caller has more jobs at hand than
 * it can run at once, nobody's result gets later by it than the queue made it anyway. At first: no.
 */
void queue_client_set_patient(struct queue_client *client, bool patient);

typedef void (*queue_settle_fn)(void *ctx, enum queue_settled outcome);

/* What record_make() gave, kept for so long beside the result, from the same step on. */
struct queue_record {
  char *text;
  size_t len;
  uint32_t ttl_s;
};

/*
 * Publishes: one atomic step (settle.lua). Waits in memory while Redis is away and is tried again until Redis
 * answers; `done` is called once. Copies what it needs of `job`; `json` and the record's text are malloc'ed, and its own
 * from here on, whatever it returns. `dead_reason` non-NULL also makes a dead letter {job, reason, result, at}; a job without
 * a reply key (nothing could be known) makes only that. `record` may be NULL; a job without an id has none.
 */
int queue_settle(struct queue_client *client, const struct job *job, char *json, size_t json_len,
                 const char *status, const char *dead_reason, const struct queue_record *record,
                 queue_settle_fn done, void *ctx);

/* Puts a claimed job back to where the next worker takes it, if it is still ours. Same promises as
 * queue_settle(). */
int queue_give_back(struct queue_client *client, const struct job *job, queue_settle_fn done, void *ctx);

/*
 * Ends a claim without a result: the job, with a new note of the workers on it, waits in `delayed` until it is
 * due. Same promises as queue_settle().
 */
struct queue_deferral {
  uint32_t attempt; /* that comes next */
  bool retry;       /* it failed; else it was not due yet */
  int64_t in_ms;    /* from now on; or, */
  int64_t at_ms;    /* when above zero: when, CLOCK_REALTIME */
};
int queue_defer(struct queue_client *client, const struct job *job, const struct queue_deferral *deferral,
                queue_settle_fn done, void *ctx);

/* Settles and give-backs that Redis has not confirmed yet. */
size_t queue_client_pending(const struct queue_client *client);

/* Removes this worker's leases: call it last, when nothing is held any more. `done` as in queue_settle(). */
int queue_client_leave(struct queue_client *client, queue_settle_fn done, void *ctx);

#endif
