#include "shm/blocks.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <map>
#include <random>
#include <system_error>

#include "os/memfd.hpp"

namespace procpool::shm {
namespace {

constexpr u64 arena = window_bytes;  // any multiple of a window
constexpr u64 growth = u64{1} << 20U;

TEST(blocks_test, size_classes_waste_at_most_a_quarter_and_grow) {
  u32 before = 0;
  for (u64 bytes = 1; bytes < (u64{1} << 36U); bytes += 1 + bytes / 7) {
    const u32 c = block_allocator::class_of(bytes);
    EXPECT_GE(c, before);
    EXPECT_GE(block_allocator::capacity_of(c), bytes);
    if (bytes > 1024) {
      EXPECT_LE(block_allocator::capacity_of(c), bytes + bytes / 4 + 128);
    }
    before = c;
  }
}

TEST(blocks_test, blocks_do_not_overlap_and_keep_their_contents) {
  const os::unique_fd fd = os::create_memfd("blocks_test");
  block_allocator blocks(fd.get(), arena, arena + 64 * window_bytes);
  arena_view view(fd.get(), arena);
  std::map<u64, std::pair<block, unsigned char>> live;
  std::mt19937 random(7);
  unsigned char mark = 0;
  for (int i = 0; i < 3000; ++i) {
    if (live.size() > 40) {
      const auto victim = std::next(live.begin(), static_cast<long>(random() % live.size()));
      const auto& [b, expected] = victim->second;
      const std::byte* bytes = view.at(b.offset, b.capacity);
      EXPECT_EQ(std::to_integer<unsigned char>(bytes[0]), expected);
      EXPECT_EQ(std::to_integer<unsigned char>(bytes[b.capacity - 1]), expected);
      blocks.release(b);
      live.erase(victim);
    }
    const u64 bytes = u64{1} << (random() % 20) | random() % 1000;
    const block b = blocks.allocate(bytes);
    ASSERT_GE(b.capacity, bytes);
    ASSERT_EQ(b.offset % cache_line, 0U);
    const auto after = live.lower_bound(b.offset);
    if (after != live.end()) {
      ASSERT_LE(b.offset + b.capacity + sizeof(block_header), after->second.first.offset);
    }
    if (after != live.begin()) {
      const block& left = std::prev(after)->second.first;
      ASSERT_LE(left.offset + left.capacity + sizeof(block_header), b.offset);
    }
    ++mark;
    std::memset(view.at(b.offset, b.capacity), mark, b.capacity);
    live[b.offset] = {b, mark};
  }
}

TEST(blocks_test, a_released_block_is_used_again) {
  const os::unique_fd fd = os::create_memfd("blocks_test");
  block_allocator blocks(fd.get(), arena, arena + 4 * window_bytes);
  const block first = blocks.allocate(5000);
  blocks.release(first);
  EXPECT_EQ(blocks.allocate(4900).offset, first.offset);
}

u64 bytes_of(int fd) {
  struct stat status{};
  EXPECT_EQ(::fstat(fd, &status), 0);
  return static_cast<u64>(status.st_blocks) * 512;
}

TEST(blocks_test, large_blocks_keep_their_pages_until_they_are_unused_for_a_while) {
  const os::unique_fd fd = os::create_memfd("blocks_test");
  block_allocator blocks(fd.get(), arena, arena + 64 * window_bytes);
  EXPECT_FALSE(blocks.needs_trim());
  const block two[] = {blocks.allocate(3 * large_block), blocks.allocate(3 * large_block)};
  const block huge = blocks.allocate(window_bytes + 1);
  EXPECT_TRUE(blocks.needs_trim());
  for (const block& b : two) blocks.release(b);
  blocks.release(huge);
  const u64 all = bytes_of(fd.get());
  EXPECT_GT(all, window_bytes);
  blocks.start_trim();
  EXPECT_FALSE(blocks.trim_some()) << "they were released since the last time";
  // One of them is needed, one is not.
  EXPECT_EQ(blocks.allocate(3 * large_block).offset, two[1].offset);
  blocks.release(two[1]);
  EXPECT_EQ(bytes_of(fd.get()), all);
  blocks.start_trim();
  while (blocks.trim_some()) continue;
  EXPECT_LT(bytes_of(fd.get()), window_bytes);
  EXPECT_TRUE(blocks.needs_trim());
  blocks.start_trim();
  while (blocks.trim_some()) continue;
  EXPECT_FALSE(blocks.needs_trim());
  EXPECT_LT(bytes_of(fd.get()), 2 * growth);
}

TEST(blocks_test, a_block_that_is_being_trimmed_can_be_allocated) {
  const os::unique_fd fd = os::create_memfd("blocks_test");
  block_allocator blocks(fd.get(), arena, arena + 16 * window_bytes);
  arena_view view(fd.get(), arena);
  const block big = blocks.allocate(2 * window_bytes);
  std::memset(view.at(big.offset, big.capacity), 1, big.capacity);
  blocks.release(big);
  blocks.start_trim();
  blocks.start_trim();
  EXPECT_TRUE(blocks.trim_some());  // a part of it
  const block again = blocks.allocate(2 * window_bytes);
  EXPECT_EQ(again.offset, big.offset);
  EXPECT_FALSE(blocks.is_trimming());
  EXPECT_GE(bytes_of(fd.get()), big.capacity);
  EXPECT_EQ(view.at(again.offset, again.capacity)[0], std::byte{0});
  EXPECT_EQ(view.at(again.offset, again.capacity)[again.capacity - 1], std::byte{1});
}

TEST(blocks_test, without_memory_free_blocks_give_their_pages_back) {
  const os::unique_fd fd = os::create_memfd("blocks_test");
  block_allocator blocks(fd.get(), arena, arena + 8 * window_bytes);
  const block first = blocks.allocate(5 * window_bytes);
  blocks.release(first);
  // Another size class, and the partition is full: that is an error, and the memory was given back.
  EXPECT_THROW(blocks.allocate(7 * window_bytes), std::system_error);
  EXPECT_LT(bytes_of(fd.get()), 2 * growth);
  EXPECT_EQ(blocks.allocate(5 * window_bytes).offset, first.offset);
}

TEST(blocks_test, a_full_partition_is_an_error_that_changes_nothing) {
  const os::unique_fd fd = os::create_memfd("blocks_test");
  block_allocator blocks(fd.get(), arena, arena + window_bytes);
  const block kept = blocks.allocate(1000);
  try {
    blocks.allocate(2 * window_bytes);
    FAIL() << "there is no room for that";
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code().value(), EFBIG);
    EXPECT_NE(std::string(e.what()).find("read results"), std::string::npos);
  }
  EXPECT_NE(blocks.allocate(1000).offset, kept.offset);
}

}  // namespace
}  // namespace procpool::shm
