/*
 * The arguments of one call: JSON text from an executor, checked against the function's row of bindings.def.
 *
 * An executor is trusted in nothing: any bytes may come. What a script got wrong is told so that its author,
 * often a language model, gets it right at the next try: the function, the argument, the value, and both
 * forms.
 */
#ifndef ISOQ_BINDINGS_ARGUMENTS_H
#define ISOQ_BINDINGS_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum binding_type {
  BINDING_STRING, /* any text of at most BINDING_STRING_MAX bytes, without NUL */
  /* 12 digits, or a name: other text of at most BINDING_ACCOUNT_NAME_MAX bytes, without ':' and control
   * characters; "self" and "" are the caller's own, as if left out */
  BINDING_ACCOUNT,
  BINDING_REGION, /* [a-z0-9-]{1,32} */
  BINDING_TIME, /* milliseconds since 1970, or ISO 8601 (what JSON makes of a Date); UTC where it names no zone */
};

#define BINDING_ARGUMENTS_MAX 8
#define BINDING_ARGUMENTS_BYTES_MAX (64u << 10)
#define BINDING_STRING_MAX 4096
#define BINDING_ACCOUNT_DIGITS 12
#define BINDING_ACCOUNT_NAME_MAX 64 /* AWS' own limit is 50 */
#define BINDING_LIMIT_DEFAULT 1000
#define BINDING_LIMIT_MAX 100000

struct binding_argument {
  const char *name;
  enum binding_type type;
  bool required;
};

struct binding_call;

struct binding_row { /* of bindings.def */
  const char *name;
  void (*start)(struct binding_call *call);
  const struct binding_argument *arguments;
  size_t argument_count;
};

struct binding_values { /* in the order of the row */
  struct binding_value {
    char *text;      /* of what is no time; NULL: left out, or empty */
    int64_t time_ms; /* of a time */
    bool given;
  } of[BINDING_ARGUMENTS_MAX];
  uint32_t limit; /* items at most */
};

#define BINDING_MESSAGE_SIZE 1024
struct binding_error {
  const char *name; /* "TypeError", "BindingError" */
  char message[BINDING_MESSAGE_SIZE];
};

/*
 * Reads `json`, an array of what the script passed: values in the row's order, or one object. null is what
 * JSON.stringify makes of undefined, so it counts as left out, except where an object says it of a time or a
 * limit, for which it is a mistake (the engine has refused invalid Dates and NaN, which become null too). Of
 * two times, the first must not be the later one. 0; -ENOMEM; -EINVAL with `error`, one line in valid UTF-8.
 * binding_values_clear() after 0.
 */
int binding_arguments_parse(const struct binding_row *row, const char *json, size_t len,
                            struct binding_values *values, struct binding_error *error);
void binding_values_clear(struct binding_values *values);

/* Part of some text for a message: at most 60 bytes, whole characters, no control characters. Returns `out`. */
#define BINDING_EXCERPT_SIZE 64
const char *binding_excerpt(const char *text, size_t len, char out[BINDING_EXCERPT_SIZE]);

#endif
