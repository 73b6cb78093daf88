/*
 * hiredis frees a connection by itself on some paths (errors) and not on others (our timeouts), and calls
 * back late when it is freed from within a callback. So the commands under way are kept in a list here, and
 * forget() is the only way out: it cuts the ties to hiredis first, reports each command once, and then lets
 * hiredis do as it likes: the requests that it still holds have no connection any more.
 *
 * One timer does it all, since a state has one deadline: the end of the backoff, of the attempt to connect,
 * or of the oldest command (replies come in order); a subscriber's next sign of life. The Sentinels' part keeps
 * its own time.
 *
 * What arrives on a subscribed connection answers no command in particular, so it does not go through the list:
 * hiredis calls on_pushed() for each, and the connection is found through the context, which forget() cuts as
 * well. A subscriber's question is SUBSCRIBE once more, not PING: its answer looks like any other there, while
 * hiredis 0.14 takes the answer to a PING for a message of a channel that it does not know.
 */
#include "queue/conn.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/util.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "queue/redis_events.h"
#include "queue/redis_tls.h"
#include "queue/redis_url.h"
#include "queue/resolve.h"
#include "queue/sentinel.h"

#define CONNECT_TIMEOUT_MS 5000
#define BACKOFF_MIN_MS 50
#define BACKOFF_MAX_MS 5000
#define KEEPALIVE_IDLE_S 15
#define UNACKNOWLEDGED_MAX_MS 10000
#define SUBSCRIBER_PING_MS 5000

enum conn_state {
  CONN_WAITING,
  CONN_ASKING, /* the Sentinels; they keep the time */
  CONN_RESOLVING,
  CONN_CONNECTING,
  CONN_UP
};

struct request {
  struct conn *conn; /* NULL: reported as lost; hiredis still points here */
  enum round_trip which;
  conn_reply_fn fn;
  void *ctx;
  int64_t deadline_ms;
  struct request *next;
};

struct conn {
  struct conn_options options;
  char *name;
  enum conn_state state;
  struct redisAsyncContext *redis;
  struct event *timer;
  struct resolve *resolve;
  struct resolve_addresses addresses;
  size_t next_address;
  struct request *oldest, *newest;
  uint32_t backoff_ms;
  int64_t client_id;

  struct redis_url target;   /* options.url, but for the host and port of the primary that a Sentinel named */
  struct sentinel *sentinel; /* NULL: a direct address */
  bool doubted;              /* what the Sentinel said last led nowhere */
  char primary[SENTINEL_HOST_SIZE];
  char informant[SENTINEL_HOST_SIZE + 32];

  size_t confirmed;  /* channels */
  bool life_awaited; /* a subscriber's question is under way */
};

static void begin(struct conn *conn);
static void connect_next(struct conn *conn);
static void ask_for_life(struct conn *conn);

