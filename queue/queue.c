/*
 * The link is called up when the command connection is set up and every queue's lease is confirmed on it: a
 * worker that is connected but has no lease must not claim, and must not look healthy either. It is called
 * down with the command connection. A blocking connection in trouble is only noted, since its queue is polled
 * meanwhile: whatever happens, no worker that says "up" is deaf.
 */
#include "queue/queue.h"

#include <errno.h>
#include <event2/event.h>
#include <hiredis/hiredis.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue/client.h"
#include "queue/job.h"
#include "queue/redis_url.h"

#define RETRY_MS 500
#define NOTE_EVERY_MS 10000
#define WORKER_NAME_MAX 100

/* ---- notes and errors ---- */

void client_note(struct queue_client *client, const char *level, const char *event, const char *format, ...) {
  char detail[512];
  va_list args;
  if (!client->callbacks.note) return;
  va_start(args, format);
  vsnprintf(detail, sizeof detail, format, args);
  va_end(args);
  client->callbacks.note(client->callbacks.ctx, level, event, detail);
}

/* Redis before 7 wraps what a script's command said: "ERR Error running script (…): @user_script:3: -READONLY
 * …". */
static const char *error_word(const char *text) {
  if (strncmp(text, "ERR Error running script", 24) == 0) {
    const char *inner = strstr(text, ": -");
    if (inner) return inner + 3;
  }
  return text;
}

static enum reply_class error_class(const char *text) {
  static const struct {
    const char *word;
    enum reply_class class;
  } known[] = {
      {"NOSCRIPT", REPLY_NO_SCRIPT},
      {"LOADING", REPLY_UNAVAILABLE},
      {"READONLY", REPLY_UNAVAILABLE},
      {"MASTERDOWN", REPLY_UNAVAILABLE},
      {"UNBLOCKED", REPLY_UNAVAILABLE},
      {"NOAUTH", REPLY_UNAVAILABLE},
      {"WRONGPASS", REPLY_UNAVAILABLE},
      {"MISCONF", REPLY_UNAVAILABLE},
      {"NOREPLICAS", REPLY_UNAVAILABLE},
      {"CLUSTERDOWN", REPLY_UNAVAILABLE},
      {"MOVED", REPLY_UNAVAILABLE},
      {"ASK", REPLY_UNAVAILABLE},
      {"BUSY", REPLY_LATER},
      {"OOM", REPLY_LATER},
      {"TRYAGAIN", REPLY_LATER},
  };
  const char *word = error_word(text);
  const size_t len = strcspn(word, " ");
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
    if (strlen(known[i].word) == len && memcmp(known[i].word, word, len) == 0) return known[i].class;
  return REPLY_WRONG;
}

enum reply_class client_classify(struct queue_client *client, struct conn *conn,
                                 const struct redisReply *reply, enum round_trip which) {
  if (!reply) return REPLY_LOST;
  if (reply->type != REDIS_REPLY_ERROR) return REPLY_FINE;
  const enum reply_class class = error_class(reply->str);
  const int64_t now = conn_now_ms();

  if (now >= client->quiet_until_ms[class]) {
    client->quiet_until_ms[class] = now + NOTE_EVERY_MS;
    if (class == REPLY_NO_SCRIPT)
      client_note(client, "info", "scripts_reloaded", "Redis had forgotten the scripts");
    else
      client_note(client, class == REPLY_WRONG ? "error" : "warn", "redis_error", "%s: %s",
                  round_trip_name(which), reply->str);
  }
  if (class == REPLY_NO_SCRIPT) {
    scripts_forget(&client->scripts);
    scripts_load(&client->scripts, client->command);
  } else if (class == REPLY_UNAVAILABLE) {
    char why[256];
    snprintf(why, sizeof why, "%s", reply->str);
    conn_drop(conn, why);
    conn_drop(client->command, why);
  }
  return class;
}

/* ---- the link ---- */

static void report_link(struct queue_client *client, bool up, const char *why) {
  const bool changed = !client->link_reported || client->up != up;
  client->link_reported = true;
  client->up = up;
  if (changed && client->callbacks.link) client->callbacks.link(client->callbacks.ctx, up, why);
}

void client_leased(struct queue_client *client) {
  char why[256];
  if (client->up) return;
  conn_reset_backoff(client->command);
  snprintf(why, sizeof why, "connected to %s", client->options.url->display);
  report_link(client, true, why);
  settle_send_all(client);
  reap_start(client);
  promote_start(client);
  claim_pump(client);
}

void client_stalled(struct queue_client *client, const char *why) {
  char text[256];
  snprintf(text, sizeof text, "the lease cannot be renewed: %s", why);
  report_link(client, false, text);
}

static void on_command_up(void *ctx) {
  struct queue_client *client = ctx;
  scripts_forget(&client->scripts);
  scripts_load(&client->scripts, client->command);
  lease_ask(client);
}

static void on_command_down(void *ctx, const char *why) {
  struct queue_client *client = ctx;
  reap_stop(client);
  promote_stop(client);
  lease_link_lost(client);
  report_link(client, false, why);
}

static void on_retry(evutil_socket_t fd, short events, void *ctx) {
  struct queue_client *client = ctx;
  (void)fd;
  (void)events;
  settle_send_all(client);
  claim_wake(client);
}

