/*
 * Two passes over a value: json-c says whether the structure is right and where it ends, and
 * json_lexical_check() looks at each token of that extent for what json-c is lax about. Since the structure
 * is right by then, the second pass needs no stack and no grammar, only tokens. tests/test_job.c has the list
 * of edge cases; run it when json-c changes.
 */
#include "queue/json_text.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue/json_write.h"
#include "queue/utf8.h"

#define SIMPLE_DIGITS 15

static bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}
static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

static size_t digits(const char *s, size_t i, size_t len) {
  while (i < len && is_digit(s[i]))
    i++;
  return i;
}

/* Where the JSON number at s[i] ends; i itself when there is none, or a malformed one. */
static size_t number_end(const char *s, size_t i, size_t len) {
  const size_t start = i;
  size_t end;
  if (i < len && s[i] == '-') i++;
  end = digits(s, i, len);
  if (end == i || (s[i] == '0' && end - i > 1)) return start;
  i = end;
  if (i < len && s[i] == '.') {
    end = digits(s, i + 1, len);
    if (end == i + 1) return start;
    i = end;
  }
  if (i < len && (s[i] == 'e' || s[i] == 'E')) {
    i++;
    if (i < len && (s[i] == '+' || s[i] == '-')) i++;
    end = digits(s, i, len);
    if (end == i) return start;
    i = end;
  }
  return i;
}

static size_t literal_end(const char *s, size_t i, size_t len) {
  static const char *const literals[] = {"true", "false", "null"};
  for (size_t k = 0; k < sizeof literals / sizeof literals[0]; k++) {
    const size_t n = strlen(literals[k]);
    if (len - i >= n && memcmp(s + i, literals[k], n) == 0) return i + n;
  }
  return i;
}

/* A number or a literal is over there: what follows can be no part of it. */
static bool ends_value(const char *s, size_t end, size_t len) {
  return end == len || is_space(s[end]) || s[end] == ',' || s[end] == '}' || s[end] == ']';
}

/* Past the closing quote of the string at s[i]; or *bad is the offset of a control character, or of the end.
 */
static size_t string_end(const char *s, size_t i, size_t len, size_t *bad) {
  for (i++; i < len; i++) {
    if ((unsigned char)s[i] < 0x20) break;
    if (s[i] == '"') return i + 1;
    if (s[i] == '\\') i++; /* json-c has checked the escape */
  }
  *bad = i < len ? i : len;
  return 0;
}

/* Offset of the first byte that JSON does not allow there, len when there is none. */
static size_t json_lexical_check(const char *s, size_t len) {
  for (size_t i = 0; i < len;) {
    size_t end, bad;
    if (is_space(s[i]) || (s[i] && strchr("[]{},:", s[i])))
      end = i + 1;
    else if (s[i] == '"') {
      end = string_end(s, i, len, &bad);
      if (!end) return bad;
    } else if (s[i] == '-' || is_digit(s[i]))
      end = number_end(s, i, len);
    else
      end = literal_end(s, i, len);
    if (end == i) return i;
    i = end;
  }
  return len;
}

/* The end of a bracketed value that is too deep for json-c, by counting; 0 when it does not end. */
static size_t bracketed_end(const char *s, size_t i, size_t len) {
  for (size_t depth = 0, bad; i < len;) {
    if (s[i] == '"') {
      i = string_end(s, i, len, &bad);
      if (!i) return 0;
      continue;
    }
    if (s[i] == '[' || s[i] == '{') depth++;
    if ((s[i] == ']' || s[i] == '}') && --depth == 0) return i + 1;
    i++;
  }
  return 0;
}

int json_reader_init(struct json_reader *reader, const char *text, size_t len, int depth) {
  *reader = (struct json_reader){.text = text, .len = len, .depth = depth};
  return len >= INT32_MAX ? -ENOMEM : 0; /* json-c counts in int; Redis strings end at 512 MB */
}

/* A tokener is some ten kilobytes, which many a small job does without. */
static bool has_tokener(struct json_reader *reader) {
  if (reader->tokener) {
    json_tokener_reset(reader->tokener);
    return true;
  }
  reader->tokener =
      json_tokener_new_ex(reader->depth + 1); /* json-c counts a scalar, but not an empty array, as a level */
  reader->no_memory = !reader->tokener;
  if (reader->tokener)
    json_tokener_set_flags(reader->tokener, JSON_TOKENER_STRICT | JSON_TOKENER_ALLOW_TRAILING_CHARS);
  return reader->tokener != NULL;
}

void json_reader_free(struct json_reader *reader) {
  if (reader->tokener) json_tokener_free(reader->tokener);
  reader->tokener = NULL;
}

int json_reader_peek(struct json_reader *reader) {
  while (reader->pos < reader->len && is_space(reader->text[reader->pos]))
    reader->pos++;
  return reader->pos < reader->len ? (unsigned char)reader->text[reader->pos] : -1;
}

bool json_reader_take(struct json_reader *reader, char c) {
  if (json_reader_peek(reader) != (unsigned char)c) {
    reader->problem_at = reader->pos;
    return false;
  }
  reader->pos++;
  return true;
}

/*
 * Most values of a job are strings without an escape, small integers, and booleans. There is nothing lax about these, so
 * they need no tokener. False: it is something else, or wrong.
 */
