/*
 * Rewinding, in this process: what a job finds after others is what it finds in an isolate made for it.
 *
 * Check forks for each test. After engine_rewind() all memory is as it was at the checkpoint, this program's variables
 * too; so what is to be compared later lies on the stack.
 */
#include <check.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "engine/engine.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define TEXT_MAX 6000
#define STATM_FD 100

/* An execution_result that outlasts a rewind. */
struct outcome {
  enum isoq_status status;
  enum isoq_result_type type;
  bool refused;
  const char *why; /* static */
  char result[TEXT_MAX], out[TEXT_MAX], error[TEXT_MAX];
};

static void *wait_for_end(void *fd) {
  char byte;

  return read(*(int *)fd, &byte, 1) < 0 ? fd : NULL;
}

static const char *const function_names[] = {"listAccounts", "listRegions", "queryResources"};

static void copy_text(char to[TEXT_MAX], const char *text) {
  snprintf(to, TEXT_MAX, "%s", text != NULL ? text : "(none)");
}

static void execute(const char *code, const struct runtime_config *config, struct outcome *out) {
  struct execution_result result;

  ck_assert_int_eq(engine_execute(code, strlen(code), config, &result), 0);
  memset(out, 0, sizeof(*out));
  out->status = result.status;
  out->type = result.result_type;
  copy_text(out->result, result.result);
  copy_text(out->out, result.stdout);
  copy_text(out->error, result.stderr);
  execution_result_free(&result);
}

/* Runs it, and rewinds where that is allowed. */
static void run_with(const char *code, const struct runtime_config *config, struct outcome *out) {
  execute(code, config, out);
  out->why = engine_rewind_refusal();
  out->refused = out->why != NULL;
  if (!out->refused) ck_assert_int_eq(engine_rewind(NULL, 0), 0);
}

static void run(const char *code, struct outcome *out) {
  run_with(code, NULL, out);
}

static void expect_same(const char *what, const struct outcome *expected, const struct outcome *found) {
  ck_assert_msg(expected->status == found->status && expected->type == found->type &&
                    strcmp(expected->result, found->result) == 0 && strcmp(expected->out, found->out) == 0 &&
                    strcmp(expected->error, found->error) == 0,
                "%s: expected %s %s %s|%s, found %s %s %s|%s", what, isoq_status_name(expected->status),
                expected->result, expected->out, expected->error, isoq_status_name(found->status),
                found->result, found->out, found->error);
}

static void start(void) {
  struct outcome warm;

  ck_assert_int_eq(engine_rewind_init(), 0);
  ck_assert_int_eq(engine_init(), 0);
  execute("console.log({a: 1}); new URL('http://a/').href + new TextEncoder().encode('a')", NULL, &warm);
  ck_assert_int_eq(warm.status, ISOQ_STATUS_OK);
}

static void take_checkpoint(void) {
  struct engine_rewind_options options = {.max_heap_size_bytes = runtime_config_default().max_heap_size_bytes,
                                          .functions = function_names,
                                          .function_count = COUNT(function_names),
                                          .statm_fd = STATM_FD};

  ck_assert_int_eq(engine_checkpoint(&options), 0);
}

static void start_and_take_checkpoint(void) {
  start();
  take_checkpoint();
}

/* ---- nothing is left behind */

/* All that a job could notice of another one. */
static const char probe[] =
    "const names = (o) => Reflect.ownKeys(o).map(String).join();"
    "const all = [globalThis, Object, Object.prototype, Array.prototype, Function.prototype, Promise, "
    "Promise.prototype,"
    "  String.prototype, RegExp, Error, Math, JSON, Intl, WebAssembly, console, crypto, Symbol, "
    "Date.prototype];"
    "console.count(); console.log(new Map([[1, {a: [2n]}]]));"
    "[all.map(names), all.map(Object.isFrozen), RegExp.$1, RegExp['$&'], typeof x, typeof y, {}.polluted, "
    "[].hack,"
    " input, String(Math.max), Math.max(1, 2), JSON.stringify({a: 1}), [3, 1, 2].sort(), /(b)/.test('abc'),"
    " Error.stackTraceLimit, new Date(0).toString(), (1234.5).toLocaleString(), setTimeout(() => {}, 0),"
    " new Intl.DateTimeFormat('de-DE').format(0), Object.keys(new WebAssembly.Memory({initial: 1})),"
    " new URL('http://a/?b').href, structuredClone({c: 1}), new Error('e').stack]";

