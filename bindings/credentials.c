/*
 * The cache of one identity's keys.
 *
 * Keys are good until they expire. From five minutes before (less for those that live shortly; jittered, so
 * that a fleet does not ask at once) whoever uses them starts a refresh, and does not wait for it. When it
 * fails, the old ones serve on, and it is tried again after a while. Without valid keys everybody waits for
 * the one refresh. A failure is an answer for all who come within the next second, so that a broken source is
 * not asked for each call anew.
 */
#include "bindings/credentials.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/util.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bindings/credentials_internal.h"

#define REFRESH_BEFORE_S 300
#define REFRESH_JITTER_S 60
#define QUIET_NS INT64_C(1000000000)            /* after a failure, without keys */
#define QUIET_WITH_KEYS_NS INT64_C(20000000000) /* with keys that are still good */

struct credentials_wait {
  TAILQ_ENTRY(credentials_wait) link;
  struct credentials *credentials;
  credentials_fn got;
  void *ctx;
};

static int64_t now_ns(void) {
  struct timespec now;

  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static bool are_valid(const struct credentials *credentials) {
  return credentials->keys.access_key_id != NULL && (int64_t)time(NULL) < credentials->keys.expires_at_s;
}

static void start_refresh(struct credentials *credentials) {
  if (credentials->refreshing) return;
  credentials->refreshing = true;
  event_active(credentials->later, EV_TIMEOUT, 0);
}

const struct aws_keys *credentials_keys(struct credentials *credentials) {
  if (!are_valid(credentials)) return NULL;
  if ((int64_t)time(NULL) >= credentials->refresh_at_s && now_ns() >= credentials->quiet_until_ns)
    start_refresh(credentials);
  return &credentials->keys;
}

/* Each once; those who come while others are told wait for the next time. */
static void tell_all(struct credentials *credentials, const struct aws_keys *keys,
                     const struct aws_error *error) {
  struct credentials_wait *last = TAILQ_LAST(&credentials->waiting, wait_list), *wait;
  bool more = last != NULL;

  while (more && (wait = TAILQ_FIRST(&credentials->waiting)) != NULL) {
    more = wait != last;
    TAILQ_REMOVE(&credentials->waiting, wait, link);
    wait->got(wait->ctx, keys, error);
    free(wait);
  }
  if (!TAILQ_EMPTY(&credentials->waiting)) start_refresh(credentials);
}

static void on_later(evutil_socket_t fd, short events, void *ctx) {
  struct credentials *credentials = ctx;

  (void)fd;
  (void)events;
  if (are_valid(credentials) && (int64_t)time(NULL) < credentials->refresh_at_s) {
    credentials->refreshing = false;
    tell_all(credentials, &credentials->keys, NULL);
  } else if (now_ns() < credentials->quiet_until_ns && !are_valid(credentials)) {
    credentials->refreshing = false;
    tell_all(credentials, NULL, &credentials->failure);
  } else {
    credentials_fetch(credentials);
  }
}

static void keep(struct credentials *credentials, struct aws_keys *keys) {
  const int64_t now_s = (int64_t)time(NULL);
  uint32_t noise;

  aws_keys_clear(&credentials->keys);
  credentials->keys = *keys;
  *keys = (struct aws_keys){0};
  credentials->refresh_at_s = AWS_KEYS_NEVER;
  credentials->quiet_until_ns = 0;
  if (credentials->keys.expires_at_s == AWS_KEYS_NEVER) return;
  evutil_secure_rng_get_bytes(&noise, sizeof(noise));
  credentials->refresh_at_s = credentials->keys.expires_at_s - REFRESH_BEFORE_S - noise % REFRESH_JITTER_S;
  if (credentials->refresh_at_s < now_s + (credentials->keys.expires_at_s - now_s) / 2)
    credentials->refresh_at_s = now_s + (credentials->keys.expires_at_s - now_s) / 2;
}

static void note_failure(struct credentials *credentials, const char *why, const struct aws_error *error) {
  struct aws_error *failure = &credentials->failure;
  const char *tried = credentials->tried;
  char message[2 * AWS_ERROR_MESSAGE_MAX];

  if (error != NULL)
    *failure = *error;
  else
    *failure = (struct aws_error){.kind = AWS_ERROR_FINAL};
  snprintf(failure->name, sizeof(failure->name), "CredentialsError");
  snprintf(message, sizeof(message), "%s%s%s: %s", tried, tried[0] != '\0' ? "; " : "", credentials->label,
           why);
  aws_text_copy(failure->message, sizeof(failure->message), message);
  credentials->quiet_until_ns = now_ns() + (are_valid(credentials) ? QUIET_WITH_KEYS_NS : QUIET_NS);
}

void credentials_fetched(struct credentials *credentials, struct aws_keys *keys, const char *why,
                         const struct aws_error *error) {
  assert(credentials->refreshing);
  credentials->refreshing = false;
  if (keys != NULL && (int64_t)time(NULL) >= keys->expires_at_s) {
    aws_keys_clear(keys);
    keys = NULL;
    why = "the keys that came have expired already; is this machine's clock right?";
  }
  if (keys != NULL)
    keep(credentials, keys);
  else
    note_failure(credentials, why, error);
  if (are_valid(credentials))
    tell_all(credentials, &credentials->keys, NULL);
  else
    tell_all(credentials, NULL, &credentials->failure);
}

bool credentials_reject(struct credentials *credentials, const char *access_key_id) {
  if (credentials->source == SOURCE_STATIC || credentials->source == SOURCE_NONE) return false;
  if (credentials->keys.access_key_id != NULL && strcmp(credentials->keys.access_key_id, access_key_id) == 0)
    aws_keys_clear(&credentials->keys); /* else they are others already */
  return true;
}

const char *credentials_region(const struct credentials *credentials) {
  return credentials->region;
}

bool credentials_is_idle(const struct credentials *credentials) {
  return !credentials->refreshing && TAILQ_EMPTY(&credentials->waiting);
}

/* ---- waiting ---- */

int credentials_wait(struct credentials *credentials, credentials_fn got, void *ctx,
                     struct credentials_wait **out) {
  struct credentials_wait *wait = malloc(sizeof(*wait));

  if (wait == NULL) return -ENOMEM;
  *wait = (struct credentials_wait){.credentials = credentials, .got = got, .ctx = ctx};
  TAILQ_INSERT_TAIL(&credentials->waiting, wait, link);
  start_refresh(credentials);
  *out = wait;
  return 0;
}

void credentials_wait_cancel(struct credentials_wait *wait) {
  TAILQ_REMOVE(&wait->credentials->waiting, wait, link);
  free(wait);
}

/* ---- life ---- */

struct credentials *credentials_make(const struct credentials_context *context,
                                     enum credentials_source source, const char *tried, const char *label) {
  struct credentials *credentials = calloc(1, sizeof(*credentials));

  if (credentials == NULL) return NULL;
  credentials->context = *context;
  credentials->source = source;
  TAILQ_INIT(&credentials->waiting);
  credentials->tried = strdup(tried);
  credentials->label = strdup(label);
  credentials->later = evtimer_new(context->base, on_later, credentials);
  if (credentials->tried != NULL && credentials->label != NULL && credentials->later != NULL)
    return credentials;
  credentials_free(credentials);
  return NULL;
}

void credentials_free(struct credentials *credentials) {
  if (credentials == NULL) return;
  assert(TAILQ_EMPTY(&credentials->waiting));
  if (credentials->fetch != NULL) credentials_fetch_cancel(credentials->fetch);
  if (credentials->later != NULL) event_free(credentials->later);
  if (credentials->owns_from) credentials_free(credentials->from);
  aws_keys_clear(&credentials->keys);
  aws_wipe(credentials->authorization);
  free(credentials->tried);
  free(credentials->label);
  free(credentials->role_arn);
  free(credentials->session_name);
  aws_wipe(credentials->external_id);
  free(credentials->duration_s);
  free(credentials->sts_region);
  free(credentials->path);
  aws_wipe(credentials->command); /* people write passwords into it */
  free(credentials->url);
  free(credentials->why_not);
  free(credentials->region);
  free(credentials);
}
