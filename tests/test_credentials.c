/*
 * Every source of credentials, against local endpoints that check signatures and speak IMDSv2, the container
 * protocol and STS (tests/aws). Which keys a request was signed with, and how often each source was asked,
 * the fake AWS counts.
 */
#include <arpa/inet.h>
#include <check.h>
#include <event2/event.h>
#include <json-c/json.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bindings/aws_keys.h"
#include "bindings/aws_xml.h"
#include "bindings/process.h"
#include "bindings/profile.h"
#include "tests/support/aws_client.h"

#define ROLE_ARN "arn:aws:iam::111122223333:role/isoq-reader"
#define OTHER_ROLE_ARN "arn:aws:iam::444400000001:role/isoq-reader"
#define OWN_ACCOUNT "111122223333"
#define TOKEN "FwoGZXIvYXdzEXAMPLE+token/with==signs"

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
  client_use_fake(&client);
}

static void no_signature_failed(void) {
  ck_assert_int_eq(fake_aws_count(&fake, "signature_failures"), 0);
  ck_assert_int_eq(fake_aws_count(&fake, "protocol_errors"), 0);
}

/* No message may hold any secret that the fake knows. */
static void tells_no_secret(const char *text) {
  struct json_object *keys = fake_aws_control(&fake, "GET", "keys", NULL);
  const char *all = json_object_to_json_string(keys);

  ck_assert_ptr_null(strstr(text, FAKE_AWS_SECRET));
  ck_assert_ptr_null(strstr(text, "FwoG"));
  ck_assert_ptr_nonnull(strstr(all, "OWNSECRET"));
  json_object_put(keys);
}

static void tear_down(void) {
  if (client.aws != NULL) client_end(&client);
}

/* GetCallerIdentity answers with the keys' account. */
static void identity_is(const char *account) {
  const struct aws_request request = client_request(&client);
  struct call call;

  client_call(&client, &request, &call);
  ck_assert_msg(call.ok, "%s: %s", call.error_name, call.error_message);
  ck_assert_ptr_nonnull(strstr(call.body, account));
  call_clear(&call);
}

static void fails_with(const char *part) {
  const struct aws_request request = client_request(&client);
  struct call call;

  client_call(&client, &request, &call);
  ck_assert(!call.ok);
  ck_assert_str_eq(call.error_name, "CredentialsError");
  ck_assert_msg(strstr(call.error_message, part) != NULL, "'%s' is not in: %s", part, call.error_message);
  tells_no_secret(call.error_message);
  call_clear(&call);
}

static void use_files(const char *config, const char *credentials) {
  client_set(&client, "AWS_CONFIG_FILE=%s", client_file(&client, "config", config));
  client_set(&client, "AWS_SHARED_CREDENTIALS_FILE=%s", client_file(&client, "credentials", credentials));
}

static void use_metadata(void) {
  client_set(&client, "AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:%d/", fake.port);
}

/* ---- environment ---- */

START_TEST(keys_in_the_environment_sign) {
  client_use_keys(&client);
  client_start(&client);
  identity_is(OWN_ACCOUNT);
  ck_assert_int_eq(fake_aws_count(&fake, "operations/sts.GetCallerIdentity/keys/" FAKE_AWS_KEY), 1);
  no_signature_failed();
}
END_TEST

START_TEST(a_session_token_is_sent_and_signed) {
  fake_aws_tell(&fake, "POST", "keys",
                "{\"ASIATEMPORARY0001\": {\"secret\": \"a:b/c+d=e\", \"token\": \"" TOKEN "\"}}");
  client_set(&client, "AWS_ACCESS_KEY_ID=ASIATEMPORARY0001");
  client_set(&client, "AWS_SECRET_ACCESS_KEY=a:b/c+d=e");
  client_set(&client, "AWS_SESSION_TOKEN=" TOKEN);
  client_start(&client);
  identity_is(OWN_ACCOUNT);
  no_signature_failed();
}
END_TEST

START_TEST(half_a_pair_in_the_environment_is_an_error_at_start) {
  char error[512];

  client_set(&client, "AWS_ACCESS_KEY_ID=" FAKE_AWS_KEY);
  client_start_fails(&client, error, sizeof(error));
  ck_assert_str_eq(error,
                   "environment: AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not; it takes both");
}
END_TEST

START_TEST(keys_that_could_split_a_header_are_refused_and_not_repeated) {
  char error[512];

  client_set(&client, "AWS_ACCESS_KEY_ID=" FAKE_AWS_KEY);
  client_set(&client, "AWS_SECRET_ACCESS_KEY=hidden\r\nX-Evil: 1");
  client_start_fails(&client, error, sizeof(error));
  ck_assert_ptr_nonnull(strstr(error, "printable ASCII"));
  ck_assert_ptr_null(strstr(error, "hidden"));
}
END_TEST

START_TEST(the_environment_wins_over_the_files) {
  use_files("", "[default]\naws_access_key_id = AKIAOTHER00000001\naws_secret_access_key = wrong\n");
  client_use_keys(&client);
  client_start(&client);
  identity_is(OWN_ACCOUNT);
}
END_TEST

/* ---- files ---- */

START_TEST(the_default_profile_of_the_credentials_file_is_used) {
  use_files("# nothing\n",
            "[default]\naws_access_key_id = " FAKE_AWS_KEY "\naws_secret_access_key=" FAKE_AWS_SECRET "\n");
  client_start(&client);
  identity_is(OWN_ACCOUNT);
  no_signature_failed();
}
END_TEST

START_TEST(the_files_are_found_below_home) {
  char path[256];

  snprintf(path, sizeof(path), "%s/.aws", fake.dir);
  mkdir(path, 0700);
  client_file(&client, ".aws/credentials",
              "[default]\naws_access_key_id = " FAKE_AWS_KEY "\naws_secret_access_key=" FAKE_AWS_SECRET "\n");
  client_set(&client, "HOME=%s", fake.dir);
  client_start(&client);
  identity_is(OWN_ACCOUNT);
}
END_TEST

START_TEST(aws_profile_chooses_and_the_config_file_may_hold_keys) {
  use_files("[default]\naws_access_key_id = AKIAWRONG\naws_secret_access_key = wrong\n"
            "[profile dev]\nregion = eu-west-1\naws_access_key_id = " FAKE_AWS_KEY " # a comment\n"
            "aws_secret_access_key = " FAKE_AWS_SECRET "\n",
            "");
  client_set(&client, "AWS_PROFILE=dev");
  client_start(&client);
  identity_is(OWN_ACCOUNT);
  ck_assert_int_eq(fake_aws_count(&fake, "operations/sts.GetCallerIdentity/regions/eu-west-1"), 1);
}
END_TEST

START_TEST(the_credentials_file_wins_over_the_config_file) {
  use_files("[default]\naws_access_key_id = AKIAWRONG\naws_secret_access_key = wrong\n",
            "[default]\naws_access_key_id = " FAKE_AWS_KEY "\naws_secret_access_key = " FAKE_AWS_SECRET "\n");
  client_start(&client);
  identity_is(OWN_ACCOUNT);
}
END_TEST

START_TEST(a_profile_that_is_not_there_is_an_error_that_names_those_that_are) {
  char error[512];

  use_files("[profile dev]\nregion = eu-west-1\n[profile ops]\n", "");
  client_set(&client, "AWS_PROFILE=prod");
  client_start_fails(&client, error, sizeof(error));
  ck_assert_str_eq(error, "AWS_PROFILE: there is no profile 'prod' in the AWS config files, only dev, ops");
}
END_TEST

START_TEST(a_broken_file_is_an_error_with_its_line_and_without_its_text) {
  char error[512];

  use_files("[default]\nregion = eu-west-1\nhidden secret\n", "");
  client_start_fails(&client, error, sizeof(error));
  ck_assert_ptr_nonnull(strstr(error, "/config, line 3: expected NAME = VALUE or [SECTION]"));
  ck_assert_ptr_null(strstr(error, "hidden"));
}
END_TEST

