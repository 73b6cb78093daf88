/*
 * The engine through its C interface, in this process. Check forks for each test, so every test starts V8 for
 * itself.
 */
#include <check.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/engine.h"

static struct execution_result result;

static void start(void) {
  ck_assert_int_eq(engine_init(), 0);
}

static void finish(void) {
  execution_result_free(&result);
  engine_dispose();
}

static void run_with(const char *code, const struct runtime_config *config) {
  execution_result_free(&result);
  ck_assert_int_eq(engine_execute(code, strlen(code), config, &result), 0);
}

static void run(const char *code) {
  run_with(code, NULL);
}

static void expect_ok(const char *code, const char *expected) {
  run(code);
  ck_assert_msg(result.success, "%s: %s", code, result.stderr);
  ck_assert_int_eq(result.status, ISOQ_STATUS_OK);
  ck_assert_str_eq(result.result, expected);
}

static void expect_error(const char *code, const char *name) {
  run(code);
  ck_assert(!result.success);
  ck_assert_int_eq(result.status, ISOQ_STATUS_ERROR);
  ck_assert_ptr_null(result.result);
  ck_assert_str_eq(result.error.name, name);
  ck_assert_ptr_nonnull(strstr(result.stderr, name));
}

static void expect_stdout(const char *code, const char *expected) {
  run(code);
  ck_assert_msg(result.success, "%s: %s", code, result.stderr);
  ck_assert_str_eq(result.stdout, expected);
}

/* ---- platform */

START_TEST(test_v8_platform_initialization) {
  ck_assert_int_eq(engine_init(), 0);
  ck_assert(engine_is_initialized());
  engine_dispose();
  ck_assert(!engine_is_initialized());
  ck_assert_int_eq(engine_init(), -ENOTSUP);
}
END_TEST

START_TEST(test_v8_double_initialization) {
  ck_assert_int_eq(engine_init(), 0);
  ck_assert_int_eq(engine_init(), 0);
  ck_assert(engine_is_initialized());
  expect_ok("1 + 1", "2");
  engine_dispose();
  engine_dispose();
}
END_TEST

START_TEST(test_v8_initialized_before_init) {
  ck_assert(!engine_is_initialized());
  ck_assert_int_eq(engine_execute("1", 1, NULL, &result), -EINVAL);
}
END_TEST

/* ---- execution */

START_TEST(test_simple_arithmetic) {
  expect_ok("2 + 2", "4");
  ck_assert_int_eq(result.result_type, ISOQ_TYPE_NUMBER);
  ck_assert_double_gt(result.execution_time_ms, 0);
  ck_assert_double_gt(result.cpu_time_ms, 0);
  ck_assert_uint_gt(result.peak_memory_bytes, 0);
}
END_TEST

START_TEST(test_string_concatenation) {
  expect_ok("'Hello' + ' ' + 'World'", "Hello World");
  ck_assert_int_eq(result.result_type, ISOQ_TYPE_STRING);
}
END_TEST

START_TEST(test_object_return) {
  expect_ok("const point = {x: 1, y: [2, 3]}; point", "{\"x\":1,\"y\":[2,3]}");
  ck_assert_int_eq(result.result_type, ISOQ_TYPE_OBJECT);
}
END_TEST

START_TEST(test_array_return) {
  expect_ok("[1, 2, 3].map(x => x * 2)", "[2,4,6]");
  ck_assert_int_eq(result.result_type, ISOQ_TYPE_ARRAY);
}
END_TEST

START_TEST(test_multiline_code) {
  expect_ok("let sum = 0;\nfor (let i = 1; i <= 5; i++) {\n  sum += i;\n}\nsum", "15");
}
END_TEST

START_TEST(test_function_definition_and_call) {
  expect_ok("function add(a, b) { return a + b; }\nadd(10, 20)", "30");
}
END_TEST

START_TEST(test_multiple_executions) {
  for (int i = 0; i < 50; i++)
    expect_ok("globalThis.seen = (globalThis.seen || 0) + 1; Array.prototype.mark ||= seen; [].mark", "1");
}
END_TEST

START_TEST(test_complete_workflow) {
  struct runtime_config config = runtime_config_default();
  config.max_heap_size_bytes = 128u << 20;
  config.timeout_ms = 10000;
  run_with("console.log('starting');\n"
           "const fibonacci = n => n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);\n"
           "({n: 10, fibonacci: fibonacci(10)})",
           &config);
  ck_assert(result.success);
  ck_assert_str_eq(result.result, "{\"n\":10,\"fibonacci\":55}");
  ck_assert_str_eq(result.stdout, "starting\n");
  ck_assert_str_eq(result.stderr, "");
  ck_assert_uint_lt(result.peak_memory_bytes, 128u << 20);
}
END_TEST

START_TEST(test_error_recovery) {
  expect_ok("1", "1");
  expect_error("null.x", "TypeError");
  expect_ok("3", "3");
}
END_TEST

START_TEST(test_result_types) {
  static const struct {
    const char *code, *text;
    enum isoq_result_type type;
  } cases[] = {
      {"undefined", NULL, ISOQ_TYPE_UNDEFINED},
      {"null", "null", ISOQ_TYPE_NULL_},
      {"true", "true", ISOQ_TYPE_BOOLEAN},
      {"'42'", "42", ISOQ_TYPE_STRING},
      {"42", "42", ISOQ_TYPE_NUMBER},
      {"2n ** 70n", "1180591620717411303424", ISOQ_TYPE_BIGINT},
      {"Symbol('s')", NULL, ISOQ_TYPE_SYMBOL},
      {"() => 1", NULL, ISOQ_TYPE_FUNCTION},
      {"({toJSON() {}})", NULL, ISOQ_TYPE_OBJECT},
      {"({toJSON: () => 'undefined'})", "\"undefined\"", ISOQ_TYPE_OBJECT},
      {"await 0; -0", "0", ISOQ_TYPE_NUMBER},
      {"await 0; NaN", "null", ISOQ_TYPE_NUMBER},
      {"await 0; 5n", "5", ISOQ_TYPE_BIGINT},
      {"await 0; 'h\\u00e9\\ud800'", "h\xc3\xa9\xef\xbf\xbd", ISOQ_TYPE_STRING},
      {"await 0; Symbol.iterator", NULL, ISOQ_TYPE_SYMBOL},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    run(cases[i].code);
    ck_assert_msg(result.success, "%s: %s", cases[i].code, result.stderr);
    ck_assert_msg(result.result_type == cases[i].type, "%s: type %d", cases[i].code, result.result_type);
    if (cases[i].text == NULL)
      ck_assert_msg(result.result == NULL, "%s: %s", cases[i].code, result.result);
    else
      ck_assert_str_eq(result.result, cases[i].text);
  }
}
END_TEST

START_TEST(test_result_keeps_nul_characters) {
  run("'a\\0b'");
  ck_assert_uint_eq(result.result_len, 3);
  ck_assert_int_eq(memcmp(result.result, "a\0b", 4), 0);
}
END_TEST

START_TEST(test_result_over_its_limit_is_output_limit) {
  struct runtime_config config = runtime_config_default();
  config.max_result_bytes = 100;
  run_with("console.log('kept'); 'x'.repeat(101)", &config);
  ck_assert_int_eq(result.status, ISOQ_STATUS_OUTPUT_LIMIT);
  ck_assert_ptr_null(result.result);
  ck_assert_str_eq(result.stdout, "kept\n");
  ck_assert_str_eq(result.error.message, "result: 101 bytes, over max_result_bytes 100");
  run_with("'x'.repeat(100)", &config);
  ck_assert(result.success);
}
END_TEST

/* ---- completion values, await, return, input */

