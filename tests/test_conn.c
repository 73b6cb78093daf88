/*
 * Connections to a primary that the Sentinels name, and subscribers: against real servers and real Sentinels, with
 * real deaths. Where two servers disagree on who is primary, a test makes them so with Redis' own commands. Nothing
 * sleeps to synchronise: a test runs the loop until what it waits for is so, or fails at a deadline.
 */
#include <check.h>
#include <errno.h>
#include <event2/event.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue/conn.h"
#include "queue/redis_url.h"
#include "tests/support/redis_server.h"

#define DEADLINE_MS 60000
#define TICK_MS 10
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct redis_server primary, replica, sentinels[3];
static char primary_port[16];
static const char *replica_args[] = {"--replicaof", "127.0.0.1", primary_port, "--repl-diskless-sync-delay",
                                     "0",           NULL};

/* ---- servers ---- */

/* A server that is demoted cuts its clients off, so the question may have to be put again. */
static redisReply *ask(const struct redis_server *server, const char *format, ...) {
  redisReply *reply = NULL;
  for (int tries = 0; !reply && tries < 3; tries++) {
    va_list args;
    redisContext *c = redis_server_connect(server);
    ck_assert_ptr_nonnull(c);
    va_start(args, format);
    reply = redisvCommand(c, format, args);
    va_end(args);
    redisFree(c);
  }
  ck_assert_ptr_nonnull(reply);
  return reply;
}

static void order(const struct redis_server *server, const char *command) {
  redisReply *reply = ask(server, command);
  ck_assert_msg(reply->type != REDIS_REPLY_ERROR, "%s: %s", command, reply->str);
  freeReplyObject(reply);
}

static bool role_is(const struct redis_server *server, const char *role) {
  redisReply *reply = ask(server, "ROLE");
  const bool is = reply->type == REDIS_REPLY_ARRAY && strcmp(reply->element[0]->str, role) == 0;
  freeReplyObject(reply);
  return is;
}

static bool is_synchronised(const struct redis_server *server) {
  redisReply *reply = ask(server, "ROLE");
  const bool is = reply->elements == 5 && strcmp(reply->element[3]->str, "connected") == 0;
  freeReplyObject(reply);
  return is;
}

static bool has_client(const struct redis_server *server) {
  redisReply *clients = ask(server, "CLIENT LIST");
  const bool has = strstr(clients->str, "name=probe") != NULL;
  freeReplyObject(clients);
  return has;
}

static int subscribe_calls(const struct redis_server *server) {
  static const char word[] = "cmdstat_subscribe:calls=";
  redisReply *info = ask(server, "INFO commandstats");
  const char *calls = strstr(info->str, word);
  const int n = calls ? atoi(calls + strlen(word)) : 0;
  freeReplyObject(info);
  return n;
}

/* ---- a connection, and what it told ---- */

struct probe {
  struct redis_url url;
  struct conn *conn;
  unsigned ups, downs;
  char why[1024]; /* each down() so far, the newest last, as far as there is room */
  int port;       /* of the server, by its own word; 0: not told yet */
  bool lost;      /* a command was */
  char messages[256];
};

static struct event_base *base;

static void on_up(void *ctx) {
  struct probe *probe = ctx;
  probe->ups++;
}

static void on_down(void *ctx, const char *why) {
  struct probe *probe = ctx;
  const size_t len = strlen(probe->why);
  probe->downs++;
  snprintf(probe->why + len, sizeof probe->why - len, "%s\n", why);
}

static void on_message(void *ctx, const char *channel, const char *text, size_t len) {
  struct probe *probe = ctx;
  const size_t end = strlen(probe->messages);
  ck_assert_int_eq(text[len], '\0');
  snprintf(probe->messages + end, sizeof probe->messages - end, "%s=%s(%zu) ", channel, text, len);
}

static void on_tick(evutil_socket_t fd, short events, void *ctx) {
  (void)fd, (void)events, (void)ctx;
}

