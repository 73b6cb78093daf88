/*
 * HTTP requests on the event loop: libcurl's multi interface, driven by libevent.
 *
 * Owns the connections, which are reused, and the requests under way, of which there is a cap: the rest wait,
 * first come, first served. Knows nothing of AWS but the signature, which libcurl makes. Nothing here blocks,
 * and no request or answer is kept in memory after its end: what libcurl held is overwritten too.
 */
#ifndef ISOQ_BINDINGS_HTTP_H
#define ISOQ_BINDINGS_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;
struct http;
struct http_transfer;

struct http_options {
  uint32_t max_transfers; /* at a time; > 0 */
  const char *ca_bundle;  /* a file of trusted certificates; NULL: the system's; copied */
  uint32_t stalled_s; /* an attempt that has received less than a byte a second for this long is given up */
};

/* 0, -ENOMEM, or -ENOTSUP with what this libcurl lacks in `error`. */
int http_new(struct event_base *base, const struct http_options *options, struct http **out, char *error,
             size_t error_size);
/* No transfer may be left, and not from within an answer. */
void http_free(struct http *http);

/*
 * Parses the trusted certificates now. OpenSSL 3 takes 60 to 200 ms for those of a system, and the loop would
 * stand still for as long at the first connection with TLS. Blocks, so it belongs to the start. 0 or a
 * negative errno: it will happen later then.
 */
int http_warm_up(struct http *http);

struct http_signing { /* AWS Signature Version 4 */
  const char *region, *service;
  const char *access_key_id, *secret;
  const char *token; /* sent and signed as x-amz-security-token; NULL none */
};

struct http_request { /* all borrowed for http_send() */
  const char *method; /* "GET", "PUT", "POST" */
  const char *url;
  const char *const *headers; /* "Name: value", NULL at the end; NULL none */
  const char *body;           /* of a POST */
  size_t body_len;
  const struct http_signing *signing; /* NULL: not signed */
  uint64_t max_answer_bytes;
  uint32_t connect_timeout_ms, timeout_ms; /* timeout_ms: of it all, once it has begun; 0 none */
  bool metadata; /* a link-local endpoint: never through a proxy, and it does not wait in the queue */
  bool urgent;   /* does not wait in the queue: others that hold a place there depend on it */
};

enum http_end {
  HTTP_ANSWERED,  /* with whatever status */
  HTTP_TIMED_OUT, /* connecting, or waiting for the answer */
  HTTP_LOST,      /* not resolved, not connected, or the connection was cut */
  HTTP_INSECURE,  /* the peer's certificate is not trusted, or no TLS could be agreed on */
  HTTP_TOO_LARGE, /* more than max_answer_bytes */
  HTTP_GARBLED,   /* not HTTP, or not a URL */
  HTTP_NO_MEMORY
};

struct http_answer { /* borrowed for the callback */
  enum http_end end;
  const char *error; /* what libcurl says, printable ASCII; "" after HTTP_ANSWERED */
  int status;        /* 0 when there was none */
  const char *body;  /* NUL-terminated */
  size_t body_len;
  uint64_t bytes_read;
  /* Headers, "" when absent: */
  const char *request_id, *error_type, *retry_after, *amz_retry_after, *date;
};

typedef void (*http_answer_fn)(void *ctx, const struct http_answer *answer);

/* `answer` is called once, from the event loop, never from within. 0 or -ENOMEM. */
int http_send(struct http *http, const struct http_request *request, http_answer_fn answer, void *ctx,
              struct http_transfer **out);
/* Aborts it; no answer comes any more. */
void http_cancel(struct http_transfer *transfer);

#endif
