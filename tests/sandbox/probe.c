/*
 * The one part of isoq-executor-probe that isoq-executor does not have. The linker sends executor_main.c's
 * calls of engine_run() here (--wrap), so that the product's sources know nothing of it: start, warm-up job,
 * lock-down and frames are what they are in production, and only what a job does in the end is ours.
 *
 * `//probe NAME` makes the attempt NAME of deny_*.c; `//probe number_N` the system call N with arguments of
 * zero. The result is "RETURNED ERRNO". Any other code goes to V8.
 *
 * `//probe held` says whether its script is held, after it has run. `//probe held slow` claims to have needed a second of
 * processor time.
 *
 * `//probe left` says whether "left-by-a-job" is on the stack above it: of an earlier job's text.
 *
 * `//probe spoil NAME` does to this process' memory what no part of isoq does, so that it cannot be rewound
 * (test_rewinding.c).
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/engine.h"
#include "tests/sandbox/deny.h"

#define MARK "//probe "
#define NUMBER "number_"

int __real_engine_run(const struct engine_job *job, const struct runtime_config *config,
                      const struct engine_host *host, struct execution_result *out);
int __wrap_engine_run(const struct engine_job *job, const struct runtime_config *config,
                      const struct engine_host *host, struct execution_result *out);

/* The name that the job's code asks for; false: it is JavaScript. */
static bool wanted(const struct engine_job *job, char name[128]) {
  const char *code = job->code.data;
  size_t len = job->code.len;

  if (job->code_is_json && len >= 2) code++, len -= 2;
  if (len <= strlen(MARK) || strncmp(code, MARK, strlen(MARK)) != 0) return false;
  snprintf(name, 128, "%.*s", (int)(len - strlen(MARK)), code + strlen(MARK));
  return true;
}

/* ---- memory that cannot be rewound */

static uint8_t own_page[4096] __attribute__((aligned(4096)));
static void *spare_page; /* inaccessible, since before the checkpoint */

static bool spoil(const char *name) {
  const int kind = MAP_PRIVATE | MAP_ANONYMOUS;

  if (strcmp(name, "spoil more") == 0) return mmap(NULL, 4096, PROT_NONE, kind, -1, 0) != MAP_FAILED;
  /* As many pages as before, elsewhere. */
  if (strcmp(name, "spoil exchange") == 0)
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE, kind, -1, 0) != MAP_FAILED &&
           munmap(spare_page, 4096) == 0;
  if (strcmp(name, "spoil fault") == 0) {
    own_page[0]++;
    return mprotect(own_page, sizeof(own_page), PROT_READ) == 0;
  }
  return false;
}

/* The mark is not in one piece here, where it would be found. */
static bool is_left(void) {
  extern void *__libc_stack_end;
  static const char begin[] = "left-by-", end[] = "a-job";
  const size_t begin_len = sizeof(begin) - 1, end_len = sizeof(end) - 1;
  const char *at = __builtin_frame_address(0), *last = (char *)__libc_stack_end - begin_len - end_len;

  for (; at < last; at++)
    if (memcmp(at, begin, begin_len) == 0 && memcmp(at + begin_len, end, end_len) == 0) return true;
  return false;
}

static int result_of(struct execution_result *out, const char *text) {
  *out = (struct execution_result){.success = true,
                                   .status = ISOQ_STATUS_OK,
                                   .result = strdup(text),
                                   .result_len = strlen(text),
                                   .result_type = ISOQ_TYPE_STRING};
  return out->result == NULL ? -ENOMEM : 0;
}

static const struct deny_case *find(const char *name) {
  const struct deny_case *one;

  for (size_t i = 0; (one = deny_at(i)) != NULL; i++)
    if (strcmp(one->name, name) == 0) return one;
  return NULL;
}

int __wrap_engine_run(const struct engine_job *job, const struct runtime_config *config,
                      const struct engine_host *host, struct execution_result *out) {
  const struct deny_case *one;
  char name[128], text[64];
  long value;

  /* The first call is the warm-up job's, before the lock-down. */
  if (deny_broker == 0) {
    deny_broker = getppid();
    spare_page = mmap(NULL, sizeof(own_page), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  }
  if (!wanted(job, name)) return __real_engine_run(job, config, host, out);

  if (strncmp(name, "held", 4) == 0) {
    int r = __real_engine_run(job, config, host, out);

    if (r < 0 || !out->success) return r;
    execution_result_free(out);
    r = result_of(out, engine_is_holding() ? "held" : "not held");
    if (strcmp(name, "held slow") == 0) out->cpu_time_ms = 1000;
    return r;
  }
  if (strncmp(name, "left", 4) == 0) return result_of(out, is_left() ? "something" : "nothing");
  if (strncmp(name, "spoil ", 6) == 0) return spoil(name) ? result_of(out, "spoilt") : -EINVAL;
  one = find(name);
  errno = 0;
  if (one != NULL)
    value = one->attempt();
  else if (strncmp(name, NUMBER, strlen(NUMBER)) == 0)
    value = syscall(strtol(name + strlen(NUMBER), NULL, 10), 0L, 0L, 0L, 0L, 0L, 0L);
  else
    return -EINVAL;
  snprintf(text, sizeof(text), "%ld %d", value, value == -1 ? errno : 0);
  return result_of(out, text);
}
