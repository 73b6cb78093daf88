/*
 * The fields of a job, one row each: the table is what is accepted, what an unknown name is compared with,
 * and what a duplicate is found by. A field's function stores a value only when it is right, so that a job
 * with one bad field still tells its id and reply key.
 */
#include "queue/job_fields.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue/keys.h"
#include "queue/utf8.h"

#define RUN_AT_MAX_MS INT64_C(253402300799999) /* the year 9999 */
#define DEATHS_MAX 1000000
#define SEED_MAX ((INT64_C(1) << 53) - 1)

struct field {
  const char *name;
  void (*set)(struct job_parser *parser, const char *name, const struct json_value *value);
};

static const char *short_value(const struct json_value *value, char out[JOB_SHORT_FORM_MAX]) {
  return job_short_form(value->text, value->len, out);
}

static void wrong_type(struct job_parser *parser, const char *name, const struct json_value *value,
                       const char *wanted) {
  char given[JOB_SHORT_FORM_MAX];
  job_invalid(parser, "%s: %s is not %s", name, short_value(value, given), wanted);
}

/* ---- numbers ---- */

/* 1: an integer that fits; 0: a number that is one but does not fit; -1: no integer. */
static int integer_of(const struct json_value *value, int64_t *out) {
  if (json_object_is_type(value->object, json_type_double)) {
    const double number = json_object_get_double(value->object);
    if (!isfinite(number)) return 0;
    if (number != floor(number)) return -1;
    if (fabs(number) > (double)SEED_MAX) return 0;
    *out = (int64_t)number;
    return 1;
  }
  if (!json_object_is_type(value->object, json_type_int)) return -1;
  /* json-c clamps what does not fit, so the text decides. It ends where no digit follows. */
  errno = 0;
  *out = strtoll(value->text, NULL, 10);
  return errno != ERANGE;
}

/* `setting`: that the maximum comes from; "" for one that is always so. */
static bool integer_within(struct job_parser *parser, const char *name, const struct json_value *value,
                           struct job_limit limit, const char *setting, int64_t *out) {
  char given[JOB_SHORT_FORM_MAX];
  int64_t number = 0;
  const int kind = integer_of(value, &number);

  if (kind < 0) {
    job_invalid(parser, "%s: %s is not an integer; give one from %" PRId64 " to %" PRId64, name,
                short_value(value, given), limit.min, limit.max);
    return false;
  }
  if (kind == 0) {
    job_invalid(parser, "%s: %s is out of range; give an integer from %" PRId64 " to %" PRId64, name,
                short_value(value, given), limit.min, limit.max);
    return false;
  }
  if (number > limit.max) {
    job_invalid(parser,
                *setting ? "%s: %s is over this worker's maximum %" PRId64 " (%s)"
                         : "%s: %s is over the maximum %" PRId64 "%s",
                name, short_value(value, given), limit.max, setting);
    return false;
  }
  if (number < limit.min) {
    job_invalid(parser, "%s: %s is under the minimum %" PRId64, name, short_value(value, given), limit.min);
    return false;
  }
  *out = number;
  return true;
}

