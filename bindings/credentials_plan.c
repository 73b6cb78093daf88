/*
 * Which source it is to be: the first that is configured, in the order environment, shared files, web
 * identity, container, instance metadata. One that is configured and then fails is not passed over: the job
 * would run as somebody else. Each that is passed over leaves a clause in `tried`, for the error of the last.
 *
 * "Standardized credential providers" and its pages in the AWS SDKs and Tools Reference Guide: "AWS access
 * keys", "Assume role credential provider" (source_profile, credential_source, web identity), "Process
 * credential provider", "Container credential provider" (which hosts may be asked without TLS), "IMDS
 * credential provider".
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bindings/aws_settings.h"
#include "bindings/credentials_internal.h"
#include "bindings/profile.h"

#define TRIED_MAX 900
#define CHAIN_MAX 8 /* profiles one after another */
#define SESSION_NAME "isoq"
#define CONTAINER_HOST "http://169.254.170.2"

struct plan {
  const struct credentials_context *context;
  const struct aws_settings *settings;
  char tried[TRIED_MAX];
  const char *chain[CHAIN_MAX];
  size_t chain_len;
  char *error;
  size_t error_size;
};

static void __attribute__((format(printf, 2, 3))) add_tried(struct plan *plan, const char *format, ...) {
  size_t len = strlen(plan->tried);
  va_list values;

  if (len > 0) len += (size_t)snprintf(plan->tried + len, sizeof(plan->tried) - len, "; ");
  if (len >= sizeof(plan->tried)) return;
  va_start(values, format);
  vsnprintf(plan->tried + len, sizeof(plan->tried) - len, format, values);
  va_end(values);
}

static int __attribute__((format(printf, 2, 3))) wrong(struct plan *plan, const char *format, ...) {
  va_list values;

  va_start(values, format);
  vsnprintf(plan->error, plan->error_size, format, values);
  va_end(values);
  return -EINVAL;
}

static const char *variable(const struct plan *plan, const char *name) {
  return aws_settings_variable(plan->settings, name);
}

static struct credentials *make(struct plan *plan, enum credentials_source source, const char *label) {
  return credentials_make(plan->context, source, plan->tried, label);
}

/* All that can fail in filling an identity in is memory. */
static int finish(struct credentials *credentials, bool filled, struct credentials **out) {
  if (credentials == NULL || !filled) {
    credentials_free(credentials);
    return -ENOMEM;
  }
  *out = credentials;
  return 1;
}

static bool copy(char **out, const char *text) {
  *out = text != NULL ? strdup(text) : NULL;
  return text == NULL || *out != NULL;
}

/* Each plan_...() below gives 1 and an identity, 0 when the source is not configured (and adds to
 * `tried`), -ENOMEM, or -EINVAL. */

static int plan_keys(struct plan *plan, const char *label, const char *id, const char *secret,
                     const char *token, struct credentials **out) {
  struct credentials *credentials = make(plan, SOURCE_STATIC, label);
  int r;

  if (credentials == NULL) return -ENOMEM;
  r = aws_keys_set(&credentials->keys, id, secret, token, AWS_KEYS_NEVER);
  credentials->refresh_at_s = AWS_KEYS_NEVER;
  if (r < 0) credentials_free(credentials);
  if (r == -EINVAL)
    return wrong(plan,
                 "%s: the access key, its secret or the session token is not printable ASCII without blanks",
                 label);
  if (r < 0) return r;
  *out = credentials;
  return 1;
}