static void probe_start(struct probe *probe, const char *url, const char *const *channels, size_t count) {
  char error[256];
  memset(probe, 0, sizeof *probe);
  ck_assert_msg(redis_url_parse(url, &probe->url, error, sizeof error) == 0, "%s: %s", url, error);
  const struct conn_options options = {.base = base,
                                       .url = &probe->url,
                                       .name = "probe",
                                       .ctx = probe,
                                       .up = on_up,
                                       .down = on_down,
                                       .channels = channels,
                                       .channel_count = count,
                                       .message = on_message};
  ck_assert_int_eq(conn_new(&options, &probe->conn), 0);
}

static void probe_end(struct probe *probe) {
  conn_free(probe->conn);
  redis_url_free(&probe->url);
}

/* Runs the loop until `condition` holds, and fails at the deadline. */
#define RUN_UNTIL(probe, condition)                                                                          \
  do {                                                                                                       \
    const int64_t deadline_ms_ = conn_now_ms() + DEADLINE_MS;                                                \
    while (!(condition)) {                                                                                   \
      ck_assert_msg(conn_now_ms() < deadline_ms_, "never: %s\nups %u, downs %u:\n%s", #condition,            \
                    (probe)->ups, (probe)->downs, (probe)->why);                                             \
      event_base_loop(base, EVLOOP_ONCE);                                                                    \
    }                                                                                                        \
  } while (0)

static void on_port(void *ctx, const struct redisReply *reply) {
  struct probe *probe = ctx;
  if (!reply) return;
  ck_assert_int_eq(reply->type, REDIS_REPLY_ARRAY);
  probe->port = atoi(reply->element[1]->str);
}

/* Up, and on this server; asks until it is so. */
static bool is_on(struct probe *probe, const struct redis_server *server) {
  const char *argv[] = {"CONFIG", "GET", "port"};
  if (probe->port == server->port && conn_is_up(probe->conn)) return true;
  conn_send(probe->conn, ROUND_TRIP_PING, CONN_COMMAND_TIMEOUT_MS, 3, argv, NULL, on_port, probe);
  return false;
}

static void on_lost(void *ctx, const struct redisReply *reply) {
  struct probe *probe = ctx;
  ck_assert_ptr_null(reply);
  probe->lost = true;
}

static void block(struct probe *probe) {
  const char *argv[] = {"BLPOP", "nothing", "0"};
  ck_assert_int_eq(conn_send(probe->conn, ROUND_TRIP_BLMOVE, 10 * DEADLINE_MS, 3, argv, NULL, on_lost, probe),
                   0);
}

/* ---- the scene ---- */

static void set_up(void) {
  const struct timeval tick = {.tv_usec = TICK_MS * 1000};
  signal(SIGPIPE, SIG_IGN); /* as isoq does */
  base = event_base_new();
  struct event *ticker = event_new(base, -1, EV_PERSIST, on_tick, NULL);
  ck_assert_int_eq(event_add(ticker, &tick), 0);
  ck_assert_int_eq(redis_server_start(&primary, NULL), 0);
  snprintf(primary_port, sizeof primary_port, "%d", primary.port);
}

static void tear_down(void) {
  redis_server_end(&replica);
  redis_server_end(&primary);
  for (size_t i = 0; i < COUNT(sentinels); i++)
    redis_server_end(&sentinels[i]);
}

static void start_replica(void) {
  static const struct probe none;
  ck_assert_int_eq(redis_server_start(&replica, replica_args), 0);
  RUN_UNTIL(&none, is_synchronised(&replica));
}

/* They know each other, and the replica. */
static bool can_fail_over(const struct redis_server *sentinel) {
  redisReply *quorum = ask(sentinel, "SENTINEL CKQUORUM primary");
  redisReply *replicas = ask(sentinel, "SENTINEL REPLICAS primary");
  const bool can =
      quorum->type == REDIS_REPLY_STATUS && strstr(quorum->str, "3 usable") && replicas->elements == 1;
  freeReplyObject(quorum);
  freeReplyObject(replicas);
  return can;
}

