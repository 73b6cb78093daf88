/* Lines of a file or a pipe, as they come, however long: a line above the limit is counted, not kept. */
#ifndef ISOQ_CLI_LINES_H
#define ISOQ_CLI_LINES_H

#include <stdbool.h>
#include <stddef.h>

struct lines {
  int fd;
  size_t limit; /* of a line that is kept, in bytes */

  const char *line; /* LINES_FOUND: without its newline, NUL-terminated; until the next call */
  size_t len;       /* above `limit`: then the line was not kept */
  size_t number;    /* of the line, from 1 */

  char *buffer; /* owned; the line so far */
  size_t size;
  char *chunk; /* owned; what was read and not looked at */
  size_t chunk_len, chunk_at;
  bool in_line, ended;
};

enum lines_next {
  LINES_FOUND,
  LINES_WANT_INPUT, /* nothing more without reading: lines_read() */
  LINES_END,
  LINES_NO_MEMORY,
};

/* 0 or -ENOMEM. The descriptor stays the caller's. */
int lines_init(struct lines *lines, int fd, size_t limit);
void lines_free(struct lines *lines);

enum lines_next lines_next(struct lines *lines);

/* Waits for more. 0 or a negative errno. */
int lines_read(struct lines *lines);

#endif
