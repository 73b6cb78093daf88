// The event loop of one job: microtasks, V8's own tasks, timers.
//
// The rules are Node's. The job ends when its completion value has settled and no timer is left; it ends at
// once when the completion value rejects, when a timer's callback throws, or when a rejection stays unhandled
// after the microtasks have run. A completion value that is still pending when nothing is left to run can
// never settle, and is an error right away.
//
// V8's own tasks run in between, and nobody waits for them, with one exception: the time limit of an
// Atomics.waitAsync(), for which a completion value may be waiting.
#include <poll.h>
#include <time.h>

#include <algorithm>
#include <cmath>

#include "engine/runtime.hh"
#include "engine/watchdog.hh"

namespace isoq {

int64_t MonotonicNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

namespace {

constexpr int64_t kCallWaitMs = 60000; // an answer ends the wait

constexpr double kMaxDelayMs = 2147483647; // HTML's and Node's limit; what is beyond becomes 1 ms

int64_t NowMs() {
  return MonotonicNs() / 1000000;
}

void Wait(Runtime *runtime, int64_t timeout_ms) {
  runtime->trace->Flush();
  if (runtime->host.wait != nullptr) {
    runtime->host.wait(runtime->host.ctx, timeout_ms);
    return;
  }
  poll(nullptr, 0, static_cast<int>(timeout_ms));
}

void RunPlatformTasks(Runtime *runtime) {
  Tasks *tasks = runtime->platform->TasksOf(runtime->isolate).get();
  while (WatchdogReason() == ISOQ_STATUS_OK && tasks->RunOne())
    runtime->isolate->PerformMicrotaskCheckpoint();
}

// When there is something to do again; false: never.
bool NextDueMs(Runtime *runtime, const Evaluation *evaluation, int64_t *due_ms) {
  bool timers = !runtime->timers.Empty();
  *due_ms = timers ? runtime->timers.NextDueMs() : INT64_MAX;
  if (!timers && evaluation->state != Evaluation::kPending) return false;
  int64_t awaited_ns = runtime->platform->TasksOf(runtime->isolate)->NextAwaitedNs();
  if (awaited_ns != INT64_MAX) *due_ms = std::min(*due_ms, (awaited_ns + 999999) / 1000000);
  return *due_ms != INT64_MAX;
}

// Fails the job when a rejection was left without a handler. The completion promise is ours to report.
bool FailOnUnhandledRejection(Runtime *runtime, Evaluation *evaluation) {
  v8::HandleScope scope(runtime->isolate);
  v8::Local<v8::Value> reason;
  if (!runtime->rejections.TakeFirst(runtime->isolate, evaluation->promise).ToLocal(&reason)) return false;
  SetError(runtime, reason, 0, 0);
  return true;
}

// Runs a pending timer. False: its callback threw, and the job has failed.
bool RunTimer(Runtime *runtime, uint32_t id) {
  std::unique_ptr<Timer> keep_alive;
  Timer *timer = runtime->timers.Take(id, NowMs(), &keep_alive);
  v8::HandleScope scope(runtime->isolate);
  v8::TryCatch catcher(runtime->isolate);
  std::vector<v8::Local<v8::Value>> arguments;
  for (v8::Global<v8::Value> &argument : timer->arguments)
    arguments.push_back(argument.Get(runtime->isolate));
  v8::Local<v8::Function> callback = timer->callback.Get(runtime->isolate);
  if (!callback
           ->Call(runtime->Context(), v8::Undefined(runtime->isolate), static_cast<int>(arguments.size()),
                  arguments.data())
           .IsEmpty())
    return true;
  if (!catcher.HasTerminated()) SetError(runtime, catcher.Exception(), 0, 0);
  return false;
}

// ---- what comes next

using Step = Trace::Step;

// What is due: an answer and a timer take turns, so that neither starves the other.
Step NextDue(Runtime *runtime, Step last, uint32_t *id) {
  int64_t now_ns = MonotonicNs();
  bool timer = runtime->timers.Due(now_ns / 1000000);
  if (!runtime->calls.answers.empty() && !(timer && last == Step::kAnswer)) {
    *id = runtime->calls.answers.front().call;
    return Step::kAnswer;
  }
  if (timer) {
    *id = runtime->timers.FirstId();
    return Step::kTimer;
  }
  return runtime->platform->TasksOf(runtime->isolate)->NextAwaitedNs() <= now_ns ? Step::kAwaited
                                                                                 : Step::kNone;
}

// What a strict replay does next; kNone: nothing that was recorded is left.
Step NextRecorded(Runtime *runtime, uint32_t *id) {
  Step step = runtime->trace->Next(id);
  if (step == Step::kTimer && !runtime->timers.Has(*id))
    runtime->trace->Differ("recorded: timer " + std::to_string(*id) + " fired; now there is no such timer");
  else if (step == Step::kAnswer && runtime->calls.pending.count(*id) == 0)
    runtime->trace->Differ("recorded: the answer to call " + std::to_string(*id) +
                           " was settled; now no such call is pending");
  else if (step == Step::kAwaited &&
           runtime->platform->TasksOf(runtime->isolate)->NextAwaitedNs() == INT64_MAX)
    runtime->trace->Differ("recorded: an Atomics.waitAsync() timed out; now none is pending");
  else
    return step;
  return Step::kNone;
}

// False: the job has failed.
bool Take(Runtime *runtime, Step step, uint32_t id) {
  runtime->trace->Did(step, id);
  switch (step) {
  case Step::kTimer: return RunTimer(runtime, id);
  case Step::kAnswer:
    while (!HasAnswer(runtime, id) && WatchdogReason() == ISOQ_STATUS_OK)
      Wait(runtime, kCallWaitMs);
    if (HasAnswer(runtime, id)) SettleCall(runtime, id);
    return true;
  case Step::kAwaited: runtime->platform->TasksOf(runtime->isolate)->RunAwaited(); return true;
  case Step::kNone: return true;
  }
  return true;
}

void FailUnsettled(Runtime *runtime) {
  SetFailure(runtime->out, ISOQ_STATUS_ERROR, "UnsettledPromiseError",
             "the script waits for a promise that can never settle: no timer and no call is pending");
}

void ReportSettled(Runtime *runtime, Evaluation *evaluation) {
  v8::HandleScope scope(runtime->isolate);
  v8::Local<v8::Value> value = evaluation->settled.Get(runtime->isolate);
  if (evaluation->state == Evaluation::kRejected)
    SetError(runtime, value, evaluation->line, evaluation->column);
  else
    SetResult(runtime, value);
}

} // namespace

void RunLoop(Runtime *runtime, Evaluation *evaluation) {
  v8::HandleScope scope(runtime->isolate);
  Step last = Step::kNone;
  for (;;) {
    runtime->isolate->PerformMicrotaskCheckpoint();
    RunPlatformTasks(runtime);
    evaluation->Poll(runtime);
    if (WatchdogReason() != ISOQ_STATUS_OK) return;
    if (evaluation->state == Evaluation::kRejected) return ReportSettled(runtime, evaluation);
    if (FailOnUnhandledRejection(runtime, evaluation)) return;
    int64_t due_ms = INT64_MAX;
    bool due = NextDueMs(runtime, evaluation, &due_ms);
    if (!due && runtime->calls.pending.empty()) break;
    uint32_t id = 0;
    if (runtime->trace->replaying()) {
      last = NextRecorded(runtime, &id);
      if (WatchdogReason() != ISOQ_STATUS_OK) return; // stopped where the recorded run was
      if (!runtime->trace->replaying()) continue;
    } else {
      if (!runtime->calls.pending.empty() && runtime->calls.answers.empty()) Wait(runtime, 0);
      last = NextDue(runtime, last, &id);
    }
    if (last != Step::kNone) {
      if (!Take(runtime, last, id)) return;
      continue;
    }
    int64_t delay_ms = due ? due_ms - NowMs() : kCallWaitMs;
    if (delay_ms > 0) Wait(runtime, delay_ms);
  }
  if (evaluation->state == Evaluation::kPending) return FailUnsettled(runtime);
  ReportSettled(runtime, evaluation);
}

void Evaluation::Poll(Runtime *runtime) {
  if (state != kPending || promise.IsEmpty()) return;
  v8::HandleScope scope(runtime->isolate);
  v8::Local<v8::Promise> waited = promise.Get(runtime->isolate);
  if (waited->State() == v8::Promise::kPending) return;
  state = waited->State() == v8::Promise::kFulfilled ? kFulfilled : kRejected;
  settled.Reset(runtime->isolate, waited->Result());
}

void OnPromiseReject(v8::PromiseRejectMessage message) {
  v8::Isolate *isolate = v8::Isolate::GetCurrent();
  Runtime *runtime = Runtime::From(isolate);
  if (message.GetEvent() == v8::kPromiseRejectWithNoHandler)
    runtime->rejections.Add(isolate, message.GetPromise(), message.GetValue());
  else if (message.GetEvent() == v8::kPromiseHandlerAddedAfterReject)
    runtime->rejections.Handled(message.GetPromise());
}

void Rejections::Add(v8::Isolate *isolate, v8::Local<v8::Promise> promise, v8::Local<v8::Value> reason) {
  by_hash_.emplace(promise->GetIdentityHash(), next_order_);
  by_order_[next_order_++] = {v8::Global<v8::Promise>(isolate, promise),
                              v8::Global<v8::Value>(isolate, reason)};
}

void Rejections::AddThrown(v8::Isolate *isolate, v8::Local<v8::Value> thrown) {
  by_order_[next_order_++].reason.Reset(isolate, thrown);
}

void Rejections::Handled(v8::Local<v8::Promise> promise) {
  auto range = by_hash_.equal_range(promise->GetIdentityHash());
  for (auto candidate = range.first; candidate != range.second; ++candidate) {
    auto found = by_order_.find(candidate->second);
    if (found->second.promise != promise) continue;
    by_order_.erase(found);
    by_hash_.erase(candidate);
    return;
  }
}

v8::MaybeLocal<v8::Value> Rejections::TakeFirst(v8::Isolate *isolate, const v8::Global<v8::Promise> &except) {
  v8::MaybeLocal<v8::Value> first;
  for (auto &entry : by_order_) {
    if (!entry.second.promise.IsEmpty() && entry.second.promise == except) continue;
    first = entry.second.reason.Get(isolate);
    break;
  }
  by_order_.clear();
  by_hash_.clear();
  return first;
}

// ---- timers

void Timers::Enqueue(uint32_t id, Timer *timer) {
  Key key{timer->due_ms, next_order_++};
  queue_[key] = id;
  by_id_[id].second = key;
}

uint32_t Timers::Add(std::unique_ptr<Timer> timer, int64_t delay_ms, size_t limit) {
  if (by_id_.size() >= limit) return 0;
  while (next_id_ == 0 || by_id_.count(next_id_) != 0)
    next_id_++;
  uint32_t id = next_id_++;
  timer->due_ms = NowMs() + delay_ms;
  Timer *raw = timer.get();
  by_id_[id].first = std::move(timer);
  Enqueue(id, raw);
  return id;
}

void Timers::Remove(uint32_t id) {
  auto found = by_id_.find(id);
  if (found == by_id_.end()) return;
  queue_.erase(found->second.second);
  by_id_.erase(found);
}

Timer *Timers::Take(uint32_t id, int64_t now_ms, std::unique_ptr<Timer> *keep_alive) {
  auto found = by_id_.find(id);
  queue_.erase(found->second.second);
  Timer *timer = found->second.first.get();
  if (timer->interval_ms == 0) {
    *keep_alive = std::move(found->second.first);
    by_id_.erase(found);
    return timer;
  }
  // The callback may clear its own interval: run a copy.
  v8::Isolate *isolate = v8::Isolate::GetCurrent();
  auto copy = std::make_unique<Timer>();
  copy->callback.Reset(isolate, timer->callback);
  for (v8::Global<v8::Value> &argument : timer->arguments)
    copy->arguments.emplace_back(isolate, argument);
  timer->due_ms = now_ms + timer->interval_ms;
  Enqueue(id, timer);
  *keep_alive = std::move(copy);
  return keep_alive->get();
}

namespace {

void ThrowRange(v8::Isolate *isolate, const std::string &message) {
  isolate->ThrowException(v8::Exception::RangeError(ToV8(isolate, message)));
}

// setTimeout and setInterval: (callback, delay = 1, ...arguments) → a positive number.
void SetTimer(const v8::FunctionCallbackInfo<v8::Value> &info, bool repeat) {
  v8::Isolate *isolate = info.GetIsolate();
  Runtime *runtime = Runtime::From(isolate);
  if (info.Length() < 1 || !info[0]->IsFunction()) {
    isolate->ThrowException(v8::Exception::TypeError(ToV8(
        isolate, std::string(repeat ? "setInterval" : "setTimeout") +
                     ": the callback must be a function, not " + ToUtf8(isolate, info[0]->TypeOf(isolate)))));
    return;
  }
  double delay = 1;
  if (info.Length() > 1 && !info[1]->NumberValue(runtime->Context()).To(&delay)) return;
  if (!(delay >= 1 && delay <= kMaxDelayMs)) delay = 1;
  auto timer = std::make_unique<Timer>();
  timer->callback.Reset(isolate, info[0].As<v8::Function>());
  for (int i = 2; i < info.Length(); i++)
    timer->arguments.emplace_back(isolate, info[i]);
  timer->interval_ms = repeat ? static_cast<int64_t>(delay) : 0;
  uint32_t id =
      runtime->timers.Add(std::move(timer), static_cast<int64_t>(delay), runtime->config.max_timers);
  if (id == 0)
    return ThrowRange(isolate, std::string(repeat ? "setInterval" : "setTimeout") + ": " +
                                   std::to_string(runtime->timers.Count()) +
                                   " timers are pending, and one more is over max_timers " +
                                   std::to_string(runtime->config.max_timers));
  info.GetReturnValue().Set(id);
}

void SetTimeout(const v8::FunctionCallbackInfo<v8::Value> &info) {
  SetTimer(info, false);
}

void SetInterval(const v8::FunctionCallbackInfo<v8::Value> &info) {
  SetTimer(info, true);
}

void ClearTimer(const v8::FunctionCallbackInfo<v8::Value> &info) {
  if (info.Length() < 1 || !info[0]->IsNumber())
    return; // undefined, null, …: nothing to clear, as everywhere
  double id = info[0].As<v8::Number>()->Value();
  if (id >= 1 && id <= UINT32_MAX) Runtime::From(info.GetIsolate())->timers.Remove(static_cast<uint32_t>(id));
}

// V8 runs microtasks in the order in which they were queued, so the first function is this one's.
void RunMicrotask(void *data) {
  Runtime *runtime = static_cast<Runtime *>(data);
  v8::HandleScope scope(runtime->isolate);
  v8::TryCatch catcher(runtime->isolate);
  v8::Local<v8::Function> callback = runtime->microtasks.front().Get(runtime->isolate);
  runtime->microtasks.pop_front();
  v8::Context::Scope entered(runtime->Context());
  if (callback->Call(runtime->Context(), v8::Undefined(runtime->isolate), 0, nullptr).IsEmpty() &&
      !catcher.HasTerminated())
    runtime->rejections.AddThrown(runtime->isolate, catcher.Exception());
}

void QueueMicrotask(const v8::FunctionCallbackInfo<v8::Value> &info) {
  v8::Isolate *isolate = info.GetIsolate();
  if (info.Length() < 1 || !info[0]->IsFunction()) {
    isolate->ThrowException(
        v8::Exception::TypeError(ToV8(isolate, "queueMicrotask: the callback must be a function")));
    return;
  }
  Runtime *runtime = Runtime::From(isolate);
  runtime->microtasks.emplace_back(isolate, info[0].As<v8::Function>());
  isolate->EnqueueMicrotask(RunMicrotask, runtime);
}

} // namespace

void InstallTimers(Runtime *runtime, v8::Local<v8::ObjectTemplate> global) {
  v8::Isolate *isolate = runtime->isolate;
  SetMethod(isolate, global, "setTimeout", SetTimeout, 2, v8::None);
  SetMethod(isolate, global, "setInterval", SetInterval, 2, v8::None);
  SetMethod(isolate, global, "clearTimeout", ClearTimer, 1, v8::None);
  SetMethod(isolate, global, "clearInterval", ClearTimer, 1, v8::None);
  SetMethod(isolate, global, "queueMicrotask", QueueMicrotask, 1, v8::None);
}

} // namespace isoq
