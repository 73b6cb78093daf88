/*
 * Host functions as a script sees them: the engine with a host of the test's own, which keeps the calls and answers
 * them from within its wait, in whatever order the test says.
 */
#include <check.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"

#define CALLS_MAX 2000

static struct execution_result result;
static char output[8192];

static struct {
  uint32_t number;
  char name[32], args[512];
} calls[CALLS_MAX];
static size_t call_count, answered;
static const char *const
    *answers; /* "2 {…}": the answer to call 2; "2 !{…}": its error; "-": none, time passes */

static void on_console(void *ctx, enum isoq_console_level level, struct engine_text text, bool truncated) {
  size_t len = strlen(output);

  (void)ctx, (void)level, (void)truncated;
  snprintf(output + len, sizeof(output) - len, "%.*s\n", (int)text.len, text.data);
}

static void on_call(void *ctx, uint32_t call, struct engine_text name, struct engine_text args) {
  (void)ctx;
  ck_assert_uint_lt(call_count, CALLS_MAX);
  calls[call_count].number = call;
  snprintf(calls[call_count].name, sizeof(calls[0].name), "%.*s", (int)name.len, name.data);
  snprintf(calls[call_count].args, sizeof(calls[0].args), "%.*s", (int)args.len, args.data);
  call_count++;
}

static void on_wait(void *ctx, int64_t timeout_ms) {
  const char *answer = answers != NULL ? answers[answered] : NULL;
  char *json;
  bool error;

  (void)ctx;
  if (answer == NULL) return;
  answered++;
  if (*answer == '-') {
    poll(NULL, 0, (int)timeout_ms + 2);
    return;
  }
  uint32_t call = (uint32_t)strtoul(answer, &json, 10);
  error = json[1] == '!';
  json += error ? 2 : 1;
  engine_reply(call, !error, (struct engine_text){json, strlen(json)});
}

static const char *const functions[] = {"listRegions", "queryResources"};
static struct runtime_config config;

static void run(const char *code, const char *const *with) {
  const struct engine_host host = {.console = on_console, .call = on_call, .wait = on_wait};
  const struct engine_job job = {.code = {code, strlen(code)},
                                 .functions = functions,
                                 .function_count = sizeof(functions) / sizeof(functions[0])};

  answers = with;
  call_count = answered = 0;
  output[0] = '\0';
  execution_result_free(&result);
  ck_assert_int_eq(engine_run(&job, &config, &host, &result), 0);
}

#define RUN(code, ...) run(code, (const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

static void expect(const char *value) {
  ck_assert_msg(result.success, "%s: %s\n%s", result.error.name, result.error.message, result.error.stack);
  ck_assert_str_eq(result.result, value);
}

static void expect_error(const char *name, const char *message) {
  ck_assert_int_eq(result.status, ISOQ_STATUS_ERROR);
  ck_assert_str_eq(result.error.name, name);
  ck_assert_msg(strstr(result.error.message, message) != NULL, "%s", result.error.message);
}

static void start(void) {
  ck_assert_int_eq(engine_init(), 0);
  config = runtime_config_default();
  config.timeout_ms = 2000;
}

static void finish(void) {
  execution_result_free(&result);
  engine_dispose();
}

START_TEST(a_call_gives_a_promise_of_the_answer) {
  RUN("const r = listRegions(); console.log(r instanceof Promise); (await r).map(x => x.name)",
      "1 [{\"name\":\"eu-west-1\"},{\"name\":\"us-east-1\"}]");
  expect("[\"eu-west-1\",\"us-east-1\"]");
  ck_assert_str_eq(output, "true\n");
  ck_assert_uint_eq(call_count, 1);
  ck_assert_str_eq(calls[0].name, "listRegions");
  ck_assert_str_eq(calls[0].args, "[]");
}
END_TEST

START_TEST(arguments_cross_as_json) {
  RUN("await queryResources('AWS::S3::Bucket', undefined, {a: [1, null], d: new Date(0)}, () => 1)", "1 7");
  expect("7");
  ck_assert_str_eq(calls[0].args,
                   "[\"AWS::S3::Bucket\",null,{\"a\":[1,null],\"d\":\"1970-01-01T00:00:00.000Z\"},null]");
}
END_TEST

