/*
 * A lease is confirmed as of the moment its renewal was sent, not answered: Redis counted from some moment in
 * between, so the worker's idea of its lease always ends before Redis' own. Claims need a confirmation
 * younger than half of it.
 *
 * Redis may also move a job into claimed:<worker> and the answer get lost with the connection. Nobody reaps a
 * worker that lives, so the worker looks itself: the renewal tells how long the list is, and when that is
 * more than we know of, the list is read. A payload unknown at two looks, a renewal apart, is put back; at
 * one look it may just be on its way to us.
 */
#include <errno.h>
#include <event2/event.h>
#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

#include "queue/client.h"

#define LOOK_MAX 1000
#define ABOUT_MAX 16384

/* ---- what we hold ---- */

/* Only ever compares a worker's own claims with each other. By words, since a payload may have megabytes. */
static uint64_t hash_of(const char *data, size_t len) {
  uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ len;
  while (len > 0) {
    uint64_t word = 0;
    const size_t step = len < sizeof word ? len : sizeof word;
    memcpy(&word, data, step);
    hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    hash ^= hash >> 32;
    data += step;
    len -= step;
  }
  return hash;
}

static int list_add(struct held **list, uint64_t hash, size_t len) {
  struct held *held = malloc(sizeof *held);
  if (!held) return -ENOMEM;
  *held = (struct held){.next = *list, .hash = hash, .len = len};
  *list = held;
  return 0;
}

static bool list_remove(struct held **list, uint64_t hash, size_t len) {
  for (struct held **at = list; *at; at = &(*at)->next) {
    struct held *held = *at;
    if (held->hash != hash || held->len != len) continue;
    *at = held->next;
    free(held);
    return true;
  }
  return false;
}

static void list_free(struct held **list) {
  while (*list) {
    struct held *next = (*list)->next;
    free(*list);
    *list = next;
  }
}

int held_add(struct queue_slot *slot, const char *payload, size_t len) {
  const int r = list_add(&slot->held, hash_of(payload, len), len);
  if (r == 0) slot->held_count++;
  return r;
}

void held_remove(struct queue_slot *slot, const char *payload, size_t len) {
  if (list_remove(&slot->held, hash_of(payload, len), len)) slot->held_count--;
}

void held_free(struct queue_slot *slot) {
  list_free(&slot->held);
  list_free(&slot->suspects);
}

/* ---- what Redis says we hold ---- */

static void check_element(struct queue_slot *slot, const struct redisReply *element, struct held **unmatched,
                          struct held **suspects) {
  const uint64_t hash = hash_of(element->str, element->len);
  if (list_remove(unmatched, hash, element->len)) return;
  if (!list_remove(&slot->suspects, hash, element->len)) {
    list_add(suspects, hash, element->len); /* memory short: it is found at a later look */
    return;
  }
  client_note(slot->client, "warn", "claim_recovered",
              "queue %s: a job of %zu bytes had been claimed for us and never arrived; put back", slot->name,
              element->len);
  settle_return(slot, element->str, element->len, NULL, NULL);
}

static void on_look(void *ctx, const struct redisReply *reply) {
  struct queue_slot *slot = ctx;
  struct held *unmatched = NULL, *suspects = NULL;
  if (client_classify(slot->client, slot->client->command, reply, ROUND_TRIP_LRANGE) != REPLY_FINE ||
      reply->type != REDIS_REPLY_ARRAY)
    return;
  bool complete = true;
  for (struct held *held = slot->held; held; held = held->next)
    complete = complete && list_add(&unmatched, held->hash, held->len) == 0;
  for (size_t i = 0; complete && i < reply->elements; i++)
    check_element(slot, reply->element[i], &unmatched, &suspects);
  list_free(&unmatched);
  list_free(&slot->suspects);
  slot->suspects = suspects;
}

