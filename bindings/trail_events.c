/*
 * getCloudTrailEvents, over CloudTrail: AWS CloudTrail API Reference, "LookupEvents" (JSON 1.1, MaxResults 1
 * to 50, times in seconds), "Event" and "Resource". CloudTrailEvent is the record itself, a string of JSON.
 */
#include <inttypes.h>
#include <stdio.h>

#include "bindings/host.h"

static void put_resources(struct binding_call *call, struct json_object *from, struct json_object *to) {
  struct json_object *theirs = json_object_object_get(from, "Resources"), *ours = json_object_new_array();
  const size_t count = json_object_is_type(theirs, json_type_array) ? json_object_array_length(theirs) : 0;

  for (size_t i = 0; i < count && ours; i++) {
    struct json_object *resource = json_object_array_get_idx(theirs, i), *mapped = json_object_new_object();
    if (mapped && json_object_is_type(resource, json_type_object)) {
      binding_take(call, mapped, "type", resource, "ResourceType", json_type_string);
      binding_take(call, mapped, "name", resource, "ResourceName", json_type_string);
    }
    if (!mapped || json_object_array_add(ours, mapped) < 0) {
      json_object_put(mapped);
      binding_call_no_memory(call);
    }
  }
  binding_put(call, to, "resources", ours);
}

static void item(struct binding_call *call, struct json_object *from, struct json_object *to) {
  binding_take(call, to, "eventId", from, "EventId", json_type_string);
  binding_take(call, to, "eventName", from, "EventName", json_type_string);
  binding_take_seconds(call, to, "eventTime", from, "EventTime");
  binding_take(call, to, "eventSource", from, "EventSource", json_type_string);
  binding_take(call, to, "username", from, "Username", json_type_string);
  put_resources(call, from, to);
  binding_take_json(call, to, "event", from, "CloudTrailEvent");
}

static const struct binding_operation operation = {
    .service = AWS_CLOUDTRAIL,
    .path = "/",
    .content_type = "application/x-amz-json-1.1",
    .target = "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents",
    .items = "Events",
    .token = "NextToken",
    .page_size = "MaxResults",
    .page_size_max = 50,
    .item = item,
};

/* Printed, not divided: 17 digits of a double would show what is not there. */
static void put_seconds(struct binding_call *call, struct json_object *question, const char *name,
                        int64_t time_ms) {
  char text[32];
  snprintf(text, sizeof text, "%" PRId64 ".%03d", time_ms / 1000, (int)(time_ms % 1000));
  binding_put(call, question, name, json_object_new_double_s((double)time_ms / 1000, text));
}

static void put_event_name(struct binding_call *call, struct json_object *question, const char *event_name) {
  struct json_object *list = json_object_new_array(), *attribute = json_object_new_object();
  if (attribute) {
    binding_put_text(call, attribute, "AttributeKey", "EventName");
    binding_put_text(call, attribute, "AttributeValue", event_name);
  }
  if (!attribute || !list || json_object_array_add(list, attribute) < 0) {
    json_object_put(attribute);
    json_object_put(list);
    list = NULL;
  }
  binding_put(call, question, "LookupAttributes", list);
}

void binding_trail_events(struct binding_call *call) {
  struct json_object *question = json_object_new_object();
  int64_t time_ms;
  if (question) {
    if (binding_call_time_ms(call, "startTime", &time_ms)) put_seconds(call, question, "StartTime", time_ms);
    if (binding_call_time_ms(call, "endTime", &time_ms)) put_seconds(call, question, "EndTime", time_ms);
    if (*binding_call_text(call, "eventName"))
      put_event_name(call, question, binding_call_text(call, "eventName"));
  }
  binding_call_list(call, &operation, question);
}
