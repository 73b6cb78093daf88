/* Member by member, by the same reader that reads jobs: the job's own text is what is queued again. */
#include "cli/letter.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue/json_text.h"

#define LETTER_DEPTH (JOB_DEPTH_MAX + 8) /* a job, or a result with metadata, and the letter around it */

static char *copy(const char *data, size_t len) {
  char *text = malloc(len + 1);
  if (!text) return NULL;
  memcpy(text, data, len);
  text[len] = 0;
  return text;
}

static int take_result(struct letter *letter, const struct json_value *value) {
  struct json_object *status;
  if (!json_object_is_type(value->object, json_type_object)) return 0;
  letter->result = (struct job_span){value->text, value->len};
  if (json_object_object_get_ex(value->object, "status", &status) &&
      json_object_is_type(status, json_type_string))
    snprintf(letter->status, sizeof letter->status, "%s", json_object_get_string(status));
  return 0;
}

static int take_job(struct letter *letter, const struct json_value *value) {
  const bool is_string = json_object_is_type(value->object, json_type_string);
  if (letter->pushed) return 0;
  letter->job_is_object = json_object_is_type(value->object, json_type_object);
  if (!letter->job_is_object && !is_string) return -EINVAL;
  letter->job = (struct job_span){value->text, value->len};
  letter->pushed_len = is_string ? (size_t)json_object_get_string_len(value->object) : value->len;
  letter->pushed = copy(is_string ? json_object_get_string(value->object) : value->text, letter->pushed_len);
  return letter->pushed ? 0 : -ENOMEM;
}

static int take_reason(struct letter *letter, const struct json_value *value) {
  if (letter->reason || !json_object_is_type(value->object, json_type_string)) return 0;
  letter->reason_len = (size_t)json_object_get_string_len(value->object);
  letter->reason = copy(json_object_get_string(value->object), letter->reason_len);
  return letter->reason ? 0 : -ENOMEM;
}

static int take_member(struct letter *letter, const char *name, const struct json_value *value) {
  if (strcmp(name, "job") == 0) return take_job(letter, value);
  if (strcmp(name, "result") == 0) return take_result(letter, value);
  if (strcmp(name, "reason") == 0) return take_reason(letter, value);
  if (strcmp(name, "at") == 0) letter->at_ms = json_object_get_int64(value->object);
  return 0; /* of a later version */
}

static int read_members(struct json_reader *reader, struct letter *letter) {
  int rc = json_reader_take(reader, '{') ? 0 : -EINVAL;
  while (rc == 0) {
    struct json_value key = {0}, value = {0};
    rc = -EINVAL;
    if (json_reader_peek(reader) == '"' && json_reader_value(reader, &key) == JSON_READ_OK &&
        json_reader_take(reader, ':') && json_reader_value(reader, &value) == JSON_READ_OK)
      rc = take_member(letter, json_object_get_string(key.object), &value);
    json_value_free(&key);
    json_value_free(&value);
    if (rc || json_reader_peek(reader) != ',') break;
    reader->pos++;
  }
  if (rc == 0 && (!json_reader_take(reader, '}') || json_reader_peek(reader) >= 0 || !letter->pushed))
    rc = -EINVAL;
  return rc;
}

/* The job's id, and the payload as its producer pushed it. */
static int read_job(struct letter *letter, const struct job_limits *limits, const char *prefix,
                    const char *queue) {
  struct job *job;
  int rc = job_parse(letter->pushed, letter->pushed_len, limits, prefix, queue, &job);
  if (rc) return rc;
  snprintf(letter->id, sizeof letter->id, "%s", job->id);
  letter->problem = job->error;
  job->error = NULL;
  size_t len;
  char *original = job_payload_original(job, &len);
  job_free(job);
  if (!original) return -ENOMEM;
  free(letter->pushed);
  letter->pushed = original;
  letter->pushed_len = len;
  return 0;
}

int letter_parse(const char *text, size_t len, const struct job_limits *limits, const char *prefix,
                 const char *queue, struct letter *out) {
  struct json_reader reader;
  struct letter letter = {0};

  int rc = json_reader_init(&reader, text, len, LETTER_DEPTH);
  if (rc) return rc;
  rc = read_members(&reader, &letter);
  json_reader_free(&reader);
  if (rc == 0) rc = read_job(&letter, limits, prefix, queue);
  if (rc == 0 && !letter.reason) {
    letter.reason = strdup("");
    if (!letter.reason) rc = -ENOMEM;
  }
  if (rc)
    letter_free(&letter);
  else
    *out = letter;
  return rc;
}

void letter_free(struct letter *letter) {
  free(letter->pushed);
  free(letter->reason);
  free(letter->problem);
  *letter = (struct letter){0};
}
