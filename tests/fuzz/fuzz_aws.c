/*
 * What comes from AWS, from local endpoints and processes, and from files: any bytes are refused with a
 * message, or taken. The first byte chooses the parser.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bindings/aws_error.h"
#include "bindings/aws_keys.h"
#include "bindings/aws_settings.h"
#include "bindings/aws_xml.h"
#include "bindings/endpoint.h"
#include "bindings/process.h"
#include "bindings/profile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition) {
  if (!condition) abort();
}

static bool is_printable(const char *text) {
  while (*text > ' ' && *text <= '~')
    text++;
  return *text == '\0';
}

/* As libcurl would hand it over: the headers' values are printable already. */
static void fuzz_error(const char *text, size_t len, enum aws_error_format format) {
  const struct http_answer answer = {.end = HTTP_ANSWERED,
                                     .status = 400,
                                     .body = text,
                                     .body_len = len,
                                     .request_id = "",
                                     .error_type = "",
                                     .retry_after = "",
                                     .amz_retry_after = "",
                                     .date = "Sun, 22 Nov 2026 08:00:00 GMT",
                                     .error = ""};
  struct aws_error error;

  aws_error_read(&answer, format, &error);
  require(error.name[0] != '\0' && is_printable(error.name) && strlen(error.name) < AWS_ERROR_NAME_MAX);
  require(error.message[0] != '\0' && strlen(error.message) < AWS_ERROR_MESSAGE_MAX);
  require(strlen(error.request_id) < AWS_REQUEST_ID_MAX && error.status == 400);
  if (len > 20) {
    char secret[21];

    memcpy(secret, text + len / 2 - 10, 20);
    secret[20] = '\0';
    aws_error_redact(&error, secret);
    require(strlen(secret) < 20 || strchr(secret, '*') != NULL || strstr(error.message, secret) == NULL);
  }
}

static void check_keys(int r, struct aws_keys *keys, const char *error) {
  require(r == 0 || (r == -22 && error[0] != '\0') || r == -12);
  if (r < 0) return;
  require(keys->access_key_id[0] != '\0' && is_printable(keys->access_key_id));
  require(keys->secret[0] != '\0' && is_printable(keys->secret));
  require(keys->token == NULL || (keys->token[0] != '\0' && is_printable(keys->token)));
  aws_keys_clear(keys);
}

static void fuzz_keys(const char *text, size_t len, int form) {
  struct aws_keys keys;
  char error[160] = "";

  if (form == 2)
    check_keys(aws_keys_from_sts(text, len, &keys, error, sizeof(error)), &keys, error);
  else
    check_keys(aws_keys_from_json(text, len, form == 0 ? AWS_KEYS_ENDPOINT : AWS_KEYS_PROCESS, &keys, error,
                                  sizeof(error)),
               &keys, error);
}

static void fuzz_profiles(const char *text, size_t len, enum profiles_file which) {
  struct profiles *profiles;
  char error[256] = "", names[64];
  int r;

  require(profiles_new(&profiles) == 0);
  r = profiles_parse(profiles, which, "file", text, len, error, sizeof(error));
  require(r == 0 ? error[0] == '\0' : strncmp(error, "file, line ", 11) == 0);
  /* The other one over it. */
  profiles_parse(profiles, which == PROFILES_CONFIG ? PROFILES_CREDENTIALS : PROFILES_CONFIG, "file", text,
                 len, error, sizeof(error));
  profiles_names(profiles, names, sizeof(names));
  require(strlen(names) < sizeof(names));
  profiles_get(profiles, "profile", "default", NULL, "region");
  profiles_get(profiles, "services", "own", "sts", "endpoint_url");
  profiles_free(profiles);
}

static void fuzz_words(const char *text) {
  char **words = process_words(text);
  size_t total = 0;

  if (words == NULL) return;
  require(words[0] != NULL);
  for (size_t i = 0; words[i] != NULL; i++)
    total += strlen(words[i]);
  require(total <= strlen(text));
  free(words);
}

/* One variable of the environment, any of those that are read. */
static void fuzz_settings(char *text) {
  char *environment[] = {text, NULL}, error[512] = "";
  struct aws_settings *settings;
  struct endpoint endpoint;

  if (strncmp(text, "AWS_CONFIG_FILE", 15) == 0 || strncmp(text, "AWS_SHARED_", 11) == 0 ||
      strncmp(text, "AWS_CA_BUNDLE", 13) == 0 || strncmp(text, "HOME", 4) == 0)
    return; /* would read the machine's files */
  if (aws_settings_new(environment, &settings, error, sizeof(error)) < 0) {
    require(error[0] != '\0');
    return;
  }
  require(settings->region == NULL || endpoint_region_is_valid(settings->region));
  require(settings->max_attempts >= 1 && settings->max_attempts <= 20);
  for (unsigned i = 0; i < AWS_SERVICE_COUNT; i++) {
    require(settings->endpoints[i] == NULL || aws_url_is_plain(settings->endpoints[i]));
    require(endpoint_find(settings, (enum aws_service)i,
                          settings->region != NULL ? settings->region : "us-east-1", "/", &endpoint) == 0);
    require(strncmp(endpoint.url, "http", 4) == 0);
  }
  aws_settings_free(settings);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *text;
  size_t len;
  int64_t s;

  if (size == 0) return 0;
  len = size - 1;
  text = malloc(len + 1);
  require(text != NULL);
  memcpy(text, data + 1, len);
  text[len] = '\0';
  switch (data[0] % 10) {
  case 0: fuzz_error(text, len, AWS_ERRORS_JSON); break;
  case 1: fuzz_error(text, len, AWS_ERRORS_REST_JSON); break;
  case 2: fuzz_error(text, len, AWS_ERRORS_XML); break;
  case 3: fuzz_keys(text, len, 0); break;
  case 4: fuzz_keys(text, len, 1); break;
  case 5: fuzz_keys(text, len, 2); break;
  case 6: fuzz_profiles(text, len, PROFILES_CONFIG); break;
  case 7: fuzz_words(text); break;
  case 8: fuzz_settings(text); break;
  default: aws_time_parse(text, &s); break;
  }
  free(text);
  return 0;
}
