/*
 * Writing: every part of a record is a text with a length, so what fits under the cap is known before the first byte is
 * copied. The parts are given room in the order of their worth: without the job there is nothing to run, without the
 * result nothing to compare with; a trace and a list of calls are worth something up to where they are cut.
 *
 * Reading is by the same reader that reads jobs, member by member, since the texts of jobs, arguments and answers must
 * come out as they went in. A record may be a file from anywhere: each number has bounds, each list a limit. What a
 * later version adds to this one is skipped; a later version says so by its number.
 */
#include "queue/record.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue/json_text.h"
#include "queue/result.h"

#define RECORD_DEPTH                                                                                         \
  (JOB_DEPTH_MAX + 16) /* a job, or a result with metadata, or an answer, and the record around it */
#define ARGS_DEPTH JOB_DEPTH_MAX
#define CALLS_MAX 1000000 /* as max_calls */
#define FUNCTIONS_MAX 32
#define NAME_BYTES_MAX 256

static const struct {
  const char *name;
  enum record_part part;
} parts[] = {
    {"job", RECORD_JOB}, {"result", RECORD_RESULT}, {"trace", RECORD_TRACE}, {"calls", RECORD_CALLS}};
#define PART_COUNT (sizeof parts / sizeof parts[0])

/* ---- digests ---- */

static const char *const digest_names[] = {
#define X(name) #name,
    RECORD_DIGEST_LIST(X)
#undef X
};

const char *record_digest_name(enum record_digest_part part) {
  return digest_names[part];
}

#define FNV_START UINT64_C(14695981039346656037)

static uint64_t fnv(uint64_t hash, const void *data, size_t len) {
  const unsigned char *at = data;
  for (size_t i = 0; i < len; i++)
    hash = (hash ^ at[i]) * UINT64_C(1099511628211);
  return hash;
}

static uint64_t fnv_number(uint64_t hash, uint64_t number) {
  unsigned char bytes[8];
  for (size_t i = 0; i < sizeof bytes; i++)
    bytes[i] = (unsigned char)(number >> (8 * i));
  return fnv(hash, bytes, sizeof bytes);
}

static uint64_t fnv_text(uint64_t hash, struct result_text text) {
  hash = fnv_number(hash, text.data ? text.len + 1 : 0);
  return fnv(hash, text.data, text.data ? text.len : 0);
}

void record_digest_make(const struct job_result *result, struct record_digest *out) {
  const enum isoq_status status = result->status;
  const bool stopped =
      status != ISOQ_STATUS_OK && status != ISOQ_STATUS_ERROR && status != ISOQ_STATUS_OUTPUT_LIMIT;
  uint64_t error = FNV_START, console = FNV_START;
  if (result->has_error) {
    error = fnv_text(fnv_text(error, result->error_name), result->error_stack);
    error = fnv_number(fnv_number(error, (uint64_t)result->error_line), (uint64_t)result->error_column);
    if (!stopped) error = fnv_text(error, result->error_message);
  }
  for (size_t i = 0; i < result->console_count; i++)
    console = fnv_text(fnv_number(console, result->console[i].level), result->console[i].text);
  *out = (struct record_digest){.entries = result->console_count};
  out->part[RECORD_DIGEST_result] =
      fnv_number(fnv_text(FNV_START, result->result), (uint64_t)result->result_type);
  out->part[RECORD_DIGEST_error] = error;
  out->part[RECORD_DIGEST_console_output] = console;
  out->part[RECORD_DIGEST_stdout] = fnv_text(FNV_START, result->stdout_text);
  out->part[RECORD_DIGEST_stderr] = stopped ? FNV_START : fnv_text(FNV_START, result->stderr_text);
  out->part[RECORD_DIGEST_truncated] =
      fnv_number(FNV_START, result->stdout_truncated + 2u * result->stderr_truncated);
}

/* ---- writing ---- */

/* A text that grows; a failure is remembered. */
struct builder {
  char *data;
  size_t len, size;
  bool failed;
};

