// A debugger on one job: V8's inspector, between the job's isolate and a client that speaks the Chrome DevTools
// protocol somewhere behind the host.
//
// The client's messages come in through Receive(), from three places: while the event loop waits, while the script
// is paused (V8 then turns a loop of its own, which is our runMessageLoopOnPause), and while JavaScript runs, so
// that a loop can be paused. For the last, the watchdog's tick looks whether the host has something to read, and
// interrupts V8 (see InspectorTick()). There is one client at a time; it may go and another one come.
//
// The job waits for a client before its first line, and goes on by itself when the client leaves.
#ifndef ISOQ_ENGINE_INSPECTOR_HH
#define ISOQ_ENGINE_INSPECTOR_HH

#include <atomic>
#include <deque>
#include <memory>
#include <string>

#include "engine/runtime.hh"
#include "engine/v8_compat.hh"

namespace isoq {

class Inspector : public v8_inspector::V8InspectorClient, private v8_inspector::V8Inspector::Channel {
public:
  // In the job's context, before our console replaces V8's own: a console call goes to both. `name`: the context's.
  Inspector(Runtime *runtime, const std::string &name);
  ~Inspector() override;

  // One for each isolate: whoever else needs an inspector's session (evaluate.cc) connects to this one.
  v8_inspector::V8Inspector *get() { return inspector_.get(); }

  // Until a client has said that the script may run, or the job is being stopped.
  void WaitForClient();
  // Pauses at the next statement, once in a job; and takes that back, should no statement have run.
  void BreakAtStart();
  void CancelBreak();

  void Receive(engine_text message);
  // Console methods of V8, for the client; never throws.
  void Console(const char *method, const v8::FunctionCallbackInfo<v8::Value> &info);
  void ReportUncaught(v8::Local<v8::Value> thrown, int line, int column);

private:
  friend void InspectorTick(const void *context);

  // What V8 asks.
  v8::Local<v8::Context> ensureDefaultContextInGroup(int) override { return runtime_->Context(); }
  void runMessageLoopOnPause(int) override;
  void quitMessageLoopOnPause() override { paused_ = false; }
  void runIfWaitingForDebugger(int) override { waiting_ = false; }
  double currentTimeMS() override;

  // What V8 tells the client.
  void sendResponse(int call, std::unique_ptr<v8_inspector::StringBuffer> message) override;
  void sendNotification(std::unique_ptr<v8_inspector::StringBuffer> message) override;
  void flushProtocolNotifications() override {}

  void Dispatch(const std::string &message);
  bool AnswerForProfiler(const std::string &message);
  void ClientHasGone();
  void Wait();
  bool Send(v8_inspector::StringView message);
  static void OnInterrupt(v8::Isolate *isolate, void *self);

  Runtime *runtime_;
  std::unique_ptr<v8_inspector::V8Inspector> inspector_;
  std::unique_ptr<v8_inspector::V8InspectorSession> session_; // null: there is no client
  v8::Global<v8::Object> console_;                            // V8's
  std::deque<std::string> backlog_; // of the next client, while the last one's session ends
  int depth_ = 0;                   // of Dispatch(): the session must outlive its calls
  bool gone_ = false;               // the session's client
  bool waiting_ = false, paused_ = false, started_ = false;
  std::atomic<bool> interrupting_{false}; // V8 was asked to call OnInterrupt()
};

// In the watchdog's signal handler; `context` is the handler's ucontext_t.
void InspectorTick(const void *context);

} // namespace isoq

#endif
