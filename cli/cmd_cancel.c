/*
 * isoq cancel: looks where the job is, and does what ends it there. Jobs move while one looks: from delayed
 * to waiting, from there to a worker, from a worker back. So the places are searched in the direction in
 * which jobs move, each step that ends a job does nothing when the job has just gone, and then the search
 * begins anew; and only a job that was nowhere several times over is taken for unknown.
 *
 * A worker hears of it by PUBLISH, which reaches nobody when the worker is just connecting again. So that is
 * repeated until the job has left the worker's hands.
 */
#include <errno.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/id.h"
#include "cli/redis.h"
#include "cli/scan.h"
#include "cli/when.h"
#include "lua_scripts.h"
#include "queue/dead_letter.h"
#include "queue/keys.h"
#include "queue/result.h"
#include "queue/scripts.h"
#include "worker/clock.h"
#include "worker/outcome.h"
#include "worker/settings.h"

#define GIVE_UP_AFTER_MS 5000
#define ASK_FIRST_MS 5 /* then doubling, to: */
#define ASK_EVERY_MS 100
#define LOOK_EVERY_TURNS 3
#define SEARCHES 3

enum place {
  NOWHERE,
  DELAYED,
  WAITING,
  CLAIMED,
  ENDED,
};

static const char *const place_names[] = {[NOWHERE] = "nowhere",
                                          [DELAYED] = "delayed",
                                          [WAITING] = "waiting",
                                          [CLAIMED] = "running",
                                          [ENDED] = "ended"};

struct cancel {
  struct cli *cli;
  struct cli_redis redis;
  struct job_limits limits;
  const char *id;

  const char *queue;
  struct queue_keys keys;
  char *done_key;
  char *submitted; /* owned: when it was, as Redis has it; NULL: not known there */

  enum place place;
  struct job *job;                /* owned; when it is DELAYED, WAITING or CLAIMED */
  char *worker;                   /* owned; when it is CLAIMED */
  char status[32];                /* of the result, when it has ENDED; "" where that is not known */
  bool asked;                     /* a worker was asked to stop it */
  int64_t listeners, deadline_ms; /* clients that heard the last PUBLISH; CLOCK_MONOTONIC */
};

static int64_t now_ms(void) {
  return clock_monotonic_ns() / CLOCK_NS_PER_MS;
}

static void forget_found(struct cancel *cancel) {
  job_free(cancel->job);
  free(cancel->worker);
  cancel->job = NULL;
  cancel->worker = NULL;
  cancel->place = NOWHERE;
}

/* ---- looking ---- */

/* Parsing is for those that could be it. A backslash may hide the id's letters. */
static bool is_it(void *ctx, const char *payload, size_t len) {
  struct cancel *cancel = ctx;
  struct job *job = NULL;
  if (!memmem(payload, len, cancel->id, strlen(cancel->id)) && !memchr(payload, '\\', len)) return false;
  if (job_parse(payload, len, &cancel->limits, cancel->cli->config.prefix, cancel->queue, &job)) return false;
  if (strcmp(job->id, cancel->id) != 0) {
    job_free(job);
    return false;
  }
  cancel->job = job;
  return true;
}

static int look_into(struct cancel *cancel, const char *command, const char *key, enum place place) {
  int status = scan_range(&cancel->redis, command, key, is_it, cancel);
  if (cancel->job) cancel->place = place;
  return status;
}

struct owner_search {
  struct cancel *cancel;
  int status;
};

static bool look_at_owner(void *ctx, const char *name, size_t len) {
  struct owner_search *search = ctx;
  struct cancel *cancel = search->cancel;
  char *key = NULL;
  if (asprintf(&key, "%s%.*s", cancel->keys.claimed_prefix, (int)len, name) < 0) key = NULL;
  search->status = key ? look_into(cancel, "LRANGE", key, CLAIMED) : CLI_UNAVAILABLE;
  free(key);
  if (cancel->job) cancel->worker = strndup(name, len);
  return search->status != CLI_OK || cancel->job;
}

