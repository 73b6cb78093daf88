/* Redis addresses, right and wrong, and what the commands' connection says when it fails. */
#include <check.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue/redis_url.h"
#include "tests/support/redis_server.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void assert_text(const char *got, const char *wanted) {
  if (wanted)
    ck_assert_str_eq(got ? got : "(null)", wanted);
  else
    ck_assert_ptr_null(got);
}

START_TEST(test_right_ones) {
  static const struct {
    const char *url;
    bool is_unix;
    const char *host;
    int port;
    const char *user, *password;
    int db;
    const char *display;
  } cases[] = {
      {"redis://127.0.0.1:6379/0", false, "127.0.0.1", 6379, NULL, NULL, 0, "redis://127.0.0.1:6379/0"},
      {"redis://localhost", false, "localhost", 6379, NULL, NULL, 0, "redis://localhost:6379/0"},
      {"REDIS://h/", false, "h", 6379, NULL, NULL, 0, "redis://h:6379/0"},
      {"redis://h:1/15", false, "h", 1, NULL, NULL, 15, "redis://h:1/15"},
      {"redis://:secret@h", false, "h", 6379, NULL, "secret", 0, "redis://h:6379/0"},
      {"redis://@h", false, "h", 6379, NULL, NULL, 0, "redis://h:6379/0"},
      {"redis://u:secret@h:7/2", false, "h", 7, "u", "secret", 2, "redis://u@h:7/2"},
      {"redis://u:a%40b%3A%2f%25@h", false, "h", 6379, "u", "a@b:/%", 0, "redis://u@h:6379/0"},
      {"redis://u:a@b:c@h", false, "h", 6379, "u", "a@b:c", 0, "redis://u@h:6379/0"},
      {"redis://[::1]:6380/1", false, "::1", 6380, NULL, NULL, 1, "redis://[::1]:6380/1"},
      {"redis://[::1]", false, "::1", 6379, NULL, NULL, 0, "redis://[::1]:6379/0"},
      {"unix:///run/redis.sock", true, "/run/redis.sock", 0, NULL, NULL, 0, "unix:///run/redis.sock"},
      {"unix:///a%20b?db=3&user=u&password=p%26q", true, "/a b", 0, "u", "p&q", 3, "unix:///a b?db=3"},
      {"unix:///a?password=p", true, "/a", 0, NULL, "p", 0, "unix:///a"},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    struct redis_url url;
    char error[256] = "";
    ck_assert_msg(redis_url_parse(cases[i].url, &url, error, sizeof error) == 0, "%s: %s", cases[i].url,
                  error);
    ck_assert(url.is_unix == cases[i].is_unix);
    ck_assert_str_eq(url.host, cases[i].host);
    ck_assert_int_eq(url.port, cases[i].port);
    ck_assert_int_eq(url.db, cases[i].db);
    assert_text(url.user, cases[i].user);
    assert_text(url.password, cases[i].password);
    ck_assert_str_eq(url.display, cases[i].display);
    redis_url_free(&url);
  }
}
END_TEST

START_TEST(test_sentinel_addresses) {
  struct redis_url url;
  char error[256] = "";
  const char *text = "redis-sentinel://u:secret%2C1@a,b.c:7,[::1]:8,[::2]/my-master_1.x/3"
                     "?sentinel_user=s%40u&sentinel_password=secret%262";
  ck_assert_msg(redis_url_parse(text, &url, error, sizeof error) == 0, "%s", error);
  ck_assert_str_eq(url.display, "redis-sentinel://u@a:26379,b.c:7,[::1]:8,[::2]:26379/my-master_1.x/3");
  ck_assert_ptr_null(url.host);
  ck_assert_str_eq(url.master_name, "my-master_1.x");
  ck_assert_str_eq(url.user, "u");
  ck_assert_str_eq(url.password, "secret,1");
  ck_assert_int_eq(url.db, 3);
  static const struct {
    const char *host;
    int port;
    const char *display;
  } wanted[] = {{"a", 26379, "sentinel a:26379"},
                {"b.c", 7, "sentinel b.c:7"},
                {"::1", 8, "sentinel [::1]:8"},
                {"::2", 26379, "sentinel [::2]:26379"}};
  ck_assert_uint_eq(url.sentinel_count, COUNT(wanted));
  for (size_t i = 0; i < COUNT(wanted); i++) {
    ck_assert_str_eq(url.sentinels[i].host, wanted[i].host);
    ck_assert_int_eq(url.sentinels[i].port, wanted[i].port);
    ck_assert_str_eq(url.sentinels[i].display, wanted[i].display);
    ck_assert_str_eq(url.sentinels[i].user, "s@u");
    ck_assert_str_eq(url.sentinels[i].password, "secret&2");
    ck_assert(!url.sentinels[i].tls && !url.sentinels[i].master_name);
  }
  redis_url_free(&url);
  ck_assert_int_eq(
      redis_url_parse("Redis-Sentinel://:secret@h/m/?sentinel_password=p", &url, error, sizeof error), 0);
  ck_assert_str_eq(url.display, "redis-sentinel://h:26379/m/0");
  ck_assert_str_eq(url.sentinels[0].password, "p");
  ck_assert_ptr_null(url.sentinels[0].user);
  redis_url_free(&url);
}
END_TEST

