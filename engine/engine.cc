// The engine's C interface: V8's life in this process, and the life of one job's isolate.
//
// Every job gets an isolate of its own, made for it and disposed after it. V8 runs single-threaded: no
// compiler or collector thread exists, so the process can be sandboxed by one filter, stopped by one signal,
// and (later) rewound.
#include "engine/engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <memory>
#include <mutex>

#include "engine/runtime.hh"
#include "engine/v8_compat.hh"
#include "engine/watchdog.hh"

#include <libplatform/libplatform.h>

namespace isoq {
namespace {

std::mutex platform_mutex;
std::unique_ptr<v8::Platform> platform;
enum {
  kNotStarted,
  kRunning,
  kFailed,
  kDisposed
} platform_state = kNotStarted;
int platform_error;
bool abandoned_isolates; // then V8 cannot be disposed of either

// What V8 seeds an isolate's random numbers with: Math.random, and the hash seed.
uint64_t entropy_seed;
bool entropy_fixed;

bool Entropy(unsigned char *buffer, size_t length) {
  if (!entropy_fixed) return getrandom(buffer, length, 0) == static_cast<ssize_t>(length);
  for (size_t i = 0; i < length; i++)
    buffer[i] = static_cast<unsigned char>(entropy_seed >> (i % 8 * 8));
  return true;
}

// All settings of V8 in one place; they are fixed once V8 runs.
void SetFlags() {
  v8::V8::SetFlagsFromString("--single-threaded");
#if V8_MAJOR_VERSION >= 12
  v8::V8::SetFlagsFromString("--no-memory-protection-keys"); // no pkey system calls in the sandbox
#elif V8_MAJOR_VERSION == 11
  v8::V8::SetFlagsFromString("--no-wasm-lazy-compilation"); // crashes there without helper threads
#endif
}

int StartPlatform() {
  // Jobs see UTC and en-US, whatever the machine's settings are. ICU and libc read these once, below.
  if (setenv("TZ", "UTC", 1) != 0 || setenv("LC_ALL", "en_US.UTF-8", 1) != 0) return -ENOMEM;
  int error = WatchdogInit();
  if (error != 0) return error;
  SetFlags();
  v8::V8::SetEntropySource(Entropy);
  platform = v8::platform::NewSingleThreadedDefaultPlatform();
  v8::V8::InitializePlatform(platform.get());
  return v8::V8::Initialize() ? 0 : -EIO;
}

// ---- memory

constexpr size_t kMinHeapBytes = 4u << 20;
constexpr size_t kCodeRangeBytes = 128u << 20;
constexpr size_t kHeadroomBytes = 8u << 20;
constexpr uint64_t kMaxHeadroomGrants = 6;

// V8 asks this at its limit. More memory is not what the script gets: it is stopped, and the little headroom
// is for what V8 does until it notices. A script that outruns even that ends the process (OnOutOfMemory).
size_t NearHeapLimit(void *data, size_t current_limit, size_t) {
  Runtime *runtime = static_cast<Runtime *>(data);
  WatchdogTrip(ISOQ_STATUS_OOM, "");
  if (runtime->heap_limit_grants++ >= kMaxHeadroomGrants) return current_limit;
  return current_limit + kHeadroomBytes;
}

void OnCollection(v8::Isolate *isolate, v8::GCType, v8::GCCallbackFlags) {
  if (Runtime *runtime = Runtime::From(isolate)) runtime->SampleMemory();
}

void Die(isoq_status status, const char *location) {
  v8::Isolate *isolate = v8::Isolate::GetCurrent();
  Runtime *runtime = isolate != nullptr ? Runtime::From(isolate) : nullptr;
  if (runtime != nullptr && runtime->host.dying != nullptr)
    runtime->host.dying(runtime->host.ctx, status, location != nullptr ? location : "");
  abort();
}

void OnFatalError(const char *location, const char *) {
  Die(ISOQ_STATUS_CRASHED, location);
}

#if V8_MAJOR_VERSION >= 11
void OnOutOfMemory(const char *location, const v8::OOMDetails &) {
  Die(ISOQ_STATUS_OOM, location);
}
#else
void OnOutOfMemory(const char *location, bool) {
  Die(ISOQ_STATUS_OOM, location);
}
#endif

// ---- one job

std::string Megabytes(size_t bytes) {
  return std::to_string(bytes >> 20) + " MB";
}

void ReportStop(Runtime *runtime, isoq_status reason) {
  const runtime_config &config = runtime->config;
  std::string ran = " after " + std::to_string(static_cast<int64_t>(WatchdogElapsedMs())) + " ms";
  switch (reason) {
  case ISOQ_STATUS_TIMEOUT:
    return SetFailure(runtime->out, reason, "TimeoutError",
                      "timeout: stopped" + ran + " (timeout_ms " + std::to_string(config.timeout_ms) + ")");
  case ISOQ_STATUS_CPU_TIMEOUT:
    return SetFailure(runtime->out, reason, "TimeoutError",
                      "cpu timeout: stopped after " + std::to_string(static_cast<int64_t>(WatchdogCpuMs())) +
                          " ms of processor time (cpu_ms " + std::to_string(config.cpu_ms) + ")");
  case ISOQ_STATUS_OOM:
    return SetFailure(runtime->out, reason, "MemoryError",
                      "out of memory: the limit is " + Megabytes(config.max_heap_size_bytes) +
                          " (memory_mb); the script was stopped" + ran);
  default: return SetFailure(runtime->out, reason, "CancelledError", std::string(WatchdogWhy()) + ran);
  }
}

v8::MaybeLocal<v8::String> ReadCode(Runtime *runtime, const engine_job &job) {
  v8::Isolate *isolate = runtime->isolate;
  v8::Local<v8::String> text;
  if (!v8::String::NewFromUtf8(isolate, job.code.data, v8::NewStringType::kNormal,
                               static_cast<int>(job.code.len))
           .ToLocal(&text))
    return {};
  if (!job.code_is_json) return text;
  v8::Local<v8::Value> code;
  if (!v8::JSON::Parse(runtime->Context(), text).ToLocal(&code) || !code->IsString()) return {};
  return code.As<v8::String>();
}

bool DefineInput(Runtime *runtime, const engine_job &job) {
  v8::Isolate *isolate = runtime->isolate;
  v8::Local<v8::Context> context = runtime->Context();
  v8::Local<v8::Value> value = v8::Null(isolate);
  v8::Local<v8::String> text;
  if (job.input.data != nullptr &&
      (!v8::String::NewFromUtf8(isolate, job.input.data, v8::NewStringType::kNormal,
                                static_cast<int>(job.input.len))
            .ToLocal(&text) ||
       !v8::JSON::Parse(context, text).ToLocal(&value)))
    return false;
  return context->Global()->CreateDataProperty(context, ToV8(isolate, "input"), value).FromMaybe(false);
}

// What the job brought with it, before the script runs. False: the result says what is wrong.
bool Prepare(Runtime *runtime, const engine_job &job, v8::Local<v8::String> *code) {
  v8::TryCatch catcher(runtime->isolate);
  const char *field = "code";
  if (ReadCode(runtime, job).ToLocal(code)) {
    field = "input";
    if (DefineInput(runtime, job) && InstallObjects(runtime, runtime->Context())) return true;
  }
  std::string why = catcher.HasCaught() ? ToUtf8(runtime->isolate, catcher.Exception()) : "it is too long";
  SetFailure(runtime->out, ISOQ_STATUS_INVALID, "InvalidJobError", std::string(field) + ": " + why);
  return false;
}

void RunInContext(Runtime *runtime, const engine_job &job) {
  v8::Isolate *isolate = runtime->isolate;
  v8::HandleScope scope(isolate);
  v8::Local<v8::ObjectTemplate> global = v8::ObjectTemplate::New(isolate);
  InstallGlobals(runtime, global);
  InstallCalls(runtime, global, job);
  v8::Local<v8::Context> context = v8::Context::New(isolate, nullptr, global);
  runtime->context.Reset(isolate, context);
  v8::Context::Scope entered(context);
  v8::Local<v8::String> code;
  WatchdogStart(isolate, runtime->config, runtime->host);
  if (Prepare(runtime, job, &code)) {
    std::unique_ptr<Evaluation> evaluation = Evaluate(runtime, code);
    if (evaluation != nullptr && WatchdogReason() == ISOQ_STATUS_OK) RunLoop(runtime, evaluation.get());
    runtime->out->execution_time_ms = WatchdogElapsedMs();
    runtime->out->cpu_time_ms = WatchdogCpuMs();
    isoq_status reason = WatchdogReason();
    if (reason != ISOQ_STATUS_OK)
      ReportStop(runtime, reason);
    else if (runtime->out->status == ISOQ_STATUS_ERROR && runtime->allocator->refused() &&
             strcmp(runtime->out->error.message, "Array buffer allocation failed") == 0)
      ReportStop(runtime,
                 ISOQ_STATUS_OOM); // V8's own words: the script did not catch the refusal of a buffer
    WatchdogStop();
    isolate->CancelTerminateExecution(); // the parts below must be able to clean up
  } else {
    WatchdogStop();
  }
  KeepCodeCaches(runtime);
  runtime->SampleMemory();
  runtime->out->peak_memory_bytes = runtime->peak_memory_bytes;
  runtime->out->stdout_truncated = runtime->console.truncated[1];
  runtime->out->stderr_truncated = runtime->console.truncated[2];
}

v8::Isolate *NewIsolate(const runtime_config &config, CountingAllocator *allocator) {
  v8::Isolate::CreateParams params;
  params.array_buffer_allocator = allocator;
  params.constraints.ConfigureDefaultsFromHeapSize(0, std::max(config.max_heap_size_bytes, kMinHeapBytes));
  // The same for every job: to place a range of another size, older V8s read /proc/self/maps.
  params.constraints.set_code_range_size_in_bytes(kCodeRangeBytes);
  entropy_fixed = config.has_seed;
  entropy_seed = config.seed;
  v8::Isolate *isolate = v8::Isolate::New(params);
  isolate->SetMicrotasksPolicy(v8::MicrotasksPolicy::kExplicit);
  isolate->SetPromiseRejectCallback(OnPromiseReject);
  isolate->SetFatalErrorHandler(OnFatalError);
  isolate->SetOOMErrorHandler(OnOutOfMemory);
  isolate->AddGCPrologueCallback(OnCollection);
  isolate->AddGCEpilogueCallback(OnCollection);
  return isolate;
}

void RunJob(const engine_job &job, const runtime_config &config, const engine_host &host,
            execution_result *out) {
  auto allocator = std::make_unique<CountingAllocator>(std::max(config.max_heap_size_bytes, kMinHeapBytes));
  v8::Isolate *isolate = NewIsolate(config, allocator.get());
  {
    v8::Isolate::Scope scope(isolate);
    Runtime runtime{isolate, config, host, allocator.get(), platform.get(), out};
    isolate->SetData(0, &runtime);
    isolate->AddNearHeapLimitCallback(NearHeapLimit, &runtime);
    RunInContext(&runtime, job);
    isolate->RemoveNearHeapLimitCallback(NearHeapLimit, 0);
    isolate->SetData(0, nullptr);
  }
  // A heap that has run full may not even survive its own teardown. Such an isolate is left as it is: its
  // process is replaced after this job.
  if (out->status == ISOQ_STATUS_OOM) {
    (void)allocator.release();
    abandoned_isolates = true;
  } else {
    isolate->Dispose();
  }
}

// ---- engine_execute()'s own host

struct Collected {
  std::string out, err;
};

void Collect(void *ctx, isoq_console_level level, engine_text text, bool truncated) {
  if (truncated && text.len == 0) return; // nothing of it was within the limit
  Collected *collected = static_cast<Collected *>(ctx);
  std::string &stream = isoq_console_level_stream(level) == 1 ? collected->out : collected->err;
  stream.append(text.data, text.len);
  stream += '\n';
}

} // namespace

void Runtime::SampleMemory() {
  v8::HeapStatistics heap;
  isolate->GetHeapStatistics(&heap);
  allocator->set_heap_bytes(heap.used_heap_size());
  peak_memory_bytes = std::max<uint64_t>(peak_memory_bytes, heap.used_heap_size() + allocator->bytes());
  peak_memory_bytes = std::max<uint64_t>(peak_memory_bytes, allocator->peak_bytes());
}

} // namespace isoq

