// One job's run, as the parts of the engine see it. Internal to engine/*.cc.
//
// A Runtime lives on the stack of engine_run(), inside the isolate's scopes. The parts hang on it: the
// console (console.cc), timers and the event loop (loop.cc), evaluation (evaluate.cc), what the global object
// offers (globals.cc), and the way values and errors leave (outcome.cc). Callbacks from JavaScript find it
// through the isolate's data slot.
#ifndef ISOQ_ENGINE_RUNTIME_HH
#define ISOQ_ENGINE_RUNTIME_HH

#include <v8.h>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "engine/memory.hh"
#include "engine/platform.hh"
#include "engine/trace.hh"

namespace isoq {

// The name of a job's script in stack traces.
inline constexpr char kScriptName[] = "job.js";

struct Timer {
  v8::Global<v8::Function> callback;
  std::vector<v8::Global<v8::Value>> arguments;
  int64_t interval_ms = 0; // 0: once
  int64_t due_ms = 0;
};

class Timers {
public:
  // Returns the timer's id, or 0 when `limit` timers are pending.
  uint32_t Add(std::unique_ptr<Timer> timer, int64_t delay_ms, size_t limit);
  void Remove(uint32_t id);
  bool Empty() const { return by_id_.empty(); }
  size_t Count() const { return by_id_.size(); }
  int64_t NextDueMs() const { return queue_.begin()->first.first; }
  bool Due(int64_t now_ms) const { return !queue_.empty() && queue_.begin()->first.first <= now_ms; }
  uint32_t FirstId() const { return queue_.begin()->second; }
  bool Has(uint32_t id) const { return by_id_.count(id) != 0; }
  // Takes one that is pending; an interval is put back with its next due time.
  Timer *Take(uint32_t id, int64_t now_ms, std::unique_ptr<Timer> *keep_alive);

private:
  using Key = std::pair<int64_t, uint64_t>; // due, order of insertion
  void Enqueue(uint32_t id, Timer *timer);
  std::map<Key, uint32_t> queue_;
  std::map<uint32_t, std::pair<std::unique_ptr<Timer>, Key>> by_id_;
  uint32_t next_id_ = 1;
  uint64_t next_order_ = 0;
};

struct ConsoleState {
  std::string indentation;
  std::map<std::string, uint64_t> counts;
  std::map<std::string, int64_t> timers_ns;
  uint64_t used_bytes = 0;                   // of max_output_bytes
  uint64_t printed_bytes = 0;                // what was cut, too
  bool truncated[3] = {false, false, false}; // by stream: 1 stdout, 2 stderr
  v8::Global<v8::Context> realm;             // where values are formatted: untouched by the job
  v8::Global<v8::Object> formatter;
};

// Rejected promises that nobody handles, in the order of their rejection; and what microtasks threw.
class Rejections {
public:
  void Add(v8::Isolate *isolate, v8::Local<v8::Promise> promise, v8::Local<v8::Value> reason);
  void AddThrown(v8::Isolate *isolate, v8::Local<v8::Value> thrown);
  void Handled(v8::Local<v8::Promise> promise);
  // Empties it, and gives the first reason whose promise is not `except`; empty handle: there is none.
  v8::MaybeLocal<v8::Value> TakeFirst(v8::Isolate *isolate, const v8::Global<v8::Promise> &except);

private:
  struct Rejection {
    v8::Global<v8::Promise> promise; // empty: thrown
    v8::Global<v8::Value> reason;
  };
  std::map<uint64_t, Rejection> by_order_;
  std::unordered_multimap<int, uint64_t> by_hash_; // identity hash of the promise → its key in by_order_
  uint64_t next_order_ = 0;
};

struct PendingCall { // of a host function
  v8::Global<v8::Promise::Resolver> resolver;
  std::string frames; // where it was called
};

struct Answer {
  uint32_t call;
  bool ok;
  std::string json;
};

struct Calls {
  uint32_t last = 0;
  std::map<uint32_t, PendingCall> pending;
  std::deque<Answer> answers; // that came, and are not settled yet
};

class Inspector;

struct Runtime {
  v8::Isolate *isolate;
  const runtime_config &config;
  const engine_host &host;
  MemoryBudget *budget;
  Platform *platform;
  execution_result *out;

  v8::Global<v8::Context> context{};
  ConsoleState console{};
  Timers timers{};
  Rejections rejections{};
  Calls calls{};
  Trace *trace = nullptr;
  uint64_t console_entries = 0;
  std::deque<v8::Global<v8::Function>> microtasks{};   // of queueMicrotask(), in V8's order
  v8::Global<v8::Promise> first_promise{};             // see evaluate.cc
  std::map<std::string, v8::Global<v8::Value>> lazy{}; // built-in modules that were loaded, by name
  std::map<const unsigned char *, v8::Global<v8::UnboundScript>>
      uncached{}; // bundles compiled for the first time
  uint64_t heap_limit_grants = 0;
  Inspector *inspector = nullptr; // of a job that is inspected
  // The functions that its context was made with, before the job was known (engine_checkpoint()); null: it is new.
  const std::vector<std::string> *prepared = nullptr;

