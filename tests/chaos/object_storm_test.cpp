// Random SIGKILLs while tasks make, pass, keep and return shared arrays. Afterwards: each result
// that arrived has the right elements, and all memory is back.
//
// PROCPOOL_KILLS and PROCPOOL_SEED make it longer, or the same again.
#include <cstdlib>
#include <iostream>
#include <random>
#include <system_error>
#include <thread>

#include "chaos/killer.hpp"
#include "support/shared_memory.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;

using array = shared_array<std::uint32_t>;

std::uint64_t setting(const char* name, std::uint64_t usual) {
  const char* text = std::getenv(name);
  return text == nullptr ? usual : std::strtoull(text, nullptr, 10);
}

array make(std::uint32_t seed) {
  array a(1 + seed % 5000);
  for (std::uint32_t& x : a) x = seed;
  return a;
}
bool is_right(const array& a) {
  for (const std::uint32_t x : a) {
    if (x != a[0]) return false;
  }
  return a.size() == 1 + a[0] % 5000;
}

// All that a task can do with handles, by the seed.
std::vector<array> juggle(std::vector<array> given, std::uint32_t seed) {
  static array kept;
  for (const array& a : given) {
    if (!is_right(a)) std::abort();
  }
  const array scratch = make(seed);
  if (seed % 7 == 0) kept = given.empty() ? scratch : given[0];
  if (seed % 11 == 0) kept = {};
  if (seed % 13 == 0) throw std::runtime_error("meant");
  if (seed % 3 == 0) given.push_back(scratch);
  for (std::uint32_t i = 0; i < seed % 4; ++i) given.push_back(make(seed + i));
  return given;
}

struct storm {
  process_pool_executor& pool;
  std::atomic<bool> over{false};
  std::atomic<int> wrong{0}, values{0}, crashes{0}, cancels{0};

  template <class Read>
  void check(Read read) {
    try {
      for (const array& a : read()) {
        if (!is_right(a)) ++wrong;
      }
      ++values;
    } catch (const worker_crashed& e) {
      if (e.signal() != SIGKILL) ++wrong;
      ++crashes;
    } catch (const cancelled_error&) {
      ++cancels;
    } catch (const std::runtime_error& e) {
      if (std::string(e.what()) != "meant") {
        std::cout << e.what() << "\n";
        ++wrong;
      }
    }
  }

  void one_by_one(std::uint64_t seed) {
    std::mt19937_64 random(seed);
    const array mine = make(4321);
    while (!over) {
      std::vector<future<std::vector<array>>> window;
      for (int i = 0; i < 20; ++i) {
        const auto n = static_cast<std::uint32_t>(random() % 100'000);
        std::vector<array> given(n % 3, mine);
        if (n % 5 == 0) given.push_back(make(n));
        const int retries = n % 2 == 0 ? 3 : 0;
        window.push_back(pool.submit({.retries = retries}, juggle, std::move(given), n));
        if (n % 17 == 0) window.back().cancel();
        if (n % 19 == 0) window.pop_back();
      }
      for (auto& f : window) {
        check([&] { return f.get_for(duration(60)); });
      }
    }
  }
  void by_map(std::uint64_t seed) {
    std::mt19937_64 random(seed);
    const array mine = make(1234);
    while (!over) {
      std::vector<std::uint32_t> xs(50);
      for (std::uint32_t& x : xs) x = static_cast<std::uint32_t>(random() % 100'000);
      std::size_t left = random() % 100;
      auto results =
          pool.map({.chunksize = 1 + random() % 9}, partial(juggle, std::vector{mine}), xs);
      for (auto&& o : results.outcomes()) {
        check([&] { return o.value(); });
        if (left-- == 0) break;
      }
    }
  }
};

class object_storm_test : public shared_test {};
PROCPOOL_FOR_EACH_START_METHOD(object_storm_test);

TEST_P(object_storm_test, no_object_is_lost_and_none_is_left) {
  const std::uint64_t seed = setting("PROCPOOL_SEED", std::random_device{}());
  std::cout << "PROCPOOL_SEED=" << seed << std::endl;
  {
    process_pool_executor pool(options(3));
    storm s{pool};
    killer k(pool, s.over, seed);
    {
      const auto a = storm_thread(s.over, [&] { s.one_by_one(seed); });
      const auto b = storm_thread(s.over, [&] { s.by_map(seed + 1); });
      k.run(setting("PROCPOOL_KILLS", 300), std::chrono::steady_clock::now() + duration(10), 50);
      s.over = true;
    }
    EXPECT_EQ(s.wrong, 0);
    EXPECT_GT(s.values, 0);
    EXPECT_GE(k.killed(), 50U);
    std::cout << k.killed() << " kills, " << s.values << " values, " << s.crashes << " crashes\n";
  }
  // The table has grown, perhaps; an object takes a page at least.
  EXPECT_TRUE(eventually([&] { return shared_bytes() < before() + 64 * 1024; }))
      << shared_bytes() - before() << " bytes are left";
  std::vector<array> all;
  EXPECT_THROW(for (;;) all.push_back(array(1)), std::system_error);
  EXPECT_EQ(all.size(), 16'383U);
  all.clear();
  count_from_here();
}

}  // namespace