using namespace isoq;

extern "C" {

int engine_init(void) {
  std::lock_guard<std::mutex> lock(platform_mutex);
  if (platform_state == kNotStarted) {
    platform_error = StartPlatform();
    platform_state = platform_error == 0 ? kRunning : kFailed;
  }
  return platform_state == kDisposed ? -ENOTSUP : platform_error;
}

bool engine_is_initialized(void) {
  std::lock_guard<std::mutex> lock(platform_mutex);
  return platform_state == kRunning;
}

void engine_dispose(void) {
  std::lock_guard<std::mutex> lock(platform_mutex);
  if (platform_state == kRunning && abandoned_isolates) {
    (void)platform.release();
  } else if (platform_state == kRunning) {
    v8::V8::Dispose();
    v8::V8::DisposePlatform();
    platform.reset();
  }
  if (platform_state != kNotStarted) platform_state = kDisposed;
}

const char *engine_v8_version(void) {
  return v8::V8::GetVersion();
}

struct runtime_config runtime_config_default(void) {
  runtime_config config = {};
  config.max_heap_size_bytes = 256u << 20;
  config.timeout_ms = 30000;
  config.capture_console = true;
  config.max_output_bytes = 1u << 20;
  config.max_result_bytes = 8u << 20;
  config.max_timers = 10000;
  config.max_calls = 1000;
  return config;
}

int engine_run(const struct engine_job *job, const struct runtime_config *config,
               const struct engine_host *host, struct execution_result *out) {
  if (job == nullptr || job->code.data == nullptr || host == nullptr || host->console == nullptr ||
      out == nullptr || !engine_is_initialized())
    return -EINVAL;
  runtime_config effective = config != nullptr ? *config : runtime_config_default();
  *out = {};
  out->status = ISOQ_STATUS_ERROR;
  RunJob(*job, effective, *host, out);
  return 0;
}

int engine_execute(const char *code, size_t code_len, const struct runtime_config *config,
                   struct execution_result *out) {
  Collected collected;
  engine_host host = {};
  host.ctx = &collected;
  host.console = Collect;
  engine_job job = {};
  job.code = {code, code_len};
  int error = engine_run(&job, config, &host, out);
  if (error != 0) return error;
  if (out->error.name != nullptr) {
    std::string buffer(strlen(out->error.name) + strlen(out->error.message) + 3, '\0');
    collected.err += engine_error_text(&out->error, buffer.data(), buffer.size());
    collected.err += '\n';
  }
  out->stdout = CopyText(collected.out.data(), collected.out.size());
  out->stdout_len = collected.out.size();
  out->stderr = CopyText(collected.err.data(), collected.err.size());
  out->stderr_len = collected.err.size();
  return 0;
}

void execution_result_free(struct execution_result *result) {
  if (result == nullptr) return;
  free(result->result);
  free(result->stdout);
  free(result->stderr);
  free(result->error.name);
  free(result->error.message);
  free(result->error.stack);
  *result = {};
}

void engine_cancel(enum isoq_status status, const char *why) {
  WatchdogTrip(status, why);
}

} // extern "C"
