/*
 * The AWS client against the tests' own AWS (tests/aws/fake_aws.py), which checks every signature, counts,
 * and misbehaves on demand; and its parts alone where that is plainer. Nothing is timed but what must not be
 * sooner.
 */
#include <check.h>
#include <dlfcn.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <json-c/json.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bindings/aws_error.h"
#include "bindings/aws_settings.h"
#include "bindings/endpoint.h"
#include "bindings/exchange.h"
#include "bindings/http.h"
#include "bindings/rate.h"
#include "tests/support/aws_client.h"

#define OWN_ACCOUNT "111122223333"
#define OTHER_ACCOUNT "444400000001"
#define TOKEN "FwoGZXIvYXdzEXAMPLE+token/with==signs"
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define IDENTITY "operations/sts.GetCallerIdentity/"
#define TRAIL "operations/cloudtrail.LookupEvents/"

static struct fake_aws fake;
static struct client client;

static void start_fake(void) {
  ck_assert_int_eq(fake_aws_start(&fake), 0);
}

static void end_fake(void) {
  fake_aws_end(&fake);
}

static void set_up(void) {
  signal(SIGPIPE, SIG_IGN);
  fake_aws_tell(&fake, "POST", "reset", NULL);
  client_init(&client, &fake);
  client_use_keys(&client);
}

static void tear_down(void) {
  if (client.aws != NULL) client_end(&client);
}

static void start(void) {
  client_use_fake(&client);
  client_start(&client);
}

static void no_signature_failed(void) {
  ck_assert_int_eq(fake_aws_count(&fake, "signature_failures"), 0);
  ck_assert_int_eq(fake_aws_count(&fake, "protocol_errors"), 0);
}

static void break_identity(const char *kind, const char *when) {
  char faults[512];

  snprintf(faults, sizeof(faults),
           "[{\"match\": {\"operation\": \"GetCallerIdentity\"%s}, \"do\": {\"kind\": \"%s\", \"code\": "
           "\"InternalFailure\", "
           "\"status\": 500, \"after\": 20}}]",
           when, kind);
  fake_aws_tell(&fake, "POST", "faults", faults);
}

/* One call of GetCallerIdentity. */
static void ask(struct call *call) {
  const struct aws_request request = client_request(&client);

  client_call(&client, &request, call);
  ck_assert_ptr_null(strstr(call->error_message, FAKE_AWS_SECRET));
}

static void fails_with(const char *name, bool retryable) {
  struct call call;

  ask(&call);
  ck_assert(!call.ok);
  ck_assert_str_eq(call.error_name, name);
  ck_assert_msg(call.retryable == retryable, "%s: %s", call.error_name, call.error_message);
  call_clear(&call);
}

static void succeeds(void) {
  struct call call;

  ask(&call);
  ck_assert_msg(call.ok, "%s: %s", call.error_name, call.error_message);
  call_clear(&call);
}

/* ---- operations, and how they are signed ---- */

static const struct operation {
  enum aws_service service;
  const char *path, *content_type, *target, *body, *name, *part;
} operations[] = {
    {AWS_ORGANIZATIONS, "/", "application/x-amz-json-1.1", "AWSOrganizationsV20161128.ListAccounts", "{}",
     "organizations.ListAccounts", "\"Accounts\""},
    {AWS_STS, "/", "application/x-www-form-urlencoded; charset=utf-8", NULL,
     "Action=GetCallerIdentity&Version=2011-06-15", "sts.GetCallerIdentity", OWN_ACCOUNT},
    {AWS_ACCOUNT, "/listRegions", "application/json", NULL, "{}", "account.ListRegions", "\"Regions\""},
    {AWS_CLOUDCONTROL, "/", "application/x-amz-json-1.0", "CloudApiService.ListResources",
     "{\"TypeName\": \"AWS::EC2::Instance\"}", "cloudcontrol.ListResources", "ResourceDescriptions"},
    {AWS_LOGS, "/", "application/x-amz-json-1.1", "Logs_20140328.FilterLogEvents",
     "{\"logGroupName\": \"/app/web\", \"startTime\": 1700000000000}", "logs.FilterLogEvents", "events"},
    {AWS_CLOUDTRAIL, "/", "application/x-amz-json-1.1",
     "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents", "{}", "cloudtrail.LookupEvents",
     "Events"},
};

static struct aws_request request_of(const struct operation *operation) {
  struct aws_request request = client_request(&client);

  request.service = operation->service;
  request.path = operation->path;
  request.content_type = operation->content_type;
  request.target = operation->target;
  request.body = operation->body;
  request.body_len = strlen(operation->body);
  request.max_answer_bytes = 8u << 20;
  return request;
}

START_TEST(each_service_is_spoken_and_its_signature_accepted) {
  const struct aws_request request = request_of(&operations[_i]);
  struct call call;
  char path[128];

  start();
  client_call(&client, &request, &call);
  ck_assert_msg(call.ok, "%s %s", call.error_name, call.error_message);
  ck_assert_ptr_nonnull(strstr(call.body, operations[_i].part));
  ck_assert_int_eq(call.status, 200);
  ck_assert_uint_ge(call.bytes_read, strlen(call.body));
  ck_assert_uint_eq(strlen(call.request_id), 36);
  snprintf(path, sizeof(path), "operations/%s/ok", operations[_i].name);
  ck_assert_int_eq(fake_aws_count(&fake, path), 1);
  call_clear(&call);
  no_signature_failed();
}
END_TEST

START_TEST(a_body_of_any_bytes_is_signed_as_it_is_sent) {
  struct aws_request request = client_request(&client);
  struct call call;
  char body[4096] = "Action=GetCallerIdentity&Version=2011-06-15&x=";
  const size_t len = strlen(body);

  for (size_t i = len; i < sizeof(body); i++)
    body[i] = (char)(i % 26 + 'a');
  request.body = body;
  request.body_len = sizeof(body); /* no NUL behind it */
  start();
  client_call(&client, &request, &call);
  ck_assert_msg(call.ok, "%s %s", call.error_name, call.error_message);
  call_clear(&call);
  no_signature_failed();
}
END_TEST

/* ---- regions and endpoints ---- */

START_TEST(the_region_is_the_requests_else_the_configured_one) {
  static const struct {
    const char *request, *region, *default_region, *config, *wanted;
  } cases[] = {
      {"eu-west-1", "eu-west-2", "eu-west-3", "[default]\nregion = eu-north-1\n", "eu-west-1"},
      {NULL, "eu-west-2", "eu-west-3", "[default]\nregion = eu-north-1\n", "eu-west-2"},
      {"", NULL, "eu-west-3", "[default]\nregion = eu-north-1\n", "eu-west-3"},
      {NULL, NULL, NULL, "[default]\nregion = eu-north-1\n", "eu-north-1"},
      {NULL, NULL, NULL, "", "us-east-1"},
  };
  struct aws_request request = client_request(&client);
  struct call call;
  char path[128];

  if (cases[_i].region != NULL) client_set(&client, "AWS_REGION=%s", cases[_i].region);
  if (cases[_i].default_region != NULL)
    client_set(&client, "AWS_DEFAULT_REGION=%s", cases[_i].default_region);
  client_set(&client, "AWS_CONFIG_FILE=%s", client_file(&client, "config", cases[_i].config));
  start();
  request.region = cases[_i].request;
  client_call(&client, &request, &call);
  ck_assert(call.ok);
  ck_assert_str_eq(call.region, cases[_i].wanted);
  snprintf(path, sizeof(path), IDENTITY "regions/%s", cases[_i].wanted);
  ck_assert_int_eq(fake_aws_count(&fake, path), 1);
  call_clear(&call);
}
END_TEST

