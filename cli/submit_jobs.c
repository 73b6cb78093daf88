/*
 * isoq submit --jobs: many jobs, one JSON object a line. The file is read as it comes and never held as a
 * whole. Lines go out in a pipeline, a batch at a time; a batch ends where reading would have to wait, so
 * that jobs written slowly into a pipe are not held back.
 *
 * Each line is all or nothing: it is checked as a worker would check it, and queued by one atomic step, or
 * neither. When Redis is lost in the middle of a batch, nobody can know how far it got. The ids can:
 * submitting them again queues only what is missing. So what is said then depends on whether the lines had
 * ids of their own.
 */
#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/id.h"
#include "cli/lines.h"
#include "cli/progress.h"
#include "cli/submit.h"
#include "worker/settings.h"

#define BATCH_MAX 500
#define JSON_FLAGS (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)

enum fate {
  SENT, /* its answer has not come */
  QUEUED,
  KNOWN,
  INVALID,
  REFUSED, /* by Redis */
};

struct entry { /* one line */
  size_t line;
  char id[JOB_ID_MAX + 1]; /* "" where it is not known */
  enum fate fate;
  char *error; /* owned */
};

struct jobs {
  struct cli *cli;
  const char *queue;
  const char *path, *name; /* as given; for messages */
  struct job_limits limits;
  struct cli_redis redis;
  struct queue_keys keys;
  struct lines lines;
  struct progress progress;

  struct entry batch[BATCH_MAX];
  size_t batch_count;
  size_t queued, known, failed;
  size_t confirmed_line;                 /* it and those before it are done with */
  bool made_ids, made_ids_in_this_batch; /* for lines that had none */
};

/* ---- reporting ---- */

static void report_json(const struct jobs *jobs, const struct entry *entry) {
  static const char *const words[] = {
      [QUEUED] = "queued", [KNOWN] = "known", [INVALID] = "invalid", [REFUSED] = "refused"};
  struct json_object *object = json_object_new_object();
  json_object_object_add(object, "line", json_object_new_int64((int64_t)entry->line));
  json_object_object_add(object, "id", entry->id[0] ? json_object_new_string(entry->id) : NULL);
  json_object_object_add(object, "queue", json_object_new_string(jobs->queue));
  json_object_object_add(object, "status", json_object_new_string(words[entry->fate]));
  json_object_object_add(object, "error", entry->error ? json_object_new_string(entry->error) : NULL);
  puts(json_object_to_json_string_ext(object, JSON_FLAGS));
  json_object_put(object);
}

static void report(struct jobs *jobs, struct entry *entry) {
  const bool accepted = entry->fate == QUEUED || entry->fate == KNOWN;
  const bool json = args_has(&jobs->cli->args, OPTION_JSON);

  if (isatty(STDOUT_FILENO) || !accepted) progress_hide(&jobs->progress);
  if (json)
    report_json(jobs, entry);
  else if (accepted)
    puts(entry->id);
  if (!accepted) fprintf(stderr, "%s:%zu: %s\n", jobs->name, entry->line, entry->error ? entry->error : "");
  jobs->queued += entry->fate == QUEUED;
  jobs->known += entry->fate == KNOWN;
  jobs->failed += !accepted;
  jobs->confirmed_line = entry->line;
  free(entry->error);
  entry->error = NULL;
}

static void say_sum(struct jobs *jobs) {
  progress_hide(&jobs->progress);
  fflush(stdout);
  cli_error("%zu queued, %zu known, %zu not accepted", jobs->queued, jobs->known, jobs->failed);
}

/* The connection broke while the lines from `first` to `last` were under way. */
static void say_lost(struct jobs *jobs, size_t first, size_t last) {
  progress_hide(&jobs->progress);
  cli_error("lost Redis at %s: %s", jobs->redis.url.display, jobs->redis.context->errstr);
  if (jobs->confirmed_line)
    cli_error("the last line that Redis confirmed is line %zu of %s", jobs->confirmed_line, jobs->name);
  else
    cli_error("Redis confirmed no line of %s", jobs->name);
  cli_error("whether the lines from %zu to %zu are queued is not known", first, last);
  if (!jobs->made_ids) {
    cli_error("to submit all of it again is safe: every line has an id, and what is queued already is not "
              "queued again");
    return;
  }
  cli_error(
      "lines without an id would be queued a second time under a new one, so do not submit all of it again: "
      "go on from line %zu",
      first);
  if (jobs->lines.fd != STDIN_FILENO)
    cli_error("  tail -n +%zu %s | isoq submit --jobs -", first, jobs->path);
  if (jobs->made_ids_in_this_batch)
    cli_error("some of the lines from %zu to %zu have no id either, and may then run twice", first, last);
}

/* ---- the batch ---- */

