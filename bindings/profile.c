/*
 * "Shared config and credentials files" of the AWS SDKs and Tools Reference Guide describes the format: it is
 * not quite that of other INI files, so no library reads it. A '#' or ';' begins a comment at the start of a
 * line, and within a value after a blank. A line that begins with a blank is nested in the setting above it.
 * Names of settings are not case-sensitive, those of sections are.
 */
#include "bindings/profile.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bindings/aws_keys.h"

#define FILE_MAX (1u << 20)

struct setting {
  STAILQ_ENTRY(setting) link;
  char *parent; /* NULL: not nested */
  char *key, *value;
  enum profiles_file from;
};

struct section {
  STAILQ_ENTRY(section) link;
  char *kind, *name;
  STAILQ_HEAD(, setting) settings;
};

struct profiles {
  STAILQ_HEAD(, section) sections;
};

struct parse {
  struct profiles *profiles;
  enum profiles_file which;
  const char *name;
  unsigned line;
  struct section *section; /* NULL before the first, and within one that is not for us */
  bool skipping;
  char *parent; /* the last setting with an empty value */
  char *error;
  size_t error_size;
};

/* ---- looking up ---- */

static struct section *find(const struct profiles *profiles, const char *kind, const char *name) {
  struct section *section;

  STAILQ_FOREACH(section, &profiles->sections, link)
  if (strcmp(section->kind, kind) == 0 && strcmp(section->name, name) == 0) return section;
  return NULL;
}

static struct setting *find_setting(const struct section *section, const char *parent, const char *key) {
  struct setting *setting;

  STAILQ_FOREACH(setting, &section->settings, link) {
    if (strcasecmp(setting->key, key) != 0) continue;
    if (parent == NULL ? setting->parent == NULL
                       : setting->parent != NULL && strcasecmp(setting->parent, parent) == 0)
      return setting;
  }
  return NULL;
}

const char *profiles_get(const struct profiles *profiles, const char *kind, const char *name,
                         const char *parent, const char *key) {
  const struct section *section = find(profiles, kind, name);
  const struct setting *setting = section != NULL ? find_setting(section, parent, key) : NULL;

  return setting != NULL ? setting->value : NULL;
}

bool profiles_has(const struct profiles *profiles, const char *kind, const char *name) {
  return find(profiles, kind, name) != NULL;
}

void profiles_names(const struct profiles *profiles, char *out, size_t out_size) {
  const struct section *section;
  size_t len = 0;

  out[0] = '\0';
  STAILQ_FOREACH(section, &profiles->sections, link) {
    if (strcmp(section->kind, "profile") != 0 || len >= out_size) continue;
    len += (size_t)snprintf(out + len, out_size - len, "%s%s", len > 0 ? ", " : "", section->name);
  }
}

/* ---- life ---- */

static void setting_free(struct setting *setting) {
  if (setting == NULL) return;
  free(setting->parent);
  free(setting->key);
  aws_wipe(setting->value);
  free(setting);
}

static void section_free(struct section *section) {
  if (section == NULL) return;
  while (!STAILQ_EMPTY(&section->settings)) {
    struct setting *setting = STAILQ_FIRST(&section->settings);

    STAILQ_REMOVE_HEAD(&section->settings, link);
    setting_free(setting);
  }
  free(section->kind);
  free(section->name);
  free(section);
}

int profiles_new(struct profiles **out) {
  struct profiles *profiles = calloc(1, sizeof(*profiles));

  if (profiles == NULL) return -ENOMEM;
  STAILQ_INIT(&profiles->sections);
  *out = profiles;
  return 0;
}

void profiles_free(struct profiles *profiles) {
  if (profiles == NULL) return;
  while (!STAILQ_EMPTY(&profiles->sections)) {
    struct section *section = STAILQ_FIRST(&profiles->sections);

    STAILQ_REMOVE_HEAD(&profiles->sections, link);
    section_free(section);
  }
  free(profiles);
}

/* ---- parsing ---- */

