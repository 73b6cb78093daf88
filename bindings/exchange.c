/*
 * Figures of the standard mode, from "Retry behavior" (AWS SDKs and Tools Reference Guide): three attempts; a
 * pause drawn evenly between 0 and 1 s, 2 s, 4 s ..., at most 20 s; a quota of 500 of which a retry takes 5,
 * after a time-out 10, and which successes fill again. When the quota is used up, errors come at once: a
 * service that is down is not hit three times by everybody. What the service asks for (Retry-After in seconds
 * or as a date, x-amz-retry-after in milliseconds) makes the pause longer, never shorter.
 */
#include "bindings/exchange.h"

#include <ctype.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/util.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bindings/aws_keys.h"
#include "bindings/endpoint.h"
#include "bindings/http.h"
#include "bindings/rate.h"

#define PAUSE_FIRST_MS 1000u
#define PAUSE_MAX_MS 20000u
#define QUOTA 500u
#define QUOTA_RETRY 5u
#define QUOTA_TIMED_OUT 10u
#define QUOTA_SUCCESS 1u /* given back by one that needed no retry */
#define CONNECT_TIMEOUT_MS 5000u
#define HEADERS_MAX 4
#define ASKED_PAUSE_MAX_MS (24 * 3600 * INT64_C(1000))

struct exchanger {
  struct event_base *base;
  struct http *http;
  uint32_t max_attempts, quota;
};

struct exchange {
  struct exchanger *exchanger;
  enum aws_service service;
  char *url, *signing_region, *content_type, *target, *body, *rate_key;
  size_t body_len;
  struct aws_keys keys;
  bool is_signed, urgent;
  uint64_t max_answer_bytes, bytes_read;
  int64_t deadline_ns;
  struct rates *rates;
  uint32_t attempt, quota_taken; /* by the last retry */
  struct aws_error error;        /* of the last attempt */
  /* What is awaited, one of: */
  struct rate_wait *turn;
  struct http_transfer *transfer;
  struct event *pause;
  exchange_fn answer;
  void *ctx;
};

static int attempt_begin(struct exchange *exchange);