static const struct {
  const char *what, *code;
} polluters[] = {
    {"globals", "globalThis.x = 1; var y = 2; Object.defineProperty(globalThis, 'z', {value: 1}); delete "
                "globalThis.URL"},
    {"lexical globals", "let x = 1; const y = 2; class Z {}; 1"},
    {"prototypes",
     "Object.prototype.polluted = 1; Array.prototype.hack = 2; Promise.prototype.then = null; 1"},
    {"a thenable prototype", "Object.prototype.then = function (f) { f(1) }; 1"},
    {"toJSON", "Object.prototype.toJSON = () => 'no'; String.prototype.toJSON = () => 1; 1"},
    {"frozen built-ins",
     "[Object, Array, Math, JSON, globalThis.Intl, Array.prototype].forEach(Object.freeze); 1"},
    {"replaced built-ins", "Math.max = () => 7; JSON.stringify = () => 'x'; Array.prototype.sort = null; 1"},
    {"input", "globalThis.input = {x: 1}; 1"},
    {"regular expressions", "/(a+)(b)/.exec('xaab'); RegExp.prototype.exec = null; RegExp.$1"},
    {"error hooks",
     "Error.prepareStackTrace = () => 'mine'; Error.stackTraceLimit = 0; new Error('x').stack"},
    {"the console",
     "console.count(); console.count(); console.group(); console.time('t'); console.log = null; 1"},
    {"symbols", "globalThis[Symbol.for('kept')] = 1; Symbol.for('other').description"},
    {"Intl", "Intl.NumberFormat = 1; Intl.DateTimeFormat.prototype.format = 1; new "
             "Intl.Collator('de').compare('a', 'b')"},
    {"compiled code", "function f(n) { return n < 2 ? n : f(n - 1) + f(n - 2) } f(25)"},
    {"loops", "let s = 0; for (let i = 0; i < 3e6; i++) s = (s + i * 7) % 1000003; s"},
    {"WebAssembly code",
     "new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array([0,97,115,109,1,0,0,0,1,7,1,96,2,"
     "127,127,1,127,3,2,1,0,7,7,1,3,97,100,100,0,0,10,9,1,7,0,32,0,32,1,106,11]))).exports.add(2, 3)"},
    {"WebAssembly memory", "globalThis.m = new WebAssembly.Memory({initial: 10, maximum: 900}); m.grow(500)"},
    {"200 MB of garbage", "let n = 0; for (let i = 0; i < 400; i++) n += new Array(65536).fill(i).length; n"},
    {"100 MB of buffers",
     "globalThis.b = []; for (let i = 0; i < 100; i++) b.push(new Uint8Array(1 << 20).fill(7)); b.length"},
    {"a large heap", "globalThis.a = Array.from({length: 300000}, (_, i) => ({i, s: 'k' + i})); a.length"},
    {"resizable buffers",
     "globalThis.r = new ArrayBuffer(8, {maxByteLength: 1 << 26}); r.resize && r.resize(1 << 25); 1"},
    {"pending promises", "new Promise(() => {}); Promise.resolve().then(() => { globalThis.x = 1 }); 1"},
    {"top-level await", "await null; globalThis.x = await new Promise((f) => setTimeout(f, 1, 5)); x"},
    {"top-level return", "globalThis.x = 1; return 5"},
    {"an uncaught error", "globalThis.x = 1; null.y"},
    {"an unhandled rejection", "Promise.reject(new Error('no')); 1"},
    {"a script that does not compile", "let x = ;"},
    {"weak references",
     "globalThis.w = new WeakRef({}); new FinalizationRegistry(() => {}).register({}, 1); 1"},
    {"shared buffers", "globalThis.s = new SharedArrayBuffer(1 << 20); Atomics.add(new Int32Array(s), 0, 1)"},
    {"the text encodings", "TextDecoder.prototype.decode = null; new TextDecoder('gb18030'); 1"},
    {"deep recursion", "let n = 0; const f = () => { n++; f() }; try { f() } catch { n += 0.5 } n"},
    {"deep recursion in the API",
     "let n = 0; const f = () => { n++; try { f() } catch (e) { console.log('deep'); throw e } };"
     "try { f() } catch { } n"},
    {"generated code",
     "for (let i = 0; i < 500; i++) new Function('a', 'return a + ' + i)(i); (0, eval)('var x = 1')"},
};

START_TEST(nothing_of_a_job_is_left_for_the_next) {
  struct outcome expected, found, polluted;

  start();
  execute(probe, NULL, &expected);
  ck_assert_int_eq(expected.status, ISOQ_STATUS_OK);
  take_checkpoint();
  run(probe, &found);
  expect_same("the first job", &expected, &found);
  for (size_t i = 0; i < COUNT(polluters); i++) {
    run(polluters[i].code, &polluted);
    ck_assert_msg(!polluted.refused, "%s: not rewound: %s", polluters[i].what, polluted.why);
    run(probe, &found);
    expect_same(polluters[i].what, &expected, &found);
  }
}
END_TEST

