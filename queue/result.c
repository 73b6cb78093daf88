/*
 * Written with json-c, but for three kinds of value that it would change: the producer's metadata goes in as
 * its own text, milliseconds get three digits and no more, and text that is not UTF-8 is repaired before
 * json-c sees it, because json-c would pass it through and break every reader.
 */
#include "queue/result.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "queue/job.h"
#include "queue/utf8.h"

#define MS_MAX 1e15 /* beyond it thousandths do not fit an int64 */

/* ---- texts ---- */

int result_text_set(struct result_text *text, const char *data, size_t len) {
  char *copy = NULL;
  if (data) {
    copy = malloc(len + 1);
    if (!copy) return -ENOMEM;
    if (len) memcpy(copy, data, len);
    copy[len] = '\0';
  }
  free(text->data);
  *text = (struct result_text){.data = copy, .len = data ? len : 0};
  return 0;
}

int result_text_append(struct result_text *text, const char *data, size_t len) {
  if (len > SIZE_MAX / 2 || text->len > SIZE_MAX / 2) return -ENOMEM;
  char *grown = realloc(text->data, text->len + len + 1);
  if (!grown) return -ENOMEM;
  if (len) memcpy(grown + text->len, data, len);
  text->data = grown;
  text->len += len;
  text->data[text->len] = '\0';
  return 0;
}

static void text_free(struct result_text *text) {
  free(text->data);
  *text = (struct result_text){0};
}

void job_result_free(struct job_result *result) {
  text_free(&result->result);
  text_free(&result->stdout_text);
  text_free(&result->stderr_text);
  for (size_t i = 0; i < result->console_count; i++)
    text_free(&result->console[i].text);
  free(result->console);
  text_free(&result->error_name);
  text_free(&result->error_message);
  text_free(&result->error_stack);
  text_free(&result->trace);
  for (size_t i = 0; i < result->call_count; i++)
    text_free(&result->calls[i]);
  free(result->calls);
  result->console = NULL;
  result->console_count = 0;
  result->calls = NULL;
  result->call_count = 0;
}

int job_result_set_error(struct job_result *result, enum isoq_status status, const char *name,
                         const char *message) {
  struct result_text new_name = {0}, new_message = {0};
  if (result_text_set(&new_name, name, strlen(name)) < 0 ||
      result_text_set(&new_message, message, strlen(message)) < 0) {
    text_free(&new_name);
    return -ENOMEM;
  }
  text_free(&result->error_name);
  text_free(&result->error_message);
  text_free(&result->error_stack);
  text_free(&result->result);
  result->status = status;
  result->result_type = ISOQ_TYPE_NONE;
  result->has_error = true;
  result->error_name = new_name;
  result->error_message = new_message;
  result->error_line = result->error_column = 0;
  return 0;
}

int job_result_invalid(struct job_result *result, const struct job *job) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  const int r = job_result_set_error(result, ISOQ_STATUS_INVALID, "InvalidJob", job->error ? job->error : "");
  if (r < 0) return r;
  result->started_at_ms = result->finished_at_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
  return 0;
}

/* ---- JSON ---- */

/* Building stops being checked at every step: a failure is remembered, and the result thrown away at the end.
 */
struct builder {
  bool failed;
};

static void put(struct builder *b, struct json_object *parent, const char *name, struct json_object *value,
                bool may_be_null) {
  if ((!value && !may_be_null) || !parent || json_object_object_add(parent, name, value) < 0) {
    json_object_put(value);
    b->failed = true;
  }
}

static struct json_object *text_json(struct result_text text) {
  size_t len;
  char *clean = utf8_sanitize(text.data ? text.data : "", text.data ? text.len : 0, &len);
  struct json_object *json = clean && len <= INT32_MAX ? json_object_new_string_len(clean, (int)len) : NULL;
  free(clean);
  return json;
}

static void put_text(struct builder *b, struct json_object *parent, const char *name,
                     struct result_text text) {
  put(b, parent, name, text_json(text), false);
}

static void put_string(struct builder *b, struct json_object *parent, const char *name, const char *text) {
  put(b, parent, name, json_object_new_string(text), false);
}

/* An object whose text is given: json-c writes it as it is. */
static int write_raw(struct json_object *object, struct printbuf *out, int level, int flags) {
  const char *raw = json_object_get_userdata(object);
  (void)level;
  (void)flags;
  return printbuf_memappend(out, raw, (int)strlen(raw));
}

static void free_raw(struct json_object *object, void *raw) {
  (void)object;
  free(raw);
}

static struct json_object *raw_json(char *raw) {
  struct json_object *object = raw ? json_object_new_object() : NULL;
  if (!object) {
    free(raw);
    return NULL;
  }
  json_object_set_serializer(object, write_raw, raw, free_raw);
  return object;
}