static int plan_environment(struct plan *plan, struct credentials **out) {
  const char *id = variable(plan, "AWS_ACCESS_KEY_ID"), *secret = variable(plan, "AWS_SECRET_ACCESS_KEY");

  if (id == NULL && secret == NULL) {
    add_tried(plan, "environment: AWS_ACCESS_KEY_ID is not set");
    return 0;
  }
  if (id == NULL || secret == NULL)
    return wrong(plan, "environment: %s is set, but %s is not; it takes both",
                 id != NULL ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY",
                 id != NULL ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID");
  return plan_keys(plan, "environment", id, secret, variable(plan, "AWS_SESSION_TOKEN"), out);
}

static int plan_web_identity(struct plan *plan, const char *label, const char *token_file,
                             const char *role_arn, const char *session_name, struct credentials **out) {
  struct credentials *credentials = make(plan, SOURCE_WEB_IDENTITY, label);

  return finish(credentials,
                credentials != NULL && copy(&credentials->path, token_file) &&
                    copy(&credentials->role_arn, role_arn) &&
                    copy(&credentials->session_name, session_name != NULL ? session_name : SESSION_NAME),
                out);
}

static int plan_web_identity_environment(struct plan *plan, struct credentials **out) {
  const char *token_file = variable(plan, "AWS_WEB_IDENTITY_TOKEN_FILE"),
             *role_arn = variable(plan, "AWS_ROLE_ARN");

  if (token_file == NULL) {
    add_tried(plan, "web identity: AWS_WEB_IDENTITY_TOKEN_FILE is not set");
    return 0;
  }
  if (role_arn == NULL)
    return wrong(plan,
                 "web identity: AWS_WEB_IDENTITY_TOKEN_FILE is set, but AWS_ROLE_ARN is not; it takes both");
  return plan_web_identity(plan, "web identity", token_file, role_arn,
                           variable(plan, "AWS_ROLE_SESSION_NAME"), out);
}

/* ---- the container endpoint ---- */

static bool host_is(const char *url, const char *host) {
  const size_t len = strlen(host);

  return strncasecmp(url + 7, host, len) == 0 && strchr("/:", url[7 + len]) != NULL;
}

/* Without TLS only this machine and the link-local addresses of ECS and EKS. */
static bool container_url_is_allowed(const char *url) {
  static const char *const hosts[] = {"localhost", "[::1]", "169.254.170.2", "169.254.170.23",
                                      "[fd00:ec2::23]"};
  char address[INET_ADDRSTRLEN];
  struct in_addr parsed;
  size_t len;

  if (strncmp(url, "https://", 8) == 0) return true;
  for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
    if (host_is(url, hosts[i])) return true;
  len = strcspn(url + 7, "/:");
  if (len >= sizeof(address)) return false;
  memcpy(address, url + 7, len);
  address[len] = '\0';
  return inet_pton(AF_INET, address, &parsed) == 1 && (ntohl(parsed.s_addr) >> 24) == 127;
}

/* A path of AWS' own may have a query. */
static bool container_url_is_plain(const char *url) {
  char host[512];
  const char *query = strchr(url, '?');
  const size_t len = query != NULL ? (size_t)(query - url) : strlen(url);

  if (len >= sizeof(host) || strlen(url) > 1024) return false;
  for (const char *c = url; *c != '\0'; c++)
    if (*c <= ' ' || *c > '~' || *c == '#') return false;
  memcpy(host, url, len);
  host[len] = '\0';
  return aws_url_is_plain(host);
}

static int plan_container(struct plan *plan, struct credentials **out) {
  const char *relative = variable(plan, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
             *full = variable(plan, "AWS_CONTAINER_CREDENTIALS_FULL_URI"),
             *file = variable(plan, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"), *token = NULL;
  struct credentials *credentials;
  char url[1100], label[1200];

  if (relative == NULL && full == NULL) {
    add_tried(plan,
              "container endpoint: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and ..._FULL_URI are not set");
    return 0;
  }
  if (relative != NULL && relative[0] != '/')
    return wrong(plan, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: a path that begins with '/', not '%.64s'",
                 relative);
  snprintf(url, sizeof(url), "%s%.1030s", relative != NULL ? CONTAINER_HOST : "",
           relative != NULL ? relative : full);
  if (!container_url_is_plain(url))
    return wrong(plan, "%s: a URL like http://169.254.170.23/v1/credentials, not '%.64s'",
                 relative != NULL ? "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
                                  : "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                 url);
  if (!container_url_is_allowed(url))
    return wrong(plan,
                 "AWS_CONTAINER_CREDENTIALS_FULL_URI: without TLS only a loopback address, 169.254.170.2, "
                 "169.254.170.23 or [fd00:ec2::23] may be asked, not '%.64s'",
                 url);
  if (file == NULL) token = variable(plan, "AWS_CONTAINER_AUTHORIZATION_TOKEN");
  snprintf(label, sizeof(label), "container endpoint %.*s", (int)strcspn(url, "?"), url);
  credentials = make(plan, SOURCE_CONTAINER, label);
  return finish(credentials,
                credentials != NULL && copy(&credentials->url, url) && copy(&credentials->path, file) &&
                    copy(&credentials->authorization, token),
                out);
}

static int plan_metadata(struct plan *plan, struct credentials **out) {
  const bool disabled = plan->settings->imds_disabled;
  struct credentials *credentials = make(plan, disabled ? SOURCE_NONE : SOURCE_METADATA, "instance metadata");

  return finish(credentials,
                credentials != NULL &&
                    copy(&credentials->why_not, disabled ? "AWS_EC2_METADATA_DISABLED is true" : NULL),
                out);
}

/* ---- profiles ---- */

static int plan_profile(struct plan *plan, const char *name, struct credentials **out);

static const char *setting(const struct plan *plan, const char *profile, const char *key) {
  const char *value = profiles_get(plan->settings->profiles, "profile", profile, NULL, key);

  return value != NULL && value[0] != '\0' ? value : NULL;
}

static int plan_profile_keys(struct plan *plan, const char *name, struct credentials **out) {
  const char *id = setting(plan, name, "aws_access_key_id"),
             *secret = setting(plan, name, "aws_secret_access_key");
  char label[160];

  if (id == NULL && secret == NULL) return 0;
  if (id == NULL || secret == NULL)
    return wrong(plan, "profile %s: %s is there, but %s is not; it takes both", name,
                 id != NULL ? "aws_access_key_id" : "aws_secret_access_key",
                 id != NULL ? "aws_secret_access_key" : "aws_access_key_id");
  snprintf(label, sizeof(label), "profile %.128s", name);
  return plan_keys(plan, label, id, secret, setting(plan, name, "aws_session_token"), out);
}

static int plan_credential_source(struct plan *plan, const char *name, const char *source,
                                  struct credentials **out) {
  const size_t tried_before = strlen(plan->tried);
  int r;

  if (strcmp(source, "Environment") == 0)
    r = plan_environment(plan, out);
  else if (strcmp(source, "EcsContainer") == 0)
    r = plan_container(plan, out);
  else if (strcmp(source, "Ec2InstanceMetadata") == 0)
    r = plan_metadata(plan, out);
  else
    return wrong(
        plan, "profile %s, credential_source: Environment, EcsContainer or Ec2InstanceMetadata, not '%.64s'",
        name, source);
  if (r == 0)
    return wrong(plan, "profile %s, credential_source %s%s", name, source, plan->tried + tried_before);
  return r;
}

/* Whose keys the role of profile `name` is assumed with. */
static int plan_role_from(struct plan *plan, const char *name, struct credentials **out) {
  const char *profile = setting(plan, name, "source_profile"),
             *source = setting(plan, name, "credential_source");
  int r;

  if (profile != NULL && source != NULL)
    return wrong(plan, "profile %s: source_profile or credential_source, not both", name);
  if (source != NULL) return plan_credential_source(plan, name, source, out);
  if (profile == NULL)
    return wrong(plan,
                 "profile %s: role_arn takes source_profile, credential_source or web_identity_token_file",
                 name);
  if (!profiles_has(plan->settings->profiles, "profile", profile))
    return wrong(plan, "profile %s, source_profile: there is no profile '%.64s'", name, profile);
  r = strcmp(profile, name) == 0 ? plan_profile_keys(plan, name, out) : plan_profile(plan, profile, out);
  if (r == 0)
    return wrong(plan, "profile %s, source_profile: there are no credentials in profile '%.64s'", name,
                 profile);
  return r;
}

static int plan_role(struct plan *plan, const char *name, const char *role_arn, struct credentials **out) {
  const char *token_file = setting(plan, name, "web_identity_token_file"),
             *session_name = setting(plan, name, "role_session_name");
  struct credentials *credentials, *from = NULL;
  char label[160];
  int r;

  snprintf(label, sizeof(label), "profile %.128s", name);
  if (token_file != NULL) return plan_web_identity(plan, label, token_file, role_arn, session_name, out);
  if (setting(plan, name, "mfa_serial") != NULL)
    return wrong(plan, "profile %s, mfa_serial: nobody is there to type a code; use a role without it", name);
  r = plan_role_from(plan, name, &from);
  if (r < 0) return r;
  credentials = make(plan, SOURCE_ROLE, label);
  if (credentials == NULL) {
    credentials_free(from);
    return -ENOMEM;
  }
  credentials->from = from;
  credentials->owns_from = true;
  return finish(credentials,
                copy(&credentials->role_arn, role_arn) &&
                    copy(&credentials->session_name, session_name != NULL ? session_name : SESSION_NAME) &&
                    copy(&credentials->external_id, setting(plan, name, "external_id")) &&
                    copy(&credentials->duration_s, setting(plan, name, "duration_seconds")) &&
                    copy(&credentials->sts_region, setting(plan, name, "region")),
                out);
}

/* Single sign-on needs a browser, and a cache of tokens that other tools renew. */
static int plan_without_sso(struct plan *plan, const char *name, struct credentials **out) {
  char label[160], why[320];
  struct credentials *credentials;

  snprintf(label, sizeof(label), "profile %.128s", name);
  snprintf(why, sizeof(why),
           "single sign-on (sso_session, sso_start_url) is not supported; let AWS' own tool do it, in "
           "another profile: "
           "credential_process = aws configure export-credentials --profile %.64s",
           name);
  credentials = make(plan, SOURCE_NONE, label);
  return finish(credentials, credentials != NULL && copy(&credentials->why_not, why), out);
}

static int plan_profile_sources(struct plan *plan, const char *name, struct credentials **out) {
  const char *role_arn = setting(plan, name, "role_arn"),
             *command = setting(plan, name, "credential_process");
  struct credentials *credentials;
  char label[160];
  int r;

  if (role_arn != NULL) return plan_role(plan, name, role_arn, out);
  r = plan_profile_keys(plan, name, out);
  if (r != 0) return r;
  if (command != NULL) {
    snprintf(label, sizeof(label), "profile %.128s, credential_process", name);
    credentials = make(plan, SOURCE_PROCESS, label);
    return finish(credentials, credentials != NULL && copy(&credentials->command, command), out);
  }
  if (setting(plan, name, "sso_session") != NULL || setting(plan, name, "sso_start_url") != NULL)
    return plan_without_sso(plan, name, out);
  return 0;
}

static int plan_profile(struct plan *plan, const char *name, struct credentials **out) {
  int r;

  for (size_t i = 0; i < plan->chain_len; i++)
    if (strcmp(plan->chain[i], name) == 0)
      return wrong(plan, "profile %s, source_profile: goes round in a circle, back to '%.64s'",
                   plan->chain[plan->chain_len - 1], name);
  if (plan->chain_len == CHAIN_MAX)
    return wrong(plan, "profile %s: more than %d profiles one after another", plan->chain[0], CHAIN_MAX);
  plan->chain[plan->chain_len++] = name;
  r = plan_profile_sources(plan, name, out);
  plan->chain_len--;
  return r;
}

static int plan_files(struct plan *plan, struct credentials **out) {
  const char *name = plan->settings->profile, *note = plan->settings->files_note;
  int r = plan_profile(plan, name, out);

  if (r != 0) return r;
  if (profiles_has(plan->settings->profiles, "profile", name))
    add_tried(plan, "profile %.64s: no credentials in it%s%.256s", name, note[0] != '\0' ? ", and " : "",
              note);
  else
    add_tried(plan, "profile %.64s: %.256s", name, note[0] != '\0' ? note : "not in the files");
  return 0;
}

/* ---- all of them ---- */

int credentials_own(const struct credentials_context *context, struct credentials **out, char *error,
                    size_t error_size) {
  static int (*const sources[])(struct plan *, struct credentials **) = {
      plan_environment, plan_files, plan_web_identity_environment, plan_container, plan_metadata};
  struct plan plan = {
      .context = context, .settings = context->settings, .error = error, .error_size = error_size};
  int r = 0;

  for (size_t i = 0; r == 0 && i < sizeof(sources) / sizeof(sources[0]); i++)
    r = sources[i](&plan, out);
  return r < 0 ? r : 0; /* the last one is always there */
}

int credentials_role(const struct credentials_context *context, struct credentials *from,
                     const char *role_arn, const char *region, struct credentials **out) {
  struct credentials *credentials = credentials_make(context, SOURCE_ROLE, "", "role");

  if (credentials != NULL) credentials->from = from;
  return finish(credentials,
                credentials != NULL && copy(&credentials->role_arn, role_arn) &&
                    copy(&credentials->session_name, SESSION_NAME) && copy(&credentials->sts_region, region),
                out) < 0
             ? -ENOMEM
             : 0;
}
