/*
 * Where the job is recorded, each call and its answer is noted as an element of the record's "calls" (queue/record.h),
 * up to as many bytes as the whole record may have; beyond them answers are left out, then calls.
 */
#include "worker/calls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bindings/bindings.h"
#include "queue/job.h"
#include "queue/record.h"
#include "queue/result.h"
#include "worker/replay.h"

struct note {
  char *name, *args, *answer;
  size_t name_len, args_len, answer_len;
  bool ok, left_out;
};

struct calls {
  struct bindings_session *session; /* NULL: none is needed */
  struct replay *replay;            /* of the job; NULL: it is none */
  calls_answer_fn answer;
  void *ctx;
  uint32_t last, max;

  bool recorded;
  size_t note_bytes_left;
  struct note *notes; /* [call - 1] */
  size_t note_count;
  bool left_out; /* something was */
};

static char *copy(const char *data, size_t len) {
  char *text = malloc(len + 1);

  if (text == NULL) return NULL;
  if (len > 0) memcpy(text, data, len);
  text[len] = '\0';
  return text;
}

/* ---- notes ---- */

static void note_call(struct calls *calls, const struct wire_call *call) {
  size_t bytes = call->name.len + call->args.len + sizeof(struct note);
  struct note *grown, *note;

  if (!calls->recorded || calls->note_count + 1 != call->call || bytes > calls->note_bytes_left) {
    calls->left_out |= calls->recorded;
    return;
  }
  if ((calls->note_count & (calls->note_count - 1)) == 0) {
    grown = realloc(calls->notes, (calls->note_count > 0 ? calls->note_count * 2 : 1) * sizeof(*grown));
    if (grown == NULL) {
      calls->left_out = true;
      return;
    }
    calls->notes = grown;
  }
  note = &calls->notes[calls->note_count];
  *note = (struct note){.name = copy(call->name.data, call->name.len),
                        .args = copy(call->args.data, call->args.len),
                        .name_len = call->name.len,
                        .args_len = call->args.len};
  if (note->name == NULL || note->args == NULL) {
    free(note->name);
    free(note->args);
    calls->left_out = true;
    return;
  }
  calls->note_bytes_left -= bytes;
  calls->note_count++;
}

static void note_answer(struct calls *calls, uint32_t call, bool ok, const char *json, size_t len) {
  struct note *note;

  if (call > calls->note_count) return;
  note = &calls->notes[call - 1];
  note->ok = ok;
  if (len <= calls->note_bytes_left) note->answer = copy(json, len);
  if (note->answer == NULL) {
    note->left_out = calls->left_out = true;
    return;
  }
  note->answer_len = len;
  calls->note_bytes_left -= len;
}

void calls_take_notes(struct calls *calls, struct job_result *result) {
  result->calls_left_out = calls->left_out;
  if (calls->note_count == 0) return;
  result->calls = calloc(calls->note_count, sizeof(*result->calls));
  for (size_t i = 0; i < calls->note_count && result->calls != NULL; i++) {
    const struct note *note = &calls->notes[i];
    const struct record_noted noted = {.call = (uint32_t)i + 1,
                                       .name = note->name,
                                       .name_len = note->name_len,
                                       .args = note->args,
                                       .args_len = note->args_len,
                                       .answer = note->answer,
                                       .answer_len = note->answer_len,
                                       .ok = note->ok,
                                       .left_out = note->left_out};
    struct result_text *text = &result->calls[i];

    text->data = record_call_make(&noted, &text->len);
    if (text->data == NULL) break;
    result->call_count++;
  }
  if (result->call_count < calls->note_count) result->calls_left_out = true;
}

/* ---- calls ---- */

static void on_answer(void *ctx, uint32_t call, bool ok, const char *json, size_t len) {
  struct calls *calls = ctx;

  note_answer(calls, call, ok, json, len);
  calls->answer(calls->ctx, call, ok, json, len);
}

int calls_new(struct bindings *bindings, const struct job *job, int64_t deadline_ns, calls_answer_fn answer,
              void *ctx, struct calls **out) {
  struct calls *calls = calloc(1, sizeof(*calls));
  int r = 0;

  if (calls == NULL) return -ENOMEM;
  calls->max = job->max_calls;
  calls->answer = answer;
  calls->ctx = ctx;
  calls->replay = job->replay;
  calls->recorded = job->record;
  calls->note_bytes_left = job->record_max_bytes;
  if (bindings != NULL)
    r = bindings_session_new(bindings, job->functions, deadline_ns, on_answer, calls, &calls->session);
  if (r < 0) {
    free(calls);
    return r;
  }
  *out = calls;
  return 0;
}

void calls_free(struct calls *calls) {
  if (calls == NULL) return;
  if (calls->session != NULL) bindings_session_free(calls->session);
  for (size_t i = 0; i < calls->note_count; i++) {
    free(calls->notes[i].name);
    free(calls->notes[i].args);
    free(calls->notes[i].answer);
  }
  free(calls->notes);
  free(calls);
}

static int call_bindings(struct calls *calls, const struct wire_call *call) {
  return bindings_call(calls->session, call->call, call->name.data, call->name.len, call->args.data,
                       call->args.len);
}

static int call_record(struct calls *calls, const struct wire_call *call) {
  static const char refused[] = "{\"name\":\"ReplayError\",\"message\":\"the record has no such call, and "
                                "new ones are not made; isoq replay "
                                "--live makes them\"}";
  const struct record_call *recorded;
  int r = replay_call(calls->replay, call, &recorded);

  if (r == -EPROTO) return -ECANCELED;
  if (r == -ENOENT && calls->session != NULL) return call_bindings(calls, call);
  if (r == -ENOENT) {
    on_answer(calls, call->call, false, refused, sizeof(refused) - 1);
    return 0;
  }
  if (r < 0) return r;
  if (recorded->answered)
    on_answer(calls, call->call, recorded->ok, recorded->answer.data, recorded->answer.len);
  return 0;
}

int calls_start(struct calls *calls, const struct wire_call *call) {
  if (call->call != calls->last + 1 || call->call > calls->max) return -EPROTO;
  calls->last++;
  note_call(calls, call);
  return calls->replay != NULL ? call_record(calls, call) : call_bindings(calls, call);
}
