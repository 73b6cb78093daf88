/*
 * One way for a Redis error to become a message. hiredis' context is dead after any I/O error, so it is
 * dropped there; error replies (NOAUTH, LOADING, OOM…) leave it usable.
 */
#include "cli/redis.h"

#include <hiredis/hiredis.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_TIMEOUT_MS 5000

int cli_redis_open(const struct cli *cli, struct cli_redis *redis) {
  char error[CONFIG_ERROR_SIZE];

  *redis = (struct cli_redis){0};
  if (redis_url_parse(cli->config.redis_url, &redis->url, error, sizeof error)) {
    cli_error("%s", error);
    return CLI_USAGE;
  }
  redis->context = redis_connect(&redis->url, CONNECT_TIMEOUT_MS, error, sizeof error);
  if (redis->context) return CLI_OK;
  cli_error("%s", error);
  redis_url_free(&redis->url);
  return CLI_UNAVAILABLE;
}

void cli_redis_close(struct cli_redis *redis) {
  if (redis->context) redisFree(redis->context);
  redis_url_free(&redis->url);
  *redis = (struct cli_redis){0};
}

static redisReply *checked(struct cli_redis *redis, redisReply *reply) {
  if (!reply) {
    cli_error("lost Redis at %s: %s", redis->url.display, redis->context->errstr);
    return NULL;
  }
  if (reply->type == REDIS_REPLY_ERROR) {
    cli_error("Redis at %s refused: %s", redis->url.display, reply->str);
    freeReplyObject(reply);
    return NULL;
  }
  return reply;
}

redisReply *cli_redis_reply(struct cli_redis *redis) {
  void *reply = NULL;
  redisGetReply(redis->context, &reply);
  return checked(redis, reply);
}

redisReply *cli_redis_command(struct cli_redis *redis, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  redisReply *reply = redisvCommand(redis->context, format, arguments);
  va_end(arguments);
  return checked(redis, reply);
}

int64_t cli_redis_time_ms(struct cli_redis *redis) {
  redisReply *reply = cli_redis_command(redis, "TIME");
  int64_t now_ms = -1;
  if (!reply) return -1;
  if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2)
    now_ms =
        strtoll(reply->element[0]->str, NULL, 10) * 1000 + strtoll(reply->element[1]->str, NULL, 10) / 1000;
  freeReplyObject(reply);
  return now_ms;
}
