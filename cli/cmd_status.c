/*
 * isoq status: the table is printed from the JSON, so there is one place that knows what is shown. It goes
 * through terminal_write() as a whole, because names and ids are anybody's.
 */
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/redis.h"
#include "cli/status.h"
#include "cli/terminal.h"
#include "cli/when.h"

#define JSON_FLAGS (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)
#define WATCH_DEFAULT_S 2
#define WATCH_MAX_S 3600

static int64_t get_int(struct json_object *object, const char *name) {
  return json_object_get_int64(json_object_object_get(object, name));
}

static const char *get_text(struct json_object *object, const char *name) {
  return json_object_get_string(json_object_object_get(object, name));
}

static bool has(struct json_object *object, const char *name) {
  return json_object_object_get(object, name) != NULL;
}

/* "-" where there is no such member, or null. */
static const char *int_text(struct json_object *object, const char *name, char out[WHEN_TEXT_SIZE]) {
  snprintf(out, WHEN_TEXT_SIZE, "-");
  if (has(object, name)) snprintf(out, WHEN_TEXT_SIZE, "%" PRId64, get_int(object, name));
  return out;
}

static int widest(struct json_object *array, const char *title) {
  size_t width = strlen(title);
  for (size_t i = 0; i < json_object_array_length(array); i++) {
    size_t len = strlen(get_text(json_object_array_get_idx(array, i), "name"));
    if (len > width) width = len;
  }
  return (int)width;
}

/* ---- the parts ---- */

static void print_running(struct json_object *worker, FILE *out) {
  struct json_object *running = json_object_object_get(worker, "running");
  const bool has_told = has(worker, "pid") || has(worker, "executors") || has(worker, "busy");
  char span[WHEN_TEXT_SIZE];
  for (size_t i = 0; running && i < json_object_array_length(running); i++) {
    struct json_object *job = json_object_array_get_idx(running, i);
    fprintf(out, "    %s  ", has(job, "id") ? get_text(job, "id") : "(no id)");
    if (has(job, "for_ms"))
      fprintf(out, "for %s", when_span(get_int(job, "for_ms"), span));
    else
      fputs(get_int(worker, "lease_ms") <= 0 ? "orphaned" : has_told ? "just claimed" : "claimed", out);
    if (get_int(job, "attempt") > 1) fprintf(out, ", attempt %" PRId64, get_int(job, "attempt"));
    putc('\n', out);
  }
}

static void print_worker(struct json_object *worker, int width, FILE *out) {
  char executors[WHEN_TEXT_SIZE], busy[WHEN_TEXT_SIZE], rate[WHEN_TEXT_SIZE] = "-";
  const double lease_s = (double)get_int(worker, "lease_ms") / 1000;
  if (has(worker, "jobs_per_s"))
    snprintf(rate, sizeof rate, "%.1f", json_object_get_double(json_object_object_get(worker, "jobs_per_s")));
  fprintf(out, "  %-*s  %7" PRId64 "  %9s  %4s  %6s  ", width, get_text(worker, "name"),
          get_int(worker, "claimed"), int_text(worker, "executors", executors),
          int_text(worker, "busy", busy), rate);
  if (lease_s > 0)
    fprintf(out, "%.1f s left", lease_s);
  else
    fprintf(out, "ended %.1f s ago: lost", -lease_s);
  if (get_int(worker, "redis_down_count") > 0)
    fprintf(out, ", has lost Redis %" PRId64 " times", get_int(worker, "redis_down_count"));
  putc('\n', out);
  print_running(worker, out);
}

static void print_orphans(struct json_object *queue, FILE *out) {
  struct json_object *orphans = json_object_object_get(queue, "orphans");
  const int64_t jobs = get_int(queue, "orphaned");
  if (jobs == 0) return;
  fprintf(out, "  orphans: %" PRId64 " job%s of workers without a lease (", jobs, jobs == 1 ? "" : "s");
  for (size_t i = 0; i < json_object_array_length(orphans); i++) {
    struct json_object *orphan = json_object_array_get_idx(orphans, i);
    fprintf(out, "%s%s: %" PRId64, i ? ", " : "", get_text(orphan, "worker"), get_int(orphan, "jobs"));
  }
  fputs("); will be given back\n", out);
}

static void print_queue(struct json_object *queue, FILE *out) {
  struct json_object *stats = json_object_object_get(queue, "stats");
  struct json_object *workers = json_object_object_get(queue, "workers");
  const int width = widest(workers, "WORKER");
  const bool has_stats = json_object_object_length(stats) > 0;
  char span[WHEN_TEXT_SIZE];

  if (!has_stats && json_object_array_length(workers) == 0 && get_int(queue, "delayed") == 0 &&
      get_int(queue, "orphaned") == 0)
    return;
  fprintf(out, "\n%s\n", get_text(queue, "name"));
  if (has(queue, "next_due_ms")) {
    const int64_t left_ms = get_int(queue, "next_due_ms");
    fprintf(out, "  next delayed job: due %s%s\n", left_ms ? "in " : "now",
            left_ms ? when_span(left_ms, span) : "");
  }
  print_orphans(queue, out);
  if (json_object_array_length(workers) > 0)
    fprintf(out, "  %-*s  %7s  %9s  %4s  %6s  %s\n", width, "WORKER", "CLAIMED", "EXECUTORS", "BUSY",
            "JOBS/S", "LEASE");
  for (size_t i = 0; i < json_object_array_length(workers); i++)
    print_worker(json_object_array_get_idx(workers, i), width, out);
  if (has_stats) fputs("  counters:", out);
  json_object_object_foreach(stats, name, value)
      fprintf(out, " %s=%" PRId64, name, json_object_get_int64(value));
  if (has_stats) putc('\n', out);
}

