#include "engine/watchdog.hh"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>

#include "engine/inspector.hh"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

namespace isoq {
namespace {

constexpr int64_t kTickNs = 25 * 1000000LL;
constexpr int64_t kRepeatNs = 5 * 1000000LL; // while a stop has been asked for

// Plain statics and atomics: the handler may run between any two instructions of the same thread.
struct {
  timer_t timer;
  bool created;
  int signal;
  std::atomic<v8::Isolate *> isolate; // null: no job, the handler does nothing
  std::atomic<int> reason;
  std::atomic<const char *> why;
  const engine_host *host;
  std::atomic<int64_t> fires_ns;           // CLOCK_MONOTONIC, when the timer does; 0 or past: it has
  int64_t started_ns, deadline_ns;         // CLOCK_MONOTONIC; deadline 0: none
  isoq_status deadline_status;             // what it ends the job as
  int64_t cpu_started_ns, cpu_deadline_ns; // CLOCK_PROCESS_CPUTIME_ID; 0: none
} dog;

int64_t ReadClock(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

// The note comes last: the handler, in between, would arm it for later than what is then noted, not for sooner.
void Arm(int64_t now_ns, int64_t delay_ns) {
  itimerspec spec = {};
  spec.it_value.tv_sec = delay_ns / 1000000000LL;
  spec.it_value.tv_nsec = delay_ns % 1000000000LL;
  timer_settime(dog.timer, 0, &spec, nullptr);
  dog.fires_ns = now_ns + delay_ns;
}

int64_t NextDelayNs(int64_t now) {
  if (dog.reason.load() != ISOQ_STATUS_OK) return kRepeatNs;
  if (dog.deadline_ns == 0) return kTickNs;
  return std::clamp<int64_t>(dog.deadline_ns - now, 1, kTickNs);
}

void OnSignal(int, siginfo_t *, void *context) {
  dog.fires_ns = 0; // it has: a job may begin at this moment, with the time read and no isolate set yet
  v8::Isolate *isolate = dog.isolate.load();
  if (isolate == nullptr) return;
  int saved_errno = errno;
  if (dog.host->tick != nullptr) dog.host->tick(dog.host->ctx);
  InspectorTick(context);
  int64_t now = ReadClock(CLOCK_MONOTONIC);
  if (dog.deadline_ns != 0 && now >= dog.deadline_ns) WatchdogTrip(dog.deadline_status, "cancelled");
  if (dog.cpu_deadline_ns != 0 && ReadClock(CLOCK_PROCESS_CPUTIME_ID) >= dog.cpu_deadline_ns)
    WatchdogTrip(ISOQ_STATUS_CPU_TIMEOUT, "");
  if (dog.reason.load() != ISOQ_STATUS_OK) isolate->TerminateExecution();
  Arm(now, NextDelayNs(now));
  errno = saved_errno;
}

} // namespace

int WatchdogInit() {
  if (dog.created) return 0;
  dog.signal = SIGRTMIN + 2;
  struct sigaction action = {};
  action.sa_sigaction = OnSignal;
  action.sa_flags = SA_SIGINFO; // not SA_RESTART: a wait in the host is to be interrupted
  if (sigaction(dog.signal, &action, nullptr) != 0) return -errno;
  sigevent event = {};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = dog.signal;
  event.sigev_notify_thread_id = static_cast<pid_t>(syscall(SYS_gettid));
  if (timer_create(CLOCK_MONOTONIC, &event, &dog.timer) != 0) return -errno;
  dog.created = true;
  return 0;
}

void WatchdogStart(v8::Isolate *isolate, const runtime_config &config, const engine_host &host) {
  dog.host = &host;
  dog.reason = ISOQ_STATUS_OK;
  dog.why = "";
  dog.started_ns = ReadClock(CLOCK_MONOTONIC);
  dog.deadline_ns = config.timeout_ms != 0 ? dog.started_ns + config.timeout_ms * 1000000LL : 0;
  dog.deadline_status = ISOQ_STATUS_TIMEOUT;
  dog.cpu_started_ns = ReadClock(CLOCK_PROCESS_CPUTIME_ID);
  dog.cpu_deadline_ns = config.cpu_ms != 0 ? dog.cpu_started_ns + config.cpu_ms * 1000000LL : 0;
  dog.isolate = isolate;
  // What an earlier job has left will do if it does not come too late: then, the handler arms it again.
  int64_t delay_ns = NextDelayNs(dog.started_ns), fires_ns = dog.fires_ns;
  if (fires_ns <= dog.started_ns || fires_ns > dog.started_ns + delay_ns) Arm(dog.started_ns, delay_ns);
}

void WatchdogStop() {
  dog.isolate = nullptr; // the timer, left as it is, finds nothing to do: a system call less
}

void WatchdogLimit(isoq_status status, uint32_t timeout_ms, uint32_t cpu_ms) {
  if (dog.isolate.load() == nullptr) return;
  int64_t deadline_ns = dog.started_ns + timeout_ms * 1000000LL;
  int64_t cpu_deadline_ns = dog.cpu_started_ns + cpu_ms * 1000000LL;
  if (timeout_ms != 0 && (dog.deadline_ns == 0 || deadline_ns < dog.deadline_ns)) {
    dog.deadline_status = status;
    dog.deadline_ns = deadline_ns;
  }
  if (cpu_ms != 0 && (dog.cpu_deadline_ns == 0 || cpu_deadline_ns < dog.cpu_deadline_ns))
    dog.cpu_deadline_ns = cpu_deadline_ns;
}

void WatchdogTrip(isoq_status status, const char *why) {
  int expected = ISOQ_STATUS_OK;
  v8::Isolate *isolate = dog.isolate.load();
  if (isolate == nullptr) return;
  if (!dog.reason.compare_exchange_strong(expected, status)) return;
  dog.why = why;
  Arm(ReadClock(CLOCK_MONOTONIC),
      1); // only the handler stops V8: interrupted in the middle of that, it would wait for itself
}

isoq_status WatchdogReason() {
  return static_cast<isoq_status>(dog.reason.load());
}

const char *WatchdogWhy() {
  return dog.why.load();
}

double WatchdogElapsedMs() {
  return static_cast<double>(ReadClock(CLOCK_MONOTONIC) - dog.started_ns) / 1e6;
}

double WatchdogCpuMs() {
  return static_cast<double>(ReadClock(CLOCK_PROCESS_CPUTIME_ID) - dog.cpu_started_ns) / 1e6;
}

int64_t WatchdogFiresNs() {
  return dog.fires_ns;
}

void WatchdogRemember(int64_t fires_ns) {
  dog.fires_ns = fires_ns;
}

} // namespace isoq
