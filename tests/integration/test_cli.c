/*
 * The command line from outside: the real binary, a real Redis, and what a user would see. No worker runs
 * here; what a worker would have published is put on the reply key as it would do it.
 */
#include <check.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/program.h"
#include "tests/support/redis_server.h"

static struct redis_server server; /* one for all tests; each starts with an empty database */
static redisContext *redis;
static struct program program;
static char redis_variable[160];

static void start_server(void) {
  ck_assert_int_eq(redis_server_start(&server, NULL), 0);
  snprintf(redis_variable, sizeof redis_variable, "ISOQ_REDIS_URL=%s", server.tcp_url);
}

static void end_server(void) {
  redis_server_end(&server);
}

static void set_up(void) {
  redis = redis_server_connect(&server);
  ck_assert_ptr_nonnull(redis);
  freeReplyObject(redisCommand(redis, "FLUSHALL"));
  program = (struct program){0};
}

static void tear_down(void) {
  program_free(&program);
  redisFree(redis);
}

/* --- running isoq --- */

static const char *const no_variables[] = {NULL};

/* The words after isoq, NULL at the end. Redis is the test's own, unless program.environment says otherwise.
 */
static void start_isoq(const char *const *words) {
  static const char *argv[32];
  static const char *with_redis[] = {redis_variable, NULL};
  size_t count = 0;

  argv[count++] = program_path("isoq");
  while (*words && count + 1 < sizeof argv / sizeof *argv)
    argv[count++] = *words++;
  argv[count] = NULL;
  if (!program.environment) program.environment = with_redis;
  ck_assert_int_eq(program_start(&program, argv), 0);
}

#define ISOQ(...)                                                                                            \
  do {                                                                                                       \
    start_isoq((const char *const[]){__VA_ARGS__, NULL});                                                    \
    ck_assert_int_eq(program_finish(&program), 0);                                                           \
  } while (0)

#define EXITS(wanted)                                                                                        \
  ck_assert_msg(program.status == (wanted), "exit %d: %s%s", program.status, program.err, program.out)
#define OUT_IS(text) ck_assert_str_eq(program.out, text)
#define SAYS(text)                                                                                           \
  ck_assert_msg(strstr(program.err, text) != NULL, "\"%s\" does not say \"%s\"", program.err, text)
#define SILENT() ck_assert_str_eq(program.err, "")

/* --- Redis' side --- */

static redisReply *ask(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  redisReply *reply = redisvCommand(redis, format, arguments);
  va_end(arguments);
  ck_assert_msg(reply != NULL, "redis: %s", redis->errstr);
  ck_assert_msg(reply->type != REDIS_REPLY_ERROR, "redis: %s", reply->str);
  return reply;
}

static long long ask_number(const char *command, const char *key) {
  redisReply *reply = ask("%s %s", command, key);
  long long number = reply->integer;
  freeReplyObject(reply);
  return number;
}

/* The one waiting job of a queue; free() it. */
static char *waiting_job(const char *jobs_key) {
  redisReply *reply = ask("LRANGE %s 0 -1", jobs_key);
  ck_assert_uint_eq(reply->elements, 1);
  char *job = strdup(reply->element[0]->str);
  freeReplyObject(reply);
  return job;
}

#define RESULT_OK                                                                                            \
  "{\"id\":\"j1\",\"success\":true,\"status\":\"ok\",\"result\":\"{\\\"n\\\":1.0,\\\"e\\\":[]}\",\"result_"  \
  "type\":"                                                                                                  \
  "\"object\",\"stdout\":\"first\\nthird\\n\",\"stderr\":\"second\\n\",\"console_output\":[{\"level\":"      \
  "\"log\","                                                                                                 \
  "\"text\":\"first\"},{\"level\":\"warn\",\"text\":\"second\"},{\"level\":\"info\",\"text\":\"third\"}],"   \
  "\"error\":null}"
#define RESULT_FAILED                                                                                        \
  "{\"id\":\"j1\",\"success\":false,\"status\":\"error\",\"result\":null,\"result_type\":null,\"stdout\":"   \
  "\"\","                                                                                                    \
  "\"stderr\":\"\",\"console_output\":[],\"error\":{\"name\":\"TypeError\",\"message\":\"no\\nway\","        \
  "\"stack\":\"\","                                                                                          \
  "\"line\":2,\"column\":3}}"
#define RESULT_HOSTILE                                                                                       \
  "{\"id\":\"j1\",\"success\":true,\"status\":\"ok\",\"result\":\"a\\u001b]0;owned\\u0007b\\u009bc\","       \
  "\"result_type\":\"string\",\"stdout\":\"\",\"stderr\":\"\",\"console_output\":[],\"error\":null}"

