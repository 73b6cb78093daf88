// What V8 asks its process for: pages (pages.hh), and somewhere to leave work for later. The rest is V8's own
// single-threaded default platform.
//
// The task queues are ours for two reasons. The event loop must know for how long it is worth waiting: an
// Atomics.waitAsync() with a time limit is settled by a delayed task and by nothing else, while V8's other
// delayed tasks are housekeeping that no job should wait for. On V8 10.2, 11.3 and 13.6 alike, the former is
// posted as one that must not nest, and the latter as one that may. And what an isolate left behind must go
// with it: the next one may have its address.
#ifndef ISOQ_ENGINE_PLATFORM_HH
#define ISOQ_ENGINE_PLATFORM_HH

#include <v8.h>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "engine/pages.hh"
#include "engine/v8_compat.hh"

namespace isoq {

class Trace;

// The tasks of one isolate.
class Tasks : public TaskRunnerBase {
public:
  // Runs the first one that is due, and that no script is waiting for. False: none is.
  bool RunOne();
  // Runs the first of those which a script may be waiting for, due or not. False: there is none.
  bool RunAwaited();
  // When the next task is due that a script may be waiting for, CLOCK_MONOTONIC; INT64_MAX: there is none.
  // One whose wait was ended otherwise counts as well, since V8 does not take it back.
  int64_t NextAwaitedNs() const { return awaited_.empty() ? INT64_MAX : awaited_.begin()->first; }
  // Drops all of them, and those which still come.
  void Close();

protected:
  void Post(std::unique_ptr<v8::Task> task) override;
  void PostDelayed(std::unique_ptr<v8::Task> task, double delay_s, bool nestable) override;

private:
  using Key = std::pair<int64_t, uint64_t>; // due, order of posting
  std::unique_ptr<v8::Task> TakeDue();

  std::deque<std::unique_ptr<v8::Task>> ready_;
  std::map<Key, std::unique_ptr<v8::Task>> delayed_;
  std::set<Key> awaited_; // of delayed_: those which must not nest
  uint64_t next_order_ = 0;
  bool closed_ = false;
};

class Platform : public PlatformBase {
public:
  explicit Platform(std::unique_ptr<v8::Platform> base)
      : PlatformBase(std::move(base)), pages_(base_->GetPageAllocator()) {}

  v8::PageAllocator *GetPageAllocator() override { return &pages_; }
  Pages &pages() { return pages_; }

  // Date, while a job runs.
  double CurrentClockTimeMillis() override;
  void set_trace(Trace *trace) { trace_ = trace; }
  // Until Forget().
  const std::shared_ptr<Tasks> &TasksOf(v8::Isolate *isolate);

  // In this order, around the isolate's disposal.
  void Close(v8::Isolate *isolate) { TasksOf(isolate)->Close(); }
  void Forget(v8::Isolate *isolate) { tasks_.erase(isolate); }

protected:
  std::shared_ptr<v8::TaskRunner> TaskRunnerOf(v8::Isolate *isolate) override { return TasksOf(isolate); }

private:
  Pages pages_;
  Trace *trace_ = nullptr; // of the job that runs
  std::map<v8::Isolate *, std::shared_ptr<Tasks>> tasks_;
};

} // namespace isoq

#endif
