/*
 * A script that is held, in this process: all memory that it has is looked at, page by page, so a page that is neither
 * the checkpoint's nor what was held is found wherever it is.
 *
 * What is to be compared lies in a memfd: nothing else outlasts a rewind and is as large. Two things do change: a few of
 * this program's variables, which outlast a rewind (the watchdog's time), and what the kernel writes (rseq).
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/rseq.h>
#include <unistd.h>

#include "engine/engine.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define STATM_FD 100
#define PAGE ((size_t)4096)
#define TEXT_MAX 2000
#define AREA_MIN (100u << 20) /* of the module's own area, the read-only part */
#define WARM_BYTES (3 * PAGE)
#define HOLE_PAGES 17 /* one more than become writable at once */
#define HOLES 620     /* more than the list of written pages holds */

struct page {
  uintptr_t address;
  uint64_t hash;
};

struct outcome {
  enum isoq_status status;
  char result[TEXT_MAX], error[TEXT_MAX], console[TEXT_MAX];
  size_t console_len;
};

struct snapshot {
  int fd;
  off_t end;
  struct page waiting[256];
  size_t count;
};

static volatile uint8_t holes[(HOLES + 1) * HOLE_PAGES * PAGE];
extern char __data_start, _end; /* of this program */

/* ck_assert() writes to memory where all is well, too: in these tests, that would be what is looked at. */
#define EXPECT(what, ...)                                                                                    \
  do {                                                                                                       \
    if (!(what)) ck_abort_msg(__VA_ARGS__);                                                                  \
  } while (0)

/* ---- looking at memory: with the stack and the kernel alone */

static void flush_pages(struct snapshot *to) {
  ssize_t bytes = (ssize_t)(to->count * sizeof(to->waiting[0]));

  EXPECT(pwrite(to->fd, to->waiting, (size_t)bytes, to->end) == bytes, "the memfd");
  to->end += bytes;
  to->count = 0;
}

static void add_pages(struct snapshot *to, uintptr_t start, uintptr_t end) {
  uintptr_t rseq = ((uintptr_t)__builtin_thread_pointer() + (uintptr_t)__rseq_offset) & ~(PAGE - 1);

  for (uintptr_t page = start; page < end; page += PAGE) {
    const uint64_t *words = (const uint64_t *)page;
    uint64_t hash = 0;

    if (page == rseq || (page + PAGE > (uintptr_t)&__data_start && page < (uintptr_t)&_end &&
                         !(page >= (uintptr_t)holes && page + PAGE <= (uintptr_t)holes + sizeof(holes))))
      continue;
    for (size_t i = 0; i < PAGE / sizeof(*words); i++) {
      hash = (hash ^ words[i]) * UINT64_C(0x9E3779B97F4A7C15);
      hash ^= hash >> 29;
    }
    to->waiting[to->count++] = (struct page){page, hash};
    if (to->count == COUNT(to->waiting)) flush_pages(to);
  }
}

/* All that is private and readable but the stack and the area in which the copies are. */
static void look(struct snapshot *to) {
  char text[8192], *line, *newline, *at;
  uintptr_t before = 0, before_end = 0, start, end;
  size_t len = 0;
  ssize_t got;
  int maps = open("/proc/self/maps", O_RDONLY);

  EXPECT(maps >= 0, "/proc/self/maps");
  to->end = 0;
  to->count = 0;
  while ((got = read(maps, text + len, sizeof(text) - 1 - len)) > 0) {
    len += (size_t)got;
    text[len] = '\0';
    for (line = text; (newline = strchr(line, '\n')) != NULL; line = newline + 1) {
      *newline = '\0';
      start = strtoul(line, &at, 16);
      end = strtoul(at + 1, &at, 16);
      if (at[1] != 'r' || at[4] != 'p' || strstr(at, "[stack]") != NULL || strstr(at, "[v") != NULL) continue;
      if (before_end == start && before_end - before > AREA_MIN && end - start == WARM_BYTES) {
        before = before_end = 0;
        continue;
      }
      add_pages(to, before, before_end);
      before = start;
      before_end = end;
    }
    len -= (size_t)(line - text);
    memmove(text, line, len);
  }
  add_pages(to, before, before_end);
  flush_pages(to);
  close(maps);
}

static void expect_same_memory(const char *when, const struct snapshot *a, const struct snapshot *b) {
  struct page expected, found;
  off_t size = (off_t)sizeof(struct page);

  EXPECT(a->end == b->end, "%s: %lld pages and not %lld", when, (long long)(b->end / size),
         (long long)(a->end / size));
  for (off_t at = 0; at < a->end; at += size) {
    EXPECT(pread(a->fd, &expected, sizeof(expected), at) == size, "the memfd");
    EXPECT(pread(b->fd, &found, sizeof(found), at) == size, "the memfd");
    EXPECT(expected.address == found.address && expected.hash == found.hash, "%s: the page at %lx", when,
           (unsigned long)found.address);
  }
}