static struct aws_settings *settings_of(char *const *environment) {
  struct aws_settings *settings;
  char error[512] = "";
  const int r = aws_settings_new(environment, &settings, error, sizeof(error));

  ck_assert_msg(r == 0, "%s", error);
  return settings;
}

/* As AWS' own SDKs resolve them (looked up in the endpoint rules of botocore 1.43). */
START_TEST(hosts_are_those_that_aws_sdks_ask) {
  static const struct {
    enum aws_service service;
    const char *region;
    bool fips;
    const char *url, *signing_region;
  } cases[] = {
      {AWS_STS, "us-east-1", false, "https://sts.us-east-1.amazonaws.com/", "us-east-1"},
      {AWS_STS, "eu-central-1", false, "https://sts.eu-central-1.amazonaws.com/", "eu-central-1"},
      {AWS_STS, "us-east-1", true, "https://sts-fips.us-east-1.amazonaws.com/", "us-east-1"},
      {AWS_STS, "us-gov-east-1", true, "https://sts.us-gov-east-1.amazonaws.com/", "us-gov-east-1"},
      {AWS_STS, "cn-north-1", false, "https://sts.cn-north-1.amazonaws.com.cn/", "cn-north-1"},
      {AWS_ORGANIZATIONS, "eu-central-1", false, "https://organizations.us-east-1.amazonaws.com/",
       "us-east-1"},
      {AWS_ORGANIZATIONS, "eu-central-1", true, "https://organizations-fips.us-east-1.amazonaws.com/",
       "us-east-1"},
      {AWS_ORGANIZATIONS, "cn-north-1", false, "https://organizations.cn-northwest-1.amazonaws.com.cn/",
       "cn-northwest-1"},
      {AWS_ORGANIZATIONS, "us-gov-east-1", false, "https://organizations.us-gov-west-1.amazonaws.com/",
       "us-gov-west-1"},
      {AWS_ORGANIZATIONS, "us-gov-east-1", true, "https://organizations.us-gov-west-1.amazonaws.com/",
       "us-gov-west-1"},
      {AWS_ACCOUNT, "ap-south-1", false, "https://account.us-east-1.amazonaws.com/", "us-east-1"},
      {AWS_ACCOUNT, "cn-north-1", false, "https://account.cn-northwest-1.amazonaws.com.cn/",
       "cn-northwest-1"},
      {AWS_ACCOUNT, "us-gov-west-1", true, "https://account-fips.us-gov-west-1.amazonaws.com/",
       "us-gov-west-1"},
      {AWS_CLOUDCONTROL, "eu-central-1", false, "https://cloudcontrolapi.eu-central-1.amazonaws.com/",
       "eu-central-1"},
      {AWS_CLOUDCONTROL, "us-gov-west-1", true, "https://cloudcontrolapi-fips.us-gov-west-1.amazonaws.com/",
       "us-gov-west-1"},
      {AWS_LOGS, "us-gov-west-1", true, "https://logs.us-gov-west-1.amazonaws.com/", "us-gov-west-1"},
      {AWS_LOGS, "eu-central-1", true, "https://logs-fips.eu-central-1.amazonaws.com/", "eu-central-1"},
      {AWS_CLOUDTRAIL, "cn-northwest-1", false, "https://cloudtrail.cn-northwest-1.amazonaws.com.cn/",
       "cn-northwest-1"},
      {AWS_CLOUDTRAIL, "us-gov-east-1", true, "https://cloudtrail.us-gov-east-1.amazonaws.com/",
       "us-gov-east-1"},
  };
  char *plain[] = {NULL}, *fips[] = {"AWS_USE_FIPS_ENDPOINT=true", NULL};

  for (size_t i = 0; i < COUNT(cases); i++) {
    struct aws_settings *settings = settings_of(cases[i].fips ? fips : plain);
    struct endpoint endpoint;

    ck_assert_int_eq(endpoint_find(settings, cases[i].service, cases[i].region, "/", &endpoint), 0);
    ck_assert_str_eq(endpoint.url, cases[i].url);
    ck_assert_str_eq(endpoint.signing_region, cases[i].signing_region);
    aws_settings_free(settings);
  }
}
END_TEST

/* Through a proxy that answers for all hosts, with certificates for their names. */
START_TEST(the_real_hosts_are_asked_by_their_names_with_tls) {
  static const struct {
    const char *region, *proxied;
  } cases[] = {{"us-east-1", "proxy/sts.us-east-1.amazonaws.com:443"},
               {"us-gov-west-1", "proxy/sts.us-gov-west-1.amazonaws.com:443"},
               {"cn-north-1", "proxy/sts.cn-north-1.amazonaws.com.cn:443"}};
  struct aws_request request = client_request(&client);
  struct call call;
  char proxy[64];

  snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%d", fake.port);
  setenv("https_proxy", proxy, 1);
  client_set(&client, "AWS_CA_BUNDLE=%s", fake.ca);
  client_start(&client);
  request.region = cases[_i].region;
  client_call(&client, &request, &call);
  ck_assert_msg(call.ok, "%s %s", call.error_name, call.error_message);
  ck_assert_int_eq(fake_aws_count(&fake, cases[_i].proxied), 1);
  call_clear(&call);
  no_signature_failed();
}
END_TEST

START_TEST(a_global_service_is_signed_for_the_partitions_main_region) {
  static const struct {
    const char *region, *count;
  } cases[] = {{"eu-west-1", "operations/organizations.ListAccounts/regions/us-east-1"},
               {"cn-north-1", "operations/organizations.ListAccounts/regions/cn-northwest-1"},
               {"us-gov-east-1", "operations/organizations.ListAccounts/regions/us-gov-west-1"}};
  struct aws_request request = request_of(&operations[0]);
  struct call call;

  start();
  request.region = cases[_i].region;
  client_call(&client, &request, &call);
  ck_assert_msg(call.ok, "%s", call.error_message);
  ck_assert_str_eq(call.region, cases[_i].region);
  ck_assert_int_eq(fake_aws_count(&fake, cases[_i].count), 1);
  call_clear(&call);
  no_signature_failed();
}
END_TEST

/* Weakest first; each of them takes over from those before it. */
START_TEST(endpoints_of_ones_own_go_by_their_rank) {
  const char *config = client_file(&client, "config",
                                   "[default]\nendpoint_url = http://profile\nservices = own\n"
                                   "[profile bare]\nendpoint_url = http://bare/\n"
                                   "[services own]\nsts =\n  endpoint_url = http://section:1/\n");
  char file[300];
  char *environment[6] = {file};
  const char *wanted[] = {"http://bare", "http://section:1", "http://global", "http://special"};
  struct aws_settings *settings;

  snprintf(file, sizeof(file), "AWS_CONFIG_FILE=%s", config);
  environment[1] = _i == 0 ? "AWS_PROFILE=bare" : "X=y";
  if (_i >= 2) environment[2] = "AWS_ENDPOINT_URL=http://global";
  if (_i >= 3) environment[3] = "AWS_ENDPOINT_URL_STS=http://special";
  settings = settings_of(environment);
  ck_assert_str_eq(settings->endpoints[AWS_STS], wanted[_i]);
  ck_assert_str_eq(settings->endpoints[AWS_LOGS], _i == 0   ? "http://bare"
                                                  : _i == 1 ? "http://profile"
                                                            : "http://global");
  aws_settings_free(settings);
  environment[_i + 1 > 4 ? 4 : _i + 1] = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true";
  if (_i == 0) return;
  settings = settings_of(environment);
  ck_assert_ptr_null(settings->endpoints[AWS_STS]);
  aws_settings_free(settings);
}
END_TEST

