/* The line of a script where something went wrong, with a caret below the place. */
#ifndef ISOQ_CLI_EXCERPT_H
#define ISOQ_CLI_EXCERPT_H

#include <stddef.h>
#include <stdio.h>

/* line and column from 1; the column counts UTF-16 units, as V8 does. Prints nothing for a place outside the
 * code. */
void excerpt_print(const char *code, size_t len, int line, int column, FILE *out);

#endif
