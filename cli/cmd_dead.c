/*
 * isoq dead: what ended badly, and what to do about it. Letters have no names, only places in a list that
 * grows at its front, so a number may mean another letter a moment later. Whatever changes something
 * therefore reads the letter first and then names it to Redis by its text: what is retried is what was read,
 * or nothing.
 */
#include <errno.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/json_indent.h"
#include "cli/letter.h"
#include "cli/print.h"
#include "cli/redis.h"
#include "cli/scan.h"
#include "cli/terminal.h"
#include "cli/when.h"
#include "lua_scripts.h"
#include "queue/keys.h"
#include "worker/settings.h"

#define ID_COLUMNS 36 /* a UUID */
#define ID_COLUMNS_MIN 8
#define WIDTH_FOR_IDS 80 /* of a terminal: below it, ids are cut, above, only reasons */

struct dead {
  struct cli *cli;
  struct cli_redis redis;
  struct job_limits limits;
  const char *queue;
  struct queue_keys keys;
  bool json;

  int64_t now_ms; /* of Redis, for the ages in a list */
  int64_t number; /* of the letter a list is at */
};

static int parse(const struct dead *dead, const char *text, size_t len, struct letter *letter) {
  return letter_parse(text, len, &dead->limits, dead->cli->config.prefix, dead->queue, letter);
}

/* How many letters there are; -1 after a message. */
static int64_t count_letters(struct dead *dead) {
  redisReply *reply = cli_redis_command(&dead->redis, "LLEN %s", dead->keys.dead);
  int64_t count = reply && reply->type == REDIS_REPLY_INTEGER ? reply->integer : -1;
  freeReplyObject(reply);
  return count;
}

/* ---- list ---- */

/* A job may have been pushed with line breaks between its tokens; within strings JSON has none. */
static void print_line(const char *text, size_t len) {
  for (size_t i = 0; i < len; i++)
    putchar(text[i] == '\n' || text[i] == '\r' ? ' ' : text[i]);
  putchar('\n');
}

static bool begins_with(const char *text, const char *start) {
  return strncmp(text, start, strlen(start)) == 0;
}

static int id_columns(void) {
  const int width = terminal_width(stdout), columns = ID_COLUMNS - (WIDTH_FOR_IDS - width);
  if (width == 0 || width >= WIDTH_FOR_IDS) return ID_COLUMNS;
  return columns > ID_COLUMNS_MIN ? columns : ID_COLUMNS_MIN;
}

static void print_row(const struct dead *dead, const struct letter *letter) {
  char age[WHEN_TEXT_SIZE], *text = NULL;
  size_t len;
  int width = terminal_width(stdout);
  int used = printf("%6" PRId64 "  %8s  ", dead->number, when_span(dead->now_ms - letter->at_ms, age));
  const char *id = letter->id[0] ? letter->id : "-";

  const int columns = id_columns(), id_width = terminal_write_line(stdout, id, strlen(id), columns);
  used += id_width + printf("%*s  ", columns - id_width, "");
  FILE *out = open_memstream(&text, &len);
  if (out) {
    if (letter->status[0] && !begins_with(letter->reason, letter->status))
      fprintf(out, "%s: ", letter->status);
    fwrite(letter->reason, 1, letter->reason_len, out);
    fclose(out);
    int room = width - used - 1;
    terminal_write_line(stdout, text, len, width == 0 ? 0 : room > 1 ? room : 1);
  }
  free(text);
  putchar('\n');
}

static bool list_one(void *ctx, const char *text, size_t len) {
  struct dead *dead = ctx;
  struct letter letter;
  dead->number++;
  if (dead->json) {
    print_line(text, len);
    return false;
  }
  if (parse(dead, text, len, &letter)) {
    printf("%6" PRId64 "  %8s  %-*s  %s\n", dead->number, "?", id_columns(), "-",
           "not a dead letter of isoq");
    return false;
  }
  print_row(dead, &letter);
  letter_free(&letter);
  return false;
}

static int list(struct dead *dead) {
  const bool several = dead->cli->config.queue.count > 1;
  int64_t count = count_letters(dead);
  if (count < 0) return CLI_UNAVAILABLE;
  dead->now_ms = cli_redis_time_ms(&dead->redis);
  if (dead->now_ms < 0) return CLI_UNAVAILABLE;
  dead->number = 0;
  if (!dead->json && count == 0) printf("no dead letters in queue %s\n", dead->queue);
  if (!dead->json && count > 0) {
    if (several) printf("queue %s\n", dead->queue);
    printf("%6s  %8s  %-*s  %s\n", "NUMBER", "AGE", id_columns(), "ID", "REASON");
  }
  return scan_range(&dead->redis, "LRANGE", dead->keys.dead, list_one, dead);
}

