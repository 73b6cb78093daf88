/*
 * Arguments are compared as text, but for blanks between tokens: a record may have been printed prettily. Both texts
 * come from JSON.stringify, so the same arguments have the same text.
 *
 * A run that a limit or somebody stopped is to stop at the same place again, and not at the same time: the engine is
 * told how many entries of output there were, and stops the script when the trace and the output are used up. So the
 * replay's own limits are wider; the recorded time limit counts from where there is nothing left to repeat
 * (engine/trace.hh).
 */
#include "worker/replay.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue/utf8.h"

#define MADE_TEXT_SIZE 120
#define TIME_MAX_MS 86400000u
#define MEMORY_MAX_MB 16384u

static bool ends_at_its_own_place(enum isoq_status status) {
  return status == ISOQ_STATUS_OK || status == ISOQ_STATUS_ERROR || status == ISOQ_STATUS_OUTPUT_LIMIT;
}

static int make_trace(struct replay *replay, enum isoq_status status, size_t entries, double ran_ms) {
  const struct record *record = replay->record;
  char first[64] = "";
  uint32_t limit = 0;

  if (status == ISOQ_STATUS_TIMEOUT) limit = record->timeout_ms;
  if (status == ISOQ_STATUS_CPU_TIMEOUT) limit = record->cpu_ms;
  if (status == ISOQ_STATUS_OOM) limit = record->memory_mb;
  if (status == ISOQ_STATUS_CANCELLED)
    limit = ran_ms > 0 && ran_ms < record->timeout_ms ? (uint32_t)ran_ms + 1 : record->timeout_ms;
  if (!ends_at_its_own_place(status) && !replay->loose)
    snprintf(first, sizeof(first), "s%d,%zu,%u ", (int)status, entries, limit);
  replay->trace_len = strlen(first) + record->trace_len;
  replay->trace = malloc(replay->trace_len + 1);
  if (replay->trace == NULL) return -ENOMEM;
  memcpy(stpcpy(replay->trace, first), record->trace, record->trace_len + 1);
  return 0;
}

int replay_new(const struct record *record, enum isoq_status status, size_t entries, double ran_ms,
               bool loose, bool live, struct replay **out) {
  struct replay *replay = calloc(1, sizeof(*replay));

  if (replay == NULL) return -ENOMEM;
  replay->record = record;
  replay->loose = loose;
  replay->live = live;
  replay->used = calloc(record->call_count + 1, sizeof(*replay->used));
  if (replay->used == NULL || make_trace(replay, status, entries, ran_ms) < 0) {
    replay_free(replay);
    return -ENOMEM;
  }
  *out = replay;
  return 0;
}

void replay_free(struct replay *replay) {
  if (replay == NULL) return;
  for (size_t i = 0; i < replay->made_count; i++)
    free(replay->made[i].text);
  free(replay->made);
  free(replay->difference);
  free(replay->used);
  free(replay->trace);
  free(replay);
}

/* ---- the job ---- */

static uint32_t widened(uint32_t ms) {
  return ms < TIME_MAX_MS / REPLAY_TIME_FACTOR ? ms * REPLAY_TIME_FACTOR : TIME_MAX_MS;
}

size_t replay_set_up_job(const struct replay *replay, enum isoq_status status, const char *const *names,
                         size_t name_count, struct job *job) {
  const struct record *record = replay->record;
  uint32_t memory_mb = record->memory_mb;
  size_t unknown = 0, id;

  if (status == ISOQ_STATUS_OOM && !replay->loose) memory_mb *= REPLAY_MEMORY_FACTOR;
  job->timeout_ms = replay->loose ? record->timeout_ms : widened(record->timeout_ms);
  job->cpu_ms = replay->loose ? record->cpu_ms : widened(record->cpu_ms);
  job->memory_mb = memory_mb < MEMORY_MAX_MB ? memory_mb : MEMORY_MAX_MB;
  job->max_output_bytes = record->max_output_bytes;
  job->max_calls = record->max_calls;
  job->capture_console = record->capture_console;
  job->has_seed = record->has_seed;
  job->seed = record->seed;
  job->functions = 0;
  for (size_t i = 0; i < record->function_count; i++) {
    for (id = 0; id < name_count && strcmp(names[id], record->functions[i]) != 0;)
      id++;
    if (id < name_count)
      job->functions |= UINT32_C(1) << id;
    else
      unknown++;
  }
  return unknown;
}

/* ---- calls ---- */

/* The next byte that counts: blanks outside of strings do not. */
static int next_byte(const char *text, size_t len, size_t *at, bool *in_string) {
  unsigned char c;

  while (*at < len && !*in_string && strchr(" \t\r\n", text[*at]) != NULL && text[*at] != '\0')
    ++*at;
  if (*at >= len) return -1;
  c = (unsigned char)text[(*at)++];
  if (c == '"') *in_string = !*in_string;
  return c;
}

