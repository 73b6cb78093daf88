/* Looking through what a queue holds, piece by piece, without a limit on how much that is. */
#ifndef ISOQ_CLI_SCAN_H
#define ISOQ_CLI_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/redis.h"
#include "queue/keys.h"

/* True: enough. */
typedef bool (*scan_fn)(void *ctx, const char *data, size_t len);

/*
 * Every element of a list (command "LRANGE") or a sorted set ("ZRANGE"), from the first on. CLI_OK, or
 * CLI_UNAVAILABLE after a message. Elements that are added at the front meanwhile make others come twice;
 * only those that are removed before the place reached, or move, can be missed.
 */
int scan_range(struct cli_redis *redis, const char *command, const char *key, scan_fn fn, void *ctx);

/* The names of all workers that own a claimed list, alive or not; some may come twice. It reads the names
 * of all keys in Redis. The same terms. */
int scan_owners(struct cli_redis *redis, const struct queue_keys *keys, scan_fn fn, void *ctx);

#endif
