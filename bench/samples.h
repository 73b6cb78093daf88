/*
 * The times of single jobs, and what is said of them. It lives on the stack of its owner: a process that rewinds itself
 * forgets everything else.
 */
#ifndef ISOQ_BENCH_SAMPLES_H
#define ISOQ_BENCH_SAMPLES_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SAMPLES_MAX (1u << 17) /* half a megabyte of stack */

struct samples {
  int64_t deadline_ns, began_ns, ended_ns; /* of CLOCK_MONOTONIC */
  int64_t cpu_ns;                          /* the caller's: processor time before, then that of all jobs */
  uint32_t count, at_least;
  uint32_t us_tenths[SAMPLES_MAX];
};

static inline int64_t samples_clock_ns(clockid_t clock) {
  struct timespec now;

  if (clock_gettime(clock, &now) < 0) return 0;
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline int64_t samples_now_ns(void) {
  return samples_clock_ns(CLOCK_MONOTONIC);
}

/* Jobs are run until `seconds` have passed, and `at_least` so many in any case. */
static inline void samples_start(struct samples *samples, double seconds, uint32_t at_least) {
  samples->count = 0;
  samples->at_least = at_least;
  samples->began_ns = samples->ended_ns = samples_now_ns();
  samples->deadline_ns = samples->began_ns + (int64_t)(seconds * 1e9);
}

static inline bool samples_want_more(const struct samples *samples) {
  return samples->count < SAMPLES_MAX &&
         (samples->count < samples->at_least || samples->ended_ns < samples->deadline_ns);
}

/* One job more is done. Its time is that since the one before: nothing that the job costs is left out. */
static inline void samples_add(struct samples *samples) {
  int64_t now = samples_now_ns();

  samples->us_tenths[samples->count++] = (uint32_t)((now - samples->ended_ns) / 100);
  samples->ended_ns = now;
}

static inline int samples_compare(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

  return (x > y) - (x < y);
}

/* One line of JSON for bench/engine.py. `replaced`: jobs that cost their process. */
static inline void samples_print(struct samples *samples, uint32_t replaced) {
  uint32_t last = samples->count - 1;

  qsort(samples->us_tenths, samples->count, sizeof(samples->us_tenths[0]), samples_compare);
  printf("{\"jobs\": %u, \"seconds\": %.6f, \"p50_ms\": %.4f, \"p99_ms\": %.4f, \"cpu_ms\": %.4f, "
         "\"replaced\": %.3f}\n",
         samples->count, (double)(samples->ended_ns - samples->began_ns) / 1e9,
         samples->us_tenths[last / 2] / 1e4, samples->us_tenths[(uint32_t)(0.99 * last)] / 1e4,
         (double)samples->cpu_ns / 1e6 / samples->count, (double)replaced / samples->count);
}

#endif
