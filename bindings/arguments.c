/*
 * json-c parses, after queue/json_text.c's strict reading, so that nothing passes here which JSON.stringify
 * does not write. Then one loop over the row's arguments: where the value of each stands is all that the two
 * forms differ in.
 *
 * A message always ends with both forms of the call. It is long for a person, but it is read once, and a
 * language model that sees it needs no second look at the documentation.
 */
#include "bindings/arguments.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "config/nearest.h"
#include "queue/json_text.h"
#include "queue/utf8.h"

#define DEPTH_MAX 8         /* an object in an array is 2; more never fits a type, but its excerpt is shown */
#define TIME_MS_MAX 8.64e15 /* of a Date */
#define SECONDS_FROM INT64_C(100000000) /* 1973 in seconds, the second day of 1970 in milliseconds */
#define SECONDS_BELOW INT64_C(100000000000)
#define TIME_FORMS "milliseconds since 1970, a Date, or ISO 8601 text"

struct parser {
  const struct binding_row *row;
  struct binding_error *error;
};

const char *binding_excerpt(const char *text, size_t len, char out[BINDING_EXCERPT_SIZE]) {
  return utf8_excerpt(text, len, out, BINDING_EXCERPT_SIZE);
}

/* ---- messages ---- */

static void put(char *out, size_t *used, const char *format, ...) {
  va_list args;
  va_start(args, format);
  const int n = vsnprintf(out + *used, BINDING_MESSAGE_SIZE - *used, format, args);
  va_end(args);
  if (n > 0) *used += (size_t)n;
  if (*used >= BINDING_MESSAGE_SIZE) *used = BINDING_MESSAGE_SIZE - 1;
}

static void put_forms(const struct binding_row *row, char *out, size_t *used) {
  put(out, used, "; call %s(", row->name);
  for (size_t i = 0; i < row->argument_count; i++)
    put(out, used, "%s%s", i ? ", " : "", row->arguments[i].name);
  put(out, used, ") or %s({", row->name);
  for (size_t i = 0; i < row->argument_count; i++)
    put(out, used, "%s, ", row->arguments[i].name);
  put(out, used, "limit})");
}

__attribute__((format(printf, 3, 4))) static int wrong(struct parser *parser, const char *error_name,
                                                       const char *format, ...) {
  char *message = parser->error->message;
  size_t used = 0;
  va_list args;

  parser->error->name = error_name;
  put(message, &used, "%s: ", parser->row->name);
  va_start(args, format);
  /* What varies in it are excerpts and names of ours: it leaves room for the forms. */
  const int n = vsnprintf(message + used, BINDING_MESSAGE_SIZE / 2, format, args);
  va_end(args);
  if (n > 0) used += (size_t)n < BINDING_MESSAGE_SIZE / 2 ? (size_t)n : BINDING_MESSAGE_SIZE / 2 - 1;
  put_forms(parser->row, message, &used);
  return -EINVAL;
}

static const char *value_excerpt(struct json_object *value, char out[BINDING_EXCERPT_SIZE]) {
  size_t len;
  const char *text =
      json_object_to_json_string_length(value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);
  return text ? binding_excerpt(text, len, out) : "it";
}

static int wrong_value(struct parser *parser, const char *name, struct json_object *value, const char *what) {
  char excerpt[BINDING_EXCERPT_SIZE];
  return wrong(parser, "TypeError", "%s: %s is %s", name, value_excerpt(value, excerpt), what);
}

/* ---- times ---- */

/* Exactly `count` digits. */
static bool take_digits(const char **at, int count, int *out) {
  int value = 0;
  for (int i = 0; i < count; i++, (*at)++) {
    if (**at < '0' || **at > '9') return false;
    value = value * 10 + (**at - '0');
  }
  *out = value;
  return true;
}

static bool take(const char **at, char c) {
  if (**at != c) return false;
  (*at)++;
  return true;
}

/* Milliseconds of ".123", of which any number of digits may be there. */
static bool take_fraction(const char **at, int *ms) {
  int scale = 100;
  *ms = 0;
  if (**at != '.' && **at != ',') return true;
  (*at)++;
  if (**at < '0' || **at > '9') return false;
  for (; **at >= '0' && **at <= '9'; (*at)++, scale /= 10)
    *ms += (**at - '0') * scale;
  return true;
}

