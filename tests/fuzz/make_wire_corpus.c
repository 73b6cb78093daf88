/*
 * Writes the seeds of fuzz_wire into a folder, one file for each kind of message and one with a whole job:
 * they are binary, and follow the encoders, so they are made and not kept in the repository.
 *
 * usage: make_wire_corpus FOLDER     (which exists)
 */
#include <stdio.h>
#include <string.h>

#include "worker/wire.h"

#define TEXT(literal) ((struct wire_text){literal, sizeof(literal) - 1})

static int write_seed(const char *folder, const char *name, const void *data, size_t len) {
  char path[4096];
  FILE *file;
  int r = 0;

  if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path)) return -1;
  file = fopen(path, "wb");
  if (file == NULL || fwrite(data, 1, len, file) != len) r = -1;
  if (file != NULL && fclose(file) != 0) r = -1;
  if (r < 0) perror(path);
  return r;
}

static int write_frames(const char *folder, const char *name, struct wire_buffer *frames) {
  int r = frames->failed ? -1 : write_seed(folder, name, frames->data, frames->len);

  wire_buffer_reset(frames, SIZE_MAX);
  return r;
}

static size_t make_console(uint8_t *out) {
  static const char *const texts[] = {"hello", "", "{ a: 1 }"};
  size_t len = WIRE_HEADER_SIZE;

  for (int i = 0; i < 3; i++) {
    wire_console_entry_encode(out + len, (enum isoq_console_level)(i * 2), i == 2,
                              (uint32_t)strlen(texts[i]));
    memcpy(out + len + WIRE_CONSOLE_ENTRY_OVERHEAD, texts[i], strlen(texts[i]));
    len += WIRE_CONSOLE_ENTRY_OVERHEAD + strlen(texts[i]);
  }
  wire_header_encode(out, WIRE_CONSOLE, (uint32_t)(len - WIRE_HEADER_SIZE), 1);
  return len;
}

int main(int argc, char **argv) {
  const struct wire_hello hello = {.protocol = WIRE_PROTOCOL_VERSION,
                                   .locked_down = true,
                                   .v8_version = TEXT("13.6"),
                                   .sandbox = TEXT("seccomp")};
  const struct wire_job job = {
      .timeout_ms = 1000, .has_seed = true, .code = TEXT("2 + 2"), .input = TEXT("null")};
  const struct wire_result ok = {
      .result_type = ISOQ_TYPE_NUMBER, .has_result = true, .result = TEXT("4"), .execution_time_ms = 0.5};
  const struct wire_result error = {.status = ISOQ_STATUS_ERROR,
                                    .has_error = true,
                                    .error_name = TEXT("Error"),
                                    .error_message = TEXT("boo"),
                                    .error_stack = TEXT("Error: boo"),
                                    .error_line = 1};
  const struct wire_call call = {.call = 1, .name = TEXT("listRegions"), .args = TEXT("[]")};
  const struct wire_reply reply = {.call = 1, .ok = true, .json = TEXT("[]")};
  const struct wire_job replay = {.code = TEXT("1"), .record = true, .functions = 3, .trace = TEXT("{}")};
  const struct wire_job inspected = {.code = TEXT("1"), .inspect = TEXT("job-1")};
  const struct wire_text message = TEXT("{\"id\":1,\"method\":\"Runtime.enable\"}");
  const struct wire_dying dying = {.status = ISOQ_STATUS_OOM, .why = TEXT("heap limit")};
  struct wire_buffer frames = {0};
  uint8_t console[256], death[1024];
  size_t console_len = make_console(console), death_len;
  int r = 0;

  if (argc != 2) {
    fprintf(stderr, "usage: make_wire_corpus FOLDER\n");
    return 2;
  }
  wire_hello_encode(&frames, &hello);
  r |= write_frames(argv[1], "hello", &frames);
  wire_job_encode(&frames, 1, &job);
  r |= write_frames(argv[1], "job", &frames);
  wire_result_encode(&frames, 1, &ok);
  r |= write_frames(argv[1], "result-ok", &frames);
  wire_result_encode(&frames, 1, &error);
  r |= write_frames(argv[1], "result-error", &frames);
  wire_call_encode(&frames, 1, &call);
  r |= write_frames(argv[1], "call", &frames);
  wire_reply_encode(&frames, 1, &reply);
  r |= write_frames(argv[1], "reply", &frames);
  wire_trace_encode(&frames, 1, TEXT("{}"));
  r |= write_frames(argv[1], "trace", &frames);
  wire_job_encode(&frames, 1, &replay);
  r |= write_frames(argv[1], "replay", &frames);
  wire_job_encode(&frames, 1, &inspected);
  wire_inspect_in_encode(&frames, 1, message);
  wire_inspect_out_encode(&frames, 1, message);
  r |= write_frames(argv[1], "inspect", &frames);
  wire_hello_encode(&frames, &hello);
  wire_job_encode(&frames, 1, &job);
  wire_call_encode(&frames, 1, &call);
  wire_result_encode(&frames, 1, &ok);
  r |= write_frames(argv[1], "conversation", &frames);
  r |= write_seed(argv[1], "console", console, console_len);
  r |= wire_dying_encode(death, &death_len, 1, &dying) < 0 || write_seed(argv[1], "dying", death, death_len);
  wire_returned_encode(death, &(struct wire_returned){.after = 1, .up_to = 3});
  r |= write_seed(argv[1], "returned", death, WIRE_RETURNED_SIZE);
  wire_buffer_free(&frames);
  return r == 0 ? 0 : 1;
}