START_TEST(an_endpoint_for_one_service_is_for_that_one_only) {
  client_set(&client, "AWS_ENDPOINT_URL=http://127.0.0.1:%d", fake.other_port);
  client_set(&client, "AWS_ENDPOINT_URL_STS=http://127.0.0.1:%d", fake.port);
  client_start(&client);
  for (size_t i = 0; i < COUNT(operations); i++) {
    const struct aws_request request = request_of(&operations[i]);
    struct call call;
    char path[128];

    client_call(&client, &request, &call);
    ck_assert_msg(call.ok, "%s", call.error_message);
    call_clear(&call);
    snprintf(path, sizeof(path), "operations/%s/ports/%d", operations[i].name,
             operations[i].service == AWS_STS ? fake.port : fake.other_port);
    ck_assert_int_eq(fake_aws_count(&fake, path), 1);
  }
  no_signature_failed();
}
END_TEST

START_TEST(settings_that_are_wrong_say_what_would_be_right) {
  static const struct {
    const char *variable, *error;
  } cases[] = {
      {"AWS_REGION=eu central 1", "AWS_REGION: a region like eu-central-1, not 'eu central 1'"},
      {"AWS_ENDPOINT_URL=localhost:4566",
       "AWS_ENDPOINT_URL: a URL like https://host:port, not 'localhost:4566'"},
      {"AWS_ENDPOINT_URL_LOGS=x", NULL},
      {"AWS_ENDPOINT_URL_CLOUDWATCH_LOGS=http://user:pw@host",
       "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS: a URL like https://host:port, not 'http://user:pw@host'"},
      {"AWS_USE_FIPS_ENDPOINT=yes", "AWS_USE_FIPS_ENDPOINT: true or false, not 'yes'"},
      {"AWS_MAX_ATTEMPTS=0", "AWS_MAX_ATTEMPTS: a number from 1 to 20, not '0'"},
      {"AWS_MAX_ATTEMPTS=three", "AWS_MAX_ATTEMPTS: a number from 1 to 20, not 'three'"},
      {"AWS_CA_BUNDLE=/nowhere.pem", "AWS_CA_BUNDLE: '/nowhere.pem' cannot be read: No such file or "
                                     "directory; it must be a file of certificates (PEM)"},
      {"AWS_METADATA_SERVICE_TIMEOUT=1.5", "AWS_METADATA_SERVICE_TIMEOUT: a number from 1 to 60, not '1.5'"},
      {"AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE=IPv5",
       "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE: IPv4 or IPv6, not 'IPv5'"},
  };
  char error[512];

  client_set(&client, "%s", cases[_i].variable);
  if (cases[_i].error == NULL) {
    client_start(&client); /* not a variable of ours */
    return;
  }
  client_start_fails(&client, error, sizeof(error));
  ck_assert_str_eq(error, cases[_i].error);
}
END_TEST

START_TEST(a_region_or_account_that_could_forge_a_host_is_refused) {
  static const char *const regions[] = {"evil.example/x", "us-east-1.evil", "US-EAST-1", "-x", "a\r\nb"};
  static const char *const accounts[] = {"1", "1111222233334", "11112222333x", "arn:aws:iam::"};
  struct aws_request request = client_request(&client);
  struct call call;

  start();
  for (size_t i = 0; i < COUNT(regions) + COUNT(accounts); i++) {
    request.region = i < COUNT(regions) ? regions[i] : NULL;
    request.account = i < COUNT(regions) ? NULL : accounts[i - COUNT(regions)];
    client_call(&client, &request, &call);
    ck_assert_str_eq(call.error_name, "AnswerError");
    call_clear(&call);
  }
  ck_assert_int_eq(fake_aws_count(&fake, "total/requests"), 0);
}
END_TEST

/* ---- errors ---- */

START_TEST(an_error_has_its_name_message_status_and_request_id_in_every_dialect) {
  const struct aws_request request = request_of(&operations[_i]);
  struct call call;
  struct json_object *log, *id;
  char faults[256];

  snprintf(faults, sizeof(faults),
           "[{\"match\": {\"operation\": \"%s\"}, \"do\": {\"kind\": \"error\", \"code\": "
           "\"AccessDeniedException\", "
           "\"message\": \"no \\u00e9 <b> & more\", \"status\": 403}}]",
           strchr(operations[_i].name, '.') + 1);
  fake_aws_tell(&fake, "POST", "faults", faults);
  start();
  client_call(&client, &request, &call);
  ck_assert(!call.ok);
  ck_assert_str_eq(call.error_name, "AccessDeniedException");
  ck_assert_str_eq(call.error_message, "no \xc3\xa9 <b> & more");
  ck_assert_int_eq(call.status, 403);
  ck_assert(!call.retryable);
  log = fake_aws_control(&fake, "GET", "log", NULL);
  ck_assert_uint_eq(json_object_array_length(log), 1);
  ck_assert(json_object_object_get_ex(json_object_array_get_idx(log, 0), "request_id", &id));
  ck_assert_str_eq(call.request_id, json_object_get_string(id));
  json_object_put(log);
  call_clear(&call);
}
END_TEST

START_TEST(names_lose_their_namespaces_and_urls) {
  static const struct {
    const char *header, *body, *name, *message;
    enum aws_error_format format;
  } cases[] = {
      {"", "{\"__type\":\"com.amazon.coral.service#AccessDeniedException\",\"Message\":\"m\"}",
       "AccessDeniedException", "m", AWS_ERRORS_JSON},
      {"", "{\"__type\":\"a.b#X:http://internal/\",\"errorMessage\":\"m\"}", "X", "m", AWS_ERRORS_JSON},
      {"TooManyRequestsException:http://internal.amazon.com/", "{\"message\":\"m\"}",
       "TooManyRequestsException", "m", AWS_ERRORS_REST_JSON},
      {"ns#Y:", "{\"code\":\"Z\"}", "Y", "HTTP status 400 without a message", AWS_ERRORS_REST_JSON},
      {"", "{\"code\":\"Z\"}", "Z", "HTTP status 400 without a message", AWS_ERRORS_REST_JSON},
      {"", "<html>no</html>", "AnswerError", "HTTP status 400 without a message", AWS_ERRORS_JSON},
      {"", "", "AnswerError", "HTTP status 400 without a message", AWS_ERRORS_XML},
      {"", "{\"__type\": 5, \"message\": {}}", "AnswerError", "HTTP status 400 without a message",
       AWS_ERRORS_JSON},
      {"",
       "<Response><Errors><Error><Code>A</Code><Message>m</Message></Error></Errors><RequestId>r</"
       "RequestId></Response>",
       "A", "m", AWS_ERRORS_XML},
  };

  for (size_t i = 0; i < COUNT(cases); i++) {
    const struct http_answer answer = {.end = HTTP_ANSWERED,
                                       .status = 400,
                                       .body = cases[i].body,
                                       .body_len = strlen(cases[i].body),
                                       .request_id = "",
                                       .error_type = cases[i].header,
                                       .retry_after = "",
                                       .amz_retry_after = "",
                                       .date = "",
                                       .error = ""};
    struct aws_error error;

    aws_error_read(&answer, cases[i].format, &error);
    ck_assert_str_eq(error.name, cases[i].name);
    ck_assert_str_eq(error.message, cases[i].message);
    ck_assert(aws_error_is_retryable(&error) == (strcmp(error.name, "TooManyRequestsException") == 0));
  }
}
END_TEST

