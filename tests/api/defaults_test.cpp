// What a pool does where nothing is said.
#include <sched.h>

#include <algorithm>
#include <set>
#include <sstream>
#include <thread>

#include "support/captured_stderr.hpp"
#include "support/pool_test.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;

class defaults_test : public pool_test {};
PROCPOOL_FOR_EACH_START_METHOD(defaults_test);

// Errors that are never read: lines on standard error, none of them lost.
TEST_P(defaults_test, on_error) {
  // From before the pool: the callback thread may live on for a moment.
  captured_stderr captured;
  process_pool_executor pool(options(1));
  pool.submit([] { throw std::out_of_range("of a detached task"); }).detach();
  pool.submit([] {}).on_done(
      [](const future<void>&) { throw std::runtime_error("of a callback"); });
  pool.submit([] {}).on_done([](const future<void>&) { throw 5; });
  pool.submit([] { return 5; }).detach();  // no error
  std::string text;
  EXPECT_TRUE(eventually([&] {
    text += captured.read_more();
    return std::count(text.begin(), text.end(), '\n') >= 3;
  }));
  pool.shutdown();
  std::istringstream lines(text + captured.take());
  std::multiset<std::string> said;
  for (std::string line; std::getline(lines, line);) said.insert(line);
  // In the order in which their tasks were seen to be done, which is not that of submission.
  EXPECT_EQ(said, (std::multiset<std::string>{"procpool: unobserved error: of a detached task",
                                              "procpool: unobserved error: of a callback",
                                              "procpool: unobserved exception"}));
}

// Restores the mask of this thread.
class one_of_the_cpus {
 public:
  one_of_the_cpus() {
    EXPECT_EQ(sched_getaffinity(0, sizeof old_, &old_), 0);
    cpu_set_t one;
    CPU_ZERO(&one);
    for (int cpu = 0; CPU_COUNT(&one) == 0 && cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &old_)) CPU_SET(cpu, &one);
    }
    EXPECT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  }
  ~one_of_the_cpus() { sched_setaffinity(0, sizeof old_, &old_); }
  one_of_the_cpus(const one_of_the_cpus&) = delete;
  one_of_the_cpus& operator=(const one_of_the_cpus&) = delete;

 private:
  cpu_set_t old_;
};

int own_cpus() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 0;
}

TEST_P(defaults_test, max_workers_is_what_the_affinity_allows) {
  {
    const one_of_the_cpus alone;
    process_pool_executor pool(pool_options{.start = method()});
    EXPECT_EQ(pool.max_workers(), 1);
    EXPECT_EQ(pool.stats().workers.size(), 1U);
    // The workers are bound by it, too; the master of all fork servers may be older than the mask.
    if (method() != start_method::forkserver) {
      EXPECT_EQ(pool.submit(own_cpus).get(), 1);
    }
  }
  process_pool_executor pool(pool_options{.start = method()});
  EXPECT_GE(pool.max_workers(), 1);
  EXPECT_LE(pool.max_workers(), own_cpus()) << "a quota of the cgroup may make it fewer";
  EXPECT_EQ(pool.stats().workers.size(), static_cast<std::size_t>(pool.max_workers()));
}

}  // namespace
