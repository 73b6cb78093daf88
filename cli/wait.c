/*
 * Waiting reads the reply key with BLMOVE key key LEFT LEFT: it blocks as BLPOP does, but puts the element
 * back where it was in the same step, and the key keeps its time to live. So two may wait for one result, and
 * one who dies at the wrong moment loses nothing.
 *
 * It blocks in slices, because the server's own limit on a command must stay above them, and because more
 * than one queue may have to be looked at. A Redis that goes away is tried again until the time is up: the
 * job does not mind, so whoever waits for it should not.
 */
#include "cli/wait.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "queue/keys.h"
#include "worker/clock.h"

#define SLICE_MS 1000
#define RECONNECT_PAUSE_MS 200
#define EXTRA_WAIT_MS 30000
#define WAIT_MAX_S (7 * 86400)

static char interrupt_message[JOB_ID_MAX + 128];

static void on_interrupt(int signal_number) {
  (void)signal_number;
  ssize_t ignored = write(STDERR_FILENO, interrupt_message, strlen(interrupt_message));
  (void)ignored;
  _exit(CLI_INTERRUPTED);
}

void wait_on_interrupt(const char *id) {
  struct sigaction action = {.sa_handler = on_interrupt};
  snprintf(interrupt_message, sizeof interrupt_message,
           "\nisoq: not waiting any longer; the job goes on. Its result: isoq result %s --wait\n", id);
  sigaction(SIGINT, &action, NULL);
}

int64_t wait_option_ms(const struct cli *cli, int64_t timeout_ms) {
  const char *value = cli->args.value[OPTION_WAIT];
  if (!value) return 0;
  if (!*value) return timeout_ms + EXTRA_WAIT_MS;

  bool digits = value[strspn(value, "0123456789")] == 0 && strlen(value) < 10;
  int64_t seconds = digits ? strtoll(value, NULL, 10) : 0;
  if (seconds < 1 || seconds > WAIT_MAX_S) {
    cli_error("--wait: \"%s\" is not valid; whole seconds, 1 to %d, as --wait=60", value, WAIT_MAX_S);
    return -1;
  }
  return seconds * 1000;
}

static int64_t now_ms(void) {
  return clock_monotonic_ns() / CLOCK_NS_PER_MS;
}

enum ask {
  ASK_FOUND,
  ASK_NOTHING,
  ASK_LOST,
  ASK_REFUSED
};

/* LINDEX, or BLMOVE for block_ms above zero. */
static enum ask ask_once(struct cli_redis *redis, const char *key, int64_t block_ms, struct wait_found *found,
                         char *error, size_t error_size) {
  redisReply *reply = block_ms > 0 ? redisCommand(redis->context, "BLMOVE %s %s LEFT LEFT %d.%03d", key, key,
                                                  (int)(block_ms / 1000), (int)(block_ms % 1000))
                                   : redisCommand(redis->context, "LINDEX %s 0", key);
  enum ask answer = ASK_NOTHING;
  if (!reply) {
    snprintf(error, error_size, "lost Redis at %s: %s", redis->url.display, redis->context->errstr);
    return ASK_LOST;
  }
  if (reply->type == REDIS_REPLY_STRING) {
    found->json = malloc(reply->len + 1);
    if (found->json) {
      memcpy(found->json, reply->str, reply->len + 1);
      found->len = reply->len;
      answer = ASK_FOUND;
    }
  } else if (reply->type == REDIS_REPLY_ERROR) {
    /* What passes by itself is waited out; a wrong password or type is not. */
    bool passes = !strncmp(reply->str, "LOADING", 7) || !strncmp(reply->str, "MASTERDOWN", 10) ||
                  !strncmp(reply->str, "UNBLOCKED", 9) || !strncmp(reply->str, "READONLY", 8);
    snprintf(error, error_size, "Redis at %s refused: %s", redis->url.display, reply->str);
    answer = passes ? ASK_LOST : ASK_REFUSED;
  }
  freeReplyObject(reply);
  return answer;
}

/* Drops the connection and makes a new one, after a short pause. */
static void reconnect(struct cli_redis *redis, int64_t left_ms, char *error, size_t error_size) {
  const struct timespec pause = {.tv_nsec = RECONNECT_PAUSE_MS * CLOCK_NS_PER_MS};
  if (redis->context) redisFree(redis->context);
  nanosleep(&pause, NULL);
  /* Above a slice, or a quiet BLMOVE would look like a Redis that does not answer. */
  int64_t timeout_ms = left_ms < 4 * SLICE_MS ? left_ms + SLICE_MS : 5 * SLICE_MS;
  redis->context = redis_connect(&redis->url, (int)timeout_ms, error, error_size);
}

/* One look at each queue. */
static enum ask ask_all(struct cli_redis *redis, char *const *keys, size_t count, int64_t block_ms,
                        struct wait_found *found, char *error, size_t error_size) {
  int64_t each_ms = block_ms / (int64_t)count;
  if (block_ms > 0 && each_ms == 0) each_ms = 1; /* to BLMOVE, 0 is for ever */
  for (size_t i = 0; i < count; i++) {
    enum ask answer = ask_once(redis, keys[i], each_ms, found, error, error_size);
    found->queue = i;
    if (answer != ASK_NOTHING) return answer;
  }
  return ASK_NOTHING;
}

static int wait_for_keys(struct cli_redis *redis, char *const *keys, size_t count, int64_t wait_ms,
                         struct wait_found *found, bool *said) {
  char error[CONFIG_ERROR_SIZE] = "";
  int64_t deadline_ms = now_ms() + wait_ms;

  for (bool first = true;; first = false) {
    int64_t left_ms = deadline_ms - now_ms();
    enum ask answer = ASK_LOST;
    if (!first && left_ms <= 0) break;
    /* The first look does not block: it is the whole of isoq result without --wait. */
    if (redis->context)
      answer = ask_all(redis, keys, count,
                       first                ? 0
                       : left_ms < SLICE_MS ? left_ms
                                            : SLICE_MS,
                       found, error, sizeof error);
    if (answer == ASK_FOUND) return CLI_OK;
    if (answer == ASK_NOTHING) error[0] = 0;
    if (answer == ASK_REFUSED || (answer == ASK_LOST && left_ms <= 0)) break;
    if (answer == ASK_LOST) reconnect(redis, left_ms, error, sizeof error);
  }
  *said = error[0] != 0;
  if (*said) cli_error("%s", error);
  return CLI_UNAVAILABLE;
}

int wait_result(const struct cli *cli, struct cli_redis *redis, const char *const *queues, size_t queue_count,
                const char *id, int64_t wait_ms, struct wait_found *found, bool *said) {
  char *keys[16] = {0};
  int status = CLI_OK;

  *found = (struct wait_found){0};
  *said = false;
  for (size_t i = 0; i < queue_count && status == CLI_OK; i++) {
    keys[i] = key_reply(cli->config.prefix, queues[i], id);
    if (!keys[i]) {
      cli_error("out of memory");
      *said = true;
      status = CLI_UNAVAILABLE;
    }
  }
  if (status == CLI_OK) status = wait_for_keys(redis, keys, queue_count, wait_ms, found, said);
  for (size_t i = 0; i < queue_count; i++)
    free(keys[i]);
  return status;
}