static void start_three_sentinels(void) {
  static const struct probe none;
  start_replica();
  for (size_t i = 0; i < 3; i++)
    ck_assert_int_eq(redis_sentinel_start(&sentinels[i], &primary, 2, NULL), 0);
  for (size_t i = 0; i < 3; i++)
    RUN_UNTIL(&none, can_fail_over(&sentinels[i]));
}

/* redis-sentinel:// with the first `count` Sentinels. Static storage. */
static const char *sentinel_url(size_t count, const char *rest) {
  static char url[512];
  size_t len = (size_t)snprintf(url, sizeof url, "redis-sentinel://");
  for (size_t i = 0; i < count; i++)
    len += (size_t)snprintf(url + len, sizeof url - len, "%s127.0.0.1:%d", i ? "," : "", sentinels[i].port);
  snprintf(url + len, sizeof url - len, "%s", rest);
  return url;
}

static void assert_told(const struct probe *probe, const char *wanted) {
  ck_assert_msg(strstr(probe->why, wanted), "wanted: %s\ntold:\n%s", wanted, probe->why);
}

/* ---- finding the primary ---- */

START_TEST(the_primary_is_found_and_its_database_selected) {
  struct probe probe;
  ck_assert_int_eq(redis_sentinel_start(&sentinels[0], &primary, 1, NULL), 0);
  probe_start(&probe, sentinel_url(1, "/primary/3"), NULL, 0);
  RUN_UNTIL(&probe, is_on(&probe, &primary));
  ck_assert_uint_eq(probe.downs, 0);
  redisReply *clients = ask(&primary, "CLIENT LIST");
  ck_assert_ptr_nonnull(strstr(clients->str, "name=probe"));
  ck_assert_ptr_nonnull(strstr(clients->str, " db=3 "));
  freeReplyObject(clients);
  probe_end(&probe);
}
END_TEST

START_TEST(dead_and_frozen_sentinels_are_passed_over) {
  struct probe probe;
  for (size_t i = 0; i < 3; i++)
    ck_assert_int_eq(redis_sentinel_start(&sentinels[i], &primary, 3, NULL), 0);
  redis_server_kill(&sentinels[0]);
  redis_server_freeze(&sentinels[1]);
  probe_start(&probe, sentinel_url(3, "/primary"), NULL, 0);
  RUN_UNTIL(&probe, is_on(&probe, &primary));
  ck_assert_uint_eq(probe.downs, 0);
  probe_end(&probe);
}
END_TEST

START_TEST(a_working_connection_does_not_mind_that_all_sentinels_die) {
  struct probe probe;
  ck_assert_int_eq(redis_sentinel_start(&sentinels[0], &primary, 1, NULL), 0);
  probe_start(&probe, sentinel_url(1, "/primary"), NULL, 0);
  RUN_UNTIL(&probe, is_on(&probe, &primary));
  redis_server_kill(&sentinels[0]);
  ck_assert_int_eq(redis_server_restart(&sentinels[0]), 0);
  /* It is asked again, and only now may the connection have noticed anything. */
  RUN_UNTIL(&probe, has_client(&sentinels[0]));
  ck_assert_uint_eq(probe.downs, 0);
  ck_assert(conn_is_up(probe.conn));
  probe_end(&probe);
}
END_TEST

START_TEST(an_unknown_master_name_is_said) {
  struct probe probe;
  char wanted[128];
  ck_assert_int_eq(redis_sentinel_start(&sentinels[0], &primary, 1, NULL), 0);
  probe_start(&probe, sentinel_url(1, "/nobody"), NULL, 0);
  RUN_UNTIL(&probe, probe.downs >= 2); /* and tries again */
  snprintf(wanted, sizeof wanted,
           "no Sentinel names the primary of \"nobody\": sentinel 127.0.0.1:%d: it knows no "
           "master named \"nobody\"\n",
           sentinels[0].port);
  assert_told(&probe, wanted);
  ck_assert_uint_eq(probe.ups, 0);
  probe_end(&probe);
}
END_TEST

