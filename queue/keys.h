/*
 * The names of Redis keys (DESIGN 1.1): every one is made here. The hash tag {queue} keeps a queue's keys in
 * one slot of a Redis Cluster.
 */
#ifndef ISOQ_QUEUE_KEYS_H
#define ISOQ_QUEUE_KEYS_H

#include <stdbool.h>
#include <stddef.h>

struct queue_keys { /* owned */
  char *jobs, *claimed, *workers, *delayed, *dead, *stats;
  char *submitted;      /* hash: ids that `isoq submit` queued and that have no result yet -> when, ms */
  char *cancel;         /* the channel on which workers hear what to stop */
  char *about;          /* what one worker says of itself */
  char *claimed_prefix; /* "P:{Q}:claimed:"; the worker's name follows */
};

/* `worker` may be NULL, then `claimed` is. 0 or -ENOMEM (nothing to free). */
int queue_keys_make(struct queue_keys *keys, const char *prefix, const char *queue, const char *worker);
void queue_keys_free(struct queue_keys *keys);

/* malloc'ed, NULL when memory is short. */
char *key_reply(const char *prefix, const char *queue, const char *id);
char *key_done(const char *prefix, const char *queue, const char *id);
char *key_about(const char *prefix, const char *queue, const char *worker);
char *key_record(const char *prefix, const char *queue, const char *id);

/* A glob for SCAN: all keys that start so. The operator's prefix may hold what a glob takes for a wildcard. malloc'ed,
 * NULL when memory is short. */
char *key_pattern(const char *start);

/* A prefix must not open a hash tag of its own: 1..64 printable bytes without braces and blanks. */
bool key_prefix_valid(const char *prefix);

/* True for a key which belongs to some queue of this prefix, except the replies of `queue`: no reply_to may
 * name it. */
bool key_is_reserved(const char *prefix, const char *queue, const char *key);

#endif