static bool same_json(const char *a, size_t a_len, const char *b, size_t b_len) {
  size_t a_at = 0, b_at = 0;
  bool a_string = false, b_string = false;

  for (;;) {
    int x = next_byte(a, a_len, &a_at, &a_string), y = next_byte(b, b_len, &b_at, &b_string);

    if (x != y) return false;
    if (x < 0) return true;
    if (x != '\\' || !a_string) continue;
    /* What is escaped ends no string. */
    if (a_at >= a_len || b_at >= b_len || a[a_at++] != b[b_at++]) return false;
  }
}

static bool same_call(const struct record_call *recorded, const struct wire_call *now) {
  return strlen(recorded->name) == now->name.len &&
         memcmp(recorded->name, now->name.data, now->name.len) == 0 &&
         same_json(recorded->args.data, recorded->args.len, now->args.data, now->args.len);
}

void replay_describe_call(const char *name, size_t name_len, const char *args, size_t args_len, char *out,
                          size_t size) {
  size_t n = (size_t)snprintf(out, size, "%.*s(", (int)name_len, name), at = 0, step;
  bool quoted = false, valid;

  if (args_len >= 2 && args[0] == '[') {
    args++;
    args_len -= 2;
  }
  if (n + 6 > size) return;
  /* JSON's double quotes become single ones, as people write them. */
  for (; at < args_len; at += step) {
    unsigned char c = (unsigned char)args[at];

    step = utf8_step(args + at, args_len - at, &valid);
    if (n + step + 6 > size) {
      n += (size_t)snprintf(out + n, size - n, "\xe2\x80\xa6"); /* … */
      break;
    }
    if (c == '\\' && quoted && at + 1 < args_len && n + 8 <= size) {
      out[n++] = (char)c;
      out[n++] = (char)((unsigned char)args[at + 1] < 0x80 ? args[at + 1] : '?');
      step = 2;
    } else if (c == '"') {
      quoted = !quoted;
      out[n++] = '\'';
    } else if (!valid || c < 0x20 || c == 0x7f) {
      out[n++] = '?';
    } else {
      memcpy(out + n, args + at, step);
      n += step;
      if (c == ',' && !quoted && at + 1 < args_len && args[at + 1] != ' ') out[n++] = ' ';
    }
  }
  snprintf(out + n, size - n, ")");
}

static void describe(const struct wire_call *call, char *out, size_t size) {
  replay_describe_call(call->name.data, call->name.len, call->args.data, call->args.len, out, size);
}

/* Notes the first difference. */
static int differs(struct replay *replay, char *message) {
  if (replay->difference == NULL)
    replay->difference = message;
  else
    free(message);
  return message == NULL ? -ENOMEM : -EPROTO;
}

static int call_again(struct replay *replay, const struct wire_call *call, const struct record_call **out) {
  const struct record *record = replay->record;
  const struct record_call *recorded =
      call->call <= record->call_count ? &record->calls[call->call - 1] : NULL;
  char now[MADE_TEXT_SIZE], then[MADE_TEXT_SIZE], *message = NULL;
  int n = 0;

  if (recorded != NULL && same_call(recorded, call) && !recorded->left_out) {
    *out = recorded;
    return 0;
  }
  describe(call, now, sizeof(now));
  if (recorded == NULL) {
    n = asprintf(&message, "call %u: recorded %s, now %s", call->call,
                 record->left_out & RECORD_CALLS ? "what did not fit into the record (record_max_bytes)"
                                                 : "none",
                 now);
  } else if (same_call(recorded, call)) {
    n = asprintf(&message, "call %u: %s: its answer did not fit into the record (record_max_bytes)",
                 call->call, now);
  } else {
    replay_describe_call(recorded->name, strlen(recorded->name), recorded->args.data, recorded->args.len,
                         then, sizeof(then));
    n = asprintf(&message, "call %u: recorded %s, now %s", call->call, then, now);
  }
  return differs(replay, n < 0 ? NULL : message);
}

static int note_made(struct replay *replay, const struct wire_call *call, uint32_t recorded) {
  struct replay_made *grown = realloc(replay->made, (replay->made_count + 1) * sizeof(*grown));
  char text[MADE_TEXT_SIZE];

  if (grown == NULL) return -ENOMEM;
  replay->made = grown;
  describe(call, text, sizeof(text));
  grown[replay->made_count] =
      (struct replay_made){.call = call->call, .recorded = recorded, .text = strdup(text)};
  return grown[replay->made_count++].text != NULL ? 0 : -ENOMEM;
}

static int call_by_name(struct replay *replay, const struct wire_call *call, const struct record_call **out) {
  const struct record *record = replay->record;
  int r;

  for (size_t i = 0; i < record->call_count; i++) {
    const struct record_call *recorded = &record->calls[i];

    if (replay->used[i] || !recorded->answered || !same_call(recorded, call)) continue;
    r = note_made(replay, call, recorded->call);
    if (r < 0) return r;
    replay->used[i] = true;
    *out = recorded;
    return 0;
  }
  r = note_made(replay, call, 0);
  return r < 0 ? r : -ENOENT;
}

int replay_call(struct replay *replay, const struct wire_call *call, const struct record_call **out) {
  return replay->loose ? call_by_name(replay, call, out) : call_again(replay, call, out);
}