START_TEST(each_sentinel_that_failed_is_named_with_its_reason) {
  struct probe probe;
  char wanted[256], url[128];
  for (size_t i = 0; i < 2; i++)
    ck_assert_int_eq(redis_sentinel_start(&sentinels[i], &primary, 3, NULL), 0);
  redis_server_kill(&sentinels[0]);
  redis_server_freeze(&sentinels[1]);
  snprintf(url, sizeof url, ",127.0.0.1:%d/primary", primary.port);
  probe_start(&probe, sentinel_url(2, url), NULL, 0);
  RUN_UNTIL(&probe, probe.downs > 0);
  snprintf(wanted, sizeof wanted,
           "sentinel 127.0.0.1:%d: Connection refused; sentinel 127.0.0.1:%d: no answer within 1500 ms; "
           "sentinel 127.0.0.1:%d: ERR unknown command",
           sentinels[0].port, sentinels[1].port, primary.port);
  assert_told(&probe, wanted);
  assert_told(&probe, "is it a Sentinel?");
  redis_server_thaw(&sentinels[1]);
  RUN_UNTIL(&probe, is_on(&probe, &primary));
  probe_end(&probe);
}
END_TEST

START_TEST(sentinels_and_servers_have_passwords_of_their_own) {
  static const char *const args[] = {"--requirepass", "inner", NULL};
  static const char config[] = "requirepass outer\nsentinel auth-pass primary inner\n";
  struct probe probe;
  char url[256];
  redis_server_end(&primary);
  ck_assert_int_eq(redis_server_start(&primary, args), 0);
  ck_assert_int_eq(redis_sentinel_start(&sentinels[0], &primary, 1, config), 0);

  snprintf(url, sizeof url, "redis-sentinel://:inner@127.0.0.1:%d/primary", sentinels[0].port);
  probe_start(&probe, url, NULL, 0);
  RUN_UNTIL(&probe, probe.downs > 0);
  assert_told(&probe, "NOAUTH");
  probe_end(&probe);

  snprintf(url, sizeof url, "redis-sentinel://127.0.0.1:%d/primary?sentinel_password=outer",
           sentinels[0].port);
  probe_start(&probe, url, NULL, 0);
  RUN_UNTIL(&probe, probe.downs > 0);
  snprintf(url, sizeof url, "primary 127.0.0.1:%d (named by sentinel 127.0.0.1:%d): NOAUTH", primary.port,
           sentinels[0].port);
  assert_told(&probe, url);
  probe_end(&probe);

  snprintf(url, sizeof url, "redis-sentinel://:inner@127.0.0.1:%d/primary?sentinel_password=outer",
           sentinels[0].port);
  probe_start(&probe, url, NULL, 0);
  RUN_UNTIL(&probe, is_on(&probe, &primary));
  ck_assert_uint_eq(probe.downs, 0);
  probe_end(&probe);
}
END_TEST

START_TEST(a_user_without_the_right_to_role_is_told_which_right_is_missing) {
  struct probe probe;
  char url[256];
  ck_assert_int_eq(redis_sentinel_start(&sentinels[0], &primary, 1, NULL), 0);
  order(&primary, "ACL SETUSER u on >p ~* &* +@all -role");
  snprintf(url, sizeof url, "redis-sentinel://u:p@127.0.0.1:%d/primary", sentinels[0].port);
  probe_start(&probe, url, NULL, 0);
  RUN_UNTIL(&probe, probe.downs > 0);
  assert_told(&probe, "+role");
  order(&primary, "ACL SETUSER u +role");
  RUN_UNTIL(&probe, is_on(&probe, &primary));
  probe_end(&probe);
}
END_TEST

