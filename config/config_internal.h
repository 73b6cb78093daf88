/* The table as data, for config.c, config_file.c, config_environment.c and config_print.c only. */
#ifndef ISOQ_CONFIG_CONFIG_INTERNAL_H
#define ISOQ_CONFIG_CONFIG_INTERNAL_H

#include "config/config.h"

enum setting_kind {
  KIND_INT,
  KIND_BOOL,
  KIND_STRING,
  KIND_LIST
};

struct setting {
  enum setting_kind kind;
  const char *name;
  const char *default_text; /* as one would write it in the file */
  int64_t min, max;
  const char *unit;
  const char *help;
  size_t offset; /* in struct config */
};

extern const struct setting config_settings[CONFIG_SETTING_COUNT];

#define SETTING_TEXT_SIZE 160

/* The index of a name, or -1. */
int setting_find(const char *name);

/* Parses and stores; as config_set() for the error, and says where the value comes from. */
int setting_set(struct config *config, int index, const char *value, enum config_source source, char *error,
                size_t error_size);

/* What is valid: "1 to 86400000 ms", "debug, info, warn or error", … */
void setting_valid_text(const struct setting *setting, char *text, size_t size);

/* Writes `timeout_ms` as TIMEOUT_MS (from '_' to `dash`, in upper case when asked). */
void setting_spell(const struct setting *setting, bool upper, char dash, char *text, size_t size);

/* At most 60 characters of a text from outside, without anything that a terminal would obey. */
void setting_quote(const char *value, char *text, size_t size);

#endif
