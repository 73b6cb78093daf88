/*
 * Jobs may have 20 MB each, so the pieces adapt: few elements while they are large, many while they are
 * small.
 */
#include "cli/scan.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE_START 16
#define PIECE_MAX 512
#define PIECE_SMALL_BYTES (1 << 20)
#define PIECE_LARGE_BYTES (4 << 20)
#define KEYS_AT_ONCE 1000

static long long next_piece(long long piece, size_t bytes) {
  if (bytes > PIECE_LARGE_BYTES) return piece > 1 ? piece / 2 : 1;
  if (bytes < PIECE_SMALL_BYTES) return piece * 2 < PIECE_MAX ? piece * 2 : PIECE_MAX;
  return piece;
}

int scan_range(struct cli_redis *redis, const char *command, const char *key, scan_fn fn, void *ctx) {
  long long at = 0, piece = PIECE_START;
  for (;;) {
    redisReply *reply = cli_redis_command(redis, "%s %s %lld %lld", command, key, at, at + piece - 1);
    if (!reply) return CLI_UNAVAILABLE;
    size_t count = reply->type == REDIS_REPLY_ARRAY ? reply->elements : 0, bytes = 0;
    bool enough = count == 0;
    for (size_t i = 0; i < count && !enough; i++) {
      bytes += reply->element[i]->len;
      enough = fn(ctx, reply->element[i]->str, reply->element[i]->len);
    }
    freeReplyObject(reply);
    if (enough) return CLI_OK;
    at += (long long)count;
    piece = next_piece(piece, bytes);
  }
}

int scan_owners(struct cli_redis *redis, const struct queue_keys *keys, scan_fn fn, void *ctx) {
  const size_t skip = strlen(keys->claimed_prefix);
  char *pattern = key_pattern(keys->claimed_prefix), cursor[32] = "0";
  int status = CLI_OK;
  bool enough = false;

  if (!pattern) {
    cli_error("out of memory");
    return CLI_UNAVAILABLE;
  }
  do {
    redisReply *reply =
        cli_redis_command(redis, "SCAN %s MATCH %s COUNT %d TYPE list", cursor, pattern, KEYS_AT_ONCE);
    if (!reply || reply->type != REDIS_REPLY_ARRAY || reply->elements != 2) {
      freeReplyObject(reply);
      status = CLI_UNAVAILABLE;
      break;
    }
    snprintf(cursor, sizeof cursor, "%s", reply->element[0]->str);
    for (size_t i = 0; i < reply->element[1]->elements && !enough; i++) {
      const redisReply *key = reply->element[1]->element[i];
      if (key->len > skip) enough = fn(ctx, key->str + skip, key->len - skip);
    }
    freeReplyObject(reply);
  } while (!enough && strcmp(cursor, "0") != 0);
  free(pattern);
  return status;
}
