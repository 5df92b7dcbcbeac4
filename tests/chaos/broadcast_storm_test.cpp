// Workers are stopped and killed at random moments while broadcasts gather them: before they meet,
// while they wait, in the calls and after them. Each call has an outcome, what cannot begin says
// so, and no process waits for ever.
#include <iostream>
#include <set>

#include "chaos/killer.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;

constexpr int workers = 3, kills = 300;
constexpr duration longest = 15s;

// What has become of the calls of some broadcasts.
struct tally_of_calls {
  int broadcasts = 0, values = 0, crashes = 0, given_up = 0, wrong = 0;
};

tally_of_calls broadcast_until(process_pool_executor& pool, const std::atomic<bool>& over) {
  tally_of_calls t;
  const auto negate = [](int x) { return -x; };
  for (int i = 0; !over; ++i) {
    ++t.broadcasts;
    try {
      for (auto& f : pool.broadcast(negate, i)) {
        if (f.exception()) {
          ++t.crashes;
        } else {
          f.get() == -i ? ++t.values : ++t.wrong;
        }
      }
    } catch (const worker_crashed&) {
      ++t.given_up;
    }
  }
  return t;
}

class broadcast_storm : public leak_free_test {
 protected:
  void SetUp() override {
    process_pool_executor(1).submit([] {}).get();  // what stays is made
    leak_free_test::SetUp();
  }
};

TEST_F(broadcast_storm, each_call_of_a_broadcast_has_an_outcome) {
  const std::uint64_t seed = std::random_device{}();
  std::cout << "seed " << seed << std::endl;
  process_pool_executor pool(workers);
  std::atomic<bool> over = false;
  std::array<tally_of_calls, 2> results;
  killer k(pool, over, seed);
  {
    std::vector<std::jthread> callers;
    for (tally_of_calls& t : results) {
      callers.push_back(storm_thread(over, [&] { t = broadcast_until(pool, over); }));
    }
    k.run(kills, std::chrono::steady_clock::now() + longest, 50);
    over = true;
  }
  for (const tally_of_calls& t : results) {
    std::cout << t.broadcasts << " broadcasts: " << t.values << " values, " << t.crashes
              << " crashes, " << t.given_up << " given up; " << k.killed() << " kills\n";
    EXPECT_EQ(t.wrong, 0);
    EXPECT_EQ(t.values + t.crashes + workers * t.given_up, workers * t.broadcasts);
    EXPECT_GT(t.values, 0);
  }
  EXPECT_GE(k.killed(), 50U) << "too few kills to say anything";
  std::set<pid_t> pids;
  for (auto& f : pool.broadcast(getpid)) pids.insert(f.get());
  EXPECT_EQ(pids.size(), std::size_t{workers});
}

}  // namespace
