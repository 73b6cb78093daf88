/* Times, as people write and read them. */
#ifndef ISOQ_CLI_WHEN_H
#define ISOQ_CLI_WHEN_H

#include <stddef.h>
#include <stdint.h>

#define WHEN_TEXT_SIZE 40
#define WHEN_FORMS "ms since 1970, or as 2030-01-31T08:30:00Z or 2030-01-31T08:30:00+02:00"

/* "350 ms", "12 s", "5 min", "3 h", "4 d": how long. Below 0 counts as 0. Returns out. */
const char *when_span(int64_t ms, char out[WHEN_TEXT_SIZE]);

/* "2030-01-31 08:30:00 UTC". Returns out. */
const char *when_date(int64_t real_ms, char out[WHEN_TEXT_SIZE]);

/* Milliseconds since 1970, or ISO 8601 with its time zone. 0, or -EINVAL with `*problem` saying why. */
int when_parse(const char *text, int64_t *real_ms, const char **problem);

#endif
