/*
 * isoq: one binary, one command each time. Results go to stdout, everything else to stderr.
 *
 * SIGPIPE is ignored because a Redis that goes away must be an error message, not a silent death; a reader of
 * stdout that goes away (isoq result … | head) is noticed at the end instead, and is nobody's failure.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/commands.h"

#ifndef ISOQ_VERSION
#define ISOQ_VERSION "0.1.0"
#endif

void cli_error(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("isoq: ", stderr);
  vfprintf(stderr, format, arguments);
  putc('\n', stderr);
  va_end(arguments);
}

static int load_sources(struct cli *cli, char *error, size_t error_size) {
  const char *path = cli->args.value[OPTION_CONFIG_FILE];
  if (!path) path = getenv("ISOQ_CONFIG");

  int rc = path && *path ? config_load_file(&cli->config, path, error, error_size) : 0;
  if (rc == 0) rc = config_load_environment(&cli->config, environ, error, error_size);
  for (size_t i = 0; rc == 0 && i < cli->args.setting_count; i++) {
    const struct args_setting *setting = &cli->args.settings[i];
    char reason[CONFIG_ERROR_SIZE - sizeof setting->flag - 8];
    rc = config_set(&cli->config, setting->name, setting->value, reason, sizeof reason);
    if (rc) snprintf(error, error_size, "%s: %s", setting->flag, reason);
  }
  return rc ? rc : config_check(&cli->config, error, error_size);
}

int cli_load_config(struct cli *cli) {
  char error[CONFIG_ERROR_SIZE] = "out of memory";
  int rc = config_init(&cli->config);
  if (rc == 0) rc = load_sources(cli, error, sizeof error);
  if (rc) cli_error("%s", error);
  return rc ? CLI_USAGE : CLI_OK;
}

const char *cli_one_queue(const struct cli *cli, const char *why) {
  const struct config_list *queues = &cli->config.queue;
  if (queues->count == 1) return queues->items[0];
  cli_error("%s, but %zu are configured: say which with --queue %s", why, queues->count, queues->items[0]);
  return NULL;
}

const char *cli_option_name(enum option_id option) {
  return option_rows[option].name;
}

const char *cli_script_name(const struct cli *cli) {
  const char *path = cli->args.operand_count ? cli->args.operands[0] : NULL;
  return path && strcmp(path, "-") != 0 ? path : NULL;
}

static int run_command(struct cli *cli) {
  const struct command *command = cli->args.command;
  if (args_has(&cli->args, OPTION_VERSION)) {
    puts("isoq " ISOQ_VERSION);
    return CLI_OK;
  }
  if (args_has(&cli->args, OPTION_HELP)) {
    if (command)
      help_command(command, stdout);
    else
      help_overview(stdout);
    return CLI_OK;
  }
  if (!command) {
    cli_error("which command? For example: isoq run -e '2 + 2'");
    help_overview(stderr);
    return CLI_USAGE;
  }
  return command->run(cli);
}

int main(int argc, char **argv) {
  struct cli cli = {0};

  signal(SIGPIPE, SIG_IGN);
  int status = args_parse(argc, argv, &cli.args) ? CLI_USAGE : run_command(&cli);
  config_free(&cli.config);
  args_free(&cli.args);

  errno = 0;
  if ((fflush(stdout) || ferror(stdout)) && errno != EPIPE) {
    cli_error("cannot write to standard output: %s", errno ? strerror(errno) : "input/output error");
    return status ? status : CLI_FAILED;
  }
  return status;
}
