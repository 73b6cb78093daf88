/*
 * The command line's job goes through job_parse() like anybody else's, so there is one set of rules. What is
 * checked here besides is what job_parse() could only report in terms of a JSON text that the user never saw:
 * bytes that are not UTF-8, an --input that is not JSON, a number that is none. --input and --metadata are
 * spliced in as they are, so numbers and key order reach the script untouched; that is safe only because each
 * was checked to be one whole value.
 */
#include "cli/script.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/when.h"
#include "queue/json_text.h"
#include "queue/utf8.h"
#include "worker/settings.h"

#define READ_STEP 65536

/* Reads to the end, or to one byte above `limit`. 0 or a negative errno. */
static int read_stream(FILE *file, size_t limit, char **out, size_t *out_len) {
  char *data = NULL;
  size_t len = 0, size = 0;

  for (;;) {
    if (size - len < READ_STEP) {
      size = size * 2 + READ_STEP * 2;
      char *more = realloc(data, size);
      if (!more) {
        free(data);
        return -ENOMEM;
      }
      data = more;
    }
    size_t want = limit + 1 - len < READ_STEP - 1 ? limit + 1 - len : READ_STEP - 1;
    size_t got = want ? fread(data + len, 1, want, file) : 0;
    len += got;
    if (got == 0) break;
  }
  if (ferror(file)) {
    int rc = errno ? -errno : -EIO;
    free(data);
    return rc;
  }
  data[len] = 0;
  *out = data;
  *out_len = len;
  return 0;
}

int script_read_file(const char *what, const char *path, int64_t limit, const char *limit_name, char **out,
                     size_t *out_len) {
  bool is_stdin = strcmp(path, "-") == 0;
  FILE *file = is_stdin ? stdin : fopen(path, "re");
  int rc = -errno;

  errno = 0;
  if (file) {
    rc = read_stream(file, (size_t)limit, out, out_len);
    if (!is_stdin) fclose(file);
  }
  if (rc) {
    bool looks_like_code = rc == -ENOENT && strcmp(what, "script") == 0 && strpbrk(path, "(;=+ '\"");
    cli_error("cannot read the %s %s: %s%s", what, is_stdin ? "from standard input" : path, strerror(-rc),
              looks_like_code ? "; JavaScript on the command line goes after -e" : "");
    return CLI_USAGE;
  }
  if (*out_len > (size_t)limit) {
    cli_error("the %s %s is larger than %" PRId64
              " bytes; raise %s here and at the workers, or make it smaller",
              what, is_stdin ? "on standard input" : path, limit, limit_name);
    free(*out);
    *out = NULL;
    return CLI_USAGE;
  }
  return CLI_OK;
}

static int read_code(struct cli *cli, struct script *script) {
  const char *eval = cli->args.value[OPTION_EVAL];
  const char *path = cli->args.operand_count ? cli->args.operands[0] : NULL;
  int64_t limit = cli->config.max_code_bytes;

  if (eval && path) {
    cli_error("a job has one script: either -e CODE or \"%s\"", path);
    return CLI_USAGE;
  }
  if (eval) {
    script->code = strdup(eval);
    script->len = strlen(eval);
    if (!script->code) {
      cli_error("out of memory");
      return CLI_USAGE;
    }
    if (script->len > (size_t)limit) {
      cli_error("-e: the script is larger than %" PRId64 " bytes (max_code_bytes)", limit);
      return CLI_USAGE;
    }
  } else {
    if (!path && isatty(STDIN_FILENO)) {
      cli_error("no script: give a FILE, - for standard input, or -e CODE");
      return CLI_USAGE;
    }
    int status =
        script_read_file("script", path ? path : "-", limit, "max_code_bytes", &script->code, &script->len);
    if (status) return status;
  }
  size_t valid = utf8_check(script->code, script->len);
  if (valid < script->len) {
    cli_error("%s is not UTF-8: byte 0x%02x at offset %zu; save it as UTF-8",
              eval                             ? "-e"
              : path && strcmp(path, "-") != 0 ? path
                                               : "standard input",
              (unsigned char)script->code[valid], valid);
    return CLI_USAGE;
  }
  return CLI_OK;
}

