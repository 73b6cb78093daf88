/*
 * Sentinels publish +switch-master, but a subscription leaves a gap between the answer to the question and the
 * moment it holds, in which a fail-over is missed for good; and a connection that is subscribed cannot ask. A
 * question each second on a connection that stays open has no gap, finds a silent Sentinel by the way, and costs
 * a Sentinel next to nothing.
 *
 * The link is an ordinary conn, with its look-ups, AUTH and TLS. It must not be freed from within its own
 * callbacks, so those only set the state MOVING, and the timer, which has one duty per state, does the rest.
 */
#include "queue/sentinel.h"

#include <errno.h>
#include <event2/event.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue/conn.h"
#include "queue/redis_url.h"

#define REASON_SIZE 160

enum state {        /* and what the timer does in it */
  SENTINEL_IDLE,    /* never asked: nothing */
  SENTINEL_LINKING, /* gives up on this Sentinel */
  SENTINEL_ASKED,   /* the same */
  SENTINEL_LINKED,  /* asks again */
  SENTINEL_MOVING,  /* goes to the next one, at once */
  SENTINEL_PAUSED,  /* all failed: begins again */
};

struct sentinel {
  struct sentinel_options options;
  struct event *timer;
  struct conn *link;
  enum state state;
  size_t current;
  size_t failures; /* in a row, in this round */
  bool wanted;     /* sentinel_ask() waits for its answer */
  char reasons[REDIS_URL_SENTINELS_MAX][REASON_SIZE];
};

/* ---- answers ---- */

int sentinel_read_answer(const struct redisReply *reply, const char *master_name, char *host, int *port,
                         char *why, size_t why_size) {
  if (reply->type == REDIS_REPLY_ERROR) {
    snprintf(why, why_size, "%s%s", reply->str,
             strstr(reply->str, "unknown command") ? " (is it a Sentinel?)" : "");
    return -EPROTO;
  }
  if (reply->type == REDIS_REPLY_NIL) {
    snprintf(why, why_size, "it knows no master named \"%s\"", master_name);
    return -ENOENT;
  }
  const struct redisReply *address =
      reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 ? reply->element[0] : NULL;
  const struct redisReply *number = address ? reply->element[1] : NULL;
  const bool texts = address && address->type == REDIS_REPLY_STRING && number->type == REDIS_REPLY_STRING;
  const long n = texts ? strtol(number->str, NULL, 10) : 0;
  if (!texts || address->len == 0 || address->len >= SENTINEL_HOST_SIZE || n < 1 || n > 65535) {
    snprintf(why, why_size, "its answer is no address and port");
    return -EPROTO;
  }
  snprintf(host, SENTINEL_HOST_SIZE, "%s", address->str);
  *port = (int)n;
  return 0;
}

int sentinel_read_role(const struct redisReply *reply, char *why, size_t why_size) {
  if (reply->type == REDIS_REPLY_ERROR) {
    const bool forbidden = strncmp(reply->str, "NOPERM", 6) == 0;
    snprintf(why, why_size, "%s%s", reply->str,
             forbidden ? "; a user of Sentinel addresses needs it: ACL SETUSER <user> +role" : "");
    return forbidden ? -EPERM : -EPROTO;
  }
  const struct redisReply *role =
      reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 ? reply->element[0] : NULL;
  if (!role || role->type != REDIS_REPLY_STRING) {
    snprintf(why, why_size, "its answer to ROLE is no role");
    return -EPROTO;
  }
  if (strcmp(role->str, "master") == 0) return 0;
  snprintf(why, why_size,
           "it is no primary (ROLE says %.20s); its Sentinel is behind, or a fail-over is under way",
           role->str);
  return -EROFS;
}

/* ---- one Sentinel after the other ---- */

static void set_state(struct sentinel *sentinel, enum state state, int64_t in_ms) {
  const struct timeval in = {.tv_sec = in_ms / 1000, .tv_usec = in_ms % 1000 * 1000};
  sentinel->state = state;
  event_add(sentinel->timer, &in);
}

static const struct redis_url *current_url(const struct sentinel *sentinel) {
  return &sentinel->options.url->sentinels[sentinel->current];
}

static void fail_current(struct sentinel *sentinel, const char *why) {
  if (sentinel->state == SENTINEL_MOVING || sentinel->state == SENTINEL_PAUSED) return;
  snprintf(sentinel->reasons[sentinel->current], REASON_SIZE, "%s", why);
  sentinel->failures++;
  set_state(sentinel, SENTINEL_MOVING, 0);
}

