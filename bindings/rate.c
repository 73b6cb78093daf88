/*
 * The times of the last `per_s` turns are kept, and the next one comes a good second after the oldest of
 * them: no window of a second ever holds more, which a bucket of tokens, full after a pause, does not
 * promise.
 *
 * A lane without waiters is forgotten a second after its last turn, so that keys do not pile up.
 */
#include "bindings/rate.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#define NS_PER_S INT64_C(1000000000)
/* Requests do not arrive as evenly as they leave: the first one of a connection is late, the others are
 * not. */
#define WINDOW_NS (NS_PER_S + NS_PER_S / 20)
#define PER_S_MAX 1000

struct lane;

struct rate_wait {
  TAILQ_ENTRY(rate_wait) link;
  struct lane *lane;
  rate_fn go;
  void *ctx;
};

struct lane {
  TAILQ_ENTRY(lane) link;
  struct rates *rates;
  TAILQ_HEAD(, rate_wait) waiting;
  struct event *timer;
  uint32_t next;  /* the oldest of `turns` */
  int64_t *turns; /* per_s of them, a ring; 0: none yet */
  char key[];
};

struct rates {
  struct event_base *base;
  uint32_t per_s;
  TAILQ_HEAD(, lane) lanes;
};

static int64_t now_ns(void) {
  struct timespec now;

  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

static void lane_free(struct lane *lane) {
  TAILQ_REMOVE(&lane->rates->lanes, lane, link);
  if (lane->timer != NULL) event_free(lane->timer);
  free(lane->turns);
  free(lane);
}

/* The next turn, or the end of the lane. Rounded up: a turn must not be early. */
static void lane_arm(struct lane *lane) {
  const uint32_t newest = (lane->next + lane->rates->per_s - 1) % lane->rates->per_s;
  const int64_t from = TAILQ_EMPTY(&lane->waiting) ? lane->turns[newest] : lane->turns[lane->next];
  int64_t in_us = from == 0 ? 0 : (from + WINDOW_NS - now_ns() + 999) / 1000;
  struct timeval in;

  if (in_us < 0) in_us = 0;
  in = (struct timeval){.tv_sec = in_us / 1000000, .tv_usec = in_us % 1000000};
  event_add(lane->timer, &in);
}

static void on_timer(evutil_socket_t fd, short events, void *ctx) {
  struct lane *lane = ctx;
  struct rate_wait *wait = TAILQ_FIRST(&lane->waiting);
  const int64_t now = now_ns(), oldest = lane->turns[lane->next];

  (void)fd;
  (void)events;
  if (wait == NULL) {
    lane_free(lane);
    return;
  }
  if (oldest != 0 && now - oldest < WINDOW_NS) { /* the loop's clock is coarser than ours */
    lane_arm(lane);
    return;
  }
  lane->turns[lane->next] = now;
  lane->next = (lane->next + 1) % lane->rates->per_s;
  TAILQ_REMOVE(&lane->waiting, wait, link);
  lane_arm(lane);
  wait->go(wait->ctx);
  free(wait);
}

static struct lane *lane_get(struct rates *rates, const char *key) {
  struct lane *lane;

  TAILQ_FOREACH(lane, &rates->lanes, link)
  if (strcmp(lane->key, key) == 0) return lane;
  lane = calloc(1, sizeof(*lane) + strlen(key) + 1);
  if (lane == NULL) return NULL;
  lane->rates = rates;
  TAILQ_INIT(&lane->waiting);
  strcpy(lane->key, key);
  TAILQ_INSERT_TAIL(&rates->lanes, lane, link);
  lane->turns = calloc(rates->per_s, sizeof(*lane->turns));
  lane->timer = evtimer_new(rates->base, on_timer, lane);
  if (lane->turns != NULL && lane->timer != NULL) return lane;
  lane_free(lane);
  return NULL;
}

int rate_wait(struct rates *rates, const char *key, rate_fn go, void *ctx, struct rate_wait **out) {
  struct rate_wait *wait = malloc(sizeof(*wait));
  struct lane *lane = wait != NULL ? lane_get(rates, key) : NULL;

  if (lane == NULL) {
    free(wait);
    return -ENOMEM;
  }
  *wait = (struct rate_wait){.lane = lane, .go = go, .ctx = ctx};
  TAILQ_INSERT_TAIL(&lane->waiting, wait, link);
  if (TAILQ_FIRST(&lane->waiting) == wait) lane_arm(lane);
  *out = wait;
  return 0;
}

void rate_cancel(struct rate_wait *wait) {
  struct lane *lane = wait->lane;
  const bool first = TAILQ_FIRST(&lane->waiting) == wait;

  TAILQ_REMOVE(&lane->waiting, wait, link);
  free(wait);
  if (first) lane_arm(lane);
}

int rates_new(struct event_base *base, uint32_t per_s, struct rates **out) {
  struct rates *rates = calloc(1, sizeof(*rates));

  if (rates == NULL) return -ENOMEM;
  rates->base = base;
  rates->per_s = per_s < 1 ? 1 : per_s > PER_S_MAX ? PER_S_MAX : per_s;
  TAILQ_INIT(&rates->lanes);
  *out = rates;
  return 0;
}

void rates_free(struct rates *rates) {
  if (rates == NULL) return;
  while (!TAILQ_EMPTY(&rates->lanes)) {
    assert(TAILQ_EMPTY(&TAILQ_FIRST(&rates->lanes)->waiting));
    lane_free(TAILQ_FIRST(&rates->lanes));
  }
  free(rates);
}
