#include "engine/platform.hh"

#include "engine/runtime.hh"

namespace isoq {
namespace {

constexpr double kMaxDelayS = 1e9; // thirty years: what is beyond never comes

} // namespace

void Tasks::Post(std::unique_ptr<v8::Task> task) {
  if (!closed_) ready_.push_back(std::move(task));
}

void Tasks::PostDelayed(std::unique_ptr<v8::Task> task, double delay_s, bool nestable) {
  if (closed_) return;
  double delay = delay_s < kMaxDelayS ? delay_s : kMaxDelayS;
  Key key{MonotonicNs() + static_cast<int64_t>(delay * 1e9), next_order_++};
  delayed_.emplace(key, std::move(task));
  if (!nestable) awaited_.insert(key);
}

std::unique_ptr<v8::Task> Tasks::TakeDue() {
  std::unique_ptr<v8::Task> task;
  auto first = delayed_.begin();
  while (first != delayed_.end() && awaited_.count(first->first) != 0)
    ++first;
  if (first != delayed_.end() && first->first.first <= MonotonicNs()) {
    task = std::move(first->second);
    delayed_.erase(first);
  } else if (!ready_.empty()) {
    task = std::move(ready_.front());
    ready_.pop_front();
  }
  return task;
}

bool Tasks::RunOne() {
  std::unique_ptr<v8::Task> task = TakeDue();
  if (task == nullptr) return false;
  task->Run();
  return true;
}

bool Tasks::RunAwaited() {
  if (awaited_.empty()) return false;
  auto first = delayed_.find(*awaited_.begin());
  std::unique_ptr<v8::Task> task = std::move(first->second);
  delayed_.erase(first);
  awaited_.erase(awaited_.begin());
  task->Run();
  return true;
}

void Tasks::Close() {
  closed_ = true;
  // A task's end may post another one.
  std::deque<std::unique_ptr<v8::Task>> ready = std::move(ready_);
  std::map<Key, std::unique_ptr<v8::Task>> delayed = std::move(delayed_);
  awaited_.clear();
}

double Platform::CurrentClockTimeMillis() {
  double now_ms = PlatformBase::CurrentClockTimeMillis();
  return trace_ != nullptr ? trace_->ClockMs(now_ms) : now_ms;
}

const std::shared_ptr<Tasks> &Platform::TasksOf(v8::Isolate *isolate) {
  std::shared_ptr<Tasks> &tasks = tasks_[isolate];
  if (tasks == nullptr) tasks = std::make_shared<Tasks>();
  return tasks;
}

} // namespace isoq
