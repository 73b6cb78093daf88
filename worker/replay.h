/*
 * One recorded run that is to happen again: what its JOB says, and how its calls of host functions are answered.
 *
 * Strict: the same script again. Call n must be the recorded call n; the first that is not ends the run, and is told.
 * Loose: another script under the same record. A call is answered by the first unused recorded call with the same name
 * and arguments; what the record does not have is refused, or made in earnest (`live`).
 */
#ifndef ISOQ_WORKER_REPLAY_H
#define ISOQ_WORKER_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "queue/job.h"
#include "queue/record.h"
#include "worker/wire.h"

/* How much more time a strict replay has: a machine may be slower, and no script can tell. Where the recorded run was
 * stopped by a time limit, the engine keeps to that once there is nothing left to repeat. */
#define REPLAY_TIME_FACTOR 10
/* Of one that ended because its memory was full: when that is depends on when garbage was collected. */
#define REPLAY_MEMORY_FACTOR 2

struct replay_made { /* a call of a loose replay */
  uint32_t call;
  uint32_t recorded; /* the call of the record that answered it; 0: none, it was new */
  char *text;        /* owned: "queryResources('AWS::S3::Bucket')", short */
};

struct replay {
  const struct record *record; /* borrowed */
  bool loose, live;
  char *trace; /* owned: with how the run ended in front of it, where the engine must know */
  size_t trace_len;
  bool *used;               /* owned: record->calls[i] has answered one */
  char v8_version[65];      /* that it ran with; set by local_run() */
  char *difference;         /* owned: the first call that was not as recorded; NULL: none was */
  struct replay_made *made; /* owned */
  size_t made_count;
};

/*
 * `entries`: of console output in the recorded result; `status`: of that; `ran_ms`: how long it ran, 0 where that is not
 * known. 0 or -ENOMEM. With `loose`, `live` says what
 * becomes of new calls.
 */
int replay_new(const struct record *record, enum isoq_status status, size_t entries, double ran_ms,
               bool loose, bool live, struct replay **out);
void replay_free(struct replay *replay);

/* The limits of the recorded run (for a strict replay with room to reach where it was stopped), and its seed, into a job
 * made of the record's own text. Names in record->functions that are not among `names` are skipped; how many. */
size_t replay_set_up_job(const struct replay *replay, enum isoq_status status, const char *const *names,
                         size_t name_count, struct job *job);

/*
 * A call of the run. 0: *out is the recorded one that answers it (answered false: no answer had come, none comes).
 * -ENOENT: loose, and the record has none. -EPROTO: strict, and it is not the recorded one: replay->difference.
 * -ENOMEM.
 */
int replay_call(struct replay *replay, const struct wire_call *call, const struct record_call **out);

/* "queryResources('AWS::S3::Bucket', …)", for a message: at most `size` bytes, valid UTF-8. `args`: JSON text. */
void replay_describe_call(const char *name, size_t name_len, const char *args, size_t args_len, char *out,
                          size_t size);

#endif
