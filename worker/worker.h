/* The broker: serves the queues of a configuration until it is told to stop. */
#ifndef ISOQ_WORKER_WORKER_H
#define ISOQ_WORKER_WORKER_H

struct config;

/*
 * Runs until SIGTERM or SIGINT, then drains (DESIGN 6). Returns the process's exit status:
 *   0        everything that was taken has a published result, or was given back
 *   1        it ended with work that Redis never heard of; other workers get those jobs when the lease is
 * over 2        the configuration cannot work (no executor program, a bad address); the log says what 128 + n
 * a second signal n: at once Sets up the log, ignores SIGPIPE.
 */
int worker_run(const struct config *config);

#endif
