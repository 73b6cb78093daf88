#include "engine/inspector.hh"

#include <link.h>
#include <time.h>
#include <ucontext.h>

#include <vector>

#include "engine/watchdog.hh"

namespace isoq {
namespace {

using v8_inspector::StringBuffer;
using v8_inspector::StringView;

constexpr int kGroup = 1;
constexpr int64_t kWaitMs = 60000;                             // a message ends the wait
constexpr size_t kMaxMessageBytes = 32u << 20;                 // WIRE_INSPECT_MAX
constexpr int kMethodNotFound = -32601, kServerError = -32000; // JSON-RPC's

std::vector<uint16_t> ToUtf16(v8::Isolate *isolate, const std::string &text) {
  v8::HandleScope scope(isolate);
  v8::Local<v8::String> string;
  if (!v8::String::NewFromUtf8(isolate, text.data(), v8::NewStringType::kNormal,
                               static_cast<int>(text.size()))
           .ToLocal(&string))
    return {};
  std::vector<uint16_t> units(static_cast<size_t>(string->Length()));
  WriteUtf16(isolate, string, units.data());
  return units;
}

StringView View(const std::string &ascii) {
  return StringView(reinterpret_cast<const uint8_t *>(ascii.data()), ascii.size());
}

std::string ErrorMessage(int call, int code, const char *why) {
  return "{\"id\":" + std::to_string(call) + ",\"error\":{\"code\":" + std::to_string(code) +
         ",\"message\":\"" + why + "\"}}";
}

// ---- interrupting JavaScript
//
// Isolate::RequestInterrupt() is not made for signal handlers: it takes a lock and allocates. It is safe where the
// signal has hit code that V8 generated, since nothing below that holds V8's or malloc's locks. Generated code is what
// does not belong to a program or library, and V8's built-in functions, which do. A tick that hits anything else
// leaves it to the next one: a script that never runs code of its own for long has come to an end.

struct Range {
  uintptr_t start, end;
  bool Contains(uintptr_t at) const { return at >= start && at < end; }
};

constexpr size_t kMaxLoaded = 128;
Range loaded[kMaxLoaded]; // text of the program and its libraries, once it is known
size_t loaded_count;
bool loaded_whole; // all of them are in there
Range builtins;
std::atomic<Inspector *> current{nullptr}; // of the job that runs, if it is inspected

int AddLoaded(dl_phdr_info *info, size_t, void *) {
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) &header = info->dlpi_phdr[i];
    if (header.p_type != PT_LOAD || (header.p_flags & PF_X) == 0) continue;
    if (loaded_count == kMaxLoaded) return 1;
    uintptr_t start = info->dlpi_addr + header.p_vaddr;
    loaded[loaded_count++] = {start, start + header.p_memsz};
  }
  return 0;
}

void FindGeneratedCode(v8::Isolate *isolate) {
  const void *start;
  size_t length;
  isolate->GetEmbeddedCodeRange(&start, &length);
  builtins = {reinterpret_cast<uintptr_t>(start), reinterpret_cast<uintptr_t>(start) + length};
  loaded_count = 0;
  loaded_whole = dl_iterate_phdr(AddLoaded, nullptr) == 0;
}

uintptr_t ProgramCounter(const void *context) {
  const mcontext_t &machine = static_cast<const ucontext_t *>(context)->uc_mcontext;
#if defined(__x86_64__)
  return static_cast<uintptr_t>(machine.gregs[REG_RIP]);
#elif defined(__aarch64__)
  return static_cast<uintptr_t>(machine.pc);
#else
#error "where is the program counter?"
#endif
}

bool IsGenerated(uintptr_t at) {
  if (builtins.Contains(at)) return true;
  if (!loaded_whole) return false;
  for (size_t i = 0; i < loaded_count; i++)
    if (loaded[i].Contains(at)) return false;
  return true;
}

} // namespace

void InspectorTick(const void *context) {
  Inspector *inspector = current.load();
  if (inspector == nullptr || inspector->interrupting_) return;
  const engine_host &host = inspector->runtime_->host;
  if (!IsGenerated(ProgramCounter(context)) || !host.inspect_pending(host.ctx)) return;
  inspector->interrupting_ = true;
  inspector->runtime_->isolate->RequestInterrupt(Inspector::OnInterrupt, inspector);
}

