/*
 * One event, one line, one write(2): lines of several processes on one stderr do not mix.
 *
 * The broker's loop writes these, so a reader that has stopped reading must not stop the loop. A line is at
 * most PIPE_BUF long, and it is written only where the descriptor says that it has room: such a write to a
 * pipe cannot block. What found no room is dropped and counted, and the next line that gets through is
 * preceded by the count.
 */
#include "worker/log.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "queue/json_write.h"
#include "queue/utf8.h"

#define LINE_MAX_BYTES ((size_t)PIPE_BUF)
#define VALUE_MAX_BYTES ((size_t)1024)
#define FULL_WAIT_MS 10

/* Before log_setup(): a command that logs nothing by itself (isoq run) stays quiet. */
static enum log_level least_level = LOG_LEVEL_ERROR;
static enum log_format line_format = LOG_FORMAT_LOGFMT;
static unsigned long long dropped;

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_setup(enum log_level least, enum log_format format) {
  least_level = least;
  line_format = format;
}

/* There may be thousands of lines a second, which share all but the milliseconds. */
static void format_time(char out[32]) {
  static time_t second = -1;
  static char text[24];
  struct timespec now;
  struct tm parts;

  clock_gettime(CLOCK_REALTIME, &now);
  if (now.tv_sec != second) {
    gmtime_r(&now.tv_sec, &parts);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
    second = now.tv_sec;
  }
  snprintf(out, 32, "%s.%03dZ", text, (int)(now.tv_nsec / 1000000));
}

/* ---- logfmt ---- */

struct line {
  char data[LINE_MAX_BYTES];
  size_t len;
};

/* Keeps one byte for the newline. False: no room, nothing was added. */
static bool add(struct line *line, const char *data, size_t len) {
  if (len > LINE_MAX_BYTES - 1 - line->len) return false;
  memcpy(line->data + line->len, data, len);
  line->len += len;
  return true;
}

static bool is_plain(const char *value, size_t len) {
  for (size_t i = 0; i < len; i++) {
    unsigned char c = (unsigned char)value[i];

    if (c <= ' ' || c >= 0x7f || c == '"' || c == '=' || c == '\\') return false;
  }
  return len > 0;
}

/* One character, escaped where a terminal or a parser would stumble over it. Returns the bytes used of
 * `text`. */
static size_t escape(const char *text, size_t left, char out[16], size_t *out_len) {
  unsigned char c = (unsigned char)text[0];
  bool valid;
  size_t len = utf8_step(text, left, &valid);

  if (c == '"' || c == '\\')
    *out_len = (size_t)snprintf(out, 16, "\\%c", c);
  else if (c == '\n')
    *out_len = (size_t)snprintf(out, 16, "\\n");
  else if (c < ' ' || c == 0x7f)
    *out_len = (size_t)snprintf(out, 16, "\\x%02x", c);
  else if (valid && c == 0xc2 && (unsigned char)text[1] < 0xa0) /* control characters beyond ASCII */
    *out_len = (size_t)snprintf(out, 16, "\\u00%02x", (unsigned char)text[1]);
  else if (valid)
    memcpy(out, text, *out_len = len);
  else
    *out_len = (size_t)snprintf(out, 16, "\\x%02x", c), len = 1;
  return len;
}

static void add_value(struct line *line, const char *value) {
  size_t len = strnlen(value, VALUE_MAX_BYTES), used;
  bool cut = value[len] != '\0';
  char escaped[16];

  if (is_plain(value, len) && !cut) {
    add(line, value, len);
    return;
  }
  add(line, "\"", 1);
  for (size_t at = 0; at < len; at += used) {
    size_t escaped_len;

    used = escape(value + at, len - at, escaped, &escaped_len);
    if (line->len + escaped_len + 8 > LINE_MAX_BYTES) {
      cut = true;
      break;
    }
    add(line, escaped, escaped_len);
  }
  add(line, cut ? "...\"" : "\"", cut ? 4 : 1);
}

static void number_text(const struct log_field *field, char out[64]) {
  if (field->kind == LOG_KIND_INT)
    snprintf(out, 64, "%lld", field->value.number);
  else
    snprintf(out, 64, "%.3f", isfinite(field->value.ms) ? field->value.ms : 0.0);
}

