// The engine's C interface: V8's life in this process, and the life of one job's isolate.
//
// Every job gets an isolate of its own, made for it and disposed after it; or, after engine_checkpoint(), one that was
// made before the checkpoint and is as new after each rewind. V8 runs single-threaded: no compiler or collector thread
// exists, so the process can be sandboxed by one filter, stopped by one signal, and rewound.
#include "engine/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <memory>
#include <mutex>
#include <string_view>

#include "engine/allocator.hh"
#include "engine/inspector.hh"
#include "engine/platform.hh"
#include "engine/random.hh"
#include "engine/rewind.hh"
#include "engine/runtime.hh"
#include "engine/v8_compat.hh"
#include "engine/watchdog.hh"

#include <libplatform/libplatform.h>

namespace isoq {
namespace {

std::mutex platform_mutex;
std::unique_ptr<Platform> platform;
enum {
  kNotStarted,
  kRunning,
  kFailed,
  kDisposed
} platform_state = kNotStarted;
int platform_error;
bool abandoned_isolates; // then V8 cannot be disposed of either

// All settings of V8 in one place; they are fixed once V8 runs.
void SetFlags() {
  v8::V8::SetFlagsFromString("--single-threaded");
#if V8_MAJOR_VERSION >= 12
  v8::V8::SetFlagsFromString("--no-memory-protection-keys"); // no pkey system calls in the sandbox
  // Without threads, a loop that Maglev entered never gets faster code.
  v8::V8::SetFlagsFromString("--no-maglev-osr");
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
  v8::V8::SetEntropySource(RandomEntropy);
  platform = std::make_unique<Platform>(v8::platform::NewSingleThreadedDefaultPlatform());
  v8::V8::InitializePlatform(platform.get());
  return v8::V8::Initialize() ? 0 : -EIO;
}

// ---- memory

constexpr size_t kMinHeapBytes = 4u << 20;
constexpr size_t kCodeRangeBytes = 128u << 20;
constexpr size_t kStackBytes = 984u << 10; // V8's own choice
constexpr size_t kHeadroomBytes = 8u << 20;
constexpr uint64_t kMaxHeadroomGrants = 6;

// V8 asks this at its limit. More memory is not what the script gets: it is stopped, and the little headroom
// is for what V8 does until it notices. A script that outruns even that ends the process (OnOutOfMemory).
size_t NearHeapLimit(void *data, size_t current_limit, size_t) {
  Runtime *runtime = static_cast<Runtime *>(data);
  runtime->SampleMemory();
  runtime->RunOutOfMemory(MemoryBudget::Shortage::kHeap);
  if (runtime->heap_limit_grants++ >= kMaxHeadroomGrants) return current_limit;
  // More than the limit is in use already where V8 let one large object pass.
  if (runtime->heap_limit_grants == 1) current_limit = std::max(current_limit, runtime->budget->heap_bytes());
  return current_limit + kHeadroomBytes;
}

void OnCollection(v8::Isolate *isolate, v8::GCType, v8::GCCallbackFlags) {
  Runtime *runtime = Runtime::From(isolate);
  if (runtime == nullptr) return;
  runtime->SampleMemory();
  // V8 itself grants a young object of any size (a string of 500 MB), once, whatever the heap's limit.
  if (runtime->budget->heap_bytes() > runtime->budget->limit_bytes())
    runtime->RunOutOfMemory(MemoryBudget::Shortage::kTotal);
}

// What is left of a full collection is in use: heap, buffers and the rest together must be within the limit.
void OnFullCollection(v8::Isolate *isolate, v8::GCType type, v8::GCCallbackFlags flags) {
  Runtime *runtime = Runtime::From(isolate);
  OnCollection(isolate, type, flags);
  if (runtime != nullptr && runtime->budget->used_bytes() > runtime->budget->limit_bytes())
    runtime->RunOutOfMemory(MemoryBudget::Shortage::kTotal);
}

// The same for a script that ended before V8 collected.
void CheckMemoryAtEnd(Runtime *runtime) {
  OnCollection(runtime->isolate, v8::kGCTypeAll, v8::kNoGCCallbackFlags);
  if (WatchdogReason() == ISOQ_STATUS_OK && runtime->budget->used_bytes() > runtime->budget->limit_bytes())
    runtime->isolate->LowMemoryNotification(); // OnFullCollection() looks at what remains
}

constexpr size_t kMessageBytes = 512;

double Megabytes(size_t bytes) {
  return static_cast<double>(bytes) / (1 << 20);
}

// On V8's stack, with a heap that may be unusable: no malloc, and no question to V8.
void Die(isoq_status status, const char *location) {
  v8::Isolate *isolate = v8::Isolate::GetCurrent();
  Runtime *runtime = isolate != nullptr ? Runtime::From(isolate) : nullptr;
  char why[kMessageBytes];
  if (runtime == nullptr || runtime->host.dying == nullptr) abort();
  if (location == nullptr) location = "";
  if (status == ISOQ_STATUS_OOM)
    snprintf(why, sizeof why,
             "%.1f MB used and more asked for, over memory_mb %zu; V8 gave up after %.0f ms (%s)",
             Megabytes(runtime->budget->used_bytes()), runtime->config.max_heap_size_bytes >> 20,
             WatchdogElapsedMs(), location);
  else
    snprintf(why, sizeof why, "%s", location);
  runtime->host.dying(runtime->host.ctx, status, why);
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

__attribute__((format(printf, 1, 2))) std::string Format(const char *format, ...) {
  char text[kMessageBytes];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return text;
}

std::string DescribeShortage(const MemoryBudget &budget, size_t limit_mb) {
  double used = Megabytes(budget.used_bytes());
  switch (budget.shortage()) {
  case MemoryBudget::Shortage::kBytes:
    return Format("memory: %.1f MB used and %.1f MB more asked for, over memory_mb %zu", used,
                  Megabytes(budget.asked_bytes()), limit_mb);
  case MemoryBudget::Shortage::kMappings:
    return Format(
        "memory: %.1f MB of memory_mb %zu used, and no more WebAssembly memories or resizable buffers "
        "to be had: %zu are the most that a job may have at a time",
        used, limit_mb, Pages::kMaxReservations);
  case MemoryBudget::Shortage::kTotal:
    return Format("memory: %.1f MB used, over memory_mb %zu", used, limit_mb);
  default: return Format("memory: %.1f MB used and more asked for, over memory_mb %zu", used, limit_mb);
  }
}

// The same form for each limit: what was used, over which limit, and its value.
void ReportStop(Runtime *runtime, isoq_status reason) {
  const runtime_config &config = runtime->config;
  double ran_ms = WatchdogElapsedMs();
  switch (reason) {
  case ISOQ_STATUS_TIMEOUT:
    return SetFailure(runtime->out, reason, "TimeoutError",
                      Format("timeout: %.0f ms used, over timeout_ms %u", ran_ms,
                             runtime->trace->RecordedLimit(config.timeout_ms)));
  case ISOQ_STATUS_CPU_TIMEOUT:
    return SetFailure(
        runtime->out, reason, "TimeoutError",
        Format("cpu_timeout: %.0f ms of processor time used, over cpu_ms %u; stopped after %.0f ms",
               WatchdogCpuMs(), runtime->trace->RecordedLimit(config.cpu_ms), ran_ms));
  case ISOQ_STATUS_OOM:
    return SetFailure(runtime->out, reason, "MemoryError",
                      DescribeShortage(*runtime->budget, runtime->trace->RecordedLimit(static_cast<uint32_t>(
                                                             config.max_heap_size_bytes >> 20))) +
                          Format("; stopped after %.0f ms", ran_ms));
  default:
    return SetFailure(runtime->out, reason, "CancelledError",
                      Format("%s after %.0f ms", WatchdogWhy(), ran_ms));
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

// A prepared context has one that is null.
bool HasItsInput(const Runtime *runtime, const engine_job &job) {
  return runtime->prepared != nullptr &&
         (job.input.data == nullptr || std::string_view(job.input.data, job.input.len) == "null");
}

// What the job brought with it, before the script runs. False: the result says what is wrong, unless a limit
// stopped it, which counts more (see RunInContext()).
bool Prepare(Runtime *runtime, const engine_job &job, v8::Local<v8::String> *code) {
  v8::TryCatch catcher(runtime->isolate);
  const char *field = "code";
  if (ReadCode(runtime, job).ToLocal(code)) {
    field = "input";
    if ((HasItsInput(runtime, job) || DefineInput(runtime, job)) &&
        (runtime->prepared != nullptr || InstallObjects(runtime, runtime->Context())))
      return true;
  }
  std::string why = catcher.HasCaught() ? ToUtf8(runtime->isolate, catcher.Exception()) : "it is too long";
  SetFailure(runtime->out, ISOQ_STATUS_INVALID, "InvalidJobError", std::string(field) + ": " + why);
  return false;
}

// What V8 throws when it was refused memory outside its heap; and nobody caught it.
bool IsUncaughtRefusal(const Runtime *runtime) {
  static const char *const starts[] = {
      "Array buffer allocation failed",
      "ArrayBuffer.prototype.resize: Out of memory",
      "SharedArrayBuffer.prototype.grow: Out of memory",
      "WebAssembly.Memory(): could not allocate memory",
      "WebAssembly.Memory.grow(): Unable to grow instance memory",
      "WebAssembly.Instance(): Out of memory",
      "WebAssembly.instantiate(): Out of memory",
      "Unable to deserialize cloned data.", // structuredClone()
  };
  if (runtime->out->status != ISOQ_STATUS_ERROR || !runtime->budget->refused()) return false;
  for (const char *start : starts)
    if (strncmp(runtime->out->error.message, start, strlen(start)) == 0) return true;
  return false;
}

v8::Local<v8::Context> NewContext(Runtime *runtime, const char *const *functions, size_t count) {
  v8::Isolate *isolate = runtime->isolate;
  v8::Local<v8::ObjectTemplate> global = v8::ObjectTemplate::New(isolate);
  InstallGlobals(runtime, global);
  InstallCalls(runtime, global, functions, count);
  v8::Local<v8::Context> context = v8::Context::New(isolate, nullptr, global);
  runtime->context.Reset(isolate, context);
  return context;
}

void RunInContext(Runtime *runtime, const engine_job &job) {
  v8::Isolate *isolate = runtime->isolate;
  v8::Local<v8::String> code;
  runtime->platform->pages().StartJob(runtime->budget);
  WatchdogStart(isolate, runtime->config, runtime->host);
  runtime->trace->CheckStop();
  std::unique_ptr<Inspector> inspector;
  if (job.inspect.data != nullptr)
    inspector = std::make_unique<Inspector>(runtime, std::string(job.inspect.data, job.inspect.len));
  runtime->inspector = inspector.get();
  std::unique_ptr<Evaluation> evaluation;
  if (runtime->prepared != nullptr && !RemoveOtherCalls(runtime, job)) abort();
  bool prepared = Prepare(runtime, job, &code);
  if (prepared && inspector != nullptr) inspector->WaitForClient();
  if (prepared && WatchdogReason() == ISOQ_STATUS_OK) evaluation = Evaluate(runtime, code);
  if (evaluation != nullptr && WatchdogReason() == ISOQ_STATUS_OK) RunLoop(runtime, evaluation.get());
  if (WatchdogReason() == ISOQ_STATUS_OK) runtime->trace->CheckEnd();
  if (WatchdogReason() == ISOQ_STATUS_OK) CheckMemoryAtEnd(runtime);
  runtime->out->execution_time_ms = WatchdogElapsedMs();
  runtime->out->cpu_time_ms = WatchdogCpuMs();
  isoq_status reason = WatchdogReason();
  if (reason != ISOQ_STATUS_OK)
    ReportStop(runtime, reason);
  else if (IsUncaughtRefusal(runtime))
    ReportStop(runtime, ISOQ_STATUS_OOM);
  else if (inspector != nullptr && runtime->out->status == ISOQ_STATUS_ERROR &&
           runtime->out->error.name == nullptr)
    SetFailure(runtime->out, ISOQ_STATUS_CANCELLED, "CancelledError", "stopped by the debugger");
  WatchdogStop();
  if (reason == ISOQ_STATUS_OK) runtime->trace->CheckUsedUp();
  if (!runtime->trace->difference().empty())
    runtime->out->difference =
        CopyText(runtime->trace->difference().data(), runtime->trace->difference().size());
  isolate->CancelTerminateExecution(); // the parts below must be able to clean up
  evaluation.reset();
  runtime->inspector = nullptr;
  inspector.reset();
  KeepCodeCaches(runtime);
  if (reason != ISOQ_STATUS_OK) runtime->SampleMemory(); // else it has been
  runtime->out->peak_memory_bytes = runtime->budget->peak_bytes();
  runtime->out->stdout_truncated = runtime->console.truncated[1];
  runtime->out->stderr_truncated = runtime->console.truncated[2];
}

// Its random numbers come from RandomEntropy().
v8::Isolate *NewIsolate(size_t max_heap_bytes, CountingAllocator *allocator) {
  v8::Isolate::CreateParams params;
  params.array_buffer_allocator = allocator;
  params.constraints.ConfigureDefaultsFromHeapSize(0, std::max(max_heap_bytes, kMinHeapBytes));
  // The same for every job: to place a range of another size, older V8s read /proc/self/maps.
  params.constraints.set_code_range_size_in_bytes(kCodeRangeBytes);
  v8::Isolate *isolate = v8::Isolate::New(params);
  isolate->SetMicrotasksPolicy(v8::MicrotasksPolicy::kExplicit);
  isolate->SetPromiseRejectCallback(OnPromiseReject);
  isolate->SetFatalErrorHandler(OnFatalError);
  isolate->SetOOMErrorHandler(OnOutOfMemory);
  isolate->AddGCPrologueCallback(OnCollection);
  isolate->AddGCEpilogueCallback(OnFullCollection, v8::kGCTypeMarkSweepCompact);
  isolate->AddGCEpilogueCallback(
      OnCollection, static_cast<v8::GCType>(v8::kGCTypeAll & ~static_cast<int>(v8::kGCTypeMarkSweepCompact)));
  return isolate;
}

// The job in its isolate, which is entered.
// Not inlined: a script has as much stack below this frame whoever made its isolate, and wherever.
__attribute__((noinline)) void RunInIsolate(Runtime *runtime, const engine_job &job) {
  v8::Isolate *isolate = runtime->isolate;
  isolate->SetStackLimit(reinterpret_cast<uintptr_t>(__builtin_frame_address(0)) - kStackBytes);
  Trace trace(runtime->host, runtime->config, job.trace);
  runtime->trace = &trace;
  platform->set_trace(&trace);
  isolate->SetData(0, runtime);
  isolate->AddNearHeapLimitCallback(NearHeapLimit, runtime);
  {
    v8::HandleScope scope(isolate);
    v8::Context::Scope entered(runtime->prepared != nullptr
                                   ? runtime->Context()
                                   : NewContext(runtime, job.functions, job.function_count));
    RunInContext(runtime, job);
  }
  isolate->RemoveNearHeapLimitCallback(NearHeapLimit, 0);
  platform->set_trace(nullptr);
  isolate->SetData(0, nullptr);
}

void RunInNewIsolate(const engine_job &job, const runtime_config &config, const engine_host &host,
                     bool is_alone, execution_result *out) {
  auto budget = std::make_unique<MemoryBudget>(std::max(config.max_heap_size_bytes, kMinHeapBytes));
  auto allocator = std::make_unique<CountingAllocator>(budget.get());
  RandomSetSeed(config.has_seed ? &config.seed : nullptr);
  v8::Isolate *isolate = NewIsolate(config.max_heap_size_bytes, allocator.get());
  {
    v8::Isolate::Scope scope(isolate);
    // In V8 10, the isolate that makes the heap which all of a process share draws a number for it. Those that find it
    // there, as beside the prepared one, draw it here, so that a seed gives the same numbers.
    if (V8_MAJOR_VERSION < 11 && !is_alone) {
      v8::HandleScope handles(isolate);
      v8::Symbol::New(isolate); // draws its hash
    }
    Runtime runtime{isolate, config, host, budget.get(), platform.get(), out};
    RunInIsolate(&runtime, job);
  }
  // A heap that has run full may not even survive its own teardown. Such an isolate is left as it is: its
  // process is replaced after this job.
  if (out->status == ISOQ_STATUS_OOM) {
    (void)allocator.release();
    (void)budget.release();
    abandoned_isolates = true;
  } else {
    platform->Close(isolate);
    isolate->Dispose();
    platform->Forget(isolate);
  }
  platform->pages().EndJob();
}

// ---- the prepared isolate

// Everything of it is in the checkpoint.
struct Prepared {
  explicit Prepared(size_t max_heap_bytes)
      : heap_bytes(max_heap_bytes), budget(max_heap_bytes), allocator(&budget) {}

  const size_t heap_bytes;
  MemoryBudget budget; // what the isolate took before the checkpoint
  CountingAllocator allocator;
  v8::Isolate *isolate = nullptr;
  v8::Global<v8::Context> context;
  std::vector<std::string> functions;
  IsolateRandom random;
  bool holding = false;          // a script that is compiled already
  bool used = false;             // since the checkpoint
  bool may_rewind = false;       // as engine_rewind_refusal() has found
  const char *refusal = nullptr; // why the process cannot be rewound after what ran since the checkpoint
};

Prepared *prepared;

// Whether the job finds in the prepared isolate what it would find in a new one.
bool IsFor(const engine_job &job, const runtime_config &config) {
  if (prepared == nullptr || prepared->used || config.max_heap_size_bytes != prepared->heap_bytes ||
      job.inspect.data != nullptr)
    return false;
  size_t known = 0;
  for (size_t i = 0; i < prepared->functions.size() && known < job.function_count; i++)
    known += prepared->functions[i] == job.functions[known];
  return known == job.function_count;
}

void RunInPrepared(const engine_job &job, const runtime_config &config, const engine_host &host,
                   execution_result *out) {
  v8::Isolate *isolate = prepared->isolate;
  MemoryBudget budget(std::max(config.max_heap_size_bytes, kMinHeapBytes));
  uint64_t seed = config.seed;
  prepared->used = true;
  if (!config.has_seed && !RandomBytes(&seed, sizeof(seed))) abort(); // never the numbers of another job
  prepared->random.Seed(seed);
  RandomSetSeed(config.has_seed ? &config.seed : nullptr);
  prepared->allocator.set_budget(&budget);
  budget.Add(prepared->budget.used_bytes());
  {
    v8::Isolate::Scope scope(isolate);
    Runtime runtime{isolate, config, host, &budget, platform.get(), out};
    runtime.prepared = &prepared->functions;
    runtime.context.Reset(isolate, prepared->context);
    RunInIsolate(&runtime, job);
  }
  prepared->allocator.set_budget(&prepared->budget);
  platform->pages().EndJob();
}

void RunJob(const engine_job &job, const runtime_config &config, const engine_host &host,
            execution_result *out) {
  if (prepared != nullptr) prepared->may_rewind = false;
  if (IsFor(job, config))
    RunInPrepared(job, config, host, out);
  else
    RunInNewIsolate(job, config, host, prepared == nullptr, out);
  if (prepared == nullptr || prepared->refusal != nullptr) return;
  bool clean = out->status == ISOQ_STATUS_OK || out->status == ISOQ_STATUS_ERROR ||
               out->status == ISOQ_STATUS_OUTPUT_LIMIT || out->status == ISOQ_STATUS_INVALID;
  if (!clean) prepared->refusal = "the job was stopped";
}

void IgnoreConsole(void *, isoq_console_level, engine_text, bool) {}

// The isolate, with all that a script finds but for what its job brings.
bool MakePrepared(const engine_rewind_options &options) {
  static const engine_host host = [] {
    engine_host only_console = {};
    only_console.console = IgnoreConsole;
    return only_console;
  }();
  static execution_result nowhere;
  runtime_config config = runtime_config_default();
  config.max_heap_size_bytes = std::max(options.max_heap_size_bytes, kMinHeapBytes);
  auto made = std::make_unique<Prepared>(config.max_heap_size_bytes);
  platform->pages().Stock();
  RewindDrainMalloc();
  made->functions.assign(options.functions, options.functions + options.function_count);
  IsolateRandom::StartMarking();
  made->isolate = NewIsolate(config.max_heap_size_bytes, &made->allocator);
  v8::Isolate::Scope entered(made->isolate);
  v8::HandleScope scope(made->isolate);
  Runtime runtime{made->isolate, config, host, &made->budget, platform.get(), &nowhere};
  made->isolate->SetData(0, &runtime);
  v8::Local<v8::Context> context = NewContext(&runtime, options.functions, options.function_count);
  v8::Context::Scope inside(context);
  bool ok =
      DefineInput(&runtime, {}) && InstallObjects(&runtime, context); // `input` keeps its place in the order
  IsolateRandom::StopMarking();
  made->context.Reset(made->isolate, context);
  made->isolate->SetData(0, nullptr);
  prepared = made.release();
  return ok;
}

// In the prepared isolate, of which nothing has been used.
bool CompilePrepared(const engine_job &job) {
  static const engine_host host = {};
  static const runtime_config config = {};
  static execution_result nowhere;
  v8::Isolate *isolate = prepared->isolate;
  v8::Isolate::Scope entered(isolate);
  v8::HandleScope scope(isolate);
  Runtime runtime{isolate, config, host, &prepared->budget, platform.get(), &nowhere};
  runtime.context.Reset(isolate, prepared->context);
  v8::Context::Scope inside(runtime.Context());
  v8::TryCatch catcher(isolate);
  v8::Local<v8::String> code;
  // Less than a job has: what compiles here compiles in each of them.
  isolate->SetStackLimit(reinterpret_cast<uintptr_t>(__builtin_frame_address(0)) - kStackBytes / 2);
  prepared->holding = true;
  return ReadCode(&runtime, job).ToLocal(&code) && CompileAhead(&runtime, code);
}

MemoryChanges ChangesNow() {
  return platform->pages().Changes();
}

int Rewind(volatile void *keep, size_t keep_len) {
  int64_t watchdog_ns = WatchdogFiresNs();
  int error = CheckpointRestore(ChangesNow(), keep, keep_len);
  WatchdogRemember(watchdog_ns);
  return error;
}

// V8's table of WebAssembly functions belongs to the process, begins with the first one and grows by itself, without
// the page allocator. It is to be in the checkpoint; what it grows by later is noticed (rewind.hh).
int BeginProcessTables() {
  static const char sample[] =
      "typeof WebAssembly !== 'object' || new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array("
      "[0,97,115,109,1,0,0,0,1,7,1,96,2,127,127,1,127,3,2,1,0,7,7,1,3,97,100,100,0,0,10,9,1,7,0,32,0,32,1,"
      "106,11]))).exports.add(1, 2) === 3";
  runtime_config config = runtime_config_default();
  execution_result out;
  int error = engine_execute(sample, sizeof(sample) - 1, &config, &out);
  if (error != 0) return error;
  if (!out.success || out.result == nullptr || strcmp(out.result, "true") != 0) error = -EIO;
  execution_result_free(&out);
  return error;
}

// A descriptor of the number that the caller has chosen.
int OpenStatm(int wanted) {
  int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -errno;
  if (fd == wanted) return 0;
  int error = dup3(fd, wanted, O_CLOEXEC) < 0 ? -errno : 0;
  close(fd);
  return error;
}

// A first checkpoint, to find V8's random numbers and to learn which pages small jobs use; then the one that stays.
int TakeCheckpoint(int statm) {
  static const char sample[] =
      "const o = {a: [1, 2, 3].map(x => x * 2)}; globalThis.left = 1; JSON.stringify(o)";
  RewindDrainMalloc();
  int error = CheckpointTake(statm);
  if (error != 0) return error;
  {
    v8::Isolate::Scope entered(prepared->isolate);
    if (!prepared->random.Find(prepared->isolate)) return -ENOTSUP;
  }
  platform->pages().Arm();
  error = CheckpointTake(statm);
  if (error != 0) return error;
  runtime_config config = runtime_config_default();
  config.max_heap_size_bytes = prepared->heap_bytes;
  execution_result out;
  error = engine_execute(sample, sizeof(sample) - 1, &config, &out);
  if (error != 0) return error;
  if (!out.success || CheckpointRefusal(ChangesNow()) != nullptr) return -ENOTSUP;
  error = CheckpointLearn();
  if (error != 0) return error;
  if (Rewind(nullptr, 0) != 0) return -ENOTRECOVERABLE;
  return CheckpointTake(statm);
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
  budget->set_heap_bytes(heap.used_heap_size());
}

void Runtime::RunOutOfMemory(MemoryBudget::Shortage shortage) {
  budget->Refuse(shortage, 0);
  WatchdogTrip(ISOQ_STATUS_OOM, "");
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

int engine_rewind_init(void) {
#if V8_MAJOR_VERSION == 11
  return -ENOTSUP; // to place a second isolate's code, it reads /proc/self/maps, which is locked away
#else
  return RewindPrepareMalloc();
#endif
}

int engine_checkpoint(const struct engine_rewind_options *options) {
  if (options == nullptr || prepared != nullptr || !engine_is_initialized()) return -EINVAL;
  int error = OpenStatm(options->statm_fd);
  if (error != 0) return error;
  error = BeginProcessTables();
  if (error == 0) error = MakePrepared(*options) ? TakeCheckpoint(options->statm_fd) : -EIO;
  if (error == 0) return 0;
  close(options->statm_fd);
  CheckpointDrop();
  platform->pages().Disarm();
  prepared = nullptr; // left as it is: whatever it lacks may be what its end would need
  abandoned_isolates = true;
  return error;
}

const char *engine_rewind_refusal(void) {
  if (prepared == nullptr) return "there is no checkpoint";
  const char *refusal = prepared->refusal != nullptr ? prepared->refusal : CheckpointRefusal(ChangesNow());
  prepared->may_rewind = refusal == nullptr;
  return refusal;
}

int engine_rewind(volatile void *keep, size_t keep_len) {
  bool asked = prepared != nullptr && prepared->may_rewind;
  if (!asked && engine_rewind_refusal() != nullptr) return -EPERM;
  return Rewind(keep, keep_len);
}

int engine_hold(const struct engine_job *job, volatile void *keep, size_t keep_len) {
  if (prepared == nullptr || prepared->used || prepared->holding) return -ENOTSUP;
  // The second time without what large jobs have left: warm pages, all of which would be looked at.
  for (bool cooled : {false, true}) {
    // What was written since the last rewind would be held, too; what the compiler has left after a refusal goes.
    if (engine_rewind(keep, keep_len) < 0) return -ENOTRECOVERABLE;
    int error = cooled ? CheckpointCool() : 0;
    if (error == 0) error = CompilePrepared(*job) ? CheckpointAdvance(ChangesNow()) : -ENOTSUP;
    if (error == 0 || error == -ENOTRECOVERABLE) return error;
    if (error != -E2BIG) break;
  }
  return engine_rewind(keep, keep_len) < 0 ? -ENOTRECOVERABLE : -ENOTSUP;
}

bool engine_is_holding(void) {
  return prepared != nullptr && prepared->holding;
}

int engine_release(volatile void *keep, size_t keep_len) {
  if (!engine_is_holding()) return 0;
  int error = CheckpointWithdraw();
  return error == 0 ? engine_rewind(keep, keep_len) : error;
}

bool engine_used_prepared(void) {
  return prepared != nullptr && prepared->used;
}

bool engine_is_rewinding(void) {
  return CheckpointRestoring();
}

void engine_rewind_touch(void *data, size_t len) {
  RewindTouch(data, len);
}

struct engine_rewind_size engine_rewind_measure(void) {
  CheckpointSize size = CheckpointMeasure();
  return {size.saved_bytes, size.runs, size.gaps, size.mappings};
}

int engine_run(const struct engine_job *job, const struct runtime_config *config,
               const struct engine_host *host, struct execution_result *out) {
  if (job == nullptr || job->code.data == nullptr || host == nullptr || host->console == nullptr ||
      out == nullptr || !engine_is_initialized())
    return -EINVAL;
  if (job->inspect.data != nullptr &&
      (host->inspect_out == nullptr || host->inspect_pending == nullptr || host->wait == nullptr))
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
  free(result->difference);
  *result = {};
}

void engine_cancel(enum isoq_status status, const char *why) {
  WatchdogTrip(status, why);
}

} // extern "C"
