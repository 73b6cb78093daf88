/* One job here and now, with the same executor and the same rules as in a worker, and no Redis: isoq run, isoq replay. */
#ifndef ISOQ_WORKER_LOCAL_H
#define ISOQ_WORKER_LOCAL_H

#include <stddef.h>

struct config;
struct job;
struct job_result;

/*
 * Runs `job`, which stays the caller's, and fills `*out` (job_result_free()). A job that is invalid has its
 * result too. SIGINT and SIGTERM cancel the script (status cancelled); a second one ends at once with -EINTR.
 * Otherwise 0, or a negative errno with what to do next in `error`: no executor program, or one that does not
 * start.
 */
int local_run(const struct config *config, struct job *job, struct job_result *out, char *error,
              size_t error_size);

#endif
