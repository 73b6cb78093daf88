/* The job that a command line describes: its script, and the JSON text a producer would push. */
#ifndef ISOQ_CLI_SCRIPT_H
#define ISOQ_CLI_SCRIPT_H

#include <stddef.h>

#include "cli/cli.h"

struct script {
  char *code; /* owned, NUL-terminated after len */
  size_t len;
  char *payload; /* owned: the job as JSON */
  size_t payload_len;
  struct job *job; /* owned until taken: the payload, parsed */
};

/*
 * Reads the script (operand, -, -e), builds the payload with all options, and checks it as a worker with
 * these settings would. `id` goes into the job; `queue` is NULL for isoq run. CLI_OK, or CLI_USAGE after a
 * message.
 */
int script_load(struct cli *cli, const char *id, const char *queue, struct script *script);
void script_free(struct script *script);

/*
 * The bytes of a file, at most `limit` (`limit_name` says which, for the message). `what` is for messages too:
 * "script", "--input". `path` "-" is standard input. malloc'ed, NUL-terminated. CLI_OK, or CLI_USAGE after a message.
 */
int script_read_file(const char *what, const char *path, int64_t limit, const char *limit_name, char **out,
                     size_t *out_len);

#endif
