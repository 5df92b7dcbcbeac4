// No test runs here: compiling this file is the check. What lies in shared memory is read by
// processes of the same build only, but a size or an offset that changes by accident would cost
// cache lines or tear a word apart.
#include "shm/layout.hpp"

#include <gtest/gtest.h>

#include <type_traits>

namespace procpool::shm {
namespace {

template <class T>
constexpr bool fit_for_sharing =
    std::is_standard_layout_v<T> && std::is_trivially_destructible_v<T>;

static_assert(std::atomic<u32>::is_always_lock_free && sizeof(std::atomic<u32>) == 4);
static_assert(std::atomic<u64>::is_always_lock_free && sizeof(std::atomic<u64>) == 8);

static_assert(fit_for_sharing<slot> && sizeof(slot) == 128 && alignof(slot) == 128);
static_assert(offsetof(slot, word) == 0);
static_assert(offsetof(slot, started) == 8);
static_assert(offsetof(slot, next) == 12);
static_assert(offsetof(slot, code) == 16);
static_assert(offsetof(slot, block) == 24);
static_assert(offsetof(slot, length) == 32);
static_assert(offsetof(slot, kind) == 40);
static_assert(offsetof(slot, traits) == 42);
static_assert(offsetof(slot, elapsed) == 44);
static_assert(offsetof(slot, bytes) == 48);

static_assert(fit_for_sharing<chunk_progress> && sizeof(chunk_progress) == 32);
static_assert(offsetof(chunk_progress, progress) == 16 && offsetof(chunk_progress, outcomes) == 24);

// What the parent writes for each task and what the workers write are lines apart.
static_assert(fit_for_sharing<control_block> && sizeof(control_block) <= 4096);
static_assert(offsetof(control_block, tail) == 0);
static_assert(offsetof(control_block, head) == 128);
static_assert(offsetof(control_block, roles) == 256);
static_assert(offsetof(control_block, asleep) == 384);

static_assert(fit_for_sharing<worker_block> && sizeof(worker_block) % 128 == 0);
static_assert(offsetof(worker_block, done_list) == 128);
static_assert(offsetof(worker_block, running) == 256 && sizeof(run_stamp) == 16);
static_assert(fit_for_sharing<region_header> && sizeof(region_header) <= 4096);
static_assert(sizeof(block_header) == 64);

TEST(layout_test, the_parts_of_a_region_do_not_overlap) {
  for (const u32 workers : {1U, 2U, 63U, 4096U}) {
    const region_plan p = region_plan::make(workers);
    EXPECT_GE(p.worker_blocks_offset, 4096 + sizeof(control_block));
    EXPECT_GE(p.ring_offset, p.worker_blocks_offset + workers * sizeof(worker_block));
    EXPECT_EQ(p.slots_offset, p.ring_offset + ring_entries * sizeof(u64));
    EXPECT_GE(p.fixed_bytes, p.slots_offset + u64{max_slots} * sizeof(slot));
    EXPECT_GE(p.arena_offset, p.fixed_bytes);
    EXPECT_EQ(p.arena_offset % window_bytes, 0U);
    EXPECT_EQ(p.slots_offset % sizeof(slot), 0U);
  }
}

TEST(layout_test, a_state_word_returns_its_parts) {
  const u64 generation = u64{0xabcdef01234} << generation_shift;
  const u64 word = make_word(generation, task_phase::claimed, 4095, waiter_flag | notify_flag);
  EXPECT_EQ(phase_of(word), task_phase::claimed);
  EXPECT_EQ(worker_of(word), 4095U);
  EXPECT_EQ(generation_of(word), generation);
  EXPECT_EQ(word & flags_mask, waiter_flag | notify_flag);
  const u64 done = with_phase(word, task_phase::done);
  EXPECT_EQ(worker_of(done), 4095U);
  EXPECT_EQ(generation_of(done), generation);
  EXPECT_TRUE(is_resolved(done));
  EXPECT_FALSE(is_resolved(word));
  EXPECT_NE(started_stamp(0), 0U);  // 0 says that nothing was begun
  EXPECT_NE(phase_of(0), task_phase::free);
}

}  // namespace
}  // namespace procpool::shm
