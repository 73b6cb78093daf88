/*
 * Every worker reaps, all the time and with jitter, so that recovery needs no leader and no restart. What to
 * do is decided in reap.lua, by Redis' clock; this asks, looks for claimed lists without an owner when it is
 * told to, and settles the jobs that have cost too many workers.
 */
#include <errno.h>
#include <event2/event.h>
#include <event2/util.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue/client.h"

#define REAP_JOBS_MAX 100
#define OWNERS_MAX 32
#define SEARCH_KEYS 1000
#define SEARCH_EVERY_REAPS 12

struct owners { /* of claimed lists, from one answer of SCAN; borrowed */
  const char *name[OWNERS_MAX];
  size_t len[OWNERS_MAX];
  size_t count;
};

static void reap(struct queue_slot *slot, const struct owners *owners);
static void search(struct queue_slot *slot);

static void schedule(struct queue_client *client) {
  const uint32_t interval = client->options.reap_interval_ms;
  uint32_t noise;
  evutil_secure_rng_get_bytes(&noise, sizeof noise);
  const uint32_t ms = interval - interval / 4 + noise % (interval / 2 + 1);
  const struct timeval in = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
  event_add(client->reap_timer, &in);
}

/* ---- reaping ---- */

static void note_reaped(struct queue_slot *slot, const struct redisReply *list) {
  for (size_t i = 0; i + 1 < list->elements; i += 2)
    client_note(slot->client, "warn", "reaped", "queue %s: worker %s is gone; jobs taken from it: %lld",
                slot->name, list->element[i]->str, list->element[i + 1]->integer);
}

static void settle_lost(struct queue_slot *slot, const struct redisReply *list) {
  for (size_t i = 0; i < list->elements; i++) {
    const struct redisReply *payload = list->element[i];
    held_add(slot, payload->str, payload->len);
    /* Memory short: it stays among our claims, and is found there later as one that never arrived. */
    if (settle_worker_lost(slot, payload->str, payload->len) < 0)
      held_remove(slot, payload->str, payload->len);
  }
}

static void on_reaped(void *ctx, const struct redisReply *reply) {
  struct queue_slot *slot = ctx;
  slot->reaping = false;
  const enum reply_class class = client_classify(slot->client, slot->client->command, reply, ROUND_TRIP_REAP);
  if (class == REPLY_NO_SCRIPT) reap(slot, NULL);
  if (class != REPLY_FINE || reply->type != REDIS_REPLY_ARRAY || reply->elements != 4) return;
  note_reaped(slot, reply->element[2]);
  settle_lost(slot, reply->element[3]);
  if (reply->element[1]->integer) search(slot);
  if (reply->element[0]->integer) reap(slot, NULL);
}

static void reap(struct queue_slot *slot, const struct owners *owners) {
  struct queue_client *client = slot->client;
  struct command command = {0};
  if (client->leaving || !lease_fresh(slot)) return; /* what it moves to us must not look like an orphan */
  command_script(&command, &client->scripts, SCRIPT_REAP, 4);
  command_text(&command, slot->keys.workers);
  command_text(&command, slot->keys.jobs);
  command_text(&command, slot->keys.stats);
  command_text(&command, slot->keys.claimed);
  command_text(&command, client->worker);
  command_text(&command, slot->keys.claimed_prefix);
  command_number(&command, client->options.max_worker_deaths);
  command_number(&command, REAP_JOBS_MAX);
  command_number(&command, (int64_t)client->options.reap_interval_ms * SEARCH_EVERY_REAPS);
  for (size_t i = 0; owners && i < owners->count; i++)
    command_bytes(&command, owners->name[i], owners->len[i]);
  if (command_send(&command, ROUND_TRIP_REAP, client->command, on_reaped, slot) == 0) slot->reaping = true;
}

/* ---- searching for claimed lists without an owner ---- */

static void scan(struct queue_slot *slot);

static void collect_owners(const struct queue_slot *slot, const struct redisReply *keys,
                           struct owners *owners) {
  const size_t skip = strlen(slot->keys.claimed_prefix);
  for (size_t i = 0; i < keys->elements && owners->count < OWNERS_MAX; i++) {
    const struct redisReply *key = keys->element[i];
    if (key->len <= skip || strcmp(key->str, slot->keys.claimed) == 0) continue;
    owners->name[owners->count] = key->str + skip;
    owners->len[owners->count++] = key->len - skip;
  }
}

static void on_scanned(void *ctx, const struct redisReply *reply) {
  struct queue_slot *slot = ctx;
  struct owners owners = {0};
  slot->search_cursor[0] = '\0';
  if (client_classify(slot->client, slot->client->command, reply, ROUND_TRIP_SCAN) != REPLY_FINE ||
      reply->type != REDIS_REPLY_ARRAY || reply->elements != 2) {
    slot->search_again = false; /* the next search comes by itself */
    return;
  }
  collect_owners(slot, reply->element[1], &owners);
  if (owners.count) reap(slot, &owners);
  const bool ended = strcmp(reply->element[0]->str, "0") == 0;
  if (ended && !slot->search_again) return;
  if (ended) slot->search_again = false;
  snprintf(slot->search_cursor, sizeof slot->search_cursor, "%s", reply->element[0]->str);
  scan(slot);
}

static void scan(struct queue_slot *slot) {
  struct command command = {0};
  command_text(&command, "SCAN");
  command_text(&command, slot->search_cursor);
  command_text(&command, "MATCH");
  command_text(&command, slot->search_pattern);
  command_text(&command, "COUNT");
  command_number(&command, SEARCH_KEYS);
  command_text(&command, "TYPE");
  command_text(&command, "list");
  if (command_send(&command, ROUND_TRIP_SCAN, slot->client->command, on_scanned, slot) < 0)
    slot->search_cursor[0] = '\0';
}

static void search(struct queue_slot *slot) {
  if (slot->search_cursor[0]) {
    slot->search_again = true; /* what is left over may be behind the cursor already */
    return;
  }
  strcpy(slot->search_cursor, "0");
  scan(slot);
}

/* ---- life ---- */

static void on_reap_timer(evutil_socket_t fd, short events, void *ctx) {
  struct queue_client *client = ctx;
  (void)fd;
  (void)events;
  for (size_t i = 0; i < client->slot_count; i++)
    if (!client->slots[i].reaping) reap(&client->slots[i], NULL);
  schedule(client);
}

int reap_init(struct queue_client *client) {
  client->reap_timer = evtimer_new(client->base, on_reap_timer, client);
  if (!client->reap_timer) return -ENOMEM;
  for (size_t i = 0; i < client->slot_count; i++) {
    struct queue_slot *slot = &client->slots[i];
    slot->search_pattern = key_pattern(slot->keys.claimed_prefix);
    if (!slot->search_pattern) return -ENOMEM;
  }
  return 0;
}

void reap_start(struct queue_client *client) {
  if (!client->leaving) schedule(client);
}

void reap_stop(struct queue_client *client) {
  event_del(client->reap_timer);
}
