/*
 * The parser, in two passes. The first finds out what each word is: whether an option takes a value does not
 * depend on the command, so options may stand before it. The second looks whether the command takes what was
 * given. getopt_long could do the first, but its messages do not name what one may have meant, and it knows
 * one table, not two.
 */
#include "cli/args.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "config/nearest.h"

/* One option as typed. Some flags are an option of one command and a setting for the others (--timeout-ms).
 */
struct token {
  char flag[64];
  const struct option_row *row; /* or NULL */
  const char *setting;          /* or NULL */
  const char *value;
};

struct parse {
  int argc;
  char **argv;
  int next;
  struct args *args;
  struct token *tokens;
  size_t token_count;
};

void args_unknown_command(const char *name) {
  char all[160];
  struct nearest nearest = nearest_start(name);
  for (size_t i = 0; i < command_count; i++)
    nearest_try(&nearest, commands[i].name);
  commands_list(all, sizeof all);
  if (nearest.best)
    cli_error("unknown command \"%s\" (did you mean \"%s\"?); there are %s", name, nearest.best, all);
  else
    cli_error("unknown command \"%s\"; there are %s (isoq help)", name, all);
}

static bool is_alias_of_redis(const char *flag) {
  return strcmp(flag, "--redis") == 0;
}

static const struct option_row *row_of(const char *flag) {
  for (size_t i = 0; i < OPTION_COUNT; i++) {
    const struct option_row *row = &option_rows[i];
    if (flag[1] != '-'
            ? row->letter == flag[1]
            : strcmp(row->name, flag + 2) == 0 || (row->alias && strcmp(row->alias, flag + 2) == 0))
      return row;
  }
  return NULL;
}

static int unknown_option(const char *flag) {
  struct nearest nearest = nearest_start(flag);
  char(*known)[64] = calloc(CONFIG_SETTING_COUNT + OPTION_COUNT, sizeof *known);
  size_t count = 0;
  if (!known) return -ENOMEM;

  nearest_try(&nearest, "--redis");
  for (size_t i = 0; i < OPTION_COUNT; i++)
    snprintf(known[count++], sizeof *known, "--%s", option_rows[i].name);
  for (size_t i = 0; config_name(i); i++) {
    snprintf(known[count], sizeof *known, "--%s", config_name(i));
    for (char *c = known[count]; *c; c++)
      if (*c == '_') *c = '-';
    count++;
  }
  for (size_t i = 0; i < count; i++)
    nearest_try(&nearest, known[i]);
  if (nearest.best)
    cli_error("unknown option %s (did you mean %s?)", flag, nearest.best);
  else
    cli_error("unknown option %s; isoq COMMAND --help lists them", flag);
  free(known);
  return -EINVAL;
}

/* Puts the value of an option into `token`: what follows the =, else `otherwise`, else the next word. */
static int take_value(struct parse *parse, struct token *token, const char *attached, const char *otherwise,
                      const char *label) {
  token->value = attached ? attached : otherwise;
  if (token->value) return 0;
  if (parse->next >= parse->argc) {
    cli_error("%s needs a value: %s %s", token->flag, token->flag, label);
    return -EINVAL;
  }
  token->value = parse->argv[parse->next++];
  return 0;
}

