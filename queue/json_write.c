/*
 * Strings are the bulk of it, and nearly all of their bytes stand for themselves: runs of such bytes are found first, and
 * copied in one piece. The rest is escaped as short as JSON permits.
 */
#include "queue/json_write.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "queue/utf8.h"

#define SIZE_MIN 512
#define MS_MAX 1e15 /* beyond it thousandths do not fit an int64 */

static bool make_room(struct json_writer *writer, size_t len) {
  if (writer->failed) return false;
  if (len < writer->size - writer->len) return true; /* and a NUL */
  size_t size = writer->size ? writer->size * 2 : SIZE_MIN;
  if (len > SIZE_MAX / 4 || writer->len > SIZE_MAX / 4) goto failed;
  if (size < writer->len + len + 1) size = writer->len + len + 1;
  char *data = realloc(writer->data, size);
  if (!data) goto failed;
  writer->data = data;
  writer->size = size;
  return true;
failed:
  writer->failed = true;
  return false;
}

void json_write_bytes(struct json_writer *writer, const char *data, size_t len) {
  if (!make_room(writer, len)) return;
  if (len) memcpy(writer->data + writer->len, data, len);
  writer->len += len;
}

void json_write(struct json_writer *writer, const char *text) {
  json_write_bytes(writer, text, strlen(text));
}

void json_write_bool(struct json_writer *writer, bool value) {
  json_write(writer, value ? "true" : "false");
}

void json_write_uint(struct json_writer *writer, uint64_t number) {
  char digits[20];
  size_t at = sizeof digits;
  do
    digits[--at] = (char)('0' + number % 10);
  while ((number /= 10) > 0);
  json_write_bytes(writer, digits + at, sizeof digits - at);
}

void json_write_int(struct json_writer *writer, int64_t number) {
  if (number < 0) json_write_bytes(writer, "-", 1);
  json_write_uint(writer, number < 0 ? -(uint64_t)number : (uint64_t)number);
}

void json_write_ms(struct json_writer *writer, double ms) {
  if (!(ms > 0)) ms = 0; /* NaN too */
  if (ms > MS_MAX) ms = MS_MAX;
  const int64_t thousandths = llround(ms * 1000);
  const int part = (int)(thousandths % 1000);
  char decimals[4] = {'.', (char)('0' + part / 100), (char)('0' + part / 10 % 10), (char)('0' + part % 10)};
  size_t len = sizeof decimals;
  json_write_int(writer, thousandths / 1000);
  while (len > 1 && decimals[len - 1] == '0')
    len--;
  if (len > 1) json_write_bytes(writer, decimals, len);
}

/* ---- strings ---- */

static bool stands_for_itself(unsigned char c) {
  return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

static void write_escape(struct json_writer *writer, unsigned char c) {
  static const char hex[] = "0123456789abcdef";
  char text[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
  switch (c) {
  case '\b': text[1] = 'b'; break;
  case '\f': text[1] = 'f'; break;
  case '\n': text[1] = 'n'; break;
  case '\r': text[1] = 'r'; break;
  case '\t': text[1] = 't'; break;
  case '"':
  case '\\': text[1] = (char)c; break;
  default: json_write_bytes(writer, text, sizeof text); return;
  }
  json_write_bytes(writer, text, 2);
}

void json_write_string(struct json_writer *writer, const char *text, size_t len) {
  json_write_bytes(writer, "\"", 1);
  for (size_t at = 0; at < len;) {
    size_t end = at;
    bool valid;
    while (end < len && stands_for_itself((unsigned char)text[end]))
      end++;
    json_write_bytes(writer, text + at, end - at);
    at = end;
    if (at == len) break;
    if ((unsigned char)text[at] < 0x80) {
      write_escape(writer, (unsigned char)text[at++]);
      continue;
    }
    const size_t step = utf8_step(text + at, len - at, &valid);
    json_write_bytes(writer, valid ? text + at : "\xef\xbf\xbd", valid ? step : 3);
    at += step;
  }
  json_write_bytes(writer, "\"", 1);
}

/* ---- the whole ---- */

char *json_writer_take(struct json_writer *writer, size_t *len) {
  char *data = NULL;
  if (make_room(writer, 0)) {
    data = writer->data;
    data[writer->len] = '\0';
    *len = writer->len;
    *writer = (struct json_writer){0};
  }
  json_writer_free(writer);
  return data;
}

void json_writer_free(struct json_writer *writer) {
  free(writer->data);
  *writer = (struct json_writer){0};
}
