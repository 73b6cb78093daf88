/*
 * isoq replay: a recorded run once more. Once the record is read, nothing outside this machine is needed: the run takes
 * clock, random bytes, the order of its events and the answers of its calls from the record, and goes through the same
 * executor and the same broker's code as in a worker.
 *
 * The same script must do the same, step by step and field by field; the first thing that differs is the verdict. With
 * --code it is another script, and there is no verdict, but what its calls were answered with.
 */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/compare.h"
#include "cli/inspect.h"
#include "cli/print.h"
#include "cli/record.h"
#include "cli/script.h"
#include "queue/json_text.h"
#include "queue/result.h"
#include "queue/utf8.h"
#include "worker/local.h"
#include "worker/replay.h"
#include "worker/settings.h"

#ifndef ISOQ_VERSION
#define ISOQ_VERSION "0.1.0"
#endif

struct play {
  struct cli *cli;
  const char *name; /* as it was given: an id or a file */
  bool json, loose, live;
  struct record record;
  struct json_object *recorded;   /* its result; NULL: left out */
  struct compare_summary summary; /* of that */
  struct job_limits limits;
  struct job *job;
  struct replay *replay;
  char *code; /* of --code; NULL: the record's own */
  size_t code_len;
  char *code_json;
};

static void play_free(struct play *play) {
  json_object_put(play->recorded);
  job_free(play->job);
  replay_free(play->replay);
  free(play->code);
  free(play->code_json);
  record_free(&play->record);
}

/* ---- before ---- */

/* A job that ran once is valid here, whatever this machine would permit. */
static void permit_everything(struct play *play) {
  const struct job_limit any = {0, 0, INT64_C(1) << 53};
  settings_job_limits(&play->cli->config, &play->limits);
  play->limits.timeout_ms = play->limits.cpu_ms = play->limits.memory_mb = any;
  play->limits.max_output_bytes = play->limits.reply_ttl_s = any;
  play->limits.max_attempts = play->limits.backoff_ms = play->limits.delay_ms = any;
  play->limits.functions_allowed = (uint32_t)((UINT64_C(1) << play->limits.function_count) - 1);
  play->limits.max_code_bytes = play->limits.max_input_bytes = play->limits.max_payload_bytes = INT64_MAX;
}

static int read_summary(struct play *play) {
  const struct record *record = &play->record;
  if (record->result.data) {
    play->recorded = compare_parse(record->result.data, record->result.len);
    if (play->recorded && compare_summarise(play->recorded, &play->summary)) return CLI_OK;
    cli_error("%s: result: not an ExecutionResult with a known status", play->name);
    return CLI_USAGE;
  }
  for (int i = 0; i < ISOQ_STATUS_COUNT; i++)
    if (strcmp(record->status, isoq_status_name((enum isoq_status)i)) == 0)
      play->summary.status = (enum isoq_status)i;
  play->summary.entries = record->digest.entries;
  return CLI_OK;
}

/* --code FILE instead of the job's own. */
static int replace_code(struct play *play) {
  const char *path = play->cli->args.value[OPTION_CODE];
  size_t len;
  int status = script_read_file("script", path, play->cli->config.max_code_bytes, "max_code_bytes",
                                &play->code, &play->code_len);
  if (status) return status;
  const size_t valid = utf8_check(play->code, play->code_len);
  if (valid < play->code_len) {
    cli_error("%s is not UTF-8, at byte %zu", path, valid);
    return CLI_USAGE;
  }
  play->code_json = json_text_quote(play->code, play->code_len, &len);
  if (!play->code_json) {
    cli_error("out of memory");
    return CLI_UNAVAILABLE;
  }
  play->job->code = (struct job_span){play->code_json, len};
  return CLI_OK;
}

