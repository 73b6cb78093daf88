/*
 * Runs that are recorded, and happen again from their trace: in the same process, much later, with other clocks, other
 * timers' luck and other random bytes; and what is said where a run differs.
 */
#include <check.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct run {
  struct execution_result result;
  char output[65536], trace[1 << 20];
  unsigned entries;
};

static struct run first, second;
static struct run *now; /* that runs */
static struct runtime_config config;
static unsigned last_call, last_answer,
    answer_order; /* calls are answered with their number, in one of two orders */

static void on_console(void *ctx, enum isoq_console_level level, struct engine_text text, bool truncated) {
  size_t len = strlen(now->output);

  (void)ctx, (void)truncated;
  now->entries++;
  snprintf(now->output + len, sizeof(now->output) - len, "%d %.*s\n", (int)level, (int)text.len, text.data);
}

static void on_trace(void *ctx, struct engine_text text) {
  size_t len = strlen(now->trace);

  (void)ctx;
  snprintf(now->trace + len, sizeof(now->trace) - len, "%.*s", (int)text.len, text.data);
}

static void on_call(void *ctx, uint32_t call, struct engine_text name, struct engine_text args) {
  (void)ctx, (void)name, (void)args;
  last_call = call;
}

static void on_wait(void *ctx, int64_t timeout_ms) {
  char json[32];

  (void)ctx;
  if (last_answer < last_call) {
    unsigned call = answer_order == 0 ? ++last_answer : last_call - last_answer++;

    snprintf(json, sizeof(json), "%u", call);
    engine_reply(call, true, (struct engine_text){json, strlen(json)});
    return;
  }
  poll(NULL, 0, timeout_ms > 1000 ? 1000 : (int)timeout_ms);
}

static void run(struct run *run, const char *code, const char *trace) {
  static const char *const functions[] = {"ask"};
  const struct engine_host host = {
      .console = on_console, .trace = on_trace, .call = on_call, .wait = on_wait};
  struct engine_job job = {.code = {code, strlen(code)}, .functions = functions, .function_count = 1};

  if (trace != NULL) job.trace = (struct engine_text){trace, strlen(trace)};
  execution_result_free(&run->result);
  *run = (struct run){0};
  now = run;
  last_call = last_answer = 0;
  ck_assert_int_eq(engine_run(&job, &config, &host, &run->result), 0);
}

static void assert_same(const char *code) {
  ck_assert_msg(second.result.difference == NULL, "%s\n%s\n%s", code, second.result.difference, first.trace);
  ck_assert_msg(first.result.status == second.result.status, "%s: %s, then %s: %s", code,
                isoq_status_name(first.result.status), isoq_status_name(second.result.status),
                second.result.error.message);
  ck_assert_msg(strcmp(first.output, second.output) == 0, "%s\n%s\nthen\n%s", code, first.output,
                second.output);
  if (first.result.result != NULL)
    ck_assert_msg(strcmp(first.result.result, second.result.result) == 0, "%s\n%s\nthen\n%s", code,
                  first.result.result, second.result.result);
}

static void record_and_replay(const char *code) {
  run(&first, code, NULL);
  poll(NULL, 0, 3);
  run(&second, code, first.trace);
  assert_same(code);
}

static void start(void) {
  ck_assert_int_eq(engine_init(), 0);
  config = runtime_config_default();
  config.max_trace_bytes = 1 << 20;
  config.has_seed = true;
  config.seed = 7;
  answer_order = 0;
}

static void finish(void) {
  execution_result_free(&first.result);
  execution_result_free(&second.result);
  engine_dispose();
}