// At a place in JavaScript where V8 looks for interrupts.
void Inspector::OnInterrupt(v8::Isolate *isolate, void *self) {
  Inspector *inspector = current.load();
  if (inspector == nullptr || inspector != self) return; // asked for at the job's very end
  inspector->interrupting_ = false;
  v8::HandleScope scope(isolate);
  const engine_host &host = inspector->runtime_->host;
  while (WatchdogReason() == ISOQ_STATUS_OK && host.inspect_pending(host.ctx))
    host.wait(host.ctx, 0);
}

// ---- life

Inspector::Inspector(Runtime *runtime, const std::string &name) : runtime_(runtime) {
  v8::Isolate *isolate = runtime->isolate;
  v8::HandleScope scope(isolate);
  v8::Local<v8::Context> context = runtime->Context();
  v8::Local<v8::Value> console;
  if (context->Global()->Get(context, ToV8(isolate, "console")).ToLocal(&console) && console->IsObject())
    console_.Reset(isolate, console.As<v8::Object>());
  inspector_ = v8_inspector::V8Inspector::create(isolate, this);
  std::vector<uint16_t> human_name = ToUtf16(isolate, name);
  static const std::string is_default = "{\"isDefault\":true}";
  v8_inspector::V8ContextInfo info(context, kGroup, StringView(human_name.data(), human_name.size()));
  info.auxData = View(is_default);
  inspector_->contextCreated(info);
  FindGeneratedCode(isolate);
  current = this;
}

Inspector::~Inspector() {
  current = nullptr;
  v8::HandleScope scope(runtime_->isolate);
  inspector_->contextDestroyed(runtime_->Context()); // the client hears of it
  session_.reset();
}

double Inspector::currentTimeMS() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

// ---- waiting

void Inspector::Wait() {
  v8::HandleScope scope(runtime_->isolate);
  runtime_->host.wait(runtime_->host.ctx, kWaitMs);
}

void Inspector::WaitForClient() {
  waiting_ = true;
  while (waiting_ && WatchdogReason() == ISOQ_STATUS_OK)
    Wait();
}

void Inspector::runMessageLoopOnPause(int) {
  paused_ = true;
  while (paused_ && WatchdogReason() == ISOQ_STATUS_OK)
    Wait();
  paused_ = false;
}

void Inspector::BreakAtStart() {
  static const std::string reason = "Break on start", details = "{}";
  if (started_ || session_ == nullptr) return;
  started_ = true;
  session_->schedulePauseOnNextStatement(View(reason), View(details));
}

void Inspector::CancelBreak() {
  started_ = false;
  if (session_ != nullptr) session_->cancelPauseOnNextStatement();
}

// ---- from the client

void Inspector::Receive(engine_text message) {
  if (message.len == 0) return ClientHasGone();
  backlog_.emplace_back(message.data, message.len);
  while (!gone_ && !backlog_.empty()) {
    std::string next = std::move(backlog_.front());
    backlog_.pop_front();
    Dispatch(next);
  }
}

void Inspector::Dispatch(const std::string &message) {
  v8::HandleScope scope(runtime_->isolate);
  if (session_ == nullptr) session_ = ConnectInspector(inspector_.get(), this);
  if (AnswerForProfiler(message)) return;
  std::vector<uint16_t> text = ToUtf16(runtime_->isolate, message);
  depth_++;
  session_->dispatchProtocolMessage(StringView(text.data(), text.size()));
  depth_--;
  if (depth_ > 0 || !gone_) return;
  session_.reset();
  gone_ = false;
}

// The sampling profiler has a thread, and the sandbox ends a process that starts one. V8's never hears of the profiler's
// messages, so it does not start it, whatever a script or a client says. Clients prepare it as a habit, and some give up
// if they can't.
bool Inspector::AnswerForProfiler(const std::string &message) {
  v8::Isolate *isolate = runtime_->isolate;
  v8::Local<v8::Context> context = runtime_->Context();
  if (message.find("\"Profiler.") == std::string::npos) return false;
  v8::TryCatch catcher(isolate);
  v8::Local<v8::Value> parsed, method, call;
  if (!v8::JSON::Parse(context, ToV8(isolate, message)).ToLocal(&parsed) || !parsed->IsObject() ||
      !parsed.As<v8::Object>()->Get(context, ToV8(isolate, "method")).ToLocal(&method) ||
      !parsed.As<v8::Object>()->Get(context, ToV8(isolate, "id")).ToLocal(&call) || !call->IsInt32())
    return false;
  std::string name = ToUtf8(isolate, method);
  int id = call.As<v8::Int32>()->Value();
  if (name.rfind("Profiler.", 0) != 0) return false;
  if (name == "Profiler.enable" || name == "Profiler.disable" || name == "Profiler.setSamplingInterval")
    Send(View("{\"id\":" + std::to_string(id) + ",\"result\":{}}"));
  else
    Send(View(ErrorMessage(id, kMethodNotFound,
                           "there is no profiler here: it needs a thread, and an executor has one only")));
  return true;
}

