// The watchdog: one POSIX timer whose signal arrives on V8's own thread. It stops the script at its
// wall-clock or processor-time limit, and gives the host its tick.
//
// A signal instead of a second thread, because the executor is single-threaded by design (sandbox,
// rewinding), and because isolate->TerminateExecution() from a handler on V8's thread stops loops, regular
// expressions and Atomics.wait alike. The request is repeated every few milliseconds: a native operation can
// swallow one.
#ifndef ISOQ_ENGINE_WATCHDOG_HH
#define ISOQ_ENGINE_WATCHDOG_HH

#include <v8.h>

#include <cstdint>

#include "engine/engine.h"

namespace isoq {

// Creates the timer and its handler, once in a process, on the thread that will run jobs. 0 or a negative
// errno.
int WatchdogInit();

void WatchdogStart(v8::Isolate *isolate, const runtime_config &config, const engine_host &host);
// No handler touches the isolate after this returned.
void WatchdogStop();

// When the timer fires, CLOCK_MONOTONIC: the kernel's state, so not undone by a rewind, around which this note of it is to
// be kept. Each job would have to arm the timer otherwise.
int64_t WatchdogFiresNs();
void WatchdogRemember(int64_t fires_ns);

// Lowers the limits of the job that runs, both since its start; 0 leaves one as it is. `status`: what the wall clock's
// limit, now lower, ends it as.
void WatchdogLimit(isoq_status status, uint32_t timeout_ms, uint32_t cpu_ms);

// Stops the running job for `status`; the first request counts. `why` is static. Async-signal-safe.
void WatchdogTrip(isoq_status status, const char *why);

// ISOQ_STATUS_OK while nobody asked for a stop.
isoq_status WatchdogReason();
const char *WatchdogWhy();

double WatchdogElapsedMs(); // since WatchdogStart()
double WatchdogCpuMs();

} // namespace isoq

#endif
