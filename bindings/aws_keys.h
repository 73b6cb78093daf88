/* A set of AWS keys, and the forms in which they come: JSON of metadata endpoints and processes, XML of
 * STS. */
#ifndef ISOQ_BINDINGS_AWS_KEYS_H
#define ISOQ_BINDINGS_AWS_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AWS_KEYS_NEVER INT64_MAX

struct aws_keys { /* each text owned */
  char *access_key_id, *secret;
  char *token;          /* NULL: none */
  int64_t expires_at_s; /* since 1970; AWS_KEYS_NEVER */
};

/* Copies; `token` may be NULL. 0, -ENOMEM, or -EINVAL when a text could not stand in a header: empty, with
 * a blank, or not printable ASCII. */
int aws_keys_set(struct aws_keys *keys, const char *access_key_id, const char *secret, const char *token,
                 int64_t expires_at_s);
int aws_keys_copy(struct aws_keys *keys, const struct aws_keys *from);
/* Overwrites what it frees. */
void aws_keys_clear(struct aws_keys *keys);

/* Where a JSON text comes from decides its names. */
enum aws_keys_form {
  AWS_KEYS_ENDPOINT, /* AccessKeyId, SecretAccessKey, Token, Expiration; Code of IMDS must be "Success" */
  AWS_KEYS_PROCESS   /* Version 1, AccessKeyId, SecretAccessKey, SessionToken, Expiration */
};

/* text[len] is NUL. 0, -ENOMEM, or -EINVAL with what is wrong in `error`, which repeats no value of the
 * text. */
int aws_keys_from_json(const char *text, size_t len, enum aws_keys_form form, struct aws_keys *out,
                       char *error, size_t error_size);

/* The Credentials of an answer of STS. The same. */
int aws_keys_from_sts(const char *text, size_t len, struct aws_keys *out, char *error, size_t error_size);

/* "2026-11-22T08:00:00Z", with a fraction or an offset if it likes. 0 or -EINVAL. */
int aws_time_parse(const char *text, int64_t *out_s);

/* Cleared, then freed; NULL is fine. */
void aws_wipe(char *secret);

#endif
