/*
 * A real, private redis-server for one test: in a temporary directory, on a unix socket and a free TCP port,
 * gone with the test.
 *
 * Nothing is mocked: what the queue does in an outage is only worth testing against the server's own
 * behaviour. A server is ready when it answers PING; nobody sleeps for a guess. Only the pid started here is
 * ever signalled, and the kernel kills it should the test die first.
 */
#ifndef ISOQ_TESTS_REDIS_SERVER_H
#define ISOQ_TESTS_REDIS_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct redisContext;

struct redis_server {
  pid_t pid; /* 0: not running */
  int port;
  char dir[64];
  char socket_path[96];
  char unix_url[128]; /* unix:///…/redis.sock */
  char tcp_url[64];   /* redis://127.0.0.1:PORT/0 */
  const char *const *args;
  bool is_sentinel;
};

/*
 * Starts a server and waits until it answers. `args`: further redis-server options ("--appendonly", "yes",
 * …), NULL at the end; NULL for none; borrowed, used again by redis_server_restart(). 0 or a negative errno,
 * with a line on stderr.
 */
int redis_server_start(struct redis_server *server, const char *const *args);

/*
 * Starts a Sentinel (redis-server --sentinel) that watches `primary` under the name "primary" with this quorum,
 * takes half a second's silence for its death, and fails over at once. tcp_url is of no use, port is. `config`:
 * further lines for its configuration, NULL for none.
 */
int redis_sentinel_start(struct redis_server *sentinel, const struct redis_server *primary, int quorum,
                         const char *config);

/* SIGKILL, and waits for the end: an outage. The directory and the port stay. */
void redis_server_kill(struct redis_server *server);

/* Starts a killed server again, same directory, port and options, and waits until it answers. */
int redis_server_restart(struct redis_server *server);

/* SIGSTOP: the connections stay and nothing answers. SIGCONT ends it. */
void redis_server_freeze(struct redis_server *server);
void redis_server_thaw(struct redis_server *server);

/* Kills the server and removes its directory. Harmless for one that never started (zeroed). */
void redis_server_end(struct redis_server *server);

/* A blocking connection over the unix socket; NULL when there is none. redisFree() it. */
struct redisContext *redis_server_connect(const struct redis_server *server);

#endif