START_TEST(a_clock_that_is_off_is_named_in_the_error) {
  const char *body = "{\"__type\":\"InvalidSignatureException\",\"message\":\"Signature expired\"}";
  struct http_answer answer = {.end = HTTP_ANSWERED,
                               .status = 403,
                               .body = body,
                               .body_len = strlen(body),
                               .request_id = "",
                               .error_type = "",
                               .retry_after = "",
                               .amz_retry_after = "",
                               .error = ""};
  struct aws_error error;
  char date[64];
  const time_t then = time(NULL) + 3600;
  struct tm tm;

  strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&then, &tm));
  answer.date = date;
  aws_error_read(&answer, AWS_ERRORS_JSON, &error);
  ck_assert(error.kind == AWS_ERROR_CLOCK);
  ck_assert_ptr_nonnull(
      strstr(error.message, "Signature expired (this machine's clock is 3600 s behind AWS'; set it)"));
  strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&(time_t){time(NULL)}, &tm));
  aws_error_read(&answer, AWS_ERRORS_JSON, &error);
  ck_assert_str_eq(error.message, "Signature expired");
}
END_TEST

/* InvalidSignatureException shows what should have been signed, with every header. */
START_TEST(what_aws_repeats_of_a_request_loses_its_token) {
  struct call call;

  fake_aws_tell(&fake, "POST", "keys",
                "{\"ASIATEMPORARY0001\": {\"secret\": \"a-secret-of-mine\", \"token\": \"" TOKEN "\"}}");
  fake_aws_tell(
      &fake, "POST", "faults",
      "[{\"match\": {}, \"do\": {\"kind\": \"error\", \"code\": \"InvalidSignatureException\", \"message\": "
      "\"should have been 'x-amz-security-token:" TOKEN "' and a-secret-of-mine, " TOKEN "\"}}]");
  client_clear_environment(&client);
  client_set(&client, "AWS_ACCESS_KEY_ID=ASIATEMPORARY0001");
  client_set(&client, "AWS_SECRET_ACCESS_KEY=a-secret-of-mine");
  client_set(&client, "AWS_SESSION_TOKEN=" TOKEN);
  start();
  ask(&call);
  ck_assert_str_eq(call.error_message, "should have been 'x-amz-security-token:***' and ***, ***");
  call_clear(&call);
}
END_TEST

START_TEST(a_token_that_is_cut_in_a_message_is_removed_too) {
  struct aws_error error = {0};

  snprintf(error.message, sizeof(error.message), "token %.20s", TOKEN);
  aws_error_redact(&error, TOKEN);
  ck_assert_str_eq(error.message, "token ***");
}
END_TEST

START_TEST(a_long_message_is_cut_at_a_character) {
  char text[8];

  aws_text_copy(text, sizeof(text), "abcdef\xe4\xb8\x96");
  ck_assert_str_eq(text, "abcdef");
  aws_text_copy(text, sizeof(text), "abcd\xe4\xb8\x96");
  ck_assert_str_eq(text, "abcd\xe4\xb8\x96");
}
END_TEST

/* ---- again and again ---- */

START_TEST(throttling_is_tried_three_times) {
  break_identity("throttle", "");
  start();
  fails_with("Throttling", true);
  ck_assert_int_eq(fake_aws_count(&fake, IDENTITY "requests"), 3);
}
END_TEST

START_TEST(what_fails_once_succeeds_the_second_time) {
  static const char *const kinds[] = {"throttle",    "error",        "reset",
                                      "close_early", "garbage_http", "wrong_content_length"};

  break_identity(kinds[_i], ", \"nth\": 1");
  start();
  succeeds();
  ck_assert_int_eq(fake_aws_count(&fake, IDENTITY "requests"), 2);
  no_signature_failed();
}
END_TEST

START_TEST(what_fails_always_is_an_error_that_may_be_retried) {
  static const struct {
    const char *kind, *name;
  } cases[] = {{"error", "InternalFailure"},
               {"reset", "NetworkError"},
               {"close_early", "NetworkError"},
               {"garbage_http", "AnswerError"},
               {"wrong_content_length", "NetworkError"}};

  break_identity(cases[_i].kind, "");
  client_set(&client, "AWS_MAX_ATTEMPTS=2");
  start();
  fails_with(cases[_i].name, true);
  ck_assert_int_eq(fake_aws_count(&fake, IDENTITY "requests"), 2);
}
END_TEST

START_TEST(the_number_of_attempts_is_configurable) {
  break_identity("throttle", "");
  client_set(&client, "AWS_MAX_ATTEMPTS=1");
  start();
  fails_with("Throttling", true);
  ck_assert_int_eq(fake_aws_count(&fake, IDENTITY "requests"), 1);
}
END_TEST

START_TEST(what_is_final_is_not_tried_again) {
  fake_aws_tell(
      &fake, "POST", "faults",
      "[{\"match\": {}, \"do\": {\"kind\": \"error\", \"code\": \"ValidationError\", \"status\": 400}}]");
  start();
  fails_with("ValidationError", false);
  ck_assert_int_eq(fake_aws_count(&fake, IDENTITY "requests"), 1);
}
END_TEST

START_TEST(pauses_double_up_to_twenty_seconds_and_are_drawn_from_zero) {
  static const uint32_t most[] = {1000, 2000, 4000, 8000, 16000, 20000, 20000};

  for (uint32_t i = 0; i < COUNT(most); i++) {
    ck_assert_uint_eq(exchange_pause_ms(i + 2, UINT32_MAX), most[i]);
    ck_assert_uint_eq(exchange_pause_ms(i + 2, UINT32_MAX / 2), most[i] / 2 - 1);
    ck_assert_uint_eq(exchange_pause_ms(i + 2, 0), 0);
  }
}
END_TEST

static double time_of(struct json_object *log, size_t index) {
  struct json_object *t;

  ck_assert(json_object_object_get_ex(json_object_array_get_idx(log, index), "t", &t));
  return json_object_get_double(t);
}

START_TEST(what_the_service_asks_for_makes_the_pause_longer) {
  static const char *const headers[] = {"\"header\": \"Retry-After\", \"seconds\": 2",
                                        "\"header\": \"x-amz-retry-after\", \"seconds\": 2000"};
  struct json_object *log;
  char faults[256];

  snprintf(faults, sizeof(faults), "[{\"match\": {\"nth\": 1}, \"do\": {\"kind\": \"retry_after\", %s}}]",
           headers[_i]);
  fake_aws_tell(&fake, "POST", "faults", faults);
  start();
  succeeds();
  log = fake_aws_control(&fake, "GET", "log", NULL);
  ck_assert_uint_eq(json_object_array_length(log), 2);
  ck_assert(time_of(log, 1) - time_of(log, 0) >= 1.99);
  json_object_put(log);
}
END_TEST

