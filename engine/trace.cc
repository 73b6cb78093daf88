#include "engine/trace.hh"

#include "engine/random.hh"
#include "engine/watchdog.hh"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace isoq {
namespace {

constexpr size_t kFlushBytes = 16u << 10;

std::string Number(double value) {
  char text[32];
  snprintf(text, sizeof(text), "%.0f", value);
  return text;
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

std::string Describe(const std::string &word) {
  switch (word.empty() ? '\0' : word[0]) {
  case 'c': return "the clock was read";
  case 'm': return "the monotonic clock was read";
  case 'r': return std::to_string((word.size() - 1) / 2) + " random bytes were drawn";
  case 't': return "timer " + word.substr(1) + " fired";
  case 'a': return "the answer to call " + word.substr(1) + " was settled";
  case 'w': return "an Atomics.waitAsync() timed out";
  case '!': return "the trace was cut here";
  default: return "the trace ended";
  }
}

} // namespace

Trace::Trace(const engine_host &host, const runtime_config &config, engine_text recorded) : host_(host) {
  if (recorded.data != nullptr) {
    mode_ = config.loose_replay ? Mode::kLoose : Mode::kReplay;
    at_ = recorded.data;
    end_ = recorded.data + recorded.len;
    ReadStop();
  } else if (config.max_trace_bytes > 0 && host.trace != nullptr) {
    mode_ = Mode::kRecord;
    total_ = config.max_trace_bytes;
  }
}

// ---- writing

void Trace::Word(char kind, const std::string &rest) {
  if (mode_ != Mode::kRecord || full_) return;
  if (rest.size() + 4 > total_) {
    text_ += "! ";
    full_ = true;
    return;
  }
  text_ += kind;
  text_ += rest;
  text_ += ' ';
  total_ -= rest.size() + 2;
  if (text_.size() >= kFlushBytes) Flush();
}

void Trace::WriteClock() {
  if (clock_repeats_ == 0) return;
  uint64_t repeats = clock_repeats_;
  clock_repeats_ = 0;
  Word('c', Number(clock_delta_ms_) + (repeats > 1 ? "x" + std::to_string(repeats) : ""));
}

void Trace::Flush() {
  if (mode_ != Mode::kRecord) return;
  WriteClock();
  if (text_.empty()) return;
  std::string text = std::move(text_);
  text_.clear();
  host_.trace(host_.ctx, {text.data(), text.size()});
}

// ---- reading back

void Trace::ReadStop() {
  std::string word;
  if (at_ == end_ || *at_ != 's' || !NextWord(&word)) return;
  words_ = 0;
  char *after = nullptr;
  unsigned long status = strtoul(word.c_str() + 1, &after, 10);
  if (status < ISOQ_STATUS_COUNT) stopped_as_ = static_cast<isoq_status>(status);
  if (*after == ',') prints_left_ = strtoull(after + 1, &after, 10);
  if (*after == ',') stop_limit_ = static_cast<uint32_t>(strtoul(after + 1, nullptr, 10));
}

// The record ends here. True: so does this run.
bool Trace::StopHere() {
  if (stopped_as_ == ISOQ_STATUS_CRASHED || stopped_as_ == ISOQ_STATUS_SANDBOX_VIOLATION) {
    mode_ = Mode::kLoose;
    return false;
  }
  WatchdogTrip(stopped_as_, "cancelled");
  return true;
}

// Nothing is left of a run that was stopped.
bool Trace::UsedUp() {
  if (mode_ != Mode::kReplay || stopped_as_ == ISOQ_STATUS_OK || prints_left_ > 0 || clock_repeats_ > 0)
    return false;
  while (at_ < end_ && *at_ == ' ')
    at_++;
  return at_ == end_;
}

void Trace::CheckEnd() {
  if (UsedUp()) StopHere();
}

void Trace::CheckStop() {
  if (!UsedUp()) return;
  if (stopped_as_ == ISOQ_STATUS_TIMEOUT || stopped_as_ == ISOQ_STATUS_CANCELLED)
    WatchdogLimit(stopped_as_, stop_limit_, 0);
  if (stopped_as_ == ISOQ_STATUS_CPU_TIMEOUT) WatchdogLimit(stopped_as_, 0, stop_limit_);
}

bool Trace::MayPrint() {
  if (mode_ != Mode::kReplay || stopped_as_ == ISOQ_STATUS_OK) return true;
  if (prints_left_ == 0) return !StopHere();
  prints_left_--;
  CheckStop();
  return true;
}

void Trace::Differ(const std::string &message) {
  if (!difference_.empty() || mode_ != Mode::kReplay) return;
  difference_ = "step " + std::to_string(words_) + ": " + message;
  at_ = end_;
}

bool Trace::NextWord(std::string *word) {
  word->clear();
  while (at_ < end_ && *at_ == ' ')
    at_++;
  while (at_ < end_ && *at_ != ' ')
    word->push_back(*at_++);
  if (word->empty()) return false;
  words_++;
  return true;
}

bool Trace::Take(char kind, const char *what, std::string *rest) {
  std::string word;
  if (mode_ == Mode::kLoose) {
    // The next one of its kind, wherever it stands.
    while (NextWord(&word))
      if (word[0] == kind) break;
    if (word.empty() || word[0] != kind) return false;
  } else {
    if (!difference_.empty()) return false;
    bool got = NextWord(&word);
    if ((!got || word[0] == '!') && stopped_as_ != ISOQ_STATUS_OK) {
      StopHere();
      return false;
    }
    if (!got || word[0] != kind) {
      Differ("recorded: " + Describe(word) + "; now " + what);
      return false;
    }
  }
  *rest = word.substr(1);
  if (kind != 'c') CheckStop(); // of which there may be more in the same word
  return true;
}

// ---- clocks and random bytes

double Trace::ClockMs(double now_ms) {
  switch (mode_) {
  case Mode::kOff: return now_ms;
  case Mode::kRecord: {
    double ms = static_cast<double>(static_cast<int64_t>(now_ms)); // as Date has it
    if (clock_repeats_ > 0 && ms == clock_ms_) {
      clock_repeats_++;
    } else {
      WriteClock();
      clock_delta_ms_ = ms - clock_ms_;
      clock_ms_ = ms;
      clock_repeats_ = 1;
    }
    return ms;
  }
  default: break;
  }
  if (clock_repeats_ > 0) {
    if (--clock_repeats_ == 0) CheckStop();
    return clock_ms_;
  }
  std::string rest;
  if (!Take('c', "the clock is read", &rest)) { // from the last value on, it goes on
    if (clock_ms_ != 0 && live_clock_ms_ == 0) live_clock_ms_ = clock_ms_ - now_ms;
    return static_cast<double>(static_cast<int64_t>(now_ms + live_clock_ms_));
  }
  char *after = nullptr;
  clock_ms_ += static_cast<double>(strtoll(rest.c_str(), &after, 10)); // to strtod(), 0x9 were nine
  if (*after == 'x') clock_repeats_ = strtoull(after + 1, nullptr, 10) - 1;
  CheckStop();
  return clock_ms_;
}

int64_t Trace::MonotonicNs(int64_t now_ns) {
  if (mode_ == Mode::kOff) return now_ns;
  if (mode_ == Mode::kRecord) {
    WriteClock();
    if (started_ns_ == 0) started_ns_ = now_ns;
    Word('m', std::to_string(now_ns - started_ns_));
    return now_ns - started_ns_;
  }
  std::string rest;
  if (Take('m', "the monotonic clock is read", &rest)) return last_ns_ = strtoll(rest.c_str(), nullptr, 10);
  if (live_ns_ == 0) live_ns_ = last_ns_ - now_ns;
  return now_ns + live_ns_;
}

bool Trace::Random(uint8_t *bytes, size_t len) {
  std::string hex;
  if (mode_ == Mode::kReplay || mode_ == Mode::kLoose) {
    if (Take('r', "random bytes are drawn", &hex) && hex.size() == len * 2) {
      for (size_t i = 0; i < len; i++)
        bytes[i] = static_cast<uint8_t>(HexDigit(hex[2 * i]) << 4 | HexDigit(hex[2 * i + 1]));
      return true;
    }
    if (!hex.empty())
      Differ("recorded: " + std::to_string(hex.size() / 2) + " random bytes were drawn; now " +
             std::to_string(len));
  }
  for (size_t done = 0; done < len;) {
    size_t part = std::min<size_t>(len - done, 256); // the kernel gives as many at once, whatever interrupts
    if (!RandomBytes(bytes + done, part)) return false;
    done += part;
  }
  if (mode_ == Mode::kRecord) {
    static const char digits[] = "0123456789abcdef";
    WriteClock();
    for (size_t i = 0; i < len; i++) {
      hex += digits[bytes[i] >> 4];
      hex += digits[bytes[i] & 15];
    }
    Word('r', hex);
  }
  return true;
}

// ---- the event loop

void Trace::Did(Step step, uint32_t id) {
  if (mode_ != Mode::kRecord) return;
  WriteClock();
  switch (step) {
  case Step::kTimer: return Word('t', std::to_string(id));
  case Step::kAnswer: return Word('a', std::to_string(id));
  case Step::kAwaited: return Word('w', "");
  case Step::kNone: return;
  }
}

Trace::Step Trace::Next(uint32_t *id) {
  std::string word;
  if (!difference_.empty()) return Step::kNone;
  if (clock_repeats_ > 0) {
    Differ("recorded: the clock was read; now the script waits");
    return Step::kNone;
  }
  bool got = NextWord(&word);
  if ((!got || word[0] == '!') && stopped_as_ != ISOQ_STATUS_OK)
    StopHere();
  else if (!got)
    Differ("recorded: the trace ended; now the script waits");
  if (!replaying() || WatchdogReason() != ISOQ_STATUS_OK) return Step::kNone;
  CheckStop();
  *id = static_cast<uint32_t>(strtoul(word.c_str() + 1, nullptr, 10));
  switch (word[0]) {
  case 't': return Step::kTimer;
  case 'a': return Step::kAnswer;
  case 'w': return Step::kAwaited;
  default: Differ("recorded: " + Describe(word) + "; now the script waits"); return Step::kNone;
  }
}

void Trace::CheckUsedUp() {
  std::string word;
  if (mode_ != Mode::kReplay || !difference_.empty() || stopped_as_ != ISOQ_STATUS_OK) return;
  if (clock_repeats_ > 0)
    Differ("recorded: the clock was read; now the script is over");
  else if (NextWord(&word) && word[0] != '!')
    Differ("recorded: " + Describe(word) + "; now the script is over");
}

} // namespace isoq