#define NUMBER_FIELD(field, type)                                                                            \
  static void set_##field(struct job_parser *parser, const char *name, const struct json_value *value) {     \
    int64_t number;                                                                                          \
    if (integer_within(parser, name, value, parser->limits->field, "max_" #field, &number))                  \
      parser->job->field = (type)number;                                                                     \
  }
NUMBER_FIELD(timeout_ms, uint32_t)
NUMBER_FIELD(cpu_ms, uint32_t)
NUMBER_FIELD(memory_mb, uint32_t)
NUMBER_FIELD(max_output_bytes, uint64_t)
NUMBER_FIELD(reply_ttl_s, uint32_t)
NUMBER_FIELD(max_attempts, uint32_t)
NUMBER_FIELD(backoff_ms, uint32_t)
NUMBER_FIELD(delay_ms, int64_t)

static void set_run_at_ms(struct job_parser *parser, const char *name, const struct json_value *value) {
  int64_t number;
  if (integer_within(parser, name, value, (struct job_limit){0, 0, RUN_AT_MAX_MS}, "", &number))
    parser->job->run_at_ms = number;
}

static void set_seed(struct job_parser *parser, const char *name, const struct json_value *value) {
  int64_t number;
  if (!integer_within(parser, name, value, (struct job_limit){0, 0, SEED_MAX}, "", &number)) return;
  parser->job->has_seed = true;
  parser->job->seed = (uint64_t)number;
}

/* ---- strings ---- */

/* A string without control characters, min to max bytes long; NULL when it is something else (and noted). */
static const char *plain_string(struct job_parser *parser, const char *name, const struct json_value *value,
                                size_t min, size_t max) {
  char given[JOB_SHORT_FORM_MAX];
  if (!json_object_is_type(value->object, json_type_string)) {
    wrong_type(parser, name, value, "a string");
    return NULL;
  }
  const char *text = json_object_get_string(value->object);
  const size_t len = (size_t)json_object_get_string_len(value->object);
  if (len < min || len > max) {
    job_invalid(parser, "%s: %s is %zu bytes long; %zu to %zu are allowed", name, short_value(value, given),
                len, min, max);
    return NULL;
  }
  for (size_t i = 0; i < len; i++)
    if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) {
      job_invalid(parser, "%s: %s holds a control character", name, short_value(value, given));
      return NULL;
    }
  return text;
}

static void set_id(struct job_parser *parser, const char *name, const struct json_value *value) {
  char given[JOB_SHORT_FORM_MAX];
  parser->id_given = true;
  if (json_object_is_type(value->object, json_type_string)) {
    const char *id = json_object_get_string(value->object);
    const size_t len = (size_t)json_object_get_string_len(value->object);
    if (job_id_valid(id, len)) {
      memcpy(parser->job->id, id, len + 1);
      return;
    }
  }
  job_invalid(parser, "%s: %s is no id; an id is a string of 1 to %d letters, digits and . _ : -", name,
              short_value(value, given), JOB_ID_MAX);
}

static void set_tenant(struct job_parser *parser, const char *name, const struct json_value *value) {
  const char *tenant = plain_string(parser, name, value, 0, JOB_TENANT_MAX);
  if (tenant) memcpy(parser->job->tenant, tenant, strlen(tenant) + 1);
}

static void set_reply_to(struct job_parser *parser, const char *name, const struct json_value *value) {
  char given[JOB_SHORT_FORM_MAX];
  const char *key = plain_string(parser, name, value, 1, JOB_REPLY_TO_MAX);
  if (!key) return;
  if (parser->prefix && key_is_reserved(parser->prefix, parser->queue, key)) {
    job_invalid(parser,
                "%s: %s is one of isoq's own keys; name a key outside %s:{...}, or one below %s:{%s}:reply:",
                name, short_value(value, given), parser->prefix, parser->prefix, parser->queue);
    return;
  }
  parser->job->reply_to = strdup(key);
  if (!parser->job->reply_to) parser->no_memory = true;
}

static void set_code(struct job_parser *parser, const char *name, const struct json_value *value) {
  if (!json_object_is_type(value->object, json_type_string)) {
    wrong_type(parser, name, value, "a string; code is JavaScript text such as \"2 + 2\"");
    return;
  }
  const int64_t len = json_object_get_string_len(value->object);
  if (len > parser->limits->max_code_bytes) {
    job_invalid(parser, "%s: %" PRId64 " bytes are over this worker's maximum %" PRId64 " (max_code_bytes)",
                name, len, parser->limits->max_code_bytes);
    return;
  }
  parser->job->code = (struct job_span){value->text, value->len};
}

/* ---- JSON that is passed on ---- */

static bool json_fits(struct job_parser *parser, const char *name, const struct json_value *value) {
  if ((int64_t)value->len <= parser->limits->max_input_bytes) return true;
  job_invalid(parser, "%s: %zu bytes of JSON are over this worker's maximum %" PRId64 " (max_input_bytes)",
              name, value->len, parser->limits->max_input_bytes);
  return false;
}

static void set_input(struct job_parser *parser, const char *name, const struct json_value *value) {
  if (json_fits(parser, name, value)) parser->job->input = (struct job_span){value->text, value->len};
}