START_TEST(test_top_level_await_keeps_the_completion_value) {
  expect_ok("const list = await Promise.resolve([1, 2, 3]); list.length", "3");
  expect_ok("const {x} = {x: await 5}; x * 2", "10");
  expect_ok("await (x => x)(7)", "7");
  expect_ok("for (const i of [1, 2]) { await i; } 'done'", "done");
  expect_ok("const f = async () => { await null; return {deep: true}; }; f()", "{\"deep\":true}");
  expect_ok("await 1; Promise.resolve(Promise.resolve(9))", "9");
  expect_ok("'a comment with the word' // await", "a comment with the word");
  expect_ok("const s = 'await \\\\ \"quoted\"\\n\\u2028'; s.length", "18");
}
END_TEST

START_TEST(test_top_level_return_is_the_result) {
  expect_ok("return 5", "5");
  expect_ok("if (true) { return [1]; }\n2", "[1]");
  expect_ok("const v = await Promise.resolve(4); // comment\nreturn v + 1 // comment", "5");
  expect_error("const a = 1;\nreturn a + undefined_name;", "ReferenceError");
  ck_assert_str_eq(result.error.stack, "ReferenceError: undefined_name is not defined\n    at job.js:2:12");
  ck_assert_int_eq(result.error.line, 2);
  ck_assert_int_eq(result.error.column, 12);
  expect_error("return 1 }); 5; (() => {", "SyntaxError");
  ck_assert_str_eq(result.error.message, "Illegal return statement");
  expect_error("return 1 }; (() => {", "SyntaxError");
  /* The same message from code that has run already is the script's own error. */
  expect_error("globalThis.n = (globalThis.n || 0) + 1; await 0; eval('return 1')", "SyntaxError");
}
END_TEST

START_TEST(test_promise_that_never_settles_is_an_error_at_once) {
  expect_error("await new Promise(() => {})", "UnsettledPromiseError");
  expect_error("new Promise(() => {})", "UnsettledPromiseError");
  ck_assert_double_lt(result.execution_time_ms, 5000);
}
END_TEST

START_TEST(test_unhandled_rejection_is_an_error) {
  expect_error("Promise.reject(new RangeError('nobody listens')); 1", "RangeError");
  expect_error("queueMicrotask(() => { throw new RangeError('x') }); 1", "RangeError");
  expect_ok("const p = Promise.reject(new Error('caught later')); p.catch(() => {}); 1", "1");
  expect_error("await Promise.reject(new EvalError('awaited'))", "EvalError");
  expect_error("(async () => { throw new EvalError('async') })()", "EvalError");
}
END_TEST

static void run_job(const struct engine_job *job, const struct engine_host *host) {
  execution_result_free(&result);
  ck_assert_int_eq(engine_run(job, NULL, host, &result), 0);
}

static void ignore_console(void *ctx, enum isoq_console_level level, struct engine_text text,
                           bool truncated) {
  (void)ctx;
  (void)level;
  (void)text;
  (void)truncated;
}

static const struct engine_host quiet_host = {.console = ignore_console};

static struct engine_text text_of(const char *text) {
  return (struct engine_text){text, strlen(text)};
}

START_TEST(test_input_is_what_json_parse_gives) {
  struct engine_job job = {
      .code = text_of("JSON.stringify([input.n, input.big, input.s.length, input.d])"),
      .input = text_of("{\"n\":1.0,\"big\":12345678901234567890,\"s\":\"\\ud800\",\"d\":1,\"d\":2}")};
  run_job(&job, &quiet_host);
  ck_assert(result.success);
  ck_assert_str_eq(result.result, "[1,12345678901234567000,1,2]");
  job = (struct engine_job){.code = text_of("input === null")};
  run_job(&job, &quiet_host);
  ck_assert_str_eq(result.result, "true");
}
END_TEST

START_TEST(test_code_as_json_keeps_lone_surrogates_and_nul) {
  struct engine_job job = {.code = text_of("\"'\\ud800\\u0000x'.charCodeAt(0)\""), .code_is_json = true};
  run_job(&job, &quiet_host);
  ck_assert_msg(result.success, "%s", result.error.message);
  ck_assert_str_eq(result.result, "55296");
}
END_TEST

START_TEST(test_malformed_input_is_an_invalid_job) {
  struct engine_job job = {.code = text_of("1"), .input = text_of("{\"a\":NaN}")};
  run_job(&job, &quiet_host);
  ck_assert_int_eq(result.status, ISOQ_STATUS_INVALID);
  ck_assert_ptr_nonnull(strstr(result.error.message, "input"));
}
END_TEST

START_TEST(test_input_that_does_not_fit_into_memory_is_oom) {
  static const char element[] = "{\"a\":[1,\"b\"]},";
  size_t count = 1 << 19, len = sizeof element - 1;
  char *input = malloc(count * len + 2), *at = input;
  *at++ = '[';
  for (size_t i = 0; i < count; i++)
    at = (char *)memcpy(at, element, len) + len;
  at[-1] = ']';
  struct engine_job job = {.code = text_of("input.length"), .input = {input, (size_t)(at - input)}};
  struct runtime_config config = runtime_config_default();
  config.max_heap_size_bytes = 16u << 20;
  execution_result_free(&result);
  ck_assert_int_eq(engine_run(&job, &config, &quiet_host, &result), 0);
  ck_assert_msg(result.status == ISOQ_STATUS_OOM, "%s: %s", isoq_status_name(result.status),
                result.error.message);
  ck_assert_ptr_nonnull(strstr(result.error.message, "over memory_mb 16"));
  free(input);
}
END_TEST

/* ---- errors */

START_TEST(test_syntax_error) {
  expect_error("const x = {;", "SyntaxError");
  ck_assert_int_eq(result.error.line, 1);
  expect_error("1;\nawait 2;\nconst y = ;", "SyntaxError");
  ck_assert_int_eq(result.error.line, 3);
  ck_assert_int_eq(result.error.column, 11);
}
END_TEST

START_TEST(test_runtime_error) {
  expect_error("const a = 1;\n  throw new TypeError('boo');", "TypeError");
  ck_assert_str_eq(result.error.message, "boo");
  ck_assert_int_eq(result.error.line, 2);
  ck_assert_int_eq(result.error.column, 9);
  ck_assert_ptr_nonnull(strstr(result.error.stack, "job.js:2:9"));
}
END_TEST

START_TEST(test_reference_error) {
  expect_error("missing + 1", "ReferenceError");
  ck_assert_ptr_nonnull(strstr(result.error.message, "missing"));
}
END_TEST

START_TEST(test_thrown_values_that_are_no_errors) {
  run("throw 'just text'");
  ck_assert_int_eq(result.status, ISOQ_STATUS_ERROR);
  ck_assert_str_eq(result.error.message, "just text");
  run("throw {code: 5}");
  ck_assert_str_eq(result.error.message, "{\"code\":5}");
  run("await 0; throw null");
  ck_assert_str_eq(result.error.message, "null");
  run("throw Symbol('s')");
  ck_assert_int_eq(result.status, ISOQ_STATUS_ERROR);
  expect_error("class Custom extends Error { get name() { return 'Custom' } }; throw new Custom('c')",
               "Custom");
  expect_error("const loop = {}; loop.loop = loop; loop", "TypeError");
  expect_error("const e = new Error('x'); Object.defineProperty(e, 'stack', {get() { throw 1 }}); throw e",
               "Error");
}
END_TEST

START_TEST(test_error_in_a_timer_ends_the_job) {
  expect_error("setTimeout(() => { throw new RangeError('later') }, 1); 5", "RangeError");
}
END_TEST

/* ---- limits */

static struct runtime_config with_timeout(uint32_t timeout_ms) {
  struct runtime_config config = runtime_config_default();
  config.timeout_ms = timeout_ms;
  return config;
}

static struct runtime_config with_memory(size_t megabytes) {
  struct runtime_config config = runtime_config_default();
  config.max_heap_size_bytes = megabytes << 20;
  return config;
}

