// Where V8 gets its pages: its own page allocator, with a look at each call.
//
// The look is for memory that scripts get behind the back of the ArrayBuffer allocator: WebAssembly memories,
// and buffers with a maxByteLength. V8 reserves their largest size without access (four gigabytes, mostly),
// and makes readable and writable what is in use; so the second counts, and is refused above the job's limit,
// which V8 reports to the script as any failed allocation.
//
// V8's heap, its code range and WebAssembly code come through the same functions and have limits of their own.
// What tells them apart, on V8 10.2, 11.3 and 13.6 alike: heap pages are aligned to 256 KiB, a script's
// mappings to 64 KiB at most; the code range is reserved when the isolate is made, before any job; and code is
// reserved as memory that will be executable.
//
// Every page that V8 takes, gives back or protects passes here and nowhere else. So this is also the place for the
// bookkeeping that rewinding needs (rewind.hh). After Arm(), what is mapped is noted until it is given back. Memory
// from before stays mapped: giving it back does nothing, and changes of its permissions are noted. The notes lie in
// memory that is itself put back, so after a rewind they are as empty as at the checkpoint.
#ifndef ISOQ_ENGINE_PAGES_HH
#define ISOQ_ENGINE_PAGES_HH

#include <v8-platform.h>
#include <v8-version.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "engine/memory.hh"
#include "engine/rewind.hh"

namespace isoq {

class Pages : public v8::PageAllocator {
public:
  // Of one job, at a time. Each takes up to 4 GiB of address space, of which there are 128 TiB, and two of the
  // 65,530 mappings that Linux allows a process by default. Where these run out, V8 cannot go on.
  static constexpr size_t kMaxReservations = 8192;

  // `system` is borrowed, for the life of this one.
  explicit Pages(v8::PageAllocator *system) : system_(system) {}

  // From here on what a script reserves is counted in `budget` (borrowed), until EndJob(). After that, what
  // is left of it can still be freed, and is not counted any more. One job at a time.
  void StartJob(MemoryBudget *budget) { budget_ = budget; }
  void EndJob();

  // Maps a few heap pages, for the first ones that V8 asks for after Arm(): nearly every job needs one or two. They are
  // in the checkpoint, so that a job which gets one costs no system call, and are new after a rewind.
  void Stock();
  // Right before the checkpoint.
  void Arm();
  void Disarm() { armed_ = false; }
  // Since Arm(). Valid until the next call of this object.
  MemoryChanges Changes();

  size_t AllocatePageSize() override { return system_->AllocatePageSize(); }
  size_t CommitPageSize() override { return system_->CommitPageSize(); }
  void SetRandomMmapSeed(int64_t seed) override { system_->SetRandomMmapSeed(seed); }
  void *GetRandomMmapAddr() override { return system_->GetRandomMmapAddr(); }
  void *AllocatePages(void *hint, size_t length, size_t alignment, Permission permission) override;
  bool FreePages(void *address, size_t length) override;
  bool ReleasePages(void *address, size_t length, size_t new_length) override;
  bool SetPermissions(void *address, size_t length, Permission permission) override;
  bool DecommitPages(void *address, size_t length) override;
  bool DiscardSystemPages(void *address, size_t length) override {
    return IsKept(address) || system_->DiscardSystemPages(address, length);
  }
#if V8_MAJOR_VERSION >= 11
  bool RecommitPages(void *address, size_t length, Permission permission) override {
    return IsKept(address) ? Protect(address, length, permission)
                           : system_->RecommitPages(address, length, permission);
  }
#endif
#if V8_MAJOR_VERSION >= 13
  bool SealPages(void *address, size_t length) override {
    return !armed_ && system_->SealPages(address, length);
  }
#endif

private:
  struct Reservation {
    size_t length;
    size_t committed_bytes; // from its start: V8 never leaves a hole
  };
  using Reservations = std::map<uintptr_t, Reservation>;

  Reservations::iterator Find(const void *address);
  bool Commit(Reservations::iterator found, uintptr_t end, void *address, size_t length,
              Permission permission);
  void Uncommit(Reservations::iterator found, size_t committed_bytes);
  // Whether it is memory from before Arm().
  bool IsKept(const void *address) const;
  // Of the system; noted where it must be undone.
  bool Protect(void *address, size_t length, Permission permission);

  v8::PageAllocator *const system_;
  MemoryBudget *budget_ = nullptr; // null: between jobs
  Reservations reservations_;      // made by the job that runs, by their start

  static constexpr size_t kStock = 2;
  void *stock_[kStock] = {};
  size_t stock_count_ = 0;

  bool armed_ = false;
  std::map<uintptr_t, size_t> mapped_;   // since Arm(): their lengths, by their start
  std::vector<MemoryRange> protections_; // changed since Arm()
  std::vector<MemoryRange> mapped_list_; // for Changes()
};

} // namespace isoq

#endif