/* Thousandths by integers: printf's decimal point depends on the locale. */
static struct json_object *ms_json(double ms) {
  char *raw = NULL;
  if (!(ms > 0)) ms = 0; /* NaN too */
  if (ms > MS_MAX) ms = MS_MAX;
  const int64_t thousandths = llround(ms * 1000);
  int64_t part = thousandths % 1000;
  int width = 3;
  while (width > 1 && part % 10 == 0) {
    part /= 10;
    width--;
  }
  const int n = part ? asprintf(&raw, "%" PRId64 ".%0*" PRId64, thousandths / 1000, width, part)
                     : asprintf(&raw, "%" PRId64, thousandths / 1000);
  return n < 0 ? NULL : raw_json(raw);
}

/* The producer's own text on one line: in JSON, a raw line break can only be white space between tokens. */
static struct json_object *metadata_json(const struct job *job) {
  if (!job->metadata.data) return json_object_new_object();
  char *raw = strndup(job->metadata.data, job->metadata.len);
  for (char *c = raw; c && *c; c++)
    if (*c == '\n' || *c == '\r') *c = ' ';
  return raw_json(raw);
}

/* Entry by entry: as one tree of objects, a quarter of a million empty lines would take 150 MB. */
static int write_entries(FILE *out, const struct job_result *result) {
  for (size_t i = 0; i < result->console_count; i++) {
    struct json_object *text = text_json(result->console[i].text);
    if (!text) return -ENOMEM;
    fprintf(out, "%s{\"level\":\"%s\",\"text\":%s}", i > 0 ? "," : "",
            isoq_console_level_name(result->console[i].level),
            json_object_to_json_string_ext(text, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(text);
  }
  return 0;
}

static struct json_object *console_json(const struct job_result *result) {
  char *raw = NULL;
  size_t len;
  FILE *out = open_memstream(&raw, &len);
  if (!out) return NULL;
  fputc('[', out);
  int r = write_entries(out, result);
  fputc(']', out);
  if (fclose(out) != 0 || r < 0) {
    free(raw);
    return NULL;
  }
  return raw_json(raw);
}

static struct json_object *error_json(struct builder *b, const struct job_result *result) {
  struct json_object *error = json_object_new_object();
  put_text(b, error, "name", result->error_name);
  put_text(b, error, "message", result->error_message);
  put_text(b, error, "stack", result->error_stack);
  put(b, error, "line", result->error_line > 0 ? json_object_new_int(result->error_line) : NULL, true);
  put(b, error, "column", result->error_column > 0 ? json_object_new_int(result->error_column) : NULL, true);
  return error;
}

static struct json_object *truncated_json(struct builder *b, const struct job_result *result) {
  struct json_object *truncated = json_object_new_object();
  put(b, truncated, "stdout", json_object_new_boolean(result->stdout_truncated), false);
  put(b, truncated, "stderr", json_object_new_boolean(result->stderr_truncated), false);
  return truncated;
}

static struct json_object *result_json(struct builder *b, const struct job_result *result,
                                       const struct job *job) {
  const char *type = isoq_result_type_name(result->result_type);
  struct json_object *o = json_object_new_object();

  put(b, o, "id", job->id[0] ? json_object_new_string(job->id) : NULL, !job->id[0]);
  put(b, o, "success", json_object_new_boolean(result->status == ISOQ_STATUS_OK), false);
  put_string(b, o, "status", isoq_status_name(result->status));
  put(b, o, "result", result->result.data ? text_json(result->result) : NULL, !result->result.data);
  put(b, o, "result_type", type ? json_object_new_string(type) : NULL, !type);
  put_text(b, o, "stdout", result->stdout_text);
  put_text(b, o, "stderr", result->stderr_text);
  put(b, o, "console_output", console_json(result), false);
  put(b, o, "error", result->has_error ? error_json(b, result) : NULL, !result->has_error);
  put(b, o, "execution_time_ms", ms_json(result->execution_time_ms), false);
  put(b, o, "cpu_time_ms", ms_json(result->cpu_time_ms), false);
  put(b, o, "queued_ms", ms_json(result->queued_ms), false);
  put(b, o, "peak_memory_bytes", json_object_new_uint64(result->peak_memory_bytes), false);
  put(b, o, "truncated", truncated_json(b, result), false);
  put(b, o, "attempt", json_object_new_int64((int64_t)job->attempt + job->deaths), false);
  put_string(b, o, "worker", result->worker);
  put(b, o, "started_at_ms", json_object_new_int64(result->started_at_ms), false);
  put(b, o, "finished_at_ms", json_object_new_int64(result->finished_at_ms), false);
  put(b, o, "metadata", metadata_json(job), false);
  return o;
}

int job_result_to_json(const struct job_result *result, const struct job *job, char **out, size_t *out_len) {
  struct builder b = {0};
  size_t len = 0;
  int r = -ENOMEM;
  struct json_object *o = result_json(&b, result, job);
  if (!o || b.failed) goto out;
  const char *text =
      json_object_to_json_string_length(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);
  char *copy = text ? malloc(len + 1) : NULL;
  if (!copy) goto out;
  memcpy(copy, text, len + 1);
  *out = copy;
  *out_len = len;
  r = 0;
out:
  json_object_put(o);
  return r;
}