static bool take_zone(const char **at, int *minutes) {
  int hour, minute;
  *minutes = 0;
  if (**at == '\0' || take(at, 'Z')) return true;
  const int sign = **at == '-' ? -1 : 1;
  if (**at != '+' && **at != '-') return false;
  (*at)++;
  if (!take_digits(at, 2, &hour)) return false;
  take(at, ':');
  if (!take_digits(at, 2, &minute) || hour > 23 || minute > 59) return false;
  *minutes = sign * (hour * 60 + minute);
  return true;
}

/* 2026-11-22, 2026-11-22T10:00, with :00, with .000, with Z or +01:00. */
static bool time_from_text(const char *at, int64_t *time_ms) {
  struct tm tm = {0};
  int ms = 0, zone_minutes = 0;

  if (!take_digits(&at, 4, &tm.tm_year) || !take(&at, '-') || !take_digits(&at, 2, &tm.tm_mon) ||
      !take(&at, '-') || !take_digits(&at, 2, &tm.tm_mday))
    return false;
  if (*at) {
    if (!take(&at, 'T') && !take(&at, ' ')) return false;
    if (!take_digits(&at, 2, &tm.tm_hour) || !take(&at, ':') || !take_digits(&at, 2, &tm.tm_min))
      return false;
    if (take(&at, ':') && (!take_digits(&at, 2, &tm.tm_sec) || !take_fraction(&at, &ms))) return false;
    if (!take_zone(&at, &zone_minutes) || *at) return false;
  }
  if (tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 59) return false;
  tm.tm_year -= 1900;
  tm.tm_mon -= 1;
  const struct tm said = tm;
  const int64_t seconds = timegm(&tm); /* puts a 30th of February right, which is how it is found */
  if (tm.tm_mon != said.tm_mon || tm.tm_mday != said.tm_mday) return false;
  *time_ms = (seconds - zone_minutes * INT64_C(60)) * 1000 + ms;
  return true;
}

static int set_time(struct parser *parser, const char *name, struct json_object *value,
                    struct binding_value *out) {
  const enum json_type type = json_object_get_type(value);
  if (type == json_type_string) {
    const char *text = json_object_get_string(value);
    if (strlen(text) != (size_t)json_object_get_string_len(value) || !time_from_text(text, &out->time_ms))
      return wrong_value(parser, name, value, "not a time; give " TIME_FORMS);
  } else if (type == json_type_int || type == json_type_double) {
    const double ms = json_object_get_double(value);
    if (!(fabs(ms) <= TIME_MS_MAX)) return wrong_value(parser, name, value, "not a time; give " TIME_FORMS);
    out->time_ms = (int64_t)ms;
    if ((double)out->time_ms != ms)
      return wrong_value(parser, name, value, "not a whole number of milliseconds");
    if (out->time_ms >= SECONDS_FROM && out->time_ms < SECONDS_BELOW)
      return wrong_value(parser, name, value,
                         "in seconds, as it seems; multiply by 1000: times are milliseconds since 1970");
  } else {
    return wrong_value(parser, name, value, "not a time; give " TIME_FORMS);
  }
  if (out->time_ms < 0) return wrong_value(parser, name, value, "before 1970");
  out->given = true;
  return 0;
}

/* ---- texts ---- */

static bool only(const char *text, size_t len_max, const char *also, bool capitals) {
  size_t len = 0;
  for (; text[len]; len++) {
    const char c = text[len];
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (capitals && c >= 'A' && c <= 'Z') ||
          strchr(also, c)))
      return false;
  }
  return len >= 1 && len <= len_max;
}

/* Twelve digits, or what may be a name: no number that is mistyped, and no ARN. */
static bool is_account(const char *text) {
  const size_t len = strlen(text), digits = strspn(text, "0123456789");
  if (digits == len) return len == BINDING_ACCOUNT_DIGITS;
  if (len > BINDING_ACCOUNT_NAME_MAX || strchr(text, ':')) return false;
  for (size_t i = 0; i < len; i++)
    if ((unsigned char)text[i] < ' ' || text[i] == 0x7f) return false;
  return true;
}