static void expect_timeout(const char *code, uint32_t timeout_ms) {
  struct runtime_config config = with_timeout(timeout_ms);
  run_with(code, &config);
  ck_assert(!result.success);
  ck_assert_int_eq(result.status, ISOQ_STATUS_TIMEOUT);
  ck_assert_ptr_null(result.result);
  unsigned used_ms, limit_ms;
  ck_assert_msg(
      sscanf(result.error.message, "timeout: %u ms used, over timeout_ms %u", &used_ms, &limit_ms) == 2, "%s",
      result.error.message);
  ck_assert_uint_eq(limit_ms, timeout_ms);
  ck_assert_uint_ge(used_ms, timeout_ms);
  ck_assert_ptr_nonnull(strstr(result.stderr, result.error.message));
  ck_assert_double_ge(result.execution_time_ms, timeout_ms);
}

START_TEST(test_quick_execution_no_timeout) {
  struct runtime_config config = with_timeout(5000);
  run_with("1 + 1", &config);
  ck_assert(result.success);
}
END_TEST

START_TEST(test_infinite_loop_timeout) {
  expect_timeout("while (true) {}", 100);
}
END_TEST

START_TEST(test_long_computation_timeout) {
  expect_timeout("let x = 0; for (let i = 0; i < 1e15; i++) x += Math.sqrt(i); x", 100);
  expect_timeout("/(a+)+$/.test('a'.repeat(40) + 'b')", 100);
  expect_timeout("const again = () => Promise.resolve().then(again); await again()", 100);
  expect_timeout("await new Promise(r => setTimeout(r, 60000))", 100);
  expect_timeout("setInterval(() => {}, 1); 5", 100);
  expect_timeout("({toJSON() { for (;;); }})", 100);
  expect_timeout("try { for (;;); } finally { for (;;); }", 100);
  expect_timeout("Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)", 100);
}
END_TEST

START_TEST(test_configurable_timeout) {
  struct runtime_config config = with_timeout(60);
  run_with("const end = Date.now() + 300; while (Date.now() < end); 'made it'", &config);
  ck_assert_int_eq(result.status, ISOQ_STATUS_TIMEOUT);
  config.timeout_ms = 0;
  run_with("const end = Date.now() + 300; while (Date.now() < end); 'made it'", &config);
  ck_assert(result.success);
}
END_TEST

START_TEST(test_output_before_a_timeout_is_kept) {
  expect_timeout("console.log('before'); while (true) {}", 100);
  ck_assert_str_eq(result.stdout, "before\n");
}
END_TEST

START_TEST(test_cpu_limit_does_not_count_waiting) {
  struct runtime_config config = runtime_config_default();
  config.cpu_ms = 150;
  run_with("await new Promise(r => setTimeout(r, 300)); 'slept'", &config);
  ck_assert_msg(result.success, "%s", result.stderr);
  run_with("console.log('kept'); for (;;);", &config);
  ck_assert_int_eq(result.status, ISOQ_STATUS_CPU_TIMEOUT);
  unsigned used_ms, limit_ms, ran_ms;
  ck_assert_msg(sscanf(result.error.message,
                       "cpu_timeout: %u ms of processor time used, over cpu_ms %u; stopped after %u ms",
                       &used_ms, &limit_ms, &ran_ms) == 3,
                "%s", result.error.message);
  ck_assert_uint_eq(limit_ms, 150);
  ck_assert_uint_ge(used_ms, 150);
  ck_assert_str_eq(result.stdout, "kept\n");
  ck_assert_ptr_nonnull(strstr(result.stderr, result.error.message));
}
END_TEST

START_TEST(test_small_allocation_succeeds) {
  struct runtime_config config = with_memory(10);
  run_with("new Array(1000).fill(1).length", &config);
  ck_assert_msg(result.success, "%s", result.stderr);
}
END_TEST

START_TEST(test_moderate_allocation) {
  struct runtime_config config = with_memory(64);
  run_with("const a = []; for (let i = 0; i < 100000; i++) a.push({i}); a.length", &config);
  ck_assert_msg(result.success, "%s", result.stderr);
  ck_assert_uint_gt(result.peak_memory_bytes, 1u << 20);
}
END_TEST

static void expect_oom(const char *code, size_t megabytes) {
  struct runtime_config config = with_memory(megabytes);
  run_with(code, &config);
  ck_assert(!result.success);
  ck_assert_msg(result.status == ISOQ_STATUS_OOM, "%s: %s", code, result.stderr);
  ck_assert_ptr_null(result.result);
  ck_assert_ptr_nonnull(strstr(result.stderr, result.error.message));
}

/* Whichever form it has: "memory: U MB used[ and [A MB ]more asked for], over memory_mb L; stopped after T ms". */
static void expect_memory_message(size_t megabytes, double *used_mb, double *asked_mb) {
  char over[64];
  int read = 0;
  *used_mb = *asked_mb = 0;
  sscanf(result.error.message, "memory: %lf MB used%n", used_mb, &read);
  ck_assert_msg(read > 0, "%s", result.error.message);
  sscanf(result.error.message + read, " and %lf MB more asked for", asked_mb);
  snprintf(over, sizeof over, ", over memory_mb %zu; stopped after ", megabytes);
  ck_assert_msg(strstr(result.error.message, over) != NULL, "%s", result.error.message);
}

START_TEST(test_excessive_allocation_fails) {
  double used_mb, asked_mb;
  expect_oom("console.log('before'); const a = []; while (true) a.push({x: [1, 2, 3]});", 10);
  ck_assert_str_eq(result.stdout, "before\n");
  expect_memory_message(10, &used_mb, &asked_mb);
  ck_assert_double_gt(used_mb, 4);
  expect_oom("const keep = []; while (true) keep.push(new Uint8Array(1 << 20));", 10);
  expect_memory_message(10, &used_mb, &asked_mb);
  ck_assert_double_eq(asked_mb, 1);
  ck_assert_double_gt(used_mb, 9);
  expect_ok("'served after it'", "served after it");
}
END_TEST

/* A module with nothing but a memory of 2000 pages, 125 MB. */
#define MEMORY_MODULE "new WebAssembly.Module(new Uint8Array([0,97,115,109,1,0,0,0,5,4,1,0,0xd0,15]))"

/* V8 maps these by itself: they pass by the allocator of ArrayBuffers. */
START_TEST(test_memory_that_v8_maps_counts) {
  static const char *const codes[] = {
      "new WebAssembly.Memory({initial: 2000})",
      "new WebAssembly.Memory({initial: 2000, maximum: 3000, shared: true})",
      "new WebAssembly.Memory({initial: 1, maximum: 3000}).grow(2000)",
      "const m = new WebAssembly.Memory({initial: 1}); for (;;) m.grow(16)",
      "new WebAssembly.Instance(" MEMORY_MODULE ")",
      "await WebAssembly.instantiate(" MEMORY_MODULE ")",
      "const keep = []; for (;;) keep.push(new WebAssembly.Memory({initial: 1}))",
      "const keep = []; for (;;) keep.push(new WebAssembly.Memory({initial: 8}), new Uint8Array(1 << 19))",
  };
  double used_mb, asked_mb;
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
    expect_oom(codes[i], 64);
    expect_memory_message(64, &used_mb, &asked_mb);
    ck_assert_msg(used_mb < 66 && used_mb + asked_mb >= 64, "%s: %s", codes[i], result.error.message);
    ck_assert_uint_le(result.peak_memory_bytes, 66u << 20);
  }
}
END_TEST