struct piece { /* of the text */
  const char *at;
  size_t len;
};

static struct piece trimmed(const char *at, size_t len) {
  while (len > 0 && isspace((unsigned char)at[0]))
    at++, len--;
  while (len > 0 && isspace((unsigned char)at[len - 1]))
    len--;
  return (struct piece){at, len};
}

static int wrong(const struct parse *parse, const char *what) {
  snprintf(parse->error, parse->error_size, "%s, line %u: %s", parse->name, parse->line, what);
  return -EINVAL;
}

static struct section *section_get(struct profiles *profiles, const char *kind, struct piece name) {
  char *copy = strndup(name.at, name.len);
  struct section *section;

  if (copy == NULL) return NULL;
  section = find(profiles, kind, copy);
  if (section != NULL) {
    free(copy);
    return section;
  }
  section = calloc(1, sizeof(*section));
  if (section == NULL) {
    free(copy);
    return NULL;
  }
  STAILQ_INIT(&section->settings);
  section->name = copy;
  section->kind = strdup(kind);
  if (section->kind == NULL) {
    section_free(section);
    return NULL;
  }
  STAILQ_INSERT_TAIL(&profiles->sections, section, link);
  return section;
}

/* `inner` is what stands between the brackets. Sections of other kinds are passed over. */
static int begin_section(struct parse *parse, struct piece inner) {
  static const char *const kinds[] = {"profile", "services", "sso-session"};
  const char *kind = NULL;
  struct piece name = inner;

  parse->section = NULL;
  parse->skipping = true;
  free(parse->parent);
  parse->parent = NULL;
  if (inner.len == 0) return wrong(parse, "[] names no section");
  if (parse->which == PROFILES_CREDENTIALS || (inner.len == 7 && memcmp(inner.at, "default", 7) == 0))
    kind = "profile";
  for (size_t i = 0; kind == NULL && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
    const size_t len = strlen(kinds[i]);

    if (inner.len <= len || memcmp(inner.at, kinds[i], len) != 0 || !isspace((unsigned char)inner.at[len]))
      continue;
    kind = kinds[i];
    name = trimmed(inner.at + len, inner.len - len);
  }
  if (kind == NULL) return 0; /* [plugins], and whatever comes */
  parse->section = section_get(parse->profiles, kind, name);
  parse->skipping = false;
  return parse->section != NULL ? 0 : -ENOMEM;
}

/* Up to a blank followed by '#' or ';'. */
static struct piece without_comment(struct piece value) {
  for (size_t i = 0; i + 1 < value.len; i++)
    if (isspace((unsigned char)value.at[i]) && (value.at[i + 1] == '#' || value.at[i + 1] == ';'))
      return trimmed(value.at, i);
  return value;
}

static int add_setting(struct parse *parse, const char *parent, struct piece key, struct piece value) {
  char *key_text = strndup(key.at, key.len), *value_text = strndup(value.at, value.len);
  struct setting *setting;

  if (key_text == NULL || value_text == NULL) goto no_memory;
  setting = find_setting(parse->section, parent, key_text);
  if (setting != NULL) { /* the later one, but never the config file's over the credentials file's */
    if (setting->from == PROFILES_CREDENTIALS && parse->which == PROFILES_CONFIG) {
      aws_wipe(value_text);
    } else {
      aws_wipe(setting->value);
      setting->value = value_text;
      setting->from = parse->which;
    }
    free(key_text);
    return 0;
  }
  setting = calloc(1, sizeof(*setting));
  if (setting == NULL) goto no_memory;
  *setting = (struct setting){.key = key_text, .value = value_text, .from = parse->which};
  if (parent != NULL && (setting->parent = strdup(parent)) == NULL) {
    setting_free(setting);
    return -ENOMEM;
  }
  STAILQ_INSERT_TAIL(&parse->section->settings, setting, link);
  return 0;

no_memory:
  free(key_text);
  aws_wipe(value_text);
  return -ENOMEM;
}