static long resident_kb(void) {
  char text[64] = "";
  FILE *file = fopen("/proc/self/statm", "r");
  long total, resident;

  ck_assert_ptr_nonnull(file);
  ck_assert_ptr_nonnull(fgets(text, sizeof(text), file));
  fclose(file);
  ck_assert_int_eq(sscanf(text, "%ld %ld", &total, &resident), 2);
  return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

START_TEST(thousands_of_runs_in_any_order_give_what_new_isolates_give) {
  struct outcome expected[COUNT(polluters)], found;
  const char *wanted = getenv("ISOQ_TEST_REWINDS");
  unsigned runs = wanted != NULL ? (unsigned)atoi(wanted) : 2000, seed = 1;
  long before = 0;

  start();
  for (size_t i = 0; i < COUNT(polluters); i++)
    execute(polluters[i].code, NULL, &expected[i]);
  take_checkpoint();
  for (unsigned i = 0; i < runs; i++) {
    size_t chosen = (seed = seed * 1103515245u + 12345u) >> 16;

    /* Mostly the quick ones, so that there is time for many. */
    chosen = i % 20 == 0 ? chosen % COUNT(polluters) : chosen % 13;
    run(polluters[chosen].code, &found);
    ck_assert_msg(!found.refused, "%s: not rewound: %s", polluters[chosen].what, found.why);
    expect_same(polluters[chosen].what, &expected[chosen], &found);
    if (i == runs / 10) before = resident_kb();
  }
  ck_assert_msg(resident_kb() < before + 10 * 1024, "resident: %ld KB, after %ld KB", resident_kb(), before);
}
END_TEST

/* ---- random numbers */

/* Symbols and the console's formatter draw numbers, too. */
static const char draw[] =
    "const first = Math.random(); Symbol('a'); const m = new WeakMap([[{}, 1]]); console.log({});"
    "[first, Math.random(), Math.random()]";

START_TEST(a_seed_gives_the_numbers_that_it_gives_a_new_isolate) {
  static const char late[] = "console.log({a: Symbol('s')}); Symbol('b'); new Map([[{}, 1]]); Math.random()";
  struct outcome expected[3][2], found;
  struct runtime_config config = runtime_config_default();

  start();
  config.has_seed = true;
  for (unsigned i = 0; i < 3; i++) {
    config.seed = i * UINT64_C(0x123456789abcdef);
    execute(draw, &config, &expected[i][0]);
    execute(late, &config, &expected[i][1]);
  }
  ck_assert_str_ne(expected[0][0].result, expected[1][0].result);
  take_checkpoint();
  for (unsigned i = 0; i < 12; i++) {
    unsigned seed = i / 2 % 3;

    if (i == 6) config.max_heap_size_bytes /= 2; /* in an isolate made for it, beside the other one */
    config.seed = seed * UINT64_C(0x123456789abcdef);
    run_with(i % 2 ? late : draw, &config, &found);
    expect_same(i < 6 ? "seeded" : "seeded, in a new isolate", &expected[seed][i % 2], &found);
  }
}
END_TEST

START_TEST(random_numbers_differ_between_jobs) {
  enum {
    RUNS = 40
  };
  static const char *const codes[] = {"Math.random()", "crypto.randomUUID()",
                                      "crypto.getRandomValues(new Uint8Array(16))"};
  char seen[RUNS][200];
  struct outcome found;

  start_and_take_checkpoint();
  for (size_t kind = 0; kind < COUNT(codes); kind++)
    for (int i = 0; i < RUNS; i++) {
      run(codes[kind], &found);
      ck_assert_int_eq(found.status, ISOQ_STATUS_OK);
      snprintf(seen[i], sizeof(seen[i]), "%.199s", found.result);
      for (int j = 0; j < i; j++)
        ck_assert_str_ne(seen[i], seen[j]);
    }
}
END_TEST

/* ---- what a job brings */

static void ignore_console(void *ctx, enum isoq_console_level level, struct engine_text text,
                           bool truncated) {
  (void)ctx, (void)level, (void)text, (void)truncated;
}

static void ignore_call(void *ctx, uint32_t call, struct engine_text name, struct engine_text args) {
  (void)ctx, (void)call, (void)name, (void)args;
}

static void execute_job(const char *code, const char *input, const char *const *functions, size_t count,
                        char out[TEXT_MAX]) {
  struct engine_host host = {.console = ignore_console, .call = ignore_call};
  struct engine_job job = {.code = {code, strlen(code)},
                           .input = {input, input != NULL ? strlen(input) : 0},
                           .functions = functions,
                           .function_count = count};
  struct execution_result result;

  ck_assert_int_eq(engine_run(&job, NULL, &host, &result), 0);
  copy_text(out, result.result);
  execution_result_free(&result);
}

START_TEST(a_job_finds_its_input_and_functions_where_a_new_isolate_has_them) {
  static const char code[] =
      "[Object.getOwnPropertyNames(globalThis), Object.keys(globalThis), input, typeof listRegions,"
      " Object.getOwnPropertyDescriptor(globalThis, 'input'),"
      " Object.getOwnPropertyDescriptor(globalThis, 'listAccounts')]";
  static const struct {
    const char *names[3], *input;
    size_t count;
  } jobs[] = {{{0}, "{\"a\":[1]}", 0},
              {{"listAccounts", "listRegions", "queryResources"}, "1", 3},
              {{"listAccounts", "queryResources"}, NULL, 2},
              {{0}, "null", 0},
              {{"listRegions"}, "\"x\"", 1},
              {{"somethingElse"}, "[]", 1}};
  char expected[COUNT(jobs)][TEXT_MAX], found[TEXT_MAX];

  start();
  for (size_t i = 0; i < COUNT(jobs); i++)
    execute_job(code, jobs[i].input, jobs[i].names, jobs[i].count, expected[i]);
  take_checkpoint();
  for (size_t i = 0; i < 2 * COUNT(jobs); i++) {
    size_t job = i % COUNT(jobs);

    execute_job(code, jobs[job].input, jobs[job].names, jobs[job].count, found);
    ck_assert_str_eq(found, expected[job]);
    ck_assert_int_eq(engine_rewind(NULL, 0), 0);
  }
}
END_TEST

START_TEST(a_job_with_another_memory_limit_gets_an_isolate_with_that_limit) {
  struct runtime_config config = runtime_config_default();
  struct outcome found;

  start_and_take_checkpoint();
  config.max_heap_size_bytes = 64u << 20;
  run_with("const a = []; for (let i = 0; i < 80; i++) a.push(new ArrayBuffer(1 << 20)); a.length", &config,
           &found);
  ck_assert_int_eq(found.status, ISOQ_STATUS_OOM);
  ck_assert(found.refused);
}
END_TEST

START_TEST(other_memory_limits_in_between_change_nothing) {
  struct runtime_config config = runtime_config_default();
  struct outcome found;

  start_and_take_checkpoint();
  for (unsigned i = 0; i < 20; i++) {
    config.max_heap_size_bytes = i % 2 ? 256u << 20 : (32u + i) << 20;
    run_with("globalThis.x = (globalThis.x || 0) + 1; console.log({x}); new Array(1e5).fill(x).length",
             &config, &found);
    ck_assert(!found.refused);
    ck_assert_str_eq(found.out, "{ x: 1 }\n");
  }
}
END_TEST

START_TEST(two_jobs_without_a_rewind_between_them_do_not_meet) {
  struct outcome found;

  start_and_take_checkpoint();
  execute("globalThis.x = 1; Array.prototype.hack = 1; 1", NULL, &found);
  execute("typeof x + [].hack", NULL, &found);
  ck_assert_str_eq(found.result, "undefinedundefined");
}
END_TEST

/* ---- what cannot be rewound */

START_TEST(without_a_checkpoint_there_is_no_rewinding) {
  start();
  ck_assert_ptr_nonnull(engine_rewind_refusal());
  ck_assert_int_eq(engine_rewind(NULL, 0), -EPERM);
}
END_TEST

START_TEST(a_job_that_was_stopped_is_not_rewound) {
  struct runtime_config config = runtime_config_default();
  struct outcome found;

  start_and_take_checkpoint();
  config.timeout_ms = 50;
  run_with("for (;;);", &config, &found);
  ck_assert_int_eq(found.status, ISOQ_STATUS_TIMEOUT);
  ck_assert(found.refused);
  ck_assert_int_eq(engine_rewind(NULL, 0), -EPERM);
}
END_TEST

START_TEST(a_job_that_ran_out_of_memory_is_not_rewound) {
  struct outcome found;

  start_and_take_checkpoint();
  run("const a = []; for (;;) a.push({i: a.length, s: [a.length]});", &found);
  ck_assert_int_eq(found.status, ISOQ_STATUS_OOM);
  ck_assert(found.refused);
}
END_TEST

START_TEST(memory_that_malloc_mapped_elsewhere_is_not_rewound) {
  void *volatile block;

  start_and_take_checkpoint();
  mallopt(M_MMAP_MAX, 1);
  mallopt(M_MMAP_THRESHOLD, 1 << 20);
  block = malloc(200u << 20);
  ck_assert_ptr_nonnull(block);
  ck_assert_str_eq(engine_rewind_refusal(), "malloc has mapped memory of its own");
  ck_assert_int_eq(engine_rewind(NULL, 0), -EPERM);
}
END_TEST

/* ---- what is done behind the page allocator's back */

#define MIB (1u << 20)
#define BEHIND "memory was mapped or unmapped behind the page allocator"

START_TEST(memory_that_somebody_else_mapped_is_not_rewound) {
  start_and_take_checkpoint();
  ck_assert_ptr_ne(mmap(NULL, MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), MAP_FAILED);
  ck_assert_str_eq(engine_rewind_refusal(), BEHIND);
  ck_assert_int_eq(engine_rewind(NULL, 0), -EPERM);
}
END_TEST

START_TEST(memory_that_somebody_else_unmapped_is_not_rewound) {
  void *pages = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

  start_and_take_checkpoint();
  ck_assert_int_eq(munmap(pages, MIB), 0);
  ck_assert_str_eq(engine_rewind_refusal(), BEHIND);
}
END_TEST

START_TEST(memory_that_was_exchanged_for_some_of_another_kind_ends_the_rewind) {
  void *pages = mmap(NULL, MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

  start_and_take_checkpoint();
  ck_assert_ptr_ne(mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), MAP_FAILED);
  ck_assert_int_eq(munmap(pages, MIB), 0);
  ck_assert_int_eq(engine_rewind(NULL, 0), -ENOTRECOVERABLE);
}
END_TEST

START_TEST(memory_that_somebody_else_made_accessible_is_as_it_was) {
  char *pages = mmap(NULL, MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

  start_and_take_checkpoint();
  for (int i = 0; i < 3; i++) {
    ck_assert_int_eq(mprotect(pages, 4096, PROT_READ | PROT_WRITE), 0);
    ck_assert_int_eq(pages[0], 0);
    pages[0] = 1;
    ck_assert_int_eq(engine_rewind(NULL, 0), 0);
  }
}
END_TEST

START_TEST(a_file_that_somebody_else_made_writable_ends_the_rewind) {
  FILE *file = fopen("/proc/self/exe", "re");
  void *pages = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fileno(file), 0);

  ck_assert_ptr_ne(pages, MAP_FAILED);
  start_and_take_checkpoint();
  ck_assert_int_eq(mprotect(pages, 4096, PROT_READ | PROT_WRITE), 0);
  ck_assert_int_eq(engine_rewind(NULL, 0), -ENOTRECOVERABLE);
}
END_TEST

START_TEST(jobs_with_very_many_functions_are_rewound) {
  struct outcome found;

  start_and_take_checkpoint();
  for (int i = 0; i < 3; i++) {
    run("const f = () => { try { f() } catch { new URL('http://x/') } }; try { f() } catch { }"
        "const all = []; for (let i = 0; i < 20000; i++) all.push((0, eval)('(a) => a + ' + i)); all[7](1)",
        &found);
    ck_assert_str_eq(found.result, "8");
    ck_assert_msg(!found.refused, "%s", found.why);
  }
}
END_TEST

START_TEST(a_second_thread_prevents_a_checkpoint) {
  struct engine_rewind_options options = {.max_heap_size_bytes = 256u << 20, .statm_fd = STATM_FD};
  pthread_t thread;
  int pipes[2];

  start();
  ck_assert_int_eq(pipe(pipes), 0);
  ck_assert_int_eq(pthread_create(&thread, NULL, wait_for_end, &pipes[0]), 0);
  ck_assert_int_eq(engine_checkpoint(&options), -EBUSY);
  close(pipes[1]);
  pthread_join(thread, NULL);
}
END_TEST

START_TEST(a_deep_stack_is_rewound) {
  struct outcome found;

  start_and_take_checkpoint();
  for (int i = 0; i < 3; i++) {
    run("let n = 0; const f = (...a) => { n++; f(...a, 1) }; try { f() } catch { } n > 50", &found);
    ck_assert_str_eq(found.result, "true");
    ck_assert_msg(!found.refused, "%s", found.why);
  }
}
END_TEST

START_TEST(shared_memory_prevents_a_checkpoint_and_jobs_run_without) {
  struct engine_rewind_options options = {.max_heap_size_bytes = runtime_config_default().max_heap_size_bytes,
                                          .statm_fd = STATM_FD};
  struct outcome found;

  start();
  ck_assert_ptr_ne(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), MAP_FAILED);
  ck_assert_int_eq(engine_checkpoint(&options), -EBUSY);
  ck_assert_ptr_nonnull(engine_rewind_refusal());
  for (int i = 0; i < 3; i++) {
    execute("globalThis.x = (globalThis.x || 0) + 1; x", NULL, &found);
    ck_assert_str_eq(found.result, "1");
  }
}
END_TEST