static void add_bytes(struct builder *b, const char *data, size_t len) {
  if (b->failed) return;
  if (b->len + len + 1 > b->size) {
    const size_t size = (b->len + len + 1) * 2;
    char *grown = realloc(b->data, size);
    if (!grown) {
      b->failed = true;
      return;
    }
    b->data = grown;
    b->size = size;
  }
  if (len) memcpy(b->data + b->len, data, len);
  b->len += len;
  b->data[b->len] = '\0';
}

__attribute__((format(printf, 2, 3))) static void add(struct builder *b, const char *format, ...) {
  char text[256];
  va_list arguments;
  va_start(arguments, format);
  const int n = vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (n < 0 || (size_t)n >= sizeof text)
    b->failed = true;
  else
    add_bytes(b, text, (size_t)n);
}

static void add_quoted(struct builder *b, const char *text, size_t len) {
  size_t quoted_len;
  char *quoted = json_text_quote(text, len, &quoted_len);
  if (quoted)
    add_bytes(b, quoted, quoted_len);
  else
    b->failed = true;
  free(quoted);
}

static void add_string(struct builder *b, const char *name, const char *text) {
  add(b, "\"%s\":", name);
  add_quoted(b, text, strlen(text));
  add(b, ",");
}

/* malloc'ed, or NULL. */
static char *finished(struct builder *b, size_t *len) {
  if (b->failed) {
    free(b->data);
    return NULL;
  }
  *len = b->len;
  return b->data;
}

char *record_call_make(const struct record_noted *noted, size_t *len) {
  struct builder b = {0};
  add(&b, "{\"call\":%u,\"name\":", noted->call);
  add_quoted(&b, noted->name, noted->name_len);
  add(&b, ",\"args\":");
  if (json_text_is('[', noted->args, noted->args_len, ARGS_DEPTH))
    add_bytes(&b, noted->args, noted->args_len);
  else
    add_quoted(&b, noted->args, noted->args_len);
  if (noted->answer || noted->left_out) add(&b, ",\"ok\":%s", noted->ok ? "true" : "false");
  if (noted->left_out) {
    add(&b, ",\"left_out\":true");
  } else if (noted->answer) {
    add(&b, ",\"answer\":");
    add_bytes(&b, noted->answer, noted->answer_len);
  }
  add(&b, "}");
  return finished(&b, len);
}

static void add_limits(struct builder *b, const struct job *job, const struct record_setting *setting) {
  bool more = false;
  add(b, "\"limits\":{\"timeout_ms\":%u,\"cpu_ms\":%u,\"memory_mb\":%u,", job->timeout_ms, job->cpu_ms,
      job->memory_mb);
  add(b, "\"max_output_bytes\":%" PRIu64 ",\"max_result_bytes\":%" PRIu64 ",\"max_timers\":%u,",
      job->max_output_bytes, setting->max_result_bytes, setting->max_timers);
  add(b, "\"max_calls\":%u,\"functions\":[", job->max_calls);
  for (size_t i = 0; i < setting->function_count; i++) {
    if (!(job->functions & UINT32_C(1) << i)) continue;
    add(b, "%s\"%s\"", more ? "," : "", setting->functions[i]);
    more = true;
  }
  add(b, "],\"capture_console\":%s}", job->capture_console ? "true" : "false");
}

static void add_head(struct builder *b, const struct job *job, const struct job_result *result,
                     const struct record_setting *setting, int64_t at_ms) {
  add(b, "{\"record\":%d,", RECORD_VERSION);
  add_string(b, "isoq", setting->isoq_version);
  add_string(b, "v8", setting->v8_version);
  add(b, "\"at\":%" PRId64 ",", at_ms);
  add_string(b, "queue", job->queue ? job->queue : "");
  add_string(b, "id", job->id);
  add_string(b, "worker", result->worker);
  add(b, "\"attempt\":%u,\"status\":\"%s\",", job->attempt + job->deaths, isoq_status_name(result->status));
}

/* The variable parts, and how much of each is kept. */
struct choice {
  struct job_span job, result, trace;
  bool trace_is_cut;
  size_t calls; /* the first ones */
  unsigned left_out;
};

static bool is_cut_by_engine(const struct result_text *trace) {
  return trace->len >= 2 && memcmp(trace->data + trace->len - 2, "! ", 2) == 0;
}

