/* What a terminal is told, and what it must not be told. */
#ifndef ISOQ_CLI_TERMINAL_H
#define ISOQ_CLI_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* A terminal that obeys escape sequences, and a user who did not say NO_COLOR. */
bool terminal_has_colour(FILE *stream);

/* In columns; 0 where the stream is no terminal. */
int terminal_width(FILE *stream);

/* Writes text that anybody may have chosen: on a terminal its control characters (but tab and newline) are
 * made visible; anything else gets the bytes as they are. */
void terminal_write(FILE *stream, const char *text, size_t len);

/* The same on one line, whatever the stream: line breaks and tabs are made visible too, bytes that are no
 * UTF-8 are U+FFFD, and what exceeds `columns` (0: any number) is cut, with an ellipsis. Returns the
 * columns it took. */
int terminal_write_line(FILE *stream, const char *text, size_t len, int columns);

#endif
