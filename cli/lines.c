/*
 * read(), not stdio, so that the caller knows when it is about to wait: whatever it has gathered so far can
 * go out first. A producer that writes a line now and then into a pipe must not wait for a buffer to fill.
 */
#include "cli/lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK_SIZE 65536

int lines_init(struct lines *lines, int fd, size_t limit) {
  *lines = (struct lines){.fd = fd, .limit = limit, .chunk = malloc(CHUNK_SIZE)};
  return lines->chunk ? 0 : -ENOMEM;
}

void lines_free(struct lines *lines) {
  free(lines->buffer);
  free(lines->chunk);
  *lines = (struct lines){0};
}

/* Above the limit only the length grows. */
static bool append(struct lines *lines, const char *data, size_t len) {
  size_t total = lines->len + len;
  if (total <= lines->limit) {
    if (total + 1 > lines->size) {
      size_t size = lines->size ? lines->size : 4096;
      while (size < total + 1)
        size *= 2;
      char *more = realloc(lines->buffer, size);
      if (!more) return false;
      lines->buffer = more;
      lines->size = size;
    }
    memcpy(lines->buffer + lines->len, data, len);
    lines->buffer[total] = 0;
  }
  lines->len = total;
  return true;
}

enum lines_next lines_next(struct lines *lines) {
  if (!lines->in_line) {
    lines->len = 0;
    lines->in_line = true;
  }
  size_t left = lines->chunk_len - lines->chunk_at;
  const char *start = lines->chunk + lines->chunk_at, *newline = left ? memchr(start, '\n', left) : NULL;
  if (!append(lines, start, newline ? (size_t)(newline - start) : left)) return LINES_NO_MEMORY;
  lines->chunk_at += newline ? (size_t)(newline - start) + 1 : left;
  if (!newline && !lines->ended) return LINES_WANT_INPUT;
  if (!newline && lines->len == 0) return LINES_END;
  lines->in_line = false;
  lines->line = lines->buffer;
  lines->number++;
  return LINES_FOUND;
}

int lines_read(struct lines *lines) {
  ssize_t got;
  do
    got = read(lines->fd, lines->chunk, CHUNK_SIZE);
  while (got < 0 && errno == EINTR);
  if (got < 0) return -errno;
  lines->chunk_len = (size_t)got;
  lines->chunk_at = 0;
  lines->ended = got == 0;
  return 0;
}