/* Whole words of the trace, with the word that says that it was cut. */
static void choose_trace(struct choice *choice, const struct job_result *result, size_t *room) {
  const char *text = result->trace.data ? result->trace.data : "";
  size_t len = result->trace.len;
  choice->trace_is_cut = result->trace_left_out;
  if (choice->trace_is_cut || len > *room) {
    choice->trace_is_cut = true;
    if (len + 2 > *room) len = *room >= 2 ? *room - 2 : 0;
    while (len > 0 && text[len - 1] != ' ')
      len--;
  }
  choice->trace = (struct job_span){text, len};
  *room -= len + (choice->trace_is_cut ? 2 : 0) <= *room ? len + (choice->trace_is_cut ? 2 : 0) : *room;
  if (choice->trace_is_cut || is_cut_by_engine(&result->trace)) choice->left_out |= RECORD_TRACE;
}

static void choose_calls(struct choice *choice, const struct job_result *result, size_t room) {
  while (choice->calls < result->call_count && result->calls[choice->calls].len + 1 <= room)
    room -= result->calls[choice->calls++].len + 1;
  if (choice->calls < result->call_count || result->calls_left_out) choice->left_out |= RECORD_CALLS;
}

static struct choice choose(const struct job_result *result, struct job_span job, struct job_span json,
                            size_t room) {
  struct choice choice = {0};
  if (job.len > room) {
    choice.left_out = RECORD_JOB | RECORD_RESULT | RECORD_TRACE | RECORD_CALLS;
    return choice;
  }
  choice.job = job;
  room -= job.len;
  if (json.len <= room) {
    choice.result = json;
    room -= json.len;
  } else {
    choice.left_out |= RECORD_RESULT;
  }
  choose_trace(&choice, result, &room);
  choose_calls(&choice, result, room);
  return choice;
}

static void add_trace(struct builder *b, const struct choice *choice) {
  struct builder whole = {0};
  add(b, "\"trace\":");
  if (choice->trace.data) add_bytes(&whole, choice->trace.data, choice->trace.len);
  if (choice->trace_is_cut) add_bytes(&whole, "! ", 2);
  if (whole.failed) b->failed = true;
  add_quoted(b, whole.data ? whole.data : "", whole.len);
  free(whole.data);
}

static void add_chosen(struct builder *b, const struct choice *choice, const struct job_result *result) {
  bool more = false;
  add_trace(b, choice);
  add(b, ",\"calls\":[");
  for (size_t i = 0; i < choice->calls; i++) {
    if (i > 0) add(b, ",");
    add_bytes(b, result->calls[i].data, result->calls[i].len);
  }
  add(b, "]");
  for (size_t i = 0; i < PART_COUNT; i++) {
    if (!(choice->left_out & parts[i].part)) continue;
    add(b, "%s\"%s\"", more ? "," : ",\"left_out\":[", parts[i].name);
    more = true;
  }
  if (more) add(b, "]");
}

static void add_span(struct builder *b, struct job_span span) {
  if (span.data)
    add_bytes(b, span.data, span.len);
  else
    add(b, "null");
}

#define BETWEEN_BYTES 512 /* the members' names, nulls, the longest "left_out", and a digest */

static void add_digest(struct builder *b, const struct job_result *result) {
  struct record_digest digest;
  record_digest_make(result, &digest);
  add(b, ",\"digest\":{\"entries\":%zu", digest.entries);
  for (size_t i = 0; i < RECORD_DIGEST_COUNT; i++)
    add(b, ",\"%s\":\"%016" PRIx64 "\"", digest_names[i], digest.part[i]);
  add(b, "}");
}