START_TEST(a_pause_that_would_pass_the_deadline_is_not_begun) {
  fake_aws_tell(&fake, "POST", "faults",
                "[{\"match\": {}, \"do\": {\"kind\": \"retry_after\", \"seconds\": 100}}]");
  start();
  fails_with("ServiceUnavailableException", true);
  ck_assert_int_eq(fake_aws_count(&fake, IDENTITY "requests"), 1);
}
END_TEST

/* 60 calls would be tried 180 times. The quota of 500 pays for 100 retries. */
START_TEST(the_retry_quota_ends_retries_for_all) {
  enum {
    CALLS = 60
  };
  static struct call calls[CALLS];

  break_identity("throttle", "");
  start();
  for (size_t i = 0; i < CALLS; i++) {
    const struct aws_request request = client_request(&client);

    client_send(&client, &request, &calls[i]);
  }
  client_run(&client);
  for (size_t i = 0; i < CALLS; i++) {
    ck_assert_str_eq(calls[i].error_name, "Throttling");
    call_clear(&calls[i]);
  }
  ck_assert_int_eq(fake_aws_count(&fake, IDENTITY "requests"), CALLS + 100);
  fails_with("Throttling", true); /* at once, the quota is gone */
  ck_assert_int_eq(fake_aws_count(&fake, IDENTITY "requests"), CALLS + 101);
  /* Five successes pay for one retry. */
  fake_aws_tell(&fake, "DELETE", "faults", NULL);
  for (size_t i = 0; i < 5; i++)
    succeeds();
  break_identity("throttle", "");
  fails_with("Throttling", true);
  ck_assert_int_eq(fake_aws_count(&fake, IDENTITY "requests"), CALLS + 101 + 5 + 2);
}
END_TEST

/* ---- deadlines and cancelling ---- */

START_TEST(a_call_without_an_answer_ends_at_its_deadline_and_hangs_up) {
  struct aws_request request = client_request(&client);
  struct call call;

  break_identity("hang", "");
  start();
  request.deadline_ns = client_now_ns() + 300 * 1000000;
  client_call(&client, &request, &call);
  ck_assert_int_ge(client_now_ns() + 20 * 1000000, request.deadline_ns); /* the loop's clock is coarse */
  ck_assert_str_eq(call.error_name, "TimeoutError");
  ck_assert(call.retryable);
  call_clear(&call);
  client_run_until(&client, IDENTITY "aborted", 1);
}
END_TEST

START_TEST(a_deadline_that_has_passed_sends_nothing) {
  struct aws_request request = client_request(&client);
  struct call call;

  start();
  request.deadline_ns = client_now_ns() - 1;
  client_call(&client, &request, &call);
  ck_assert_str_eq(call.error_name, "TimeoutError");
  call_clear(&call);
}
END_TEST

START_TEST(a_call_that_waits_for_credentials_ends_at_its_deadline) {
  struct aws_request request = client_request(&client);
  struct call call;

  fake_aws_tell(&fake, "POST", "faults", "[{\"match\": {\"operation\": \"AssumeRole\"}, \"do\": \"hang\"}]");
  client.options.assume_role = "isoq-reader";
  start();
  request.account = OTHER_ACCOUNT;
  request.deadline_ns = client_now_ns() + 500 * 1000000;
  client_call(&client, &request, &call);
  ck_assert_str_eq(call.error_name, "TimeoutError");
  ck_assert_ptr_nonnull(strstr(call.error_message, "it waited for the keys of the role"));
  call_clear(&call);
  /* The refresh goes on for others. */
  ck_assert_int_eq(fake_aws_count(&fake, "operations/sts.AssumeRole/in_flight"), 1);
}
END_TEST

START_TEST(cancelling_hangs_up_and_gives_no_answer) {
  const struct aws_request request = client_request(&client);
  struct call call;

  break_identity("hang", "");
  start();
  client_send(&client, &request, &call);
  client_run_until(&client, IDENTITY "requests", 1);
  aws_cancel(call.handle);
  client.open--;
  client_run_until(&client, IDENTITY "aborted", 1);
  ck_assert(!call.done);
}
END_TEST

static void turn_once(void) {
  const struct timeval in = {.tv_usec = 5000};

  event_base_loopexit(client.base, &in);
  event_base_loop(client.base, EVLOOP_ONCE);
}

/* Calls of every kind, cancelled after n turns of the loop, for every n that there is; the client is freed
 * in the middle of whatever else it does. */
START_TEST(cancelling_at_any_moment_leaves_nothing_behind) {
  enum {
    CALLS = 5,
    TURNS = 60
  };

  fake_aws_tell(&fake, "POST", "config", "{\"latency_ms\": 2}");
  for (unsigned turns = 0; turns < TURNS; turns++) {
    static struct call calls[CALLS];
    struct aws_request requests[CALLS];

    if (turns > 0) {
      client_init(&client, &fake);
      if (turns % 2 == 0) client_use_keys(&client);
    } else {
      client_clear_environment(&client);
    }
    client_use_fake(&client);
    client_set(&client, "AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:%d", fake.port);
    client.options.assume_role = "isoq-reader";
    client.options.cloudtrail_per_s = 100;
    client.options.max_requests = 2;
    client_start(&client);
    for (size_t i = 0; i < CALLS; i++) {
      requests[i] = i == 4 ? client_trail_request(&client) : client_request(&client);
      if (i == 1 || i == 2) requests[i].account = i == 1 ? OTHER_ACCOUNT : OWN_ACCOUNT;
      if (i == 3) requests[i].deadline_ns = client_now_ns() + (int64_t)turns * 1000000;
      client_send(&client, &requests[i], &calls[i]);
    }
    for (unsigned i = 0; i < turns; i++)
      turn_once();
    for (size_t i = 0; i < CALLS; i++) {
      if (!calls[i].done) aws_cancel(calls[i].handle);
      call_clear(&calls[i]);
    }
    if (turns < TURNS - 1) client_end(&client);
  }
  /* Every phase was both left in the middle and passed. */
  ck_assert_int_gt(fake_aws_count(&fake, "operations/imds.GetCredentials/ok"), 0);
  ck_assert_int_gt(fake_aws_count(&fake, "operations/sts.AssumeRole/ok"), 0);
  ck_assert_int_gt(fake_aws_count(&fake, TRAIL "ok"), 0);
  ck_assert_int_gt(fake_aws_count(&fake, "total/aborted"), 0);
  no_signature_failed();
}
END_TEST

static struct call chained[3];

/* Cancels another call from within an answer. */
static void on_first(void *ctx, const struct aws_answer *answer) {
  struct call *other = ctx;

  ck_assert(answer->ok);
  aws_cancel(other->handle);
  client.open -= 2; /* itself, and the other */
}

START_TEST(a_call_may_be_cancelled_from_within_anothers_answer) {
  struct aws_request request = client_request(&client);
  struct aws_call *handle;

  client.options.max_requests = 1;
  client.options.assume_role = "isoq-reader";
  start();
  ck_assert_int_eq(aws_send(client.aws, &request, on_first, &chained[1], &handle), 0);
  client.open++;
  client_send(&client, &request, &chained[1]);
  client_send(&client, &request, &chained[2]);
  client_run(&client);
  ck_assert(!chained[1].done);
  ck_assert(chained[2].ok);
  call_clear(&chained[2]);
}
END_TEST

/* ---- names that are looked up for ever ---- */

