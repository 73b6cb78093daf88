/*
 * The name's forms are those of the Smithy documents on the AWS protocols ("AWS JSON 1.1 protocol", "AWS
 * restJson1 protocol", "Operation error serialization"): a namespace before '#' and a URL behind ':' do not
 * belong to it. XML errors as in "Common Errors" of the query API (STS API Reference).
 *
 * What may be tried again is the list of the standard retry mode ("Retry behavior", AWS SDKs and Tools
 * Reference Guide): throttling by its names, transient errors by status or name, connections that failed.
 */
#include "bindings/aws_error.h"

#include <json-c/json.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "bindings/aws_xml.h"

#define JSON_DEPTH 32
#define CLOCK_OFF_S 240 /* AWS allows five minutes */

struct coded {
  const char *name;
  enum aws_error_kind kind;
};

static const struct coded kinds[] = {
    {"Throttling", AWS_ERROR_THROTTLED},
    {"ThrottlingException", AWS_ERROR_THROTTLED},
    {"ThrottledException", AWS_ERROR_THROTTLED},
    {"RequestThrottledException", AWS_ERROR_THROTTLED},
    {"RequestThrottled", AWS_ERROR_THROTTLED},
    {"TooManyRequestsException", AWS_ERROR_THROTTLED},
    {"ProvisionedThroughputExceededException", AWS_ERROR_THROTTLED},
    {"TransactionInProgressException", AWS_ERROR_THROTTLED},
    {"RequestLimitExceeded", AWS_ERROR_THROTTLED},
    {"BandwidthLimitExceeded", AWS_ERROR_THROTTLED},
    {"LimitExceededException", AWS_ERROR_THROTTLED},
    {"SlowDown", AWS_ERROR_THROTTLED},
    {"PriorRequestNotComplete", AWS_ERROR_THROTTLED},
    {"EC2ThrottledException", AWS_ERROR_THROTTLED},
    {"RequestTimeout", AWS_ERROR_TRANSIENT},
    {"RequestTimeoutException", AWS_ERROR_TRANSIENT},
    {"InternalError", AWS_ERROR_TRANSIENT},
    {"IDPCommunicationError", AWS_ERROR_TRANSIENT}, /* AssumeRoleWithWebIdentity: "can be retried" */
    {"ExpiredToken", AWS_ERROR_EXPIRED},
    {"ExpiredTokenException", AWS_ERROR_EXPIRED},
    {"RequestExpired", AWS_ERROR_CLOCK},
    {"RequestTimeTooSkewed", AWS_ERROR_CLOCK},
    {"RequestInTheFuture", AWS_ERROR_CLOCK},
};

bool aws_error_is_retryable(const struct aws_error *error) {
  return error->kind == AWS_ERROR_THROTTLED || error->kind == AWS_ERROR_TRANSIENT ||
         error->kind == AWS_ERROR_TIMED_OUT;
}

void aws_text_copy(char *out, size_t size, const char *text) {
  size_t len = strnlen(text, size - 1);

  if (text[len] != '\0')
    while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
      len--;
  memmove(out, text, len);
  out[len] = '\0';
}

/* One word of ASCII, or nothing: it becomes the `name` of an Error. */
static void set_name(struct aws_error *out, const char *text) {
  const char *hash = strchr(text, '#');
  size_t len;

  if (hash != NULL) text = hash + 1;
  len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-");
  snprintf(out->name, sizeof(out->name), "%.*s", (int)(len < sizeof(out->name) ? len : sizeof(out->name) - 1),
           text);
}

static const char *text_member(struct json_object *object, const char *name) {
  struct json_object *value;

  if (!json_object_object_get_ex(object, name, &value) || !json_object_is_type(value, json_type_string))
    return NULL;
  return json_object_get_string(value);
}

static void read_json(const struct http_answer *answer, struct aws_error *out) {
  struct json_tokener *tokener = json_tokener_new_ex(JSON_DEPTH);
  struct json_object *object = NULL;
  const char *name, *message;

  if (tokener == NULL) return;
  json_tokener_set_flags(tokener, JSON_TOKENER_VALIDATE_UTF8);
  if (answer->body_len < INT32_MAX)
    object = json_tokener_parse_ex(tokener, answer->body, (int)answer->body_len + 1);
  if (json_object_is_type(object, json_type_object)) {
    name = text_member(object, "__type");
    if (name == NULL) name = text_member(object, "code");
    if (name != NULL && out->name[0] == '\0') set_name(out, name);
    message = text_member(object, "message");
    if (message == NULL) message = text_member(object, "Message");
    if (message == NULL) message = text_member(object, "errorMessage");
    if (message != NULL) aws_text_copy(out->message, sizeof(out->message), message);
  }
  json_object_put(object);
  json_tokener_free(tokener);
}