int record_make(const struct job *job, const struct job_result *result, const char *json, size_t json_len,
                const struct record_setting *setting, int64_t at_ms, char **out, size_t *out_len) {
  struct builder head = {0}, limits = {0};
  size_t payload_len = 0;
  char *payload = job_payload_original(job, &payload_len), *text = NULL;

  add_head(&head, job, result, setting, at_ms);
  add_limits(&limits, job, setting);
  if (job->has_seed) add(&limits, ",\"seed\":%" PRIu64, job->seed);
  if (payload && !head.failed && !limits.failed) {
    const size_t fixed = head.len + limits.len + BETWEEN_BYTES;
    const size_t room = job->record_max_bytes > fixed ? job->record_max_bytes - fixed : 0;
    const struct choice choice =
        choose(result, (struct job_span){payload, payload_len}, (struct job_span){json, json_len}, room);
    add(&head, "\"job\":");
    add_span(&head, choice.job);
    add(&head, ",");
    add_bytes(&head, limits.data, limits.len);
    add(&head, ",");
    add_chosen(&head, &choice, result);
    if (choice.job.data && !choice.result.data) add_digest(&head, result);
    add(&head, ",\"result\":");
    add_span(&head, choice.result);
    add(&head, "}");
    text = finished(&head, out_len);
    head = (struct builder){0};
  }
  free(head.data);
  free(limits.data);
  free(payload);
  if (!text) return -ENOMEM;
  *out = text;
  return 0;
}

/* ---- reading ---- */

struct parser {
  struct json_reader reader;
  struct record *record;
  char *error;
  bool has_version, has_limits, no_memory;
};

/* -EINVAL with the first reason. */
__attribute__((format(printf, 2, 3))) static int wrong(struct parser *p, const char *format, ...) {
  va_list arguments;
  if (p->error[0]) return -EINVAL;
  va_start(arguments, format);
  vsnprintf(p->error, RECORD_ERROR_SIZE, format, arguments);
  va_end(arguments);
  return -EINVAL;
}

static int not_json(struct parser *p) {
  char problem[96];
  return wrong(p, "not a replay record, since it is no JSON: %s",
               json_reader_problem(&p->reader, problem, sizeof problem));
}

static int no_memory(struct parser *p) {
  p->no_memory = true;
  return -ENOMEM;
}

/* Reads the next value, which the caller frees. */
static int read_value(struct parser *p, struct json_value *out) {
  const enum json_read kind = json_reader_value(&p->reader, out);
  if (kind == JSON_READ_OK) return 0;
  if (kind == JSON_READ_DEEP)
    wrong(p, "not a replay record: nested deeper than %d levels at byte %zu", RECORD_DEPTH,
          p->reader.problem_at);
  json_value_free(out);
  return not_json(p);
}

/* `{"a": …, …}`: each member's value is read by `member`. */
static int read_object(struct parser *p, int (*member)(struct parser *p, const char *name, void *ctx),
                       void *ctx) {
  if (!json_reader_take(&p->reader, '{')) return not_json(p);
  if (json_reader_peek(&p->reader) == '}') return json_reader_take(&p->reader, '}') ? 0 : not_json(p);
  for (;;) {
    struct json_value key;
    if (json_reader_peek(&p->reader) != '"') {
      p->reader.problem_at = p->reader.pos;
      return not_json(p);
    }
    int r = read_value(p, &key);
    if (r < 0) return r;
    r = json_reader_take(&p->reader, ':') ? member(p, json_object_get_string(key.object), ctx) : not_json(p);
    json_value_free(&key);
    if (r < 0) return r;
    if (json_reader_peek(&p->reader) != ',') break;
    p->reader.pos++;
  }
  return json_reader_take(&p->reader, '}') ? 0 : not_json(p);
}

/* ---- its scalars ---- */

static int take_text(struct parser *p, const char *name, const struct json_value *value, size_t max,
                     char **out) {
  if (!json_object_is_type(value->object, json_type_string) ||
      (size_t)json_object_get_string_len(value->object) > max)
    return wrong(p, "%s: not a string of at most %zu bytes", name, max);
  char *copy = strdup(json_object_get_string(value->object));
  if (!copy) return no_memory(p);
  free(*out);
  *out = copy;
  return 0;
}

static int number_of(struct parser *p, const char *name, const struct json_object *object, int64_t min,
                     int64_t max, int64_t *out) {
  const int64_t number = json_object_get_int64(object);
  if (!json_object_is_type(object, json_type_int) || number < min || number > max)
    return wrong(p, "%s: not an integer from %" PRId64 " to %" PRId64, name, min, max);
  *out = number;
  return 0;
}