/* ---- this program's own memory */

START_TEST(memory_is_as_it_was_and_what_is_to_be_kept_is_kept) {
  static volatile int forgotten = 1, kept = 1;
  struct outcome found;

  start_and_take_checkpoint();
  execute("1", NULL, &found);
  forgotten = kept = 2;
  ck_assert_int_eq(engine_rewind(&kept, sizeof(kept)), 0);
  ck_assert_int_eq(forgotten, 1);
  ck_assert_int_eq(kept, 2);
}
END_TEST

START_TEST(a_heap_that_grew_is_as_it_was) {
  void *end, *volatile block;

  start_and_take_checkpoint();
  end = sbrk(0);
  block = malloc(200u << 20);
  ck_assert_ptr_nonnull(block);
  memset(block, 1, 200u << 20);
  ck_assert_ptr_ne(sbrk(0), end);
  ck_assert_int_eq(engine_rewind(NULL, 0), 0);
  ck_assert_ptr_eq(sbrk(0), end);
}
END_TEST

START_TEST(memory_that_was_not_in_use_forgets_what_a_job_wrote) {
  enum {
    BYTES = 16 << 20,
    PAGE = 4096
  };
  uint8_t *volatile block, *before, written[PAGE];

  start_and_take_checkpoint();
  before = block = malloc(BYTES);
  ck_assert_ptr_nonnull(block);
  memset(block, 0xa5, BYTES);
  memset(written, 0xa5, sizeof(written));
  ck_assert_int_eq(engine_rewind(NULL, 0), 0);
  block = malloc(BYTES);
  ck_assert_ptr_eq(block, before);
  for (size_t at = PAGE; at < BYTES; at += PAGE)
    ck_assert_int_ne(memcmp(block + at, written, PAGE), 0);
}
END_TEST

