// The console of a job. The methods are native; values are formatted by Node's own inspector code
// (inspect.js), which runs in a context of its own in the same isolate, so that nothing that a script does to
// its built-ins changes what its output looks like. That context is made when something that is no plain text
// is first printed: most jobs never pay for it.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "engine/inspector.hh"
#include "engine/runtime.hh"
#include "engine/v8_compat.hh"
#include "js_bundles.h"

namespace isoq {
namespace {

using Info = v8::FunctionCallbackInfo<v8::Value>;

constexpr size_t kGroupIndentation = 2;
constexpr size_t kMaxIndentation = 1000; // spaces; deeper groups look the same
constexpr size_t kMaxLabels = 10000;     // of count() and time()

// ---- output

size_t CutAtCharacter(const std::string &text, size_t limit) {
  if (limit >= text.size()) return text.size();
  while (limit > 0 && (static_cast<unsigned char>(text[limit]) & 0xc0) == 0x80)
    limit--;
  return limit;
}

// Not much longer than `limit`: what is beyond it will be cut.
std::string Indented(const std::string &indentation, const std::string &text, uint64_t limit) {
  if (indentation.empty()) return text;
  std::string out = indentation;
  for (char c : text) {
    if (out.size() > limit) break;
    out += c;
    if (c == '\n') out += indentation;
  }
  return out;
}

// What the script read before it printed this leaves before it: so the trace of a run that is killed reaches as far as
// its output.
void Print(Runtime *runtime, isoq_console_level level, const std::string &text, bool truncated) {
  runtime->trace->Flush();
  runtime->host.console(runtime->host.ctx, level, {text.data(), text.size()}, truncated);
}

// Says on stderr, above the limit, that a stream is not whole: what is on stdout may be for a machine.
void SayThatItWasCut(Runtime *runtime, int stream) {
  std::string text = std::string("isoq: ") + (stream == 1 ? "stdout" : "stderr") +
                     " was cut: " + std::to_string(runtime->console.printed_bytes) +
                     " bytes printed, over max_output_bytes " +
                     std::to_string(runtime->config.max_output_bytes);
  if (runtime->trace->MayPrint()) Print(runtime, ISOQ_CONSOLE_WARN, text, false);
}

void Emit(Runtime *runtime, isoq_console_level level, const std::string &plain) {
  ConsoleState &console = runtime->console;
  uint64_t limit = runtime->config.max_output_bytes;
  uint64_t left = limit > console.used_bytes ? limit - console.used_bytes : 0;
  std::string text = Indented(console.indentation, plain, left);
  console.printed_bytes += std::max(plain.size(), text.size()) + 1;
  bool &truncated = console.truncated[isoq_console_level_stream(level)];
  if (truncated && text.size() + 1 > left) {
    console.used_bytes = limit;
    return;
  }
  if (!runtime->trace->MayPrint()) return;
  if (text.size() + 1 <= left) {
    console.used_bytes += text.size() + 1;
    Print(runtime, level, text, false);
    return;
  }
  console.used_bytes = limit;
  truncated = true;
  text.resize(CutAtCharacter(text, left > 0 ? left - 1 : 0));
  Print(runtime, level, text, true);
  SayThatItWasCut(runtime, isoq_console_level_stream(level));
}

// ---- formatting

// What needs no inspector: the text that console.log() gives a primitive.
bool FormatPrimitive(v8::Isolate *isolate, v8::Local<v8::Value> value, std::string *out) {
  if (value->IsString()) {
    *out += ToUtf8(isolate, value);
  } else if (value->IsNumber() && value.As<v8::Number>()->Value() == 0 &&
             std::signbit(value.As<v8::Number>()->Value())) {
    *out += "-0";
  } else if (value->IsNumber() || value->IsBoolean() || value->IsNullOrUndefined()) {
    *out += ToUtf8(isolate, value);
  } else if (value->IsBigInt()) {
    *out += ToUtf8(isolate, value) + "n";
  } else {
    return false;
  }
  return true;
}

bool FormatSimple(const Info &info, int first, std::string *out) {
  v8::Isolate *isolate = info.GetIsolate();
  for (int i = first; i < info.Length(); i++) {
    if (i > first) *out += ' ';
    if (!FormatPrimitive(isolate, info[i], out)) return false;
    // A first argument with % in it is a format, if others follow.
    if (i == first && info.Length() > first + 1 && out->find('%') != std::string::npos) return false;
  }
  return true;
}

bool MakeFormatter(Runtime *runtime) {
  v8::Isolate *isolate = runtime->isolate;
  v8::Local<v8::Context> realm = v8::Context::New(isolate);
  realm->AllowCodeGenerationFromStrings(false);
  realm->SetSecurityToken(
      runtime->Context()->GetSecurityToken()); // so that it may look at the job's global object
  v8::Context::Scope scope(realm);
  v8::Local<v8::Value> formatter;
  if (!RunBundle(isolate, realm, "isoq:inspect", js_inspect, js_inspect_len, InspectNatives(runtime, realm))
           .ToLocal(&formatter) ||
      !formatter->IsObject())
    return false;
  runtime->console.realm.Reset(isolate, realm);
  runtime->console.formatter.Reset(isolate, formatter.As<v8::Object>());
  return true;
}

// Calls one of the formatter's functions. False: an exception is pending, as it would be in Node.
bool CallFormatter(Runtime *runtime, const char *method, int argc, v8::Local<v8::Value> *argv,
                   std::string *out) {
  v8::Isolate *isolate = runtime->isolate;
  if (runtime->console.formatter.IsEmpty() && !MakeFormatter(runtime)) return false;
  v8::Local<v8::Context> realm = runtime->console.realm.Get(isolate);
  v8::Context::Scope scope(realm);
  v8::Local<v8::Object> formatter = runtime->console.formatter.Get(isolate);
  v8::Local<v8::Value> function, text, thrown;
  {
    v8::TryCatch catcher(isolate);
    if (formatter->Get(realm, ToV8(isolate, method)).ToLocal(&function) &&
        function.As<v8::Function>()->Call(realm, formatter, argc, argv).ToLocal(&text)) {
      *out += ToUtf8(isolate, text);
      return true;
    }
    if (catcher.HasTerminated()) {
      catcher.ReThrow();
      return false;
    }
    thrown = catcher.Exception();
  }
  isolate->ThrowException(ToJobError(runtime, thrown));
  return false;
}

bool Format(const Info &info, int first, std::string *out) {
  if (FormatSimple(info, first, out)) return true;
  out->clear();
  v8::Isolate *isolate = info.GetIsolate();
  Runtime *runtime = Runtime::From(isolate);
  std::vector<v8::Local<v8::Value>> values;
  for (int i = first; i < info.Length(); i++)
    values.push_back(info[i]);
  if (runtime->console.formatter.IsEmpty() && !MakeFormatter(runtime)) return false;
  v8::Local<v8::Value> array;
  {
    v8::Context::Scope scope(runtime->console.realm.Get(isolate));
    array = v8::Array::New(isolate, values.data(), values.size());
  }
  return CallFormatter(runtime, "format", 1, &array, out);
}

// ---- the methods

void Print(const Info &info, isoq_console_level level) {
  Runtime *runtime = Runtime::From(info.GetIsolate());
  if (!runtime->config.capture_console) return;
  std::string text;
  if (Format(info, 0, &text)) Emit(runtime, level, text);
}

void Log(const Info &info) {
  Print(info, ISOQ_CONSOLE_LOG);
}
void InfoMethod(const Info &info) {
  Print(info, ISOQ_CONSOLE_INFO);
}
void Debug(const Info &info) {
  Print(info, ISOQ_CONSOLE_DEBUG);
}
void Warn(const Info &info) {
  Print(info, ISOQ_CONSOLE_WARN);
}
void ErrorMethod(const Info &info) {
  Print(info, ISOQ_CONSOLE_ERROR);
}

void Structured(const Info &info, const char *method) {
  Runtime *runtime = Runtime::From(info.GetIsolate());
  if (!runtime->config.capture_console) return;
  v8::Local<v8::Value> arguments[2] = {info[0], info[1]};
  std::string text;
  if (CallFormatter(runtime, method, 2, arguments, &text)) Emit(runtime, ISOQ_CONSOLE_LOG, text);
}

void Dir(const Info &info) {
  Structured(info, "dir");
}
void Table(const Info &info) {
  Structured(info, "table");
}

void Trace(const Info &info) {
  v8::Isolate *isolate = info.GetIsolate();
  Runtime *runtime = Runtime::From(isolate);
  if (!runtime->config.capture_console) return;
  std::string text = "Trace", message;
  if (!Format(info, 0, &message)) return;
  if (!message.empty()) text += ": " + message;
  v8::Local<v8::StackTrace> stack = v8::StackTrace::CurrentStackTrace(isolate, 10);
  for (int i = 0; i < stack->GetFrameCount(); i++) {
    v8::Local<v8::StackFrame> frame = stack->GetFrame(isolate, static_cast<uint32_t>(i));
    std::string place = ToUtf8(isolate, frame->GetScriptNameOrSourceURL()) + ":" +
                        std::to_string(frame->GetLineNumber()) + ":" + std::to_string(frame->GetColumn());
    std::string function =
        frame->GetFunctionName().IsEmpty() ? "" : ToUtf8(isolate, frame->GetFunctionName());
    text += "\n    at " + (function.empty() ? place : function + " (" + place + ")");
  }
  Emit(runtime, ISOQ_CONSOLE_ERROR, text);
}

void Assert(const Info &info) {
  v8::Isolate *isolate = info.GetIsolate();
  Runtime *runtime = Runtime::From(isolate);
  if (!runtime->config.capture_console || (info.Length() > 0 && info[0]->BooleanValue(isolate))) return;
  std::string text;
  if (info.Length() > 1 && !Format(info, 1, &text)) return;
  Emit(runtime, ISOQ_CONSOLE_WARN, text.empty() ? "Assertion failed" : "Assertion failed: " + text);
}

void Group(const Info &info) {
  if (info.Length() > 0) Print(info, ISOQ_CONSOLE_LOG);
  std::string &indentation = Runtime::From(info.GetIsolate())->console.indentation;
  if (indentation.size() < kMaxIndentation) indentation.append(kGroupIndentation, ' ');
}

void GroupEnd(const Info &info) {
  std::string &indentation = Runtime::From(info.GetIsolate())->console.indentation;
  if (indentation.size() >= kGroupIndentation) indentation.resize(indentation.size() - kGroupIndentation);
}

std::string Label(const Info &info) {
  return info.Length() > 0 && !info[0]->IsUndefined() ? ToUtf8(info.GetIsolate(), info[0]) : "default";
}

void Count(const Info &info) {
  Runtime *runtime = Runtime::From(info.GetIsolate());
  std::string label = Label(info);
  auto &counts = runtime->console.counts;
  if (counts.size() >= kMaxLabels && counts.count(label) == 0) return;
  uint64_t count = ++counts[label];
  if (runtime->config.capture_console) Emit(runtime, ISOQ_CONSOLE_LOG, label + ": " + std::to_string(count));
}

void CountReset(const Info &info) {
  Runtime *runtime = Runtime::From(info.GetIsolate());
  if (runtime->console.counts.erase(Label(info)) == 0 && runtime->config.capture_console)
    Emit(runtime, ISOQ_CONSOLE_WARN, "Count for '" + Label(info) + "' does not exist");
}

void Time(const Info &info) {
  Runtime *runtime = Runtime::From(info.GetIsolate());
  auto &timers = runtime->console.timers_ns;
  std::string label = Label(info);
  if (timers.size() < kMaxLabels && timers.emplace(label, runtime->trace->MonotonicNs(MonotonicNs())).second)
    return;
  if (runtime->config.capture_console)
    Emit(runtime, ISOQ_CONSOLE_WARN, "Label '" + label + "' already exists for console.time()");
}

std::string FormatDuration(int64_t ns) {
  double ms = static_cast<double>(ns) / 1e6;
  char text[64];
  if (ms >= 1000)
    snprintf(text, sizeof text, "%.3fs", ms / 1000);
  else
    snprintf(text, sizeof text, "%.3gms", ms);
  return text;
}

void TimePrint(const Info &info, const char *method, bool end) {
  Runtime *runtime = Runtime::From(info.GetIsolate());
  std::string label = Label(info), extra;
  auto found = runtime->console.timers_ns.find(label);
  if (!runtime->config.capture_console) return;
  if (found == runtime->console.timers_ns.end())
    return Emit(runtime, ISOQ_CONSOLE_WARN, "No such label '" + label + "' for console." + method + "()");
  std::string text =
      label + ": " + FormatDuration(runtime->trace->MonotonicNs(MonotonicNs()) - found->second);
  if (end) runtime->console.timers_ns.erase(found);
  if (!end && info.Length() > 1) {
    if (!Format(info, 1, &extra)) return;
    text += " " + extra;
  }
  Emit(runtime, ISOQ_CONSOLE_LOG, text);
}

void TimeLog(const Info &info) {
  TimePrint(info, "timeLog", false);
}
void TimeEnd(const Info &info) {
  TimePrint(info, "timeEnd", true);
}
void Nothing(const Info &) {}

constexpr struct {
  const char *name;
  v8::FunctionCallback callback;
} kMethods[] = {
    {"log", Log},           {"info", InfoMethod}, {"debug", Debug},   {"warn", Warn},
    {"error", ErrorMethod}, {"dir", Dir},         {"dirxml", Log},    {"table", Table},
    {"trace", Trace},       {"assert", Assert},   {"group", Group},   {"groupCollapsed", Group},
    {"groupEnd", GroupEnd}, {"count", Count},     {"time", Time},     {"countReset", CountReset},
    {"timeLog", TimeLog},   {"timeEnd", TimeEnd}, {"clear", Nothing},
};

// Of a job that is inspected: the debugger's console first, which takes values as they are.
void CallInspected(const Info &info) {
  const auto &method = kMethods[info.Data().As<v8::Int32>()->Value()];
  Runtime::From(info.GetIsolate())->inspector->Console(method.name, info);
  method.callback(info);
}

} // namespace

v8::Local<v8::Value> ToJobError(Runtime *runtime, v8::Local<v8::Value> thrown) {
  v8::Isolate *isolate = runtime->isolate;
  v8::Local<v8::Context> home;
  if (!thrown->IsNativeError() || !CreationContext(isolate, thrown.As<v8::Object>()).ToLocal(&home) ||
      home == runtime->Context())
    return thrown;
  v8::Local<v8::Value> text;
  v8::Local<v8::String> message = v8::String::Empty(isolate);
  if (thrown.As<v8::Object>()->Get(home, ToV8(isolate, "message")).ToLocal(&text) && text->IsString())
    message = text.As<v8::String>();
  std::string kind = ToUtf8(isolate, thrown.As<v8::Object>()->GetConstructorName());
  v8::Context::Scope scope(runtime->Context());
  if (kind == "RangeError") return v8::Exception::RangeError(message);
  return kind == "TypeError" ? v8::Exception::TypeError(message) : v8::Exception::Error(message);
}

v8::Local<v8::ObjectTemplate> ConsoleTemplate(Runtime *runtime) {
  v8::Isolate *isolate = runtime->isolate;
  v8::Local<v8::ObjectTemplate> console = v8::ObjectTemplate::New(isolate);
  int index = 0;
  for (const auto &method : kMethods) {
    v8::Local<v8::Value> data = v8::Int32::New(isolate, index++);
    SetMethod(isolate, console, method.name, runtime->inspector != nullptr ? CallInspected : method.callback,
              0, v8::None, data);
  }
  console->Set(v8::Symbol::GetToStringTag(isolate), v8::String::NewFromUtf8Literal(isolate, "console"),
               static_cast<v8::PropertyAttribute>(v8::DontEnum | v8::ReadOnly));
  return console;
}

} // namespace isoq
