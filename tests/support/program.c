/*
 * One thread, one poll loop over both streams: a child that fills a pipe nobody reads would hang, and so
 * would the test. Input comes from a file without a name rather than a pipe, so that writing it can never
 * block either.
 */
#include "tests/support/program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TIME_LIMIT_MS 60000
#define VARIABLES_MAX 32

const char *program_path(const char *name) {
  static char path[1024];
  const char *dir = getenv("ISOQ_TEST_BIN_DIR");
  snprintf(path, sizeof path, "%s/%s", dir ? dir : "build/release/bin", name);
  return path;
}

static void make_environment(const struct program *program, char **variables) {
  static const char *const kept[] = {
      "PATH=", "HOME=", "TMPDIR=", "ASAN_OPTIONS=", "UBSAN_OPTIONS=", "LSAN_OPTIONS=", "V8_ROOT="};
  size_t count = 0;
  for (char **variable = environ; *variable; variable++)
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
      if (strncmp(*variable, kept[i], strlen(kept[i])) == 0 && count + 1 < VARIABLES_MAX)
        variables[count++] = *variable;
  for (const char *const *extra = program->environment; extra && *extra && count + 1 < VARIABLES_MAX; extra++)
    variables[count++] = (char *)*extra;
  variables[count] = NULL;
}

static int make_input(const struct program *program) {
  if (!program->input) return open("/dev/null", O_RDONLY | O_CLOEXEC);
  size_t len = program->input_len ? program->input_len : strlen(program->input);
  int fd = memfd_create("input", MFD_CLOEXEC);
  for (size_t done = 0; fd >= 0 && done < len;) {
    ssize_t n = write(fd, program->input + done, len - done);
    if (n <= 0) break;
    done += (size_t)n;
  }
  if (fd >= 0) lseek(fd, 0, SEEK_SET);
  return fd;
}

/* ours[i] is read by the test, theirs[i] is the child's stream i + 1. */
static int make_streams(const struct program *program, int ours[2], int theirs[2]) {
  if (program->terminal) {
    ours[1] = -1;
    if (openpty(&ours[0], &theirs[0], NULL, NULL, NULL)) return -errno;
    theirs[1] = dup(theirs[0]);
    fcntl(ours[0], F_SETFD, FD_CLOEXEC);
    return theirs[1] < 0 ? -errno : 0;
  }
  for (int i = 0; i < 2; i++) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC)) return -errno;
    ours[i] = ends[0];
    theirs[i] = ends[1];
  }
  return 0;
}

_Noreturn static void exec_program(int input, const int streams[2], int error_pipe, const char *const *argv,
                                   char *const *variables) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  signal(SIGINT, SIG_DFL); /* Check's, in the test */
  signal(SIGTERM, SIG_DFL);
  dup2(input, STDIN_FILENO);
  dup2(streams[0], STDOUT_FILENO);
  dup2(streams[1], STDERR_FILENO);
  close(streams[0]);
  close(streams[1]);
  execve(argv[0], (char *const *)argv, variables);
  int error = errno;
  ssize_t ignored = write(error_pipe, &error, sizeof error);
  (void)ignored;
  _exit(127);
}

int program_start(struct program *program, const char *const *argv) {
  char *variables[VARIABLES_MAX];
  int theirs[2], error_pipe[2], error = 0;

  make_environment(program, variables);
  int input = make_input(program);
  int rc = input < 0 || pipe2(error_pipe, O_CLOEXEC) ? -errno : make_streams(program, program->fds, theirs);
  if (rc) return rc;

  program->pid = fork();
  if (program->pid == 0) exec_program(input, theirs, error_pipe[1], argv, variables);
  close(input);
  close(theirs[0]);
  close(theirs[1]);
  close(error_pipe[1]);
  if (program->pid < 0) return -errno;
  /* Returns at exec, when the pipe is closed: from here on the process is the program and no copy of the
   * test. */
  if (read(error_pipe[0], &error, sizeof error) > 0)
    fprintf(stderr, "program: %s: %s\n", argv[0], strerror(error));
  close(error_pipe[0]);
  return -error;
}

/* False at the end of the stream (EIO is a terminal's end). */
static bool read_some(int fd, FILE *into) {
  char bytes[65536];
  ssize_t n = read(fd, bytes, sizeof bytes);
  if (n < 0 && errno == EINTR) return true;
  if (n <= 0) return false;
  fwrite(bytes, 1, (size_t)n, into);
  return true;
}

static void read_streams(struct program *program, FILE *const into[2]) {
  struct timespec start, now;
  int open_count = (program->fds[0] >= 0) + (program->fds[1] >= 0);

  clock_gettime(CLOCK_MONOTONIC, &start);
  while (open_count > 0) {
    struct pollfd polls[2] = {{.fd = program->fds[0], .events = POLLIN},
                              {.fd = program->fds[1], .events = POLLIN}};
    clock_gettime(CLOCK_MONOTONIC, &now);
    int left_ms = TIME_LIMIT_MS - (int)(now.tv_sec - start.tv_sec) * 1000;
    if (left_ms <= 0 || poll(polls, 2, left_ms) == 0) {
      kill(program->pid, SIGKILL);
      fprintf(stderr, "program: killed after %d s\n", TIME_LIMIT_MS / 1000);
      break;
    }
    for (int i = 0; i < 2; i++)
      if (polls[i].fd >= 0 && polls[i].revents && !read_some(polls[i].fd, into[i])) {
        close(program->fds[i]);
        program->fds[i] = -1;
        open_count--;
      }
  }
}

int program_finish(struct program *program) {
  size_t err_len;
  int status;

  free(program->out);
  free(program->err);
  FILE *into[2] = {open_memstream(&program->out, &program->out_len), open_memstream(&program->err, &err_len)};
  if (!into[0] || !into[1]) return -ENOMEM;
  read_streams(program, into);
  fclose(into[0]);
  fclose(into[1]);
  for (int i = 0; i < 2; i++)
    if (program->fds[i] >= 0) close(program->fds[i]);
  program->fds[0] = program->fds[1] = -1;
  while (waitpid(program->pid, &status, 0) < 0 && errno == EINTR)
    ;
  program->pid = 0;
  program->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return 0;
}

void program_free(struct program *program) {
  if (program->pid > 0) {
    kill(program->pid, SIGKILL);
    program_finish(program);
  }
  free(program->out);
  free(program->err);
  program->out = program->err = NULL;
}