static void read_xml(const struct http_answer *answer, struct aws_error *out) {
  struct aws_xml_want wants[] = {{.path = "Error/Code"}, {.path = "Error/Message"}, {.path = "RequestId"}};

  if (aws_xml_find(answer->body, answer->body_len, wants, 3) == 0) {
    if (wants[0].text != NULL) set_name(out, wants[0].text);
    if (wants[1].text != NULL) aws_text_copy(out->message, sizeof(out->message), wants[1].text);
    if (wants[2].text != NULL && out->request_id[0] == '\0')
      aws_text_copy(out->request_id, sizeof(out->request_id), wants[2].text);
  }
  aws_xml_free(wants, 3);
}

static enum aws_error_kind kind_of(const struct aws_error *error) {
  for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
    if (strcmp(error->name, kinds[i].name) == 0) return kinds[i].kind;
  switch (error->status) {
  case 429: return AWS_ERROR_THROTTLED; /* of a service whose name for it is not in the list */
  case 500:
  case 502:
  case 503:
  case 504: return AWS_ERROR_TRANSIENT;
  default: return AWS_ERROR_FINAL;
  }
}

/* A signature with a time that AWS does not accept gets many names; the answer's own Date tells. */
static void look_at_clock(const struct http_answer *answer, struct aws_error *error) {
  struct tm tm = {0};
  const bool suspicious =
      error->kind == AWS_ERROR_CLOCK || strcmp(error->name, "InvalidSignatureException") == 0 ||
      strcmp(error->name, "SignatureDoesNotMatch") == 0 || strcmp(error->name, "AuthFailure") == 0;
  const char *rest = strptime(answer->date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
  const size_t len = strlen(error->message);
  long long ahead_s;

  if (!suspicious || rest == NULL || *rest != '\0') return;
  ahead_s = (long long)time(NULL) - (long long)timegm(&tm);
  if (ahead_s > -CLOCK_OFF_S && ahead_s < CLOCK_OFF_S) return;
  error->kind = AWS_ERROR_CLOCK;
  snprintf(error->message + len, sizeof(error->message) - len,
           " (this machine's clock is %lld s %s AWS'; set it)", ahead_s < 0 ? -ahead_s : ahead_s,
           ahead_s < 0 ? "behind" : "ahead of");
}

static void read_refusal(const struct http_answer *answer, enum aws_error_format format,
                         struct aws_error *out) {
  set_name(out, answer->error_type);
  if (format == AWS_ERRORS_XML)
    read_xml(answer, out);
  else
    read_json(answer, out);
  out->kind = kind_of(out);
  if (out->name[0] == '\0') snprintf(out->name, sizeof(out->name), "AnswerError");
  if (out->message[0] == '\0')
    snprintf(out->message, sizeof(out->message), "HTTP status %d without a message", out->status);
  look_at_clock(answer, out);
}

void aws_error_read(const struct http_answer *answer, enum aws_error_format format, struct aws_error *out) {
  static const struct {
    const char *name, *text;
    enum aws_error_kind kind;
  } ends[] = {
      [HTTP_ANSWERED] = {"", "", AWS_ERROR_FINAL},
      [HTTP_TIMED_OUT] = {"TimeoutError", "no answer in time", AWS_ERROR_TIMED_OUT},
      [HTTP_LOST] = {"NetworkError", "the connection failed", AWS_ERROR_TRANSIENT},
      [HTTP_INSECURE] = {"NetworkError",
                         "the connection is not secure (AWS_CA_BUNDLE names other certificates to trust)",
                         AWS_ERROR_FINAL},
      [HTTP_TOO_LARGE] = {"AnswerTooLargeError", "the answer is larger than the limit", AWS_ERROR_FINAL},
      [HTTP_GARBLED] = {"AnswerError", "the answer is not HTTP", AWS_ERROR_TRANSIENT},
      [HTTP_NO_MEMORY] = {"NetworkError", "out of memory", AWS_ERROR_FINAL},
  };

  *out = (struct aws_error){.status = answer->status};
  aws_text_copy(out->request_id, sizeof(out->request_id), answer->request_id);
  if (answer->end == HTTP_ANSWERED) {
    read_refusal(answer, format, out);
    return;
  }
  out->kind = ends[answer->end].kind;
  snprintf(out->name, sizeof(out->name), "%s", ends[answer->end].name);
  if (answer->end == HTTP_TOO_LARGE)
    snprintf(out->message, sizeof(out->message), "%s", ends[answer->end].text);
  else
    snprintf(out->message, sizeof(out->message), "%s: %s", ends[answer->end].text, answer->error);
}

/* By its beginning, since a message that was cut may hold only a part of it. */
void aws_error_redact(struct aws_error *error, const char *secret) {
  char beginning[17];
  char *at = error->message;

  if (secret == NULL || strlen(secret) < 8) return; /* no key is that short, and such a text is everywhere */
  snprintf(beginning, sizeof(beginning), "%s", secret);
  while ((at = strstr(at, beginning)) != NULL) {
    size_t len = strlen(beginning);

    while (at[len] != '\0' && at[len] == secret[len])
      len++;
    memset(at, '*', 3);
    memmove(at + 3, at + len, strlen(at + len) + 1);
    at += 3;
  }
}
