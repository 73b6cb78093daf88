/*
 * The commands' connection: one program run, one question, so it blocks, and a failure ends in a message that
 * says what to do. The worker's connections are conn.c.
 *
 * During a fail-over a Sentinel still names the primary that died, or one that is not promoted yet. That passes,
 * so the Sentinels are asked again while there is time. That no Sentinel answers, or that a password is wrong,
 * does not, and is said at once.
 */
#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "queue/redis_tls.h"
#include "queue/redis_url.h"
#include "queue/sentinel.h"

#define ASK_AGAIN_MS 200

static redisContext *open_socket(const struct redis_url *url, struct timeval timeout) {
  return url->is_unix ? redisConnectUnixWithTimeout(url->host, timeout)
                      : redisConnectWithTimeout(url->host, url->port, timeout);
}

static const char *advice(const char *reply) {
  if (strncmp(reply, "NOAUTH", 6) == 0) return "give the password in the URL: redis://:PASSWORD@host:6379/0";
  if (strncmp(reply, "WRONGPASS", 9) == 0 || strstr(reply, "AUTH"))
    return "check the user and password in the URL: redis://USER:PASSWORD@host:6379/0";
  if (strncmp(reply, "LOADING", 7) == 0) return "the server is reading its data; try again in a moment";
  if (strncmp(reply, "MASTERDOWN", 10) == 0)
    return "this is a replica without its master; connect to the master";
  if (strstr(reply, "DB index")) return "choose a database that the server has: redis://host:6379/0";
  return "try the same with redis-cli";
}

/* errno is that of the read that failed. */
static const char *why_no_answer(const redisContext *c) {
  const bool late = c->err == REDIS_ERR_IO && (errno == EAGAIN || errno == EWOULDBLOCK);
  return late ? "timed out" : c->errstr;
}

/* 0 when the reply is no error, -EAGAIN for a trouble that passes by itself, -EACCES for one that does not; frees
 * the reply. */
static int accept_reply(redisContext *c, redisReply *reply, const struct redis_url *url, char *error,
                        size_t size) {
  int r = 0;
  if (!reply) {
    snprintf(error, size, "%s does not answer: %s. Is it a Redis server? Check --redis or ISOQ_REDIS_URL",
             url->display, why_no_answer(c));
    return -EAGAIN;
  }
  if (reply->type == REDIS_REPLY_ERROR) {
    snprintf(error, size, "%s refuses: %s; %s", url->display, reply->str, advice(reply->str));
    r = strncmp(reply->str, "LOADING", 7) == 0 || strncmp(reply->str, "MASTERDOWN", 10) == 0 ? -EAGAIN
                                                                                             : -EACCES;
  }
  freeReplyObject(reply);
  return r;
}

static int check_primary(redisContext *c, const struct redis_url *url, char *error, size_t size) {
  char why[256];
  redisReply *reply = redisCommand(c, "ROLE");
  if (!reply) return accept_reply(c, reply, url, error, size);
  const int r = sentinel_read_role(reply, why, sizeof why);
  if (r < 0) snprintf(error, size, "%s: %s:%d: %s", url->display, url->host, url->port, why);
  freeReplyObject(reply);
  return r == 0 ? 0 : r == -EPERM ? -EACCES : -EAGAIN;
}

static int log_in(redisContext *c, const struct redis_url *url, char *error, size_t size) {
  if (!url->password) return 0;
  redisReply *reply = url->user ? redisCommand(c, "AUTH %s %s", url->user, url->password)
                                : redisCommand(c, "AUTH %s", url->password);
  return accept_reply(c, reply, url, error, size);
}

static int set_up(redisContext *c, const struct redis_url *url, char *error, size_t size) {
  int r = log_in(c, url, error, size);
  if (r == 0 && url->db) r = accept_reply(c, redisCommand(c, "SELECT %d", url->db), url, error, size);
  if (r == 0 && url->master_name) r = check_primary(c, url, error, size);
  return r == 0 ? accept_reply(c, redisCommand(c, "PING"), url, error, size) : r;
}