static const char *const scripts[] = {
    "2 + 2",
    "[Math.random(), Math.random()]",
    "Date.now()",
    "new Date().toISOString() + new Date() + Date()",
    "new Intl.DateTimeFormat('en-US', {timeStyle: 'medium'}).format()",
    "crypto.randomUUID()",
    "[...crypto.getRandomValues(new Uint8Array(40)), Date.now(), ...crypto.getRandomValues(new "
    "Uint32Array(2))]",
    "const end = Date.now() + 20; let n = 0, seen = new Set(); while (Date.now() < end) { n++; "
    "seen.add(Date.now()) } [n, seen.size]",
    "console.time('a'); for (let i = 0; i < 1e5; i++); console.timeLog('a'); console.timeEnd('a')",
    "let s = ''; for (let i = 0; i < 9; i++) setTimeout(() => { s += i }, Math.random() * 8); await new "
    "Promise(r => setTimeout(r, 15)); s",
    "let s = ''; const a = setInterval(() => { s += 'a' }, 2), b = setInterval(() => { s += 'b'; if "
    "(s.length > 12) { clearInterval(a); clearInterval(b) } }, 3); "
    "await new Promise(r => { const c = setInterval(() => { if (s.length > 12) { clearInterval(c); r() } }, "
    "1) }); s + Date.now()",
    "let s = []; await Promise.all([1, 2, 3, 4].map(async x => { const r = await ask(x); s.push(r, "
    "Date.now()) })); s",
    "let s = ''; setTimeout(() => { s += 't' }, 1); ask(1).then(() => { s += 'c' }); await new Promise(r => "
    "setTimeout(r, 5)); s",
    "const i = new Int32Array(new SharedArrayBuffer(4)); let s = ''; setTimeout(() => { s += 't' }, 5);"
    " const w = await Atomics.waitAsync(i, 0, 0, 5).value; s + w + Date.now()",
    "setTimeout(() => { throw new Error('at ' + Date.now()) }, 2); await new Promise(() => setTimeout(() => "
    "{}, 50))",
    "throw new Error(String(Math.random()) + Date.now())",
    "await new Promise(() => {})",
    "(",
    "for (let i = 0; i < 40; i++) { console.log(Date.now()); for (let k = 0; k < 19; k++) Date.now() } "
    "Date.now()",
    "console.log(Date.now()); setTimeout(() => console.log(Date.now()), 3); 5",
    "const d = new Map(); for (let i = 0; i < 50; i++) d.set({}, Date.now()); [...d.values()].length",
    "performance = undefined; queueMicrotask(() => console.log(Date.now())); Promise.reject(new Error('x' + "
    "Date.now()))",
};

START_TEST(a_run_happens_again) {
  record_and_replay(scripts[_i]);
}
END_TEST

START_TEST(answers_come_in_the_recorded_order) {
  const char *code = "let s = ''; await Promise.all([1, 2, 3].map(x => ask(x).then(r => { s += r }))); s";

  answer_order = 1;
  run(&first, code, NULL);
  ck_assert_str_eq(first.result.result, "321");
  answer_order = 0; /* the host gives them the other way round */
  run(&second, code, first.trace);
  assert_same(code);
}
END_TEST

START_TEST(nothing_is_traced_where_nothing_was_read) {
  run(&first, "[1, 2, 3].map(x => x * 2); console.log('a')", NULL);
  ck_assert_str_eq(first.trace, "");
  config.max_trace_bytes = 0;
  run(&first, "Date.now()", NULL);
  ck_assert_str_eq(first.trace, "");
}
END_TEST

/* As the broker makes it of a record: how the run ended, then its trace; and more time, to get there. */
static void replay_stopped(const char *code) {
  static char trace[(1 << 20) + 64];

  snprintf(trace, sizeof(trace), "s%d,%u,%u %s", first.result.status, first.entries, config.timeout_ms,
           first.trace);
  config.timeout_ms *= 100;
  run(&second, code, trace);
  ck_assert_msg(second.result.execution_time_ms < config.timeout_ms, "it was not stopped where it should");
  assert_same(code);
}

static const char *const stopped[] = {
    "let i = 0; for (;;) console.log(i++)",
    "let n = 0; for (;;) { n++; if (Date.now() % 50 === 0) console.log('tick', Date.now()) }",
    "console.log('before'); for (;;);",
    "console.log('before'); setInterval(() => console.log(Date.now()), 7)",
    "console.log('before'); await new Promise(r => setTimeout(r, 1e6))",
    "setTimeout(() => console.log('never in time'), 150); for (let i = 0; ; i++) if (i % 1e6 === 0) "
    "console.log(i)",
};

START_TEST(a_run_that_was_stopped_stops_at_the_same_place) {
  config.timeout_ms = 120;
  config.max_output_bytes = 20000;
  run(&first, stopped[_i], NULL);
  ck_assert_int_eq(first.result.status, ISOQ_STATUS_TIMEOUT);
  replay_stopped(stopped[_i]);
}
END_TEST

/* A faster machine would get to the end. */
START_TEST(a_run_that_was_stopped_just_before_its_end_does_not_end) {
  run(&first, "Date.now(); 5", NULL);
  first.result.status = ISOQ_STATUS_CPU_TIMEOUT;
  free(first.result.result);
  first.result.result = NULL;
  replay_stopped("Date.now(); 5");
}
END_TEST