/* One whole JSON value, and nothing besides. */
static int check_json(const char *flag, const char *text, size_t len, bool object) {
  struct json_reader reader;
  struct json_value value;
  char problem[160] = "out of memory";
  bool good = false;

  if (json_reader_init(&reader, text, len, JOB_DEPTH_MAX - 1) == 0) {
    bool is_object = json_reader_peek(&reader) == '{';
    enum json_read read = json_reader_value(&reader, &value);
    good = read == JSON_READ_OK && json_reader_peek(&reader) < 0;
    if (read == JSON_READ_OK && !good)
      snprintf(problem, sizeof problem, "there is more after the value, at byte %zu", reader.pos);
    else if (read == JSON_READ_DEEP)
      snprintf(problem, sizeof problem, "nested deeper than %d", JOB_DEPTH_MAX - 1);
    else if (!good)
      json_reader_problem(&reader, problem, sizeof problem);
    if (read == JSON_READ_OK || read == JSON_READ_LAX) json_value_free(&value);
    if (good && object && !is_object) {
      json_reader_free(&reader);
      cli_error("%s must be a JSON object: {\"name\": value}", flag);
      return CLI_USAGE;
    }
    json_reader_free(&reader);
  }
  if (good) return CLI_OK;
  cli_error("%s is not valid JSON: %s%s", flag, problem,
            isalpha((unsigned char)*text) ? "; a string needs its quotes: '\"text\"'" : "");
  return CLI_USAGE;
}

static int put_json(struct cli *cli, enum option_id option, const char *flag, const char *field, FILE *out) {
  const char *value = cli->args.value[option];
  char *text = NULL;
  size_t len = 0;
  int status = CLI_OK;

  if (!value) return CLI_OK;
  if (*value == '@')
    status = script_read_file(flag, value + 1, cli->config.max_input_bytes, "max_input_bytes", &text, &len);
  else if ((text = strdup(value)))
    len = strlen(value);
  if (status == CLI_OK && !text) {
    cli_error("out of memory");
    status = CLI_USAGE;
  }
  if (status == CLI_OK) status = check_json(flag, text, len, option == OPTION_METADATA);
  if (status == CLI_OK) {
    fprintf(out, ",\"%s\":", field);
    fwrite(text, 1, len, out);
  }
  free(text);
  return status;
}

static int put_number(struct cli *cli, enum option_id option, const char *flag, const char *field,
                      const char *unit, const struct job_limit *limit, FILE *out) {
  const char *value = cli->args.value[option];
  if (!value) return CLI_OK;

  errno = 0;
  bool digits = *value && value[strspn(value, "0123456789")] == 0;
  long long number = digits ? strtoll(value, NULL, 10) : 0;
  if (!digits || errno == ERANGE || number < limit->min || number > limit->max) {
    cli_error("%s: \"%s\" is not valid; a whole number, %" PRId64 " to %" PRId64 "%s", flag, value,
              limit->min, limit->max, unit);
    return CLI_USAGE;
  }
  fprintf(out, ",\"%s\":%lld", field, number);
  return CLI_OK;
}

static int put_string(const char *flag, const char *name, const char *text, size_t len, FILE *out) {
  size_t valid = utf8_check(text, len);
  if (valid < len) {
    cli_error("%s is not UTF-8, at byte %zu", flag, valid);
    return CLI_USAGE;
  }
  struct json_object *string = json_object_new_string_len(text, (int)len);
  const char *json =
      string ? json_object_to_json_string_ext(string, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)
             : NULL;
  if (!json) {
    cli_error("out of memory");
    json_object_put(string);
    return CLI_USAGE;
  }
  fprintf(out, "\"%s\":%s", name, json);
  json_object_put(string);
  return CLI_OK;
}

static int put_time(struct cli *cli, enum option_id option, const char *flag, const char *field, FILE *out) {
  const char *value = cli->args.value[option], *problem;
  int64_t ms;

  if (!value) return CLI_OK;
  if (when_parse(value, &ms, &problem)) {
    cli_error("%s: \"%s\" is not valid, %s; give it in " WHEN_FORMS, flag, value, problem);
    return CLI_USAGE;
  }
  fprintf(out, ",\"%s\":%" PRId64, field, ms);
  return CLI_OK;
}

