/*
 * Help, made from the tables: it cannot know of an option that the parser does not. Asked-for help goes to
 * stdout, and may be piped into a pager.
 */
#include "cli/cli.h"
#include "cli/commands.h"

static void print_option(const struct option_row *row, FILE *out) {
  char left[64], letter[8] = "    ";
  if (row->letter) snprintf(letter, sizeof letter, "-%c, ", row->letter);
  const char *argument = row->argument ? row->argument : "";
  if (*argument == '=')
    snprintf(left, sizeof left, "%s--%s[%s]", letter, row->name, argument);
  else
    snprintf(left, sizeof left, "%s--%s%s%s", letter, row->name, *argument ? " " : "", argument);
  fprintf(out, "  %-24s  %s\n", left, row->help);
}

void help_overview(FILE *out) {
  fputs("isoq runs JavaScript jobs from a Redis list, each in a pristine, locked-down V8 isolate.\n\n"
        "usage: isoq COMMAND [OPTION…] [OPERAND…]\n\ncommands:\n",
        out);
  for (size_t i = 0; i < command_count; i++)
    fprintf(out, "  %-8s  %s\n", commands[i].name, commands[i].summary);
  fputs("\nglobal options, before or after the command:\n"
        "      --redis URL           redis://, rediss:// or unix://; else ISOQ_REDIS_URL, REDIS_URL,\n"
        "                            redis://127.0.0.1:6379/0\n"
        "      --queue A,B           queues, in strict order of preference; else ISOQ_QUEUE, default\n"
        "      --prefix NAME         first part of every key; else ISOQ_PREFIX, isoq\n",
        out);
  for (size_t i = 0; i < OPTION_COUNT; i++)
    if (option_rows[i].commands == ALL) print_option(&option_rows[i], out);
  fputs("  Every setting is an option too: isoq help config lists them.\n"
        "\n"
        "try it:\n"
        "  isoq run -e '2 + 2'\n"
        "  isoq worker &  isoq submit -e '2 + 2' --wait\n",
        out);
}

void help_command(const struct command *command, FILE *out) {
  fprintf(out, "usage: isoq %s\n\n%s\noptions:\n", command->usage, command->about);
  for (size_t i = 0; i < OPTION_COUNT; i++)
    if (option_rows[i].commands & command->bit) print_option(&option_rows[i], out);
  if (command->bit & (SUBMIT | RESULT | REPLAY | CANCEL | DEAD | STATUS | WORKER))
    fputs("      --redis URL           else ISOQ_REDIS_URL, REDIS_URL, redis://127.0.0.1:6379/0\n"
          "      --queue A,B           else ISOQ_QUEUE, default\n"
          "      --prefix NAME         else ISOQ_PREFIX, isoq\n",
          out);
  if (command->bit & (WORKER | CONFIG)) {
    fputs("\nsettings, as options, ISOQ_NAME in the environment, or lines of the file:\n", out);
    config_print_help(out);
  } else {
    fputs("  Every setting is an option too: isoq help config lists them.\n", out);
  }
  fprintf(out, "\nexit status:\n%s\nexamples:\n", command->status);
  for (size_t i = 0; i < 2; i++)
    fprintf(out, "  %s\n      %s\n", command->examples[i][0], command->examples[i][1]);
}

int cmd_help(struct cli *cli) {
  if (cli->args.operand_count == 0) {
    help_overview(stdout);
    return CLI_OK;
  }
  const char *name = cli->args.operands[0];
  const struct command *command = command_find(name);
  if (!command) {
    args_unknown_command(name);
    return CLI_USAGE;
  }
  help_command(command, stdout);
  return CLI_OK;
}
