/* The result of a replay beside the recorded one. */
#ifndef ISOQ_CLI_COMPARE_H
#define ISOQ_CLI_COMPARE_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/status.h"

struct json_object;

/* What of a result a replay needs. */
struct compare_summary {
  enum isoq_status status;
  size_t entries; /* of console_output */
  double ran_ms;  /* execution_time_ms */
};

/* An ExecutionResult's JSON; NULL: it is none. The caller puts it. */
struct json_object *compare_parse(const char *json, size_t len);

/* False: it has no known status. */
bool compare_summarise(struct json_object *result, struct compare_summary *out);

/*
 * The first field in which they differ, as text: `stdout, at byte 12: recorded "…", now "…"`; malloc'ed. NULL: none
 * does, and *failed is false; or memory is short.
 *
 * What is measured is not compared: times, memory, the attempt, the worker. Where the run was stopped (timeout,
 * cpu_timeout, oom, cancelled) or its process died, the error's message is made of such numbers, and so is the last line
 * of stderr.
 */
char *compare_results(struct json_object *recorded, struct json_object *now, bool *failed);

#endif