static void look(struct queue_slot *slot) {
  struct command command = {0};
  command_text(&command, "LRANGE");
  command_text(&command, slot->keys.claimed);
  command_number(&command, 0);
  command_number(&command, LOOK_MAX - 1);
  command_send(&command, ROUND_TRIP_LRANGE, slot->client->command, on_look, slot);
}

/* ---- leases ---- */

static void ask(struct queue_slot *slot);

static void lease_confirmed(struct queue_slot *slot, bool had, long long in_redis) {
  struct queue_client *client = slot->client;
  if (slot->had_lease && !had)
    client_note(client, "warn", "lease_lost",
                "queue %s: the lease had ended; what was held then runs elsewhere", slot->name);
  slot->had_lease = true;
  slot->leased_at_ms = slot->lease_asked_at_ms;
  if (in_redis > (long long)slot->held_count)
    look(slot);
  else
    list_free(&slot->suspects);
  for (size_t i = 0; i < client->slot_count; i++)
    if (!lease_fresh(&client->slots[i])) return;
  client_leased(client);
}

static void on_lease(void *ctx, const struct redisReply *reply) {
  struct queue_slot *slot = ctx;
  slot->lease_asked = false;
  const enum reply_class class =
      client_classify(slot->client, slot->client->command, reply, ROUND_TRIP_LEASE);
  if (class == REPLY_NO_SCRIPT) ask(slot);
  if ((class == REPLY_WRONG || class == REPLY_LATER) && !lease_fresh(slot))
    client_stalled(slot->client, reply->str);
  if (class != REPLY_FINE || reply->type != REDIS_REPLY_ARRAY || reply->elements != 2) return;
  lease_confirmed(slot, reply->element[0]->integer == 1, reply->element[1]->integer);
}

static void ask(struct queue_slot *slot) {
  struct queue_client *client = slot->client;
  struct command command = {0};
  char about[ABOUT_MAX] = "{}";
  if (slot->lease_asked) return;
  command_script(&command, &client->scripts, SCRIPT_LEASE, 3);
  command_text(&command, slot->keys.workers);
  command_text(&command, slot->keys.claimed);
  command_text(&command, slot->keys.about);
  command_text(&command, client->worker);
  command_number(&command, client->options.lease_ms);
  if (client->callbacks.describe)
    client->callbacks.describe(client->callbacks.ctx, slot->name, about, sizeof about);
  command_text(&command, about);
  slot->lease_asked_at_ms = conn_now_ms();
  slot->lease_asked = command_send(&command, ROUND_TRIP_LEASE, client->command, on_lease, slot) == 0;
}

void lease_ask(struct queue_client *client) {
  if (client->leaving) return;
  for (size_t i = 0; i < client->slot_count; i++)
    ask(&client->slots[i]);
}

void lease_link_lost(struct queue_client *client) {
  for (size_t i = 0; i < client->slot_count; i++)
    client->slots[i].leased_at_ms = 0;
}

bool lease_fresh(const struct queue_slot *slot) {
  return slot->leased_at_ms && conn_now_ms() - slot->leased_at_ms < slot->client->options.lease_ms / 2;
}

static void on_pong(void *ctx, const struct redisReply *reply) {
  (void)ctx;
  (void)reply; /* none in time drops the connection, which is all this is for */
}

static void on_lease_timer(evutil_socket_t fd, short events, void *ctx) {
  struct queue_client *client = ctx;
  (void)fd;
  (void)events;
  lease_ask(client);
  for (size_t i = 0; i < client->slot_count; i++) {
    struct command ping = {0};
    if (!claim_quiet(&client->slots[i])) continue;
    command_text(&ping, "PING");
    command_send(&ping, ROUND_TRIP_PING, client->slots[i].blocking, on_pong, NULL);
  }
}

int lease_init(struct queue_client *client) {
  const uint32_t ms = client->options.lease_renew_ms;
  const struct timeval every = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
  client->lease_timer = event_new(client->base, -1, EV_PERSIST, on_lease_timer, client);
  if (!client->lease_timer || event_add(client->lease_timer, &every) < 0) return -ENOMEM;
  return 0;
}