static int take_object(struct parser *p, const char *name, const struct json_value *value,
                       struct job_span *out) {
  if (!value->object) return 0; /* null: left out */
  if (!json_object_is_type(value->object, json_type_object)) return wrong(p, "%s: not an object", name);
  *out = (struct job_span){value->text, value->len};
  return 0;
}

static int take_version(struct parser *p, const struct json_value *value) {
  int64_t version = 0;
  int r = number_of(p, "record", value->object, 1, INT32_MAX, &version);
  if (r < 0) return r;
  p->has_version = true;
  p->record->version = (int)version;
  switch (version) {
  case 1: return 0;
  default:
    return wrong(
        p, "record: version %" PRId64 " is newer than this isoq, which reads up to %d; install a newer isoq",
        version, RECORD_VERSION);
  }
}

static int take_trace(struct parser *p, const struct json_value *value) {
  if (!json_object_is_type(value->object, json_type_string)) return wrong(p, "trace: not a string");
  const size_t len = (size_t)json_object_get_string_len(value->object);
  char *copy = malloc(len + 1);
  if (!copy) return no_memory(p);
  memcpy(copy, json_object_get_string(value->object), len + 1);
  free(p->record->trace);
  p->record->trace = copy;
  p->record->trace_len = len;
  return 0;
}

static int take_left_out(struct parser *p, const struct json_value *value) {
  if (!json_object_is_type(value->object, json_type_array)) return wrong(p, "left_out: not an array");
  for (size_t i = 0; i < json_object_array_length(value->object); i++) {
    struct json_object *item = json_object_array_get_idx(value->object, i);
    const char *name = json_object_is_type(item, json_type_string) ? json_object_get_string(item) : "";
    for (size_t k = 0; k < PART_COUNT; k++)
      if (strcmp(parts[k].name, name) == 0) p->record->left_out |= parts[k].part;
  }
  return 0;
}

static int take_digest(struct parser *p, const struct json_value *value) {
  struct record_digest *digest = &p->record->digest;
  int64_t entries = 0;
  const int r = number_of(p, "digest.entries", json_object_object_get(value->object, "entries"), 0, INT32_MAX,
                          &entries);
  if (r < 0) return r;
  digest->entries = (size_t)entries;
  for (size_t i = 0; i < RECORD_DIGEST_COUNT; i++) {
    struct json_object *hex = json_object_object_get(value->object, digest_names[i]);
    const char *text = json_object_is_type(hex, json_type_string) ? json_object_get_string(hex) : "";
    if (strlen(text) != 16 || strspn(text, "0123456789abcdef") != 16)
      return wrong(p, "digest.%s: not a string of 16 hexadecimal digits", digest_names[i]);
    digest->part[i] = strtoull(text, NULL, 16);
  }
  p->record->has_digest = true;
  return 0;
}

/* ---- limits ---- */

static int take_functions(struct parser *p, const struct json_object *list) {
  struct record *record = p->record;
  if (!json_object_is_type(list, json_type_array) || json_object_array_length(list) > FUNCTIONS_MAX)
    return wrong(p, "limits.functions: not an array of at most %d names", FUNCTIONS_MAX);
  record->functions = calloc(FUNCTIONS_MAX, sizeof *record->functions);
  if (!record->functions) return no_memory(p);
  for (size_t i = 0; i < json_object_array_length(list); i++) {
    const struct json_value item = {.object = json_object_array_get_idx(list, i)};
    const int r = take_text(p, "limits.functions", &item, NAME_BYTES_MAX, &record->functions[i]);
    if (r < 0) return r;
    record->function_count++;
  }
  return 0;
}