START_TEST(a_pipe_in_place_of_a_file_does_not_block) {
  char path[256], error[512];

  snprintf(path, sizeof(path), "%s/pipe", fake.dir);
  unlink(path);
  ck_assert_int_eq(mkfifo(path, 0600), 0);
  client_set(&client, "AWS_CONFIG_FILE=%s", path);
  client_start_fails(&client, error, sizeof(error));
  ck_assert_ptr_nonnull(strstr(error, "this is not a file"));
}
END_TEST

START_TEST(nested_settings_comments_and_merged_sections_are_read) {
  static const char text[] =
      "\xef\xbb\xbf; comment\n# comment\n[default]\nregion=eu-west-1 ; why\nurl = a#b\n"
      "services = own\ns3 =\n  max = 5\n\n[services own]\nsts =\n  endpoint_url = http://x\n"
      "logs=\n\tendpoint_url= http://y\n[default]\noutput = json\n[plugins]\nwhat = ever\n";
  struct profiles *profiles;
  char error[256] = "";

  ck_assert_int_eq(profiles_new(&profiles), 0);
  ck_assert_int_eq(
      profiles_parse(profiles, PROFILES_CONFIG, "f", text, sizeof(text) - 1, error, sizeof(error)), 0);
  ck_assert_str_eq(profiles_get(profiles, "profile", "default", NULL, "region"), "eu-west-1");
  ck_assert_str_eq(profiles_get(profiles, "profile", "default", NULL, "URL"), "a#b");
  ck_assert_str_eq(profiles_get(profiles, "profile", "default", NULL, "output"), "json");
  ck_assert_str_eq(profiles_get(profiles, "profile", "default", "s3", "max"), "5");
  ck_assert_ptr_null(profiles_get(profiles, "profile", "default", NULL, "max"));
  ck_assert_str_eq(profiles_get(profiles, "services", "own", "STS", "endpoint_url"), "http://x");
  ck_assert_str_eq(profiles_get(profiles, "services", "own", "logs", "endpoint_url"), "http://y");
  ck_assert(!profiles_has(profiles, "profile", "plugins"));
  profiles_free(profiles);
}
END_TEST

/* ---- roles of profiles ---- */

#define BASE "[base]\naws_access_key_id = " FAKE_AWS_KEY "\naws_secret_access_key = " FAKE_AWS_SECRET "\n"

START_TEST(a_role_is_assumed_with_the_keys_of_its_source_profile) {
  use_files("[profile dev]\nrole_arn = " OTHER_ROLE_ARN "\nsource_profile = base\nregion = eu-west-1\n"
            "role_session_name = tester\nduration_seconds = 900\n",
            BASE);
  client_set(&client, "AWS_PROFILE=dev");
  client_start(&client);
  identity_is("444400000001");
  identity_is("assumed-role/isoq-reader/tester");
  ck_assert_int_eq(fake_aws_count(&fake, "operations/sts.AssumeRole/requests"), 1);
  ck_assert_int_eq(fake_aws_count(&fake, "operations/sts.AssumeRole/keys/" FAKE_AWS_KEY), 1);
  ck_assert_int_eq(fake_aws_count(&fake, "operations/sts.AssumeRole/regions/eu-west-1"), 1);
  no_signature_failed();
}
END_TEST

START_TEST(a_role_may_be_assumed_with_a_role) {
  fake_aws_tell(&fake, "POST", "config",
                "{\"roles\": {\"isoq-reader\": {}, \"first\": {\"external_id\": \"x y&z\"}}}");
  use_files("[profile dev]\nrole_arn = " OTHER_ROLE_ARN "\nsource_profile = middle\n"
            "[profile middle]\nrole_arn = arn:aws:iam::111122223333:role/first\nexternal_id = x "
            "y&z\nsource_profile=base\n",
            BASE);
  client_set(&client, "AWS_PROFILE=dev");
  client_start(&client);
  identity_is("444400000001");
  ck_assert_int_eq(fake_aws_count(&fake, "operations/sts.AssumeRole/ok"), 2);
  ck_assert_int_eq(fake_aws_count(&fake, "operations/sts.AssumeRole/keys/" FAKE_AWS_KEY), 1);
  no_signature_failed();
}
END_TEST

START_TEST(a_profile_may_be_its_own_source) {
  use_files("[default]\nrole_arn = " OTHER_ROLE_ARN "\nsource_profile = default\n",
            "[default]\naws_access_key_id = " FAKE_AWS_KEY "\naws_secret_access_key = " FAKE_AWS_SECRET "\n");
  client_start(&client);
  identity_is("444400000001");
}
END_TEST

START_TEST(profiles_that_go_round_in_a_circle_are_an_error) {
  char error[512];

  use_files("[profile a]\nrole_arn = " ROLE_ARN "\nsource_profile = b\n[profile b]\nrole_arn = " ROLE_ARN
            "\nsource_profile = a\n",
            "");
  client_set(&client, "AWS_PROFILE=a");
  client_start_fails(&client, error, sizeof(error));
  ck_assert_str_eq(error, "profile b, source_profile: goes round in a circle, back to 'a'");
}
END_TEST

START_TEST(incomplete_roles_are_errors_that_say_what_is_missing) {
  static const struct {
    const char *config, *error;
  } cases[] = {
      {"[default]\nrole_arn = r\n", "profile default: role_arn takes source_profile, credential_source or "
                                    "web_identity_token_file"},
      {"[default]\nrole_arn = r\nsource_profile = x\n",
       "profile default, source_profile: there is no profile 'x'"},
      {"[default]\nrole_arn = r\nsource_profile = x\n[profile x]\nregion = eu-west-1\n",
       "profile default, source_profile: there are no credentials in profile 'x'"},
      {"[default]\nrole_arn = r\nsource_profile = x\ncredential_source = Environment\n",
       "profile default: source_profile or credential_source, not both"},
      {"[default]\nrole_arn = r\ncredential_source = Elsewhere\n",
       "profile default, credential_source: Environment, EcsContainer or Ec2InstanceMetadata, not "
       "'Elsewhere'"},
      {"[default]\nrole_arn = r\ncredential_source = Environment\n",
       "profile default, credential_source Environment; environment: AWS_ACCESS_KEY_ID is not set"},
      {"[default]\nrole_arn = r\nsource_profile = x\nmfa_serial = m\n",
       "profile default, mfa_serial: nobody is there to type a code; use a role without it"},
      {"[default]\naws_access_key_id = x\n",
       "profile default: aws_access_key_id is there, but aws_secret_access_key is not; it takes both"},
  };
  char error[512];

  use_files(cases[_i].config, "");
  client_start_fails(&client, error, sizeof(error));
  ck_assert_str_eq(error, cases[_i].error);
}
END_TEST

START_TEST(a_role_may_take_the_metadata_services_keys) {
  use_files("[default]\nrole_arn = " OTHER_ROLE_ARN "\ncredential_source = Ec2InstanceMetadata\n", "");
  use_metadata();
  client_start(&client);
  identity_is("444400000001");
  ck_assert_int_eq(fake_aws_count(&fake, "operations/imds.GetCredentials/requests"), 1);
}
END_TEST

START_TEST(a_role_that_may_not_be_assumed_says_what_sts_said) {
  const struct aws_request request = client_request(&client);
  struct call call;

  use_files("[default]\nrole_arn = arn:aws:iam::111122223333:role/forbidden\nsource_profile = base\n", BASE);
  client_start(&client);
  client_call(&client, &request, &call);
  ck_assert_str_eq(call.error_name, "CredentialsError");
  ck_assert_ptr_nonnull(strstr(
      call.error_message, "profile default: sts:AssumeRole of arn:aws:iam::111122223333:role/forbidden: "
                          "AccessDenied: User: arn:aws:iam::111122223333:user/tester is not authorized"));
  ck_assert_int_eq(call.status, 403);
  ck_assert_uint_gt(strlen(call.request_id), 10);
  ck_assert(!call.retryable);
  tells_no_secret(call.error_message);
  call_clear(&call);
}
END_TEST