/* The second Sentinel was told that the replica is the primary, which takes it many seconds to doubt. */
START_TEST(a_replica_that_a_stale_sentinel_names_is_refused_and_another_sentinel_asked) {
  struct probe probe;
  char wanted[128];
  start_replica();
  ck_assert_int_eq(redis_sentinel_start(&sentinels[0], &replica, 9, NULL), 0);
  ck_assert_int_eq(redis_sentinel_start(&sentinels[1], &primary, 9, NULL), 0);
  probe_start(&probe, sentinel_url(2, "/primary"), NULL, 0);
  RUN_UNTIL(&probe, is_on(&probe, &primary));
  snprintf(wanted, sizeof wanted, "primary 127.0.0.1:%d (named by sentinel 127.0.0.1:%d): it is no primary",
           replica.port, sentinels[0].port);
  assert_told(&probe, wanted);
  ck_assert_uint_eq(probe.ups, 1);
  probe_end(&probe);
}
END_TEST

/* ---- fail-overs ---- */

static const char *const one_channel[] = {"news"};

static void publish(const struct redis_server *server, const char *channel, const char *text) {
  redisReply *reply = ask(server, "PUBLISH %s %s", channel, text);
  ck_assert_int_eq(reply->type, REDIS_REPLY_INTEGER);
  ck_assert_int_eq(reply->integer, 1);
  freeReplyObject(reply);
}

START_TEST(a_killed_primary_is_left_for_the_promoted_one) {
  struct probe probe, subscriber;
  start_three_sentinels();
  probe_start(&probe, sentinel_url(3, "/primary"), NULL, 0);
  probe_start(&subscriber, sentinel_url(3, "/primary"), one_channel, 1);
  RUN_UNTIL(&probe, is_on(&probe, &primary));
  RUN_UNTIL(&subscriber, subscriber.ups == 1);
  block(&probe);
  redis_server_kill(&primary);
  RUN_UNTIL(&probe, is_on(&probe, &replica));
  ck_assert(probe.lost);
  ck_assert(role_is(&replica, "master"));
  RUN_UNTIL(&subscriber, conn_is_up(subscriber.conn) && subscriber.ups >= 2);
  publish(&replica, "news", "after");
  RUN_UNTIL(&subscriber, strcmp(subscriber.messages, "news=after(5) ") == 0);
  probe_end(&subscriber);
  probe_end(&probe);
}
END_TEST

START_TEST(a_frozen_primary_is_left_at_once_and_not_used_again_when_it_comes_back_demoted) {
  struct probe probe;
  start_three_sentinels();
  probe_start(&probe, sentinel_url(3, "/primary"), NULL, 0);
  RUN_UNTIL(&probe, is_on(&probe, &primary));
  block(&probe); /* its deadline is far away: what ends it is the Sentinels' word */
  redis_server_freeze(&primary);
  RUN_UNTIL(&probe, is_on(&probe, &replica));
  ck_assert(probe.lost);
  assert_told(&probe, ": a fail-over");
  const unsigned ups = probe.ups;
  redis_server_thaw(&primary);
  RUN_UNTIL(&probe, role_is(&primary, "slave"));
  ck_assert_uint_eq(probe.ups, ups);
  probe.port = 0;
  RUN_UNTIL(&probe, is_on(&probe, &replica));
  ck_assert_uint_eq(probe.ups, ups);
  probe_end(&probe);
}
END_TEST

/* Partitioned away from the Sentinels, it would go on answering us, and its writes would be lost. */
START_TEST(an_old_primary_that_still_answers_is_left_when_the_sentinels_name_another) {
  struct probe probe;
  char monitor[128];
  ck_assert_int_eq(redis_server_start(&replica, NULL), 0); /* a primary too */
  ck_assert_int_eq(redis_sentinel_start(&sentinels[0], &primary, 1, NULL), 0);
  probe_start(&probe, sentinel_url(1, "/primary"), NULL, 0);
  RUN_UNTIL(&probe, is_on(&probe, &primary));
  block(&probe);
  order(&sentinels[0], "SENTINEL REMOVE primary");
  snprintf(monitor, sizeof monitor, "SENTINEL MONITOR primary 127.0.0.1 %d 1", replica.port);
  order(&sentinels[0], monitor);
  RUN_UNTIL(&probe, is_on(&probe, &replica));
  ck_assert(probe.lost);
  ck_assert(role_is(&primary, "master"));
  probe_end(&probe);
}
END_TEST

