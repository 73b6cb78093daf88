/* What the fuzz targets of host functions share: a session above the scripted AWS, and one call to its end. */
#ifndef ISOQ_TESTS_BINDING_CALLS_H
#define ISOQ_TESTS_BINDING_CALLS_H

#include <event2/event.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bindings/bindings.h"
#include "queue/json_text.h"
#include "queue/utf8.h"
#include "tests/support/scripted_aws.h"
#include "worker/clock.h"

static struct event_base *base;
static struct bindings *bindings;
static struct bindings_session *session;
static int call_answers;
static bool call_ok;

static void require(bool condition) {
  if (!condition) abort();
}

/* Strict JSON, all of it; or an error as bindings.h has it. */
static void on_answer(void *ctx, uint32_t call, bool ok, const char *json, size_t len) {
  struct json_reader reader;
  struct json_value value;
  (void)ctx;
  require(call == 7 && strlen(json) == len && utf8_check(json, len) == len);
  require(json_reader_init(&reader, json, len, 110) == 0);
  require(json_reader_value(&reader, &value) == JSON_READ_OK && json_reader_peek(&reader) < 0);
  require(json_object_is_type(value.object, ok ? json_type_array : json_type_object));
  if (!ok) {
    require(json_object_is_type(json_object_object_get(value.object, "name"), json_type_string));
    require(json_object_is_type(json_object_object_get(value.object, "message"), json_type_string));
    require(!strpbrk(json_object_get_string(json_object_object_get(value.object, "message")), "\n\r\x1b"));
  }
  json_value_free(&value);
  json_reader_free(&reader);
  call_answers++;
  call_ok = ok;
}

static void start_call(const char *name, size_t name_len, const char *args, size_t args_len) {
  static const struct bindings_options options = {
      .max_calls = 1,
      .max_parallel_calls = 1,
      .max_answer_bytes = 64 << 10,
      .max_total_bytes = 1 << 20,
      .call_timeout_ms = 86400000,
  };
  char error[256];
  if (!base) base = event_base_new();
  require(bindings_new(base, &options, &bindings, error, sizeof error) == 0);
  require(bindings_session_new(bindings, BINDING_ALL, INT64_MAX / 2, on_answer, NULL, &session) == 0);
  call_answers = 0;
  require(bindings_call(session, 7, name, name_len, args, args_len) == 0);
  require(call_answers == 0);
}

static void turn(void) {
  require(event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK) >= 0);
}

static void end_call(void) {
  bindings_session_free(session);
  require(scripted_aws_open() == 0);
  bindings_free(bindings);
  scripted_aws_clear();
}

#endif
