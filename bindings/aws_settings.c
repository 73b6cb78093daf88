/*
 * Names, defaults and precedence as in the AWS SDKs and Tools Reference Guide: "AWS Region", "Service-
 * specific endpoints", "Dual-stack and FIPS endpoints", "General configuration" (AWS_CA_BUNDLE), "Retry
 * behavior", "IMDS credential provider". The environment wins over the files, and what is wrong in either is
 * an error. Retries are those of the standard mode whatever AWS_RETRY_MODE says; there are no dual-stack
 * endpoints.
 */
#include "bindings/aws_settings.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "bindings/aws_keys.h"
#include "bindings/endpoint.h"
#include "bindings/profile.h"

#define MAX_ATTEMPTS 3 /* "Retry behavior": of the standard mode */
#define MAX_ATTEMPTS_MAX 20
#define IMDS_ENDPOINT "http://169.254.169.254"
#define IMDS_ENDPOINT_6 "http://[fd00:ec2::254]"

struct error {
  char *text;
  size_t size;
};

/* A value and where it was found. */
struct found {
  const char *value; /* NULL: nowhere */
  char where[192];
};

const char *aws_settings_variable(const struct aws_settings *settings, const char *name) {
  const size_t len = strlen(name);

  for (char **variable = settings->environment; *variable != NULL; variable++)
    if (strncmp(*variable, name, len) == 0 && (*variable)[len] == '=')
      return (*variable)[len + 1] != '\0' ? *variable + len + 1 : NULL;
  return NULL;
}

/* The variable, else the setting of the profile. Either may be NULL. */
static struct found look_up(const struct aws_settings *settings, const char *variable, const char *key) {
  struct found found = {0};

  if (variable != NULL) found.value = aws_settings_variable(settings, variable);
  if (found.value != NULL) {
    snprintf(found.where, sizeof(found.where), "%s", variable);
    return found;
  }
  if (key != NULL) found.value = profiles_get(settings->profiles, "profile", settings->profile, NULL, key);
  if (found.value != NULL && found.value[0] == '\0') found.value = NULL;
  if (found.value != NULL)
    snprintf(found.where, sizeof(found.where), "profile %s, %s", settings->profile, key);
  return found;
}

static int wrong(const struct error *error, const struct found *found, const char *what) {
  snprintf(error->text, error->size, "%s: %s, not '%.64s'", found->where, what, found->value);
  return -EINVAL;
}

static int take_text(const struct found *found, char **out) {
  if (found->value == NULL) return 0;
  *out = strdup(found->value);
  return *out != NULL ? 0 : -ENOMEM;
}

static int take_flag(const struct found *found, const struct error *error, bool *out) {
  if (found->value == NULL || strcasecmp(found->value, "false") == 0) return 0;
  if (strcasecmp(found->value, "true") != 0) return wrong(error, found, "true or false");
  *out = true;
  return 0;
}

static int take_number(const struct found *found, uint32_t least, uint32_t most, const struct error *error,
                       uint32_t *out) {
  char what[64], *end;
  unsigned long number;

  if (found->value == NULL) return 0;
  snprintf(what, sizeof(what), "a number from %u to %u", (unsigned)least, (unsigned)most);
  errno = 0;
  number = strtoul(found->value, &end, 10);
  if (!isdigit((unsigned char)found->value[0]) || *end != '\0' || errno != 0 || number < least ||
      number > most)
    return wrong(error, found, what);
  *out = (uint32_t)number;
  return 0;
}

bool aws_url_is_plain(const char *url) {
  const char *host;

  if (strncmp(url, "http://", 7) == 0)
    host = url + 7;
  else if (strncmp(url, "https://", 8) == 0)
    host = url + 8;
  else
    return false;
  if (!isalnum((unsigned char)*host) && *host != '[') return false;
  for (const char *c = host; *c != '\0'; c++)
    if (*c <= ' ' || *c > '~' || strchr("@?#\\\"<>", *c) != NULL) return false;
  return strlen(url) < 512;
}

static int take_url(const struct found *found, const struct error *error, char **out) {
  size_t len;

  if (found->value == NULL) return 0;
  if (!aws_url_is_plain(found->value)) return wrong(error, found, "a URL like https://host:port");
  len = strlen(found->value);
  while (found->value[len - 1] == '/')
    len--;
  free(*out);
  *out = strndup(found->value, len);
  return *out != NULL ? 0 : -ENOMEM;
}

/* ---- the files ---- */

static void add_note(struct aws_settings *settings, const char *text) {
  char *longer = NULL;
  const int len =
      asprintf(&longer, "%s%s%s", settings->files_note, settings->files_note[0] != '\0' ? "; " : "", text);

  if (len < 0) return; /* a note is no reason to fail */
  free(settings->files_note);
  settings->files_note = longer;
}