/* ---- subscribers ---- */

static const char *const two_channels[] = {"news", "weather"};

START_TEST(a_subscriber_gets_messages_also_after_the_server_came_back) {
  struct probe probe;
  const char *argv[] = {"PING"};
  probe_start(&probe, primary.unix_url, two_channels, 2);
  RUN_UNTIL(&probe, probe.ups == 1);
  ck_assert_int_eq(conn_send(probe.conn, ROUND_TRIP_PING, 1000, 1, argv, NULL, on_lost, &probe), -EINVAL);
  publish(&primary, "news", "one");
  publish(&primary, "weather", "two");
  redisReply *reply = ask(&primary, "PUBLISH news %b", "a\0b", (size_t)3);
  ck_assert_int_eq(reply->integer, 1);
  freeReplyObject(reply);
  RUN_UNTIL(&probe, strcmp(probe.messages, "news=one(3) weather=two(3) news=a(3) ") == 0);
  redis_server_kill(&primary);
  RUN_UNTIL(&probe, probe.downs >= 2);
  ck_assert(!conn_is_up(probe.conn));
  ck_assert_int_eq(redis_server_restart(&primary), 0);
  RUN_UNTIL(&probe, probe.ups == 2);
  probe.messages[0] = '\0';
  publish(&primary, "weather", "three");
  RUN_UNTIL(&probe, strcmp(probe.messages, "weather=three(5) ") == 0);
  probe_end(&probe);
}
END_TEST

START_TEST(a_subscriber_asks_for_a_sign_of_life_and_finds_a_frozen_server) {
  struct probe probe;
  probe_start(&probe, primary.tcp_url, two_channels, 2);
  RUN_UNTIL(&probe, probe.ups == 1);
  RUN_UNTIL(&probe, subscribe_calls(&primary) >= 3);
  ck_assert_uint_eq(probe.downs, 0);
  ck_assert(conn_is_up(probe.conn));
  publish(&primary, "news", "still there");
  RUN_UNTIL(&probe, strcmp(probe.messages, "news=still there(11) ") == 0);
  redis_server_freeze(&primary);
  RUN_UNTIL(&probe, probe.downs > 0);
  assert_told(&probe, "not answered in time");
  redis_server_thaw(&primary);
  RUN_UNTIL(&probe, probe.ups == 2);
  probe_end(&probe);
}
END_TEST

START_TEST(a_subscriber_without_the_right_to_a_channel_says_so) {
  struct probe probe;
  char url[128];
  order(&primary, "ACL SETUSER u on >p ~* &news +@all");
  snprintf(url, sizeof url, "redis://u:p@127.0.0.1:%d/0", primary.port);
  probe_start(&probe, url, two_channels, 2);
  RUN_UNTIL(&probe, probe.downs > 0);
  assert_told(&probe, "NOPERM");
  ck_assert_uint_eq(probe.ups, 0);
  order(&primary, "ACL SETUSER u &weather");
  RUN_UNTIL(&probe, probe.ups == 1);
  probe_end(&probe);
}
END_TEST

/* ---- the commands' connection ---- */

static redisContext *connect_blocking(const char *text, int timeout_ms, char *error, size_t error_size) {
  struct redis_url url;
  ck_assert_msg(redis_url_parse(text, &url, error, error_size) == 0, "%s", error);
  error[0] = '\0';
  redisContext *c = redis_connect(&url, timeout_ms, error, error_size);
  redis_url_free(&url);
  return c;
}

static void assert_connects(const char *url, const struct redis_server *server) {
  char error[512], port[16];
  redisContext *c = connect_blocking(url, DEADLINE_MS, error, sizeof error);
  ck_assert_msg(c, "%s", error);
  redisReply *reply = redisCommand(c, "CONFIG GET port");
  snprintf(port, sizeof port, "%d", server->port);
  ck_assert_str_eq(reply->element[1]->str, port);
  freeReplyObject(reply);
  redisFree(c);
}

