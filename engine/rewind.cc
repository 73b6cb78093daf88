// The table of the checkpoint is made from /proc/self/maps and /proc/self/pagemap, without malloc: what is looked at
// must not change meanwhile.
//
// Whether a page was written later cannot be asked in the sandbox, and comparing all of them costs more than a small
// job. So most saved pages are "cold": read-only from the first rewind on. The first write to one faults; the handler makes
// it and its neighbours writable and notes them. They are compared after this job and stay as they are, so that the pages
// which every job writes fault once in the process' life. Is the list full, everything is compared, and the list begins
// anew. Always compared is what the kernel writes for this process, for which a fault would be an error or the end: this
// program's own variables, the signal stack, thread-local storage (rseq). Other buffers that are handed to the kernel
// must be touched before (RewindTouch()).
#include "engine/rewind.hh"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/rseq.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>

namespace isoq {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kAreaBytes = 192u << 20; // of address space
constexpr size_t kMaxMappings = 8192, kMaxRuns = 8192, kMaxLearnt = 4096;
constexpr size_t kBridgePages = 4; // a call of madvise() costs as much as comparing these
constexpr size_t kTopPadBytes = 64u << 20;
constexpr size_t kMaxHeapBytes = 1u << 30; // of malloc's: more means that something is wrong
constexpr size_t kStackReserveBytes = 4u << 20;

// What pages that were zero are compared with: it stays in the processor's first cache, and no copy is kept.
alignas(kPage) const uint8_t zeros[kPage] = {};

struct Mapping {
  uintptr_t start, end;
  int protection;
  bool saved, anonymous;
};

// Sealed: not writable at the checkpoint, so to be looked at only when its permission has changed.
struct Run { // of pages; in the order of addresses
  uintptr_t start, end;
  const uint8_t *saved; // null: a gap, which reads as it did once its pages are dropped
  bool executable, cold, sealed, anonymous, zero;
};

bool IsZero(uintptr_t page) {
  return memcmp(reinterpret_cast<void *>(page), zeros, kPage) == 0;
}

// Puts a page back. False: it was as before.
using RestorePage = bool (*)(void *live, const void *saved);

bool RestorePageByLibc(void *live, const void *saved) {
  if (memcmp(live, saved, kPage) == 0) return false;
  memcpy(live, saved, kPage);
  return true;
}

#ifdef __x86_64__
// 512 bits at a time, half again as fast as memcmp(), which uses 256. First what differs, without a branch: a wrong guess
// at one would wait for memory. A job changes a few lines of most pages that it writes to.
__attribute__((target("avx512f"))) bool RestorePageWide(void *live, const void *saved) {
  constexpr size_t kLine = 64, kBlock = 4 * kLine;
  uint8_t *to = static_cast<uint8_t *>(live);
  const uint8_t *from = static_cast<const uint8_t *>(saved);
  uint32_t changed = 0;
#pragma GCC unroll 16
  for (size_t block = 0; block < kPage / kBlock; block++) {
    __m512i differing = _mm512_setzero_si512();
    for (size_t at = block * kBlock; at < (block + 1) * kBlock; at += kLine)
      differing = _mm512_or_si512(differing,
                                  _mm512_xor_si512(_mm512_load_si512(to + at), _mm512_load_si512(from + at)));
    changed |= static_cast<uint32_t>(_mm512_test_epi64_mask(differing, differing) != 0) << block;
  }
  for (uint32_t left = changed; left != 0; left &= left - 1) {
    size_t block = static_cast<size_t>(__builtin_ctz(left)) * kBlock;
    for (size_t at = block; at < block + kBlock; at += kLine)
      _mm512_store_si512(to + at, _mm512_load_si512(from + at));
  }
  return changed != 0;
}
#endif

RestorePage ChooseRestorePage() {
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx512f")) return RestorePageWide;
#endif
  return RestorePageByLibc;
}

// As /proc/self/statm counts.
struct PageCounts {
  size_t mapped, writable; // private ones, and the stack
  bool operator==(const PageCounts &other) const {
    return mapped == other.mapped && writable == other.writable;
  }
};

// What is written while jobs run; behind the copies.
struct Warm {
  static constexpr size_t kMax = 500;
  size_t count;
  size_t advanced; // pages in Advance that count; 0: there is no advance
  bool all;        // every cold page is writable
  bool restoring;
  struct Range {
    uintptr_t start, end;
    const Run *run;
  } ranges[kMax];
};
constexpr size_t kWarmBytes = 3 * kPage;
static_assert(sizeof(Warm) <= kWarmBytes);

// Copies that count instead of the table's. Between those and Warm, and writable only while they are made.
struct Advance {
  static constexpr size_t kSlots = 4 * kMaxAdvance;
  struct Entry {
    uintptr_t page; // 0: none
    const uint8_t *saved;
  };
  Entry entries[kMaxAdvance];
  Entry slots[kSlots]; // the same: each in the first free one from SlotOf() on
  alignas(kPage) uint8_t copies[kMaxAdvance][kPage];
};
static_assert(sizeof(Advance) % kPage == 0);
constexpr size_t kGapWindowPages = 16, kMaxGapWindowPages = 4096; // of a gap, that become writable at once
constexpr size_t kMaxClearedPages = 256;                          // of gaps: they stay resident
constexpr size_t kThreadBytes = 2 * kPage;                        // of the thread's own structure, at most
constexpr size_t kMinRseqBytes = 32;                              // the kernel's, whatever libc says it uses

// The area's head. Copies of the pages follow it.
struct Table {
  size_t mapping_count, run_count, gap_count, learnt_count, saved_bytes;
  RestorePage restore_page;
  int statm;         // the descriptor
  PageCounts counts; // with all cold pages writable
  size_t cold_pages;
  uintptr_t heap_end;
  size_t arena_offset, mapped_chunks, mapped_chunk_bytes; // of malloc
  Mapping mappings[kMaxMappings];
  Run runs[kMaxRuns];
  Run gaps[kMaxRuns];
  uintptr_t learnt[kMaxLearnt]; // pages
  uint64_t entries[kPage];      // of pagemap
  char text[4 * kPage];         // of maps
};

// In saved memory, but constant from the checkpoint on.
uint8_t *area; // between two guard pages; null: none
bool taken;

// What CheckpointRefusal() found: the counts, both of them, were right, and there is nothing to undo which changes them.
bool counts_checked; // false in the checkpoint

struct sigaction before_ours; // for SIGSEGV
bool catching;

Warm *GetWarm() {
  return reinterpret_cast<Warm *>(area + kAreaBytes - kPage - kWarmBytes);
}
Advance *GetAdvance() {
  return reinterpret_cast<Advance *>(area + kAreaBytes - kPage - kWarmBytes - sizeof(Advance));
}
Table *GetTable() {
  return reinterpret_cast<Table *>(area);
}
size_t PagesOffset() {
  return (sizeof(Table) + kPage - 1) / kPage * kPage;
}

uintptr_t HeapEnd() {
  return reinterpret_cast<uintptr_t>(sbrk(0));
}

// ---- reading the kernel's tables

bool AddMapping(Table *table, const Mapping &mapping) {
  if (table->mapping_count == kMaxMappings) return false;
  table->mappings[table->mapping_count++] = mapping;
  return true;
}

// "r-xp 00000000 00:00 0": the inode is 0 where there is no file.
bool IsAnonymous(const char *permissions) {
  unsigned long inode = 1;
  return sscanf(permissions, "%*s %*s %*s %lu", &inode) == 1 && inode == 0;
}

bool Contains(const char *line, const char *word) {
  return strstr(line, word) != nullptr;
}

// One line of /proc/self/maps.
int ReadMapping(Table *table, char *line) {
  char *at = line;
  uintptr_t start = strtoul(at, &at, 16);
  if (*at++ != '-') return -EPROTO;
  uintptr_t end = strtoul(at, &at, 16);
  if (*at++ != ' ' || strlen(at) < 4) return -EPROTO;
  int protection =
      (at[0] == 'r' ? PROT_READ : 0) | (at[1] == 'w' ? PROT_WRITE : 0) | (at[2] == 'x' ? PROT_EXEC : 0);
  uintptr_t own = reinterpret_cast<uintptr_t>(area);
  if (Contains(at, "[stack]") || Contains(at, "[vvar") || Contains(at, "[vdso]") ||
      Contains(at, "[vsyscall]"))
    return 0;
  if (start < own + kAreaBytes && end > own) return start >= own && end <= own + kAreaBytes ? 0 : -EPROTO;
  if (at[3] != 'p') return protection & PROT_WRITE ? -EBUSY : 0;
  // What a file's mapping reads as without being writable cannot have been changed by its permission alone.
  bool anonymous = IsAnonymous(at),
       saved = (protection & PROT_WRITE) || ((protection & PROT_READ) && anonymous);
  return AddMapping(table, {start, end, protection, saved, anonymous}) ? 0 : -E2BIG;
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
template <typename Visit>
int VisitPages(Table *table, int pagemap, uintptr_t start, uintptr_t end, Visit visit) {
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
template <typename Range>
bool Extend(Range *ranges, size_t *count, uintptr_t page, const Mapping &mapping) {
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
    if (!mapping.saved) continue;
    size_t run = table->run_count, gap = table->gap_count;
    error = VisitPages(table, pagemap, mapping.start, mapping.end, [&](uintptr_t page, bool resident) {
      return (resident ? Extend(table->runs, &table->run_count, page, mapping)
                       : Extend(table->gaps, &table->gap_count, page, mapping))
                 ? 0
                 : -E2BIG;
    });
    auto describe = [&](Run *described) {
      described->executable = mapping.protection & PROT_EXEC;
      described->sealed = !(mapping.protection & PROT_WRITE);
      described->anonymous = mapping.anonymous;
    };
    for (; run < table->run_count; run++)
      describe(&table->runs[run]);
    for (; gap < table->gap_count; gap++)
      describe(&table->gaps[gap]);
  }
  if (pagemap >= 0) close(pagemap);
  return error;
}

// Makes the smallest gaps resident, and those that were seen to be used.
void FillGaps(Table *table) {
  for (size_t i = 0; i < table->gap_count; i++)
    if (!table->gaps[i].sealed && table->gaps[i].end - table->gaps[i].start <= kBridgePages * kPage)
      for (uintptr_t page = table->gaps[i].start; page < table->gaps[i].end; page += kPage)
        Touch(page);
  for (size_t i = 0; i < table->learnt_count; i++) {
    auto inside = [&](const Run &gap) {
      return !gap.sealed && table->learnt[i] >= gap.start && table->learnt[i] < gap.end;
    };
    if (std::any_of(table->gaps, table->gaps + table->gap_count, inside)) Touch(table->learnt[i]);
  }
}

// The size of this process, which the kernel keeps: the one thing about its mappings that can be asked in the sandbox,
// by a descriptor from before.
bool ReadCounts(int statm, PageCounts *out) {
  char text[128];
  ssize_t len = pread(statm, text, sizeof(text) - 1, 0);
  if (len <= 0) return false;
  text[len] = '\0';  // "6155 1712 1211 7 0 1085 0\n"
  size_t numbers[6]; // size resident shared text lib data
  const char *at = text;
  for (size_t &number : numbers) { // sscanf() takes as long as the kernel
    if (*at < '0' || *at > '9') return false;
    for (number = 0; *at >= '0' && *at <= '9'; at++)
      number = number * 10 + static_cast<size_t>(*at - '0');
    at += *at == ' ';
  }
  *out = {numbers[0], numbers[5]};
  return true;
}

// The directory of a process' threads has a link for each, and two more.
bool HasOneThread() {
  struct stat threads;
  return stat("/proc/self/task", &threads) == 0 && threads.st_nlink == 3;
}

// A stack that grows changes the counts. So it has its size before: of address space, but for one page.
__attribute__((noinline)) void GrowStack() {
  struct rlimit limit;
  if (getrlimit(RLIMIT_STACK, &limit) < 0 || limit.rlim_cur < 2 * kStackReserveBytes) return;
  Touch(reinterpret_cast<uintptr_t>(__builtin_frame_address(0)) - kStackReserveBytes);
}

// ---- cold pages

bool Overlaps(const MemoryRange &a, const MemoryRange &b) {
  return a.start < b.end && b.start < a.end;
}

extern "C" char __data_start, _end; // of this program

// Cuts the runs where the kernel may write, and says which of the others are cold. False: there are too many.
bool FindColdOf(Run *runs, size_t *count, const MemoryRange *hot, size_t hot_count) {
  for (size_t range = 0; range < hot_count; range++) {
    for (size_t i = 0; i < *count; i++) {
      for (uintptr_t cut : {hot[range].start, hot[range].end}) {
        Run &run = runs[i];
        if (cut <= run.start || cut >= run.end) continue;
        if (*count == kMaxRuns) return false;
        memmove(&run + 1, &run, (*count - i) * sizeof(Run));
        ++*count;
        run.end = runs[i + 1].start = cut;
      }
    }
  }
  for (size_t i = 0; i < *count; i++)
    runs[i].cold = !runs[i].sealed && std::none_of(hot, hot + hot_count, [&](const MemoryRange &range) {
      return Overlaps({runs[i].start, runs[i].end}, range);
    });
  return true;
}

bool FindCold(Table *table) {
  stack_t stack = {};
  sigaltstack(nullptr, &stack);
  uintptr_t self = reinterpret_cast<uintptr_t>(pthread_self()),
            handler = reinterpret_cast<uintptr_t>(stack.ss_sp), error = reinterpret_cast<uintptr_t>(&errno),
            rseq = reinterpret_cast<uintptr_t>(__builtin_thread_pointer()) + __rseq_offset;
  MemoryRange hot[] = {
      // Its buffers, which a small job does not touch, are gaps; the kernel writes to none of them.
      {reinterpret_cast<uintptr_t>(&__data_start), reinterpret_cast<uintptr_t>(&_end)},
      {self, self + kThreadBytes},
      {rseq, rseq + std::max<size_t>(__rseq_size, kMinRseqBytes)},
      {error, error + sizeof(errno)}, // for the handler of cold pages
      {handler, handler + stack.ss_size},
      {}, // the whole pages of that, below
  };
  for (MemoryRange &range : hot)
    range = {range.start & ~(kPage - 1), (range.end + kPage - 1) & ~(kPage - 1)};
  // The pages at its ends may be somebody else's as well.
  MemoryRange &stack_alone = hot[std::size(hot) - 1];
  stack_alone = {(handler + kPage - 1) & ~(kPage - 1), (handler + stack.ss_size) & ~(kPage - 1)};
  if (stack_alone.end < stack_alone.start) stack_alone = {};
  if (!FindColdOf(table->runs, &table->run_count, hot, std::size(hot) - 1) ||
      !FindColdOf(table->gaps, &table->gap_count, hot + 1, std::size(hot) - 1))
    return false;
  // As deep as that no handler has been yet, and what one leaves there is like what lies below the stack pointer.
  auto deep = [&](const Run &gap) { return Overlaps(stack_alone, {gap.start, gap.end}); };
  table->gap_count =
      static_cast<size_t>(std::remove_if(table->gaps, table->gaps + table->gap_count, deep) - table->gaps);
  return true;
}

// Calls visit(run) for each cold run and gap until one gives false.
template <typename Visit>
bool VisitCold(const Table *table, Visit visit) {
  for (size_t i = 0; i < table->run_count; i++)
    if (table->runs[i].cold && !visit(table->runs[i])) return false;
  for (size_t i = 0; i < table->gap_count; i++)
    if (table->gaps[i].cold && !visit(table->gaps[i])) return false;
  return true;
}

size_t ColdPages(const Table *table) {
  size_t bytes = 0;
  VisitCold(table, [&](const Run &run) {
    bytes += run.end - run.start;
    return true;
  });
  return bytes / kPage;
}

bool Protect(const Run &run, uintptr_t start, uintptr_t end, int protection) {
  return mprotect(reinterpret_cast<void *>(start), end - start,
                  protection | (run.executable ? PROT_EXEC : 0)) == 0;
}

bool ProtectCold(const Table *table, int protection) {
  return VisitCold(table, [&](const Run &run) { return Protect(run, run.start, run.end, protection); });
}

const Run *FindIn(const Run *runs, size_t count, uintptr_t page) {
  const Run *at =
      std::upper_bound(runs, runs + count, page, [](uintptr_t p, const Run &run) { return p < run.end; });
  return at != runs + count && page >= at->start ? at : nullptr;
}

const Run *FindRun(const Table *table, uintptr_t page) {
  const Run *run = FindIn(table->runs, table->run_count, page);
  return run != nullptr ? run : FindIn(table->gaps, table->gap_count, page);
}

// Where the range ends that becomes writable with this page. A gap that is filled from its start on, as malloc's and
// V8's are, gets twice as much each time.
uintptr_t WindowEnd(const Warm *warm, const Run &run, uintptr_t page, Warm::Range **before) {
  size_t pages = run.saved != nullptr ? 1 : kGapWindowPages;
  *before = nullptr;
  for (size_t i = 0; run.saved == nullptr && i < warm->count; i++) {
    const Warm::Range &range = warm->ranges[i];
    if (range.run != &run || range.end != page) continue;
    *before = const_cast<Warm::Range *>(&range);
    pages = std::max(pages, std::min((range.end - range.start) / kPage, kMaxGapWindowPages));
  }
  uintptr_t end = std::min<uintptr_t>(page + pages * kPage, run.end);
  for (size_t i = 0; i < warm->count; i++) // each page stands in the list once
    if (warm->ranges[i].start > page) end = std::min(end, warm->ranges[i].start);
  return end;
}

// Makes a cold page writable. False: it is none. Async-signal-safe.
bool WarmUp(uintptr_t page) {
  const Table *table = GetTable();
  Warm *warm = GetWarm();
  const Run *run = FindRun(table, page);
  Warm::Range *before;
  if (run == nullptr || !run->cold || warm->all) return false;
  uintptr_t end = WindowEnd(warm, *run, page, &before);
  if (before == nullptr && warm->count == Warm::kMax)
    return warm->all = ProtectCold(table, PROT_READ | PROT_WRITE);
  if (!Protect(*run, page, end, PROT_READ | PROT_WRITE)) return false;
  if (before != nullptr)
    before->end = end;
  else
    warm->ranges[warm->count++] = {page, end, run};
  return true;
}

// What it calls is bound when the program starts (-z now): the dynamic linker's own variables may be cold.
void OnFault(int, siginfo_t *info, void *) {
  int saved_errno = errno;
  uintptr_t page = reinterpret_cast<uintptr_t>(info->si_addr) & ~(kPage - 1);
  // What is not ours faults again, and meets who was there before.
  if (info->si_code != SEGV_ACCERR || !WarmUp(page)) sigaction(SIGSEGV, &before_ours, nullptr);
  errno = saved_errno;
}

int StartCatching() {
  struct sigaction action = {};
  action.sa_sigaction = OnFault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigfillset(&action.sa_mask); // another handler, in here, could meet a cold page: the end
  if (catching) return 0;
  if (sigaction(SIGSEGV, &action, &before_ours) < 0) return -errno;
  catching = true;
  return 0;
}

// Cuts the cold runs into such that are zero and others, as long as there is room for more.
void FindZero(Table *table) {
  for (size_t i = 0; i < table->run_count; i++) {
    Run &run = table->runs[i];
    if (!run.cold) continue;
    run.zero = IsZero(run.start);
    uintptr_t end = run.start + kPage;
    while (end < run.end && IsZero(end) == run.zero)
      end += kPage;
    if (end == run.end) continue;
    if (table->run_count == kMaxRuns) {
      run.zero = false;
      return;
    }
    memmove(&run + 1, &run, (table->run_count++ - i) * sizeof(Run));
    run.end = table->runs[i + 1].start = end;
  }
}

int SavePages(Table *table) {
  uint8_t *to = area + PagesOffset(), *end = reinterpret_cast<uint8_t *>(GetAdvance());
  taken = true; // these are saved, too
  counts_checked = false;
  FindZero(table);
  for (size_t i = 0; i < table->run_count; i++) {
    Run &run = table->runs[i];
    run.saved = run.zero ? zeros : to;
    if (run.zero) continue;
    if (run.end - run.start > static_cast<size_t>(end - to)) return -E2BIG;
    to += run.end - run.start;
  }
  table->saved_bytes = static_cast<size_t>(to - area) - PagesOffset();
  for (size_t i = 0; i < table->run_count; i++)
    if (!table->runs[i].zero)
      memcpy(const_cast<uint8_t *>(table->runs[i].saved), reinterpret_cast<void *>(table->runs[i].start),
             table->runs[i].end - table->runs[i].start);
  return 0;
}

int MakeArea() {
  if (taken) ProtectCold(GetTable(), PROT_READ | PROT_WRITE);
  if (area != nullptr) return mprotect(area, kAreaBytes - kPage, PROT_READ | PROT_WRITE) < 0 ? -errno : 0;
  void *pages =
      mmap(nullptr, kAreaBytes + kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (pages == MAP_FAILED) return -errno;
  area = static_cast<uint8_t *>(pages) + kPage; // its last page is a guard as well
  return mprotect(area, kAreaBytes - kPage, PROT_READ | PROT_WRITE) < 0 ? -errno : 0;
}

constexpr size_t kSealedBytes = kAreaBytes - kPage - kWarmBytes; // of the area: read-only once all is in it

int Take(Table *table, int statm) {
  if (!HasOneThread()) return -EBUSY;
  GrowStack();
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
  table->restore_page = ChooseRestorePage();
  error = FindCold(table) ? StartCatching() : -E2BIG;
  if (error == 0) error = SavePages(table);
  if (error != 0) return error;
  *GetWarm() = {};
  GetWarm()->all = true; // until the first rewind
  table->statm = statm;
  table->cold_pages = ColdPages(table);
  PageCounts now;
  if (!ReadCounts(statm, &table->counts)) return -EIO;
  table->counts.writable -= kSealedBytes / kPage; // in a moment
  if (mprotect(area, kSealedBytes, PROT_READ) < 0) return -errno;
  return ReadCounts(statm, &now) && now == table->counts ? 0 : -EIO;
}

// ---- going back

// Calls visit(start, end, mapping) for the parts of a range that were mapped; false when some of it was not.
template <typename Visit>
bool VisitMappings(const Table *table, const MemoryRange &range, Visit visit) {
  const Mapping *end = table->mappings + table->mapping_count;
  const Mapping *at =
      std::upper_bound(table->mappings, end, range.start,
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

size_t SlotOf(uintptr_t page) {
  return page / kPage % Advance::kSlots;
}

// The copy that counts: `saved`, or that of an advance.
const uint8_t *SavedNow(uintptr_t page, const uint8_t *saved) {
  if (GetWarm()->advanced == 0) return saved;
  const Advance::Entry *slots = GetAdvance()->slots;
  for (size_t slot = SlotOf(page); slots[slot].page != 0; slot = (slot + 1) % Advance::kSlots)
    if (slots[slot].page == page) return slots[slot].saved;
  return saved;
}

// Part of a gap.
bool DropRange(uintptr_t start, uintptr_t end) {
  if (madvise(reinterpret_cast<void *>(start), end - start, MADV_DONTNEED) < 0) return false;
  for (size_t i = 0; i < GetWarm()->advanced; i++) {
    const Advance::Entry &entry = GetAdvance()->entries[i];
    if (entry.page >= start && entry.page < end)
      memcpy(reinterpret_cast<void *>(entry.page), entry.saved, kPage);
  }
  return true;
}

// Its content is again as it was; it is writable.
bool RestoreRange(const Run &run, uintptr_t start, uintptr_t end) {
  if (run.saved == nullptr) return DropRange(start, end);
  RestorePage restore = GetTable()->restore_page;
  const uint8_t *saved = run.zero ? zeros : run.saved + (start - run.start);
  for (uintptr_t page = start; page < end; page += kPage, saved += run.zero ? 0 : kPage) {
    char *live = reinterpret_cast<char *>(page);
    if (restore(live, SavedNow(page, saved)) && run.executable) __builtin___clear_cache(live, live + kPage);
  }
  return true;
}

// A small gap of no file which jobs do use: to clear its pages costs less than to drop them and to fault them in again.
bool ClearRange(const Warm::Range &range, size_t *pages) {
  size_t count = (range.end - range.start) / kPage;
  if (range.run->saved != nullptr || !range.run->anonymous || count > kGapWindowPages ||
      *pages + count > kMaxClearedPages)
    return false;
  *pages += count;
  for (uintptr_t page = range.start; page < range.end; page += kPage)
    GetTable()->restore_page(reinterpret_cast<void *>(page), SavedNow(page, zeros));
  return true;
}

// Restores what lies in the range and is chosen.
template <typename Choose>
bool RestoreWithin(const Run *runs, size_t count, const MemoryRange &range, Choose choose) {
  for (size_t i = 0; i < count; i++)
    if (choose(runs[i]) && Overlaps(range, {runs[i].start, runs[i].end}) &&
        !RestoreRange(runs[i], std::max(range.start, runs[i].start), std::min(range.end, runs[i].end)))
      return false;
  return true;
}

// What was not writable, and may have been for a while.
bool RestoreSealed(const Table *table, const MemoryRange &range) {
  auto sealed = [](const Run &run) { return run.sealed; };
  return mprotect(reinterpret_cast<void *>(range.start), range.end - range.start, PROT_READ | PROT_WRITE) ==
             0 &&
         RestoreWithin(table->runs, table->run_count, range, sealed) &&
         RestoreWithin(table->gaps, table->gap_count, range, sealed);
}

bool RestoreProtection(const Table *table, uintptr_t start, uintptr_t end, const Mapping &mapping) {
  void *pages = reinterpret_cast<void *>(start);
  bool writable = mapping.protection & PROT_WRITE;
  if (!writable && mapping.saved && !RestoreSealed(table, {start, end})) return false;
  // What was inaccessible had no content.
  if (!mapping.saved && madvise(pages, end - start, MADV_DONTNEED) < 0) return false;
  return mprotect(pages, end - start, mapping.protection) == 0;
}

// A range that became writable without a fault: its cold pages may have been written, and are cold again.
bool RestoreUnnoticed(const Table *table, const MemoryRange &changed) {
  Warm *warm = GetWarm();
  for (size_t i = 0; i < warm->count;) {
    const Warm::Range range = warm->ranges[i];
    if (!Overlaps(changed, {range.start, range.end})) {
      i++;
      continue;
    }
    if (!RestoreRange(*range.run, range.start, range.end) ||
        !Protect(*range.run, range.start, range.end, PROT_READ))
      return false;
    warm->ranges[i] = warm->ranges[--warm->count];
  }
  return VisitCold(table, [&](const Run &run) {
    if (!Overlaps(changed, {run.start, run.end})) return true;
    uintptr_t start = std::max(changed.start, run.start), end = std::min(changed.end, run.end);
    return Protect(run, start, end, PROT_READ | PROT_WRITE) && RestoreRange(run, start, end) &&
           Protect(run, start, end, PROT_READ);
  });
}

// False: the kernel refused something.
bool RestoreRuns(const Table *table) {
  const MemoryRange everywhere = {0, UINTPTR_MAX};
  Warm *warm = GetWarm();
  auto hot = [](const Run &run) { return !run.sealed && !run.cold; };
  if (!RestoreWithin(table->runs, table->run_count, everywhere, hot) ||
      !RestoreWithin(table->gaps, table->gap_count, everywhere, hot))
    return false;
  if (!warm->all) {
    size_t cleared = 0;
    for (size_t i = 0; i < warm->count; i++)
      if (!ClearRange(warm->ranges[i], &cleared) &&
          !RestoreRange(*warm->ranges[i].run, warm->ranges[i].start, warm->ranges[i].end))
        return false;
    return true;
  }
  if (!VisitCold(table, [](const Run &run) { return RestoreRange(run, run.start, run.end); })) return false;
  warm->count = 0;
  warm->all = false;
  return ProtectCold(table, PROT_READ);
}

int RestoreMappings(const Table *table, const MemoryChanges &changes) {
  for (size_t i = 0; i < changes.mapped_count; i++)
    if (munmap(reinterpret_cast<void *>(changes.mapped[i].start),
               changes.mapped[i].end - changes.mapped[i].start) < 0)
      return -errno;
  for (size_t i = 0; i < changes.protection_count; i++) {
    const MemoryRange &range = changes.protections[i];
    if (!VisitMappings(table, range, [&](uintptr_t start, uintptr_t end, const Mapping &mapping) {
          return RestoreProtection(table, start, end, mapping);
        }))
      return -EFAULT;
    if (!GetWarm()->all && !RestoreUnnoticed(table, range)) return -ENOMEM;
  }
  // The lists above may be in what goes now.
  if (HeapEnd() != table->heap_end && brk(reinterpret_cast<void *>(table->heap_end)) < 0) return -errno;
  return 0;
}

// What the kernel's counts are where nothing but cold pages has changed its permissions.
PageCounts CountsNow(const Table *table) {
  const Warm *warm = GetWarm();
  PageCounts counts = table->counts;
  if (warm->all) return counts;
  counts.writable -= table->cold_pages;
  for (size_t i = 0; i < warm->count; i++)
    counts.writable += (warm->ranges[i].end - warm->ranges[i].start) / kPage;
  return counts;
}

// Whether the process has the mappings and permissions that it had, as far as the kernel's counts tell.
bool IsAsBefore(const Table *table) {
  PageCounts now;
  return ReadCounts(table->statm, &now) && now == CountsNow(table);
}

// Whether a rewind leaves mappings and permissions as they are.
bool ChangesNothing(const Table *table, const MemoryChanges &changes) {
  return changes.mapped_count == 0 && changes.protection_count == 0 && HeapEnd() == table->heap_end &&
         !GetWarm()->all;
}

bool MallocIsAsBefore(const Table *table, uintptr_t heap_end) {
  struct mallinfo2 info = mallinfo2();
  return heap_end - info.arena == table->arena_offset && info.hblks == table->mapped_chunks &&
         info.hblkhd == table->mapped_chunk_bytes;
}

// V8 commits parts of its tables of functions without the page allocator: what was inaccessible is so again, whoever
// changed it. Many calls, so only where the counts say that there is something.
bool CloseInaccessible(const Table *table) {
  for (size_t i = 0; i < table->mapping_count; i++) {
    const Mapping &mapping = table->mappings[i];
    void *pages = reinterpret_cast<void *>(mapping.start);
    if (mapping.protection == PROT_NONE && (madvise(pages, mapping.end - mapping.start, MADV_DONTNEED) < 0 ||
                                            mprotect(pages, mapping.end - mapping.start, PROT_NONE) < 0))
      return false;
  }
  return true;
}

size_t MappedPages(const Table *table, const MemoryChanges &changes, uintptr_t heap_end) {
  size_t pages = table->counts.mapped + (heap_end - table->heap_end) / kPage;
  for (size_t i = 0; i < changes.mapped_count; i++)
    pages += (changes.mapped[i].end - changes.mapped[i].start + kPage - 1) / kPage;
  return pages;
}

// ---- advancing

bool AdvancePage(size_t *count, uintptr_t page) {
  Advance *advance = GetAdvance();
  if (*count == kMaxAdvance) return false;
  uint8_t *copy = advance->copies[*count];
  memcpy(copy, reinterpret_cast<void *>(page), kPage);
  size_t slot = SlotOf(page);
  while (advance->slots[slot].page != 0)
    slot = (slot + 1) % Advance::kSlots;
  advance->slots[slot] = advance->entries[(*count)++] = {page, copy};
  return true;
}

// Adds the pages that are not as in the checkpoint. False: there are too many, or that cannot be told.
bool AdvanceRange(const Run &run, uintptr_t start, uintptr_t end, size_t *count) {
  bool gap = run.saved == nullptr;
  if (gap && (!run.anonymous || run.executable || (end - start) / kPage > kMaxAdvance)) return false;
  for (uintptr_t page = start; page < end; page += kPage) {
    const uint8_t *saved = gap || run.zero ? zeros : run.saved + (page - run.start);
    if (memcmp(reinterpret_cast<void *>(page), saved, kPage) != 0 && !AdvancePage(count, page)) return false;
  }
  return true;
}

bool AdvanceAll(const Table *table, size_t *count) {
  const Warm *warm = GetWarm();
  auto advance_hot = [&](const Run *runs, size_t run_count) {
    return std::all_of(runs, runs + run_count, [&](const Run &run) {
      return run.sealed || run.cold || AdvanceRange(run, run.start, run.end, count);
    });
  };
  memset(GetAdvance()->slots, 0, sizeof(GetAdvance()->slots));
  *count = 0;
  return advance_hot(table->runs, table->run_count) && advance_hot(table->gaps, table->gap_count) &&
         std::all_of(warm->ranges, warm->ranges + warm->count, [&](const Warm::Range &range) {
           return AdvanceRange(*range.run, range.start, range.end, count);
         });
}

// Nothing is left of the copies. (To give the pages back and to fault them in again costs more.)
bool DropAdvance(size_t count) {
  Advance *advance = GetAdvance();
  GetWarm()->advanced = 0;
  if (mprotect(advance, sizeof(*advance), PROT_READ | PROT_WRITE) < 0) return false;
  explicit_bzero(advance->copies, count * kPage);
  return mprotect(advance, sizeof(*advance), PROT_READ) == 0;
}

// A handler would write to what is put back, looked at, or made read-only.
bool BlockSignals(sigset_t *before) {
  sigset_t all;
  sigfillset(&all);
  sigdelset(&all, SIGSEGV); // libc's own variables may be cold
  sigdelset(&all, SIGBUS);
  return sigprocmask(SIG_BLOCK, &all, before) == 0;
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

void RewindDrainMalloc() {
#ifndef ISOQ_SANITIZE
  constexpr size_t kLargest = 256u << 10, kSmall = 4096, kStep = 1024, kGranule = 2 * sizeof(size_t);
  uintptr_t top = HeapEnd() - mallinfo2().keepcost;
  for (size_t size = kLargest; size > 0; size -= size > kSmall ? kStep : kGranule) {
    uintptr_t at;
    do
      at = reinterpret_cast<uintptr_t>(malloc(size - sizeof(size_t)));
    while (at != 0 && at < top);
    if (at == 0 || at >= HeapEnd()) return; // malloc has left the heap's end: there will be no checkpoint
    if (size > kSmall) free(reinterpret_cast<void *>(at)); // a smaller one would wait in a list of its size
  }
  top = HeapEnd() - mallinfo2().keepcost;
  uintptr_t unused = (top / kPage + 2) * kPage; // behind the top's own header
  if (unused < HeapEnd()) madvise(reinterpret_cast<void *>(unused), HeapEnd() - unused, MADV_DONTNEED);
#endif
}

int CheckpointTake(int statm) {
#ifdef ISOQ_SANITIZE
  return -ENOTSUP; // their shadow memory would have to be in it
#endif
  if (sysconf(_SC_PAGESIZE) != static_cast<long>(kPage)) return -ENOTSUP;
  int error = MakeArea();
  if (error == 0) error = Take(GetTable(), statm);
  if (error != 0) CheckpointDrop();
  return error;
}

void CheckpointDrop() {
  if (taken) ProtectCold(GetTable(), PROT_READ | PROT_WRITE);
  if (area != nullptr) munmap(area - kPage, kAreaBytes + kPage);
  area = nullptr;
  taken = false;
}

bool CheckpointTaken() {
  return taken;
}

const char *CheckpointRefusal(const MemoryChanges &changes) {
  counts_checked = false;
  if (!taken) return "there is no checkpoint";
  const Table *table = GetTable();
  if (changes.mapped_count > kMaxChanges || changes.protection_count > kMaxChanges)
    return "too many mappings changed";
  for (size_t i = 0; i < changes.protection_count; i++)
    if (!VisitMappings(table, changes.protections[i], [](uintptr_t, uintptr_t, const Mapping &mapping) {
          return mapping.protection == PROT_NONE || mapping.saved;
        }))
      return "the permissions of memory changed that was not saved";
  uintptr_t heap_end = HeapEnd();
  if (heap_end < table->heap_end || heap_end - table->heap_end > kMaxHeapBytes)
    return "the heap's end moved too far";
  PageCounts now;
  if (!ReadCounts(table->statm, &now)) return "the size of the process cannot be read";
  bool as_expected = now.mapped == MappedPages(table, changes, heap_end);
  // Without either, malloc has taken nothing from the kernel; to ask it takes as long as to ask the kernel.
  if ((!as_expected || heap_end != table->heap_end) && !MallocIsAsBefore(table, heap_end))
    return "malloc has mapped memory of its own";
  if (!as_expected) return "memory was mapped or unmapped behind the page allocator";
  counts_checked = ChangesNothing(table, changes) && now == CountsNow(table);
  return nullptr;
}

int CheckpointRestore(const MemoryChanges &changes, volatile void *keep, size_t keep_len) {
  sigset_t before;
  uint8_t kept[kMaxKeep];
  if (!taken || keep_len > sizeof(kept)) return -EINVAL;
  if (!BlockSignals(&before)) return -errno;
  const Table *table = GetTable();
  if (keep_len > 0) memcpy(kept, const_cast<void *>(keep), keep_len);
  GetWarm()->restoring = true;
  bool checked = counts_checked && ChangesNothing(table, changes);
  int error = RestoreMappings(table, changes);
  if (error != 0) return error; // with the signals blocked: no handler may run on such memory
  if (!RestoreRuns(table)) return -ENOMEM;
  if (!checked && !IsAsBefore(table) && !(CloseInaccessible(table) && IsAsBefore(table)))
    return -ENOTRECOVERABLE;
  if (keep_len > 0) memcpy(const_cast<void *>(keep), kept, keep_len);
  GetWarm()->restoring = false;
  return sigprocmask(SIG_SETMASK, &before, nullptr) < 0 ? -errno : 0;
}

int CheckpointCool() {
  Warm *warm = GetWarm();
  sigset_t before;
  if (!taken || warm->all || warm->advanced > 0) return -EBUSY;
  if (!BlockSignals(&before)) return -ENOTRECOVERABLE;
  for (size_t i = 0; i < warm->count; i++)
    if (!Protect(*warm->ranges[i].run, warm->ranges[i].start, warm->ranges[i].end, PROT_READ))
      return -ENOTRECOVERABLE;
  warm->count = 0;
  return sigprocmask(SIG_SETMASK, &before, nullptr) < 0 ? -ENOTRECOVERABLE : 0;
}

int CheckpointAdvance(const MemoryChanges &changes) {
  sigset_t before;
  size_t count;
  if (!taken || GetWarm()->advanced > 0 || CheckpointRefusal(changes) != nullptr || !counts_checked)
    return -EBUSY;
  counts_checked = false; // as it is in the checkpoint
  if (!BlockSignals(&before) || mprotect(GetAdvance(), sizeof(Advance), PROT_READ | PROT_WRITE) < 0)
    return -ENOTRECOVERABLE;
  GetWarm()->restoring = true;
  bool fits = AdvanceAll(GetTable(), &count);
  if (mprotect(GetAdvance(), sizeof(Advance), PROT_READ) < 0) return -ENOTRECOVERABLE;
  if (fits) GetWarm()->advanced = count;
  if ((!fits && !DropAdvance(count)) || !IsAsBefore(GetTable())) return -ENOTRECOVERABLE;
  GetWarm()->restoring = false;
  if (sigprocmask(SIG_SETMASK, &before, nullptr) < 0) return -ENOTRECOVERABLE;
  return fits ? 0 : -E2BIG;
}

int CheckpointWithdraw() {
  sigset_t before;
  if (!taken) return 0;
  if (!BlockSignals(&before)) return -errno;
  GetWarm()->restoring = true;
  for (size_t i = 0; i < GetWarm()->advanced; i++)
    Touch(GetAdvance()->entries[i].page); // what is cold is not compared
  if (!DropAdvance(GetWarm()->advanced)) return -errno;
  GetWarm()->restoring = false;
  return sigprocmask(SIG_SETMASK, &before, nullptr) < 0 ? -errno : 0;
}

bool CheckpointRestoring() {
  return taken && GetWarm()->restoring;
}

int CheckpointLearn() {
  if (!taken) return -EINVAL;
  Table *table = GetTable();
  int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  if (pagemap < 0) return -errno;
  int error = mprotect(area, kAreaBytes - kPage, PROT_READ | PROT_WRITE) < 0 ? -errno : 0;
  for (size_t i = 0; i < table->gap_count && error == 0; i++)
    error = VisitPages(table, pagemap, table->gaps[i].start, table->gaps[i].end,
                       [&](uintptr_t page, bool resident) {
                         if (resident && table->learnt_count < kMaxLearnt)
                           table->learnt[table->learnt_count++] = page;
                         return 0;
                       });
  close(pagemap);
  if (mprotect(area, kSealedBytes, PROT_READ) < 0) return -errno;
  return error;
}

void RewindTouch(void *data, size_t len) {
  if (!taken || len == 0) return;
  uintptr_t end = reinterpret_cast<uintptr_t>(data) + len;
  for (uintptr_t at = reinterpret_cast<uintptr_t>(data); at < end; at = (at & ~(kPage - 1)) + kPage)
    Touch(at);
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
