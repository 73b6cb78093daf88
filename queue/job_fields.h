/* Internal to job.c and job_fields.c: one job being parsed, and the table of its fields. */
#ifndef ISOQ_QUEUE_JOB_FIELDS_H
#define ISOQ_QUEUE_JOB_FIELDS_H

#include <stdbool.h>
#include <stdint.h>

#include "queue/job.h"
#include "queue/json_text.h"

struct job_parser {
  struct job *job;
  const struct job_limits *limits;
  const char *prefix, *queue; /* NULL without Redis */
  uint32_t seen;              /* bit i: field i of the table was given */
  bool id_given;              /* valid or not */
  bool no_memory;
};

#define JOB_NOTE_FIELD "isoq"
#define JOB_NOTE_START "{\"" JOB_NOTE_FIELD "\":{"

/* Notes why the job is invalid; the first reason stays. */
__attribute__((format(printf, 2, 3))) void job_invalid(struct job_parser *parser, const char *format, ...);

#define JOB_SHORT_FORM_MAX 81
/* A piece of the payload for a message: at most 80 bytes, whole characters, no control characters. Returns
 * out. */
const char *job_short_form(const char *text, size_t len, char out[JOB_SHORT_FORM_MAX]);

/* Checks one member and stores it; `name` is the decoded key, `key_text` its text without quotes. */
void job_field_set(struct job_parser *parser, const char *name, size_t name_len, struct job_span key_text,
                   const struct json_value *value);

/* The member's value has no usable text (`problem`): counts it as given, and as the reason. */
void job_field_unusable(struct job_parser *parser, const char *name, size_t name_len,
                        struct job_span key_text, const char *problem);

#endif