/* As settle.lua does it: reply and TTL in one step. */
static void publish(const char *key, const char *json) {
  freeReplyObject(ask("EVAL %s 1 %s %s",
                      "redis.call('LPUSH',KEYS[1],ARGV[1]) return redis.call('PEXPIRE',KEYS[1],90000)", key,
                      json));
}

/* Until somebody blocks in Redis, which is when isoq waits. Bounded by the test's own time limit; over when
 * isoq is. */
static void wait_for_blocked_client(void) {
  const struct timespec pause = {.tv_nsec = 1000000};
  for (;;) {
    siginfo_t ended = {0};
    waitid(P_PID, (id_t)program.pid, &ended, WEXITED | WNOHANG | WNOWAIT);
    ck_assert_msg(ended.si_pid == 0, "isoq ended (%d) where it should wait", ended.si_status);
    redisReply *reply = ask("INFO clients");
    bool blocked = strstr(reply->str, "blocked_clients:0") == NULL;
    freeReplyObject(reply);
    if (blocked) return;
    nanosleep(&pause, NULL);
  }
}

/* --- usage --- */

START_TEST(an_unknown_command_is_named_with_those_that_exist) {
  static const char *const later[] = {"cancel", "replay", "dead", "inspect"};
  for (size_t i = 0; i < sizeof later / sizeof *later; i++) {
    char says[64];
    snprintf(says, sizeof says, "unknown command \"%s\"", later[i]);
    ISOQ(later[i]);
    EXITS(2);
    SAYS(says);
    SAYS("run, worker, submit, result, status, config and help");
    OUT_IS("");
  }
  ISOQ("statsu");
  EXITS(2);
  SAYS("did you mean \"status\"?");
}
END_TEST

START_TEST(usage_errors_name_the_option) {
  static const struct {
    const char *words[6];
    const char *says;
  } cases[] = {
      {{"run", "--timout", "5"}, "unknown option --timout (did you mean --timeout?)"},
      {{"worker", "--leese-ms=5"}, "did you mean --lease-ms?"},
      {{"status", "--input", "1"}, "isoq status takes no --input (isoq run and isoq submit do)"},
      {{"submit", "-x"}, "unknown option -x"},
      {{"submit", "-e"}, "-e needs a value: -e CODE"},
      {{"submit", "--timeout"}, "--timeout needs a value: --timeout MS"},
      {{"submit", "--json=1", "-e1"}, "--json takes no value"},
      {{"submit", "-e1", "-e2"}, "-e is given twice"},
      {{"submit", "-e1", "a.js"}, "either -e CODE or \"a.js\""},
      {{"submit", "a.js", "b.js"}, "\"b.js\" is one too many"},
      {{"submit", "-e1", "--timeout", "5s"},
       "--timeout: \"5s\" is not valid; a whole number, 1 to 600000 ms"},
      {{"submit", "-e1", "--timeout=0"}, "--timeout: \"0\""},
      {{"submit", "-e1", "--memory", "99999999999999999999"}, "--memory: "},
      {{"submit", "-e1", "--input", "{a:1}"}, "--input is not valid JSON: "},
      {{"submit", "-e1", "--input", "1,\"id\":2"},
       "--input is not valid JSON: there is more after the value"},
      {{"submit", "-e1", "--input", "text"}, "a string needs its quotes"},
      {{"submit", "-e1", "--input", ""}, "--input is not valid JSON"},
      {{"submit", "-e1", "--metadata", "[]"}, "--metadata must be a JSON object"},
      {{"submit", "-e1", "--id", "a b"}, "--id: \"a b\""},
      {{"submit", "-e1", "--wait=soon"}, "--wait: \"soon\""},
      {{"submit", "-e1", "--wait=0"}, "--wait: \"0\""},
      {{"submit", "-e1", "--queue", "a,b"}, "--queue a"},
      {{"submit", "-e1", "--lease-ms", "5"}, "--lease-ms: \"5\" is out of range; valid: 1000 to 3600000 ms"},
      {{"submit", "-e1", "--redis", "http://x"}, "redis"},
      {{"submit", "2 + 2"}, "JavaScript on the command line goes after -e"},
      {{"submit", "/nonexistent.js"}, "/nonexistent.js: No such file"},
      {{"result"}, "isoq result ID"},
      {{"result", "a b"}, "\"a b\" is not a job's id"},
      {{"worker", "now"}, "isoq worker takes no operands, but there is \"now\""},
      {{"help", "me"}, "unknown command \"me\""},
      {{"config", "--config", "/nonexistent.conf"}, "/nonexistent.conf: No such file"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    start_isoq(cases[i].words);
    ck_assert_int_eq(program_finish(&program), 0);
    EXITS(2);
    SAYS(cases[i].says);
    ck_assert_msg(strncmp(program.err, "isoq: ", 6) == 0, "%s", program.err);
    OUT_IS("");
  }
  redisReply *size = ask("DBSIZE");
  ck_assert_int_eq(size->integer, 0);
  freeReplyObject(size);
}
END_TEST

START_TEST(without_a_command_the_overview_goes_to_stderr) {
  start_isoq(no_variables);
  ck_assert_int_eq(program_finish(&program), 0);
  EXITS(2);
  OUT_IS("");
  SAYS("usage: isoq COMMAND");
}
END_TEST

START_TEST(help_goes_to_stdout_and_each_command_has_it) {
  static const char *const commands[] = {"run", "worker", "submit", "result", "status", "config", "help"};
  ISOQ("--help");
  EXITS(0);
  for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
    ck_assert_ptr_nonnull(strstr(program.out, commands[i]));
  for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
    ISOQ("help", commands[i]);
    EXITS(0);
    SILENT();
    ck_assert_ptr_nonnull(strstr(program.out, "exit status:"));
    ck_assert_ptr_nonnull(strstr(program.out, "examples:"));
    char *by_help = strdup(program.out);
    ISOQ(commands[i], "--help");
    EXITS(0);
    OUT_IS(by_help);
    free(by_help);
  }
  ISOQ("worker", "-h");
  ck_assert_ptr_nonnull(strstr(program.out, "--lease-ms VALUE"));
  ISOQ("--version");
  EXITS(0);
  ck_assert_int_eq(strncmp(program.out, "isoq ", 5), 0);
}
END_TEST