/* The answer to one line. CLI_OK, or CLI_UNAVAILABLE when the connection is lost. */
static int read_answer(struct jobs *jobs, struct entry *entry) {
  struct submit_answer answer;
  void *raw = NULL;

  if (redisGetReply(jobs->redis.context, &raw) != REDIS_OK || !raw) return CLI_UNAVAILABLE;
  redisReply *reply = raw;
  if (reply->type != REDIS_REPLY_ERROR && submit_read(reply, &answer)) {
    entry->fate = submit_was_known(&answer) ? KNOWN : QUEUED;
  } else {
    entry->fate = REFUSED;
    if (asprintf(&entry->error, "Redis refused: %s",
                 reply->type == REDIS_REPLY_ERROR ? reply->str : "an answer that isoq does not understand") <
        0)
      entry->error = NULL;
  }
  freeReplyObject(reply);
  return CLI_OK;
}

static void drop_batch(struct jobs *jobs) {
  for (size_t i = 0; i < jobs->batch_count; i++)
    free(jobs->batch[i].error);
  jobs->batch_count = 0;
}

/* Reads the answers to all that was sent, and reports each line, in order. */
static int flush(struct jobs *jobs) {
  bool refused = false;
  for (size_t i = 0; i < jobs->batch_count; i++) {
    struct entry *entry = &jobs->batch[i];
    if (entry->fate == SENT && read_answer(jobs, entry)) {
      say_lost(jobs, entry->line, jobs->batch[jobs->batch_count - 1].line);
      for (; i < jobs->batch_count; i++)
        free(jobs->batch[i].error);
      jobs->batch_count = 0;
      return CLI_UNAVAILABLE;
    }
    refused |= entry->fate == REFUSED;
    report(jobs, entry);
  }
  jobs->batch_count = 0;
  jobs->made_ids_in_this_batch = false;
  progress_draw(&jobs->progress, jobs->queued + jobs->known + jobs->failed);
  fflush(stdout);
  if (!refused) return CLI_OK;
  progress_hide(&jobs->progress);
  cli_error("stopped after line %zu, because Redis refuses", jobs->confirmed_line);
  return CLI_UNAVAILABLE;
}

/* ---- one line ---- */

/* The payload without what workers noted on it (lines may come from dead letters), and with an id. `made`
 * "": it has one. NULL: no memory. */
static char *producers_payload(const struct job *job, const char *made, size_t *len) {
  char *original = job_payload_original(job, len), *with_id = NULL;
  if (!original || !made[0]) return original;
  const char *members = strchr(original, '{') + 1; /* a valid job is an object */
  const size_t members_len = *len - (size_t)(members - original);
  const int head = asprintf(&with_id, "{\"id\":\"%s\",", made);
  char *whole = head < 0 ? NULL : realloc(with_id, (size_t)head + members_len + 1);
  if (whole) {
    memcpy(whole + head, members, members_len + 1);
    *len = (size_t)head + members_len;
  } else if (head >= 0) {
    free(with_id);
  }
  free(original);
  return whole;
}

static int parse(const struct jobs *jobs, const char *text, size_t len, bool with_queue, struct job **job) {
  return job_parse(text, len, &jobs->limits, with_queue ? jobs->cli->config.prefix : NULL,
                   with_queue ? jobs->queue : NULL, job);
}

/* The job of the line as it would be pushed. 0 or -ENOMEM; what is wrong with it is in (*out)->error. */
static int job_of_line(struct jobs *jobs, struct job **out) {
  char made[ID_SIZE] = "";
  struct job *job = NULL;
  size_t len;

  /* Without a queue, an id may be missing: whether it does is what one wants to know. */
  if (parse(jobs, jobs->lines.line, jobs->lines.len, false, &job)) return -ENOMEM;
  if (job->error) {
    *out = job;
    return 0;
  }
  if (!job->id[0]) {
    id_make(made);
    jobs->made_ids = jobs->made_ids_in_this_batch = true;
  }
  char *payload = producers_payload(job, made, &len);
  job_free(job);
  int rc = payload ? parse(jobs, payload, len, true, out) : -ENOMEM;
  free(payload);
  return rc;
}

static bool is_blank(const struct lines *lines) {
  return lines->len <= lines->limit && lines->line[strspn(lines->line, " \t\r")] == 0 &&
         strlen(lines->line) == lines->len;
}

static int add_line(struct jobs *jobs) {
  const struct lines *lines = &jobs->lines;
  struct entry *entry = &jobs->batch[jobs->batch_count];
  struct job *job = NULL;
  int status = CLI_OK;

  *entry = (struct entry){.line = lines->number, .fate = INVALID};
  if (lines->len > lines->limit) {
    if (asprintf(&entry->error, "payload: %zu bytes are over the maximum %zu (max_payload_bytes)", lines->len,
                 lines->limit) < 0)
      entry->error = NULL;
  } else if (job_of_line(jobs, &job)) {
    cli_error("out of memory");
    return CLI_UNAVAILABLE;
  } else {
    snprintf(entry->id, sizeof entry->id, "%s", job->id);
    if (job->error) {
      entry->error = job->error;
      job->error = NULL;
    } else {
      entry->fate = SENT;
      status = submit_append(&jobs->redis, jobs->cli->config.prefix, jobs->queue, &jobs->keys, job);
    }
    job_free(job);
  }
  jobs->batch_count++;
  return status;
}

