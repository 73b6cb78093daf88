/* The commands' blocking conversation with Redis. */
#ifndef ISOQ_CLI_REDIS_H
#define ISOQ_CLI_REDIS_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/cli.h"
#include "queue/redis_url.h"

struct redisContext;
struct redisReply;

struct cli_redis {
  struct redis_url url;
  struct redisContext *context; /* NULL: not connected */
};

/* CLI_OK; CLI_USAGE (a bad address) or CLI_UNAVAILABLE, after a message. */
int cli_redis_open(const struct cli *cli, struct cli_redis *redis);
void cli_redis_close(struct cli_redis *redis);

/* Waits for one reply of what redisAppendCommand() sent. NULL, after a message, for an error of any kind. */
struct redisReply *cli_redis_reply(struct cli_redis *redis);

/* Formats as redisCommand(). NULL, after a message, for an error of any kind. */
struct redisReply *cli_redis_command(struct cli_redis *redis, const char *format, ...);

/* Redis' own clock in ms; -1 after a message. */
int64_t cli_redis_time_ms(struct cli_redis *redis);

#endif