static int make_job(struct play *play) {
  const struct record *record = &play->record;
  char *payload = strndup(record->job.data, record->job.len);
  permit_everything(play);
  int rc = payload ? job_parse(payload, record->job.len, &play->limits, NULL, NULL, &play->job) : -ENOMEM;
  free(payload);
  if (rc == 0 && play->job->error) {
    cli_error("%s: job: %s", play->name, play->job->error);
    return CLI_USAGE;
  }
  if (rc == 0)
    rc = replay_new(record, play->summary.status, play->summary.entries, play->summary.ran_ms, play->loose,
                    play->live, &play->replay);
  if (rc) {
    cli_error("%s", strerror(-rc));
    return CLI_UNAVAILABLE;
  }
  const size_t unknown = replay_set_up_job(play->replay, play->summary.status, play->limits.functions,
                                           play->limits.function_count, play->job);
  if (unknown > 0)
    cli_error("%zu host functions of the record are not known to this isoq; the script does not find them",
              unknown);
  play->job->replay = play->replay;
  play->cli->config.max_result_bytes = (int64_t)record->max_result_bytes;
  play->cli->config.max_timers = record->max_timers;
  return play->loose ? replace_code(play) : CLI_OK;
}

static int load(struct play *play) {
  char *text = NULL;
  size_t len = 0;
  int status = record_load(play->cli, play->name, &text, &len);
  if (status == CLI_OK) status = record_read(play->name, text, len, &play->record);
  free(text);
  if (status) return status;
  if (!play->record.job.data) {
    cli_error("the record of job %s holds no job: it did not fit (record_max_bytes of its worker)",
              play->record.id);
    return CLI_UNAVAILABLE;
  }
  if (!play->record.result.data && !play->record.has_digest && !play->loose) {
    cli_error("the record of job %s holds no result to compare with: it did not fit (record_max_bytes of its "
              "worker); "
              "its status was %s. --code FILE runs a script under it all the same",
              play->record.id, play->record.status);
    return CLI_UNAVAILABLE;
  }
  if (play->record.trace_len > WIRE_TRACE_WRITTEN_MAX) {
    cli_error("%s: trace: %zu bytes; no executor writes more than %u", play->name, play->record.trace_len,
              WIRE_TRACE_WRITTEN_MAX);
    return CLI_USAGE;
  }
  status = read_summary(play);
  return status ? status : make_job(play);
}

/* ---- after ---- */

static void say_versions(const struct play *play) {
  const struct record *record = &play->record;
  const char *v8 = play->replay->v8_version;
  if (strcmp(record->isoq, ISOQ_VERSION) != 0)
    cli_error("recorded with isoq %s; this is isoq " ISOQ_VERSION, record->isoq);
  if (strcmp(record->v8, v8) != 0)
    cli_error("recorded with V8 %s; this is V8 %s: messages of errors may differ", record->v8, v8);
}

/* Of a result that was too large for the record. */
static char *compare_digests(const struct play *play, const struct job_result *result, bool *failed) {
  struct record_digest now;
  char *difference = NULL;
  int n = 0;
  if (result->status != play->summary.status)
    n = asprintf(&difference, "status: recorded \"%s\", now \"%s\"", isoq_status_name(play->summary.status),
                 isoq_status_name(result->status));
  record_digest_make(result, &now);
  for (size_t i = 0; i < RECORD_DIGEST_COUNT && n == 0; i++)
    if (now.part[i] != play->record.digest.part[i])
      n = asprintf(&difference,
                   "%s: not as recorded; the recorded one did not fit into the record (record_max_bytes)",
                   record_digest_name((enum record_digest_part)i));
  *failed = n < 0;
  return n > 0 ? difference : NULL;
}

/* The first thing that was not as recorded; malloc'ed, NULL: nothing. */
static char *find_difference(const struct play *play, const struct job_result *result, const char *json,
                             size_t len, bool *failed) {
  *failed = false;
  if (result->trace.len > 0 || play->replay->difference) {
    char *copy = strdup(result->trace.len > 0 ? result->trace.data : play->replay->difference);
    *failed = !copy;
    return copy;
  }
  if (!play->recorded) return compare_digests(play, result, failed);
  struct json_object *now = compare_parse(json, len);
  char *difference = NULL;
  *failed = !now;
  if (now) difference = compare_results(play->recorded, now, failed);
  json_object_put(now);
  return difference;
}

static void print_quoted(const char *text) {
  size_t len;
  char *quoted = text ? json_text_quote(text, strlen(text), &len) : NULL;
  fputs(quoted ? quoted : "null", stdout);
  free(quoted);
}