static void set_metadata(struct job_parser *parser, const char *name, const struct json_value *value) {
  if (!json_object_is_type(value->object, json_type_object)) {
    wrong_type(parser, name, value, "an object");
    return;
  }
  if (json_fits(parser, name, value)) parser->job->metadata = (struct job_span){value->text, value->len};
}

/* ---- the rest ---- */

static void set_capture_console(struct job_parser *parser, const char *name, const struct json_value *value) {
  if (!json_object_is_type(value->object, json_type_boolean))
    wrong_type(parser, name, value, "true or false");
  else
    parser->job->capture_console = json_object_get_boolean(value->object);
}

static void set_isolation(struct job_parser *parser, const char *name, const struct json_value *value) {
  const char *text =
      json_object_is_type(value->object, json_type_string) ? json_object_get_string(value->object) : "";
  if (strcmp(text, "process") == 0)
    parser->job->own_process = true;
  else if (strcmp(text, "isolate") == 0)
    parser->job->own_process = false;
  else
    wrong_type(parser, name, value, "\"isolate\" or \"process\"");
}

/* What a name in `bindings` stands for; 0, with the reason noted, where it is not to be had here. */
static uint32_t function_bit(struct job_parser *parser, const char *name, struct json_object *item) {
  const struct job_limits *limits = parser->limits;
  const char *text =
      json_object_to_json_string_ext(item, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
  char given[JOB_SHORT_FORM_MAX], known[512] = "none";
  size_t n = 0;

  job_short_form(text ? text : "null", text ? strlen(text) : 4, given);
  if (!json_object_is_type(item, json_type_string)) {
    job_invalid(parser, "%s: %s is not a name; give an array of strings", name, given);
    return 0;
  }
  for (size_t i = 0; i < limits->function_count; i++) {
    if (!(limits->functions_allowed & UINT32_C(1) << i)) continue;
    if (strcmp(json_object_get_string(item), limits->functions[i]) == 0) return UINT32_C(1) << i;
    n += (size_t)snprintf(known + n, sizeof known - n, "%s%s", n ? ", " : "", limits->functions[i]);
  }
  job_invalid(parser, "%s: %s is no host function of this worker; it has: %s", name, given, known);
  return 0;
}

static void set_bindings(struct job_parser *parser, const char *name, const struct json_value *value) {
  uint32_t functions = 0;

  if (!json_object_is_type(value->object, json_type_array)) {
    wrong_type(parser, name, value, "an array of names");
    return;
  }
  for (size_t i = 0; i < json_object_array_length(value->object) && !parser->job->error; i++)
    functions |= function_bit(parser, name, json_object_array_get_idx(value->object, i));
  parser->job->functions = functions;
}

static void set_record(struct job_parser *parser, const char *name, const struct json_value *value) {
  if (!json_object_is_type(value->object, json_type_boolean))
    wrong_type(parser, name, value, "true or false");
  else
    parser->job->record = json_object_get_boolean(value->object);
}

/* ---- the workers' note ---- */

static bool note_number(const struct json_value *value, const char *name, uint32_t min, uint32_t *out) {
  struct json_object *number = json_object_object_get(value->object, name);
  if (!number) return true;
  if (!json_object_is_type(number, json_type_int)) return false;
  const int64_t n = json_object_get_int64(number);
  if (n < min || n > DEATHS_MAX) return false;
  *out = (uint32_t)n;
  return true;
}

/* Anywhere but where workers put it, it is somebody's mistake. */
static void set_isoq(struct job_parser *parser, const char *name, const struct json_value *value) {
  struct job *job = parser->job;
  const size_t at = sizeof JOB_NOTE_START - 1;
  if (!json_object_is_type(value->object, json_type_object) || job->payload_len < at ||
      memcmp(job->payload, JOB_NOTE_START, at) != 0 || value->text != job->payload + at - 1 ||
      !note_number(value, "deaths", 0, &job->deaths) || !note_number(value, "attempt", 1, &job->attempt)) {
    job_invalid(parser, "%s: reserved for what workers note on a job; leave it out", name);
    return;
  }
  job->delayed = json_object_get_boolean(json_object_object_get(value->object, "delayed"));
  job->note_len = at - 1 + value->len;
}

static const struct field fields[] = {
    {"id", set_id},
    {"code", set_code},
    {"input", set_input},
    {"timeout_ms", set_timeout_ms},
    {"cpu_ms", set_cpu_ms},
    {"memory_mb", set_memory_mb},
    {"max_output_bytes", set_max_output_bytes},
    {"capture_console", set_capture_console},
    {"bindings", set_bindings},
    {"tenant", set_tenant},
    {"reply_to", set_reply_to},
    {"reply_ttl_s", set_reply_ttl_s},
    {"max_attempts", set_max_attempts},
    {"backoff_ms", set_backoff_ms},
    {"delay_ms", set_delay_ms},
    {"run_at_ms", set_run_at_ms},
    {"isolation", set_isolation},
    {"seed", set_seed},
    {"record", set_record},
    {"metadata", set_metadata},
    {JOB_NOTE_FIELD, set_isoq},
};
#define FIELD_COUNT (sizeof fields / sizeof fields[0])
_Static_assert(FIELD_COUNT <= 32, "job_parser.seen has 32 bits");

/* ---- names ---- */

/* Edits from a to b, small strings only; both shorter than 32 bytes. */
static unsigned edit_distance(const char *a, size_t a_len, const char *b, size_t b_len) {
  unsigned row[33];
  for (unsigned j = 0; j <= b_len; j++)
    row[j] = j;
  for (unsigned i = 1; i <= a_len; i++) {
    unsigned diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b_len; j++) {
      unsigned best = diagonal + ((a[i - 1] | 0x20) != (b[j - 1] | 0x20));
      diagonal = row[j];
      if (row[j] + 1 < best) best = row[j] + 1;
      if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
      row[j] = best;
    }
  }
  return row[b_len];
}

