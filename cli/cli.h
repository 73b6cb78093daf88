/*
 * The command line of isoq: what the commands share. A command is a row of commands.c and a function cmd_x()
 * in a file of its own, which returns the exit status and has said on stderr whatever went wrong.
 */
#ifndef ISOQ_CLI_CLI_H
#define ISOQ_CLI_CLI_H

#include <stddef.h>
#include <stdint.h>

#include "cli/args.h"
#include "config/config.h"
#include "queue/job.h"

enum cli_exit {
  CLI_OK = 0,
  CLI_FAILED = 1,      /* the job ran and failed */
  CLI_USAGE = 2,       /* wrong usage or configuration */
  CLI_UNAVAILABLE = 3, /* no Redis, or no result in time */
  CLI_INTERRUPTED = 130,
};

struct cli {
  struct args args;
  struct config config; /* valid after cli_load_config() */
};

/* "isoq: …" and a newline, on stderr. */
void cli_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Fills cli->config from all sources and checks it. CLI_OK or CLI_USAGE. */
int cli_load_config(struct cli *cli);

/* The script's file for messages; NULL where there is none (-e, standard input). */
const char *cli_script_name(const struct cli *cli);

/* The one queue that a command is about; NULL, with a message, where several are configured. `why` begins it:
 * "a job goes to one queue". */
const char *cli_one_queue(const struct cli *cli, const char *why);

/* "timeout" for OPTION_TIMEOUT. */
const char *cli_option_name(enum option_id option);

int cmd_run(struct cli *cli);
int cmd_worker(struct cli *cli);
int cmd_submit(struct cli *cli);
int cmd_result(struct cli *cli);
int cmd_replay(struct cli *cli);
int cmd_cancel(struct cli *cli);
int cmd_dead(struct cli *cli);
int cmd_status(struct cli *cli);
int cmd_config(struct cli *cli);
int cmd_help(struct cli *cli);

#endif