/* `shown`: the path in messages; the default one without the name of the user. */
static int file_path(const struct aws_settings *settings, const char *variable, const char *name, char **path,
                     char **shown) {
  const char *home = aws_settings_variable(settings, "HOME"),
             *given = aws_settings_variable(settings, variable);
  int r = 0;

  if (given == NULL) {
    r = asprintf(shown, "~/.aws/%s", name);
    if (r >= 0 && home != NULL) r = asprintf(path, "%s/.aws/%s", home, name);
  } else {
    r = asprintf(shown, "%s", given);
    if (r >= 0)
      r = given[0] == '~' && given[1] == '/' && home != NULL ? asprintf(path, "%s%s", home, given + 1)
                                                             : asprintf(path, "%s", given);
  }
  return r < 0 ? -ENOMEM : 0;
}

static int read_file(struct aws_settings *settings, enum profiles_file which, const char *variable,
                     const char *name, const struct error *error) {
  char *path = NULL, *shown = NULL, note[512];
  int r = file_path(settings, variable, name, &path, &shown);

  if (r < 0) goto out;
  if (path == NULL) {
    snprintf(note, sizeof(note), "%s: HOME is not set", shown);
    add_note(settings, note);
    goto out;
  }
  error->text[0] = '\0';
  r = profiles_read(settings->profiles, which, path, error->text, error->size);
  if (r == 0 || r == -ENOMEM || error->text[0] != '\0') goto out;
  if (r == -EFBIG || r == -EINVAL) {
    snprintf(error->text, error->size, "%s: %s", path,
             r == -EFBIG ? "more than 1 MiB: is it the right file?" : "this is not a file");
    r = -EINVAL;
    goto out;
  }
  if (r == -ENOENT || r == -ENOTDIR)
    snprintf(note, sizeof(note), "%s does not exist", shown);
  else
    snprintf(note, sizeof(note), "%s cannot be read: %s", shown, strerror(-r));
  add_note(settings, note);
  r = 0;

out:
  free(path);
  free(shown);
  return r;
}

static int read_files(struct aws_settings *settings, const struct error *error) {
  const char *profile = aws_settings_variable(settings, "AWS_PROFILE");
  char names[256];
  int r;

  settings->profile = strdup(profile != NULL ? profile : "default");
  settings->files_note = strdup("");
  if (settings->profile == NULL || settings->files_note == NULL) return -ENOMEM;
  r = read_file(settings, PROFILES_CREDENTIALS, "AWS_SHARED_CREDENTIALS_FILE", "credentials", error);
  if (r == 0) r = read_file(settings, PROFILES_CONFIG, "AWS_CONFIG_FILE", "config", error);
  if (r < 0 || profile == NULL || profiles_has(settings->profiles, "profile", profile)) return r;
  profiles_names(settings->profiles, names, sizeof(names));
  snprintf(error->text, error->size,
           "AWS_PROFILE: there is no profile '%.64s' in the AWS config files%s%s%s%s%s", profile,
           names[0] != '\0' ? ", only " : "", names, settings->files_note[0] != '\0' ? " (" : "",
           settings->files_note, settings->files_note[0] != '\0' ? ")" : "");
  return -EINVAL;
}

/* ---- settings ---- */

static int take_region(struct aws_settings *settings, const struct error *error) {
  struct found found = look_up(settings, "AWS_REGION", NULL);

  if (found.value == NULL) found = look_up(settings, "AWS_DEFAULT_REGION", "region");
  if (found.value != NULL && !endpoint_region_is_valid(found.value))
    return wrong(error, &found, "a region like eu-central-1");
  return take_text(&found, &settings->region);
}

/* From the weakest to the strongest. */
static int take_endpoints(struct aws_settings *settings, const struct error *error) {
  const struct found ignored =
      look_up(settings, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "ignore_configured_endpoint_urls");
  const char *services = profiles_get(settings->profiles, "profile", settings->profile, NULL, "services");
  bool ignore = false;
  int r = take_flag(&ignored, error, &ignore);

  for (unsigned i = 0; r == 0 && !ignore && i < AWS_SERVICE_COUNT; i++) {
    const char *id = endpoint_service((enum aws_service)i)->settings_id;
    char variable[64];
    struct found found = look_up(settings, NULL, "endpoint_url");

    snprintf(variable, sizeof(variable), "AWS_ENDPOINT_URL_%s", id);
    r = take_url(&found, error, &settings->endpoints[i]);
    found = (struct found){0};
    if (services != NULL)
      found.value = profiles_get(settings->profiles, "services", services, id, "endpoint_url");
    snprintf(found.where, sizeof(found.where), "[services %.64s], %s, endpoint_url",
             services != NULL ? services : "", id);
    if (r == 0) r = take_url(&found, error, &settings->endpoints[i]);
    found = look_up(settings, "AWS_ENDPOINT_URL", NULL);
    if (r == 0) r = take_url(&found, error, &settings->endpoints[i]);
    found = look_up(settings, variable, NULL);
    if (r == 0) r = take_url(&found, error, &settings->endpoints[i]);
  }
  return r;
}

