/*
 * The outermost object and the array of items are read by hand, every value in them by queue/json_text.c.
 * Marks are counted before json-c sees a byte: it spends 800 bytes on an empty object, which is three bytes
 * of text.
 */
#include "bindings/json_answer.h"

#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue/json_text.h"
#include "queue/utf8.h"

enum place {
  AT_START,
  AT_MEMBER,     /* before a key */
  AT_MEMBER_END, /* after a value: a comma, or the end */
  AT_ITEM,       /* before an item */
  AT_ITEM_END,   /* after one */
  AT_END,
};

struct json_page {
  struct json_reader reader;
  const char *items, *token_name;
  struct json_object *token;
  enum place place;
  char problem[JSON_PROBLEM_SIZE];
  char text[];
};

/* Past the string that starts before `at`. */
static const char *string_end(const char *at, const char *end) {
  const char *start = at;
  for (const char *quote; (quote = memchr(at, '"', (size_t)(end - at))); at = quote + 1) {
    size_t backslashes = 0;
    while (quote - backslashes > start && *(quote - backslashes - 1) == '\\')
      backslashes++;
    if (backslashes % 2 == 0) return quote + 1;
  }
  return end;
}

/* Of what is JSON; of anything else, some answer. Most of a page is in strings, which memchr() passes quickly. */
static bool too_many_marks(const char *text, size_t len) {
  const char *end = text + len;
  size_t marks = 0;
  for (const char *at = text; at < end;) {
    const char c = *at++;
    if (c == '"')
      at = string_end(at, end);
    else
      marks += c == ',' || c == ':' || c == '[' || c == '{';
  }
  return marks > JSON_MARKS_MAX;
}

/* ---- one value ---- */

/* The value at the reader's place; `is` starts the problem: "it". */
static bool read_value(struct json_reader *reader, struct json_value *value, const char *is,
                       char problem[JSON_PROBLEM_SIZE]) {
  char where[96];
  const enum json_read kind = json_reader_value(reader, value);
  const size_t valid = value->len ? utf8_check(value->text, value->len) : 0;

  if (kind == JSON_READ_OK && valid == value->len) return true;
  if (kind == JSON_READ_DEEP)
    snprintf(problem, JSON_PROBLEM_SIZE, "%s is nested too deep; at most %d levels are read", is,
             JSON_DEPTH_MAX);
  else if (kind == JSON_READ_OK)
    snprintf(problem, JSON_PROBLEM_SIZE, "%s is not UTF-8, at byte %zu", is,
             (size_t)(value->text - reader->text) + valid);
  else
    snprintf(problem, JSON_PROBLEM_SIZE, "%s is not JSON: %s", is,
             json_reader_problem(reader, where, sizeof where));
  json_value_free(value);
  return false;
}

struct json_object *json_verbatim(const char *text, size_t len, char problem[JSON_PROBLEM_SIZE]) {
  struct json_reader reader;
  struct json_value value = {0};
  struct json_object *printed = NULL;
  char where[96], *copy = NULL;

  if (too_many_marks(text, len)) {
    snprintf(problem, JSON_PROBLEM_SIZE, "has too many values; at most %d are read", JSON_MARKS_MAX);
    return NULL;
  }
  snprintf(problem, JSON_PROBLEM_SIZE, "could not be read: out of memory");
  if (json_reader_init(&reader, text, len, JSON_DEPTH_MAX) < 0) return NULL;
  if (!read_value(&reader, &value, "it", problem)) {
    memmove(problem, problem + strlen("it "), strlen(problem + strlen("it ")) + 1);
    goto out;
  }
  if (json_reader_peek(&reader) >= 0) {
    reader.problem_at = reader.pos;
    snprintf(problem, JSON_PROBLEM_SIZE, "is not JSON: %s",
             json_reader_problem(&reader, where, sizeof where));
    goto out;
  }
  if (!json_object_is_type(value.object, json_type_object)) {
    snprintf(problem, JSON_PROBLEM_SIZE, "is not an object");
    goto out;
  }
  copy = strdup(text);
  printed = copy ? json_object_new_object() : NULL;
  if (printed)
    json_object_set_serializer(printed, json_object_userdata_to_json_string, copy, json_object_free_userdata);
  else
    free(copy);
out:
  json_value_free(&value);
  json_reader_free(&reader);
  return printed;
}

/* ---- a page ---- */

struct json_page *json_page_new(const char *text, size_t len, const char *items, const char *token) {
  struct json_page *page = malloc(sizeof *page + len + 1);
  if (!page) return NULL;
  *page = (struct json_page){.items = items, .token_name = token};
  memcpy(page->text, text, len);
  page->text[len] = '\0';
  if (json_reader_init(&page->reader, page->text, len, JSON_DEPTH_MAX) == 0) return page;
  free(page);
  return NULL;
}