int64_t conn_now_ms(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---- the timer ---- */

static void arm(struct conn *conn, int64_t at_ms) {
  int64_t in_ms = at_ms - conn_now_ms();
  if (in_ms < 0) in_ms = 0;
  const struct timeval in = {.tv_sec = in_ms / 1000, .tv_usec = in_ms % 1000 * 1000};
  event_add(conn->timer, &in);
}

static void arm_for_oldest(struct conn *conn) {
  if (conn->state != CONN_UP) return; /* the attempt's own deadline stands */
  if (conn->oldest)
    arm(conn, conn->oldest->deadline_ms);
  else
    event_del(conn->timer);
}

static uint32_t jittered(uint32_t ms) {
  uint32_t noise;
  evutil_secure_rng_get_bytes(&noise, sizeof noise);
  return ms / 2 + noise % (ms + 1);
}

/* ---- losing a connection ---- */

static void release_redis(struct conn *conn, bool hiredis_frees) {
  struct redisAsyncContext *redis = conn->redis;
  conn->redis = NULL;
  if (!redis) return;
  redis->data = NULL;
  if (!hiredis_frees) redisAsyncFree(redis);
}

static void forget(struct conn *conn, bool hiredis_frees) {
  struct request *request = conn->oldest;
  conn->oldest = conn->newest = NULL;
  conn->client_id = 0;
  conn->confirmed = 0;
  conn->life_awaited = false;
  for (struct request *r = request; r; r = r->next)
    r->conn = NULL;
  while (request) {
    struct request *next = request->next; /* hiredis may free it below, never before */
    request->fn(request->ctx, NULL);
    request = next;
  }
  release_redis(conn, hiredis_frees);
  if (conn->resolve) resolve_cancel(conn->resolve);
  conn->resolve = NULL;
}

/* `why` in full; it may be inside hiredis' connection, which is about to go. */
static void describe(const struct conn *conn, const char *why, char *reason, size_t size) {
  /* What hiredis makes of a handshake that fails later than at its first step. */
  if (conn->target.tls && conn->state == CONN_CONNECTING && why && strcmp(why, "Success") == 0)
    why = "the TLS handshake failed; is it a TLS port, and its certificate known here (SSL_CERT_FILE)?";
  if (!why || !*why) why = "connection lost";
  if (conn->sentinel && conn->state > CONN_ASKING)
    snprintf(reason, size,
             strchr(conn->primary, ':') ? "primary [%s]:%d (named by %s): %s"
                                        : "primary %s:%d (named by %s): %s",
             conn->primary, conn->target.port, conn->informant, why);
  else
    snprintf(reason, size, "%s", why);
}

static void wait_to_retry(struct conn *conn) {
  arm(conn, conn_now_ms() + jittered(conn->backoff_ms));
  conn->backoff_ms = conn->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : conn->backoff_ms * 2;
}

static void lose(struct conn *conn, const char *why, bool hiredis_frees) {
  char reason[1024];
  const bool more_addresses = conn->state == CONN_CONNECTING && conn->next_address < conn->addresses.count;
  if (conn->state == CONN_WAITING) return;
  describe(conn, why, reason, sizeof reason);
  if (conn->state > CONN_ASKING) conn->doubted = true;
  conn->state = CONN_WAITING;
  forget(conn, hiredis_frees);
  if (more_addresses) {
    connect_next(conn);
    return;
  }
  wait_to_retry(conn);
  conn->options.down(conn->options.ctx, reason);
}

void conn_drop(struct conn *conn, const char *why) {
  lose(conn, why, false);
}

void conn_reset_backoff(struct conn *conn) {
  conn->backoff_ms = BACKOFF_MIN_MS;
}

static void on_timer(evutil_socket_t fd, short events, void *ctx) {
  struct conn *conn = ctx;
  (void)fd;
  (void)events;
  if (conn->state == CONN_WAITING)
    begin(conn);
  else if (conn->state == CONN_UP && conn->options.channel_count && !conn->life_awaited)
    ask_for_life(conn);
  else
    conn_drop(conn, conn->state == CONN_UP ? "a command was not answered in time" : "connecting timed out");
}

/* ---- commands ---- */

static void on_reply(struct redisAsyncContext *redis, void *reply, void *privdata) {
  struct request *request = privdata;
  struct conn *conn = request->conn;
  if (reply) round_trip_point(request->which, true);
  if (conn && !reply) {
    lose(conn, redis->errstr, true); /* hiredis is tearing down; reports this request with the rest */
  } else if (conn) {
    assert(conn->oldest == request);
    conn->oldest = request->next;
    if (!conn->oldest) conn->newest = NULL;
    arm_for_oldest(conn);
    request->fn(request->ctx, reply);
  }
  free(request);
}

static int send_now(struct conn *conn, enum round_trip which, uint32_t timeout_ms, int argc,
                    const char **argv, const size_t *argv_len, conn_reply_fn fn, void *ctx) {
  struct request *request = malloc(sizeof *request);
  if (!request) return -ENOMEM;
  *request = (struct request){
      .conn = conn, .which = which, .fn = fn, .ctx = ctx, .deadline_ms = conn_now_ms() + timeout_ms};
  round_trip_point(which, false);
  if (redisAsyncCommandArgv(conn->redis, on_reply, request, argc, argv, argv_len) != REDIS_OK) {
    free(request);
    return -ENOTCONN;
  }
  if (conn->newest)
    conn->newest->next = request;
  else
    conn->oldest = request;
  conn->newest = request;
  if (conn->oldest == request) arm_for_oldest(conn);
  return 0;
}

int conn_send(struct conn *conn, enum round_trip which, uint32_t timeout_ms, int argc, const char **argv,
              const size_t *argv_len, conn_reply_fn fn, void *ctx) {
  if (conn->options.channel_count) return -EINVAL;
  if (conn->state != CONN_UP) return -ENOTCONN;
  return send_now(conn, which, timeout_ms, argc, argv, argv_len, fn, ctx);
}

/* ---- a subscriber ---- */

static void on_confirmed(struct conn *conn) {
  round_trip_point(ROUND_TRIP_SUBSCRIBE, true);
  arm(conn, conn_now_ms() + SUBSCRIBER_PING_MS);
  conn->life_awaited = false;
  if (conn->state == CONN_UP || ++conn->confirmed < conn->options.channel_count) return;
  conn->state = CONN_UP;
  conn->options.up(conn->options.ctx);
}

static void on_pushed(struct redisAsyncContext *redis, void *reply, void *privdata) {
  struct conn *conn = redis->data;
  const struct redisReply *pushed = reply;
  (void)privdata;
  if (!conn) return;
  if (!pushed) { /* hiredis is tearing down */
    lose(conn, redis->errstr, true);
    return;
  }
  if (pushed->type != REDIS_REPLY_ARRAY || pushed->elements != 3) return;
  struct redisReply *const *parts = pushed->element;
  if (parts[0]->type != REDIS_REPLY_STRING || parts[1]->type != REDIS_REPLY_STRING) return;
  if (strcmp(parts[0]->str, "subscribe") == 0)
    on_confirmed(conn);
  else if (strcmp(parts[0]->str, "message") == 0 && parts[2]->type == REDIS_REPLY_STRING)
    conn->options.message(conn->options.ctx, parts[1]->str, parts[2]->str, parts[2]->len);
}

static int subscribe(struct conn *conn, size_t channel_count) {
  const char **argv = calloc(channel_count + 1, sizeof *argv);
  if (!argv) return -ENOMEM;
  argv[0] = "SUBSCRIBE";
  for (size_t i = 0; i < channel_count; i++)
    argv[i + 1] = conn->options.channels[i];
  round_trip_point(ROUND_TRIP_SUBSCRIBE, false);
  const int r =
      redisAsyncCommandArgv(conn->redis, on_pushed, NULL, (int)channel_count + 1, argv, NULL) == REDIS_OK
          ? 0
          : -ENOTCONN;
  free(argv);
  return r;
}

/* A peer that is gone, or frozen, says nothing, and neither does one that has no message for us. */
static void ask_for_life(struct conn *conn) {
  conn->life_awaited = true;
  arm(conn, conn_now_ms() + SUBSCRIBER_PING_MS);
  if (subscribe(conn, 1) < 0) conn_drop(conn, "cannot ask for a sign of life");
}

/* ---- setting up ---- */

/* AUTH and SELECT must succeed. */
static void on_required(void *ctx, const struct redisReply *reply) {
  if (reply && reply->type == REDIS_REPLY_ERROR) conn_drop(ctx, reply->str);
}

static void on_role(void *ctx, const struct redisReply *reply) {
  char why[256];
  if (reply && sentinel_read_role(reply, why, sizeof why) < 0) conn_drop(ctx, why);
}

/* CLIENT is a convenience, and hosted servers may forbid it. */
static void on_client_name(void *ctx, const struct redisReply *reply) {
  (void)ctx;
  (void)reply;
}

static void on_client_id(void *ctx, const struct redisReply *reply) {
  struct conn *conn = ctx;
  if (reply && reply->type == REDIS_REPLY_INTEGER) conn->client_id = reply->integer;
}

static void on_ping(void *ctx, const struct redisReply *reply) {
  struct conn *conn = ctx;
  if (!reply) return;
  if (reply->type == REDIS_REPLY_ERROR) {
    conn_drop(conn, reply->str);
    return;
  }
  if (conn->options.channel_count) {
    if (subscribe(conn, conn->options.channel_count) < 0) conn_drop(conn, "cannot subscribe");
    return;
  }
  conn->state = CONN_UP;
  arm_for_oldest(conn);
  conn->options.up(conn->options.ctx);
}

static void set_up(struct conn *conn) {
  const struct redis_url *url = conn->options.url;
  char db[16];
  const char *auth[] = {"AUTH", url->user ? url->user : url->password, url->password};
  const char *select[] = {"SELECT", db}, *name[] = {"CLIENT", "SETNAME", conn->name},
             *id[] = {"CLIENT", "ID"}, *ping[] = {"PING"}, *role[] = {"ROLE"};
  int r = 0;
  snprintf(db, sizeof db, "%d", url->db);
  if (url->password)
    r = send_now(conn, ROUND_TRIP_AUTH, CONNECT_TIMEOUT_MS, url->user ? 3 : 2, auth, NULL, on_required, conn);
  if (r == 0 && url->db)
    r = send_now(conn, ROUND_TRIP_SELECT, CONNECT_TIMEOUT_MS, 2, select, NULL, on_required, conn);
  if (r == 0 && conn->sentinel)
    r = send_now(conn, ROUND_TRIP_ROLE, CONNECT_TIMEOUT_MS, 1, role, NULL, on_role, conn);
  if (r == 0)
    r = send_now(conn, ROUND_TRIP_CLIENT_SETNAME, CONNECT_TIMEOUT_MS, 3, name, NULL, on_client_name, conn);
  if (r == 0) r = send_now(conn, ROUND_TRIP_CLIENT_ID, CONNECT_TIMEOUT_MS, 2, id, NULL, on_client_id, conn);
  if (r == 0) r = send_now(conn, ROUND_TRIP_PING, CONNECT_TIMEOUT_MS, 1, ping, NULL, on_ping, conn);
  /* Within hiredis' connect callback the connection must not be freed; the timer does it. */
  if (r < 0) arm(conn, conn_now_ms());
}

/* A peer that vanished without a word must be noticed although we may be waiting for minutes. */
static void set_socket_options(int fd) {
  const int on = 1, idle = KEEPALIVE_IDLE_S, interval = 5, count = 3, unacknowledged = UNACKNOWLEDGED_MAX_MS;
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
  setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacknowledged, sizeof unacknowledged);
}

