/*
 * The Lua scripts, and commands put together piece by piece. A script goes by its SHA1, which SCRIPT LOAD
 * told us; until it has, or after Redis forgot it, by its text.
 */
#ifndef ISOQ_QUEUE_SCRIPTS_H
#define ISOQ_QUEUE_SCRIPTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "queue/conn.h"

#define SCRIPT_LIST(X)                                                                                       \
  X(CLAIM, claim)                                                                                            \
  X(LEASE, lease)                                                                                            \
  X(SETTLE, settle)                                                                                          \
  X(GIVE_BACK, give_back)                                                                                    \
  X(LEAVE, leave)                                                                                            \
  X(REAP, reap)                                                                                              \
  X(DEFER, defer)                                                                                            \
  X(PROMOTE, promote)

enum script_id {
#define X(id, name) SCRIPT_##id,
  SCRIPT_LIST(X)
#undef X
  SCRIPT_COUNT
};

struct scripts {
  struct script_state {
    char sha1[41]; /* "" unknown: send the text */
  } state[SCRIPT_COUNT];
};

/* Asks Redis to load them all. */
void scripts_load(struct scripts *scripts, struct conn *conn);

/* From now on the texts are sent, until scripts_load() has been answered. */
void scripts_forget(struct scripts *scripts);

#define COMMAND_ARGS_MAX 128
#define COMMAND_NUMBERS_MAX 20

struct command { /* borrows what is added to it */
  int argc;
  const char *argv[COMMAND_ARGS_MAX];
  size_t len[COMMAND_ARGS_MAX];
  char numbers[COMMAND_NUMBERS_MAX][24];
  int number_count;
};

/* Empty. (Or `= {0}`, where a few kilobytes more or less to clear do not matter.) */
void command_begin(struct command *command);

void command_bytes(struct command *command, const char *data, size_t len);
void command_text(struct command *command, const char *text);
void command_number(struct command *command, int64_t number);

/* Starts with EVALSHA or EVAL; the keys and arguments follow. */
void command_script(struct command *command, const struct scripts *scripts, enum script_id id, int key_count);

int command_send(const struct command *command, enum round_trip which, struct conn *conn, conn_reply_fn fn,
                 void *ctx);

#endif