static int set_text(struct parser *parser, const struct binding_argument *argument, struct json_object *value,
                    struct binding_value *out) {
  const char *name = argument->name;
  if (json_object_get_type(value) != json_type_string)
    return wrong_value(parser, name, value,
                       argument->type == BINDING_ACCOUNT ? "not a string of 12 digits, or a name"
                                                         : "not a string");
  const char *text = json_object_get_string(value);
  const size_t len = strlen(text);
  if (len != (size_t)json_object_get_string_len(value))
    return wrong_value(parser, name, value, "not usable: it has a NUL");
  if (len > BINDING_STRING_MAX)
    return wrong(parser, "TypeError", "%s: a text of %zu bytes; at most %d are allowed", name, len,
                 BINDING_STRING_MAX);
  if (len == 0 || (argument->type == BINDING_ACCOUNT && strcmp(text, "self") == 0))
    return argument->required ? wrong(parser, "TypeError", "%s is empty", name) : 0;
  if (argument->type == BINDING_ACCOUNT && !is_account(text))
    return wrong_value(parser, name, value, "not an account; give its 12 digits, its name, or 'self'");
  if (argument->type == BINDING_REGION && !only(text, 32, "-", false))
    return wrong_value(parser, name, value, "not a region; give one such as 'us-east-1'");
  out->text = strdup(text);
  if (!out->text) return -ENOMEM;
  out->given = true;
  return 0;
}

/* ---- forms ---- */

static int set_value(struct parser *parser, size_t i, struct json_object *value,
                     struct binding_values *values) {
  const struct binding_argument *argument = &parser->row->arguments[i];
  if (!value) return argument->required ? wrong(parser, "TypeError", "%s is missing", argument->name) : 0;
  return argument->type == BINDING_TIME ? set_time(parser, argument->name, value, &values->of[i])
                                        : set_text(parser, argument, value, &values->of[i]);
}

static int set_limit(struct parser *parser, struct json_object *value, struct binding_values *values) {
  char excerpt[BINDING_EXCERPT_SIZE];
  const enum json_type type = json_object_get_type(value);
  if (value && type != json_type_int && type != json_type_double)
    return wrong(parser, "TypeError", "limit: %s is not a number from 1 to %d", value_excerpt(value, excerpt),
                 BINDING_LIMIT_MAX);
  const double limit = value ? json_object_get_double(value) : 0;
  if (!(limit >= 1 && limit <= BINDING_LIMIT_MAX && limit == floor(limit)))
    return wrong(parser, "TypeError", "limit: %s is not a whole number from 1 to %d",
                 value_excerpt(value, excerpt), BINDING_LIMIT_MAX);
  values->limit = (uint32_t)limit;
  return 0;
}

static int unknown_member(struct parser *parser, const char *name) {
  char excerpt[BINDING_EXCERPT_SIZE];
  struct nearest nearest = nearest_start(name);
  for (size_t i = 0; i < parser->row->argument_count; i++)
    nearest_try(&nearest, parser->row->arguments[i].name);
  nearest_try(&nearest, "limit");
  binding_excerpt(name, strlen(name), excerpt);
  if (nearest.best)
    return wrong(parser, "TypeError", "%s is not an argument (did you mean %s?)", excerpt, nearest.best);
  return wrong(parser, "TypeError", "%s is not an argument", excerpt);
}

static int parse_object(struct parser *parser, struct json_object *object, struct binding_values *values) {
  const struct binding_row *row = parser->row;
  json_object_object_foreach(object, key, member) {
    size_t i = 0;
    int rc = 0;
    while (i < row->argument_count && strcmp(row->arguments[i].name, key) != 0)
      i++;
    if (strcmp(key, "limit") == 0)
      rc = set_limit(parser, member, values);
    else if (i == row->argument_count)
      rc = unknown_member(parser, key);
    else if (!member && row->arguments[i].type == BINDING_TIME)
      rc = wrong(parser, "TypeError", "%s: null is not a time; leave it out, or give " TIME_FORMS, key);
    else if (member)
      rc = set_value(parser, i, member, values);
    if (rc < 0) return rc;
  }
  for (size_t i = 0; i < row->argument_count; i++)
    if (row->arguments[i].required && !values->of[i].given)
      return wrong(parser, "TypeError", "%s is missing", row->arguments[i].name);
  return 0;
}