static bool read_simple(struct json_reader *reader, struct json_value *out) {
  const char *s = reader->text + reader->pos;
  const size_t left = reader->len - reader->pos;
  struct json_object *object = NULL;
  size_t end = 0;
  if (*s == '"') {
    for (end = 1; end < left && (unsigned char)s[end] >= 0x20 && s[end] != '"' && s[end] != '\\';)
      end++;
    if (end == left || s[end] != '"' || end > INT32_MAX) return false;
    object = json_object_new_string_len(s + 1, (int)end - 1);
    end++;
  } else if (is_digit(*s)) {
    int64_t number = 0;
    while (end < left && end <= SIMPLE_DIGITS && is_digit(s[end]))
      number = number * 10 + (s[end++] - '0');
    if (end > SIMPLE_DIGITS || (*s == '0' && end > 1) || !ends_value(s, end, left)) return false;
    object = json_object_new_int64(number);
  } else if (*s == 't' || *s == 'f') {
    end = literal_end(s, 0, left);
    if (end == 0 || !ends_value(s, end, left)) return false;
    object = json_object_new_boolean(*s == 't');
  }
  if (!object) return false;
  *out = (struct json_value){.text = s, .len = end, .object = object};
  reader->pos += end;
  return true;
}

enum json_read json_reader_value(struct json_reader *reader, struct json_value *out) {
  *out = (struct json_value){0};
  if (json_reader_peek(reader) < 0) {
    reader->problem_at = reader->len;
    return JSON_READ_BROKEN;
  }
  if (read_simple(reader, out)) return JSON_READ_OK;
  const size_t start = reader->pos;
  if (!has_tokener(reader)) {
    reader->problem_at = start;
    return JSON_READ_BROKEN;
  }
  /* The NUL after the text goes in too: it ends a number. */
  struct json_object *object =
      json_tokener_parse_ex(reader->tokener, reader->text + start, (int)(reader->len - start + 1));
  const enum json_tokener_error error = json_tokener_get_error(reader->tokener);
  size_t end = start + json_tokener_get_parse_end(reader->tokener);
  if (end > reader->len) end = reader->len;
  while (end > start &&
         is_space(reader->text[end - 1])) /* json-c takes the blank after a number for a part of it */
    end--;

  if (error == json_tokener_error_depth) {
    end = bracketed_end(reader->text, start, reader->len);
    reader->problem_at = start;
    if (!end) return JSON_READ_BROKEN;
    *out = (struct json_value){.text = reader->text + start, .len = end - start};
    reader->pos = end;
    return JSON_READ_DEEP;
  }
  if (error != json_tokener_success) {
    json_object_put(object);
    reader->problem_at = end;
    return JSON_READ_BROKEN;
  }
  *out = (struct json_value){.text = reader->text + start, .len = end - start, .object = object};
  reader->pos = end;
  const size_t bad = json_lexical_check(out->text, out->len);
  if (bad == out->len) return JSON_READ_OK;
  reader->problem_at = start + bad;
  return JSON_READ_LAX;
}

void json_value_free(struct json_value *value) {
  json_object_put(value->object);
  *value = (struct json_value){0};
}

const char *json_reader_problem(const struct json_reader *reader, char *out, size_t out_size) {
  const size_t at = reader->problem_at;
  bool valid = true;
  if (at >= reader->len) {
    snprintf(out, out_size, "it ends too early, at byte %zu", reader->len);
    return out;
  }
  const size_t step = utf8_step(reader->text + at, reader->len - at, &valid);
  const unsigned char c = (unsigned char)reader->text[at];
  /* Control characters, C1 (U+0080 to U+009F) included, must not reach a terminal or a log. */
  if (c < 0x20 || c == 0x7f || !valid || c == 0xc2)
    snprintf(out, out_size, "unexpected byte 0x%02x at byte %zu", c, at);
  else
    snprintf(out, out_size, "unexpected character '%.*s' at byte %zu", (int)step, reader->text + at, at);
  return out;
}

char *json_text_quote(const char *text, size_t len, size_t *out_len) {
  struct json_writer writer = {0};
  json_write_string(&writer, text, len);
  return json_writer_take(&writer, out_len);
}

bool json_text_is(char first, const char *text, size_t len, int depth) {
  struct json_reader reader;
  struct json_value value = {0};
  bool ok = false;
  char *copy;
  if (utf8_check(text, len) != len) return false;
  copy = malloc(len + 1); /* the reader wants a NUL behind it */
  if (!copy) return false;
  if (len) memcpy(copy, text, len);
  copy[len] = '\0';
  if (json_reader_init(&reader, copy, len, depth) == 0) {
    if (json_reader_peek(&reader) == first && json_reader_value(&reader, &value) == JSON_READ_OK)
      ok = json_reader_peek(&reader) < 0;
    json_value_free(&value);
    json_reader_free(&reader);
  }
  free(copy);
  return ok;
}

bool json_text_is_object(const char *text, size_t len, int depth) {
  struct json_reader reader;
  struct json_value value = {0};
  bool ok = false;
  if (utf8_check(text, len) != len || json_reader_init(&reader, text, len, depth) < 0) return false;
  if (json_reader_peek(&reader) == '{' && json_reader_value(&reader, &value) == JSON_READ_OK)
    ok = json_reader_peek(&reader) < 0;
  json_value_free(&value);
  json_reader_free(&reader);
  return ok;
}
