/*
 * Claims go in rounds: each queue in order is asked by claim.lua for as many jobs as there is room, and one
 * that turns out empty is waited on with BLMOVE, on a connection of its own. So a full queue is taken from
 * several at a time, an empty one costs nothing but a blocked connection, and a lower queue is asked only
 * after the higher ones had nothing. A single BLMOVE cannot watch several queues, since each has its own slot
 * of a cluster.
 *
 * BLMOVE has a timeout although it could wait for ever: a connection that died silently is found out by it.
 */
#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>

#include "queue/client.h"

#define TAKE_MAX 64
#define BLOCK_MAX_MS 5000
#define BLOCK_GRACE_MS 5000

static void take(struct queue_slot *slot, unsigned count);

/* How many more jobs may be asked for. */
static unsigned room(const struct queue_client *client) {
  unsigned asked = 0;
  for (size_t i = 0; i < client->slot_count; i++)
    asked += client->slots[i].asked;
  return client->capacity > asked ? client->capacity - asked : 0;
}

static void rest(struct queue_slot *slot) {
  slot->claim = CLAIM_RESTING;
  client_retry_later(slot->client);
}

static void deliver(struct queue_slot *slot, const struct redisReply *payload) {
  struct queue_client *client = slot->client;
  if (client->leaving) return; /* leave.lua puts back whatever is in the list */
  held_add(slot, payload->str,
           payload->len); /* memory short: the job is put back later, if it is not settled by then */
  if (client->capacity > 0) client->capacity--;
  client->delivering++;
  client->callbacks.claimed(client->callbacks.ctx, slot->name, payload->str, payload->len);
  client->delivering--;
}

/* What follows any answer, once the slot has its new state. */
static void go_on(struct queue_client *client) {
  if (client->leaving)
    settle_send_all(client);
  else
    claim_pump(client);
}

/* ---- waiting on an empty queue ---- */

static void on_moved(void *ctx, const struct redisReply *reply) {
  struct queue_slot *slot = ctx;
  const enum reply_class class = client_classify(slot->client, slot->blocking, reply, ROUND_TRIP_BLMOVE);
  slot->claim = CLAIM_IDLE;
  if (class != REPLY_FINE)
    rest(slot);
  else if (reply->type == REDIS_REPLY_STRING)
    deliver(slot, reply);
  go_on(slot->client);
}

static void block(struct queue_slot *slot) {
  const struct queue_client *client = slot->client;
  const uint32_t ms =
      client->options.lease_ms / 6 < BLOCK_MAX_MS ? client->options.lease_ms / 6 : BLOCK_MAX_MS;
  struct command command = {0};
  char timeout[24];
  if (room(client) == 0) return;
  snprintf(timeout, sizeof timeout, "%u.%03u", ms / 1000,
           ms % 1000 ? ms % 1000 : 1); /* 0 would be for ever */
  command_text(&command, "BLMOVE");
  command_text(&command, slot->keys.jobs);
  command_text(&command, slot->keys.claimed);
  command_text(&command, "RIGHT");
  command_text(&command, "LEFT");
  command_text(&command, timeout);
  if (conn_send(slot->blocking, ROUND_TRIP_BLMOVE, ms + BLOCK_GRACE_MS, command.argc, command.argv,
                command.len, on_moved, slot) < 0)
    rest(slot);
  else
    slot->claim = CLAIM_BLOCKED;
}

static void on_unblocked(void *ctx, const struct redisReply *reply) {
  struct queue_slot *slot = ctx;
  client_classify(slot->client, slot->client->command, reply, ROUND_TRIP_CLIENT_UNBLOCK);
}

void claim_unblock(struct queue_client *client) {
  for (size_t i = 0; i < client->slot_count; i++) {
    struct queue_slot *slot = &client->slots[i];
    const int64_t id = conn_client_id(slot->blocking);
    struct command command = {0};
    if (slot->claim != CLAIM_BLOCKED || id == 0) continue;
    command_text(&command, "CLIENT");
    command_text(&command, "UNBLOCK");
    command_number(&command, id);
    if (command_send(&command, ROUND_TRIP_CLIENT_UNBLOCK, client->command, on_unblocked, slot) == 0)
      slot->claim = CLAIM_UNBLOCKING;
  }
}