static int parse_array(struct parser *parser, struct json_object *array, struct binding_values *values) {
  const size_t count = json_object_array_length(array);
  struct json_object *first = count ? json_object_array_get_idx(array, 0) : NULL;

  if (count == 1 && json_object_get_type(first) == json_type_object)
    return parse_object(parser, first, values);
  for (size_t i = 0; i < parser->row->argument_count; i++) {
    const int rc = set_value(parser, i, i < count ? json_object_array_get_idx(array, i) : NULL, values);
    if (rc < 0) return rc;
  }
  if (count > parser->row->argument_count)
    return wrong(parser, "TypeError", "too many arguments: %zu instead of %zu", count,
                 parser->row->argument_count);
  return 0;
}

/* Two times are the ends of a range, in the order of the row. */
static int check_range(struct parser *parser, const struct binding_values *values) {
  const struct binding_row *row = parser->row;
  size_t first = row->argument_count;

  for (size_t i = 0; i < row->argument_count; i++) {
    if (row->arguments[i].type != BINDING_TIME || !values->of[i].given) continue;
    if (first == row->argument_count)
      first = i;
    else if (values->of[first].time_ms > values->of[i].time_ms)
      return wrong(parser, "TypeError", "%s (%" PRId64 ") is later than %s (%" PRId64 ")",
                   row->arguments[first].name, values->of[first].time_ms, row->arguments[i].name,
                   values->of[i].time_ms);
  }
  return 0;
}

/* Of an executor that is not what it was: a script's stub cannot send it. */
static int not_arguments(struct parser *parser, const char *what) {
  parser->error->name = "BindingError";
  snprintf(parser->error->message, sizeof parser->error->message,
           "%s: the arguments are %s; they are sent as a JSON array", parser->row->name, what);
  return -EINVAL;
}

static int read_array(struct parser *parser, struct json_reader *reader, struct binding_values *values) {
  struct json_value value = {0};
  char problem[96], what[128];
  const enum json_read kind = json_reader_value(reader, &value);
  int rc;

  if (kind == JSON_READ_DEEP) {
    rc = wrong(parser, "TypeError", "an argument is nested too deep");
  } else if (kind != JSON_READ_OK || json_reader_peek(reader) >= 0) {
    if (kind == JSON_READ_OK) reader->problem_at = reader->pos;
    snprintf(what, sizeof what, "not JSON: %s", json_reader_problem(reader, problem, sizeof problem));
    rc = not_arguments(parser, what);
  } else if (json_object_get_type(value.object) != json_type_array) {
    rc = not_arguments(parser, "no array");
  } else {
    rc = parse_array(parser, value.object, values);
    if (rc == 0) rc = check_range(parser, values);
  }
  json_value_free(&value);
  return rc;
}

int binding_arguments_parse(const struct binding_row *row, const char *json, size_t len,
                            struct binding_values *values, struct binding_error *error) {
  struct parser parser = {.row = row, .error = error};
  struct binding_values read = {.limit = BINDING_LIMIT_DEFAULT};
  struct json_reader reader;

  if (len > BINDING_ARGUMENTS_BYTES_MAX)
    return wrong(&parser, "TypeError", "%zu bytes of arguments; at most %u are allowed", len,
                 BINDING_ARGUMENTS_BYTES_MAX);
  if (utf8_check(json, len) != len) return not_arguments(&parser, "not UTF-8");
  char *text = malloc(len + 1); /* the reader wants a NUL behind it */
  if (!text) return -ENOMEM;
  memcpy(text, json, len);
  text[len] = '\0';
  int rc = json_reader_init(&reader, text, len, DEPTH_MAX);
  if (rc == 0) {
    rc = read_array(&parser, &reader, &read);
    json_reader_free(&reader);
  }
  free(text);
  if (rc < 0) {
    binding_values_clear(&read);
    return rc;
  }
  *values = read;
  return 0;
}

void binding_values_clear(struct binding_values *values) {
  for (size_t i = 0; i < BINDING_ARGUMENTS_MAX; i++)
    free(values->of[i].text);
  *values = (struct binding_values){0};
}
