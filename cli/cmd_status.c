/*
 * isoq status: what Redis holds, by Redis' own clock. It asks for everything of a queue in one pipeline, so
 * the numbers belong together as nearly as they can without a script.
 *
 * A worker is alive while its lease runs. One whose lease has ended stays listed until another worker has
 * taken its jobs back; that is shown rather than hidden, because it is what one wants to see when jobs hang.
 */
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/redis.h"
#include "queue/keys.h"

#define JSON_FLAGS (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)

/* All of it is gathered into JSON first; the table is printed from that. */
static void put(struct json_object *object, const char *name, struct json_object *value) {
  json_object_object_add(object, name, value);
}

static void put_int(struct json_object *object, const char *name, int64_t value) {
  put(object, name, json_object_new_int64(value));
}

static int64_t get_int(struct json_object *object, const char *name) {
  return json_object_get_int64(json_object_object_get(object, name));
}

static const char *get_text(struct json_object *object, const char *name) {
  return json_object_get_string(json_object_object_get(object, name));
}

static int64_t reply_int(struct cli_redis *redis) {
  redisReply *reply = cli_redis_reply(redis);
  int64_t value = reply && reply->type == REDIS_REPLY_INTEGER ? reply->integer : -1;
  freeReplyObject(reply);
  return value;
}

static struct json_object *worker_json(struct cli_redis *redis, const struct queue_keys *keys,
                                       const redisReply *name, int64_t lease_ms) {
  redisReply *reply = cli_redis_command(redis, "LLEN %s%b", keys->claimed_prefix, name->str, name->len);
  if (!reply) return NULL;
  struct json_object *worker = json_object_new_object();
  put(worker, "name", json_object_new_string_len(name->str, (int)name->len));
  put(worker, "alive", json_object_new_boolean(lease_ms > 0));
  put_int(worker, "claimed", reply->type == REDIS_REPLY_INTEGER ? reply->integer : 0);
  put_int(worker, "lease_ms", lease_ms);
  freeReplyObject(reply);
  return worker;
}

static struct json_object *workers_json(struct cli_redis *redis, const struct queue_keys *keys,
                                        const redisReply *scores, int64_t now_ms, int64_t *claimed,
                                        int64_t *alive) {
  struct json_object *workers = json_object_new_array();
  for (size_t i = 0; scores->type == REDIS_REPLY_ARRAY && i + 1 < scores->elements; i += 2) {
    int64_t lease_ms = (int64_t)strtod(scores->element[i + 1]->str, NULL) - now_ms;
    struct json_object *worker = worker_json(redis, keys, scores->element[i], lease_ms);
    if (!worker) {
      json_object_put(workers);
      return NULL;
    }
    *claimed += get_int(worker, "claimed");
    *alive += lease_ms > 0;
    json_object_array_add(workers, worker);
  }
  return workers;
}

static struct json_object *stats_json(const redisReply *hash) {
  struct json_object *stats = json_object_new_object();
  for (size_t i = 0; hash->type == REDIS_REPLY_ARRAY && i + 1 < hash->elements; i += 2)
    put_int(stats, hash->element[i]->str, strtoll(hash->element[i + 1]->str, NULL, 10));
  return stats;
}

/* NULL after a message. */
static struct json_object *gather_keys(struct cli_redis *redis, const char *queue,
                                       const struct queue_keys *keys, int64_t now_ms) {
  redisAppendCommand(redis->context, "LLEN %s", keys->jobs);
  redisAppendCommand(redis->context, "LLEN %s", keys->dead);
  redisAppendCommand(redis->context, "ZRANGE %s 0 -1 WITHSCORES", keys->workers);
  redisAppendCommand(redis->context, "HGETALL %s", keys->stats);

  int64_t waiting = reply_int(redis), dead = waiting < 0 ? -1 : reply_int(redis), claimed = 0, alive = 0;
  redisReply *scores = dead < 0 ? NULL : cli_redis_reply(redis);
  redisReply *hash = scores ? cli_redis_reply(redis) : NULL;
  struct json_object *workers = hash ? workers_json(redis, keys, scores, now_ms, &claimed, &alive) : NULL;
  struct json_object *object = NULL;
  if (workers) {
    object = json_object_new_object();
    put(object, "name", json_object_new_string(queue));
    put_int(object, "waiting", waiting);
    put_int(object, "claimed", claimed);
    put_int(object, "dead", dead);
    put_int(object, "workers_alive", alive);
    put(object, "workers", workers);
    put(object, "stats", stats_json(hash));
  }
  freeReplyObject(scores);
  freeReplyObject(hash);
  return object;
}

static struct json_object *gather_queue(const struct cli *cli, struct cli_redis *redis, const char *queue,
                                        int64_t now_ms) {
  struct queue_keys keys;
  if (queue_keys_make(&keys, cli->config.prefix, queue, NULL)) {
    cli_error("out of memory");
    return NULL;
  }
  struct json_object *object = gather_keys(redis, queue, &keys, now_ms);
  queue_keys_free(&keys);
  return object;
}

