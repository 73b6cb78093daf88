// The table of the checkpoint is made from /proc/self/maps and /proc/self/pagemap, without malloc: what is looked at
// must not change meanwhile. Whether a page was written later cannot be asked in the sandbox, so each saved page is
// compared; that is also faster than copying all, and leaves pages of files shared.
#include "engine/rewind.hh"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace isoq {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kAreaBytes = 192u << 20; // of address space
constexpr size_t kMaxMappings = 8192, kMaxRuns = 8192, kMaxLearnt = 4096;
constexpr size_t kBridgePages = 4; // a call of madvise() costs as much as comparing these
constexpr size_t kTopPadBytes = 64u << 20;
constexpr size_t kMaxHeapBytes = 1u << 30; // of malloc's: more means that something is wrong

struct Mapping {
  uintptr_t start, end;
  int protection;
};

struct Run {
  uintptr_t start, end;
  const uint8_t *saved;
  bool executable;
};

// The area's head. Copies of the pages follow it.
struct Table {
  size_t mapping_count, run_count, gap_count, learnt_count, saved_bytes;
  uintptr_t heap_end;
  size_t arena_offset, mapped_chunks, mapped_chunk_bytes; // of malloc
  Mapping mappings[kMaxMappings];
  Run runs[kMaxRuns];
  MemoryRange gaps[kMaxRuns];
  uintptr_t learnt[kMaxLearnt]; // pages
  uint64_t entries[kPage];      // of pagemap
  char text[4 * kPage];         // of maps
};

// In saved memory, but constant from the checkpoint on.
uint8_t *area; // between two guard pages; null: none
bool taken;

Table *GetTable() { return reinterpret_cast<Table *>(area); }
size_t PagesOffset() { return (sizeof(Table) + kPage - 1) / kPage * kPage; }

uintptr_t HeapEnd() { return reinterpret_cast<uintptr_t>(sbrk(0)); }

// ---- reading the kernel's tables

bool AddMapping(Table *table, uintptr_t start, uintptr_t end, int protection) {
  if (table->mapping_count == kMaxMappings) return false;
  table->mappings[table->mapping_count++] = {start, end, protection};
  return true;
}

bool Contains(const char *line, const char *word) { return strstr(line, word) != nullptr; }

// One line of /proc/self/maps.
int ReadMapping(Table *table, char *line) {
  char *at = line;
  uintptr_t start = strtoul(at, &at, 16);
  if (*at++ != '-') return -EPROTO;
  uintptr_t end = strtoul(at, &at, 16);
  if (*at++ != ' ' || strlen(at) < 4) return -EPROTO;
  int protection = (at[0] == 'r' ? PROT_READ : 0) | (at[1] == 'w' ? PROT_WRITE : 0) | (at[2] == 'x' ? PROT_EXEC : 0);
  uintptr_t own = reinterpret_cast<uintptr_t>(area);
  if (Contains(at, "[stack]") || Contains(at, "[vvar") || Contains(at, "[vdso]") || Contains(at, "[vsyscall]"))
    return 0;
  if (start < own + kAreaBytes && end > own) return start >= own && end <= own + kAreaBytes ? 0 : -EPROTO;
  if (at[3] != 'p') return protection & PROT_WRITE ? -EBUSY : 0;
  return AddMapping(table, start, end, protection) ? 0 : -E2BIG;
}

int ReadMappings(Table *table) {
  int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC), error = 0;
  size_t len = 0;
  if (fd < 0) return -errno;
  table->mapping_count = 0;
  while (error == 0) {
    ssize_t got = read(fd, table->text + len, sizeof(table->text) - 1 - len);
    if (got < 0) error = -errno;
    if (got <= 0) break;
    len += static_cast<size_t>(got);
    table->text[len] = '\0';
    char *line = table->text, *newline;
    for (; error == 0 && (newline = strchr(line, '\n')) != nullptr; line = newline + 1) {
      *newline = '\0';
      error = ReadMapping(table, line);
    }
    len -= static_cast<size_t>(line - table->text);
    memmove(table->text, line, len);
    if (len == sizeof(table->text) - 1) error = -E2BIG;
  }
  close(fd);
  return error;
}

