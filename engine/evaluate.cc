// Runs a job's script and finds its completion value: `2 + 2`, top-level `await`, top-level `return`.
//
// Three ways, decided before anything runs:
//  - A script without the word `await` is a classic script; its completion value is what Script::Run() returns.
//  - With the word, it is evaluated in V8's REPL mode, which only the inspector's Runtime.evaluate offers: top-level
//    await, and the completion value is kept. (Compiling first as a classic script and falling back would be wrong:
//    there `await (x)` is a call.) A script that only has the word in a comment or a string runs the same there.
//  - V8 refuses a top-level `return` while it parses, before anything ran. The script is then the body of an async
//    function, on lines of its own so that line and column stay the script's.
// A completion value that is a promise is awaited in every case.
#include <limits>
#include <memory>
#include <string>
#include <vector>

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

bool ContainsWord(v8::Isolate *isolate, v8::Local<v8::String> code, const std::string &word) {
    std::vector<uint16_t> text(static_cast<size_t>(code->Length()));
    if (text.size() < word.size()) return false;
    WriteUtf16(isolate, code, text.data());
    for (size_t i = 0; i + word.size() <= text.size(); i++) {
        size_t k = 0;
        while (k < word.size() && text[i + k] == static_cast<uint16_t>(word[k])) k++;
        if (k == word.size()) return true;
    }
    return false;
}

// ---- classic scripts

enum class Outcome { kSettled, kTerminated, kIllegalReturn };

Outcome Catch(Runtime *runtime, Evaluation *evaluation, const v8::TryCatch &catcher, bool compiled) {
    v8::Local<v8::Context> context = runtime->Context();
    if (catcher.HasTerminated() || !catcher.HasCaught()) return Outcome::kTerminated;
    if (!compiled && ToUtf8(runtime->isolate, catcher.Exception()) == kIllegalReturnText) return Outcome::kIllegalReturn;
    int line = 0, column = 0;
    if (!catcher.Message().IsEmpty()) {
        line = catcher.Message()->GetLineNumber(context).FromMaybe(0);
        column = catcher.Message()->GetStartColumn(context).FromMaybe(-1) + 1;
    }
    Reject(runtime, evaluation, catcher.Exception(), line, column);
    return Outcome::kSettled;
}

// Compiles and runs a classic script. With `call`, its completion value is a function, whose result counts.
Outcome RunClassic(Runtime *runtime, Evaluation *evaluation, v8::Local<v8::String> code, int line_offset, bool call) {
    v8::Local<v8::Context> context = runtime->Context();
    v8::TryCatch catcher(runtime->isolate);
    v8::ScriptOrigin origin = MakeOrigin(runtime->isolate, kScriptName, line_offset);
    v8::ScriptCompiler::Source source(code, origin);
    v8::Local<v8::Script> script;
    v8::Local<v8::Value> value;
    if (!v8::ScriptCompiler::Compile(context, &source).ToLocal(&script))
        return Catch(runtime, evaluation, catcher, false);
    if (!script->Run(context).ToLocal(&value)) return Catch(runtime, evaluation, catcher, true);
    if (call && !value.As<v8::Function>()->Call(context, v8::Undefined(runtime->isolate), 0, nullptr).ToLocal(&value))
        return Catch(runtime, evaluation, catcher, true);
    Settle(runtime, evaluation, value);
    return Outcome::kSettled;
}

// Whether it parses as the body of an async function, alone: `return 1 }); (() => {` would close our own braces. The
// constructor parses it so; nothing of the script has run yet, and the realm is as it was made.
bool IsFunctionBody(Runtime *runtime, v8::Local<v8::String> code) {
    v8::Isolate *isolate = runtime->isolate;
    v8::Local<v8::Context> context = runtime->Context();
    v8::TryCatch catcher(isolate);
    v8::Local<v8::Script> script;
    v8::Local<v8::Value> constructor, body = code;
    v8::Local<v8::String> source = v8::String::NewFromUtf8Literal(isolate, "(async () => {}).constructor");
    return v8::Script::Compile(context, source).ToLocal(&script) && script->Run(context).ToLocal(&constructor) &&
           !constructor.As<v8::Function>()->Call(context, v8::Undefined(isolate), 1, &body).IsEmpty();
}