static void on_connected(const struct redisAsyncContext *redis, int status) {
  struct conn *conn = redis->data;
  if (!conn) return;
  if (status != REDIS_OK) {
    lose(conn, redis->errstr, true); /* hiredis frees it after this callback */
    return;
  }
  if (!conn->target.is_unix) set_socket_options(redis->c.fd);
  set_up(conn);
}

static void on_disconnected(const struct redisAsyncContext *redis, int status) {
  struct conn *conn = redis->data;
  if (conn) lose(conn, status == REDIS_OK ? "disconnected" : redis->errstr, true);
}

static void connect_to(struct conn *conn, struct redisAsyncContext *redis) {
  char why[256];
  conn->redis = redis;
  if (!redis) {
    conn_drop(conn, "out of memory");
    return;
  }
  redis->data = conn;
  if (redis->err) {
    conn_drop(conn, redis->errstr);
    return;
  }
  if (conn->target.tls && redis_tls_start(&redis->c, &conn->target, why, sizeof why) < 0) {
    conn_drop(conn, why);
    return;
  }
  if (redis_events_attach(redis, conn->options.base) < 0 ||
      redisAsyncSetConnectCallback(redis, on_connected) != REDIS_OK ||
      redisAsyncSetDisconnectCallback(redis, on_disconnected) != REDIS_OK)
    conn_drop(conn, "cannot watch the connection");
}

