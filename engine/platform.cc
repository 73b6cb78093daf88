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
  if (!delayed_.empty() && delayed_.begin()->first.first <= MonotonicNs()) {
    awaited_.erase(delayed_.begin()->first);
    task = std::move(delayed_.begin()->second);
    delayed_.erase(delayed_.begin());
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

void Tasks::Close() {
  closed_ = true;
  // A task's end may post another one.
  std::deque<std::unique_ptr<v8::Task>> ready = std::move(ready_);
  std::map<Key, std::unique_ptr<v8::Task>> delayed = std::move(delayed_);
  awaited_.clear();
}

const std::shared_ptr<Tasks> &Platform::TasksOf(v8::Isolate *isolate) {
  std::shared_ptr<Tasks> &tasks = tasks_[isolate];
  if (tasks == nullptr) tasks = std::make_shared<Tasks>();
  return tasks;
}

} // namespace isoq
