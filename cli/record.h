/* Replay records, where isoq finds them: in Redis, or in a file. */
#ifndef ISOQ_CLI_RECORD_H
#define ISOQ_CLI_RECORD_H

#include <stddef.h>

#include "cli/redis.h"
#include "queue/record.h"

/*
 * The text of the record of job `id`, in any of the configured queues; malloc'ed, NUL-terminated. CLI_OK; CLI_UNAVAILABLE
 * after a message that says why there is none: no Redis, an id nobody knows, a record that has expired, recording off.
 */
int record_fetch(const struct cli *cli, struct cli_redis *redis, const char *id, char **text, size_t *len);

/* The same, with a connection of its own; or, where `word` is no id but a file ("-", with a slash in it, or ending in
 * .json), of that file, then CLI_USAGE when it cannot be read. */
int record_load(struct cli *cli, const char *word, char **text, size_t *len);

/* Reads a record. `name` is for messages. CLI_OK, or CLI_USAGE after a message. */
int record_read(const char *name, const char *text, size_t len, struct record *out);

/* Writes `text` and a newline to `path`, "-" for standard output. CLI_OK, or CLI_FAILED after a message. */
int record_write(const char *path, const char *text, size_t len);

#endif
