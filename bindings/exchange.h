/*
 * One operation of AWS, signed and sent, and sent again as the standard retry mode has it.
 *
 * Owns the retry quota, which all operations of the process share. Where the keys come from and how many
 * requests there may be is not its affair.
 */
#ifndef ISOQ_BINDINGS_EXCHANGE_H
#define ISOQ_BINDINGS_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bindings/aws.h"
#include "bindings/aws_error.h"

struct aws_keys;
struct event_base;
struct exchange;
struct exchanger;
struct http;
struct rates;

/* `max_attempts`: the first one included. `http` is borrowed. 0 or -ENOMEM. */
int exchanger_new(struct event_base *base, struct http *http, uint32_t max_attempts, struct exchanger **out);
void exchanger_free(struct exchanger *exchanger);

struct exchange_request { /* all borrowed for exchange_send() but `rates` */
  enum aws_service service;
  const char *url, *signing_region;
  const struct aws_keys *keys; /* NULL: not signed */
  const char *content_type, *target;
  const char *body;
  size_t body_len;
  uint64_t max_answer_bytes;
  int64_t deadline_ns; /* CLOCK_MONOTONIC: no attempt and no pause goes on after it */
  struct rates *rates; /* NULL none; else each attempt waits for a turn of `rate_key` */
  const char *rate_key;
  bool urgent; /* as of http_request */
};

struct exchange_answer { /* borrowed for the callback */
  bool ok;
  const char *body; /* NUL-terminated */
  size_t body_len;
  struct aws_error error;
  uint64_t bytes_read; /* over all attempts */
};

typedef void (*exchange_fn)(void *ctx, const struct exchange_answer *answer);

/* `answer` is called once, from the event loop, never from within. 0 or -ENOMEM. */
int exchange_send(struct exchanger *exchanger, const struct exchange_request *request, exchange_fn answer,
                  void *ctx, struct exchange **out);
void exchange_cancel(struct exchange *exchange);

/* The pause before attempt number `attempt` (2: the first retry); `noise` picks the place within the span. */
uint32_t exchange_pause_ms(uint32_t attempt, uint32_t noise);

#endif
