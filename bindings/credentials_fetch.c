/*
 * Asking a source for keys: a few requests one after another, or a program.
 *
 * "IMDS credential provider", "Container credential provider" and "Process credential provider" (AWS SDKs and
 * Tools Reference Guide); "Use the Instance Metadata Service to access instance metadata" (Amazon EC2 User
 * Guide): a token by PUT, then the role's name, then its keys. The older IMDSv1, without the token, is what a
 * forged request can reach, and is never used. AssumeRole and AssumeRoleWithWebIdentity: STS API Reference,
 * version 2011-06-15.
 *
 * The web identity's and the container's token change in place, so their files are read at each refresh. They
 * are a few kilobytes on a tmpfs (Kubernetes' projected volumes): this read is the only one after start, and
 * never of a pipe.
 */
#include <ctype.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bindings/aws_settings.h"
#include "bindings/aws_xml.h"
#include "bindings/credentials_internal.h"
#include "bindings/endpoint.h"
#include "bindings/exchange.h"
#include "bindings/http.h"
#include "bindings/process.h"

#define WHY_MAX 700
#define TOKEN_FILE_MAX (64u << 10)
#define ANSWER_MAX (64u << 10)
#define STS_TIMEOUT_NS INT64_C(30000000000)
#define PROCESS_TIMEOUT_MS 60000u
#define CONTAINER_TIMEOUT_MS 2000u
#define CONTAINER_ATTEMPTS 3u
#define METADATA_ATTEMPTS 3u /* at least, of a service that is there but cannot answer now */
#define PAUSE_FIRST_MS 100u  /* between attempts at a local endpoint; twice as long each time */
#define PAUSE_MAX_MS 2000u
#define IMDS_TOKEN_TTL "X-aws-ec2-metadata-token-ttl-seconds: 21600"
#define IMDS_ROLE_PATH "/latest/meta-data/iam/security-credentials/"
#define HEADER_MAX 1024

enum step {
  STEP_CONTAINER,
  STEP_METADATA_TOKEN,
  STEP_METADATA_ROLE,
  STEP_METADATA_KEYS,
  STEP_METADATA_REGION
};

struct fetch {
  struct credentials *credentials;
  enum step step;
  uint32_t attempts; /* of this step */
  char *header;      /* of every request after the first: the token */
  char url[1200];
  struct aws_keys keys;  /* while the region is asked for */
  char signed_with[160]; /* the id of the keys of `from` */
  /* What is awaited, one of: */
  struct http_transfer *transfer;
  struct exchange *exchange;
  struct process *process;
  struct credentials_wait *wait;
  struct event *pause;
};

static void ask(struct fetch *fetch);

static void fetch_free(struct fetch *fetch) {
  fetch->credentials->fetch = NULL;
  if (fetch->transfer != NULL) http_cancel(fetch->transfer);
  if (fetch->exchange != NULL) exchange_cancel(fetch->exchange);
  if (fetch->process != NULL) process_cancel(fetch->process);
  if (fetch->wait != NULL) credentials_wait_cancel(fetch->wait);
  if (fetch->pause != NULL) event_free(fetch->pause);
  aws_wipe(fetch->header);
  aws_keys_clear(&fetch->keys);
  free(fetch);
}

void credentials_fetch_cancel(struct fetch *fetch) {
  fetch_free(fetch);
}

static void done(struct fetch *fetch, struct aws_keys *keys) {
  struct credentials *credentials = fetch->credentials;

  fetch_free(fetch);
  credentials_fetched(credentials, keys, NULL, NULL);
}

static void fail(struct fetch *fetch, const struct aws_error *error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void fail(struct fetch *fetch, const struct aws_error *error, const char *format, ...) {
  struct credentials *credentials = fetch->credentials;
  char why[WHY_MAX];
  va_list values;

  va_start(values, format);
  vsnprintf(why, sizeof(why), format, values);
  va_end(values);
  fetch_free(fetch);
  credentials_fetched(credentials, NULL, why, error);
}

/* ---- files ---- */

/* Without white space at its ends. 0 or a negative errno. */
static int read_token(const char *path, char **out) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  struct stat status;
  char *text, *end;
  ssize_t got = -1;
  int r = 0;

  if (fd < 0) return -errno;
  text = malloc(TOKEN_FILE_MAX + 1);
  if (text == NULL) r = -ENOMEM;
  if (r == 0 && (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))) r = -EINVAL;
  if (r == 0 && (got = read(fd, text, TOKEN_FILE_MAX + 1)) < 0) r = -errno;
  close(fd);
  if (r == 0 && got > TOKEN_FILE_MAX) r = -EFBIG;
  if (r == 0) {
    end = text + got;
    while (end > text && isspace((unsigned char)end[-1]))
      end--;
    *end = '\0';
    if (end == text || strlen(text) != (size_t)(end - text)) r = -EBADMSG;
  }
  if (r < 0) {
    if (text != NULL) explicit_bzero(text, TOKEN_FILE_MAX + 1);
    free(text);
    return r;
  }
  *out = text;
  return 0;
}