static void print_made_json(const struct replay *replay) {
  fputs(",\"calls\":[", stdout);
  for (size_t i = 0; i < replay->made_count; i++) {
    const struct replay_made *made = &replay->made[i];
    printf("%s{\"call\":%u,\"recorded\":", i ? "," : "", made->call);
    if (made->recorded)
      printf("%u", made->recorded);
    else
      fputs("null", stdout);
    fputs(",\"text\":", stdout);
    print_quoted(made->text);
    putchar('}');
  }
  putchar(']');
}

static void print_json(const struct play *play, const char *difference, const char *json, size_t len) {
  printf("{\"identical\":%s,\"difference\":", play->loose ? "null" : difference ? "false" : "true");
  print_quoted(difference);
  if (play->loose) print_made_json(play->replay);
  fputs(",\"result\":", stdout);
  fwrite(json, 1, len, stdout);
  puts("}");
}

static void say_made(const struct replay *replay) {
  for (size_t i = 0; i < replay->made_count; i++) {
    const struct replay_made *made = &replay->made[i];
    if (made->recorded)
      cli_error("call %u: %s: answered from the record (its call %u)", made->call, made->text,
                made->recorded);
    else
      cli_error("call %u: %s: new, %s", made->call, made->text,
                replay->live ? "made live" : "refused (--live makes it)");
  }
}

/* As isoq result prints it. The exit status that it stands for. */
static int print_run(const struct play *play, const char *json, size_t len) {
  struct json_object *code = NULL;
  struct print_options options = {.code = play->code, .code_len = play->code_len};
  if (play->code) {
    options.name = play->cli->args.value[OPTION_CODE];
  } else if ((code = json_tokener_parse(play->job->payload)) != NULL) {
    struct json_object *own = json_object_object_get(code, "code");
    options.code = json_object_get_string(own);
    options.code_len = (size_t)json_object_get_string_len(own);
  }
  const int status = print_result(&options, json, len);
  json_object_put(code);
  return status;
}

static int report(const struct play *play, const struct job_result *result, const char *json, size_t len) {
  bool failed = false;
  char *difference = play->loose ? NULL : find_difference(play, result, json, len, &failed);
  if (failed) {
    cli_error("out of memory");
    return CLI_UNAVAILABLE;
  }
  int status = result->status == ISOQ_STATUS_OK ? CLI_OK : CLI_FAILED;
  say_versions(play);
  if (play->json)
    print_json(play, difference, json, len);
  else
    print_run(play, json, len);
  if (play->loose) {
    if (!play->json) say_made(play->replay);
  } else {
    if (!play->json) puts(difference ? difference : "identical");
    status = difference ? CLI_FAILED : CLI_OK;
  }
  if (result->status == ISOQ_STATUS_CANCELLED && play->summary.status != ISOQ_STATUS_CANCELLED &&
      !play->replay->difference)
    status = CLI_INTERRUPTED; /* nobody else could have asked for it */
  free(difference);
  return status;
}

static int run(struct play *play) {
  struct local_options options = {0};
  char error[CONFIG_ERROR_SIZE] = "", *json;
  struct job_result result = {0};
  size_t len;

  if (inspect_option(play->cli, &options) != CLI_OK) return CLI_USAGE;
  int rc = local_run(&play->cli->config, play->job, &options, &result, error, sizeof error);
  if (rc == -EINTR) return CLI_INTERRUPTED;
  if (rc == 0) rc = job_result_to_json(&result, play->job, &json, &len);
  if (rc) {
    cli_error("%s", *error ? error : strerror(-rc));
    job_result_free(&result);
    return CLI_UNAVAILABLE;
  }
  const int status = report(play, &result, json, len);
  free(json);
  job_result_free(&result);
  return status;
}

int cmd_replay(struct cli *cli) {
  struct play play = {.cli = cli,
                      .json = args_has(&cli->args, OPTION_JSON),
                      .loose = args_has(&cli->args, OPTION_CODE),
                      .live = args_has(&cli->args, OPTION_LIVE)};

  if (cli->args.operand_count == 0) {
    cli_error("replay which job? isoq replay ID, or isoq replay RECORD.json");
    return CLI_USAGE;
  }
  if (play.live && !play.loose) {
    cli_error("--live goes with --code FILE: the recorded script makes no new calls");
    return CLI_USAGE;
  }
  play.name = cli->args.operands[0];
  int status = cli_load_config(cli);
  if (status) return status;
  status = load(&play);
  if (status == CLI_OK) status = run(&play);
  play_free(&play);
  return status;
}
