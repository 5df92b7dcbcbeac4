// Workers die while the parent has no memory: each task has its outcome, which may be
// std::bad_alloc, and the pool continues.
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <new>
#include <numeric>
#include <string>
#include <system_error>
#include <vector>

#include "os/sanitizers.hpp"
#include "support/pool_test.hpp"
#include "support/refused_memory.hpp"
#include "support/tally.hpp"

namespace {

// Of the threads that do not run tests (the supervisor is one): allocation number `allowed` + 1 and
// all that follow fail; negative: none does.
std::atomic<int> allowed = -1;
std::atomic<int> refused = 0;
thread_local bool runs_tests = false;

}  // namespace

bool procpool::testing::may_allocate() {
  if (runs_tests || allowed.load() < 0) return true;
  for (int left = allowed.load(); left > 0;) {
    if (allowed.compare_exchange_weak(left, left - 1)) return true;
  }
  if (allowed.load() < 0) return true;
  ++refused;
  return false;
}

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;

int twice(int x) { return 2 * x; }
int die() { return std::raise(SIGSEGV); }
std::string text(std::size_t n) { return std::string(n, 'x'); }
std::string item(int i) {
  if (i == 5) std::raise(SIGSEGV);
  return std::string(2000, 'x');
}
std::vector<int> up_to(int n) {
  std::vector<int> v(static_cast<std::size_t>(n));
  std::iota(v.begin(), v.end(), 0);
  return v;
}

class death_without_memory_test : public pool_test {
 protected:
  void SetUp() override {
    runs_tests = true;
    pool_test::SetUp();
    if (!can_refuse_memory) GTEST_SKIP() << "a sanitizer has the allocations here";
  }
  void TearDown() override { allowed = -1; }
};
PROCPOOL_FOR_EACH_START_METHOD(death_without_memory_test);

enum class kind { value, crash, no_memory, other };

template <class Get>
kind kind_of(Get get) {
  try {
    get();
    return kind::value;
  } catch (const worker_crashed&) {
    return kind::crash;
  } catch (const std::bad_alloc&) {
    return kind::no_memory;
  } catch (const std::exception& e) {
    ADD_FAILURE() << e.what();
    return kind::other;
  }
}

TEST_P(death_without_memory_test, each_allocation_of_the_supervisor_fails_once) {
  int without = 0;
  for (int k = 0; k < 60; k = k < 20 ? k + 1 : k + 10) {
    SCOPED_TRACE(k);
    std::atomic<int> reports = 0;
    {
      pool_options o = options(2);
      o.capture_stderr = true;
      o.on_worker_death = [&](const task_killed&) { ++reports; };
      process_pool_executor pool(o);
      std::vector<future<std::string>> unread;
      for (int i = 0; i < 8; ++i) unread.push_back(pool.submit(text, std::size_t{1000}));
      for (auto& f : unread) f.wait();
      const task_options labelled{.label = std::string(100, 'l')};
      tally arrived, gate;
      // The other worker takes what is put back.
      auto results = pool.map(map_options{.chunksize = 8}, item, up_to(8));
      allowed = k;
      const bool crashed = eventually([&] { return pool.stats().failed != 0; });
      EXPECT_TRUE(crashed);
      future<int> victim = pool.submit(labelled, die);
      EXPECT_EQ(victim.wait_for(30s), std::future_status::ready);
      allowed = -1;
      const kind how = kind_of([&] { victim.get(); });
      EXPECT_TRUE(how == kind::crash || how == kind::no_memory);
      int values = 0;
      for (auto& out : results.outcomes()) {
        const kind item_kind = kind_of([&] { out.value(); });
        values += item_kind == kind::value ? 1 : 0;
        without += item_kind == kind::no_memory ? 1 : 0;
        if (out.index() == 5) {
          EXPECT_NE(item_kind, kind::value);
        }
      }
      if (k >= 50) {
        EXPECT_GE(values, 1);
      }
      for (auto& f : unread) EXPECT_EQ(f.get_for(30s).size(), 1000U);
      EXPECT_EQ(pool.submit(twice, 4).get_for(30s), 8);
      pool.shutdown({.timeout = 5s});
    }
  }
  EXPECT_GT(refused, 0);
  EXPECT_GT(without, 0);
}

// --- in a process of its own, whose limit is its own ---

class no_address_space_test : public leak_free_test {
 protected:
  void SetUp() override {
    runs_tests = true;
    leak_free_test::SetUp();
    if (os::thread_sanitizer || os::address_sanitizer) GTEST_SKIP() << "needs plain memory limits";
    GTEST_FLAG_SET(death_test_style, "threadsafe");
  }
};

std::string large_item(int i) {
  if (i == 7) std::raise(SIGSEGV);
  return std::string(std::size_t{20} << 20U, 'x');
}

void leave_room(rlim_t mib) {
  std::ifstream statm("/proc/self/statm");
  rlim_t pages = 0;
  statm >> pages;
  rlimit limit{};
  ::getrlimit(RLIMIT_AS, &limit);
  limit.rlim_cur = pages * static_cast<rlim_t>(sysconf(_SC_PAGESIZE)) + (mib << 20U);
  ::setrlimit(RLIMIT_AS, &limit);
}

// Seven finished items of 20 MiB must be kept when the eighth crashes.
[[noreturn]] void map_in(rlim_t mib) {
  runs_tests = true;
  process_pool_executor pool(2);
  pool.submit(twice, 1).get();
  future<int> unread = pool.submit(twice, 2);
  unread.wait();
  leave_room(mib);
  int outcomes = 0, crashes = 0, wrong = 0;
  for (auto& o :
       pool.map(map_options{.chunksize = 8, .timeout = 30s}, large_item, up_to(8)).outcomes()) {
    ++outcomes;
    try {
      wrong += o.value().size() != std::size_t{20} << 20U ? 1 : 0;
    } catch (const worker_crashed&) {
      ++crashes;
      wrong += o.index() != 7 ? 1 : 0;
    } catch (const std::bad_alloc&) {
    } catch (const std::system_error& e) {
      wrong += e.code() != std::errc::not_enough_memory ? 1 : 0;
    }
  }
  const bool goes_on = pool.submit(twice, 4).get_for(30s) == 8 && unread.get() == 4;
  const auto before = std::chrono::steady_clock::now();
  pool.shutdown({.timeout = 1s});
  const bool in_time = std::chrono::steady_clock::now() - before < 20s;
  std::exit(outcomes == 8 && crashes == 1 && wrong == 0 && goes_on && in_time ? 9 : 1);
}

TEST_F(no_address_space_test, a_lack_of_address_space_costs_items_only) {
  for (const rlim_t mib : {200U, 400U, 800U}) {
    EXPECT_EXIT(map_in(mib), ::testing::ExitedWithCode(9), "") << mib;
  }
}

}  // namespace
