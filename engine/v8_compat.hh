// What differs between the V8 versions that isoq builds against (10.2 to 13.6), in one place.
#ifndef ISOQ_ENGINE_V8_COMPAT_HH
#define ISOQ_ENGINE_V8_COMPAT_HH

#include <v8-inspector.h>
#include <v8.h>

#include <memory>
#include <string>

namespace isoq {

inline v8::ScriptOrigin MakeOrigin(v8::Isolate *isolate, const char *name, int line_offset = 0) {
  v8::Local<v8::String> text = v8::String::NewFromUtf8(isolate, name).ToLocalChecked();
#if V8_MAJOR_VERSION >= 12
  (void)isolate;
  return v8::ScriptOrigin(text, line_offset, 0);
#else
  return v8::ScriptOrigin(isolate, text, line_offset, 0);
#endif
}

// UTF-8 bytes of a string; lone surrogates count and come out as U+FFFD (3 bytes, like a lone surrogate
// itself).
inline size_t Utf8Length(v8::Isolate *isolate, v8::Local<v8::String> text) {
#if V8_MAJOR_VERSION >= 13
  return text->Utf8LengthV2(isolate);
#else
  return static_cast<size_t>(text->Utf8Length(isolate));
#endif
}

inline size_t WriteUtf8(v8::Isolate *isolate, v8::Local<v8::String> text, char *out, size_t capacity) {
#if V8_MAJOR_VERSION >= 13
  return text->WriteUtf8V2(isolate, out, capacity, v8::String::WriteFlags::kReplaceInvalidUtf8);
#else
  return static_cast<size_t>(
      text->WriteUtf8(isolate, out, static_cast<int>(capacity), nullptr,
                      v8::String::NO_NULL_TERMINATION | v8::String::REPLACE_INVALID_UTF8));
#endif
}

inline void WriteUtf16(v8::Isolate *isolate, v8::Local<v8::String> text, uint16_t *out) {
#if V8_MAJOR_VERSION >= 13
  text->WriteV2(isolate, 0, static_cast<uint32_t>(text->Length()), out);
#else
  text->Write(isolate, out, 0, text->Length(), v8::String::NO_NULL_TERMINATION);
#endif
}

inline void WriteLatin1(v8::Isolate *isolate, v8::Local<v8::String> text, uint8_t *out) {
#if V8_MAJOR_VERSION >= 13
  text->WriteOneByteV2(isolate, 0, static_cast<uint32_t>(text->Length()), out);
#else
  text->WriteOneByte(isolate, out, 0, text->Length(), v8::String::NO_NULL_TERMINATION);
#endif
}

inline v8::MaybeLocal<v8::Context> CreationContext(v8::Isolate *isolate, v8::Local<v8::Object> object) {
#if V8_MAJOR_VERSION >= 13
  return object->GetCreationContext(isolate);
#else
  (void)isolate;
  return object->GetCreationContext();
#endif
}

// False: an exception is pending.
inline bool DetachBuffer(v8::Local<v8::ArrayBuffer> buffer) {
#if V8_MAJOR_VERSION >= 11
  return !buffer->Detach(v8::Local<v8::Value>()).IsNothing();
#else
  buffer->Detach();
  return true;
#endif
}

inline std::unique_ptr<v8_inspector::V8InspectorSession>
ConnectInspector(v8_inspector::V8Inspector *inspector, v8_inspector::V8Inspector::Channel *channel) {
#if V8_MAJOR_VERSION >= 11
  return inspector->connect(1, channel, v8_inspector::StringView(), v8_inspector::V8Inspector::kFullyTrusted);
#else
  return inspector->connect(1, channel, v8_inspector::StringView());
#endif
}

} // namespace isoq

#endif