/* Those with a lease first: the others can only be found by reading the names of all keys. */
static int look_at_claims(struct cancel *cancel) {
  struct owner_search search = {.cancel = cancel};
  int status = scan_range(&cancel->redis, "ZRANGE", cancel->keys.workers, look_at_owner, &search);
  if (status == CLI_OK && search.status == CLI_OK && !cancel->job)
    status = scan_owners(&cancel->redis, &cancel->keys, look_at_owner, &search);
  return status ? status : search.status;
}

static bool is_status(const char *text) {
  for (int i = 0; i < ISOQ_STATUS_COUNT; i++)
    if (strcmp(isoq_status_name((enum isoq_status)i), text) == 0) return true;
  return false;
}

/* The status that stands in the result, if that can be read still. */
static void read_status(struct cancel *cancel, const char *reply_key) {
  struct json_object *result, *id, *status;
  redisReply *reply = redisCommand(cancel->redis.context, "LINDEX %s 0", reply_key);
  result = reply && reply->type == REDIS_REPLY_STRING ? json_tokener_parse(reply->str) : NULL;
  if (json_object_is_type(result, json_type_object) && json_object_object_get_ex(result, "id", &id) &&
      json_object_object_get_ex(result, "status", &status) && json_object_is_type(id, json_type_string) &&
      strcmp(json_object_get_string(id), cancel->id) == 0 && is_status(json_object_get_string(status)))
    snprintf(cancel->status, sizeof cancel->status, "%s", json_object_get_string(status));
  json_object_put(result);
  freeReplyObject(reply);
}

/* Whether there is a result, and with what status: done:<id> may end in it; else the result tells, while
 * nobody has taken it. */
static int look_at_done(struct cancel *cancel, const char *reply_to) {
  redisReply *reply = cli_redis_command(&cancel->redis, "GET %s", cancel->done_key);
  if (!reply) return CLI_UNAVAILABLE;
  if (reply->type == REDIS_REPLY_STRING) {
    const char *colon = strrchr(reply->str, ':');
    cancel->place = ENDED;
    cancel->status[0] = 0;
    if (colon && is_status(colon + 1)) snprintf(cancel->status, sizeof cancel->status, "%s", colon + 1);
  }
  freeReplyObject(reply);
  if (cancel->place != ENDED || cancel->status[0]) return CLI_OK;
  char *key = reply_to ? strdup(reply_to) : key_reply(cancel->cli->config.prefix, cancel->queue, cancel->id);
  if (key && cancel->redis.context) read_status(cancel, key);
  free(key);
  return CLI_OK;
}

static int find(struct cancel *cancel) {
  forget_found(cancel);
  int status = look_at_done(cancel, NULL);
  if (status == CLI_OK && cancel->place == NOWHERE)
    status = look_into(cancel, "ZRANGE", cancel->keys.delayed, DELAYED);
  if (status == CLI_OK && cancel->place == NOWHERE)
    status = look_into(cancel, "LRANGE", cancel->keys.jobs, WAITING);
  if (status == CLI_OK && cancel->place == NOWHERE) status = look_at_claims(cancel);
  return status;
}

static int read_submitted(struct cancel *cancel) {
  redisReply *reply = cli_redis_command(&cancel->redis, "HGET %s %s", cancel->keys.submitted, cancel->id);
  if (!reply) return CLI_UNAVAILABLE;
  if (reply->type == REDIS_REPLY_STRING) cancel->submitted = strdup(reply->str);
  freeReplyObject(reply);
  return CLI_OK;
}

/* ---- a job that waits ---- */

struct ending {
  char *json, *letter, *token; /* owned */
  size_t json_len, letter_len;
};

static void ending_free(struct ending *ending) {
  free(ending->json);
  free(ending->letter);
  free(ending->token);
}

