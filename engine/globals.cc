// What a script finds on its global object beside ECMAScript: `input`, console, timers, and the small web API
// of the contract. What C++ and V8 do well is native here; URL, TextEncoder, TextDecoder and DOMException are
// JavaScript packages (engine/js), loaded into the job's realm by the first look at their names.
#include <cstdio>
#include <cstring>

#include "engine/runtime.hh"
#include "engine/v8_compat.hh"
#include "js_bundles.h"

namespace isoq {
namespace {

using Info = v8::FunctionCallbackInfo<v8::Value>;

// ---- lazily loaded modules

// Bytecode of the bundles, by source. The executor's warm-up fills it, before any job of a stranger:
// compiling them takes ten times as long as reading them back.
using CodeCacheMap = std::map<const unsigned char *, std::unique_ptr<v8::ScriptCompiler::CachedData>>;
CodeCacheMap &CodeCache() {
  static CodeCacheMap *cache = new CodeCacheMap; // lives as long as the process
  return *cache;
}

struct Bundle {
  const char *name, *origin;
  const unsigned char *source;
  const size_t *source_len;
};

#define BUNDLE(name)                                                                                         \
  { #name, "isoq:" #name, js_##name, &js_##name##_len }
const Bundle kBundles[] = {BUNDLE(url), BUNDLE(text), BUNDLE(errors), BUNDLE(idna), BUNDLE(multibyte)};
#undef BUNDLE

constexpr struct {
  const char *name, *bundle;
} kLazyGlobals[] = {
    {"URL", "url"},          {"URLSearchParams", "url"}, {"TextEncoder", "text"},
    {"TextDecoder", "text"}, {"DOMException", "errors"},
};

void LoadNative(const Info &info);

v8::MaybeLocal<v8::Value> LoadBundle(Runtime *runtime, const std::string &name) {
  v8::Isolate *isolate = runtime->isolate;
  auto loaded = runtime->lazy.find(name);
  if (loaded != runtime->lazy.end()) return loaded->second.Get(isolate);
  v8::Local<v8::Context> context = runtime->Context();
  for (const Bundle &bundle : kBundles) {
    if (name != bundle.name) continue;
    v8::Local<v8::Object> natives = v8::Object::New(isolate, v8::Null(isolate), nullptr, nullptr, 0);
    v8::Local<v8::Function> load;
    v8::Local<v8::Value> exports;
    if (!v8::Function::New(context, LoadNative).ToLocal(&load)) return {};
    if (natives->CreateDataProperty(context, ToV8(isolate, "load"), load).IsNothing()) return {};
    if (!RunBundle(isolate, context, bundle.origin, bundle.source, *bundle.source_len, natives)
             .ToLocal(&exports))
      return {};
    runtime->lazy[name].Reset(isolate, exports);
    return exports;
  }
  return {};
}

void LoadNative(const Info &info) {
  v8::Local<v8::Value> exports;
  if (LoadBundle(Runtime::From(info.GetIsolate()), ToUtf8(info.GetIsolate(), info[0])).ToLocal(&exports))
    info.GetReturnValue().Set(exports);
}

void LazyGlobal(v8::Local<v8::Name> name, const v8::PropertyCallbackInfo<v8::Value> &info) {
  v8::Isolate *isolate = info.GetIsolate();
  Runtime *runtime = Runtime::From(isolate);
  std::string wanted = ToUtf8(isolate, name);
  for (const auto &global : kLazyGlobals) {
    v8::Local<v8::Value> exports, value;
    if (wanted != global.name || !LoadBundle(runtime, global.bundle).ToLocal(&exports)) continue;
    if (exports.As<v8::Object>()->Get(runtime->Context(), name).ToLocal(&value))
      info.GetReturnValue().Set(value);
    return;
  }
}

void ThrowType(v8::Isolate *isolate, const std::string &message) {
  isolate->ThrowException(v8::Exception::TypeError(ToV8(isolate, message)));
}

// ---- base64 (WHATWG Infra, "forgiving-base64")

constexpr char kBase64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// The argument as bytes; false: it has characters above U+00FF, or an exception is pending.
bool Latin1Argument(const Info &info, std::string *out, bool *pending) {
  v8::Isolate *isolate = info.GetIsolate();
  v8::Local<v8::String> text;
  *pending = true;
  if (info.Length() < 1) {
    ThrowType(isolate, "1 argument required, but only 0 present");
    return false;
  }
  if (!info[0]->ToString(isolate->GetCurrentContext()).ToLocal(&text)) return false;
  *pending = false;
  if (!text->ContainsOnlyOneByte()) return false;
  out->resize(static_cast<size_t>(text->Length()));
  WriteLatin1(isolate, text, reinterpret_cast<uint8_t *>(out->data()));
  return true;
}

void ReturnLatin1(const Info &info, const std::string &bytes) {
  v8::Local<v8::String> text;
  if (v8::String::NewFromOneByte(info.GetIsolate(), reinterpret_cast<const uint8_t *>(bytes.data()),
                                 v8::NewStringType::kNormal, static_cast<int>(bytes.size()))
          .ToLocal(&text))
    info.GetReturnValue().Set(text);
}

void Btoa(const Info &info) {
  std::string bytes, out;
  bool pending;
  if (!Latin1Argument(info, &bytes, &pending)) {
    if (!pending)
      ThrowDomException(Runtime::From(info.GetIsolate()), "InvalidCharacterError",
                        "btoa: the text has characters above U+00FF; encode it first (TextEncoder)");
    return;
  }
  for (size_t i = 0; i < bytes.size(); i += 3) {
    size_t left = bytes.size() - i;
    uint32_t group = static_cast<uint32_t>(static_cast<uint8_t>(bytes[i])) << 16;
    if (left > 1) group |= static_cast<uint32_t>(static_cast<uint8_t>(bytes[i + 1])) << 8;
    if (left > 2) group |= static_cast<uint8_t>(bytes[i + 2]);
    out += kBase64[group >> 18 & 63];
    out += kBase64[group >> 12 & 63];
    out += left > 1 ? kBase64[group >> 6 & 63] : '=';
    out += left > 2 ? kBase64[group & 63] : '=';
  }
  ReturnLatin1(info, out);
}

bool DecodeBase64(const std::string &text, std::string *out) {
  std::string digits;
  for (char c : text)
    if (strchr(" \t\n\f\r", c) == nullptr || c == '\0') digits += c;
  if (digits.size() % 4 == 0 && !digits.empty() && digits.back() == '=') {
    digits.pop_back();
    if (digits.back() == '=') digits.pop_back();
  }
  if (digits.size() % 4 == 1) return false;
  uint32_t group = 0;
  int bits = 0;
  for (char c : digits) {
    const char *digit = c != '\0' ? strchr(kBase64, c) : nullptr;
    if (digit == nullptr) return false;
    group = group << 6 | static_cast<uint32_t>(digit - kBase64);
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    *out += static_cast<char>(group >> bits & 0xff);
  }
  return true;
}

void Atob(const Info &info) {
  std::string text, out;
  bool pending;
  if (Latin1Argument(info, &text, &pending) && DecodeBase64(text, &out)) return ReturnLatin1(info, out);
  if (!pending)
    ThrowDomException(Runtime::From(info.GetIsolate()), "InvalidCharacterError",
                      "atob: the text is not base64");
}

// ---- crypto

void FillRandom(Runtime *runtime, void *data, size_t len) {
  while (!runtime->trace->Random(static_cast<uint8_t *>(data), len))
    continue; // EINTR
}

void RandomUuid(const Info &info) {
  uint8_t b[16];
  FillRandom(Runtime::From(info.GetIsolate()), b, sizeof b);
  b[6] = static_cast<uint8_t>((b[6] & 0x0f) | 0x40); // RFC 9562: version 4
  b[8] = static_cast<uint8_t>((b[8] & 0x3f) | 0x80); // and its variant
  char text[37];
  snprintf(text, sizeof text, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
           b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
  info.GetReturnValue().Set(ToV8(info.GetIsolate(), text));
}

void GetRandomValues(const Info &info) {
  constexpr size_t kQuota = 65536; // Web Cryptography, getRandomValues
  v8::Isolate *isolate = info.GetIsolate();
  bool integers = info[0]->IsTypedArray() && !info[0]->IsFloat32Array() && !info[0]->IsFloat64Array();
  if (!integers) {
    ThrowDomException(Runtime::From(isolate), "TypeMismatchError",
                      "crypto.getRandomValues: the argument must be an integer typed array");
    return;
  }
  v8::Local<v8::TypedArray> array = info[0].As<v8::TypedArray>();
  if (array->ByteLength() > kQuota) {
    ThrowDomException(Runtime::From(isolate), "QuotaExceededError",
                      "crypto.getRandomValues: " + std::to_string(array->ByteLength()) +
                          " bytes are over the quota of 65536");
    return;
  }
  if (array->ByteLength() > 0) {
    std::shared_ptr<v8::BackingStore> store = array->Buffer()->GetBackingStore();
    FillRandom(Runtime::From(isolate), static_cast<uint8_t *>(store->Data()) + array->ByteOffset(),
               array->ByteLength());
  }
  info.GetReturnValue().Set(array);
}

// ---- structuredClone

class CloneDelegate : public v8::ValueSerializer::Delegate {
public:
  explicit CloneDelegate(Runtime *runtime) : runtime_(runtime) {}
  void ThrowDataCloneError(v8::Local<v8::String> message) override {
    ThrowDomException(runtime_, "DataCloneError", ToUtf8(runtime_->isolate, message));
  }
  v8::Maybe<uint32_t> GetSharedArrayBufferId(v8::Isolate *, v8::Local<v8::SharedArrayBuffer>) override {
    ThrowDomException(runtime_, "DataCloneError", "a SharedArrayBuffer cannot be cloned");
    return v8::Nothing<uint32_t>();
  }

private:
  Runtime *runtime_;
};

// options.transfer → buffers; false: an exception is pending.
bool ReadTransfer(Runtime *runtime, v8::Local<v8::Value> options,
                  std::vector<v8::Local<v8::ArrayBuffer>> *buffers) {
  v8::Isolate *isolate = runtime->isolate;
  v8::Local<v8::Context> context = runtime->Context();
  v8::Local<v8::Value> list;
  if (options->IsNullOrUndefined()) return true;
  if (!options->IsObject())
    return ThrowType(isolate, "structuredClone: the options must be an object"), false;
  if (!options.As<v8::Object>()->Get(context, ToV8(isolate, "transfer")).ToLocal(&list)) return false;
  if (list->IsUndefined()) return true;
  if (!list->IsArray()) return ThrowType(isolate, "structuredClone: transfer must be an array"), false;
  for (uint32_t i = 0; i < list.As<v8::Array>()->Length(); i++) {
    v8::Local<v8::Value> item;
    if (!list.As<v8::Array>()->Get(context, i).ToLocal(&item)) return false;
    if (!item->IsArrayBuffer() || !item.As<v8::ArrayBuffer>()->IsDetachable()) {
      ThrowDomException(runtime, "DataCloneError", "structuredClone: only ArrayBuffers can be transferred");
      return false;
    }
    for (v8::Local<v8::ArrayBuffer> other : *buffers)
      if (other->StrictEquals(item)) {
        ThrowDomException(runtime, "DataCloneError", "structuredClone: an ArrayBuffer is transferred twice");
        return false;
      }
    buffers->push_back(item.As<v8::ArrayBuffer>());
  }
  return true;
}

void StructuredClone(const Info &info) {
  v8::Isolate *isolate = info.GetIsolate();
  Runtime *runtime = Runtime::From(isolate);
  v8::Local<v8::Context> context = runtime->Context();
  if (info.Length() < 1) return ThrowType(isolate, "structuredClone: a value is needed");
  std::vector<v8::Local<v8::ArrayBuffer>> buffers;
  if (!ReadTransfer(runtime, info[1], &buffers)) return;
  CloneDelegate delegate(runtime);
  v8::ValueSerializer serializer(isolate, &delegate);
  serializer.WriteHeader();
  for (uint32_t i = 0; i < buffers.size(); i++)
    serializer.TransferArrayBuffer(i, buffers[i]);
  if (serializer.WriteValue(context, info[0]).IsNothing()) return;
  std::pair<uint8_t *, size_t> bytes = serializer.Release();
  std::unique_ptr<uint8_t, decltype(&free)> owned(bytes.first, free);
  v8::ValueDeserializer deserializer(isolate, bytes.first, bytes.second);
  for (uint32_t i = 0; i < buffers.size(); i++) {
    std::shared_ptr<v8::BackingStore> store = buffers[i]->GetBackingStore();
    if (!DetachBuffer(buffers[i])) return;
    deserializer.TransferArrayBuffer(i, v8::ArrayBuffer::New(isolate, std::move(store)));
  }
  v8::Local<v8::Value> clone;
  if (deserializer.ReadHeader(context).IsNothing()) return;
  if (deserializer.ReadValue(context).ToLocal(&clone)) info.GetReturnValue().Set(clone);
}

} // namespace

void KeepCodeCaches(Runtime *runtime) {
  v8::HandleScope scope(runtime->isolate);
  for (auto &bundle : runtime->uncached)
    CodeCache()[bundle.first].reset(v8::ScriptCompiler::CreateCodeCache(bundle.second.Get(runtime->isolate)));
  runtime->uncached.clear();
}

v8::MaybeLocal<v8::Value> RunBundle(v8::Isolate *isolate, v8::Local<v8::Context> context, const char *name,
                                    const unsigned char *source, size_t source_len,
                                    v8::Local<v8::Value> natives) {
  // ASCII by construction (esbuild's charset), and part of the program: V8 may point into it.
  class Text : public v8::String::ExternalOneByteStringResource {
  public:
    Text(const unsigned char *data, size_t len) : data_(data), len_(len) {}
    const char *data() const override { return reinterpret_cast<const char *>(data_); }
    size_t length() const override { return len_; }

  private:
    const unsigned char *data_;
    size_t len_;
  };
  v8::Local<v8::String> text;
  if (!v8::String::NewExternalOneByte(isolate, new Text(source, source_len)).ToLocal(&text)) return {};
  v8::ScriptOrigin origin = MakeOrigin(isolate, name);
  auto cached = CodeCache().find(source);
  bool has_cache = cached != CodeCache().end();
  v8::ScriptCompiler::Source unit(
      text, origin,
      has_cache ? new v8::ScriptCompiler::CachedData(cached->second->data, cached->second->length) : nullptr);
  v8::Local<v8::Script> script;
  v8::Local<v8::Value> main;
  if (!v8::ScriptCompiler::Compile(context, &unit,
                                   has_cache ? v8::ScriptCompiler::kConsumeCodeCache
                                             : v8::ScriptCompiler::kNoCompileOptions)
           .ToLocal(&script))
    return {};
  if (!has_cache)
    Runtime::From(isolate)->uncached.emplace(
        source, v8::Global<v8::UnboundScript>(isolate, script->GetUnboundScript()));
  if (!script->Run(context).ToLocal(&main)) return {};
  return main.As<v8::Function>()->Call(context, v8::Undefined(isolate), 1, &natives);
}

void ThrowDomException(Runtime *runtime, const char *name, const std::string &message) {
  v8::Isolate *isolate = runtime->isolate;
  v8::Local<v8::Context> context = runtime->Context();
  v8::Local<v8::Value> exports, constructor, exception;
  v8::Local<v8::Value> arguments[2] = {ToV8(isolate, message), ToV8(isolate, name)};
  if (!LoadBundle(runtime, "errors").ToLocal(&exports)) return;
  if (!exports.As<v8::Object>()->Get(context, ToV8(isolate, "DOMException")).ToLocal(&constructor)) return;
  if (constructor.As<v8::Function>()->NewInstance(context, 2, arguments).ToLocal(&exception))
    isolate->ThrowException(exception);
}

void InstallGlobals(Runtime *runtime, v8::Local<v8::ObjectTemplate> global) {
  v8::Isolate *isolate = runtime->isolate;
  InstallTimers(runtime, global);
  SetMethod(isolate, global, "structuredClone", StructuredClone, 1, v8::None);
  SetMethod(isolate, global, "atob", Atob, 1, v8::None);
  SetMethod(isolate, global, "btoa", Btoa, 1, v8::None);
  v8::Local<v8::ObjectTemplate> crypto = v8::ObjectTemplate::New(isolate);
  SetMethod(isolate, crypto, "randomUUID", RandomUuid, 0, v8::None);
  SetMethod(isolate, crypto, "getRandomValues", GetRandomValues, 1, v8::None);
  crypto->Set(v8::Symbol::GetToStringTag(isolate), v8::String::NewFromUtf8Literal(isolate, "Crypto"),
              static_cast<v8::PropertyAttribute>(v8::DontEnum | v8::ReadOnly));
  global->Set(isolate, "crypto", crypto);
}

bool InstallObjects(Runtime *runtime, v8::Local<v8::Context> context) {
  // Not through the global template: V8's own console would replace it.
  v8::Local<v8::Object> console;
  if (!ConsoleTemplate(runtime)->NewInstance(context).ToLocal(&console)) return false;
  if (context->Global()
          ->DefineOwnProperty(context, ToV8(runtime->isolate, "console"), console, v8::DontEnum)
          .IsNothing())
    return false;
  for (const auto &global : kLazyGlobals)
    if (context->Global()
            ->SetLazyDataProperty(context, ToV8(runtime->isolate, global.name), LazyGlobal,
                                  v8::Local<v8::Value>(), v8::DontEnum)
            .IsNothing())
      return false;
  return true;
}

} // namespace isoq
