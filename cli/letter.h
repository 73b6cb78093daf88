/* A dead letter, as queue/dead_letter.h writes it, read again without changing a byte of what is in it. */
#ifndef ISOQ_CLI_LETTER_H
#define ISOQ_CLI_LETTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "queue/job.h"

struct letter {
  struct job_span job;    /* JSON text, within the letter; data NULL: the letter is none */
  struct job_span result; /* JSON text of an object; data NULL: there is none */
  bool job_is_object;     /* else a string of what was pushed */
  char *pushed;           /* owned: what was pushed, without the workers' note; NUL-terminated */
  size_t pushed_len;
  char *reason; /* owned, never NULL */
  size_t reason_len;
  int64_t at_ms;
  char id[JOB_ID_MAX + 1]; /* "" where it is not known */
  char status[32];         /* of the result; "" without one */
  char *problem; /* owned: why a worker with these limits would refuse the job; NULL: it would not */
};

/* `text` is borrowed by the spans; text[len] is NUL. 0; -EINVAL: it is no dead letter (nothing to free);
 * -ENOMEM. */
int letter_parse(const char *text, size_t len, const struct job_limits *limits, const char *prefix,
                 const char *queue, struct letter *out);
void letter_free(struct letter *letter);

#endif