static const char *token_problem(int r) {
  switch (r) {
  case -EINVAL: return "not a file";
  case -EFBIG: return "more than 64 KiB";
  case -EBADMSG: return "empty, or no text";
  default: return strerror(-r);
  }
}

/* ---- STS ---- */

/* &name=value, encoded. */
static bool add_parameter(char *body, size_t size, const char *name, const char *value) {
  static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~";
  size_t len = strlen(body);
  const int wrote = snprintf(body + len, size - len, "&%s=", name);

  if (wrote < 0 || (size_t)wrote >= size - len) return false;
  len += (size_t)wrote;
  for (const char *c = value; *c != '\0'; c++) {
    if (len + 4 > size) return false;
    if (strchr(plain, *c) != NULL)
      body[len++] = *c;
    else
      len += (size_t)snprintf(body + len, 4, "%%%02X", (unsigned)(unsigned char)*c);
  }
  body[len] = '\0';
  return true;
}

static const char *sts_region(const struct credentials *credentials) {
  const char *region = credentials->sts_region;

  if (region == NULL) region = credentials->context.settings->region;
  if (region == NULL && credentials->from != NULL) region = credentials_region(credentials->from);
  return region != NULL ? region : ENDPOINT_REGION_DEFAULT;
}

static void on_sts(void *ctx, const struct exchange_answer *answer) {
  struct fetch *fetch = ctx;
  const struct credentials *credentials = fetch->credentials;
  const char *action =
      credentials->source == SOURCE_ROLE ? "sts:AssumeRole" : "sts:AssumeRoleWithWebIdentity";
  struct aws_keys keys;
  char why[160];
  int r;

  fetch->exchange = NULL;
  if (!answer->ok) {
    struct aws_error error = answer->error; /* outlives what it points to */

    if (error.kind == AWS_ERROR_EXPIRED && credentials->from != NULL)
      credentials_reject(credentials->from, fetch->signed_with); /* the next attempt has others */
    fail(fetch, &error, "%s of %s: %s: %s", action, credentials->role_arn, error.name, error.message);
    return;
  }
  r = aws_keys_from_sts(answer->body, answer->body_len, &keys, why, sizeof(why));
  if (r < 0)
    fail(fetch, NULL, "%s of %s: %s", action, credentials->role_arn, r == -ENOMEM ? "out of memory" : why);
  else
    done(fetch, &keys);
}

static void ask_sts(struct fetch *fetch, const char *action, const struct aws_keys *keys, const char *token) {
  const struct credentials *credentials = fetch->credentials;
  const size_t size = 8192 + (token != NULL ? 3 * strlen(token) : 0);
  char *body = malloc(size);
  struct timespec now;
  struct endpoint endpoint;
  struct exchange_request request;
  int r = body != NULL ? 0 : -ENOMEM;

  if (r == 0 && !endpoint_region_is_valid(sts_region(credentials))) r = -EINVAL;
  if (r == 0)
    r = endpoint_find(credentials->context.settings, AWS_STS, sts_region(credentials), "/", &endpoint);
  if (r == 0) {
    snprintf(body, size, "Action=%s&Version=2011-06-15", action);
    if (!add_parameter(body, size, "RoleArn", credentials->role_arn) ||
        !add_parameter(body, size, "RoleSessionName", credentials->session_name) ||
        (credentials->external_id != NULL &&
         !add_parameter(body, size, "ExternalId", credentials->external_id)) ||
        (credentials->duration_s != NULL &&
         !add_parameter(body, size, "DurationSeconds", credentials->duration_s)) ||
        (token != NULL && !add_parameter(body, size, "WebIdentityToken", token)))
      r = -EINVAL;
  }
  if (r == 0) {
    clock_gettime(CLOCK_MONOTONIC, &now);
    request = (struct exchange_request){
        .service = AWS_STS,
        .url = endpoint.url,
        .signing_region = endpoint.signing_region,
        .keys = keys,
        .content_type = "application/x-www-form-urlencoded; charset=utf-8",
        .body = body,
        .body_len = strlen(body),
        .max_answer_bytes = ANSWER_MAX,
        .deadline_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec + STS_TIMEOUT_NS,
        .urgent = true,
    };
    if (keys != NULL) snprintf(fetch->signed_with, sizeof(fetch->signed_with), "%s", keys->access_key_id);
    r = exchange_send(credentials->context.exchanger, &request, on_sts, fetch, &fetch->exchange);
  }
  if (body != NULL) explicit_bzero(body, size);
  free(body);
  if (r < 0)
    fail(fetch, NULL, "%s",
         r == -ENOMEM ? "out of memory" : "the role's settings or the region cannot be sent to STS");
}