static int take_setting(struct parse *parse, struct piece line, bool nested) {
  const char *equals = memchr(line.at, '=', line.len);
  struct piece key, value;

  if (parse->section == NULL && !parse->skipping)
    return wrong(parse, "a setting before the first section; sections look like [default]");
  if (equals == NULL) {
    if (nested) return 0; /* a value that goes on over several lines: none that we read does */
    return wrong(parse, "expected NAME = VALUE or [SECTION]");
  }
  if (parse->skipping) return 0;
  key = trimmed(line.at, (size_t)(equals - line.at));
  value = without_comment(trimmed(equals + 1, (size_t)(line.at + line.len - equals - 1)));
  if (key.len == 0) return wrong(parse, "there is no name before '='");
  if (nested) return parse->parent != NULL ? add_setting(parse, parse->parent, key, value) : 0;
  free(parse->parent);
  parse->parent = value.len == 0 ? strndup(key.at, key.len) : NULL;
  return add_setting(parse, NULL, key, value);
}

static int take_line(struct parse *parse, const char *at, size_t len) {
  const bool nested = len > 0 && isspace((unsigned char)at[0]);
  const struct piece line = trimmed(at, len);

  if (line.len == 0 || line.at[0] == '#' || line.at[0] == ';') return 0;
  if (memchr(line.at, '\0', line.len) != NULL) return wrong(parse, "there is a NUL in it: this is no text");
  if (line.at[0] == '[' && !nested) {
    const char *close = memchr(line.at, ']', line.len);

    if (close == NULL) return wrong(parse, "the section has no ']'");
    return begin_section(parse, trimmed(line.at + 1, (size_t)(close - line.at - 1)));
  }
  return take_setting(parse, line, nested);
}

int profiles_parse(struct profiles *profiles, enum profiles_file which, const char *name, const char *text,
                   size_t len, char *error, size_t error_size) {
  struct parse parse = {
      .profiles = profiles, .which = which, .name = name, .error = error, .error_size = error_size};
  int r = 0;

  if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) text += 3, len -= 3; /* of editors that mark UTF-8 */
  while (r == 0 && len > 0) {
    const char *end = memchr(text, '\n', len);
    const size_t line_len = end != NULL ? (size_t)(end - text) : len;

    parse.line++;
    r = take_line(&parse, text, line_len);
    text += line_len + (end != NULL);
    len -= line_len + (end != NULL);
  }
  free(parse.parent);
  return r;
}

/* ---- the file ---- */

/* Not blocking, so that a pipe in its place cannot stop us. */
static int read_all(const char *path, char **out, size_t *out_len) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  struct stat status;
  size_t len = 0;
  ssize_t got = 1;
  char *text;
  int r = 0;

  if (fd < 0) return -errno;
  if (fstat(fd, &status) < 0) r = -errno;
  if (r == 0 && S_ISDIR(status.st_mode)) r = -EISDIR;
  if (r == 0 && !S_ISREG(status.st_mode) && !S_ISCHR(status.st_mode)) r = -EINVAL;
  text = r == 0 ? malloc(FILE_MAX + 1) : NULL;
  if (r == 0 && text == NULL) r = -ENOMEM;
  while (r == 0 && got > 0) {
    got = len <= FILE_MAX ? read(fd, text + len, FILE_MAX + 1 - len) : 0;
    if (got < 0) r = -errno;
    if (got > 0) len += (size_t)got;
  }
  close(fd);
  if (r == 0 && len > FILE_MAX) r = -EFBIG;
  if (r < 0) {
    free(text);
    return r;
  }
  *out = text;
  *out_len = len;
  return 0;
}

int profiles_read(struct profiles *profiles, enum profiles_file which, const char *path, char *error,
                  size_t error_size) {
  char *text = NULL;
  size_t len = 0;
  int r = read_all(path, &text, &len);

  if (r < 0) return r;
  r = profiles_parse(profiles, which, path, text, len, error, error_size);
  explicit_bzero(text, len);
  free(text);
  return r;
}
