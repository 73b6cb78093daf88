/*
 * What ends a claim is kept in a list until Redis has confirmed it, and sent again after every outage. That
 * is safe, because each step removes the payload from the claimed list first, and does nothing where it is
 * gone. The token in done:<id> tells a settle whose answer was lost ("already") from one that came too late
 * ("fenced").
 *
 * An answer that will not get better (a reply key of another type, another slot of a cluster) must not keep
 * the job claimed for ever: the result then goes into a dead letter, which says why.
 */
#include <errno.h>
#include <event2/event.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "queue/client.h"
#include "queue/dead_letter.h"
#include "queue/job.h"
#include "queue/result.h"

enum settle_kind {
  SETTLE_RESULT,
  SETTLE_RETURN,
  SETTLE_DEFER,
  SETTLE_LEAVE
};

static const enum round_trip round_trips[] = {ROUND_TRIP_SETTLE, ROUND_TRIP_GIVE_BACK, ROUND_TRIP_DEFER,
                                              ROUND_TRIP_LEAVE};

#define BATCH_MAX 8                  /* results in one call of settle.lua */
#define BATCH_BYTES_MAX (256u << 10) /* that a further result may join */
#define WAIT_MAX_MS 1                /* for company */

struct settle {
  struct settle *next;
  struct queue_slot *slot;
  enum settle_kind kind;
  bool in_flight;
  bool fallen_back; /* to a dead letter */
  bool alone;       /* a call of settle.lua of its own: one that it was part of was refused */

  char *payload;
  size_t payload_len;
  char *original; /* the payload without the workers' note; NULL: it has none */
  size_t original_len;
  char *json;
  size_t json_len;
  char *status;
  char *letter; /* NULL: none */
  size_t letter_len;
  char *done_key, *reply_key; /* NULL: none */
  char *record_key, *record;  /* the replay record; NULL: none */
  size_t record_len;
  int64_t record_ttl_ms;
  int64_t ttl_ms;
  char token[160];
  char *id; /* NULL: none */

  char *noted; /* DEFER: the payload with its new note */
  size_t noted_len;
  struct queue_deferral deferral;

  queue_settle_fn done;
  void *ctx;
};

struct batch {        /* results that go in one call */
  struct batch *next; /* under way */
  struct queue_slot *slot;
  size_t count;
  struct settle *items[BATCH_MAX];
};

static void send_one(struct settle *settle);
static void send_results(struct queue_slot *slot, bool at_once);

/* ---- the list ---- */

static void settle_free(struct settle *settle) {
  free(settle->payload);
  free(settle->original);
  free(settle->json);
  free(settle->status);
  free(settle->letter);
  free(settle->done_key);
  free(settle->reply_key);
  free(settle->record_key);
  free(settle->record);
  free(settle->id);
  free(settle->noted);
  free(settle);
}

static struct settle *settle_new(struct queue_slot *slot, enum settle_kind kind, const char *payload,
                                 size_t len, queue_settle_fn done, void *ctx) {
  struct settle *settle = calloc(1, sizeof *settle);
  if (!settle) return NULL;
  settle->payload = malloc(len + 1);
  if (!settle->payload) {
    settle_free(settle);
    return NULL;
  }
  if (len) memcpy(settle->payload, payload, len);
  settle->payload[len] = '\0';
  settle->payload_len = len;
  settle->slot = slot;
  settle->kind = kind;
  settle->done = done;
  settle->ctx = ctx;
  return settle;
}

static void enqueue(struct settle *settle) {
  struct queue_client *client = settle->slot->client;
  if (client->pending_last)
    client->pending_last->next = settle;
  else
    client->pending = settle;
  client->pending_last = settle;
  client->pending_count++;
  if (settle->kind == SETTLE_RESULT)
    send_results(settle->slot, false);
  else
    send_one(settle);
}

static void unlink_settle(struct settle *settle) {
  struct queue_client *client = settle->slot->client;
  struct settle *before = NULL;
  for (struct settle *at = client->pending; at != settle; at = at->next)
    before = at;
  if (before)
    before->next = settle->next;
  else
    client->pending = settle->next;
  if (client->pending_last == settle) client->pending_last = before;
  client->pending_count--;
}

