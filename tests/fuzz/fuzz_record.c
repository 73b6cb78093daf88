/*
 * Records of any bytes: isoq replay reads files from anywhere. Beyond not crashing: what is refused is refused in words,
 * what is read lies within the text, and its calls can be asked for, in both ways, and described.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "queue/utf8.h"
#include "worker/replay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition) {
  if (!condition) abort();
}

static void check_span(const struct record *record, struct job_span span) {
  if (span.data != NULL)
    require(span.len > 0 && span.data >= record->text && span.data + span.len <= record->text + record->len);
}

static void ask(const struct record *record, bool loose) {
  struct replay *replay;
  const struct record_call *found;
  struct job job = {0};

  require(replay_new(record, ISOQ_STATUS_TIMEOUT, 1, 1, loose, false, &replay) == 0);
  replay_set_up_job(replay, ISOQ_STATUS_TIMEOUT, NULL, 0, &job);
  for (uint32_t i = 0; i < record->call_count && i < 8; i++) {
    const struct record_call *call = &record->calls[i];
    const struct wire_call message = {
        .call = i + 1, .name = {call->name, strlen(call->name)}, .args = {call->args.data, call->args.len}};
    int r = replay_call(replay, &message, &found);

    require(r == 0 || r == -EPROTO || r == -ENOENT);
    if (r == 0) require(strcmp(found->name, call->name) == 0);
  }
  if (replay->difference != NULL)
    require(utf8_check(replay->difference, strlen(replay->difference)) == strlen(replay->difference));
  replay_free(replay);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct record record;
  char error[RECORD_ERROR_SIZE];
  int r = record_parse((const char *)data, size, &record, error);

  require(r == 0 || r == -EINVAL);
  if (r < 0) {
    require(error[0] != '\0' && memchr(error, '\n', strlen(error)) == NULL);
    return 0;
  }
  check_span(&record, record.job);
  check_span(&record, record.result);
  for (size_t i = 0; i < record.call_count; i++) {
    check_span(&record, record.calls[i].args);
    check_span(&record, record.calls[i].answer);
  }
  ask(&record, false);
  ask(&record, true);
  record_free(&record);
  return 0;
}
