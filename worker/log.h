/*
 * Log lines of the broker on stderr, one event a line, logfmt or JSON. No script source and no credential
 * goes in.
 */
#ifndef ISOQ_WORKER_LOG_H
#define ISOQ_WORKER_LOG_H

enum log_level {
  LOG_LEVEL_DEBUG,
  LOG_LEVEL_INFO,
  LOG_LEVEL_WARN,
  LOG_LEVEL_ERROR
};
enum log_format {
  LOG_FORMAT_LOGFMT,
  LOG_FORMAT_JSON
};

void log_setup(enum log_level least, enum log_format format);

struct log_field {
  const char *name; /* NULL ends a list */
  enum {
    LOG_KIND_TEXT,
    LOG_KIND_INT,
    LOG_KIND_MS
  } kind;
  union {
    const char *text; /* NULL prints as empty */
    long long number;
    double ms;
  } value;
};

#define LOG_TEXT(n, v) ((struct log_field){.name = (n), .kind = LOG_KIND_TEXT, .value.text = (v)})
#define LOG_INT(n, v) ((struct log_field){.name = (n), .kind = LOG_KIND_INT, .value.number = (long long)(v)})
#define LOG_MS(n, v) ((struct log_field){.name = (n), .kind = LOG_KIND_MS, .value.ms = (v)})

/* log_event(LOG_LEVEL_INFO, "job", LOG_TEXT("id", id), LOG_MS("run_ms", ms)); time, level and event come
 * first. */
#define log_event(level, event, ...)                                                                         \
  log_write((level), (event), (const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){.name = 0}})

void log_write(enum log_level level, const char *event, const struct log_field *fields);

#endif