/* ---- one letter ---- */

/* From 1; 0 after a message. */
static int64_t parse_number(const char *text) {
  bool digits = *text && text[strspn(text, "0123456789")] == 0 && strlen(text) < 10;
  int64_t number = digits ? strtoll(text, NULL, 10) : 0;
  if (number < 1) cli_error("\"%s\" is no number of a dead letter; 1 is the newest (isoq dead list)", text);
  return number > 0 ? number : 0;
}

/* The letter at `index` as LINDEX counts; NULL after a message, with the exit status. */
static redisReply *read_letter(struct dead *dead, int64_t index, struct letter *letter, int *status) {
  int64_t count;
  redisReply *reply = cli_redis_command(&dead->redis, "LINDEX %s %lld", dead->keys.dead, (long long)index);
  *status = CLI_UNAVAILABLE;
  if (!reply) return NULL;
  *status = CLI_FAILED;
  if (reply->type != REDIS_REPLY_STRING) {
    count = count_letters(dead);
    if (count < 0)
      *status = CLI_UNAVAILABLE;
    else if (count == 0)
      cli_error("there are no dead letters in queue %s", dead->queue);
    else
      cli_error("there is no dead letter %" PRId64 " in queue %s: there %s %" PRId64, index + 1, dead->queue,
                count == 1 ? "is" : "are", count);
  } else if (parse(dead, reply->str, reply->len, letter)) {
    cli_error("dead letter %" PRId64 " of queue %s is none of isoq's; isoq dead list --json shows it",
              index + 1, dead->queue);
  } else {
    *status = CLI_OK;
    return reply;
  }
  freeReplyObject(reply);
  return NULL;
}

static void print_job(const struct letter *letter) {
  char *text = NULL;
  size_t len;
  FILE *out = open_memstream(&text, &len);
  if (!out) return;
  if (letter->job_is_object)
    json_indent(letter->job.data, letter->job.len, out);
  else
    fwrite(letter->pushed, 1, letter->pushed_len, out);
  if (fclose(out) == 0) terminal_write(stdout, text, len);
  putchar('\n');
  free(text);
}

static int show(struct dead *dead, int64_t number) {
  char age[WHEN_TEXT_SIZE], date[WHEN_TEXT_SIZE];
  struct letter letter;
  int status;

  dead->now_ms = cli_redis_time_ms(&dead->redis);
  redisReply *reply = dead->now_ms < 0 ? NULL : read_letter(dead, number - 1, &letter, &status);
  if (!reply) return dead->now_ms < 0 ? CLI_UNAVAILABLE : status;
  if (dead->json) {
    print_line(reply->str, reply->len);
  } else {
    printf("dead letter %" PRId64 " of queue %s\nat:     %s (%s ago)\nreason: ", number, dead->queue,
           when_date(letter.at_ms, date), when_span(dead->now_ms - letter.at_ms, age));
    terminal_write(stdout, letter.reason, letter.reason_len);
    puts(letter.job_is_object ? "\njob:" : "\njob, which is no JSON object:");
    print_job(&letter);
    puts(letter.result.data ? "result:" : "result: none");
    fflush(stdout);
    const struct print_options options = {.json = false};
    if (letter.result.data) print_result(&options, letter.result.data, letter.result.len);
  }
  letter_free(&letter);
  freeReplyObject(reply);
  return CLI_OK;
}

/* ---- retry ---- */

enum retried {
  RETRIED,
  GONE,
  KNOWN,
  LOST
};

/* dead_retry.lua. LOST after a message. */
static enum retried send_retry(struct dead *dead, const redisReply *text, const struct letter *letter,
                               int64_t *waiting_ms) {
  char *done = key_done(dead->cli->config.prefix, dead->queue, letter->id);
  char *reply_key = key_reply(dead->cli->config.prefix, dead->queue, letter->id);
  redisReply *reply = NULL;
  enum retried retried = LOST;

  if (!done || !reply_key)
    cli_error("out of memory");
  else if (letter->id[0])
    reply =
        cli_redis_command(&dead->redis, "EVAL %b 5 %s %s %s %s %s %b %b %s", lua_dead_retry,
                          lua_dead_retry_len, dead->keys.dead, dead->keys.jobs, dead->keys.submitted, done,
                          reply_key, text->str, text->len, letter->pushed, letter->pushed_len, letter->id);
  else
    reply = cli_redis_command(&dead->redis, "EVAL %b 3 %s %s %s %b %b %s", lua_dead_retry, lua_dead_retry_len,
                              dead->keys.dead, dead->keys.jobs, dead->keys.submitted, text->str, text->len,
                              letter->pushed, letter->pushed_len, "");
  if (reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 && reply->element[0]->str) {
    const char *word = reply->element[0]->str;
    retried = strcmp(word, "retried") == 0 ? RETRIED : strcmp(word, "waiting") == 0 ? KNOWN : GONE;
    *waiting_ms = reply->element[1]->integer;
  }
  freeReplyObject(reply);
  free(done);
  free(reply_key);
  return retried;
}