/* A missing bundle would fail every request, one by one, and say little. */
static int take_ca_bundle(struct aws_settings *settings, const struct error *error) {
  const struct found found = look_up(settings, "AWS_CA_BUNDLE", "ca_bundle");

  if (found.value != NULL && access(found.value, R_OK) < 0) {
    snprintf(error->text, error->size,
             "%s: '%.200s' cannot be read: %s; it must be a file of certificates (PEM)", found.where,
             found.value, strerror(errno));
    return -EINVAL;
  }
  return take_text(&found, &settings->ca_bundle);
}

static int take_metadata(struct aws_settings *settings, const struct error *error) {
  const struct found disabled = look_up(settings, "AWS_EC2_METADATA_DISABLED", NULL);
  struct found found =
      look_up(settings, "AWS_EC2_METADATA_SERVICE_ENDPOINT", "ec2_metadata_service_endpoint");
  uint32_t timeout_s = 1;
  int r = take_flag(&disabled, error, &settings->imds_disabled);

  if (r == 0) r = take_url(&found, error, &settings->imds_endpoint);
  if (r == 0 && settings->imds_endpoint == NULL) {
    bool six;

    found = look_up(settings, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "ec2_metadata_service_endpoint_mode");
    six = found.value != NULL && strcasecmp(found.value, "IPv6") == 0;
    if (found.value != NULL && !six && strcasecmp(found.value, "IPv4") != 0)
      return wrong(error, &found, "IPv4 or IPv6");
    settings->imds_endpoint = strdup(six ? IMDS_ENDPOINT_6 : IMDS_ENDPOINT);
    if (settings->imds_endpoint == NULL) return -ENOMEM;
  }
  found = look_up(settings, "AWS_METADATA_SERVICE_TIMEOUT", "metadata_service_timeout");
  if (r == 0) r = take_number(&found, 1, 60, error, &timeout_s);
  settings->imds_timeout_ms = timeout_s * 1000;
  settings->imds_attempts = 1;
  found = look_up(settings, "AWS_METADATA_SERVICE_NUM_ATTEMPTS", "metadata_service_num_attempts");
  if (r == 0) r = take_number(&found, 1, 10, error, &settings->imds_attempts);
  return r;
}

static int take_settings(struct aws_settings *settings, const struct error *error) {
  const struct found attempts = look_up(settings, "AWS_MAX_ATTEMPTS", "max_attempts"),
                     fips = look_up(settings, "AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint");
  int r = take_region(settings, error);

  settings->max_attempts = MAX_ATTEMPTS;
  if (r == 0) r = take_number(&attempts, 1, MAX_ATTEMPTS_MAX, error, &settings->max_attempts);
  if (r == 0) r = take_flag(&fips, error, &settings->fips);
  if (r == 0) r = take_endpoints(settings, error);
  if (r == 0) r = take_ca_bundle(settings, error);
  if (r == 0) r = take_metadata(settings, error);
  return r;
}

/* ---- life ---- */

static char **copy_environment(char *const *environment) {
  size_t count = 0;
  char **copy;

  while (environment != NULL && environment[count] != NULL)
    count++;
  copy = calloc(count + 1, sizeof(*copy));
  for (size_t i = 0; copy != NULL && i < count; i++) {
    copy[i] = strdup(environment[i]);
    if (copy[i] != NULL) continue;
    for (size_t j = 0; j < i; j++)
      aws_wipe(copy[j]);
    free(copy);
    copy = NULL;
  }
  return copy;
}

int aws_settings_new(char *const *environment, struct aws_settings **out, char *error, size_t error_size) {
  struct aws_settings *settings = calloc(1, sizeof(*settings));
  const struct error place = {error, error_size};
  int r = -ENOMEM;

  if (settings == NULL) return -ENOMEM;
  settings->environment = copy_environment(environment);
  if (settings->environment != NULL) r = profiles_new(&settings->profiles);
  if (r == 0) r = read_files(settings, &place);
  if (r == 0) r = take_settings(settings, &place);
  if (r < 0) {
    aws_settings_free(settings);
    return r;
  }
  *out = settings;
  return 0;
}

void aws_settings_free(struct aws_settings *settings) {
  if (settings == NULL) return;
  for (char **variable = settings->environment; variable != NULL && *variable != NULL; variable++)
    aws_wipe(*variable);
  free(settings->environment);
  profiles_free(settings->profiles);
  free(settings->profile);
  free(settings->files_note);
  free(settings->region);
  free(settings->ca_bundle);
  for (unsigned i = 0; i < AWS_SERVICE_COUNT; i++)
    free(settings->endpoints[i]);
  free(settings->imds_endpoint);
  free(settings);
}
