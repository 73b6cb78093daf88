/*
 * Identities: where their keys come from, kept until they are about to expire, fetched once for all who wait.
 *
 * The broker's own identity is the first of the standard sources that is configured. A role is an identity
 * that takes another one's keys to STS. Files but the token of a web identity are read when an identity is
 * made; nothing blocks later.
 */
#ifndef ISOQ_BINDINGS_CREDENTIALS_H
#define ISOQ_BINDINGS_CREDENTIALS_H

#include <stdbool.h>
#include <stddef.h>

struct aws_error;
struct aws_keys;
struct aws_settings;
struct credentials;
struct credentials_wait;
struct event_base;
struct exchanger;
struct http;

struct credentials_context { /* all borrowed for the life of the identity */
  struct event_base *base;
  const struct aws_settings *settings;
  struct http *http;
  struct exchanger *exchanger;
};

/* The broker's own. Asks nobody yet. 0, -ENOMEM, or -EINVAL with what is wrong in the settings in `error`. */
int credentials_own(const struct credentials_context *context, struct credentials **out, char *error,
                    size_t error_size);

/* The role `role_arn`, assumed with the keys of `from` (borrowed) at the STS of `region`. 0 or -ENOMEM. */
int credentials_role(const struct credentials_context *context, struct credentials *from,
                     const char *role_arn, const char *region, struct credentials **out);

/* Nobody may be waiting. Ends what is under way. */
void credentials_free(struct credentials *credentials);

/* The keys, if they are valid now; NULL: wait for them. Begins to fetch others when they are about to
 * expire. Borrowed until control returns to the loop. */
const struct aws_keys *credentials_keys(struct credentials *credentials);

/* One of the two is NULL. Both borrowed for the callback. The name of the error is "CredentialsError". */
typedef void (*credentials_fn)(void *ctx, const struct aws_keys *keys, const struct aws_error *error);

/* `got` is called once, from the loop, never from within. 0 or -ENOMEM. */
int credentials_wait(struct credentials *credentials, credentials_fn got, void *ctx,
                     struct credentials_wait **out);
void credentials_wait_cancel(struct credentials_wait *wait);

/* AWS says that these keys have expired: others are fetched when there are some to fetch. False: there are
 * not. */
bool credentials_reject(struct credentials *credentials, const char *access_key_id);

/* The region of the instance, when the keys came from its metadata and no region is configured; NULL. */
const char *credentials_region(const struct credentials *credentials);

/* Nothing is under way, so that it may be freed. */
bool credentials_is_idle(const struct credentials *credentials);

#endif
