/* The AWS client under test on a loop of its own, with an environment written down in the test. */
#ifndef ISOQ_TESTS_AWS_CLIENT_H
#define ISOQ_TESTS_AWS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bindings/aws.h"
#include "tests/support/fake_aws.h"

#define CLIENT_DEADLINE_MS 30000 /* of a whole test step */

struct client {
  struct event_base *base;
  struct aws *aws;
  struct aws_options options;
  const struct fake_aws *fake;
  char *environment[64];
  unsigned variables;
  unsigned open;     /* calls without an answer */
  unsigned answered; /* so far */
};

struct call {
  struct client *client;
  struct aws_call *handle;
  bool done;
  unsigned order; /* the how manyth answer it was */
  bool ok, retryable;
  char error_name[128], error_message[1200], request_id[160], region[80], account[16];
  int status;
  char *body;
  uint64_t bytes_read;
};

/* 64 requests, no CloudTrail limit, no role. Without metadata service unless the test sets it. */
void client_init(struct client *client, const struct fake_aws *fake);
/* printf-like "NAME=value". */
void client_set(struct client *client, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Forgets all that was set. */
void client_clear_environment(struct client *client);
/* AWS_ENDPOINT_URL of the fake, and its own keys. */
void client_use_fake(struct client *client);
void client_use_keys(struct client *client);
/* Must succeed; or must fail, with the message in `error`. */
void client_start(struct client *client);
void client_start_fails(struct client *client, char *error, size_t error_size);
void client_end(struct client *client);

/* sts:GetCallerIdentity with 1 MiB and 20 s. */
struct aws_request client_request(const struct client *client);
struct aws_request client_trail_request(const struct client *client);
int64_t client_now_ns(void);

void client_send(struct client *client, const struct aws_request *request, struct call *call);
/* Turns the loop until all calls are answered. */
void client_run(struct client *client);
/* Turns the loop until `count` of the fake is at least `least`. */
void client_run_until(struct client *client, const char *count, int64_t least);
/* Sends and runs. call_clear() it. */
void client_call(struct client *client, const struct aws_request *request, struct call *call);
void call_clear(struct call *call);

/* A file in the fake's folder; its path. Static, the last 8 stay. */
const char *client_file(const struct client *client, const char *name, const char *text);

#endif