START_TEST(test_wrong_ones_show_a_right_one) {
  static const struct {
    const char *url, *error;
  } cases[] = {
      {"", "no scheme; write redis://127.0.0.1:6379/0"},
      {"localhost:6379", "no scheme"},
      {"http://secret@h", "unknown scheme; known ones are redis://"},
      {"redis://", "no host; write redis://127.0.0.1:6379/0"},
      {"redis:///0", "no host"},
      {"redis://:secret@", "no host"},
      {"redis://secret@h", "a user without a password; for a password alone write redis://:PASSWORD@host"},
      {"redis://h:0", "the port is no number from 1 to 65535"},
      {"redis://h:65536", "the port is no number"},
      {"redis://h:", "the port is no number"},
      {"redis://h:6379x", "the port is no number"},
      {"redis://h:99999999999999999999", "the port is no number"},
      {"redis://h/x", "the database after / is not a number"},
      {"redis://h/0/1", "the database after / is not a number"},
      {"redis://h/-1", "the database after / is not a number"},
      {"redis://h?db=1", "takes no ? parameters"},
      {"redis://h#x", "a # has no meaning here"},
      {"redis://::1", "write an IPv6 address as redis://[::1]:6379/0"},
      {"redis://[::1", "no ] after the IPv6 address"},
      {"redis://[::1]x", "text after the ]"},
      {"redis://u:secret%4@h", "a % in the user or password"},
      {"redis://u:secret%00@h", "a % in the user or password"},
      {"redis://h h", "a blank or a bracket in the host"},
      {"redis://h[0", "a blank or a bracket in the host"},
      {"redis://u:@h", "a user without a password; write redis://USER:PASSWORD@host"},
      {"redis://a,b", "more than one host; for the Sentinels of a server write redis-sentinel://"},
      {"redis-sentinel://", "no host, or an empty one in the list; write redis-sentinel://host1:26379"},
      {"redis-sentinel:///m", "no host, or an empty one"},
      {"redis-sentinel://a,,b/m", "no host, or an empty one"},
      {"redis-sentinel://:secret@a,/m", "no host, or an empty one"},
      {"redis-sentinel://a,[::1/m", "no ] after the IPv6 address"},
      {"redis-sentinel://a,::1/m", "more than one colon"},
      {"redis-sentinel://a:0/m", "the port of a Sentinel is no number from 1 to 65535"},
      {"redis-sentinel://a,b:65536/m", "the port of a Sentinel is no number"},
      {"redis-sentinel://a,b c/m", "a blank or a bracket in the host"},
      {"redis-sentinel://a", "no master name after the Sentinels"},
      {"redis-sentinel://:secret@a/", "no master name"},
      {"redis-sentinel://a//0", "no master name"},
      {"redis-sentinel://a/m/x", "the database after the master name is not a number"},
      {"redis-sentinel://a/m/0/1", "the database after the master name is not a number"},
      {"redis-sentinel://a/my%20master", "a master name has letters, digits"},
      {"redis-sentinel://secret@a/m", "a user without a password"},
      {"redis-sentinel://a/m?db=1", "known ones are sentinel_user and sentinel_password"},
      {"redis-sentinel://a/m?secret", "a ? parameter without ="},
      {"redis-sentinel://a/m?sentinel_user=u", "a sentinel_user without a sentinel_password"},
      {"redis-sentinel://a/m?sentinel_password=secret%4", "a % in the user or password"},
      {"redis-sentinel://1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17/m", "more than 16 Sentinels"},
      {"unix://run/redis.sock", "no absolute path; write unix:///run/redis/redis.sock?db=0"},
      {"unix:///", "no absolute path"},
      {"unix:///a?db=x", "db is not a number"},
      {"unix:///a?secret", "a ? parameter without ="},
      {"unix:///a?pasword=secret", "unknown ? parameter; known ones are db, user and password"},
      {"unix:///a?user=u", "a user without a password"},
#ifndef ISOQ_HAVE_TLS
      {"rediss://h", "rediss:// needs TLS, and this isoq was built with a hiredis that has none"},
      {"rediss-sentinel://h/m",
       "rediss-sentinel:// needs TLS, and this isoq was built with a hiredis that has none"},
#endif
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    struct redis_url url = {.port = -7};
    char error[256] = "";
    ck_assert_msg(redis_url_parse(cases[i].url, &url, error, sizeof error) == -22, "accepted: %s",
                  cases[i].url);
    ck_assert_msg(strstr(error, cases[i].error), "%s\n  says   %s\n  wanted %s", cases[i].url, error,
                  cases[i].error);
    ck_assert_ptr_null(strstr(error, "secret"));
    ck_assert_int_eq(url.port, -7);
  }
  char path[200] = "unix:///";
  memset(path + 8, 'a', 120);
  struct redis_url url;
  char error[256];
  ck_assert_int_eq(redis_url_parse(path, &url, error, sizeof error), -22);
  ck_assert_ptr_nonnull(strstr(error, "longer than a socket's path may be"));
}
END_TEST

