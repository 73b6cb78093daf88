/*
 * JSON written piece by piece into one growing text: what is published for each job (results, records) is made so, without
 * a tree of objects in between. Whoever writes puts braces, commas and names; this knows strings and numbers.
 *
 * A failure (memory) is remembered: nothing needs checking before json_writer_take().
 */
#ifndef ISOQ_QUEUE_JSON_WRITE_H
#define ISOQ_QUEUE_JSON_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_writer { /* {0}: empty */
  char *data;        /* owned */
  size_t len, size;
  bool failed;
};

void json_write_bytes(struct json_writer *writer, const char *data, size_t len);
void json_write(struct json_writer *writer, const char *text);

void json_write_bool(struct json_writer *writer, bool value);
void json_write_int(struct json_writer *writer, int64_t number);
void json_write_uint(struct json_writer *writer, uint64_t number);

/* With three decimals at most, whatever the locale; what is no positive number is 0. */
void json_write_ms(struct json_writer *writer, double ms);

/* A string of any bytes: what is not UTF-8 becomes U+FFFD. */
void json_write_string(struct json_writer *writer, const char *text, size_t len);

/* The text, malloc'ed and NUL-terminated, and the writer is empty; or NULL: memory was short. */
char *json_writer_take(struct json_writer *writer, size_t *len);

void json_writer_free(struct json_writer *writer);

#endif
