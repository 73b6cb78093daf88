/* Shared by credentials.c (the cache), credentials_plan.c (which source) and credentials_fetch.c (asking
 * it). */
#ifndef ISOQ_BINDINGS_CREDENTIALS_INTERNAL_H
#define ISOQ_BINDINGS_CREDENTIALS_INTERNAL_H

#include <stdint.h>
#include <sys/queue.h>

#include "bindings/aws_error.h"
#include "bindings/aws_keys.h"
#include "bindings/credentials.h"

enum credentials_source {
  SOURCE_STATIC,       /* environment, or a profile with keys */
  SOURCE_NONE,         /* nothing is configured, or something that is not supported */
  SOURCE_ROLE,         /* AssumeRole with the keys of `from` */
  SOURCE_WEB_IDENTITY, /* AssumeRoleWithWebIdentity with the token in a file */
  SOURCE_PROCESS,
  SOURCE_CONTAINER,
  SOURCE_METADATA
};

struct fetch;

struct credentials {
  struct credentials_context context;
  enum credentials_source source;
  char *tried; /* before this one: "environment: AWS_ACCESS_KEY_ID is not set; ..." or "" */
  char *label; /* of this one: "profile dev" */

  struct credentials *from;
  bool owns_from;
  char *role_arn, *session_name, *external_id, *duration_s;
  char *sts_region;    /* NULL: the configured one */
  char *path;          /* of the token's file */
  char *command;       /* of the process */
  char *url;           /* of the container endpoint */
  char *authorization; /* for it, or NULL; `path`: the file that it is in */
  char *why_not;       /* of SOURCE_NONE */

  struct aws_keys keys;   /* access_key_id NULL: none yet */
  char *region;           /* of the instance */
  int64_t refresh_at_s;   /* since 1970 */
  int64_t quiet_until_ns; /* after a failure, CLOCK_MONOTONIC */
  struct aws_error failure;
  bool refreshing;
  struct event *later;
  struct fetch *fetch;
  TAILQ_HEAD(wait_list, credentials_wait) waiting;
};

/* An identity of `source` with nothing filled in but the tried sources. NULL: out of memory. */
struct credentials *credentials_make(const struct credentials_context *context,
                                     enum credentials_source source, const char *tried, const char *label);

/* Asks the source, and calls credentials_fetched() once; perhaps from within. From the loop only. */
void credentials_fetch(struct credentials *credentials);
void credentials_fetch_cancel(struct fetch *fetch);
/* `keys` is taken over (and cleared); NULL: `why`, and with an answer of STS, `error`. */
void credentials_fetched(struct credentials *credentials, struct aws_keys *keys, const char *why,
                         const struct aws_error *error);

#endif