static int take_limits(struct parser *p, const struct json_value *value) {
  struct record *record = p->record;
  struct json_object *item;
  int64_t numbers[7] = {0};
  static const struct {
    const char *name, *path;
    int64_t min, max;
  } rows[7] = {{"timeout_ms", "limits.timeout_ms", 1, 86400000},
               {"cpu_ms", "limits.cpu_ms", 0, 86400000},
               {"memory_mb", "limits.memory_mb", 4, 16384},
               {"max_output_bytes", "limits.max_output_bytes", 0, 16777216},
               {"max_result_bytes", "limits.max_result_bytes", 1, 67108864},
               {"max_timers", "limits.max_timers", 1, 1000000},
               {"max_calls", "limits.max_calls", 0, 1000000}};
  if (p->has_limits) return wrong(p, "limits: given twice");
  if (!json_object_is_type(value->object, json_type_object)) return wrong(p, "limits: not an object");
  p->has_limits = true;
  for (size_t i = 0; i < 7; i++) {
    const int r = number_of(p, rows[i].path, json_object_object_get(value->object, rows[i].name), rows[i].min,
                            rows[i].max, &numbers[i]);
    if (r < 0) return r;
  }
  record->timeout_ms = (uint32_t)numbers[0];
  record->cpu_ms = (uint32_t)numbers[1];
  record->memory_mb = (uint32_t)numbers[2];
  record->max_output_bytes = (uint64_t)numbers[3];
  record->max_result_bytes = (uint64_t)numbers[4];
  record->max_timers = (uint32_t)numbers[5];
  record->max_calls = (uint32_t)numbers[6];
  item = json_object_object_get(value->object, "capture_console");
  if (!json_object_is_type(item, json_type_boolean))
    return wrong(p, "limits.capture_console: not true or false");
  record->capture_console = json_object_get_boolean(item);
  return take_functions(p, json_object_object_get(value->object, "functions"));
}

/* ---- calls ---- */

static int read_call_member(struct parser *p, const char *name, void *ctx) {
  struct record_call *call = ctx;
  struct json_value value;
  int64_t number = 0;
  int r = read_value(p, &value);
  if (r < 0) return r;
  const enum json_type type = json_object_get_type(value.object);
  if (strcmp(name, "call") == 0) {
    r = number_of(p, "calls.call", value.object, 1, CALLS_MAX, &number);
    call->call = (uint32_t)number;
  } else if (strcmp(name, "name") == 0) {
    r = take_text(p, "calls.name", &value, NAME_BYTES_MAX, &call->name);
  } else if (strcmp(name, "args") == 0) {
    if (type != json_type_array && type != json_type_string) r = wrong(p, "calls.args: not an array");
    call->args = (struct job_span){value.text, value.len};
  } else if (strcmp(name, "ok") == 0) {
    if (type != json_type_boolean) r = wrong(p, "calls.ok: not true or false");
    call->ok = json_object_get_boolean(value.object);
  } else if (strcmp(name, "left_out") == 0) {
    call->left_out = json_object_get_boolean(value.object);
  } else if (strcmp(name, "answer") == 0) {
    call->answered = true;
    call->answer = (struct job_span){value.text, value.len};
  }
  json_value_free(&value);
  return r;
}

static int read_call(struct parser *p) {
  struct record *record = p->record;
  if ((record->call_count & (record->call_count - 1)) == 0) {
    const size_t capacity = record->call_count ? record->call_count * 2 : 1;
    struct record_call *grown = realloc(record->calls, capacity * sizeof *grown);
    if (!grown) return no_memory(p);
    record->calls = grown;
  }
  struct record_call *call = &record->calls[record->call_count++];
  *call = (struct record_call){0};
  const int r = read_object(p, read_call_member, call);
  if (r < 0) return r;
  if (call->call != record->call_count) /* so that call n is the n-th */
    return wrong(p, "calls: element %zu is call number %u", record->call_count, call->call);
  if (!call->name || !call->args.data) return wrong(p, "calls: call %u has no name or no args", call->call);
  return 0;
}

static int read_calls(struct parser *p) {
  if (p->record->calls) return wrong(p, "calls: given twice");
  if (!json_reader_take(&p->reader, '[')) return wrong(p, "calls: not an array");
  if (json_reader_peek(&p->reader) != ']')
    for (;;) {
      if (p->record->call_count == CALLS_MAX) return wrong(p, "calls: more than %d", CALLS_MAX);
      const int r = read_call(p);
      if (r < 0) return r;
      if (json_reader_peek(&p->reader) != ',') break;
      p->reader.pos++;
    }
  return json_reader_take(&p->reader, ']') ? 0 : not_json(p);
}

/* ---- the whole ---- */

