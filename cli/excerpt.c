/*
 * Scripts that models write are often one long line, so the excerpt is a window around the column. It goes to
 * terminals: control characters, which a hostile script could use to rewrite the screen, are shown as a
 * question mark.
 */
#include "cli/excerpt.h"

#include <stdbool.h>
#include <string.h>

#include "queue/utf8.h"

#define BEFORE_MAX 60 /* characters left of the column */
#define TOTAL_MAX 100

/* The line's bytes, without its end; false when there is no such line. */
static bool find_line(const char **code, size_t *len, int line) {
  const char *at = *code, *end = at + *len;
  for (int i = 1; i < line; i++) {
    at = memchr(at, '\n', (size_t)(end - at));
    if (!at) return false;
    at++;
  }
  const char *newline = memchr(at, '\n', (size_t)(end - at));
  if (newline) end = newline;
  if (end > at && end[-1] == '\r') end--;
  *code = at;
  *len = (size_t)(end - at);
  return true;
}

/* Characters (not bytes, not UTF-16 units) before the column. */
static size_t characters_before(const char *text, size_t len, int column) {
  size_t count = 0, at = 0;
  for (int units = 1; at < len && units < column; count++) {
    bool valid;
    size_t step = utf8_step(text + at, len - at, &valid);
    units += step == 4 ? 2 : 1;
    at += step;
  }
  return count;
}

void excerpt_print(const char *code, size_t len, int line, int column, FILE *out) {
  if (line < 1 || !find_line(&code, &len, line) || len == 0) return;

  size_t before = column > 0 ? characters_before(code, len, column) : 0;
  size_t skip = before > BEFORE_MAX ? before - BEFORE_MAX : 0;
  int margin = fprintf(out, "%5d | %s", line, skip ? "..." : "");
  char tabs[BEFORE_MAX + 1] = {0}; /* the caret's line needs the same tabs */
  size_t index = 0, at = 0;

  for (; at < len && index < skip + TOTAL_MAX; index++) {
    bool valid;
    size_t step = utf8_step(code + at, len - at, &valid);
    unsigned char c = (unsigned char)code[at];
    if (index >= skip) {
      if (index < before) tabs[index - skip] = c == '\t' ? '\t' : ' ';
      if (!valid || (c < 0x20 && c != '\t') || c == 0x7f ||
          (step == 2 && c == 0xC2 && (unsigned char)code[at + 1] < 0xA0))
        putc('?', out);
      else
        fwrite(code + at, 1, step, out);
    }
    at += step;
  }
  fputs(at < len ? "...\n" : "\n", out);
  if (column > 0) fprintf(out, "      | %*s%s^\n", margin - 8, "", tabs);
}