START_TEST(test_buffers_that_can_grow_count) {
  static const char *const codes[] = {
      "new ArrayBuffer(100 << 20, {maxByteLength: 2 ** 30})",
      "const b = new ArrayBuffer(0, {maxByteLength: 2 ** 30}); for (let n = 0;;) b.resize(n += 2 ** 20)",
      "new SharedArrayBuffer(100 << 20, {maxByteLength: 2 ** 30})",
      "const b = new SharedArrayBuffer(0, {maxByteLength: 2 ** 30}); for (let n = 0;;) b.grow(n += 2 ** 20)",
  };
  double used_mb, asked_mb;
  run("typeof ArrayBuffer.prototype.resize");
  if (strcmp(result.result, "function") != 0) return; /* V8 10.2 has none */
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
    expect_oom(codes[i], 64);
    expect_memory_message(64, &used_mb, &asked_mb);
    ck_assert_msg(used_mb + asked_mb > 64, "%s: %s", codes[i], result.error.message);
    ck_assert_uint_le(result.peak_memory_bytes,
                      66u << 20); /* the heap's part is what it was last seen to be */
  }
}
END_TEST

START_TEST(test_memory_that_v8_maps_is_in_the_peak_and_is_given_back) {
  struct runtime_config config = with_memory(64);
  run_with("globalThis.m = new WebAssembly.Memory({initial: 1}); m.grow(639); m.buffer.byteLength", &config);
  ck_assert_str_eq(result.result, "41943040");
  ck_assert_uint_ge(result.peak_memory_bytes, 40u << 20);
  ck_assert_uint_lt(result.peak_memory_bytes, 44u << 20);
  /* What nobody holds is collected before anything is refused. */
  run_with("for (let i = 0; i < 40; i++) new WebAssembly.Memory({initial: 320}); 'all'", &config);
  ck_assert_msg(result.success, "%s", result.stderr);
  run_with("const b = new ArrayBuffer(0, {maxByteLength: 2 ** 30});\n"
           "if (b.resize) for (let i = 0; i < 40; i++) { b.resize(50 << 20); b.resize(i); } 'all'",
           &config);
  ck_assert_msg(result.success, "%s", result.stderr);
  ck_assert_uint_lt(result.peak_memory_bytes, 54u << 20);
}
END_TEST

START_TEST(test_refused_webassembly_memory_can_be_caught) {
  struct runtime_config config = with_memory(64);
  run_with("const m = new WebAssembly.Memory({initial: 16});\n"
           "let grown; try { m.grow(2000) } catch (e) { grown = e.name }\n"
           "let made; try { new WebAssembly.Memory({initial: 2000}) } catch (e) { made = e.name }\n"
           "[grown, made, m.buffer.byteLength]",
           &config);
  ck_assert_msg(result.success, "%s", result.stderr);
  ck_assert_str_eq(result.result, "[\"RangeError\",\"RangeError\",1048576]");
  /* What is thrown for another reason afterwards is what the script threw. */
  run_with("try { new WebAssembly.Memory({initial: 2000}) } catch {} throw new RangeError('mine')", &config);
  ck_assert_int_eq(result.status, ISOQ_STATUS_ERROR);
  ck_assert_str_eq(result.error.message, "mine");
}
END_TEST

/* (module (memory 1) (func (export "grow") (param i32) (result i32) local.get 0 memory.grow)) */
#define GROW_MODULE                                                                                          \
  "new Uint8Array([0,97,115,109,1,0,0,0,1,6,1,96,1,127,1,127,3,2,1,0,5,3,1,0,1,7,8,1,4,103,114,111,119,0,0," \
  "10,8,1,6,0,32,0,64,0,11])"

START_TEST(test_memory_grow_instruction_gives_minus_one) {
  struct runtime_config config = with_memory(64);
  run_with("const {grow} = new WebAssembly.Instance(new WebAssembly.Module(" GROW_MODULE ")).exports;\n"
           "[grow(2000), grow(10), grow(1)]",
           &config);
  ck_assert_msg(result.success, "%s", result.stderr);
  ck_assert_str_eq(result.result, "[-1,1,11]");
}
END_TEST

/* Each takes address space and mappings, of which a process has only so many, even where it has no bytes. */
START_TEST(test_number_of_mappings_is_bounded) {
  struct runtime_config config = with_memory(1024);
  run_with("console.log('kept'); const keep = []; for (;;) keep.push(new WebAssembly.Memory({initial: 0}))",
           &config);
  ck_assert_msg(result.status == ISOQ_STATUS_OOM, "%s", result.stderr);
  ck_assert_ptr_nonnull(
      strstr(result.error.message, "of memory_mb 1024 used, and no more WebAssembly memories"));
  ck_assert_ptr_nonnull(strstr(result.error.message, ": 8192 are the most"));
  ck_assert_str_eq(result.stdout, "kept\n");
  run_with("let n = 0; try { const keep = []; for (;; n++) keep.push(new WebAssembly.Memory({initial: 0})) } "
           "catch {}\n"
           "[n, [1, 2].map(x => new Array(1e5).fill(x)).length]",
           &config);
  ck_assert_msg(result.success, "%s", result.stderr);
  ck_assert_str_eq(result.result, "[8192,2]");
}
END_TEST

START_TEST(test_heap_and_buffers_share_one_limit) {
  double used_mb, asked_mb;
  expect_oom("const keep = []; for (let i = 0; i < 50; i++) keep.push(new Uint8Array(1 << 20));\n"
             "for (;;) keep.push({x: [1]})",
             64);
  expect_memory_message(64, &used_mb, &asked_mb);
  ck_assert_double_gt(used_mb, 64);
  expect_oom("const keep = []; for (let i = 0; i < 5e5; i++) keep.push({x: [i]});\n"
             "for (;;) keep.push(new WebAssembly.Memory({initial: 16}))",
             64);
  expect_memory_message(64, &used_mb, &asked_mb);
  ck_assert_double_gt(used_mb + asked_mb, 64);
}
END_TEST

/* V8's own limit lets one pass. */
START_TEST(test_one_large_string_counts) {
  double used_mb, asked_mb;
  expect_oom("console.log('kept'); 'x'.repeat(100 << 20).charCodeAt(5)", 64);
  expect_memory_message(64, &used_mb, &asked_mb);
  ck_assert_double_gt(used_mb, 100);
  ck_assert_str_eq(result.stdout, "kept\n");
  expect_oom("const s = 'x'.repeat(100 << 20); s.charCodeAt(5); for (;;) new Array(1000)", 64);
}
END_TEST

/* What was thrown away is not in use, however much it was. */
START_TEST(test_garbage_does_not_count) {
  struct runtime_config config = with_memory(64);
  run_with("const keep = []; for (let i = 0; i < 50; i++) keep.push(new Uint8Array(1 << 20));\n"
           "for (let i = 0; i < 3e6; i++) ({x: [i]}); keep.length",
           &config);
  ck_assert_msg(result.success, "%s", result.stderr);
  run_with("for (let i = 0; i < 200; i++) new Uint8Array(1 << 20).fill(i); 'done'", &config);
  ck_assert_msg(result.success, "%s", result.stderr);
}
END_TEST

/* The engine aborts when this returns; what it was told goes to the parent. */
static void tell_death(void *ctx, enum isoq_status status, const char *why) {
  dprintf(*(int *)ctx, "%s: %s", isoq_status_name(status), why);
  _exit(70);
}

static void run_until_death(const char *code, int pipe_fd) {
  struct engine_host host = {.ctx = &pipe_fd, .console = ignore_console, .dying = tell_death};
  struct engine_job job = {.code = text_of(code)};
  struct runtime_config config = runtime_config_default();
  config.max_heap_size_bytes = 32u << 20;
  if (engine_init() == 0) engine_run(&job, &config, &host, &result);
  _exit(0);
}

