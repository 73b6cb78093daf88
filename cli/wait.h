/* Getting at a result, now or within some time, without consuming it. */
#ifndef ISOQ_CLI_WAIT_H
#define ISOQ_CLI_WAIT_H

#include <stddef.h>
#include <stdint.h>

#include "cli/redis.h"

struct wait_found {
  char *json; /* owned */
  size_t len;
  size_t queue; /* index into the queues */
};

/*
 * Looks for the result of `id` in each of the queues; with wait_ms above zero, until then. CLI_OK;
 * CLI_UNAVAILABLE: nothing in time (found->json NULL), with a message only when Redis was the reason (then
 * *said is true).
 */
int wait_result(const struct cli *cli, struct cli_redis *redis, const char *const *queues, size_t queue_count,
                const char *id, int64_t wait_ms, struct wait_found *found, bool *said);

/* --wait's value in ms, else timeout_ms and some; 0 where it was not given. -1 after a message. */
int64_t wait_option_ms(const struct cli *cli, int64_t timeout_ms);

/* From here on Ctrl-C says how to go on waiting for `id` and exits with 130. */
void wait_on_interrupt(const char *id);

#endif
