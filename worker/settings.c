/* Casts are safe here because the option table bounds every number (config/options.def). */
#include "worker/settings.h"

#include <sched.h>
#include <string.h>

#include "config/config.h"

#define EXECUTORS_MAX 256

void settings_job_limits(const struct config *config, struct job_limits *out) {
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
      .max_code_bytes = config->max_code_bytes,
      .max_input_bytes = config->max_input_bytes,
      .max_payload_bytes = config->max_payload_bytes,
  };
}

/* Those which this process may use, not those of the machine: a container has its share. */
static unsigned cpu_count(void) {
  cpu_set_t set;
  int count;

  if (sched_getaffinity(0, sizeof(set), &set) < 0) return 1;
  count = CPU_COUNT(&set);
  return count < 1 ? 1 : count > EXECUTORS_MAX ? EXECUTORS_MAX : (unsigned)count;
}

void settings_pool(const struct config *config, struct pool_options *out) {
  *out = (struct pool_options){
      .executors = config->executors > 0 ? (unsigned)config->executors : cpu_count(),
      .spare_executors = (unsigned)config->spare_executors,
      .executor_path = config->executor_path,
      .grace_ms = (uint32_t)config->kill_grace_ms,
      .start_timeout_ms = (uint32_t)config->executor_start_timeout_ms,
      .max_jobs_per_executor = (uint32_t)config->executor_max_jobs,
      .memory_slack_mb = (uint32_t)config->memory_slack_mb,
      .max_result_bytes = (uint64_t)config->max_result_bytes,
      .max_timers = (uint32_t)config->max_timers,
      .unlocked = config->unlocked,
  };
}