// The script goes on without it. Its session may be in the middle of a call (an expression of the client that has
// run into a breakpoint): then it only lets go here, and ends with that call.
void Inspector::ClientHasGone() {
  static const std::string disable = "{\"id\":0,\"method\":\"Debugger.disable\"}";
  backlog_.clear();
  if (session_ == nullptr || gone_) return;
  if (depth_ == 0) {
    session_.reset();
  } else {
    gone_ = true;
    session_->dispatchProtocolMessage(View(disable));
  }
  paused_ = false;
}

// ---- to the client

bool Inspector::Send(StringView message) {
  v8::Isolate *isolate = runtime_->isolate;
  const engine_host &host = runtime_->host;
  v8::HandleScope scope(isolate);
  std::string text;
  if (gone_) return true;
  if (message.length() > kMaxMessageBytes) return false;
  if (message.is8Bit()) {
    text.assign(reinterpret_cast<const char *>(message.characters8()), message.length()); // JSON in ASCII
  } else {
    v8::Local<v8::String> string;
    if (!v8::String::NewFromTwoByte(isolate, message.characters16(), v8::NewStringType::kNormal,
                                    static_cast<int>(message.length()))
             .ToLocal(&string))
      return false;
    text = ToUtf8(isolate, string);
    if (text.size() > kMaxMessageBytes) return false;
  }
  host.inspect_out(host.ctx, {text.data(), text.size()});
  return true;
}

void Inspector::sendResponse(int call, std::unique_ptr<StringBuffer> message) {
  if (!Send(message->string()))
    Send(View(
        ErrorMessage(call, kServerError, "the answer is over 32 MiB, the most that one message may have")));
}

void Inspector::sendNotification(std::unique_ptr<StringBuffer> message) {
  Send(message->string());
}

void Inspector::Console(const char *method, const v8::FunctionCallbackInfo<v8::Value> &info) {
  v8::Isolate *isolate = runtime_->isolate;
  if (console_.IsEmpty()) return;
  v8::HandleScope scope(isolate);
  v8::TryCatch catcher(isolate);
  v8::Local<v8::Context> context = runtime_->Context();
  v8::Local<v8::Object> console = console_.Get(isolate);
  v8::Local<v8::Value> function;
  if (!console->Get(context, ToV8(isolate, method)).ToLocal(&function) || !function->IsFunction()) return;
  std::vector<v8::Local<v8::Value>> arguments;
  for (int i = 0; i < info.Length(); i++)
    arguments.push_back(info[i]);
  v8::MaybeLocal<v8::Value> nothing = function.As<v8::Function>()->Call(
      context, console, static_cast<int>(arguments.size()), arguments.data());
  if (nothing.IsEmpty() && catcher.HasTerminated()) catcher.ReThrow(); // the caller's end as well
}

void Inspector::ReportUncaught(v8::Local<v8::Value> thrown, int line, int column) {
  static const std::string uncaught = "Uncaught", url = kScriptName;
  v8::Isolate *isolate = runtime_->isolate;
  v8::HandleScope scope(isolate);
  v8::Local<v8::Message> message = v8::Exception::CreateMessage(isolate, thrown);
  v8::Local<v8::StackTrace> frames = v8::Exception::GetStackTrace(thrown);
  std::vector<uint16_t> text = ToUtf16(isolate, ToUtf8(isolate, message->Get()));
  inspector_->exceptionThrown(runtime_->Context(), View(uncaught), thrown,
                              StringView(text.data(), text.size()), View(url), static_cast<unsigned>(line),
                              static_cast<unsigned>(column),
                              frames.IsEmpty() ? nullptr : inspector_->createStackTrace(frames), 0);
}

} // namespace isoq

extern "C" void engine_inspect(struct engine_text message) {
  isoq::Inspector *inspector = isoq::current.load();
  if (inspector != nullptr) inspector->Receive(message);
}
