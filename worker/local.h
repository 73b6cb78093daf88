/* One job here and now, with the same executor and the same rules as in a worker, and no Redis: isoq run, isoq replay. */
#ifndef ISOQ_WORKER_LOCAL_H
#define ISOQ_WORKER_LOCAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config;
struct job;
struct job_result;

struct local_options {
  bool inspect; /* the job waits for a debugger (inspect.h) before its first line, and has no time limit */
  uint16_t inspect_port; /* 0: any that is free */
  /* A debugger may attach: to be told to the person, or it will never end. `url` is that of the WebSocket. */
  void (*listening)(void *ctx, const char *url);
  void *ctx;
};

/*
 * Runs `job`, which stays the caller's, and fills `*out` (job_result_free()). A job that is invalid has its
 * result too. SIGINT and SIGTERM cancel the script (status cancelled); a second one ends at once with -EINTR.
 * Otherwise 0, or a negative errno with what to do next in `error`: no executor program, or one that does not
 * start, or a debugger's port that is taken. `options` may be NULL.
 */
int local_run(const struct config *config, struct job *job, const struct local_options *options,
              struct job_result *out, char *error, size_t error_size);

#endif
