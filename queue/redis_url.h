/* Redis addresses: redis://[user[:password]@]host[:port][/db], rediss://,
 * unix:///path[?db=N&user=…&password=…]. */
#ifndef ISOQ_QUEUE_REDIS_URL_H
#define ISOQ_QUEUE_REDIS_URL_H

#include <stdbool.h>
#include <stddef.h>

struct redis_url {
  bool tls, is_unix;
  char *host; /* or the socket's path */
  int port;
  char *user, *password; /* NULL: none; percent-decoded */
  int db;
  char *display; /* the address for messages and logs: without the password */
};

/* 0, or -EINVAL with a message in `error` that says what is wrong and shows a right one; -ENOMEM. */
int redis_url_parse(const char *text, struct redis_url *out, char *error, size_t error_size);
void redis_url_free(struct redis_url *url);

struct redisContext;
/*
 * For the commands (the worker never blocks): connects, authenticates and selects within timeout_ms, and sets
 * the same limit for each command. NULL with a message in `error` that says what to do next (how to start a
 * server, which option to set).
 */
struct redisContext *redis_connect(const struct redis_url *url, int timeout_ms, char *error,
                                   size_t error_size);

#endif
