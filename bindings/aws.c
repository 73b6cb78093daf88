/*
 * One call's way: the broker's keys; if another account is meant, who the broker is (asked once), and the
 * keys of the role there; then the exchange. Each step is skipped when its result is at hand, and shared by
 * all calls that wait for it.
 *
 * The caps and queues lie where they count: requests in http.c, turns of CloudTrail in rate.c (before a
 * request takes its place), refreshes in credentials.c. A call has one timer, its deadline, whatever it waits
 * for.
 *
 * Where an answer is to name the broker's own account, that is asked for beside the request, and the answer
 * is held back for a moment if it is there first. This is a courtesy: nothing fails by it.
 *
 * Everything starts from the loop, so that no caller is called back before it has its pointer.
 */
#include "bindings/aws.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "bindings/aws_error.h"
#include "bindings/aws_keys.h"
#include "bindings/aws_settings.h"
#include "bindings/aws_xml.h"
#include "bindings/credentials.h"
#include "bindings/endpoint.h"
#include "bindings/exchange.h"
#include "bindings/http.h"
#include "bindings/rate.h"

#define ACCOUNT_DIGITS 12
#define ROLES_MAX 256 /* kept; one in use is never dropped */
#define STALLED_S 20u
#define IDENTITY_TIMEOUT_NS INT64_C(30000000000)
#define IDENTITY_ANSWER_MAX (64u << 10)
#define IDENTITY_QUIET_NS INT64_C(60000000000) /* after a failure, for those who can do without */
#define HELD_MAX_MS 1000

enum phase {
  PHASE_BEGIN,
  PHASE_OWN_KEYS,
  PHASE_IDENTITY,
  PHASE_ROLE_KEYS,
  PHASE_EXCHANGE,
  PHASE_HELD
};

struct role {
  TAILQ_ENTRY(role) link; /* the last used first */
  char account[ACCOUNT_DIGITS + 1];
  const char *partition;
  struct credentials *credentials;
  unsigned users;
};

struct aws_call {
  TAILQ_ENTRY(aws_call) link;
  struct aws *aws;
  enum phase phase;
  enum aws_service service;
  char region[ENDPOINT_REGION_MAX], account[ACCOUNT_DIGITS + 1]; /* "": not settled yet; the caller's own */
  char *path, *content_type, *target, *body;
  size_t body_len;
  uint64_t max_answer_bytes, bytes_read;
  int64_t deadline_ns;
  bool names_account;
  struct exchange_answer held; /* its body is owned */
  struct event *kick, *deadline;
  struct credentials_wait *wait;
  struct role *role; /* NULL: the broker's own keys */
  struct exchange *exchange;
  char key_id[160]; /* of the keys it was signed with */
  bool rejected;    /* once already */
  char *invalid;    /* what is wrong with the request */
  aws_answer_fn answer;
  void *ctx;
};

struct aws {
  struct aws_settings *settings;
  struct http *http;
  struct exchanger *exchanger;
  struct rates *cloudtrail; /* NULL: as many as one likes */
  struct credentials_context context;
  struct credentials *own;
  char *assume_role;
  char own_account[ACCOUNT_DIGITS + 1]; /* "": not known yet */
  struct exchange *identity;
  bool identity_is_slow; /* the one under way: an answer was held back for it in vain */
  int64_t identity_quiet_until_ns;
  TAILQ_HEAD(role_list, role) roles;
  unsigned role_count;
  TAILQ_HEAD(, aws_call) calls;
};

static void call_begin(struct aws_call *call);

