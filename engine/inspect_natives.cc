// What inspect.js asks V8: the brand of a value, and what is inside a promise, a proxy or an iterator. None
// of these runs a line of the script's code.
#include "engine/runtime.hh"

namespace isoq {
namespace {

using Info = v8::FunctionCallbackInfo<v8::Value>;

#define ISOQ_BRANDS(X)                                                                                       \
  X(ArgumentsObject)                                                                                         \
  X(ArrayBuffer)                                                                                             \
  X(AsyncFunction) X(BigIntObject) X(BooleanObject) X(DataView) X(Date) X(External) X(GeneratorFunction)     \
      X(Map) X(MapIterator) X(ModuleNamespaceObject) X(NativeError) X(NumberObject) X(Promise) X(RegExp)     \
          X(Set) X(SetIterator) X(SharedArrayBuffer) X(StringObject) X(SymbolObject) X(TypedArray)           \
              X(WeakMap) X(WeakSet)

#define X(brand)                                                                                             \
  void Is##brand(const Info &info) {                                                                         \
    info.GetReturnValue().Set(info[0]->Is##brand());                                                         \
  }
ISOQ_BRANDS(X)
#undef X

void GetConstructorName(const Info &info) {
  if (info[0]->IsObject()) info.GetReturnValue().Set(info[0].As<v8::Object>()->GetConstructorName());
}

void GetOwnNonIndexProperties(const Info &info) {
  if (!info[0]->IsObject()) return;
  v8::Local<v8::Context> context = info.GetIsolate()->GetCurrentContext();
  int32_t filter = info[1]->Int32Value(context).FromMaybe(0);
  v8::Local<v8::Array> names;
  if (info[0]
          .As<v8::Object>()
          ->GetPropertyNames(context, v8::KeyCollectionMode::kOwnOnly,
                             static_cast<v8::PropertyFilter>(filter), v8::IndexFilter::kSkipIndices)
          .ToLocal(&names))
    info.GetReturnValue().Set(names);
}

// → [state, value]; state as in Node: 0 pending, 1 fulfilled, 2 rejected.
void GetPromiseDetails(const Info &info) {
  if (!info[0]->IsPromise()) return;
  v8::Isolate *isolate = info.GetIsolate();
  v8::Local<v8::Promise> promise = info[0].As<v8::Promise>();
  v8::Local<v8::Value> details[2] = {v8::Integer::New(isolate, static_cast<int>(promise->State())),
                                     v8::Undefined(isolate)};
  bool settled = promise->State() != v8::Promise::kPending;
  if (settled) details[1] = promise->Result();
  info.GetReturnValue().Set(v8::Array::New(isolate, details, settled ? 2 : 1));
}

// (value, both = true) → undefined for no proxy, else [target, handler], or the target alone.
void GetProxyDetails(const Info &info) {
  if (!info[0]->IsProxy()) return;
  v8::Local<v8::Proxy> proxy = info[0].As<v8::Proxy>();
  if (info.Length() > 1 && !info[1]->IsTrue()) {
    info.GetReturnValue().Set(proxy->GetTarget());
    return;
  }
  v8::Local<v8::Value> details[2] = {proxy->GetTarget(), proxy->GetHandler()};
  info.GetReturnValue().Set(v8::Array::New(info.GetIsolate(), details, 2));
}

// (object, isIterator = false) → the entries, or [entries, are they keys and values].
void PreviewEntries(const Info &info) {
  if (!info[0]->IsObject()) return;
  v8::Isolate *isolate = info.GetIsolate();
  bool is_key_value = false;
  v8::Local<v8::Array> entries;
  if (!info[0].As<v8::Object>()->PreviewEntries(&is_key_value).ToLocal(&entries)) return;
  if (!info[1]->IsTrue()) {
    info.GetReturnValue().Set(entries);
    return;
  }
  v8::Local<v8::Value> both[2] = {entries, v8::Boolean::New(isolate, is_key_value)};
  info.GetReturnValue().Set(v8::Array::New(isolate, both, 2));
}

void ToJobErrorNative(const Info &info) {
  info.GetReturnValue().Set(ToJobError(Runtime::From(info.GetIsolate()), info[0]));
}

} // namespace

v8::Local<v8::Object> InspectNatives(Runtime *runtime, v8::Local<v8::Context> realm) {
  v8::Isolate *isolate = runtime->isolate;
  v8::Local<v8::ObjectTemplate> natives = v8::ObjectTemplate::New(isolate);
#define X(brand) SetMethod(isolate, natives, "is" #brand, Is##brand, 1, v8::None);
  ISOQ_BRANDS(X)
#undef X
  SetMethod(isolate, natives, "getConstructorName", GetConstructorName, 1, v8::None);
  SetMethod(isolate, natives, "getOwnNonIndexProperties", GetOwnNonIndexProperties, 2, v8::None);
  SetMethod(isolate, natives, "getPromiseDetails", GetPromiseDetails, 1, v8::None);
  SetMethod(isolate, natives, "getProxyDetails", GetProxyDetails, 2, v8::None);
  SetMethod(isolate, natives, "previewEntries", PreviewEntries, 2, v8::None);
  SetMethod(isolate, natives, "toJobError", ToJobErrorNative, 1, v8::None);
  v8::Local<v8::Value> job_error_prototype;
  {
    v8::Context::Scope scope(runtime->Context());
    v8::Local<v8::Object> error = v8::Exception::Error(v8::String::Empty(isolate)).As<v8::Object>();
#if V8_MAJOR_VERSION >= 13
    job_error_prototype = error->GetPrototypeV2();
#else
    job_error_prototype = error->GetPrototype();
#endif
  }
  v8::Local<v8::Object> object = natives->NewInstance(realm).ToLocalChecked();
  object->Set(realm, ToV8(isolate, "errorPrototype"), job_error_prototype).Check();
  return object;
}

} // namespace isoq