static int64_t now_ns(void) {
  struct timespec now;

  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ---- the end ---- */

static void exchange_free(struct exchange *exchange) {
  if (exchange->turn != NULL) rate_cancel(exchange->turn);
  if (exchange->transfer != NULL) http_cancel(exchange->transfer);
  if (exchange->pause != NULL) event_free(exchange->pause);
  aws_keys_clear(&exchange->keys);
  free(exchange->url);
  free(exchange->signing_region);
  free(exchange->content_type);
  free(exchange->target);
  free(exchange->rate_key);
  if (exchange->body != NULL)
    explicit_bzero(exchange->body, exchange->body_len); /* a web identity token, perhaps */
  free(exchange->body);
  free(exchange);
}

static void finish(struct exchange *exchange, const struct http_answer *answer) {
  const struct exchange_answer out = {.ok = answer != NULL,
                                      .body = answer != NULL ? answer->body : "",
                                      .body_len = answer != NULL ? answer->body_len : 0,
                                      .error = exchange->error,
                                      .bytes_read = exchange->bytes_read};

  exchange->answer(exchange->ctx, &out);
  exchange_free(exchange);
}

static void fail_without_memory(struct exchange *exchange) {
  exchange->error = (struct aws_error){.name = "NetworkError", .message = "out of memory"};
  finish(exchange, NULL);
}

/* ---- again? ---- */

uint32_t exchange_pause_ms(uint32_t attempt, uint32_t noise) {
  uint32_t most = PAUSE_FIRST_MS;

  for (uint32_t i = 2; i < attempt && most < PAUSE_MAX_MS; i++)
    most *= 2;
  if (most > PAUSE_MAX_MS) most = PAUSE_MAX_MS;
  return (uint32_t)((uint64_t)noise * most / UINT32_MAX);
}

static int64_t number_of(const char *text) {
  char *end;
  long long number;

  if (!isdigit((unsigned char)text[0])) return -1;
  errno = 0;
  number = strtoll(text, &end, 10);
  return *end == '\0' && errno == 0 && number < ASKED_PAUSE_MAX_MS ? number : -1;
}

/* What the service asks for; 0: nothing. */
static int64_t asked_pause_ms(const struct http_answer *answer) {
  const int64_t ms = number_of(answer->amz_retry_after), s = number_of(answer->retry_after);
  struct tm tm = {0};
  const char *rest = strptime(answer->retry_after, "%a, %d %b %Y %H:%M:%S GMT", &tm);

  if (ms >= 0) return ms;
  if (s >= 0) return s * 1000;
  if (rest != NULL && *rest == '\0') {
    const int64_t in_s = (int64_t)timegm(&tm) - (int64_t)time(NULL);

    return in_s > 0 ? in_s * 1000 : 0;
  }
  return 0;
}

static bool quota_take(struct exchange *exchange) {
  const uint32_t price = exchange->error.kind == AWS_ERROR_TIMED_OUT ? QUOTA_TIMED_OUT : QUOTA_RETRY;

  if (exchange->exchanger->quota < price) return false;
  exchange->exchanger->quota -= price;
  exchange->quota_taken = price;
  return true;
}

static void quota_give_back(struct exchange *exchange) {
  struct exchanger *exchanger = exchange->exchanger;

  exchanger->quota += exchange->quota_taken > 0 ? exchange->quota_taken : QUOTA_SUCCESS;
  if (exchanger->quota > QUOTA) exchanger->quota = QUOTA;
}

static void on_pause_over(evutil_socket_t fd, short events, void *ctx) {
  struct exchange *exchange = ctx;

  (void)fd;
  (void)events;
  if (attempt_begin(exchange) < 0) fail_without_memory(exchange);
}

/* False: this was the last attempt. */
static bool try_again(struct exchange *exchange, const struct http_answer *answer) {
  const int64_t asked_ms = asked_pause_ms(answer);
  int64_t pause_ms;
  struct timeval in;
  uint32_t noise;

  if (!aws_error_is_retryable(&exchange->error) || exchange->attempt >= exchange->exchanger->max_attempts)
    return false;
  evutil_secure_rng_get_bytes(&noise, sizeof(noise));
  pause_ms = exchange_pause_ms(exchange->attempt + 1, noise);
  if (asked_ms > pause_ms) pause_ms = asked_ms;
  if (now_ns() + pause_ms * 1000000 >= exchange->deadline_ns || !quota_take(exchange)) return false;
  if (exchange->pause == NULL)
    exchange->pause = evtimer_new(exchange->exchanger->base, on_pause_over, exchange);
  if (exchange->pause == NULL) return false;
  in = (struct timeval){.tv_sec = pause_ms / 1000, .tv_usec = pause_ms % 1000 * 1000};
  return event_add(exchange->pause, &in) == 0;
}

static void on_answer(void *ctx, const struct http_answer *answer) {
  struct exchange *exchange = ctx;

  exchange->transfer = NULL;
  exchange->bytes_read += answer->bytes_read;
  if (answer->end == HTTP_ANSWERED && answer->status >= 200 && answer->status < 300) {
    quota_give_back(exchange);
    exchange->error = (struct aws_error){.status = answer->status};
    aws_text_copy(exchange->error.request_id, sizeof(exchange->error.request_id), answer->request_id);
    finish(exchange, answer);
    return;
  }
  aws_error_read(answer, endpoint_service(exchange->service)->errors, &exchange->error);
  aws_error_redact(&exchange->error, exchange->keys.token);
  aws_error_redact(&exchange->error, exchange->keys.secret);
  if (!try_again(exchange, answer)) finish(exchange, NULL);
}

/* ---- an attempt ---- */

static int transfer_begin(struct exchange *exchange) {
  char content_type[128], target[256];
  const char *headers[HEADERS_MAX + 1] = {content_type};
  const struct http_signing signing = {.region = exchange->signing_region,
                                       .service = endpoint_service(exchange->service)->signing_name,
                                       .access_key_id = exchange->keys.access_key_id,
                                       .secret = exchange->keys.secret,
                                       .token = exchange->keys.token};
  const int64_t left_ms = (exchange->deadline_ns - now_ns() + 999999) / 1000000;
  const struct http_request request = {
      .method = "POST",
      .url = exchange->url,
      .headers = headers,
      .body = exchange->body,
      .body_len = exchange->body_len,
      .signing = exchange->is_signed ? &signing : NULL,
      .max_answer_bytes = exchange->max_answer_bytes,
      .connect_timeout_ms = CONNECT_TIMEOUT_MS,
      .timeout_ms = left_ms < 1           ? 1
                    : left_ms > INT32_MAX ? INT32_MAX
                                          : (uint32_t)left_ms,
      .urgent = exchange->urgent,
  };

  snprintf(content_type, sizeof(content_type), "Content-Type: %s", exchange->content_type);
  if (exchange->target != NULL) {
    snprintf(target, sizeof(target), "X-Amz-Target: %s", exchange->target);
    headers[1] = target;
  }
  return http_send(exchange->exchanger->http, &request, on_answer, exchange, &exchange->transfer);
}

static void on_turn(void *ctx) {
  struct exchange *exchange = ctx;

  exchange->turn = NULL;
  if (transfer_begin(exchange) < 0) fail_without_memory(exchange);
}

static int attempt_begin(struct exchange *exchange) {
  exchange->attempt++;
  if (exchange->rates == NULL) return transfer_begin(exchange);
  return rate_wait(exchange->rates, exchange->rate_key, on_turn, exchange, &exchange->turn);
}

/* ---- life ---- */

static bool copy_text(char **out, const char *text) {
  *out = text != NULL ? strdup(text) : NULL;
  return text == NULL || *out != NULL;
}

static bool copy_request(struct exchange *exchange, const struct exchange_request *request) {
  exchange->body_len = request->body_len;
  exchange->body = malloc(request->body_len + 1);
  if (exchange->body == NULL) return false;
  if (request->body_len > 0) memcpy(exchange->body, request->body, request->body_len);
  exchange->body[request->body_len] = '\0';
  if (request->keys != NULL && aws_keys_copy(&exchange->keys, request->keys) < 0) return false;
  return copy_text(&exchange->url, request->url) &&
         copy_text(&exchange->signing_region, request->signing_region) &&
         copy_text(&exchange->content_type, request->content_type) &&
         copy_text(&exchange->target, request->target) && copy_text(&exchange->rate_key, request->rate_key);
}

int exchange_send(struct exchanger *exchanger, const struct exchange_request *request, exchange_fn answer,
                  void *ctx, struct exchange **out) {
  struct exchange *exchange = calloc(1, sizeof(*exchange));

  if (exchange == NULL) return -ENOMEM;
  exchange->exchanger = exchanger;
  exchange->service = request->service;
  exchange->is_signed = request->keys != NULL;
  exchange->urgent = request->urgent;
  exchange->max_answer_bytes = request->max_answer_bytes;
  exchange->deadline_ns = request->deadline_ns;
  exchange->rates = request->rates;
  exchange->answer = answer;
  exchange->ctx = ctx;
  if (!copy_request(exchange, request) || attempt_begin(exchange) < 0) {
    exchange_free(exchange);
    return -ENOMEM;
  }
  *out = exchange;
  return 0;
}

void exchange_cancel(struct exchange *exchange) {
  exchange_free(exchange);
}

int exchanger_new(struct event_base *base, struct http *http, uint32_t max_attempts, struct exchanger **out) {
  struct exchanger *exchanger = malloc(sizeof(*exchanger));

  if (exchanger == NULL) return -ENOMEM;
  *exchanger = (struct exchanger){.base = base, .http = http, .max_attempts = max_attempts, .quota = QUOTA};
  *out = exchanger;
  return 0;
}

void exchanger_free(struct exchanger *exchanger) {
  free(exchanger);
}
