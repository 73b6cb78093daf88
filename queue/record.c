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
#include "queue/json_write.h"
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

static void put_string(struct json_writer *w, const char *name, const char *text) {
  json_write(w, name);
  json_write_string(w, text, strlen(text));
}

static void put_uint(struct json_writer *w, const char *name, uint64_t number) {
  json_write(w, name);
  json_write_uint(w, number);
}

char *record_call_make(const struct record_noted *noted, size_t *len) {
  struct json_writer writer = {0}, *w = &writer;
  put_uint(w, "{\"call\":", noted->call);
  json_write(w, ",\"name\":");
  json_write_string(w, noted->name, noted->name_len);
  json_write(w, ",\"args\":");
  if (json_text_is('[', noted->args, noted->args_len, ARGS_DEPTH))
    json_write_bytes(w, noted->args, noted->args_len);
  else
    json_write_string(w, noted->args, noted->args_len);
  if (noted->answer || noted->left_out) json_write(w, noted->ok ? ",\"ok\":true" : ",\"ok\":false");
  if (noted->left_out) {
    json_write(w, ",\"left_out\":true");
  } else if (noted->answer) {
    json_write(w, ",\"answer\":");
    json_write_bytes(w, noted->answer, noted->answer_len);
  }
  json_write(w, "}");
  return json_writer_take(w, len);
}

static void put_limits(struct json_writer *w, const struct job *job, const struct record_setting *setting) {
  bool more = false;
  put_uint(w, "\"limits\":{\"timeout_ms\":", job->timeout_ms);
  put_uint(w, ",\"cpu_ms\":", job->cpu_ms);
  put_uint(w, ",\"memory_mb\":", job->memory_mb);
  put_uint(w, ",\"max_output_bytes\":", job->max_output_bytes);
  put_uint(w, ",\"max_result_bytes\":", setting->max_result_bytes);
  put_uint(w, ",\"max_timers\":", setting->max_timers);
  put_uint(w, ",\"max_calls\":", job->max_calls);
  json_write(w, ",\"functions\":[");
  for (size_t i = 0; i < setting->function_count; i++) {
    if (!(job->functions & UINT32_C(1) << i)) continue;
    put_string(w, more ? "," : "", setting->functions[i]);
    more = true;
  }
  json_write(w, job->capture_console ? "],\"capture_console\":true}" : "],\"capture_console\":false}");
}

static void put_head(struct json_writer *w, const struct job *job, const struct job_result *result,
                     const struct record_setting *setting, int64_t at_ms) {
  put_uint(w, "{\"record\":", RECORD_VERSION);
  put_string(w, ",\"isoq\":", setting->isoq_version);
  put_string(w, ",\"v8\":", setting->v8_version);
  json_write(w, ",\"at\":");
  json_write_int(w, at_ms);
  put_string(w, ",\"queue\":", job->queue ? job->queue : "");
  put_string(w, ",\"id\":", job->id);
  put_string(w, ",\"worker\":", result->worker);
  put_uint(w, ",\"attempt\":", (uint64_t)job->attempt + job->deaths);
  put_string(w, ",\"status\":", isoq_status_name(result->status));
  json_write(w, ",");
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

/* Printable ASCII without quotes and backslashes, as the broker has checked; from elsewhere, escaped like any string. */
static void put_trace(struct json_writer *w, const struct choice *choice) {
  struct json_writer whole = {0};
  json_write(w, "\"trace\":");
  if (!choice->trace_is_cut) {
    json_write_string(w, choice->trace.data, choice->trace.len);
    return;
  }
  json_write_bytes(&whole, choice->trace.data, choice->trace.len);
  json_write(&whole, "! ");
  w->failed = w->failed || whole.failed;
  json_write_string(w, whole.data, whole.len);
  json_writer_free(&whole);
}

static void put_chosen(struct json_writer *w, const struct choice *choice, const struct job_result *result) {
  bool more = false;
  put_trace(w, choice);
  json_write(w, ",\"calls\":[");
  for (size_t i = 0; i < choice->calls; i++) {
    if (i > 0) json_write(w, ",");
    json_write_bytes(w, result->calls[i].data, result->calls[i].len);
  }
  json_write(w, "]");
  for (size_t i = 0; i < PART_COUNT; i++) {
    if (!(choice->left_out & parts[i].part)) continue;
    put_string(w, more ? "," : ",\"left_out\":[", parts[i].name);
    more = true;
  }
  if (more) json_write(w, "]");
}

static void put_span(struct json_writer *w, struct job_span span) {
  if (span.data)
    json_write_bytes(w, span.data, span.len);
  else
    json_write(w, "null");
}

#define BETWEEN_BYTES 512 /* the members' names, nulls, the longest "left_out", and a digest */

static void put_digest(struct json_writer *w, const struct job_result *result) {
  struct record_digest digest;
  char hex[24];
  record_digest_make(result, &digest);
  put_uint(w, ",\"digest\":{\"entries\":", digest.entries);
  for (size_t i = 0; i < RECORD_DIGEST_COUNT; i++) {
    snprintf(hex, sizeof hex, "%016" PRIx64, digest.part[i]);
    json_write(w, ",\"");
    json_write(w, digest_names[i]);
    put_string(w, "\":", hex);
  }
  json_write(w, "}");
}

int record_make(const struct job *job, const struct job_result *result, const char *json, size_t json_len,
                const struct record_setting *setting, int64_t at_ms, char **out, size_t *out_len) {
  struct json_writer head = {0}, limits = {0};
  size_t payload_len = job->payload_len;
  char *original = job->note_len ? job_payload_original(job, &payload_len) : NULL;
  const char *payload = original ? original : job->payload;

  put_head(&head, job, result, setting, at_ms);
  put_limits(&limits, job, setting);
  if (job->has_seed) put_uint(&limits, ",\"seed\":", job->seed);
  head.failed = head.failed || limits.failed || (job->note_len && !original);
  if (!head.failed) {
    const size_t fixed = head.len + limits.len + BETWEEN_BYTES;
    const size_t room = job->record_max_bytes > fixed ? job->record_max_bytes - fixed : 0;
    const struct choice choice =
        choose(result, (struct job_span){payload, payload_len}, (struct job_span){json, json_len}, room);
    json_write(&head, "\"job\":");
    put_span(&head, choice.job);
    json_write(&head, ",");
    json_write_bytes(&head, limits.data, limits.len);
    json_write(&head, ",");
    put_chosen(&head, &choice, result);
    if (choice.job.data && !choice.result.data) put_digest(&head, result);
    json_write(&head, ",\"result\":");
    put_span(&head, choice.result);
    json_write(&head, "}");
  }
  json_writer_free(&limits);
  free(original);
  char *text = json_writer_take(&head, out_len);
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
  if (p->reader.no_memory) return no_memory(p);
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