static int take_member(struct parser *p, const char *name, const struct json_value *value) {
  struct record *record = p->record;
  const struct {
    const char *name;
    char **out;
  } texts[] = {{"isoq", &record->isoq}, {"v8", &record->v8},         {"queue", &record->queue},
               {"id", &record->id},     {"worker", &record->worker}, {"status", &record->status}};
  int64_t number = 0;
  int r = 0;

  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
    if (strcmp(name, texts[i].name) == 0) return take_text(p, name, value, NAME_BYTES_MAX, texts[i].out);
  if (strcmp(name, "record") == 0) return take_version(p, value);
  if (strcmp(name, "job") == 0) return take_object(p, name, value, &record->job);
  if (strcmp(name, "result") == 0) return take_object(p, name, value, &record->result);
  if (strcmp(name, "limits") == 0) return take_limits(p, value);
  if (strcmp(name, "trace") == 0) return take_trace(p, value);
  if (strcmp(name, "digest") == 0) return take_digest(p, value);
  if (strcmp(name, "left_out") == 0) return take_left_out(p, value);
  if (strcmp(name, "at") == 0) return number_of(p, name, value->object, 0, INT64_MAX, &record->at_ms);
  if (strcmp(name, "attempt") == 0) {
    r = number_of(p, name, value->object, 1, UINT32_MAX, &number);
    if (r == 0) record->attempt = (uint32_t)number;
  } else if (strcmp(name, "seed") == 0) {
    r = number_of(p, name, value->object, 0, (INT64_C(1) << 53) - 1, &number);
    if (r == 0) record->seed = (uint64_t)number;
    record->has_seed = true;
  }
  return r; /* else it is of a later version that says it is still this one */
}

static int read_member(struct parser *p, const char *name, void *ctx) {
  struct json_value value;
  (void)ctx;
  if (strcmp(name, "calls") == 0) return read_calls(p);
  int r = read_value(p, &value);
  if (r < 0) return r;
  r = take_member(p, name, &value);
  json_value_free(&value);
  return r;
}

static int read_whole(struct parser *p) {
  int r = json_reader_peek(&p->reader) == '{' ? 0 : wrong(p, "not a replay record: it is no JSON object");
  if (r == 0) r = read_object(p, read_member, NULL);
  if (r == 0 && json_reader_peek(&p->reader) >= 0) {
    p->reader.problem_at = p->reader.pos;
    r = not_json(p);
  }
  if (r < 0) return r;
  if (!p->has_version)
    return wrong(p,
                 "not a replay record: it has no member \"record\"; isoq result ID --record FILE writes one");
  if (!p->has_limits) return wrong(p, "limits: missing");
  if (!p->record->job.data && !(p->record->left_out & RECORD_JOB)) return wrong(p, "job: missing");
  return 0;
}

static int fill_blanks(struct record *record) {
  char **const texts[] = {&record->isoq,   &record->v8,     &record->queue, &record->id,
                          &record->worker, &record->status, &record->trace};
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
    if (!*texts[i] && !(*texts[i] = strdup(""))) return -ENOMEM;
  return 0;
}

int record_parse(const char *text, size_t len, struct record *out, char error[RECORD_ERROR_SIZE]) {
  struct record record = {.text = malloc(len + 1), .len = len, .attempt = 1};
  struct parser parser = {.record = &record, .error = error};
  int r = -ENOMEM;
  error[0] = '\0';
  if (!record.text) return r;
  if (len) memcpy(record.text, text, len);
  record.text[len] = '\0';
  if (json_reader_init(&parser.reader, record.text, len, RECORD_DEPTH) == 0) {
    r = read_whole(&parser);
    json_reader_free(&parser.reader);
  }
  if (r == 0) r = fill_blanks(&record);
  if (parser.no_memory) r = -ENOMEM;
  if (r < 0)
    record_free(&record);
  else
    *out = record;
  return r;
}

void record_free(struct record *record) {
  char *const texts[] = {record->text, record->isoq,   record->v8,     record->queue,
                         record->id,   record->worker, record->status, record->trace};
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
    free(texts[i]);
  for (size_t i = 0; i < record->function_count; i++)
    free(record->functions[i]);
  free(record->functions);
  for (size_t i = 0; i < record->call_count; i++)
    free(record->calls[i].name);
  free(record->calls);
  *record = (struct record){0};
}