/* --- settings --- */

START_TEST(a_flag_goes_over_the_environment_over_the_file) {
  char path[] = "/tmp/isoq-cli-XXXXXX", file_variable[64];
  FILE *file = fdopen(mkstemp(path), "w");
  fputs("timeout_ms = 1001\nmemory_mb = 101\nexecutors = 11\nredis_url = redis://file:1/0\n", file);
  fclose(file);
  snprintf(file_variable, sizeof file_variable, "ISOQ_CONFIG=%s", path);

  program.environment = (const char *const[]){file_variable, "ISOQ_TIMEOUT_MS=1002", "ISOQ_MEMORY_MB=102",
                                              "REDIS_URL=redis://:secret@environment:1/0", NULL};
  ISOQ("--timeout-ms", "1003", "config");
  EXITS(0);
  SILENT();
  ck_assert_ptr_nonnull(strstr(program.out, "timeout_ms = 1003 ; ms, flag\n"));
  ck_assert_ptr_nonnull(strstr(program.out, "memory_mb = 102 ; MiB, environment\n"));
  ck_assert_ptr_nonnull(strstr(program.out, "executors = 11 ; file\n"));
  ck_assert_ptr_nonnull(strstr(program.out, "prefix = isoq ; default\n"));
  ck_assert_ptr_nonnull(strstr(program.out, "environment:1/0 ; environment\n"));
  ck_assert_ptr_null(strstr(program.out, "secret"));

  program.environment = no_variables;
  ISOQ("config", "--config", path);
  ck_assert_ptr_nonnull(strstr(program.out, "timeout_ms = 1001 ; ms, file\n"));
  unlink(path);
}
END_TEST

START_TEST(bad_settings_stop_every_command) {
  static const char *const commands[] = {"worker", "status", "config"};
  for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
    program.environment = (const char *const[]){"ISOQ_TIMOUT_MS=1", NULL};
    ISOQ(commands[i]);
    EXITS(2);
    SAYS("ISOQ_TIMOUT_MS (did you mean ISOQ_TIMEOUT_MS?)");
  }
  program.environment = (const char *const[]){"ISOQ_MAX_TIMEOUT_MS=1", NULL};
  ISOQ("worker");
  EXITS(2);
  SAYS("timeout_ms (30000) is above max_timeout_ms (1)");
}
END_TEST

START_TEST(the_example_does_not_depend_on_the_environment) {
  program.environment = (const char *const[]){"ISOQ_NONSENSE=1", "ISOQ_TIMEOUT_MS=5", NULL};
  ISOQ("config", "--example");
  EXITS(0);
  ck_assert_ptr_nonnull(strstr(program.out, "\n#timeout_ms = 30000\n"));
  ISOQ("config", "--markdown");
  EXITS(0);
  ck_assert_ptr_nonnull(strstr(program.out, "| `timeout_ms` | `30000` | 1 to 86400000 ms |"));
}
END_TEST

/* --- no Redis --- */