START_TEST(single_sign_on_is_refused_with_the_way_round) {
  use_files("[default]\nsso_session = s\nsso_account_id = 1\n[sso-session s]\nsso_start_url = https://x\n",
            "");
  client_start(&client);
  fails_with("profile default: single sign-on (sso_session, sso_start_url) is not supported; let AWS' own "
             "tool do it, "
             "in another profile: credential_process = aws configure export-credentials --profile default");
}
END_TEST

/* ---- a process ---- */

#define PROCESS_JSON                                                                                         \
  "{\\\"Version\\\": 1, \\\"AccessKeyId\\\": \\\"" FAKE_AWS_KEY                                              \
  "\\\", \\\"SecretAccessKey\\\": \\\"" FAKE_AWS_SECRET "\\\"}"

START_TEST(a_process_gives_keys) {
  use_files("[default]\ncredential_process = printf '%s' \"" PROCESS_JSON "\"\n", "");
  client_start(&client);
  identity_is(OWN_ACCOUNT);
  no_signature_failed();
}
END_TEST

/* The second process says that its keys are good; the first one's expire at once. */
START_TEST(a_process_runs_again_when_its_keys_expire) {
  char config[512];
  const struct aws_request request = client_request(&client);
  struct call call;
  const char *script =
      client_file(&client, "keys.sh",
                  "#!/bin/sh\necho x >>\"$1\"\n"
                  "if [ \"$(wc -l <\"$1\")\" = 1 ]; then at=$(date -u -d '+2 seconds' +%Y-%m-%dT%H:%M:%SZ); "
                  "else at=2099-01-01T00:00:00+01:00; fi\n"
                  "echo '{\"Version\": 1, \"AccessKeyId\": \"" FAKE_AWS_KEY
                  "\", \"SecretAccessKey\": \"" FAKE_AWS_SECRET "\", \"Expiration\": \"'$at'\"}'\n");

  chmod(script, 0700);
  client_file(&client, "runs", "");
  snprintf(config, sizeof(config), "[default]\ncredential_process = %s %s/runs\n", script, fake.dir);
  use_files(config, "");
  client_start(&client);
  for (struct stat status = {0}; status.st_size < 4;) { /* two runs, two bytes each */
    struct aws_request again = request;

    again.deadline_ns = client_now_ns() + INT64_C(20000000000);
    client_call(&client, &again, &call);
    ck_assert_msg(call.ok, "%s", call.error_message);
    call_clear(&call);
    snprintf(config, sizeof(config), "%s/runs", fake.dir);
    ck_assert_int_eq(stat(config, &status), 0);
  }
}
END_TEST

START_TEST(a_process_that_fails_says_how_and_nothing_that_it_printed) {
  static const struct {
    const char *command, *error;
  } cases[] = {
      {"sh -c 'echo hidden; echo hidden >&2; exit 3'",
       "profile default, credential_process: it ended with exit status 3"},
      {"sh -c 'kill -9 $$'", "it was killed by signal 9"},
      {"/nowhere/at/all", "'/nowhere/at/all' cannot be run: No such file or directory"},
      {"echo 'open", "no command, or a quote in it is not closed"},
      {"echo hidden", "the answer is not a JSON object"},
      {"echo {\\\"Version\\\": 2}", "the answer's Version is not 1"},
      {"echo {\\\"Version\\\": 1, \\\"SecretAccessKey\\\": \\\"hidden\\\"}", "the answer has no AccessKeyId"},
      {"echo {\\\"Version\\\": 1, \\\"AccessKeyId\\\": \\\"a\\\", \\\"SecretAccessKey\\\": \\\"hidden\\\", "
       "\\\"Expiration\\\": "
       "\\\"soon\\\"}",
       "the answer's Expiration is no time"},
      {"echo {\\\"Version\\\": 1, \\\"AccessKeyId\\\": \\\"a\\\", \\\"SecretAccessKey\\\": \\\"hidden\\\", "
       "\\\"Expiration\\\": "
       "\\\"2020-01-01T00:00:00Z\\\"}",
       "have expired already"},
      {"yes hidden", "it printed more than 64 KiB"},
      /* There is no shell: these are words like others. */
      {"echo a ; echo b | cat", "the answer is not a JSON object"},
  };
  char config[512];
  const struct aws_request request = client_request(&client);
  struct call call;

  snprintf(config, sizeof(config), "[default]\ncredential_process = %s\n", cases[_i].command);
  use_files(config, "");
  client_start(&client);
  client_call(&client, &request, &call);
  ck_assert_str_eq(call.error_name, "CredentialsError");
  ck_assert_msg(strstr(call.error_message, cases[_i].error) != NULL, "%s", call.error_message);
  ck_assert_ptr_null(strstr(call.error_message, "hidden"));
  call_clear(&call);
}
END_TEST

static void on_process(void *ctx, const char *output, size_t len, const char *why) {
  (void)len;
  ck_assert_ptr_null(output);
  snprintf(ctx, 128, "%s", why);
}

START_TEST(a_process_that_hangs_is_killed_with_its_children) {
  char *environment[] = {NULL}, why[128] = "", error[128], path[256];
  struct event_base *base = event_base_new();
  struct process *process;
  FILE *file;
  int child = 0;

  snprintf(path, sizeof(path), "sh -c 'sleep 1000 & echo $! >%s/child; wait'", fake.dir);
  ck_assert_int_eq(
      process_run(base, path, environment, 1000, on_process, why, &process, error, sizeof(error)), 0);
  while (why[0] == '\0')
    event_base_loop(base, EVLOOP_ONCE);
  ck_assert_str_eq(why, "it took too long and was killed");
  snprintf(path, sizeof(path), "%s/child", fake.dir);
  file = fopen(path, "r");
  ck_assert_ptr_nonnull(file);
  ck_assert_int_eq(fscanf(file, "%d", &child), 1);
  fclose(file);
  /* Killed, though perhaps not yet reaped by init. */
  snprintf(path, sizeof(path), "/proc/%d/stat", child);
  for (char state = 'S'; state != 'Z';) {
    file = fopen(path, "r");
    if (file == NULL) break;
    ck_assert_int_eq(fscanf(file, "%*d %*s %c", &state), 1);
    fclose(file);
  }
  event_base_free(base);
}
END_TEST

START_TEST(a_process_inherits_no_descriptor_and_no_blocked_signal) {
  char *environment[] = {"PATH=/usr/bin:/bin", NULL};
  const int kept = dup(1); /* without close-on-exec */
  const struct aws_request request = client_request(&client);
  struct call call;

  (void)environment;
  ck_assert_int_gt(kept, 2);
  use_files(
      "[default]\ncredential_process = sh -c 'ls /proc/self/fd | wc -l; exit $(ls /proc/self/fd | wc -l)'\n",
      "");
  client_start(&client);
  client_call(&client, &request, &call);
  ck_assert_msg(strstr(call.error_message, "exit status 4") != NULL, "%s",
                call.error_message); /* 0, 1, 2, and ls' own */
  call_clear(&call);
  close(kept);
}
END_TEST

START_TEST(words_are_split_as_a_shell_would) {
  char **words = process_words("  a 'b c' \"d \\\" e\\x\" f\\ g '' h\"i\"j  ");
  static const char *const wanted[] = {"a", "b c", "d \" e\\x", "f g", "", "hij"};

  for (size_t i = 0; i < 6; i++)
    ck_assert_str_eq(words[i], wanted[i]);
  ck_assert_ptr_null(words[6]);
  free(words);
  ck_assert_ptr_null(process_words("   "));
  ck_assert_ptr_null(process_words("a 'b"));
}
END_TEST

/* ---- web identity ---- */

START_TEST(a_web_identity_token_is_exchanged_without_a_signature) {
  client_set(&client, "AWS_WEB_IDENTITY_TOKEN_FILE=%s",
             client_file(&client, "token", "web-identity-token\n"));
  client_set(&client, "AWS_ROLE_ARN=" OTHER_ROLE_ARN);
  client_set(&client, "AWS_ROLE_SESSION_NAME=pod-7");
  client_start(&client);
  identity_is("444400000001");
  identity_is("isoq-reader/pod-7");
  ck_assert_int_eq(fake_aws_count(&fake, "operations/sts.AssumeRoleWithWebIdentity/requests"), 1);
  no_signature_failed();
}
END_TEST

