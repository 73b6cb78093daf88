// What a run saw of the world outside its isolate, in the order in which it saw it: clock values, random bytes, and
// what the event loop turned to next. Recorded, it is the part of a replay record that only the engine knows; read
// back, it makes the run happen again.
//
// The text is a sequence of words, each with a space behind it (docs/replay.md):
//
//     c<ms>[x<n>]   the clock (Date) was read n times and said this, in ms since 1970; the first time in full, then as
//                   the difference to the time before
//     m<ns>         the monotonic clock was read (console.time), since the job's start
//     r<hex>        random bytes were drawn (crypto)
//     t<id>         the timer with this id fired
//     a<call>       the answer to this call of a host function was settled
//     w             an Atomics.waitAsync() timed out
//     !             nothing more was kept: the trace had become too long
//     s<status>,<n>[,<limit>] first in a replay of a run that was stopped: how it ended (enum isoq_status), after how many
//                   entries of console output, and at which limit (ms, or MB),
//                   or, of a cancelled one, after how many ms. A replay stops where that run was: when the trace
//                   and the output are used up and something more is to happen, or when nothing does for that time.
//                   Of a run that crashed nobody knows how far its trace was behind: beyond it, the replay goes on
//                   with live values
//
// A replay may be strict: every step must be the one that was recorded, and the first that is not is told
// (difference()). Or loose, for another script under the same record: clock and random values are taken as long as
// there are some, and the loop goes its own way.
#ifndef ISOQ_ENGINE_TRACE_HH
#define ISOQ_ENGINE_TRACE_HH

#include <cstddef>
#include <cstdint>
#include <string>

#include "engine/engine.h"

namespace isoq {

class Trace {
public:
  enum class Step {
    kTimer,
    kAnswer,
    kAwaited,
    kNone
  };

  // `host`: where a recorded trace goes, in pieces.
  Trace(const engine_host &host, const runtime_config &config, engine_text recorded);
  ~Trace() { Flush(); }

  // A strict replay that has not gone astray.
  bool replaying() const { return mode_ == Mode::kReplay && difference_.empty(); }

  // ---- what the run reads: the true value goes in, the one that the script sees comes out
  double ClockMs(double now_ms);
  int64_t MonotonicNs(int64_t now_ns);
  bool Random(uint8_t *bytes, size_t len); // fills them; false: the kernel has none

  // ---- the event loop: it says what it does; or, in a strict replay, asks what to do
  void Did(Step step, uint32_t id);
  Step Next(uint32_t *id);

  // Hands on what is there. Before every wait, and at the end.
  void Flush();
  // The first step of a strict replay that was another one than recorded; "" as long as there is none.
  const std::string &difference() const { return difference_; }
  // Notes the first one.
  void Differ(const std::string &message);
  // Before the script prints once more. False: the recorded run was stopped here, and so is this one.
  bool MayPrint();
  // Once the watchdog runs, and whenever a part was used: where nothing is left of a run that was stopped, its own
  // limit counts.
  void CheckStop();
  // The script is over. A recorded run that was stopped was not: so it was stopped just before its end.
  void CheckEnd();
  // The limit at which the recorded run was stopped: ms, or MB of memory; else `own`, this run's.
  uint32_t RecordedLimit(uint32_t own) const { return stop_limit_ > 0 ? stop_limit_ : own; }
  // A strict replay that went well has used all of it.
  void CheckUsedUp();

private:
  enum class Mode {
    kOff,
    kRecord,
    kReplay,
    kLoose
  };

  void ReadStop();
  bool StopHere();
  bool UsedUp();
  void Word(char kind, const std::string &rest);
  void WriteClock();
  // The next word of this kind; false: there is none, and the replay differs.
  bool Take(char kind, const char *what, std::string *rest);
  bool NextWord(std::string *word);

  const engine_host &host_;
  Mode mode_ = Mode::kOff;

  std::string text_; // not handed on yet
  size_t total_ = 0;
  bool full_ = false;

  const char *at_ = nullptr, *end_ = nullptr; // of the recorded one
  std::string difference_;
  isoq_status stopped_as_ = ISOQ_STATUS_OK;
  uint64_t prints_left_ = 0; // where stopped_as_ is set
  uint32_t stop_limit_ = 0;
  uint64_t words_ = 0;

  double clock_ms_ = 0;        // the last value
  uint64_t clock_repeats_ = 0; // of it: still to be written, or still to be given
  double clock_delta_ms_ = 0;
  int64_t started_ns_ = 0;
  int64_t last_ns_ = 0;
  // Where a replay has no more values: what is added to those of now.
  double live_clock_ms_ = 0;
  int64_t live_ns_ = 0;
};

} // namespace isoq

#endif