START_TEST(without_redis_every_command_says_where_and_what_to_do) {
  static const char *const commands[][4] = {{"submit", "-e", "1"},
                                            {"result", "j1"},
                                            {"result", "j1", "--wait=5"},
                                            {"status"},
                                            {"status", "--check"}};
  for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
    program.environment = (const char *const[]){"ISOQ_REDIS_URL=redis://user:secret@127.0.0.1:1/0", NULL};
    start_isoq(commands[i]);
    ck_assert_int_eq(program_finish(&program), 0);
    EXITS(3);
    OUT_IS("");
    SAYS("127.0.0.1:1");
    SAYS("Connection refused");
    SAYS("redis-server");
    SAYS("--redis");
    ck_assert_ptr_null(strstr(program.err, "secret"));
  }
}
END_TEST

START_TEST(what_redis_refuses_is_reported) {
  freeReplyObject(ask("SET isoq:{default}:jobs x"));
  ISOQ("submit", "-e", "1");
  EXITS(3);
  SAYS("WRONGTYPE");
  OUT_IS("");
  ISOQ("status");
  EXITS(3);
  SAYS("WRONGTYPE");
  OUT_IS("");
}
END_TEST

/* --- submit --- */

START_TEST(submit_pushes_one_job_and_prints_its_id) {
  ISOQ("submit", "-e", "input.a", "--id", "j1", "--input", " {\"a\": 1.0, \"a\":1e400} ", "--timeout", "5000",
       "--memory=64", "--cpu", "100", "--max-output", "0", "--reply-ttl", "60", "--seed", "7", "--tenant",
       "t\"1", "--metadata", "{}", "--no-capture");
  EXITS(0);
  OUT_IS("j1\n");
  char *job = waiting_job("isoq:{default}:jobs");
  ck_assert_str_eq(
      job, "{\"id\":\"j1\",\"code\":\"input.a\",\"input\": {\"a\": 1.0, \"a\":1e400} ,\"timeout_ms\":5000,"
           "\"cpu_ms\":100,\"memory_mb\":64,\"max_output_bytes\":0,\"reply_ttl_s\":60,\"seed\":7,"
           "\"capture_console\":false,\"tenant\":\"t\\\"1\",\"metadata\":{}}");
  free(job);
}
END_TEST

START_TEST(submit_leaves_out_what_was_not_asked_for) {
  ISOQ("submit", "--id=j1", "--", "-");
  EXITS(0);
  char *job = waiting_job("isoq:{default}:jobs");
  ck_assert_str_eq(job, "{\"id\":\"j1\",\"code\":\"\"}");
  free(job);
}
END_TEST

START_TEST(a_setting_that_a_job_has_too_is_the_jobs_own) {
  ISOQ("--timeout-ms", "5", "submit", "-e1", "--id", "j1");
  EXITS(0);
  char *job = waiting_job("isoq:{default}:jobs");
  ck_assert_str_eq(job, "{\"id\":\"j1\",\"code\":\"1\",\"timeout_ms\":5}");
  free(job);
}
END_TEST

/* The first 48 bits of a UUIDv7: ms since 1970. */
static long long time_of_id(const char *id) {
  char digits[13];
  snprintf(digits, sizeof digits, "%.8s%.4s", id, id + 9);
  return strtoll(digits, NULL, 16);
}

START_TEST(submit_makes_ids_that_sort_by_time) {
  char first[64];
  struct timespec before, after;

  clock_gettime(CLOCK_REALTIME, &before);
  ISOQ("submit", "-e", "1");
  clock_gettime(CLOCK_REALTIME, &after);
  EXITS(0);
  ck_assert_uint_eq(program.out_len, 37);
  ck_assert_int_eq(program.out[14], '7');
  ck_assert_int_ge(time_of_id(program.out), before.tv_sec * 1000);
  ck_assert_int_le(time_of_id(program.out), after.tv_sec * 1000 + 999);
  snprintf(first, sizeof first, "%s", program.out);
  ISOQ("submit", "-e", "1");
  ck_assert_str_ne(first, program.out);
  ISOQ("submit", "-e", "1", "--json", "--id", "j1");
  OUT_IS("{\"id\":\"j1\",\"queue\":\"default\"}\n");
}
END_TEST

