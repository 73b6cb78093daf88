/*
 * The file, read by inih behind a reader of our own.
 *
 * inih alone would pass over what must not pass: it cuts lines at its buffer's size, takes an indented line
 * for more of the line before, knows no duplicates and ignores an empty section. The reader sees every line
 * first, so those end there, with the right line number. The first error is the one reported. How long a line
 * may be is what inih asks of the reader (it differs between builds of inih), never a constant of ours.
 */
#include <errno.h>
#include <ini.h>
#include <string.h>

#include "config/config_internal.h"

struct file_reader {
  FILE *file;
  struct config *config;
  int line; /* 1 for the first; what the reader has just read */
  int seen_on_line[CONFIG_SETTING_COUNT];
  int error_line; /* 0: none */
  int rc;
  char message[CONFIG_ERROR_SIZE - 64];
};

static void fail(struct file_reader *reader, int rc, const char *message) {
  if (reader->error_line) return;
  reader->error_line = reader->line;
  reader->rc = rc;
  snprintf(reader->message, sizeof reader->message, "%s", message);
}

static void skip_bom(struct file_reader *reader) {
  int c = getc(reader->file);
  if (c == 0xEF) {
    (void)getc(reader->file);
    (void)getc(reader->file);
  } else if (c != EOF) {
    ungetc(c, reader->file);
  }
}

/* fgets() for inih. NULL ends the parse: at the end of the file and at the first error. */
static char *read_line(char *line, int size, void *ctx) {
  struct file_reader *reader = ctx;
  size_t len = 0, room = size > 3 ? (size_t)size - 3 : 0;
  int c;

  if (reader->error_line) return NULL;
  if (reader->line++ == 0) skip_bom(reader);
  while ((c = getc(reader->file)) != EOF && c != '\n') {
    if (len == 0 && (c == ' ' || c == '\t')) /* indentation means nothing here */
      continue;
    if (c == 0) {
      fail(reader, -EINVAL, "a NUL byte: this is not a text file");
      return NULL;
    }
    if (len == room) {
      char message[SETTING_TEXT_SIZE];
      snprintf(message, sizeof message,
               "the line is longer than %zu characters; set a value of that length by environment or flag",
               room);
      fail(reader, -EINVAL, message);
      return NULL;
    }
    line[len++] = (char)c;
  }
  if (c == EOF && ferror(reader->file)) {
    fail(reader, errno ? -errno : -EIO, strerror(errno ? errno : EIO));
    return NULL;
  }
  if (c == EOF && len == 0) return NULL;
  if (line[0] == '[') {
    fail(reader, -EINVAL, "there are no sections: every line is name = value");
    return NULL;
  }
  line[len] = '\n';
  line[len + 1] = 0;
  return line;
}

static int take_value(void *ctx, const char *section, const char *name, const char *value) {
  struct file_reader *reader = ctx;
  char error[CONFIG_ERROR_SIZE - 128], message[sizeof reader->message];
  (void)section;

  if (reader->error_line) return 0;
  if (!*name) {
    fail(reader, -EINVAL, "expected name = value");
    return 0;
  }
  int index = setting_find(name);
  if (index < 0) {
    config_set(reader->config, name, value, error, sizeof error);
    fail(reader, -EINVAL, error);
    return 0;
  }
  if (reader->seen_on_line[index]) {
    snprintf(message, sizeof message, "%s was set already, on line %d", name, reader->seen_on_line[index]);
    fail(reader, -EINVAL, message);
    return 0;
  }
  reader->seen_on_line[index] = reader->line;

  size_t len = strlen(value);
  if (len >= 2 && (*value == '"' || *value == '\'') && value[len - 1] == *value) {
    snprintf(message, sizeof message, "%s: values are written without quotes", name);
    fail(reader, -EINVAL, message);
    return 0;
  }
  int rc = setting_set(reader->config, index, value, CONFIG_FILE, error, sizeof error);
  if (rc) {
    snprintf(message, sizeof message, "%s: %s%s", name, error,
             strstr(value, " #") ? " (a comment after a value starts with a semicolon)" : "");
    fail(reader, rc, message);
  }
  return rc == 0;
}

int config_load_file(struct config *config, const char *path, char *error, size_t error_size) {
  struct file_reader reader = {.config = config};

  reader.file = fopen(path, "re");
  if (!reader.file) {
    int rc = -errno;
    snprintf(error, error_size, "cannot read the configuration file %s: %s", path, strerror(-rc));
    return rc;
  }
  errno = 0;
  int ini_rc = ini_parse_stream(read_line, &reader, take_value, &reader);
  fclose(reader.file);

  /* inih reports lines that it could not make sense of by number alone. */
  if (ini_rc > 0 && (!reader.error_line || ini_rc < reader.error_line)) {
    snprintf(error, error_size, "%s:%d: expected name = value", path, ini_rc);
    return -EINVAL;
  }
  if (reader.error_line && reader.rc != -EINVAL) {
    snprintf(error, error_size, "cannot read the configuration file %s: %s", path, reader.message);
    return reader.rc;
  }
  if (reader.error_line) {
    snprintf(error, error_size, "%s:%d: %s", path, reader.error_line, reader.message);
    return reader.rc;
  }
  if (ini_rc < 0) {
    snprintf(error, error_size, "%s: out of memory", path);
    return -ENOMEM;
  }
  return 0;
}