START_TEST(test_v8_that_gives_up_says_which_limit) {
  char text[512] = "";
  int fds[2], status;
  size_t len = 0;
  ssize_t n;
  ck_assert_int_eq(pipe(fds), 0);
  pid_t child = fork();
  if (child == 0)
    run_until_death("for (;;) (globalThis.a ||= []).push('x'.repeat(2 ** 24).split(''))", fds[1]);
  close(fds[1]);
  while ((n = read(fds[0], text + len, sizeof text - 1 - len)) > 0)
    len += (size_t)n;
  close(fds[0]);
  ck_assert_int_eq(waitpid(child, &status, 0), child);
  ck_assert(WIFEXITED(status));
  ck_assert_int_eq(WEXITSTATUS(status), 70);
  double used_mb;
  unsigned limit_mb, ran_ms;
  ck_assert_msg(sscanf(text,
                       "oom: %lf MB used and more asked for, over memory_mb %u; V8 gave up after %u ms (",
                       &used_mb, &limit_mb, &ran_ms) == 3,
                "%s", text);
  ck_assert_uint_eq(limit_mb, 32);
  ck_assert_double_gt(used_mb, 0);
}
END_TEST

START_TEST(test_memory_limit_configurable) {
  const char *code = "const a = []; for (let i = 0; i < 20; i++) a.push(new Array(131072).fill(i)); a.length";
  expect_oom(code, 10);
  struct runtime_config config = with_memory(128);
  run_with(code, &config);
  ck_assert_msg(result.success, "%s", result.stderr);
}
END_TEST

START_TEST(test_refused_buffer_can_be_caught) {
  struct runtime_config config = with_memory(16);
  run_with("try { new Uint8Array(64 << 20) } catch (e) { e.name }", &config);
  ck_assert_msg(result.success, "%s", result.stderr);
  ck_assert_str_eq(result.result, "RangeError");
}
END_TEST

START_TEST(test_cancel_from_a_signal_handler) {
  struct engine_job job = {.code = text_of("for (;;);")};
  struct runtime_config config = runtime_config_default();
  struct engine_host host = {.console = ignore_console};
  /* The tick runs in a signal handler, as the executor's SIGUSR1 does. */
  extern void cancel_in_tick(void *ctx);
  host.tick = cancel_in_tick;
  execution_result_free(&result);
  ck_assert_int_eq(engine_run(&job, &config, &host, &result), 0);
  ck_assert_int_eq(result.status, ISOQ_STATUS_CANCELLED);
  ck_assert_ptr_nonnull(strstr(result.error.message, "cancelled by the test"));
}
END_TEST

void cancel_in_tick(void *ctx);
void cancel_in_tick(void *ctx) {
  (void)ctx;
  engine_cancel(ISOQ_STATUS_CANCELLED, "cancelled by the test");
}

/* ---- console */

START_TEST(test_console_capture_on) {
  expect_stdout("console.log('one'); console.info('two'); console.debug('three')", "one\ntwo\nthree\n");
  ck_assert_str_eq(result.stderr, "");
}
END_TEST

START_TEST(test_console_capture_off) {
  struct runtime_config config = runtime_config_default();
  config.capture_console = false;
  run_with("console.log('x'); console.table([1]); console.error('y'); 5", &config);
  ck_assert(result.success);
  ck_assert_str_eq(result.stdout, "");
  ck_assert_str_eq(result.stderr, "");
}
END_TEST

START_TEST(test_console_mixed_streams) {
  expect_stdout("console.log('out'); console.error('err'); console.warn('warn'); console.log('out2')",
                "out\nout2\n");
  ck_assert_str_eq(result.stderr, "err\nwarn\n");
}
END_TEST