static pthread_mutex_t stuck_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t stuck_changed = PTHREAD_COND_INITIALIZER;
static bool stuck_entered, stuck_released, stuck_left;

/* libcurl's threads come here: this name stays in the look-up until the test lets it go. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **out) {
  static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

  if (node != NULL && strcmp(node, "stuck.test") == 0) {
    pthread_mutex_lock(&stuck_lock);
    stuck_entered = true;
    while (!stuck_released)
      pthread_cond_wait(&stuck_changed, &stuck_lock);
    stuck_left = true;
    pthread_cond_broadcast(&stuck_changed);
    pthread_mutex_unlock(&stuck_lock);
    return EAI_NONAME;
  }
  if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
  return real(node, service, hints, out);
}

static bool is_stuck(void) {
  bool stuck;

  pthread_mutex_lock(&stuck_lock);
  stuck = stuck_entered;
  pthread_mutex_unlock(&stuck_lock);
  return stuck;
}

/* If cancelling waited for the thread, it would wait for ever: only afterwards is it let go. */
START_TEST(a_name_that_is_looked_up_for_ever_blocks_nobody) {
  struct aws_request request = client_request(&client);
  struct call call;

  client_set(&client, "AWS_ENDPOINT_URL=http://stuck.test:1");
  client_start(&client);
  if (_i == 1) request.deadline_ns = client_now_ns() + 200 * 1000000;
  client_send(&client, &request, &call);
  while (!is_stuck())
    turn_once();
  if (_i == 0) {
    aws_cancel(call.handle);
    client.open--;
  }
  client_run(&client);
  ck_assert(_i == 0 ? !call.done : strcmp(call.error_name, "TimeoutError") == 0);
  call_clear(&call);
  client_end(&client);
  client.aws = NULL;
  pthread_mutex_lock(&stuck_lock);
  stuck_released = true;
  pthread_cond_broadcast(&stuck_changed);
  while (!stuck_left)
    pthread_cond_wait(&stuck_changed, &stuck_lock);
  pthread_mutex_unlock(&stuck_lock);
}
END_TEST

/* ---- limits ---- */

START_TEST(an_answer_over_the_limit_is_an_error_and_not_cut) {
  struct call call;

  fake_aws_tell(&fake, "POST", "faults",
                "[{\"match\": {}, \"do\": {\"kind\": \"huge\", \"bytes\": 3000000}}]");
  start();
  ask(&call);
  ck_assert_str_eq(call.error_name, "AnswerTooLargeError");
  ck_assert_str_eq(call.body, "");
  ck_assert(!call.retryable);
  ck_assert_uint_lt(call.bytes_read, 2u << 20);
  call_clear(&call);
  ck_assert_int_eq(fake_aws_count(&fake, IDENTITY "requests"), 1);
}
END_TEST

START_TEST(an_answer_within_the_limit_is_whole) {
  struct aws_request request = client_request(&client);
  struct call call;

  fake_aws_tell(&fake, "POST", "faults",
                "[{\"match\": {}, \"do\": {\"kind\": \"huge\", \"bytes\": 3000000}}]");
  start();
  request.max_answer_bytes = 8u << 20;
  client_call(&client, &request, &call);
  ck_assert(call.ok);
  ck_assert_uint_eq(strlen(call.body), 3000000 + strlen("<R><X></X></R>"));
  call_clear(&call);
}
END_TEST

START_TEST(no_more_requests_than_allowed_and_the_first_come_first) {
  enum {
    CALLS = 12
  };
  static struct call calls[CALLS];

  fake_aws_tell(&fake, "POST", "config", "{\"latency_ms\": 20}");
  client.options.max_requests = _i == 0 ? 1 : 3;
  start();
  for (size_t i = 0; i < CALLS; i++) {
    const struct aws_request request = client_request(&client);

    client_send(&client, &request, &calls[i]);
  }
  client_run(&client);
  for (size_t i = 0; i < CALLS; i++) {
    ck_assert(calls[i].ok);
    if (_i == 0) ck_assert_uint_eq(calls[i].order, i + 1);
    call_clear(&calls[i]);
  }
  ck_assert_int_eq(fake_aws_count(&fake, IDENTITY "peak_in_flight"), client.options.max_requests);
}
END_TEST

/* Those that wait for a turn of CloudTrail hold no place that others could use. */
START_TEST(cloudtrail_gets_two_requests_a_second_and_others_do_not_wait_for_it) {
  enum {
    CALLS = 7
  };
  static struct call calls[CALLS];
  struct call other;
  struct json_object *log;
  const struct aws_request request = client_request(&client);

  client.options.cloudtrail_per_s = 2;
  client.options.max_requests = 2;
  fake_aws_tell(&fake, "POST", "faults",
                "[{\"match\": {\"operation\": \"LookupEvents\", \"nth\": 2}, \"do\": \"throttle\"}]");
  start();
  for (size_t i = 0; i < CALLS; i++) {
    const struct aws_request trail = client_trail_request(&client);

    client_send(&client, &trail, &calls[i]);
  }
  client_send(&client, &request, &other);
  client_run(&client);
  ck_assert(other.ok);
  ck_assert_uint_le(other.order, 3);
  call_clear(&other);
  for (size_t i = 0; i < CALLS; i++) {
    ck_assert_msg(calls[i].ok, "%s", calls[i].error_message);
    if (i > 2) ck_assert_uint_gt(calls[i].order, calls[i - 1].order);
    call_clear(&calls[i]);
  }
  ck_assert_int_eq(fake_aws_count(&fake, TRAIL "requests"), CALLS + 1);
  /* Eight in pairs, a second between them; the first may have been late. */
  log = fake_aws_control(&fake, "GET", "log", NULL);
  ck_assert(time_of(log, CALLS + 1) - time_of(log, 0) > 2);
  json_object_put(log);
}
END_TEST

struct turn {
  struct rate_wait *wait;
  int64_t at_ns;
  unsigned *count, order;
};

static void on_turn(void *ctx) {
  struct turn *turn = ctx;

  turn->at_ns = client_now_ns();
  turn->order = ++*turn->count;
}

/* By the client's own clock, since arrivals are at the mercy of the machine. */
START_TEST(no_second_holds_more_turns_than_allowed_and_they_come_in_order) {
  enum {
    TURNS = 13,
    PER_S = 4,
    GONE = 6
  };
  static struct turn turns[TURNS], other;
  unsigned count = 0;
  struct rates *rates;

  start();
  ck_assert_int_eq(rates_new(client.base, PER_S, &rates), 0);
  for (unsigned i = 0; i < TURNS; i++) {
    turns[i].count = &count;
    ck_assert_int_eq(rate_wait(rates, "one", on_turn, &turns[i], &turns[i].wait), 0);
  }
  other.count = &count;
  ck_assert_int_eq(rate_wait(rates, "other", on_turn, &other, &other.wait), 0);
  rate_cancel(turns[GONE].wait);
  ck_assert_uint_eq(count, 0); /* never from within */
  while (count < TURNS)
    turn_once();
  ck_assert_uint_le(other.order, PER_S + 1);
  ck_assert_uint_eq(turns[GONE].order, 0);
  for (unsigned i = 0; i < TURNS; i++)
    for (unsigned j = i + PER_S + (i <= GONE && GONE <= i + PER_S); j < TURNS && i != GONE; j++) {
      if (j == GONE) continue;
      ck_assert_uint_lt(turns[i].order, turns[j].order);
      ck_assert_int_ge(turns[j].at_ns - turns[i].at_ns, 1000000000);
    }
  rates_free(rates);
}
END_TEST