START_TEST(each_byte_is_as_it_was_wherever_in_its_page_it_lies) {
  enum {
    PAGE = 4096,
    PAGES = 24, /* those from the 3rd on are no small gap, which would be filled */
    KINDS = 3   /* full, zero, and never in use */
  };
  static const int page_of[KINDS] = {0, 2, 12};
  uint8_t *pages = aligned_alloc(PAGE, PAGES * PAGE), before[KINDS][PAGE] = {0};

  ck_assert_ptr_nonnull(pages);
  ck_assert_int_eq(madvise(pages, PAGES * PAGE, MADV_DONTNEED), 0);
  for (int i = 0; i < PAGE; i++)
    before[0][i] = pages[i] = (uint8_t)(i * 7 + i / 256);
  memset(pages + page_of[1] * PAGE, 0, PAGE);
  start_and_take_checkpoint();
  for (int at = 0; at < PAGE; at++) {
    for (int kind = 0; kind < KINDS; kind++)
      pages[page_of[kind] * PAGE + at] ^= (uint8_t)(1 << at % 8);
    ck_assert_int_eq(engine_rewind(NULL, 0), 0);
    for (int kind = 0; kind < KINDS; kind++)
      ck_assert_msg(memcmp(pages + page_of[kind] * PAGE, before[kind], PAGE) == 0, "kind %d, byte %d", kind,
                    at);
  }
}
END_TEST

/* A page that the signal stack has not reached and that others have a part of: theirs is put back. */
START_TEST(what_shares_a_page_with_the_signal_stack_is_put_back) {
  enum {
    PAGE = 4096,
    PAGES = 8,
    START = PAGE + PAGE / 2,
    SIZE = 4 * PAGE
  };
  uint8_t *area = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const stack_t stack = {.ss_sp = area + START, .ss_size = SIZE};
  struct outcome found;

  ck_assert_ptr_ne(area, MAP_FAILED);
  start();
  ck_assert_int_eq(sigaltstack(&stack, NULL), 0);
  take_checkpoint();
  area[0] = area[PAGE] = area[START - 1] = area[START + SIZE] = area[PAGES * PAGE - 1] = 1;
  run("1", &found);
  ck_assert(!found.refused);
  ck_assert_uint_eq(area[0], 0);
  ck_assert_uint_eq(area[PAGE], 0);
  ck_assert_uint_eq(area[START - 1], 0);
  ck_assert_uint_eq(area[START + SIZE], 0);
  ck_assert_uint_eq(area[PAGES * PAGE - 1], 0);
}
END_TEST

/* ---- a script that is held */

static int by_size(const void *a, const void *b) {
  double one = *(const double *)a, other = *(const double *)b;

  return (one > other) - (one < other);
}