/* When, and how often. */
static int put_schedule(struct cli *cli, const struct job_limits *limits, FILE *out) {
  if (args_has(&cli->args, OPTION_DELAY) && args_has(&cli->args, OPTION_RUN_AT)) {
    cli_error("--delay and --run-at: give one of the two");
    return CLI_USAGE;
  }
  int status = put_number(cli, OPTION_ATTEMPTS, "--attempts", "max_attempts", "", &limits->max_attempts, out);
  if (!status)
    status = put_number(cli, OPTION_BACKOFF, "--backoff", "backoff_ms", " ms", &limits->backoff_ms, out);
  if (!status) status = put_number(cli, OPTION_DELAY, "--delay", "delay_ms", " ms", &limits->delay_ms, out);
  if (!status) status = put_time(cli, OPTION_RUN_AT, "--run-at", "run_at_ms", out);
  return status;
}

static int put_fields(struct cli *cli, const char *id, const struct script *script, FILE *out) {
  struct job_limits limits;
  const struct job_limit seed = {0, 0, INT64_MAX};
  const char *tenant = cli->args.value[OPTION_TENANT], *isolation = cli->args.value[OPTION_ISOLATION];

  settings_job_limits(&cli->config, &limits);
  putc('{', out);
  int status = put_string("--id", "id", id, strlen(id), out);
  putc(',', out);
  if (!status) status = put_string("the script", "code", script->code, script->len, out);
  if (!status) status = put_json(cli, OPTION_INPUT, "--input", "input", out);
  if (!status)
    status = put_number(cli, OPTION_TIMEOUT, "--timeout", "timeout_ms", " ms", &limits.timeout_ms, out);
  if (!status) status = put_number(cli, OPTION_CPU, "--cpu", "cpu_ms", " ms", &limits.cpu_ms, out);
  if (!status)
    status = put_number(cli, OPTION_MEMORY, "--memory", "memory_mb", " MiB", &limits.memory_mb, out);
  if (!status)
    status = put_number(cli, OPTION_MAX_OUTPUT, "--max-output", "max_output_bytes", " bytes",
                        &limits.max_output_bytes, out);
  if (!status)
    status = put_number(cli, OPTION_REPLY_TTL, "--reply-ttl", "reply_ttl_s", " s", &limits.reply_ttl_s, out);
  if (!status) status = put_schedule(cli, &limits, out);
  if (!status) status = put_number(cli, OPTION_SEED, "--seed", "seed", "", &seed, out);
  if (!status && args_has(&cli->args, OPTION_NO_CAPTURE)) fputs(",\"capture_console\":false", out);
  if (!status && args_has(&cli->args, OPTION_NO_RECORD)) fputs(",\"record\":false", out);
  if (!status && tenant) {
    putc(',', out);
    status = put_string("--tenant", "tenant", tenant, strlen(tenant), out);
  }
  if (!status && isolation) {
    putc(',', out);
    status = put_string("--isolation", "isolation", isolation, strlen(isolation), out);
  }
  if (!status) status = put_json(cli, OPTION_METADATA, "--metadata", "metadata", out);
  putc('}', out);
  return status;
}

static int check_job(struct cli *cli, const char *queue, struct script *script) {
  struct job_limits limits;
  settings_job_limits(&cli->config, &limits);
  int rc = job_parse(script->payload, script->payload_len, &limits, queue ? cli->config.prefix : NULL, queue,
                     &script->job);
  if (rc) {
    cli_error("%s", strerror(-rc));
    return CLI_USAGE;
  }
  if (script->job->error) {
    cli_error("the job is not valid: %s", script->job->error);
    return CLI_USAGE;
  }
  return CLI_OK;
}

int script_load(struct cli *cli, const char *id, const char *queue, struct script *script) {
  *script = (struct script){0};
  if (!job_id_valid(id, strlen(id))) {
    cli_error("--id: \"%s\" is not valid; 1 to %d letters, digits and ._:-", id, JOB_ID_MAX);
    return CLI_USAGE;
  }
  int status = read_code(cli, script);
  if (status == CLI_OK) {
    FILE *out = open_memstream(&script->payload, &script->payload_len);
    status = out ? put_fields(cli, id, script, out) : CLI_USAGE;
    if (!out || fclose(out)) {
      cli_error("out of memory");
      status = CLI_USAGE;
    }
  }
  if (status == CLI_OK) status = check_job(cli, queue, script);
  if (status != CLI_OK) script_free(script);
  return status;
}

void script_free(struct script *script) {
  free(script->code);
  free(script->payload);
  job_free(script->job);
  *script = (struct script){0};
}