START_TEST(a_run_that_crashed_goes_on_beyond_its_trace) {
  char trace[64];

  snprintf(trace, sizeof(trace), "s%d,0 c1234 ", ISOQ_STATUS_CRASHED);
  run(&second,
      "const then = Date.now(); console.log(then); while (Date.now() === then); [then, Date.now() < then + "
      "5000]",
      trace);
  ck_assert_ptr_null(second.result.difference);
  ck_assert_str_eq(second.result.result, "[1234,true]");
}
END_TEST

static const struct {
  const char *recorded, *now, *difference;
} differences[] = {
    {"Date.now()", "1", "step 1: recorded: the clock was read; now the script is over"},
    {"1", "Date.now()", "step 0: recorded: the trace ended; now the clock is read"},
    {"Date.now(); crypto.randomUUID()", "crypto.randomUUID(); Date.now()",
     "step 1: recorded: the clock was read; now random bytes are drawn"},
    {"crypto.randomUUID()", "crypto.getRandomValues(new Uint8Array(3))",
     "step 1: recorded: 16 random bytes were drawn; now 3"},
    {"await new Promise(r => setTimeout(r, 1))", "await ask(1)",
     "step 1: recorded: timer 1 fired; now there is no such timer"},
    {"await ask(1)", "await new Promise(r => setTimeout(r, 1))",
     "step 1: recorded: the answer to call 1 was settled; now no such call is pending"},
};

START_TEST(the_first_difference_is_told) {
  run(&first, differences[_i].recorded, NULL);
  run(&second, differences[_i].now, first.trace);
  ck_assert_ptr_nonnull(second.result.difference);
  ck_assert_str_eq(second.result.difference, differences[_i].difference);
}
END_TEST

START_TEST(another_script_gets_the_recorded_values) {
  run(&first, "[Date.now(), Math.random(), crypto.randomUUID(), await ask(1)]", NULL);
  poll(NULL, 0, 5);
  config.loose_replay = true;
  run(&second,
      "const r = [Math.random(), Date.now(), crypto.randomUUID()]; await new Promise(r => setTimeout(r, 1));"
      "[r[1], r[0], r[2], 1]",
      first.trace);
  ck_assert_ptr_null(second.result.difference);
  ck_assert_str_eq(second.result.result, first.result.result);
}
END_TEST

START_TEST(a_trace_that_is_too_long_says_so) {
  config.max_trace_bytes = 100;
  run(&first, "for (let i = 0; i < 50; i++) crypto.randomUUID()", NULL);
  ck_assert_uint_le(strlen(first.trace), 100 + 2);
  ck_assert_str_eq(first.trace + strlen(first.trace) - 2, "! ");
}
END_TEST

START_TEST(nonsense_is_a_difference_and_no_more) {
  static const char *const traces[] = {
      "",         " ",        "zzz",      "c",      "cx",          "c1x", "c1x99999999999999999999",
      "r",        "rzz",      "t",        "t-1",    "a4294967295", "s",   "s99,",
      "s1,-1 c5", "c5 c5 c5", "\xff\xff", "c1e999", "w w w"};

  for (size_t i = 0; i < COUNT(traces); i++)
    run(&second, "const t = Date.now(); crypto.randomUUID(); setTimeout(() => {}, 1); await ask(1); t",
        traces[i]);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("trace");
  TCase *tests = tcase_create("trace");
  SRunner *runner = srunner_create(suite);
  int failed;

  tcase_add_checked_fixture(tests, start, finish);
  tcase_set_timeout(tests, 60);
  tcase_add_loop_test(tests, a_run_happens_again, 0, (int)COUNT(scripts));
  tcase_add_test(tests, answers_come_in_the_recorded_order);
  tcase_add_test(tests, nothing_is_traced_where_nothing_was_read);
  tcase_add_loop_test(tests, a_run_that_was_stopped_stops_at_the_same_place, 0, (int)COUNT(stopped));
  tcase_add_test(tests, a_run_that_was_stopped_just_before_its_end_does_not_end);
  tcase_add_test(tests, a_run_that_crashed_goes_on_beyond_its_trace);
  tcase_add_loop_test(tests, the_first_difference_is_told, 0, (int)COUNT(differences));
  tcase_add_test(tests, another_script_gets_the_recorded_values);
  tcase_add_test(tests, a_trace_that_is_too_long_says_so);
  tcase_add_test(tests, nonsense_is_a_difference_and_no_more);
  suite_add_tcase(suite, tests);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? 0 : 1;
}