static void finish(struct settle *settle, enum queue_settled outcome) {
  struct queue_client *client = settle->slot->client;
  const queue_settle_fn done = settle->done;
  void *ctx = settle->ctx;
  unlink_settle(settle);
  if (settle->kind == SETTLE_LEAVE)
    client->leaves_left--;
  else
    held_remove(settle->slot, settle->payload, settle->payload_len);
  const bool left = settle->kind == SETTLE_LEAVE && client->leaves_left == 0;
  settle_free(settle);
  if (done) done(ctx, outcome);
  if (left && client->leave_done) client->leave_done(client->leave_ctx, QUEUE_SETTLED);
}

/* ---- answers ---- */

static int64_t realtime_ms(void) {
  struct timespec ts;
  clock_gettime(CLOCK_REALTIME, &ts);
  return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int write_letter(struct settle *settle, const char *reason) {
  char *letter;
  size_t len;
  const char *payload = settle->original ? settle->original : settle->payload;
  const size_t payload_len = settle->original ? settle->original_len : settle->payload_len;
  const int r = dead_letter_make(payload, payload_len, reason, settle->json, settle->json_len, realtime_ms(),
                                 &letter, &len);
  if (r < 0) return r;
  free(settle->letter);
  settle->letter = letter;
  settle->letter_len = len;
  return 0;
}

/* The result cannot be published where it should be. */
static void fall_back(struct settle *settle, const char *reason) {
  struct queue_client *client = settle->slot->client;
  client_note(client, "warn", "dead_letter", "queue %s: %s", settle->slot->name, reason);
  if (write_letter(settle, reason) < 0) {
    client_retry_later(client);
    return;
  }
  settle->fallen_back = true;
  free(settle->reply_key);
  settle->reply_key = NULL;
  settle->alone = true;
  send_results(settle->slot, true);
}

static void on_settle_error(struct settle *settle, enum reply_class class) {
  if (class == REPLY_NO_SCRIPT)
    send_one(settle);
  else if (class == REPLY_LATER || class == REPLY_WRONG)
    client_retry_later(settle->slot->client);
  /* else the link is lost: sent again when it is back */
}

static void on_result(struct settle *settle, const char *word) {
  char reason[160];
  settle->in_flight = false;
  if (strncmp(word, "reply ", 6) == 0) {
    snprintf(reason, sizeof reason, "reply_to holds a %s, so the result cannot be pushed there", word + 6);
    fall_back(settle, reason);
  } else if (strcmp(word, "fenced") == 0) {
    finish(settle, QUEUE_FENCED);
  } else if (strcmp(word, "duplicate") == 0) {
    finish(settle, QUEUE_DUPLICATE);
  } else {
    finish(settle, QUEUE_SETTLED); /* "settled", or "already" */
  }
}

/* One word for each, or "settled" for all. */
static void on_results(const struct batch *batch, const struct redisReply *reply) {
  const bool each = reply->type == REDIS_REPLY_ARRAY && reply->elements == batch->count;
  for (size_t i = 0; i < batch->count; i++)
    on_result(batch->items[i], each && reply->element[i]->str ? reply->element[i]->str : "settled");
}

/* Not one of them is settled, or it will say "already" when it is sent again. */
static void on_refused(const struct batch *batch, enum reply_class class, const struct redisReply *reply) {
  struct settle *first = batch->items[0];
  char reason[320];
  for (size_t i = 0; i < batch->count; i++)
    batch->items[i]->in_flight = false;
  if (class == REPLY_NO_SCRIPT) {
    send_results(batch->slot, true);
  } else if (class == REPLY_WRONG && batch->count > 1) {
    for (size_t i = 0; i < batch->count; i++) /* whose fault it is must be found out */
      batch->items[i]->alone = true;
    send_results(batch->slot, true);
  } else if (class == REPLY_WRONG && first->reply_key && !first->fallen_back) {
    snprintf(reason, sizeof reason, "the result could not be published on reply_to: %s", reply->str);
    fall_back(first, reason);
  } else if (class == REPLY_LATER || class == REPLY_WRONG) {
    client_retry_later(batch->slot->client);
  } /* else the link is lost: sent again when it is back */
}

static void batch_unlink(const struct batch *batch) {
  struct batch **at = &batch->slot->batches;
  while (*at != batch)
    at = &(*at)->next;
  *at = batch->next;
}

static void on_batch_reply(void *ctx, const struct redisReply *reply) {
  struct batch *batch = ctx;
  struct queue_slot *slot = batch->slot;
  struct queue_client *client = slot->client;
  const enum reply_class class = client_classify(client, client->command, reply, ROUND_TRIP_SETTLE);
  batch_unlink(batch);
  if (class == REPLY_FINE)
    on_results(batch, reply);
  else
    on_refused(batch, class, reply);
  free(batch);
  send_results(slot, false);
}

static void on_deferred(struct settle *settle, const struct redisReply *reply) {
  struct queue_slot *slot = settle->slot;
  const bool fenced = reply->type != REDIS_REPLY_ARRAY || reply->elements < 2;
  if (!fenced) promote_soon(slot);
  finish(settle, fenced ? QUEUE_FENCED : QUEUE_SETTLED);
}

static void on_reply(void *ctx, const struct redisReply *reply) {
  struct settle *settle = ctx;
  struct queue_client *client = settle->slot->client;
  settle->in_flight = false;
  const enum reply_class class = client_classify(client, client->command, reply, round_trips[settle->kind]);
  if (class != REPLY_FINE)
    on_settle_error(settle, class);
  else if (settle->kind == SETTLE_DEFER)
    on_deferred(settle, reply);
  else if (settle->kind == SETTLE_RETURN)
    finish(settle, reply->integer == 1 ? QUEUE_SETTLED : QUEUE_FENCED);
  else
    finish(settle, QUEUE_SETTLED);
}

/* ---- sending ---- */

/* What settle.lua is told of one result: see there. */
static void command_result(struct command *command, struct settle *settle) {
  static const char *const given[] = {"---", "--r", "-R-", "-Rr", "d--", "d-r", "dR-", "dRr"};
  command_bytes(command, settle->payload, settle->payload_len);
  command_text(command, settle->token);
  command_text(command, settle->status);
  command_number(command, settle->ttl_ms);
  command_bytes(command, settle->json, settle->json_len);
  command_bytes(command, settle->letter ? settle->letter : "", settle->letter_len);
  command_text(command, settle->id ? settle->id : "");
  command_bytes(command, settle->record ? settle->record : "", settle->record_len);
  command_number(command, settle->record_ttl_ms);
  command_text(command, given[4 * !!settle->done_key + 2 * !!settle->record_key + !!settle->reply_key]);
}

static void command_batch(struct command *command, const struct batch *batch) {
  const struct queue_client *client = batch->slot->client;
  const struct queue_keys *keys = &batch->slot->keys;
  int key_count = 4;
  for (size_t i = 0; i < batch->count; i++)
    key_count += !!batch->items[i]->done_key + !!batch->items[i]->record_key + !!batch->items[i]->reply_key;
  command_script(command, &client->scripts, SCRIPT_SETTLE, key_count);
  command_text(command, keys->claimed);
  command_text(command, keys->stats);
  command_text(command, keys->dead);
  command_text(command, keys->submitted);
  for (size_t i = 0; i < batch->count; i++) {
    const struct settle *settle = batch->items[i];
    if (settle->done_key) command_text(command, settle->done_key);
    if (settle->record_key) command_text(command, settle->record_key);
    if (settle->reply_key) command_text(command, settle->reply_key);
  }
  command_number(command, client->options.dead_letters_max);
  for (size_t i = 0; i < batch->count; i++)
    command_result(command, batch->items[i]);
}

static void command_defer(struct command *command, const struct settle *settle) {
  const struct queue_keys *keys = &settle->slot->keys;
  const struct queue_deferral *deferral = &settle->deferral;
  command_script(command, &settle->slot->client->scripts, SCRIPT_DEFER, 3);
  command_text(command, keys->claimed);
  command_text(command, keys->delayed);
  command_text(command, keys->stats);
  command_bytes(command, settle->payload, settle->payload_len);
  command_bytes(command, settle->noted, settle->noted_len);
  command_text(command, deferral->at_ms > 0 ? "at" : "in");
  command_number(command, deferral->at_ms > 0 ? deferral->at_ms : deferral->in_ms);
  command_text(command, deferral->retry ? "retried" : "delayed");
}

/* The first results that are not under way, as many as may go in one call. */
static void batch_fill(struct batch *batch) {
  size_t bytes = 0;
  for (struct settle *settle = batch->slot->client->pending; settle && batch->count < BATCH_MAX;
       settle = settle->next) {
    if (settle->kind != SETTLE_RESULT || settle->slot != batch->slot || settle->in_flight) continue;
    if (batch->count > 0 && settle->alone) continue;
    bytes += settle->payload_len + settle->json_len + settle->record_len;
    if (batch->count > 0 && bytes > BATCH_BYTES_MAX) return;
    batch->items[batch->count++] = settle;
    if (settle->alone) return;
  }
}

static int batch_send(const struct batch *filled) {
  struct queue_client *client = filled->slot->client;
  struct command command;
  struct batch *batch = malloc(sizeof *batch);
  if (!batch) return -ENOMEM;
  *batch = *filled;
  command_begin(&command);
  command_batch(&command, batch);
  const int r = command_send(&command, ROUND_TRIP_SETTLE, client->command, on_batch_reply, batch);
  if (r < 0) {
    free(batch);
    return r;
  }
  for (size_t i = 0; i < batch->count; i++)
    batch->items[i]->in_flight = true;
  batch->next = batch->slot->batches;
  batch->slot->batches = batch;
  return 0;
}

/*
 * A round trip costs much more than a result in it, so results go together: those that came while another call was under
 * way, and, while there are more jobs at hand (queue_client_set_patient()), those of a millisecond.
 */
static void send_results(struct queue_slot *slot, bool at_once) {
  struct queue_client *client = slot->client;
  const struct timeval wait = {.tv_usec = WAIT_MAX_MS * 1000};
  while (client->up) {
    struct batch batch = {.slot = slot};
    batch_fill(&batch);
    if (batch.count == 0) return;
    if (batch.count < BATCH_MAX && !batch.items[0]->alone && !at_once && (slot->batches || client->patient)) {
      if (!event_pending(client->settle_timer, EV_TIMEOUT, NULL)) event_add(client->settle_timer, &wait);
      return;
    }
    const int r = batch_send(&batch);
    if (r == -ENOMEM) client_retry_later(client);
    if (r < 0) return;
  }
}

static void send_one(struct settle *settle) {
  const struct queue_slot *slot = settle->slot;
  struct queue_client *client = slot->client;
  struct command command;
  if (!client->up || settle->in_flight) return;
  command_begin(&command);
  switch (settle->kind) {
  case SETTLE_RESULT: return; /* send_results() */
  case SETTLE_DEFER: command_defer(&command, settle); break;
  case SETTLE_RETURN:
    command_script(&command, &client->scripts, SCRIPT_GIVE_BACK, 2);
    command_text(&command, slot->keys.claimed);
    command_text(&command, slot->keys.jobs);
    command_bytes(&command, settle->payload, settle->payload_len);
    break;
  case SETTLE_LEAVE:
    if (!claim_quiet(slot)) return; /* a claim under way would be left behind; its end sends this */
    command_script(&command, &client->scripts, SCRIPT_LEAVE, 4);
    command_text(&command, slot->keys.workers);
    command_text(&command, slot->keys.claimed);
    command_text(&command, slot->keys.jobs);
    command_text(&command, slot->keys.about);
    command_text(&command, client->worker);
    break;
  }
  const int r = command_send(&command, round_trips[settle->kind], client->command, on_reply, settle);
  settle->in_flight = r == 0;
  if (r == -ENOMEM) client_retry_later(client);
}

void settle_send_all(struct queue_client *client) {
  /* Nothing in here calls back: answers come from the event loop. */
  settle_flush(client);
  for (struct settle *settle = client->pending; settle; settle = settle->next)
    send_one(settle);
}

void settle_flush(struct queue_client *client) {
  for (size_t i = 0; i < client->slot_count; i++)
    send_results(&client->slots[i], true);
}

static void on_settle_timer(evutil_socket_t fd, short events, void *ctx) {
  (void)fd;
  (void)events;
  settle_flush(ctx);
}

int settle_init(struct queue_client *client) {
  client->settle_timer = evtimer_new(client->base, on_settle_timer, client);
  return client->settle_timer ? 0 : -ENOMEM;
}

void settle_free_all(struct queue_client *client) {
  while (client->pending) {
    struct settle *next = client->pending->next;
    settle_free(client->pending);
    client->pending = next;
  }
  client->pending_last = NULL;
  for (size_t i = 0; i < client->slot_count; i++) {
    while (client->slots[i].batches) {
      struct batch *next = client->slots[i].batches->next;
      free(client->slots[i].batches);
      client->slots[i].batches = next;
    }
  }
  if (client->settle_timer) event_free(client->settle_timer);
}

/* ---- asking ---- */

static int64_t ttl_ms(const struct queue_client *client, const struct job *job) {
  const uint32_t s = job->reply_ttl_s ? job->reply_ttl_s : client->options.default_reply_ttl_s;
  return (int64_t)s * 1000;
}

/* New for each claim that ends; `how` is for whoever looks at done:<id>. */
static void make_token(struct queue_client *client, const char *how, char *out, size_t size) {
  snprintf(out, size, "%s:%" PRIu64 ":%s", client->worker, ++client->claims_settled, how);
}

/* Takes `json`, and the record's text, in any case. */
static int settle_in(struct queue_slot *slot, const struct job *job, char *json, size_t json_len,
                     const char *status, const char *dead_reason, const struct queue_record *record,
                     queue_settle_fn done, void *ctx) {
  struct queue_client *client = slot->client;
  struct settle *settle = settle_new(slot, SETTLE_RESULT, job->payload, job->payload_len, done, ctx);
  if (!settle) goto no_memory;
  settle->json = json;
  settle->json_len = json_len;
  if (record && job->id[0]) {
    settle->record = record->text;
    settle->record_len = record->len;
    settle->record_ttl_ms = (int64_t)record->ttl_s * 1000;
    if (!(settle->record_key = key_record(client->prefix, slot->name, job->id))) goto fail;
  } else if (record) {
    free(record->text);
  }
  settle->status = strdup(status);
  settle->ttl_ms = ttl_ms(client, job);
  make_token(client, status, settle->token, sizeof settle->token);
  if (!settle->status) goto fail;
  if (job->note_len && !(settle->original = job_payload_original(job, &settle->original_len))) goto fail;
  if (job->id[0] && !(settle->id = strdup(job->id))) goto fail;
  if (job->id[0] && !(settle->done_key = key_done(client->prefix, slot->name, job->id))) goto fail;
  if (job->reply_to && !(settle->reply_key = strdup(job->reply_to))) goto fail;
  if (!dead_reason && !job->reply_to) dead_reason = "no reply key is known"; /* nothing is dropped silently */
  if (dead_reason && write_letter(settle, dead_reason) < 0) goto fail;
  enqueue(settle);
  return 0;
fail:
  settle_free(settle);
  return -ENOMEM;
no_memory:
  free(json);
  if (record) free(record->text);
  return -ENOMEM;
}

static struct queue_slot *slot_of(struct queue_client *client, const struct job *job) {
  for (size_t i = 0; i < client->slot_count; i++)
    if (job->queue && strcmp(client->slots[i].name, job->queue) == 0) return &client->slots[i];
  return NULL;
}

int queue_settle(struct queue_client *client, const struct job *job, char *json, size_t json_len,
                 const char *status, const char *dead_reason, const struct queue_record *record,
                 queue_settle_fn done, void *ctx) {
  struct queue_slot *slot = slot_of(client, job);
  if (slot) return settle_in(slot, job, json, json_len, status, dead_reason, record, done, ctx);
  free(json);
  if (record) free(record->text);
  return -EINVAL;
}

int queue_defer(struct queue_client *client, const struct job *job, const struct queue_deferral *deferral,
                queue_settle_fn done, void *ctx) {
  struct queue_slot *slot = slot_of(client, job);
  char token[160];
  if (!slot) return -EINVAL;
  struct settle *settle = settle_new(slot, SETTLE_DEFER, job->payload, job->payload_len, done, ctx);
  if (!settle) return -ENOMEM;
  make_token(client, deferral->retry ? "retry" : "delay", token, sizeof token);
  const struct job_note note = {
      .deaths = job->deaths, .attempt = deferral->attempt, .delayed = true, .token = token};
  settle->noted = job_payload_noted(job, &note, &settle->noted_len);
  settle->deferral = *deferral;
  if (!settle->noted) {
    settle_free(settle);
    return -ENOMEM;
  }
  enqueue(settle);
  return 0;
}

int queue_give_back(struct queue_client *client, const struct job *job, queue_settle_fn done, void *ctx) {
  struct queue_slot *slot = slot_of(client, job);
  return slot ? settle_return(slot, job->payload, job->payload_len, done, ctx) : -EINVAL;
}

int settle_return(struct queue_slot *slot, const char *payload, size_t len, queue_settle_fn done, void *ctx) {
  struct settle *settle = settle_new(slot, SETTLE_RETURN, payload, len, done, ctx);
  if (!settle) return -ENOMEM;
  enqueue(settle);
  return 0;
}

int settle_leave(struct queue_client *client) {
  struct settle *leaves[QUEUES_MAX];
  for (size_t i = 0; i < client->slot_count; i++) {
    leaves[i] = settle_new(&client->slots[i], SETTLE_LEAVE, "", 0, NULL, NULL);
    if (leaves[i]) continue;
    while (i-- > 0)
      settle_free(leaves[i]);
    return -ENOMEM;
  }
  client->leaves_left = client->slot_count;
  for (size_t i = 0; i < client->slot_count; i++)
    enqueue(leaves[i]);
  return 0;
}

/* ---- a job that cost too many workers ---- */

/* It was checked when it was claimed; now only its reply key matters. */
static const struct job_limits any_limits = {
    .timeout_ms = {0, INT32_MIN, INT32_MAX},
    .cpu_ms = {0, INT32_MIN, INT32_MAX},
    .memory_mb = {0, INT32_MIN, INT32_MAX},
    .max_output_bytes = {0, INT64_MIN, INT64_MAX},
    .reply_ttl_s = {0, 1, INT32_MAX},
    .max_attempts = {0, INT64_MIN, INT64_MAX},
    .backoff_ms = {0, INT64_MIN, INT64_MAX},
    .delay_ms = {0, INT64_MIN, INT64_MAX},
    .max_code_bytes = INT64_MAX,
    .max_input_bytes = INT64_MAX,
    .max_payload_bytes = INT64_MAX,
};

int settle_worker_lost(struct queue_slot *slot, const char *payload, size_t len) {
  const struct queue_client *client = slot->client;
  struct job_result result = {0};
  struct job *job = NULL;
  char message[128], *json = NULL;
  size_t json_len;

  snprintf(message, sizeof message, "given up: %u workers died, or lost their lease, while they had this job",
           client->options.max_worker_deaths);
  int r = job_parse(payload, len, &any_limits, client->prefix, slot->name, &job);
  if (r == 0) r = job_result_set_error(&result, ISOQ_STATUS_WORKER_LOST, "WorkerLost", message);
  if (r < 0) goto out;
  snprintf(result.worker, sizeof result.worker, "%s", client->worker);
  result.started_at_ms = result.finished_at_ms = realtime_ms();
  r = job_result_to_json(&result, job, &json, &json_len);
  if (r < 0) goto out;
  r = settle_in(slot, job, json, json_len, isoq_status_name(ISOQ_STATUS_WORKER_LOST), message, NULL, NULL,
                NULL);
out:
  job_result_free(&result);
  job_free(job);
  return r;
}