/* ---- taking ---- */

static void taken(struct queue_slot *slot, const struct redisReply *reply, unsigned asked) {
  if (reply->type != REDIS_REPLY_ARRAY) { /* nil: no lease */
    slot->leased_at_ms = 0;
    lease_ask(slot->client);
    rest(slot);
    return;
  }
  for (size_t i = 0; i < reply->elements; i++)
    deliver(slot, reply->element[i]);
  if (reply->elements < asked) block(slot);
}

static void on_taken(void *ctx, const struct redisReply *reply) {
  struct queue_slot *slot = ctx;
  const unsigned asked = slot->asked;
  const enum reply_class class =
      client_classify(slot->client, slot->client->command, reply, ROUND_TRIP_CLAIM);
  slot->claim = CLAIM_IDLE;
  slot->asked = 0;
  if (class == REPLY_FINE)
    taken(slot, reply, asked);
  else if (class != REPLY_NO_SCRIPT)
    rest(slot);
  go_on(slot->client);
}

static void take(struct queue_slot *slot, unsigned count) {
  struct queue_client *client = slot->client;
  struct command command;
  settle_flush(client); /* both go out in one write, and are answered in one */
  command_begin(&command);
  command_script(&command, &client->scripts, SCRIPT_CLAIM, 3);
  command_text(&command, slot->keys.jobs);
  command_text(&command, slot->keys.claimed);
  command_text(&command, slot->keys.workers);
  command_text(&command, client->worker);
  command_number(&command, count);
  if (command_send(&command, ROUND_TRIP_CLAIM, client->command, on_taken, slot) < 0) {
    rest(slot);
    return;
  }
  slot->claim = CLAIM_TAKING;
  slot->asked = count;
}

void claim_pump(struct queue_client *client) {
  if (!client->up || client->leaving || client->delivering) return;
  for (size_t i = 0; i < client->slot_count; i++) {
    struct queue_slot *slot = &client->slots[i];
    const unsigned count = room(client);
    if (count == 0 || slot->claim == CLAIM_TAKING) return; /* the order of the queues is strict */
    if (slot->claim != CLAIM_IDLE) continue;
    if (lease_fresh(slot))
      take(slot, count < TAKE_MAX ? count : TAKE_MAX);
    else
      rest(slot);
    if (slot->claim == CLAIM_TAKING) return;
  }
}

void claim_wake(struct queue_client *client) {
  for (size_t i = 0; i < client->slot_count; i++)
    if (client->slots[i].claim == CLAIM_RESTING) client->slots[i].claim = CLAIM_IDLE;
  go_on(client);
}

bool claim_quiet(const struct queue_slot *slot) {
  return slot->claim == CLAIM_IDLE || slot->claim == CLAIM_RESTING;
}

/* ---- the blocking connection ---- */

static void on_up(void *ctx) {
  struct queue_slot *slot = ctx;
  conn_reset_backoff(slot->blocking);
  if (slot->blocking_in_trouble)
    client_note(slot->client, "info", "blocking_connection", "queue %s: back", slot->name);
  slot->blocking_in_trouble = false;
  if (slot->claim == CLAIM_RESTING) slot->claim = CLAIM_IDLE;
  go_on(slot->client);
}

static void on_down(void *ctx, const char *why) {
  struct queue_slot *slot = ctx;
  if (!slot->client->up || slot->blocking_in_trouble) return; /* the link's own message says it */
  slot->blocking_in_trouble = true;
  client_note(slot->client, "warn", "blocking_connection", "queue %s: %s; polling meanwhile", slot->name,
              why);
}

int claim_init(struct queue_slot *slot) {
  const struct queue_client *client = slot->client;
  const struct conn_options options = {.base = client->base,
                                       .url = client->options.url,
                                       .name = client->worker,
                                       .ctx = slot,
                                       .up = on_up,
                                       .down = on_down};
  return conn_new(&options, &slot->blocking);
}
