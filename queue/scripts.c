/*
 * No SHA1 is computed here: Redis tells it when it loads a script. A server that forgot its scripts (restart,
 * SCRIPT FLUSH, failover) costs one refused call each, after which texts are sent until the hashes are known
 * again.
 */
#include "queue/scripts.h"

#include <assert.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lua_scripts.h"

static void script_text(enum script_id id, const char **text, size_t *len) {
  switch (id) {
#define X(ID, name)                                                                                          \
  case SCRIPT_##ID:                                                                                          \
    *text = (const char *)lua_##name;                                                                        \
    *len = lua_##name##_len;                                                                                 \
    return;
    SCRIPT_LIST(X)
#undef X
  case SCRIPT_COUNT: break;
  }
  assert(0);
}

static void on_loaded(void *ctx, const struct redisReply *reply) {
  struct script_state *state = ctx;
  if (reply && reply->type == REDIS_REPLY_STRING && reply->len == sizeof state->sha1 - 1)
    memcpy(state->sha1, reply->str, sizeof state->sha1);
}

void scripts_load(struct scripts *scripts, struct conn *conn) {
  for (int id = 0; id < SCRIPT_COUNT; id++) {
    struct command command = {0};
    const char *text;
    size_t len;
    script_text((enum script_id)id, &text, &len);
    command_text(&command, "SCRIPT");
    command_text(&command, "LOAD");
    command_bytes(&command, text, len);
    command_send(&command, ROUND_TRIP_SCRIPT_LOAD, conn, on_loaded,
                 &scripts->state[id]); /* unsent: the texts do as well */
  }
}

void scripts_forget(struct scripts *scripts) {
  memset(scripts, 0, sizeof *scripts);
}

void command_begin(struct command *command) {
  command->argc = 0;
  command->number_count = 0;
}

void command_bytes(struct command *command, const char *data, size_t len) {
  assert(command->argc < COMMAND_ARGS_MAX);
  command->argv[command->argc] = data;
  command->len[command->argc++] = len;
}

void command_text(struct command *command, const char *text) {
  command_bytes(command, text, strlen(text));
}

void command_number(struct command *command, int64_t number) {
  assert(command->number_count < COMMAND_NUMBERS_MAX);
  char *text = command->numbers[command->number_count++];
  snprintf(text, sizeof command->numbers[0], "%" PRId64, number);
  command_text(command, text);
}

void command_script(struct command *command, const struct scripts *scripts, enum script_id id,
                    int key_count) {
  const struct script_state *state = &scripts->state[id];
  if (state->sha1[0]) {
    command_text(command, "EVALSHA");
    command_bytes(command, state->sha1, sizeof state->sha1 - 1);
  } else {
    const char *text;
    size_t len;
    script_text(id, &text, &len);
    command_text(command, "EVAL");
    command_bytes(command, text, len);
  }
  command_number(command, key_count);
}

int command_send(const struct command *command, enum round_trip which, struct conn *conn, conn_reply_fn fn,
                 void *ctx) {
  return conn_send(conn, which, CONN_COMMAND_TIMEOUT_MS, command->argc,
                   (const char **)(const void *)command->argv, command->len, fn, ctx);
}
