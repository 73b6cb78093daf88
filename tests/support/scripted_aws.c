/* Requests never move: callers hold them as their aws_call. */
#include "tests/support/scripted_aws.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct aws_call {
  struct scripted_request request;
};
struct aws {
  char unused;
};

static struct aws_call **calls;
static size_t count;
static int next_error;

static void require(bool condition, const char *what) {
  if (condition) return;
  fprintf(stderr, "scripted_aws: %s\n", what);
  abort();
}

static char *copy(const char *text) {
  char *copied = text ? strdup(text) : NULL;
  require(copied || !text, "out of memory");
  return copied;
}

int aws_new(struct event_base *base, const struct aws_options *options, struct aws **out, char *error,
            size_t error_size) {
  (void)base;
  if (options->assume_role && strcmp(options->assume_role, "broken") == 0) {
    snprintf(error, error_size, "the environment is broken");
    return -EINVAL;
  }
  *out = calloc(1, sizeof **out);
  require(*out, "out of memory");
  return 0;
}

void aws_free(struct aws *aws) {
  require(scripted_aws_open() == 0, "aws_free() with calls under way");
  free(aws);
}

int aws_send(struct aws *aws, const struct aws_request *request, aws_answer_fn answer, void *ctx,
             struct aws_call **out) {
  (void)aws;
  if (next_error) {
    const int error = next_error;
    next_error = 0;
    return error;
  }
  struct aws_call *call = calloc(1, sizeof *call);
  calls = realloc(calls, (count + 1) * sizeof calls[0]);
  require(call && calls, "out of memory");
  struct aws_request *asked = &call->request.asked;
  *asked = *request;
  asked->region = copy(request->region);
  asked->account = copy(request->account);
  asked->path = copy(request->path);
  asked->content_type = copy(request->content_type);
  asked->target = copy(request->target);
  asked->body = strndup(request->body, request->body_len);
  require(asked->body && strlen(asked->body) == request->body_len, "a body with a NUL");
  call->request.answer = answer;
  call->request.ctx = ctx;
  calls[count++] = call;
  *out = call;
  return 0;
}

void aws_cancel(struct aws_call *call) {
  require(!call->request.answered && !call->request.cancelled, "aws_cancel() of a call that has ended");
  call->request.cancelled = true;
}

size_t scripted_aws_count(void) {
  return count;
}

const struct scripted_request *scripted_aws_request(size_t i) {
  require(i < count, "no such request");
  return &calls[i]->request;
}

size_t scripted_aws_open(void) {
  size_t open = 0;
  for (size_t i = 0; i < count; i++)
    open += !calls[i]->request.answered && !calls[i]->request.cancelled;
  return open;
}

void scripted_aws_answer(size_t i, const struct aws_answer *answer) {
  require(i < count && !calls[i]->request.answered && !calls[i]->request.cancelled, "not open");
  struct scripted_request *request = &calls[i]->request;
  struct aws_answer whole = *answer;
  if (!whole.region) whole.region = request->asked.region ? request->asked.region : "us-east-1";
  if (!whole.account) whole.account = request->asked.account ? request->asked.account : "";
  if (!whole.request_id) whole.request_id = "";
  request->answered = true;
  request->answer(request->ctx, &whole);
}

void scripted_aws_body(size_t i, const char *body, size_t len) {
  char *copied = malloc(len + 1); /* just as long, for the sanitizer */
  require(copied, "out of memory");
  if (len) memcpy(copied, body, len);
  copied[len] = '\0';
  scripted_aws_answer(
      i, &(struct aws_answer){.ok = true, .body = copied, .body_len = len, .status = 200, .bytes_read = len});
  free(copied);
}

void scripted_aws_fail_next(int error) {
  next_error = error;
}

void scripted_aws_clear(void) {
  for (size_t i = 0; i < count; i++) {
    struct aws_request *asked = &calls[i]->request.asked;
    free((char *)asked->region);
    free((char *)asked->account);
    free((char *)asked->path);
    free((char *)asked->content_type);
    free((char *)asked->target);
    free((char *)asked->body);
    free(calls[i]);
  }
  free(calls);
  calls = NULL;
  count = 0;
  next_error = 0;
}
