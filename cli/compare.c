/* Field by field, in the order in which a person would look at them. */
#include "cli/compare.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue/job.h"
#include "queue/utf8.h"

#define DEPTH (JOB_DEPTH_MAX + 8) /* metadata is the deepest part */
#define SHOWN_BEFORE 16           /* bytes, before the first that differs */
#define SHOWN_BYTES 60

struct json_object *compare_parse(const char *json, size_t len) {
  struct json_tokener *tokener = json_tokener_new_ex(DEPTH);
  if (!tokener) return NULL;
  struct json_object *result = json_tokener_parse_ex(tokener, json, (int)len);
  json_tokener_free(tokener);
  if (result && !json_object_is_type(result, json_type_object)) {
    json_object_put(result);
    return NULL;
  }
  return result;
}

static struct json_object *get(struct json_object *object, const char *name) {
  return json_object_is_type(object, json_type_object) ? json_object_object_get(object, name) : NULL;
}

static bool status_of(struct json_object *result, enum isoq_status *out) {
  struct json_object *status = get(result, "status");
  for (int i = 0; i < ISOQ_STATUS_COUNT; i++)
    if (json_object_is_type(status, json_type_string) &&
        strcmp(json_object_get_string(status), isoq_status_name((enum isoq_status)i)) == 0) {
      *out = (enum isoq_status)i;
      return true;
    }
  return false;
}

bool compare_summarise(struct json_object *result, struct compare_summary *out) {
  struct json_object *entries = get(result, "console_output");
  if (!status_of(result, &out->status)) return false;
  out->ran_ms = json_object_get_double(get(result, "execution_time_ms"));
  out->entries = json_object_is_type(entries, json_type_array) ? json_object_array_length(entries) : 0;
  return true;
}

/* ---- differences ---- */

struct text {
  const char *data;
  size_t len;
};

/* A string is itself; anything else its JSON. */
static struct text text_of(struct json_object *value) {
  size_t len;
  if (json_object_is_type(value, json_type_string))
    return (struct text){json_object_get_string(value), (size_t)json_object_get_string_len(value)};
  if (!value) return (struct text){"null", 4};
  const char *text =
      json_object_to_json_string_length(value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);
  return (struct text){text ? text : "", text ? len : 0};
}

static bool same(struct json_object *a, struct json_object *b) {
  const struct text x = text_of(a), y = text_of(b);
  return json_object_get_type(a) == json_object_get_type(b) && x.len == y.len &&
         memcmp(x.data, y.data, x.len) == 0;
}

/* The piece of `text` around `from`, in quotes if it is a string, whole characters, one line. */
static void show(FILE *out, struct json_object *value, size_t from) {
  const struct text text = text_of(value);
  const bool quoted = json_object_is_type(value, json_type_string);
  size_t at = from > SHOWN_BEFORE ? from - SHOWN_BEFORE : 0, shown = 0, step;
  while (at > 0 && at < text.len && ((unsigned char)text.data[at] & 0xC0) == 0x80)
    at--;
  if (quoted) putc('"', out);
  if (at > 0) fputs("\xe2\x80\xa6", out);
  for (; at < text.len && shown < SHOWN_BYTES; at += step, shown += step) {
    bool valid;
    step = utf8_step(text.data + at, text.len - at, &valid);
    const unsigned char c = (unsigned char)text.data[at];
    if (c == '\n')
      fputs("\\n", out);
    else if (!valid || c < 0x20 || c == 0x7f || (c == 0xc2 && (unsigned char)text.data[at + 1] < 0xa0))
      putc('?', out);
    else
      fwrite(text.data + at, 1, step, out);
  }
  if (at < text.len) fputs("\xe2\x80\xa6", out);
  if (quoted) putc('"', out);
}

/* "stdout, at byte 12: recorded …, now …" */
static char *describe(const char *field, struct json_object *a, struct json_object *b) {
  const struct text x = text_of(a), y = text_of(b);
  size_t at = 0, len;
  char *message = NULL;
  while (at < x.len && at < y.len && x.data[at] == y.data[at])
    at++;
  FILE *out = open_memstream(&message, &len);
  if (!out) return NULL;
  fputs(field, out);
  if (at > SHOWN_BEFORE) fprintf(out, ", at byte %zu", at);
  fputs(": recorded ", out);
  show(out, a, at);
  fputs(", now ", out);
  show(out, b, at);
  if (fclose(out) == 0) return message;
  free(message);
  return NULL;
}

/* Ends whose error is made of what was measured. */
static bool was_stopped(struct json_object *result) {
  enum isoq_status status = ISOQ_STATUS_OK;
  status_of(result, &status);
  return status != ISOQ_STATUS_OK && status != ISOQ_STATUS_ERROR && status != ISOQ_STATUS_OUTPUT_LIMIT;
}

char *compare_results(struct json_object *recorded, struct json_object *now, bool *failed) {
  static const struct {
    const char *path, *parent, *name;
    bool measured; /* where the run was stopped */
  } fields[] = {
      {"status", NULL, "status", false},
      {"result", NULL, "result", false},
      {"result_type", NULL, "result_type", false},
      {"error.name", "error", "name", false},
      {"error.message", "error", "message", true},
      {"error.line", "error", "line", false},
      {"error.column", "error", "column", false},
      {"error.stack", "error", "stack", false},
      {"stdout", NULL, "stdout", false},
      {"console_output", NULL, "console_output", false},
      {"stderr", NULL, "stderr", true},
      {"truncated", NULL, "truncated", false},
  };
  const bool stopped = was_stopped(recorded);
  *failed = false;
  for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
    struct json_object *a = fields[i].parent ? get(recorded, fields[i].parent) : recorded;
    struct json_object *b = fields[i].parent ? get(now, fields[i].parent) : now;
    a = get(a, fields[i].name);
    b = get(b, fields[i].name);
    if ((fields[i].measured && stopped) || same(a, b)) continue;
    char *message = describe(fields[i].path, a, b);
    *failed = !message;
    return message;
  }
  return NULL;
}