/* The result; for a reply key that cannot take it, a dead letter with it; and what done:<id> will hold. 0 or -ENOMEM. */
static int ending_make(const struct cancel *cancel, const char *dead_reason, struct ending *out) {
  const struct job *job = cancel->job;
  const char *status = isoq_status_name(ISOQ_STATUS_CANCELLED);
  struct job_result result = {0};
  char unique[ID_SIZE];

  *out = (struct ending){0};
  outcome_from_cancel(&result);
  result.started_at_ms = result.finished_at_ms = clock_real_ms();
  int rc = job_result_to_json(&result, job, &out->json, &out->json_len);
  job_result_free(&result);
  if (rc == 0 && dead_reason)
    rc = dead_letter_make(job->payload, job->payload_len, dead_reason, out->json, out->json_len,
                          clock_real_ms(), &out->letter, &out->letter_len);
  id_make(unique);
  if (rc == 0 && asprintf(&out->token, "cancel:%s:%s", unique, status) < 0) {
    out->token = NULL;
    rc = -ENOMEM;
  }
  if (rc) ending_free(out);
  return rc;
}

/* cancel_waiting.lua; NULL after a message. */
static redisReply *end_waiting(struct cancel *cancel, const char *dead_reason) {
  const struct job *job = cancel->job;
  const bool has_reply = job->reply_to && !dead_reason;
  struct command command = {0};
  struct ending ending;
  redisReply *reply = NULL;

  if (ending_make(cancel, dead_reason, &ending)) {
    cli_error("out of memory");
    return NULL;
  }
  command_text(&command, "EVAL");
  command_bytes(&command, (const char *)lua_cancel_waiting, lua_cancel_waiting_len);
  command_number(&command, has_reply ? 6 : 5);
  command_text(&command, cancel->place == DELAYED ? cancel->keys.delayed : cancel->keys.jobs);
  command_text(&command, cancel->keys.stats);
  command_text(&command, cancel->keys.submitted);
  command_text(&command, cancel->keys.dead);
  command_text(&command, cancel->done_key);
  if (has_reply) command_text(&command, job->reply_to);
  command_bytes(&command, job->payload, job->payload_len);
  command_text(&command, cancel->id);
  command_text(&command, ending.token);
  command_text(&command, isoq_status_name(ISOQ_STATUS_CANCELLED));
  command_number(&command, (int64_t)job->reply_ttl_s * 1000);
  command_bytes(&command, ending.json, ending.json_len);
  command_bytes(&command, ending.letter ? ending.letter : "", ending.letter_len);
  command_number(&command, cancel->cli->config.dead_letters_max);
  if (redisAppendCommandArgv(cancel->redis.context, command.argc, command.argv, command.len) == REDIS_OK)
    reply = cli_redis_reply(&cancel->redis);
  else
    cli_error("out of memory");
  ending_free(&ending);
  return reply;
}

/* CLI_OK with `*ended`, or without: the job has moved meanwhile. */
static int take_out(struct cancel *cancel, bool *ended) {
  char reason[256];
  redisReply *reply = end_waiting(cancel, NULL);
  if (reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2) { /* {'reply', type} */
    snprintf(reason, sizeof reason, "cancelled; reply_to holds a %s, so the result cannot be pushed there",
             reply->element[1]->str);
    freeReplyObject(reply);
    reply = end_waiting(cancel, reason);
  }
  if (!reply) return CLI_UNAVAILABLE;
  *ended = reply->type == REDIS_REPLY_ARRAY && reply->elements && reply->element[0]->str &&
           strcmp(reply->element[0]->str, "cancelled") == 0;
  freeReplyObject(reply);
  return CLI_OK;
}

/* ---- a job that a worker has ---- */

/* Whether the worker's list has it still. The payload goes along, so this is not asked at every turn. */
static int look_whether_held(struct cancel *cancel, bool *held) {
  char *claimed = NULL;
  if (asprintf(&claimed, "%s%s", cancel->keys.claimed_prefix, cancel->worker ? cancel->worker : "") < 0) {
    cli_error("out of memory");
    return CLI_UNAVAILABLE;
  }
  redisReply *reply = cli_redis_command(&cancel->redis, "LPOS %s %b", claimed, cancel->job->payload,
                                        cancel->job->payload_len);
  free(claimed);
  if (!reply) return CLI_UNAVAILABLE;
  *held = reply->type == REDIS_REPLY_INTEGER;
  freeReplyObject(reply);
  return CLI_OK;
}

