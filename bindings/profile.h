/*
 * The shared config and credentials files of AWS' tools: sections of settings, read once.
 *
 * The two files are merged: [profile NAME] of the first and [NAME] of the second are one profile, and the
 * second wins.
 */
#ifndef ISOQ_BINDINGS_PROFILE_H
#define ISOQ_BINDINGS_PROFILE_H

#include <stdbool.h>
#include <stddef.h>

struct profiles;

enum profiles_file {
  PROFILES_CONFIG,     /* [default], [profile NAME], [services NAME], [sso-session NAME] */
  PROFILES_CREDENTIALS /* [NAME] */
};

int profiles_new(struct profiles **out);
/* Overwrites what it frees. */
void profiles_free(struct profiles *profiles);

/* Adds a file's text. 0, -ENOMEM, or -EINVAL with "`name`, line 3: ..." in `error`; no value is repeated
 * in it. */
int profiles_parse(struct profiles *profiles, enum profiles_file which, const char *name, const char *text,
                   size_t len, char *error, size_t error_size);

/* Adds a file of at most 1 MiB. 0; -ENOENT, -EACCES and such without a word; or as profiles_parse(). */
int profiles_read(struct profiles *profiles, enum profiles_file which, const char *path, char *error,
                  size_t error_size);

/* The value of `key` in the section of `kind` ("profile", "services", "sso-session") and `name`; NULL:
 * there is none. `parent`: the setting that it is nested in, or NULL. Borrowed. */
const char *profiles_get(const struct profiles *profiles, const char *kind, const char *name,
                         const char *parent, const char *key);
bool profiles_has(const struct profiles *profiles, const char *kind, const char *name);
/* "a, b, c" of the profiles there are. */
void profiles_names(const struct profiles *profiles, char *out, size_t out_size);

#endif
