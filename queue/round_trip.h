/* The names of a worker's round trips to Redis, and a point of observation around each. */
#ifndef ISOQ_QUEUE_ROUND_TRIP_H
#define ISOQ_QUEUE_ROUND_TRIP_H

#include <stdbool.h>

enum round_trip {
#define X(name, text) ROUND_TRIP_##name,
#include "queue/round_trips.def"
#undef X
  ROUND_TRIP_COUNT
};

const char *round_trip_name(enum round_trip which);

/* Called before a command is sent, and when its answer has come. Does nothing: tests put their own in its place
 * (--wrap), to end the process there. */
void round_trip_point(enum round_trip which, bool answered);

#endif
