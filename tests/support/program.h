/*
 * Runs a program as a user would: words, an environment, standard input; and what came out. The environment
 * is made from nothing (PATH, HOME and the sanitizers' options stay), because the tests' own ISOQ_ variables
 * would be settings to isoq.
 */
#ifndef ISOQ_TESTS_PROGRAM_H
#define ISOQ_TESTS_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct program {
  const char *const *environment; /* "NAME=value", NULL at the end; NULL: none besides */
  const char *input;              /* for standard input; NULL: /dev/null */
  size_t input_len;               /* 0: strlen(input) */
  bool terminal;                  /* stdout and stderr are a terminal; what it shows is in `out` */

  pid_t pid; /* 0: not running */
  char *out; /* owned, NUL-terminated */
  size_t out_len;
  char *err;
  int status; /* as a shell's $?: 128 + N for a signal */

  int fds[2]; /* of the running program; -1 */
};

/* The path of a program of the build: $ISOQ_TEST_BIN_DIR/name. */
const char *program_path(const char *name);

/* Starts argv[0] and returns when it has been executed; 0 or a negative errno. It is killed should the test
 * die. */
int program_start(struct program *program, const char *const *argv);

/* Reads to the end of both streams and waits. A program that takes longer than 60 seconds is killed. */
int program_finish(struct program *program);

void program_free(struct program *program);

#endif
