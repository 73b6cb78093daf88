/*
 * listAccounts, over Organizations, and over STS where that is refused.
 *
 * Organizations, JSON 1.1: AWS Organizations API Reference, "ListAccounts" (MaxResults 1 to 20) and "Account". Status is
 * its older field, which AWS retires in favour of State on 9 September 2026; State is read first. STS, Query and XML: AWS
 * Security Token Service API Reference, "GetCallerIdentity", version 2011-06-15.
 *
 * Most accounts cannot list their organization, or have none, and a script that goes through all accounts should work
 * there too: over the one that there is.
 */
#include <expat.h>
#include <string.h>

#include "bindings/host.h"

#define XML_DEPTH_MAX 16
#define XML_BYTES_MAX (64u << 10)
#define ACCOUNT_DIGITS 12

static void item(struct binding_call *call, struct json_object *from, struct json_object *to) {
  binding_take(call, to, "id", from, "Id", json_type_string);
  binding_take(call, to, "name", from, "Name", json_type_string);
  binding_take(call, to, "email", from, "Email", json_type_string);
  binding_take(call, to, "status", from, json_object_object_get(from, "State") ? "State" : "Status",
               json_type_string);
}

/* ---- GetCallerIdentity ---- */

struct identity {
  XML_Parser parser;
  unsigned depth, matched; /* matched: elements of the path to Account that are open */
  char account[ACCOUNT_DIGITS + 1];
  size_t account_len; /* more than ACCOUNT_DIGITS: it is longer */
};

static const char *const path[] = {"GetCallerIdentityResponse", "GetCallerIdentityResult", "Account"};
#define PATH_LEN (sizeof path / sizeof path[0])

static void XMLCALL on_start(void *ctx, const char *name, const char **attributes) {
  struct identity *identity = ctx;
  (void)attributes;
  if (identity->depth == identity->matched && identity->matched < PATH_LEN &&
      strcmp(name, path[identity->matched]) == 0)
    identity->matched++;
  if (++identity->depth > XML_DEPTH_MAX) XML_StopParser(identity->parser, XML_FALSE);
}

static void XMLCALL on_end(void *ctx, const char *name) {
  struct identity *identity = ctx;
  (void)name;
  if (identity->matched == identity->depth) identity->matched--;
  identity->depth--;
}

static void XMLCALL on_text(void *ctx, const char *text, int len) {
  struct identity *identity = ctx;
  if (identity->matched != PATH_LEN || identity->depth != PATH_LEN) return;
  for (int i = 0; i < len; i++, identity->account_len++)
    if (identity->account_len < ACCOUNT_DIGITS) identity->account[identity->account_len] = text[i];
}

/* Entities come with a document type, which AWS never sends. */
static void XMLCALL on_doctype(void *ctx, const char *name, const char *system, const char *public,
                               int internal) {
  (void)name, (void)system, (void)public, (void)internal;
  XML_StopParser(((struct identity *)ctx)->parser, XML_FALSE);
}

static bool identity_read(struct identity *identity, const char *body, size_t len) {
  if (len > XML_BYTES_MAX) return false;
  identity->parser = XML_ParserCreate(NULL);
  if (!identity->parser) return false;
  XML_SetUserData(identity->parser, identity);
  XML_SetElementHandler(identity->parser, on_start, on_end);
  XML_SetCharacterDataHandler(identity->parser, on_text);
  XML_SetStartDoctypeDeclHandler(identity->parser, on_doctype);
  const bool ok = XML_Parse(identity->parser, body, (int)len, XML_TRUE) == XML_STATUS_OK;
  XML_ParserFree(identity->parser);
  return ok && identity->account_len == ACCOUNT_DIGITS &&
         strspn(identity->account, "0123456789") == ACCOUNT_DIGITS;
}

static void on_identity(struct binding_call *call, const struct aws_answer *answer) {
  struct identity identity = {0};
  struct json_object *account;

  if (!answer->ok) {
    binding_call_fail_as(call, answer);
  } else if (!identity_read(&identity, answer->body, answer->body_len)) {
    binding_call_broken(call, "no account of 12 digits at "
                              "GetCallerIdentityResponse/GetCallerIdentityResult/Account");
  } else {
    account = json_object_new_object();
    if (account) {
      binding_put_text(call, account, "id", identity.account);
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