static const char *nearest_field(const char *name, size_t len) {
  const char *nearest = NULL;
  unsigned least = 3;
  if (len == 0 || len > 31) return NULL;
  for (size_t i = 0; i < FIELD_COUNT - 1; i++) { /* the last one is not for producers */
    const unsigned distance = edit_distance(name, len, fields[i].name, strlen(fields[i].name));
    if (distance < least && distance < len) {
      least = distance;
      nearest = fields[i].name;
    }
  }
  return nearest;
}

static void unknown_field(struct job_parser *parser, const char *name, size_t len, struct job_span key_text) {
  char given[JOB_SHORT_FORM_MAX], known[512];
  const char *near = nearest_field(name, len);
  size_t n = 0;
  for (size_t i = 0; i < FIELD_COUNT - 1; i++)
    n += (size_t)snprintf(known + n, sizeof known - n, "%s%s", i ? ", " : "", fields[i].name);
  job_short_form(key_text.data, key_text.len, given);
  if (near)
    job_invalid(parser, "%s: unknown field (did you mean \"%s\"? known fields: %s)", given, near, known);
  else
    job_invalid(parser, "%s: unknown field (known fields: %s)", given, known);
}

/* The field of that name when it is known and given for the first time; else NULL, with the reason noted. */
static const struct field *claim_field(struct job_parser *parser, const char *name, size_t len,
                                       struct job_span key_text) {
  for (size_t i = 0; i < FIELD_COUNT; i++) {
    if (strlen(fields[i].name) != len || memcmp(fields[i].name, name, len) != 0) continue;
    if (parser->seen & (1u << i)) {
      job_invalid(parser, "%s: given twice; give each field once", fields[i].name);
      return NULL;
    }
    parser->seen |= 1u << i;
    return &fields[i];
  }
  unknown_field(parser, name, len, key_text);
  return NULL;
}

void job_field_set(struct job_parser *parser, const char *name, size_t name_len, struct job_span key_text,
                   const struct json_value *value) {
  const struct field *field = claim_field(parser, name, name_len, key_text);
  if (field) field->set(parser, field->name, value);
}

void job_field_unusable(struct job_parser *parser, const char *name, size_t name_len,
                        struct job_span key_text, const char *problem) {
  const struct field *field = claim_field(parser, name, name_len, key_text);
  if (!field) return;
  if (strcmp(field->name, "id") == 0) parser->id_given = true;
  job_invalid(parser, "%s: %s", field->name, problem);
}