// Calls visit(table, page, resident) for each page of a range. 0 or what `visit` or the kernel says.
template <typename Visit> int VisitPages(Table *table, int pagemap, uintptr_t start, uintptr_t end, Visit visit) {
  constexpr size_t kEntries = sizeof(table->entries) / sizeof(table->entries[0]);
  for (uintptr_t page = start; page < end;) {
    size_t bytes = std::min<size_t>(kEntries, (end - page) / kPage) * sizeof(uint64_t);
    ssize_t got = pread(pagemap, table->entries, bytes, static_cast<off_t>(page / kPage * sizeof(uint64_t)));
    if (got != static_cast<ssize_t>(bytes)) return got < 0 ? -errno : -EIO;
    for (size_t i = 0; i < bytes / sizeof(uint64_t); i++, page += kPage) {
      int error = visit(page, (table->entries[i] >> 62) != 0); // present, or swapped out
      if (error != 0) return error;
    }
  }
  return 0;
}

// Appends a page to a list of ranges.
template <typename Range> bool Extend(Range *ranges, size_t *count, uintptr_t page, const Mapping &mapping) {
  if (*count > 0 && ranges[*count - 1].end == page && page != mapping.start) {
    ranges[*count - 1].end = page + kPage;
    return true;
  }
  if (*count == kMaxRuns) return false;
  ranges[*count] = {};
  ranges[*count].start = page;
  ranges[(*count)++].end = page + kPage;
  return true;
}

void Touch(uintptr_t page) {
  volatile uint8_t *byte = reinterpret_cast<volatile uint8_t *>(page);
  *byte = *byte;
}

int ReadPages(Table *table) {
  int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC), error = pagemap < 0 ? -errno : 0;
  table->run_count = table->gap_count = 0;
  for (size_t i = 0; i < table->mapping_count && error == 0; i++) {
    const Mapping &mapping = table->mappings[i];
    if (!(mapping.protection & PROT_WRITE)) continue;
    size_t run = table->run_count;
    error = VisitPages(table, pagemap, mapping.start, mapping.end, [&](uintptr_t page, bool resident) {
      return (resident ? Extend(table->runs, &table->run_count, page, mapping)
                       : Extend(table->gaps, &table->gap_count, page, mapping))
                 ? 0
                 : -E2BIG;
    });
    for (; run < table->run_count; run++)
      table->runs[run].executable = mapping.protection & PROT_EXEC;
  }
  if (pagemap >= 0) close(pagemap);
  return error;
}

// Makes the smallest gaps resident, and those that were seen to be used.
void FillGaps(Table *table) {
  for (size_t i = 0; i < table->gap_count; i++)
    if (table->gaps[i].end - table->gaps[i].start <= kBridgePages * kPage)
      for (uintptr_t page = table->gaps[i].start; page < table->gaps[i].end; page += kPage)
        Touch(page);
  for (size_t i = 0; i < table->learnt_count; i++) {
    auto inside = [&](const MemoryRange &gap) { return table->learnt[i] >= gap.start && table->learnt[i] < gap.end; };
    if (std::any_of(table->gaps, table->gaps + table->gap_count, inside)) Touch(table->learnt[i]);
  }
}

int SavePages(Table *table) {
  uint8_t *to = area + PagesOffset(), *end = area + kAreaBytes - kPage;
  for (size_t i = 0; i < table->run_count; i++) {
    Run &run = table->runs[i];
    if (run.end - run.start > static_cast<size_t>(end - to)) return -E2BIG;
    run.saved = to;
    to += run.end - run.start;
  }
  table->saved_bytes = static_cast<size_t>(to - area) - PagesOffset();
  taken = true; // is saved, too
  for (size_t i = 0; i < table->run_count; i++)
    memcpy(const_cast<uint8_t *>(table->runs[i].saved), reinterpret_cast<void *>(table->runs[i].start),
           table->runs[i].end - table->runs[i].start);
  return 0;
}

