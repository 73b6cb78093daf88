/*
 * Written piece by piece (json_write.h): one is made for each job, and nearly all of it is a few names and texts. The
 * producer's metadata goes in as its own text.
 */
#include "queue/result.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "queue/job.h"
#include "queue/json_write.h"

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

static void put_text(struct json_writer *w, const char *name, struct result_text text) {
  json_write(w, name);
  json_write_string(w, text.data, text.data ? text.len : 0);
}

static void put_name(struct json_writer *w, const char *name, const char *text) {
  json_write(w, name);
  if (text)
    json_write_string(w, text, strlen(text));
  else
    json_write(w, "null");
}

static void put_ms(struct json_writer *w, const char *name, double ms) {
  json_write(w, name);
  json_write_ms(w, ms);
}

static void put_int(struct json_writer *w, const char *name, int64_t number) {
  json_write(w, name);
  json_write_int(w, number);
}

static void put_bool(struct json_writer *w, const char *name, bool value) {
  json_write(w, name);
  json_write_bool(w, value);
}

static void put_console(struct json_writer *w, const struct job_result *result) {
  json_write(w, ",\"console_output\":[");
  for (size_t i = 0; i < result->console_count; i++) {
    put_name(w, i > 0 ? ",{\"level\":" : "{\"level\":", isoq_console_level_name(result->console[i].level));
    put_text(w, ",\"text\":", result->console[i].text);
    json_write(w, "}");
  }
  json_write(w, "]");
}

static void put_position(struct json_writer *w, const char *name, int position) {
  if (position > 0)
    put_int(w, name, position);
  else
    put_name(w, name, NULL);
}

static void put_error(struct json_writer *w, const struct job_result *result) {
  if (!result->has_error) {
    json_write(w, ",\"error\":null");
    return;
  }
  put_text(w, ",\"error\":{\"name\":", result->error_name);
  put_text(w, ",\"message\":", result->error_message);
  put_text(w, ",\"stack\":", result->error_stack);
  put_position(w, ",\"line\":", result->error_line);
  put_position(w, ",\"column\":", result->error_column);
  json_write(w, "}");
}

/* The producer's own text on one line: in JSON, a raw line break can only be white space between tokens. */
static void put_metadata(struct json_writer *w, const struct job *job) {
  const char *text = job->metadata.data;
  size_t len = text ? job->metadata.len : 2, from = 0;
  json_write(w, ",\"metadata\":");
  if (!text) text = "{}";
  for (size_t i = 0; i < len; i++) {
    if (text[i] != '\n' && text[i] != '\r') continue;
    json_write_bytes(w, text + from, i - from);
    json_write_bytes(w, " ", 1);
    from = i + 1;
  }
  json_write_bytes(w, text + from, len - from);
}

int job_result_to_json(const struct job_result *result, const struct job *job, char **out, size_t *out_len) {
  struct json_writer writer = {0}, *w = &writer;
  put_name(w, "{\"id\":", job->id[0] ? job->id : NULL);
  put_bool(w, ",\"success\":", result->status == ISOQ_STATUS_OK);
  put_name(w, ",\"status\":", isoq_status_name(result->status));
  if (result->result.data)
    put_text(w, ",\"result\":", result->result);
  else
    put_name(w, ",\"result\":", NULL);
  put_name(w, ",\"result_type\":", isoq_result_type_name(result->result_type));
  put_text(w, ",\"stdout\":", result->stdout_text);
  put_text(w, ",\"stderr\":", result->stderr_text);
  put_console(w, result);
  put_error(w, result);
  put_ms(w, ",\"execution_time_ms\":", result->execution_time_ms);
  put_ms(w, ",\"cpu_time_ms\":", result->cpu_time_ms);
  put_ms(w, ",\"queued_ms\":", result->queued_ms);
  json_write(w, ",\"peak_memory_bytes\":");
  json_write_uint(w, result->peak_memory_bytes);
  put_bool(w, ",\"truncated\":{\"stdout\":", result->stdout_truncated);
  put_bool(w, ",\"stderr\":", result->stderr_truncated);
  put_int(w, "},\"attempt\":", (int64_t)job->attempt + job->deaths);
  put_name(w, ",\"worker\":", result->worker);
  put_int(w, ",\"started_at_ms\":", result->started_at_ms);
  put_int(w, ",\"finished_at_ms\":", result->finished_at_ms);
  put_metadata(w, job);
  json_write(w, "}");
  char *text = json_writer_take(w, out_len);
  if (!text) return -ENOMEM;
  *out = text;
  return 0;
}
