/*
 * The table of host functions, and what all jobs share: the AWS client, and the limits. What one job does is
 * in session.c.
 */
#include "bindings/bindings.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bindings/session.h"

#define REQUIRED true
#define OPTIONAL false
#define ARGUMENT(argument_name, argument_type, argument_required, help)                                      \
  {.name = argument_name, .type = BINDING_##argument_type, .required = argument_required},
#define ARGUMENTS_COUNT(id) (sizeof arguments_of_##id / sizeof(struct binding_argument) - 1)
#define BINDING(id, binding_name, host, arguments, ...)                                                      \
  static const struct binding_argument arguments_of_##id[] = {arguments{.name = NULL}};                      \
  static_assert(ARGUMENTS_COUNT(id) <= BINDING_ARGUMENTS_MAX, binding_name " has too many arguments");
#include "bindings/bindings.def"
#undef BINDING

const struct binding_row binding_rows[BINDING_COUNT] = {
#define BINDING(id, name, host, ...) {name, host, arguments_of_##id, ARGUMENTS_COUNT(id)},
#include "bindings/bindings.def"
#undef BINDING
};
static_assert(BINDING_COUNT <= 32, "a binding_set has 32 bits");

const char *binding_name(unsigned id) {
  return id < BINDING_COUNT ? binding_rows[id].name : NULL;
}

int binding_find(const char *name, size_t len) {
  for (int i = 0; i < BINDING_COUNT; i++)
    if (strlen(binding_rows[i].name) == len && memcmp(binding_rows[i].name, name, len) == 0) return i;
  return -ENOENT;
}

int bindings_new(struct event_base *base, const struct bindings_options *options, struct bindings **out,
                 char *error, size_t error_size) {
  struct bindings *bindings = calloc(1, sizeof *bindings);
  if (!bindings) return -ENOMEM;
  bindings->base = base;
  bindings->options = *options;
  bindings->options.assume_role = NULL; /* borrowed */
  bindings->options.environment = NULL;
  const struct aws_options aws = {
      .max_requests = options->max_requests,
      .cloudtrail_per_s = options->cloudtrail_per_s,
      .assume_role = options->assume_role,
      .warm_up = options->warm_up,
      .environment = options->environment,
  };
  const bool has_role = options->assume_role && *options->assume_role;
  int rc = aws_new(base, &aws, &bindings->aws, error, error_size);
  if (rc == 0) rc = account_names_new(bindings, has_role, &bindings->names);
  if (rc < 0) {
    if (bindings->aws) aws_free(bindings->aws);
    free(bindings);
    return rc;
  }
  TAILQ_INIT(&bindings->reading);
  evtimer_assign(&bindings->read, base, bindings_read_pages, bindings);
  *out = bindings;
  return 0;
}

void bindings_free(struct bindings *bindings) {
  if (!bindings) return;
  assert(bindings->sessions == 0);
  evtimer_del(&bindings->read);
  account_names_free(bindings->names);
  aws_free(bindings->aws);
  free(bindings);
}
