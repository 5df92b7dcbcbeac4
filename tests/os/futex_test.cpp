// Waiting on a word, in one process and across two.
#include "os/futex.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <new>
#include <thread>

#include "os/mapping.hpp"
#include "os/memfd.hpp"

namespace procpool::os {
namespace {

using namespace std::chrono_literals;

struct shared_words {
  std::atomic<std::uint32_t> word{1};
  std::atomic<std::uint64_t> wide{(std::uint64_t{9} << 32) | 5};
};

TEST(futex_test, a_wait_tells_why_it_returns) {
  shared_words w;
  EXPECT_EQ(futex_wait(w.word, 2, 10s), futex_result::changed);
  EXPECT_EQ(futex_wait(w.word, 1, 1ms), futex_result::timed_out);
  EXPECT_EQ(futex_wait(w.word, 1, 0ms), futex_result::timed_out);
  EXPECT_EQ(futex_wait(w.word, 1, -1s), futex_result::timed_out);
  const auto now = std::chrono::steady_clock::now();
  EXPECT_EQ(futex_wait_until(w.word, 1, now + 5ms), futex_result::timed_out);
  EXPECT_GE(std::chrono::steady_clock::now(), now + 5ms);
  EXPECT_EQ(futex_wait_until(w.word, 1, now - 1s), futex_result::timed_out);
  EXPECT_EQ(futex_wait(w.wide, 6, 10s), futex_result::changed);
  EXPECT_EQ(futex_wait(w.wide, 5, 1ms), futex_result::timed_out);
}

TEST(futex_test, wakes_another_process) {
  const unique_fd fd = create_memfd("test");
  grow_memfd(fd.get(), page_size());
  const mapping bytes = mapping::shared(fd.get(), 0, page_size());
  auto& words = *new (bytes.data()) shared_words;
  const pid_t child = ::fork();
  if (child == 0) {
    // Another mapping of the same page: the address differs, the word is the same.
    const mapping own = mapping::shared(fd.get(), 0, page_size());
    auto& seen = *reinterpret_cast<shared_words*>(own.data());
    while (seen.word.load() == 1) futex_wait(seen.word, 1, 10s);
    while (static_cast<std::uint32_t>(seen.wide.load()) == 5) futex_wait(seen.wide, 5, 10s);
    ::_exit(0);
  }
  // Wakes until one is received: the child may not sleep yet.
  while (futex_wake(words.word, 1) == 0) std::this_thread::yield();
  words.word = 2;
  futex_wake(words.word, 1);
  while (futex_wake(words.wide, 1) == 0) std::this_thread::yield();
  words.wide = 6;
  futex_wake(words.wide, 1);
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace procpool::os
