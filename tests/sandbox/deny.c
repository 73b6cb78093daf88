#include "tests/sandbox/deny.h"

pid_t deny_broker;

/* The bounds of the section, by the linker. */
extern const struct deny_case *const __start_deny_cases[], *const __stop_deny_cases[];

const struct deny_case *deny_at(size_t index) {
  size_t count = (size_t)(__stop_deny_cases - __start_deny_cases);

  return index < count ? __start_deny_cases[index] : NULL;
}
