/*
 * listRegions, over Account Management: AWS Account Management API Reference, "ListRegions" (POST
 * /listRegions, MaxResults 1 to 50) and "Region".
 *
 * Another account is reached by its role, as everywhere, and not by the operation's own AccountId, which
 * works for members of an organization only and needs trusted access.
 */
#include "bindings/host.h"

static void item(struct binding_call *call, struct json_object *from, struct json_object *to) {
  binding_take(call, to, "name", from, "RegionName", json_type_string);
  binding_take(call, to, "status", from, "RegionOptStatus", json_type_string);
}

static const struct binding_operation operation = {
    .service = AWS_ACCOUNT,
    .path = "/listRegions",
    .content_type = "application/json",
    .items = "Regions",
    .token = "NextToken",
    .page_size = "MaxResults",
    .page_size_max = 50,
    .item = item,
};

void binding_list_regions(struct binding_call *call) {
  binding_call_list(call, &operation, json_object_new_object());
}
