// The random numbers of an isolate: V8's seed for Math.random, hashes of symbols and objects, the hash seed.
//
// V8 seeds an isolate's generator when the isolate is made. An isolate that is made once and rewound before each job
// would give every job the same numbers, and V8 has no function to seed it again. So the generator is looked for in
// the checkpoint's memory, by the seed that it was given: a number of 64 random bits. It is taken only when its state
// follows from that seed, and when making a symbol changes it; else there is no rewinding. Each job then finds the
// state that a new isolate with the job's seed would have by now: the same `seed` gives the same numbers in both modes.
//
// What stays as it is until the process is replaced (executor_max_jobs) is the hash seed, which lies in hashes everywhere
// in the heap: nothing short of a new isolate changes it. A script does not see it. Who measured it in an earlier job of
// the same tenant could make keys for a later one that collide, and so slow that one down, within its own limits.
// Debian's V8 13.6 gives every isolate of every process one and the same, so there it makes no difference.
#ifndef ISOQ_ENGINE_RANDOM_HH
#define ISOQ_ENGINE_RANDOM_HH

#include <v8.h>

#include <cstddef>
#include <cstdint>

namespace isoq {

// V8's entropy source, and what it gives: a fixed seed, or, where `seed` is null, the kernel's random bytes.
bool RandomEntropy(unsigned char *buffer, size_t length);
void RandomSetSeed(const uint64_t *seed);

// Random bytes from the kernel itself. libc's getrandom() may keep some in memory, and a rewind would give the same
// ones again.
bool RandomBytes(void *buffer, size_t length);

class IsolateRandom {
public:
  // From here on RandomEntropy() gives seeds that can be found; until StopMarking().
  static void StartMarking();
  static void StopMarking();

  // To be called with a checkpoint taken, in the isolate, which was made while marking. False: not found.
  bool Find(v8::Isolate *isolate);
  // The state after as many numbers as had been drawn when Find() was called, but from this seed.
  void Seed(uint64_t seed) const;

private:
  struct State { // V8's RandomNumberGenerator, the same in 10.2, 11.3 and 13.6
    uint64_t initial_seed, state0, state1;
  };
  static constexpr size_t kMaxMarkers = 8, kMaxDraws = 1u << 16;
  static uint64_t markers_[kMaxMarkers];
  static size_t marker_count_;
  static bool marking_;
  friend bool RandomEntropy(unsigned char *buffer, size_t length);

  static State FromSeed(uint64_t seed);
  static void Step(State *state);
  static bool CountDraws(const State &state, size_t *draws);
  static void Look(void *context, uintptr_t start, uintptr_t end);

  State *state_ = nullptr; // V8's
  size_t draws_ = 0;
};

} // namespace isoq

#endif
