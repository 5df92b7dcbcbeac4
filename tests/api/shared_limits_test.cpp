// Where there is no room: an error that says what to do, and never a signal.
#include <gmock/gmock.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <system_error>

#include "os/sanitizers.hpp"
#include "support/shared_memory.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using ::testing::HasSubstr;

class shared_limits_test : public shared_test {};
PROCPOOL_FOR_EACH_START_METHOD(shared_limits_test);

shared_array<char> make(std::size_t n) { return shared_array<char>(n); }

template <class F>
void expect_error(F f, int error, const std::string& advice) {
  try {
    f();
    ADD_FAILURE() << "no error";
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code().value(), error);
    EXPECT_THAT(e.what(), HasSubstr(advice));
  }
}

TEST_P(shared_limits_test, more_than_any_object_or_the_machine_has) {
  process_pool_executor pool(options(1));
  const auto here = [](std::size_t n) { return [n] { (void)make(n); }; };
  const auto there = [&](std::size_t n) { return [&pool, n] { pool.submit(make, n).get(); }; };
  expect_error(here(std::size_t{1} << 41), EFBIG, "none can be larger than");
  expect_error(there(std::size_t{1} << 41), EFBIG, "none can be larger than");
  expect_error(here(std::size_t{1} << 40), ENOMEM, "destroy handles");
  expect_error(there(std::size_t{1} << 40), ENOMEM, "destroy handles");
  expect_error([] { (void)shared_array<double>(~std::size_t{0} / 4); }, EFBIG, "elements");
  EXPECT_EQ(pool.submit(make, 10U).get().size(), 10U);
}

TEST_P(shared_limits_test, a_file_size_limit) {
  rlimit old{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old), 0);
  const auto limited = [] {
    rlimit low{};
    getrlimit(RLIMIT_FSIZE, &low);
    low.rlim_cur = 1 << 20;
    setrlimit(RLIMIT_FSIZE, &low);
    return make(1 << 20);
  };
  {
    process_pool_executor pool(options(1));
    // Caught there: under such a limit there is no room for its text either.
    const auto caught = [](auto) {
      try {
        (void)decltype(limited){}();
      } catch (const std::system_error& e) {
        return std::pair(e.code().value(), std::string(e.what()).find("ulimit -f") != ~0UL);
      }
      return std::pair(0, false);
    };
    EXPECT_EQ(pool.submit(caught, 0).get(), std::pair(EFBIG, true));
  }
  expect_error([&] { (void)limited(); }, EFBIG, "ulimit -f");
  setrlimit(RLIMIT_FSIZE, &old);
  EXPECT_EQ(make(1 << 20).size(), 1U << 20);
}

TEST_P(shared_limits_test, no_address_space) {
  if (os::address_sanitizer || os::thread_sanitizer) {
    GTEST_SKIP() << "a sanitizer's own mappings are beyond any such limit";
  }
  process_pool_executor pool(options(1));
  const shared_array<char> a = make(std::size_t{64} << 20);
  const auto limited = [] {
    rlimit low{};
    getrlimit(RLIMIT_AS, &low);
    low.rlim_cur = std::size_t{32} << 20;
    setrlimit(RLIMIT_AS, &low);
  };
  pool.submit(limited).get();
  const auto look = [](std::span<const char> s) { return s[0]; };
  expect_error([&] { pool.submit(look, a).get(); }, ENOMEM, "free memory");
}

TEST_P(shared_limits_test, more_objects_than_the_table_has) {
  process_pool_executor pool(options(1));
  std::vector<shared_array<char>> all;
  expect_error(
      [&] {
        for (;;) all.push_back(make(1));
      },
      ENOSPC, "16383 shared objects");
  EXPECT_GT(all.size(), 16'000U);
  expect_error([&] { pool.submit(make, 1U).get(); }, ENOSPC, "16383 shared objects");
  const auto count = [](const std::vector<shared_array<char>>& v) { return v.size(); };
  all.resize(4000);
  EXPECT_EQ(pool.submit(count, all).get(), 4000U);
  EXPECT_EQ(pool.submit(make, 1U).get().size(), 1U);
  all.clear();
  EXPECT_EQ(pool.submit(make, 1U).get().size(), 1U);
  count_from_here();  // the table has grown
}

// A program that begins with ulimit -f: its objects are fewer and smaller.
TEST_P(shared_limits_test, a_program_with_a_file_size_limit) {
  prctl(PR_SET_CHILD_SUBREAPER, 0);  // this process does not reap what the group leaves
  for (const char* kib : {"300", "8000", "1000000"}) {
    const std::string command = std::string("ulimit -f ") + kib + "; exec " +
                                PROCPOOL_TEST_PROGRAMS_DIR "/shared_limits " + name_of(method());
    const int status = std::system(("bash -c '" + command + "'").c_str());
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << kib << " KiB: " << status;
  }
  prctl(PR_SET_CHILD_SUBREAPER, 1);
}

}  // namespace
