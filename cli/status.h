/* What Redis holds of some queues, as one JSON object. */
#ifndef ISOQ_CLI_STATUS_H
#define ISOQ_CLI_STATUS_H

#include "cli/redis.h"

struct json_object;

/*
 * {"redis", "prefix", "time_ms", "jobs_per_s", "queues": [{
 *    "name", "waiting", "delayed", "claimed", "dead", "oldest_waiting_ms", "next_due_ms", "workers_alive",
 *    "workers": [{"name", "alive", "claimed", "lease_ms", "host", "pid", "version", "started_at_ms",
 *                 "executors", "busy", "jobs_per_s", "redis_down_count",
 *                 "running": [{"id", "for_ms", "attempt"}]}],
 *    "orphaned", "orphans": [{"worker", "jobs"}], "stats": {…}}]}
 *
 * Ages and times left are in ms; null where they are not known, or there is none. What a worker has not told
 * of itself is missing. `brief`: without what costs Redis more than a look or two, that is, what workers tell
 * and run, and the search for orphans of workers that are not in the list of leases. json_object_put() it.
 * NULL after a message.
 */
struct json_object *status_gather(const struct cli *cli, struct cli_redis *redis, bool brief);

#endif