START_TEST(a_web_identity_token_in_a_profile_works_too) {
  char config[512];

  snprintf(config, sizeof(config), "[default]\nrole_arn = " OTHER_ROLE_ARN "\nweb_identity_token_file = %s\n",
           client_file(&client, "token", "web-identity-token"));
  use_files(config, "");
  client_start(&client);
  identity_is("444400000001");
}
END_TEST

START_TEST(the_token_file_is_read_again_at_each_refresh) {
  const char *path = client_file(&client, "token", "an old token");

  client_set(&client, "AWS_WEB_IDENTITY_TOKEN_FILE=%s", path);
  client_set(&client, "AWS_ROLE_ARN=" OTHER_ROLE_ARN);
  client_start(&client);
  fails_with("web identity: sts:AssumeRoleWithWebIdentity of " OTHER_ROLE_ARN ": InvalidIdentityToken");
  client_file(&client, "token", "web-identity-token");
  for (bool ok = false; !ok;) { /* the failure is remembered for a second */
    const struct aws_request request = client_request(&client);
    struct call call;

    client_call(&client, &request, &call);
    ok = call.ok;
    call_clear(&call);
  }
}
END_TEST

START_TEST(a_token_file_that_is_none_says_so) {
  static const char *const cases[][2] = {{"", "empty, or no text"}, {NULL, "No such file or directory"}};

  client_set(&client, "AWS_WEB_IDENTITY_TOKEN_FILE=%s",
             cases[_i][0] != NULL ? client_file(&client, "token", cases[_i][0]) : "/nowhere/token");
  client_set(&client, "AWS_ROLE_ARN=" OTHER_ROLE_ARN);
  client_start(&client);
  fails_with(cases[_i][1]);
}
END_TEST

START_TEST(a_pipe_as_token_file_does_not_block) {
  char path[256];

  snprintf(path, sizeof(path), "%s/pipe", fake.dir);
  unlink(path);
  ck_assert_int_eq(mkfifo(path, 0600), 0);
  client_set(&client, "AWS_WEB_IDENTITY_TOKEN_FILE=%s", path);
  client_set(&client, "AWS_ROLE_ARN=" OTHER_ROLE_ARN);
  client_start(&client);
  fails_with("pipe: not a file");
}
END_TEST

START_TEST(a_web_identity_without_a_role_is_an_error_at_start) {
  char error[512];

  client_set(&client, "AWS_WEB_IDENTITY_TOKEN_FILE=/some/token");
  client_start_fails(&client, error, sizeof(error));
  ck_assert_ptr_nonnull(strstr(error, "AWS_ROLE_ARN is not"));
}
END_TEST

/* ---- the container endpoint ---- */

START_TEST(the_container_endpoint_gives_keys) {
  client_set(&client, "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://127.0.0.1:%d/v2/credentials/x", fake.port);
  client_start(&client);
  identity_is("assumed-role/task");
  ck_assert_int_eq(fake_aws_count(&fake, "operations/container.GetCredentials/requests"), 1);
  no_signature_failed();
}
END_TEST

START_TEST(the_container_endpoint_gets_its_token) {
  fake_aws_tell(&fake, "POST", "config", "{\"container\": {\"authorization\": \"Basic abcd==\"}}");
  client_set(&client, "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://localhost:%d/v2/credentials/x", fake.port);
  if (_i == 0)
    client_set(&client, "AWS_CONTAINER_AUTHORIZATION_TOKEN=Basic abcd==");
  else
    client_set(&client, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=%s",
               client_file(&client, "token", "Basic abcd==\n"));
  client_start(&client);
  identity_is("assumed-role/task");
}
END_TEST

START_TEST(a_wrong_token_for_the_container_endpoint_is_not_tried_again) {
  fake_aws_tell(&fake, "POST", "config", "{\"container\": {\"authorization\": \"right\"}}");
  client_set(&client, "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://127.0.0.1:%d/v2/credentials/x", fake.port);
  client_set(&client, "AWS_CONTAINER_AUTHORIZATION_TOKEN=hidden-wrong");
  client_start(&client);
  fails_with("/v2/credentials/x: HTTP status 401");
  ck_assert_int_eq(fake_aws_count(&fake, "operations/container.GetCredentials/requests"), 1);
}
END_TEST

START_TEST(a_failing_container_endpoint_is_tried_three_times) {
  fake_aws_tell(&fake, "POST", "faults",
                "[{\"match\": {\"service\": \"container\", \"nth\": [1, 2]}, \"do\": \"reset\"}]");
  client_set(&client, "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://127.0.0.1:%d/v2/credentials/x", fake.port);
  client_start(&client);
  identity_is("assumed-role/task");
  ck_assert_int_eq(fake_aws_count(&fake, "operations/container.GetCredentials/requests"), 3);
}
END_TEST

START_TEST(the_container_endpoint_must_be_local_or_have_tls) {
  static const struct {
    const char *url;
    bool allowed;
  } cases[] = {{"http://169.254.170.2/x", true},
               {"http://169.254.170.23/v1/credentials", true},
               {"http://[fd00:ec2::23]/x", true},
               {"http://localhost:8080/x?a=1", true},
               {"http://127.3.2.1/", true},
               {"http://[::1]:1/x", true},
               {"https://credentials.example/x", true},
               {"http://credentials.example/x", false},
               {"http://10.0.0.1/x", false},
               {"http://169.254.169.254/x", false},
               {"http://127.0.0.1.example/x", false},
               {"http://localhost.example/x", false},
               {"http://169.254.170.20/x", false},
               {"http://127.0.0.1@evil.example/", false},
               {"ftp://127.0.0.1/", false},
               {"http://127.0.0.1/a b", false}};
  char error[512];

  client_set(&client, "AWS_CONTAINER_CREDENTIALS_FULL_URI=%s", cases[_i].url);
  if (cases[_i].allowed)
    client_start(&client);
  else
    client_start_fails(&client, error, sizeof(error));
}
END_TEST

/* In a network namespace of its own, where 169.254.170.2 is ours: nothing but that address is asked. */
START_TEST(a_relative_uri_is_asked_at_169_254_170_2) {
  struct ifreq loopback = {.ifr_name = "lo"};
  struct sockaddr_in address = {.sin_family = AF_INET};
  struct fake_aws inner;
  struct client inside;
  char command[600];
  struct call call;
  int fd;

  if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0) {
    fprintf(stderr, "not root: the address cannot be had\n");
    return;
  }
  fd = socket(AF_INET, SOCK_DGRAM, 0);
  inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
  ck_assert_int_eq(ioctl(fd, SIOCGIFFLAGS, &loopback), 0);
  loopback.ifr_flags |= IFF_UP;
  ck_assert_int_eq(ioctl(fd, SIOCSIFFLAGS, &loopback), 0);
  strcpy(loopback.ifr_name, "lo:1");
  inet_pton(AF_INET, "169.254.170.2", &address.sin_addr);
  memcpy(&loopback.ifr_addr, &address, sizeof(address));
  ck_assert_int_eq(ioctl(fd, SIOCSIFADDR, &loopback), 0);
  close(fd);
  ck_assert_int_eq(fake_aws_start(&inner), 0);
  /* Port 80 of that address leads to the fake. */
  snprintf(command, sizeof(command),
           "import socket,threading\nl=socket.create_server(('169.254.170.2',80))\nprint(flush=True)\n"
           "def pump(a,b):\n while d:=a.recv(65536): b.sendall(d)\n b.shutdown(1)\n"
           "while 1:\n c=l.accept()[0];s=socket.create_connection(('127.0.0.1',%d))\n"
           " [threading.Thread(target=pump,args=p,daemon=True).start() for p in((c,s),(s,c))]",
           inner.port);
  int pipes[2];
  ck_assert_int_eq(pipe(pipes), 0);
  const pid_t relay = fork();
  if (relay == 0) {
    dup2(pipes[1], 1);
    execlp("python3", "python3", "-c", command, NULL);
    _exit(127);
  }
  ck_assert_int_eq(read(pipes[0], command, 1), 1);
  client_init(&inside, &inner);
  client_set(&inside, "AWS_ENDPOINT_URL=http://127.0.0.1:%d", inner.port);
  client_set(&inside, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/v2/credentials/x?a=1");
  client_start(&inside);
  const struct aws_request request = client_request(&inside);
  client_call(&inside, &request, &call);
  ck_assert_msg(call.ok, "%s", call.error_message);
  ck_assert_int_eq(fake_aws_count(&inner, "operations/container.GetCredentials/requests"), 1);
  call_clear(&call);
  client_end(&inside);
  kill(relay, SIGKILL);
  fake_aws_end(&inner);
}
END_TEST

