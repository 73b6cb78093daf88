#include "bench/reused.h"

#include <cstdio>
#include <string>
#include <v8.h>

namespace {

v8::Isolate *isolate;
v8::Global<v8::Context> kept_context;
unsigned long runs;

v8::MaybeLocal<v8::String> Text(const char *data, size_t len) {
  return v8::String::NewFromUtf8(isolate, data, v8::NewStringType::kNormal, static_cast<int>(len));
}

} // namespace

int reused_init(void) {
  v8::Isolate::CreateParams params;
  params.array_buffer_allocator = v8::ArrayBuffer::Allocator::NewDefaultAllocator();
  isolate = v8::Isolate::New(params);
  if (isolate == nullptr) return -1;
  isolate->Enter();
  v8::HandleScope scope(isolate);
  kept_context.Reset(isolate, v8::Context::New(isolate));
  return 0;
}

long reused_run(const char *code, size_t code_len, bool is_json, bool compiling, char *text,
                size_t text_size) {
  v8::HandleScope scope(isolate);
  v8::Local<v8::Context> context = kept_context.Get(isolate);
  v8::Context::Scope entered(context);
  v8::Local<v8::String> source;
  v8::Local<v8::Script> script;
  v8::Local<v8::Value> value;
  if (!Text(code, code_len).ToLocal(&source)) return -1;
  if (is_json) {
    if (!v8::JSON::Parse(context, source).ToLocal(&value) || !value->ToString(context).ToLocal(&source))
      return -1;
  }
  std::string end = compiling ? "\n}//" + std::to_string(runs++) : "\n}";
  v8::Local<v8::String> block = v8::String::Concat(isolate, Text("{", 1).ToLocalChecked(), source);
  block = v8::String::Concat(isolate, block, Text(end.data(), end.size()).ToLocalChecked());
  if (!v8::Script::Compile(context, block).ToLocal(&script) || !script->Run(context).ToLocal(&value))
    return -1;
  v8::String::Utf8Value result(isolate, value);
  if (*result == nullptr || static_cast<size_t>(result.length()) >= text_size) return -1;
  std::snprintf(text, text_size, "%s", *result);
  return result.length();
}
