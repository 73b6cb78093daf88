/*
 * The engine: one JavaScript job in one pristine V8 isolate, behind plain C.
 *
 * Bytes and structs go in and out, never a V8 type; only engine/ *.cc includes a V8 header. The engine owns
 * its process: it is single-threaded, sets TZ and LC_ALL (jobs see UTC and en-US), uses one real-time signal
 * for its watchdog and creates no thread. Every call but engine_cancel() comes from the thread that called
 * engine_init().
 *
 * Text is UTF-8 in both directions. What JavaScript cannot express in UTF-8 (lone surrogates) leaves as
 * U+FFFD.
 */
#ifndef ISOQ_ENGINE_ENGINE_H
#define ISOQ_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- the platform ---- */

/*
 * Starts V8 for this process. Idempotent and thread-safe: every later call returns what the first one did.
 * Returns 0, or -ENOTSUP after engine_dispose() (V8 starts once in a process), or another negative errno.
 */
int engine_init(void);

/* True from a successful engine_init() until engine_dispose(). Thread-safe. */
bool engine_is_initialized(void);

/* Ends V8 for good. Harmless when it was never started. No job may be running. */
void engine_dispose(void);

/* "13.6.233.17-node.28": of the V8 that runs, not of the headers. Static. */
const char *engine_v8_version(void);

/* ---- rewinding: one isolate for every job, each of which finds it as if new (rewind.hh) ---- */

struct engine_rewind_options {
  size_t max_heap_size_bytes; /* jobs with this limit run in the prepared isolate; others get a new one */
  const char *const
      *functions; /* the names of all host functions that a job may bring, in the order of its own */
  size_t function_count;
  int statm_fd; /* a free descriptor's number: /proc/self/statm is kept open as that, to be read at each rewind */
};

/*
 * Sets malloc up for it. At the start of main(), before engine_init(). 0, or -ENOTSUP where there is no rewinding:
 * under sanitizers, and with V8 11.
 */
int engine_rewind_init(void);

/*
 * Makes the isolate and takes the checkpoint: of all that this process knows now. After everything was loaded that
 * jobs need, and while /proc can be read; what comes later, a lock-down for instance, is forgotten by the first
 * engine_rewind(). Returns 0, or a negative errno; engine_run() makes a new isolate for each job then, as without. But
 * -ENOTRECOVERABLE: the first rewind failed midway, and the process must _exit() at once.
 */
int engine_checkpoint(const struct engine_rewind_options *options);

/*
 * Why engine_rewind() must not be called after what ran since the last one: static text. NULL: it may be. The process
 * must be replaced otherwise, after this job.
 */
const char *engine_rewind_refusal(void);

/*
 * Puts the process' memory back as it was at the checkpoint. Pointers to what was allocated since are dead afterwards,
 * and so is the execution_result: its strings are gone. The `keep_len` bytes at `keep` (64 at most; NULL: none) stay as
 * they are: what a signal handler may have said just now; signals wait meanwhile. Returns 0; or a negative errno, and
 * the process must _exit() at once.
 */
int engine_rewind(volatile void *keep, size_t keep_len);

/* Async-signal-safe. In a handler of a fault: whether engine_rewind() made it, after which the process must _exit(). */
bool engine_is_rewinding(void);

/* Before the kernel writes to a buffer that is not on the stack (read()): memory of the checkpoint may be read-only. */
void engine_rewind_touch(void *data, size_t len);

struct engine_rewind_size {
  size_t saved_bytes, runs, gaps, mappings;
};
struct engine_rewind_size engine_rewind_measure(void);

/* ---- one job ---- */

