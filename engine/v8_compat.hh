// What differs between the V8 versions that isoq builds against (10.2 to 13.6), in one place.
#ifndef ISOQ_ENGINE_V8_COMPAT_HH
#define ISOQ_ENGINE_V8_COMPAT_HH

#include <v8-inspector.h>
#include <v8-platform.h>
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

// A task runner with one function for what V8 calls by many names. Neither kind of "nestable" matters here:
// tasks run from the event loop only.
class TaskRunnerBase : public v8::TaskRunner {
public:
  bool IdleTasksEnabled() override { return false; }
  bool NonNestableTasksEnabled() const override { return true; }
  bool NonNestableDelayedTasksEnabled() const override { return true; }

protected:
  virtual void Post(std::unique_ptr<v8::Task> task) = 0;
  virtual void PostDelayed(std::unique_ptr<v8::Task> task, double delay_s, bool nestable) = 0;

#if V8_MAJOR_VERSION >= 13
  using Location = const v8::SourceLocation &;
  void PostTaskImpl(std::unique_ptr<v8::Task> task, Location) override {
    Post(std::move(task));
  }
  void PostNonNestableTaskImpl(std::unique_ptr<v8::Task> task, Location) override {
    Post(std::move(task));
  }
  void PostDelayedTaskImpl(std::unique_ptr<v8::Task> task, double delay_s, Location) override {
    PostDelayed(std::move(task), delay_s, true);
  }
  void PostNonNestableDelayedTaskImpl(std::unique_ptr<v8::Task> task, double delay_s, Location) override {
    PostDelayed(std::move(task), delay_s, false);
  }
#else
public:
  void PostTask(std::unique_ptr<v8::Task> task) override {
    Post(std::move(task));
  }
  void PostNonNestableTask(std::unique_ptr<v8::Task> task) override {
    Post(std::move(task));
  }
  void PostDelayedTask(std::unique_ptr<v8::Task> task, double delay_s) override {
    PostDelayed(std::move(task), delay_s, true);
  }
  void PostNonNestableDelayedTask(std::unique_ptr<v8::Task> task, double delay_s) override {
    PostDelayed(std::move(task), delay_s, false);
  }
  void PostIdleTask(std::unique_ptr<v8::IdleTask>) override {}
#endif
};

// A platform that leaves to another one what is the same for everybody: clocks, jobs, tracing, workers.
class PlatformBase : public v8::Platform {
public:
  explicit PlatformBase(std::unique_ptr<v8::Platform> base) : base_(std::move(base)) {}

  int NumberOfWorkerThreads() override { return base_->NumberOfWorkerThreads(); }
  double MonotonicallyIncreasingTime() override { return base_->MonotonicallyIncreasingTime(); }
  double CurrentClockTimeMillis() override { return base_->CurrentClockTimeMillis(); }
  v8::TracingController *GetTracingController() override { return base_->GetTracingController(); }

#if V8_MAJOR_VERSION >= 13
  std::shared_ptr<v8::TaskRunner> GetForegroundTaskRunner(v8::Isolate *isolate, v8::TaskPriority) override {
    return TaskRunnerOf(isolate);
  }
#else
  std::shared_ptr<v8::TaskRunner> GetForegroundTaskRunner(v8::Isolate *isolate) override {
    return TaskRunnerOf(isolate);
  }
  void CallOnWorkerThread(std::unique_ptr<v8::Task> task) override {
    base_->CallOnWorkerThread(std::move(task));
  }
  void CallDelayedOnWorkerThread(std::unique_ptr<v8::Task> task, double delay_s) override {
    base_->CallDelayedOnWorkerThread(std::move(task), delay_s);
  }
#endif
#if V8_MAJOR_VERSION == 11
  std::unique_ptr<v8::JobHandle> CreateJob(v8::TaskPriority priority,
                                           std::unique_ptr<v8::JobTask> job) override {
    return base_->CreateJob(priority, std::move(job));
  }
#elif V8_MAJOR_VERSION < 11
  std::unique_ptr<v8::JobHandle> PostJob(v8::TaskPriority priority,
                                         std::unique_ptr<v8::JobTask> job) override {
    return base_->PostJob(priority, std::move(job));
  }
#endif

protected:
  virtual std::shared_ptr<v8::TaskRunner> TaskRunnerOf(v8::Isolate *isolate) = 0;
#if V8_MAJOR_VERSION >= 13
  std::unique_ptr<v8::JobHandle> CreateJobImpl(v8::TaskPriority priority, std::unique_ptr<v8::JobTask> job,
                                               const v8::SourceLocation &from) override {
    return base_->CreateJob(priority, std::move(job), from);
  }
  void PostTaskOnWorkerThreadImpl(v8::TaskPriority priority, std::unique_ptr<v8::Task> task,
                                  const v8::SourceLocation &from) override {
    base_->PostTaskOnWorkerThread(priority, std::move(task), from);
  }
  void PostDelayedTaskOnWorkerThreadImpl(v8::TaskPriority priority, std::unique_ptr<v8::Task> task,
                                         double delay_s, const v8::SourceLocation &from) override {
    base_->PostDelayedTaskOnWorkerThread(priority, std::move(task), delay_s, from);
  }
#endif

  std::unique_ptr<v8::Platform> base_;
};

} // namespace isoq

#endif