static struct timeval timeval_of(int timeout_ms) {
  return (struct timeval){.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
}

/* A connection, with TLS where wanted, and the limit for each command. 0, -EAGAIN or -EACCES with a message. */
static int open_to(const struct redis_url *url, int timeout_ms, redisContext **out, char *error,
                   size_t size) {
  const struct timeval timeout = timeval_of(timeout_ms);
  int r = -EAGAIN;
  redisContext *c = open_socket(url, timeout);
  if (!c) {
    snprintf(error, size, "out of memory");
    return -EACCES;
  }
  if (c->err || redisSetTimeout(c, timeout) != REDIS_OK)
    snprintf(error, size, "%s", c->errstr);
  else if (url->tls && redis_tls_start(c, url, error, size) < 0)
    r = -EACCES;
  else
    r = 0;
  if (r == 0)
    *out = c;
  else
    redisFree(c);
  return r;
}

static redisContext *connect_direct(const struct redis_url *url, int timeout_ms, char *error,
                                    size_t error_size) {
  char why[512];
  redisContext *c = NULL;
  const int r = open_to(url, timeout_ms, &c, why, sizeof why);
  if (r == -EACCES)
    snprintf(error, error_size, "%s", why);
  else if (r < 0)
    snprintf(error, error_size,
             "cannot connect to %s: %s. Start a server (redis-server), or name another with --redis URL or "
             "ISOQ_REDIS_URL",
             url->display, why);
  if (r < 0) return NULL;
  if (set_up(c, url, error, error_size) == 0) return c;
  redisFree(c);
  return NULL;
}

/* ---- through Sentinels ---- */

static int64_t now_ms(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* One step may take this long. At least 1: hiredis takes 0 for no limit. */
static int step_ms(int64_t deadline_ms) {
  const int64_t left_ms = deadline_ms - now_ms();
  return left_ms < 1 ? 1 : left_ms < SENTINEL_TIMEOUT_MS ? (int)left_ms : SENTINEL_TIMEOUT_MS;
}

/* One Sentinel's word. 0 or negative with why. */
static int ask_sentinel(const struct redis_url *sentinel, const char *master_name, int64_t deadline_ms,
                        char *host, int *port, char *why, size_t why_size) {
  redisContext *c;
  redisReply *reply = NULL;
  int r = open_to(sentinel, step_ms(deadline_ms), &c, why, why_size);
  if (r < 0) return r;
  r = -EAGAIN;
  if (sentinel->password)
    reply = sentinel->user ? redisCommand(c, "AUTH %s %s", sentinel->user, sentinel->password)
                           : redisCommand(c, "AUTH %s", sentinel->password);
  if (reply && reply->type == REDIS_REPLY_ERROR) {
    snprintf(why, why_size, "%s (sentinel_user and sentinel_password of the URL)", reply->str);
    goto out;
  }
  if (reply) freeReplyObject(reply);
  reply = c->err ? NULL : redisCommand(c, "SENTINEL GET-MASTER-ADDR-BY-NAME %s", master_name);
  if (reply)
    r = sentinel_read_answer(reply, master_name, host, port, why, why_size);
  else
    snprintf(why, why_size, "%s", why_no_answer(c));
out:
  if (reply) freeReplyObject(reply);
  redisFree(c);
  return r;
}

/* Connects to the primary at `host`. 0, -EAGAIN or -EACCES with a message. */
static int try_primary(const struct redis_url *url, char *host, int port, int64_t deadline_ms,
                       redisContext **out, char *error, size_t error_size) {
  struct redis_url primary = *url; /* shares what it points to */
  char why[256];
  primary.host = host;
  primary.port = port;
  int r = open_to(&primary, step_ms(deadline_ms), out, why, sizeof why);
  if (r < 0) {
    snprintf(error, error_size, "%s: cannot connect to the primary %s:%d: %s", url->display, host, port, why);
    return r;
  }
  r = set_up(*out, &primary, error, error_size);
  if (r < 0) redisFree(*out);
  return r;
}

/*
 * Asks each Sentinel once. 0 with a connection; -EAGAIN when a primary was named, but is of no use yet; -EACCES when
 * asking again is of no use either.
 */
static int ask_round(const struct redis_url *url, int64_t deadline_ms, redisContext **out, char *error,
                     size_t error_size) {
  char host[SENTINEL_HOST_SIZE], why[256], none[1024];
  size_t len =
      (size_t)snprintf(none, sizeof none, "no Sentinel names the primary of \"%s\": ", url->master_name);
  bool named = false;
  for (size_t i = 0; i < url->sentinel_count; i++) {
    const struct redis_url *sentinel = &url->sentinels[i];
    int port, r = ask_sentinel(sentinel, url->master_name, deadline_ms, host, &port, why, sizeof why);
    if (r == 0) {
      named = true;
      r = try_primary(url, host, port, deadline_ms, out, error, error_size);
      if (r != -EAGAIN) return r;
    } else if (len < sizeof none) {
      len += (size_t)snprintf(none + len, sizeof none - len, "%s: %s; ", sentinel->display, why);
    }
  }
  if (named) return -EAGAIN;
  snprintf(error, error_size, "%scheck --redis or ISOQ_REDIS_URL", none);
  return -EACCES;
}

static redisContext *connect_through_sentinels(const struct redis_url *url, int timeout_ms, char *error,
                                               size_t error_size) {
  const struct timespec pause = {.tv_nsec = ASK_AGAIN_MS * 1000000L};
  const int64_t deadline_ms = now_ms() + timeout_ms;
  redisContext *c = NULL;
  int r = ask_round(url, deadline_ms, &c, error, error_size);
  while (r == -EAGAIN && now_ms() + ASK_AGAIN_MS < deadline_ms) {
    nanosleep(&pause, NULL);
    r = ask_round(url, deadline_ms, &c, error, error_size);
  }
  if (r < 0) return NULL;
  if (redisSetTimeout(c, timeval_of(timeout_ms)) == REDIS_OK) return c;
  snprintf(error, error_size, "%s: %s", url->display, c->errstr);
  redisFree(c);
  return NULL;
}

redisContext *redis_connect(const struct redis_url *url, int timeout_ms, char *error, size_t error_size) {
  return url->master_name ? connect_through_sentinels(url, timeout_ms, error, error_size)
                          : connect_direct(url, timeout_ms, error, error_size);
}
