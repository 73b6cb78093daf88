/*
 * Formats: "Process credential provider", "Container credential provider" and "IMDS credential provider" of
 * the AWS SDKs and Tools Reference Guide; "AssumeRole" of the STS API Reference. An answer is parsed by a
 * library and never repeated in an error: whatever is wrong with it, it may hold keys.
 */
#include "bindings/aws_keys.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bindings/aws_xml.h"

#define JSON_DEPTH 8
#define TEXT_MAX 16384 /* of one key or token */

void aws_wipe(char *secret) {
  if (secret != NULL) explicit_bzero(secret, strlen(secret));
  free(secret);
}

static bool fits_header(const char *text) {
  const char *c = text;

  while (*c > ' ' && *c <= '~')
    c++;
  return *c == '\0' && c > text && c - text <= TEXT_MAX;
}

int aws_keys_set(struct aws_keys *keys, const char *access_key_id, const char *secret, const char *token,
                 int64_t expires_at_s) {
  struct aws_keys fresh = {.expires_at_s = expires_at_s};

  if (!fits_header(access_key_id) || !fits_header(secret) || (token != NULL && !fits_header(token)))
    return -EINVAL;
  fresh.access_key_id = strdup(access_key_id);
  fresh.secret = strdup(secret);
  if (token != NULL) fresh.token = strdup(token);
  if (fresh.access_key_id == NULL || fresh.secret == NULL || (token != NULL && fresh.token == NULL)) {
    aws_keys_clear(&fresh);
    return -ENOMEM;
  }
  *keys = fresh;
  return 0;
}

int aws_keys_copy(struct aws_keys *keys, const struct aws_keys *from) {
  return aws_keys_set(keys, from->access_key_id, from->secret, from->token, from->expires_at_s);
}

void aws_keys_clear(struct aws_keys *keys) {
  aws_wipe(keys->access_key_id);
  aws_wipe(keys->secret);
  aws_wipe(keys->token);
  *keys = (struct aws_keys){0};
}

/* ---- time ---- */

int aws_time_parse(const char *text, int64_t *out_s) {
  struct tm tm = {0};
  const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
  long offset_s = 0;

  if (rest == NULL || tm.tm_year < 0 || tm.tm_year > 8099) return -EINVAL;
  if (*rest == '.') rest += 1 + strspn(rest + 1, "0123456789");
  if (strcmp(rest, "Z") != 0) {
    struct tm offset = {0};
    const char *end;

    if (*rest != '+' && *rest != '-') return -EINVAL;
    end = strptime(rest + 1, "%H:%M", &offset);
    if (end == NULL || *end != '\0') return -EINVAL;
    offset_s = (offset.tm_hour * 60L + offset.tm_min) * 60L * (*rest == '-' ? -1 : 1);
  }
  *out_s = (int64_t)timegm(&tm) - offset_s;
  return 0;
}

/* ---- JSON ---- */

/* NULL: not there, or no string. json-c's own memory, so that it can be overwritten. */
static char *member(struct json_object *object, const char *name) {
  struct json_object *value;

  if (!json_object_object_get_ex(object, name, &value) || !json_object_is_type(value, json_type_string))
    return NULL;
  return (char *)json_object_get_string(value);
}

static struct json_object *parse(const char *text, size_t len) {
  struct json_tokener *tokener = json_tokener_new_ex(JSON_DEPTH);
  struct json_object *object = NULL;

  if (tokener == NULL) return NULL;
  json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
  /* With its NUL, which ends it. */
  if (len < INT32_MAX) object = json_tokener_parse_ex(tokener, text, (int)len + 1);
  if (json_tokener_get_error(tokener) != json_tokener_success ||
      !json_object_is_type(object, json_type_object)) {
    json_object_put(object);
    object = NULL;
  }
  json_tokener_free(tokener);
  return object;
}

static void forget(struct json_object *object) {
  static const char *const names[] = {"SecretAccessKey", "Token", "SessionToken"};

  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    char *secret = member(object, names[i]);

    if (secret != NULL) explicit_bzero(secret, strlen(secret));
  }
  json_object_put(object);
}

static int wrong(char *error, size_t error_size, const char *what) {
  snprintf(error, error_size, "%s", what);
  return -EINVAL;
}

static int set_checked(struct aws_keys *out, const char *id, const char *secret, const char *token,
                       const char *expiration, char *error, size_t error_size) {
  int64_t expires_at_s = AWS_KEYS_NEVER;
  int r;

  if (id == NULL) return wrong(error, error_size, "the answer has no AccessKeyId");
  if (secret == NULL) return wrong(error, error_size, "the answer has no SecretAccessKey");
  if (expiration != NULL && aws_time_parse(expiration, &expires_at_s) < 0)
    return wrong(error, error_size, "the answer's Expiration is no time like 2030-01-31T12:00:00Z");
  r = aws_keys_set(out, id, secret, token, expires_at_s);
  if (r == -EINVAL)
    return wrong(error, error_size,
                 "the answer's keys are empty, too long, or not printable ASCII without blanks");
  return r;
}

/* {"Code": "AssumeRoleUnauthorizedAccess", "Message": ...} of IMDS; {"code", "message"} of containers. The
 * text is not repeated, but the code is one word. */
static int refused(const char *code, char *error, size_t error_size) {
  const size_t len = strspn(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");

  snprintf(error, error_size, "the endpoint has no keys: %.*s", (int)(len < 64 ? len : 64), code);
  return -EINVAL;
}

int aws_keys_from_json(const char *text, size_t len, enum aws_keys_form form, struct aws_keys *out,
                       char *error, size_t error_size) {
  struct json_object *object = parse(text, len), *version;
  const char *code;
  int r;

  if (object == NULL) return wrong(error, error_size, "the answer is not a JSON object");
  code = member(object, "Code");
  if (code == NULL) code = member(object, "code");
  if (form == AWS_KEYS_PROCESS &&
      (!json_object_object_get_ex(object, "Version", &version) ||
       !json_object_is_type(version, json_type_int) || json_object_get_int(version) != 1))
    r = wrong(error, error_size, "the answer's Version is not 1");
  else if (form == AWS_KEYS_ENDPOINT && code != NULL && strcmp(code, "Success") != 0)
    r = refused(code, error, error_size);
  else
    r = set_checked(out, member(object, "AccessKeyId"), member(object, "SecretAccessKey"),
                    member(object, form == AWS_KEYS_PROCESS ? "SessionToken" : "Token"),
                    member(object, "Expiration"), error, error_size);
  forget(object);
  return r;
}

/* ---- XML ---- */

int aws_keys_from_sts(const char *text, size_t len, struct aws_keys *out, char *error, size_t error_size) {
  struct aws_xml_want wants[] = {{.path = "Credentials/AccessKeyId"},
                                 {.path = "Credentials/SecretAccessKey"},
                                 {.path = "Credentials/SessionToken"},
                                 {.path = "Credentials/Expiration"}};
  int r = aws_xml_find(text, len, wants, 4);

  if (r == -EINVAL) r = wrong(error, error_size, "the answer is not XML as STS writes it");
  if (r == 0)
    r = set_checked(out, wants[0].text, wants[1].text, wants[2].text, wants[3].text, error, error_size);
  aws_xml_free(wants, 4);
  return r;
}