START_TEST(each_region_and_account_has_its_own_cloudtrail_rate) {
  static struct call calls[6];

  client.options.cloudtrail_per_s = 1;
  client.options.assume_role = "isoq-reader";
  start();
  for (size_t i = 0; i < 6; i++) {
    struct aws_request trail = client_trail_request(&client);

    if (i >= 4) trail.region = "eu-west-1";
    if (i == 5) trail.account = OTHER_ACCOUNT;
    client_send(&client, &trail, &calls[i]);
  }
  client_run(&client);
  ck_assert_uint_lt(calls[4].order, calls[2].order);
  ck_assert_uint_lt(calls[5].order, calls[3].order);
  for (size_t i = 0; i < 6; i++) {
    ck_assert(calls[i].ok);
    call_clear(&calls[i]);
  }
}
END_TEST

/* ---- connections ---- */

START_TEST(connections_are_used_again) {
  start();
  for (unsigned i = 0; i < 20; i++)
    succeeds();
  ck_assert_int_eq(fake_aws_count(&fake, "connections/requests"), 20);
  ck_assert_int_eq(fake_aws_count(&fake, "connections/reused"), 19);
}
END_TEST

START_TEST(redirects_are_not_followed) {
  char faults[256];
  struct call call;

  snprintf(
      faults, sizeof(faults),
      "[{\"match\": {\"nth\": 1}, \"do\": {\"kind\": \"redirect\", \"location\": \"http://127.0.0.1:%d/\"}}]",
      fake.other_port);
  fake_aws_tell(&fake, "POST", "faults", faults);
  start();
  ask(&call);
  ck_assert(!call.ok);
  ck_assert_int_eq(call.status, 307);
  ck_assert_int_eq(fake_aws_count(&fake, "total/requests"), 1);
  call_clear(&call);
}
END_TEST

START_TEST(tls_is_verified_against_the_given_certificates) {
  client_set(&client, "AWS_CA_BUNDLE=%s", fake.ca);
  client_set(&client, "AWS_ENDPOINT_URL=https://127.0.0.1:%d", fake.tls_port);
  client.options.warm_up = _i == 1;
  client_start(&client);
  succeeds();
  ck_assert_int_eq(fake_aws_count(&fake, "connections/tls"), 1);
  no_signature_failed();
}
END_TEST

START_TEST(tls_that_cannot_be_trusted_is_refused_before_anything_is_sent) {
  struct call call;

  if (_i % 2 == 0) client_set(&client, "AWS_CA_BUNDLE=%s", fake.ca);
  client.options.warm_up = _i >= 2;
  client_set(&client, "AWS_ENDPOINT_URL=https://127.0.0.1:%d",
             _i % 2 == 0 ? fake.wrong_name_port : fake.tls_port);
  client_start(&client);
  ask(&call);
  ck_assert_str_eq(call.error_name, "NetworkError");
  ck_assert(!call.retryable);
  ck_assert_msg(strstr(call.error_message, "the connection is not secure") != NULL, "%s", call.error_message);
  call_clear(&call);
  ck_assert_int_eq(fake_aws_count(&fake, "total/requests"), 0);
}
END_TEST

/* The server answers when all are there: over one connection they must be side by side. */
START_TEST(calls_share_one_connection_where_there_is_http_2) {
  enum {
    CALLS = 10
  };
  static struct call calls[CALLS];
  char command[600];
  int port = 0, input[2], output[2];
  FILE *out;

  snprintf(command, sizeof(command), "exec node '%s/tests/aws/http2_server.mjs' '%s' %d",
           getenv("ISOQ_TEST_SOURCE_DIR"), fake.dir, CALLS);
  ck_assert(pipe(input) == 0 && pipe(output) == 0);
  const pid_t server = fork();
  if (server == 0) { /* it ends when its input does */
    dup2(input[0], 0);
    dup2(output[1], 1);
    close(input[1]);
    execlp("sh", "sh", "-c", command, NULL);
    _exit(127);
  }
  close(input[0]);
  close(output[1]);
  out = fdopen(output[0], "r");
  ck_assert_int_eq(fscanf(out, "%d", &port), 1);
  fclose(out);
  client_set(&client, "AWS_CA_BUNDLE=%s", fake.ca);
  client_set(&client, "AWS_ENDPOINT_URL=https://127.0.0.1:%d", port);
  client_start(&client);
  for (size_t i = 0; i < CALLS; i++) {
    const struct aws_request request = client_request(&client);

    client_send(&client, &request, &calls[i]);
  }
  client_run(&client);
  for (size_t i = 0; i < CALLS; i++) {
    ck_assert_msg(calls[i].ok, "%s %s", calls[i].error_name, calls[i].error_message);
    ck_assert_str_eq(calls[i].body, "<R><Connections>1</Connections></R>");
    call_clear(&calls[i]);
  }
  close(input[1]);
  ck_assert_int_eq(waitpid(server, NULL, 0), server);
}
END_TEST

START_TEST(an_endpoint_that_is_not_there_is_a_network_error) {
  client_set(&client, "AWS_ENDPOINT_URL=http://127.0.0.1:1");
  client_set(&client, "AWS_MAX_ATTEMPTS=1");
  client_start(&client);
  fails_with("NetworkError", true);
}
END_TEST

/* ---- http.c alone, with a server on the same loop ---- */

struct exchange_seen {
  bool done;
  enum http_end end;
  char error[256];
  size_t len;
};

static void on_http(void *ctx, const struct http_answer *answer) {
  struct exchange_seen *seen = ctx;

  *seen = (struct exchange_seen){.done = true, .end = answer->end, .len = answer->body_len};
  snprintf(seen->error, sizeof(seen->error), "%s", answer->error);
}

/* Without Content-Length, so that only counting can tell. */
static void serve_chunks(struct evhttp_request *request, void *ctx) {
  struct evbuffer *chunk = evbuffer_new();

  (void)ctx;
  evhttp_send_reply_start(request, 200, "OK");
  for (unsigned i = 0; i < 100; i++) {
    evbuffer_add_printf(chunk, "%01000u", i);
    evhttp_send_reply_chunk(request, chunk);
  }
  evhttp_send_reply_end(request);
  evbuffer_free(chunk);
}

static void serve_stalled(struct evhttp_request *request, void *ctx) {
  struct evbuffer *chunk = evbuffer_new();

  (void)ctx;
  evhttp_send_reply_start(request, 200, "OK");
  evbuffer_add_printf(chunk, "and then nothing");
  evhttp_send_reply_chunk(request, chunk);
  evbuffer_free(chunk);
}

static void serve_headers(struct evhttp_request *request, void *ctx) {
  static char value[60001];

  (void)ctx;
  memset(value, 'x', sizeof(value) - 1);
  for (unsigned i = 0; i < 10; i++)
    evhttp_add_header(evhttp_request_get_output_headers(request), "X-Long", value);
  evhttp_send_reply(request, 200, "OK", NULL);
}

