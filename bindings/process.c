/*
 * "Process credential provider" (AWS SDKs and Tools Reference Guide). posix_spawn() with a process group of
 * its own, so that a wrapper script's children die with it; a pidfd tells the end, as in worker/spawn.c. The
 * end is when both the output is closed and the program gone: a background child that keeps the pipe open
 * must not keep us.
 */
#include "bindings/process.h"

#include <ctype.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT_MAX (64u << 10)

struct process {
  pid_t pid;
  int pidfd, out_fd;
  struct event *on_end, *on_output, *on_timeout;
  process_fn done;
  void *ctx;
  size_t len;
  char output[OUTPUT_MAX + 1];
};

/* ---- words ---- */

/* One word from `*at` to `*to`, which it ends with a NUL. False: a quote is open. */
static bool take_word(const char **at, char **to) {
  const char *c = *at;
  char *out = *to, quote = '\0';

  for (; *c != '\0' && (quote != '\0' || !isspace((unsigned char)*c)); c++) {
    if (quote == '\0' && (*c == '\'' || *c == '"')) {
      quote = *c;
    } else if (*c == quote) {
      quote = '\0';
    } else if (*c == '\\' && quote != '\'' && c[1] != '\0' &&
               (quote == '\0' || c[1] == '"' || c[1] == '\\')) {
      *out++ = *++c;
    } else {
      *out++ = *c;
    }
  }
  *out++ = '\0';
  *at = c;
  *to = out;
  return quote == '\0';
}

char **process_words(const char *command) {
  const size_t len = strlen(command), most = len / 2 + 2;
  char **words = malloc(most * sizeof(*words) + len + 2), *to;
  size_t count = 0;

  if (words == NULL) return NULL;
  to = (char *)(words + most);
  for (;;) {
    while (isspace((unsigned char)*command))
      command++;
    if (*command == '\0') break;
    words[count++] = to;
    if (!take_word(&command, &to)) {
      count = 0;
      break;
    }
  }
  words[count] = NULL;
  if (count > 0) return words;
  free(words);
  errno = EINVAL;
  return NULL;
}

/* ---- the end ---- */

static void process_free(struct process *process) {
  struct event *events[] = {process->on_end, process->on_output, process->on_timeout};

  for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
    if (events[i] != NULL) event_free(events[i]);
  if (process->pid > 0) {
    kill(-process->pid, SIGKILL); /* not reaped yet, so the group is still its own */
    while (waitpid(process->pid, NULL, 0) < 0 && errno == EINTR)
      ;
  }
  if (process->pidfd >= 0) close(process->pidfd);
  if (process->out_fd >= 0) close(process->out_fd);
  explicit_bzero(process->output, sizeof(process->output));
  free(process);
}

static void finish(struct process *process, const char *why) {
  process->output[process->len] = '\0';
  process->done(process->ctx, why == NULL ? process->output : NULL, why == NULL ? process->len : 0, why);
  process_free(process);
}

/* False: it printed too much. */
static bool read_output(struct process *process) {
  for (;;) {
    const ssize_t got = read(process->out_fd, process->output + process->len, OUTPUT_MAX + 1 - process->len);

    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      if (got == 0) event_del(process->on_output);
      return true;
    }
    process->len += (size_t)got;
    if (process->len > OUTPUT_MAX) {
      process->len = 0;
      return false;
    }
  }
}

static void on_output(evutil_socket_t fd, short events, void *ctx) {
  struct process *process = ctx;

  (void)fd;
  (void)events;
  if (!read_output(process)) finish(process, "it printed more than 64 KiB");
}