static void connect_next(struct conn *conn) {
  const char *address = conn->addresses.text[conn->next_address++];
  conn->state = CONN_CONNECTING;
  arm(conn, conn_now_ms() + CONNECT_TIMEOUT_MS);
  connect_to(conn, redisAsyncConnect(address, conn->target.port));
}

static void on_resolved(void *ctx, const struct resolve_addresses *addresses, const char *why) {
  struct conn *conn = ctx;
  conn->resolve = NULL;
  if (why) {
    conn_drop(conn, why);
    return;
  }
  conn->addresses = *addresses;
  conn->next_address = 0;
  connect_next(conn);
}

static void look_up(struct conn *conn) {
  struct resolve *resolve;
  conn->state = CONN_RESOLVING;
  arm(conn, conn_now_ms() + CONNECT_TIMEOUT_MS);
  const int r = resolve_start(conn->options.base, conn->target.host, on_resolved, conn, &resolve);
  if (r < 0)
    conn_drop(conn, strerror(-r));
  else if (resolve)
    conn->resolve = resolve;
}

/* ---- Sentinels ---- */

static void on_found(void *ctx, const char *host, int port, const char *who) {
  struct conn *conn = ctx;
  char why[SENTINEL_HOST_SIZE + 64];
  const bool same = strcmp(host, conn->primary) == 0 && port == conn->target.port;
  if (conn->state == CONN_ASKING) {
    snprintf(conn->primary, sizeof conn->primary, "%s", host);
    snprintf(conn->informant, sizeof conn->informant, "%s", who);
    conn->target.port = port;
    look_up(conn);
    return;
  }
  if (same) return;
  snprintf(why, sizeof why,
           strchr(host, ':') ? "%s now names [%s]:%d: a fail-over" : "%s now names %s:%d: a fail-over", who,
           host, port);
  conn->backoff_ms = BACKOFF_MIN_MS;
  conn_drop(conn, why);
  /* The same Sentinel is asked again, at once. */
  conn->doubted = false;
  arm(conn, conn_now_ms());
}

