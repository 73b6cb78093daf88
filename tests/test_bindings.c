/*
 * Host functions above a scripted AWS: arguments, questions and items of each function, pages, budgets, ends.
 * What AWS itself is like (signatures, retries, credentials) is the matter of the tests of bindings/aws.h.
 *
 * Bodies follow the AWS documents that the file of each function names.
 */
#include <check.h>
#include <errno.h>
#include <event2/event.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bindings/arguments.h"
#include "bindings/bindings.h"
#include "bindings/json_answer.h"
#include "tests/support/scripted_aws.h"
#include "worker/clock.h"

#define ANSWERS_MAX 4096
#define WAIT_MS 60000

static struct event_base *base;
static struct bindings *bindings;
static struct bindings_session *session;
static struct {
  uint32_t call;
  bool ok;
  char *json;
} answers[ANSWERS_MAX];
static size_t answer_count;
static bool within_call, free_in_answer;
static uint32_t next_call;

static void on_answer(void *ctx, uint32_t call, bool ok, const char *json, size_t len) {
  ck_assert_ptr_eq(ctx, &base);
  ck_assert_msg(!within_call, "answered from within bindings_call()");
  ck_assert_uint_lt(answer_count, ANSWERS_MAX);
  ck_assert_uint_eq(strlen(json), len);
  answers[answer_count].call = call;
  answers[answer_count].ok = ok;
  answers[answer_count++].json = strdup(json);
  if (free_in_answer) {
    bindings_session_free(session);
    session = NULL;
  }
}

static const struct bindings_options defaults = {
    .max_calls = 1000,
    .max_parallel_calls = 8,
    .max_answer_bytes = 8 << 20,
    .max_total_bytes = 64 << 20,
    .call_timeout_ms = 60000,
    .max_requests = 64,
    .cloudtrail_per_s = 2,
    .assume_role = "",
};

static void begin_with(struct bindings_options options, binding_set allowed, int64_t time_ms) {
  char error[256];
  base = event_base_new();
  ck_assert_int_eq(bindings_new(base, &options, &bindings, error, sizeof error), 0);
  const int64_t deadline_ns = clock_monotonic_ns() + time_ms * CLOCK_NS_PER_MS;
  ck_assert_int_eq(bindings_session_new(bindings, allowed, deadline_ns, on_answer, &base, &session), 0);
}

static void begin(void) {
  begin_with(defaults, BINDING_ALL, 600000);
}

static void end(void) {
  bindings_session_free(session);
  bindings_free(bindings);
  event_base_free(base);
  scripted_aws_clear();
  for (size_t i = 0; i < answer_count; i++)
    free(answers[i].json);
  answer_count = 0;
  free_in_answer = false;
  next_call = 0;
}

static uint32_t call(const char *name, const char *args) {
  const uint32_t id = next_call++;
  within_call = true;
  ck_assert_int_eq(bindings_call(session, id, name, strlen(name), args, strlen(args)), 0);
  within_call = false;
  return id;
}

/* What is ready now; nothing is waited for. */
static void turn(void) {
  ck_assert_int_ge(event_base_loop(base, EVLOOP_NONBLOCK), 0);
}

/* A page is read bit by bit: until it has led to something, an answer or the next question. */
static void wait_for_progress(size_t before) {
  const int64_t until_ns = clock_monotonic_ns() + WAIT_MS * CLOCK_NS_PER_MS;
  while (answer_count + scripted_aws_count() == before) {
    ck_assert_msg(clock_monotonic_ns() < until_ns, "nothing after a minute");
    turn();
  }
}

static void give(size_t request, const struct aws_answer *answer) {
  const size_t before = answer_count + scripted_aws_count();
  scripted_aws_answer(request, answer);
  wait_for_progress(before);
}

static void body(size_t request, const char *text) {
  const size_t before = answer_count + scripted_aws_count();
  scripted_aws_body(request, text, strlen(text));
  wait_for_progress(before);
}

static void refuse(size_t request, const char *error_name, const char *message, int status) {
  scripted_aws_answer(request, &(struct aws_answer){.error_name = error_name,
                                                    .error_message = message,
                                                    .status = status,
                                                    .request_id = "r-1",
                                                    .bytes_read = 100});
  turn();
}

static const char *last_json(void) {
  ck_assert_uint_gt(answer_count, 0);
  return answers[answer_count - 1].json;
}

static void answered(const char *json) {
  ck_assert_str_eq(last_json(), json);
  ck_assert(answers[answer_count - 1].ok);
}

/* A member of the last error, as text. */
static const char *error_member(const char *name) {
  static char text[4096];
  ck_assert_uint_gt(answer_count, 0);
  ck_assert(!answers[answer_count - 1].ok);
  struct json_object *error = json_tokener_parse(last_json()), *value = NULL;
  ck_assert_msg(json_object_is_type(error, json_type_object), "%s", last_json());
  json_object_object_get_ex(error, name, &value);
  snprintf(text, sizeof text, "%s", value ? json_object_get_string(value) : "(none)");
  json_object_put(error);
  return text;
}

static void failed(const char *name, const char *in_message) {
  ck_assert_str_eq(error_member("name"), name);
  const char *message = error_member("message");
  ck_assert_msg(strstr(message, in_message), "\"%s\" is not in \"%s\"", in_message, message);
}

static void asked(size_t i, enum aws_service service, const char *path, const char *content_type,
                  const char *target, const char *text) {
  const struct aws_request *request = &scripted_aws_request(i)->asked;
  ck_assert_int_eq(request->service, service);
  ck_assert_str_eq(request->path, path);
  ck_assert_str_eq(request->content_type, content_type);
  ck_assert_pstr_eq(request->target, target);
  ck_assert_str_eq(request->body, text);
}

/* ---- arguments ---- */

static void message_is(const char *name, const char *args, const char *error_name, const char *message) {
  call(name, args);
  turn();
  ck_assert_str_eq(error_member("name"), error_name);
  ck_assert_str_eq(error_member("message"), message);
  ck_assert_uint_eq(scripted_aws_count(), 0);
}

#define RESOURCES_FORMS                                                                                      \
  "; call queryResources(resourceType, accountId, region) or "                                               \
  "queryResources({resourceType, accountId, region, limit})"
#define TRAIL_FORMS                                                                                          \
  "; call getCloudTrailEvents(startTime, endTime, eventName, accountId, region) or "                         \
  "getCloudTrailEvents({startTime, endTime, eventName, accountId, region, limit})"
#define TIME_FORMS "; give milliseconds since 1970, a Date, or ISO 8601 text"