int MakeArea() {
  if (area != nullptr) return mprotect(area, kAreaBytes - kPage, PROT_READ | PROT_WRITE) < 0 ? -errno : 0;
  void *pages =
      mmap(nullptr, kAreaBytes + kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (pages == MAP_FAILED) return -errno;
  area = static_cast<uint8_t *>(pages) + kPage; // its last page is a guard as well
  return mprotect(area, kAreaBytes - kPage, PROT_READ | PROT_WRITE) < 0 ? -errno : 0;
}

int Take(Table *table) {
  int error = ReadMappings(table);
  if (error == 0) error = ReadPages(table);
  if (error != 0) return error;
  FillGaps(table);
  error = ReadPages(table);
  if (error != 0) return error;
  struct mallinfo2 info = mallinfo2();
  table->heap_end = HeapEnd();
  table->arena_offset = table->heap_end - info.arena;
  table->mapped_chunks = info.hblks;
  table->mapped_chunk_bytes = info.hblkhd;
  error = SavePages(table);
  if (error == 0 && mprotect(area, kAreaBytes - kPage, PROT_READ) < 0) error = -errno;
  return error;
}

// ---- going back

// Calls visit(start, end, mapping) for the parts of a range that were mapped; false when some of it was not.
template <typename Visit> bool VisitMappings(const Table *table, const MemoryRange &range, Visit visit) {
  const Mapping *end = table->mappings + table->mapping_count;
  const Mapping *at = std::upper_bound(table->mappings, end, range.start,
                                       [](uintptr_t start, const Mapping &mapping) { return start < mapping.end; });
  uintptr_t from = range.start;
  for (; from < range.end; at++) {
    if (at == end || at->start > from) return false;
    uintptr_t to = std::min(at->end, range.end);
    if (!visit(from, to, *at)) return false;
    from = to;
  }
  return true;
}

bool RestoreProtection(uintptr_t start, uintptr_t end, const Mapping &mapping) {
  void *pages = reinterpret_cast<void *>(start);
  // What was inaccessible had no content. What is writable is compared or dropped with the rest.
  if (!(mapping.protection & PROT_WRITE) && madvise(pages, end - start, MADV_DONTNEED) < 0) return false;
  return mprotect(pages, end - start, mapping.protection) == 0;
}

void RestoreRun(const Run &run) {
  const uint8_t *saved = run.saved;
  for (uintptr_t page = run.start; page < run.end; page += kPage, saved += kPage) {
    void *live = reinterpret_cast<void *>(page);
    if (memcmp(live, saved, kPage) == 0) continue;
    memcpy(live, saved, kPage);
    if (run.executable) __builtin___clear_cache(static_cast<char *>(live), static_cast<char *>(live) + kPage);
  }
}

int RestoreMappings(const Table *table, const MemoryChanges &changes) {
  for (size_t i = 0; i < changes.mapped_count; i++)
    if (munmap(reinterpret_cast<void *>(changes.mapped[i].start), changes.mapped[i].end - changes.mapped[i].start) < 0)
      return -errno;
  for (size_t i = 0; i < changes.protection_count; i++)
    if (!VisitMappings(table, changes.protections[i], RestoreProtection)) return -EFAULT;
  // The lists above may be in what goes now.
  if (HeapEnd() != table->heap_end && brk(reinterpret_cast<void *>(table->heap_end)) < 0) return -errno;
  for (size_t i = 0; i < table->gap_count; i++)
    if (madvise(reinterpret_cast<void *>(table->gaps[i].start), table->gaps[i].end - table->gaps[i].start,
                MADV_DONTNEED) < 0)
      return -errno;
  return 0;
}

} // namespace

