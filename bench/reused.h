/*
 * The ceiling of an engine: a script compiled and run in an isolate and a context that are already there, and that are
 * left as the script leaves them. No limits, no console, no clean-up: nothing that isoq promises, only what V8 costs.
 * After engine_init(), whose flags hold here too.
 */
#ifndef ISOQ_BENCH_REUSED_H
#define ISOQ_BENCH_REUSED_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* 0 or -1. */
int reused_init(void);

/*
 * Runs the script as the body of a block, so that its declarations do not clash with those of the run before. Writes
 * the result's text, and returns its length, or -1. `is_json`: the code is a JSON string literal. V8 remembers what it
 * compiled in an isolate, by the script's text; `compiling`: each run's text is another one, so that it is compiled, as
 * a job's is.
 */
long reused_run(const char *code, size_t code_len, bool is_json, bool compiling, char *text,
                size_t text_size);

#ifdef __cplusplus
}
#endif

#endif
