/* The table of commands: parser and help are made from it. */
#ifndef ISOQ_CLI_COMMANDS_H
#define ISOQ_CLI_COMMANDS_H

#include <stdio.h>

#include "cli/args.h"
#include "cli/cli.h"

enum command_bit {
  RUN = 1 << 0,
  WORKER = 1 << 1,
  SUBMIT = 1 << 2,
  RESULT = 1 << 3,
  CANCEL = 1 << 4,
  DEAD = 1 << 5,
  STATUS = 1 << 6,
  CONFIG = 1 << 7,
  HELP = 1 << 8,
  REPLAY = 1 << 9,
  ALL = (1 << 10) - 1,
};

struct command {
  const char *name;
  enum command_bit bit;
  size_t max_operands;
  const char *operand;        /* what it takes, for messages: "one FILE" */
  const char *usage;          /* after "isoq " */
  const char *summary;        /* one line, no full stop */
  const char *about;          /* paragraphs */
  const char *status;         /* exit statuses, a line each */
  const char *examples[2][2]; /* {what it does, the line to type} */
  int (*run)(struct cli *cli);
};

struct option_row {
  enum option_id id;
  const char *name, *alias;
  char letter;
  const char *argument;
  unsigned commands;
  const char *help;
};

extern const struct command commands[];
extern const size_t command_count;
extern const struct option_row option_rows[OPTION_COUNT];

const struct command *command_find(const char *name);

/* "run, worker, … and help" */
void commands_list(char *text, size_t size);

/* The names of the commands that take an option: "isoq run and isoq submit do". */
void commands_with(unsigned bits, char *text, size_t size);

void help_overview(FILE *out);
void help_command(const struct command *command, FILE *out);

#endif