void client_retry_later(struct queue_client *client) {
  const struct timeval in = {.tv_usec = RETRY_MS * 1000};
  if (!event_pending(client->retry_timer, EV_TIMEOUT, NULL)) event_add(client->retry_timer, &in);
}

/* ---- life ---- */

static bool worker_name_valid(const char *name) {
  const size_t len = strlen(name);
  for (size_t i = 0; i < len; i++)
    if (name[i] <= ' ' || name[i] == 0x7f || name[i] == '"' || name[i] == '\\') return false;
  return len >= 1 && len <= WORKER_NAME_MAX;
}

static bool options_valid(const struct queue_options *options) {
  if (options->queue_count < 1 || options->queue_count > QUEUES_MAX) return false;
  for (size_t i = 0; i < options->queue_count; i++) {
    if (!job_queue_name_valid(options->queues[i], strlen(options->queues[i]))) return false;
    for (size_t j = 0; j < i; j++)
      if (strcmp(options->queues[i], options->queues[j]) == 0) return false;
  }
  return key_prefix_valid(options->prefix) && worker_name_valid(options->worker) && options->lease_ms > 0 &&
         options->lease_renew_ms > 0 && options->lease_renew_ms < options->lease_ms / 2 &&
         options->reap_interval_ms > 0 && options->max_worker_deaths > 0 && options->dead_letters_max > 0 &&
         options->default_reply_ttl_s > 0;
}

static int slot_init(struct queue_client *client, const char *name) {
  struct queue_slot *slot = &client->slots[client->slot_count++];
  slot->client = client;
  slot->name = strdup(name);
  if (!slot->name) return -ENOMEM;
  const int r = queue_keys_make(&slot->keys, client->prefix, name, client->worker);
  if (r < 0) return r;
  return promote_init(slot) < 0 ? -ENOMEM : claim_init(slot);
}

static int client_init(struct queue_client *client) {
  const struct queue_options *options = &client->options;
  client->prefix = strdup(options->prefix);
  client->worker = strdup(options->worker);
  client->retry_timer = evtimer_new(client->base, on_retry, client);
  if (!client->prefix || !client->worker || !client->retry_timer) return -ENOMEM;
  for (size_t i = 0; i < options->queue_count; i++) {
    const int r = slot_init(client, options->queues[i]);
    if (r < 0) return r;
  }
  if (settle_init(client) < 0 || lease_init(client) < 0 || reap_init(client) < 0 || cancel_init(client) < 0)
    return -ENOMEM;
  const struct conn_options conn = {.base = client->base,
                                    .url = options->url,
                                    .name = client->worker,
                                    .ctx = client,
                                    .up = on_command_up,
                                    .down = on_command_down};
  return conn_new(&conn, &client->command);
}

int queue_client_new(struct event_base *base, const struct queue_options *options,
                     const struct queue_callbacks *callbacks, struct queue_client **out) {
  if (!options_valid(options)) return -EINVAL;
  struct queue_client *client = calloc(1, sizeof *client);
  if (!client) return -ENOMEM;
  client->base = base;
  client->options = *options;
  client->callbacks = *callbacks;
  const int r = client_init(client);
  client->options.prefix = client->prefix;
  client->options.worker = client->worker;
  client->options.queues = NULL; /* the caller's; slots have the names */
  if (r < 0) {
    queue_client_free(client);
    return r;
  }
  *out = client;
  return 0;
}

void queue_client_free(struct queue_client *client) {
  if (!client) return;
  conn_free(client->command);
  conn_free(client->subscriber);
  for (size_t i = 0; i < client->slot_count; i++) {
    struct queue_slot *slot = &client->slots[i];
    conn_free(slot->blocking);
    promote_free(slot);
    held_free(slot);
    queue_keys_free(&slot->keys);
    free(slot->search_pattern);
    free(slot->name);
  }
  settle_free_all(client);
  if (client->lease_timer) event_free(client->lease_timer);
  if (client->reap_timer) event_free(client->reap_timer);
  if (client->retry_timer) event_free(client->retry_timer);
  free(client->prefix);
  free(client->worker);
  free(client);
}

bool queue_client_up(const struct queue_client *client) {
  return client->up;
}

void queue_client_set_capacity(struct queue_client *client, unsigned capacity) {
  client->capacity = client->leaving ? 0 : capacity;
  if (client->capacity == 0)
    claim_unblock(client);
  else
    claim_pump(client);
}

void queue_client_set_patient(struct queue_client *client, bool patient) {
  const bool flush = client->patient && !patient;
  client->patient = patient;
  if (flush) settle_flush(client);
}

size_t queue_client_pending(const struct queue_client *client) {
  return client->pending_count;
}

int queue_client_leave(struct queue_client *client, queue_settle_fn done, void *ctx) {
  if (client->leaving) return -EALREADY;
  client->leave_done = done;
  client->leave_ctx = ctx;
  const int r = settle_leave(client);
  if (r < 0) return r;
  client->leaving = true;
  queue_client_set_capacity(client, 0);
  reap_stop(client);
  promote_stop(client);
  settle_send_all(client);
  return 0;
}