static int hold(const char *code) {
  const struct engine_job job = {.code = {code, strlen(code)}};

  return engine_hold(&job, NULL, 0);
}

/* Right after a rewind, a script can be held. */
static void take_checkpoint_and_rewind(void) {
  take_checkpoint();
  ck_assert_int_eq(engine_rewind(NULL, 0), 0);
}

static void release(void) {
  ck_assert_int_eq(engine_release(NULL, 0), 0);
}

START_TEST(a_held_script_finds_what_a_new_isolate_has_and_leaves_nothing) {
  struct outcome expected[COUNT(polluters)], unpolluted, found;
  size_t held = 0;

  start();
  execute(probe, NULL, &unpolluted);
  for (size_t i = 0; i < COUNT(polluters); i++)
    execute(polluters[i].code, NULL, &expected[i]);
  take_checkpoint_and_rewind();
  for (size_t i = 0; i < COUNT(polluters); i++) {
    int r = hold(polluters[i].code);

    ck_assert(r == 0 || r == -ENOTSUP);
    ck_assert_int_eq(engine_is_holding(), r == 0);
    held += r == 0;
    for (int run_count = 0; run_count < 3; run_count++) {
      run(polluters[i].code, &found);
      ck_assert_msg(!found.refused, "%s: not rewound: %s", polluters[i].what, found.why);
      expect_same(polluters[i].what, &expected[i], &found);
    }
    release();
    ck_assert(!engine_is_holding());
    run(probe, &found);
    expect_same(polluters[i].what, &unpolluted, &found);
  }
  ck_assert_uint_eq(held, COUNT(polluters) - 3); /* await, return, and what does not compile */
  ck_assert_int_eq(hold(probe), 0);
  for (int i = 0; i < 100; i++) {
    run(probe, &found);
    expect_same("held", &unpolluted, &found);
  }
}
END_TEST

/* Should it be run nonetheless: it finds nothing of the one that is held but time. */
START_TEST(another_script_finds_nothing_of_the_one_that_is_held) {
  struct outcome expected, found;

  start();
  execute(probe, NULL, &expected);
  take_checkpoint_and_rewind();
  ck_assert_int_eq(hold("var x = 1; let y = 2; function hack() { return `${x}` } hack()"), 0);
  run(probe, &found);
  expect_same("beside one that is held", &expected, &found);
}
END_TEST

START_TEST(a_seed_gives_a_held_script_the_same_numbers) {
  struct runtime_config config = runtime_config_default();
  struct outcome expected[2], found;

  start();
  config.has_seed = true;
  for (uint64_t seed = 0; seed < 2; seed++) {
    config.seed = seed;
    execute(draw, &config, &expected[seed]);
  }
  take_checkpoint_and_rewind();
  ck_assert_int_eq(hold(draw), 0);
  for (uint64_t i = 0; i < 6; i++) {
    config.seed = i % 2;
    run_with(draw, &config, &found);
    expect_same("seeded", &expected[i % 2], &found);
  }
}
END_TEST

START_TEST(random_numbers_differ_between_jobs_with_a_held_script) {
  struct outcome found, before;

  start();
  take_checkpoint_and_rewind();
  ck_assert_int_eq(hold(draw), 0);
  run(draw, &before);
  for (int i = 0; i < 20; i++) {
    run(draw, &found);
    ck_assert_str_ne(found.result, before.result);
    before = found;
  }
}
END_TEST

START_TEST(what_cannot_be_held_leaves_all_as_it_was) {
  static const char *const texts[] = {"let x = ;", "await 1", "return 1", "1; // await"};
  struct outcome found;
  char *large = malloc(3 << 20);

  ck_assert_int_eq(hold("1"), -ENOTSUP); /* no checkpoint */
  ck_assert(!engine_is_holding());
  release();
  start();
  take_checkpoint_and_rewind();
  for (size_t i = 0; i < COUNT(texts); i++) {
    ck_assert_msg(hold(texts[i]) == -ENOTSUP, "%s", texts[i]);
    ck_assert(!engine_is_holding());
    run("String(typeof x)", &found);
    ck_assert_str_eq(found.result, "undefined");
  }
  /* Its strings take more pages than are kept. */
  ck_assert_ptr_nonnull(large);
  memset(large, 'x', 3 << 20);
  memcpy(large, "'", 1);
  memcpy(large + (3 << 20) - 2, "'", 2);
  ck_assert_int_eq(hold(large), -ENOTSUP);
  run("1", &found);
  ck_assert(!found.refused);
  ck_assert_int_eq(hold("1"), 0);
  ck_assert_int_eq(hold("2"), -ENOTSUP); /* one at a time */
  ck_assert(engine_is_holding());
}
END_TEST

START_TEST(a_script_can_be_held_after_jobs_that_used_much_memory) {
  enum {
    BYTES = 16 << 20
  };
  void *volatile block;

  start();
  take_checkpoint_and_rewind();
  for (int i = 0; i < 3; i++) {
    block = malloc(BYTES);
    ck_assert_ptr_nonnull(block);
    memset(block, 1, BYTES);
    ck_assert_int_eq(engine_rewind(NULL, 0), 0);
    ck_assert_int_eq(hold("1 + 1"), 0);
    release();
  }
}
END_TEST

START_TEST(a_script_is_not_held_after_a_job_that_was_not_rewound) {
  struct outcome found;

  start();
  take_checkpoint_and_rewind();
  execute("1", NULL, &found);
  ck_assert_int_eq(hold("1"), -ENOTSUP);
  ck_assert_int_eq(engine_rewind(NULL, 0), 0);
  ck_assert_int_eq(hold("1"), 0);
}
END_TEST