std::unique_ptr<Evaluation> EvaluateAsFunctionBody(Runtime *runtime, v8::Local<v8::String> code) {
    v8::Isolate *isolate = runtime->isolate;
    auto evaluation = std::make_unique<Evaluation>();
    if (!IsFunctionBody(runtime, code)) {
        if (WatchdogReason() != ISOQ_STATUS_OK) return nullptr;
        Reject(runtime, evaluation.get(), v8::Exception::SyntaxError(ToV8(isolate, "Illegal return statement")), 0, 0);
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
        inspector_ = v8_inspector::V8Inspector::create(runtime->isolate, &client_);
        inspector_->contextCreated(v8_inspector::V8ContextInfo(runtime->Context(), 1, StringView()));
        session_ = ConnectInspector(inspector_.get(), this);
        RemoveInspectorTraces();
    }

    ~ReplEvaluation() override {
        v8::HandleScope scope(runtime_->isolate);
        session_.reset();
        inspector_->contextDestroyed(runtime_->Context());
    }

    void Dispatch(const std::vector<uint16_t> &message) {
        session_->dispatchProtocolMessage(StringView(message.data(), message.size()));
    }

    // The answer may come in the middle of a microtask: it is only kept there.
    void sendResponse(int, std::unique_ptr<StringBuffer> message) override { response_ = std::move(message); }
    void sendNotification(std::unique_ptr<StringBuffer>) override {}
    void flushProtocolNotifications() override {}

    void Poll(Runtime *runtime) override {
        if (response_ != nullptr) ReadResponse();
        Evaluation::Poll(runtime);
    }

    bool IsIllegalReturn() const { return illegal_return_; }

  private:
    // What the inspector adds to the console of a context that it is told of.
    void RemoveInspectorTraces() {
        v8::Local<v8::Context> context = runtime_->Context();
        v8::Local<v8::Value> console = Own(context->Global(), "console");
        for (const char *name : {"memory", "createTask"})
            if (console->IsObject()) console.As<v8::Object>()->Delete(context, ToV8(runtime_->isolate, name)).Check();
    }

    void ReadResponse();
    v8::MaybeLocal<v8::Value> ReadRemoteObject(v8::Local<v8::Object> remote);
    v8::Local<v8::Value> Own(v8::Local<v8::Value> object, const char *name);
    int OwnInt(v8::Local<v8::Value> object, const char *name);

    Runtime *runtime_;
    Client client_;
    std::unique_ptr<v8_inspector::V8Inspector> inspector_;
    std::unique_ptr<v8_inspector::V8InspectorSession> session_;
    std::unique_ptr<StringBuffer> response_;
    bool illegal_return_ = false;
};

v8::Local<v8::String> FromView(v8::Isolate *isolate, StringView view) {
    v8::MaybeLocal<v8::String> text =
        view.is8Bit() ? v8::String::NewFromOneByte(isolate, view.characters8(), v8::NewStringType::kNormal,
                                                   static_cast<int>(view.length()))
                      : v8::String::NewFromTwoByte(isolate, view.characters16(), v8::NewStringType::kNormal,
                                                   static_cast<int>(view.length()));
    return text.IsEmpty() ? v8::String::Empty(isolate) : text.ToLocalChecked();
}

// An own property, or undefined: the script may have put anything on Object.prototype.
v8::Local<v8::Value> ReplEvaluation::Own(v8::Local<v8::Value> object, const char *name) {
    v8::Local<v8::Value> nothing = v8::Undefined(runtime_->isolate);
    if (!object->IsObject()) return nothing;
    v8::Local<v8::Context> context = runtime_->Context();
    v8::Local<v8::String> key = ToV8(runtime_->isolate, name);
    if (!object.As<v8::Object>()->HasOwnProperty(context, key).FromMaybe(false)) return nothing;
    return object.As<v8::Object>()->Get(context, key).FromMaybe(nothing);
}

int ReplEvaluation::OwnInt(v8::Local<v8::Value> object, const char *name) {
    v8::Local<v8::Value> value = Own(object, name);
    return value->IsInt32() ? value.As<v8::Int32>()->Value() : -1;
}