int RewindPrepareMalloc() {
#ifdef ISOQ_SANITIZE
  return -ENOTSUP;
#else
  bool done = mallopt(M_MMAP_MAX, 0) && mallopt(M_ARENA_MAX, 1) && mallopt(M_TRIM_THRESHOLD, INT32_MAX) &&
              mallopt(M_TOP_PAD, kTopPadBytes);
  return done ? 0 : -ENOTSUP;
#endif
}

int CheckpointTake() {
  if (sysconf(_SC_PAGESIZE) != static_cast<long>(kPage)) return -ENOTSUP;
  int error = MakeArea();
  if (error == 0) error = Take(GetTable());
  if (error != 0) CheckpointDrop();
  return error;
}

void CheckpointDrop() {
  if (area != nullptr) munmap(area - kPage, kAreaBytes + kPage);
  area = nullptr;
  taken = false;
}

bool CheckpointTaken() { return taken; }

const char *CheckpointRefusal(const MemoryChanges &changes) {
  if (!taken) return "there is no checkpoint";
  const Table *table = GetTable();
  if (changes.mapped_count > kMaxChanges || changes.protection_count > kMaxChanges) return "too many mappings changed";
  for (size_t i = 0; i < changes.protection_count; i++)
    if (!VisitMappings(table, changes.protections[i], [](uintptr_t, uintptr_t, const Mapping &mapping) {
          return mapping.protection == PROT_NONE || (mapping.protection & PROT_WRITE);
        }))
      return "the permissions of memory changed that was not saved";
  struct mallinfo2 info = mallinfo2();
  uintptr_t heap_end = HeapEnd();
  if (heap_end < table->heap_end || heap_end - table->heap_end > kMaxHeapBytes) return "the heap's end moved too far";
  if (heap_end - info.arena != table->arena_offset || info.hblks != table->mapped_chunks ||
      info.hblkhd != table->mapped_chunk_bytes)
    return "malloc has mapped memory of its own";
  return nullptr;
}

int CheckpointRestore(const MemoryChanges &changes, volatile void *keep, size_t keep_len) {
  sigset_t all, before;
  uint8_t kept[kMaxKeep];
  if (!taken || keep_len > sizeof(kept)) return -EINVAL;
  sigfillset(&all);
  if (sigprocmask(SIG_BLOCK, &all, &before) < 0) return -errno;
  const Table *table = GetTable();
  if (keep_len > 0) memcpy(kept, const_cast<void *>(keep), keep_len);
  int error = RestoreMappings(table, changes);
  if (error != 0) return error; // with the signals blocked: no handler may run on such memory
  for (size_t i = 0; i < table->run_count; i++)
    RestoreRun(table->runs[i]);
  if (keep_len > 0) memcpy(const_cast<void *>(keep), kept, keep_len);
  return sigprocmask(SIG_SETMASK, &before, nullptr) < 0 ? -errno : 0;
}

int CheckpointLearn() {
  if (!taken) return -EINVAL;
  Table *table = GetTable();
  int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  if (pagemap < 0) return -errno;
  int error = mprotect(area, kAreaBytes - kPage, PROT_READ | PROT_WRITE) < 0 ? -errno : 0;
  for (size_t i = 0; i < table->gap_count && error == 0; i++)
    error = VisitPages(table, pagemap, table->gaps[i].start, table->gaps[i].end, [&](uintptr_t page, bool resident) {
      if (resident && table->learnt_count < kMaxLearnt) table->learnt[table->learnt_count++] = page;
      return 0;
    });
  close(pagemap);
  return error;
}

CheckpointSize CheckpointMeasure() {
  if (!taken) return {};
  const Table *table = GetTable();
  return {table->saved_bytes, table->run_count, table->gap_count, table->mapping_count};
}

void CheckpointVisit(void (*visit)(void *context, uintptr_t start, uintptr_t end), void *context) {
  for (size_t i = 0; taken && i < GetTable()->run_count; i++)
    visit(context, GetTable()->runs[i].start, GetTable()->runs[i].end);
}

} // namespace isoq