START_TEST(calls_run_side_by_side_and_settle_in_the_order_of_their_answers) {
  RUN("const done = [];\n"
      "await Promise.all(['a', 'b', 'c'].map(x => queryResources(x).then(() => done.push(x))));\n"
      "done.join('')",
      "2 0", "3 0", "1 0");
  expect("bca");
  ck_assert_uint_eq(call_count, 3);
}
END_TEST

START_TEST(what_follows_one_answer_has_run_before_the_next_is_seen) {
  RUN("let s = '';\n"
      "const a = listRegions().then(x => x).then(x => x).then(() => { s += 'a'; });\n"
      "const b = listRegions().then(() => { s += 'b'; });\n"
      "await a; await b; s",
      "1 0", "2 0");
  expect("ab");
}
END_TEST

START_TEST(an_error_has_name_message_and_the_rest) {
  RUN("try { await listRegions() } catch (e) {\n"
      "  [e instanceof Error, e.name, e.message, e.statusCode, e.requestId, e.retryable, String(e), "
      "Object.keys(e)]\n"
      "}",
      "1 "
      "!{\"name\":\"AccessDeniedException\",\"message\":\"no\",\"statusCode\":403,\"requestId\":\"r-1\","
      "\"retryable\":false}");
  expect("[true,\"AccessDeniedException\",\"no\",403,\"r-1\",false,\"AccessDeniedException: no\","
         "[\"statusCode\",\"requestId\",\"retryable\"]]");
}
END_TEST

START_TEST(type_errors_are_type_errors) {
  RUN("try { await listRegions(1) } catch (e) { [e instanceof TypeError, e.name, e.message] }",
      "1 !{\"name\":\"TypeError\",\"message\":\"listRegions: too many\"}");
  expect("[true,\"TypeError\",\"listRegions: too many\"]");
}
END_TEST

START_TEST(an_uncaught_error_names_the_place_of_the_call) {
  RUN("const x = 1;\nasync function ask() {\n  return await listRegions();\n}\nawait ask()",
      "1 !{\"name\":\"ThrottlingException\",\"message\":\"slow down\"}");
  expect_error("ThrottlingException", "slow down");
  ck_assert_int_eq(result.error.line, 3);
  ck_assert_msg(strstr(result.error.stack, "ThrottlingException: slow down\n    at ask (job.js:3:") != NULL,
                "%s", result.error.stack);
}
END_TEST

START_TEST(a_job_waits_for_its_calls_as_node_does) {
  RUN("listRegions().then(() => console.log('late')); 5", "1 0");
  expect("5");
  ck_assert_str_eq(output, "late\n");
}
END_TEST

START_TEST(timers_run_while_a_call_is_pending) {
  /* Two looks for the answer, and in between the timer gets due. */
  RUN("let s = ''; setTimeout(() => { s += 't'; }, 0); await listRegions(); s += 'c'; await new Promise(r => "
      "setTimeout(r, 5)); s",
      "-", "-", "1 0");
  expect("tc");
}
END_TEST

START_TEST(a_call_that_is_never_answered_ends_with_the_jobs_time) {
  config.timeout_ms = 100;
  RUN("console.log('before'); await listRegions()");
  ck_assert_int_eq(result.status, ISOQ_STATUS_TIMEOUT);
  ck_assert_str_eq(output, "before\n");
}
END_TEST

START_TEST(what_json_cannot_carry_rejects) {
  RUN("const o = {}; o.o = o; const r = [];\n"
      "for (const x of [o, 1n]) await listRegions(x).catch(e => r.push(e.name)); r",
      NULL);
  expect("[\"TypeError\",\"TypeError\"]");
  ck_assert_uint_eq(call_count, 0);
  RUN("await queryResources('x'.repeat(70000))");
  expect_error("RangeError", "queryResources: the arguments have 70004 bytes as JSON; the limit is 65536");
}
END_TEST

