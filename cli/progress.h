/* A progress bar on a terminal's stderr; nothing at all anywhere else. */
#ifndef ISOQ_CLI_PROGRESS_H
#define ISOQ_CLI_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress {
  bool enabled, colour;
  size_t total; /* 0: not known */
  int64_t started_ns, drawn_ns;
  int drawn_columns; /* 0: nothing stands there now */
};

/* Whether there is a terminal to draw on, so that the caller may find out the total first. */
bool progress_wanted(void);

void progress_start(struct progress *progress, size_t total);
void progress_draw(struct progress *progress, size_t done);

/* Removes the bar, before anything else is written; the next progress_draw() brings it back. */
void progress_hide(struct progress *progress);

#endif