static void say_retried(const struct dead *dead, const struct letter *letter) {
  const char *id = letter->id[0] ? letter->id : NULL;
  if (dead->json)
    printf("{\"id\":%s%s%s,\"queue\":\"%s\",\"retried\":true}\n", id ? "\"" : "", id ? id : "null",
           id ? "\"" : "", dead->queue);
  else
    printf("retried %s\n", id ? id : "a job without an id");
  if (letter->problem)
    cli_error("%s is not valid still, and will be a dead letter again: %s", id ? id : "it", letter->problem);
}

/* One letter that was read. `name` is for messages: "dead letter 3". */
static int retry_letter(struct dead *dead, const char *name, const redisReply *text,
                        const struct letter *letter) {
  char since[WHEN_TEXT_SIZE];
  int64_t waiting_ms = 0;

  if (!letter->job_is_object) {
    cli_error("%s cannot be retried: what was pushed is no JSON object, so it would fail again%s%s", name,
              letter->problem ? ": " : "", letter->problem ? letter->problem : "");
    return CLI_FAILED;
  }
  switch (send_retry(dead, text, letter, &waiting_ms)) {
  case RETRIED: say_retried(dead, letter); return CLI_OK;
  case KNOWN:
    cli_error("%s is not retried: job \"%s\" is queued already (waiting since %s)", name, letter->id,
              when_span(waiting_ms, since));
    return CLI_FAILED;
  case GONE: cli_error("%s is gone: somebody has retried or purged it just now", name); return CLI_FAILED;
  case LOST: break;
  }
  return CLI_UNAVAILABLE;
}

static int retry_one(struct dead *dead, int64_t number) {
  char name[64];
  struct letter letter;
  int status;

  redisReply *text = read_letter(dead, number - 1, &letter, &status);
  if (!text) return status;
  snprintf(name, sizeof name, "dead letter %" PRId64, number);
  status = retry_letter(dead, name, text, &letter);
  letter_free(&letter);
  freeReplyObject(text);
  return status;
}

/* From the far end on, where letters that stay are stepped over. Those that are added meanwhile come at
 * the front, and are none of ours: a job that fails again at once must not be retried for ever. */
static int retry_all(struct dead *dead) {
  int64_t left = count_letters(dead), retried = 0, kept = 0;
  int status = left < 0 ? CLI_UNAVAILABLE : CLI_OK;

  for (; left > 0 && status != CLI_UNAVAILABLE; left--) {
    struct letter letter;
    char name[64];
    redisReply *text =
        cli_redis_command(&dead->redis, "LINDEX %s %lld", dead->keys.dead, -1 - (long long)kept);
    if (!text) return CLI_UNAVAILABLE;
    if (text->type != REDIS_REPLY_STRING) { /* somebody else was quicker */
      freeReplyObject(text);
      break;
    }
    snprintf(name, sizeof name, "dead letter %" PRId64, left);
    int rc = parse(dead, text->str, text->len, &letter);
    if (rc == 0) {
      status = retry_letter(dead, name, text, &letter);
      letter_free(&letter);
    } else {
      cli_error("%s is none of isoq's; it stays", name);
      status = CLI_FAILED;
    }
    freeReplyObject(text);
    retried += status == CLI_OK;
    kept += status == CLI_FAILED;
  }
  if (status == CLI_UNAVAILABLE) return status;
  fflush(stdout);
  cli_error("%" PRId64 " retried, %" PRId64 " not", retried, kept);
  return kept ? CLI_FAILED : CLI_OK;
}

/* ---- purge ---- */

/* CLI_OK: go on. */
static int confirm_purge(const struct dead *dead, int64_t count) {
  char answer[16] = "";
  if (args_has(&dead->cli->args, OPTION_YES)) return CLI_OK;
  if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) {
    cli_error("purge deletes %" PRId64
              " dead letter%s of queue %s for good: say --yes if that is what you want",
              count, count == 1 ? "" : "s", dead->queue);
    return CLI_USAGE;
  }
  fprintf(stderr, "delete %" PRId64 " dead letter%s of queue %s for good? [y/N] ", count,
          count == 1 ? "" : "s", dead->queue);
  fflush(stderr);
  if (fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y')) return CLI_OK;
  cli_error("nothing deleted");
  return CLI_FAILED;
}

