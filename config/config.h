/*
 * The settings: one table (options.def), filled from default, file, environment and command line, in that
 * order of rising precedence. The strings of a struct config are its own.
 */
#ifndef ISOQ_CONFIG_CONFIG_H
#define ISOQ_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The value of a list that may be empty, and is. */
#define CONFIG_LIST_EMPTY "none"

struct config_list {
  char **items;
  size_t count;
};

#define CONFIG_TYPE_INT int64_t
#define CONFIG_TYPE_BOOL bool
#define CONFIG_TYPE_STRING char *
#define CONFIG_TYPE_LIST struct config_list

enum config_setting {
#define X(kind, name, default_value, min, max, unit, help) CONFIG_SETTING_##name,
#include "config/options.def"
#undef X
  CONFIG_SETTING_COUNT
};

/* In rising precedence. */
enum config_source {
  CONFIG_DEFAULT,
  CONFIG_FILE,
  CONFIG_ENVIRONMENT,
  CONFIG_FLAG
};

struct config {
#define X(kind, name, default_value, min, max, unit, help) CONFIG_TYPE_##kind name;
#include "config/options.def"
#undef X
  unsigned char source[CONFIG_SETTING_COUNT]; /* enum config_source: where each value came from */
};

#define CONFIG_ERROR_SIZE 512

/* All defaults. 0 or -ENOMEM. */
int config_init(struct config *config);
void config_free(struct config *config);

/*
 * Sets one by its name in the file ("timeout_ms"), as a flag would. -EINVAL: `error` says what the value was
 * and what would be valid, without the name, so that the caller can say it the user's way ("--timeout-ms:
 * …"); -ENOENT: there is no such setting (`error` names the nearest). The config is untouched on failure.
 */
int config_set(struct config *config, const char *name, const char *value, char *error, size_t error_size);

/* Reads a file (inih). -EINVAL with "FILE:LINE: …", or -errno of opening it with a message. */
int config_load_file(struct config *config, const char *path, char *error, size_t error_size);

/*
 * ISOQ_<NAME>, and REDIS_URL below ISOQ_REDIS_URL. An empty variable counts as unset. An ISOQ_ variable that
 * is no setting is an error, but for ISOQ_CONFIG (the file), names that start with ISOQ_TEST_, and what
 * Kubernetes puts into every container for a service called isoq-something (ISOQ_REDIS_SERVICE_HOST,
 * ISOQ_REDIS_PORT=tcp://…).
 */
int config_load_environment(struct config *config, char *const *environment, char *error, size_t error_size);

/* What must hold between settings (timeout_ms ≤ max_timeout_ms, lease_renew_ms < lease_ms / 2, …). */
int config_check(const struct config *config, char *error, size_t error_size);

/* What `isoq config` shows: a valid file, each line with where its value came from. redis_url is shown as
 * `redis`, so that a password stays out of it. */
void config_print(const struct config *config, const char *redis, FILE *out);

/* For --help, docs/configuration.md and isoq.conf.example. */
void config_print_help(FILE *out);
void config_print_markdown(FILE *out);
void config_print_example(FILE *out);

/* The name of the setting that a flag ("--lease-ms") stands for, NULL where there is none; is_bool for flags
 * without value. */
const char *config_flag_name(const char *flag, bool *is_bool);

/* The name of the i-th setting, NULL past the last. */
const char *config_name(size_t i);

#endif