/* ---- instance metadata ---- */

START_TEST(the_metadata_service_gives_keys_by_its_second_version) {
  use_metadata();
  client_start(&client);
  identity_is("assumed-role/machine-role");
  identity_is("assumed-role/machine-role");
  ck_assert_int_eq(fake_aws_count(&fake, "operations/imds.GetToken/requests"), 1);
  ck_assert_int_eq(fake_aws_count(&fake, "operations/imds.GetCredentials/requests"), 1);
  ck_assert_int_eq(fake_aws_count(&fake, "imds/v1_refused"), 0);
  no_signature_failed();
}
END_TEST

START_TEST(the_region_comes_from_the_metadata_when_none_is_configured) {
  const struct aws_request request = client_request(&client);
  struct call call;

  fake_aws_tell(&fake, "POST", "config", "{\"imds\": {\"region\": \"eu-central-1\"}}");
  use_metadata();
  if (_i == 1) client_set(&client, "AWS_REGION=sa-east-1");
  client_start(&client);
  client_call(&client, &request, &call);
  ck_assert(call.ok);
  ck_assert_str_eq(call.region, _i == 1 ? "sa-east-1" : "eu-central-1");
  ck_assert_int_eq(fake_aws_count(&fake, "operations/imds.Other/requests"), _i == 1 ? 0 : 1);
  call_clear(&call);
}
END_TEST

START_TEST(a_machine_without_a_role_says_so) {
  fake_aws_tell(&fake, "POST", "config", "{\"imds\": {\"role\": \"\"}}");
  use_metadata();
  client_start(&client);
  fails_with("instance metadata: no role is attached to this instance");
}
END_TEST

START_TEST(a_refused_token_never_leads_to_the_first_version) {
  fake_aws_tell(&fake, "POST", "faults",
                "[{\"match\": {\"operation\": \"GetToken\"}, \"do\": {\"kind\": \"error\", \"code\": \"x\", "
                "\"status\": 403}}]");
  use_metadata();
  client_start(&client);
  fails_with("instance metadata: HTTP status 403 from http://127.0.0.1");
  ck_assert_int_eq(fake_aws_count(&fake, "operations/imds.GetRoleName/requests"), 0);
  ck_assert_int_eq(fake_aws_count(&fake, "operations/imds.GetCredentials/requests"), 0);
}
END_TEST

/* As where the hop limit is 1: the answer to PUT never arrives. */
START_TEST(a_token_that_does_not_come_is_waited_for_as_long_and_as_often_as_configured) {
  fake_aws_tell(&fake, "POST", "faults", "[{\"match\": {\"operation\": \"GetToken\"}, \"do\": \"hang\"}]");
  use_metadata();
  client_set(&client, "AWS_METADATA_SERVICE_NUM_ATTEMPTS=2");
  client_start(&client);
  fails_with(" in 1 s (in a container on EC2, the instance's hop limit must be 2)");
  ck_assert_int_eq(fake_aws_count(&fake, "operations/imds.GetToken/requests"), 2);
  ck_assert_int_eq(fake_aws_count(&fake, "operations/imds.GetRoleName/requests"), 0);
}
END_TEST

START_TEST(a_metadata_service_that_is_switched_off_is_not_asked) {
  use_metadata();
  client_set(&client, "AWS_EC2_METADATA_DISABLED=true");
  client_start(&client);
  fails_with("instance metadata: AWS_EC2_METADATA_DISABLED is true");
  ck_assert_int_eq(fake_aws_count(&fake, "operations/imds.GetToken/requests"), 0);
}
END_TEST

/* Each rule counts the requests that those before it have left. */
START_TEST(a_metadata_service_that_fails_for_a_moment_is_asked_again) {
  static const char *const operations[] = {"GetToken", "GetRoleName", "GetCredentials"};
  static const char *const kinds[] = {"error\", \"code\": \"x\", \"status\": 503, \"x\": \"",
                                      "error\", \"code\": \"x\", \"status\": 429, \"x\": \"", "reset"};
  char faults[400], count[80];

  snprintf(faults, sizeof(faults),
           "[{\"match\": {\"operation\": \"%s\", \"nth\": 1}, \"do\": {\"kind\": \"%s\"}}, "
           "{\"match\": {\"operation\": \"%s\", \"nth\": 1}, \"do\": {\"kind\": \"%s\"}}]",
           operations[_i % 3], kinds[_i / 3], operations[_i % 3], kinds[_i / 3]);
  fake_aws_tell(&fake, "POST", "faults", faults);
  use_metadata();
  client_start(&client);
  identity_is("assumed-role/machine-role");
  snprintf(count, sizeof(count), "operations/imds.%s/requests", operations[_i % 3]);
  ck_assert_int_eq(fake_aws_count(&fake, count), 3);
}
END_TEST

START_TEST(a_metadata_service_that_stays_broken_is_asked_three_times) {
  fake_aws_tell(&fake, "POST", "faults",
                "[{\"match\": {\"operation\": \"GetToken\"}, \"do\": {\"kind\": \"error\", \"code\": \"x\", "
                "\"status\": 503}}]");
  use_metadata();
  client_start(&client);
  fails_with("instance metadata: HTTP status 503 from http://127.0.0.1");
  ck_assert_int_eq(fake_aws_count(&fake, "operations/imds.GetToken/requests"), 3);
}
END_TEST

START_TEST(garbage_from_the_metadata_service_is_an_error) {
  static const char *const kinds[] = {"garbage", "empty", "deep", "truncate", "huge\", \"bytes\": \"x"};
  char faults[256];

  snprintf(faults, sizeof(faults),
           "[{\"match\": {\"operation\": \"GetCredentials\"}, \"do\": {\"kind\": \"%s\", \"depth\": 1000}}]",
           _i == 4 ? "body" : kinds[_i]);
  if (_i == 4)
    snprintf(faults, sizeof(faults),
             "[{\"match\": {\"operation\": \"GetCredentials\"}, \"do\": {\"kind\": \"huge\", \"bytes\": "
             "200000}}]");
  fake_aws_tell(&fake, "POST", "faults", faults);
  use_metadata();
  client_start(&client);
  fails_with("instance metadata: ");
}
END_TEST

START_TEST(no_proxy_is_used_for_metadata) {
  const struct aws_request request = client_request(&client);
  struct call call;

  setenv("http_proxy", "http://127.0.0.1:1", 1); /* libcurl's own environment is the process' */
  use_metadata();
  client_start(&client);
  client_call(&client, &request, &call);
  ck_assert_str_eq(call.error_name, "NetworkError"); /* through the proxy */
  ck_assert_int_eq(fake_aws_count(&fake, "operations/imds.GetCredentials/requests"), 1);
  call_clear(&call);
  unsetenv("http_proxy");
}
END_TEST

/* ---- none ---- */

START_TEST(without_credentials_the_error_names_each_source_that_was_tried) {
  client_set(&client, "AWS_CONFIG_FILE=%s", client_file(&client, "config", "[profile dev]\n"));
  client_set(&client, "AWS_EC2_METADATA_DISABLED=true");
  client_start(&client);
  fails_with("environment: AWS_ACCESS_KEY_ID is not set; "
             "profile default: ~/.aws/credentials: HOME is not set; "
             "web identity: AWS_WEB_IDENTITY_TOKEN_FILE is not set; "
             "container endpoint: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and ..._FULL_URI are not set; "
             "instance metadata: AWS_EC2_METADATA_DISABLED is true");
}
END_TEST

