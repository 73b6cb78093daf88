/*
 * The environment. A misspelt variable is as bad as a misspelt line of the file, so every ISOQ_ name must be
 * known. The exceptions are names that somebody else makes: Kubernetes describes a service called isoq-redis
 * by ISOQ_REDIS_PORT and a dozen more, in every container of its namespace, and a worker must not die of
 * that.
 */
#include "config/config_internal.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "config/nearest.h"

#define PREFIX "ISOQ_"
#define NAME_MAX_LEN 128

static bool starts_with(const char *text, const char *start) {
  return strncmp(text, start, strlen(start)) == 0;
}

static bool ends_with(const char *text, const char *end) {
  size_t len = strlen(text), end_len = strlen(end);
  return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

/* X_SERVICE_HOST, X_SERVICE_PORT[_NAME], X_PORT=tcp://…, X_PORT_6379_TCP[_PROTO|_PORT|_ADDR] */
static bool is_kubernetes_link(const char *name, const char *value) {
  static const char *const protocols[] = {"tcp://", "udp://", "sctp://"};
  if (ends_with(name, "_SERVICE_HOST") || strstr(name, "_SERVICE_PORT")) return true;
  if (ends_with(name, "_PORT"))
    for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++)
      if (starts_with(value, protocols[i])) return true;
  const char *port = strstr(name, "_PORT_");
  if (!port || !isdigit((unsigned char)port[6])) return false;
  port += 6 + strspn(port + 6, "0123456789");
  return starts_with(port, "_TCP") || starts_with(port, "_UDP") || starts_with(port, "_SCTP");
}

static int find_variable(const char *name) {
  for (int i = 0; i < CONFIG_SETTING_COUNT; i++) {
    char spelt[SETTING_TEXT_SIZE];
    setting_spell(&config_settings[i], true, '_', spelt, sizeof spelt);
    if (strcmp(name + strlen(PREFIX), spelt) == 0) return i;
  }
  return -1;
}

static int refuse_unknown(const char *name, char *error, size_t error_size) {
  char known[CONFIG_SETTING_COUNT][SETTING_TEXT_SIZE], quoted[SETTING_TEXT_SIZE];
  struct nearest nearest = nearest_start(name + strlen(PREFIX));
  for (int i = 0; i < CONFIG_SETTING_COUNT; i++) {
    setting_spell(&config_settings[i], true, '_', known[i], sizeof known[i]);
    nearest_try(&nearest, known[i]);
  }
  setting_quote(name, quoted, sizeof quoted);
  if (nearest.best)
    snprintf(error, error_size, "environment: unknown variable %s (did you mean " PREFIX "%s?)", quoted,
             nearest.best);
  else
    snprintf(error, error_size, "environment: unknown variable %s; unset it, or see isoq config --help",
             quoted);
  return -EINVAL;
}

static int set_variable(struct config *config, int index, const char *name, const char *value, char *error,
                        size_t error_size) {
  char reason[CONFIG_ERROR_SIZE - NAME_MAX_LEN];
  int rc = setting_set(config, index, value, CONFIG_ENVIRONMENT, reason, sizeof reason);
  if (rc) snprintf(error, error_size, "environment: %s: %s", name, reason);
  return rc;
}

static int load_variable(struct config *config, const char *name, const char *value, char *error,
                         size_t error_size) {
  if (!starts_with(name, PREFIX) || strcmp(name, "ISOQ_CONFIG") == 0 || starts_with(name, "ISOQ_TEST_") ||
      is_kubernetes_link(name, value))
    return 0;
  int index = find_variable(name);
  if (index < 0) return refuse_unknown(name, error, error_size);
  return *value ? set_variable(config, index, name, value, error, error_size) : 0;
}

int config_load_environment(struct config *config, char *const *environment, char *error, size_t error_size) {
  /* REDIS_URL first, whatever the order of the variables, so that ISOQ_REDIS_URL goes over it. */
  for (size_t i = 0; environment[i]; i++)
    if (starts_with(environment[i], "REDIS_URL=") && environment[i][strlen("REDIS_URL=")]) {
      int rc = set_variable(config, CONFIG_SETTING_redis_url, "REDIS_URL",
                            environment[i] + strlen("REDIS_URL="), error, error_size);
      if (rc) return rc;
    }

  for (size_t i = 0; environment[i]; i++) {
    const char *equals = strchr(environment[i], '=');
    char name[NAME_MAX_LEN];
    if (!equals || !starts_with(environment[i], PREFIX)) continue;
    size_t len = (size_t)(equals - environment[i]);
    snprintf(name, sizeof name, "%.*s", (int)(len < sizeof name ? len : sizeof name - 1), environment[i]);
    int rc = load_variable(config, name, equals + 1, error, error_size);
    if (rc) return rc;
  }
  return 0;
}
