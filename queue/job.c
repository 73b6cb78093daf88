/*
 * The payload is read member by member: our own code sees only white space and `{ , : }` of the outermost
 * object, and json-c reads each key and value (json_text.c). So every value's own text is known, and `code`,
 * `input` and `metadata` are passed on as they came: what a C library would lose (numbers of 30 digits,
 * duplicate keys, lone surrogates) V8 or the producer still sees.
 *
 * An invalid job is read to its end all the same, where there is an end: the producer waits on some reply
 * key, and the more fields are known, the likelier it hears what was wrong.
 */
#include "queue/job.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue/job_fields.h"
#include "queue/keys.h"
#include "queue/utf8.h"

#define JOB_NOTE_MAX 256
#define EXAMPLE "a job is a JSON object such as {\"id\":\"a1\",\"code\":\"2 + 2\"}"

void job_invalid(struct job_parser *parser, const char *format, ...) {
  va_list args;
  if (parser->job->error) return;
  va_start(args, format);
  if (vasprintf(&parser->job->error, format, args) < 0) {
    parser->job->error = NULL;
    parser->no_memory = true;
  }
  va_end(args);
}

const char *job_short_form(const char *text, size_t len, char out[JOB_SHORT_FORM_MAX]) {
  return utf8_excerpt(text, len, out, JOB_SHORT_FORM_MAX);
}

bool job_id_valid(const char *id, size_t len) {
  for (size_t i = 0; i < len; i++) {
    const char c = id[i];
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
          c == '_' || c == ':' || c == '-'))
      return false;
  }
  return len >= 1 && len <= JOB_ID_MAX;
}

bool job_queue_name_valid(const char *name, size_t len) {
  return len <= 64 && job_id_valid(name, len) && !memchr(name, ':', len);
}

/* ---- reading ---- */

static void not_json(struct job_parser *parser, const struct json_reader *reader) {
  char problem[96];
  job_invalid(parser, "not JSON: %s; " EXAMPLE, json_reader_problem(reader, problem, sizeof problem));
}

static void member_value(struct job_parser *parser, struct json_reader *reader, const struct json_value *key,
                         enum json_read kind, const struct json_value *value) {
  char problem[96], text[160];
  const struct job_span key_text = {key->text + 1, key->len - 2};
  const char *name = json_object_get_string(key->object);
  const size_t name_len = (size_t)json_object_get_string_len(key->object);

  if (utf8_check(value->text, value->len) != value->len) {
    job_field_unusable(parser, name, name_len, key_text, "not UTF-8"); /* the offset is noted already */
  } else if (kind == JSON_READ_LAX) {
    snprintf(text, sizeof text, "not JSON: %s", json_reader_problem(reader, problem, sizeof problem));
    job_field_unusable(parser, name, name_len, key_text, text);
  } else if (kind == JSON_READ_DEEP) {
    snprintf(text, sizeof text, "nested too deep; a job may be nested %d levels", JOB_DEPTH_MAX);
    job_field_unusable(parser, name, name_len, key_text, text);
  } else {
    job_field_set(parser, name, name_len, key_text, value);
  }
}

/* One `"key": value`. False when nothing more can be read. */
static bool read_member(struct job_parser *parser, struct json_reader *reader) {
  struct json_value key = {0}, value = {0};
  bool more = false;

  if (json_reader_peek(reader) != '"') {
    reader->problem_at = reader->pos;
    not_json(parser, reader);
    return false;
  }
  enum json_read kind = json_reader_value(reader, &key);
  if (kind != JSON_READ_OK || !json_reader_take(reader, ':')) {
    not_json(parser, reader);
    goto out;
  }
  kind = json_reader_value(reader, &value);
  if (kind == JSON_READ_BROKEN) {
    not_json(parser, reader);
    goto out;
  }
  member_value(parser, reader, &key, kind, &value);
  more = true;
out:
  json_value_free(&key);
  json_value_free(&value);
  return more;
}

static void read_object(struct job_parser *parser, struct json_reader *reader) {
  if (!json_reader_take(reader, '{')) {
    not_json(parser, reader);
    return;
  }
  if (json_reader_peek(reader) == '}') {
    reader->pos++;
  } else {
    do {
      if (!read_member(parser, reader)) return;
    } while (json_reader_peek(reader) == ',' && reader->pos++ < reader->len);
    if (!json_reader_take(reader, '}')) {
      not_json(parser, reader);
      return;
    }
  }
  if (json_reader_peek(reader) >= 0) {
    reader->problem_at = reader->pos;
    not_json(parser, reader);
  }
}

/* Reads what may be read: of a payload that is too long only the part that is allowed, where ids usually are.
 */
