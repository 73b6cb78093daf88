// What one job's memory adds up to: V8's heap, ArrayBuffers (allocator.hh), and what V8 maps by itself for
// WebAssembly memories and for buffers that can grow (pages.hh). One limit holds for the sum.
//
// The heap's part is a sample: V8 tells it at collections only. V8 enforces the limit on the heap by itself;
// what is outside it is refused here, and both together are looked at after each full collection (engine.cc).
#ifndef ISOQ_ENGINE_MEMORY_HH
#define ISOQ_ENGINE_MEMORY_HH

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace isoq {

class MemoryBudget {
public:
  // Why a job was last told that there is no more.
  enum class Shortage {
    kNone,
    kHeap,    // V8 reached its heap limit
    kTotal,   // heap and the rest together are over the limit
    kBytes,   // `asked_bytes` outside the heap did not fit
    kMappings // there are too many mappings, or the system has no more
  };

  explicit MemoryBudget(size_t limit_bytes) : limit_bytes_(limit_bytes) {}

  // Whether `bytes` more may be taken outside the heap. False is remembered.
  bool Admit(size_t bytes) {
    if (used_bytes() < limit_bytes_ && bytes <= limit_bytes_ - used_bytes()) return true;
    Refuse(Shortage::kBytes, bytes);
    return false;
  }
  void Refuse(Shortage shortage, size_t asked_bytes) {
    shortage_ = shortage;
    asked_bytes_ = asked_bytes;
    refused_ |= shortage == Shortage::kBytes || shortage == Shortage::kMappings;
  }
  void Add(size_t bytes) {
    outside_bytes_ += bytes;
    NotePeak();
  }
  void Remove(size_t bytes) { outside_bytes_ -= bytes; }
  void set_heap_bytes(size_t bytes) {
    heap_bytes_ = bytes;
    NotePeak();
  }

  size_t limit_bytes() const { return limit_bytes_; }
  size_t used_bytes() const { return heap_bytes_ + outside_bytes_; }
  size_t heap_bytes() const { return heap_bytes_; }
  uint64_t peak_bytes() const { return peak_bytes_; }
  Shortage shortage() const { return shortage_; }
  size_t asked_bytes() const { return asked_bytes_; }
  // Whether anything outside the heap was ever refused.
  bool refused() const { return refused_; }

private:
  void NotePeak() { peak_bytes_ = std::max<uint64_t>(peak_bytes_, used_bytes()); }

  const size_t limit_bytes_;
  size_t heap_bytes_ = 0, outside_bytes_ = 0, asked_bytes_ = 0;
  uint64_t peak_bytes_ = 0;
  Shortage shortage_ = Shortage::kNone;
  bool refused_ = false;
};

} // namespace isoq

#endif