static redisContext *connect_to(const char *text, char *error, size_t error_size) {
  struct redis_url url;
  ck_assert_msg(redis_url_parse(text, &url, error, error_size) == 0, "%s", error);
  error[0] = '\0';
  redisContext *c = redis_connect(&url, 1000, error, error_size);
  redis_url_free(&url);
  return c;
}

static void assert_refused(const char *url, const char *wanted) {
  char error[512];
  ck_assert_ptr_null(connect_to(url, error, sizeof error));
  ck_assert_msg(strstr(error, wanted), "%s\n  says   %s\n  wanted %s", url, error, wanted);
  ck_assert_ptr_null(strstr(error, "secret"));
}

START_TEST(test_connecting) {
  struct redis_server server;
  char error[512], url[160];
  ck_assert_int_eq(redis_server_start(&server, NULL), 0);
  redisContext *c = connect_to(server.tcp_url, error, sizeof error);
  ck_assert_msg(c, "%s", error);
  redisFree(c);
  snprintf(url, sizeof url, "redis://localhost:%d/3", server.port);
  c = connect_to(url, error, sizeof error);
  ck_assert_msg(c, "%s", error);
  redisReply *reply = redisCommand(c, "CLIENT INFO");
  ck_assert_ptr_nonnull(strstr(reply->str, " db=3 "));
  freeReplyObject(reply);
  redisFree(c);
  snprintf(url, sizeof url, "%s?db=99", server.unix_url);
  assert_refused(url, "choose a database that the server has");
  snprintf(url, sizeof url, "%s?password=secret", server.unix_url);
  assert_refused(url, "check the user and password in the URL");
  redis_server_freeze(&server);
  assert_refused(server.tcp_url, "does not answer: timed out. Is it a Redis server?");
  redis_server_kill(&server);
  assert_refused(server.tcp_url,
                 "Start a server (redis-server), or name another with --redis URL or ISOQ_REDIS_URL");
  redis_server_end(&server);
}
END_TEST

START_TEST(test_password) {
  static const char *const args[] = {"--requirepass", "secret", NULL};
  struct redis_server server;
  char error[512], url[160];
  ck_assert_int_eq(redis_server_start(&server, args), 0);
  snprintf(url, sizeof url, "redis://:secret@127.0.0.1:%d/0", server.port);
  redisContext *c = connect_to(url, error, sizeof error);
  ck_assert_msg(c, "%s", error);
  redisFree(c);
  assert_refused(server.tcp_url, "give the password in the URL: redis://:PASSWORD@host:6379/0");
  snprintf(url, sizeof url, "redis://nobody:secret@127.0.0.1:%d/0", server.port);
  assert_refused(url, "WRONGPASS");
  redis_server_end(&server);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("redis_url");
  TCase *tc = tcase_create("redis_url");
  tcase_set_timeout(tc, 30);
  tcase_add_test(tc, test_right_ones);
  tcase_add_test(tc, test_sentinel_addresses);
  tcase_add_test(tc, test_wrong_ones_show_a_right_one);
  tcase_add_test(tc, test_connecting);
  tcase_add_test(tc, test_password);
  suite_add_tcase(suite, tc);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed != 0;
}