START_TEST(what_is_to_be_kept_outlasts_holding_and_releasing) {
  static volatile int kept = 1, forgotten = 1;
  const struct engine_job held = {.code = {"1", 1}}, not_held = {.code = {"return 1", 8}};

  start();
  take_checkpoint_and_rewind();
  kept = 2;
  ck_assert_int_eq(engine_hold(&not_held, &kept, sizeof(kept)), -ENOTSUP);
  ck_assert_int_eq(kept, 2);
  ck_assert_int_eq(engine_hold(&held, &kept, sizeof(kept)), 0);
  kept = forgotten = 3;
  ck_assert_int_eq(engine_rewind(&kept, sizeof(kept)), 0);
  ck_assert_int_eq(kept, 3);
  ck_assert_int_eq(forgotten, 1);
  kept = forgotten = 4;
  ck_assert_int_eq(engine_release(&kept, sizeof(kept)), 0);
  ck_assert_int_eq(kept, 4);
  ck_assert_int_eq(forgotten, 1);
}
END_TEST

/* A ratio, and one that is far from what it is: some 20. */
START_TEST(a_held_script_is_not_compiled_again) {
  enum {
    RUNS = 41,
    FUNCTIONS = 300
  };
  char code[FUNCTIONS * 40];
  size_t len = 0;
  double took[2][RUNS];
  struct execution_result result;

  for (int i = 0; i < FUNCTIONS; i++)
    len += (size_t)snprintf(code + len, sizeof(code) - len, "(() => %d + [1, {a: %d}].length);", i, i);
  start();
  take_checkpoint_and_rewind();
  for (int held = 0; held < 2; held++) {
    if (held == 1) ck_assert_int_eq(hold(code), 0);
    for (int i = 0; i < RUNS; i++) {
      ck_assert_int_eq(engine_execute(code, len, NULL, &result), 0);
      ck_assert(result.success);
      took[held][i] = result.cpu_time_ms;
      ck_assert_int_eq(engine_rewind(NULL, 0), 0);
    }
    qsort(took[held], RUNS, sizeof(took[held][0]), by_size);
  }
  ck_assert_msg(took[1][RUNS / 2] < took[0][RUNS / 2] / 2, "held %f ms, else %f ms", took[1][RUNS / 2],
                took[0][RUNS / 2]);
}
END_TEST

/* ---- the watchdog's timer, which the kernel has */

START_TEST(a_job_is_stopped_in_time_whenever_the_timer_was_armed_for_those_before) {
  struct runtime_config config = runtime_config_default();
  struct timespec now, began;
  struct outcome found;
  int64_t ran_ms = 0;

  start_and_take_checkpoint();
  clock_gettime(CLOCK_MONOTONIC, &began);
  while (ran_ms < _i * 7) { /* the timer's period is 25 ms */
    run("1", &found);
    clock_gettime(CLOCK_MONOTONIC, &now);
    ran_ms = (now.tv_sec - began.tv_sec) * 1000 + (now.tv_nsec - began.tv_nsec) / 1000000;
  }
  if (_i % 2) config.timeout_ms = 3;
  config.cpu_ms = _i % 2 ? 0 : 3;
  execute("for (;;) ;", &config, &found);
  ck_assert_int_eq(found.status, _i % 2 ? ISOQ_STATUS_TIMEOUT : ISOQ_STATUS_CPU_TIMEOUT);
}
END_TEST

/* What a job's console.log() sees, and the host's tick; on the stack. */
struct watched {
  long long now_ns, left_ns; /* until the timer fires; 0: it is not armed */
  int timer, ticks;
};

