#include "worker/calls.h"

#include <errno.h>
#include <stdlib.h>

#include "bindings/bindings.h"
#include "queue/job.h"

struct calls {
  struct bindings_session *session;
  uint32_t last, max;
};

int calls_new(struct bindings *bindings, const struct job *job, int64_t deadline_ns, calls_answer_fn answer,
              void *ctx, struct calls **out) {
  struct calls *calls = calloc(1, sizeof(*calls));
  int r;

  if (calls == NULL) return -ENOMEM;
  calls->max = job->max_calls;
  r = bindings_session_new(bindings, job->functions, deadline_ns, answer, ctx, &calls->session);
  if (r < 0) {
    free(calls);
    return r;
  }
  *out = calls;
  return 0;
}

void calls_free(struct calls *calls) {
  if (calls == NULL) return;
  bindings_session_free(calls->session);
  free(calls);
}

int calls_start(struct calls *calls, const struct wire_call *call) {
  if (call->call != calls->last + 1 || call->call > calls->max) return -EPROTO;
  calls->last++;
  return bindings_call(calls->session, call->call, call->name.data, call->name.len, call->args.data,
                       call->args.len);
}
