/*
 * How a job ended. One list makes the enum, the names of the contract (ExecutionResult.status) and the
 * tables that depend on them, on both sides of the wire.
 */
#ifndef ISOQ_ENGINE_STATUS_H
#define ISOQ_ENGINE_STATUS_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ISOQ_STATUS_LIST(X)                                                                                  \
  X(OK, "ok")                               /* the script completed */                                       \
  X(ERROR, "error")                         /* it threw, rejected, or does not compile */                    \
  X(TIMEOUT, "timeout")                     /* wall clock */                                                 \
  X(CPU_TIMEOUT, "cpu_timeout")             /* processor time */                                             \
  X(OOM, "oom")                             /* heap, buffers, or resident size */                            \
  X(OUTPUT_LIMIT, "output_limit")           /* the result itself is too large */                             \
  X(CRASHED, "crashed")                     /* the executor died, or broke the protocol */                   \
  X(SANDBOX_VIOLATION, "sandbox_violation") /* it made a system call it may not make */                      \
  X(CANCELLED, "cancelled")                 /* somebody asked for it */                                      \
  X(INVALID, "invalid")                     /* the job is malformed; it never ran */                         \
  X(WORKER_LOST, "worker_lost")             /* given up after repeated deaths of workers */

enum isoq_status {
#define X(name, text) ISOQ_STATUS_##name,
  ISOQ_STATUS_LIST(X)
#undef X
  ISOQ_STATUS_COUNT
};

/* The contract's name of a status; never NULL ("crashed" for a value outside the enum). */
const char *isoq_status_name(enum isoq_status status);

/* The executor may run another job after one that ended so; both sides go by it. */
static inline bool isoq_status_is_clean(enum isoq_status status) {
  return status == ISOQ_STATUS_OK || status == ISOQ_STATUS_ERROR;
}

/* A type name for ExecutionResult.result_type. */
#define ISOQ_RESULT_TYPE_LIST(X)                                                                             \
  X(NONE, "")                                                                                                \
  X(UNDEFINED, "undefined")                                                                                  \
  X(NULL_, "null")                                                                                           \
  X(BOOLEAN, "boolean")                                                                                      \
  X(NUMBER, "number")                                                                                        \
  X(BIGINT, "bigint")                                                                                        \
  X(STRING, "string")                                                                                        \
  X(SYMBOL, "symbol")                                                                                        \
  X(FUNCTION, "function")                                                                                    \
  X(ARRAY, "array")                                                                                          \
  X(OBJECT, "object")

enum isoq_result_type {
#define X(name, text) ISOQ_TYPE_##name,
  ISOQ_RESULT_TYPE_LIST(X)
#undef X
  ISOQ_TYPE_COUNT
};

/* The contract's name of a result type, NULL for ISOQ_TYPE_NONE (no result: JSON null). */
const char *isoq_result_type_name(enum isoq_result_type type);

/* The level of one console entry; which stream it belongs to follows from it. */
#define ISOQ_CONSOLE_LEVEL_LIST(X)                                                                           \
  X(LOG, "log", 1)                                                                                           \
  X(INFO, "info", 1)                                                                                         \
  X(DEBUG, "debug", 1)                                                                                       \
  X(WARN, "warn", 2)                                                                                         \
  X(ERROR, "error", 2)

enum isoq_console_level {
#define X(name, text, stream) ISOQ_CONSOLE_##name,
  ISOQ_CONSOLE_LEVEL_LIST(X)
#undef X
  ISOQ_CONSOLE_COUNT
};

const char *isoq_console_level_name(enum isoq_console_level level);

/* 1 for stdout, 2 for stderr. */
int isoq_console_level_stream(enum isoq_console_level level);

#ifdef __cplusplus
}
#endif

#endif
