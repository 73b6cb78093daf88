/*
 * The exit codes of isoq-executor: what the executor says by dying, and what the broker reads from it
 * (outcome.c). A death by a signal says the rest: SIGSYS is a sandbox violation, SIGKILL is the broker or the
 * kernel's OOM killer, anything else a crash of V8.
 */
#ifndef ISOQ_ENGINE_EXECUTOR_EXIT_H
#define ISOQ_ENGINE_EXECUTOR_EXIT_H

enum executor_exit {
  EXECUTOR_EXIT_OK = 0,        /* the broker closed the socket between two jobs */
  EXECUTOR_EXIT_USAGE = 2,     /* wrong arguments, or descriptor 3 is no stream socket */
  EXECUTOR_EXIT_OOM = 70,      /* V8 gave up for lack of memory; a DYING frame went before, where it could */
  EXECUTOR_EXIT_CRASHED = 71,  /* V8 gave up for another reason; the same */
  EXECUTOR_EXIT_PROTOCOL = 72, /* the broker sent what it may not send */
  EXECUTOR_EXIT_SANDBOX = 73,  /* the lock-down failed, and --unlocked was not given */
  EXECUTOR_EXIT_BROKER_GONE = 74, /* the socket broke, or closed in the middle of a job or a frame */
  EXECUTOR_EXIT_ENGINE = 75,      /* V8 did not start, or failed its warm-up job */
  EXECUTOR_EXIT_REWIND = 76,      /* it could not be rewound after the last RESULT; no job has begun since */
};

#endif
