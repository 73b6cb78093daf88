/* Casts are safe here because the option table bounds every number (config/options.def). */
#include "worker/settings.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bindings/bindings.h"
#include "config/config.h"

#define EXECUTORS_MAX 256

static const char *const function_names[] = {
#define BINDING(id, name, ...) name,
#include "bindings/bindings.def"
#undef BINDING
};
#define FUNCTION_COUNT (sizeof(function_names) / sizeof(function_names[0]))

/* Bit i of the result for function i; `*unknown` is the first name that is none. */
static uint32_t functions_of(const struct config_list *names, const char **unknown) {
  uint32_t allowed = 0;

  *unknown = NULL;
  for (size_t i = 0; i < names->count; i++) {
    int id = binding_find(names->items[i], strlen(names->items[i]));

    if (id >= 0)
      allowed |= UINT32_C(1) << id;
    else if (*unknown == NULL)
      *unknown = names->items[i];
  }
  return allowed;
}

int settings_check(const struct config *config, char *error, size_t error_size) {
  const char *unknown;
  size_t n;

  functions_of(&config->bindings, &unknown);
  if (unknown == NULL) return 0;
  n = (size_t)snprintf(error, error_size, "bindings: \"%s\" is no host function; there are:", unknown);
  for (size_t i = 0; i < FUNCTION_COUNT && n < error_size; i++)
    n += (size_t)snprintf(error + n, error_size - n, "%s %s", i > 0 ? "," : "", function_names[i]);
  return -EINVAL;
}

void settings_job_limits(const struct config *config, struct job_limits *out) {
  const char *unknown; /* settings_check() tells it */

  *out = (struct job_limits){
      .timeout_ms = {config->timeout_ms, 1, config->max_timeout_ms},
      .cpu_ms = {0, 1, config->max_cpu_ms},
      .memory_mb = {config->memory_mb, 4, config->max_memory_mb},
      .max_output_bytes = {config->max_output_bytes, 0, config->max_max_output_bytes},
      .reply_ttl_s = {config->reply_ttl_s, 1, config->max_reply_ttl_s},
      .max_attempts = {1, 1, config->max_max_attempts},
      .backoff_ms = {config->max_backoff_ms < 1000 ? config->max_backoff_ms : 1000, 0,
                     config->max_backoff_ms},
      .delay_ms = {0, 0, config->max_delay_ms},
      .own_process = strcmp(config->isolation, "process") == 0,
      .functions = function_names,
      .function_count = FUNCTION_COUNT,
      .functions_allowed = functions_of(&config->bindings, &unknown),
      .max_calls = (uint32_t)config->max_calls,
      .record = config->record,
      .record_max_bytes = config->record_max_bytes,
      .max_code_bytes = config->max_code_bytes,
      .max_input_bytes = config->max_input_bytes,
      .max_payload_bytes = config->max_payload_bytes,
  };
}

/* Those which this process may use, not those of the machine: a container has its share. `unknown` where that cannot be
 * told, as where there are more than a cpu_set_t holds. */
static unsigned cpu_count(unsigned unknown) {
  cpu_set_t set;
  int count;

  if (sched_getaffinity(0, sizeof(set), &set) < 0) return unknown;
  count = CPU_COUNT(&set);
  return count < 1 ? 1 : count > EXECUTORS_MAX ? EXECUTORS_MAX : (unsigned)count;
}

void settings_bindings(const struct config *config, struct bindings_options *out) {
  *out = (struct bindings_options){
      .max_calls = (uint32_t)config->max_calls,
      .max_parallel_calls = (uint32_t)config->max_parallel_calls,
      .max_answer_bytes = (uint64_t)config->max_answer_bytes,
      .max_total_bytes = (uint64_t)config->max_total_answer_bytes,
      .call_timeout_ms = (uint32_t)config->call_timeout_ms,
      .max_requests = (uint32_t)config->aws_max_requests,
      .cloudtrail_per_s = (uint32_t)config->aws_cloudtrail_per_s,
      .assume_role = config->aws_assume_role,
      .environment = environ,
  };
}

void settings_pool(const struct config *config, struct pool_options *out) {
  *out = (struct pool_options){
      .executors = config->executors > 0 ? (unsigned)config->executors : cpu_count(1),
      .processors = cpu_count(EXECUTORS_MAX),
      .spare_executors = (unsigned)config->spare_executors,
      .executor_path = config->executor_path,
      .grace_ms = (uint32_t)config->kill_grace_ms,
      .start_timeout_ms = (uint32_t)config->executor_start_timeout_ms,
      .max_jobs_per_executor = (uint32_t)config->executor_max_jobs,
      .memory_slack_mb = (uint32_t)config->memory_slack_mb,
      .max_result_bytes = (uint64_t)config->max_result_bytes,
      .max_timers = (uint32_t)config->max_timers,
      .unlocked = config->unlocked,
      .rewind_mb = strcmp(config->isolate, "rewind") == 0 ? (uint32_t)config->memory_mb : 0,
  };
}