static void on_from(void *ctx, const struct aws_keys *keys, const struct aws_error *error) {
  struct fetch *fetch = ctx;

  fetch->wait = NULL;
  if (keys == NULL) {
    struct aws_error why = *error;

    fail(fetch, &why, "to assume %s: %s", fetch->credentials->role_arn, why.message);
    return;
  }
  ask_sts(fetch, "AssumeRole", keys, NULL);
}

static void begin_role(struct fetch *fetch) {
  struct credentials *from = fetch->credentials->from;
  const struct aws_keys *keys = credentials_keys(from);

  if (keys != NULL)
    ask_sts(fetch, "AssumeRole", keys, NULL);
  else if (credentials_wait(from, on_from, fetch, &fetch->wait) < 0)
    fail(fetch, NULL, "out of memory");
}

static void begin_web_identity(struct fetch *fetch) {
  const char *path = fetch->credentials->path;
  char *token;
  const int r = read_token(path, &token);

  if (r < 0) {
    fail(fetch, NULL, "the token file %.200s: %s", path, token_problem(r));
    return;
  }
  ask_sts(fetch, "AssumeRoleWithWebIdentity", NULL, token);
  aws_wipe(token);
}

/* ---- a program ---- */

static void on_process(void *ctx, const char *output, size_t len, const char *why) {
  struct fetch *fetch = ctx;
  struct aws_keys keys;
  char problem[160];
  int r;

  fetch->process = NULL;
  if (output == NULL) {
    fail(fetch, NULL, "%s", why);
    return;
  }
  r = aws_keys_from_json(output, len, AWS_KEYS_PROCESS, &keys, problem, sizeof(problem));
  if (r < 0)
    fail(fetch, NULL, "%s", r == -ENOMEM ? "out of memory" : problem);
  else
    done(fetch, &keys);
}

static void begin_process(struct fetch *fetch) {
  const struct credentials *credentials = fetch->credentials;
  char error[256];

  if (process_run(credentials->context.base, credentials->command, credentials->context.settings->environment,
                  PROCESS_TIMEOUT_MS, on_process, fetch, &fetch->process, error, sizeof(error)) < 0)
    fail(fetch, NULL, "%s", error);
}

/* ---- local endpoints ---- */

static void next_step(struct fetch *fetch, enum step step, const char *url) {
  fetch->step = step;
  fetch->attempts = 0;
  snprintf(fetch->url, sizeof(fetch->url), "%s", url);
  ask(fetch);
}

static void next_metadata_step(struct fetch *fetch, enum step step, const char *path, const char *name) {
  char url[1200];

  snprintf(url, sizeof(url), "%s%s%s", fetch->credentials->context.settings->imds_endpoint, path, name);
  next_step(fetch, step, url);
}

static bool has_word(const char *text, size_t len, const char *characters, size_t most) {
  return len > 0 && len <= most && strspn(text, characters) == len;
}

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

static void take_metadata_token(struct fetch *fetch, const char *text, size_t len) {
  if (!has_word(text, len, LETTERS "+/=_-.", HEADER_MAX / 2)) {
    fail(fetch, NULL, "the session token of %s is none", fetch->credentials->context.settings->imds_endpoint);
    return;
  }
  if (asprintf(&fetch->header, "X-aws-ec2-metadata-token: %s", text) < 0) {
    fetch->header = NULL;
    fail(fetch, NULL, "out of memory");
    return;
  }
  next_metadata_step(fetch, STEP_METADATA_ROLE, IMDS_ROLE_PATH, "");
}