/* ---- caching ---- */

START_TEST(many_calls_at_once_fetch_once) {
  enum {
    CALLS = 50
  };
  static struct call calls[CALLS];

  fake_aws_tell(&fake, "POST", "config", "{\"latency_ms\": 50}");
  use_metadata();
  client.options.assume_role = "isoq-reader";
  client_start(&client);
  for (size_t i = 0; i < CALLS; i++) {
    struct aws_request request = client_request(&client);

    request.account = i % 2 == 0 ? "444400000001" : OWN_ACCOUNT;
    client_send(&client, &request, &calls[i]);
  }
  client_run(&client);
  for (size_t i = 0; i < CALLS; i++) {
    ck_assert_msg(calls[i].ok, "%s", calls[i].error_message);
    ck_assert_ptr_nonnull(strstr(calls[i].body, i % 2 == 0 ? "444400000001" : "machine-role"));
    call_clear(&calls[i]);
  }
  ck_assert_int_eq(fake_aws_count(&fake, "operations/imds.GetToken/requests"), 1);
  ck_assert_int_eq(fake_aws_count(&fake, "operations/imds.GetCredentials/requests"), 1);
  ck_assert_int_eq(fake_aws_count(&fake, "operations/sts.AssumeRole/requests"), 1);
  ck_assert_int_eq(fake_aws_count(&fake, "operations/sts.GetCallerIdentity/requests"), CALLS + 1);
  no_signature_failed();
}
END_TEST

START_TEST(who_comes_during_a_fetch_waits_for_it) {
  static struct call calls[2];
  struct aws_request request = client_request(&client);

  fake_aws_tell(&fake, "POST", "faults", "[{\"match\": {\"operation\": \"AssumeRole\"}, \"do\": \"hang\"}]");
  client_use_keys(&client);
  client.options.assume_role = "isoq-reader";
  client_start(&client);
  identity_is(OWN_ACCOUNT);
  request.account = "444400000001";
  client_send(&client, &request, &calls[0]);
  client_run_until(&client, "operations/sts.AssumeRole/requests", 1);
  client_send(&client, &request, &calls[1]);
  /* A call of our own account begun after it and answered: by then the second one waits. */
  fake_aws_tell(&fake, "POST", "config", "{\"latency_ms\": 50}");
  request.account = NULL;
  client.open -= 2;
  identity_is(OWN_ACCOUNT);
  client.open += 2;
  fake_aws_tell(&fake, "DELETE", "faults", NULL);
  fake_aws_tell(&fake, "POST", "release", NULL);
  client_run(&client);
  for (size_t i = 0; i < 2; i++) {
    ck_assert_msg(calls[i].ok, "%s", calls[i].error_message);
    call_clear(&calls[i]);
  }
  ck_assert_int_eq(fake_aws_count(&fake, "operations/sts.AssumeRole/requests"), 1);
}
END_TEST

/* Keys of 8 s: from 4 s on, whoever uses them starts a refresh, and does not wait for it. */
START_TEST(keys_are_refreshed_before_they_expire_while_the_old_ones_serve) {
  fake_aws_tell(&fake, "POST", "config", "{\"imds\": {\"ttl_s\": 8, \"rotate_at\": 1.0}}");
  use_metadata();
  client_start(&client);
  identity_is(OWN_ACCOUNT);
  fake_aws_tell(&fake, "POST", "faults", "[{\"match\": {\"operation\": \"GetToken\"}, \"do\": \"hang\"}]");
  while (fake_aws_count(&fake, "operations/imds.GetToken/requests") < 2)
    identity_is(OWN_ACCOUNT);
  identity_is(OWN_ACCOUNT); /* with the old ones, while the refresh hangs */
  ck_assert_int_eq(fake_aws_count(&fake, "operations/imds.GetCredentials/requests"), 1);
  fake_aws_tell(&fake, "DELETE", "faults", NULL);
  fake_aws_tell(&fake, "POST", "release", NULL);
  client_run_until(&client, "operations/imds.GetCredentials/requests", 2);
  no_signature_failed();
}
END_TEST

START_TEST(a_failed_refresh_keeps_the_old_keys_until_they_expire) {
  const struct aws_request first = client_request(&client);
  unsigned served = 0;
  struct call call;

  fake_aws_tell(&fake, "POST", "config", "{\"imds\": {\"ttl_s\": 8, \"rotate_at\": 1.0}}");
  use_metadata();
  client_start(&client);
  client_call(&client, &first, &call);
  ck_assert(call.ok);
  call_clear(&call);
  fake_aws_tell(&fake, "POST", "faults",
                "[{\"match\": {\"operation\": \"GetToken\"}, \"do\": {\"kind\": \"error\", \"code\": \"x\", "
                "\"status\": 500}}]");
  for (bool ok = true; ok;) {
    const struct aws_request request = client_request(&client);

    client_call(&client, &request, &call);
    ok = call.ok;
    if (ok && fake_aws_count(&fake, "operations/imds.GetToken/faults/error") > 0) served++;
    if (!ok) ck_assert_ptr_nonnull(strstr(call.error_message, "instance metadata: HTTP status 500"));
    call_clear(&call);
  }
  ck_assert_uint_gt(served, 0);
  /* While the old ones served it was tried once, and once after; not by each call. Each time asks thrice. */
  ck_assert_int_le(fake_aws_count(&fake, "operations/imds.GetToken/faults/error"), 6);
}
END_TEST

START_TEST(keys_that_aws_calls_expired_are_fetched_anew_once) {
  struct aws_request request = client_request(&client);
  struct json_object *keys;
  struct call call;
  const char *key;
  char change[128];

  use_metadata();
  client_start(&client);
  client_call(&client, &request, &call);
  ck_assert(call.ok);
  call_clear(&call);
  keys = fake_aws_control(&fake, "GET", "keys", NULL);
  key = strstr(json_object_to_json_string(keys), "ASIA");
  ck_assert_ptr_nonnull(key);
  snprintf(change, sizeof(change), "{\"%.20s\": {\"expires_at\": 1}}", key);
  json_object_put(keys);
  fake_aws_tell(&fake, "POST", "keys", change);
  request.deadline_ns = client_now_ns() + INT64_C(20000000000);
  client_call(&client, &request, &call);
  ck_assert_msg(call.ok, "%s %s", call.error_name, call.error_message);
  call_clear(&call);
  ck_assert_int_eq(fake_aws_count(&fake, "operations/imds.GetCredentials/requests"), 2);
}
END_TEST

START_TEST(static_keys_that_have_expired_are_not_tried_again) {
  const struct aws_request request = client_request(&client);
  struct call call;

  fake_aws_tell(&fake, "POST", "keys", "{\"" FAKE_AWS_KEY "\": {\"expires_at\": 1}}");
  client_use_keys(&client);
  client_start(&client);
  client_call(&client, &request, &call);
  ck_assert_str_eq(call.error_name, "ExpiredToken");
  ck_assert_int_eq(fake_aws_count(&fake, "operations/sts.GetCallerIdentity/requests"), 1);
  call_clear(&call);
}
END_TEST

/* ---- other accounts ---- */

START_TEST(a_role_is_assumed_in_another_account_and_kept) {
  client_use_keys(&client);
  client.options.assume_role = "isoq-reader";
  client_start(&client);
  for (unsigned i = 0; i < 6; i++) {
    static const char *const accounts[] = {"444400000001", "444400000002", OWN_ACCOUNT};
    struct aws_request request = client_request(&client);
    struct call call;

    request.account = accounts[i % 3];
    client_call(&client, &request, &call);
    ck_assert_msg(call.ok, "%s", call.error_message);
    ck_assert_ptr_nonnull(strstr(call.body, accounts[i % 3]));
    ck_assert_str_eq(call.account, accounts[i % 3]);
    if (i % 3 < 2) ck_assert_ptr_nonnull(strstr(call.body, "assumed-role/isoq-reader/isoq"));
    call_clear(&call);
  }
  ck_assert_int_eq(fake_aws_count(&fake, "operations/sts.AssumeRole/requests"), 2);
  ck_assert_int_eq(fake_aws_count(&fake, "operations/sts.GetCallerIdentity/keys/" FAKE_AWS_KEY),
                   3); /* one for us */
  no_signature_failed();
}
END_TEST

