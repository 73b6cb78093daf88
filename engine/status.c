/*
 * The names of the lists in status.h. They are tables made from the lists, so a new value cannot lack a name,
 * and every look-up is checked: on the broker's side the number may come from an executor that lies.
 */
#include "engine/status.h"

#include <stddef.h>

#define STATUS_NAME(name, text) text,
#define LEVEL_NAME(name, text, stream) text,
#define LEVEL_STREAM(name, text, stream) stream,

const char *isoq_status_name(enum isoq_status status) {
  static const char *const names[] = {ISOQ_STATUS_LIST(STATUS_NAME)};

  if ((unsigned)status >= ISOQ_STATUS_COUNT) return names[ISOQ_STATUS_CRASHED];
  return names[status];
}

const char *isoq_result_type_name(enum isoq_result_type type) {
  static const char *const names[] = {ISOQ_RESULT_TYPE_LIST(STATUS_NAME)};

  if (type == ISOQ_TYPE_NONE || (unsigned)type >= ISOQ_TYPE_COUNT) return NULL;
  return names[type];
}

const char *isoq_console_level_name(enum isoq_console_level level) {
  static const char *const names[] = {ISOQ_CONSOLE_LEVEL_LIST(LEVEL_NAME)};

  if ((unsigned)level >= ISOQ_CONSOLE_COUNT) return names[ISOQ_CONSOLE_ERROR];
  return names[level];
}

int isoq_console_level_stream(enum isoq_console_level level) {
  static const int streams[] = {ISOQ_CONSOLE_LEVEL_LIST(LEVEL_STREAM)};

  if ((unsigned)level >= ISOQ_CONSOLE_COUNT) return streams[ISOQ_CONSOLE_ERROR];
  return streams[level];
}