static void add_pair(struct line *line, const char *name, const char *value) {
  size_t before = line->len;

  if ((line->len > 0 && !add(line, " ", 1)) || !add(line, name, strlen(name)) || !add(line, "=", 1) ||
      line->len + 8 > LINE_MAX_BYTES)
    line->len = before; /* a field is there whole, or not at all */
  else
    add_value(line, value);
}

static void line_logfmt(struct line *line, const char *time, enum log_level level, const char *event,
                        const struct log_field *fields) {
  char number[64];

  add_pair(line, "time", time);
  add_pair(line, "level", level_names[level]);
  add_pair(line, "event", event);
  for (; fields->name != NULL; fields++) {
    if (fields->kind != LOG_KIND_TEXT) {
      number_text(fields, number);
      add_pair(line, fields->name, number);
    } else {
      add_pair(line, fields->name, fields->value.text != NULL ? fields->value.text : "");
    }
  }
}

/* ---- JSON ---- */

static void json_value(struct json_writer *writer, const struct log_field *field, size_t max) {
  const char *text = field->value.text != NULL ? field->value.text : "";
  char number[64];

  if (field->kind == LOG_KIND_TEXT) {
    json_write_string(writer, text, strnlen(text, max));
    return;
  }
  number_text(field, number);
  json_write(writer, number);
}

static void json_pair(struct json_writer *writer, const char *name, const char *value) {
  json_write(writer, writer->len > 0 ? "," : "{");
  json_write_string(writer, name, strlen(name));
  json_write(writer, ":");
  if (value != NULL) json_write_string(writer, value, strlen(value));
}

static void line_json(struct line *line, const char *time, enum log_level level, const char *event,
                      const struct log_field *fields) {
  struct json_writer writer = {0};
  char *text;
  size_t len, before;

  json_pair(&writer, "time", time);
  json_pair(&writer, "level", level_names[level]);
  json_pair(&writer, "event", event);
  for (; fields->name != NULL; fields++) {
    before = writer.len;
    /* What makes the line too long for one write is cut, and at last left out. */
    for (size_t max = VALUE_MAX_BYTES; max > 0; max /= 8) {
      json_pair(&writer, fields->name, NULL);
      json_value(&writer, fields, max);
      if (writer.len <= LINE_MAX_BYTES - 2) break; /* the brace and the newline */
      writer.len = before;
    }
  }
  json_write(&writer, "}");
  text = json_writer_take(&writer, &len);
  if (text != NULL) add(line, text, len);
  free(text);
}

/* ---- writing ---- */

static bool has_room(void) {
  struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
  int r;

  do
    r = poll(&out, 1, dropped > 0 ? 0 : FULL_WAIT_MS);
  while (r < 0 && errno == EINTR);
  return r > 0 && (out.revents & POLLOUT);
}

static bool line_write(struct line *line) {
  ssize_t n;

  line->data[line->len++] = '\n';
  if (!has_room()) return false;
  do
    n = write(STDERR_FILENO, line->data, line->len);
  while (n < 0 && errno == EINTR);
  return n == (ssize_t)line->len;
}

static void line_make(struct line *line, enum log_level level, const char *event,
                      const struct log_field *fields) {
  char time[32];

  line->len = 0;
  format_time(time);
  if (line_format == LOG_FORMAT_JSON)
    line_json(line, time, level, event, fields);
  else
    line_logfmt(line, time, level, event, fields);
}

void log_write(enum log_level level, const char *event, const struct log_field *fields) {
  int saved_errno = errno;
  struct line line;

  if ((unsigned)level > LOG_LEVEL_ERROR) level = LOG_LEVEL_ERROR;
  if (level < least_level) return;
  if (dropped > 0) {
    const struct log_field lost[] = {LOG_INT("lines", dropped), {.name = 0}};

    line_make(&line, LOG_LEVEL_WARN, "log_lines_dropped", lost);
    if (line_write(&line)) dropped = 0;
  }
  if (dropped == 0) {
    line_make(&line, level, event, fields);
    if (!line_write(&line)) dropped++;
  } else {
    dropped++;
  }
  errno = saved_errno;
}
