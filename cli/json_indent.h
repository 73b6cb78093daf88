/* Compact JSON → the form of JSON.stringify(value, null, 2), token by token: numbers and strings stay as they
 * are. */
#ifndef ISOQ_CLI_JSON_INDENT_H
#define ISOQ_CLI_JSON_INDENT_H

#include <stddef.h>
#include <stdio.h>

void json_indent(const char *json, size_t len, FILE *out);

#endif