static int64_t now_ns(void) {
  struct timespec now;

  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ---- the end of a call ---- */

static void drop_wait(struct aws_call *call) {
  if (call->wait != NULL) credentials_wait_cancel(call->wait);
  if (call->exchange != NULL) exchange_cancel(call->exchange);
  if (call->role != NULL) call->role->users--;
  call->wait = NULL;
  call->exchange = NULL;
  call->role = NULL;
}

static void call_free(struct aws_call *call) {
  drop_wait(call);
  if (call->kick != NULL) event_free(call->kick);
  if (call->deadline != NULL) event_free(call->deadline);
  free((char *)call->held.body);
  free(call->path);
  free(call->content_type);
  free(call->target);
  free(call->body);
  free(call->invalid);
  free(call);
}

static void deliver(struct aws_call *call, bool ok, const char *body, size_t body_len,
                    const struct aws_error *error) {
  const struct aws_answer answer = {
      .ok = ok,
      .body = body,
      .body_len = body_len,
      .error_name = ok ? NULL : error->name,
      .error_message = ok ? NULL : error->message,
      .status = error->status,
      .request_id = error->request_id,
      .retryable = !ok && aws_error_is_retryable(error),
      .bytes_read = call->bytes_read,
      .region = call->region,
      .account = call->account[0] != '\0' ? call->account : call->aws->own_account,
  };

  TAILQ_REMOVE(&call->aws->calls, call, link);
  call->answer(call->ctx, &answer);
  call_free(call);
}

static void fail(struct aws_call *call, const struct aws_error *error) {
  const struct aws_error copy = *error; /* it may be a part of what ends here */

  drop_wait(call);
  deliver(call, false, "", 0, &copy);
}

static void fail_with(struct aws_call *call, const char *name, const char *message) {
  struct aws_error error = {.kind = AWS_ERROR_FINAL};

  snprintf(error.name, sizeof(error.name), "%s", name);
  snprintf(error.message, sizeof(error.message), "%s", message);
  fail(call, &error);
}

static void deliver_held(struct aws_call *call) {
  deliver(call, true, call->held.body, call->held.body_len, &call->held.error);
}

/* True: it waits for the number of the account. */
static bool hold(struct aws_call *call, const struct exchange_answer *answer) {
  const struct aws *aws = call->aws;
  const struct timeval most = {.tv_sec = HELD_MAX_MS / 1000, .tv_usec = HELD_MAX_MS % 1000 * 1000};
  char *body;

  if (!call->names_account || call->account[0] != '\0' || aws->own_account[0] != '\0' ||
      aws->identity == NULL || aws->identity_is_slow)
    return false;
  body = malloc(answer->body_len + 1);
  if (body == NULL || event_add(call->kick, &most) < 0) {
    free(body);
    return false;
  }
  memcpy(body, answer->body, answer->body_len + 1);
  call->held = *answer;
  call->held.body = body;
  call->phase = PHASE_HELD;
  return true;
}

static void on_deadline(evutil_socket_t fd, short events, void *ctx) {
  static const char *const waits[] = {
      [PHASE_BEGIN] = "it had not begun",
      [PHASE_OWN_KEYS] = "it waited for credentials",
      [PHASE_IDENTITY] = "it waited for sts:GetCallerIdentity",
      [PHASE_ROLE_KEYS] = "it waited for the keys of the role",
      [PHASE_EXCHANGE] = "it waited for its turn, or for the answer",
      [PHASE_HELD] = "",
  };
  struct aws_call *call = ctx;
  struct aws_error error = {.name = "TimeoutError", .kind = AWS_ERROR_TIMED_OUT};

  (void)fd;
  (void)events;
  if (call->phase == PHASE_HELD) {
    deliver_held(call);
    return;
  }
  snprintf(error.message, sizeof(error.message), "no answer before the deadline: %s", waits[call->phase]);
  fail(call, &error);
}

/* ---- the exchange ---- */

static void on_exchange(void *ctx, const struct exchange_answer *answer) {
  struct aws_call *call = ctx;
  struct credentials *used = call->role != NULL ? call->role->credentials : call->aws->own;

  call->exchange = NULL;
  call->bytes_read += answer->bytes_read;
  if (!answer->ok && answer->error.kind == AWS_ERROR_EXPIRED && !call->rejected &&
      credentials_reject(used, call->key_id)) {
    call->rejected = true;
    drop_wait(call);
    call_begin(call);
    return;
  }
  if (!answer->ok) {
    fail(call, &answer->error);
    return;
  }
  if (!hold(call, answer)) deliver(call, true, answer->body, answer->body_len, &answer->error);
}

static void call_exchange(struct aws_call *call, const struct aws_keys *keys) {
  struct aws *aws = call->aws;
  char rate_key[ACCOUNT_DIGITS + ENDPOINT_REGION_MAX + 2];
  struct endpoint endpoint;
  const struct exchange_request request = {
      .service = call->service,
      .url = endpoint.url,
      .signing_region = endpoint.signing_region,
      .keys = keys,
      .content_type = call->content_type,
      .target = call->target,
      .body = call->body,
      .body_len = call->body_len,
      .max_answer_bytes = call->max_answer_bytes,
      .deadline_ns = call->deadline_ns,
      .rates = call->service == AWS_CLOUDTRAIL ? aws->cloudtrail : NULL,
      .rate_key = rate_key,
  };

  call->phase = PHASE_EXCHANGE;
  snprintf(call->key_id, sizeof(call->key_id), "%s", keys->access_key_id);
  snprintf(rate_key, sizeof(rate_key), "%s/%s", call->role != NULL ? call->account : "", call->region);
  if (endpoint_find(aws->settings, call->service, call->region, call->path, &endpoint) < 0)
    fail_with(call, "NetworkError", "the endpoint's URL is too long");
  else if (exchange_send(aws->exchanger, &request, on_exchange, call, &call->exchange) < 0)
    fail_with(call, "NetworkError", "out of memory");
}

/* ---- roles in other accounts ---- */

static void role_free(struct aws *aws, struct role *role) {
  TAILQ_REMOVE(&aws->roles, role, link);
  aws->role_count--;
  credentials_free(role->credentials);
  free(role);
}

/* The one that was not used for the longest time. */
static void make_room(struct aws *aws) {
  struct role *role;

  if (aws->role_count < ROLES_MAX) return;
  TAILQ_FOREACH_REVERSE(role, &aws->roles, role_list, link)
  if (role->users == 0 && credentials_is_idle(role->credentials)) {
    role_free(aws, role);
    return;
  }
}

/* STS of the configured region, if it is in the same partition: one that is switched on for the account
 * for sure. */
static const char *role_region(const struct aws_call *call) {
  const char *own = call->aws->settings->region;

  if (own == NULL) own = credentials_region(call->aws->own);
  if (own == NULL) own = ENDPOINT_REGION_DEFAULT;
  return strcmp(endpoint_partition(own), endpoint_partition(call->region)) == 0 ? own : call->region;
}

static struct role *role_get(struct aws_call *call) {
  struct aws *aws = call->aws;
  const char *partition = endpoint_partition(call->region);
  struct role *role;
  char arn[512];

  TAILQ_FOREACH(role, &aws->roles, link)
  if (role->partition == partition && strcmp(role->account, call->account) == 0) break;
  if (role != NULL) {
    TAILQ_REMOVE(&aws->roles, role, link);
    TAILQ_INSERT_HEAD(&aws->roles, role, link);
    return role;
  }
  make_room(aws);
  role = calloc(1, sizeof(*role));
  if (role == NULL) return NULL;
  role->partition = partition;
  snprintf(role->account, sizeof(role->account), "%s", call->account);
  snprintf(arn, sizeof(arn), "arn:%s:iam::%s:role/%s", partition, call->account, aws->assume_role);
  if (credentials_role(&aws->context, aws->own, arn, role_region(call), &role->credentials) < 0) {
    free(role);
    return NULL;
  }
  TAILQ_INSERT_HEAD(&aws->roles, role, link);
  aws->role_count++;
  return role;
}

static void on_keys(void *ctx, const struct aws_keys *keys, const struct aws_error *error) {
  struct aws_call *call = ctx;

  call->wait = NULL;
  if (keys != NULL)
    call_exchange(call, keys);
  else
    fail(call, error);
}

static void call_role(struct aws_call *call) {
  const struct aws_keys *keys;

  if (call->aws->assume_role[0] == '\0') {
    char message[256];

    snprintf(message, sizeof(message),
             "account %s is not the caller's own (%s); set aws_assume_role to the name of a role that may be "
             "assumed "
             "there",
             call->account, call->aws->own_account);
    fail_with(call, "CredentialsError", message);
    return;
  }
  call->phase = PHASE_ROLE_KEYS;
  call->role = role_get(call);
  if (call->role == NULL) {
    fail_with(call, "CredentialsError", "out of memory");
    return;
  }
  call->role->users++;
  keys = credentials_keys(call->role->credentials);
  if (keys != NULL)
    call_exchange(call, keys);
  else if (credentials_wait(call->role->credentials, on_keys, call, &call->wait) < 0)
    fail_with(call, "CredentialsError", "out of memory");
}

/* ---- who the broker is ---- */

static void read_identity(struct aws *aws, const struct exchange_answer *answer, struct aws_error *error) {
  struct aws_xml_want want = {.path = "GetCallerIdentityResult/Account"};

  if (!answer->ok) {
    *error = answer->error;
    snprintf(error->message, sizeof(error->message), "sts:GetCallerIdentity: %.900s", answer->error.message);
  } else if (aws_xml_find(answer->body, answer->body_len, &want, 1) < 0 || want.text == NULL ||
             strlen(want.text) != ACCOUNT_DIGITS || strspn(want.text, "0123456789") != ACCOUNT_DIGITS) {
    *error = (struct aws_error){.name = "AnswerError",
                                .message = "sts:GetCallerIdentity: no account in the answer"};
  } else {
    snprintf(aws->own_account, sizeof(aws->own_account), "%s", want.text);
  }
  aws_xml_free(&want, 1);
}

static void call_identified(struct aws_call *call);

static void on_identity(void *ctx, const struct exchange_answer *answer) {
  struct aws *aws = ctx;
  struct aws_error error = {0};
  struct aws_call *call;

  aws->identity = NULL;
  read_identity(aws, answer, &error);
  if (aws->own_account[0] == '\0') aws->identity_quiet_until_ns = now_ns() + IDENTITY_QUIET_NS;
  do { /* from the start each time: an answer may end other calls */
    TAILQ_FOREACH(call, &aws->calls, link)
    if (call->phase == PHASE_IDENTITY || call->phase == PHASE_HELD) break;
    if (call == NULL) break;
    if (call->phase == PHASE_HELD) {
      deliver_held(call);
      continue;
    }
    call->phase = PHASE_ROLE_KEYS;
    if (aws->own_account[0] != '\0')
      call_identified(call);
    else
      fail(call, &error);
  } while (true);
}

/* 0 or -ENOMEM; only if it is not under way already. */
static int identity_ask(struct aws_call *call, const struct aws_keys *keys) {
  static const char body[] = "Action=GetCallerIdentity&Version=2011-06-15";
  struct aws *aws = call->aws;
  struct endpoint endpoint;
  const struct exchange_request request = {.service = AWS_STS,
                                           .url = endpoint.url,
                                           .signing_region = endpoint.signing_region,
                                           .keys = keys,
                                           .content_type = "application/x-www-form-urlencoded; charset=utf-8",
                                           .body = body,
                                           .body_len = sizeof(body) - 1,
                                           .max_answer_bytes = IDENTITY_ANSWER_MAX,
                                           .deadline_ns = now_ns() + IDENTITY_TIMEOUT_NS,
                                           .urgent = true};

  if (aws->identity != NULL) return 0;
  aws->identity_is_slow = false;
  if (endpoint_find(aws->settings, AWS_STS, role_region(call), "/", &endpoint) < 0) return -ENOMEM;
  return exchange_send(aws->exchanger, &request, on_identity, aws, &aws->identity);
}

static void call_identity(struct aws_call *call, const struct aws_keys *keys) {
  call->phase = PHASE_IDENTITY;
  if (identity_ask(call, keys) < 0) fail_with(call, "NetworkError", "out of memory");
}

/* Beside the request itself, which does not depend on it. */
static void learn_identity(struct aws_call *call, const struct aws_keys *keys) {
  struct aws *aws = call->aws;

  if (aws->own_account[0] == '\0' && now_ns() >= aws->identity_quiet_until_ns)
    (void)identity_ask(call, keys); /* without it, the answer names no account */
}

static void call_with_own_keys(struct aws_call *call, const struct aws_keys *keys) {
  const char *region = call->aws->settings->region;

  if (region == NULL) region = credentials_region(call->aws->own);
  if (region == NULL) region = ENDPOINT_REGION_DEFAULT;
  if (call->region[0] == '\0') snprintf(call->region, sizeof(call->region), "%s", region);
  if (call->names_account && call->account[0] == '\0') learn_identity(call, keys);
  if (call->account[0] == '\0' || strcmp(call->account, call->aws->own_account) == 0)
    call_exchange(call, keys);
  else if (call->aws->own_account[0] == '\0')
    call_identity(call, keys);
  else
    call_role(call);
}

static void on_own_keys(void *ctx, const struct aws_keys *keys, const struct aws_error *error) {
  struct aws_call *call = ctx;

  call->wait = NULL;
  if (keys != NULL)
    call_with_own_keys(call, keys);
  else
    fail(call, error);
}

static void call_own(struct aws_call *call) {
  const struct aws_keys *keys = credentials_keys(call->aws->own);

  call->phase = PHASE_OWN_KEYS;
  if (keys != NULL)
    call_with_own_keys(call, keys);
  else if (credentials_wait(call->aws->own, on_own_keys, call, &call->wait) < 0)
    fail_with(call, "CredentialsError", "out of memory");
}

static void call_identified(struct aws_call *call) {
  if (strcmp(call->account, call->aws->own_account) == 0)
    call_own(call); /* its keys may have changed meanwhile */
  else
    call_role(call);
}

/* ---- the beginning ---- */

static void call_begin(struct aws_call *call) {
  if (call->invalid != NULL)
    fail_with(call, "AnswerError", call->invalid);
  else
    call_own(call);
}

static void on_kick(evutil_socket_t fd, short events, void *ctx) {
  struct aws_call *call = ctx;

  (void)fd;
  (void)events;
  if (call->phase == PHASE_HELD) {
    call->aws->identity_is_slow = true;
    deliver_held(call);
  } else {
    call_begin(call);
  }
}

/* Host names and ARNs are made of these; who calls has checked them, with a better message. */
static bool check(struct aws_call *call, const struct aws_request *request) {
  const char *region = request->region, *account = request->account;
  const char *what = NULL;

  if (region != NULL && region[0] != '\0' && !endpoint_region_is_valid(region)) what = "the region is none";
  if (account != NULL && account[0] != '\0' &&
      (strspn(account, "0123456789") != ACCOUNT_DIGITS || account[ACCOUNT_DIGITS] != '\0'))
    what = "the account is not 12 digits";
  if (what != NULL) {
    call->invalid = strdup(what);
    return call->invalid != NULL;
  }
  snprintf(call->region, sizeof(call->region), "%s", region != NULL ? region : "");
  snprintf(call->account, sizeof(call->account), "%s", account != NULL ? account : "");
  return true;
}

static bool copy_text(char **out, const char *text) {
  *out = text != NULL ? strdup(text) : NULL;
  return text == NULL || *out != NULL;
}

static bool copy_request(struct aws_call *call, const struct aws_request *request) {
  call->service = request->service;
  call->max_answer_bytes = request->max_answer_bytes;
  call->deadline_ns = request->deadline_ns;
  call->names_account = request->names_account;
  call->body_len = request->body_len;
  call->body = malloc(request->body_len + 1);
  if (call->body == NULL) return false;
  if (request->body_len > 0) memcpy(call->body, request->body, request->body_len);
  call->body[request->body_len] = '\0';
  return copy_text(&call->path, request->path) && copy_text(&call->content_type, request->content_type) &&
         copy_text(&call->target, request->target) && check(call, request);
}

static bool arm(struct aws_call *call, struct event_base *base) {
  const int64_t left_us = (call->deadline_ns - now_ns() + 999) / 1000;
  const struct timeval in = {.tv_sec = left_us > 0 ? left_us / 1000000 : 0,
                             .tv_usec = left_us > 0 ? left_us % 1000000 : 0};

  call->kick = evtimer_new(base, on_kick, call);
  call->deadline = evtimer_new(base, on_deadline, call);
  if (call->kick == NULL || call->deadline == NULL || event_add(call->deadline, &in) < 0) return false;
  event_active(call->kick, EV_TIMEOUT, 0);
  return true;
}

int aws_send(struct aws *aws, const struct aws_request *request, aws_answer_fn answer, void *ctx,
             struct aws_call **out) {
  struct aws_call *call = calloc(1, sizeof(*call));

  if (call == NULL) return -ENOMEM;
  call->aws = aws;
  call->answer = answer;
  call->ctx = ctx;
  if (!copy_request(call, request) || !arm(call, aws->context.base)) {
    call_free(call);
    return -ENOMEM;
  }
  TAILQ_INSERT_TAIL(&aws->calls, call, link);
  *out = call;
  return 0;
}

void aws_cancel(struct aws_call *call) {
  TAILQ_REMOVE(&call->aws->calls, call, link);
  call_free(call);
}

/* ---- life ---- */

static int make_parts(struct aws *aws, struct event_base *base, const struct aws_options *options,
                      char *error, size_t error_size) {
  struct http_options http_options = {.max_transfers = options->max_requests, .stalled_s = STALLED_S};
  int r = aws_settings_new(options->environment, &aws->settings, error, error_size);

  if (r < 0) return r;
  http_options.ca_bundle = aws->settings->ca_bundle;
  r = http_new(base, &http_options, &aws->http, error, error_size);
  if (r < 0) return r == -ENOTSUP ? -EINVAL : r;
  if (options->warm_up)
    (void)http_warm_up(aws->http); /* without it, the first request is slow: no reason to fail */
  r = exchanger_new(base, aws->http, aws->settings->max_attempts, &aws->exchanger);
  if (r == 0 && options->cloudtrail_per_s > 0)
    r = rates_new(base, options->cloudtrail_per_s, &aws->cloudtrail);
  if (r < 0) return r;
  aws->context = (struct credentials_context){
      .base = base, .settings = aws->settings, .http = aws->http, .exchanger = aws->exchanger};
  return credentials_own(&aws->context, &aws->own, error, error_size);
}

/* Of IAM: "Names: up to 64 characters of a-z, A-Z, 0-9 and +=,.@_-", and a path before it. */
static int check_role_name(const char *name, char *error, size_t error_size) {
  const size_t len = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+=,.@_-/");

  if (name[len] == '\0' && len < 256 && name[0] != '/') return 0;
  snprintf(error, error_size, "the role to assume: a name like isoq-reader (not an ARN), not '%.64s'", name);
  return -EINVAL;
}

int aws_new(struct event_base *base, const struct aws_options *options, struct aws **out, char *error,
            size_t error_size) {
  const char *role = options->assume_role != NULL ? options->assume_role : "";
  int r = check_role_name(role, error, error_size);
  struct aws *aws;

  if (r < 0) return r;
  aws = calloc(1, sizeof(*aws));
  if (aws == NULL) return -ENOMEM;
  TAILQ_INIT(&aws->roles);
  TAILQ_INIT(&aws->calls);
  aws->assume_role = strdup(role);
  r = aws->assume_role != NULL ? make_parts(aws, base, options, error, error_size) : -ENOMEM;
  if (r < 0) {
    aws_free(aws);
    return r;
  }
  *out = aws;
  return 0;
}

void aws_free(struct aws *aws) {
  if (aws == NULL) return;
  assert(TAILQ_EMPTY(&aws->calls));
  while (!TAILQ_EMPTY(&aws->roles))
    role_free(aws, TAILQ_FIRST(&aws->roles));
  if (aws->identity != NULL) exchange_cancel(aws->identity);
  credentials_free(aws->own);
  rates_free(aws->cloudtrail);
  exchanger_free(aws->exchanger);
  http_free(aws->http);
  aws_settings_free(aws->settings);
  free(aws->assume_role);
  free(aws);
}
