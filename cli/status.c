/*
 * By Redis' own clock. What costs one look each is asked in one pipeline, so that the numbers belong together
 * as nearly as they can without a script.
 *
 * A worker tells of itself when it renews its lease (worker:<name>), so that is some seconds old. The claimed
 * list is the truth of now: a job that is in it, but which the worker has not told of, was claimed since; one
 * that it told of and that is not in it has ended.
 *
 * An orphan is a job in the claimed list of a worker without a lease. That is shown rather than hidden,
 * because it is what one wants to see when jobs hang.
 */
#include "cli/status.h"

#include <hiredis/hiredis.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/scan.h"
#include "queue/keys.h"
#include "worker/settings.h"

struct status {
  const struct cli *cli;
  struct cli_redis *redis;
  struct job_limits limits;
  bool brief;
  int64_t now_ms;
  struct json_object *rates; /* of each live worker, by name: it may serve several queues */

  const char *queue; /* the one that is looked at: */
  struct queue_keys keys;
  struct json_object *workers, *orphans;
  int64_t claimed, orphaned, alive;
  int rc;
};

static void put(struct json_object *object, const char *name, struct json_object *value) {
  json_object_object_add(object, name, value);
}

static void put_int(struct json_object *object, const char *name, int64_t value) {
  put(object, name, json_object_new_int64(value));
}

/* Below 0: null. */
static void put_age(struct json_object *object, const char *name, int64_t ms) {
  put(object, name, ms < 0 ? NULL : json_object_new_int64(ms));
}

/* ---- replies ---- */

/* -1 after a message. */
static int64_t next_int(struct cli_redis *redis) {
  redisReply *reply = cli_redis_reply(redis);
  int64_t value = reply && reply->type == REDIS_REPLY_INTEGER ? reply->integer : -1;
  freeReplyObject(reply);
  return value;
}

static char *key_of(const char *prefix, const char *name, size_t len) {
  char *key;
  if (asprintf(&key, "%s%.*s", prefix, (int)len, name) < 0) return NULL;
  return key;
}

/* ---- the oldest job ---- */

static int hex(char c) {
  return c >= '0' && c <= '9'   ? c - '0'
         : c >= 'a' && c <= 'f' ? c - 'a' + 10
         : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                : -1;
}

/* The time in a UUID of version 7, in ms since 1970; -1: it is none. */
static int64_t time_of_uuid(const char *id) {
  int64_t ms = 0;
  if (strlen(id) != 36 || id[14] != '7') return -1;
  for (int i = 0; i < 36; i++) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? id[i] != '-' : hex(id[i]) < 0) return -1;
    if (i < 13 && !dash) ms = ms * 16 + hex(id[i]);
  }
  return ms;
}

/* "" where it has none that is usable. */
static void id_of(const struct status *status, const char *payload, size_t len, char id[JOB_ID_MAX + 1]) {
  struct job *job;
  id[0] = 0;
  if (job_parse(payload, len, &status->limits, status->cli->config.prefix, status->queue, &job)) return;
  memcpy(id, job->id, JOB_ID_MAX + 1);
  job_free(job);
}

/* How old the job is that will be taken next; -1: not known, or there is none; -2 after a message. */
static int64_t oldest_ms(struct status *status) {
  char id[JOB_ID_MAX + 1] = "";
  redisReply *reply = cli_redis_command(status->redis, "LINDEX %s -1", status->keys.jobs);
  if (!reply) return -2;
  if (reply->type == REDIS_REPLY_STRING) id_of(status, reply->str, reply->len, id);
  freeReplyObject(reply);
  if (!id[0]) return -1;
  reply = cli_redis_command(status->redis, "HGET %s %s", status->keys.submitted, id);
  if (!reply) return -2;
  const int64_t since = reply->type == REDIS_REPLY_STRING ? strtoll(reply->str, NULL, 10) : time_of_uuid(id);
  freeReplyObject(reply);
  if (since <= 0) return -1;
  return since < status->now_ms ? status->now_ms - since : 0;
}

