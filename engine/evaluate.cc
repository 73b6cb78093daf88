// Runs a job's script and finds its completion value: `2 + 2`, top-level `await`, top-level `return`.
//
// Three ways, decided before anything runs:
//  - A script without the word `await` is a classic script; its completion value is what Script::Run() returns.
//  - With the word, it is evaluated in V8's REPL mode, which only the inspector's Runtime.evaluate offers:
//    top-level await, and the completion value is kept. (Compiling first as a classic script and falling back
//    would be wrong: there `await (x)` is a call.) A script that only has the word in a comment or a string
//    runs the same there.
//  - V8 refuses a top-level `return` while it parses, before anything ran. The script is then the body of an
//    async function, on lines of its own so that line and column stay the script's.
// A completion value that is a promise is awaited in every case.
#include <memory>
#include <string>
#include <vector>

#include "engine/inspector.hh"
#include "engine/runtime.hh"
#include "engine/v8_compat.hh"
#include "engine/watchdog.hh"

namespace isoq {
namespace {

using v8_inspector::StringBuffer;
using v8_inspector::StringView;

constexpr char kIllegalReturnText[] = "SyntaxError: Illegal return statement";

void Settle(Runtime *runtime, Evaluation *evaluation, v8::Local<v8::Value> value) {
  if (!value->IsPromise()) {
    evaluation->state = Evaluation::kFulfilled;
    evaluation->settled.Reset(runtime->isolate, value);
    return;
  }
  v8::Local<v8::Promise> promise = value.As<v8::Promise>();
  promise->MarkAsHandled();
  evaluation->promise.Reset(runtime->isolate, promise);
}

void Reject(Runtime *runtime, Evaluation *evaluation, v8::Local<v8::Value> thrown, int line, int column) {
  evaluation->state = Evaluation::kRejected;
  evaluation->settled.Reset(runtime->isolate, thrown);
  evaluation->line = line;
  evaluation->column = column;
}

bool ContainsAwait(v8::Isolate *isolate, v8::Local<v8::String> code) {
  std::u16string text(static_cast<size_t>(code->Length()), u'\0');
  WriteUtf16(isolate, code, reinterpret_cast<uint16_t *>(text.data()));
  return text.find(u"await") != std::u16string::npos;
}

// ---- classic scripts

enum class Outcome {
  kSettled,
  kTerminated,
  kIllegalReturn
};

Outcome Catch(Runtime *runtime, Evaluation *evaluation, const v8::TryCatch &catcher, bool compiled) {
  v8::Local<v8::Context> context = runtime->Context();
  if (catcher.HasTerminated() || !catcher.HasCaught()) return Outcome::kTerminated;
  if (!compiled && ToUtf8(runtime->isolate, catcher.Exception()) == kIllegalReturnText)
    return Outcome::kIllegalReturn;
  int line = 0, column = 0;
  if (!catcher.Message().IsEmpty()) {
    line = catcher.Message()->GetLineNumber(context).FromMaybe(0);
    column = catcher.Message()->GetStartColumn(context).FromMaybe(-1) + 1;
  }
  Reject(runtime, evaluation, catcher.Exception(), line, column);
  return Outcome::kSettled;
}

// V8 reads a function twice as a rule: past its end at first, and again when it is called. A small script calls what
// it has; one with many functions that nobody calls costs less so.
v8::ScriptCompiler::CompileOptions HowToCompile(v8::Local<v8::String> code) {
  constexpr int kMaxEagerLength = 2048;
  return code->Length() <= kMaxEagerLength ? v8::ScriptCompiler::kEagerCompile
                                           : v8::ScriptCompiler::kNoCompileOptions;
}

v8::MaybeLocal<v8::Script> CompileClassic(Runtime *runtime, v8::Local<v8::String> code, int line_offset) {
  v8::ScriptOrigin origin = MakeOrigin(runtime->isolate, kScriptName, line_offset);
  v8::ScriptCompiler::Source source(code, origin);
  return v8::ScriptCompiler::Compile(runtime->Context(), &source, HowToCompile(code));
}

// Compiles and runs a classic script. With `call`, its completion value is a function, whose result counts.
Outcome RunClassic(Runtime *runtime, Evaluation *evaluation, v8::Local<v8::String> code, int line_offset,
                   bool call) {
  v8::Local<v8::Context> context = runtime->Context();
  v8::TryCatch catcher(runtime->isolate);
  v8::Local<v8::Script> script;
  v8::Local<v8::Value> value;
  if (!CompileClassic(runtime, code, line_offset).ToLocal(&script))
    return Catch(runtime, evaluation, catcher, false);
  if (runtime->inspector != nullptr && !call) runtime->inspector->BreakAtStart();
  if (!script->Run(context).ToLocal(&value)) return Catch(runtime, evaluation, catcher, true);
  if (runtime->inspector != nullptr && call) runtime->inspector->BreakAtStart();
  if (call &&
      !value.As<v8::Function>()->Call(context, v8::Undefined(runtime->isolate), 0, nullptr).ToLocal(&value))
    return Catch(runtime, evaluation, catcher, true);
  Settle(runtime, evaluation, value);
  return Outcome::kSettled;
}

// Whether it parses as the body of an async function, alone: `return 1 }); (() => {` would close our own
// braces. The constructor parses it so; nothing of the script has run yet, and the realm is as it was made.
bool IsFunctionBody(Runtime *runtime, v8::Local<v8::String> code) {
  v8::Isolate *isolate = runtime->isolate;
  v8::Local<v8::Context> context = runtime->Context();
  v8::TryCatch catcher(isolate);
  v8::Local<v8::Script> script;
  v8::Local<v8::Value> constructor, body = code;
  v8::Local<v8::String> source = v8::String::NewFromUtf8Literal(isolate, "(async () => {}).constructor");
  return v8::Script::Compile(context, source).ToLocal(&script) &&
         script->Run(context).ToLocal(&constructor) &&
         !constructor.As<v8::Function>()->Call(context, v8::Undefined(isolate), 1, &body).IsEmpty();
}

std::unique_ptr<Evaluation> EvaluateAsFunctionBody(Runtime *runtime, v8::Local<v8::String> code) {
  v8::Isolate *isolate = runtime->isolate;
  auto evaluation = std::make_unique<Evaluation>();
  if (!IsFunctionBody(runtime, code)) {
    if (WatchdogReason() != ISOQ_STATUS_OK) return nullptr;
    Reject(runtime, evaluation.get(), v8::Exception::SyntaxError(ToV8(isolate, "Illegal return statement")),
           0, 0);
    return evaluation;
  }
  v8::Local<v8::String> wrapped =
      v8::String::Concat(isolate, v8::String::NewFromUtf8Literal(isolate, "(async () => {\n"), code);
  wrapped = v8::String::Concat(isolate, wrapped, v8::String::NewFromUtf8Literal(isolate, "\n})"));
  bool settled = RunClassic(runtime, evaluation.get(), wrapped, -1, true) == Outcome::kSettled;
  return settled ? std::move(evaluation) : nullptr;
}

std::unique_ptr<Evaluation> EvaluateClassic(Runtime *runtime, v8::Local<v8::String> code) {
  auto evaluation = std::make_unique<Evaluation>();
  switch (RunClassic(runtime, evaluation.get(), code, 0, false)) {
  case Outcome::kSettled: return evaluation;
  case Outcome::kIllegalReturn: return EvaluateAsFunctionBody(runtime, code);
  case Outcome::kTerminated: break;
  }
  return nullptr;
}

// ---- REPL mode

class Client : public v8_inspector::V8InspectorClient {
public:
  explicit Client(v8::Local<v8::Context> context) : context_(context) {}
  v8::Local<v8::Context> ensureDefaultContextInGroup(int) override { return context_; }

private:
  v8::Local<v8::Context> context_; // of a handle scope that outlives the evaluation
};

class ReplEvaluation : public Evaluation, public v8_inspector::V8Inspector::Channel {
public:
  explicit ReplEvaluation(Runtime *runtime) : runtime_(runtime), client_(runtime->Context()) {
    if (runtime->inspector != nullptr) { // an isolate can have one only
      session_ = ConnectInspector(runtime->inspector->get(), this);
      return;
    }
    inspector_ = v8_inspector::V8Inspector::create(runtime->isolate, &client_);
    inspector_->contextCreated(v8_inspector::V8ContextInfo(runtime->Context(), 1, StringView()));
    session_ = ConnectInspector(inspector_.get(), this);
    RemoveInspectorTraces();
  }

