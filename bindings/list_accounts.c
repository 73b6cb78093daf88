/*
 * listAccounts, over Organizations, and over STS where that is refused.
 *
 * Organizations, JSON 1.1: AWS Organizations API Reference, "ListAccounts" (MaxResults 1 to 20) and
 * "Account". Status is its older field, which AWS retires in favour of State on 9 September 2026; State is
 * read first. STS, Query and XML: AWS Security Token Service API Reference, "GetCallerIdentity", version
 * 2011-06-15.
 *
 * Most accounts cannot list their organization, or have none, and a script that goes through all accounts
 * should work there too: over the one that there is.
 */
#include <string.h>

#include "bindings/aws_xml.h"
#include "bindings/host.h"

#define ACCOUNT_DIGITS 12

static void item(struct binding_call *call, struct json_object *from, struct json_object *to) {
  binding_take(call, to, "id", from, "Id", json_type_string);
  binding_take(call, to, "name", from, "Name", json_type_string);
  binding_take(call, to, "email", from, "Email", json_type_string);
  binding_take(call, to, "status", from, json_object_object_get(from, "State") ? "State" : "Status",
               json_type_string);
}

/* ---- GetCallerIdentity ---- */

/* Into `account`. */
static bool identity_read(const char *body, size_t len, char account[ACCOUNT_DIGITS + 1]) {
  struct aws_xml_want want = {.path = "GetCallerIdentityResult/Account"};
  const bool is_there = aws_xml_find(body, len, &want, 1) == 0 && want.text &&
                        strlen(want.text) == ACCOUNT_DIGITS &&
                        strspn(want.text, "0123456789") == ACCOUNT_DIGITS;
  if (is_there) memcpy(account, want.text, ACCOUNT_DIGITS + 1);
  aws_xml_free(&want, 1);
  return is_there;
}

static void on_identity(struct binding_call *call, const struct aws_answer *answer) {
  char id[ACCOUNT_DIGITS + 1];
  struct json_object *account;

  if (!answer->ok) {
    binding_call_fail_as(call, answer);
  } else if (!identity_read(answer->body, answer->body_len, id)) {
    binding_call_broken(call, "no account of 12 digits at "
                              "GetCallerIdentityResult/Account");
  } else {
    account = json_object_new_object();
    if (account) {
      binding_put_text(call, account, "id", id);
      binding_put_text(call, account, "name", NULL);
      binding_put_text(call, account, "email", NULL);
      binding_put_text(call, account, "status", "ACTIVE");
    }
    binding_call_add(call, account);
    binding_call_done(call);
  }
}

/* No organization, or no say in it. */
static bool on_error(struct binding_call *call, const struct aws_answer *answer) {
  static const char body[] = "Action=GetCallerIdentity&Version=2011-06-15";
  static const struct aws_request request = {
      .service = AWS_STS,
      .path = "/",
      .content_type = "application/x-www-form-urlencoded",
      .body = body,
      .body_len = sizeof body - 1,
  };
  if (strcmp(answer->error_name, "AccessDeniedException") != 0 &&
      strcmp(answer->error_name, "AWSOrganizationsNotInUseException") != 0)
    return false;
  binding_call_send(call, &request, on_identity);
  return true;
}

static const struct binding_operation operation = {
    .service = AWS_ORGANIZATIONS,
    .path = "/",
    .content_type = "application/x-amz-json-1.1",
    .target = "AWSOrganizationsV20161128.ListAccounts",
    .items = "Accounts",
    .token = "NextToken",
    .page_size = "MaxResults",
    .page_size_max = 20,
    .item = item,
    .on_error = on_error,
};

void binding_list_accounts(struct binding_call *call) {
  binding_call_list(call, &operation, json_object_new_object());
}