// Runtime.RemoteObject → the value itself. What has an identity comes by its object id, the rest by its text.
v8::MaybeLocal<v8::Value> ReplEvaluation::ReadRemoteObject(v8::Local<v8::Object> remote) {
    v8::Isolate *isolate = runtime_->isolate;
    v8::Local<v8::Value> object_id = Own(remote, "objectId");
    if (object_id->IsString()) {
        std::string id = ToUtf8(isolate, object_id);
        std::unique_ptr<StringBuffer> error;
        v8::Local<v8::Value> value;
        v8::Local<v8::Context> context;
        if (!session_->unwrapObject(&error, StringView(reinterpret_cast<const uint8_t *>(id.data()), id.size()), &value,
                                    &context, nullptr))
            return {};
        return value;
    }
    v8::Local<v8::Value> special = Own(remote, "unserializableValue");
    if (!special->IsString()) return Own(remote, "value"); // also undefined, which has no value
    std::string text = ToUtf8(isolate, special);
    if (text == "-0") return v8::Number::New(isolate, -0.0);
    if (text == "NaN") return v8::Number::New(isolate, std::numeric_limits<double>::quiet_NaN());
    if (text == "Infinity") return v8::Number::New(isolate, std::numeric_limits<double>::infinity());
    if (text == "-Infinity") return v8::Number::New(isolate, -std::numeric_limits<double>::infinity());
    // A BigInt's digits and an `n`: a literal, and nothing that the script could have touched.
    v8::Local<v8::Script> literal;
    if (!v8::Script::Compile(runtime_->Context(), special.As<v8::String>()).ToLocal(&literal)) return {};
    return literal->Run(runtime_->Context());
}

void ReplEvaluation::ReadResponse() {
    v8::Isolate *isolate = runtime_->isolate;
    v8::HandleScope scope(isolate);
    v8::TryCatch catcher(isolate);
    v8::Local<v8::Value> message;
    std::unique_ptr<StringBuffer> response = std::move(response_);
    if (!v8::JSON::Parse(runtime_->Context(), FromView(isolate, response->string())).ToLocal(&message)) return;
    v8::Local<v8::Value> answer = Own(message, "result");
    v8::Local<v8::Value> details = Own(answer, "exceptionDetails");
    bool thrown = details->IsObject();
    v8::Local<v8::Value> remote = thrown ? Own(details, "exception") : Own(answer, "result");
    v8::Local<v8::Value> value;
    if (!remote->IsObject() || !ReadRemoteObject(remote.As<v8::Object>()).ToLocal(&value)) return; // terminated
    if (!thrown) return Settle(runtime_, this, value);
    // An early error has no frames, only the place that the details give.
    illegal_return_ = value->IsNativeError() && ToUtf8(isolate, value) == kIllegalReturnText &&
                      ToUtf8(isolate, Own(value, "stack")).find("\n    at ") == std::string::npos;
    Reject(runtime_, this, value, OwnInt(details, "lineNumber") + 1, OwnInt(details, "columnNumber") + 1);
}

void AppendAscii(std::vector<uint16_t> *out, const char *text) {
    for (; *text != '\0'; text++) out->push_back(static_cast<uint16_t>(*text));
}

// The protocol message; the code in it is escaped in UTF-16, where nothing is lost.
std::vector<uint16_t> EvaluateMessage(v8::Isolate *isolate, v8::Local<v8::String> code) {
    std::vector<uint16_t> text(static_cast<size_t>(code->Length())), out;
    WriteUtf16(isolate, code, text.data());
    out.reserve(text.size() + text.size() / 8 + 256);
    AppendAscii(&out, "{\"id\":1,\"method\":\"Runtime.evaluate\",\"params\":{\"replMode\":true,\"awaitPromise\":true,"
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
    evaluation->Dispatch(EvaluateMessage(runtime->isolate, code));
    if (WatchdogReason() != ISOQ_STATUS_OK) return nullptr;
    evaluation->Poll(runtime);
    if (evaluation->IsIllegalReturn()) {
        evaluation.reset();
        return EvaluateAsFunctionBody(runtime, code);
    }
    return evaluation;
}

} // namespace

std::unique_ptr<Evaluation> Evaluate(Runtime *runtime, v8::Local<v8::String> code) {
    if (ContainsWord(runtime->isolate, code, "await")) return EvaluateRepl(runtime, code);
    return EvaluateClassic(runtime, code);
}

} // namespace isoq