/* ---- jobs */

static void keep_console(void *ctx, enum isoq_console_level level, struct engine_text text, bool truncated) {
  struct outcome *out = ctx;
  size_t room = sizeof(out->console) - out->console_len;

  (void)truncated;
  out->console_len += (size_t)snprintf(out->console + out->console_len, room, "%d %.*s\n", (int)level,
                                       (int)text.len, text.data);
  EXPECT(out->console_len < sizeof(out->console), "too much output");
}

static void run(const char *code, struct outcome *out) {
  const struct engine_host host = {.ctx = out, .console = keep_console};
  const struct engine_job job = {.code = {code, strlen(code)}, .input = {"{\"in\":[1]}", 10}};
  struct runtime_config config = runtime_config_default();
  struct execution_result result;

  memset(out, 0, sizeof(*out));
  config.has_seed = true;
  config.seed = 42;
  EXPECT(engine_run(&job, &config, &host, &result) == 0, "engine_run");
  out->status = result.status;
  snprintf(out->result, TEXT_MAX, "%s", result.result != NULL ? result.result : "(none)");
  snprintf(out->error, TEXT_MAX, "%s %d:%d", result.error.stack != NULL ? result.error.stack : "(none)",
           result.error.line, result.error.column);
  execution_result_free(&result);
  EXPECT(engine_rewind_refusal() == NULL, "%s", engine_rewind_refusal());
  EXPECT(engine_rewind(NULL, 0) == 0, "engine_rewind");
}

static void expect_same(const char *code, const struct outcome *expected, const struct outcome *found) {
  EXPECT(expected->status == found->status && strcmp(expected->result, found->result) == 0 &&
             strcmp(expected->error, found->error) == 0 && strcmp(expected->console, found->console) == 0,
         "%.80s: expected %d %s %s %s, found %d %s %s %s", code, expected->status, expected->result,
         expected->error, expected->console, found->status, found->result, found->error, found->console);
}

static int hold(const char *code) {
  const struct engine_job job = {.code = {code, strlen(code)}};

  return engine_hold(&job, NULL, 0);
}

static void start(void) {
  const struct engine_rewind_options options = {
      .max_heap_size_bytes = runtime_config_default().max_heap_size_bytes, .statm_fd = STATM_FD};
  const char warm[] = "console.log({a: 1}); new URL('http://a/').href + new TextEncoder().encode('a')";
  struct execution_result result;
  struct outcome first;

  EXPECT(engine_rewind_init() == 0, "engine_rewind_init");
  EXPECT(engine_init() == 0, "engine_init");
  EXPECT(engine_execute(warm, sizeof(warm) - 1, NULL, &result) == 0, "engine_execute");
  execution_result_free(&result);
  EXPECT(engine_checkpoint(&options) == 0, "engine_checkpoint");
  run("1", &first);
}

static const char *const scripts[] = {
    "const big = [1, 2, {a: 'text of the script'}]; function g(x) { return x * 2 } g(21) + big.length",
    "class A { #p = 1; get p() { return this.#p } static { this.s = Symbol('x') } } const w = new WeakMap();"
    "w.set({}, 1); const t = (x) => x.raw[0]; [new A().p, t`abc${1}`, Math.random(), input]",
    "console.log(input); console.count(); throw new TypeError('no')",
    "for (let i = 0; i < 300; i++) new Function('a', 'return a + ' + i)(i); (0, eval)('var x = 1'); x",
    "function f(n) { return n < 2 ? n : f(n - 1) + f(n - 2) } f(22) + f.toString() + new Error('e').stack",
    "Object.prototype.polluted = 1; delete globalThis.URL; /(?<a>x+)y/g.exec('xxy').groups.a",
    "globalThis.a = Array.from({length: 300000}, (_, i) => ({i, s: 'k' + i})); a.length",
    "let m = 0; for (let i = 0; i < 300; i++) m += new Array(65536).fill(i).length; m",
};

START_TEST(memory_is_what_was_held_and_then_what_it_was_before) {
  struct snapshot before = {.fd = memfd_create("before", 0)}, held = {.fd = memfd_create("held", 0)},
                  now = {.fd = memfd_create("now", 0)};
  struct outcome expected, found;

  start();
  for (size_t i = 0; i < COUNT(scripts); i++) {
    run(scripts[i], &expected);
    look(&before);
    EXPECT(hold(scripts[i]) == 0, "hold");
    look(&held);
    for (size_t other = 0; other < COUNT(scripts); other++) {
      run(scripts[other], &found);
      look(&now);
      expect_same_memory(scripts[other], &held, &now);
    }
    run(scripts[i], &found);
    expect_same(scripts[i], &expected, &found);
    EXPECT(engine_release(NULL, 0) == 0, "engine_release");
    look(&now);
    expect_same_memory("released", &before, &now);
    run(scripts[i], &found);
    expect_same(scripts[i], &expected, &found);
  }
}
END_TEST

