// What shared objects take of memory, for tests that look whether it comes back.
#pragma once

#include <sys/stat.h>

#include <cstdint>

#include "shm/process_page.hpp"
#include "support/pool_test.hpp"

namespace procpool::testing {

// Bytes of the process page's file that are allocated: tables and shared objects.
inline std::uint64_t shared_bytes() {
  struct stat status{};
  if (fstat(shm::parent_page_fd(), &status) != 0) return 0;
  return static_cast<std::uint64_t>(status.st_blocks) * 512;
}

// Each test ends with as much as it began with. One with a pool has that in a scope of its own.
class shared_test : public pool_test {
 protected:
  void SetUp() override {
    {
      const shared_array<int> first(1);
    }  // the tables grow once, and stay
    pool_test::SetUp();
    before_ = shared_bytes();
  }
  void TearDown() override {
    EXPECT_TRUE(eventually([this] { return shared_bytes() <= before_; }))
        << shared_bytes() - before_ << " bytes are left";
    pool_test::TearDown();
  }
  std::uint64_t before() const { return before_; }
  // What is missing is meant to be missing.
  void count_from_here() { before_ = shared_bytes(); }

 private:
  std::uint64_t before_ = 0;
};

}  // namespace procpool::testing