START_TEST(submit_reads_files_and_standard_input_and_input_files) {
  char path[] = "/tmp/isoq-cli-XXXXXX", at_path[64];
  FILE *file = fdopen(mkstemp(path), "w");
  fputs("[1,\n2]", file);
  fclose(file);
  snprintf(at_path, sizeof at_path, "@%s", path);

  program.input = "let caf\xc3\xa9;\n\"\\\"";
  ISOQ("submit", "--id", "j1", "--input", at_path);
  EXITS(0);
  char *job = waiting_job("isoq:{default}:jobs");
  ck_assert_str_eq(job, "{\"id\":\"j1\",\"code\":\"let caf\xc3\xa9;\\n\\\"\\\\\\\"\",\"input\":[1,\n2]}");
  free(job);

  program.input = NULL;
  ISOQ("submit", path, "--id", "j2", "--queue", "files");
  EXITS(0);
  job = waiting_job("isoq:{files}:jobs");
  ck_assert_str_eq(job, "{\"id\":\"j2\",\"code\":\"[1,\\n2]\"}");
  free(job);
  unlink(path);
}
END_TEST

START_TEST(code_that_is_not_utf8_is_refused_with_its_offset) {
  program.input = "abc\xff";
  ISOQ("submit", "-");
  EXITS(2);
  SAYS("standard input is not UTF-8: byte 0xff at offset 3");
  program.input = "ab\0c"; /* a NUL is UTF-8, and goes through as \u0000 */
  program.input_len = 4;
  ISOQ("submit", "-", "--id", "j1");
  EXITS(0);
  char *job = waiting_job("isoq:{default}:jobs");
  ck_assert_ptr_nonnull(strstr(job, "ab\\u0000c"));
  free(job);
}
END_TEST

START_TEST(code_that_is_too_long_is_refused) {
  char code[64];
  memset(code, ';', sizeof code);
  program.input = code;
  program.input_len = sizeof code;
  ISOQ("submit", "-", "--max-code-bytes", "63");
  EXITS(2);
  SAYS("larger than 63 bytes");
  SAYS("max_code_bytes");
  ISOQ("submit", "-", "--max-code-bytes", "64");
  EXITS(0);
}
END_TEST

START_TEST(submit_warns_where_no_worker_serves) {
  ISOQ("submit", "-e", "1");
  SAYS("no worker serves queue default");
  SAYS("isoq worker --queue default");
  freeReplyObject(ask("ZADD isoq:{default}:workers 1000 long-dead"));
  ISOQ("submit", "-e", "1");
  SAYS("no worker serves queue default");
  freeReplyObject(ask("ZADD isoq:{default}:workers 99999999999999 w"));
  ISOQ("submit", "-e", "1");
  EXITS(0);
  SILENT();
}
END_TEST

START_TEST(an_id_that_has_a_result_is_not_pushed_again) {
  freeReplyObject(ask("SET isoq:{default}:done:j1 1"));
  ISOQ("submit", "-e", "1", "--id", "j1");
  EXITS(2);
  SAYS("isoq result j1");
  ck_assert_int_eq(ask_number("LLEN", "isoq:{default}:jobs"), 0);
}
END_TEST

START_TEST(submit_wait_prints_the_result_and_takes_it) {
  start_isoq((const char *const[]){"submit", "-e", "1", "--id", "j1", "--wait=30", NULL});
  wait_for_blocked_client();
  publish("isoq:{default}:reply:j1", RESULT_OK);
  ck_assert_int_eq(program_finish(&program), 0);
  EXITS(0);
  OUT_IS("first\nthird\n{\n  \"n\": 1.0,\n  \"e\": []\n}\n");
  SAYS("second\n");
  ck_assert_int_eq(ask_number("EXISTS", "isoq:{default}:reply:j1"), 0);
}
END_TEST

START_TEST(a_failed_job_shows_its_place_in_the_script) {
  program.input = "one;\n\ttwo();\n";
  start_isoq((const char *const[]){"submit", "-", "--id", "j1", "--wait", NULL});
  wait_for_blocked_client();
  publish("isoq:{default}:reply:j1", RESULT_FAILED);
  ck_assert_int_eq(program_finish(&program), 0);
  EXITS(1);
  OUT_IS("");
  SAYS("isoq: error: TypeError: no (line 2, column 3)\n"
       "    2 | \ttwo();\n"
       "      | \t ^\n");
}
END_TEST

START_TEST(no_result_in_time_is_exit_3) {
  ISOQ("submit", "-e", "1", "--id", "j1", "--wait=1");
  EXITS(3);
  SAYS("no result of job j1 within 1 s");
  SAYS("isoq result j1 --wait");
  OUT_IS("");
}
END_TEST

START_TEST(ctrl_c_while_waiting_is_exit_130_and_says_how_to_go_on) {
  start_isoq((const char *const[]){"submit", "-e", "1", "--id", "j1", "--wait=30", NULL});
  wait_for_blocked_client();
  kill(program.pid, SIGINT);
  ck_assert_int_eq(program_finish(&program), 0);
  EXITS(130);
  SAYS("isoq result j1 --wait");
  ck_assert_int_eq(ask_number("LLEN", "isoq:{default}:jobs"), 1);
}
END_TEST