static long long monotonic_ns(void) {
  struct timespec now;

  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static long long timer_left_ns(int timer) {
  struct itimerspec spec;

  if (syscall(SYS_timer_gettime, timer, &spec) < 0) return -1;
  return spec.it_value.tv_sec * 1000000000LL + spec.it_value.tv_nsec;
}

/* The engine's is this process' only one. The numbers go on from those of the process that forked. */
static int find_timer(void) {
  for (int timer = 0; timer < 1000; timer++)
    if (timer_left_ns(timer) >= 0) return timer;
  ck_abort_msg("the engine has no timer");
}

static void look_at_timer(void *watched, enum isoq_console_level level, struct engine_text text,
                          bool truncated) {
  struct watched *seen = watched;

  (void)level, (void)text, (void)truncated;
  seen->left_ns = timer_left_ns(seen->timer);
  if (seen->left_ns == 0)
    seen->left_ns = timer_left_ns(seen->timer); /* fired meanwhile, and armed after it */
  seen->now_ns = monotonic_ns();
}

static void count_tick(void *watched) {
  ((struct watched *)watched)->ticks++;
}

/* Not by sleeping alone, which is not as exact; and hardly by spinning, so that others get less in the way. */
static void wait_until(long long at_ns) {
  enum {
    SPIN_NS = 1000000
  };
  struct timespec until = {.tv_sec = (at_ns - SPIN_NS) / 1000000000,
                           .tv_nsec = (at_ns - SPIN_NS) % 1000000000};

  if (at_ns > SPIN_NS) clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
  while (monotonic_ns() < at_ns)
    ;
}

/* Each job begins about when the timer fires that was armed in the one before: earlier where the last tick came before
   the engine had its job, later where it came within the job. So they gather where the engine takes the job. */
START_TEST(while_a_job_runs_the_timer_is_armed_whenever_it_fired) {
  enum {
    JOBS = 350,
    TIMEOUT_MS = 10, /* less than the timer's own period */
    STEP_NS = 4096,
    MIN_STEP_NS = 64
  };
  const char code[] = "console.log(1)";
  const struct engine_job job = {.code = {code, sizeof(code) - 1}};
  long long ahead_ns = 0, step_ns = STEP_NS, fires_ns = 0;
  struct runtime_config config = runtime_config_default();
  int timer;

  config.timeout_ms = TIMEOUT_MS;
  start_and_take_checkpoint();
  timer = find_timer();
  for (int i = 0; i < JOBS; i++) {
    struct watched seen = {.timer = timer};
    const struct engine_host host = {.ctx = &seen, .console = look_at_timer, .tick = count_tick};
    struct execution_result out;

    wait_until(fires_ns - ahead_ns);
    ck_assert_int_eq(engine_run(&job, &config, &host, &out), 0);
    if (out.status == ISOQ_STATUS_TIMEOUT) break; /* a machine that had no time for it: it cannot be undone */
    ck_assert_int_eq(out.status, ISOQ_STATUS_OK);
    ck_assert_msg(seen.left_ns > 0, "job %d, begun %lld ns before it fired, has no timer", i, ahead_ns);
    fires_ns = seen.now_ns + seen.left_ns;
    if (seen.ticks > 0 && step_ns > MIN_STEP_NS) step_ns /= 2;
    ahead_ns += seen.ticks > 0 ? -step_ns : step_ns;
    ck_assert_int_eq(engine_rewind(NULL, 0), 0);
  }
}
END_TEST

int main(void) {
  Suite *suite = suite_create("rewind");
  TCase *tests = tcase_create("rewind"), *deadlines = tcase_create("deadlines");
  SRunner *runner;
  int failed;

  if (engine_rewind_init() == -ENOTSUP) {
    fprintf(
        stderr,
        "skipped: no rewinding with sanitizers (their shadow memory cannot be put back), nor with V8 11\n");
    return 77;
  }
  tcase_set_timeout(tests, 600);
  tcase_add_test(tests, nothing_of_a_job_is_left_for_the_next);
  tcase_add_test(tests, thousands_of_runs_in_any_order_give_what_new_isolates_give);
  tcase_add_test(tests, a_seed_gives_the_numbers_that_it_gives_a_new_isolate);
  tcase_add_test(tests, random_numbers_differ_between_jobs);
  tcase_add_test(tests, a_job_finds_its_input_and_functions_where_a_new_isolate_has_them);
  tcase_add_test(tests, a_job_with_another_memory_limit_gets_an_isolate_with_that_limit);
  tcase_add_test(tests, other_memory_limits_in_between_change_nothing);
  tcase_add_test(tests, two_jobs_without_a_rewind_between_them_do_not_meet);
  tcase_add_test(tests, without_a_checkpoint_there_is_no_rewinding);
  tcase_add_test(tests, a_job_that_was_stopped_is_not_rewound);
  tcase_add_test(tests, a_job_that_ran_out_of_memory_is_not_rewound);
  tcase_add_test(tests, memory_that_malloc_mapped_elsewhere_is_not_rewound);
  tcase_add_test(tests, memory_that_somebody_else_mapped_is_not_rewound);
  tcase_add_test(tests, memory_that_somebody_else_unmapped_is_not_rewound);
  tcase_add_test(tests, memory_that_was_exchanged_for_some_of_another_kind_ends_the_rewind);
  tcase_add_test(tests, memory_that_somebody_else_made_accessible_is_as_it_was);
  tcase_add_test(tests, a_file_that_somebody_else_made_writable_ends_the_rewind);
  tcase_add_test(tests, jobs_with_very_many_functions_are_rewound);
  tcase_add_test(tests, a_second_thread_prevents_a_checkpoint);
  tcase_add_test(tests, a_deep_stack_is_rewound);
  tcase_add_test(tests, shared_memory_prevents_a_checkpoint_and_jobs_run_without);
  tcase_add_test(tests, memory_is_as_it_was_and_what_is_to_be_kept_is_kept);
  tcase_add_test(tests, a_heap_that_grew_is_as_it_was);
  tcase_add_test(tests, memory_that_was_not_in_use_forgets_what_a_job_wrote);
  tcase_add_test(tests, each_byte_is_as_it_was_wherever_in_its_page_it_lies);
  tcase_add_test(tests, what_shares_a_page_with_the_signal_stack_is_put_back);
  tcase_add_test(tests, a_held_script_finds_what_a_new_isolate_has_and_leaves_nothing);
  tcase_add_test(tests, another_script_finds_nothing_of_the_one_that_is_held);
  tcase_add_test(tests, a_seed_gives_a_held_script_the_same_numbers);
  tcase_add_test(tests, random_numbers_differ_between_jobs_with_a_held_script);
  tcase_add_test(tests, what_cannot_be_held_leaves_all_as_it_was);
  tcase_add_test(tests, a_script_can_be_held_after_jobs_that_used_much_memory);
  tcase_add_test(tests, a_script_is_not_held_after_a_job_that_was_not_rewound);
  tcase_add_test(tests, what_is_to_be_kept_outlasts_holding_and_releasing);
  tcase_add_test(tests, a_held_script_is_not_compiled_again);
  tcase_set_timeout(deadlines, 60);
  tcase_add_loop_test(deadlines, a_job_is_stopped_in_time_whenever_the_timer_was_armed_for_those_before, 0,
                      10);
  tcase_add_test(deadlines, while_a_job_runs_the_timer_is_armed_whenever_it_fired);
  suite_add_tcase(suite, tests);
  suite_add_tcase(suite, deadlines);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
