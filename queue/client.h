/*
 * Internal to the worker's side of the queue: the client as its parts see it.
 *
 *     queue.c    life, capacity, the link's state, errors of replies
 *     lease.c    leases, and payloads that Redis gave us but that never arrived
 *     claim.c    taking jobs
 *     settle.c   settles, give-backs and the leave, kept until Redis confirms them
 *     reap.c     jobs of dead workers
 *     promote.c  delayed jobs that are due
 *     cancel.c   what to stop
 */
#ifndef ISOQ_QUEUE_CLIENT_H
#define ISOQ_QUEUE_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "queue/conn.h"
#include "queue/keys.h"
#include "queue/queue.h"
#include "queue/scripts.h"

#define QUEUES_MAX 16

struct event;
struct redisReply;
struct settle;
struct batch;

enum claim_state {
  CLAIM_IDLE,       /* nothing under way; jobs may be waiting */
  CLAIM_TAKING,     /* claim.lua sent */
  CLAIM_BLOCKED,    /* BLMOVE sent: the queue was empty */
  CLAIM_UNBLOCKING, /* and CLIENT UNBLOCK after it */
  CLAIM_RESTING,    /* cannot be asked just now; the retry timer makes it idle */
};

struct held { /* one payload that we know to be in claimed:<worker> */
  struct held *next;
  uint64_t hash;
  size_t len;
};

struct queue_slot { /* one queue that is served */
  struct queue_client *client;
  char *name;
  struct queue_keys keys;

  struct conn *blocking; /* for BLMOVE */
  bool blocking_in_trouble;
  enum claim_state claim;
  unsigned asked; /* jobs that claim.lua may bring, while TAKING */

  bool lease_asked, had_lease;
  int64_t lease_asked_at_ms;
  int64_t leased_at_ms; /* when the last confirmed renewal was sent; 0: none on this connection */

  struct held *held;
  size_t held_count;
  struct batch *batches; /* calls of settle.lua under way */
  struct held *suspects; /* in claimed:<worker> at the last look, and not known to us */

  struct event *promote_timer;
  bool promoting;

  bool reaping;
  char search_cursor[24]; /* of SCAN; "" when no search is under way */
  bool search_again;
  char *search_pattern;
};

enum reply_class {
  REPLY_FINE,
  REPLY_LOST,        /* no reply */
  REPLY_NO_SCRIPT,   /* the scripts are being loaded again; ask again at once */
  REPLY_UNAVAILABLE, /* LOADING, READONLY, MASTERDOWN, UNBLOCKED…: the connections were dropped */
  REPLY_LATER,       /* BUSY, OOM, TRYAGAIN: ask again in a while */
  REPLY_WRONG,       /* anything else: will not get better by itself */
};

struct queue_client {
  struct event_base *base;
  struct queue_options options; /* strings below are our own copies */
  char *prefix, *worker;
  struct queue_callbacks callbacks;

  struct conn *command;
  struct conn *subscriber; /* NULL: the owner does not want to hear of cancels */
  const char *channels[QUEUES_MAX];
  bool deaf_to_cancels;
  struct scripts scripts;
  struct queue_slot slots[QUEUES_MAX];
  size_t slot_count;

  bool up, link_reported;
  bool leaving;
  unsigned capacity;
  bool patient;        /* results may wait for others */
  unsigned delivering; /* depth of claimed callbacks: claim_pump() waits until they are through */

  struct settle *pending, *pending_last;
  size_t pending_count;
  size_t leaves_left;
  queue_settle_fn leave_done;
  void *leave_ctx;
  uint64_t claims_settled; /* numbers the tokens of done:<id> */

  struct event *lease_timer, *reap_timer, *retry_timer, *settle_timer;
  int64_t quiet_until_ms[REPLY_WRONG + 1]; /* errors of one class are noted now and then only */
};

/* queue.c */
void client_note(struct queue_client *client, const char *level, const char *event, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* What a reply to `which` says, and what must be done about it in general: notes it, loads scripts, drops a
 * link. */
enum reply_class client_classify(struct queue_client *client, struct conn *conn,
                                 const struct redisReply *reply, enum round_trip which);
/* Every lease stands: the link is up. */
void client_leased(struct queue_client *client);
/* Redis answers, but a lease is too old to claim on: the link counts as down until it is renewed. */
void client_stalled(struct queue_client *client, const char *why);
/* Something could not be done now: the retry timer runs. */
void client_retry_later(struct queue_client *client);

/* lease.c */
int lease_init(struct queue_client *client);
void lease_ask(struct queue_client *client);
void lease_link_lost(struct queue_client *client);
bool lease_fresh(const struct queue_slot *slot);
int held_add(struct queue_slot *slot, const char *payload, size_t len);
void held_remove(struct queue_slot *slot, const char *payload, size_t len);
void held_free(struct queue_slot *slot);

/* claim.c */
int claim_init(struct queue_slot *slot);
void claim_pump(struct queue_client *client);
void claim_wake(struct queue_client *client); /* the retry timer */
void claim_unblock(struct queue_client *client);
/* No claim of this queue is under way. */
bool claim_quiet(const struct queue_slot *slot);

/* settle.c */
int settle_init(struct queue_client *client);
/* Results that wait for company wait no longer. */
void settle_flush(struct queue_client *client);
void settle_send_all(struct queue_client *client);
void settle_free_all(struct queue_client *client);
/* One LEAVE per queue; client->leave_done is called after the last. */
int settle_leave(struct queue_client *client);
/* A payload that cost too many workers; it is among our claims now. */
int settle_worker_lost(struct queue_slot *slot, const char *payload, size_t len);
/* A payload among our claims that never reached us. */
int settle_return(struct queue_slot *slot, const char *payload, size_t len, queue_settle_fn done, void *ctx);

/* promote.c */
int promote_init(struct queue_slot *slot);
void promote_free(struct queue_slot *slot);
void promote_start(struct queue_client *client);
void promote_stop(struct queue_client *client);
/* There is something new in `delayed`. */
void promote_soon(struct queue_slot *slot);

/* cancel.c */
int cancel_init(struct queue_client *client);

/* reap.c */
int reap_init(struct queue_client *client);
void reap_start(struct queue_client *client);
void reap_stop(struct queue_client *client);

#endif
