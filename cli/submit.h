/* Submitting: one job by one atomic step, many of them in a pipeline. */
#ifndef ISOQ_CLI_SUBMIT_H
#define ISOQ_CLI_SUBMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/redis.h"
#include "queue/keys.h"

enum submit_state {
  SUBMIT_QUEUED,
  SUBMIT_DELAYED,
  SUBMIT_WAITING,    /* was known: submitted before, and no result yet */
  SUBMIT_HAS_RESULT, /* was known */
};

struct submit_answer {
  enum submit_state state;
  int64_t ms; /* DELAYED: until it is due; WAITING: since it was submitted */
};

static inline bool submit_was_known(const struct submit_answer *answer) {
  return answer->state == SUBMIT_WAITING || answer->state == SUBMIT_HAS_RESULT;
}

/* Appends submit.lua for a valid job with an id to the pipeline; its reply is for submit_read(). CLI_OK, or
 * CLI_UNAVAILABLE after a message. */
int submit_append(struct cli_redis *redis, const char *prefix, const char *queue,
                  const struct queue_keys *keys, const struct job *job);

/* False when the reply is none of submit.lua's. */
bool submit_read(const struct redisReply *reply, struct submit_answer *out);

/* Says so where no live worker serves the queue. CLI_OK, or CLI_UNAVAILABLE after a message. */
int submit_warn_unserved(struct cli_redis *redis, const struct queue_keys *keys, const char *queue);

/* isoq submit --jobs: the whole command, after the configuration. Returns the exit status. */
int submit_jobs(struct cli *cli, const char *queue);

#endif