static int send_lines(struct jobs *jobs) {
  int status = CLI_OK;
  for (;;) {
    enum lines_next next = lines_next(&jobs->lines);
    if (next == LINES_FOUND) {
      if (!is_blank(&jobs->lines)) status = add_line(jobs);
      if (status == CLI_OK && jobs->batch_count == BATCH_MAX) status = flush(jobs);
      if (status) return status;
      continue;
    }
    status = flush(jobs);
    if (status || next == LINES_END) return status;
    int rc = next == LINES_NO_MEMORY ? -ENOMEM : lines_read(&jobs->lines);
    if (rc == 0) continue;
    progress_hide(&jobs->progress);
    cli_error("cannot read %s after line %zu: %s", jobs->name, jobs->lines.number, strerror(-rc));
    return CLI_USAGE;
  }
}

/* ---- the whole ---- */

/* Lines with something on them; 0 where that cannot be told beforehand. */
static size_t count_lines(int fd) {
  struct stat stat;
  struct lines lines;
  size_t count = 0;
  enum lines_next next;

  if (fstat(fd, &stat) || !S_ISREG(stat.st_mode) || lines_init(&lines, fd, 64)) return 0;
  const off_t start = lseek(fd, 0, SEEK_CUR);
  while ((next = lines_next(&lines)) != LINES_END) {
    if (next == LINES_FOUND)
      count += !is_blank(&lines);
    else if (next == LINES_NO_MEMORY || lines_read(&lines))
      break;
  }
  lines_free(&lines);
  return lseek(fd, start, SEEK_SET) == start && next == LINES_END ? count : 0;
}

static int run(struct jobs *jobs, int fd) {
  int status = cli_redis_open(jobs->cli, &jobs->redis);
  if (status) return status;
  if (lines_init(&jobs->lines, fd, (size_t)jobs->cli->config.max_payload_bytes) ||
      queue_keys_make(&jobs->keys, jobs->cli->config.prefix, jobs->queue, NULL)) {
    cli_error("out of memory");
    status = CLI_UNAVAILABLE;
  } else {
    progress_start(&jobs->progress, progress_wanted() ? count_lines(fd) : 0);
    progress_draw(&jobs->progress, 0);
    status = send_lines(jobs);
    say_sum(jobs);
    drop_batch(jobs);
    if (status == CLI_OK && jobs->queued > 0)
      status = submit_warn_unserved(&jobs->redis, &jobs->keys, jobs->queue);
    if (status == CLI_OK && jobs->failed > 0) status = CLI_FAILED;
    queue_keys_free(&jobs->keys);
  }
  lines_free(&jobs->lines);
  cli_redis_close(&jobs->redis);
  return status;
}

/* Everything that is said of a job stands in its line. */
static int check_usage(const struct cli *cli) {
  static const enum option_id others[] = {
      OPTION_EVAL,       OPTION_INPUT,      OPTION_ID,    OPTION_TIMEOUT, OPTION_CPU,      OPTION_MEMORY,
      OPTION_MAX_OUTPUT, OPTION_NO_CAPTURE, OPTION_SEED,  OPTION_TENANT,  OPTION_METADATA, OPTION_REPLY_TTL,
      OPTION_ATTEMPTS,   OPTION_BACKOFF,    OPTION_DELAY, OPTION_RUN_AT,  OPTION_ISOLATION};
  if (args_has(&cli->args, OPTION_WAIT)) {
    cli_error(
        "--jobs submits many jobs, so there is no one result to --wait for; read them with isoq result ID "
        "--wait");
    return CLI_USAGE;
  }
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    if (!args_has(&cli->args, others[i])) continue;
    cli_error("--jobs and --%s: each line is a whole job, {\"code\": …}, and says such things itself",
              cli_option_name(others[i]));
    return CLI_USAGE;
  }
  if (cli->args.operand_count == 0) return CLI_OK;
  cli_error("--jobs %s and \"%s\": each line is a whole job, {\"code\": …}, so there is no script besides",
            cli->args.value[OPTION_JOBS], cli->args.operands[0]);
  return CLI_USAGE;
}

int submit_jobs(struct cli *cli, const char *queue) {
  const char *path = cli->args.value[OPTION_JOBS];
  const bool is_stdin = strcmp(path, "-") == 0;

  int status = check_usage(cli);
  if (status) return status;
  int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    cli_error("--jobs: cannot read %s: %s", path, strerror(errno));
    return CLI_USAGE;
  }
  struct jobs *jobs = calloc(1, sizeof *jobs);
  if (jobs) {
    *jobs = (struct jobs){.cli = cli, .queue = queue, .path = path, .name = is_stdin ? "stdin" : path};
    settings_job_limits(&cli->config, &jobs->limits);
    status = run(jobs, fd);
  } else {
    cli_error("out of memory");
    status = CLI_UNAVAILABLE;
  }
  free(jobs);
  if (!is_stdin) close(fd);
  return status;
}