static int parse_option(struct parse *parse, const char *word) {
  struct token *token = &parse->tokens[parse->token_count];
  const char *attached = NULL;
  size_t len = strlen(word);
  bool is_bool = false;

  if (word[1] == '-') {
    attached = strchr(word, '=');
    if (attached) len = (size_t)(attached++ - word);
  } else if (len > 2) {
    attached = word + 2;
    len = 2;
  }
  snprintf(token->flag, sizeof token->flag, "%.*s",
           (int)(len < sizeof token->flag ? len : sizeof token->flag - 1), word);
  token->row = row_of(token->flag);
  token->setting = is_alias_of_redis(token->flag) ? "redis_url" : config_flag_name(token->flag, &is_bool);
  if (!token->row && !token->setting) return unknown_option(token->flag);
  /* A switch that is an option with a value elsewhere: isoq worker --record. */
  if (token->row && is_bool && parse->args->command && !(token->row->commands & parse->args->command->bit))
    token->row = NULL;
  parse->token_count++;

  if (!token->row)
    return take_value(parse, token, attached, is_bool ? "true" : NULL,
                      is_alias_of_redis(token->flag) ? "URL" : "VALUE");
  const char *argument = token->row->argument;
  if (!argument && attached) {
    cli_error("%s takes no value", token->flag);
    return -EINVAL;
  }
  return take_value(parse, token, attached, argument && *argument != '=' ? NULL : "", argument);
}

static int parse_operand(struct args *args, const char *word) {
  if (args->command) {
    args->operands[args->operand_count++] = word;
    return 0;
  }
  args->command = command_find(word);
  if (args->command) return 0;
  args_unknown_command(word);
  return -EINVAL;
}

static int parse_words(struct parse *parse) {
  bool options_ended = false;
  while (parse->next < parse->argc) {
    const char *word = parse->argv[parse->next++];
    int rc = 0;
    if (options_ended || word[0] != '-' || !word[1])
      rc = parse_operand(parse->args, word);
    else if (strcmp(word, "--") == 0)
      options_ended = true;
    else
      rc = parse_option(parse, word);
    if (rc) return rc;
  }
  return 0;
}

static int apply_token(struct args *args, const struct token *token) {
  const struct command *command = args->command;
  unsigned bit = command ? command->bit : ALL;

  if (token->row && token->row->commands & bit) {
    if (token->row->id == OPTION_EVAL && args_has(args, OPTION_EVAL)) {
      cli_error("%s is given twice; a job has one script", token->flag);
      return -EINVAL;
    }
    args->value[token->row->id] = token->value;
    return 0;
  }
  if (!token->setting) {
    char others[128];
    commands_with(token->row->commands, others, sizeof others);
    cli_error("isoq %s takes no %s (%s)", command->name, token->flag, others);
    return -EINVAL;
  }
  struct args_setting *setting = &args->settings[args->setting_count++];
  snprintf(setting->flag, sizeof setting->flag, "%s", token->flag);
  setting->name = token->setting;
  setting->value = token->value;
  return 0;
}

static int check_operands(const struct args *args) {
  const struct command *command = args->command;
  if (!command || args->operand_count <= command->max_operands) return 0;
  const char *extra = args->operands[command->max_operands];
  if (command->max_operands == 0)
    cli_error("isoq %s takes no operands, but there is \"%s\"", command->name, extra);
  else
    cli_error("isoq %s takes %s; \"%s\" is one too many", command->name, command->operand, extra);
  return -EINVAL;
}

int args_parse(int argc, char **argv, struct args *args) {
  size_t words = argc > 0 ? (size_t)argc : 1;
  struct parse parse = {.argc = argc, .argv = argv, .next = 1, .args = args};
  int rc = -ENOMEM;

  *args = (struct args){0};
  args->operands = calloc(words, sizeof *args->operands);
  args->settings = calloc(words, sizeof *args->settings);
  parse.tokens = calloc(words, sizeof *parse.tokens);
  if (args->operands && args->settings && parse.tokens) rc = parse_words(&parse);
  for (size_t i = 0; rc == 0 && i < parse.token_count; i++)
    rc = apply_token(args, &parse.tokens[i]);
  if (rc == 0 && !args_has(args, OPTION_HELP)) rc = check_operands(args);
  free(parse.tokens);
  if (rc) {
    if (rc == -ENOMEM) cli_error("out of memory");
    args_free(args);
  }
  return rc;
}

void args_free(struct args *args) {
  free(args->operands);
  free(args->settings);
  *args = (struct args){0};
}
