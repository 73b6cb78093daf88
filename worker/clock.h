/* The two clocks: durations and deadlines are monotonic, times that leave the process are not. */
#ifndef ISOQ_WORKER_CLOCK_H
#define ISOQ_WORKER_CLOCK_H

#include <stdint.h>
#include <time.h>

#define CLOCK_NS_PER_MS INT64_C(1000000)

static inline int64_t clock_monotonic_ns(void) {
  struct timespec now;

  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 * CLOCK_NS_PER_MS + now.tv_nsec;
}

static inline int64_t clock_real_ms(void) {
  struct timespec now;

  clock_gettime(CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / CLOCK_NS_PER_MS;
}

static inline double clock_ms(int64_t ns) {
  return (double)ns / (double)CLOCK_NS_PER_MS;
}

#endif