static int read_payload(struct job_parser *parser) {
  struct job *job = parser->job;
  struct json_reader reader;
  size_t len = job->payload_len;
  char kept = '\0';

  if (len > JOB_NOTE_MAX && memcmp(job->payload, JOB_NOTE_START, sizeof JOB_NOTE_START - 1) == 0)
    len -= JOB_NOTE_MAX; /* what workers note does not count as the producer's */
  if ((int64_t)len > parser->limits->max_payload_bytes) {
    job_invalid(parser, "payload: %zu bytes are over this worker's maximum %" PRId64 " (max_payload_bytes)",
                len, parser->limits->max_payload_bytes);
    len = (size_t)parser->limits->max_payload_bytes;
    kept = job->payload[len];
    job->payload[len] = '\0';
  } else {
    len = job->payload_len;
  }
  const size_t bad = utf8_check(job->payload, len);
  if (bad < len)
    job_invalid(parser, "not UTF-8: byte 0x%02x at byte %zu; a job is JSON in UTF-8",
                (unsigned)(unsigned char)job->payload[bad], bad);
  int r = json_reader_init(&reader, job->payload, len, JOB_DEPTH_MAX - 1);
  if (r == 0) {
    if (len >= 3 && memcmp(job->payload, "\xef\xbb\xbf", 3) == 0) {
      job_invalid(parser, "not JSON: a byte order mark (U+FEFF) at byte 0; send UTF-8 without one");
      reader.pos = 3;
    }
    read_object(parser, &reader);
    if (reader.no_memory) r = -ENOMEM;
    json_reader_free(&reader);
  }
  if (len < job->payload_len) job->payload[len] = kept;
  return r;
}

/* ---- the whole ---- */

static void check_whole(struct job_parser *parser) {
  struct job *job = parser->job;
  if (!job->code.data) job_invalid(parser, "code: missing; " EXAMPLE);
  if (job->delay_ms && job->run_at_ms) job_invalid(parser, "delay_ms, run_at_ms: give one of the two");
  if (!parser->queue) return;
  if (!job->reply_to && job->id[0]) {
    job->reply_to = key_reply(parser->prefix, parser->queue, job->id);
    if (!job->reply_to) parser->no_memory = true;
  }
  if (!job->reply_to && !parser->id_given)
    job_invalid(parser, "id: missing; a job without an id must name the key of its result in reply_to");
}

static struct job *job_new(const char *payload, size_t len, const struct job_limits *limits,
                           const char *queue) {
  struct job *job = calloc(1, sizeof *job);
  if (!job) return NULL;
  job->payload = malloc(len + 1);
  job->queue = queue ? strdup(queue) : NULL;
  if (!job->payload || (queue && !job->queue)) {
    job_free(job);
    return NULL;
  }
  if (len) memcpy(job->payload, payload, len);
  job->payload[len] = '\0';
  job->payload_len = len;
  job->timeout_ms = (uint32_t)limits->timeout_ms.default_value;
  job->cpu_ms = (uint32_t)limits->cpu_ms.default_value;
  job->memory_mb = (uint32_t)limits->memory_mb.default_value;
  job->max_output_bytes = (uint64_t)limits->max_output_bytes.default_value;
  job->reply_ttl_s = (uint32_t)limits->reply_ttl_s.default_value;
  job->capture_console = true;
  job->own_process = limits->own_process;
  job->functions = limits->functions_allowed;
  job->max_calls = limits->max_calls;
  job->record = limits->record;
  job->record_max_bytes = (uint64_t)limits->record_max_bytes;
  job->max_attempts = (uint32_t)limits->max_attempts.default_value;
  job->backoff_ms = (uint32_t)limits->backoff_ms.default_value;
  job->attempt = 1;
  return job;
}

int job_parse(const char *payload, size_t len, const struct job_limits *limits, const char *prefix,
              const char *queue, struct job **out) {
  struct job_parser parser = {.limits = limits, .prefix = prefix, .queue = queue};
  parser.job = job_new(payload, len, limits, queue);
  if (!parser.job) return -ENOMEM;
  const int r = read_payload(&parser);
  check_whole(&parser);
  if (r < 0 || parser.no_memory) {
    job_free(parser.job);
    return -ENOMEM;
  }
  *out = parser.job;
  return 0;
}

void job_free(struct job *job) {
  if (!job) return;
  free(job->payload);
  free(job->queue);
  free(job->reply_to);
  free(job->error);
  free(job);
}

/* ---- the workers' note ---- */

/* What follows the brace of the object, and the note if there is one: the members as they came. NULL: no object. */
static const char *members_of(const struct job *job, size_t *len) {
  size_t at = job->note_len;

  if (at > 0) {
    at += job->payload[at] == ',';
  } else {
    at = strspn(job->payload, " \t\r\n");
    if (job->payload[at++] != '{') return NULL;
  }
  *len = job->payload_len - at;
  return job->payload + at;
}

static char *splice(const char *start, const char *members, size_t members_len, size_t *len) {
  const size_t start_len = strlen(start);
  char *out = malloc(start_len + members_len + 1);
  if (!out) return NULL;
  memcpy(out, start, start_len);
  memcpy(out + start_len, members, members_len);
  *len = start_len + members_len;
  out[*len] = '\0';
  return out;
}

char *job_payload_noted(const struct job *job, const struct job_note *note, size_t *len) {
  char start[JOB_NOTE_MAX];
  size_t members_len;
  const char *members = members_of(job, &members_len);
  snprintf(start, sizeof start,
           JOB_NOTE_START "\"deaths\":%u,\"attempt\":%u,\"delayed\":%s,\"token\":\"%s\"},", note->deaths,
           note->attempt, note->delayed ? "true" : "false", note->token);
  return members ? splice(start, members, members_len, len) : NULL;
}

char *job_payload_original(const struct job *job, size_t *len) {
  size_t members_len;
  const char *members = job->note_len ? members_of(job, &members_len) : NULL;
  return members ? splice("{", members, members_len, len) : splice("", job->payload, job->payload_len, len);
}