START_TEST(another_account_without_a_role_to_assume_is_an_error) {
  struct aws_request request = client_request(&client);
  struct call call;

  client_use_keys(&client);
  client_start(&client);
  request.account = "444400000001";
  client_call(&client, &request, &call);
  ck_assert_str_eq(call.error_name, "CredentialsError");
  ck_assert_str_eq(
      call.error_message,
      "account 444400000001 is not the caller's own (111122223333); set aws_assume_role to the name "
      "of a role that may be assumed there");
  call_clear(&call);
}
END_TEST

/* ---- the own account's number ---- */

/* Twice: the first answer names the account `first`, the second one that of `account`. */
static void ask_trail_twice(bool names_account, const char *first, char account[16]) {
  struct aws_request request = client_trail_request(&client);
  struct call call;

  request.names_account = names_account;
  client_use_keys(&client);
  client_start(&client);
  for (int i = 0; i < 2; i++) {
    client_call(&client, &request, &call);
    ck_assert_msg(call.ok, "%s: %s", call.error_name, call.error_message);
    ck_assert_ptr_nonnull(strstr(call.body, "EventId"));
    snprintf(account, 16, "%s", call.account);
    if (i == 0) ck_assert_str_eq(call.account, first);
    call_clear(&call);
  }
}

START_TEST(an_answer_names_the_own_account_where_that_is_wanted) {
  char account[16];

  ask_trail_twice(true, OWN_ACCOUNT, account);
  ck_assert_str_eq(account, OWN_ACCOUNT);
  ck_assert_int_eq(fake_aws_count(&fake, "operations/sts.GetCallerIdentity/requests"), 1);
  no_signature_failed();
}
END_TEST

START_TEST(nobody_asks_for_the_own_account_where_it_is_not_wanted) {
  char account[16];

  ask_trail_twice(false, "", account);
  ck_assert_str_eq(account, "");
  ck_assert_int_eq(fake_aws_count(&fake, "operations/sts.GetCallerIdentity/requests"), 0);
}
END_TEST

START_TEST(an_own_account_that_sts_does_not_tell_fails_and_holds_up_nothing) {
  static const char *const kinds[] = {"hang", "garbage",
                                      "error\", \"code\": \"AccessDenied\", \"status\": 403, \"x\": \""};
  char account[16], faults[200];

  snprintf(faults, sizeof(faults),
           "[{\"match\": {\"operation\": \"GetCallerIdentity\"}, \"do\": {\"kind\": \"%s\"}}]", kinds[_i]);
  fake_aws_tell(&fake, "POST", "faults", faults);
  ask_trail_twice(true, "", account);
  ck_assert_str_eq(account, "");
  /* Nor is it asked by each call. */
  ck_assert_int_le(fake_aws_count(&fake, "operations/sts.GetCallerIdentity/requests"), _i == 1 ? 3 : 1);
}
END_TEST

START_TEST(a_role_that_is_missing_in_one_account_fails_only_there) {
  static struct call calls[2];
  struct aws_request request = client_request(&client);

  fake_aws_tell(&fake, "POST", "config", "{\"roles\": {\"isoq-reader\": {\"not_in\": [\"444400000002\"]}}}");
  client_use_keys(&client);
  client.options.assume_role = "isoq-reader";
  client_start(&client);
  request.account = "444400000001";
  client_send(&client, &request, &calls[0]);
  request.account = "444400000002";
  client_send(&client, &request, &calls[1]);
  client_run(&client);
  ck_assert(calls[0].ok);
  ck_assert_str_eq(calls[1].error_name, "CredentialsError");
  ck_assert_ptr_nonnull(strstr(calls[1].error_message,
                               "role: sts:AssumeRole of "
                               "arn:aws:iam::444400000002:role/isoq-reader: AccessDenied"));
  ck_assert_str_eq(calls[1].account, "444400000002");
  call_clear(&calls[0]);
  call_clear(&calls[1]);
}
END_TEST

START_TEST(the_role_has_the_arn_of_the_regions_partition) {
  static const struct {
    const char *region, *arn;
  } cases[] = {{"cn-north-1", "arn:aws-cn:sts"},
               {"us-gov-east-1", "arn:aws-us-gov:sts"},
               {"eu-west-1", "arn:aws:sts"}};
  struct aws_request request = client_request(&client);
  struct call call;

  client_use_keys(&client);
  client.options.assume_role = "isoq-reader";
  client_start(&client);
  request.account = "444400000001";
  request.region = cases[_i].region;
  client_call(&client, &request, &call);
  ck_assert_msg(call.ok, "%s", call.error_message);
  ck_assert_ptr_nonnull(strstr(call.body, cases[_i].arn));
  call_clear(&call);
}
END_TEST

/* 256 are kept, the least recently used ones go. */
START_TEST(roles_of_ever_more_accounts_do_not_pile_up) {
  enum {
    ACCOUNTS = 300
  };

  client_use_keys(&client);
  client.options.assume_role = "isoq-reader";
  client_start(&client);
  for (unsigned i = 0; i < ACCOUNTS + 2; i++) {
    struct aws_request request = client_request(&client);
    struct call call;
    char account[16];

    /* The last two: one that was used just now, and one that was not for long. */
    snprintf(account, sizeof(account), "5%011u", i < ACCOUNTS ? i : i == ACCOUNTS ? ACCOUNTS - 1 : 0);
    request.account = account;
    client_call(&client, &request, &call);
    ck_assert_msg(call.ok, "%s", call.error_message);
    ck_assert_ptr_nonnull(strstr(call.body, account));
    call_clear(&call);
  }
  ck_assert_int_eq(fake_aws_count(&fake, "operations/sts.AssumeRole/requests"), ACCOUNTS + 1);
}
END_TEST

START_TEST(a_broken_answer_of_sts_is_an_error) {
  static const char *const kinds[] = {"garbage", "empty", "deep", "entities", "truncate"};
  struct aws_request request = client_request(&client);
  struct call call;
  char faults[256];

  snprintf(faults, sizeof(faults),
           "[{\"match\": {\"operation\": \"AssumeRole\"}, \"do\": {\"kind\": \"%s\", \"depth\": 5000}}]",
           kinds[_i]);
  fake_aws_tell(&fake, "POST", "faults", faults);
  client_use_keys(&client);
  client.options.assume_role = "isoq-reader";
  client_start(&client);
  request.account = "444400000001";
  client_call(&client, &request, &call);
  ck_assert_str_eq(call.error_name, "CredentialsError");
  ck_assert_ptr_nonnull(strstr(call.error_message, "not XML as STS writes it"));
  tells_no_secret(call.error_message);
  call_clear(&call);
}
END_TEST

START_TEST(a_role_name_that_is_none_is_refused_at_start) {
  char error[512];

  client_use_keys(&client);
  client.options.assume_role = "arn:aws:iam::1:role/x";
  client_start_fails(&client, error, sizeof(error));
  ck_assert_ptr_nonnull(strstr(error, "a name like isoq-reader (not an ARN)"));
}
END_TEST

/* ---- parsers ---- */

START_TEST(times_are_read_in_all_their_forms) {
  static const struct {
    const char *text;
    int64_t s;
  } cases[] = {{"1970-01-01T00:00:00Z", 0},
               {"2026-11-22T08:00:00Z", 1795334400},
               {"2026-11-22T08:00:00.123Z", 1795334400},
               {"2026-11-22T09:30:00+01:30", 1795334400},
               {"2026-11-22T07:00:00-01:00", 1795334400}};
  static const char *const wrong[] = {"",
                                      "tomorrow",
                                      "2026-11-22",
                                      "2026-11-22T08:00:00",
                                      "2026-11-22T08:00:00Zz",
                                      "2026-13-22T08:00:00Z",
                                      "1234567890"};
  int64_t s;

  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    ck_assert_int_eq(aws_time_parse(cases[i].text, &s), 0);
    ck_assert_int_eq(s, cases[i].s);
  }
  for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
    ck_assert_int_lt(aws_time_parse(wrong[i], &s), 0);
}
END_TEST

