/*
 * The one part of isoq-dying that isoq does not have: it dies by SIGKILL at a chosen round trip to Redis. The linker
 * sends the product's calls of round_trip_point() here (--wrap), so that its sources know nothing of it.
 *
 *   ISOQ_TEST_DIE_AT=list               prints the names of all points, one a line, and exits
 *   ISOQ_TEST_DIE_AT=NAME:before[:N]    before the N-th (first) such command is sent
 *   ISOQ_TEST_DIE_AT=NAME:after[:N]     when its answer has come, before anybody looks at it
 *   ISOQ_TEST_DIE_ONCE=FILE             counts only from when this file exists
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "queue/round_trip.h"

static enum round_trip wanted;
static bool wanted_answered, armed;
static long passes_left;

void __wrap_round_trip_point(enum round_trip which, bool answered);

static void refuse(const char *what) {
  fprintf(stderr, "isoq-dying: ISOQ_TEST_DIE_AT=%s; give \"list\", or such as \"settle:before:1\"\n", what);
  _exit(2);
}

static void list_all(void) {
  for (int i = 0; i < ROUND_TRIP_COUNT; i++)
    puts(round_trip_name((enum round_trip)i));
  fflush(stdout);
  _exit(0);
}

static bool find(const char *name, size_t len) {
  for (int i = 0; i < ROUND_TRIP_COUNT; i++) {
    const char *known = round_trip_name((enum round_trip)i);
    if (strlen(known) != len || memcmp(known, name, len) != 0) continue;
    wanted = (enum round_trip)i;
    return true;
  }
  return false;
}

static void __attribute__((constructor)) read_wish(void) {
  const char *wish = getenv("ISOQ_TEST_DIE_AT");
  char side[8] = "", end;
  if (!wish) refuse("(not set)");
  if (strcmp(wish, "list") == 0) list_all();
  const size_t len = strcspn(wish, ":");
  passes_left = 1;
  const int parts = sscanf(wish + len, ":%7[a-z]:%ld%c", side, &passes_left, &end);
  if (parts < 1 || parts > 2 || passes_left < 1 || !find(wish, len)) refuse(wish);
  if (strcmp(side, "before") != 0 && strcmp(side, "after") != 0) refuse(wish);
  wanted_answered = strcmp(side, "after") == 0;
}

void __wrap_round_trip_point(enum round_trip which, bool answered) {
  const char *file = getenv("ISOQ_TEST_DIE_ONCE");
  if (which != wanted || answered != wanted_answered) return;
  armed = armed || !file || access(file, F_OK) == 0;
  if (armed && --passes_left == 0) kill(getpid(), SIGKILL);
}