static struct exchange_seen fetch(const char *path, uint64_t max_answer_bytes) {
  const struct http_options options = {.max_transfers = 2, .stalled_s = 1};
  struct evhttp *server = evhttp_new(client.base);
  struct evhttp_bound_socket *bound = evhttp_bind_socket_with_handle(server, "127.0.0.1", 0);
  struct exchange_seen seen = {0};
  struct http_transfer *transfer;
  struct sockaddr_in address;
  socklen_t len = sizeof(address);
  struct http *http;
  char error[256], url[128];
  const struct http_request request = {
      .method = "GET", .url = url, .max_answer_bytes = max_answer_bytes, .connect_timeout_ms = 1000};

  evhttp_set_cb(server, "/chunks", serve_chunks, NULL);
  evhttp_set_cb(server, "/stalled", serve_stalled, NULL);
  evhttp_set_cb(server, "/headers", serve_headers, NULL);
  ck_assert_int_eq(getsockname(evhttp_bound_socket_get_fd(bound), (struct sockaddr *)&address, &len), 0);
  snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", ntohs(address.sin_port), path);
  ck_assert_int_eq(http_new(client.base, &options, &http, error, sizeof(error)), 0);
  ck_assert_int_eq(http_send(http, &request, on_http, &seen, &transfer), 0);
  while (!seen.done)
    turn_once();
  http_free(http);
  evhttp_free(server);
  return seen;
}

START_TEST(an_answer_of_unknown_length_is_counted) {
  struct exchange_seen seen = fetch("/chunks", 100000);

  start();
  ck_assert_int_eq(seen.end, HTTP_ANSWERED);
  ck_assert_uint_eq(seen.len, 100000);
  seen = fetch("/chunks", 99999);
  ck_assert_int_eq(seen.end, HTTP_TOO_LARGE);
}
END_TEST

START_TEST(an_answer_that_stalls_is_given_up) {
  const struct exchange_seen seen = fetch("/stalled", 100000);

  start();
  ck_assert_int_eq(seen.end, HTTP_TIMED_OUT);
}
END_TEST

START_TEST(endless_headers_are_given_up) {
  const struct exchange_seen seen = fetch("/headers", 100000);

  start();
  ck_assert_int_eq(seen.end, HTTP_GARBLED);
}
END_TEST

static TCase *add_case(Suite *suite, const char *name) {
  TCase *tests = tcase_create(name);

  tcase_add_unchecked_fixture(tests, start_fake, end_fake);
  tcase_add_checked_fixture(tests, set_up, tear_down);
  tcase_set_timeout(tests, 100);
  suite_add_tcase(suite, tests);
  return tests;
}

static void add_requests(Suite *suite) {
  TCase *tests = add_case(suite, "requests");

  tcase_add_loop_test(tests, each_service_is_spoken_and_its_signature_accepted, 0, COUNT(operations));
  tcase_add_test(tests, a_body_of_any_bytes_is_signed_as_it_is_sent);
  tcase_add_loop_test(tests, the_region_is_the_requests_else_the_configured_one, 0, 5);
  tcase_add_test(tests, hosts_are_those_that_aws_sdks_ask);
  tcase_add_loop_test(tests, the_real_hosts_are_asked_by_their_names_with_tls, 0, 3);
  tcase_add_loop_test(tests, a_global_service_is_signed_for_the_partitions_main_region, 0, 3);
  tcase_add_loop_test(tests, endpoints_of_ones_own_go_by_their_rank, 0, 4);
  tcase_add_test(tests, an_endpoint_for_one_service_is_for_that_one_only);
  tcase_add_loop_test(tests, settings_that_are_wrong_say_what_would_be_right, 0, 10);
  tcase_add_test(tests, a_region_or_account_that_could_forge_a_host_is_refused);
  tests = add_case(suite, "errors");
  tcase_add_loop_test(tests, an_error_has_its_name_message_status_and_request_id_in_every_dialect, 0,
                      COUNT(operations));
  tcase_add_test(tests, names_lose_their_namespaces_and_urls);
  tcase_add_test(tests, a_clock_that_is_off_is_named_in_the_error);
  tcase_add_test(tests, what_aws_repeats_of_a_request_loses_its_token);
  tcase_add_test(tests, a_token_that_is_cut_in_a_message_is_removed_too);
  tcase_add_test(tests, a_long_message_is_cut_at_a_character);
}

static void add_retries(Suite *suite) {
  TCase *tests = add_case(suite, "retries");

  tcase_add_test(tests, throttling_is_tried_three_times);
  tcase_add_loop_test(tests, what_fails_once_succeeds_the_second_time, 0, 6);
  tcase_add_loop_test(tests, what_fails_always_is_an_error_that_may_be_retried, 0, 5);
  tcase_add_test(tests, the_number_of_attempts_is_configurable);
  tcase_add_test(tests, what_is_final_is_not_tried_again);
  tcase_add_test(tests, pauses_double_up_to_twenty_seconds_and_are_drawn_from_zero);
  tcase_add_loop_test(tests, what_the_service_asks_for_makes_the_pause_longer, 0, 2);
  tcase_add_test(tests, a_pause_that_would_pass_the_deadline_is_not_begun);
  tcase_add_test(tests, the_retry_quota_ends_retries_for_all);
  tests = add_case(suite, "deadlines and cancelling");
  tcase_add_test(tests, a_call_without_an_answer_ends_at_its_deadline_and_hangs_up);
  tcase_add_test(tests, a_deadline_that_has_passed_sends_nothing);
  tcase_add_test(tests, a_call_that_waits_for_credentials_ends_at_its_deadline);
  tcase_add_test(tests, cancelling_hangs_up_and_gives_no_answer);
  tcase_add_test(tests, cancelling_at_any_moment_leaves_nothing_behind);
  tcase_add_test(tests, a_call_may_be_cancelled_from_within_anothers_answer);
  tcase_add_loop_test(tests, a_name_that_is_looked_up_for_ever_blocks_nobody, 0, 2);
}

static void add_limits(Suite *suite) {
  TCase *tests = add_case(suite, "limits");

  tcase_add_test(tests, an_answer_over_the_limit_is_an_error_and_not_cut);
  tcase_add_test(tests, an_answer_within_the_limit_is_whole);
  tcase_add_loop_test(tests, no_more_requests_than_allowed_and_the_first_come_first, 0, 2);
  tcase_add_test(tests, cloudtrail_gets_two_requests_a_second_and_others_do_not_wait_for_it);
  tcase_add_test(tests, no_second_holds_more_turns_than_allowed_and_they_come_in_order);
  tcase_add_test(tests, each_region_and_account_has_its_own_cloudtrail_rate);
  tests = add_case(suite, "connections");
  tcase_add_test(tests, connections_are_used_again);
  tcase_add_test(tests, redirects_are_not_followed);
  tcase_add_loop_test(tests, tls_is_verified_against_the_given_certificates, 0, 2);
  tcase_add_loop_test(tests, tls_that_cannot_be_trusted_is_refused_before_anything_is_sent, 0, 4);
  tcase_add_test(tests, calls_share_one_connection_where_there_is_http_2);
  tcase_add_test(tests, an_endpoint_that_is_not_there_is_a_network_error);
  tcase_add_test(tests, an_answer_of_unknown_length_is_counted);
  tcase_add_test(tests, an_answer_that_stalls_is_given_up);
  tcase_add_test(tests, endless_headers_are_given_up);
}

int main(void) {
  Suite *suite = suite_create("aws");
  SRunner *runner = srunner_create(suite);
  int failed;

  add_requests(suite);
  add_retries(suite);
  add_limits(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? 0 : 1;
}
