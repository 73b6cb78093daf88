/* A program that is run for what it prints: credential_process. */
#ifndef ISOQ_BINDINGS_PROCESS_H
#define ISOQ_BINDINGS_PROCESS_H

#include <stddef.h>
#include <stdint.h>

struct event_base;
struct process;

/* `output`: what it printed, NUL-terminated, borrowed and then overwritten; NULL when it failed, and `why`
 * says how. */
typedef void (*process_fn)(void *ctx, const char *output, size_t len, const char *why);

/*
 * Runs `command`, split into words as a shell would (quotes and backslashes, nothing else: there is no
 * shell), found on the PATH of this process, with `environment`, no input, and its errors going nowhere: they
 * could tell secrets. Killed, with all it started, when it takes longer than `timeout_ms`, or prints more
 * than 64 KiB. `done` is called once, from the event loop, never from within. 0, or a negative errno with why
 * in `error`.
 */
int process_run(struct event_base *base, const char *command, char *const *environment, uint32_t timeout_ms,
                process_fn done, void *ctx, struct process **out, char *error, size_t error_size);
/* Kills it. */
void process_cancel(struct process *process);

/* The words of `command`, in one block with the list, to be freed. NULL with errno: EINVAL a quote is
 * open, or there is no word; ENOMEM. */
char **process_words(const char *command);

#endif