struct runtime_config {
  /* V8 heap, ArrayBuffers and WebAssembly memory together; 256 MiB, 4 MiB at least. */
  size_t max_heap_size_bytes;
  uint32_t timeout_ms;     /* wall clock, timers and waiting included; 30 000. 0: none. */
  uint32_t cpu_ms;         /* processor time of this process; 0: none. */
  bool capture_console;    /* true; false drops what the console is given. */
  size_t max_output_bytes; /* stdout and stderr together; 1 MiB. The rest is cut; a WARN entry says so. */
  size_t max_result_bytes; /* 8 MiB; a larger result is ISOQ_STATUS_OUTPUT_LIMIT. */
  uint32_t max_calls;      /* of host functions, in all; 1 000. One more rejects with a RangeError. */
  uint32_t max_timers;     /* pending at a time; 10 000. One more makes setTimeout throw a RangeError. */
  size_t max_trace_bytes; /* of clock values, random bytes and events that are told to the host; 0: none is */
  bool loose_replay;      /* engine_job.trace is of another script: its values, but not its order */
  bool has_seed;          /* seed Math.random with seed; else with the kernel's random bytes. */
  uint64_t seed;
};

/* The defaults above. */
struct runtime_config runtime_config_default(void);

struct engine_error {
  char *name;    /* "TypeError"; NULL when there is no error */
  char *message; /* may be "" */
  char *stack;   /* name, message and frames; "" where there is none */
  int line;      /* from 1, line 1 is the first line of the code; 0: not known */
  int column;    /* from 1; 0: not known */
};

struct execution_result {
  bool success; /* status == ISOQ_STATUS_OK */
  enum isoq_status status;
  char *result; /* NUL-terminated; may hold NUL before result_len. NULL on failure and for undefined etc. */
  size_t result_len;
  enum isoq_result_type result_type; /* ISOQ_TYPE_NONE on failure */
  char *stdout;                      /* engine_execute() only; never NULL there */
  size_t stdout_len;
  char *stderr; /* the same; ends with the uncaught error, if any */
  size_t stderr_len;
  bool stdout_truncated;
  bool stderr_truncated;
  struct engine_error error;
  char *difference;         /* a replay: the first step that was not as recorded; NULL: none was */
  double execution_time_ms; /* wall clock of the script, set-up of the isolate not counted */
  double cpu_time_ms;
  /* V8 heap, ArrayBuffers and WebAssembly memory; the heap is looked at in each collection and at the end. */
  uint64_t peak_memory_bytes;
};

/*
 * Runs `code` (not NUL-terminated) and fills `*out`, which the caller releases with execution_result_free().
 * NULL `config` means the defaults. What the script does wrong is in `out->status`, and the return value is 0
 * then too. Returns -EINVAL when the engine is not initialised or an argument is missing, -ENOMEM; `*out` is
 * untouched then. A V8 that gives up (an allocation that it cannot refuse) ends the process: the broker calls
 * that `oom`.
 */
int engine_execute(const char *code, size_t code_len, const struct runtime_config *config,
                   struct execution_result *out);

void execution_result_free(struct execution_result *result);

/* ---- the same with a host: what isoq-executor uses ---- */

struct engine_text {
  const char *data;
  size_t len;
};

struct engine_job {
  struct engine_text code;
  bool code_is_json; /* code is a JSON string literal, quotes included: escapes and lone surrogates survive */
  struct engine_text input; /* JSON text of the global `input`; data NULL: null */
  struct engine_text
      trace; /* of an earlier run, which this one repeats (trace.hh); data NULL: it is no replay */
  const char *const *functions; /* names of the host functions that the script finds as globals */
  size_t function_count;
  /* A debugger is waited for before the first line, and this is the job's name for it; data NULL: there is none. The
   * host then has inspect_out, inspect_pending and wait. */
  struct engine_text inspect;
};

/* What the engine asks of its host. All of them are called on the engine's thread while engine_run() runs. */
struct engine_host {
  void *ctx;

  /* One console entry, without its newline; `truncated`: the output limit cut it (text may be empty). */
  void (*console)(void *ctx, enum isoq_console_level level, struct engine_text text, bool truncated);

