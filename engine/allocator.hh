// ArrayBuffer memory of one isolate, counted against the job's memory limit. WebAssembly memory and resizable
// buffers do not come through here: V8 maps them itself, and the broker's watch on the resident size sees
// them.
#ifndef ISOQ_ENGINE_ALLOCATOR_HH
#define ISOQ_ENGINE_ALLOCATOR_HH

#include <v8.h>

#include <cstddef>
#include <cstdlib>

namespace isoq {

class CountingAllocator : public v8::ArrayBuffer::Allocator {
public:
  explicit CountingAllocator(size_t limit_bytes) : limit_bytes_(limit_bytes) {}

  void *Allocate(size_t length) override {
    return Admit(length) ? Count(calloc(1, length ? length : 1), length) : nullptr;
  }
  void *AllocateUninitialized(size_t length) override {
    return Admit(length) ? Count(malloc(length ? length : 1), length) : nullptr;
  }
  void Free(void *data, size_t length) override {
    free(data);
    bytes_ -= length;
  }

  size_t bytes() const { return bytes_; }
  size_t peak_bytes() const { return peak_bytes_; }
  // Whether an allocation was refused for the limit.
  bool refused() const { return refused_; }
  // What the heap uses counts against the same limit; told at every collection.
  void set_heap_bytes(size_t bytes) { heap_bytes_ = bytes; }

private:
  // V8 itself does not check the result of the smallest allocations: they must not fail.
  static constexpr size_t kAlwaysGranted = 64;

  bool Admit(size_t length) {
    if (length <= kAlwaysGranted) return true;
    size_t used = bytes_ + heap_bytes_;
    if (used < limit_bytes_ && length <= limit_bytes_ - used) return true;
    refused_ = true;
    return false;
  }
  void *Count(void *data, size_t length) {
    if (data == nullptr) return nullptr;
    bytes_ += length;
    if (bytes_ > peak_bytes_) peak_bytes_ = bytes_;
    return data;
  }

  const size_t limit_bytes_;
  size_t bytes_ = 0, peak_bytes_ = 0, heap_bytes_ = 0;
  bool refused_ = false;
};

} // namespace isoq

#endif