static void on_answer(void *ctx, const struct redisReply *reply) {
  struct sentinel *sentinel = ctx;
  char host[SENTINEL_HOST_SIZE], why[REASON_SIZE];
  int port;
  if (!reply) return; /* on_down() has the reason */
  if (sentinel_read_answer(reply, sentinel->options.url->master_name, host, &port, why, sizeof why) < 0) {
    fail_current(sentinel, why);
    return;
  }
  if (sentinel->state != SENTINEL_ASKED) return;
  sentinel->failures = 0;
  sentinel->wanted = false;
  set_state(sentinel, SENTINEL_LINKED, SENTINEL_POLL_MS);
  sentinel->options.found(sentinel->options.ctx, host, port, current_url(sentinel)->display);
}

static void ask_current(struct sentinel *sentinel) {
  const char *argv[] = {"SENTINEL", "GET-MASTER-ADDR-BY-NAME", sentinel->options.url->master_name};
  set_state(sentinel, SENTINEL_ASKED, SENTINEL_TIMEOUT_MS);
  const int r = conn_send(sentinel->link, ROUND_TRIP_SENTINEL, CONN_COMMAND_TIMEOUT_MS, 3, argv, NULL,
                          on_answer, sentinel);
  if (r < 0) fail_current(sentinel, strerror(-r));
}

static void on_up(void *ctx) {
  struct sentinel *sentinel = ctx;
  if (sentinel->state == SENTINEL_LINKING) ask_current(sentinel);
}

static void on_down(void *ctx, const char *why) {
  fail_current(ctx, why);
}

static void link_current(struct sentinel *sentinel) {
  const struct conn_options options = {.base = sentinel->options.base,
                                       .url = current_url(sentinel),
                                       .name = sentinel->options.name,
                                       .ctx = sentinel,
                                       .up = on_up,
                                       .down = on_down};
  conn_free(sentinel->link);
  sentinel->link = NULL;
  set_state(sentinel, SENTINEL_LINKING, SENTINEL_TIMEOUT_MS);
  if (conn_new(&options, &sentinel->link) < 0) fail_current(sentinel, "out of memory");
}

static void give_up(struct sentinel *sentinel) {
  const struct redis_url *url = sentinel->options.url;
  char why[1024];
  size_t len =
      (size_t)snprintf(why, sizeof why, "no Sentinel names the primary of \"%s\": ", url->master_name);
  for (size_t i = 0; i < url->sentinel_count && len < sizeof why; i++)
    len += (size_t)snprintf(why + len, sizeof why - len, "%s%s: %s", i ? "; " : "", url->sentinels[i].display,
                            sentinel->reasons[i]);
  conn_free(sentinel->link);
  sentinel->link = NULL;
  sentinel->failures = 0;
  set_state(sentinel, SENTINEL_PAUSED, SENTINEL_POLL_MS);
  if (!sentinel->wanted) return;
  sentinel->wanted = false;
  sentinel->options.failed(sentinel->options.ctx, why);
}

static void move_on(struct sentinel *sentinel) {
  const size_t count = sentinel->options.url->sentinel_count;
  sentinel->current = (sentinel->current + 1) % count;
  if (sentinel->failures >= count)
    give_up(sentinel);
  else
    link_current(sentinel);
}

static void on_timer(evutil_socket_t fd, short events, void *ctx) {
  struct sentinel *sentinel = ctx;
  char why[REASON_SIZE];
  (void)fd;
  (void)events;
  switch (sentinel->state) {
  case SENTINEL_IDLE: break;
  case SENTINEL_LINKING:
  case SENTINEL_ASKED:
    snprintf(why, sizeof why, "no answer within %d ms", SENTINEL_TIMEOUT_MS);
    fail_current(sentinel, why);
    break;
  case SENTINEL_LINKED: ask_current(sentinel); break;
  case SENTINEL_MOVING: move_on(sentinel); break;
  case SENTINEL_PAUSED: link_current(sentinel); break;
  }
}

void sentinel_ask(struct sentinel *sentinel, bool another) {
  sentinel->wanted = true;
  switch (sentinel->state) {
  case SENTINEL_LINKED:
    if (another && sentinel->options.url->sentinel_count > 1)
      set_state(sentinel, SENTINEL_MOVING, 0);
    else
      ask_current(sentinel);
    break;
  case SENTINEL_IDLE:
  case SENTINEL_PAUSED: link_current(sentinel); break;
  case SENTINEL_LINKING:
  case SENTINEL_ASKED:
  case SENTINEL_MOVING: break; /* the answer comes */
  }
}

/* ---- life ---- */

int sentinel_new(const struct sentinel_options *options, struct sentinel **out) {
  struct sentinel *sentinel = calloc(1, sizeof *sentinel);
  if (!sentinel) return -ENOMEM;
  sentinel->options = *options;
  sentinel->timer = evtimer_new(options->base, on_timer, sentinel);
  if (!sentinel->timer) {
    free(sentinel);
    return -ENOMEM;
  }
  *out = sentinel;
  return 0;
}

void sentinel_free(struct sentinel *sentinel) {
  if (!sentinel) return;
  conn_free(sentinel->link);
  event_free(sentinel->timer);
  free(sentinel);
}