  /*
   * The script called a host function: `args` is a JSON array, `call` counts from 1 in each job. The answer comes by
   * engine_reply(), later, from within `wait`. NULL only where no job has functions.
   */
  void (*call)(void *ctx, uint32_t call, struct engine_text name, struct engine_text args);

  /* A piece of the trace of this run; all of them together are engine_job.trace of its replay. May be NULL. */
  void (*trace)(void *ctx, struct engine_text text);

  /*
   * Wait until `timeout_ms` have passed (never negative), or something arrived for the job; early returns are
   * harmless. EINTR is no error. NULL: the engine sleeps by itself. Of a job that is inspected, it is called while
   * JavaScript runs as well, within V8, and within itself.
   */
  void (*wait)(void *ctx, int64_t timeout_ms);

  /* A message of the Chrome DevTools protocol for the debugger; at most 32 MiB. */
  void (*inspect_out)(void *ctx, struct engine_text message);

  /* Would `wait` find something at once? IN A SIGNAL HANDLER, too. */
  bool (*inspect_pending)(void *ctx);

  /* The watchdog's tick, every 25 ms at most while a job runs: IN A SIGNAL HANDLER. May be NULL. */
  void (*tick)(void *ctx);

  /*
   * V8 gives up and the process must end: status is OOM or CRASHED. Called on V8's stack, in any state: write
   * a last message, then _exit(). If it returns, the engine aborts. May be NULL.
   */
  void (*dying)(void *ctx, enum isoq_status status, const char *why);
};

/* As engine_execute(), but console output goes to the host, and out->stdout and out->stderr stay NULL. */
int engine_run(const struct engine_job *job, const struct runtime_config *config,
               const struct engine_host *host, struct execution_result *out);

/*
 * Holds a script that comes again and again: V8 compiles it in the prepared isolate, and that becomes the state to
 * which engine_rewind() goes back. Nothing of it runs, and nothing but its text is in that state: jobs with the same
 * script find what they would in a new isolate, only sooner. Before any other, it is to be released. Both are for the
 * time between engine_rewind() and a job, and call that: `keep` is as there, and the text is not where it would be put
 * back.
 *
 * It has no limits of time and memory, so it is for scripts that jobs have compiled, in this isolate
 * (engine_used_prepared()). 0; -ENOTSUP: as before, none is held (V8 keeps no script with top-level await or return; one
 * that is too large or nested too deeply, or does not compile; another one is held); or another negative errno, and the
 * process must _exit() at once.
 */
int engine_hold(const struct engine_job *job, volatile void *keep, size_t keep_len);
bool engine_is_holding(void);
/* As engine_rewind(). Harmless where none is held. */
int engine_release(volatile void *keep, size_t keep_len);

/* Whether a job has run in the prepared isolate since the last rewind, and not in one made for it. */
bool engine_used_prepared(void);

/*
 * The answer to one call: the JSON text of its value; or (not ok) of an object with name, message and further members,
 * which the script sees as an Error. Copied. Only from within engine_host.wait; what nobody asked for is ignored.
 */
void engine_reply(uint32_t call, bool ok, struct engine_text json);

/*
 * A message of the job's debugger, in the same protocol; empty: the debugger has gone, and the script goes on. Copied.
 * Only from within engine_host.wait.
 */
void engine_inspect(struct engine_text message);

/*
 * Stops the job that runs now, if one does; its status is `status` (ISOQ_STATUS_CANCELLED, ...), its error's
 * message says `why` (a static string). Async-signal-safe.
 */
void engine_cancel(enum isoq_status status, const char *why);

/*
 * The text which an uncaught error adds to stderr, without a newline: the stack, or "name: message". The
 * broker's results and engine_execute() share this rule. Points into `error`, or into `buffer`.
 */
const char *engine_error_text(const struct engine_error *error, char *buffer, size_t buffer_size);

#ifdef __cplusplus
}
#endif

#endif
