/*
 * A job without a record has a story: most have none because recording is off, or because the record is older than
 * record_ttl_s. done:<id> and the hash of submitted ids tell most of these stories apart.
 */
#include "cli/record.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/script.h"
#include "queue/keys.h"

#define RECORD_FILE_MAX (INT64_C(64) << 20)

/* A string reply, copied; NULL where there is none. */
static char *ask_text(struct cli_redis *redis, const char *command, const char *key, const char *field,
                      size_t *len, bool *failed) {
  redisReply *reply = field ? cli_redis_command(redis, "%s %s %s", command, key, field)
                            : cli_redis_command(redis, "%s %s", command, key);
  char *text = NULL;
  if (!reply) {
    *failed = true;
    return NULL;
  }
  if (reply->type == REDIS_REPLY_STRING && (text = malloc(reply->len + 1))) {
    memcpy(text, reply->str, reply->len + 1);
    *len = reply->len;
  }
  freeReplyObject(reply);
  return text;
}

static bool ends_with(const char *text, const char *end) {
  const size_t len = strlen(text), end_len = strlen(end);
  return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

/* `done` is "<worker>:<number>:<status>". */
static void say_done(const char *id, const char *queue, const char *done) {
  static const char *const never_ran[] = {":invalid", ":worker_lost", ":cancelled"};
  for (size_t i = 0; i < sizeof never_ran / sizeof never_ran[0]; i++)
    if (ends_with(done, never_ran[i])) {
      cli_error("job %s of queue %s ended as %s and has no record: it did not run, or was not recorded", id,
                queue, never_ran[i] + 1);
      return;
    }
  cli_error(
      "job %s of queue %s has ended, but was not recorded: recording was off for it (the job's field record, "
      "or the worker's settings record and record_on)",
      id, queue);
}

/* True when this queue knows of the job. */
static bool say_of_queue(const struct cli *cli, struct cli_redis *redis, const char *queue, const char *id,
                         bool *failed) {
  struct queue_keys keys;
  size_t len = 0;
  char *key = key_done(cli->config.prefix, queue, id), *done = NULL, *submitted = NULL;
  if (key && queue_keys_make(&keys, cli->config.prefix, queue, NULL) == 0) {
    done = ask_text(redis, "GET", key, NULL, &len, failed);
    if (!done && !*failed) submitted = ask_text(redis, "HGET", keys.submitted, id, &len, failed);
    queue_keys_free(&keys);
  }
  const bool known = done || submitted;
  if (done)
    say_done(id, queue, done);
  else if (submitted)
    cli_error("job %s of queue %s waits or runs still; its record comes with its result", id, queue);
  free(key);
  free(done);
  free(submitted);
  return known;
}

static void say_missing(const struct cli *cli, struct cli_redis *redis, const char *id) {
  const struct config_list *queues = &cli->config.queue;
  bool failed = false;
  for (size_t i = 0; i < queues->count; i++)
    if (say_of_queue(cli, redis, queues->items[i], id, &failed) || failed) return;
  cli_error(
      "no record of job %s: the id is not known in queue %s%s, or its record has expired (record_ttl_s: "
      "%" PRId64 " s here)",
      id, queues->items[0], queues->count > 1 ? " and the others" : "", cli->config.record_ttl_s);
}

int record_fetch(const struct cli *cli, struct cli_redis *redis, const char *id, char **text, size_t *len) {
  const struct config_list *queues = &cli->config.queue;
  bool failed = false;
  for (size_t i = 0; i < queues->count && !failed; i++) {
    char *key = key_record(cli->config.prefix, queues->items[i], id);
    *text = key ? ask_text(redis, "GET", key, NULL, len, &failed) : NULL;
    free(key);
    if (*text) return CLI_OK;
  }
  if (!failed) say_missing(cli, redis, id);
  return CLI_UNAVAILABLE;
}

int record_load(struct cli *cli, const char *word, char **text, size_t *len) {
  struct cli_redis redis;
  if (strcmp(word, "-") == 0 || strchr(word, '/') || ends_with(word, ".json"))
    return script_read_file("record", word, RECORD_FILE_MAX, "64 MiB", text, len);
  if (!job_id_valid(word, strlen(word))) {
    cli_error("\"%s\" is neither a job's id (1 to %d letters, digits and ._:-) nor a file ending in .json",
              word, JOB_ID_MAX);
    return CLI_USAGE;
  }
  int status = cli_redis_open(cli, &redis);
  if (status) return status;
  status = record_fetch(cli, &redis, word, text, len);
  cli_redis_close(&redis);
  return status;
}

int record_read(const char *name, const char *text, size_t len, struct record *out) {
  char error[RECORD_ERROR_SIZE];
  const int rc = record_parse(text, len, out, error);
  if (rc == 0) return CLI_OK;
  cli_error("%s: %s", name, rc == -EINVAL ? error : strerror(-rc));
  return CLI_USAGE;
}

int record_write(const char *path, const char *text, size_t len) {
  const bool is_stdout = strcmp(path, "-") == 0;
  FILE *file = is_stdout ? stdout : fopen(path, "we");
  bool failed = !file;
  if (file) {
    failed = fwrite(text, 1, len, file) != len || putc('\n', file) == EOF;
    failed |= is_stdout ? fflush(file) != 0 : fclose(file) != 0;
  }
  if (failed) cli_error("cannot write the record to %s: %s", path, strerror(errno));
  return failed ? CLI_FAILED : CLI_OK;
}
