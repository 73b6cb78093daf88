/*
 * A job that must wait goes to the sorted set of delayed ones at once, with the workers' note that its delay
 * is done with: a worker that claims it when it is due must not delay it again. Producers that push such a
 * job raw need not know of that; the worker that claims it puts it there.
 */
#include "cli/submit.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lua_scripts.h"

int submit_append(struct cli_redis *redis, const char *prefix, const char *queue,
                  const struct queue_keys *keys, const struct job *job) {
  const bool delayed = job->delay_ms > 0 || job->run_at_ms > 0;
  char *done = key_done(prefix, queue, job->id), *payload = NULL;
  char token[JOB_ID_MAX + 16];
  size_t len = job->payload_len;
  int rc = REDIS_ERR;

  snprintf(token, sizeof token, "submit:%s", job->id);
  if (delayed) {
    const struct job_note note = {
        .deaths = job->deaths, .attempt = job->attempt, .delayed = true, .token = token};
    payload = job_payload_noted(job, &note, &len);
  }
  if (done && (payload || !delayed))
    rc = redisAppendCommand(redis->context, "EVAL %b 4 %s %s %s %s %s %b %lld %lld", lua_submit,
                            lua_submit_len, keys->jobs, keys->delayed, keys->submitted, done, job->id,
                            delayed ? payload : job->payload, len, (long long)job->delay_ms,
                            (long long)job->run_at_ms);
  free(payload);
  free(done);
  if (rc == REDIS_OK) return CLI_OK;
  cli_error("out of memory");
  return CLI_UNAVAILABLE;
}

bool submit_read(const redisReply *reply, struct submit_answer *out) {
  static const char *const words[] = {[SUBMIT_QUEUED] = "queued",
                                      [SUBMIT_DELAYED] = "delayed",
                                      [SUBMIT_WAITING] = "waiting",
                                      [SUBMIT_HAS_RESULT] = "done"};
  if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 || !reply->element[0]->str) return false;
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    if (strcmp(reply->element[0]->str, words[i]) != 0) continue;
    *out = (struct submit_answer){.state = (enum submit_state)i, .ms = reply->element[1]->integer};
    return true;
  }
  return false;
}

int submit_warn_unserved(struct cli_redis *redis, const struct queue_keys *keys, const char *queue) {
  int64_t now_ms = cli_redis_time_ms(redis);
  if (now_ms < 0) return CLI_UNAVAILABLE;
  redisReply *reply = cli_redis_command(redis, "ZCOUNT %s (%lld +inf", keys->workers, (long long)now_ms);
  if (!reply) return CLI_UNAVAILABLE;
  if (reply->type == REDIS_REPLY_INTEGER && reply->integer == 0)
    cli_error("no worker serves queue %s at %s: start one with isoq worker --queue %s", queue,
              redis->url.display, queue);
  freeReplyObject(reply);
  return CLI_OK;
}
