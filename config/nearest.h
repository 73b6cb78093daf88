/* Which of some names a mistyped word most likely meant. For "did you mean" in messages, nothing more. */
#ifndef ISOQ_CONFIG_NEAREST_H
#define ISOQ_CONFIG_NEAREST_H

#include <stddef.h>

struct nearest {
  const char *word;
  const char *best; /* NULL: nothing is near enough */
  size_t distance;
};

/* Call once with the word, then nearest_try() with each candidate; `best` borrows the candidate. */
struct nearest nearest_start(const char *word);
void nearest_try(struct nearest *nearest, const char *candidate);

#endif