static const char *oldest_text(struct json_object *queue, char out[WHEN_TEXT_SIZE]) {
  if (has(queue, "oldest_waiting_ms")) return when_span(get_int(queue, "oldest_waiting_ms"), out);
  return get_int(queue, "waiting") > 0 ? "unknown" : "-";
}

static void print_all(struct json_object *all, FILE *out) {
  struct json_object *queues = json_object_object_get(all, "queues");
  const size_t count = json_object_array_length(queues);
  const int width = widest(queues, "QUEUE");
  char oldest[WHEN_TEXT_SIZE];

  fprintf(out, "redis %s, prefix %s", get_text(all, "redis"), get_text(all, "prefix"));
  if (has(all, "jobs_per_s"))
    fprintf(out, ", %.1f jobs/s", json_object_get_double(json_object_object_get(all, "jobs_per_s")));
  fprintf(out, "\n\n%-*s  %9s  %9s  %9s  %9s  %9s  %9s  %9s\n", width, "QUEUE", "WAITING", "OLDEST",
          "DELAYED", "CLAIMED", "DEAD", "WORKERS", "PROCESSED");
  for (size_t i = 0; i < count; i++) {
    struct json_object *queue = json_object_array_get_idx(queues, i);
    fprintf(out,
            "%-*s  %9" PRId64 "  %9s  %9" PRId64 "  %9" PRId64 "  %9" PRId64 "  %9" PRId64 "  %9" PRId64 "\n",
            width, get_text(queue, "name"), get_int(queue, "waiting"), oldest_text(queue, oldest),
            get_int(queue, "delayed"), get_int(queue, "claimed"), get_int(queue, "dead"),
            get_int(queue, "workers_alive"), get_int(json_object_object_get(queue, "stats"), "processed"));
  }
  for (size_t i = 0; i < count; i++)
    print_queue(json_object_array_get_idx(queues, i), out);
}

/* `again`: over what stands on the terminal, line by line, so that nothing flickers. */
static void show(const struct cli *cli, struct json_object *all, bool again) {
  const bool redraw = again && isatty(STDOUT_FILENO);
  char *text = NULL;
  size_t len;

  if (args_has(&cli->args, OPTION_JSON)) {
    puts(json_object_to_json_string_ext(all, JSON_FLAGS));
    return;
  }
  FILE *out = open_memstream(&text, &len);
  if (out) print_all(all, out);
  if (!out || fclose(out)) return;
  if (redraw) fputs("\033[H", stdout);
  for (char *line = text, *end; line < text + len; line = end + 1) {
    end = memchr(line, '\n', (size_t)(text + len - line));
    if (!end) end = text + len;
    terminal_write(stdout, line, (size_t)(end - line));
    fputs(redraw ? "\033[K\n" : "\n", stdout);
  }
  if (redraw) fputs("\033[J", stdout);
  if (again && !redraw) putchar('\n');
  free(text);
}

/* CLI_FAILED when a queue has no live worker. */
static int check(struct json_object *all) {
  struct json_object *queues = json_object_object_get(all, "queues");
  int status = CLI_OK;
  for (size_t i = 0; i < json_object_array_length(queues); i++) {
    struct json_object *queue = json_object_array_get_idx(queues, i);
    if (get_int(queue, "workers_alive") > 0) continue;
    cli_error("no live worker serves queue %s at %s: start one with isoq worker --queue %s",
              get_text(queue, "name"), get_text(all, "redis"), get_text(queue, "name"));
    status = CLI_FAILED;
  }
  return status;
}

/* Seconds; 0: not asked for; -1 after a message. */
static int watch_option(const struct cli *cli) {
  const char *value = cli->args.value[OPTION_WATCH];
  if (!value) return 0;
  if (args_has(&cli->args, OPTION_CHECK)) {
    cli_error("--watch never ends, so there is no exit status for --check to set; give one of the two");
    return -1;
  }
  if (!*value) return WATCH_DEFAULT_S;
  bool digits = value[strspn(value, "0123456789")] == 0 && strlen(value) < 6;
  int seconds = digits ? atoi(value) : 0;
  if (seconds >= 1 && seconds <= WATCH_MAX_S) return seconds;
  cli_error("--watch: \"%s\" is not valid; whole seconds, 1 to %d, as --watch=5", value, WATCH_MAX_S);
  return -1;
}

int cmd_status(struct cli *cli) {
  struct cli_redis redis;

  int status = cli_load_config(cli);
  int watch_s = status ? 0 : watch_option(cli);
  if (watch_s < 0) status = CLI_USAGE;
  if (status == CLI_OK) status = cli_redis_open(cli, &redis);
  if (status) return status;

  if (watch_s && isatty(STDOUT_FILENO) && !args_has(&cli->args, OPTION_JSON)) fputs("\033[2J", stdout);
  for (;;) {
    struct json_object *all = status_gather(cli, &redis, args_has(&cli->args, OPTION_CHECK));
    status = all ? CLI_OK : CLI_UNAVAILABLE;
    if (all) show(cli, all, watch_s > 0);
    if (all && args_has(&cli->args, OPTION_CHECK)) status = check(all);
    json_object_put(all);
    const struct timespec pause = {.tv_sec = watch_s};
    if (status || !watch_s || fflush(stdout) || ferror(stdout)) break;
    nanosleep(&pause, NULL);
  }
  cli_redis_close(&redis);
  return status;
}