/* Until the first delayed job is due; 0: overdue; -1: there is none; -2 after a message. */
static int64_t next_due_ms(struct status *status) {
  redisReply *reply = cli_redis_command(status->redis, "ZRANGE %s 0 0 WITHSCORES", status->keys.delayed);
  int64_t left = -1;
  if (!reply) return -2;
  if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2) {
    left = (int64_t)strtod(reply->element[1]->str, NULL) - status->now_ms;
    if (left < 0) left = 0;
  }
  freeReplyObject(reply);
  return left;
}

/* ---- workers ---- */

/* What the worker says of itself; NULL: nothing. */
static struct json_object *read_notice(struct status *status, const char *name, size_t len) {
  struct json_object *notice = NULL;
  char *worker = strndup(name, len);
  char *key = worker ? key_about(status->cli->config.prefix, status->queue, worker) : NULL;
  redisReply *reply = key ? cli_redis_command(status->redis, "GET %s", key) : NULL;
  if (!reply) status->rc = CLI_UNAVAILABLE;
  if (reply && reply->type == REDIS_REPLY_STRING) notice = json_tokener_parse(reply->str);
  freeReplyObject(reply);
  free(key);
  free(worker);
  if (json_object_is_type(notice, json_type_object)) return notice;
  json_object_put(notice);
  return NULL;
}

/* The entry of `running` with this id, or NULL. */
static struct json_object *entry_of(struct json_object *notice, const char *id) {
  struct json_object *running = notice ? json_object_object_get(notice, "running") : NULL;
  size_t count = json_object_is_type(running, json_type_array) ? json_object_array_length(running) : 0;
  for (size_t i = 0; i < count; i++) {
    struct json_object *entry = json_object_array_get_idx(running, i), *value;
    if (json_object_is_type(entry, json_type_object) && json_object_object_get_ex(entry, "id", &value) &&
        json_object_is_type(value, json_type_string) && strcmp(json_object_get_string(value), id) == 0)
      return entry;
  }
  return NULL;
}

struct claims {
  const struct status *status;
  struct json_object *notice, *running;
};

static bool add_claim(void *ctx, const char *payload, size_t len) {
  struct claims *claims = ctx;
  struct json_object *job = json_object_new_object(), *value;
  char id[JOB_ID_MAX + 1];

  id_of(claims->status, payload, len, id);
  struct json_object *entry = id[0] ? entry_of(claims->notice, id) : NULL;
  int64_t for_ms = -1;
  if (entry && json_object_object_get_ex(entry, "since_ms", &value)) {
    for_ms = claims->status->now_ms - json_object_get_int64(value);
    if (for_ms < 0) for_ms = 0;
  }
  put(job, "id", id[0] ? json_object_new_string(id) : NULL);
  put_age(job, "for_ms", for_ms);
  if (entry && json_object_object_get_ex(entry, "attempt", &value))
    put(job, "attempt", json_object_get(value));
  json_object_array_add(claims->running, job);
  return false;
}

static void copy_members(struct json_object *to, struct json_object *from) {
  static const char *const numbers[] = {"pid",  "started_at_ms", "executors",
                                        "busy", "jobs_per_s",    "redis_down_count"};
  static const char *const texts[] = {"host", "version"};
  struct json_object *value;
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    if (json_object_object_get_ex(from, texts[i], &value) && json_object_is_type(value, json_type_string))
      put(to, texts[i], json_object_get(value));
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
    if (json_object_object_get_ex(from, numbers[i], &value) &&
        (json_object_is_type(value, json_type_int) || json_object_is_type(value, json_type_double)))
      put(to, numbers[i], json_object_get(value));
}

static void add_orphans(struct status *status, const char *name, int64_t jobs) {
  struct json_object *orphan = json_object_new_object();
  put(orphan, "worker", json_object_new_string(name));
  put_int(orphan, "jobs", jobs);
  json_object_array_add(status->orphans, orphan);
  status->orphaned += jobs;
}

/* -1 after a message. */
static int64_t count_claims(struct status *status, const char *claimed) {
  redisReply *reply = cli_redis_command(status->redis, "LLEN %s", claimed);
  int64_t count = reply && reply->type == REDIS_REPLY_INTEGER ? reply->integer : -1;
  freeReplyObject(reply);
  return count;
}

