/* Host names to addresses without blocking the loop. */
#ifndef ISOQ_QUEUE_RESOLVE_H
#define ISOQ_QUEUE_RESOLVE_H

#include <netinet/in.h>
#include <stddef.h>

#define RESOLVE_MAX 8

struct event_base;
struct resolve;

struct resolve_addresses {
  char text[RESOLVE_MAX][INET6_ADDRSTRLEN];
  size_t count;
};

/* `why` is NULL on success, else addresses->count is 0. Called once, from the loop or from within
 * resolve_start(). */
typedef void (*resolve_fn)(void *ctx, const struct resolve_addresses *addresses, const char *why);

/*
 * Looks `host` up: a literal address as it is, else /etc/hosts and the name servers of /etc/resolv.conf, both
 * read anew each time. `*out` is NULL when the callback has been called already. 0 or -ENOMEM (no callback).
 */
int resolve_start(struct event_base *base, const char *host, resolve_fn fn, void *ctx, struct resolve **out);

/* No callback any more. */
void resolve_cancel(struct resolve *resolve);

#endif
