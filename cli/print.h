/* An ExecutionResult, from its JSON, for a person. */
#ifndef ISOQ_CLI_PRINT_H
#define ISOQ_CLI_PRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct print_options {
  bool json;        /* the line as it is, and nothing else */
  const char *code; /* for the excerpt; NULL where it is not at hand */
  size_t code_len;
  const char *name; /* of the script, for the excerpt; may be NULL */
};

/* The exit status that the result stands for: CLI_OK, CLI_FAILED; CLI_UNAVAILABLE when it is no
 * ExecutionResult. */
int print_result(const struct print_options *options, const char *json, size_t len);

#endif
