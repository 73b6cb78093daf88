/*
 * One job again and again in this process, without a broker: what the engine costs by itself.
 *
 *     bench-engine fresh|rewind|rewind-held|reused|reused-compiling CODE_FILE EXPECTED SECONDS JOBS_AT_LEAST
 *
 * `reused` is no way of isoq's but the ceiling (reused.h). Every result is compared with EXPECTED. In a process that
 * rewinds itself nothing outlasts a job but the stack, so the samples are there.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/reused.h"
#include "bench/samples.h"
#include "engine/engine.h"

#define CODE_MAX 65536
#define WARM_UP 5
#define MEMORY_MB 256

struct task {
  const char *mode, *expected;
  size_t code_len;
  char code[CODE_MAX];
};

static void fail(const char *what, const char *detail) {
  fprintf(stderr, "bench-engine: %s: %s\n", what, detail);
  exit(1);
}

static void check(const struct task *task, const char *result, size_t len) {
  if (len != strlen(task->expected) || memcmp(result, task->expected, len) != 0)
    fail("not the result that was expected", result);
}

static void run_isoq(const struct task *task, bool rewinding) {
  struct runtime_config config = runtime_config_default();
  struct execution_result out;
  const char *refusal;

  config.max_heap_size_bytes = (size_t)MEMORY_MB << 20;
  if (engine_execute(task->code, task->code_len, &config, &out) < 0) fail("engine_execute", "refused");
  if (!out.success || out.result == NULL) fail("the job failed", out.stderr);
  check(task, out.result, out.result_len);
  if (!rewinding) {
    execution_result_free(&out);
    return;
  }
  refusal = engine_rewind_refusal();
  if (refusal != NULL) fail("cannot rewind", refusal);
  if (engine_rewind(NULL, 0) < 0) _Exit(1);
}

static void run(const struct task *task) {
  char text[256];
  long len;

  if (strncmp(task->mode, "reused", 6) != 0) {
    run_isoq(task, strncmp(task->mode, "rewind", 6) == 0);
    return;
  }
  len = reused_run(task->code, task->code_len, false, strcmp(task->mode, "reused-compiling") == 0, text,
                   sizeof(text));
  if (len < 0) fail("the job failed", task->mode);
  check(task, text, (size_t)len);
}

static void start(const struct task *task) {
  const struct engine_rewind_options options = {.max_heap_size_bytes = (size_t)MEMORY_MB << 20};
  const struct engine_job job = {.code = {task->code, task->code_len}};
  bool rewinding = strncmp(task->mode, "rewind", 6) == 0;
  int r = 0;

  if (rewinding && engine_rewind_init() < 0) fail("rewind", "not in this build");
  if (engine_init() < 0) fail("engine_init", "V8 does not start");
  /* As isoq-executor does: what is loaded lazily is there before the checkpoint. */
  for (int i = 0; i < WARM_UP; i++)
    if (rewinding) run_isoq(task, false);
  if (rewinding) r = engine_checkpoint(&options);
  if (r < 0) fail("engine_checkpoint", strerror(-r));
  if (strncmp(task->mode, "reused", 6) == 0 && reused_init() < 0) fail("reused_init", "no isolate");
  if (rewinding && engine_rewind(NULL, 0) < 0) fail("engine_rewind", "not after the checkpoint");
  if (strcmp(task->mode, "rewind-held") == 0 && engine_hold(&job, NULL, 0) < 0)
    fail("engine_hold", "not held");
  for (int i = 0; i < WARM_UP; i++)
    run(task);
}

int main(int argc, char **argv) {
  static struct task task;
  struct samples samples;
  FILE *file;

  if (argc != 6) fail("usage", "MODE CODE_FILE EXPECTED SECONDS JOBS_AT_LEAST");
  task.mode = argv[1];
  task.expected = argv[3];
  if (strcmp(task.mode, "fresh") != 0 && strcmp(task.mode, "rewind") != 0 &&
      strcmp(task.mode, "rewind-held") != 0 && strcmp(task.mode, "reused") != 0 &&
      strcmp(task.mode, "reused-compiling") != 0)
    fail("no such mode", task.mode);
  file = fopen(argv[2], "rb");
  if (file == NULL) fail(argv[2], strerror(errno));
  task.code_len = fread(task.code, 1, sizeof(task.code), file);
  if (task.code_len == sizeof(task.code)) fail(argv[2], "too long");
  fclose(file);
  start(&task);
  samples_start(&samples, strtod(argv[4], NULL), (uint32_t)strtoul(argv[5], NULL, 10));
  samples.cpu_ns = samples_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
  while (samples_want_more(&samples)) {
    run(&task);
    samples_add(&samples);
  }
  samples.cpu_ns = samples_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - samples.cpu_ns;
  samples_print(&samples, 0);
  return 0;
}
