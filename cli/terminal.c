/*
 * Results, ids and reasons are chosen by scripts and producers that nobody trusts. On a terminal their
 * control characters are made visible, so that looking at them cannot retitle, clear or type into the
 * terminal.
 *
 * A character counts as one column. That is wrong for some scripts (East Asian ones take two), and then a
 * line is wrapped by the terminal; nothing else depends on it.
 */
#include "cli/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "queue/utf8.h"

#define WIDTH_DEFAULT 80

bool terminal_has_colour(FILE *stream) {
  const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
  return isatty(fileno(stream)) && !(no_color && *no_color) && !(term && strcmp(term, "dumb") == 0);
}

int terminal_width(FILE *stream) {
  struct winsize size;
  const char *columns = getenv("COLUMNS");

  if (!isatty(fileno(stream))) return 0;
  if (ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  int width = columns ? atoi(columns) : 0;
  return width > 0 ? width : WIDTH_DEFAULT;
}

/* Length of a control character (C0 but tab and newline, DEL, or C1 as UTF-8) at text, else 0. */
static size_t control_len(const char *text, size_t len) {
  unsigned char c = (unsigned char)text[0];
  if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f) return 1;
  return len > 1 && c == 0xC2 && (unsigned char)text[1] < 0xA0 ? 2 : 0;
}

void terminal_write(FILE *stream, const char *text, size_t len) {
  if (!isatty(fileno(stream))) {
    fwrite(text, 1, len, stream);
    return;
  }
  for (size_t at = 0; at < len;) {
    size_t control = control_len(text + at, len - at);
    if (control)
      fprintf(stream, "\\x%02x", (unsigned char)text[at + control - 1]);
    else
      putc(text[at], stream);
    at += control ? control : 1;
  }
}

/* One character, as it is shown on a line. Returns the bytes it has; `out` NULL: only measures. */
static size_t write_character(FILE *out, const char *text, size_t len, int *columns) {
  bool valid;
  size_t step = utf8_step(text, len, &valid);
  unsigned char c = (unsigned char)text[0];
  bool control = valid && (c == '\n' || c == '\t' || control_len(text, len) > 0);

  *columns = control ? 4 : 1;
  if (!out) return step;
  if (control)
    fprintf(out, "\\x%02x", (unsigned char)text[step - 1]);
  else if (!valid)
    fputs("\xef\xbf\xbd", out);
  else
    fwrite(text, 1, step, out);
  return step;
}

int terminal_write_line(FILE *stream, const char *text, size_t len, int columns) {
  int total = 0, width;
  for (size_t at = 0; at < len && (columns <= 0 || total <= columns); total += width)
    at += write_character(NULL, text + at, len - at, &width);
  bool cut = columns > 0 && total > columns;
  int room = cut ? columns - 1 : total, used = 0;

  for (size_t at = 0; at < len;) {
    size_t step = write_character(NULL, text + at, len - at, &width);
    if (used + width > room) break;
    write_character(stream, text + at, len - at, &width);
    used += width;
    at += step;
  }
  if (cut) fputs("\xe2\x80\xa6", stream); /* … */
  return used + cut;
}