/* Asks the worker until it has let go of the job (ENDED, or NOWHERE: it has moved), or time is up (CLAIMED
 * still). */
static int stop_running(struct cancel *cancel) {
  int64_t pause_ms = ASK_FIRST_MS;
  int status = CLI_OK;

  for (int turn = 1; status == CLI_OK && cancel->place == CLAIMED && now_ms() < cancel->deadline_ms; turn++) {
    redisReply *heard = cli_redis_command(&cancel->redis, "PUBLISH %s %s", cancel->keys.cancel, cancel->id);
    if (!heard) return CLI_UNAVAILABLE;
    cancel->listeners = heard->integer;
    cancel->asked = true;
    freeReplyObject(heard);

    const struct timespec pause = {.tv_nsec = pause_ms * CLOCK_NS_PER_MS};
    nanosleep(&pause, NULL);
    pause_ms = pause_ms * 2 < ASK_EVERY_MS ? pause_ms * 2 : ASK_EVERY_MS;
    status = look_at_done(cancel, cancel->job->reply_to);
    bool held = true;
    if (status == CLI_OK && cancel->place == CLAIMED && turn % LOOK_EVERY_TURNS == 0)
      status = look_whether_held(cancel, &held);
    if (!held) cancel->place = NOWHERE;
  }
  return status;
}

static int say_no_answer(const struct cancel *cancel) {
  if (cancel->place == CLAIMED && cancel->listeners == 0)
    cli_error("worker %s has job %s, but nobody listens on %s: the worker has lost Redis, or is dead; when "
              "its lease "
              "has ended, the job is queued again. Try again then (isoq status)",
              cancel->worker ? cancel->worker : "?", cancel->id, cancel->keys.cancel);
  else if (cancel->place == CLAIMED)
    cli_error("worker %s has job %s and did not answer within %d s; try again, or look at isoq status",
              cancel->worker ? cancel->worker : "?", cancel->id, GIVE_UP_AFTER_MS / 1000);
  else
    cli_error("job %s keeps moving; it is not cancelled. Try again", cancel->id);
  return CLI_UNAVAILABLE;
}

/* ---- what is said ---- */

static int say_cancelled(const struct cancel *cancel, enum place was) {
  if (args_has(&cancel->cli->args, OPTION_JSON))
    printf("{\"id\":\"%s\",\"queue\":\"%s\",\"cancelled\":true,\"was\":\"%s\"}\n", cancel->id, cancel->queue,
           place_names[was]);
  else
    printf("cancelled %s (%s)\n", cancel->id, place_names[was]);
  return CLI_OK;
}

static int say_ended(const struct cancel *cancel) {
  const char *id = cancel->id;
  if (cancel->asked && strcmp(cancel->status, isoq_status_name(ISOQ_STATUS_CANCELLED)) == 0)
    return say_cancelled(cancel, CLAIMED);
  const char *open = cancel->status[0] ? " (" : "", *close = cancel->status[0] ? ")" : "";
  if (cancel->asked && !cancel->status[0])
    cli_error("job \"%s\" has ended, and somebody has taken its result already: it says whether the job was "
              "cancelled in time",
              id);
  else if (cancel->asked)
    cli_error("job \"%s\" ended by itself meanwhile%s%s%s: isoq result %s", id, open, cancel->status, close,
              id);
  else
    cli_error("job \"%s\" has a result already%s%s%s; nothing to cancel: isoq result %s", id, open,
              cancel->status, close, id);
  return CLI_FAILED;
}