static void on_end(evutil_socket_t fd, short events, void *ctx) {
  struct process *process = ctx;
  siginfo_t info = {0};
  char why[64];

  (void)fd;
  (void)events;
  if (!read_output(process)) {
    finish(process, "it printed more than 64 KiB");
    return;
  }
  if (waitid(P_PIDFD, (id_t)process->pidfd, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0) {
    finish(process, "its end cannot be known");
    return;
  }
  if (info.si_code == CLD_EXITED)
    snprintf(why, sizeof(why), "it ended with exit status %d", info.si_status);
  else
    snprintf(why, sizeof(why), "it was killed by signal %d", info.si_status);
  finish(process, info.si_code == CLD_EXITED && info.si_status == 0 ? NULL : why);
}

static void on_timeout(evutil_socket_t fd, short events, void *ctx) {
  (void)fd;
  (void)events;
  finish(ctx, "it took too long and was killed");
}

/* ---- the beginning ---- */

/* The broker ignores and blocks signals that a program expects to work. */
static int set_up(posix_spawnattr_t *attributes, posix_spawn_file_actions_t *actions, int output) {
  sigset_t none, all;
  int r;

  sigemptyset(&none);
  sigfillset(&all);
  sigdelset(&all, SIGKILL);
  sigdelset(&all, SIGSTOP);
  r = posix_spawnattr_setflags(attributes,
                               POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  if (r == 0) r = posix_spawnattr_setpgroup(attributes, 0);
  if (r == 0) r = posix_spawnattr_setsigmask(attributes, &none);
  if (r == 0) r = posix_spawnattr_setsigdefault(attributes, &all);
  if (r == 0) r = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  if (r == 0) r = posix_spawn_file_actions_adddup2(actions, output, STDOUT_FILENO);
  if (r == 0) r = posix_spawn_file_actions_addopen(actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  if (r == 0) r = posix_spawn_file_actions_addclosefrom_np(actions, 3);
  return -r;
}

static int spawn(char **words, char *const *environment, int output, pid_t *out) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  int r;

  if (posix_spawn_file_actions_init(&actions) != 0) return -ENOMEM;
  if (posix_spawnattr_init(&attributes) != 0) {
    posix_spawn_file_actions_destroy(&actions);
    return -ENOMEM;
  }
  r = set_up(&attributes, &actions, output);
  if (r == 0) r = -posix_spawnp(out, words[0], &actions, &attributes, words, environment);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return r;
}

static int watch(struct process *process, struct event_base *base, uint32_t timeout_ms) {
  const struct timeval in = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};

  process->pidfd = pidfd_open(process->pid, 0);
  if (process->pidfd < 0) return -errno;
  process->on_end = event_new(base, process->pidfd, EV_READ, on_end, process);
  process->on_output = event_new(base, process->out_fd, EV_READ | EV_PERSIST, on_output, process);
  process->on_timeout = evtimer_new(base, on_timeout, process);
  if (process->on_end == NULL || process->on_output == NULL || process->on_timeout == NULL) return -ENOMEM;
  return event_add(process->on_end, NULL) < 0 || event_add(process->on_output, NULL) < 0 ||
                 event_add(process->on_timeout, &in) < 0
             ? -ENOMEM
             : 0;
}

int process_run(struct event_base *base, const char *command, char *const *environment, uint32_t timeout_ms,
                process_fn done, void *ctx, struct process **out, char *error, size_t error_size) {
  struct process *process = calloc(1, sizeof(*process));
  char **words = process_words(command);
  int pipes[2] = {-1, -1}, r = 0;

  if (process == NULL || words == NULL) {
    r = process == NULL ? -ENOMEM : -errno;
    snprintf(error, error_size, "%s",
             r == -EINVAL ? "no command, or a quote in it is not closed" : "out of memory");
    free(process);
    free(words);
    return r;
  }
  process->pid = process->pidfd = -1;
  process->done = done;
  process->ctx = ctx;
  if (pipe2(pipes, O_CLOEXEC) < 0) r = -errno;
  process->out_fd = pipes[0];
  if (r == 0 && fcntl(process->out_fd, F_SETFL, O_NONBLOCK) < 0) r = -errno;
  if (r == 0) r = spawn(words, environment, pipes[1], &process->pid);
  if (pipes[1] >= 0) close(pipes[1]);
  if (r == 0) r = watch(process, base, timeout_ms);
  if (r < 0) {
    snprintf(error, error_size, "'%.64s' cannot be run: %s", words[0], strerror(-r));
    process_free(process);
  } else {
    *out = process;
  }
  free(words);
  return r;
}

void process_cancel(struct process *process) {
  process_free(process);
}