  ~ReplEvaluation() override {
    v8::HandleScope scope(runtime_->isolate);
    session_.reset();
    if (inspector_ != nullptr) inspector_->contextDestroyed(runtime_->Context());
  }

  void Start(const std::vector<uint16_t> &message);
  void Poll(Runtime *runtime) override;
  bool IsIllegalReturn() const { return illegal_return_; }

  // The answer counts only when V8 refused the script: see Start().
  void sendResponse(int, std::unique_ptr<StringBuffer> message) override { response_ = std::move(message); }
  void sendNotification(std::unique_ptr<StringBuffer>) override {}
  void flushProtocolNotifications() override {}

private:
  void RemoveInspectorTraces();
  void ReadEarlyError();
  v8::Local<v8::Value> Get(v8::Local<v8::Value> object, const char *name);

  Runtime *runtime_;
  Client client_;
  std::unique_ptr<v8_inspector::V8Inspector> inspector_; // null: the debugger's is used
  std::unique_ptr<v8_inspector::V8InspectorSession> session_;
  std::unique_ptr<StringBuffer> response_;
  v8::Global<v8::Promise> script_; // of the REPL script, which is an async function to V8
  bool illegal_return_ = false;
};

// Takes the first promise that is made, which is the script's own, and goes away.
void TakeFirstPromise(v8::PromiseHookType type, v8::Local<v8::Promise> promise, v8::Local<v8::Value>) {
  if (type != v8::PromiseHookType::kInit) return;
  v8::Isolate *isolate = v8::Isolate::GetCurrent();
  Runtime *runtime = Runtime::From(isolate);
  if (!runtime->first_promise.IsEmpty()) return;
  runtime->first_promise.Reset(isolate, promise);
  isolate->SetPromiseHook(nullptr);
}

// The inspector evaluates; the value is taken from the promise, not from the inspector's answer: that would
// be a copy as JSON, and getting it runs what the script may have put on Promise.
void ReplEvaluation::Start(const std::vector<uint16_t> &message) {
  runtime_->isolate->SetPromiseHook(TakeFirstPromise);
  session_->dispatchProtocolMessage(StringView(message.data(), message.size()));
  runtime_->isolate->SetPromiseHook(nullptr);
  script_ = std::move(runtime_->first_promise);
  if (script_.IsEmpty())
    ReadEarlyError();
  else
    script_.Get(runtime_->isolate)->MarkAsHandled();
}

void ReplEvaluation::Poll(Runtime *runtime) {
  if (state == kPending && promise.IsEmpty() && !script_.IsEmpty()) {
    v8::HandleScope scope(runtime->isolate);
    v8::Local<v8::Promise> script = script_.Get(runtime->isolate);
    // V8 wraps the completion value in an object, so that a thenable is not taken for a promise.
    if (script->State() == v8::Promise::kFulfilled)
      Settle(runtime, this, Get(script->Result(), ".repl_result"));
    else if (script->State() == v8::Promise::kRejected)
      Reject(runtime, this, script->Result(), 0, 0);
  }
  Evaluation::Poll(runtime);
}

// What the inspector adds to the console of a context that it is told of.
void ReplEvaluation::RemoveInspectorTraces() {
  v8::Local<v8::Context> context = runtime_->Context();
  v8::Local<v8::Value> console = Get(context->Global(), "console");
  for (const char *name : {"memory", "createTask"})
    if (console->IsObject()) console.As<v8::Object>()->Delete(context, ToV8(runtime_->isolate, name)).Check();
}

v8::Local<v8::Value> ReplEvaluation::Get(v8::Local<v8::Value> object, const char *name) {
  v8::Local<v8::Value> nothing = v8::Undefined(runtime_->isolate);
  if (!object->IsObject()) return nothing;
  return object.As<v8::Object>()->Get(runtime_->Context(), ToV8(runtime_->isolate, name)).FromMaybe(nothing);
}

v8::Local<v8::String> FromView(v8::Isolate *isolate, StringView view) {
  v8::MaybeLocal<v8::String> text =
      view.is8Bit() ? v8::String::NewFromOneByte(isolate, view.characters8(), v8::NewStringType::kNormal,
                                                 static_cast<int>(view.length()))
                    : v8::String::NewFromTwoByte(isolate, view.characters16(), v8::NewStringType::kNormal,
                                                 static_cast<int>(view.length()));
  return text.IsEmpty() ? v8::String::Empty(isolate) : text.ToLocalChecked();
}

// V8 refused to compile the script: nothing of it has run, and the realm is as it was made.
void ReplEvaluation::ReadEarlyError() {
  v8::Isolate *isolate = runtime_->isolate;
  v8::HandleScope scope(isolate);
  v8::TryCatch catcher(isolate);
  v8::Local<v8::Value> message, value;
  if (response_ == nullptr ||
      !v8::JSON::Parse(runtime_->Context(), FromView(isolate, response_->string())).ToLocal(&message))
    return; // terminated
  v8::Local<v8::Value> details = Get(Get(message, "result"), "exceptionDetails");
  std::string id = ToUtf8(isolate, Get(Get(details, "exception"), "objectId"));
  std::unique_ptr<StringBuffer> error;
  v8::Local<v8::Context> context;
  if (!session_->unwrapObject(&error, StringView(reinterpret_cast<const uint8_t *>(id.data()), id.size()),
                              &value, &context, nullptr))
    return;
  illegal_return_ = ToUtf8(isolate, value) == kIllegalReturnText;
  Reject(runtime_, this, value, Get(details, "lineNumber")->Int32Value(context).FromMaybe(-1) + 1,
         Get(details, "columnNumber")->Int32Value(context).FromMaybe(-1) + 1);
}

void AppendAscii(std::vector<uint16_t> *out, const char *text) {
  for (; *text != '\0'; text++)
    out->push_back(static_cast<uint16_t>(*text));
}

// The protocol message; the code in it is escaped in UTF-16, where nothing is lost.
std::vector<uint16_t> EvaluateMessage(v8::Isolate *isolate, v8::Local<v8::String> code) {
  std::vector<uint16_t> text(static_cast<size_t>(code->Length())), out;
  WriteUtf16(isolate, code, text.data());
  out.reserve(text.size() + text.size() / 8 + 256);
  AppendAscii(&out, "{\"id\":1,\"method\":\"Runtime.evaluate\",\"params\":{\"replMode\":true,"
                    "\"expression\":\"");
  for (uint16_t unit : text) {
    if (unit == '"' || unit == '\\') {
      out.push_back('\\');
      out.push_back(unit);
    } else if (unit < 0x20 || (unit >= 0xd800 && unit <= 0xdfff)) {
      char escape[8];
      snprintf(escape, sizeof escape, "\\u%04x", unit);
      AppendAscii(&out, escape);
    } else {
      out.push_back(unit);
    }
  }
  AppendAscii(&out, "\\n//# sourceURL=");
  AppendAscii(&out, kScriptName);
  AppendAscii(&out, "\"}}");
  return out;
}

std::unique_ptr<Evaluation> EvaluateRepl(Runtime *runtime, v8::Local<v8::String> code) {
  auto evaluation = std::make_unique<ReplEvaluation>(runtime);
  if (runtime->inspector != nullptr) runtime->inspector->BreakAtStart();
  evaluation->Start(EvaluateMessage(runtime->isolate, code));
  if (WatchdogReason() != ISOQ_STATUS_OK) return nullptr;
  if (evaluation->IsIllegalReturn()) {
    evaluation.reset();
    if (runtime->inspector != nullptr) runtime->inspector->CancelBreak();
    return EvaluateAsFunctionBody(runtime, code);
  }
  return evaluation;
}

} // namespace

bool CompileAhead(Runtime *runtime, v8::Local<v8::String> code) {
  v8::TryCatch catcher(runtime->isolate);
  return !ContainsAwait(runtime->isolate, code) && !CompileClassic(runtime, code, 0).IsEmpty();
}

std::unique_ptr<Evaluation> Evaluate(Runtime *runtime, v8::Local<v8::String> code) {
  if (ContainsAwait(runtime->isolate, code)) return EvaluateRepl(runtime, code);
  return EvaluateClassic(runtime, code);
}

} // namespace isoq