/* Without the list, everything is compared, and what was not in use is dropped. */
START_TEST(memory_is_what_was_held_where_more_was_written_than_is_listed) {
  struct snapshot before = {.fd = memfd_create("before", 0)}, held = {.fd = memfd_create("held", 0)},
                  now = {.fd = memfd_create("now", 0)};
  const size_t written[] = {HOLES, 300, 460, 480, 500};

  start();
  look(&before);
  for (size_t i = 0; i < COUNT(written); i++) {
    EXPECT(hold(scripts[0]) == 0, "hold");
    look(&held);
    for (size_t hole = 0; hole < written[i]; hole++)
      holes[(hole * HOLE_PAGES + 1) * PAGE] = 1;
    EXPECT(engine_rewind(NULL, 0) == 0, "engine_rewind");
    look(&now);
    expect_same_memory("rewound", &held, &now);
    for (size_t hole = 0; hole < written[i]; hole++)
      holes[(hole * HOLE_PAGES + 1) * PAGE] = 1;
    EXPECT(engine_release(NULL, 0) == 0, "engine_release");
    look(&now);
    expect_same_memory("released", &before, &now);
  }
}
END_TEST

START_TEST(what_cannot_be_held_leaves_memory_as_it_was) {
  static const char *const refused[] = {"let x = ;", "await 1", "return 1"};
  struct snapshot before = {.fd = memfd_create("before", 0)}, now = {.fd = memfd_create("now", 0)};
  char large[256 << 10];
  size_t len = 0;

  start();
  look(&before);
  for (int i = 0; len < sizeof(large) - 64; i++)
    len += (size_t)sprintf(large + len, "function f%d(a) { return a + %d }\n", i, i);
  for (size_t i = 0; i <= COUNT(refused); i++) {
    EXPECT(hold(i < COUNT(refused) ? refused[i] : large) == -ENOTSUP, "hold");
    look(&now);
    expect_same_memory(i < COUNT(refused) ? refused[i] : "a large one", &before, &now);
    EXPECT(engine_release(NULL, 0) == 0, "engine_release");
    EXPECT(hold(scripts[0]) == 0, "hold");
    EXPECT(engine_release(NULL, 0) == 0, "engine_release");
  }
}
END_TEST

START_TEST(what_was_written_before_a_script_was_held_is_put_back) {
  struct snapshot before = {.fd = memfd_create("before", 0)}, now = {.fd = memfd_create("now", 0)};

  start();
  holes[HOLE_PAGES * PAGE] = 1; /* so that the page is writable from here on */
  EXPECT(engine_rewind(NULL, 0) == 0, "not rewound");
  look(&before);
  holes[HOLE_PAGES * PAGE] = 1;
  EXPECT(hold(scripts[0]) == 0, "not held");
  EXPECT(engine_release(NULL, 0) == 0, "not released");
  look(&now);
  expect_same_memory("released", &before, &now);
}
END_TEST

/* What compiles when it is held, on a stack that has more left there, would run in jobs that cannot compile it. */
START_TEST(a_script_that_is_nested_too_deeply_stays_so) {
  char code[40000];
  struct outcome expected, found;
  size_t low = 1, high = sizeof(code) - 3;

  start();
  while (low + 1 < high) {
    size_t middle = (low + high) / 2;

    memset(code, '!', middle);
    strcpy(code + middle, "1");
    run(code, &found);
    if (found.status == ISOQ_STATUS_OK)
      low = middle;
    else
      high = middle;
  }
  for (size_t deep = high; deep < high + 4; deep++) {
    memset(code, '!', deep);
    strcpy(code + deep, "1");
    run(code, &expected);
    EXPECT(expected.status == ISOQ_STATUS_ERROR, "expected_status");
    (void)hold(code);
    run(code, &found);
    expect_same("nested", &expected, &found);
    EXPECT(engine_release(NULL, 0) == 0, "engine_release");
  }
}
END_TEST

int main(void) {
  Suite *suite = suite_create("hold");
  TCase *tests = tcase_create("hold");
  SRunner *runner;
  int failed;

  if (engine_rewind_init() == -ENOTSUP) {
    fprintf(stderr, "skipped: no rewinding with sanitizers, nor with V8 11\n");
    return 77;
  }
  tcase_set_timeout(tests, 300);
  tcase_add_test(tests, memory_is_what_was_held_and_then_what_it_was_before);
  tcase_add_test(tests, memory_is_what_was_held_where_more_was_written_than_is_listed);
  tcase_add_test(tests, what_cannot_be_held_leaves_memory_as_it_was);
  tcase_add_test(tests, what_was_written_before_a_script_was_held_is_put_back);
  tcase_add_test(tests, a_script_that_is_nested_too_deeply_stays_so);
  suite_add_tcase(suite, tests);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
