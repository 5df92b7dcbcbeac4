// Random SIGKILLs while tasks lock, wait, notify, put and get. No process hangs, and afterwards
// everything is whole: numbers that change together, items, permits, what join() counts.
//
// PROCPOOL_KILLS and PROCPOOL_SEED make it longer, or the same again.
#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <mutex>
#include <random>
#include <thread>

#include "chaos/killer.hpp"
#include "support/shared_memory.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;

std::uint64_t setting(const char* name, std::uint64_t usual) {
  const char* text = std::getenv(name);
  return text == nullptr ? usual : std::strtoull(text, nullptr, 10);
}

using item = std::vector<std::uint32_t>;

struct pair_of_numbers {
  long a, b;
};

struct tools {
  queue<item> items{20, 10'000};
  mutex m;
  shared_value<pair_of_numbers> numbers;
  condition_variable changed;
  bounded_semaphore permits{2};
};

void count(const tools& t) {
  std::unique_lock lock(t.m);
  if (t.m.owner_died()) t.numbers->b = t.numbers->a;
  if (t.numbers->a != t.numbers->b) std::abort();
  ++t.numbers->a;
  t.changed.notify_one();
  ++t.numbers->b;
  // What it protects is whole here, whichever process had it meanwhile.
  t.changed.wait_for(lock, std::chrono::microseconds(200));
  if (t.m.owner_died()) t.numbers->b = t.numbers->a;
}

void put(const tools& t, std::uint32_t n) { t.items.try_put(item(n % 300, n)); }

void get(const tools& t) {
  const auto got = t.items.try_get_for(std::chrono::microseconds(200));
  if (!got) return;
  for (const std::uint32_t n : *got) {
    if (n % 300 != got->size()) std::abort();
  }
  t.items.task_done();
}

int work(const tools& t, std::uint32_t seed) {
  std::minstd_rand random(seed);
  for (int i = 0; i < 30; ++i) {
    const auto n = static_cast<std::uint32_t>(random());
    if (n % 4 == 0) count(t);
    if (n % 4 == 1) put(t, n);
    if (n % 4 == 2) get(t);
    if (n % 4 == 3) {
      const permit p(t.permits);
      put(t, n);
    }
  }
  return 1;
}

class lock_storm_test : public shared_test {};
PROCPOOL_FOR_EACH_START_METHOD(lock_storm_test);

void submit_until(const std::atomic<bool>& over, process_pool_executor& pool, const tools& t,
                  std::uint64_t seed, std::atomic<int>& wrong, std::atomic<int>& values) {
  std::mt19937_64 random(seed);
  while (!over) {
    std::vector<future<int>> window;
    for (int i = 0; i < 8; ++i) {
      window.push_back(pool.submit(work, t, static_cast<std::uint32_t>(random())));
    }
    for (auto& f : window) {
      try {
        values += f.get_for(duration(60));
      } catch (const worker_crashed& e) {
        wrong += e.signal() == SIGKILL ? 0 : 1;
      }
    }
  }
}

TEST_P(lock_storm_test, no_process_hangs_and_no_data_is_damaged) {
  const std::uint64_t seed = setting("PROCPOOL_SEED", std::random_device{}());
  std::cout << "PROCPOOL_SEED=" << seed << std::endl;
  process_pool_executor pool(options(3));
  const tools t;
  std::atomic<bool> over{false};
  std::atomic<int> wrong{0}, values{0};
  killer k(pool, over, seed);
  {
    const auto submits =
        storm_thread(over, [&] { submit_until(over, pool, t, seed, wrong, values); });
    const auto works = storm_thread(over, [&] {
      while (!over) work(t, static_cast<std::uint32_t>(seed));
    });
    k.run(setting("PROCPOOL_KILLS", 150), std::chrono::steady_clock::now() + duration(8), 20);
    over = true;
  }
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(values, 0);
  EXPECT_GE(k.killed(), 20U);
  std::cout << k.killed() << " kills, " << values << " values, " << t.numbers->a << " counts\n";

  while (!t.items.empty()) get(t);
  EXPECT_TRUE(t.items.join_for(duration(30)));
  const permit a(t.permits, duration(30)), b(t.permits, duration(30));
  EXPECT_TRUE(a && b);
  EXPECT_EQ(t.permits.available(), 0);
  count(t);
  EXPECT_EQ(t.numbers->a, t.numbers->b);
}

int take_turns(const party& p) {
  for (int i = 0; i < 50; ++i) p.wait();
  return 1;
}

void meet_until(const std::atomic<bool>& over, process_pool_executor& pool, std::atomic<int>& met,
                std::atomic<int>& broken) {
  while (!over) {
    const barrier b(3);
    std::vector<future<int>> all;
    for (int i = 0; i < 3; ++i) all.push_back(pool.submit(take_turns, party(b)));
    for (auto& f : all) {
      try {
        met += f.get_for(duration(60));
      } catch (const worker_crashed&) {
      } catch (const broken_barrier_error&) {
        ++broken;
      }
    }
  }
}

// Each of them comes, or is missed.
TEST_P(lock_storm_test, no_party_waits_for_a_dead_party) {
  const std::uint64_t seed = setting("PROCPOOL_SEED", std::random_device{}());
  std::cout << "PROCPOOL_SEED=" << seed << std::endl;
  process_pool_executor pool(options(3));
  std::atomic<bool> over{false};
  std::atomic<int> met{0}, broken{0};
  killer k(pool, over, seed);
  std::jthread meets = storm_thread(over, [&] { meet_until(over, pool, met, broken); });
  const auto end = std::chrono::steady_clock::now() + duration(60);
  const std::uint64_t kills = setting("PROCPOOL_KILLS", 60);
  // Most kills hit workers that are just starting, and no task waits for those.
  while (!over && (k.killed() < kills || broken == 0) && std::chrono::steady_clock::now() < end) {
    k.run(k.killed() + 10, end);
  }
  over = true;
  meets.join();
  EXPECT_GT(k.killed(), 5U);
  EXPECT_GT(broken, 0);
  std::cout << k.killed() << " kills, " << met << " met, " << broken << " did not\n";
}

}  // namespace
