/*
 * isoq submit: what any producer does with one LPUSH, and more: an id that is known is not queued again, so a
 * submission whose fate is not known may simply be repeated; and a person hears at once that nobody serves
 * the queue.
 *
 * --wait reads the result first and removes it when it has been printed, so that being interrupted loses
 * nothing. The result of a job that somebody else submitted is only looked at: it is theirs.
 */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/id.h"
#include "cli/print.h"
#include "cli/script.h"
#include "cli/submit.h"
#include "cli/wait.h"
#include "cli/when.h"
#include "queue/keys.h"
#include "worker/clock.h"

static void say_known(const char *id, const struct submit_answer *answer) {
  char since[WHEN_TEXT_SIZE];
  if (answer->state == SUBMIT_HAS_RESULT)
    cli_error("job \"%s\" is known already (has a result): not queued again", id);
  else
    cli_error("job \"%s\" is known already (waiting since %s): not queued again", id,
              when_span(answer->ms, since));
}

/* One job; what became of it is in `answer`. */
static int send(struct cli *cli, struct cli_redis *redis, const struct queue_keys *keys, const char *queue,
                const struct job *job, struct submit_answer *answer) {
  int status = submit_append(redis, cli->config.prefix, queue, keys, job);
  if (status) return status;
  redisReply *reply = cli_redis_reply(redis);
  if (!reply) return CLI_UNAVAILABLE;
  bool understood = submit_read(reply, answer);
  freeReplyObject(reply);
  if (!understood) {
    cli_error("Redis at %s gave an answer that isoq does not understand", redis->url.display);
    return CLI_UNAVAILABLE;
  }
  if (!submit_was_known(answer)) return submit_warn_unserved(redis, keys, queue);
  say_known(job->id, answer);
  return CLI_OK;
}

static void remove_result(const struct cli *cli, struct cli_redis *redis, const char *queue, const char *id,
                          const struct wait_found *found) {
  char *key = key_reply(cli->config.prefix, queue, id);
  redisReply *reply = key ? cli_redis_command(redis, "LREM %s 1 %b", key, found->json, found->len) : NULL;
  freeReplyObject(reply);
  free(key);
}

static int print_found(struct cli *cli, const struct script *script, bool is_ours,
                       const struct wait_found *found) {
  struct print_options options = {.json = args_has(&cli->args, OPTION_JSON)};
  if (is_ours) { /* else the script may have been another one */
    options.code = script->code;
    options.code_len = script->len;
    options.name = cli_script_name(cli);
  }
  return print_result(&options, found->json, found->len);
}

static int wait_and_print(struct cli *cli, struct cli_redis *redis, const char *queue,
                          const struct script *script, const struct submit_answer *answer, int64_t wait_ms) {
  const char *id = script->job->id;
  const bool is_ours = !submit_was_known(answer);
  struct wait_found found;
  bool said;

  if (answer->state == SUBMIT_HAS_RESULT) wait_ms = 0; /* it is there now, or will never be */
  int status = wait_result(cli, redis, &queue, 1, id, wait_ms, &found, &said);
  if (status != CLI_OK) {
    if (answer->state == SUBMIT_HAS_RESULT && !said)
      cli_error("job %s has ended, but somebody has taken its result (a BLPOP does that)", id);
    else
      cli_error("no result of job %s within %lld s; it may still come: isoq result %s --wait", id,
                (long long)(wait_ms / 1000), id);
    return status;
  }
  status = print_found(cli, script, is_ours, &found);
  if (is_ours && fflush(stdout) == 0 && !ferror(stdout)) remove_result(cli, redis, queue, id, &found);
  free(found.json);
  return status;
}

static void print_id(const struct cli *cli, const char *queue, const char *id,
                     const struct submit_answer *answer) {
  if (args_has(&cli->args, OPTION_JSON))
    printf("{\"id\":\"%s\",\"queue\":\"%s\",\"status\":\"%s\"}\n", id, queue,
           submit_was_known(answer) ? "known" : "queued");
  else
    puts(id);
}

static int submit(struct cli *cli, const char *queue, const struct script *script, int64_t wait_ms) {
  struct cli_redis redis;
  struct queue_keys keys;
  struct submit_answer answer;
  const char *id = script->job->id;

  int status = cli_redis_open(cli, &redis);
  if (status) return status;
  if (queue_keys_make(&keys, cli->config.prefix, queue, NULL)) {
    cli_error("out of memory");
    cli_redis_close(&redis);
    return CLI_UNAVAILABLE;
  }
  status = send(cli, &redis, &keys, queue, script->job, &answer);
  if (status == CLI_OK && wait_ms > 0) {
    wait_on_interrupt(id);
    status = wait_and_print(cli, &redis, queue, script, &answer, wait_ms);
  } else if (status == CLI_OK) {
    print_id(cli, queue, id, &answer);
  }
  queue_keys_free(&keys);
  cli_redis_close(&redis);
  return status;
}

/* --wait without a number counts from when the job may run. */
static int64_t delay_of(const struct job *job) {
  const int64_t until_ms = job->run_at_ms ? job->run_at_ms - clock_real_ms() : job->delay_ms;
  return until_ms > 0 ? until_ms : 0;
}

int cmd_submit(struct cli *cli) {
  char made_id[ID_SIZE];
  const char *id = cli->args.value[OPTION_ID];
  struct script script;

  int status = cli_load_config(cli);
  if (status) return status;
  const char *queue = cli_one_queue(cli, "a job goes to one queue");
  if (!queue) return CLI_USAGE;
  if (args_has(&cli->args, OPTION_JOBS)) return submit_jobs(cli, queue);
  if (!id) {
    id_make(made_id);
    id = made_id;
  }
  status = script_load(cli, id, queue, &script);
  if (status) return status;
  int64_t wait_ms = wait_option_ms(cli, delay_of(script.job) + script.job->timeout_ms);
  status = wait_ms < 0 ? CLI_USAGE : submit(cli, queue, &script, wait_ms);
  script_free(&script);
  return status;
}