/* isoq submit believes that the job exists; now that it does not, the id may be used again. */
static int forget_submitted(struct cancel *cancel) {
  if (!cancel->submitted) return CLI_OK;
  redisReply *reply =
      cli_redis_command(&cancel->redis, "EVAL %b 1 %s %s %s", lua_forget_submitted, lua_forget_submitted_len,
                        cancel->keys.submitted, cancel->id, cancel->submitted);
  if (!reply) return CLI_UNAVAILABLE;
  if (reply->type == REDIS_REPLY_INTEGER && reply->integer == 1)
    cli_error(
        "job \"%s\" was submitted to queue %s once and is gone without a result; its id may be used again",
        cancel->id, cancel->queue);
  freeReplyObject(reply);
  return CLI_OK;
}

/* ---- the whole ---- */

/* One queue. CLI_OK with place NOWHERE: it is not there; else the command's exit status. */
static int cancel_here(struct cancel *cancel, bool *over) {
  int status = read_submitted(cancel);
  cancel->deadline_ms = now_ms() + GIVE_UP_AFTER_MS;
  for (int misses = 0; status == CLI_OK && misses < SEARCHES;) {
    bool ended = false;
    status = find(cancel);
    if (status == CLI_OK && cancel->place == CLAIMED) status = stop_running(cancel);
    if (status == CLI_OK && (cancel->place == DELAYED || cancel->place == WAITING))
      status = take_out(cancel, &ended);
    if (status) break;
    misses = cancel->place == NOWHERE ? misses + 1 : 0;
    *over = true;
    if (ended) return say_cancelled(cancel, cancel->place);
    if (cancel->place == ENDED) return say_ended(cancel);
    if (cancel->place != NOWHERE && now_ms() >= cancel->deadline_ms) return say_no_answer(cancel);
    *over = false;
  }
  if (status == CLI_OK) return forget_submitted(cancel);
  *over = true;
  return status;
}

static int in_queue(struct cancel *cancel, const char *queue, bool *over) {
  cancel->queue = queue;
  cancel->asked = false;
  cancel->done_key = key_done(cancel->cli->config.prefix, queue, cancel->id);
  if (!cancel->done_key || queue_keys_make(&cancel->keys, cancel->cli->config.prefix, queue, NULL)) {
    free(cancel->done_key);
    cli_error("out of memory");
    *over = true;
    return CLI_UNAVAILABLE;
  }
  int status = cancel_here(cancel, over);
  forget_found(cancel);
  free(cancel->submitted);
  free(cancel->done_key);
  cancel->submitted = cancel->done_key = NULL;
  queue_keys_free(&cancel->keys);
  return status;
}

static void say_unknown(const struct cancel *cancel) {
  const struct config_list *queues = &cancel->cli->config.queue;
  char *names = NULL;
  size_t len;
  FILE *out = open_memstream(&names, &len);
  for (size_t i = 0; out && i < queues->count; i++)
    fprintf(out, "%s%s", i ? ", " : "", queues->items[i]);
  if (out) fclose(out);
  cli_error("no job \"%s\" is waiting, delayed or running in queue %s; nothing to cancel", cancel->id,
            names ? names : "");
  free(names);
}

int cmd_cancel(struct cli *cli) {
  struct cancel cancel = {.cli = cli};
  bool over = false;

  if (cli->args.operand_count == 0) {
    cli_error("which job? isoq cancel ID");
    return CLI_USAGE;
  }
  cancel.id = cli->args.operands[0];
  if (!job_id_valid(cancel.id, strlen(cancel.id))) {
    cli_error("\"%s\" is not a job's id: 1 to %d letters, digits and ._:-", cancel.id, JOB_ID_MAX);
    return CLI_USAGE;
  }
  int status = cli_load_config(cli);
  if (status == CLI_OK) status = cli_redis_open(cli, &cancel.redis);
  if (status) return status;
  settings_job_limits(&cli->config, &cancel.limits);
  for (size_t i = 0; i < cli->config.queue.count && !over; i++)
    status = in_queue(&cancel, cli->config.queue.items[i], &over);
  if (!over) {
    say_unknown(&cancel);
    status = CLI_FAILED;
  }
  cli_redis_close(&cancel.redis);
  return status;
}
