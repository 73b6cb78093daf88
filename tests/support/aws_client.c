#include "tests/support/aws_client.h"

#include <check.h>
#include <event2/event.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int64_t client_now_ns(void) {
  struct timespec now;

  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void client_init(struct client *client, const struct fake_aws *fake) {
  *client = (struct client){.fake = fake, .options = {.max_requests = 64, .assume_role = ""}};
  client->base = event_base_new();
  ck_assert_ptr_nonnull(client->base);
  client_set(client, "PATH=%s", getenv("PATH"));
}

void client_set(struct client *client, const char *format, ...) {
  va_list values;

  ck_assert_uint_lt(client->variables, 63);
  va_start(values, format);
  ck_assert_int_ge(vasprintf(&client->environment[client->variables++], format, values), 0);
  va_end(values);
}

void client_clear_environment(struct client *client) {
  for (unsigned i = 0; i < client->variables; i++)
    free(client->environment[i]);
  memset(client->environment, 0, sizeof(client->environment));
  client->variables = 0;
}

void client_use_fake(struct client *client) {
  client_set(client, "AWS_ENDPOINT_URL=http://127.0.0.1:%d", client->fake->port);
}

void client_use_keys(struct client *client) {
  client_set(client, "AWS_ACCESS_KEY_ID=" FAKE_AWS_KEY);
  client_set(client, "AWS_SECRET_ACCESS_KEY=" FAKE_AWS_SECRET);
}

static int start(struct client *client, char *error, size_t error_size) {
  error[0] = '\0';
  client->options.environment = client->environment;
  return aws_new(client->base, &client->options, &client->aws, error, error_size);
}

void client_start(struct client *client) {
  char error[512];
  const int r = start(client, error, sizeof(error));

  ck_assert_msg(r == 0, "aws_new: %d %s", r, error);
}

void client_start_fails(struct client *client, char *error, size_t error_size) {
  ck_assert_int_eq(start(client, error, error_size), -22);
  ck_assert_ptr_null(client->aws);
}

void client_end(struct client *client) {
  aws_free(client->aws);
  event_base_free(client->base);
  client_clear_environment(client);
}

struct aws_request client_request(const struct client *client) {
  static const char body[] = "Action=GetCallerIdentity&Version=2011-06-15";

  (void)client;
  return (struct aws_request){.service = AWS_STS,
                              .path = "/",
                              .content_type = "application/x-www-form-urlencoded; charset=utf-8",
                              .body = body,
                              .body_len = sizeof(body) - 1,
                              .max_answer_bytes = 1u << 20,
                              .deadline_ns = client_now_ns() + INT64_C(20000000000)};
}

struct aws_request client_trail_request(const struct client *client) {
  struct aws_request request = client_request(client);

  request.service = AWS_CLOUDTRAIL;
  request.content_type = "application/x-amz-json-1.1";
  request.target = "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents";
  request.body = "{}";
  request.body_len = 2;
  return request;
}

static void on_answer(void *ctx, const struct aws_answer *answer) {
  struct call *call = ctx;

  ck_assert(!call->done);
  call->done = true;
  call->order = ++call->client->answered;
  call->client->open--;
  call->ok = answer->ok;
  call->retryable = answer->retryable;
  call->status = answer->status;
  call->bytes_read = answer->bytes_read;
  snprintf(call->error_name, sizeof(call->error_name), "%s",
           answer->error_name != NULL ? answer->error_name : "");
  snprintf(call->error_message, sizeof(call->error_message), "%s",
           answer->error_message != NULL ? answer->error_message : "");
  snprintf(call->request_id, sizeof(call->request_id), "%s", answer->request_id);
  snprintf(call->region, sizeof(call->region), "%s", answer->region);
  snprintf(call->account, sizeof(call->account), "%s", answer->account);
  ck_assert(answer->body[answer->body_len] == '\0');
  call->body = strdup(answer->body);
}

void client_send(struct client *client, const struct aws_request *request, struct call *call) {
  *call = (struct call){.client = client};
  ck_assert_int_eq(aws_send(client->aws, request, on_answer, call, &call->handle), 0);
  ck_assert(!call->done);
  client->open++;
}

/* One turn of at most `ms`. */
static void turn(struct client *client, unsigned ms) {
  const struct timeval in = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

  event_base_loopexit(client->base, &in);
  event_base_loop(client->base, EVLOOP_ONCE);
}

void client_run(struct client *client) {
  const int64_t end_ns = client_now_ns() + CLIENT_DEADLINE_MS * INT64_C(1000000);

  while (client->open > 0) {
    ck_assert_msg(client_now_ns() < end_ns, "%u calls are not answered", client->open);
    turn(client, 50);
  }
}

void client_run_until(struct client *client, const char *count, int64_t least) {
  const int64_t end_ns = client_now_ns() + CLIENT_DEADLINE_MS * INT64_C(1000000);

  while (fake_aws_count(client->fake, count) < least) {
    ck_assert_msg(client_now_ns() < end_ns, "%s is still below %lld", count, (long long)least);
    turn(client, 20);
  }
}

void client_call(struct client *client, const struct aws_request *request, struct call *call) {
  client_send(client, request, call);
  client_run(client);
}

void call_clear(struct call *call) {
  free(call->body);
  call->body = NULL;
}

const char *client_file(const struct client *client, const char *name, const char *text) {
  static char paths[8][256];
  static unsigned next;
  char *path = paths[next++ % 8];
  FILE *file;

  snprintf(path, sizeof(paths[0]), "%s/%s", client->fake->dir, name);
  file = fopen(path, "w");
  ck_assert_ptr_nonnull(file);
  ck_assert_int_ge(fputs(text, file), 0);
  ck_assert_int_eq(fclose(file), 0);
  return path;
}
