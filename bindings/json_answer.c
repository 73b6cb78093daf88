/*
 * The marks are counted before json-c sees a byte: it spends up to 800 bytes on an empty object, which is three bytes of
 * text.
 */
#include "bindings/json_answer.h"

#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "queue/json_text.h"
#include "queue/utf8.h"

/* Of what is JSON so far; of anything else, some number. */
static size_t count_marks(const char *text, size_t len) {
  size_t marks = 0;
  bool in_string = false;
  for (size_t i = 0; i < len; i++) {
    const char c = text[i];
    if (in_string && c == '\\')
      i++;
    else if (c == '"')
      in_string = !in_string;
    else if (!in_string && (c == ',' || c == ':' || c == '[' || c == '{'))
      marks++;
  }
  return marks;
}

struct json_object *json_answer_parse(const char *text, size_t len, char problem[JSON_PROBLEM_SIZE]) {
  struct json_reader reader;
  struct json_value value;
  char where[96];

  if (utf8_check(text, len) != len) {
    snprintf(problem, JSON_PROBLEM_SIZE, "is not UTF-8, at byte %zu", utf8_check(text, len));
    return NULL;
  }
  if (count_marks(text, len) > JSON_ANSWER_MARKS_MAX) {
    snprintf(problem, JSON_PROBLEM_SIZE, "has too many values; at most %d are read", JSON_ANSWER_MARKS_MAX);
    return NULL;
  }
  if (json_reader_init(&reader, text, len, JSON_ANSWER_DEPTH_MAX) < 0) {
    snprintf(problem, JSON_PROBLEM_SIZE, "could not be read: out of memory");
    return NULL;
  }
  const enum json_read kind = json_reader_value(&reader, &value);
  if (kind == JSON_READ_OK && value.object && json_reader_peek(&reader) < 0) {
    json_reader_free(&reader);
    return value.object;
  }
  if (kind == JSON_READ_DEEP)
    snprintf(problem, JSON_PROBLEM_SIZE, "is nested too deep; at most %d levels are read",
             JSON_ANSWER_DEPTH_MAX);
  else if (kind == JSON_READ_OK && !value.object)
    snprintf(problem, JSON_PROBLEM_SIZE, "is null");
  else {
    if (kind == JSON_READ_OK) reader.problem_at = reader.pos;
    snprintf(problem, JSON_PROBLEM_SIZE, "is not JSON: %s",
             json_reader_problem(&reader, where, sizeof where));
  }
  json_value_free(&value);
  json_reader_free(&reader);
  return NULL;
}

struct json_object *json_answer_verbatim(const char *text, size_t len, char problem[JSON_PROBLEM_SIZE]) {
  struct json_object *value = json_answer_parse(text, len, problem);
  if (!value) return NULL;
  const bool is_object = json_object_is_type(value, json_type_object);
  json_object_put(value);
  if (!is_object) {
    snprintf(problem, JSON_PROBLEM_SIZE, "is not an object");
    return NULL;
  }
  struct json_object *printed = json_object_new_object();
  char *copy = printed ? strdup(text) : NULL;
  if (!copy) {
    json_object_put(printed);
    snprintf(problem, JSON_PROBLEM_SIZE, "could not be kept: out of memory");
    return NULL;
  }
  json_object_set_serializer(printed, json_object_userdata_to_json_string, copy, json_object_free_userdata);
  return printed;
}
