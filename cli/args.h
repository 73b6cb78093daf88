/*
 * Words of the command line → a command, its operands, its options, and settings to set. Options and operands
 * may come in any order, before and after the command.
 */
#ifndef ISOQ_CLI_ARGS_H
#define ISOQ_CLI_ARGS_H

#include <stdbool.h>
#include <stddef.h>

enum option_id {
#define O(id, name, alias, letter, argument, commands, help) OPTION_##id,
#include "cli/options.def"
#undef O
  OPTION_COUNT
};

struct args_setting {
  char flag[64];     /* as typed: "--lease-ms" */
  const char *name;  /* "lease_ms" */
  const char *value; /* "true" for a switch without one; borrowed */
};

struct args {
  const struct command *command; /* NULL: none was named */
  const char **operands;         /* owned array, borrowed words */
  size_t operand_count;
  const char *value[OPTION_COUNT]; /* NULL: not given; "": given without a value */
  struct args_setting *settings;   /* owned; in the order given */
  size_t setting_count;
};

/* 0; -EINVAL after a message that names the word that is wrong; -ENOMEM. The words stay argv's. */
int args_parse(int argc, char **argv, struct args *args);
void args_free(struct args *args);

/* Says so, and which ones there are. */
void args_unknown_command(const char *name);

static inline bool args_has(const struct args *args, enum option_id option) {
  return args->value[option] != NULL;
}

#endif
