// The second state of a checkpoint (rewind.hh), without V8: what memory holds after each rewind, in pages of every kind.
//
// Check forks for each test. Rewinding puts this program's variables back as well, so what is to be compared later lies
// on the stack.
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <initializer_list>

#include "engine/rewind.hh"

using namespace isoq;

namespace {

constexpr size_t kPage = 4096;

// Full ones, zeros that are resident, some that are not, and full ones again.
constexpr size_t kFull = 20, kZero = 20, kUnused = 300, kPages = kFull + kZero + kUnused + 700;
constexpr size_t kFirstUnused = kFull + kZero;
constexpr uint8_t kPattern = 7;

// Larger than what an advance looks at.
constexpr size_t kLargePages = kMaxAdvance + 76;

uint8_t *pages, *large[2]; // of the large ones, nothing is in use
volatile int variable;     // this program's own: always compared

const MemoryChanges nothing = {};

// What each page is expected to hold.
struct State {
  uint8_t values[kPages];
};

void Write(size_t page, uint8_t value) {
  uint8_t *at = pages + page * kPage;
  at[0] = at[kPage / 2] = at[kPage - 1] = value;
}

void Expect(const State &expected, const char *when) {
  for (size_t page = 0; page < kPages; page++) {
    const uint8_t *at = pages + page * kPage, value = expected.values[page];
    ck_assert_msg(at[0] == value && at[kPage / 2] == value && at[kPage - 1] == value,
                  "%s: page %zu holds %d %d %d instead of %d", when, page, at[0], at[kPage / 2],
                  at[kPage - 1], value);
  }
}

void Rewind() {
  ck_assert_ptr_null(CheckpointRefusal(nothing));
  ck_assert_int_eq(CheckpointRestore(nothing, nullptr, 0), 0);
}

// Takes the checkpoint; gives what it holds.
State Start() {
  State first = {};
  ck_assert_int_eq(RewindPrepareMalloc(), 0);
  pages = static_cast<uint8_t *>(
      mmap(nullptr, kPages * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ck_assert(pages != MAP_FAILED);
  for (size_t page = 0; page < kPages; page++) {
    if (page >= kFirstUnused && page < kFirstUnused + kUnused) continue;
    first.values[page] = page < kFull || page >= kFirstUnused ? kPattern : 0;
    Write(page, first.values[page]);
  }
  for (uint8_t *&one : large) { // not beside each other
    one = static_cast<uint8_t *>(
        mmap(nullptr, (kLargePages + 1) * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ck_assert(one != MAP_FAILED);
    ck_assert_int_eq(mprotect(one + kLargePages * kPage, kPage, PROT_NONE), 0);
  }
  variable = 1;
  int statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  ck_assert_int_ge(statm, 0);
  ck_assert_int_eq(CheckpointTake(statm), 0);
  Rewind(); // pages are cold from here on
  return first;
}

START_TEST(rewinds_go_back_to_the_advance_until_it_is_withdrawn) {
  State first = Start(), second = first;
  ck_assert_int_eq(CheckpointCool(), 0);
  for (size_t page : {size_t{0}, kFull, kFirstUnused + 50, kPages - 1})
    Write(page, second.values[page] = 9);
  variable = 2;
  ck_assert_int_eq(CheckpointAdvance(nothing), 0);
  Expect(second, "after the advance");
  for (int i = 0; i < 3; i++) {
    for (size_t page :
         {size_t{0}, size_t{1}, kFull, kFull + 1, kFirstUnused + 50, kFirstUnused + 51, kPages - 1})
      Write(page, 100);
    variable = 3;
    Rewind();
    Expect(second, "after a rewind");
    ck_assert_int_eq(variable, 2);
  }
  ck_assert_int_eq(CheckpointWithdraw(), 0);
  Rewind();
  Expect(first, "after the withdrawal");
  ck_assert_int_eq(variable, 1);
}
END_TEST

// How many words of this process' memory, but for the stack, are the text's.
size_t CountInMemory(uint64_t word) {
  char line[512];
  size_t found = 0;
  FILE *maps = fopen("/proc/self/maps", "r");
  ck_assert_ptr_nonnull(maps);
  while (fgets(line, sizeof(line), maps) != nullptr) {
    char *at;
    uintptr_t start = strtoul(line, &at, 16), end = strtoul(at + 1, &at, 16);
    if (at[1] != 'r' || at[4] != 'p' || strstr(at, "[stack]") != nullptr || strstr(at, "[v") != nullptr)
      continue;
    for (uintptr_t word_at = start; word_at < end; word_at += sizeof(word))
      found += *reinterpret_cast<const uint64_t *>(word_at) == word;
  }
  fclose(maps);
  return found;
}

START_TEST(nothing_is_left_of_an_advance_that_was_withdrawn_or_refused) {
  Start();
  uint64_t secret = static_cast<uint64_t>(getpid()) * UINT64_C(0x9E3779B97F4A7C15);
  memcpy(pages, &secret, sizeof(secret));
  ck_assert_int_eq(CheckpointAdvance(nothing), 0);
  ck_assert_uint_eq(CountInMemory(secret), 2);
  ck_assert_int_eq(CheckpointWithdraw(), 0);
  Rewind();
  ck_assert_uint_eq(CountInMemory(secret), 0);
  memcpy(pages, &secret, sizeof(secret));
  for (uint8_t *one : large)
    memset(one, 9, (kMaxAdvance / 2 + 1) * kPage);
  ck_assert_int_eq(CheckpointAdvance(nothing), -E2BIG);
  Rewind();
  ck_assert_uint_eq(CountInMemory(secret), 0);
}
END_TEST

START_TEST(a_second_advance_needs_the_first_one_withdrawn) {
  State first = Start(), second = first;
  Write(3, second.values[3] = 9);
  ck_assert_int_eq(CheckpointAdvance(nothing), 0);
  Write(4, 10);
  ck_assert_int_eq(CheckpointAdvance(nothing), -EBUSY);
  ck_assert_int_eq(CheckpointCool(), -EBUSY);
  Rewind();
  Expect(second, "after the one that was refused");
  ck_assert_int_eq(CheckpointWithdraw(), 0);
  Rewind();
  Write(5, first.values[5] = 11);
  ck_assert_int_eq(CheckpointAdvance(nothing), 0);
  Rewind();
  Expect(first, "with another one");
}
END_TEST

START_TEST(too_many_pages_are_no_advance) {
  State first = Start();
  for (uint8_t *one : large)
    memset(one, 9, (kMaxAdvance / 2 + 1) * kPage);
  ck_assert_int_eq(CheckpointAdvance(nothing), -E2BIG);
  Rewind();
  Expect(first, "after the refusal");
  for (uint8_t *one : large)
    ck_assert_uint_eq(one[kPage], 0);
}
END_TEST

START_TEST(too_much_of_what_was_not_in_use_is_no_advance) {
  State first = Start();
  for (size_t page = 0; page < kLargePages; page++)
    large[0][page * kPage] = page % 2 == 0 ? 9 : 0;
  ck_assert_int_eq(CheckpointAdvance(nothing), -E2BIG);
  Rewind();
  Expect(first, "after the refusal");
}
END_TEST

START_TEST(a_heap_that_grew_is_no_advance) {
  State first = Start();
  void *end = sbrk(0);
  ck_assert_ptr_nonnull(malloc(100u << 20));
  ck_assert_ptr_ne(sbrk(0), end);
  Write(3, 9);
  ck_assert_int_eq(CheckpointAdvance(nothing), -EBUSY);
  Rewind();
  Expect(first, "after the refusal");
  ck_assert_ptr_eq(sbrk(0), end);
}
END_TEST

START_TEST(memory_that_was_mapped_or_protected_is_no_advance) {
  State first = Start();
  void *mapped = mmap(nullptr, kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ck_assert(mapped != MAP_FAILED);
  MemoryRange range = {reinterpret_cast<uintptr_t>(mapped), reinterpret_cast<uintptr_t>(mapped) + kPage};
  const MemoryChanges known = {&range, 1, nullptr, 0};
  ck_assert_int_eq(CheckpointAdvance(nothing), -EBUSY);
  ck_assert_int_eq(CheckpointAdvance(known), -EBUSY);
  ck_assert_ptr_null(CheckpointRefusal(known));
  ck_assert_int_eq(CheckpointRestore(known, nullptr, 0), 0);
  range = {reinterpret_cast<uintptr_t>(pages), reinterpret_cast<uintptr_t>(pages) + kPage};
  const MemoryChanges changed = {nullptr, 0, &range, 1};
  ck_assert_int_eq(mprotect(pages, kPage, PROT_READ | PROT_WRITE), 0);
  Write(0, 9);
  ck_assert_int_eq(CheckpointAdvance(changed), -EBUSY);
  ck_assert_ptr_null(CheckpointRefusal(changed));
  ck_assert_int_eq(CheckpointRestore(changed, nullptr, 0), 0);
  Expect(first, "after the refusals");
}
END_TEST

// A permission that changed and is undone takes the page's content with it: that of the advance, then the first one.
START_TEST(a_page_that_became_writable_without_a_fault_holds_what_the_advance_does) {
  State first = Start(), second = first;
  ck_assert_int_eq(CheckpointCool(), 0);
  for (size_t page : {size_t{0}, kFirstUnused + 5})
    Write(page, second.values[page] = 9);
  ck_assert_int_eq(CheckpointAdvance(nothing), 0);
  MemoryRange range = {reinterpret_cast<uintptr_t>(pages),
                       reinterpret_cast<uintptr_t>(pages) + kPages * kPage};
  const MemoryChanges changed = {nullptr, 0, &range, 1};
  for (int i = 0; i < 2; i++) {
    ck_assert_int_eq(mprotect(pages, kPages * kPage, PROT_READ | PROT_WRITE), 0);
    for (size_t page = 0; page < kPages; page++)
      Write(page, 100);
    ck_assert_ptr_null(CheckpointRefusal(changed));
    ck_assert_int_eq(CheckpointRestore(changed, nullptr, 0), 0);
    Expect(i == 0 ? second : first, i == 0 ? "with the advance" : "without it");
    ck_assert_int_eq(CheckpointWithdraw(), 0);
    Rewind();
  }
}
END_TEST

// What was not in use is dropped when much of it was written; the advance's part of it is not.
START_TEST(what_an_advance_holds_of_memory_that_was_not_in_use_stays) {
  State first = Start(), second = first;
  for (size_t page : {kFirstUnused, kFirstUnused + 77, kFirstUnused + kUnused - 1})
    Write(page, second.values[page] = 9);
  ck_assert_int_eq(CheckpointAdvance(nothing), 0);
  for (int i = 0; i < 3; i++) {
    for (size_t page = kFirstUnused; page < kFirstUnused + kUnused; page++)
      Write(page, 100);
    Rewind();
    Expect(second, "after a job that used all of it");
  }
  ck_assert_int_eq(CheckpointWithdraw(), 0);
  Rewind();
  Expect(first, "after the withdrawal");
}
END_TEST

START_TEST(more_written_pages_than_are_noted_are_all_put_back) {
  State first = Start(), second = first;
  for (size_t page : {size_t{2}, kFull + 2, kFirstUnused + 2, kPages - 2})
    Write(page, second.values[page] = 9);
  ck_assert_int_eq(CheckpointAdvance(nothing), 0);
  for (int i = 0; i < 2; i++) {
    for (size_t page = kPages; page-- > 0;) // from the end, so that each is noted by itself
      Write(page, 100);
    if (i == 1) ck_assert_int_eq(CheckpointWithdraw(), 0);
    Rewind();
    Expect(i == 0 ? second : first, i == 0 ? "with the advance" : "without it");
  }
}
END_TEST

// A long life: jobs, small and large ones, advances and withdrawals in any order.
START_TEST(memory_is_as_expected_whatever_comes_in_which_order) {
  constexpr int kSteps = 3000;
  State first = Start(), now = first;
  unsigned random = 1, advances = 0, refused = 0;
  bool advanced = false;
  auto draw = [&](unsigned below) { return ((random = random * 1103515245u + 12345u) >> 16) % below; };
  auto write_some = [&](size_t count, State *noted) {
    for (size_t i = 0; i < count; i++) {
      size_t page = draw(kPages);
      uint8_t value = static_cast<uint8_t>(20 + draw(200));
      Write(page, value);
      if (noted != nullptr) noted->values[page] = value;
    }
  };
  for (int step = 0; step < kSteps; step++) {
    write_some(draw(20) == 0 ? 2000 : draw(30), nullptr);
    if (advanced && draw(8) == 0) {
      ck_assert_int_eq(CheckpointWithdraw(), 0);
      if (draw(2) == 0) write_some(draw(30), nullptr);
      advanced = false;
      now = first;
    }
    Rewind();
    Expect(now, "after a job");
    if (advanced || draw(4) != 0) continue;
    if (draw(2) == 0) ck_assert_int_eq(CheckpointCool(), 0);
    State second = first;
    write_some(draw(8) == 0 ? 3000 : draw(150), &second);
    int error = CheckpointAdvance(nothing);
    if (error == 0) {
      advanced = true;
      now = second;
      advances++;
    } else {
      ck_assert(error == -E2BIG || error == -EBUSY); // -EBUSY: more was written than is noted
      refused++;
      Rewind();
    }
    Expect(now, error == 0 ? "after an advance" : "after a refused one");
  }
  ck_assert_uint_gt(advances, 100);
  ck_assert_uint_gt(refused, 10);
}
END_TEST

// What jobs used before would be looked at, too.
START_TEST(cold_pages_are_none_that_an_advance_looks_at) {
  State first = Start(), second = first;
  for (int cooled = 0; cooled < 2; cooled++) {
    memset(large[0], 9, kLargePages * kPage);
    Rewind();
    if (cooled == 1) ck_assert_int_eq(CheckpointCool(), 0);
    Write(3, 9);
    ck_assert_int_eq(CheckpointAdvance(nothing), cooled == 1 ? 0 : -E2BIG);
    if (cooled == 0) Rewind();
  }
  second.values[3] = 9;
  Rewind();
  Expect(second, "after a rewind");
}
END_TEST

// Pages which are always compared, and were not in use.
START_TEST(what_shares_a_page_with_the_signal_stack_is_advanced) {
  constexpr size_t kStart = kPage + kPage / 2, kSize = 4 * kPage;
  uint8_t *shared = static_cast<uint8_t *>(
      mmap(nullptr, 8 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ck_assert(shared != MAP_FAILED);
  stack_t stack = {};
  stack.ss_sp = shared + kStart;
  stack.ss_size = kSize;
  ck_assert_int_eq(sigaltstack(&stack, nullptr), 0);
  Start();
  shared[kPage] = shared[kStart + kSize] = 9;
  ck_assert_int_eq(CheckpointAdvance(nothing), 0);
  for (uint8_t expected : {9, 0}) {
    shared[kPage] = shared[kStart + kSize] = 100;
    if (expected == 0) ck_assert_int_eq(CheckpointWithdraw(), 0);
    Rewind();
    ck_assert_uint_eq(shared[kPage], expected);
    ck_assert_uint_eq(shared[kStart + kSize], expected);
  }
}
END_TEST

// Without having been asked first, a rewind looks for itself.
START_TEST(a_rewind_to_an_advance_trusts_no_earlier_look) {
  Start();
  Write(3, 9);
  ck_assert_int_eq(CheckpointAdvance(nothing), 0);
  Rewind();
  ck_assert(mmap(nullptr, kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
  ck_assert_int_eq(CheckpointRestore(nothing, nullptr, 0), -ENOTRECOVERABLE);
}
END_TEST

START_TEST(without_a_checkpoint_there_is_nothing_to_advance) {
  ck_assert_int_eq(CheckpointCool(), -EBUSY);
  ck_assert_int_eq(CheckpointAdvance(nothing), -EBUSY);
  ck_assert_int_eq(CheckpointWithdraw(), 0);
}
END_TEST

} // namespace

int main() {
  Suite *suite = suite_create("checkpoint");
  TCase *tests = tcase_create("advance");
  if (RewindPrepareMalloc() == -ENOTSUP) {
    fprintf(stderr, "skipped: no rewinding with sanitizers\n");
    return 77;
  }
  tcase_set_timeout(tests, 120);
  tcase_add_test(tests, rewinds_go_back_to_the_advance_until_it_is_withdrawn);
  tcase_add_test(tests, nothing_is_left_of_an_advance_that_was_withdrawn_or_refused);
  tcase_add_test(tests, a_second_advance_needs_the_first_one_withdrawn);
  tcase_add_test(tests, too_many_pages_are_no_advance);
  tcase_add_test(tests, too_much_of_what_was_not_in_use_is_no_advance);
  tcase_add_test(tests, a_heap_that_grew_is_no_advance);
  tcase_add_test(tests, memory_that_was_mapped_or_protected_is_no_advance);
  tcase_add_test(tests, a_page_that_became_writable_without_a_fault_holds_what_the_advance_does);
  tcase_add_test(tests, what_an_advance_holds_of_memory_that_was_not_in_use_stays);
  tcase_add_test(tests, more_written_pages_than_are_noted_are_all_put_back);
  tcase_add_test(tests, memory_is_as_expected_whatever_comes_in_which_order);
  tcase_add_test(tests, cold_pages_are_none_that_an_advance_looks_at);
  tcase_add_test(tests, what_shares_a_page_with_the_signal_stack_is_advanced);
  tcase_add_test(tests, a_rewind_to_an_advance_trusts_no_earlier_look);
  tcase_add_test(tests, without_a_checkpoint_there_is_nothing_to_advance);
  suite_add_tcase(suite, tests);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