/* What it says of itself, and what it has. Returns the number of its jobs; -1 after a message. */
static int64_t add_details(struct status *status, const redisReply *name, const char *claimed,
                           struct json_object *worker) {
  struct claims claims = {.status = status, .running = json_object_new_array()};
  claims.notice = read_notice(status, name->str, name->len);
  if (claims.notice) copy_members(worker, claims.notice);
  if (status->rc == CLI_OK) status->rc = scan_range(status->redis, "LRANGE", claimed, add_claim, &claims);
  put(worker, "running", claims.running);
  json_object_put(claims.notice);
  return status->rc == CLI_OK ? (int64_t)json_object_array_length(claims.running) : -1;
}

/* A worker with an entry in `workers`, be its lease over or not. */
static void add_worker(struct status *status, const redisReply *name, int64_t lease_ms) {
  struct json_object *worker = json_object_new_object(), *rate;
  char *claimed = key_of(status->keys.claimed_prefix, name->str, name->len);
  int64_t count = -1;

  json_object_array_add(status->workers, worker);
  put(worker, "name", json_object_new_string_len(name->str, (int)name->len));
  put(worker, "alive", json_object_new_boolean(lease_ms > 0));
  put_int(worker, "claimed", 0);
  put_int(worker, "lease_ms", lease_ms);
  if (claimed)
    count = status->brief ? count_claims(status, claimed) : add_details(status, name, claimed, worker);
  free(claimed);
  if (count < 0) {
    status->rc = CLI_UNAVAILABLE;
    return;
  }
  put_int(worker, "claimed", count);
  if (lease_ms > 0 && json_object_object_get_ex(worker, "jobs_per_s", &rate))
    put(status->rates, name->str, json_object_get(rate));
  if (lease_ms <= 0 && count > 0) add_orphans(status, name->str, count);
  status->claimed += count;
  status->alive += lease_ms > 0;
}

static bool is_listed(struct json_object *array, const char *member, const char *name, size_t len) {
  for (size_t i = 0; i < json_object_array_length(array); i++) {
    struct json_object *value = json_object_object_get(json_object_array_get_idx(array, i), member);
    if ((size_t)json_object_get_string_len(value) == len &&
        memcmp(json_object_get_string(value), name, len) == 0)
      return true;
  }
  return false;
}

/* An owner of a claimed list; those without an entry in `workers` are what is looked for. */
static bool look_at_owner(void *ctx, const char *name, size_t len) {
  struct status *status = ctx;
  if (is_listed(status->workers, "name", name, len) || is_listed(status->orphans, "worker", name, len))
    return false;
  char *key = key_of(status->keys.claimed_prefix, name, len);
  int64_t count = key ? count_claims(status, key) : -1;
  if (count < 0) status->rc = CLI_UNAVAILABLE;
  if (count > 0) {
    add_orphans(status, key + strlen(status->keys.claimed_prefix), count);
    status->claimed += count;
  }
  free(key);
  return status->rc != CLI_OK;
}

static int add_workers(struct status *status, const redisReply *scores) {
  for (size_t i = 0; scores->type == REDIS_REPLY_ARRAY && i + 1 < scores->elements && status->rc == CLI_OK;
       i += 2)
    add_worker(status, scores->element[i],
               (int64_t)strtod(scores->element[i + 1]->str, NULL) - status->now_ms);
  if (status->rc == CLI_OK && !status->brief) {
    int rc = scan_owners(status->redis, &status->keys, look_at_owner, status);
    if (rc) status->rc = rc;
  }
  return status->rc;
}

/* ---- a queue ---- */

static struct json_object *stats_json(const redisReply *hash) {
  struct json_object *stats = json_object_new_object();
  for (size_t i = 0; hash->type == REDIS_REPLY_ARRAY && i + 1 < hash->elements; i += 2)
    put_int(stats, hash->element[i]->str, strtoll(hash->element[i + 1]->str, NULL, 10));
  return stats;
}

