/*
 * One asynchronous connection to Redis that comes back by itself.
 *
 * Owns the socket, the look-up of the host, AUTH, SELECT and CLIENT SETNAME, a deadline for each command, and
 * the reconnection with jittered, doubling backoff. A connection is up when Redis has answered PING, so a
 * server that still loads its data is not. A command whose connection is lost is reported once, with a NULL
 * reply, and is never sent again from here: only its sender knows whether that is right.
 *
 * With a redis-sentinel:// address the Sentinels are asked before each attempt, and ROLE must say "master" before
 * the connection is up. They are asked again each second while it lasts (sentinel.h): when they name another
 * primary, the connection is dropped, also one that still answers, and the new primary is connected at once.
 *
 * With channels it is a subscriber: up when all are confirmed, asked for a sign of life every few seconds, and
 * otherwise like any other. Messages published while it is down are lost, as always in Redis.
 */
#ifndef ISOQ_QUEUE_CONN_H
#define ISOQ_QUEUE_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "queue/round_trip.h"

struct event_base;
struct redis_url;
struct redisReply;
struct conn;

#define CONN_COMMAND_TIMEOUT_MS 10000

struct conn_options {
  struct event_base *base;
  const struct redis_url *url; /* borrowed */
  const char *name;            /* for CLIENT SETNAME; copied */
  void *ctx;
  void (*up)(void *ctx);
  void (*down)(void *ctx, const char *why); /* after each failed attempt as well */

  const char *const *channels; /* to subscribe to, all different; borrowed for the connection's life */
  size_t channel_count;        /* 0: no subscriber */
  /* `text` is NUL-terminated besides; both are valid during the call. */
  void (*message)(void *ctx, const char *channel, const char *text, size_t len);
};

/* `reply` NULL: the connection was lost; whether Redis did it is not known. */
typedef void (*conn_reply_fn)(void *ctx, const struct redisReply *reply);

/* Starts connecting at once. 0 or -ENOMEM. */
int conn_new(const struct conn_options *options, struct conn **out);

/* Closes without a word; no callback any more. Not from within a callback of this connection. */
void conn_free(struct conn *conn);

bool conn_is_up(const struct conn *conn);

/* Redis' own number of this client; 0 when it will not tell. */
int64_t conn_client_id(const struct conn *conn);

/* 0 (fn is called later, once), -ENOTCONN, -ENOMEM, or -EINVAL for a subscriber (it is not). An answer that takes
 * longer drops the connection. */
int conn_send(struct conn *conn, enum round_trip which, uint32_t timeout_ms, int argc, const char **argv,
              const size_t *argv_len, conn_reply_fn fn, void *ctx);

/* Closes the connection and tries again after the backoff. */
void conn_drop(struct conn *conn, const char *why);

/* The connection has proved useful: the next backoff starts from the shortest. */
void conn_reset_backoff(struct conn *conn);

/* CLOCK_MONOTONIC, ms. */
int64_t conn_now_ms(void);

#endif
