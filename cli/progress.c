/*
 * Drawn a few times a second, erased with blanks rather than escape sequences, and never as wide as the
 * terminal: a full last column wraps on some. Colour is the only escape, and NO_COLOR ends it.
 */
#include "cli/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/terminal.h"
#include "worker/clock.h"

#define DRAW_EVERY_NS (100 * CLOCK_NS_PER_MS)
#define BAR_MIN 8
#define BAR_MAX 40

bool progress_wanted(void) {
  const char *term = getenv("TERM");
  return isatty(STDERR_FILENO) && !(term && strcmp(term, "dumb") == 0);
}

void progress_start(struct progress *progress, size_t total) {
  *progress = (struct progress){.enabled = progress_wanted(),
                                .colour = terminal_has_colour(stderr),
                                .total = total,
                                .started_ns = clock_monotonic_ns()};
}

void progress_hide(struct progress *progress) {
  if (progress->drawn_columns == 0) return;
  fprintf(stderr, "\r%*s\r", progress->drawn_columns, "");
  progress->drawn_columns = 0;
  progress->drawn_ns = 0; /* draw it again soon */
}

static int draw_bar(const struct progress *progress, size_t done, int width) {
  int full = done >= progress->total ? width : (int)(done * (size_t)width / progress->total);
  fprintf(stderr, "[%s", progress->colour ? "\033[32m" : "");
  for (int i = 0; i < width; i++)
    putc(i < full ? '#' : '.', stderr);
  fprintf(stderr, "%s] ", progress->colour ? "\033[0m" : "");
  return width + 3;
}

void progress_draw(struct progress *progress, size_t done) {
  char text[96];
  const int64_t now_ns = clock_monotonic_ns();

  if (!progress->enabled || (progress->drawn_ns && now_ns - progress->drawn_ns < DRAW_EVERY_NS)) return;
  progress_hide(progress);
  const double seconds = (double)(now_ns - progress->started_ns) / 1e9;
  const double rate = seconds > 0 ? (double)done / seconds : 0;
  int len = progress->total ? snprintf(text, sizeof text, "%zu/%zu jobs, %.0f/s", done, progress->total, rate)
                            : snprintf(text, sizeof text, "%zu jobs, %.0f/s", done, rate);
  const int columns = terminal_width(stderr) - 1;
  int bar = columns - len - 3;
  if (bar > BAR_MAX) bar = BAR_MAX;
  if (progress->total && bar >= BAR_MIN) progress->drawn_columns = draw_bar(progress, done, bar);
  if (progress->drawn_columns + len > columns) len = columns > 0 ? columns : 0;
  fprintf(stderr, "%.*s", len, text);
  progress->drawn_columns += len;
  progress->drawn_ns = now_ns;
  fflush(stderr);
}