START_TEST(numbers_and_dates_that_json_would_make_null_reject) {
  RUN("const r = [], no = new Date('no date');\n"
      "for (const args of [['a', 0, NaN], [-Infinity], [no], [{a: 1, startTime: no}], [1, {limit: "
      "Infinity}],\n"
      "                    [[1, NaN]]])\n"
      "  await queryResources(...args).catch(e => r.push(e instanceof TypeError, e.message));\n"
      "r",
      NULL);
  expect(
      "[true,\"queryResources: argument 3 is NaN, which has no JSON\",true,\"queryResources: argument 1 is "
      "-Infinity, which has no JSON\",true,\"queryResources: argument 1 is an invalid Date, which has no "
      "JSON\",true,\"queryResources: startTime is an invalid Date, which has no "
      "JSON\",true,\"queryResources: limit "
      "is Infinity, which has no JSON\",true,\"queryResources: 1 is NaN, which has no JSON\"]");
  ck_assert_uint_eq(call_count, 0);
  RUN("try { await queryResources({get a() { throw new Error('mine') }}) } catch (e) { e.message }", NULL);
  expect("mine");
}
END_TEST

START_TEST(calls_have_a_limit) {
  config.max_calls = 2;
  RUN("const r = await Promise.allSettled([listRegions(), listRegions(), listRegions()]); r.map(x => "
      "x.reason?.message ?? x.value)",
      "1 1", "2 2");
  expect("[1,2,\"listRegions: this job has made 2 calls of host functions; the limit is 2 (max_calls)\"]");
  ck_assert_uint_eq(call_count, 2);
}
END_TEST

START_TEST(answers_that_nobody_asked_for_do_nothing) {
  RUN("await listRegions()", "7 1", "0 1", "1 5", "1 6");
  expect("5");
}
END_TEST

START_TEST(an_answer_that_is_no_json_rejects) {
  RUN("await listRegions()", "1 {oops");
  expect_error("SyntaxError", "");
}
END_TEST

START_TEST(a_script_may_replace_a_function_and_the_next_job_has_it_again) {
  RUN("globalThis.listRegions = () => 3; await listRegions()");
  expect("3");
  RUN("Object.prototype.toJSON = () => { throw new Error('mine') }; try { await listRegions() } catch (e) { "
      "e.message }");
  expect("mine");
  RUN("typeof listRegions + Object.keys(globalThis).includes('listRegions') + listRegions.name", NULL);
  expect("functionfalselistRegions");
}
END_TEST

START_TEST(functions_that_a_job_is_not_given_do_not_exist) {
  RUN("typeof getCloudTrailEvents");
  expect("undefined");
  RUN("await getCloudTrailEvents()");
  expect_error("ReferenceError", "getCloudTrailEvents is not defined");
}
END_TEST

int main(void) {
  Suite *suite = suite_create("calls");
  TCase *tests = tcase_create("calls");
  SRunner *runner = srunner_create(suite);
  int failed;

  tcase_add_checked_fixture(tests, start, finish);
  tcase_set_timeout(tests, 60);
  tcase_add_test(tests, a_call_gives_a_promise_of_the_answer);
  tcase_add_test(tests, arguments_cross_as_json);
  tcase_add_test(tests, calls_run_side_by_side_and_settle_in_the_order_of_their_answers);
  tcase_add_test(tests, what_follows_one_answer_has_run_before_the_next_is_seen);
  tcase_add_test(tests, an_error_has_name_message_and_the_rest);
  tcase_add_test(tests, type_errors_are_type_errors);
  tcase_add_test(tests, an_uncaught_error_names_the_place_of_the_call);
  tcase_add_test(tests, a_job_waits_for_its_calls_as_node_does);
  tcase_add_test(tests, timers_run_while_a_call_is_pending);
  tcase_add_test(tests, a_call_that_is_never_answered_ends_with_the_jobs_time);
  tcase_add_test(tests, what_json_cannot_carry_rejects);
  tcase_add_test(tests, numbers_and_dates_that_json_would_make_null_reject);
  tcase_add_test(tests, calls_have_a_limit);
  tcase_add_test(tests, answers_that_nobody_asked_for_do_nothing);
  tcase_add_test(tests, an_answer_that_is_no_json_rejects);
  tcase_add_test(tests, a_script_may_replace_a_function_and_the_next_job_has_it_again);
  tcase_add_test(tests, functions_that_a_job_is_not_given_do_not_exist);
  suite_add_tcase(suite, tests);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? 0 : 1;
}
