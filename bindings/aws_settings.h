/*
 * The standard settings of AWS' tools, from the environment and the shared files: read and checked once, then
 * only looked at. Where credentials come from is credentials.h's affair.
 */
#ifndef ISOQ_BINDINGS_AWS_SETTINGS_H
#define ISOQ_BINDINGS_AWS_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bindings/aws.h"

struct profiles;

struct aws_settings { /* every text owned */
  char **environment; /* a copy */
  struct profiles *profiles;
  char *profile;    /* its name; "default" */
  char *files_note; /* "~/.aws/config does not exist; ..." or "" */
  char *region;     /* NULL: not configured */
  char *ca_bundle;  /* NULL: the system's */
  char
      *endpoints[AWS_SERVICE_COUNT]; /* "http://127.0.0.1:4566", without a slash at the end; NULL: AWS' own */
  uint32_t max_attempts;             /* the first one included */
  bool fips;
  bool imds_disabled;
  char *imds_endpoint; /* "http://169.254.169.254" */
  uint32_t imds_timeout_ms, imds_attempts;
};

/* 0, -ENOMEM, or -EINVAL with the variable, or the file and line, and what would be right in `error`. */
int aws_settings_new(char *const *environment, struct aws_settings **out, char *error, size_t error_size);
void aws_settings_free(struct aws_settings *settings);

/* A variable that is set and not empty; NULL. Borrowed. */
const char *aws_settings_variable(const struct aws_settings *settings, const char *name);

/* "http://" or "https://", a host, no user, no query. */
bool aws_url_is_plain(const char *url);

#endif
