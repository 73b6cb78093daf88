/*
 * How an uncaught error reads at the end of stderr: one rule for the engine (engine_execute) and for the
 * broker, which does not link the engine. Hence a header.
 */
#ifndef ISOQ_ENGINE_ERROR_TEXT_H
#define ISOQ_ENGINE_ERROR_TEXT_H

#include <stddef.h>
#include <stdio.h>

/*
 * The stack, else "name: message", without a newline; any of the three may be NULL. Returns one of them, or
 * `buffer`, which needs strlen(name) + strlen(message) + 3 bytes to hold it all.
 */
static inline const char *engine_error_text_parts(const char *name, const char *message, const char *stack,
                                                  char *buffer, size_t buffer_size) {
  if (stack != NULL && stack[0] != '\0') return stack;
  if (message == NULL || message[0] == '\0') return name != NULL ? name : "";
  if (name == NULL || name[0] == '\0') return message;
  snprintf(buffer, buffer_size, "%s: %s", name, message);
  return buffer;
}

#endif
