/*
 * bindings/aws.h without a network: requests are kept as they were asked, and a test says what each is answered. For
 * tests of what lies above; linked instead of bindings/aws.c.
 */
#ifndef ISOQ_TESTS_SCRIPTED_AWS_H
#define ISOQ_TESTS_SCRIPTED_AWS_H

#include "bindings/aws.h"

struct scripted_request {
  struct aws_request asked; /* texts are copies; NULL stays NULL */
  bool answered, cancelled;
  aws_answer_fn answer;
  void *ctx;
};

/* How many were asked since scripted_aws_clear(). */
size_t scripted_aws_count(void);
/* The i-th; there must be one. */
const struct scripted_request *scripted_aws_request(size_t i);
/* How many are neither answered nor cancelled. */
size_t scripted_aws_open(void);

/* Answers the i-th, which is open. */
void scripted_aws_answer(size_t i, const struct aws_answer *answer);
/* With a body; region us-east-1 and account "" unless asked, bytes_read the body's length. */
void scripted_aws_body(size_t i, const char *body, size_t len);

/* The next aws_send() returns this, and keeps no request. */
void scripted_aws_fail_next(int error);
void scripted_aws_clear(void);

#endif
