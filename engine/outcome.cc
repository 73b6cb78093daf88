// How a value or an error leaves the isolate. Everything here may run the script's own code (toJSON,
// getters), so it runs under the watchdog, and nothing here trusts what a property read gives.
#include <cstdlib>
#include <cstring>

#include "engine/error_text.h"
#include "engine/inspector.hh"
#include "engine/runtime.hh"
#include "engine/v8_compat.hh"

namespace isoq {

char *CopyText(const char *data, size_t len) {
  char *copy = static_cast<char *>(malloc(len + 1));
  if (copy == nullptr) abort(); // the process is about to be replaced anyway
  if (len > 0) memcpy(copy, data, len);
  copy[len] = '\0';
  return copy;
}

std::string ToUtf8(v8::Isolate *isolate, v8::Local<v8::Value> value) {
  v8::TryCatch catcher(isolate);
  v8::Local<v8::String> text;
  if (value.IsEmpty() || !value->ToString(isolate->GetCurrentContext()).ToLocal(&text)) {
    catcher.Reset();
    return "";
  }
  std::string out(Utf8Length(isolate, text), '\0');
  out.resize(WriteUtf8(isolate, text, out.data(), out.size()));
  return out;
}

v8::Local<v8::String> ToV8(v8::Isolate *isolate, const std::string &text) {
  v8::Local<v8::String> out;
  if (v8::String::NewFromUtf8(isolate, text.data(), v8::NewStringType::kNormal, static_cast<int>(text.size()))
          .ToLocal(&out))
    return out;
  return v8::String::Empty(isolate);
}

namespace {

isoq_result_type TypeOf(v8::Local<v8::Value> value) {
  if (value->IsUndefined()) return ISOQ_TYPE_UNDEFINED;
  if (value->IsNull()) return ISOQ_TYPE_NULL_;
  if (value->IsBoolean()) return ISOQ_TYPE_BOOLEAN;
  if (value->IsNumber()) return ISOQ_TYPE_NUMBER;
  if (value->IsBigInt()) return ISOQ_TYPE_BIGINT;
  if (value->IsString()) return ISOQ_TYPE_STRING;
  if (value->IsSymbol()) return ISOQ_TYPE_SYMBOL;
  if (value->IsFunction()) return ISOQ_TYPE_FUNCTION;
  if (value->IsArray()) return ISOQ_TYPE_ARRAY;
  return ISOQ_TYPE_OBJECT;
}

// The text of a completion value; empty handle: there is none (undefined, functions, …), or it threw.
v8::MaybeLocal<v8::String> ResultText(Runtime *runtime, v8::Local<v8::Value> value) {
  v8::Local<v8::Context> context = runtime->Context();
  if (value->IsUndefined() || value->IsFunction() || value->IsSymbol()) return {};
  if (value->IsString()) return value.As<v8::String>();
  if (value->IsBigInt()) return value->ToString(context);
  v8::Local<v8::String> json;
  if (!v8::JSON::Stringify(context, value).ToLocal(&json)) return {};
  // A toJSON that returns undefined comes back as this word, which is no JSON text.
  if (json->StringEquals(v8::String::NewFromUtf8Literal(runtime->isolate, "undefined"))) return {};
  return json;
}

void ClearResult(execution_result *out) {
  free(out->result);
  out->result = nullptr;
  out->result_len = 0;
  out->result_type = ISOQ_TYPE_NONE;
  out->success = false;
}

void ReplaceText(char **slot, const std::string &text) {
  free(*slot);
  *slot = CopyText(text.data(), text.size());
}

// A property that is a string. Of what is no Error only its own count: anything may stand on
// Object.prototype.
std::string Property(Runtime *runtime, v8::Local<v8::Value> object, const char *name) {
  v8::TryCatch catcher(runtime->isolate);
  v8::Local<v8::Value> value;
  v8::Local<v8::String> key = ToV8(runtime->isolate, name);
  if (!object->IsNativeError() &&
      !object.As<v8::Object>()->HasOwnProperty(runtime->Context(), key).FromMaybe(false))
    return "";
  if (!object.As<v8::Object>()->Get(runtime->Context(), key).ToLocal(&value)) {
    catcher.Reset();
    return "";
  }
  return value->IsString() ? ToUtf8(runtime->isolate, value) : "";
}

// The first place in the script's own text that a stack names: "… (job.js:3:14)".
void FindPosition(const std::string &stack, int *line, int *column) {
  const std::string mark = std::string(kScriptName) + ":";
  for (size_t at = stack.find(mark); at != std::string::npos; at = stack.find(mark, at + 1)) {
    int found_line = 0, found_column = 0;
    if (sscanf(stack.c_str() + at + mark.size(), "%d:%d", &found_line, &found_column) != 2) continue;
    *line = found_line;
    *column = found_column;
    return;
  }
}

} // namespace

void SetFailure(execution_result *out, isoq_status status, const char *name, const std::string &message) {
  ClearResult(out);
  out->status = status;
  ReplaceText(&out->error.name, name);
  ReplaceText(&out->error.message, message);
  ReplaceText(&out->error.stack, "");
  out->error.line = out->error.column = 0;
}

void SetResult(Runtime *runtime, v8::Local<v8::Value> value) {
  v8::Isolate *isolate = runtime->isolate;
  execution_result *out = runtime->out;
  v8::TryCatch catcher(isolate);
  v8::Local<v8::String> text;
  bool has_text = ResultText(runtime, value).ToLocal(&text);
  if (catcher.HasCaught()) {
    if (!catcher.HasTerminated()) SetError(runtime, catcher.Exception(), 0, 0);
    return;
  }
  if (has_text) {
    size_t len = Utf8Length(isolate, text);
    if (len > runtime->config.max_result_bytes)
      return SetFailure(out, ISOQ_STATUS_OUTPUT_LIMIT, "OutputLimitError",
                        "result: " + std::to_string(len) + " bytes, over max_result_bytes " +
                            std::to_string(runtime->config.max_result_bytes));
    out->result = CopyText("", 0);
    char *buffer = static_cast<char *>(realloc(out->result, len + 1));
    if (buffer == nullptr) abort();
    out->result_len = WriteUtf8(isolate, text, buffer, len);
    buffer[out->result_len] = '\0';
    out->result = buffer;
  }
  out->status = ISOQ_STATUS_OK;
  out->success = true;
  out->result_type = TypeOf(value);
}

void SetError(Runtime *runtime, v8::Local<v8::Value> thrown, int line, int column) {
  v8::Isolate *isolate = runtime->isolate;
  execution_result *out = runtime->out;
  v8::HandleScope scope(isolate);
  if (runtime->inspector != nullptr) runtime->inspector->ReportUncaught(thrown, line, column);
  if (!thrown->IsObject()) {
    std::string text = thrown->IsSymbol() ? "a symbol" : ToUtf8(isolate, thrown);
    SetFailure(out, ISOQ_STATUS_ERROR, "Uncaught", text);
    out->error.line = line;
    out->error.column = column;
    return;
  }
  std::string name = Property(runtime, thrown, "name"), message = Property(runtime, thrown, "message");
  std::string stack = Property(runtime, thrown, "stack");
  if (!thrown->IsNativeError() && stack.empty() && message.empty()) { // throw {code: 5}
    v8::TryCatch catcher(isolate);
    v8::Local<v8::String> json;
    if (v8::JSON::Stringify(runtime->Context(), thrown).ToLocal(&json)) message = ToUtf8(isolate, json);
    catcher.Reset();
  }
  SetFailure(out, ISOQ_STATUS_ERROR,
             name.empty() ? (thrown->IsNativeError() ? "Error" : "Uncaught") : name.c_str(), message);
  ReplaceText(&out->error.stack, stack);
  FindPosition(stack, &line, &column);
  if (line == 0 && thrown->IsNativeError()) { // the script gave itself another name (sourceURL)
    v8::Local<v8::Message> message_at = v8::Exception::CreateMessage(isolate, thrown);
    line = message_at->GetLineNumber(runtime->Context()).FromMaybe(0);
    column = line > 0 ? message_at->GetStartColumn(runtime->Context()).FromMaybe(-1) + 1 : 0;
  }
  out->error.line = line;
  out->error.column = column;
}

} // namespace isoq

extern "C" const char *engine_error_text(const struct engine_error *error, char *buffer, size_t buffer_size) {
  return engine_error_text_parts(error->name, error->message, error->stack, buffer, buffer_size);
}