/* The first line. */
static void take_role(struct fetch *fetch, const char *text) {
  char role[256];
  const size_t len = strcspn(text, "\r\n");

  snprintf(role, sizeof(role), "%.*s", (int)(len < sizeof(role) ? len : sizeof(role) - 1), text);
  if (!has_word(role, len, LETTERS "+=,.@_-", sizeof(role) - 1)) {
    fail(fetch, NULL, "no role is attached to this instance");
    return;
  }
  next_metadata_step(fetch, STEP_METADATA_KEYS, IMDS_ROLE_PATH, role);
}

static void take_keys(struct fetch *fetch, const struct http_answer *answer) {
  const bool region_wanted = fetch->step == STEP_METADATA_KEYS &&
                             fetch->credentials->context.settings->region == NULL &&
                             fetch->credentials->region == NULL;
  char why[160];
  struct aws_keys keys;
  const int r =
      aws_keys_from_json(answer->body, answer->body_len, AWS_KEYS_ENDPOINT, &keys, why, sizeof(why));

  if (r < 0) {
    fail(fetch, NULL, "%s", r == -ENOMEM ? "out of memory" : why);
  } else if (region_wanted) {
    fetch->keys = keys;
    next_metadata_step(fetch, STEP_METADATA_REGION, "/latest/meta-data/placement/region", "");
  } else {
    done(fetch, &keys);
  }
}

/* The region is a convenience: without it there is the default one. */
static void take_region(struct fetch *fetch, const struct http_answer *answer) {
  struct aws_keys keys = fetch->keys;

  fetch->keys = (struct aws_keys){0};
  if (answer->end == HTTP_ANSWERED && answer->status == 200 && endpoint_region_is_valid(answer->body))
    fetch->credentials->region = strdup(answer->body);
  done(fetch, &keys);
}

static void on_pause_over(evutil_socket_t fd, short events, void *ctx) {
  (void)fd;
  (void)events;
  ask(ctx);
}

/* AWS_METADATA_SERVICE_NUM_ATTEMPTS is 1 unless set, because outside of EC2 nobody is there, and each attempt
 * lasts for its time-out. Whoever answers, though it be with an error of its own, is there. */
static uint32_t attempts_max(const struct fetch *fetch, bool is_there) {
  const uint32_t configured = fetch->credentials->context.settings->imds_attempts;

  if (fetch->credentials->source == SOURCE_CONTAINER) return CONTAINER_ATTEMPTS;
  return is_there && configured < METADATA_ATTEMPTS ? METADATA_ATTEMPTS : configured;
}

static bool try_again(struct fetch *fetch, bool is_there) {
  uint32_t pause_ms = PAUSE_FIRST_MS;
  struct timeval in;

  if (fetch->attempts >= attempts_max(fetch, is_there)) return false;
  for (uint32_t i = 1; i < fetch->attempts && pause_ms < PAUSE_MAX_MS; i++)
    pause_ms *= 2;
  in = (struct timeval){.tv_sec = pause_ms / 1000, .tv_usec = pause_ms % 1000 * 1000};
  if (fetch->pause == NULL)
    fetch->pause = evtimer_new(fetch->credentials->context.base, on_pause_over, fetch);
  return fetch->pause != NULL && event_add(fetch->pause, &in) == 0;
}

static void refused(struct fetch *fetch, const struct http_answer *answer) {
  const struct credentials *credentials = fetch->credentials;
  const char *imds = credentials->context.settings->imds_endpoint;
  const unsigned timeout_s = credentials->context.settings->imds_timeout_ms / 1000;

  if (fetch->step == STEP_METADATA_ROLE && answer->status == 404)
    fail(fetch, NULL, "no role is attached to this instance");
  else if (answer->end == HTTP_ANSWERED)
    fail(fetch, NULL, "HTTP status %d%s%s", answer->status,
         credentials->source == SOURCE_METADATA ? " from " : "",
         credentials->source == SOURCE_METADATA ? imds : "");
  else if (fetch->step == STEP_METADATA_TOKEN && answer->end == HTTP_TIMED_OUT)
    fail(fetch, NULL, "no answer from %s in %u s (in a container on EC2, the instance's hop limit must be 2)",
         strstr(imds, "://") + 3, timeout_s);
  else
    fail(fetch, NULL, "no answer%s%s: %s", credentials->source == SOURCE_METADATA ? " from " : "",
         credentials->source == SOURCE_METADATA ? strstr(imds, "://") + 3 : "", answer->error);
}

