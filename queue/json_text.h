/*
 * Strict JSON (RFC 8259) over json-c, one value at a time, with the text each value came from.
 *
 * json-c does the parsing; this adds what it lacks for our use: the extent of a value, the refusal of what
 * json-c lets pass although JSON.parse will not (NaN, Infinity, `1.`, -01, control characters in strings,
 * 'single' keys), and a message with a byte offset.
 */
#ifndef ISOQ_QUEUE_JSON_TEXT_H
#define ISOQ_QUEUE_JSON_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct json_object;
struct json_tokener;

struct json_reader {
  const char *text; /* borrowed; text[len] is NUL */
  size_t len, pos;
  int depth;
  struct json_tokener *tokener; /* NULL: no value has needed it so far */
  bool no_memory;               /* for it: what was read as broken need not be */
  size_t problem_at;            /* byte offset of the last problem */
};

struct json_value {
  const char *text; /* within the reader's text */
  size_t len;
  struct json_object *object; /* owned; NULL for null as well */
};

enum json_read {
  JSON_READ_OK,
  JSON_READ_LAX,    /* not JSON, but its extent is known and reading may go on */
  JSON_READ_DEEP,   /* nested too deep; its extent is known, object is NULL */
  JSON_READ_BROKEN, /* nothing after reader->problem_at is known */
};

/* `depth`: how deep a value may be nested. 0 or -ENOMEM. */
int json_reader_init(struct json_reader *reader, const char *text, size_t len, int depth);
void json_reader_free(struct json_reader *reader);

/* Skips white space; the next byte, or -1 at the end. */
int json_reader_peek(struct json_reader *reader);

/* Consumes `c` after white space; false (with a problem noted) when something else is there. */
bool json_reader_take(struct json_reader *reader, char c);

/* Reads one value at the next non-space byte. json_value_free() it after OK and LAX. After BROKEN, look at
 * reader->no_memory. */
enum json_read json_reader_value(struct json_reader *reader, struct json_value *out);
void json_value_free(struct json_value *value);

/* "unexpected character 'n' at byte 12" or "it ends too early, at byte 12". Returns `out`. */
const char *json_reader_problem(const struct json_reader *reader, char *out, size_t out_size);

/* A JSON string literal of any bytes (what is not UTF-8 becomes U+FFFD); malloc'ed, NUL-terminated. NULL: no memory. */
char *json_text_quote(const char *text, size_t len, size_t *out_len);

/* True when the whole text is one JSON value that begins with `first` ('{', '['), nested no deeper than `depth`, in valid
 * UTF-8. text[len] need not be NUL. */
bool json_text_is(char first, const char *text, size_t len, int depth);

/* True when the whole text is one JSON object, nested no deeper than `depth`, in valid UTF-8. text[len] is
 * NUL. */
bool json_text_is_object(const char *text, size_t len, int depth);

#endif
