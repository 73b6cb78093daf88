/*
 * The table of options.def as data, and the one function through which every value passes, whatever its
 * source.
 *
 * A value is parsed into a place of its own and stored only when it is valid, so a refused value leaves the
 * config as it was. Errors speak of the value and of what would be valid; who calls knows what to name (a
 * line, a variable, a flag). This module knows nothing of Redis or jobs: what a redis_url means is checked by
 * the queue's own parser.
 */
#include "config/config_internal.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "config/nearest.h"

#define TEXT_INT(value) #value
#define TEXT_BOOL(value) ((value) ? "true" : "false")
#define TEXT_STRING(value) value
#define TEXT_LIST(value) value

const struct setting config_settings[CONFIG_SETTING_COUNT] = {
#define X(kind, name, default_value, min, max, unit, help)                                                   \
  {KIND_##kind, #name, TEXT_##kind(default_value), min, max, unit, help, offsetof(struct config, name)},
#include "config/options.def"
#undef X
};

#define LIST_NAME_MAX 64

static void *field(struct config *config, const struct setting *setting) {
  return (char *)config + setting->offset;
}

int setting_find(const char *name) {
  for (int i = 0; i < CONFIG_SETTING_COUNT; i++)
    if (strcmp(config_settings[i].name, name) == 0) return i;
  return -1;
}

const char *config_name(size_t i) {
  return i < CONFIG_SETTING_COUNT ? config_settings[i].name : NULL;
}

void setting_spell(const struct setting *setting, bool upper, char dash, char *text, size_t size) {
  size_t i = 0;
  for (; setting->name[i] && i + 1 < size; i++) {
    char c = setting->name[i];
    text[i] = c == '_' ? dash : upper ? (char)toupper((unsigned char)c) : c;
  }
  text[i] = 0;
}

void setting_quote(const char *value, char *text, size_t size) {
  size_t len = 0;
  for (size_t i = 0; value[i] && i < 60 && len + 8 < size; i++) {
    unsigned char c = (unsigned char)value[i];
    if (c < 0x20 || c == 0x7f)
      len += (size_t)snprintf(text + len, size - len, "\\x%02x", c);
    else
      text[len++] = (char)c;
  }
  text[len] = 0;
  if (strlen(value) > 60) snprintf(text + len, size - len, "...");
}

/* "debug|info|warn" as "debug, info or warn". */
static void choices_text(const char *choices, char *text, size_t size) {
  const char *last = strrchr(choices, '|');
  size_t len = 0;
  for (const char *c = choices; *c && len + 5 < size; c++) {
    if (*c != '|')
      text[len++] = *c;
    else
      len += (size_t)snprintf(text + len, size - len, c == last ? " or " : ", ");
  }
  text[len] = 0;
}

static bool has_choices(const struct setting *setting) {
  return setting->kind == KIND_STRING && strchr(setting->unit, '|') != NULL;
}

void setting_valid_text(const struct setting *setting, char *text, size_t size) {
  const char *space = *setting->unit ? " " : "";
  switch (setting->kind) {
  case KIND_INT:
    snprintf(text, size, "%" PRId64 " to %" PRId64 "%s%s", setting->min, setting->max, space, setting->unit);
    break;
  case KIND_BOOL: snprintf(text, size, "true or false"); break;
  case KIND_STRING:
    if (has_choices(setting))
      choices_text(setting->unit, text, size);
    else
      snprintf(text, size, "%" PRId64 " to %" PRId64 " characters", setting->min, setting->max);
    break;
  case KIND_LIST:
    snprintf(text, size, "%s1 to %" PRId64 " different names of letters, digits and _.-, with commas",
             setting->min == 0 ? CONFIG_LIST_EMPTY ", or " : "", setting->max);
    break;
  }
}

static int refuse(const struct setting *setting, const char *value, const char *what, char *error,
                  size_t error_size) {
  char valid[SETTING_TEXT_SIZE], quoted[SETTING_TEXT_SIZE];
  setting_valid_text(setting, valid, sizeof valid);
  setting_quote(value, quoted, sizeof quoted);
  snprintf(error, error_size, "\"%s\" is %s; valid: %s", quoted, what, valid);
  return -EINVAL;
}

static int set_int(struct config *config, const struct setting *setting, const char *value, char *error,
                   size_t error_size) {
  /* strtoll would take leading blanks, a plus sign and what it likes of the rest. */
  const char *digits = value + (*value == '-');
  size_t count = strspn(digits, "0123456789");
  if (count == 0 || digits[count]) return refuse(setting, value, "not a whole number", error, error_size);

  errno = 0;
  long long number = strtoll(value, NULL, 10);
  if (errno == ERANGE || number < setting->min || number > setting->max)
    return refuse(setting, value, "out of range", error, error_size);
  *(int64_t *)field(config, setting) = number;
  return 0;
}

static int set_bool(struct config *config, const struct setting *setting, const char *value, char *error,
                    size_t error_size) {
  static const char *const words[][2] = {{"false", "true"}, {"no", "yes"}, {"off", "on"}, {"0", "1"}};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    for (int truth = 0; truth < 2; truth++)
      if (strcmp(value, words[i][truth]) == 0) {
        *(bool *)field(config, setting) = truth;
        return 0;
      }
  return refuse(setting, value, "not a switch", error, error_size);
}

static bool is_choice(const char *choices, const char *value) {
  size_t len = strlen(value);
  for (const char *c = choices;; c = strchr(c, '|') + 1) {
    if (strcspn(c, "|") == len && strncmp(c, value, len) == 0) return true;
    if (!strchr(c, '|')) return false;
  }
}

static int set_string(struct config *config, const struct setting *setting, const char *value, char *error,
                      size_t error_size) {
  size_t len = strlen(value);
  if (has_choices(setting) && !is_choice(setting->unit, value))
    return refuse(setting, value, "not known", error, error_size);
  if (len < (size_t)setting->min ||
      len > (size_t)setting->max) { /* the value may hold a password: not shown */
    snprintf(error, error_size, "%zu characters; valid: %" PRId64 " to %" PRId64, len, setting->min,
             setting->max);
    return -EINVAL;
  }
  char *copy = strdup(value);
  if (!copy) {
    snprintf(error, error_size, "out of memory");
    return -ENOMEM;
  }
  char **place = field(config, setting);
  free(*place);
  *place = copy;
  return 0;
}

static void list_free(struct config_list *list) {
  for (size_t i = 0; i < list->count; i++)
    free(list->items[i]);
  free(list->items);
  *list = (struct config_list){0};
}

static bool list_name_valid(const char *name, size_t len) {
  if (len == 0 || len > LIST_NAME_MAX) return false;
  for (size_t i = 0; i < len; i++)
    if (!isalnum((unsigned char)name[i]) && !strchr("_.-", name[i])) return false;
  return true;
}

static bool list_has(const struct config_list *list, const char *name, size_t len) {
  for (size_t i = 0; i < list->count; i++)
    if (strlen(list->items[i]) == len && memcmp(list->items[i], name, len) == 0) return true;
  return false;
}

static int list_parse(struct config_list *list, const struct setting *setting, const char *value, char *error,
                      size_t error_size) {
  list->items = calloc((size_t)setting->max, sizeof *list->items);
  if (!list->items) return -ENOMEM;
  /* An empty variable of the environment counts as unset, so "nothing" needs a word. */
  if (setting->min == 0 && strcmp(value, CONFIG_LIST_EMPTY) == 0) return 0;
  for (const char *name = value;;) {
    name += strspn(name, " \t");
    size_t with_blanks = strcspn(name, ","), len = with_blanks;
    while (len > 0 && (name[len - 1] == ' ' || name[len - 1] == '\t'))
      len--;
    if (!list_name_valid(name, len)) return refuse(setting, value, "not a list of names", error, error_size);
    if (list_has(list, name, len))
      return refuse(setting, value, "a list with a name in it twice", error, error_size);
    if (list->count == (size_t)setting->max)
      return refuse(setting, value, "too many names", error, error_size);
    list->items[list->count] = strndup(name, len);
    if (!list->items[list->count]) return -ENOMEM;
    list->count++;
    if (!name[with_blanks]) return 0;
    name += with_blanks + 1;
  }
}

static int set_list(struct config *config, const struct setting *setting, const char *value, char *error,
                    size_t error_size) {
  struct config_list list = {0};
  int rc = list_parse(&list, setting, value, error, error_size);
  if (rc) {
    if (rc == -ENOMEM) snprintf(error, error_size, "out of memory");
    list_free(&list);
    return rc;
  }
  struct config_list *place = field(config, setting);
  list_free(place);
  *place = list;
  return 0;
}

int setting_set(struct config *config, int index, const char *value, enum config_source source, char *error,
                size_t error_size) {
  static int (*const set[])(struct config *, const struct setting *, const char *, char *, size_t) = {
      [KIND_INT] = set_int, [KIND_BOOL] = set_bool, [KIND_STRING] = set_string, [KIND_LIST] = set_list};
  const struct setting *setting = &config_settings[index];

  int rc = set[setting->kind](config, setting, value, error, error_size);
  if (rc == 0) config->source[index] = (unsigned char)source;
  return rc;
}

int config_set(struct config *config, const char *name, const char *value, char *error, size_t error_size) {
  int index = setting_find(name);
  if (index >= 0) return setting_set(config, index, value, CONFIG_FLAG, error, error_size);

  char quoted[SETTING_TEXT_SIZE];
  setting_quote(name, quoted, sizeof quoted);
  struct nearest nearest = nearest_start(name);
  for (int i = 0; i < CONFIG_SETTING_COUNT; i++)
    nearest_try(&nearest, config_settings[i].name);
  if (nearest.best)
    snprintf(error, error_size, "unknown setting \"%s\" (did you mean \"%s\"?)", quoted, nearest.best);
  else
    snprintf(error, error_size, "unknown setting \"%s\"; isoq config shows all of them", quoted);
  return -ENOENT;
}

int config_init(struct config *config) {
  char error[CONFIG_ERROR_SIZE];

  memset(config, 0, sizeof *config);
  for (int i = 0; i < CONFIG_SETTING_COUNT; i++) {
    /* Never -EINVAL: tests/test_config.c sets every default. */
    int rc = setting_set(config, i, config_settings[i].default_text, CONFIG_DEFAULT, error, sizeof error);
    if (rc) {
      config_free(config);
      return rc;
    }
  }
  return 0;
}

void config_free(struct config *config) {
  for (int i = 0; i < CONFIG_SETTING_COUNT; i++) {
    const struct setting *setting = &config_settings[i];
    if (setting->kind == KIND_STRING) {
      char **place = field(config, setting);
      free(*place);
      *place = NULL;
    } else if (setting->kind == KIND_LIST) {
      list_free(field(config, setting));
    }
  }
}

const char *config_flag_name(const char *flag, bool *is_bool) {
  if (strncmp(flag, "--", 2) != 0) return NULL;
  for (int i = 0; i < CONFIG_SETTING_COUNT; i++) {
    char spelt[SETTING_TEXT_SIZE];
    setting_spell(&config_settings[i], false, '-', spelt, sizeof spelt);
    if (strcmp(flag + 2, spelt) == 0) {
      *is_bool = config_settings[i].kind == KIND_BOOL;
      return config_settings[i].name;
    }
  }
  return NULL;
}

static int check_order(const char *low_name, int64_t low, const char *high_name, int64_t high, char *error,
                       size_t error_size) {
  if (low <= high) return 0;
  snprintf(error, error_size, "%s (%" PRId64 ") is above %s (%" PRId64 "): lower the one or raise the other",
           low_name, low, high_name, high);
  return -EINVAL;
}

static int check_prefix(const char *prefix, char *error, size_t error_size) {
  char quoted[SETTING_TEXT_SIZE];
  for (const char *c = prefix; *c; c++)
    if (!isalnum((unsigned char)*c) &&
        !strchr("_.:-", *c)) { /* a brace would move the hash tag of every key */
      setting_quote(prefix, quoted, sizeof quoted);
      snprintf(error, error_size, "prefix: \"%s\" has other characters than letters, digits and _.:-",
               quoted);
      return -EINVAL;
    }
  return 0;
}

int config_check(const struct config *config, char *error, size_t error_size) {
#define ORDER(low, high)                                                                                     \
  do {                                                                                                       \
    int rc = check_order(#low, config->low, #high, config->high, error, error_size);                         \
    if (rc) return rc;                                                                                       \
  } while (0)
  ORDER(timeout_ms, max_timeout_ms);
  ORDER(memory_mb, max_memory_mb);
  ORDER(max_output_bytes, max_max_output_bytes);
  ORDER(reply_ttl_s, max_reply_ttl_s);
  ORDER(max_code_bytes, max_payload_bytes);
  ORDER(max_input_bytes, max_payload_bytes);
#undef ORDER
  if (config->lease_renew_ms >= config->lease_ms / 2) { /* one renewal may be lost without losing the lease */
    snprintf(error, error_size,
             "lease_renew_ms (%" PRId64 ") must be below half of lease_ms (%" PRId64
             "), or one slow answer of "
             "Redis loses the lease",
             config->lease_renew_ms, config->lease_ms);
    return -EINVAL;
  }
  return check_prefix(config->prefix, error, error_size);
}
