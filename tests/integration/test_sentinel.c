/*
 * isoq as a user runs it, with a redis-sentinel:// address: the commands, and a worker through the death of its
 * primary.
 */
#include <check.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/support/program.h"
#include "tests/support/redis_server.h"

#define DEADLINE_S 60

static struct redis_server primary, replica, sentinel;
static struct program program, worker;
static char primary_port[16], address[96], redis_variable[128];
static const char *replica_args[] = {"--replicaof", "127.0.0.1", primary_port, "--repl-diskless-sync-delay",
                                     "0",           NULL};
static const char *const environment[] = {redis_variable, NULL};

/* A word of the reply to a command, or the number of its elements, is as wanted. */
static bool replies(const struct redis_server *server, const char *command, size_t elements, size_t index,
                    const char *word) {
  redisContext *c = redis_server_connect(server);
  ck_assert_ptr_nonnull(c);
  redisReply *reply = redisCommand(c, command);
  ck_assert_ptr_nonnull(reply);
  const bool so = reply->type == REDIS_REPLY_ARRAY && reply->elements == elements &&
                  (!word || strcmp(reply->element[index]->str, word) == 0);
  freeReplyObject(reply);
  redisFree(c);
  return so;
}

static void wait_until_replies(const struct redis_server *server, const char *command, size_t elements,
                               size_t index, const char *word) {
  const time_t deadline = time(NULL) + DEADLINE_S;
  while (!replies(server, command, elements, index, word)) {
    ck_assert_msg(time(NULL) < deadline, "%s: never", command);
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL); /* between two questions */
  }
}

static void set_up(void) {
  ck_assert_int_eq(redis_server_start(&primary, NULL), 0);
  snprintf(primary_port, sizeof primary_port, "%d", primary.port);
  ck_assert_int_eq(redis_server_start(&replica, replica_args), 0);
  wait_until_replies(&replica, "ROLE", 5, 3, "connected");
  ck_assert_int_eq(redis_sentinel_start(&sentinel, &primary, 1, NULL), 0);
  wait_until_replies(&sentinel, "SENTINEL REPLICAS primary", 1, 0, NULL);
  snprintf(address, sizeof address, "redis-sentinel://127.0.0.1:%d/primary", sentinel.port);
  snprintf(redis_variable, sizeof redis_variable, "ISOQ_REDIS_URL=%s", address);
  program = worker = (struct program){.environment = environment};
}

static void tear_down(void) {
  redis_server_end(&sentinel);
  redis_server_end(&replica);
  redis_server_end(&primary);
  program_free(&program);
  program_free(&worker);
}

static void isoq(const char *const *words) {
  const char *argv[16];
  size_t count = 0;
  argv[count++] = program_path("isoq");
  while (*words && count < 15)
    argv[count++] = *words++;
  argv[count] = NULL;
  ck_assert_int_eq(program_start(&program, argv), 0);
  ck_assert_int_eq(program_finish(&program), 0);
}

#define ISOQ(...) isoq((const char *const[]){__VA_ARGS__, NULL})
#define EXITS(wanted)                                                                                        \
  ck_assert_msg(program.status == (wanted), "exit %d: %s%s", program.status, program.err, program.out)

START_TEST(commands_go_to_the_primary_and_say_where_they_looked) {
  char wanted[128];
  ISOQ("submit", "-e", "1", "--id", "j1");
  EXITS(0);
  ck_assert_str_eq(program.out, "j1\n");
  ck_assert(replies(&primary, "LRANGE isoq:{default}:jobs 0 -1", 1, 0, NULL));
  ISOQ("status", "--json");
  EXITS(0);
  ck_assert_ptr_nonnull(strstr(program.out, "\"waiting\":1"));

  ISOQ("status", "--redis", "redis-sentinel://127.0.0.1/other/x");
  EXITS(2);
  ck_assert_ptr_nonnull(strstr(program.err, "redis-sentinel://host1:26379,host2:26379/mymaster/0"));
  redis_server_kill(&sentinel);
  ISOQ("status");
  EXITS(3);
  snprintf(wanted, sizeof wanted, "sentinel 127.0.0.1:%d: Connection refused", sentinel.port);
  ck_assert_msg(strstr(program.err, wanted), "%s", program.err);
}
END_TEST

START_TEST(a_worker_and_the_commands_go_on_with_the_promoted_server) {
  const char *argv[] = {program_path("isoq"), "worker", "--executors", "1", NULL};
  ck_assert_int_eq(program_start(&worker, argv), 0);
  ISOQ("submit", "-e", "6 * 7", "--wait=60");
  EXITS(0);
  ck_assert_str_eq(program.out, "42\n");
  redis_server_kill(&primary);
  ISOQ("submit", "-e", "6 * 8", "--wait=60");
  if (program.status == 3) { /* the fail-over takes longer than a command waits */
    wait_until_replies(&replica, "ROLE", 3, 0, "master");
    ISOQ("submit", "-e", "6 * 8", "--wait=60");
  }
  EXITS(0);
  ck_assert_str_eq(program.out, "48\n");
  ck_assert(replies(&replica, "ROLE", 3, 0, "master"));
  ck_assert_int_eq(kill(worker.pid, SIGTERM), 0);
  ck_assert_int_eq(program_finish(&worker), 0);
  ck_assert_msg(worker.status == 0, "exit %d: %s", worker.status, worker.err);
  ck_assert_msg(strstr(worker.err, "redis_down") && strstr(worker.err, "redis_up"), "%s", worker.err);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("sentinel");
  TCase *tc = tcase_create("sentinel");
  tcase_set_timeout(tc, 200);
  tcase_add_checked_fixture(tc, set_up, tear_down);
  tcase_add_test(tc, commands_go_to_the_primary_and_say_where_they_looked);
  tcase_add_test(tc, a_worker_and_the_commands_go_on_with_the_promoted_server);
  suite_add_tcase(suite, tc);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed != 0;
}