START_TEST(a_wait_survives_an_outage_of_redis) {
  start_isoq((const char *const[]){"result", "j1", "--wait=40", NULL});
  wait_for_blocked_client();
  redis_server_kill(&server);
  ck_assert_int_eq(redis_server_restart(&server), 0);
  redisFree(redis);
  redis = redis_server_connect(&server);
  wait_for_blocked_client();
  publish("isoq:{default}:reply:j1", RESULT_OK);
  ck_assert_int_eq(program_finish(&program), 0);
  EXITS(0);
}
END_TEST

/* --- result --- */

START_TEST(a_result_can_be_read_twice_and_keeps_its_time_to_live) {
  publish("isoq:{default}:reply:j1", RESULT_OK);
  for (int i = 0; i < 2; i++) {
    ISOQ("result", "j1", "--json");
    EXITS(0);
    OUT_IS(RESULT_OK "\n");
    SILENT();
  }
  start_isoq((const char *const[]){"result", "j2", "--wait=30", "--json", NULL});
  wait_for_blocked_client();
  publish("isoq:{default}:reply:j2", RESULT_FAILED);
  ck_assert_int_eq(program_finish(&program), 0);
  EXITS(1);
  OUT_IS(RESULT_FAILED "\n");
  ck_assert_int_eq(ask_number("LLEN", "isoq:{default}:reply:j2"), 1);
  ck_assert_int_gt(ask_number("PTTL", "isoq:{default}:reply:j2"), 0);
}
END_TEST

START_TEST(every_configured_queue_is_looked_at) {
  publish("isoq:{low}:reply:j1", RESULT_OK);
  ISOQ("result", "j1", "--queue", "high,low", "--json");
  EXITS(0);
  start_isoq((const char *const[]){"result", "j2", "--queue", "high,low", "--wait=30", "--json", NULL});
  wait_for_blocked_client();
  publish("isoq:{low}:reply:j2", RESULT_OK);
  ck_assert_int_eq(program_finish(&program), 0);
  EXITS(0);
  OUT_IS(RESULT_OK "\n");
}
END_TEST

START_TEST(no_result_says_what_may_be) {
  ISOQ("result", "j1");
  EXITS(3);
  SAYS("there is no result of job j1");
  SAYS("3600 s");
  SAYS("isoq result j1 --wait");
  SAYS("isoq status");
  freeReplyObject(ask("SET isoq:{default}:done:j1 1"));
  ISOQ("result", "j1");
  EXITS(3);
  SAYS("somebody has taken its result");
}
END_TEST

START_TEST(something_else_on_the_reply_key_is_not_printed) {
  publish("isoq:{default}:reply:j1", "hello");
  ISOQ("result", "j1");
  EXITS(3);
  OUT_IS("");
  SAYS("not an ExecutionResult");
}
END_TEST

/* --- run --- */

START_TEST(run_prints_what_node_would_have_shown) {
  program.environment = no_variables; /* no Redis: none is needed */
  ISOQ("run", "-e", "console.log('out'); console.error('err'); ({ a: [1, input.b], c: {} })",
       "--input={\"b\":2.5}");
  EXITS(0);
  OUT_IS("out\n{\n  \"a\": [\n    1,\n    2.5\n  ],\n  \"c\": {}\n}\n");
  ck_assert_str_eq(program.err, "err\n");

  program.input = "'text, ' + 1";
  ISOQ("run");
  OUT_IS("text, 1\n");
  ISOQ("run", "-e", "undefined");
  EXITS(0);
  OUT_IS("");
  SILENT();
  ISOQ("run", "-e", "null");
  OUT_IS("null\n");
}
END_TEST

START_TEST(run_that_fails_is_exit_1_with_the_place) {
  char path[] = "/tmp/isoq-cli-XXXXXX", place[128];
  FILE *file = fdopen(mkstemp(path), "w");
  fputs("let x;\n  x.y\n", file);
  fclose(file);
  snprintf(place, sizeof place, "isoq: error (%s:2:5)\n    2 |   x.y\n      |     ^\n", path);

  program.environment = no_variables;
  ISOQ("run", path);
  EXITS(1);
  OUT_IS("");
  SAYS("TypeError: Cannot read properties of undefined");
  SAYS(place);
  ck_assert_ptr_null(strstr(strstr(program.err, "TypeError") + 1, "TypeError")); /* said once */
  unlink(path);

  ISOQ("run", "-e", "'\xf0\x9f\x98\x80'.x.y"); /* V8's column counts UTF-16 units */
  SAYS("(line 1, column 8)\n    1 | '\xf0\x9f\x98\x80'.x.y\n      |       ^\n");

  ISOQ("run", "-e", "for (;;);", "--timeout", "50");
  EXITS(1);
  SAYS("isoq: timeout");
}
END_TEST

