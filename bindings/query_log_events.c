/*
 * queryCloudWatchLogEvents, over CloudWatch Logs: Amazon CloudWatch Logs API Reference, "FilterLogEvents"
 * (JSON 1.1, limit 1 to 10,000, times in milliseconds, both ends included) and "FilteredLogEvent".
 */
#include "bindings/host.h"

static void item(struct binding_call *call, struct json_object *from, struct json_object *to) {
  binding_take(call, to, "timestamp", from, "timestamp", json_type_int);
  binding_take(call, to, "message", from, "message", json_type_string);
  binding_take(call, to, "ingestionTime", from, "ingestionTime", json_type_int);
  binding_take(call, to, "logStreamName", from, "logStreamName", json_type_string);
  binding_take(call, to, "eventId", from, "eventId", json_type_string);
}

static const struct binding_operation operation = {
    .service = AWS_LOGS,
    .path = "/",
    .content_type = "application/x-amz-json-1.1",
    .target = "Logs_20140328.FilterLogEvents",
    .items = "events",
    .token = "nextToken",
    .page_size = "limit",
    .page_size_max = 10000,
    .item = item,
};

static void put_time(struct binding_call *call, struct json_object *question, const char *name) {
  int64_t time_ms;
  if (binding_call_time_ms(call, name, &time_ms))
    binding_put(call, question, name, json_object_new_int64(time_ms));
}

void binding_query_log_events(struct binding_call *call) {
  struct json_object *question = json_object_new_object();
  if (question) {
    binding_put_text(call, question, "logGroupName", binding_call_text(call, "logGroupName"));
    put_time(call, question, "startTime");
    put_time(call, question, "endTime");
    if (*binding_call_text(call, "filterPattern"))
      binding_put_text(call, question, "filterPattern", binding_call_text(call, "filterPattern"));
  }
  binding_call_list(call, &operation, question);
}
