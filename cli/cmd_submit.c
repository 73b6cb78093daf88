/*
 * isoq submit: what any producer does with one LPUSH, with two things a person wants to hear of at once: that
 * nobody serves the queue, and that the id is taken (a worker would drop the job then, without a word to this
 * terminal).
 *
 * --wait reads the result first and removes it when it has been printed, so that being interrupted loses
 * nothing.
 */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/id.h"
#include "cli/print.h"
#include "cli/script.h"
#include "cli/wait.h"
#include "queue/keys.h"

static int check_done(const struct cli *cli, struct cli_redis *redis, const char *queue, const char *id) {
  if (!args_has(&cli->args, OPTION_ID)) return CLI_OK;
  char *key = key_done(cli->config.prefix, queue, id);
  redisReply *reply = key ? cli_redis_command(redis, "EXISTS %s", key) : NULL;
  free(key);
  if (!reply) return CLI_UNAVAILABLE;
  bool done = reply->type == REDIS_REPLY_INTEGER && reply->integer > 0;
  freeReplyObject(reply);
  if (!done) return CLI_OK;
  cli_error(
      "--id: a job \"%s\" has a result already, so this one would be dropped; read it (isoq result %s) or "
      "choose another id",
      id, id);
  return CLI_USAGE;
}

static int push(struct cli_redis *redis, const struct queue_keys *keys, const struct script *script,
                const char *queue) {
  int64_t now_ms = cli_redis_time_ms(redis);
  if (now_ms < 0) return CLI_UNAVAILABLE;
  redisReply *reply =
      cli_redis_command(redis, "LPUSH %s %b", keys->jobs, script->payload, script->payload_len);
  if (!reply) return CLI_UNAVAILABLE;
  freeReplyObject(reply);

  reply = cli_redis_command(redis, "ZCOUNT %s (%lld +inf", keys->workers, (long long)now_ms);
  if (reply && reply->type == REDIS_REPLY_INTEGER && reply->integer == 0)
    cli_error("no worker serves queue %s at %s: start one with isoq worker --queue %s", queue,
              redis->url.display, queue);
  freeReplyObject(reply);
  return CLI_OK;
}

static void remove_result(const struct cli *cli, struct cli_redis *redis, const char *queue, const char *id,
                          const struct wait_found *found) {
  char *key = key_reply(cli->config.prefix, queue, id);
  redisReply *reply = key ? cli_redis_command(redis, "LREM %s 1 %b", key, found->json, found->len) : NULL;
  freeReplyObject(reply);
  free(key);
}

static int wait_and_print(struct cli *cli, struct cli_redis *redis, const char *queue,
                          const struct script *script, int64_t wait_ms) {
  const char *id = script->job->id;
  struct wait_found found;
  bool said;

  int status = wait_result(cli, redis, &queue, 1, id, wait_ms, &found, &said);
  if (status != CLI_OK) {
    cli_error("no result of job %s within %lld s; it may still come: isoq result %s --wait", id,
              (long long)(wait_ms / 1000), id);
    return status;
  }
  const struct print_options options = {.json = args_has(&cli->args, OPTION_JSON),
                                        .code = script->code,
                                        .code_len = script->len,
                                        .name = cli_script_name(cli)};
  status = print_result(&options, found.json, found.len);
  if (fflush(stdout) == 0 && !ferror(stdout)) remove_result(cli, redis, queue, id, &found);
  free(found.json);
  return status;
}

static int submit(struct cli *cli, const char *queue, const struct script *script, int64_t wait_ms) {
  struct cli_redis redis;
  struct queue_keys keys;
  const char *id = script->job->id;

  int status = cli_redis_open(cli, &redis);
  if (status) return status;
  if (queue_keys_make(&keys, cli->config.prefix, queue, NULL)) {
    cli_error("out of memory");
    cli_redis_close(&redis);
    return CLI_UNAVAILABLE;
  }
  status = check_done(cli, &redis, queue, id);
  if (status == CLI_OK) status = push(&redis, &keys, script, queue);
  if (status == CLI_OK && wait_ms > 0) {
    wait_on_interrupt(id);
    status = wait_and_print(cli, &redis, queue, script, wait_ms);
  } else if (status == CLI_OK) {
    printf(args_has(&cli->args, OPTION_JSON) ? "{\"id\":\"%s\",\"queue\":\"%s\"}\n" : "%s\n", id, queue);
  }
  queue_keys_free(&keys);
  cli_redis_close(&redis);
  return status;
}

int cmd_submit(struct cli *cli) {
  char made_id[ID_SIZE];
  const char *id = cli->args.value[OPTION_ID];
  struct script script;

  int status = cli_load_config(cli);
  if (status) return status;
  const char *queue = cli_one_queue(cli);
  if (!queue) return CLI_USAGE;
  if (!id) {
    id_make(made_id);
    id = made_id;
  }
  status = script_load(cli, id, queue, &script);
  if (status) return status;
  int64_t wait_ms = wait_option_ms(cli, script.job->timeout_ms);
  status = wait_ms < 0 ? CLI_USAGE : submit(cli, queue, &script, wait_ms);
  script_free(&script);
  return status;
}
