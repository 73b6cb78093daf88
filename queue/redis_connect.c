/*
 * The commands' connection: one program run, one question, so it blocks, and a failure ends in a message that
 * says what to do. The worker's connections are conn.c.
 */
#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <string.h>

#include "queue/redis_tls.h"
#include "queue/redis_url.h"

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

/* True when the reply is no error; frees it. */
static bool accepted(redisContext *c, redisReply *reply, const struct redis_url *url, char *error,
                     size_t size) {
  bool ok = reply && reply->type != REDIS_REPLY_ERROR;
  if (!reply)
    snprintf(error, size, "%s does not answer: %s. Is it a Redis server? Check --redis or ISOQ_REDIS_URL",
             url->display,
             c->err == REDIS_ERR_IO && (errno == EAGAIN || errno == EWOULDBLOCK) ? "timed out" : c->errstr);
  else if (!ok)
    snprintf(error, size, "%s refuses: %s; %s", url->display, reply->str, advice(reply->str));
  if (reply) freeReplyObject(reply);
  return ok;
}

static bool set_up(redisContext *c, const struct redis_url *url, char *error, size_t size) {
  if (url->password) {
    redisReply *reply = url->user ? redisCommand(c, "AUTH %s %s", url->user, url->password)
                                  : redisCommand(c, "AUTH %s", url->password);
    if (!accepted(c, reply, url, error, size)) return false;
  }
  if (url->db && !accepted(c, redisCommand(c, "SELECT %d", url->db), url, error, size)) return false;
  return accepted(c, redisCommand(c, "PING"), url, error, size);
}

redisContext *redis_connect(const struct redis_url *url, int timeout_ms, char *error, size_t error_size) {
  const struct timeval timeout = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
  redisContext *c = open_socket(url, timeout);
  if (!c) {
    snprintf(error, error_size, "out of memory");
    return NULL;
  }
  if (c->err || redisSetTimeout(c, timeout) != REDIS_OK) {
    snprintf(error, error_size,
             "cannot connect to %s: %s. Start a server (redis-server), or name another with --redis URL or "
             "ISOQ_REDIS_URL",
             url->display, c->errstr);
    goto fail;
  }
  if (url->tls && redis_tls_start(c, url, error, error_size) < 0) goto fail;
  if (!set_up(c, url, error, error_size)) goto fail;
  return c;
fail:
  redisFree(c);
  return NULL;
}