START_TEST(xml_finds_the_first_of_each_path_and_refuses_document_types) {
  static const char good[] =
      "<?xml version='1.0'?><R xmlns='u'><A><B>x<C>no</C>y&amp;&#233;</B></A><A><B>z</B></A></R>";
  static const char *const bad[] = {
      "",
      "<a>",
      "<a></b>",
      "text",
      "<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>",
      "<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a/></a></a></a></a></a></a></a></a>"
      "</a></a></a></a></a></a></a></a>"};
  struct aws_xml_want wants[] = {{.path = "A/B"}, {.path = "R/B"}};

  ck_assert_int_eq(aws_xml_find(good, sizeof(good) - 1, wants, 2), 0);
  ck_assert_str_eq(wants[0].text, "xy&\xc3\xa9");
  ck_assert_ptr_null(wants[1].text);
  aws_xml_free(wants, 2);
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
    ck_assert_int_eq(aws_xml_find(bad[i], strlen(bad[i]), wants, 2), -22);
    aws_xml_free(wants, 2);
  }
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

static void add_files(Suite *suite) {
  TCase *tests = add_case(suite, "environment and files");

  tcase_add_test(tests, keys_in_the_environment_sign);
  tcase_add_test(tests, a_session_token_is_sent_and_signed);
  tcase_add_test(tests, half_a_pair_in_the_environment_is_an_error_at_start);
  tcase_add_test(tests, keys_that_could_split_a_header_are_refused_and_not_repeated);
  tcase_add_test(tests, the_environment_wins_over_the_files);
  tcase_add_test(tests, the_default_profile_of_the_credentials_file_is_used);
  tcase_add_test(tests, the_files_are_found_below_home);
  tcase_add_test(tests, aws_profile_chooses_and_the_config_file_may_hold_keys);
  tcase_add_test(tests, the_credentials_file_wins_over_the_config_file);
  tcase_add_test(tests, a_profile_that_is_not_there_is_an_error_that_names_those_that_are);
  tcase_add_test(tests, a_broken_file_is_an_error_with_its_line_and_without_its_text);
  tcase_add_test(tests, a_pipe_in_place_of_a_file_does_not_block);
  tcase_add_test(tests, nested_settings_comments_and_merged_sections_are_read);
  tests = add_case(suite, "roles of profiles");
  tcase_add_test(tests, a_role_is_assumed_with_the_keys_of_its_source_profile);
  tcase_add_test(tests, a_role_may_be_assumed_with_a_role);
  tcase_add_test(tests, a_profile_may_be_its_own_source);
  tcase_add_test(tests, profiles_that_go_round_in_a_circle_are_an_error);
  tcase_add_loop_test(tests, incomplete_roles_are_errors_that_say_what_is_missing, 0, 8);
  tcase_add_test(tests, a_role_may_take_the_metadata_services_keys);
  tcase_add_test(tests, a_role_that_may_not_be_assumed_says_what_sts_said);
  tcase_add_test(tests, single_sign_on_is_refused_with_the_way_round);
}

static void add_sources(Suite *suite) {
  TCase *tests = add_case(suite, "process");

  tcase_add_test(tests, a_process_gives_keys);
  tcase_add_test(tests, a_process_runs_again_when_its_keys_expire);
  tcase_add_loop_test(tests, a_process_that_fails_says_how_and_nothing_that_it_printed, 0, 11);
  tcase_add_test(tests, a_process_that_hangs_is_killed_with_its_children);
  tcase_add_test(tests, a_process_inherits_no_descriptor_and_no_blocked_signal);
  tcase_add_test(tests, words_are_split_as_a_shell_would);
  tests = add_case(suite, "web identity");
  tcase_add_test(tests, a_web_identity_token_is_exchanged_without_a_signature);
  tcase_add_test(tests, a_web_identity_token_in_a_profile_works_too);
  tcase_add_test(tests, the_token_file_is_read_again_at_each_refresh);
  tcase_add_loop_test(tests, a_token_file_that_is_none_says_so, 0, 2);
  tcase_add_test(tests, a_pipe_as_token_file_does_not_block);
  tcase_add_test(tests, a_web_identity_without_a_role_is_an_error_at_start);
  tests = add_case(suite, "container");
  tcase_add_test(tests, the_container_endpoint_gives_keys);
  tcase_add_loop_test(tests, the_container_endpoint_gets_its_token, 0, 2);
  tcase_add_test(tests, a_wrong_token_for_the_container_endpoint_is_not_tried_again);
  tcase_add_test(tests, a_failing_container_endpoint_is_tried_three_times);
  tcase_add_loop_test(tests, the_container_endpoint_must_be_local_or_have_tls, 0, 16);
  tcase_add_test(tests, a_relative_uri_is_asked_at_169_254_170_2);
  tests = add_case(suite, "metadata");
  tcase_add_test(tests, the_metadata_service_gives_keys_by_its_second_version);
  tcase_add_loop_test(tests, the_region_comes_from_the_metadata_when_none_is_configured, 0, 2);
  tcase_add_test(tests, a_machine_without_a_role_says_so);
  tcase_add_test(tests, a_refused_token_never_leads_to_the_first_version);
  tcase_add_test(tests, a_token_that_does_not_come_is_waited_for_as_long_and_as_often_as_configured);
  tcase_add_test(tests, a_metadata_service_that_is_switched_off_is_not_asked);
  tcase_add_loop_test(tests, a_metadata_service_that_fails_for_a_moment_is_asked_again, 0, 9);
  tcase_add_test(tests, a_metadata_service_that_stays_broken_is_asked_three_times);
  tcase_add_loop_test(tests, garbage_from_the_metadata_service_is_an_error, 0, 5);
  tcase_add_test(tests, no_proxy_is_used_for_metadata);
  tcase_add_test(tests, without_credentials_the_error_names_each_source_that_was_tried);
}

static void add_cache(Suite *suite) {
  TCase *tests = add_case(suite, "cache");

  tcase_add_test(tests, many_calls_at_once_fetch_once);
  tcase_add_test(tests, who_comes_during_a_fetch_waits_for_it);
  tcase_add_test(tests, keys_are_refreshed_before_they_expire_while_the_old_ones_serve);
  tcase_add_test(tests, a_failed_refresh_keeps_the_old_keys_until_they_expire);
  tcase_add_test(tests, keys_that_aws_calls_expired_are_fetched_anew_once);
  tcase_add_test(tests, static_keys_that_have_expired_are_not_tried_again);
  tests = add_case(suite, "other accounts");
  tcase_add_test(tests, a_role_is_assumed_in_another_account_and_kept);
  tcase_add_test(tests, another_account_without_a_role_to_assume_is_an_error);
  tcase_add_test(tests, an_answer_names_the_own_account_where_that_is_wanted);
  tcase_add_test(tests, nobody_asks_for_the_own_account_where_it_is_not_wanted);
  tcase_add_loop_test(tests, an_own_account_that_sts_does_not_tell_fails_and_holds_up_nothing, 0, 3);
  tcase_add_test(tests, a_role_that_is_missing_in_one_account_fails_only_there);
  tcase_add_test(tests, roles_of_ever_more_accounts_do_not_pile_up);
  tcase_add_loop_test(tests, the_role_has_the_arn_of_the_regions_partition, 0, 3);
  tcase_add_loop_test(tests, a_broken_answer_of_sts_is_an_error, 0, 5);
  tcase_add_test(tests, a_role_name_that_is_none_is_refused_at_start);
  tests = add_case(suite, "parsers");
  tcase_add_test(tests, times_are_read_in_all_their_forms);
  tcase_add_test(tests, xml_finds_the_first_of_each_path_and_refuses_document_types);
}

int main(void) {
  Suite *suite = suite_create("credentials");
  SRunner *runner = srunner_create(suite);
  int failed;

  add_files(suite);
  add_sources(suite);
  add_cache(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? 0 : 1;
}