  static Runtime *From(v8::Isolate *isolate) { return static_cast<Runtime *>(isolate->GetData(0)); }
  v8::Local<v8::Context> Context() { return context.Get(isolate); }
  void SampleMemory();
  void RunOutOfMemory(MemoryBudget::Shortage shortage); // stops the script
};

// How far the script's completion value is.
class Evaluation {
public:
  virtual ~Evaluation() = default;

  enum State {
    kPending,
    kFulfilled,
    kRejected
  };
  State state = kPending;
  v8::Global<v8::Value> settled;   // kFulfilled: the completion value; kRejected: what was thrown
  int line = 0, column = 0;        // kRejected, where V8 knows more than the error's own stack does
  v8::Global<v8::Promise> promise; // the completion value when that is a promise: handled, never "unhandled"

  // Looks whether what it waits for has settled.
  virtual void Poll(Runtime *runtime);
};

// ---- evaluate.cc

// Runs the script up to its first wait. Null only when memory is short or the script was terminated.
std::unique_ptr<Evaluation> Evaluate(Runtime *runtime, v8::Local<v8::String> code);

// Compiles it in a context in which nothing has run, so that Evaluate() finds it in V8's own cache. False: it would not.
bool CompileAhead(Runtime *runtime, v8::Local<v8::String> code);

// ---- loop.cc

// Runs microtasks, timers and V8's own tasks until the evaluation has settled and nothing is left to do.
void RunLoop(Runtime *runtime, Evaluation *evaluation);
void InstallTimers(Runtime *runtime, v8::Local<v8::ObjectTemplate> global);
void OnPromiseReject(v8::PromiseRejectMessage message);
int64_t MonotonicNs();

// ---- calls.cc

void InstallCalls(Runtime *runtime, v8::Local<v8::ObjectTemplate> global, const char *const *names,
                  size_t count);
// Takes those of a prepared context away that the job did not bring.
bool RemoveOtherCalls(Runtime *runtime, const engine_job &job);
// Whether this call has an answer that is not settled.
bool HasAnswer(const Runtime *runtime, uint32_t call);
// Settles the promise of a call that has an answer.
void SettleCall(Runtime *runtime, uint32_t call);

// ---- console.cc

v8::Local<v8::ObjectTemplate> ConsoleTemplate(Runtime *runtime);
// An error that the formatter made, as one of the job's realm; anything else as it is.
v8::Local<v8::Value> ToJobError(Runtime *runtime, v8::Local<v8::Value> thrown);
v8::Local<v8::Object> InspectNatives(Runtime *runtime, v8::Local<v8::Context> realm); // inspect_natives.cc

// ---- globals.cc

void InstallGlobals(Runtime *runtime, v8::Local<v8::ObjectTemplate> global);
bool InstallObjects(Runtime *runtime, v8::Local<v8::Context> context);
// Throws a DOMException in the current context.
void ThrowDomException(Runtime *runtime, const char *name, const std::string &message);
// Runs a built-in bundle in the current context; it is a function of its natives. Empty with an exception
// pending.
v8::MaybeLocal<v8::Value> RunBundle(v8::Isolate *isolate, v8::Local<v8::Context> context, const char *name,
                                    const unsigned char *source, size_t source_len,
                                    v8::Local<v8::Value> natives);

// Keeps the bytecode of the bundles that this job was the first to use, for the isolates to come.
void KeepCodeCaches(Runtime *runtime);

// ---- outcome.cc

// Fills status, result and type from a completion value. May run the script's code (toJSON).
void SetResult(Runtime *runtime, v8::Local<v8::Value> value);
// Fills status ERROR and the error's fields from a thrown value. May run the script's code (getters).
void SetError(Runtime *runtime, v8::Local<v8::Value> thrown, int line, int column);
// Replaces whatever is in the result by a failure of our own making.
void SetFailure(execution_result *out, isoq_status status, const char *name, const std::string &message);

// ---- text

std::string ToUtf8(v8::Isolate *isolate, v8::Local<v8::Value> value); // "" where the conversion throws
v8::Local<v8::String> ToV8(v8::Isolate *isolate, const std::string &text);
char *CopyText(const char *data, size_t len); // malloc'ed and NUL-terminated; aborts when memory is out

// Adds a native function to a template, as the built-ins are: writable, configurable, not enumerable.
template <typename T>
void SetMethod(v8::Isolate *isolate, T target, const char *name, v8::FunctionCallback callback, int length,
               v8::PropertyAttribute attributes = v8::DontEnum,
               v8::Local<v8::Value> data = v8::Local<v8::Value>()) {
  v8::Local<v8::String> key = v8::String::NewFromUtf8(isolate, name).ToLocalChecked();
  v8::Local<v8::FunctionTemplate> function = v8::FunctionTemplate::New(
      isolate, callback, data, v8::Local<v8::Signature>(), length, v8::ConstructorBehavior::kThrow);
  function->SetClassName(key);
  target->Set(key, function, attributes);
}

} // namespace isoq

#endif