START_TEST(test_argument_errors_name_function_argument_value_and_both_forms) {
  static const struct {
    const char *function, *args, *error, *message;
  } cases[] = {
      {"queryResources", "[5]", "TypeError",
       "queryResources: resourceType: 5 is not a string" RESOURCES_FORMS},
      {"queryResources", "[]", "TypeError", "queryResources: resourceType is missing" RESOURCES_FORMS},
      {"queryResources", "[null]", "TypeError", "queryResources: resourceType is missing" RESOURCES_FORMS},
      {"queryResources", "[\"\"]", "TypeError", "queryResources: resourceType is empty" RESOURCES_FORMS},
      {"queryResources", "[{}]", "TypeError", "queryResources: resourceType is missing" RESOURCES_FORMS},
      {"queryResources", "[{\"resourceType\":null}]", "TypeError",
       "queryResources: resourceType is missing" RESOURCES_FORMS},
      {"queryResources", "[\"a\",\"\",\"\",1]", "TypeError",
       "queryResources: too many arguments: 4 instead of 3" RESOURCES_FORMS},
      {"queryResources", "[\"a\",{\"region\":\"us-east-1\"}]", "TypeError",
       "queryResources: accountId: {\"region\":\"us-east-1\"} is not a string of 12 digits, or a "
       "name" RESOURCES_FORMS},
      {"queryResources", "[{\"resourceType\":\"a\"},\"b\"]", "TypeError",
       "queryResources: resourceType: {\"resourceType\":\"a\"} is not a string" RESOURCES_FORMS},
      {"queryResources", "[{\"resourceType\":\"a\",\"regoin\":\"b\"}]", "TypeError",
       "queryResources: regoin is not an argument (did you mean region?)" RESOURCES_FORMS},
      {"queryResources", "[{\"resourceType\":\"a\",\"maxItems\":1}]", "TypeError",
       "queryResources: maxItems is not an argument" RESOURCES_FORMS},
      {"queryResources", "[\"a\",123456789012]", "TypeError",
       "queryResources: accountId: 123456789012 is not a string of 12 digits, or a name" RESOURCES_FORMS},
      {"queryResources", "[\"a\",\"arn:a\"]", "TypeError",
       "queryResources: accountId: \"arn:a\" is not an account; give its 12 digits, its name, or "
       "'self'" RESOURCES_FORMS},
      {"queryResources", "[\"a\",\"12345678901\"]", "TypeError",
       "queryResources: accountId: \"12345678901\" is not an account; give its 12 digits, its name, or "
       "'self'" RESOURCES_FORMS},
      {"queryResources", "[\"a\",\"a\\nb\"]", "TypeError",
       "queryResources: accountId: \"a\\nb\" is not an account; give its 12 digits, its name, or "
       "'self'" RESOURCES_FORMS},
      {"queryResources", "[\"a\",null,\"us_east_1\"]", "TypeError",
       "queryResources: region: \"us_east_1\" is not a region; give one such as 'us-east-1'" RESOURCES_FORMS},
      {"queryResources", "[\"a\",null,\"US-EAST-1\"]", "TypeError",
       "queryResources: region: \"US-EAST-1\" is not a region; give one such as 'us-east-1'" RESOURCES_FORMS},
      {"queryResources", "[\"a\\u0000b\"]", "TypeError",
       "queryResources: resourceType: \"a\\u0000b\" is not usable: it has a NUL" RESOURCES_FORMS},
      {"queryResources", "[{\"resourceType\":\"a\",\"limit\":0}]", "TypeError",
       "queryResources: limit: 0 is not a whole number from 1 to 100000" RESOURCES_FORMS},
      {"queryResources", "[{\"resourceType\":\"a\",\"limit\":100001}]", "TypeError",
       "queryResources: limit: 100001 is not a whole number from 1 to 100000" RESOURCES_FORMS},
      {"queryResources", "[{\"resourceType\":\"a\",\"limit\":1.5}]", "TypeError",
       "queryResources: limit: 1.5 is not a whole number from 1 to 100000" RESOURCES_FORMS},
      {"queryResources", "[{\"resourceType\":\"a\",\"limit\":null}]", "TypeError",
       "queryResources: limit: null is not a whole number from 1 to 100000" RESOURCES_FORMS},
      {"queryResources", "[{\"resourceType\":\"a\",\"limit\":\"5\"}]", "TypeError",
       "queryResources: limit: \"5\" is not a number from 1 to 100000" RESOURCES_FORMS},
      {"getCloudTrailEvents", "[\"yesterday\"]", "TypeError",
       "getCloudTrailEvents: startTime: \"yesterday\" is not a time" TIME_FORMS TRAIL_FORMS},
      {"getCloudTrailEvents", "[true]", "TypeError",
       "getCloudTrailEvents: startTime: true is not a time" TIME_FORMS TRAIL_FORMS},
      {"getCloudTrailEvents", "[null,1e300]", "TypeError",
       "getCloudTrailEvents: endTime: 1e300 is not a time" TIME_FORMS TRAIL_FORMS},
      {"getCloudTrailEvents", "[1700000000]", "TypeError",
       "getCloudTrailEvents: startTime: 1700000000 is in seconds, as it seems; multiply by 1000: times are "
       "milliseconds since 1970" TRAIL_FORMS},
      {"getCloudTrailEvents", "[1700000000000.5]", "TypeError",
       "getCloudTrailEvents: startTime: 1700000000000.5 is not a whole number of milliseconds" TRAIL_FORMS},
      {"getCloudTrailEvents", "[-1]", "TypeError",
       "getCloudTrailEvents: startTime: -1 is before 1970" TRAIL_FORMS},
      {"getCloudTrailEvents", "[{\"startTime\":null}]", "TypeError",
       "getCloudTrailEvents: startTime: null is not a time; leave it out, or give "
       "milliseconds since 1970, a Date, or ISO 8601 text" TRAIL_FORMS},
      {"getCloudTrailEvents", "[2000,1000]", "TypeError",
       "getCloudTrailEvents: startTime (2000) is later than endTime (1000)" TRAIL_FORMS},
      {"getCloudTrailEvents", "[{\"endTime\":1,\"startTime\":\"1970-01-01T00:00:00.002Z\"}]", "TypeError",
       "getCloudTrailEvents: startTime (2) is later than endTime (1)" TRAIL_FORMS},
      {"listAccounts", "[1]", "TypeError",
       "listAccounts: too many arguments: 1 instead of 0; call listAccounts() or "
       "listAccounts({limit})"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    message_is(cases[i].function, cases[i].args, cases[i].error, cases[i].message);
}
END_TEST

START_TEST(test_what_no_stub_sends_is_refused_and_not_trusted) {
  static const struct {
    const char *args;
    size_t len;
    const char *error, *message;
  } cases[] = {
      {"", 0, "BindingError", "not JSON: it ends too early, at byte 0"},
      {"[", 1, "BindingError", "not JSON: it ends too early"},
      {"{}", 2, "BindingError", "no array"},
      {"null", 4, "BindingError", "no array"},
      {"[\"a\"] x", 7, "BindingError", "not JSON: unexpected character 'x' at byte 6"},
      {"[\"a\"]\0[", 7, "BindingError", "not JSON: unexpected byte 0x00 at byte 5"},
      {"[\"\xff\"]", 5, "BindingError", "not UTF-8"},
      {"[NaN]", 5, "BindingError", "not JSON"},
      {"[[[[[[[[[[[[1]]]]]]]]]]]]", 25, "TypeError", "nested too deep"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    ck_assert_int_eq(bindings_call(session, 0, "queryResources", 14, cases[i].args, cases[i].len), 0);
    turn();
    failed(cases[i].error, cases[i].message);
  }
  char *large = malloc(BINDING_ARGUMENTS_BYTES_MAX + 1);
  memset(large, ' ', BINDING_ARGUMENTS_BYTES_MAX + 1);
  ck_assert_int_eq(bindings_call(session, 0, "queryResources", 14, large, BINDING_ARGUMENTS_BYTES_MAX + 1),
                   0);
  turn();
  failed("TypeError", "65537 bytes of arguments; at most 65536 are allowed");
  memset(large, 'x', BINDING_ARGUMENTS_BYTES_MAX);
  memcpy(large, "[\"", 2);
  memcpy(large + 5000, "\"]", 2);
  ck_assert_int_eq(bindings_call(session, 0, "queryResources", 14, large, 5002), 0);
  turn();
  failed("TypeError", "resourceType: a text of 4998 bytes; at most 4096 are allowed");
  free(large);
  ck_assert_uint_eq(scripted_aws_count(), 0);
}
END_TEST

START_TEST(test_long_and_odd_values_are_shown_in_part) {
  call("getCloudTrailEvents", "[\"\\u001b[31m\xc2\x9b"
                              "0123456789012345678901234567890123456789012345678901234567890123456789\"]");
  turn();
  failed(
      "TypeError",
      "startTime: \"\\u001b[31m?01234567890123456789012345678901234567890123456\xe2\x80\xa6 is not a time");
}
END_TEST

static int64_t time_of(const char *json) {
  static const struct binding_argument arguments[] = {{"at", BINDING_TIME, true}};
  static const struct binding_row row = {"f", NULL, arguments, 1};
  struct binding_values values;
  struct binding_error error = {.message = ""};
  char args[128];
  snprintf(args, sizeof args, "[%s]", json);
  if (binding_arguments_parse(&row, args, strlen(args), &values, &error) < 0) return -1;
  const int64_t time_ms = values.of[0].time_ms;
  binding_values_clear(&values);
  return time_ms;
}

START_TEST(test_times_are_milliseconds_or_iso_8601) {
  static const struct {
    const char *json;
    int64_t ms;
  } cases[] = {
      {"0", 0},
      {"1700000000000", 1700000000000},
      {"1.7e12", 1700000000000},
      {"\"2023-11-14T22:13:20.000Z\"", 1700000000000}, /* of a Date */
      {"\"2023-11-14T22:13:20.123Z\"", 1700000000123},
      {"\"2023-11-14T22:13:20.1Z\"", 1700000000100},
      {"\"2023-11-14T22:13:20.123456789Z\"", 1700000000123},
      {"\"2023-11-14T22:13:20Z\"", 1700000000000},
      {"\"2023-11-14T22:13:20\"", 1700000000000},
      {"\"2023-11-14 22:13:20\"", 1700000000000},
      {"\"2023-11-14T22:13\"", 1699999980000},
      {"\"2023-11-14T23:43:20+01:30\"", 1700000000000},
      {"\"2023-11-14T23:43:20+0130\"", 1700000000000},
      {"\"2023-11-14T20:13:20-02:00\"", 1700000000000},
      {"\"2023-11-14\"", 1699920000000},
      {"\"2024-02-29\"", 1709164800000},
      {"\"2023-02-29\"", -1},
      {"\"2023-13-01\"", -1},
      {"\"2023-11-14T24:00:00Z\"", -1},
      {"\"2023-11-14T22:13:20.Z\"", -1},
      {"\"2023-11-14T22:13:20Zx\"", -1},
      {"\"2023-11-14T22:13:20Z\\u0000\"", -1},
      {"\"2023-11-14T22:13:20+1\"", -1},
      {"\"2023-11-14T22\"", -1},
      {"\"2023-11\"", -1},
      {"\"1700000000000\"", -1},
      {"\"\"", -1},
      {"\"1969-12-31\"", -1},
      {"[]", -1},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    const int64_t ms = time_of(cases[i].json);
    ck_assert_msg(ms == cases[i].ms, "%s gives %lld", cases[i].json, (long long)ms);
  }
}
END_TEST

START_TEST(test_both_forms_ask_the_same) {
  call("queryResources", "[\"AWS::EC2::Instance\",\"111122223333\",\"us-east-1\"]");
  call("queryResources",
       "[{\"region\":\"us-east-1\",\"resourceType\":\"AWS::EC2::Instance\",\"accountId\":\"111122223333\"}]");
  for (size_t i = 0; i < 2; i++) {
    asked(i, AWS_CLOUDCONTROL, "/", "application/x-amz-json-1.0", "CloudApiService.ListResources",
          "{\"TypeName\":\"AWS::EC2::Instance\",\"MaxResults\":100}");
    ck_assert_str_eq(scripted_aws_request(i)->asked.region, "us-east-1");
    ck_assert_str_eq(scripted_aws_request(i)->asked.account, "111122223333");
  }
}
END_TEST

START_TEST(test_left_out_arguments_are_the_callers_own) {
  static const char *const forms[] = {"[\"T\"]", "[\"T\",null,null]", "[\"T\",\"self\",\"\"]",
                                      "[\"T\",\"\",null]",
                                      "[{\"resourceType\":\"T\",\"accountId\":null,\"region\":null}]"};
  for (size_t i = 0; i < 5; i++) {
    call("queryResources", forms[i]);
    ck_assert_uint_eq(scripted_aws_count(), i + 1);
    ck_assert_ptr_null(scripted_aws_request(i)->asked.region);
    ck_assert_ptr_null(scripted_aws_request(i)->asked.account);
  }
}
END_TEST

/* ---- the five functions ---- */

START_TEST(test_list_accounts_gives_the_organization_with_the_state_of_each) {
  call("listAccounts", "[]");
  asked(0, AWS_ORGANIZATIONS, "/", "application/x-amz-json-1.1", "AWSOrganizationsV20161128.ListAccounts",
        "{\"MaxResults\":20}");
  body(0, "{\"Accounts\":[{\"Arn\":\"arn:aws:organizations::111111111111:account/o-a/111111111111\","
          "\"Email\":\"a@example.com\",\"Id\":\"111111111111\",\"JoinedMethod\":\"INVITED\","
          "\"JoinedTimestamp\":1.481835795536E9,\"Name\":\"Main / \xc3\xa9\",\"Status\":\"ACTIVE\","
          "\"State\":\"ACTIVE\"}],\"NextToken\":\"t\\u0001/=\"}");
  asked(1, AWS_ORGANIZATIONS, "/", "application/x-amz-json-1.1", "AWSOrganizationsV20161128.ListAccounts",
        "{\"MaxResults\":20,\"NextToken\":\"t\\u0001/=\"}");
  body(1, "{\"Accounts\":[{\"Id\":\"222222222222\",\"Name\":\"Old\",\"Email\":\"b@example.com\",\"Status\":"
          "\"SUSPENDED\"},"
          "{\"Id\":\"333333333333\",\"Status\":\"SUSPENDED\",\"State\":\"CLOSED\"}],\"NextToken\":null}");
  answered("[{\"id\":\"111111111111\",\"name\":\"Main / "
           "\xc3\xa9\",\"email\":\"a@example.com\",\"status\":\"ACTIVE\"},"
           "{\"id\":\"222222222222\",\"name\":\"Old\",\"email\":\"b@example.com\",\"status\":\"SUSPENDED\"},"
           "{\"id\":\"333333333333\",\"name\":null,\"email\":null,\"status\":\"CLOSED\"}]");
}
END_TEST

#define IDENTITY_HEAD                                                                                        \
  "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n"                        \
  "  <GetCallerIdentityResult>\n<Arn>arn:aws:iam::123456789012:user/Alice</Arn>\n"                           \
  "<UserId>AIDACKCEVSQ6C2EXAMPLE</UserId>"
#define IDENTITY_TAIL                                                                                        \
  "</GetCallerIdentityResult><ResponseMetadata><RequestId>01234567-89ab-cdef-0123-456789abcdef</RequestId>"  \
  "</ResponseMetadata></GetCallerIdentityResponse>"

START_TEST(test_list_accounts_without_permission_gives_the_callers_own) {
  static const char *const refusals[] = {"AccessDeniedException", "AWSOrganizationsNotInUseException"};
  for (size_t i = 0; i < 2; i++) {
    call("listAccounts", "[]");
    refuse(2 * i, refusals[i], "no", 400);
    asked(2 * i + 1, AWS_STS, "/", "application/x-www-form-urlencoded", NULL,
          "Action=GetCallerIdentity&Version=2011-06-15");
    body(2 * i + 1, "<?xml version=\"1.0\"?>" IDENTITY_HEAD "<Account>123456789012</Account>" IDENTITY_TAIL);
    answered("[{\"id\":\"123456789012\",\"name\":null,\"email\":null,\"status\":\"ACTIVE\"}]");
  }
}
END_TEST

START_TEST(test_list_accounts_tells_other_errors) {
  call("listAccounts", "[]");
  refuse(0, "TooManyRequestsException", "slow", 400);
  failed("TooManyRequestsException", "slow");
  call("listAccounts", "[]");
  refuse(1, "AccessDeniedException", "no", 400);
  refuse(2, "ExpiredToken", "The security token included in the request is expired", 403);
  failed("ExpiredToken", "expired");
  ck_assert_str_eq(error_member("statusCode"), "403");
}
END_TEST

START_TEST(test_an_identity_that_is_no_plain_xml_is_refused) {
  static const char *const bodies[] = {
      "",
      "{}",
      "<a/>",
      IDENTITY_HEAD "<Account>123456789012</Account>",
      IDENTITY_HEAD "<Account>12345678901</Account>" IDENTITY_TAIL,
      IDENTITY_HEAD "<Account>1234567890123</Account>" IDENTITY_TAIL,
      IDENTITY_HEAD "<Account>12345678901x</Account>" IDENTITY_TAIL,
      IDENTITY_HEAD "<x><Account>123456789012</Account></x>" IDENTITY_TAIL,
      IDENTITY_HEAD "<Account><x>123456789012</x></Account>" IDENTITY_TAIL,
      "<!DOCTYPE a [<!ENTITY e \"123456789012\">]>" IDENTITY_HEAD "<Account>&e;</Account>" IDENTITY_TAIL,
      IDENTITY_HEAD "<Account>123456789012</Account><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a>"
                    "</a></a></a></a></a></a></a></a></a></a></a></a></a></a></a></a>" IDENTITY_TAIL,
  };
  for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
    call("listAccounts", "[]");
    refuse(2 * i, "AccessDeniedException", "no", 400);
    body(2 * i + 1, bodies[i]);
    failed("AnswerError", "no account of 12 digits");
  }
}
END_TEST

START_TEST(test_list_regions_gives_all_with_their_status) {
  call("listRegions", "[]");
  asked(0, AWS_ACCOUNT, "/listRegions", "application/json", NULL, "{\"MaxResults\":50}");
  body(0, "{\"Regions\":[{\"RegionName\":\"af-south-1\",\"RegionOptStatus\":\"DISABLED\"},"
          "{\"RegionName\":\"us-east-1\",\"RegionOptStatus\":\"ENABLED_BY_DEFAULT\"}]}");
  answered("[{\"name\":\"af-south-1\",\"status\":\"DISABLED\"},{\"name\":\"us-east-1\",\"status\":\"ENABLED_"
           "BY_DEFAULT\"}]");
  call("listRegions", "[\"210987654321\"]");
  ck_assert_str_eq(scripted_aws_request(1)->asked.account, "210987654321");
}
END_TEST

START_TEST(test_query_resources_gives_properties_as_values) {
  call("queryResources", "[\"AWS::EC2::Instance\",\"111122223333\",\"us-east-1\"]");
  body(0,
       "{\"ResourceDescriptions\":[{\"Identifier\":\"i-1\",\"Properties\":\"{\\\"InstanceId\\\":\\\"i-1\\\","
       "\\\"Big\\\":123456789012345678901234567890,\\\"P\\\":\\\"a/b\\\\n\\\",\\\"L\\\":[1.10,{}]}\"},"
       "{\"Identifier\":\"i-2\"}],\"TypeName\":\"AWS::EC2::Instance\"}");
  answered("[{\"id\":\"i-1\",\"type\":\"AWS::EC2::Instance\",\"accountId\":\"111122223333\",\"region\":\"us-"
           "east-1\","
           "\"properties\":{\"InstanceId\":\"i-1\",\"Big\":123456789012345678901234567890,\"P\":\"a/"
           "b\\n\",\"L\":[1.10,{}]}},"
           "{\"id\":\"i-2\",\"type\":\"AWS::EC2::Instance\",\"accountId\":\"111122223333\",\"region\":\"us-"
           "east-1\","
           "\"properties\":null}]");
}
END_TEST

START_TEST(test_query_resources_names_the_account_and_region_that_answered) {
  static const char text[] = "{\"ResourceDescriptions\":[{\"Identifier\":\"q\",\"Properties\":\"{}\"}]}";
  call("queryResources", "[\"AWS::SQS::Queue\"]");
  give(0, &(struct aws_answer){.ok = true,
                               .body = text,
                               .body_len = sizeof text - 1,
                               .region = "eu-west-3",
                               .account = "123456789012"});
  answered(
      "[{\"id\":\"q\",\"type\":\"AWS::SQS::Queue\",\"accountId\":\"123456789012\",\"region\":\"eu-west-3\","
      "\"properties\":{}}]");
  call("queryResources", "[\"AWS::SQS::Queue\"]");
  body(1, text);
  answered("[{\"id\":\"q\",\"type\":\"AWS::SQS::Queue\",\"accountId\":null,\"region\":\"us-east-1\","
           "\"properties\":{}}]");
}
END_TEST

START_TEST(test_log_events_are_asked_in_milliseconds_and_given_as_they_come) {
  call("queryCloudWatchLogEvents",
       "[\"/aws/lambda/x\",1700000000000,\"2023-11-14T23:00:00.500Z\",\"{ $.a = \\\"b\\\" }\"]");
  asked(0, AWS_LOGS, "/", "application/x-amz-json-1.1", "Logs_20140328.FilterLogEvents",
        "{\"logGroupName\":\"/aws/lambda/x\",\"startTime\":1700000000000,\"endTime\":1700002800500,"
        "\"filterPattern\":\"{ $.a = \\\"b\\\" }\",\"limit\":1000}");
  body(0, "{\"events\":[],\"searchedLogStreams\":[],\"nextToken\":\"1\"}");
  body(1, "{\"events\":[{\"ingestionTime\":1700000000999,\"timestamp\":1700000000001,\"message\":"
          "\"a\\u0000b\\n\","
          "\"logStreamName\":\"s/"
          "[1]\",\"eventId\":\"31132629274945519779805322857203735586714454643391594505\"}],"
          "\"nextToken\":\"2\"}");
  body(2, "{\"searchedLogStreams\":[]}");
  answered("[{\"timestamp\":1700000000001,\"message\":\"a\\u0000b\\n\",\"ingestionTime\":1700000000999,"
           "\"logStreamName\":\"s/"
           "[1]\",\"eventId\":\"31132629274945519779805322857203735586714454643391594505\"}]");
  call("queryCloudWatchLogEvents", "[{\"logGroupName\":\"g\",\"limit\":100000,\"region\":\"eu-west-1\"}]");
  asked(3, AWS_LOGS, "/", "application/x-amz-json-1.1", "Logs_20140328.FilterLogEvents",
        "{\"logGroupName\":\"g\",\"limit\":10000}");
  ck_assert_str_eq(scripted_aws_request(3)->asked.region, "eu-west-1");
}
END_TEST

START_TEST(test_trail_events_are_asked_in_seconds_and_given_with_their_record) {
  call("getCloudTrailEvents", "[1700000000123,\"2023-11-15T00:00:00Z\",\"RunInstances\"]");
  asked(0, AWS_CLOUDTRAIL, "/", "application/x-amz-json-1.1",
        "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents",
        "{\"StartTime\":1700000000.123,\"EndTime\":1700006400.000,\"LookupAttributes\":[{\"AttributeKey\":"
        "\"EventName\","
        "\"AttributeValue\":\"RunInstances\"}],\"MaxResults\":50}");
  body(0, "{\"Events\":[{\"EventId\":\"e-1\",\"EventName\":\"RunInstances\",\"ReadOnly\":\"false\","
          "\"AccessKeyId\":\"A\","
          "\"EventTime\":1.700000001E9,\"EventSource\":\"ec2.amazonaws.com\",\"Username\":\"alice\","
          "\"Resources\":["
          "{\"ResourceType\":\"AWS::EC2::Instance\",\"ResourceName\":\"i-1\"}],"
          "\"CloudTrailEvent\":\"{\\\"eventVersion\\\":\\\"1.09\\\",\\\"responseElements\\\":null}\"},"
          "{\"EventId\":\"e-2\",\"EventName\":\"RunInstances\",\"EventTime\":1700000001.0089998,"
          "\"Resources\":[]}]}");
  answered(
      "[{\"eventId\":\"e-1\",\"eventName\":\"RunInstances\",\"eventTime\":1700000001000,"
      "\"eventSource\":\"ec2.amazonaws.com\",\"username\":\"alice\","
      "\"resources\":[{\"type\":\"AWS::EC2::Instance\",\"name\":\"i-1\"}],"
      "\"event\":{\"eventVersion\":\"1.09\",\"responseElements\":null}},"
      "{\"eventId\":\"e-2\",\"eventName\":\"RunInstances\",\"eventTime\":1700000001009,\"eventSource\":null,"
      "\"username\":null,\"resources\":[],\"event\":null}]");
  call("getCloudTrailEvents", "[{\"limit\":3}]");
  ck_assert_str_eq(scripted_aws_request(1)->asked.body, "{\"MaxResults\":3}");
}
END_TEST

/* ---- pages ---- */

START_TEST(test_pages_end_at_the_limit_and_keep_their_size) {
  call("listRegions", "[{\"limit\":3}]");
  body(0, "{\"Regions\":[{\"RegionName\":\"a\"},{\"RegionName\":\"b\"}],\"NextToken\":\"1\"}");
  ck_assert_str_eq(scripted_aws_request(1)->asked.body, "{\"MaxResults\":3,\"NextToken\":\"1\"}");
  body(1, "{\"Regions\":[{\"RegionName\":\"c\"},{\"RegionName\":\"d\"}],\"NextToken\":\"2\"}");
  answered(
      "[{\"name\":\"a\",\"status\":null},{\"name\":\"b\",\"status\":null},{\"name\":\"c\",\"status\":null}]");
  ck_assert_uint_eq(scripted_aws_count(), 2);
}
END_TEST

START_TEST(test_the_default_limit_is_a_thousand) {
  char *page = malloc(1 << 20);
  size_t len = (size_t)sprintf(page, "{\"Regions\":[{}");
  for (int i = 1; i < 999; i++)
    len += (size_t)sprintf(page + len, ",{}");
  sprintf(page + len, "],\"NextToken\":\"1\"}");
  call("listRegions", "[]");
  body(0, page);
  ck_assert_uint_eq(answer_count, 0);
  body(1, "{\"Regions\":[{},{}],\"NextToken\":\"2\"}");
  struct json_object *result = json_tokener_parse(last_json());
  ck_assert_uint_eq(json_object_array_length(result), 1000);
  ck_assert_uint_eq(scripted_aws_count(), 2);
  json_object_put(result);
  free(page);
}
END_TEST

START_TEST(test_a_page_token_that_repeats_is_an_error) {
  call("listRegions", "[]");
  body(0, "{\"Regions\":[{}],\"NextToken\":\"1\"}");
  body(1, "{\"Regions\":[{}],\"NextToken\":\"1\"}");
  failed("AnswerError", "NextToken is the same twice");
  ck_assert_uint_eq(scripted_aws_count(), 2);
}
END_TEST

START_TEST(test_empty_pages_come_to_an_end) {
  char page[64];
  call("queryCloudWatchLogEvents", "[\"g\"]");
  size_t i = 0;
  for (; answer_count == 0 && i <= 10000; i++) {
    snprintf(page, sizeof page, "{\"events\":[],\"nextToken\":\"%zu\"}", i);
    body(i, page);
  }
  ck_assert_uint_eq(i, 10000);
  failed("AnswerError", "there is a nextToken after 10000 pages");
}
END_TEST

START_TEST(test_an_empty_token_is_the_end) {
  call("listRegions", "[]");
  body(0, "{\"Regions\":[],\"NextToken\":\"\"}");
  answered("[]");
}
END_TEST

START_TEST(test_answers_that_are_not_what_aws_documents_are_errors) {
  static const struct {
    const char *function, *args, *body, *message;
  } cases[] = {
      {"listRegions", "[]", "", "it is not JSON: it ends too early, at byte 0"},
      {"listRegions", "[]", "<html>", "it is not JSON: unexpected character '<' at byte 0"},
      {"listRegions", "[]", "{\"Regions\":[", "it is not JSON: it ends too early"},
      {"listRegions", "[]", "{} {}", "it is not JSON: unexpected character '{' at byte 3"},
      {"listRegions", "[]", "[]", "it is not an object"},
      {"listRegions", "[]", "null", "it is not an object"},
      {"listRegions", "[]", "{\"Regions\":{}}", "Regions is not an array"},
      {"listRegions", "[]", "{\"Regions\":[1]}", "Regions has an item that is not an object"},
      {"listRegions", "[]", "{\"Regions\":[null]}", "Regions has an item that is not an object"},
      {"listRegions", "[]", "{\"Regions\":[{\"RegionName\":1}]}", "RegionName is not a string"},
      {"listRegions", "[]", "{\"Regions\":[],\"NextToken\":7}", "NextToken is not a string"},
      {"listRegions", "[]", "{\"Regions\":[{\"RegionName\":\"\xff\"}]}", "it is not UTF-8, at byte 27"},
      {"queryResources", "[\"T\"]", "{\"ResourceDescriptions\":[{\"Properties\":\"{\"}]}",
       "Properties is not JSON: it ends too early, at byte 1"},
      {"queryResources", "[\"T\"]", "{\"ResourceDescriptions\":[{\"Properties\":\"[]\"}]}",
       "Properties is not an object"},
      {"queryResources", "[\"T\"]", "{\"ResourceDescriptions\":[{\"Properties\":\"{}\\u0000\"}]}",
       "Properties is not JSON: unexpected byte 0x00 at byte 2"},
      {"queryResources", "[\"T\"]", "{\"ResourceDescriptions\":[{\"Properties\":{}}]}",
       "Properties is not a string of JSON"},
      {"queryCloudWatchLogEvents", "[\"g\"]", "{\"events\":[{\"timestamp\":\"1\"}]}",
       "timestamp is not a whole number"},
      {"getCloudTrailEvents", "[]", "{\"Events\":[{\"EventTime\":\"2023\"}]}",
       "EventTime is not a time in seconds"},
      {"getCloudTrailEvents", "[]", "{\"Events\":[{\"EventTime\":1e300}]}",
       "EventTime is not a time in seconds"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    call(cases[i].function, cases[i].args);
    body(i, cases[i].body);
    failed("AnswerError", cases[i].message);
  }
}
END_TEST

/* `unit` again and again between head and tail. */
static char *repeated(const char *head, const char *unit, size_t times, const char *tail) {
  char *text = malloc(strlen(head) + strlen(unit) * times + strlen(tail) + 1), *at = text;
  at = stpcpy(at, head);
  for (size_t i = 0; i < times; i++)
    at = stpcpy(at, unit);
  stpcpy(at, tail);
  return text;
}

START_TEST(test_deep_and_crowded_answers_are_refused) {
  char *deep = repeated("{\"Regions\":", "[", 100000, "");
  call("listRegions", "[]");
  body(0, deep);
  ck_assert_str_eq(error_member("name"), "AnswerError");
  char *closed = repeated("{\"Regions\":[{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
                          "[[[[[[[[[[[[[[[[[[[[["
                          "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
                          "]", 111, "}]}");
  call("listRegions", "[]");
  body(1, closed);
  failed("AnswerError", "nested too deep; at most 100 levels are read");
  char *crowded = repeated("{\"Regions\":[1", ",1", 250000, "]}");
  call("listRegions", "[]");
  body(2, crowded);
  failed("AnswerError", "too many values; at most 250000 are read");
  free(deep);
  free(closed);
  free(crowded);
}
END_TEST

START_TEST(test_a_nul_after_a_page_is_not_json) {
  const size_t before = answer_count + scripted_aws_count();
  call("listRegions", "[]");
  scripted_aws_body(0, "{}\0", 3);
  wait_for_progress(before + 1);
  failed("AnswerError", "unexpected byte 0x00 at byte 2");
}
END_TEST

/* A page of which a turn of the loop reads a small part. */
static char *large_page(void) {
  return repeated("{\"Regions\":[{}", ",{}", 99999, "]}");
}

START_TEST(test_a_small_page_does_not_wait_for_a_large_one) {
  char *large = large_page();
  call("listRegions", "[{\"limit\":100000}]");
  call("listRegions", "[]");
  scripted_aws_body(0, large, strlen(large));
  body(1, "{}");
  ck_assert_uint_eq(answers[0].call, 1);
  wait_for_progress(1 + scripted_aws_count());
  ck_assert_uint_eq(answers[1].call, 0);
  ck_assert_uint_eq(strlen(answers[1].json), 100000 * strlen("{\"name\":null,\"status\":null},") + 1);
  free(large);
}
END_TEST

START_TEST(test_a_session_may_be_freed_while_a_page_is_read) {
  char *large = large_page();
  call("listRegions", "[{\"limit\":100000}]");
  scripted_aws_body(0, large, strlen(large));
  ck_assert_int_ge(event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK), 0);
  ck_assert_uint_eq(answer_count, 0);
  bindings_session_free(session);
  session = NULL;
  turn();
  ck_assert_uint_eq(answer_count, 0);
  free(large);
}
END_TEST

/* ---- budgets ---- */

START_TEST(test_an_answer_over_its_limit_rejects_and_one_byte_less_does_not) {
  static const char page[] = "{\"Regions\":[{\"RegionName\":\"a\"},{\"RegionName\":\"b\"}]}";
  const size_t len = strlen("[{\"name\":\"a\",\"status\":null},{\"name\":\"b\",\"status\":null}]");
  for (size_t less = 0; less < 2; less++) {
    struct bindings_options options = defaults;
    options.max_answer_bytes = len - less;
    begin_with(options, BINDING_ALL, 600000);
    call("listRegions", "[]");
    body(0, page);
    if (less)
      failed("AnswerTooLargeError", "max_answer_bytes, 54 bytes, permits (items read: 1)");
    else
      ck_assert_uint_eq(strlen(last_json()), len);
    end();
  }
}
END_TEST

START_TEST(test_a_page_over_its_limit_rejects) {
  struct bindings_options options = defaults;
  options.max_answer_bytes = 1000;
  begin_with(options, BINDING_ALL, 600000);
  call("listRegions", "[]");
  ck_assert_uint_eq(scripted_aws_request(0)->asked.max_answer_bytes, 2 * 1000 + 65536);
  refuse(0, "AnswerTooLargeError", "over 67536 bytes", 200);
  failed("AnswerTooLargeError", "max_answer_bytes, 1000 bytes, permits (items read: 0)");
  end();
}
END_TEST

START_TEST(test_calls_beyond_the_budget_reject) {
  struct bindings_options options = defaults;
  options.max_calls = 2;
  begin_with(options, BINDING_ALL, 600000);
  call("listRegions", "[]");
  call("listRegions", "[5]"); /* counts as well */
  turn();
  call("listRegions", "[]");
  turn();
  failed("BudgetError", "listRegions: this is call 3 of this job; max_calls permits 2");
  call("noFunction", "[]");
  turn();
  failed("BudgetError", "noFunction: this is call 4 of this job");
  ck_assert_uint_eq(scripted_aws_count(), 1);
  end();
}
END_TEST

START_TEST(test_bytes_beyond_the_budget_reject_every_call_after) {
  struct bindings_options options = defaults;
  options.max_total_bytes = 200;
  begin_with(options, BINDING_ALL, 600000);
  call("listRegions", "[]");
  ck_assert_uint_eq(scripted_aws_request(0)->asked.max_answer_bytes, 200);
  give(0,
       &(struct aws_answer){.ok = true, .body = "{\"NextToken\":\"1\"}", .body_len = 17, .bytes_read = 150});
  ck_assert_uint_eq(scripted_aws_request(1)->asked.max_answer_bytes, 50);
  refuse(1, "AnswerTooLargeError", "over 50 bytes", 200);
  failed("BudgetError", "this job's calls have read 250 bytes; max_total_answer_bytes permits 200");
  call("listRegions", "[]");
  turn();
  failed("BudgetError", "max_total_answer_bytes");
  ck_assert_uint_eq(scripted_aws_count(), 2);
  end();
}
END_TEST

START_TEST(test_bytes_of_failed_attempts_count_too) {
  struct bindings_options options = defaults;
  options.max_total_bytes = 200;
  begin_with(options, BINDING_ALL, 600000);
  call("listRegions", "[]");
  give(0, &(struct aws_answer){.ok = true, .body = "{}", .body_len = 2, .bytes_read = 201});
  failed("BudgetError", "have read 201 bytes");
  end();
}
END_TEST

START_TEST(test_calls_run_side_by_side_up_to_the_limit_and_the_rest_wait_in_order) {
  struct bindings_options options = defaults;
  options.max_parallel_calls = 2;
  begin_with(options, BINDING_ALL, 600000);
  for (int i = 0; i < 5; i++)
    call("queryResources", (const char *[]){"[\"T0\"]", "[\"T1\"]", "[\"T2\"]", "[\"T3\"]", "[\"T4\"]"}[i]);
  call("queryResources", "[]"); /* refused at once: it takes no place */
  turn();
  ck_assert_uint_eq(answer_count, 1);
  ck_assert_uint_eq(scripted_aws_count(), 2);
  body(1, "{}");
  ck_assert_uint_eq(scripted_aws_count(), 3);
  ck_assert_ptr_nonnull(strstr(scripted_aws_request(2)->asked.body, "\"T2\""));
  body(0, "{}");
  body(3, "{}");
  body(2, "{}");
  body(4, "{}");
  ck_assert_uint_eq(answer_count, 6);
  const uint32_t order[] = {5, 1, 0, 3, 2, 4}; /* of completion */
  for (size_t i = 0; i < 6; i++)
    ck_assert_uint_eq(answers[i].call, order[i]);
  end();
}
END_TEST

START_TEST(test_answers_that_come_together_leave_in_their_order) {
  const struct aws_answer refusal = {.error_name = "X", .error_message = "x"};
  for (int i = 0; i < 3; i++)
    call("listRegions", "[]");
  scripted_aws_answer(2, &refusal);
  scripted_aws_answer(0, &refusal);
  scripted_aws_answer(1, &refusal);
  ck_assert_uint_eq(answer_count, 0);
  turn();
  ck_assert_uint_eq(answer_count, 3);
  ck_assert_uint_eq(answers[0].call, 2);
  ck_assert_uint_eq(answers[1].call, 0);
  ck_assert_uint_eq(answers[2].call, 1);
}
END_TEST

START_TEST(test_as_many_calls_start_as_have_ended) {
  const struct aws_answer refusal = {.error_name = "X", .error_message = "x"};
  struct bindings_options options = defaults;
  options.max_parallel_calls = 2;
  begin_with(options, BINDING_ALL, 600000);
  for (int i = 0; i < 5; i++)
    call("listRegions", "[]");
  scripted_aws_answer(0, &refusal);
  scripted_aws_answer(1, &refusal);
  turn();
  ck_assert_uint_eq(answer_count, 2);
  ck_assert_uint_eq(scripted_aws_open(), 2);
  end();
}
END_TEST

/* Turns the loop until there are `count` answers; fails after a minute. */
static void wait_for_answers(size_t count) {
  const int64_t until_ns = clock_monotonic_ns() + WAIT_MS * CLOCK_NS_PER_MS;
  while (answer_count < count) {
    ck_assert_msg(clock_monotonic_ns() < until_ns, "%zu answers of %zu after a minute", answer_count, count);
    ck_assert_int_ge(event_base_loop(base, EVLOOP_ONCE), 0);
  }
}

START_TEST(test_a_call_ends_at_its_timeout_and_stops_its_transfer) {
  struct bindings_options options = defaults;
  options.call_timeout_ms = 20;
  options.max_parallel_calls = 1;
  begin_with(options, BINDING_ALL, 600000);
  call("listRegions", "[]");
  call("listAccounts", "[]");
  wait_for_answers(1);
  failed("TimeoutError", "listRegions: no answer within call_timeout_ms, 20 ms (pages read: 0, items: 0)");
  wait_for_answers(2); /* the one that waited has its own 20 ms */
  failed("TimeoutError", "listAccounts: no answer within call_timeout_ms");
  ck_assert_uint_eq(scripted_aws_open(), 0);
  end();
}
END_TEST

START_TEST(test_all_pages_of_a_call_have_its_deadline) {
  call("listRegions", "[]");
  body(0, "{\"Regions\":[{}],\"NextToken\":\"1\"}");
  ck_assert_int_eq(scripted_aws_request(1)->asked.deadline_ns, scripted_aws_request(0)->asked.deadline_ns);
}
END_TEST

START_TEST(test_no_call_lives_longer_than_its_job_or_is_answered_after_it) {
  begin_with(defaults, BINDING_ALL, 20);
  call("listRegions", "[]");
  const int64_t until_ns = clock_monotonic_ns() + WAIT_MS * CLOCK_NS_PER_MS;
  while (scripted_aws_open() > 0) {
    ck_assert_msg(clock_monotonic_ns() < until_ns, "still under way after a minute");
    ck_assert_int_ge(event_base_loop(base, EVLOOP_ONCE), 0);
  }
  ck_assert(scripted_aws_request(0)->cancelled);
  const size_t before = scripted_aws_count();
  call("listRegions", "[]");
  turn();
  ck_assert_uint_eq(scripted_aws_count(), before); /* nothing is asked any more */
  ck_assert_uint_eq(answer_count, 0);
  end();
}
END_TEST

START_TEST(test_the_end_of_the_jobs_time_is_no_error_of_aws) {
  begin_with(defaults, BINDING_ALL, 50);
  call("listRegions", "[]");
  refuse(0, "TimeoutError", "no answer before the deadline", 0);
  turn();
  ck_assert_uint_eq(answer_count, 0);
  end();
}
END_TEST

START_TEST(test_a_timeout_of_aws_at_the_calls_deadline_names_the_setting_and_what_aws_said) {
  struct bindings_options options = defaults;
  options.call_timeout_ms = 80;
  begin_with(options, BINDING_ALL, 600000);
  call("listRegions", "[]");
  refuse(0, "TimeoutError", "throttled 7 times", 429);
  failed("TimeoutError", "call_timeout_ms, 80 ms (pages read: 0, items: 0): throttled 7 times");
  end();
}
END_TEST

START_TEST(test_a_timeout_of_aws_before_the_deadline_is_told_as_it_is) {
  call("listRegions", "[]");
  refuse(0, "TimeoutError", "no connection in 5 s", 0);
  ck_assert_str_eq(error_member("message"), "no connection in 5 s");
  ck_assert_str_eq(error_member("name"), "TimeoutError");
}
END_TEST

/* ---- accounts by name ---- */

#define NAMED(name) "[\"T\",\"" name "\"]"
#define ACCOUNTS                                                                                             \
  "{\"Accounts\":[{\"Id\":\"444400000001\",\"Name\":\"acct\"},{\"Id\":\"444400000002\",\"Name\":\"Team 2 & " \
  "co/x\"},{\"Id\":\"444400000003\",\"Name\":\"twice\"},{\"Id\":\"444400000004\",\"Name\":\"twice\"}]}"
#define NO_RESOURCES "{\"ResourceDescriptions\":[]}"
#define ONE_RESOURCE "{\"ResourceDescriptions\":[{\"Identifier\":\"i\"}]}"

static void asked_for_accounts(size_t i, const char *text) {
  asked(i, AWS_ORGANIZATIONS, "/", "application/x-amz-json-1.1", "AWSOrganizationsV20161128.ListAccounts",
        text);
  ck_assert_ptr_null(scripted_aws_request(i)->asked.account);
  ck_assert_ptr_null(scripted_aws_request(i)->asked.region);
}

static void asked_of_account(size_t i, const char *account) {
  ck_assert_int_eq(scripted_aws_request(i)->asked.service, AWS_CLOUDCONTROL);
  ck_assert_pstr_eq(scripted_aws_request(i)->asked.account, account);
}

START_TEST(test_an_account_may_be_given_by_its_name) {
  call("queryResources", NAMED("acct"));
  asked_for_accounts(0, "{\"MaxResults\":20}");
  body(0, "{\"Accounts\":[{\"Id\":\"444400000009\",\"Name\":\"Acct\"},{\"Id\":\"444400000008\"}],"
          "\"NextToken\":\"t 1\"}");
  asked_for_accounts(1, "{\"MaxResults\":20,\"NextToken\":\"t 1\"}");
  body(1, ACCOUNTS);
  asked_of_account(2, "444400000001");
  body(2, ONE_RESOURCE);
  answered("[{\"id\":\"i\",\"type\":\"T\",\"accountId\":\"444400000001\",\"region\":\"us-east-1\","
           "\"properties\":null}]");
  call("queryResources", NAMED("Team 2 & co/x")); /* the list is known now */
  asked_of_account(3, "444400000002");
  call("listRegions", "[\"Acct\"]");
  ck_assert_str_eq(scripted_aws_request(4)->asked.account, "444400000009");
}
END_TEST

START_TEST(test_a_name_that_no_account_has_is_a_type_error) {
  call("queryResources", NAMED("ACCT"));
  body(0, ACCOUNTS);
  failed("TypeError", "queryResources: no account is named \"ACCT\" in the organization; give its 12 digits, "
                      "its name, or 'self'");
  call("queryResources", NAMED("twice"));
  turn();
  failed("TypeError",
         "queryResources: 2 accounts are named \"twice\" in the organization, such as 444400000003 and "
         "444400000004; give the 12 digits");
  ck_assert_uint_eq(scripted_aws_count(), 1);
}
END_TEST

START_TEST(test_names_are_looked_up_once_for_all_who_wait) {
  struct bindings_session *other;
  const int64_t deadline_ns = clock_monotonic_ns() + WAIT_MS * CLOCK_NS_PER_MS;
  ck_assert_int_eq(bindings_session_new(bindings, BINDING_ALL, deadline_ns, on_answer, &base, &other), 0);
  call("queryResources", NAMED("acct"));
  call("queryResources", NAMED("nobody"));
  ck_assert_int_eq(bindings_call(other, 9, "listRegions", 11, "[\"acct\"]", 8), 0);
  ck_assert_uint_eq(scripted_aws_count(), 1);
  bindings_session_free(session); /* who began it is gone; the other still waits */
  session = NULL;
  ck_assert_uint_eq(scripted_aws_open(), 1);
  const size_t before = scripted_aws_count();
  scripted_aws_body(0, ACCOUNTS, strlen(ACCOUNTS));
  ck_assert_uint_eq(scripted_aws_count(), before + 1);
  ck_assert_str_eq(scripted_aws_request(1)->asked.account, "444400000001");
  bindings_session_free(other);
}
END_TEST

START_TEST(test_a_look_up_ends_with_the_last_who_waits) {
  call("queryResources", NAMED("acct"));
  bindings_session_free(session);
  session = NULL;
  ck_assert_uint_eq(scripted_aws_open(), 0);
  ck_assert(scripted_aws_request(0)->cancelled);
}
END_TEST

/* What says that Organizations cannot be asked; the last three are answers that are no list. */
static const struct {
  const char *error_name;
  int status;
  const char *body;
} cannot_be_asked[] = {
    {"AccessDeniedException", 400, NULL},
    {"AWSOrganizationsNotInUseException", 400, NULL},
    {"UnknownOperationException", 400, NULL},
    {"AnswerError", 403, NULL},
    {"NetworkError", 0, NULL},
    {"TimeoutError", 0, NULL},
    {"ResourceNotFound", 404, NULL},
    {"InternalFailure", 501, NULL},
    {NULL, 200, "<html>"},
    {NULL, 200, "{}"},
    {NULL, 200, "{\"Accounts\":[{\"Id\":\"12\",\"Name\":\"acct\"}]}"},
};
#define CANNOT_BE_ASKED_COUNT (sizeof cannot_be_asked / sizeof cannot_be_asked[0])

static void answer_look_up(size_t i) {
  if (cannot_be_asked[i].body)
    body(0, cannot_be_asked[i].body);
  else
    refuse(0, cannot_be_asked[i].error_name, "as it says", cannot_be_asked[i].status);
}

START_TEST(test_without_anybody_to_ask_and_a_role_a_name_is_the_own_account) {
  for (size_t i = 0; i < CANNOT_BE_ASKED_COUNT; i++) {
    begin();
    call("queryResources", NAMED("acct"));
    answer_look_up(i);
    ck_assert_msg(scripted_aws_count() == 2, "case %zu: %s", i, answer_count ? last_json() : "no answer");
    asked_of_account(1, NULL);
    body(1, ONE_RESOURCE); /* the own number is not known either */
    answered("[{\"id\":\"i\",\"type\":\"T\",\"accountId\":\"acct\",\"region\":\"us-east-1\",\"properties\":"
             "null}]");
    call("queryResources", NAMED("other"));
    asked_of_account(2, NULL); /* not looked up again */
    give(2, &(struct aws_answer){.ok = true,
                                 .body = ONE_RESOURCE,
                                 .body_len = strlen(ONE_RESOURCE),
                                 .status = 200,
                                 .account = "111122223333"});
    answered("[{\"id\":\"i\",\"type\":\"T\",\"accountId\":\"111122223333\",\"region\":\"us-east-1\","
             "\"properties\":null}]");
    end();
  }
}
END_TEST

START_TEST(test_without_anybody_to_ask_but_with_a_role_a_name_is_refused) {
  struct bindings_options options = defaults;
  options.assume_role = "reader";
  for (size_t i = 0; i < CANNOT_BE_ASKED_COUNT; i++) {
    begin_with(options, BINDING_ALL, 600000);
    call("queryResources", NAMED("acct"));
    answer_look_up(i);
    turn();
    failed(cannot_be_asked[i].body ? "AnswerError" : cannot_be_asked[i].error_name,
           "queryResources: the account \"acct\" could not be looked up by its name: Organizations "
           "ListAccounts: ");
    if (!cannot_be_asked[i].body)
      failed(cannot_be_asked[i].error_name, ": as it says; give its 12 digits, or 'self'");
    ck_assert_uint_eq(scripted_aws_count(), 1);
    end();
  }
}
END_TEST

START_TEST(test_other_errors_of_a_look_up_are_told_and_not_remembered) {
  call("queryResources", NAMED("acct"));
  call("listRegions", "[\"acct\"]");
  refuse(0, "ThrottlingException", "slow down", 400);
  ck_assert_uint_eq(answer_count, 2);
  failed("ThrottlingException", "slow down");
  ck_assert_uint_eq(scripted_aws_count(), 1);
  call("queryResources", NAMED("acct"));
  asked_for_accounts(1, "{\"MaxResults\":20}");
  body(1, ACCOUNTS);
  asked_of_account(2, "444400000001");
}
END_TEST

START_TEST(test_a_look_up_is_paid_by_the_job_that_asks) {
  struct bindings_options options = defaults;
  options.max_total_bytes = strlen(ACCOUNTS) + 1;
  begin_with(options, BINDING_ALL, 600000);
  call("queryResources", NAMED("acct"));
  body(0, ACCOUNTS);
  body(1, NO_RESOURCES);
  failed("BudgetError", "max_total_answer_bytes");
  end();
  options.max_total_bytes = strlen(ACCOUNTS) - 1;
  begin_with(options, BINDING_ALL, 600000);
  call("queryResources", NAMED("acct"));
  scripted_aws_body(0, ACCOUNTS, strlen(ACCOUNTS));
  turn();
  failed("BudgetError", "max_total_answer_bytes");
  ck_assert_uint_eq(scripted_aws_count(), 1);
  end();
}
END_TEST

START_TEST(test_a_look_up_has_the_deadline_of_its_call) {
  struct bindings_options options = defaults;
  options.call_timeout_ms = 20;
  begin_with(options, BINDING_ALL, 600000);
  call("queryResources", NAMED("acct"));
  wait_for_answers(1);
  failed("TimeoutError", "call_timeout_ms");
  ck_assert_uint_eq(scripted_aws_open(), 0);
  end();
}
END_TEST

START_TEST(test_pages_of_accounts_without_an_end_are_refused) {
  call("queryResources", NAMED("acct"));
  body(0, "{\"Accounts\":[],\"NextToken\":\"t\"}");
  body(1, "{\"Accounts\":[],\"NextToken\":\"t\"}");
  asked_of_account(2, NULL); /* so it is no list */
}
END_TEST

/* ---- errors and the allow-list ---- */

START_TEST(test_errors_of_aws_keep_name_message_status_and_request) {
  call("queryResources", "[\"T\"]");
  scripted_aws_answer(0, &(struct aws_answer){.error_name = "ThrottlingException",
                                              .error_message = "Rate exceeded \xff \"x\"",
                                              .status = 400,
                                              .request_id = "abc-1",
                                              .retryable = true});
  turn();
  ck_assert(!answers[0].ok);
  ck_assert_str_eq(answers[0].json,
                   "{\"name\":\"ThrottlingException\",\"message\":\"Rate exceeded \xef\xbf\xbd \\\"x\\\"\","
                   "\"statusCode\":400,\"requestId\":\"abc-1\",\"retryable\":true}");
  call("queryResources", "[\"T\"]");
  scripted_aws_answer(
      1, &(struct aws_answer){.error_name = "NetworkError", .error_message = "connection refused"});
  turn();
  ck_assert_str_eq(answers[1].json,
                   "{\"name\":\"NetworkError\",\"message\":\"connection refused\",\"retryable\":false}");
}
END_TEST

START_TEST(test_a_long_error_message_is_cut) {
  char *long_message = repeated("", "x", 100000, "");
  call("queryResources", "[\"T\"]");
  refuse(0, "AccessDeniedException", long_message, 403);
  ck_assert_uint_eq(strlen(error_member("message")), 2000);
  free(long_message);
}
END_TEST

START_TEST(test_a_function_that_is_not_allowed_is_refused_by_name) {
  begin_with(defaults, 1u << BINDING_LIST_REGIONS, 600000);
  call("listAccounts", "[]");
  turn();
  failed("BindingError", "listAccounts is not among this job's bindings");
  call("listRegions", "[]");
  ck_assert_uint_eq(scripted_aws_count(), 1);
  end();
}
END_TEST

START_TEST(test_unknown_functions_are_refused_with_a_suggestion) {
  call("listRegion", "[]");
  turn();
  failed("BindingError", "listRegion is not a binding (did you mean listRegions?)");
  call("readFile", "[]");
  turn();
  failed("BindingError", "readFile is not a binding; there are listAccounts, listRegions, queryResources, "
                         "queryCloudWatchLogEvents, getCloudTrailEvents");
  ck_assert_int_eq(bindings_call(session, 7, "listRegions\0x", 13, "[]", 2), 0);
  turn();
  failed("BindingError", "listRegions?x is not a binding");
  ck_assert_int_eq(bindings_call(session, 7, "", 0, "[]", 2), 0);
  turn();
  failed("BindingError", " is not a binding; there are");
}
END_TEST

/* ---- ends ---- */

START_TEST(test_freeing_a_session_stops_its_transfers_and_answers_nothing) {
  struct bindings_options options = defaults;
  options.max_parallel_calls = 2;
  begin_with(options, BINDING_ALL, 600000);
  call("listRegions", "[]");
  call("listRegions", "[]");
  call("listRegions", "[]");
  call("listRegions", "[1]"); /* refused, its answer not given out yet */
  ck_assert_uint_eq(scripted_aws_open(), 2);
  bindings_session_free(session);
  session = NULL;
  ck_assert_uint_eq(scripted_aws_open(), 0);
  turn();
  ck_assert_uint_eq(answer_count, 0);
  end();
}
END_TEST

START_TEST(test_a_session_may_be_freed_from_its_answer) {
  call("listRegions", "[1]");
  call("listRegions", "[]");
  call("listRegions", "[1]");
  free_in_answer = true;
  turn();
  ck_assert_uint_eq(answer_count, 1);
  ck_assert(scripted_aws_request(0)->cancelled);
}
END_TEST

START_TEST(test_one_session_does_not_touch_another) {
  struct bindings_session *first = session;
  call("listRegions", "[]");
  ck_assert_int_eq(bindings_session_new(bindings, BINDING_ALL, clock_monotonic_ns() + 60000 * CLOCK_NS_PER_MS,
                                        on_answer, &base, &session),
                   0);
  call("listAccounts", "[]");
  bindings_session_free(session);
  session = first;
  ck_assert(!scripted_aws_request(0)->cancelled);
  body(0, "{}");
  answered("[]");
}
END_TEST

START_TEST(test_memory_that_is_short_is_the_calls_error) {
  scripted_aws_fail_next(-ENOMEM);
  call("listRegions", "[]");
  turn();
  failed("BindingError", "out of memory");
  ck_assert_str_eq(error_member("retryable"), "true");
}
END_TEST

START_TEST(test_what_is_wrong_with_the_environment_is_told_at_the_start) {
  struct bindings_options options = defaults;
  struct bindings *none = NULL;
  char error[256];
  options.assume_role = "broken";
  ck_assert_int_eq(bindings_new(base, &options, &none, error, sizeof error), -EINVAL);
  ck_assert_str_eq(error, "the environment is broken");
  ck_assert_ptr_null(none);
}
END_TEST

START_TEST(test_the_table_has_the_five_functions) {
  static const char *const names[] = {"listAccounts", "listRegions", "queryResources",
                                      "queryCloudWatchLogEvents", "getCloudTrailEvents"};
  for (unsigned i = 0; i < 5; i++) {
    ck_assert_str_eq(binding_name(i), names[i]);
    ck_assert_int_eq(binding_find(names[i], strlen(names[i])), (int)i);
  }
  ck_assert_ptr_null(binding_name(BINDING_COUNT));
  ck_assert_int_eq(binding_find("listAccount", 11), -ENOENT);
  ck_assert_int_eq(binding_find("listAccounts2", 13), -ENOENT);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("bindings");
  TCase *ready = tcase_create("ready"), *own = tcase_create("own options");

  tcase_set_timeout(ready, 100);
  tcase_set_timeout(own, 100);
  tcase_add_checked_fixture(ready, begin, end);
  tcase_add_test(ready, test_argument_errors_name_function_argument_value_and_both_forms);
  tcase_add_test(ready, test_what_no_stub_sends_is_refused_and_not_trusted);
  tcase_add_test(ready, test_long_and_odd_values_are_shown_in_part);
  tcase_add_test(ready, test_times_are_milliseconds_or_iso_8601);
  tcase_add_test(ready, test_both_forms_ask_the_same);
  tcase_add_test(ready, test_left_out_arguments_are_the_callers_own);
  tcase_add_test(ready, test_list_accounts_gives_the_organization_with_the_state_of_each);
  tcase_add_test(ready, test_list_accounts_without_permission_gives_the_callers_own);
  tcase_add_test(ready, test_list_accounts_tells_other_errors);
  tcase_add_test(ready, test_an_identity_that_is_no_plain_xml_is_refused);
  tcase_add_test(ready, test_list_regions_gives_all_with_their_status);
  tcase_add_test(ready, test_query_resources_gives_properties_as_values);
  tcase_add_test(ready, test_query_resources_names_the_account_and_region_that_answered);
  tcase_add_test(ready, test_log_events_are_asked_in_milliseconds_and_given_as_they_come);
  tcase_add_test(ready, test_trail_events_are_asked_in_seconds_and_given_with_their_record);
  tcase_add_test(ready, test_pages_end_at_the_limit_and_keep_their_size);
  tcase_add_test(ready, test_the_default_limit_is_a_thousand);
  tcase_add_test(ready, test_a_page_token_that_repeats_is_an_error);
  tcase_add_test(ready, test_empty_pages_come_to_an_end);
  tcase_add_test(ready, test_an_empty_token_is_the_end);
  tcase_add_test(ready, test_answers_that_are_not_what_aws_documents_are_errors);
  tcase_add_test(ready, test_deep_and_crowded_answers_are_refused);
  tcase_add_test(ready, test_a_nul_after_a_page_is_not_json);
  tcase_add_test(ready, test_a_small_page_does_not_wait_for_a_large_one);
  tcase_add_test(ready, test_a_session_may_be_freed_while_a_page_is_read);
  tcase_add_test(ready, test_answers_that_come_together_leave_in_their_order);
  tcase_add_test(ready, test_all_pages_of_a_call_have_its_deadline);
  tcase_add_test(ready, test_a_timeout_of_aws_before_the_deadline_is_told_as_it_is);
  tcase_add_test(ready, test_an_account_may_be_given_by_its_name);
  tcase_add_test(ready, test_a_name_that_no_account_has_is_a_type_error);
  tcase_add_test(ready, test_names_are_looked_up_once_for_all_who_wait);
  tcase_add_test(ready, test_a_look_up_ends_with_the_last_who_waits);
  tcase_add_test(ready, test_other_errors_of_a_look_up_are_told_and_not_remembered);
  tcase_add_test(ready, test_pages_of_accounts_without_an_end_are_refused);
  tcase_add_test(ready, test_errors_of_aws_keep_name_message_status_and_request);
  tcase_add_test(ready, test_a_long_error_message_is_cut);
  tcase_add_test(ready, test_unknown_functions_are_refused_with_a_suggestion);
  tcase_add_test(ready, test_a_session_may_be_freed_from_its_answer);
  tcase_add_test(ready, test_one_session_does_not_touch_another);
  tcase_add_test(ready, test_memory_that_is_short_is_the_calls_error);
  tcase_add_test(ready, test_what_is_wrong_with_the_environment_is_told_at_the_start);
  tcase_add_test(ready, test_the_table_has_the_five_functions);
  suite_add_tcase(suite, ready);
  tcase_add_test(own, test_an_answer_over_its_limit_rejects_and_one_byte_less_does_not);
  tcase_add_test(own, test_a_page_over_its_limit_rejects);
  tcase_add_test(own, test_calls_beyond_the_budget_reject);
  tcase_add_test(own, test_bytes_beyond_the_budget_reject_every_call_after);
  tcase_add_test(own, test_bytes_of_failed_attempts_count_too);
  tcase_add_test(own, test_calls_run_side_by_side_up_to_the_limit_and_the_rest_wait_in_order);
  tcase_add_test(own, test_as_many_calls_start_as_have_ended);
  tcase_add_test(own, test_a_call_ends_at_its_timeout_and_stops_its_transfer);
  tcase_add_test(own, test_no_call_lives_longer_than_its_job_or_is_answered_after_it);
  tcase_add_test(own, test_the_end_of_the_jobs_time_is_no_error_of_aws);
  tcase_add_test(own, test_a_timeout_of_aws_at_the_calls_deadline_names_the_setting_and_what_aws_said);
  tcase_add_test(own, test_without_anybody_to_ask_and_a_role_a_name_is_the_own_account);
  tcase_add_test(own, test_without_anybody_to_ask_but_with_a_role_a_name_is_refused);
  tcase_add_test(own, test_a_look_up_is_paid_by_the_job_that_asks);
  tcase_add_test(own, test_a_look_up_has_the_deadline_of_its_call);
  tcase_add_test(own, test_a_function_that_is_not_allowed_is_refused_by_name);
  tcase_add_test(own, test_freeing_a_session_stops_its_transfers_and_answers_nothing);
  suite_add_tcase(suite, own);

  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  const int failures = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
