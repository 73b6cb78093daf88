#include "engine/pages.hh"

namespace isoq {
namespace {

constexpr size_t kHeapPageAlignment = 256u << 10;

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

void *Pages::AllocatePages(void *hint, size_t length, size_t alignment, Permission permission) {
  bool counted = budget_ != nullptr && permission == kNoAccess && alignment < kHeapPageAlignment;
  if (counted && reservations_.size() >= kMaxReservations) {
    budget_->Refuse(MemoryBudget::Shortage::kMappings, 0);
    return nullptr;
  }
  void *pages = system_->AllocatePages(hint, length, alignment, permission);
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
  return system_->FreePages(address, length);
}

bool Pages::ReleasePages(void *address, size_t length, size_t new_length) {
  auto found = Find(address);
  if (found != reservations_.end()) {
    Uncommit(found, new_length);
    found->second.length = new_length;
  }
  return system_->ReleasePages(address, length, new_length);
}

bool Pages::Commit(Reservations::iterator found, uintptr_t end, void *address, size_t length,
                   Permission permission) {
  size_t committed_bytes = end - found->first, before = found->second.committed_bytes;
  if (committed_bytes <= before) return system_->SetPermissions(address, length, permission);
  if (!budget_->Admit(committed_bytes - before)) return false;
  if (!system_->SetPermissions(address, length, permission)) {
    budget_->Refuse(MemoryBudget::Shortage::kMappings, committed_bytes - before);
    return false;
  }
  budget_->Add(committed_bytes - before);
  found->second.committed_bytes = committed_bytes;
  return true;
}

bool Pages::SetPermissions(void *address, size_t length, Permission permission) {
  auto found = Find(address);
  if (found == reservations_.end()) return system_->SetPermissions(address, length, permission);
  uintptr_t start = reinterpret_cast<uintptr_t>(address), end = start + length;
  if (permission != kNoAccess) return Commit(found, end, address, length, permission);
  if (end >= found->first + found->second.committed_bytes) Uncommit(found, start - found->first);
  return system_->SetPermissions(address, length, permission);
}

bool Pages::DecommitPages(void *address, size_t length) {
  auto found = Find(address);
  uintptr_t start = reinterpret_cast<uintptr_t>(address);
  if (found != reservations_.end() && start + length >= found->first + found->second.committed_bytes)
    Uncommit(found, start - found->first);
  return system_->DecommitPages(address, length);
}

} // namespace isoq
