/* So many requests a second, each key for itself: those over it wait, first come, first served. */
#ifndef ISOQ_BINDINGS_RATE_H
#define ISOQ_BINDINGS_RATE_H

#include <stdint.h>

struct event_base;
struct rates;
struct rate_wait;

typedef void (*rate_fn)(void *ctx);

/* `per_s`: in any second that one may choose; at most 1 000. 0 or -ENOMEM. */
int rates_new(struct event_base *base, uint32_t per_s, struct rates **out);
/* Nobody may be waiting. */
void rates_free(struct rates *rates);

/* Calls `go` when it is this one's turn, from the loop, never from within. Copies `key`. 0 or -ENOMEM. */
int rate_wait(struct rates *rates, const char *key, rate_fn go, void *ctx, struct rate_wait **out);
void rate_cancel(struct rate_wait *wait);

#endif