static void on_answer(void *ctx, const struct http_answer *answer) {
  struct fetch *fetch = ctx;
  const bool good = answer->end == HTTP_ANSWERED && answer->status == 200;
  const bool hopeless = (answer->end == HTTP_ANSWERED && answer->status < 500 && answer->status != 429) ||
                        answer->end == HTTP_TOO_LARGE;
  const bool is_there = answer->end != HTTP_TIMED_OUT || fetch->step != STEP_METADATA_TOKEN;

  fetch->transfer = NULL;
  if (!good && !hopeless && try_again(fetch, is_there)) return;
  if (fetch->step == STEP_METADATA_REGION)
    take_region(fetch, answer);
  else if (!good)
    refused(fetch, answer);
  else if (fetch->step == STEP_METADATA_TOKEN)
    take_metadata_token(fetch, answer->body, answer->body_len);
  else if (fetch->step == STEP_METADATA_ROLE)
    take_role(fetch, answer->body);
  else
    take_keys(fetch, answer);
}

static void ask(struct fetch *fetch) {
  const struct credentials *credentials = fetch->credentials;
  const uint32_t timeout_ms = credentials->source == SOURCE_CONTAINER
                                  ? CONTAINER_TIMEOUT_MS
                                  : credentials->context.settings->imds_timeout_ms;
  const char *headers[] = {fetch->step == STEP_METADATA_TOKEN ? IMDS_TOKEN_TTL : fetch->header, NULL};
  const struct http_request request = {.method = fetch->step == STEP_METADATA_TOKEN ? "PUT" : "GET",
                                       .url = fetch->url,
                                       .headers = headers,
                                       .max_answer_bytes = ANSWER_MAX,
                                       .connect_timeout_ms = timeout_ms,
                                       .timeout_ms = timeout_ms,
                                       .metadata = true};

  fetch->attempts++;
  if (http_send(credentials->context.http, &request, on_answer, fetch, &fetch->transfer) < 0)
    fail(fetch, NULL, "out of memory");
}

static void begin_container(struct fetch *fetch) {
  const struct credentials *credentials = fetch->credentials;
  const char *token = credentials->authorization;
  char *from_file = NULL;
  int r = 0;

  if (credentials->path != NULL) {
    r = read_token(credentials->path, &from_file);
    if (r < 0) {
      fail(fetch, NULL, "the token file %.200s: %s", credentials->path, token_problem(r));
      return;
    }
    token = from_file;
  }
  for (const char *c = token; c != NULL && *c != '\0'; c++)
    if (*c < ' ' || *c > '~') r = -EINVAL;
  if (r == 0 && token != NULL && asprintf(&fetch->header, "Authorization: %s", token) < 0) {
    fetch->header = NULL;
    r = -ENOMEM;
  }
  aws_wipe(from_file);
  if (r < 0)
    fail(fetch, NULL, "%s",
         r == -ENOMEM ? "out of memory" : "the authorization token is not printable ASCII");
  else
    next_step(fetch, STEP_CONTAINER, credentials->url);
}

/* ---- which ---- */

void credentials_fetch(struct credentials *credentials) {
  struct fetch *fetch = calloc(1, sizeof(*fetch));

  if (fetch == NULL) {
    credentials_fetched(credentials, NULL, "out of memory", NULL);
    return;
  }
  fetch->credentials = credentials;
  credentials->fetch = fetch;
  switch (credentials->source) {
  case SOURCE_ROLE: begin_role(fetch); break;
  case SOURCE_WEB_IDENTITY: begin_web_identity(fetch); break;
  case SOURCE_PROCESS: begin_process(fetch); break;
  case SOURCE_CONTAINER: begin_container(fetch); break;
  case SOURCE_METADATA: next_metadata_step(fetch, STEP_METADATA_TOKEN, "/latest/api/token", ""); break;
  case SOURCE_NONE: fail(fetch, NULL, "%s", credentials->why_not); break;
  case SOURCE_STATIC: fail(fetch, NULL, "these keys cannot be fetched anew"); break;
  }
}
