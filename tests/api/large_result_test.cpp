// A result of more than 2 GiB. It takes seconds, and memory for several copies of it, so it is a
// program of its own.
#include <cstdio>
#include <fstream>

#include "os/sanitizers.hpp"
#include "support/pool_test.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;

constexpr std::size_t size = (std::size_t{2} << 30) + 5;

std::size_t available_gib() {
  std::ifstream info("/proc/meminfo");
  for (std::string line; std::getline(info, line);) {
    std::size_t kib = 0;
    if (std::sscanf(line.c_str(), "MemAvailable: %zu kB", &kib) == 1) return kib >> 20;
  }
  return 0;
}

// As leak_free_test, with more patience.
class large_result_test : public ::testing::Test {
 protected:
  large_result_test() : watchdog_(duration(570)) { adopt_orphans(); }
  void SetUp() override {
    // What a process has once for all its pools.
    process_pool_executor({.max_workers = 1, .start = start_method::spawn}).submit([] {}).wait();
    before_ = holdings::now();
  }
  void TearDown() override { EXPECT_EQ(leaked_since(before_), ""); }

 private:
  watchdog watchdog_;
  holdings before_;
};

// With one start method: what carries a result does not know how its worker was started.
TEST_F(large_result_test, more_than_2_gib) {
  if (os::address_sanitizer || os::thread_sanitizer) {
    GTEST_SKIP() << "a sanitizer needs several times the memory and the time";
  }
  if (available_gib() < 12) GTEST_SKIP() << "12 GiB of memory are wanted, for all the copies";
  process_pool_executor pool({.max_workers = 1, .start = start_method::spawn});
  const std::vector<char> got = pool.submit([] {
                                      std::vector<char> v(size);
                                      v[1] = 'a';
                                      v[size / 2] = 'b';
                                      v[size - 1] = 'c';
                                      return v;
                                    })
                                    .get();
  ASSERT_EQ(got.size(), size);
  EXPECT_EQ(got[0], 0);
  EXPECT_EQ(got[1], 'a');
  EXPECT_EQ(got[size / 2], 'b');
  EXPECT_EQ(got[size - 2], 0);
  EXPECT_EQ(got[size - 1], 'c');
}

}  // namespace
