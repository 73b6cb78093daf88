/*
 * Preloaded into a worker by the tests: how long its event loop is away from epoll_wait(), seen from outside.
 *
 * Time between a return from the wait and the next wait is time in which the loop answers nobody. Time in which the
 * thread was ready but other processes had the CPU is not the loop's doing: /proc/thread-self/schedstat tells it, and
 * it is taken off. The numbers stand in the file that LOOP_WATCH names, and are written after every new maximum.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum {
  BLOCKED_NS = 50 * 1000 * 1000
};

static struct {
  bool ready;
  int schedstat_fd, out_fd;
  uint64_t since_ns, delayed_ns; /* of the last return */
  uint64_t turns, blocked, max_ns, max_wall_ns;
} watch = {.schedstat_fd = -1, .out_fd = -1};

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* How long the thread has been ready without running, in all. */
static uint64_t run_delay_ns(void) {
  char text[128];
  uint64_t ran = 0, delayed = 0;
  ssize_t got = watch.schedstat_fd < 0 ? -1 : pread(watch.schedstat_fd, text, sizeof text - 1, 0);
  if (got <= 0) return 0;
  text[got] = '\0';
  return sscanf(text, "%" SCNu64 " %" SCNu64, &ran, &delayed) == 2 ? delayed : 0;
}

static void write_numbers(void) {
  char text[256];
  int len = snprintf(text, sizeof text,
                     "{\"turns\": %" PRIu64 ", \"blocked\": %" PRIu64
                     ", \"max_ms\": %.3f, \"max_wall_ms\": %.3f}\n",
                     watch.turns, watch.blocked, (double)watch.max_ns / 1e6, (double)watch.max_wall_ns / 1e6);
  if (len > 0 && pwrite(watch.out_fd, text, (size_t)len, 0) == len && ftruncate(watch.out_fd, len) < 0)
    abort();
}

static void before_wait(void) {
  if (watch.out_fd < 0) return;
  watch.turns++;
  if (watch.since_ns != 0) {
    uint64_t wall_ns = now_ns() - watch.since_ns, delay_ns = run_delay_ns() - watch.delayed_ns;
    uint64_t own_ns = delay_ns < wall_ns ? wall_ns - delay_ns : 0;
    if (own_ns > BLOCKED_NS) watch.blocked++;
    if (wall_ns > watch.max_wall_ns) watch.max_wall_ns = wall_ns;
    if (own_ns > watch.max_ns) watch.max_ns = own_ns;
    if (own_ns == watch.max_ns || watch.turns % 1024 == 0) write_numbers();
  }
}

static void after_wait(void) {
  if (watch.out_fd < 0) return;
  watch.delayed_ns = run_delay_ns();
  watch.since_ns = now_ns();
}

static void set_up(void) {
  if (watch.ready) return;
  watch.ready = true;
  const char *path = getenv("LOOP_WATCH");
  if (path == NULL) return;
  watch.schedstat_fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
  watch.out_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
}

typedef int (*wait_fn)(int, struct epoll_event *, int, int);
typedef int (*pwait2_fn)(int, struct epoll_event *, int, const struct timespec *, const sigset_t *);

int epoll_wait(int fd, struct epoll_event *events, int max, int timeout_ms) {
  static wait_fn next;
  if (next == NULL) *(void **)&next = dlsym(RTLD_NEXT, "epoll_wait");
  set_up();
  before_wait();
  int rc = next(fd, events, max, timeout_ms);
  after_wait();
  return rc;
}

int epoll_pwait2(int fd, struct epoll_event *events, int max, const struct timespec *timeout,
                 const sigset_t *mask) {
  static pwait2_fn next;
  if (next == NULL) *(void **)&next = dlsym(RTLD_NEXT, "epoll_pwait2");
  set_up();
  before_wait();
  int rc = next(fd, events, max, timeout, mask);
  after_wait();
  return rc;
}