/* Deletes the `count` oldest: letters that have come since then were not asked about. */
static int purge(struct dead *dead) {
  int64_t count = count_letters(dead), deleted = 0;
  int status = count < 0 ? CLI_UNAVAILABLE : count > 0 ? confirm_purge(dead, count) : CLI_OK;
  if (status) return status;

  if (count > 0) {
    redisReply *reply = NULL;
    const char *key = dead->keys.dead;
    redisAppendCommand(dead->redis.context, "MULTI");
    redisAppendCommand(dead->redis.context, "LLEN %s", key);
    redisAppendCommand(dead->redis.context, "LTRIM %s 0 %lld", key, -1 - (long long)count);
    redisAppendCommand(dead->redis.context, "LLEN %s", key);
    redisAppendCommand(dead->redis.context, "EXEC");
    for (int i = 0; i < 5; i++) {
      freeReplyObject(reply);
      reply = cli_redis_reply(&dead->redis);
      if (!reply) return CLI_UNAVAILABLE;
    }
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 3)
      deleted = reply->element[0]->integer - reply->element[2]->integer;
    freeReplyObject(reply);
  }
  if (dead->json)
    printf("{\"queue\":\"%s\",\"purged\":%" PRId64 "}\n", dead->queue, deleted);
  else
    printf("deleted %" PRId64 " dead letter%s of queue %s\n", deleted, deleted == 1 ? "" : "s", dead->queue);
  return CLI_OK;
}

/* ---- the whole ---- */

static int list_all(struct dead *dead) {
  const struct config_list *queues = &dead->cli->config.queue;
  int status = CLI_OK;
  for (size_t i = 0; i < queues->count && status == CLI_OK; i++) {
    queue_keys_free(&dead->keys);
    dead->queue = queues->items[i];
    if (queue_keys_make(&dead->keys, dead->cli->config.prefix, dead->queue, NULL)) {
      cli_error("out of memory");
      return CLI_UNAVAILABLE;
    }
    status = list(dead);
  }
  return status;
}

static int run(struct dead *dead, const char *action, const char *which) {
  if (strcmp(action, "list") == 0) return list_all(dead);
  if (queue_keys_make(&dead->keys, dead->cli->config.prefix, dead->queue, NULL)) {
    cli_error("out of memory");
    return CLI_UNAVAILABLE;
  }
  if (strcmp(action, "show") == 0) return show(dead, strtoll(which, NULL, 10));
  if (strcmp(action, "purge") == 0) return purge(dead);
  return strcmp(which, "all") == 0 ? retry_all(dead) : retry_one(dead, strtoll(which, NULL, 10));
}

/* What may stand behind `isoq dead`. */
static int check_operands(const char *action, const char *which) {
  const bool takes_number = strcmp(action, "show") == 0 || strcmp(action, "retry") == 0;
  if (!takes_number && strcmp(action, "list") != 0 && strcmp(action, "purge") != 0) {
    cli_error("isoq dead \"%s\"? There are list, show N, retry N, retry all and purge", action);
    return CLI_USAGE;
  }
  if (!takes_number && which) {
    cli_error("isoq dead %s takes nothing more, but there is \"%s\"", action, which);
    return CLI_USAGE;
  }
  if (takes_number && !which) {
    cli_error("isoq dead %s which? A number%s; 1 is the newest (isoq dead list)", action,
              strcmp(action, "retry") == 0 ? ", or all" : "");
    return CLI_USAGE;
  }
  if (!takes_number || (strcmp(action, "retry") == 0 && strcmp(which, "all") == 0)) return CLI_OK;
  return parse_number(which) ? CLI_OK : CLI_USAGE;
}

int cmd_dead(struct cli *cli) {
  const char *action = cli->args.operand_count > 0 ? cli->args.operands[0] : "list";
  const char *which = cli->args.operand_count > 1 ? cli->args.operands[1] : NULL;
  struct dead dead = {.cli = cli, .json = args_has(&cli->args, OPTION_JSON)};

  int status = check_operands(action, which);
  if (status == CLI_OK) status = cli_load_config(cli);
  if (status) return status;
  if (strcmp(action, "list") != 0) {
    dead.queue = cli_one_queue(cli, "this is about the dead letters of one queue");
    if (!dead.queue) return CLI_USAGE;
  }
  status = cli_redis_open(cli, &dead.redis);
  if (status) return status;
  settings_job_limits(&cli->config, &dead.limits);
  status = run(&dead, action, which);
  queue_keys_free(&dead.keys);
  cli_redis_close(&dead.redis);
  return status;
}
