/*
 * Which server is the primary? Asks the Sentinels of an address, and goes on asking.
 *
 * Owns one link to one Sentinel at a time (a conn of its own). A Sentinel that does not answer well within
 * SENTINEL_TIMEOUT_MS is left for the next of the list; the one that answered stays linked, and is asked again
 * every SENTINEL_POLL_MS, so that a fail-over is noticed while the old primary still answers. Nothing blocks.
 */
#ifndef ISOQ_QUEUE_SENTINEL_H
#define ISOQ_QUEUE_SENTINEL_H

#include <stdbool.h>
#include <stddef.h>

struct event_base;
struct redisReply;
struct redis_url;
struct sentinel;

#define SENTINEL_TIMEOUT_MS 1500
#define SENTINEL_POLL_MS 1000
#define SENTINEL_HOST_SIZE 256

struct sentinel_options {
  struct event_base *base;
  const struct redis_url *url; /* with master_name; borrowed */
  const char *name;            /* for CLIENT SETNAME; borrowed */
  void *ctx;
  /* For each answer, the repeated ones too. `who`: the Sentinel, for messages. */
  void (*found)(void *ctx, const char *host, int port, const char *who);
  /* All were asked, none knew. `why`: each with its reason. Only after sentinel_ask(), not for the repeated
   * questions: those that have a primary need no Sentinel. */
  void (*failed)(void *ctx, const char *why);
};

/* Starts nothing yet. 0 or -ENOMEM. */
int sentinel_new(const struct sentinel_options *options, struct sentinel **out);

/* No callback any more. Not from within found() or failed(). */
void sentinel_free(struct sentinel *sentinel);

/*
 * One found() or failed() follows from the loop, within SENTINEL_TIMEOUT_MS for each Sentinel. The one that
 * answered last is asked first; with `another`, because its answer was no use, it is asked last. Not from
 * within found() or failed().
 */
void sentinel_ask(struct sentinel *sentinel, bool another);

/* ---- what the blocking commands share ---- */

/* Reads the answer to SENTINEL GET-MASTER-ADDR-BY-NAME. 0, or -ENOENT, -EPROTO with why. `host` has
 * SENTINEL_HOST_SIZE bytes. */
int sentinel_read_answer(const struct redisReply *reply, const char *master_name, char *host, int *port,
                         char *why, size_t why_size);

/* Reads the answer to ROLE. 0 for a primary, else -EPERM (no right to ask), -EROFS (a replica) or -EPROTO, with
 * why. */
int sentinel_read_role(const struct redisReply *reply, char *why, size_t why_size);

#endif