START_TEST(run_json_is_one_line_and_nothing_else) {
  program.environment = no_variables;
  ISOQ("run", "-e", "console.error('e'); throw new Error('no')", "--json", "--id", "j1", "--metadata",
       "{\"m\":1.0}");
  EXITS(1);
  SILENT();
  ck_assert_ptr_eq(strchr(program.out, '\n'), program.out + program.out_len - 1);
  ck_assert_ptr_eq(strstr(program.out, "{\"id\":\"j1\",\"success\":false,\"status\":\"error\""), program.out);
  ck_assert_ptr_nonnull(strstr(program.out, "\"metadata\":{\"m\":1.0}"));
}
END_TEST

/* Until the running isoq catches SIGINT: then the job is in its hands. */
static void wait_for_handler(void) {
  const struct timespec pause = {.tv_nsec = 1000000};
  char path[64], line[256];
  unsigned long long caught = 0;

  snprintf(path, sizeof path, "/proc/%d/status", (int)program.pid);
  while (!(caught & (1ull << (SIGINT - 1)))) {
    FILE *status = fopen(path, "re");
    ck_assert_ptr_nonnull(status);
    while (fgets(line, sizeof line, status))
      if (strncmp(line, "SigCgt:", 7) == 0) caught = strtoull(line + 7, NULL, 16);
    fclose(status);
    nanosleep(&pause, NULL);
  }
}

START_TEST(ctrl_c_stops_a_run) {
  program.environment = no_variables;
  start_isoq((const char *const[]){"run", "-e", "for (;;);", NULL});
  wait_for_handler();
  kill(program.pid, SIGINT);
  ck_assert_int_eq(program_finish(&program), 0);
  EXITS(130);
  SAYS("isoq: cancelled");
}
END_TEST

START_TEST(run_without_an_executor_is_exit_3) {
  program.environment = no_variables;
  ISOQ("run", "-e", "1", "--executor-path", "/nonexistent/isoq-executor");
  EXITS(3);
  OUT_IS("");
  SAYS("/nonexistent/isoq-executor");
}
END_TEST

/* --- a person's terminal --- */

#define TERMINAL(...)                                                                                        \
  do {                                                                                                       \
    program.terminal = true;                                                                                 \
    program.environment = (const char *const[]){redis_variable, "TERM=xterm", __VA_ARGS__, NULL};            \
    ISOQ("result", "j1");                                                                                    \
  } while (0)

START_TEST(a_terminal_gets_colour_unless_no_color_is_set) {
  publish("isoq:{default}:reply:j1", RESULT_FAILED);
  TERMINAL(NULL);
  EXITS(1);
  ck_assert_ptr_nonnull(strstr(program.out, "\033[1;31merror\033[0m"));
  TERMINAL("NO_COLOR=1");
  ck_assert_ptr_nonnull(strstr(program.out, "isoq: error: TypeError"));
  ck_assert_ptr_null(strchr(program.out, '\033'));
  TERMINAL("TERM=dumb");
  TERMINAL("NO_COLOR=");
  ck_assert_ptr_nonnull(strstr(program.out, "\033[1;31m"));

  publish("isoq:{default}:reply:j1", RESULT_OK);
  TERMINAL("NO_COLOR=1");
  ck_assert_ptr_nonnull(strstr(program.out, "→ {"));
  ck_assert_ptr_null(strchr(program.out, '\033'));
}
END_TEST

START_TEST(a_script_cannot_write_to_the_terminal_what_it_would_obey) {
  publish("isoq:{default}:reply:j1", RESULT_HOSTILE);
  TERMINAL("NO_COLOR=1");
  EXITS(0);
  ck_assert_ptr_nonnull(strstr(program.out, "a\\x1b]0;owned\\x07b\\x9bc"));

  program.terminal = false;
  program.environment = NULL;
  ISOQ("result", "j1"); /* a pipe gets the bytes */
  OUT_IS("a\033]0;owned\007b\xc2\x9b"
         "c\n");
}
END_TEST

/* --- status --- */

