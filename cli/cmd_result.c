/*
 * isoq result: looking is free. It never consumes, so a person may look at a result that a program waits for.
 * Without a result there are several stories; what can be told cheaply (somebody took it, the queue has jobs
 * waiting) is told.
 */
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/print.h"
#include "cli/record.h"
#include "cli/wait.h"
#include "queue/keys.h"

static int64_t ask_number(struct cli_redis *redis, const char *command, const char *key) {
  redisReply *reply = key && redis->context ? redisCommand(redis->context, "%s %s", command, key) : NULL;
  int64_t number = reply && reply->type == REDIS_REPLY_INTEGER ? reply->integer : 0;
  freeReplyObject(reply);
  return number;
}

static void say_missing(const struct cli *cli, struct cli_redis *redis, const char *id, int64_t waited_ms) {
  const struct config_list *queues = &cli->config.queue;
  for (size_t i = 0; i < queues->count; i++) {
    char *key = key_done(cli->config.prefix, queues->items[i], id);
    bool done = ask_number(redis, "EXISTS", key) > 0;
    free(key);
    if (done) {
      cli_error("job %s of queue %s has ended, but somebody has taken its result (a BLPOP does that)", id,
                queues->items[i]);
      return;
    }
  }
  if (waited_ms > 0)
    cli_error("no result of job %s within %" PRId64 " s", id, waited_ms / 1000);
  else
    cli_error("there is no result of job %s", id);
  cli_error("it may wait or run still, have ended more than %" PRId64 " s ago, or never have existed",
            cli->config.reply_ttl_s);
  for (size_t i = 0; i < queues->count; i++) {
    struct queue_keys keys;
    if (queue_keys_make(&keys, cli->config.prefix, queues->items[i], NULL)) return;
    cli_error("queue %s: waiting jobs %" PRId64 ", workers %" PRId64, queues->items[i],
              ask_number(redis, "LLEN", keys.jobs), ask_number(redis, "ZCARD", keys.workers));
    queue_keys_free(&keys);
  }
  cli_error("to wait: isoq result %s --wait; what the workers hold: isoq status", id);
}

static int export_record(struct cli *cli, const char *id) {
  struct cli_redis redis;
  struct record record;
  char *text;
  size_t len;
  int status = cli_redis_open(cli, &redis);
  if (status) return status;
  status = record_fetch(cli, &redis, id, &text, &len);
  cli_redis_close(&redis);
  if (status) return status;
  status = record_read(id, text, len, &record); /* a file that cannot be replayed is found out here */
  if (status == CLI_OK) {
    status = record_write(cli->args.value[OPTION_RECORD_FILE], text, len);
    record_free(&record);
  }
  free(text);
  return status;
}

int cmd_result(struct cli *cli) {
  struct cli_redis redis;
  struct wait_found found;
  bool said;

  if (cli->args.operand_count == 0) {
    cli_error("the result of which job? isoq result ID");
    return CLI_USAGE;
  }
  const char *id = cli->args.operands[0];
  if (!job_id_valid(id, strlen(id))) {
    cli_error("\"%s\" is not a job's id: 1 to %d letters, digits and ._:-", id, JOB_ID_MAX);
    return CLI_USAGE;
  }
  int status = cli_load_config(cli);
  if (status) return status;
  if (args_has(&cli->args, OPTION_RECORD_FILE)) return export_record(cli, id);
  int64_t wait_ms = wait_option_ms(cli, cli->config.timeout_ms);
  if (wait_ms < 0) return CLI_USAGE;
  status = cli_redis_open(cli, &redis);
  if (status) return status;

  if (wait_ms > 0) wait_on_interrupt(id);
  status = wait_result(cli, &redis, (const char *const *)cli->config.queue.items, cli->config.queue.count, id,
                       wait_ms, &found, &said);
  if (status == CLI_OK) {
    const struct print_options options = {.json = args_has(&cli->args, OPTION_JSON)};
    status = print_result(&options, found.json, found.len);
    free(found.json);
  } else if (!said) {
    say_missing(cli, &redis, id, wait_ms);
  }
  cli_redis_close(&redis);
  return status;
}
