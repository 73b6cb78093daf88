/* From the configuration to what the parts of the broker want to know. */
#ifndef ISOQ_WORKER_SETTINGS_H
#define ISOQ_WORKER_SETTINGS_H

#include "queue/job.h"
#include "worker/pool.h"

struct config;

void settings_job_limits(const struct config *config, struct job_limits *out);

/* Borrows the strings of `config`; executors 0 becomes the number of CPUs; `worker` is left to the caller. */
void settings_pool(const struct config *config, struct pool_options *out);

#endif
