/* What the list of dead letters holds: {"job", "reason", "result", "at"}. */
#ifndef ISOQ_QUEUE_DEAD_LETTER_H
#define ISOQ_QUEUE_DEAD_LETTER_H

#include <stddef.h>
#include <stdint.h>

/*
 * `payload` as it came (its own text where that is a JSON object, else as a JSON string), `result` JSON text
 * or NULL.
 * `*out` is malloc'ed. 0 or -ENOMEM.
 */
int dead_letter_make(const char *payload, size_t payload_len, const char *reason, const char *result,
                     size_t result_len, int64_t at_ms, char **out, size_t *out_len);

#endif
