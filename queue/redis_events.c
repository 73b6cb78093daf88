/*
 * hiredis says when it has something to write. It is not written there and then: the event `flush` is made active, which
 * libevent runs after the events that are active already, so that all of them put their commands into one write. Only
 * when the socket does not take everything, and while it still connects, is its writability waited for.
 *
 * hiredis may free the connection, and this with it, from within either of its handlers: `freed` tells the one that is
 * still running.
 */
#include "queue/redis_events.h"

#include <errno.h>
#include <event2/event.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdlib.h>

struct redis_events {
  struct redisAsyncContext *redis;
  struct event *readable, *writable, *flush;
  bool flushing;
  bool *freed;
};

static void on_readable(evutil_socket_t fd, short what, void *ctx) {
  const struct redis_events *events = ctx;
  (void)fd;
  (void)what;
  redisAsyncHandleRead(events->redis);
}

static void on_writable(evutil_socket_t fd, short what, void *ctx) {
  struct redis_events *events = ctx;
  bool freed = false;
  (void)fd;
  (void)what;
  events->flushing = true;
  events->freed = &freed;
  redisAsyncHandleWrite(events->redis);
  if (freed) return;
  events->flushing = false;
  events->freed = NULL;
}

static void add_read(void *ctx) {
  const struct redis_events *events = ctx;
  if (!event_pending(events->readable, EV_READ, NULL)) event_add(events->readable, NULL);
}

static void del_read(void *ctx) {
  const struct redis_events *events = ctx;
  event_del(events->readable);
}

static void add_write(void *ctx) {
  const struct redis_events *events = ctx;
  if (event_pending(events->writable, EV_WRITE, NULL)) return;
  if (events->flushing || !(events->redis->c.flags & REDIS_CONNECTED))
    event_add(events->writable, NULL);
  else
    event_active(events->flush, EV_WRITE, 0);
}

static void del_write(void *ctx) {
  const struct redis_events *events = ctx;
  event_del(events->writable);
}

static void events_free(void *ctx) {
  struct redis_events *events = ctx;
  if (events->freed) *events->freed = true;
  if (events->readable) event_free(events->readable);
  if (events->writable) event_free(events->writable);
  if (events->flush) event_free(events->flush);
  free(events);
}

int redis_events_attach(struct redisAsyncContext *redis, struct event_base *base) {
  struct redis_events *events = calloc(1, sizeof *events);
  if (!events) return -ENOMEM;
  events->redis = redis;
  events->readable = event_new(base, redis->c.fd, EV_READ | EV_PERSIST, on_readable, events);
  events->writable = event_new(base, redis->c.fd, EV_WRITE | EV_PERSIST, on_writable, events);
  events->flush = event_new(base, -1, 0, on_writable, events);
  if (!events->readable || !events->writable || !events->flush || event_add(events->readable, NULL) < 0 ||
      event_add(events->writable, NULL) < 0) {
    events_free(events);
    return -ENOMEM;
  }
  redis->ev.addRead = add_read;
  redis->ev.delRead = del_read;
  redis->ev.addWrite = add_write;
  redis->ev.delWrite = del_write;
  redis->ev.cleanup = events_free;
  redis->ev.data = events;
  return 0;
}