static struct json_object *gather(const struct cli *cli, struct cli_redis *redis) {
  int64_t now_ms = cli_redis_time_ms(redis);
  if (now_ms < 0) return NULL;

  struct json_object *all = json_object_new_object(), *queues = json_object_new_array();
  put(all, "redis", json_object_new_string(redis->url.display));
  put(all, "prefix", json_object_new_string(cli->config.prefix));
  put_int(all, "time_ms", now_ms);
  put(all, "queues", queues);
  for (size_t i = 0; i < cli->config.queue.count; i++) {
    struct json_object *queue = gather_queue(cli, redis, cli->config.queue.items[i], now_ms);
    if (!queue) {
      json_object_put(all);
      return NULL;
    }
    json_object_array_add(queues, queue);
  }
  return all;
}

static void print_workers(struct json_object *queue) {
  struct json_object *workers = json_object_object_get(queue, "workers");
  size_t count = json_object_array_length(workers);
  int width = (int)strlen("WORKER");

  if (count == 0) return;
  for (size_t i = 0; i < count; i++) {
    int len = (int)strlen(get_text(json_object_array_get_idx(workers, i), "name"));
    if (len > width) width = len;
  }
  printf("  %-*s  %7s  %s\n", width, "WORKER", "CLAIMED", "LEASE");
  for (size_t i = 0; i < count; i++) {
    struct json_object *worker = json_object_array_get_idx(workers, i);
    double lease_s = (double)get_int(worker, "lease_ms") / 1000;
    printf("  %-*s  %7" PRId64 "  ", width, get_text(worker, "name"), get_int(worker, "claimed"));
    if (lease_s > 0)
      printf("%.1f s left\n", lease_s);
    else
      printf("ended %.1f s ago: lost\n", -lease_s);
  }
}

static void print_table(struct json_object *all) {
  struct json_object *queues = json_object_object_get(all, "queues");
  size_t count = json_object_array_length(queues);
  int width = (int)strlen("QUEUE");

  printf("redis %s, prefix %s\n\n", get_text(all, "redis"), get_text(all, "prefix"));
  for (size_t i = 0; i < count; i++) {
    int len = (int)strlen(get_text(json_object_array_get_idx(queues, i), "name"));
    if (len > width) width = len;
  }
  printf("%-*s  %9s  %9s  %9s  %9s  %9s\n", width, "QUEUE", "WAITING", "CLAIMED", "DEAD", "WORKERS",
         "PROCESSED");
  for (size_t i = 0; i < count; i++) {
    struct json_object *queue = json_object_array_get_idx(queues, i);
    printf("%-*s  %9" PRId64 "  %9" PRId64 "  %9" PRId64 "  %9" PRId64 "  %9" PRId64 "\n", width,
           get_text(queue, "name"), get_int(queue, "waiting"), get_int(queue, "claimed"),
           get_int(queue, "dead"), get_int(queue, "workers_alive"),
           get_int(json_object_object_get(queue, "stats"), "processed"));
  }
  for (size_t i = 0; i < count; i++) {
    struct json_object *queue = json_object_array_get_idx(queues, i);
    struct json_object *stats = json_object_object_get(queue, "stats");
    bool has_stats = json_object_object_length(stats) > 0;
    if (!has_stats && json_object_array_length(json_object_object_get(queue, "workers")) == 0) continue;
    printf("\n%s\n", get_text(queue, "name"));
    print_workers(queue);
    if (has_stats) fputs("  counters:", stdout);
    json_object_object_foreach(stats, name, value) printf(" %s=%" PRId64, name, json_object_get_int64(value));
    if (has_stats) putchar('\n');
  }
}

/* CLI_FAILED when a queue has no live worker. */
static int check(struct json_object *all) {
  struct json_object *queues = json_object_object_get(all, "queues");
  int status = CLI_OK;
  for (size_t i = 0; i < json_object_array_length(queues); i++) {
    struct json_object *queue = json_object_array_get_idx(queues, i);
    if (get_int(queue, "workers_alive") > 0) continue;
    cli_error("no live worker serves queue %s at %s: start one with isoq worker --queue %s",
              get_text(queue, "name"), get_text(all, "redis"), get_text(queue, "name"));
    status = CLI_FAILED;
  }
  return status;
}

int cmd_status(struct cli *cli) {
  struct cli_redis redis;

  int status = cli_load_config(cli);
  if (status == CLI_OK) status = cli_redis_open(cli, &redis);
  if (status) return status;

  struct json_object *all = gather(cli, &redis);
  cli_redis_close(&redis);
  if (!all) return CLI_UNAVAILABLE;
  if (args_has(&cli->args, OPTION_JSON))
    puts(json_object_to_json_string_ext(all, JSON_FLAGS));
  else
    print_table(all);
  if (args_has(&cli->args, OPTION_CHECK)) status = check(all);
  json_object_put(all);
  return status;
}
