#include "objects/object_table.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <limits>
#include <system_error>
#include <thread>
#include <vector>

namespace procpool::shm {
namespace {

static_assert(sizeof(object_entry) == 16 && offsetof(object_entry, bytes) == 8);
static_assert(sizeof(row_head) == 4);
static_assert(sizeof(object_header) == 24 && offsetof(object_header, allocated) == 16);
static_assert(sizeof(detail::object_ref) == 8);

constexpr u64 unlimited = std::numeric_limits<u64>::max();

TEST(object_plan_test, the_parts_do_not_overlap_and_pages_are_whole) {
  const u64 page = os::page_size();
  for (const u64 limit : {unlimited, u64{1} << 50, u64{1} << 40, u64{1} << 30, u64{16} << 20}) {
    const object_plan p = object_plan::make(limit);
    EXPECT_LE(p.file_size, limit);
    EXPECT_GE(p.ids, 64U);
    EXPECT_GE(p.entries_offset, sizeof(process_page));
    EXPECT_GE(p.heads_offset, p.entries_offset + p.ids * sizeof(object_entry));
    EXPECT_GE(p.fixed_bytes, p.heads_offset + p.rows * sizeof(row_head));
    EXPECT_GE(p.counts_offset, p.fixed_bytes);
    EXPECT_GE(p.row_stride, p.ids * sizeof(u32));
    EXPECT_LE(p.row_stride / page, 32U);  // bits of a row's head
    EXPECT_GE(p.ranges_offset, p.counts_offset + p.rows * p.row_stride);
    EXPECT_EQ(p.file_size, p.ranges_offset + p.ids * p.stride);
    for (const u64 n :
         {p.entries_offset, p.counts_offset, p.row_stride, p.ranges_offset, p.stride}) {
      EXPECT_EQ(n % page, 0U);
    }
  }
  EXPECT_EQ(object_plan::make(unlimited).ids, 16384U);
  EXPECT_EQ(object_plan::make(unlimited).stride, u64{1} << 40);
  const object_plan none = object_plan::make(1 << 20);
  EXPECT_EQ(none.ids, 0U);
  EXPECT_LE(none.file_size, 1U << 20);
}

TEST(object_word_test, an_object_word_returns_its_parts) {
  const u64 word = make_object_word(0xfedcba98, object_state::freeing, 8191);
  EXPECT_EQ(object_generation_of(word), 0xfedcba98U);
  EXPECT_EQ(object_state_of(word), object_state::freeing);
  EXPECT_EQ(object_row_of(word), 8191U);
  EXPECT_EQ(object_state_of(0), object_state::free);
}

constexpr u32 row = 7;
const auto anything = [](u32) { return true; };
const auto nothing_to_undo = [](u32) {};

void give_back(object_table& table, u32 id) {
  EXPECT_TRUE(table.punch(id));
  table.free(id, object_generation_of(table.entry(id).word));
}

TEST(object_table_test, each_claim_is_another_generation) {
  object_table table(parent_page_fd(), parent_page());
  const u32 id = table.claim(row, anything, nothing_to_undo);
  ASSERT_NE(id, 0U);
  const u64 word = table.entry(id).word;
  EXPECT_EQ(object_row_of(word), row);
  EXPECT_EQ(object_state_of(word), object_state::used);
  const u32 other = table.claim(row, anything, nothing_to_undo);
  EXPECT_NE(other, id);
  give_back(table, id);
  EXPECT_EQ(table.claim(row, anything, nothing_to_undo), id);
  EXPECT_EQ(object_generation_of(table.entry(id).word), object_generation_of(word) + 1);
  give_back(table, id);
  give_back(table, other);
}

// Each process has a hint of its own where to begin.
TEST(object_table_test, ids_that_another_process_has_freed_are_used_before_the_table_grows) {
  object_table table(parent_page_fd(), parent_page()), other(parent_page_fd(), parent_page());
  const u32 known = table.allocated();
  std::vector<u32> mine;
  do {
    mine.push_back(table.claim(row, anything, nothing_to_undo));
  } while (mine.back() + 1 < table.allocated());
  EXPECT_GE(table.allocated(), known);
  const u32 full = table.allocated();
  for (const std::size_t i : {std::size_t{3}, mine.size() / 2}) {
    give_back(other, mine[i]);
    EXPECT_EQ(table.claim(row, anything, nothing_to_undo), mine[i]);
  }
  EXPECT_EQ(table.allocated(), full);
  for (const u32 id : mine) give_back(table, id);
  EXPECT_EQ(table.claim(row, anything, nothing_to_undo), mine.front());
  give_back(table, mine.front());
}

TEST(object_table_test, threads_that_claim_at_once_get_different_ids) {
  object_table table(parent_page_fd(), parent_page());
  constexpr std::size_t each = 500;
  std::vector<u32> got[2];
  std::atomic<int> counts{0};
  std::vector<std::thread> threads;
  for (std::vector<u32>& mine : got) {
    threads.emplace_back([&] {
      for (std::size_t i = 0; i < each; ++i) {
        mine.push_back(table.claim(
            row,
            [&](u32) {
              ++counts;
              return true;
            },
            [&](u32) { --counts; }));
      }
    });
  }
  for (std::thread& t : threads) t.join();
  std::vector<u32> all = got[0];
  all.insert(all.end(), got[1].begin(), got[1].end());
  std::sort(all.begin(), all.end());
  EXPECT_EQ(std::unique(all.begin(), all.end()), all.end());
  EXPECT_EQ(counts.load(), static_cast<int>(2 * each));
  EXPECT_NE(all.front(), 0U);
  for (const u32 id : all) give_back(table, id);
}

TEST(object_table_test, memory_of_a_new_object_is_zero) {
  object_table table(parent_page_fd(), parent_page());
  const u32 id = table.claim(row, anything, nothing_to_undo);
  const os::mapping map = table.map(id, 1 << 20, os::access::read_write);
  ASSERT_TRUE(map);
  for (int turn = 0; turn < 2; ++turn) {
    table.allocate(id, 1 << 20);
    EXPECT_TRUE(std::all_of(map.data(), map.data() + map.size(),
                            [](std::byte b) { return b == std::byte{0}; }));
    std::fill_n(map.data(), map.size(), std::byte{1});
  }
  give_back(table, id);
}

TEST(object_table_test, a_size_beyond_the_range_is_an_error) {
  object_table table(parent_page_fd(), parent_page());
  EXPECT_NO_THROW(table.check_size(table.stride()));
  try {
    table.check_size(table.stride() + 1);
    ADD_FAILURE();
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code().value(), EFBIG);
  }
}

TEST(object_table_test, a_row_is_cleared_as_a_whole) {
  object_table table(parent_page_fd(), parent_page());
  table.allocate_heads();
  const u32 last = table.rows() - 1;
  const u32 page = table.page_of_count(5000);
  ASSERT_EQ(table.allocate_row_page(last, page), 0);
  table.pages(last).fetch_or(1U << page);
  {
    const os::mapping counts = table.map_row(last);
    reinterpret_cast<std::atomic<u32>*>(counts.data())[5000] = 3;
  }
  table.clear_row(last);
  EXPECT_EQ(table.pages(last).load(), 0U);
  ASSERT_EQ(table.allocate_row_page(last, page), 0);
  const os::mapping counts = table.map_row(last);
  EXPECT_EQ(reinterpret_cast<std::atomic<u32>*>(counts.data())[5000].load(), 0U);
  table.clear_row(last);
}

}  // namespace
}  // namespace procpool::shm
