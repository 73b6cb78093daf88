#include "engine/random.hh"

#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

#include "engine/rewind.hh"

namespace isoq {
namespace {

uint64_t fixed_seed;
bool seed_is_fixed;

uint64_t Murmur(uint64_t h) { // MurmurHash3's finaliser
  h ^= h >> 33;
  h *= 0xff51afd7ed558ccd;
  h ^= h >> 33;
  h *= 0xc4ceb9fe1a85ec53;
  return h ^ h >> 33;
}

struct Candidates {
  static constexpr size_t kMax = 8;
  void *states[kMax];
  size_t draws[kMax];
  size_t count;
};

} // namespace

uint64_t IsolateRandom::markers_[kMaxMarkers];
size_t IsolateRandom::marker_count_;
bool IsolateRandom::marking_;

bool RandomBytes(void *buffer, size_t length) {
  RewindTouch(buffer, length);
  return syscall(SYS_getrandom, buffer, length, 0) == static_cast<long>(length);
}

void RandomSetSeed(const uint64_t *seed) {
  seed_is_fixed = seed != nullptr;
  fixed_seed = seed != nullptr ? *seed : 0;
}

bool RandomEntropy(unsigned char *buffer, size_t length) {
  if (!seed_is_fixed && !RandomBytes(buffer, length)) return false;
  for (size_t i = 0; seed_is_fixed && i < length; i++)
    buffer[i] = static_cast<unsigned char>(fixed_seed >> (i % 8 * 8));
  if (IsolateRandom::marking_ && length == sizeof(uint64_t) &&
      IsolateRandom::marker_count_ < IsolateRandom::kMaxMarkers)
    memcpy(&IsolateRandom::markers_[IsolateRandom::marker_count_++], buffer, length);
  return true;
}

void IsolateRandom::StartMarking() {
  RandomSetSeed(nullptr);
  marking_ = true;
  marker_count_ = 0;
}

void IsolateRandom::StopMarking() {
  marking_ = false;
}

IsolateRandom::State IsolateRandom::FromSeed(uint64_t seed) {
  uint64_t state0 = Murmur(seed);
  return {seed, state0, Murmur(~state0)};
}

void IsolateRandom::Step(State *state) { // xorshift128+
  uint64_t s1 = state->state0, s0 = state->state1;
  state->state0 = s0;
  s1 ^= s1 << 23;
  s1 ^= s1 >> 17;
  s1 ^= s0;
  s1 ^= s0 >> 26;
  state->state1 = s1;
}

bool IsolateRandom::CountDraws(const State &state, size_t *draws) {
  State at = FromSeed(state.initial_seed);
  for (*draws = 0; *draws < kMaxDraws; ++*draws, Step(&at))
    if (at.state0 == state.state0 && at.state1 == state.state1) return true;
  return false;
}

void IsolateRandom::Look(void *context, uintptr_t start, uintptr_t end) {
  Candidates *found = static_cast<Candidates *>(context);
  for (uintptr_t at = start; at + sizeof(State) <= end; at += sizeof(uint64_t)) {
    State *state = reinterpret_cast<State *>(at);
    for (size_t i = 0; i < marker_count_; i++) {
      size_t draws = 0;
      if (state->initial_seed != markers_[i] || !CountDraws(*state, &draws)) continue;
      if (found->count < Candidates::kMax) {
        found->states[found->count] = state;
        found->draws[found->count] = draws;
      }
      found->count++;
    }
  }
}

bool IsolateRandom::Find(v8::Isolate *isolate) {
  Candidates found = {};
  CheckpointVisit(Look, &found);
  if (found.count > Candidates::kMax) return false;
  State before[Candidates::kMax];
  for (size_t i = 0; i < found.count; i++)
    before[i] = *static_cast<State *>(found.states[i]);
  v8::HandleScope scope(isolate);
  v8::Symbol::New(isolate); // draws its hash
  for (size_t i = 0; i < found.count; i++) {
    State *state = static_cast<State *>(found.states[i]);
    if (memcmp(state, &before[i], sizeof(State)) == 0) continue;
    *state = before[i];
    if (state_ != nullptr) return false; // two of them
    state_ = state;
    draws_ = found.draws[i];
  }
  return state_ != nullptr;
}

void IsolateRandom::Seed(uint64_t seed) const {
  State state = FromSeed(seed);
  for (size_t i = 0; i < draws_; i++)
    Step(&state);
  *state_ = state;
}

} // namespace isoq
