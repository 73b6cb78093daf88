/*
 * Optimal string alignment (insert, delete, replace, swap two neighbours), because these four are what
 * fingers do. Words longer than any name of ours are not compared, which also keeps the three rows on the
 * stack.
 */
#include "config/nearest.h"

#include <stdint.h>
#include <string.h>

#define WORD_MAX 64

static size_t min_size(size_t a, size_t b) {
  return a < b ? a : b;
}

static size_t distance(const char *a, size_t a_len, const char *b, size_t b_len) {
  size_t rows[3][WORD_MAX + 1];
  size_t *before = rows[0], *above = rows[1], *row = rows[2];

  for (size_t j = 0; j <= b_len; j++)
    above[j] = j;
  for (size_t i = 1; i <= a_len; i++) {
    row[0] = i;
    for (size_t j = 1; j <= b_len; j++) {
      size_t replaced = above[j - 1] + (a[i - 1] != b[j - 1]);
      row[j] = min_size(min_size(above[j] + 1, row[j - 1] + 1), replaced);
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = min_size(row[j], before[j - 2] + 1);
    }
    size_t *free_row = before;
    before = above;
    above = row;
    row = free_row;
  }
  return above[b_len];
}

struct nearest nearest_start(const char *word) {
  return (struct nearest){.word = word, .best = NULL, .distance = SIZE_MAX};
}

void nearest_try(struct nearest *nearest, const char *candidate) {
  size_t len = strlen(nearest->word), candidate_len = strlen(candidate);
  if (len == 0 || len > WORD_MAX || candidate_len > WORD_MAX) return;

  /* A third of the word may be wrong; two letters of a short word are a different word. */
  size_t limit = len < 4 ? 1 : min_size(2 + len / 10, len / 3 + 1);
  size_t d = distance(nearest->word, len, candidate, candidate_len);
  if (d <= limit && d < nearest->distance) {
    nearest->best = candidate;
    nearest->distance = d;
  }
}
