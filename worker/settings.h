/* From the configuration to what the parts of the broker want to know. */
#ifndef ISOQ_WORKER_SETTINGS_H
#define ISOQ_WORKER_SETTINGS_H

#include "queue/job.h"
#include "worker/pool.h"

struct bindings_options;
struct config;

void settings_job_limits(const struct config *config, struct job_limits *out);

/* What config_check() cannot know: names of host functions. 0, or -EINVAL with what is wrong in `error`. */
int settings_check(const struct config *config, char *error, size_t error_size);

/* Borrows a string of `config`, and the environment of the process. */
void settings_bindings(const struct config *config, struct bindings_options *out);

/* Borrows the strings of `config`; executors 0 becomes the number of CPUs; `worker` is left to the caller. */
void settings_pool(const struct config *config, struct pool_options *out);

#endif
