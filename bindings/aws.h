/*
 * Signed requests to AWS on the event loop: credentials, endpoints, connections, retries and rates.
 *
 * Owns libcurl's multi handle, the credentials of the broker and of the roles that it assumed, and every
 * request under way. A request is one call of one AWS operation; pages are the caller's affair. Nothing here
 * blocks: files are read in aws_new(), and a credential_process runs as a child. Only the token files of a
 * web identity or a container, a few kilobytes each, are read at each refresh, because they change.
 *
 * SIGPIPE must be ignored. libcurl is started here, and no other user of it may have been before: its memory
 * is overwritten when freed. Errors tell what went wrong to whoever wrote the script, and no secret.
 */
#ifndef ISOQ_BINDINGS_AWS_H
#define ISOQ_BINDINGS_AWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;
struct aws;
struct aws_call;

struct aws_options {
  uint32_t max_requests;     /* under way at a time; the rest wait, first come, first served */
  uint32_t cloudtrail_per_s; /* requests a second to "cloudtrail" in one account and region; 0: no limit */
  const char *assume_role;   /* name of the role to assume in other accounts; copied; "" none */
  char *const *environment;  /* borrowed for aws_new() */
  bool warm_up;              /* parse the trusted certificates now, up to 200 ms, not from the loop later */
};

/* 0, -ENOMEM, or -EINVAL with what is wrong with the environment or the files in `error`. */
int aws_new(struct event_base *base, const struct aws_options *options, struct aws **out, char *error,
            size_t error_size);
/* No call may be left, and not from within an answer. */
void aws_free(struct aws *aws);

/* The services that are spoken, in the table of aws_services.def: X(id, signing name, host prefix, service
 * id in AWS_ENDPOINT_URL_<id>, global region or "", error format). */
enum aws_service {
#define X(id, ...) AWS_##id,
#include "bindings/aws_services.def"
#undef X
  AWS_SERVICE_COUNT
};

struct aws_request { /* all borrowed for aws_send() */
  enum aws_service service;
  const char *region;       /* NULL or "": the configured one, else us-east-1 */
  const char *account;      /* 12 digits; NULL or "": the caller's own; another: the role is assumed there */
  const char *path;         /* "/", "/listRegions" */
  const char *content_type; /* "application/x-amz-json-1.1" */
  const char *target;       /* X-Amz-Target, or NULL */
  const char *body;         /* POST always */
  size_t body_len;
  uint64_t max_answer_bytes;
  int64_t deadline_ns; /* CLOCK_MONOTONIC; retries stay within */
  /* The answer is to name the account, the caller's own too: STS is asked for it besides, once. It names none
   * when STS does not say it. */
  bool names_account;
};

struct aws_answer { /* borrowed for the callback */
  bool ok;          /* a 2xx answer */
  const char *body; /* NUL-terminated */
  size_t body_len;
  /* Else what went wrong, after all retries: */
  const char
      *error_name; /* AWS' code, without its namespace: "AccessDeniedException"; or ours: "NetworkError",
                             "TimeoutError", "CredentialsError", "AnswerTooLargeError", "AnswerError" */
  const char *error_message;
  int status;             /* of HTTP; 0: there was no answer */
  const char *request_id; /* "" when not known */
  bool retryable;
  uint64_t bytes_read; /* over all attempts */
  const char *region,
      *account; /* that the request went to; account "" when it is the caller's own and not known */
};

typedef void (*aws_answer_fn)(void *ctx, const struct aws_answer *answer);

/* `answer` is called once, from the event loop, never from within. 0 or -ENOMEM. */
int aws_send(struct aws *aws, const struct aws_request *request, aws_answer_fn answer, void *ctx,
             struct aws_call **out);

/* Aborts it; no answer comes any more. */
void aws_cancel(struct aws_call *call);

#endif
