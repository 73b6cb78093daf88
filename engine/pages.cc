#include "engine/pages.hh"

#include <sys/mman.h>

namespace isoq {
namespace {

constexpr size_t kHeapPageAlignment = 256u << 10, kHeapPageBytes = 256u << 10;

} // namespace

void Pages::EndJob() {
  budget_ = nullptr;
  reservations_.clear();
}

Pages::Reservations::iterator Pages::Find(const void *address) {
  if (reservations_.empty()) return reservations_.end();
  uintptr_t at = reinterpret_cast<uintptr_t>(address);
  auto next = reservations_.upper_bound(at);
  if (next == reservations_.begin()) return reservations_.end();
  auto found = std::prev(next);
  return at - found->first < found->second.length ? found : reservations_.end();
}

// ---- the notes for rewinding

void Pages::Stock() {
  while (stock_count_ < kStock) {
    void *page = system_->AllocatePages(nullptr, kHeapPageBytes, kHeapPageAlignment, kReadWrite);
    if (page == nullptr) return;
    stock_[stock_count_++] = page;
  }
}

void Pages::Arm() {
  mapped_.clear();
  protections_.clear();
  mapped_list_.clear();
  armed_ = true;
}

MemoryChanges Pages::Changes() {
  mapped_list_.clear();
  for (const auto &mapping : mapped_)
    mapped_list_.push_back({mapping.first, mapping.first + mapping.second});
  return {mapped_list_.data(), mapped_list_.size(), protections_.data(), protections_.size()};
}

bool Pages::IsKept(const void *address) const {
  if (!armed_) return false;
  uintptr_t at = reinterpret_cast<uintptr_t>(address);
  auto next = mapped_.upper_bound(at);
  return next == mapped_.begin() || at - std::prev(next)->first >= std::prev(next)->second;
}

bool Pages::Protect(void *address, size_t length, Permission permission) {
  if (IsKept(address) && protections_.size() <= kMaxChanges) {
    uintptr_t start = reinterpret_cast<uintptr_t>(address), end = start + length;
    if (protections_.empty() || protections_.back().start != start || protections_.back().end != end)
      protections_.push_back({start, end});
  }
  return system_->SetPermissions(address, length, permission);
}

// ---- V8's calls

void *Pages::AllocatePages(void *hint, size_t length, size_t alignment, Permission permission) {
  bool counted = budget_ != nullptr && permission == kNoAccess && alignment < kHeapPageAlignment;
  if (counted && reservations_.size() >= kMaxReservations) {
    budget_->Refuse(MemoryBudget::Shortage::kMappings, 0);
    return nullptr;
  }
  if (armed_ && stock_count_ > 0 && length == kHeapPageBytes && alignment == kHeapPageAlignment &&
      permission == kReadWrite)
    return stock_[--stock_count_];
  void *pages = system_->AllocatePages(hint, length, alignment, permission);
  if (armed_ && pages != nullptr) mapped_[reinterpret_cast<uintptr_t>(pages)] = length;
  if (counted && pages != nullptr)
    reservations_[reinterpret_cast<uintptr_t>(pages)] = {length, 0};
  else if (counted)
    budget_->Refuse(MemoryBudget::Shortage::kMappings, 0);
  return pages;
}

void Pages::Uncommit(Reservations::iterator found, size_t committed_bytes) {
  if (committed_bytes >= found->second.committed_bytes) return;
  budget_->Remove(found->second.committed_bytes - committed_bytes);
  found->second.committed_bytes = committed_bytes;
}

bool Pages::FreePages(void *address, size_t length) {
  auto found = Find(address);
  if (found != reservations_.end()) {
    Uncommit(found, 0);
    reservations_.erase(found);
  }
  if (IsKept(address)) return true;
  if (!system_->FreePages(address, length)) return false;
  mapped_.erase(reinterpret_cast<uintptr_t>(address));
  return true;
}

bool Pages::ReleasePages(void *address, size_t length, size_t new_length) {
  auto found = Find(address);
  if (found != reservations_.end()) {
    Uncommit(found, new_length);
    found->second.length = new_length;
  }
  if (IsKept(address)) return true;
  if (!system_->ReleasePages(address, length, new_length)) return false;
  if (armed_) mapped_[reinterpret_cast<uintptr_t>(address)] = new_length;
  return true;
}

bool Pages::Commit(Reservations::iterator found, uintptr_t end, void *address, size_t length,
                   Permission permission) {
  size_t committed_bytes = end - found->first, before = found->second.committed_bytes;
  if (committed_bytes <= before) return Protect(address, length, permission);
  if (!budget_->Admit(committed_bytes - before)) return false;
  if (!Protect(address, length, permission)) {
    budget_->Refuse(MemoryBudget::Shortage::kMappings, committed_bytes - before);
    return false;
  }
  budget_->Add(committed_bytes - before);
  found->second.committed_bytes = committed_bytes;
  return true;
}

bool Pages::SetPermissions(void *address, size_t length, Permission permission) {
  auto found = Find(address);
  if (found == reservations_.end()) return Protect(address, length, permission);
  uintptr_t start = reinterpret_cast<uintptr_t>(address), end = start + length;
  if (permission != kNoAccess) return Commit(found, end, address, length, permission);
  if (end >= found->first + found->second.committed_bytes) Uncommit(found, start - found->first);
  return Protect(address, length, permission);
}

bool Pages::DecommitPages(void *address, size_t length) {
  auto found = Find(address);
  uintptr_t start = reinterpret_cast<uintptr_t>(address);
  if (found != reservations_.end() && start + length >= found->first + found->second.committed_bytes)
    Uncommit(found, start - found->first);
  // Not by a new mapping, as the system's would: the old one must come back.
  if (IsKept(address))
    return Protect(address, length, kNoAccess) && madvise(address, length, MADV_DONTNEED) == 0;
  return system_->DecommitPages(address, length);
}

} // namespace isoq
