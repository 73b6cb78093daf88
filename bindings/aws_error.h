/* What AWS says went wrong, in its three dialects; and what of it may be tried again. */
#ifndef ISOQ_BINDINGS_AWS_ERROR_H
#define ISOQ_BINDINGS_AWS_ERROR_H

#include <stdbool.h>
#include <stddef.h>

#include "bindings/http.h"

#define AWS_ERROR_NAME_MAX 128
#define AWS_ERROR_MESSAGE_MAX 1024
#define AWS_REQUEST_ID_MAX 128

/* The last column of aws_services.def: how a service writes its errors. */
enum aws_error_format {
  AWS_ERRORS_JSON,      /* {"__type": "namespace#Name", "message"} */
  AWS_ERRORS_REST_JSON, /* the name in the header x-amzn-errortype */
  AWS_ERRORS_XML        /* <ErrorResponse><Error><Code>, <Message>, <RequestId> */
};

enum aws_error_kind {
  AWS_ERROR_FINAL, /* saying it again would not help */
  AWS_ERROR_THROTTLED,
  AWS_ERROR_TRANSIENT,
  AWS_ERROR_TIMED_OUT, /* transient, and dear */
  AWS_ERROR_EXPIRED,   /* the keys: others may help */
  AWS_ERROR_CLOCK      /* the machine's clock is off */
};

struct aws_error { /* texts are UTF-8, cut to their place */
  char name[AWS_ERROR_NAME_MAX];
  char message[AWS_ERROR_MESSAGE_MAX];
  char request_id[AWS_REQUEST_ID_MAX];
  int status;
  enum aws_error_kind kind;
};

bool aws_error_is_retryable(const struct aws_error *error);

/* From an answer that is not 2xx, or none at all. */
void aws_error_read(const struct http_answer *answer, enum aws_error_format format, struct aws_error *out);

/* Takes each occurrence of `secret` out of the message: AWS repeats what was signed, the token among it.
 * NULL is fine. */
void aws_error_redact(struct aws_error *error, const char *secret);

/* Cut at `size`, at the end of a character. */
void aws_text_copy(char *out, size_t size, const char *text);

#endif
