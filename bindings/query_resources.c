/*
 * queryResources, over Cloud Control: AWS Cloud Control API Reference, "ListResources" (JSON 1.0, MaxResults
 * 1 to 100) and "ResourceDescription", whose Properties are a string of JSON.
 */
#include "bindings/host.h"

static void item(struct binding_call *call, struct json_object *from, struct json_object *to) {
  binding_take(call, to, "id", from, "Identifier", json_type_string);
  binding_put_text(call, to, "type", binding_call_text(call, "resourceType"));
  binding_put_account(call, to, "accountId");
  binding_put_region(call, to, "region");
  binding_take_json(call, to, "properties", from, "Properties");
}

static const struct binding_operation operation = {
    .service = AWS_CLOUDCONTROL,
    .path = "/",
    .content_type = "application/x-amz-json-1.0",
    .target = "CloudApiService.ListResources",
    .items = "ResourceDescriptions",
    .token = "NextToken",
    .page_size = "MaxResults",
    .page_size_max = 100,
    .names_account = true,
    .item = item,
};

void binding_query_resources(struct binding_call *call) {
  struct json_object *question = json_object_new_object();
  if (question) binding_put_text(call, question, "TypeName", binding_call_text(call, "resourceType"));
  binding_call_list(call, &operation, question);
}