START_TEST(status_counts_what_is_there) {
  freeReplyObject(ask("RPUSH isoq:{default}:jobs a b c"));
  freeReplyObject(ask("RPUSH isoq:{default}:dead d"));
  freeReplyObject(ask("RPUSH isoq:{default}:claimed:w1 e f"));
  freeReplyObject(ask("RPUSH isoq:{default}:claimed:w0 g"));
  freeReplyObject(ask("ZADD isoq:{default}:workers 99999999999999 w1 1000 w0"));
  freeReplyObject(ask("HSET isoq:{default}:stats processed 9 status:ok 8"));
  ISOQ("status");
  EXITS(0);
  SILENT();
  ck_assert_ptr_nonnull(
      strstr(program.out, "default          3          3          1          1          9\n"));
  ck_assert_ptr_nonnull(strstr(program.out, "w1            2  "));
  ck_assert_ptr_nonnull(strstr(program.out, "ago: lost"));
  ck_assert_ptr_nonnull(strstr(program.out, "status:ok=8"));

  ISOQ("status", "--json", "--queue", "default,other");
  EXITS(0);
  ck_assert_ptr_nonnull(strstr(program.out,
                               "{\"name\":\"default\",\"waiting\":3,\"claimed\":3,\"dead\":1,"
                               "\"workers_alive\":1,\"workers\":[{\"name\":\"w0\",\"alive\":false,"));
  ck_assert_ptr_nonnull(strstr(program.out,
                               "\"stats\":{\"processed\":9,\"status:ok\":8}},{\"name\":\"other\","
                               "\"waiting\":0,"));
  ck_assert_ptr_eq(strchr(program.out, '\n'), program.out + program.out_len - 1);
}
END_TEST

START_TEST(status_check_fails_without_a_live_worker) {
  ISOQ("status");
  EXITS(0);
  ISOQ("status", "--check");
  EXITS(1);
  SAYS("no live worker serves queue default");
  freeReplyObject(ask("ZADD isoq:{default}:workers 1000 dead"));
  ISOQ("status", "--check");
  EXITS(1);
  freeReplyObject(ask("ZADD isoq:{default}:workers 99999999999999 alive"));
  ISOQ("status", "--check");
  EXITS(0);
  ISOQ("status", "--check", "--queue", "default,other");
  EXITS(1);
  SAYS("queue other");
}
END_TEST

START_TEST(a_full_disk_is_an_error) {
  char command[2200];
  snprintf(command, sizeof command, "exec '%s' --help >/dev/full", program_path("isoq"));
  ck_assert_int_eq(program_start(&program, (const char *const[]){"/bin/sh", "-c", command, NULL}), 0);
  ck_assert_int_eq(program_finish(&program), 0);
  EXITS(1);
  SAYS("No space left");
}
END_TEST

int main(void) {
  const TTest *const tests[] = {
      an_unknown_command_is_named_with_those_that_exist,
      usage_errors_name_the_option,
      without_a_command_the_overview_goes_to_stderr,
      help_goes_to_stdout_and_each_command_has_it,
      a_flag_goes_over_the_environment_over_the_file,
      bad_settings_stop_every_command,
      the_example_does_not_depend_on_the_environment,
      without_redis_every_command_says_where_and_what_to_do,
      what_redis_refuses_is_reported,
      submit_pushes_one_job_and_prints_its_id,
      submit_leaves_out_what_was_not_asked_for,
      a_setting_that_a_job_has_too_is_the_jobs_own,
      submit_makes_ids_that_sort_by_time,
      submit_reads_files_and_standard_input_and_input_files,
      code_that_is_not_utf8_is_refused_with_its_offset,
      code_that_is_too_long_is_refused,
      submit_warns_where_no_worker_serves,
      an_id_that_has_a_result_is_not_pushed_again,
      submit_wait_prints_the_result_and_takes_it,
      a_failed_job_shows_its_place_in_the_script,
      no_result_in_time_is_exit_3,
      ctrl_c_while_waiting_is_exit_130_and_says_how_to_go_on,
      a_result_can_be_read_twice_and_keeps_its_time_to_live,
      every_configured_queue_is_looked_at,
      no_result_says_what_may_be,
      something_else_on_the_reply_key_is_not_printed,
      run_prints_what_node_would_have_shown,
      run_that_fails_is_exit_1_with_the_place,
      run_json_is_one_line_and_nothing_else,
      ctrl_c_stops_a_run,
      run_without_an_executor_is_exit_3,
      a_terminal_gets_colour_unless_no_color_is_set,
      a_script_cannot_write_to_the_terminal_what_it_would_obey,
      status_counts_what_is_there,
      status_check_fails_without_a_live_worker,
      a_full_disk_is_an_error,
      a_wait_survives_an_outage_of_redis,
  };
  Suite *suite = suite_create("cli");
  TCase *tcase = tcase_create("cli");
  tcase_set_timeout(tcase, 90);
  tcase_add_unchecked_fixture(tcase, start_server, end_server);
  tcase_add_checked_fixture(tcase, set_up, tear_down);
  for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
    tcase_add_test(tcase, tests[i]);
  suite_add_tcase(suite, tcase);

  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
