// Host functions: what a script calls and the broker does.
//
// A call leaves as JSON text and gives a promise; the answer comes back as JSON text while the engine waits,
// and is settled from the event loop, one at a time, so that what follows one answer has run before the next
// is seen. What an argument may be is the broker's to say; here only what JSON cannot carry is refused.
#include "engine/runtime.hh"

#include <cmath>

namespace isoq {
namespace {

constexpr int kFramesKept = 10;
constexpr size_t kMaxArgumentBytes = 64u << 10; // WIRE_CALL_ARGS_MAX

// What fails only where the script is being stopped, and then nobody looks at it any more.
void Try(v8::Maybe<bool>) {}

v8::Local<v8::String> NameOf(const v8::FunctionCallbackInfo<v8::Value> &info) {
  return info.Data().As<v8::String>();
}

void RejectRange(Runtime *runtime, v8::Local<v8::Promise::Resolver> resolver, const std::string &message) {
  v8::Local<v8::Value> error = v8::Exception::RangeError(ToV8(runtime->isolate, message));
  Try(resolver->Reject(runtime->Context(), error));
}

// Where the script called, as the last lines of a stack.
std::string Frames(v8::Isolate *isolate) {
  v8::Local<v8::StackTrace> trace = v8::StackTrace::CurrentStackTrace(isolate, kFramesKept);
  std::string text;
  for (int i = 0; i < trace->GetFrameCount(); i++) {
    v8::Local<v8::StackFrame> frame = trace->GetFrame(isolate, static_cast<uint32_t>(i));
    std::string function = ToUtf8(isolate, frame->GetFunctionName()),
                place = ToUtf8(isolate, frame->GetScriptNameOrSourceURL()) + ":" +
                        std::to_string(frame->GetLineNumber()) + ":" + std::to_string(frame->GetColumn());
    text += function.empty() ? "\n    at " + place : "\n    at " + function + " (" + place + ")";
  }
  return text;
}

// The arguments as a JSON array. Empty: an exception is pending.
v8::MaybeLocal<v8::String> Arguments(const v8::FunctionCallbackInfo<v8::Value> &info) {
  v8::Isolate *isolate = info.GetIsolate();
  std::vector<v8::Local<v8::Value>> values;
  for (int i = 0; i < info.Length(); i++)
    values.push_back(info[i]);
  return v8::JSON::Stringify(isolate->GetCurrentContext(),
                             v8::Array::New(isolate, values.data(), values.size()));
}

// What JSON would turn into null without a word: "NaN", "Infinity", "an invalid Date"; else "".
std::string NotInJson(v8::Isolate *isolate, v8::Local<v8::Value> value) {
  if (value->IsDate()) return std::isnan(value.As<v8::Date>()->ValueOf()) ? "an invalid Date" : "";
  if (!value->IsNumber() || std::isfinite(value.As<v8::Number>()->Value())) return "";
  return ToUtf8(isolate, value);
}

// The same for the arguments and the members of an argument: "argument 3 is NaN". Deeper is the broker's
// affair, which takes no such values. Nothing: an exception is pending.
v8::Maybe<std::string> FindNotInJson(const v8::FunctionCallbackInfo<v8::Value> &info) {
  v8::Isolate *isolate = info.GetIsolate();
  v8::Local<v8::Context> context = isolate->GetCurrentContext();
  for (int i = 0; i < info.Length(); i++) {
    std::string what = NotInJson(isolate, info[i]);
    if (!what.empty()) return v8::Just("argument " + std::to_string(i + 1) + " is " + what);
    if (!info[i]->IsObject() || info[i]->IsFunction()) continue;
    v8::Local<v8::Object> object = info[i].As<v8::Object>();
    v8::Local<v8::Array> keys;
    if (!object->GetOwnPropertyNames(context).ToLocal(&keys)) return v8::Nothing<std::string>();
    for (uint32_t k = 0; k < keys->Length(); k++) {
      v8::Local<v8::Value> key, value;
      if (!keys->Get(context, k).ToLocal(&key) || !object->Get(context, key).ToLocal(&value))
        return v8::Nothing<std::string>();
      what = NotInJson(isolate, value);
      if (!what.empty()) return v8::Just(ToUtf8(isolate, key) + " is " + what);
    }
  }
  return v8::Just(std::string());
}

void Start(Runtime *runtime, v8::Local<v8::Promise::Resolver> resolver, const std::string &name,
           const std::string &arguments) {
  uint32_t number = ++runtime->calls.last;
  PendingCall &call = runtime->calls.pending[number];
  call.resolver.Reset(runtime->isolate, resolver);
  call.frames = Frames(runtime->isolate);
  runtime->trace->Flush();
  runtime->host.call(runtime->host.ctx, number, {name.data(), name.size()},
                     {arguments.data(), arguments.size()});
}

void CallHost(const v8::FunctionCallbackInfo<v8::Value> &info) {
  v8::Isolate *isolate = info.GetIsolate();
  Runtime *runtime = Runtime::From(isolate);
  v8::Local<v8::Context> context = isolate->GetCurrentContext();
  v8::Local<v8::Promise::Resolver> resolver;
  if (!v8::Promise::Resolver::New(context).ToLocal(&resolver)) return;
  info.GetReturnValue().Set(resolver->GetPromise());
  std::string name = ToUtf8(isolate, NameOf(info));
  v8::TryCatch catcher(isolate);
  v8::Local<v8::String> json;
  std::string problem;
  bool readable = FindNotInJson(info).To(&problem);
  if (readable && !problem.empty()) {
    v8::Local<v8::Value> error =
        v8::Exception::TypeError(ToV8(isolate, name + ": " + problem + ", which has no JSON"));
    Try(resolver->Reject(context, error));
    return;
  }
  if (!readable || !Arguments(info).ToLocal(&json)) {
    if (catcher.HasTerminated()) {
      catcher.ReThrow();
      return;
    }
    Try(resolver->Reject(context, catcher.Exception()));
    return;
  }
  std::string arguments = ToUtf8(isolate, json);
  if (arguments.size() > kMaxArgumentBytes)
    return RejectRange(runtime, resolver,
                       name + ": the arguments have " + std::to_string(arguments.size()) +
                           " bytes as JSON; the limit is " + std::to_string(kMaxArgumentBytes));
  if (runtime->calls.last >= runtime->config.max_calls)
    return RejectRange(runtime, resolver,
                       name + ": this job has made " + std::to_string(runtime->calls.last) +
                           " calls of host functions; the limit is " +
                           std::to_string(runtime->config.max_calls) + " (max_calls)");
  Start(runtime, resolver, name, arguments);
}

// The error that an answer describes: {name, message, …}. The other members become properties.
v8::Local<v8::Value> MakeError(Runtime *runtime, v8::Local<v8::Value> description,
                               const std::string &frames) {
  v8::Isolate *isolate = runtime->isolate;
  v8::Local<v8::Context> context = runtime->Context();
  v8::Local<v8::Object> fields = description.As<v8::Object>();
  v8::Local<v8::String> name_key = ToV8(isolate, "name"), message_key = ToV8(isolate, "message");
  auto get = [&](v8::Local<v8::String> key) {
    v8::Local<v8::Value> value;
    return fields->Get(context, key).ToLocal(&value) && value->IsString() ? ToUtf8(isolate, value)
                                                                          : std::string();
  };
  std::string name = get(name_key), message = get(message_key);
  v8::Local<v8::String> text = ToV8(isolate, message);
  v8::Local<v8::Object> error = (name == "TypeError"    ? v8::Exception::TypeError(text)
                                 : name == "RangeError" ? v8::Exception::RangeError(text)
                                                        : v8::Exception::Error(text))
                                    .As<v8::Object>();
  if (name != "TypeError" && name != "RangeError" && name != "Error")
    Try(error->DefineOwnProperty(context, name_key, ToV8(isolate, name), v8::DontEnum));
  Try(error->DefineOwnProperty(context, ToV8(isolate, "stack"), ToV8(isolate, name + ": " + message + frames),
                               v8::DontEnum));
  v8::Local<v8::Array> keys;
  if (!fields->GetOwnPropertyNames(context).ToLocal(&keys)) return error;
  for (uint32_t i = 0; i < keys->Length(); i++) {
    v8::Local<v8::Value> key, value;
    if (!keys->Get(context, i).ToLocal(&key) || !key->IsString() ||
        !fields->Get(context, key).ToLocal(&value))
      continue;
    if (key->StrictEquals(name_key) || key->StrictEquals(message_key)) continue;
    Try(error->CreateDataProperty(context, key.As<v8::String>(), value));
  }
  return error;
}

} // namespace

void InstallCalls(Runtime *runtime, v8::Local<v8::ObjectTemplate> global, const char *const *names,
                  size_t count) {
  v8::Isolate *isolate = runtime->isolate;
  for (size_t i = 0; i < count; i++) {
    v8::Local<v8::String> name = ToV8(isolate, names[i]);
    v8::Local<v8::FunctionTemplate> function = v8::FunctionTemplate::New(
        isolate, CallHost, name, v8::Local<v8::Signature>(), 0, v8::ConstructorBehavior::kThrow);
    function->SetClassName(name);
    global->Set(name, function, v8::DontEnum);
  }
}

bool RemoveOtherCalls(Runtime *runtime, const engine_job &job) {
  v8::Local<v8::Context> context = runtime->Context();
  size_t kept = 0;
  for (const std::string &name : *runtime->prepared) {
    if (kept < job.function_count && name == job.functions[kept])
      kept++;
    else if (!context->Global()->Delete(context, ToV8(runtime->isolate, name)).FromMaybe(false))
      return false;
  }
  return true;
}

bool HasAnswer(const Runtime *runtime, uint32_t call) {
  for (const Answer &answer : runtime->calls.answers)
    if (answer.call == call) return true;
  return false;
}

void SettleCall(Runtime *runtime, uint32_t call_number) {
  Calls &calls = runtime->calls;
  v8::Isolate *isolate = runtime->isolate;
  v8::HandleScope scope(isolate);
  v8::Local<v8::Context> context = runtime->Context();
  auto at = calls.answers.begin();
  while (at->call != call_number)
    ++at;
  Answer answer = std::move(*at);
  calls.answers.erase(at);
  auto found = calls.pending.find(answer.call);
  PendingCall call = std::move(found->second);
  calls.pending.erase(found);
  v8::Local<v8::Promise::Resolver> resolver = call.resolver.Get(isolate);
  v8::TryCatch catcher(isolate);
  v8::Local<v8::String> text;
  v8::Local<v8::Value> value;
  if (!v8::String::NewFromUtf8(isolate, answer.json.data(), v8::NewStringType::kNormal,
                               static_cast<int>(answer.json.size()))
           .ToLocal(&text) ||
      !v8::JSON::Parse(context, text).ToLocal(&value)) {
    if (!catcher.HasTerminated() && catcher.HasCaught()) Try(resolver->Reject(context, catcher.Exception()));
    return;
  }
  if (answer.ok)
    Try(resolver->Resolve(context, value));
  else if (value->IsObject())
    Try(resolver->Reject(context, MakeError(runtime, value, call.frames)));
  else
    Try(resolver->Reject(context, value));
}

} // namespace isoq

extern "C" void engine_reply(uint32_t call, bool ok, struct engine_text json) {
  v8::Isolate *isolate = v8::Isolate::GetCurrent();
  isoq::Runtime *runtime = isolate != nullptr ? isoq::Runtime::From(isolate) : nullptr;
  if (runtime == nullptr || runtime->calls.pending.count(call) == 0 || isoq::HasAnswer(runtime, call)) return;
  runtime->calls.answers.push_back({call, ok, std::string(json.data, json.len)});
}
