/*
 * The command line from outside: the real binary, a real Redis, and what a user would see. No worker runs
 * here; what a worker would have published is put on the reply key as it would do it.
 */
#include <check.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <pty.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
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

/* For a test that ends its server: the others' one must not be a child of this process, which ends with the test. */
static void use_own_server(void) {
  redisFree(redis);
  start_server();
  redis = redis_server_connect(&server);
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
  static const char *const later[] = {"reply", "inspect"};
  for (size_t i = 0; i < sizeof later / sizeof *later; i++) {
    char says[64];
    snprintf(says, sizeof says, "unknown command \"%s\"", later[i]);
    ISOQ(later[i]);
    EXITS(2);
    SAYS(says);
    SAYS("run, worker, submit, result, cancel, replay, dead, status, config and help");
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
      {{"submit", "-e1", "--delay", "-1"}, "--delay: \"-1\""},
      {{"submit", "-e1", "--attempts", "0"}, "--attempts: \"0\" is not valid; a whole number, 1 to 25"},
      {{"submit", "-e1", "--delay=1", "--run-at=2030-01-01T00:00Z"}, "give one of the two"},
      {{"submit", "-e1", "--run-at", "2030-01-01T00:00"}, "it has no time zone"},
      {{"submit", "-e1", "--run-at", "2030-02-30T00:00Z"}, "there is no such day"},
      {{"submit", "-e1", "--run-at", "1893456000"}, "are these seconds?"},
      {{"submit", "-e1", "--run-at", "tomorrow"}, "give it in ms since 1970, or as 2030-01-31T08:30:00Z"},
      {{"submit", "-e1", "--isolation", "no"}, "isolation: \"no\" is not \"isolate\" or \"process\""},
      {{"submit", "--jobs", "/nonexistent"}, "--jobs: cannot read /nonexistent: No such file"},
      {{"submit", "--jobs", "-", "--wait"}, "there is no one result to --wait for"},
      {{"submit", "--jobs", "-", "-e1"}, "--jobs and --eval: each line is a whole job"},
      {{"submit", "--jobs", "-", "--id", "a"}, "--jobs and --id: each line is a whole job"},
      {{"submit", "--jobs", "-", "a.js"}, "so there is no script besides"},
      {{"cancel"}, "isoq cancel ID"},
      {{"cancel", "a b"}, "\"a b\" is not a job's id"},
      {{"cancel", "a", "b"}, "isoq cancel takes one ID; \"b\" is one too many"},
      {{"dead", "shwo"}, "There are list, show N, retry N, retry all and purge"},
      {{"dead", "list", "1"}, "isoq dead list takes nothing more, but there is \"1\""},
      {{"dead", "show"}, "isoq dead show which?"},
      {{"dead", "show", "0"}, "\"0\" is no number of a dead letter; 1 is the newest"},
      {{"dead", "show", "all"}, "\"all\" is no number"},
      {{"dead", "retry", "1", "2"}, "\"2\" is one too many"},
      {{"dead", "retry", "1", "--queue", "a,b"}, "--queue a"},
      {{"status", "--watch", "--check"}, "give one of the two"},
      {{"status", "--watch=0"}, "--watch: \"0\""},
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
  static const char *const commands[] = {"run",  "worker", "submit", "result", "cancel",
                                         "dead", "status", "config", "help"};
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
  static const char *const commands[][4] = {
      {"submit", "-e", "1"},     {"result", "j1"}, {"result", "j1", "--wait=5"},
      {"submit", "--jobs", "-"}, {"cancel", "j1"}, {"dead"},
      {"dead", "retry", "1"},    {"status"},       {"status", "--check"}};
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
  OUT_IS("{\"id\":\"j1\",\"queue\":\"default\",\"status\":\"queued\"}\n");
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

START_TEST(an_id_that_has_a_result_is_not_queued_again) {
  freeReplyObject(ask("SET isoq:{default}:done:j1 1"));
  ISOQ("submit", "-e", "1", "--id", "j1");
  EXITS(0);
  OUT_IS("j1\n");
  SAYS("job \"j1\" is known already (has a result): not queued again");
  ck_assert_int_eq(ask_number("LLEN", "isoq:{default}:jobs"), 0);
  ck_assert_int_eq(ask_number("HLEN", "isoq:{default}:submitted"), 0);
}
END_TEST

START_TEST(an_id_that_waits_is_not_queued_again) {
  ISOQ("submit", "-e", "1", "--id", "j1");
  EXITS(0);
  ISOQ("submit", "-e", "2", "--id", "j1", "--json");
  EXITS(0);
  OUT_IS("{\"id\":\"j1\",\"queue\":\"default\",\"status\":\"known\"}\n");
  SAYS("job \"j1\" is known already (waiting since ");
  char *job = waiting_job("isoq:{default}:jobs");
  ck_assert_str_eq(job, "{\"id\":\"j1\",\"code\":\"1\"}");
  free(job);
  ISOQ("submit", "-e", "2", "--id", "j1", "--queue", "other"); /* ids are those of a queue */
  SAYS("no worker serves queue other");
  free(waiting_job("isoq:{other}:jobs"));
}
END_TEST

START_TEST(submit_wait_with_a_known_id_shows_the_first_ones_result_and_leaves_it) {
  ISOQ("submit", "-e", "1", "--id", "j1");
  start_isoq((const char *const[]){"submit", "-e", "2", "--id", "j1", "--wait=30", "--json", NULL});
  wait_for_blocked_client();
  publish("isoq:{default}:reply:j1", RESULT_OK);
  ck_assert_int_eq(program_finish(&program), 0);
  EXITS(0);
  OUT_IS(RESULT_OK "\n");
  ck_assert_int_eq(ask_number("LLEN", "isoq:{default}:reply:j1"), 1); /* it is not this one's to take */

  freeReplyObject(ask("SET isoq:{default}:done:j1 1"));
  ISOQ("submit", "-e", "2", "--id", "j1", "--wait=30", "--json");
  EXITS(0);
  OUT_IS(RESULT_OK "\n");
  freeReplyObject(ask("DEL isoq:{default}:reply:j1"));
  ISOQ("submit", "-e", "2", "--id", "j1", "--wait=30"); /* it will never come */
  EXITS(3);
  SAYS("somebody has taken its result");
}
END_TEST

/* When the one delayed job of the queue is due; its payload is in `job`, free() it. */
static long long delayed_job(char **job) {
  redisReply *reply = ask("ZRANGE isoq:{default}:delayed 0 -1 WITHSCORES");
  ck_assert_uint_eq(reply->elements, 2);
  long long due = strtoll(reply->element[1]->str, NULL, 10);
  *job = strdup(reply->element[0]->str);
  freeReplyObject(reply);
  return due;
}

static long long redis_time_ms(void) {
  redisReply *reply = ask("TIME");
  long long ms =
      strtoll(reply->element[0]->str, NULL, 10) * 1000 + strtoll(reply->element[1]->str, NULL, 10) / 1000;
  freeReplyObject(reply);
  return ms;
}

START_TEST(a_delayed_job_waits_apart_with_a_note_that_its_delay_is_done_with) {
  char *job;
  long long before = redis_time_ms();
  ISOQ("submit", "-e", "1", "--id", "j1", "--delay", "60000", "--attempts", "3", "--backoff", "5",
       "--isolation", "process");
  EXITS(0);
  long long due = delayed_job(&job);
  ck_assert_int_ge(due, before + 60000);
  ck_assert_int_le(due, redis_time_ms() + 60000);
  ck_assert_str_eq(job, "{\"isoq\":{\"deaths\":0,\"attempt\":1,\"delayed\":true,\"token\":\"submit:j1\"},"
                        "\"id\":\"j1\",\"code\":\"1\",\"max_attempts\":3,\"backoff_ms\":5,\"delay_ms\":60000,"
                        "\"isolation\":\"process\"}");
  free(job);
  ck_assert_int_eq(ask_number("LLEN", "isoq:{default}:jobs"), 0);
  ISOQ("submit", "-e", "1", "--id", "j1");
  SAYS("is known already (waiting since");
}
END_TEST

START_TEST(run_at_takes_milliseconds_and_iso_8601) {
  static const struct {
    const char *text;
    long long ms;
  } times[] = {{"4070908800123", 4070908800123},
               {"2099-01-01T00:00Z", 4070908800000},
               {"2099-01-01T02:30:00.5+02:30", 4070908800500},
               {"2098-12-31 23:00:00-0100", 4070908800000}};
  for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
    char *job, field[64];
    ISOQ("submit", "-e", "1", "--run-at", times[i].text);
    EXITS(0);
    ck_assert_int_eq(delayed_job(&job), times[i].ms);
    snprintf(field, sizeof field, "\"run_at_ms\":%lld", times[i].ms);
    ck_assert_ptr_nonnull(strstr(job, field));
    free(job);
    freeReplyObject(ask("DEL isoq:{default}:delayed"));
  }
  ISOQ("submit", "-e", "1", "--run-at", "2001-01-01T00:00Z"); /* that is over */
  EXITS(0);
  ck_assert_int_eq(ask_number("LLEN", "isoq:{default}:jobs"), 1);
}
END_TEST

/* --- submit --jobs --- */

START_TEST(jobs_of_a_file_are_queued_line_by_line_in_order) {
  program.input = "{\"id\":\"a\",\"code\":\"1\",\"input\":1.0}\n"
                  "\n  \t\r\n"
                  "{ \"code\" : \"2\" }\r\n"
                  "{\"id\":\"c\",\"code\":\"3\"}"; /* no newline at the end */
  ISOQ("submit", "--jobs", "-");
  EXITS(0);
  SAYS("3 queued, 0 known, 0 not accepted");
  ck_assert_int_eq(strncmp(program.out, "a\n", 2), 0);
  ck_assert_uint_eq(program.out_len, 2 + 37 + 2);
  redisReply *jobs = ask("LRANGE isoq:{default}:jobs 0 -1");
  ck_assert_uint_eq(jobs->elements, 3);
  ck_assert_str_eq(jobs->element[2]->str, "{\"id\":\"a\",\"code\":\"1\",\"input\":1.0}");
  ck_assert_str_eq(jobs->element[0]->str, "{\"id\":\"c\",\"code\":\"3\"}");
  char with_id[128]; /* spliced in: the rest is as it was */
  snprintf(with_id, sizeof with_id, "{\"id\":\"%.36s\", \"code\" : \"2\" }\r", program.out + 2);
  ck_assert_str_eq(jobs->element[1]->str, with_id);
  freeReplyObject(jobs);
}
END_TEST

START_TEST(a_line_that_is_wrong_is_named_and_the_others_go_through) {
  program.input = "{\"id\":\"a\",\"code\":\"1\"}\n"
                  "{\"id\":\"b\",\"input\":1}\n"
                  "nonsense\n"
                  "{\"id\":\"a\",\"code\":\"1\"}\n"
                  "{\"id\":\"c\",\"code\":\"1\",\"timeout_ms\":0}\n"
                  "{\"id\":\"d\",\"code\":\"1\",\"delay_ms\":60000}\n";
  ISOQ("submit", "--jobs", "-");
  EXITS(1);
  OUT_IS("a\na\nd\n");
  SAYS("stdin:2: code: missing; ");
  SAYS("stdin:3: not JSON: unexpected character 'n' at byte 0");
  SAYS("stdin:5: timeout_ms: 0 is under the minimum 1");
  SAYS("2 queued, 1 known, 3 not accepted");
  ck_assert_int_eq(ask_number("LLEN", "isoq:{default}:jobs"), 1);
  ck_assert_int_eq(ask_number("ZCARD", "isoq:{default}:delayed"), 1);
  ck_assert_int_eq(ask_number("HLEN", "isoq:{default}:submitted"), 2);
}
END_TEST

START_TEST(jobs_json_is_an_object_a_line) {
  program.input =
      "{\"id\":\"a\",\"code\":\"1\"}\n{\"id\":\"a\",\"code\":\"1\"}\n\n{\"id\":\"b\"}\n{\"id\":7}\n";
  ISOQ("submit", "--jobs", "-", "--json");
  EXITS(1);
  ck_assert_ptr_eq(
      strstr(
          program.out,
          "{\"line\":1,\"id\":\"a\",\"queue\":\"default\",\"status\":\"queued\",\"error\":null}\n"
          "{\"line\":2,\"id\":\"a\",\"queue\":\"default\",\"status\":\"known\",\"error\":null}\n"
          "{\"line\":4,\"id\":\"b\",\"queue\":\"default\",\"status\":\"invalid\",\"error\":\"code: missing;"),
      program.out);
  ck_assert_ptr_nonnull(
      strstr(program.out, "\n{\"line\":5,\"id\":null,\"queue\":\"default\",\"status\":\"invalid\","));
}
END_TEST

START_TEST(a_line_above_the_limit_is_reported_and_the_next_one_read) {
  const size_t long_len = 300000, size = long_len + 64;
  char *input = malloc(size), says[128];
  memset(input, 'x', long_len);
  input[0] = '{';
  snprintf(input + long_len, 64, "\n{\"id\":\"a\",\"code\":\"1\"}\n");
  program.input = input;
  ISOQ("submit", "--jobs", "-", "--max-payload-bytes", "2048", "--max-code-bytes=1024",
       "--max-input-bytes=1024");
  EXITS(1);
  OUT_IS("a\n");
  snprintf(says, sizeof says, "stdin:1: payload: %zu bytes are over the maximum 2048 (max_payload_bytes)",
           long_len);
  SAYS(says);
  free(input);
}
END_TEST

START_TEST(more_jobs_than_a_batch_has_are_all_queued_once) {
  char *input = NULL;
  size_t len;
  FILE *out = open_memstream(&input, &len);
  for (int i = 0; i < 5000; i++)
    fprintf(out, "{\"id\":\"j%d\",\"code\":\"%d\"}\n", i, i);
  fclose(out);
  program.input = input;
  for (int again = 0; again < 2; again++) {
    ISOQ("submit", "--jobs", "-");
    EXITS(0);
    SAYS(again ? "0 queued, 5000 known, 0 not accepted" : "5000 queued, 0 known, 0 not accepted");
    ck_assert_int_eq(ask_number("LLEN", "isoq:{default}:jobs"), 5000);
  }
  free(input);
}
END_TEST

START_TEST(a_workers_note_on_a_line_is_left_out) {
  program.input = "{\"isoq\":{\"deaths\":2,\"attempt\":3,\"delayed\":true,\"token\":\"w:1\"},\"id\":\"a\","
                  "\"code\":\"1\"}\n"
                  "{\"isoq\":{\"deaths\":2},\"code\":\"1\"}\n";
  ISOQ("submit", "--jobs", "-", "--json");
  EXITS(0);
  redisReply *jobs = ask("LRANGE isoq:{default}:jobs 0 -1");
  ck_assert_uint_eq(jobs->elements, 2);
  ck_assert_str_eq(jobs->element[1]->str, "{\"id\":\"a\",\"code\":\"1\"}");
  ck_assert_ptr_null(strstr(jobs->element[0]->str, "isoq"));
  freeReplyObject(jobs);
}
END_TEST

static void wait_for_number(const char *command, const char *key, long long wanted) {
  const struct timespec pause = {.tv_nsec = 1000000};
  while (ask_number(command, key) != wanted)
    nanosleep(&pause, NULL); /* bounded by the test's own time limit */
}

/* A pipe with a name, which isoq reads and the test writes. */
static int open_fifo(char *path) {
  ck_assert_ptr_nonnull(mkdtemp(path));
  rmdir(path);
  ck_assert_int_eq(mkfifo(path, 0600), 0);
  start_isoq((const char *const[]){"submit", "--jobs", path, NULL});
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  ck_assert_int_ge(fd, 0);
  return fd;
}

static void write_text(int fd, const char *text) {
  ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

START_TEST(jobs_written_slowly_into_a_pipe_are_not_held_back) {
  char path[] = "/tmp/isoq-cli-XXXXXX";
  int fd = open_fifo(path);
  write_text(fd, "{\"id\":\"a\",\"code\":\"1\"}\n{\"id\":\"b\",\"co");
  wait_for_number("LLEN", "isoq:{default}:jobs", 1);
  write_text(fd, "de\":\"1\"}\n");
  wait_for_number("LLEN", "isoq:{default}:jobs", 2);
  close(fd);
  ck_assert_int_eq(program_finish(&program), 0);
  EXITS(0);
  OUT_IS("a\nb\n");
  unlink(path);
}
END_TEST

START_TEST(jobs_without_redis_any_more_say_what_was_confirmed) {
  use_own_server();
  for (int with_ids = 0; with_ids < 2; with_ids++) {
    char path[] = "/tmp/isoq-cli-XXXXXX", tail[128];
    int fd = open_fifo(path);
    write_text(fd, "{\"id\":\"a\",\"code\":\"1\"}\n\n{\"id\":\"b\",\"code\":\"1\"}\n");
    wait_for_number("LLEN", "isoq:{default}:jobs", 2);
    redis_server_kill(&server);
    write_text(fd, with_ids ? "{\"id\":\"c\",\"code\":\"1\"}\n" : "{\"code\":\"1\"}\n");
    close(fd);
    ck_assert_int_eq(program_finish(&program), 0);
    EXITS(3);
    OUT_IS("a\nb\n");
    SAYS("lost Redis at");
    SAYS("the last line that Redis confirmed is line 3 of /tmp/isoq-cli-");
    SAYS("whether the lines from 4 to 4 are queued is not known");
    SAYS("2 queued, 0 known, 0 not accepted");
    snprintf(tail, sizeof tail, "tail -n +4 %s | isoq submit --jobs -", path);
    SAYS(with_ids ? "to submit all of it again is safe" : tail);
    if (!with_ids) SAYS("may then run twice");
    unlink(path);
    ck_assert_int_eq(redis_server_restart(&server), 0);
    redisFree(redis);
    redis = redis_server_connect(&server);
    freeReplyObject(ask("FLUSHALL"));
  }
  end_server();
}
END_TEST

START_TEST(jobs_that_redis_refuses_are_not_counted_as_queued) {
  freeReplyObject(ask("CONFIG SET maxmemory 1"));
  program.input = "{\"id\":\"a\",\"code\":\"1\"}\n";
  ISOQ("submit", "--jobs", "-", "--json");
  freeReplyObject(ask("CONFIG SET maxmemory 0"));
  EXITS(3);
  ck_assert_ptr_nonnull(strstr(
      program.out, "{\"line\":1,\"id\":\"a\",\"queue\":\"default\",\"status\":\"refused\",\"error\":"));
  SAYS("stdin:1: Redis refused: OOM");
  SAYS("stopped after line 1");
  SAYS("0 queued, 0 known, 1 not accepted");
  redisReply *size = ask("DBSIZE"); /* all or nothing */
  ck_assert_int_eq(size->integer, 0);
  freeReplyObject(size);
}
END_TEST

START_TEST(a_terminal_gets_a_progress_bar_that_fits_it) {
  char path[] = "/tmp/isoq-cli-XXXXXX";
  FILE *file = fdopen(mkstemp(path), "w");
  for (int i = 0; i < 3; i++)
    fprintf(file, "{\"id\":\"j%d\",\"code\":\"1\"}\n\n", i);
  fclose(file);
  program.terminal = true;
  program.environment = (const char *const[]){redis_variable, "TERM=xterm", "COLUMNS=60", NULL};
  ISOQ("submit", "--jobs", path);
  EXITS(0);
  ck_assert_ptr_nonnull(strstr(program.out, "[\033[32m"));
  ck_assert_ptr_nonnull(strstr(program.out, "0/3 jobs, 0/s"));
  ck_assert_ptr_nonnull(strstr(program.out, "3 queued, 0 known"));

  program.environment = (const char *const[]){redis_variable, "TERM=xterm", "COLUMNS=60", "NO_COLOR=1", NULL};
  ISOQ("submit", "--jobs", path);
  ck_assert_ptr_null(strchr(program.out, '\033'));
  char *bar = strchr(program.out, '[');
  ck_assert_ptr_nonnull(bar);
  ck_assert_uint_lt(strcspn(bar, "\r\n"), 60);

  program.environment = (const char *const[]){redis_variable, "TERM=dumb", NULL};
  ISOQ("submit", "--jobs", path);
  ck_assert_ptr_null(strchr(program.out, '['));
  program.terminal = false;
  ISOQ("submit", "--jobs", path);
  ck_assert_ptr_null(strstr(program.err, "jobs,"));
  unlink(path);
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
  use_own_server();
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
  end_server();
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

/* --- cancel --- */

#define J1 "{\"id\":\"j1\",\"code\":\"1\",\"metadata\":{\"m\":1.0}}"
#define NOTE "{\"isoq\":{\"deaths\":0,\"attempt\":2,\"delayed\":true,\"token\":\"w:1\"},"

/* That the job has been settled as cancelled, by nobody but isoq cancel. */
static void check_cancelled(const char *reply_key) {
  redisReply *reply = ask("LRANGE %s 0 -1", reply_key);
  ck_assert_uint_eq(reply->elements, 1);
  const char *json = reply->element[0]->str;
  ck_assert_ptr_eq(strstr(json, "{\"id\":\"j1\",\"success\":false,\"status\":\"cancelled\",\"result\":null"),
                   json);
  ck_assert_ptr_nonnull(strstr(json, "\"metadata\":{\"m\":1.0}"));
  freeReplyObject(reply);
  ck_assert_int_gt(ask_number("PTTL", reply_key), 0);
  ck_assert_int_gt(ask_number("PTTL", "isoq:{default}:done:j1"), 0);
  reply = ask("HMGET isoq:{default}:stats processed status:cancelled");
  ck_assert_str_eq(reply->element[0]->str, "1");
  ck_assert_str_eq(reply->element[1]->str, "1");
  freeReplyObject(reply);
  ck_assert_int_eq(ask_number("HLEN", "isoq:{default}:submitted"), 0);
}

START_TEST(a_waiting_job_is_taken_out_and_its_result_says_cancelled) {
  for (int i = 0; i < 1200; i++) /* more than one piece of the list, on both sides */
    freeReplyObject(ask("LPUSH isoq:{default}:jobs {\"id\":\"x%d\",\"code\":\"'j1'\"}", i));
  freeReplyObject(ask("LSET isoq:{default}:jobs 600 %s", J1));
  freeReplyObject(ask("HSET isoq:{default}:submitted j1 1"));
  ISOQ("cancel", "j1");
  EXITS(0);
  SILENT();
  OUT_IS("cancelled j1 (waiting)\n");
  ck_assert_int_eq(ask_number("LLEN", "isoq:{default}:jobs"), 1199);
  check_cancelled("isoq:{default}:reply:j1");
}
END_TEST

START_TEST(a_delayed_job_is_taken_out_and_its_result_says_cancelled) {
  freeReplyObject(ask("ZADD isoq:{default}:delayed 99999999999999 %s 99999999999998 %s",
                      NOTE "\"id\":\"j1\",\"code\":\"1\",\"metadata\":{\"m\":1.0}}",
                      "{\"id\":\"j2\",\"code\":\"1\"}"));
  ISOQ("cancel", "j1", "--json");
  EXITS(0);
  SILENT();
  OUT_IS("{\"id\":\"j1\",\"queue\":\"default\",\"cancelled\":true,\"was\":\"delayed\"}\n");
  ck_assert_int_eq(ask_number("ZCARD", "isoq:{default}:delayed"), 1);
  check_cancelled("isoq:{default}:reply:j1");
  redisReply *reply = ask("LINDEX isoq:{default}:reply:j1 0");
  ck_assert_ptr_nonnull(strstr(reply->str, "\"attempt\":2"));
  freeReplyObject(reply);
}
END_TEST

START_TEST(a_cancelled_job_answers_where_its_producer_listens) {
  freeReplyObject(ask("LPUSH isoq:{default}:jobs %s",
                      "{\"id\":\"\\u006a1\",\"code\":\"1\",\"reply_to\":\"mine\",\"metadata\":{\"m\":1.0}}"));
  ISOQ("cancel", "j1");
  EXITS(0);
  check_cancelled("mine");
}
END_TEST

START_TEST(a_cancelled_job_whose_reply_key_is_unusable_is_a_dead_letter) {
  freeReplyObject(ask("SET mine string"));
  freeReplyObject(
      ask("LPUSH isoq:{default}:jobs %s", "{\"id\":\"j1\",\"code\":\"1\",\"reply_to\":\"mine\"}"));
  ISOQ("cancel", "j1");
  EXITS(0);
  redisReply *letter = ask("LINDEX isoq:{default}:dead 0");
  ck_assert_ptr_nonnull(strstr(letter->str, "\"reason\":\"cancelled; reply_to holds a string"));
  ck_assert_ptr_nonnull(strstr(letter->str, "\"status\":\"cancelled\""));
  freeReplyObject(letter);
  ck_assert_int_eq(ask_number("EXISTS", "isoq:{default}:done:j1"), 1);
  ck_assert_int_eq(ask_number("LLEN", "isoq:{default}:jobs"), 0);
}
END_TEST

START_TEST(a_job_that_has_a_result_is_not_cancelled) {
  freeReplyObject(ask("SET isoq:{default}:done:j1 w:1"));
  ISOQ("cancel", "j1");
  EXITS(1);
  OUT_IS("");
  SAYS("job \"j1\" has a result already; nothing to cancel: isoq result j1");
  publish("isoq:{default}:reply:j1", RESULT_OK);
  ISOQ("cancel", "j1");
  SAYS("job \"j1\" has a result already (ok)");
  freeReplyObject(ask("SET isoq:{default}:done:j1 w:1:timeout"));
  ISOQ("cancel", "j1");
  EXITS(1);
  SAYS("job \"j1\" has a result already (timeout)");
  ck_assert_int_eq(ask_number("LLEN", "isoq:{default}:reply:j1"), 1);
}
END_TEST

START_TEST(an_unknown_job_is_not_cancelled_and_its_id_is_free_again) {
  ISOQ("cancel", "j1", "--queue", "a,b");
  EXITS(1);
  OUT_IS("");
  SAYS("no job \"j1\" is waiting, delayed or running in queue a, b; nothing to cancel");

  ISOQ("submit", "-e", "1", "--id", "j1");
  freeReplyObject(ask("DEL isoq:{default}:jobs"));
  ISOQ("cancel", "j1");
  EXITS(1);
  SAYS("no job \"j1\"");
  SAYS("its id may be used again");
  ISOQ("submit", "-e", "1", "--id", "j1");
  ck_assert_int_eq(ask_number("LLEN", "isoq:{default}:jobs"), 1);
}
END_TEST

START_TEST(cancel_looks_at_every_queue) {
  freeReplyObject(ask("LPUSH isoq:{low}:jobs %s", J1));
  ISOQ("cancel", "j1", "--queue", "high,low", "--json");
  EXITS(0);
  OUT_IS("{\"id\":\"j1\",\"queue\":\"low\",\"cancelled\":true,\"was\":\"waiting\"}\n");
}
END_TEST

/* A worker, as far as isoq cancel sees one: it has j1, hears of it on the channel, and does what the script says. The
 * script gets claimed, done, reply and jobs as its keys. It begins only when isoq has asked once in vain. */
static pid_t start_stand_in(const char *script) {
  pid_t pid = fork();
  if (pid != 0) return pid;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  redisContext *own = redis_server_connect(&server), *listens = redis_server_connect(&server);
  redisReply *reply;
  do {
    const struct timespec pause = {.tv_nsec = 1000000};
    nanosleep(&pause, NULL);
    reply = redisCommand(own, "INFO commandstats");
    if (strstr(reply->str, "cmdstat_publish")) break;
    freeReplyObject(reply);
  } while (true);
  freeReplyObject(reply);
  freeReplyObject(redisCommand(listens, "SUBSCRIBE isoq:{default}:cancel"));
  void *message = NULL;
  if (redisGetReply(listens, &message) != REDIS_OK) _exit(1);
  reply = message;
  if (strcmp(reply->element[2]->str, "j1") != 0) _exit(2);
  freeReplyObject(reply);
  reply = redisCommand(own,
                       "EVAL %s 4 isoq:{default}:claimed:w1 isoq:{default}:done:j1 isoq:{default}:reply:j1 "
                       "isoq:{default}:jobs",
                       script);
  _exit(reply && reply->type != REDIS_REPLY_ERROR ? 0 : 3);
}

static void end_stand_in(pid_t pid) {
  int status;
  ck_assert_int_eq(waitpid(pid, &status, 0), pid);
  ck_assert_int_eq(status, 0);
}

static void claim_j1(const char *lease) {
  freeReplyObject(ask("CONFIG RESETSTAT"));
  freeReplyObject(ask("DEL isoq:{default}:done:j1 isoq:{default}:reply:j1 isoq:{default}:jobs"));
  freeReplyObject(ask("RPUSH isoq:{default}:claimed:w1 %s", J1));
  if (lease) freeReplyObject(ask("ZADD isoq:{default}:workers %s w1", lease));
}

#define SETTLED_AS(status)                                                                                   \
  "redis.call('DEL',KEYS[1]) redis.call('SET',KEYS[2],'w1:1') "                                              \
  "redis.call('LPUSH',KEYS[3],'{\"id\":\"j1\",\"success\":false,\"status\":\"" status "\"}')"

START_TEST(a_running_job_is_stopped_by_the_worker_that_has_it) {
  static const char *const leases[] = {"99999999999999",
                                       NULL}; /* the second is an orphan, found all the same */
  for (size_t i = 0; i < 2; i++) {
    freeReplyObject(ask("DEL isoq:{default}:workers"));
    claim_j1(leases[i]);
    pid_t stand_in = start_stand_in(SETTLED_AS("cancelled"));
    ISOQ("cancel", "j1");
    end_stand_in(stand_in);
    EXITS(0);
    SILENT();
    OUT_IS("cancelled j1 (running)\n");
  }
  claim_j1(NULL); /* a producer may have taken the result at once: then done: tells */
  pid_t stand_in = start_stand_in("redis.call('DEL',KEYS[1]) redis.call('SET',KEYS[2],'w1:1:cancelled')");
  ISOQ("cancel", "j1", "--json");
  end_stand_in(stand_in);
  EXITS(0);
  OUT_IS("{\"id\":\"j1\",\"queue\":\"default\",\"cancelled\":true,\"was\":\"running\"}\n");
}
END_TEST

START_TEST(a_job_that_ends_by_itself_meanwhile_is_not_called_cancelled) {
  claim_j1("99999999999999");
  pid_t stand_in = start_stand_in(SETTLED_AS("timeout"));
  ISOQ("cancel", "j1");
  end_stand_in(stand_in);
  EXITS(1);
  OUT_IS("");
  SAYS("job \"j1\" ended by itself meanwhile (timeout)");
}
END_TEST

START_TEST(a_job_that_is_given_back_meanwhile_is_cancelled_where_it_went) {
  claim_j1("99999999999999");
  pid_t stand_in = start_stand_in("redis.call('LMOVE',KEYS[1],KEYS[4],'LEFT','RIGHT')");
  ISOQ("cancel", "j1");
  end_stand_in(stand_in);
  EXITS(0);
  OUT_IS("cancelled j1 (waiting)\n");
  check_cancelled("isoq:{default}:reply:j1");
}
END_TEST

START_TEST(a_worker_that_does_not_answer_is_named) {
  claim_j1("99999999999999");
  ISOQ("cancel", "j1");
  EXITS(3);
  OUT_IS("");
  SAYS("worker w1 has job j1");
  SAYS("nobody listens on isoq:{default}:cancel");
  ck_assert_int_eq(ask_number("LLEN", "isoq:{default}:claimed:w1"), 1);
}
END_TEST

/* --- dead --- */

#define DEAD "isoq:{default}:dead"
#define LETTER_OLD                                                                                           \
  "{\"job\":" NOTE "\"id\":\"old\",\"code\":\"1\",\n\"input\":1.0},\"reason\":\"given up\",\"result\":"      \
  "{\"id\":\"old\",\"success\":false,\"status\":\"worker_lost\",\"result\":null,\"stdout\":\"printed\\n\","  \
  "\"stderr\":\"\",\"console_output\":[],\"error\":{\"name\":\"WorkerLost\",\"message\":\"given up\"}},"     \
  "\"at\":1700000000000}"
#define LETTER_BROKEN                                                                                        \
  "{\"job\":\"{\\\"id\\\":\\\"cut\\\",\",\"reason\":\"invalid: not JSON\\u001b[2J\\nat "                     \
  "all\",\"result\":null,"                                                                                   \
  "\"at\":1700000000000}"
#define LETTER_NEW                                                                                           \
  "{\"job\":{\"id\":\"new\",\"code\":1},\"reason\":\"invalid: code: 1 is not a string\",\"result\":"         \
  "{\"id\":\"new\",\"success\":false,\"status\":\"invalid\"},\"at\":1700000000000}"

static void put_letters(void) {
  freeReplyObject(ask("DEL " DEAD));
  freeReplyObject(ask("LPUSH " DEAD " %s %s %s", LETTER_OLD, LETTER_BROKEN, LETTER_NEW));
}

START_TEST(dead_list_shows_one_line_a_letter_the_newest_first) {
  ISOQ("dead");
  EXITS(0);
  OUT_IS("no dead letters in queue default\n");
  put_letters();
  ISOQ("dead", "list");
  EXITS(0);
  SILENT();
  char *first = strstr(program.out, "\n     1  "), *second = strstr(program.out, "\n     2  ");
  char *third = strstr(program.out, "\n     3  ");
  ck_assert(first && second && third);
  ck_assert_ptr_nonnull(strstr(first, " d  new "));
  ck_assert_ptr_nonnull(strstr(first, "  invalid: code: 1 is not a string\n"));
  ck_assert_ptr_nonnull(strstr(second, " d  cut "));
  ck_assert_ptr_nonnull(strstr(second, "  invalid: not JSON\\x1b[2J\\x0aat all\n"));
  ck_assert_ptr_nonnull(strstr(third, " d  old "));
  ck_assert_ptr_nonnull(strstr(third, "  worker_lost: given up\n"));

  ISOQ("dead", "list", "--json");
  EXITS(0);
  char *space = strdup(LETTER_NEW "\n" LETTER_BROKEN "\n" LETTER_OLD "\n"),
       *newline = strstr(space, ",\n\"input");
  newline[1] = ' '; /* a job may have line breaks between its tokens; a letter is one line */
  OUT_IS(space);
  free(space);

  program.terminal = true;
  program.environment = (const char *const[]){redis_variable, "COLUMNS=70", NULL};
  ISOQ("dead", "list");
  for (char *line = program.out; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
    ck_assert_uint_le(strcspn(line, "\r\n"), 70 + 2); /* an ellipsis is 3 bytes, and one column */
  ck_assert_ptr_nonnull(strstr(program.out, "\xe2\x80\xa6"));
}
END_TEST

START_TEST(dead_show_tells_the_job_the_reason_and_the_result) {
  put_letters();
  ISOQ("dead", "show", "3");
  EXITS(0);
  ck_assert_ptr_nonnull(
      strstr(program.out, "dead letter 3 of queue default\nat:     2023-11-14 22:13:20 UTC ("));
  ck_assert_ptr_nonnull(strstr(program.out, "reason: given up\n"));
  ck_assert_ptr_nonnull(strstr(program.out, "\"attempt\": 2,"));
  ck_assert_ptr_nonnull(strstr(program.out, "  \"id\": \"old\",\n  \"code\": \"1\",\n  \"input\": 1.0\n}\n"));
  ck_assert_ptr_nonnull(strstr(program.out, "result:\nprinted\n"));
  SAYS("isoq: worker_lost: WorkerLost: given up");
  ISOQ("dead", "show", "2");
  EXITS(0);
  ck_assert_ptr_nonnull(strstr(program.out, "no JSON object:\n{\"id\":\"cut\",\nresult: none\n"));
  ISOQ("dead", "show", "1", "--json");
  OUT_IS(LETTER_NEW "\n");
  ISOQ("dead", "show", "4");
  EXITS(1);
  SAYS("there is no dead letter 4 in queue default: there are 3");
  freeReplyObject(ask("LPUSH " DEAD " garbage"));
  ISOQ("dead", "show", "1");
  EXITS(1);
  SAYS("dead letter 1 of queue default is none of isoq's");
}
END_TEST

START_TEST(dead_retry_queues_the_producers_own_text_and_clears_the_old_result) {
  put_letters();
  freeReplyObject(ask("SET isoq:{default}:done:old w:1"));
  publish("isoq:{default}:reply:old", RESULT_FAILED);
  ISOQ("dead", "retry", "3");
  EXITS(0);
  OUT_IS("retried old\n");
  SILENT();
  char *job = waiting_job("isoq:{default}:jobs");
  ck_assert_str_eq(job, "{\"id\":\"old\",\"code\":\"1\",\n\"input\":1.0}");
  free(job);
  ck_assert_int_eq(ask_number("EXISTS", "isoq:{default}:done:old"), 0);
  ck_assert_int_eq(ask_number("EXISTS", "isoq:{default}:reply:old"), 0);
  ck_assert_int_eq(ask_number("LLEN", DEAD), 2);
  ISOQ("submit", "-e", "1", "--id", "old");
  SAYS("is known already (waiting since");

  ISOQ("dead", "retry", "1", "--json");
  EXITS(0);
  OUT_IS("{\"id\":\"new\",\"queue\":\"default\",\"retried\":true}\n");
  SAYS("new is not valid still, and will be a dead letter again: code: 1 is not a string");
}
END_TEST

START_TEST(dead_retry_refuses_what_would_be_in_vain) {
  put_letters();
  ISOQ("dead", "retry", "2");
  EXITS(1);
  SAYS("dead letter 2 cannot be retried: what was pushed is no JSON object");
  freeReplyObject(ask("HSET isoq:{default}:submitted old 1"));
  ISOQ("dead", "retry", "3");
  EXITS(1);
  SAYS("dead letter 3 is not retried: job \"old\" is queued already (waiting since ");
  ISOQ("dead", "retry", "4");
  EXITS(1);
  SAYS("there is no dead letter 4 in queue default: there are 3");
  ck_assert_int_eq(ask_number("LLEN", DEAD), 3);
  ck_assert_int_eq(ask_number("LLEN", "isoq:{default}:jobs"), 0);
  OUT_IS("");
}
END_TEST

START_TEST(dead_retry_all_begins_with_the_oldest_and_keeps_what_cannot_be) {
  put_letters();
  freeReplyObject(
      ask("LPUSH " DEAD " %s", "{\"job\":{\"code\":\"2\",\"reply_to\":\"mine\"},\"reason\":\"r\",\"at\":1}"));
  ISOQ("dead", "retry", "all");
  EXITS(1);
  OUT_IS("retried old\nretried new\nretried a job without an id\n");
  SAYS("dead letter 3 cannot be retried");
  SAYS("3 retried, 1 not");
  redisReply *jobs = ask("LRANGE isoq:{default}:jobs 0 -1");
  ck_assert_uint_eq(jobs->elements, 3);
  ck_assert_ptr_nonnull(strstr(jobs->element[2]->str, "\"old\"")); /* the next to be taken */
  ck_assert_str_eq(jobs->element[0]->str, "{\"code\":\"2\",\"reply_to\":\"mine\"}");
  freeReplyObject(jobs);
  redisReply *left = ask("LRANGE " DEAD " 0 -1");
  ck_assert_uint_eq(left->elements, 1);
  ck_assert_str_eq(left->element[0]->str, LETTER_BROKEN);
  freeReplyObject(left);
  freeReplyObject(ask("DEL " DEAD));
  ISOQ("dead", "retry", "all");
  EXITS(0);
  SAYS("0 retried, 0 not");
}
END_TEST

/* isoq dead purge on a terminal, where somebody types `answer`. Returns the exit status. */
static int purge_on_a_terminal(const char *answer) {
  char shown[1024] = "";
  size_t len = 0;
  int fd, status;
  pid_t pid = forkpty(&fd, NULL, NULL, NULL);
  if (pid == 0) {
    execle(program_path("isoq"), "isoq", "dead", "purge", NULL, (char *const[]){redis_variable, NULL});
    _exit(127);
  }
  for (bool answered = false;;) {
    ssize_t got = read(fd, shown + len, sizeof shown - 1 - len);
    if (got <= 0) break; /* EIO is a terminal's end */
    len += (size_t)got;
    shown[len] = 0;
    if (answered || !strstr(shown, "delete 3 dead letters of queue default for good? [y/N] ")) continue;
    ck_assert_int_eq(write(fd, answer, strlen(answer)), (ssize_t)strlen(answer));
    answered = true;
  }
  close(fd);
  ck_assert_int_eq(waitpid(pid, &status, 0), pid);
  return WEXITSTATUS(status);
}

START_TEST(dead_purge_asks_on_a_terminal_and_takes_anything_but_yes_for_no) {
  put_letters();
  ck_assert_int_eq(purge_on_a_terminal("\n"), 1);
  ck_assert_int_eq(purge_on_a_terminal("n\n"), 1);
  ck_assert_int_eq(ask_number("LLEN", DEAD), 3);
  ck_assert_int_eq(purge_on_a_terminal("y\n"), 0);
  ck_assert_int_eq(ask_number("LLEN", DEAD), 0);
}
END_TEST

START_TEST(dead_purge_without_a_terminal_needs_yes) {
  put_letters();
  ISOQ("dead", "purge");
  EXITS(2);
  SAYS("purge deletes 3 dead letters of queue default for good: say --yes");
  ck_assert_int_eq(ask_number("LLEN", DEAD), 3);
  ISOQ("dead", "purge", "--yes");
  EXITS(0);
  OUT_IS("deleted 3 dead letters of queue default\n");
  ck_assert_int_eq(ask_number("EXISTS", DEAD), 0);
  ISOQ("dead", "purge", "--json");
  EXITS(0);
  OUT_IS("{\"queue\":\"default\",\"purged\":0}\n");
}
END_TEST

/* --- status --- */

#define OUT_HAS(text)                                                                                        \
  ck_assert_msg(strstr(program.out, text) != NULL, "\"%s\" does not have \"%s\"", program.out, text)

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
  OUT_HAS("default          3    unknown          0          3          1          1          9\n");
  OUT_HAS("w1            2  ");
  OUT_HAS("ago: lost");
  OUT_HAS("status:ok=8");

  ISOQ("status", "--json", "--queue", "default,other");
  EXITS(0);
  OUT_HAS(
      "{\"name\":\"default\",\"waiting\":3,\"delayed\":0,\"claimed\":3,\"dead\":1,\"oldest_waiting_ms\":null,"
      "\"next_due_ms\":null,\"workers_alive\":1,\"workers\":[{\"name\":\"w0\",\"alive\":false,");
  OUT_HAS("\"stats\":{\"processed\":9,\"status:ok\":8}},{\"name\":\"other\",\"waiting\":0,");
  ck_assert_ptr_eq(strchr(program.out, '\n'), program.out + program.out_len - 1);
}
END_TEST

START_TEST(status_tells_how_long_the_oldest_has_waited_and_when_the_next_is_due) {
  long long now = redis_time_ms();
  freeReplyObject(ask("LPUSH isoq:{default}:jobs %s %s", "{\"id\":\"j1\",\"code\":\"1\"}",
                      "{\"id\":\"j2\",\"code\":\"1\"}"));
  freeReplyObject(ask("HSET isoq:{default}:submitted j1 %lld j2 %lld", now - 3600 * 1000 * 5LL, now));
  freeReplyObject(ask("ZADD isoq:{default}:delayed %lld later %lld soon", now + 99 * 86400000LL,
                      now + 10 * 86400000LL + 3600000));
  ISOQ("status");
  OUT_HAS("default          2        5 h          2          0");
  OUT_HAS("next delayed job: due in 10 d\n");

  /* One that was pushed raw: its id tells, if it is a UUID with a time in it. */
  freeReplyObject(ask("RPUSH isoq:{default}:jobs %s",
                      "{\"id\":\"018bcfe5-6800-7000-8000-000000000000\",\"code\":\"1\"}")); /* 2023 */
  ISOQ("status", "--json");
  char *age = strstr(program.out, "\"oldest_waiting_ms\":");
  ck_assert_ptr_nonnull(age);
  long long expected = now - 1700000000000;
  ck_assert_int_ge(strtoll(age + strlen("\"oldest_waiting_ms\":"), NULL, 10), expected);
  freeReplyObject(ask("RPUSH isoq:{default}:jobs %s", "{\"id\":\"j3\",\"code\":\"1\"}"));
  freeReplyObject(ask("ZADD isoq:{default}:delayed 1 overdue"));
  ISOQ("status");
  OUT_HAS("default          4    unknown          3");
  OUT_HAS("next delayed job: due now\n");
}
END_TEST

START_TEST(status_tells_what_each_worker_runs_and_for_how_long) {
  long long now = redis_time_ms();
  char notice[512];
  freeReplyObject(ask("ZADD isoq:{default}:workers 99999999999999 w1 99999999999999 w2"));
  freeReplyObject(ask("RPUSH isoq:{default}:claimed:w1 %s %s", "{\"id\":\"j1\",\"code\":\"1\"}",
                      "{\"id\":\"j2\",\"code\":\"1\"}"));
  snprintf(notice, sizeof notice,
           "{\"host\":\"h\",\"pid\":7,\"executors\":4,\"busy\":1,\"jobs_per_s\":10.25,\"redis_down_count\":2,"
           "\"running\":"
           "[{\"id\":\"j1\",\"since_ms\":%lld,\"attempt\":3},{\"id\":\"ended\",\"since_ms\":1}]}",
           now - 3 * 3600 * 1000LL);
  freeReplyObject(ask("SET isoq:{default}:worker:w1 %s", notice));
  freeReplyObject(ask("SET isoq:{default}:worker:w2 %s", "{\"jobs_per_s\":1.5}"));
  ISOQ("status");
  EXITS(0);
  OUT_HAS(", 11.8 jobs/s\n");
  OUT_HAS("  w1            2          4     1    10.2  ");
  OUT_HAS("has lost Redis 2 times\n    j1  for 3 h, attempt 3\n    j2  just claimed\n");
  OUT_HAS("  w2            0          -     -     1.5  ");
  ck_assert_ptr_null(strstr(program.out, "ended"));
  ISOQ("status", "--json");
  OUT_HAS("\"jobs_per_s\":11.75,");
  OUT_HAS("\"host\":\"h\",\"pid\":7,\"executors\":4,\"busy\":1,\"jobs_per_s\":10.25,\"redis_down_count\":2,");
  OUT_HAS("{\"id\":\"j2\",\"for_ms\":null}]");
}
END_TEST

START_TEST(status_counts_orphans_with_or_without_an_expired_lease) {
  freeReplyObject(ask("ZADD isoq:{default}:workers 1000 late"));
  freeReplyObject(ask("RPUSH isoq:{default}:claimed:late a b"));
  freeReplyObject(ask("RPUSH isoq:{default}:claimed:lost c"));
  freeReplyObject(ask("RPUSH isoq:{other}:claimed:others d"));
  ISOQ("status");
  EXITS(0);
  OUT_HAS("  orphans: 3 jobs of workers without a lease (late: 2, lost: 1); will be given back\n");
  OUT_HAS("    (no id)  orphaned\n");
  ISOQ("status", "--json");
  OUT_HAS("\"claimed\":3,");
  OUT_HAS("\"orphaned\":3,\"orphans\":[{\"worker\":\"late\",\"jobs\":2},{\"worker\":\"lost\",\"jobs\":1}]");
}
END_TEST

START_TEST(status_watch_goes_on_until_it_is_interrupted) {
  freeReplyObject(ask("CONFIG RESETSTAT"));
  start_isoq((const char *const[]){"status", "--watch=1", "--json", NULL});
  for (bool twice = false; !twice;) {
    redisReply *reply = ask("INFO commandstats");
    const char *scan = strstr(reply->str, "cmdstat_scan:calls=");
    twice = scan && atoi(scan + strlen("cmdstat_scan:calls=")) >= 3;
    freeReplyObject(reply);
  }
  kill(program.pid, SIGINT);
  ck_assert_int_eq(program_finish(&program), 0);
  EXITS(130);
  char *second = strchr(program.out, '\n');
  ck_assert(second && strncmp(second, "\n{\"redis\":", 10) == 0);
}
END_TEST

START_TEST(names_cannot_write_to_the_terminal_what_it_would_obey) {
  freeReplyObject(ask("ZADD isoq:{default}:workers 99999999999999 w\033]0;owned\007"));
  program.terminal = true;
  ISOQ("status");
  EXITS(0);
  OUT_HAS("w\\x1b]0;owned\\x07");
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

START_TEST(status_check_never_searches_all_keys) {
  freeReplyObject(ask("ZADD isoq:{default}:workers 99999999999999 w1"));
  freeReplyObject(ask("RPUSH isoq:{default}:claimed:w1 a b"));
  freeReplyObject(ask("CONFIG RESETSTAT"));
  ISOQ("status", "--check");
  EXITS(0);
  OUT_HAS("  w1            2  ");
  redisReply *stats = ask("INFO commandstats");
  ck_assert_ptr_null(strstr(stats->str, "cmdstat_scan"));
  freeReplyObject(stats);
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
      an_id_that_has_a_result_is_not_queued_again,
      an_id_that_waits_is_not_queued_again,
      submit_wait_with_a_known_id_shows_the_first_ones_result_and_leaves_it,
      a_delayed_job_waits_apart_with_a_note_that_its_delay_is_done_with,
      run_at_takes_milliseconds_and_iso_8601,
      jobs_of_a_file_are_queued_line_by_line_in_order,
      a_line_that_is_wrong_is_named_and_the_others_go_through,
      jobs_json_is_an_object_a_line,
      a_line_above_the_limit_is_reported_and_the_next_one_read,
      more_jobs_than_a_batch_has_are_all_queued_once,
      a_workers_note_on_a_line_is_left_out,
      jobs_written_slowly_into_a_pipe_are_not_held_back,
      jobs_without_redis_any_more_say_what_was_confirmed,
      jobs_that_redis_refuses_are_not_counted_as_queued,
      a_terminal_gets_a_progress_bar_that_fits_it,
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
      a_waiting_job_is_taken_out_and_its_result_says_cancelled,
      a_delayed_job_is_taken_out_and_its_result_says_cancelled,
      a_cancelled_job_answers_where_its_producer_listens,
      a_cancelled_job_whose_reply_key_is_unusable_is_a_dead_letter,
      a_job_that_has_a_result_is_not_cancelled,
      an_unknown_job_is_not_cancelled_and_its_id_is_free_again,
      cancel_looks_at_every_queue,
      a_running_job_is_stopped_by_the_worker_that_has_it,
      a_job_that_ends_by_itself_meanwhile_is_not_called_cancelled,
      a_job_that_is_given_back_meanwhile_is_cancelled_where_it_went,
      a_worker_that_does_not_answer_is_named,
      dead_list_shows_one_line_a_letter_the_newest_first,
      dead_show_tells_the_job_the_reason_and_the_result,
      dead_retry_queues_the_producers_own_text_and_clears_the_old_result,
      dead_retry_refuses_what_would_be_in_vain,
      dead_retry_all_begins_with_the_oldest_and_keeps_what_cannot_be,
      dead_purge_without_a_terminal_needs_yes,
      dead_purge_asks_on_a_terminal_and_takes_anything_but_yes_for_no,
      status_counts_what_is_there,
      status_tells_how_long_the_oldest_has_waited_and_when_the_next_is_due,
      status_tells_what_each_worker_runs_and_for_how_long,
      status_counts_orphans_with_or_without_an_expired_lease,
      status_watch_goes_on_until_it_is_interrupted,
      names_cannot_write_to_the_terminal_what_it_would_obey,
      status_check_fails_without_a_live_worker,
      status_check_never_searches_all_keys,
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
