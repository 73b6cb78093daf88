// Rewinding: the writable memory of this process, put back as it was at the checkpoint.
//
// A job is then run by an isolate that was made before the checkpoint, and whatever the job did to it, to V8's own
// state, to malloc's and to libc's is gone afterwards. The cost is that of comparing a few megabytes.
//
// In the checkpoint: every private mapping that is writable when it is taken, .data and .bss of each library, the
// heap, V8's pages, TLS; and anonymous memory that is readable only (V8 10.2 makes its code writable for moments).
// Pages that are resident are copied; those which are not ("gaps") read as zero or as their file does, and are dropped
// after a job that wrote to them so that they do so again. What is mapped later is unmapped, the heap's end (brk) moved
// back, changed permissions are changed back.
//
// Not in it: the stack and the registers, which hold the caller of CheckpointRestore() and nothing that counts once
// the job has returned (as with a new isolate, what is below the stack pointer is not wiped, and so it is with the signal
// stack, but for its first pages); this module's own area with the table and the copies, which is read-only from the
// checkpoint on, but for the copies of a second state while they are made and wiped; what a file's mapping holds without
// being writable; kernel state: timers and signal actions stay as they are, and descriptors do, of which the sandbox lets
// nobody make one (tests/sandbox/deny_files.c, which runs with rewinding, too): so nothing here looks at them.
//
// Invariants, on which the caller relies or for which the caller answers:
//  - one thread; V8 is in no scope, and no signal handler's work is half done, when it is taken and at each rewind;
//  - pointers to memory allocated after the checkpoint are dead after a rewind, whoever holds them;
//  - what must outlast a rewind is on the stack, or with the kernel;
//  - V8 maps, unmaps and protects through pages.hh alone, and malloc grows the heap alone (RewindPrepareMalloc()).
//    /proc is not there in the sandbox, so the set of mappings is known from these two.
//
// The last one is not taken on trust. A descriptor of /proc/self/statm, opened before the lock-down, tells how many pages
// the process has mapped, and how many of them are private and writable. The first is compared before the RESULT of each
// job goes out, with what it was at the checkpoint and what pages.hh and malloc have added; both are compared after the
// rewind, with the checkpoint's, or before it already: where both are right then, and no mapping and no permission is to
// be undone, the rewind does not change them. Where only the second one differs, whatever was inaccessible at the checkpoint
// is dropped and made inaccessible again, and the counts must agree then: V8 13.6 commits more of its tables of functions
// by itself, for jobs with thousands of them. Not seen: two changes behind the back of both which are equal in size and
// kind (malloc's own figures are looked at only where these counts or the heap's end differ), and, until the next job's
// RESULT, one that is made between the look before the RESULT and the rewind: by the sending of that RESULT.
//
// It fails closed. CheckpointRefusal() names what it cannot undo, and the process must be replaced then:
//  - the job's end was not clean (the engine's to say);
//  - malloc has taken memory elsewhere than at the heap's end, or given mapped memory back;
//  - memory was mapped or unmapped by somebody else, or the size of the process cannot be read;
//  - a permission was changed where a file is mapped that was not writable, or where nothing was mapped;
//  - more changes than kMaxChanges.
// SIGSEGV is the checkpoint's, for writes to its cold pages; any other goes to the handler that was there before.
// A step of the rewind that fails, or a count that is another one afterwards, leaves a process that must end at once
// (EXECUTOR_EXIT_REWIND). A job that it had been given is run by another one: it had not begun (worker/executor.h).
// A checkpoint is refused as well: shared writable memory, more threads, more mappings or bytes than there is room.
//
// What a job can know of earlier ones of its tenant all the same, until the process is replaced (executor_max_jobs,
// 10,000 by default): the addresses of V8's heap, and the hash seed (random.hh).
#ifndef ISOQ_ENGINE_REWIND_HH
#define ISOQ_ENGINE_REWIND_HH

#include <cstddef>
#include <cstdint>

namespace isoq {

struct MemoryRange {
  uintptr_t start, end;
};

// What the page allocator did after the checkpoint. Both lists may lie in memory that is put back.
struct MemoryChanges {
  const MemoryRange *mapped;
  size_t mapped_count;
  const MemoryRange *protections; // ranges of memory from before the checkpoint
  size_t protection_count;
};

inline constexpr size_t kMaxChanges = 65536; // of each kind

// Makes malloc use the heap's end only, and never give it back. Before anything large is allocated: best at the start
// of main(). 0, or -ENOTSUP where malloc is not glibc's (sanitizers).
int RewindPrepareMalloc();

// To be called before whatever the checkpoint is to hold is allocated, and again before it is taken. What malloc has
// free is given away for good, but for the end of its memory: what is allocated from here on, and what jobs allocate,
// lies together then, instead of a little in each of a hundred pages.
void RewindDrainMalloc();

// Takes the checkpoint, in place of an earlier one. Reads /proc/self. `statm` is a descriptor of /proc/self/statm, read
// at each rewind. 0 or a negative errno: there is none then.
int CheckpointTake(int statm);
void CheckpointDrop();
bool CheckpointTaken();

// Static text: why the process cannot be rewound; null: it can be.
const char *CheckpointRefusal(const MemoryChanges &changes);

// Puts everything back. To be asked only when there is no refusal. 0, or a negative errno: the process must end.
// Blocks every signal for its time. The `keep_len` bytes at `keep` stay as they are, kMaxKeep at most.
inline constexpr size_t kMaxKeep = 64;
int CheckpointRestore(const MemoryChanges &changes, volatile void *keep, size_t keep_len);

// A second state, on top of the checkpoint: that of now. The pages that are not as in the checkpoint are kept as well,
// kMaxAdvance of them at most, and rewinds go back to that, until it is withdrawn. The same invariants hold for both.
// 0; -EBUSY: not after what the process has done (of mappings, permissions and the heap's end, nothing may have changed);
// -E2BIG: more pages, or more of what was not in use is warm. Nothing has happened then. Otherwise the process must end.
inline constexpr size_t kMaxAdvance = 1024;
int CheckpointAdvance(const MemoryChanges &changes);
// Right after a rewind: makes cold what jobs have made warm, so that an advance looks at what is written from then on. It
// and the faults that follow cost as much as some thirty advances. As above.
int CheckpointCool();
// The next rewind goes back to the checkpoint itself, and nothing is left of the copies. 0, or a negative errno: the
// process must end.
int CheckpointWithdraw();

// Async-signal-safe. True in the middle of CheckpointRestore(), CheckpointAdvance() and CheckpointWithdraw(): for the
// handler of a fault, since no step of these may.
bool CheckpointRestoring();

// Between a checkpoint and its restoring: notes which gaps are resident now. The next CheckpointTake() makes the same
// pages resident, so that jobs need not fault them in again. 0 or a negative errno.
int CheckpointLearn();

// To be called with a buffer before the kernel writes to it, unless it is on the stack: see rewind.cc.
void RewindTouch(void *data, size_t len);

struct CheckpointSize {
  size_t saved_bytes, runs, gaps, mappings;
};
CheckpointSize CheckpointMeasure();

// Calls `visit` with each range that is saved.
void CheckpointVisit(void (*visit)(void *context, uintptr_t start, uintptr_t end), void *context);

} // namespace isoq

#endif
