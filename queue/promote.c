/*
 * Delayed jobs become waiting ones when they are due by Redis' clock (promote.lua). Every worker asks: Redis tells
 * how long it is until the next one, and a worker asks again then, or at the latest after a second, since
 * a producer may have put something earlier there meanwhile. Two workers that ask at once do no harm.
 */
#include <errno.h>
#include <event2/event.h>
#include <event2/util.h>
#include <hiredis/hiredis.h>

#include "queue/client.h"

#define PROMOTE_MAX 100
#define ASK_EVERY_MS 1000

static void schedule(struct queue_slot *slot, int64_t in_ms) {
  const struct timeval in = {.tv_sec = in_ms / 1000, .tv_usec = in_ms % 1000 * 1000};
  event_add(slot->promote_timer, &in);
}

/* Workers that idle side by side should not all ask at the same moment. */
static int64_t idle_ms(void) {
  uint32_t noise;
  evutil_secure_rng_get_bytes(&noise, sizeof noise);
  return ASK_EVERY_MS * 3 / 4 + noise % (ASK_EVERY_MS / 4);
}

static void on_promoted(void *ctx, const struct redisReply *reply) {
  struct queue_slot *slot = ctx;
  const enum reply_class class =
      client_classify(slot->client, slot->client->command, reply, ROUND_TRIP_PROMOTE);
  int64_t in_ms = idle_ms();

  slot->promoting = false;
  if (!slot->client->up || slot->client->leaving) return;
  if (class == REPLY_NO_SCRIPT) {
    in_ms = 0;
  } else if (class == REPLY_FINE && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2) {
    const int64_t next_ms = reply->element[1]->integer;
    if (next_ms >= 0 && next_ms < in_ms) in_ms = next_ms;
  }
  schedule(slot, in_ms);
}

static void on_promote_timer(evutil_socket_t fd, short events, void *ctx) {
  struct queue_slot *slot = ctx;
  struct command command = {0};
  (void)fd;
  (void)events;
  if (slot->promoting) return;
  command_script(&command, &slot->client->scripts, SCRIPT_PROMOTE, 2);
  command_text(&command, slot->keys.delayed);
  command_text(&command, slot->keys.jobs);
  command_number(&command, PROMOTE_MAX);
  if (command_send(&command, ROUND_TRIP_PROMOTE, slot->client->command, on_promoted, slot) == 0)
    slot->promoting = true;
  else
    schedule(slot, idle_ms());
}

void promote_soon(struct queue_slot *slot) {
  if (!slot->client->leaving && !slot->promoting) schedule(slot, 0);
}

int promote_init(struct queue_slot *slot) {
  slot->promote_timer = evtimer_new(slot->client->base, on_promote_timer, slot);
  return slot->promote_timer ? 0 : -ENOMEM;
}

void promote_free(struct queue_slot *slot) {
  if (slot->promote_timer) event_free(slot->promote_timer);
  slot->promote_timer = NULL;
}

void promote_start(struct queue_client *client) {
  for (size_t i = 0; i < client->slot_count; i++)
    promote_soon(&client->slots[i]);
}

void promote_stop(struct queue_client *client) {
  for (size_t i = 0; i < client->slot_count; i++)
    event_del(client->slots[i].promote_timer);
}
