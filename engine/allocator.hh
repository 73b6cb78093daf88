// ArrayBuffer memory of one isolate, counted against the job's memory limit. What V8 maps itself (WebAssembly
// memories, buffers that can grow) does not come through here: see pages.hh.
#ifndef ISOQ_ENGINE_ALLOCATOR_HH
#define ISOQ_ENGINE_ALLOCATOR_HH

#include <v8.h>

#include <cstddef>
#include <cstdlib>

#include "engine/memory.hh"

namespace isoq {

class CountingAllocator : public v8::ArrayBuffer::Allocator {
public:
  // `budget` is borrowed, until another one takes its place.
  explicit CountingAllocator(MemoryBudget *budget) : budget_(budget) {}
  void set_budget(MemoryBudget *budget) { budget_ = budget; }

  void *Allocate(size_t length) override {
    return Admit(length) ? Count(calloc(1, length ? length : 1), length) : nullptr;
  }
  void *AllocateUninitialized(size_t length) override {
    return Admit(length) ? Count(malloc(length ? length : 1), length) : nullptr;
  }
  void Free(void *data, size_t length) override {
    free(data);
    budget_->Remove(length);
  }

private:
  // V8 itself does not check the result of the smallest allocations: they must not fail.
  static constexpr size_t kAlwaysGranted = 64;

  bool Admit(size_t length) { return length <= kAlwaysGranted || budget_->Admit(length); }
  void *Count(void *data, size_t length) {
    if (data != nullptr) budget_->Add(length);
    return data;
  }

  MemoryBudget *budget_;
};

} // namespace isoq

#endif
