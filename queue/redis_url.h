/*
 * Redis addresses:
 *     redis://[user:password@]host[:port][/db], rediss:// (TLS)
 *     unix:///path[?db=N&user=…&password=…]
 *     redis-sentinel://[user:password@]host[:port][,host[:port]…]/master-name[/db], rediss-sentinel:// (TLS to all)
 *         [?sentinel_user=…&sentinel_password=…]: of the Sentinels; user and password are the Redis servers' own
 */
#ifndef ISOQ_QUEUE_REDIS_URL_H
#define ISOQ_QUEUE_REDIS_URL_H

#include <stdbool.h>
#include <stddef.h>

#define REDIS_URL_SENTINELS_MAX 16

struct redis_url {
  bool tls, is_unix;
  char *host; /* or the socket's path; NULL: the Sentinels know */
  int port;
  char *user, *password; /* NULL: none; percent-decoded */
  int db;
  char *display; /* the address for messages and logs: without the password */

  char *master_name; /* NULL: a direct address */
  /* Each an address by itself: host, port, user, password and tls are set; `display` is "sentinel host:port". */
  struct redis_url *sentinels;
  size_t sentinel_count;
};

/* 0, or -EINVAL with a message in `error` that says what is wrong and shows a right one; -ENOMEM. */
int redis_url_parse(const char *text, struct redis_url *out, char *error, size_t error_size);
void redis_url_free(struct redis_url *url);

struct redisContext;
/*
 * For the commands (the worker never blocks): connects, authenticates and selects within timeout_ms, and sets
 * the same limit for each command. Through Sentinels, it asks them in order, makes sure by ROLE that the server
 * found is a primary, and asks again until timeout_ms is over while a fail-over is under way. NULL with a message in `error` that says what to do next (how to start a
 * server, which option to set).
 */
struct redisContext *redis_connect(const struct redis_url *url, int timeout_ms, char *error,
                                   size_t error_size);

#endif