START_TEST(test_console_formats_values_as_node) {
  static const struct {
    const char *code, *expected;
  } cases[] = {
      {"console.log()", "\n"},
      {"console.log(1, 'a', true, null, undefined, 5n, -0, Symbol('s'))",
       "1 a true null undefined 5n -0 Symbol(s)\n"},
      {"console.log('%s is %d and %i and %j%%', 'x', 4.5, 4.5, {a: 1}, 'rest')",
       "x is 4.5 and 4 and {\"a\":1}% rest\n"},
      {"console.log('100%')", "100%\n"},
      {"console.log({a: 1, b: {c: {d: {e: 1}}}})", "{ a: 1, b: { c: { d: [Object] } } }\n"},
      {"console.log([1, [2, [3]], 'x'])", "[ 1, [ 2, [ 3 ] ], 'x' ]\n"},
      {"console.log(new Map([['k', {v: 1}]]), new Set([1, 'two']))",
       "Map(1) { 'k' => { v: 1 } } Set(2) { 1, 'two' }\n"},
      {"const o = {name: 'o'}; o.self = o; console.log(o)", "<ref *1> { name: 'o', self: [Circular *1] }\n"},
      {"console.log(Promise.resolve(4), Promise.reject(0).catch(() => {}))",
       "Promise { 4 } Promise { <pending> }\n"},
      {"console.log(new Proxy({a: 1}, {get() { throw 1 }, ownKeys() { throw 2 }}))", "{ a: 1 }\n"},
      {"class P { constructor() { this.x = 1 } }; console.log(new P, P, () => {})",
       "P { x: 1 } [class P] [Function (anonymous)]\n"},
      {"console.log(new Uint8Array(3), new Date(0), /x/g, [undefined, , 1])",
       "Uint8Array(3) [ 0, 0, 0 ] 1970-01-01T00:00:00.000Z /x/g [ undefined, <1 empty item>, 1 ]\n"},
      {"console.group('g'); console.log('in\\nside'); console.groupEnd(); console.log('out')",
       "g\n  in\n  side\nout\n"},
      {"console.count(); console.count(); console.count('x')", "default: 1\ndefault: 2\nx: 1\n"},
      {"console.dir({a: {b: {c: {}}}}, {depth: 0})", "{ a: [Object] }\n"},
      {"console.log(new Error('e').stack.split('\\n')[1])", "    at job.js:1:13\n"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    run(cases[i].code);
    ck_assert_msg(result.success, "%s: %s", cases[i].code, result.stderr);
    ck_assert_msg(strcmp(result.stdout, cases[i].expected) == 0, "%s\n printed  %s\n expected %s",
                  cases[i].code, result.stdout, cases[i].expected);
  }
  run("console.log(new TypeError('shown'))");
  ck_assert_ptr_eq(strstr(result.stdout, "TypeError: shown\n    at job.js:1:13"), result.stdout);
}
END_TEST

START_TEST(test_console_is_out_of_the_scripts_reach) {
  expect_stdout("Array.prototype.push = Array.prototype.join = String.prototype.split = () => { throw 1 };\n"
                "Object.prototype.toString = () => 'mine'; Map.prototype.entries = null; Symbol.iterator;\n"
                "Map.prototype[Symbol.iterator] = Set.prototype.values = () => { throw 2 };\n"
                "console.log({a: [1]}, new Map([]), new Set());",
                "{ a: [ 1 ] } Map(0) {} Set(0) {}\n");
}
END_TEST

START_TEST(test_output_over_its_limit_is_cut) {
  struct runtime_config config = runtime_config_default();
  config.max_output_bytes = 10;
  run_with("console.log('12345'); console.log('\\u00e9\\u00e9\\u00e9'); console.log('never'); "
           "console.error('e'); 1",
           &config);
  ck_assert(result.success);
  ck_assert_str_eq(result.stdout, "12345\n\xc3\xa9\n");
  ck_assert_str_eq(result.stderr, "isoq: stdout was cut: 13 bytes printed, over max_output_bytes 10\n"
                                  "isoq: stderr was cut: 21 bytes printed, over max_output_bytes 10\n");
  ck_assert(result.stdout_truncated);
  ck_assert(result.stderr_truncated);
}
END_TEST

/* ---- timers and the web API */

START_TEST(test_timers_run_in_order_of_their_time) {
  expect_stdout("setTimeout(() => console.log('c'), 30); setTimeout(() => console.log('a'), 1);\n"
                "setTimeout((x, y) => console.log(x + y), 10, 'b', '!'); console.log('sync');\n"
                "queueMicrotask(() => console.log('micro'));",
                "sync\nmicro\na\nb!\nc\n");
  expect_ok("let n = 0; await new Promise(done => { const id = setInterval(() => { if (++n == 3) { "
            "clearInterval(id); done() } }, 1) }); n",
            "3");
  expect_ok("const t = setTimeout(() => { throw 1 }, 1); clearTimeout(t); clearTimeout(undefined); typeof t",
            "number");
  expect_error("setTimeout('text', 1)", "TypeError");
}
END_TEST

START_TEST(test_too_many_timers_throw) {
  struct runtime_config config = runtime_config_default();
  config.max_timers = 3;
  run_with(
      "let n = 0; try { for (;;) { setTimeout(() => {}, 1); n++ } } catch (e) { `${e.name} after ${n}` }",
      &config);
  ck_assert(result.success);
  ck_assert_str_eq(result.result, "RangeError after 3");
  run_with("console.log('kept'); for (;;) setInterval(() => {}, 1)", &config);
  ck_assert_int_eq(result.status, ISOQ_STATUS_ERROR);
  ck_assert_str_eq(result.error.message,
                   "setInterval: 3 timers are pending, and one more is over max_timers 3");
  ck_assert_str_eq(result.stdout, "kept\n");
}
END_TEST

#define CELL "new Int32Array(new SharedArrayBuffer(4))"

START_TEST(test_time_limit_of_wait_async_is_waited_for) {
  expect_ok("await Atomics.waitAsync(" CELL ", 0, 0, 50).value", "timed-out");
  ck_assert_double_ge(result.execution_time_ms, 50);
  expect_ok("const cell = " CELL "; const w = Atomics.waitAsync(cell, 0, 0, 60000).value;\n"
            "setTimeout(() => Atomics.notify(cell, 0), 1); await w",
            "ok");
  ck_assert_double_lt(result.execution_time_ms, 30000);
  expect_stdout("const cell = " CELL "; const say = (w, ms) => w.value.then(v => console.log(ms, v));\n"
                "say(Atomics.waitAsync(cell, 0, 0, 30), 30); say(Atomics.waitAsync(cell, 0, 0, 10), 10);\n"
                "await new Promise(done => setTimeout(done, 100)); console.log('end')",
                "10 timed-out\n30 timed-out\nend\n");
  /* Without a time limit nothing can settle it. */
  expect_error("await Atomics.waitAsync(" CELL ", 0, 0).value", "UnsettledPromiseError");
  expect_timeout("await Atomics.waitAsync(" CELL ", 0, 0, 1e9).value", 100);
  /* It holds nobody up who does not wait for it. */
  expect_ok("Atomics.waitAsync(" CELL ", 0, 0, 60000); 'done'", "done");
  ck_assert_double_lt(result.execution_time_ms, 30000);
}
END_TEST

START_TEST(test_web_api) {
  expect_ok("new URL('../x?q=1#h', 'https://example.com/a/b/').href", "https://example.com/a/x?q=1#h");
  expect_ok("[...new URLSearchParams('a=1&b=2')].join(';')", "a,1;b,2");
  expect_ok("new URL('https://m\\u00fcnchen.de').hostname", "xn--mnchen-3ya.de");
  expect_ok("new TextDecoder().decode(new TextEncoder().encode('h\\u00e9'))", "h\xc3\xa9");
  expect_ok("btoa('hello') + atob(' aGVsbG8 ')", "aGVsbG8=hello");
  expect_error("atob('*')", "InvalidCharacterError");
  expect_error("btoa('\\u0100')", "InvalidCharacterError");
  expect_ok(
      "const c = structuredClone({d: new Date(5), m: new Map([[1, {x: 1}]])}); [c.d.getTime(), c.m.get(1).x]",
      "[5,1]");
  expect_error("structuredClone(() => {})", "DataCloneError");
  expect_ok("const b = new ArrayBuffer(8); const t = structuredClone(b, {transfer: [b]}); [b.byteLength, "
            "t.byteLength]",
            "[0,8]");
  expect_ok(
      "/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(crypto.randomUUID())",
      "true");
  expect_ok("crypto.getRandomValues(new Uint8Array(32)).some(x => x !== 0)", "true");
  expect_error("crypto.getRandomValues(new Uint8Array(65537))", "QuotaExceededError");
  expect_ok("new DOMException('m', 'AbortError').code", "20");
}
END_TEST

START_TEST(test_time_zone_is_utc_and_locale_en_us) {
  expect_ok("new Date(0).getTimezoneOffset() + Intl.DateTimeFormat().resolvedOptions().timeZone", "0UTC");
  expect_ok("Intl.NumberFormat().resolvedOptions().locale + (1234.5).toLocaleString()", "en-US1,234.5");
}
END_TEST

START_TEST(test_nothing_of_node_or_the_host_is_there) {
  expect_ok("['require', 'process', 'module', 'Buffer', 'fetch', 'gc'].filter(n => n in globalThis).length",
            "0");
}
END_TEST

START_TEST(test_seed_repeats_math_random) {
  struct runtime_config config = runtime_config_default();
  char first[64];
  config.has_seed = true;
  config.seed = 42;
  run_with("Math.random()", &config);
  ck_assert(result.success);
  snprintf(first, sizeof first, "%s", result.result);
  run_with("Math.random()", &config);
  ck_assert_str_eq(result.result, first);
  config.seed = 43;
  run_with("Math.random()", &config);
  ck_assert_str_ne(result.result, first);
  config.has_seed = false;
  run_with("Math.random()", &config);
  snprintf(first, sizeof first, "%s", result.result);
  run_with("Math.random()", &config);
  ck_assert_str_ne(result.result, first);
}
END_TEST

/* ---- nothing is left behind */

/* Everything that can be reached from the global object: keys, attributes, prototypes, the text of functions. */
static const char fingerprint[] =
    "const seen = new Map(), out = [];\n"
    "const name = value => {\n"
    "  if (typeof value !== 'object' && typeof value !== 'function' || value === null)\n"
    "    return typeof value === 'symbol' ? value.toString() : typeof value + ':' + value;\n"
    "  if (!seen.has(value)) { seen.set(value, seen.size); todo.push(value); }\n"
    "  return '#' + seen.get(value);\n"
    "};\n"
    "const todo = []; name(globalThis);\n"
    "while (todo.length) {\n"
    "  const value = todo.shift();\n"
    "  out.push(name(value), name(Object.getPrototypeOf(value)), Object.isExtensible(value), "
    "Object.isFrozen(value));\n"
    "  if (typeof value === 'function') out.push(Function.prototype.toString.call(value));\n"
    "  for (const key of Reflect.ownKeys(value)) {\n"
    "    if (value === globalThis && ['seen', 'out', 'name', 'todo'].includes(key)) continue;\n"
    "    const p = Object.getOwnPropertyDescriptor(value, key);\n"
    "    out.push(key.toString(), p.writable, p.enumerable, p.configurable, name(p.value), name(p.get), "
    "name(p.set));\n"
    "  }\n"
    "}\n"
    "console.log({a: [1], [Symbol('s')]: new Map([[1, new Date(0)]])}, new Error('e').stack);\n"
    "console.error(new Intl.NumberFormat('de-DE').format(1234.5), RegExp.$1, Error.stackTraceLimit, "
    "({}).then);\n"
    "try { null.x } catch (e) { console.warn(e) }\n"
    "console.count(); console.countReset('other'); console.timeEnd('never');\n"
    "out.join('\\n') + new URL('http://a.example/?b').search + JSON.stringify({d: new Date(0), m: new "
    "Map()})";

/* Each ends so that the executor stays in service: ok, or an error of the script's own. */
static const char *const polluters[] = {
    "globalThis.left = 1; var v = 2; let l = 3; class C {} function f() {} delete globalThis.atob; "
    "globalThis.URL = 0; f",
    "for (const k of Object.getOwnPropertyNames(globalThis)) { const p = globalThis[k]?.prototype; if (p)\n"
    "  for (const n of Object.getOwnPropertyNames(p)) try { p[n] = () => 'mine' } catch {} } 'done'",
    "Intl.NumberFormat = class {}; Intl.DateTimeFormat.prototype.format = null; "
    "Date.prototype.toLocaleString = 0;\n"
    "Number.prototype.toLocaleString = () => 'mine'; delete Intl.Collator",
    "Error.prepareStackTrace = () => 'mine'; Error.captureStackTrace = () => {}; Error.stackTraceLimit = 0;\n"
    "Error.prototype.toString = () => 'mine'; Error.prototype.name = 'Mine'; 'done'",
    "Object.prototype.then = function (f) { f('mine') }; 'done'",
    "Object.prototype.toJSON = Date.prototype.toJSON = String.prototype.toJSON = () => 'mine'; 'done'",
    "for (const k of ['get', 'set', 'value', 'text', 'level', 'constructor', 'stack', 'message', 0])\n"
    "  Object.defineProperty(Object.prototype, k, {__proto__: null, get() { return 'mine' }, set() {}, "
    "configurable: true}); 'done'",
    "const seen = new Set(); const freeze = o => { if (o === null || !['object', 'function'].includes(typeof "
    "o) ||\n"
    "  seen.has(o)) return; seen.add(o); for (const k of Reflect.ownKeys(o)) { const p =\n"
    "  Object.getOwnPropertyDescriptor(o, k); freeze(p.value); freeze(p.get); freeze(p.set) } "
    "Object.freeze(o) };\n"
    "for (const k of Object.getOwnPropertyNames(globalThis)) if (k !== 'globalThis') freeze(globalThis[k]); "
    "'done'",
    "console.log = console.error = () => {}; globalThis.console = {log: () => 'mine'}; 'done'",
    "console.group('deep'); console.group(); console.count(); console.time('never'); console.log({mine: 1}); "
    "'done'",
    "setTimeout(() => console.log('late'), 1e6); setInterval(() => console.log('late'), 1e6); null.x",
    "for (let i = 0; i < 100; i++) { new Promise(() => {}); (async () => { await new Promise(() => {}) })() "
    "}\n"
    "Promise.resolve().then(() => new Promise(() => {})); 'done'",
    "Atomics.waitAsync(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60000).value.then(console.log); "
    "'done'",
    "/(mine)/.exec('mine'); Symbol.for('mine'); globalThis[Symbol.for('mine')] = 1; 'done'",
    "new FinalizationRegistry(() => console.log('late')).register({}, 1); globalThis.w = new WeakRef({}); "
    "'done'",
    "for (let i = 0; i < 200; i++) globalThis.garbage = new Array(131072).fill(i); 'done'",
    "for (let i = 0; i < 200; i++) globalThis.garbage = [new Uint8Array(1 << 20).fill(i), 'x'.repeat(1 << "
    "20) + i]; 'done'",
    "globalThis.kept = new WebAssembly.Memory({initial: 1600}); 'done'",
    "try { new ArrayBuffer(2 ** 33) } catch {} try { new WebAssembly.Memory({initial: 60000}) } catch {} "
    "'done'",
    "const end = Date.now() + 200; while (Date.now() < end); 'done'",
};

static char *copy_of(const char *text) {
  char *copy = strdup(text);
  ck_assert_ptr_nonnull(copy);
  return copy;
}

START_TEST(test_next_job_finds_nothing_of_the_one_before) {
  struct runtime_config config = with_memory(128);
  config.cpu_ms = 20000;
  run_with(fingerprint, &config); /* what an executor's warm-up does: the bundles' bytecode is kept */
  run_with(fingerprint, &config);
  ck_assert_msg(result.success, "%s", result.stderr);
  ck_assert_uint_gt(result.result_len, 50000);
  char *value = copy_of(result.result), *out = copy_of(result.stdout), *err = copy_of(result.stderr);
  double peak = (double)result.peak_memory_bytes;
  for (size_t i = 0; i < sizeof polluters / sizeof *polluters; i++) {
    run_with(polluters[i], &config);
    ck_assert_msg(result.success || result.status == ISOQ_STATUS_ERROR, "%s: %s", polluters[i],
                  result.stderr);
    run_with(fingerprint, &config);
    ck_assert_msg(result.success, "after %s: %s", polluters[i], result.stderr);
    ck_assert_msg(strcmp(result.result, value) == 0, "after %s: the realm is another one", polluters[i]);
    ck_assert_msg(strcmp(result.stdout, out) == 0, "after %s: %s", polluters[i], result.stdout);
    ck_assert_msg(strcmp(result.stderr, err) == 0, "after %s: %s", polluters[i], result.stderr);
    ck_assert_msg(
        (double)result.peak_memory_bytes < peak * 1.05 && (double)result.peak_memory_bytes > peak * 0.95,
        "after %s: a peak of %ju bytes, not %.0f", polluters[i], (uintmax_t)result.peak_memory_bytes, peak);
  }
  free(value);
  free(out);
  free(err);
}
END_TEST

START_TEST(test_next_job_is_not_charged_for_the_one_before) {
  struct runtime_config config = with_memory(64);
  config.cpu_ms = 1000;
  for (int i = 0; i < 5; i++) {
    run_with(
        "const end = Date.now() + 300; while (Date.now() < end);\n"
        "globalThis.kept = [new WebAssembly.Memory({initial: 320}), new Uint8Array(20 << 20)]; 'all of it'",
        &config);
    ck_assert_msg(result.success, "%s", result.stderr);
    ck_assert_uint_lt(result.peak_memory_bytes, 44u << 20);
    /* Nor does it wait for what the one before left. */
    run_with("Atomics.waitAsync(" CELL ", 0, 0, 60000); setTimeout(() => {}, 60000); null.x", &config);
    ck_assert_str_eq(result.error.name, "TypeError");
    run_with("await new Promise(() => {})", &config);
    ck_assert_str_eq(result.error.name, "UnsettledPromiseError");
    ck_assert_double_lt(result.execution_time_ms, 30000);
  }
}
END_TEST

/* ---- a job reports what it did, whatever it did to its built-ins */

START_TEST(test_tricks_with_prototypes_do_not_change_what_is_reported) {
  static const char *const tricks[] = {
      "Object.prototype.then = function (f) { f('hijacked') };",
      "Promise.prototype.then = Promise.prototype.catch = Promise.resolve = () => 'hijacked';",
      "for (const k of ['get', 'set', 'value', 'writable', 'name', 'stack', 'level', 'text', 'message', "
      "'error'])\n"
      "  Object.defineProperty(Object.prototype, k, {__proto__: null, get() { return 'hijacked' }, set() {}, "
      "configurable: true});",
      "Error.prepareStackTrace = () => 'hijacked';",
      "Error.captureStackTrace = e => { e.stack = 'hijacked' };",
      "Error.prototype.toString = Object.prototype.toString = () => 'hijacked';",
      "JSON.stringify = JSON.parse = () => 'hijacked';",
      "Array.prototype.join = Array.prototype.map = Array.prototype.push = () => 'hijacked';",
      "Array.prototype[Symbol.iterator] = function* () { yield 'hijacked' };",
      "Function.prototype.call = Function.prototype.apply = Function.prototype.bind = () => 'hijacked';",
      "String.prototype.replace = String.prototype.split = RegExp.prototype.exec = () => 'hijacked';",
      "for (const o of [Object, Array, Error, TypeError, Promise, Map, JSON, console])\n"
      "  { Object.freeze(o); if (o.prototype) Object.freeze(o.prototype) }",
      "globalThis.Object = globalThis.Error = globalThis.Promise = globalThis.JSON = 'hijacked';",
      "Object.defineProperty(globalThis, 'undefined_name', {get() { return 'hijacked' }, configurable: "
      "true});",
      "Object.prototype.toString = Object.prototype.valueOf = null;",
  };
  /* Up to V8 11 its own wrapper of an awaited script's value is an object with a prototype: the first trick gets
   * the value. */
  bool old = atoi(engine_v8_version()) < 12;
  char code[1024];
  for (size_t i = 0; i < sizeof tricks / sizeof *tricks; i++) {
    for (int awaited = 0; awaited < (old && i == 0 ? 1 : 2); awaited++) {
      const char *prefix = awaited ? "await 0;" : "";
      snprintf(code, sizeof code, "%s %s\nconsole.log({a: [1]}); const r = {b: [2]}; r", prefix, tricks[i]);
      run(code);
      ck_assert_msg(result.success, "%s: %s", code, result.stderr);
      ck_assert_msg(result.result != NULL && strcmp(result.result, "{\"b\":[2]}") == 0, "%s: %s", code,
                    result.result);
      ck_assert_msg(strcmp(result.stdout, "{ a: [ 1 ] }\n") == 0, "%s: %s", code, result.stdout);
      ck_assert_msg(strcmp(result.stderr, "") == 0, "%s: %s", code, result.stderr);
      snprintf(code, sizeof code, "%s %s console.error('said');\nnull.x", prefix, tricks[i]);
      run(code);
      ck_assert_msg(result.status == ISOQ_STATUS_ERROR, "%s: %s", code, result.result);
      ck_assert_msg(strcmp(result.error.name, "TypeError") == 0, "%s: %s", code, result.error.name);
      ck_assert_msg(strcmp(result.error.message, "Cannot read properties of null (reading 'x')") == 0,
                    "%s: %s", code, result.error.message);
      ck_assert_msg(result.error.line == (int)(strchr(tricks[i], '\n') ? 3 : 2), "%s: line %d", code,
                    result.error.line);
      ck_assert_msg(strncmp(result.stderr, "said\n", 5) == 0, "%s: %s", code, result.stderr);
    }
  }
}
END_TEST

static TCase *engine_case(Suite *suite, const char *name) {
  TCase *tcase = tcase_create(name);
  tcase_add_checked_fixture(tcase, start, finish);
  tcase_set_timeout(tcase, 60);
  suite_add_tcase(suite, tcase);
  return tcase;
}

static void add_execution(Suite *suite) {
  TCase *execution = engine_case(suite, "execution");
  tcase_add_test(execution, test_simple_arithmetic);
  tcase_add_test(execution, test_string_concatenation);
  tcase_add_test(execution, test_object_return);
  tcase_add_test(execution, test_array_return);
  tcase_add_test(execution, test_multiline_code);
  tcase_add_test(execution, test_function_definition_and_call);
  tcase_add_test(execution, test_multiple_executions);
  tcase_add_test(execution, test_complete_workflow);
  tcase_add_test(execution, test_error_recovery);
  tcase_add_test(execution, test_result_types);
  tcase_add_test(execution, test_result_keeps_nul_characters);
  tcase_add_test(execution, test_result_over_its_limit_is_output_limit);
  tcase_add_test(execution, test_top_level_await_keeps_the_completion_value);
  tcase_add_test(execution, test_top_level_return_is_the_result);
  tcase_add_test(execution, test_promise_that_never_settles_is_an_error_at_once);
  tcase_add_test(execution, test_input_is_what_json_parse_gives);
  tcase_add_test(execution, test_code_as_json_keeps_lone_surrogates_and_nul);
  tcase_add_test(execution, test_malformed_input_is_an_invalid_job);
  tcase_add_test(execution, test_seed_repeats_math_random);

  TCase *errors = engine_case(suite, "errors");
  tcase_add_test(errors, test_syntax_error);
  tcase_add_test(errors, test_runtime_error);
  tcase_add_test(errors, test_reference_error);
  tcase_add_test(errors, test_thrown_values_that_are_no_errors);
  tcase_add_test(errors, test_error_in_a_timer_ends_the_job);
  tcase_add_test(errors, test_unhandled_rejection_is_an_error);
}

static void add_limits(Suite *suite) {
  TCase *timeouts = engine_case(suite, "timeouts");
  tcase_add_test(timeouts, test_quick_execution_no_timeout);
  tcase_add_test(timeouts, test_infinite_loop_timeout);
  tcase_add_test(timeouts, test_long_computation_timeout);
  tcase_add_test(timeouts, test_configurable_timeout);
  tcase_add_test(timeouts, test_output_before_a_timeout_is_kept);
  tcase_add_test(timeouts, test_cpu_limit_does_not_count_waiting);
  tcase_add_test(timeouts, test_cancel_from_a_signal_handler);

  TCase *memory = engine_case(suite, "memory");
  tcase_add_test(memory, test_small_allocation_succeeds);
  tcase_add_test(memory, test_moderate_allocation);
  tcase_add_test(memory, test_excessive_allocation_fails);
  tcase_add_test(memory, test_memory_limit_configurable);
  tcase_add_test(memory, test_refused_buffer_can_be_caught);
  tcase_add_test(memory, test_memory_that_v8_maps_counts);
  tcase_add_test(memory, test_buffers_that_can_grow_count);
  tcase_add_test(memory, test_memory_that_v8_maps_is_in_the_peak_and_is_given_back);
  tcase_add_test(memory, test_refused_webassembly_memory_can_be_caught);
  tcase_add_test(memory, test_memory_grow_instruction_gives_minus_one);
  tcase_add_test(memory, test_number_of_mappings_is_bounded);
  tcase_add_test(memory, test_heap_and_buffers_share_one_limit);
  tcase_add_test(memory, test_one_large_string_counts);
  tcase_add_test(memory, test_garbage_does_not_count);
  tcase_add_test(memory, test_input_that_does_not_fit_into_memory_is_oom);
}

static void add_surface(Suite *suite) {
  TCase *console = engine_case(suite, "console");
  tcase_add_test(console, test_console_capture_on);
  tcase_add_test(console, test_console_capture_off);
  tcase_add_test(console, test_console_mixed_streams);
  tcase_add_test(console, test_console_formats_values_as_node);
  tcase_add_test(console, test_console_is_out_of_the_scripts_reach);
  tcase_add_test(console, test_output_over_its_limit_is_cut);

  TCase *leftovers = engine_case(suite, "leftovers");
  tcase_add_test(leftovers, test_next_job_finds_nothing_of_the_one_before);
  tcase_add_test(leftovers, test_next_job_is_not_charged_for_the_one_before);
  tcase_add_test(leftovers, test_tricks_with_prototypes_do_not_change_what_is_reported);

  TCase *web = engine_case(suite, "web API");
  tcase_add_test(web, test_timers_run_in_order_of_their_time);
  tcase_add_test(web, test_too_many_timers_throw);
  tcase_add_test(web, test_time_limit_of_wait_async_is_waited_for);
  tcase_add_test(web, test_web_api);
  tcase_add_test(web, test_time_zone_is_utc_and_locale_en_us);
  tcase_add_test(web, test_nothing_of_node_or_the_host_is_there);
}

int main(void) {
  Suite *suite = suite_create("engine");
  TCase *platform = tcase_create("platform");
  tcase_add_test(platform, test_v8_platform_initialization);
  tcase_add_test(platform, test_v8_double_initialization);
  tcase_add_test(platform, test_v8_initialized_before_init);
  tcase_add_test(platform, test_v8_that_gives_up_says_which_limit);
  suite_add_tcase(suite, platform);
  add_execution(suite);
  add_limits(suite);
  add_surface(suite);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