static void on_none_found(void *ctx, const char *why) {
  struct conn *conn = ctx;
  if (conn->state == CONN_ASKING) conn_drop(conn, why);
}

static int sentinel_init(struct conn *conn) {
  const struct sentinel_options options = {.base = conn->options.base,
                                           .url = conn->options.url,
                                           .name = conn->name,
                                           .ctx = conn,
                                           .found = on_found,
                                           .failed = on_none_found};
  conn->target.host = conn->primary;
  return sentinel_new(&options, &conn->sentinel);
}

static void begin(struct conn *conn) {
  if (conn->sentinel) {
    const bool another = conn->doubted;
    conn->state = CONN_ASKING;
    conn->doubted = false;
    sentinel_ask(conn->sentinel, another);
  } else if (conn->target.is_unix) {
    conn->state = CONN_CONNECTING;
    arm(conn, conn_now_ms() + CONNECT_TIMEOUT_MS);
    connect_to(conn, redisAsyncConnectUnix(conn->target.host));
  } else {
    look_up(conn);
  }
}

/* ---- life ---- */

int conn_new(const struct conn_options *options, struct conn **out) {
  struct conn *conn = calloc(1, sizeof *conn);
  if (!conn) return -ENOMEM;
  conn->options = *options;
  conn->state = CONN_WAITING;
  conn->backoff_ms = BACKOFF_MIN_MS;
  conn->target = *options->url; /* what it points to is options->url's own */
  conn->name = strdup(options->name);
  conn->timer = evtimer_new(options->base, on_timer, conn);
  if (!conn->name || !conn->timer || (options->url->master_name && sentinel_init(conn) < 0)) {
    conn_free(conn);
    return -ENOMEM;
  }
  arm(conn, conn_now_ms()); /* from the loop, so that no callback comes before the caller has its pointer */
  *out = conn;
  return 0;
}

void conn_free(struct conn *conn) {
  if (!conn) return;
  conn->state = CONN_WAITING;
  for (struct request *request = conn->oldest; request; request = request->next)
    request->conn = NULL;
  release_redis(conn, false);
  if (conn->resolve) resolve_cancel(conn->resolve);
  sentinel_free(conn->sentinel);
  if (conn->timer) event_free(conn->timer);
  free(conn->name);
  free(conn);
}

bool conn_is_up(const struct conn *conn) {
  return conn->state == CONN_UP;
}

int64_t conn_client_id(const struct conn *conn) {
  return conn->client_id;
}
