/*
 * The settings' parsers on any text: a file, an environment, a flag's value. What is accepted must print as a
 * file that is accepted again and prints the same; what is refused must have a message.
 *
 * The first byte chooses the parser. The corpus is text one can read: "f" and a file, "e" and a variable a
 * line, "s" and a name, "=", and a value.
 */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config/config.h"

#define VARIABLES_MAX 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int load(struct config *config, const char *text, size_t len, char *error) {
  static int fd = -1;
  static char path[32];
  if (fd < 0) {
    fd = memfd_create("config", MFD_CLOEXEC);
    assert(fd >= 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  }
  ssize_t written = pwrite(fd, text, len, 0);
  assert(written == (ssize_t)len);
  int rc = ftruncate(fd, (off_t)len);
  assert(rc == 0);
  return config_load_file(config, path, error, CONFIG_ERROR_SIZE);
}

static int load_variables(struct config *config, char *text, char *error) {
  char *variables[VARIABLES_MAX + 1] = {0}, *rest = text;
  for (size_t i = 0; i < VARIABLES_MAX && rest; i++)
    variables[i] = strsep(&rest, "\n");
  return config_load_environment(config, variables, error, CONFIG_ERROR_SIZE);
}

static int set(struct config *config, char *text, char *error) {
  char *value = text, *name = strsep(&value, "=");
  return config_set(config, name, value ? value : "", error, CONFIG_ERROR_SIZE);
}

static char *print(const struct config *config, size_t *len) {
  char *text = NULL;
  FILE *memory = open_memstream(&text, len);
  config_print(config, "redis://shown", memory);
  fclose(memory);
  char *out = text; /* without the comments: where a value came from differs */
  for (const char *line = text, *next; *line; line = next) {
    next = strchr(line, '\n') + 1;
    size_t value = (size_t)(strstr(line, " ; ") - line);
    memmove(out, line, value);
    out += value;
    *out++ = '\n';
  }
  *out = 0;
  *len = (size_t)(out - text);
  return text;
}

/* A value from the environment may hold what a file cannot say: a line's end, " ;", or more than a line. */
static int file_can_say(const char *value) {
  size_t len = strlen(value);
  return len < 100 && !strpbrk(value, "\n\r") && !strchr(value, ';') && strspn(value, " \t\v\f") == 0 &&
         (len == 0 || !strchr(" \t\v\f\"'", value[len - 1]));
}

static void round_trip(const struct config *config) {
  char error[CONFIG_ERROR_SIZE];
  struct config again;
  size_t len, again_len;

  if (!file_can_say(config->prefix) || !file_can_say(config->executor_path) || config->queue.count > 2)
    return;
  char *text = print(config, &len);
  int rc = config_init(&again);
  assert(rc == 0);
  rc = load(&again, text, len, error);
  if (rc) fprintf(stderr, "%s\n%s", error, text);
  assert(rc == 0);
  char *again_text = print(&again, &again_len);
  assert(strcmp(text, again_text) == 0);
  free(text);
  free(again_text);
  config_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char error[CONFIG_ERROR_SIZE] = "";
  struct config config;

  if (size == 0 || size > 65536) return 0;
  char *text = malloc(size);
  assert(text);
  memcpy(text, data + 1, size - 1);
  text[size - 1] = 0;
  int rc = config_init(&config);
  assert(rc == 0);

  if (data[0] == 'e')
    rc = load_variables(&config, text, error);
  else if (data[0] == 's')
    rc = set(&config, text, error);
  else
    rc = load(&config, text, size - 1, error);
  assert(rc == 0 || *error);
  if (rc == 0) {
    config_check(&config, error, sizeof error);
    round_trip(&config);
  }
  config_free(&config);
  free(text);
  return 0;
}