static void assert_refused(const char *url, int timeout_ms, const char *wanted) {
  char error[512];
  ck_assert_ptr_null(connect_blocking(url, timeout_ms, error, sizeof error));
  ck_assert_msg(strstr(error, wanted), "%s\n  says   %s\n  wanted %s", url, error, wanted);
}

START_TEST(commands_find_the_primary_past_dead_frozen_and_stale_sentinels) {
  char wanted[128], url[128];
  start_replica();
  ck_assert_int_eq(redis_sentinel_start(&sentinels[0], &replica, 9, NULL), 0);
  ck_assert_int_eq(redis_sentinel_start(&sentinels[1], &primary, 9, NULL), 0);
  ck_assert_int_eq(redis_sentinel_start(&sentinels[2], &primary, 9, NULL), 0);
  assert_connects(sentinel_url(3, "/primary"), &primary);
  snprintf(wanted, sizeof wanted, "127.0.0.1:%d: it is no primary", replica.port);
  assert_refused(sentinel_url(1, "/primary"), 500, wanted);
  assert_refused(sentinel_url(3, "/nobody"), DEADLINE_MS, "it knows no master named \"nobody\"");
  redis_server_kill(&sentinels[0]);
  redis_server_freeze(&sentinels[1]);
  assert_connects(sentinel_url(3, "/primary"), &primary);
  snprintf(wanted, sizeof wanted,
           "sentinel 127.0.0.1:%d: Connection refused; sentinel 127.0.0.1:%d: timed out", sentinels[0].port,
           sentinels[1].port);
  assert_refused(sentinel_url(2, "/primary"), DEADLINE_MS, wanted);
  snprintf(url, sizeof url, "redis-sentinel://127.0.0.1:%d/primary", primary.port);
  assert_refused(url, DEADLINE_MS, "is it a Sentinel?");
  snprintf(url, sizeof url, "redis-sentinel://:wrong@127.0.0.1:%d/primary", sentinels[2].port);
  assert_refused(url, DEADLINE_MS, "AUTH");
}
END_TEST

START_TEST(commands_wait_for_a_fail_over_that_is_under_way) {
  start_three_sentinels();
  redis_server_kill(&primary);
  assert_connects(sentinel_url(3, "/primary"), &replica);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("conn");
  TCase *tc = tcase_create("conn");
  tcase_set_timeout(tc, 150);
  tcase_add_checked_fixture(tc, set_up, tear_down);
  tcase_add_test(tc, the_primary_is_found_and_its_database_selected);
  tcase_add_test(tc, dead_and_frozen_sentinels_are_passed_over);
  tcase_add_test(tc, a_working_connection_does_not_mind_that_all_sentinels_die);
  tcase_add_test(tc, an_unknown_master_name_is_said);
  tcase_add_test(tc, each_sentinel_that_failed_is_named_with_its_reason);
  tcase_add_test(tc, sentinels_and_servers_have_passwords_of_their_own);
  tcase_add_test(tc, a_user_without_the_right_to_role_is_told_which_right_is_missing);
  tcase_add_test(tc, a_replica_that_a_stale_sentinel_names_is_refused_and_another_sentinel_asked);
  tcase_add_test(tc, a_killed_primary_is_left_for_the_promoted_one);
  tcase_add_test(tc, a_frozen_primary_is_left_at_once_and_not_used_again_when_it_comes_back_demoted);
  tcase_add_test(tc, an_old_primary_that_still_answers_is_left_when_the_sentinels_name_another);
  tcase_add_test(tc, a_subscriber_gets_messages_also_after_the_server_came_back);
  tcase_add_test(tc, a_subscriber_asks_for_a_sign_of_life_and_finds_a_frozen_server);
  tcase_add_test(tc, a_subscriber_without_the_right_to_a_channel_says_so);
  tcase_add_test(tc, commands_find_the_primary_past_dead_frozen_and_stale_sentinels);
  tcase_add_test(tc, commands_wait_for_a_fail_over_that_is_under_way);
  suite_add_tcase(suite, tc);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed != 0;
}