/* NULL after a message. */
static struct json_object *gather_queue(struct status *status) {
  struct cli_redis *redis = status->redis;
  const struct queue_keys *keys = &status->keys;
  redisAppendCommand(redis->context, "LLEN %s", keys->jobs);
  redisAppendCommand(redis->context, "ZCARD %s", keys->delayed);
  redisAppendCommand(redis->context, "LLEN %s", keys->dead);
  redisAppendCommand(redis->context, "ZRANGE %s 0 -1 WITHSCORES", keys->workers);
  redisAppendCommand(redis->context, "HGETALL %s", keys->stats);

  const int64_t waiting = next_int(redis), delayed = waiting < 0 ? -1 : next_int(redis);
  const int64_t dead = delayed < 0 ? -1 : next_int(redis);
  redisReply *scores = dead < 0 ? NULL : cli_redis_reply(redis);
  redisReply *hash = scores ? cli_redis_reply(redis) : NULL;
  const int64_t oldest = hash ? oldest_ms(status) : -2, due = oldest == -2 ? -2 : next_due_ms(status);
  struct json_object *object = NULL;
  if (due != -2 && add_workers(status, scores) == CLI_OK) {
    object = json_object_new_object();
    put(object, "name", json_object_new_string(status->queue));
    put_int(object, "waiting", waiting);
    put_int(object, "delayed", delayed);
    put_int(object, "claimed", status->claimed);
    put_int(object, "dead", dead);
    put_age(object, "oldest_waiting_ms", oldest);
    put_age(object, "next_due_ms", due);
    put_int(object, "workers_alive", status->alive);
    put(object, "workers", json_object_get(status->workers));
    put_int(object, "orphaned", status->orphaned);
    put(object, "orphans", json_object_get(status->orphans));
    put(object, "stats", stats_json(hash));
  }
  freeReplyObject(scores);
  freeReplyObject(hash);
  return object;
}

static struct json_object *look_at_queue(struct status *status, const char *queue) {
  status->queue = queue;
  status->claimed = status->orphaned = status->alive = 0;
  if (queue_keys_make(&status->keys, status->cli->config.prefix, queue, NULL)) {
    cli_error("out of memory");
    return NULL;
  }
  status->workers = json_object_new_array();
  status->orphans = json_object_new_array();
  struct json_object *object = gather_queue(status);
  json_object_put(status->workers);
  json_object_put(status->orphans);
  queue_keys_free(&status->keys);
  return object;
}

/* Null where no live worker has told. */
static struct json_object *sum_of(struct json_object *rates) {
  double sum = 0;
  if (json_object_object_length(rates) == 0) return NULL;
  json_object_object_foreach(rates, name, rate) {
    (void)name;
    sum += json_object_get_double(rate);
  }
  char text[64]; /* as it is read, not as the double next to it */
  snprintf(text, sizeof text, "%.2f", sum);
  return json_object_new_double_s(sum, text);
}

struct json_object *status_gather(const struct cli *cli, struct cli_redis *redis, bool brief) {
  struct status status = {.cli = cli, .redis = redis, .brief = brief, .now_ms = cli_redis_time_ms(redis)};
  if (status.now_ms < 0) return NULL;
  settings_job_limits(&cli->config, &status.limits);
  status.rates = json_object_new_object();

  struct json_object *all = json_object_new_object(), *queues = json_object_new_array();
  for (size_t i = 0; i < cli->config.queue.count && queues; i++) {
    struct json_object *queue = look_at_queue(&status, cli->config.queue.items[i]);
    if (queue) {
      json_object_array_add(queues, queue);
      continue;
    }
    json_object_put(queues);
    queues = NULL;
  }
  if (queues) {
    put(all, "redis", json_object_new_string(redis->url.display));
    put(all, "prefix", json_object_new_string(cli->config.prefix));
    put_int(all, "time_ms", status.now_ms);
    put(all, "jobs_per_s", sum_of(status.rates));
    put(all, "queues", queues);
  } else {
    json_object_put(all);
    all = NULL;
  }
  json_object_put(status.rates);
  return all;
}