void json_page_free(struct json_page *page) {
  if (!page) return;
  json_reader_free(&page->reader);
  json_object_put(page->token);
  free(page);
}

struct json_object *json_page_token(const struct json_page *page) {
  return page->token;
}

const char *json_page_problem(const struct json_page *page) {
  return page->problem;
}

static enum json_step broken(struct json_page *page, const char *member, const char *what) {
  snprintf(page->problem, sizeof page->problem, "%s %s", member, what);
  return JSON_STEP_BROKEN;
}

static enum json_step unexpected(struct json_page *page) {
  char where[96];
  page->reader.problem_at = page->reader.pos;
  snprintf(page->problem, sizeof page->problem, "it is not JSON: %s",
           json_reader_problem(&page->reader, where, sizeof where));
  return JSON_STEP_BROKEN;
}

/* `c` must come; false with the problem noted. */
static bool take(struct json_page *page, char c) {
  if (json_reader_take(&page->reader, c)) return true;
  unexpected(page);
  return false;
}

static bool set_token(struct json_page *page, struct json_object *value) {
  if (value && !json_object_is_type(value, json_type_string)) {
    broken(page, page->token_name, "is not a string");
    return false;
  }
  json_object_put(page->token);
  page->token = value && json_object_get_string_len(value) > 0 ? json_object_get(value) : NULL;
  return true;
}

/* A key and its value, but for the items, before whose first it stops. */
static bool read_member(struct json_page *page) {
  struct json_value key = {0}, value = {0};
  bool ok = false;

  if (json_reader_peek(&page->reader) != '"') return take(page, '"');
  if (!read_value(&page->reader, &key, "it", page->problem)) return false;
  const bool items = strcmp(json_object_get_string(key.object), page->items) == 0;
  const bool token = strcmp(json_object_get_string(key.object), page->token_name) == 0;
  page->place = AT_MEMBER_END;
  if (!take(page, ':')) goto out;
  if (items && json_reader_peek(&page->reader) == '[') {
    page->reader.pos++;
    page->place = json_reader_peek(&page->reader) == ']' ? AT_ITEM_END : AT_ITEM;
    ok = true;
  } else if (read_value(&page->reader, &value, "it", page->problem)) {
    ok = token ? set_token(page, value.object) : true;
    if (items && value.object) {
      broken(page, page->items, "is not an array");
      ok = false;
    }
  }
out:
  json_value_free(&key);
  json_value_free(&value);
  return ok;
}

static enum json_step read_item(struct json_page *page, struct json_object **item) {
  struct json_value value = {0};
  if (!read_value(&page->reader, &value, "it", page->problem)) return JSON_STEP_BROKEN;
  page->place = AT_ITEM_END;
  if (!json_object_is_type(value.object, json_type_object)) {
    json_value_free(&value);
    return broken(page, page->items, "has an item that is not an object");
  }
  *item = value.object;
  return JSON_STEP_ITEM;
}

static bool read_start(struct json_page *page) {
  const int c = json_reader_peek(&page->reader);
  if (too_many_marks(page->reader.text, page->reader.len)) {
    snprintf(page->problem, sizeof page->problem, "it has too many values; at most %d are read",
             JSON_MARKS_MAX);
    return false;
  }
  if (c > 0 && c != '{' && strchr("[\"-0123456789tfn", c)) {
    broken(page, "it", "is not an object");
    return false;
  }
  if (!take(page, '{')) return false;
  page->place = json_reader_peek(&page->reader) == '}' ? AT_MEMBER_END : AT_MEMBER;
  return true;
}

/* After a value: a comma leads to `next`, `end` to `after`. */
static bool read_end(struct json_page *page, char end, enum place next, enum place after) {
  if (json_reader_peek(&page->reader) == ',') {
    page->reader.pos++;
    page->place = next;
    return true;
  }
  page->place = after;
  return take(page, end);
}

enum json_step json_page_next(struct json_page *page, struct json_object **item) {
  bool ok = true;
  while (ok) {
    switch (page->place) {
    case AT_START: ok = read_start(page); break;
    case AT_MEMBER: ok = read_member(page); break;
    case AT_MEMBER_END: ok = read_end(page, '}', AT_MEMBER, AT_END); break;
    case AT_ITEM: return read_item(page, item);
    case AT_ITEM_END: ok = read_end(page, ']', AT_ITEM, AT_MEMBER_END); break;
    case AT_END: return json_reader_peek(&page->reader) < 0 ? JSON_STEP_END : unexpected(page);
    }
  }
  return JSON_STEP_BROKEN;
}
