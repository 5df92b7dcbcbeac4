// The executor as a newcomer uses it.
#include <csignal>
#include <numeric>

#include "support/pool_test.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;

int add(int a, int b) { return a + b; }
int square_or_die(int x) {
  if (x == 3) raise(SIGKILL);
  return x * x;
}

class process_pool_test : public pool_test {};
PROCPOOL_FOR_EACH_START_METHOD(process_pool_test);

TEST_P(process_pool_test, runs_a_function) {
  process_pool_executor pool(options());
  EXPECT_EQ(pool.submit(add, 2, 3).get(), 5);
  EXPECT_EQ(
      pool.submit([](std::string s) { return s + "!"; }, std::string(100'000, 'x')).get().size(),
      100'001U);
}

TEST_P(process_pool_test, one_crash_costs_one_task) {
  process_pool_executor pool(options());
  std::vector<future<int>> futures;
  for (int i = 0; i < 100; ++i) futures.push_back(pool.submit(square_or_die, i));
  for (int i = 0; i < 100; ++i) {
    if (i == 3) {
      EXPECT_THROW(futures[3].get(), worker_crashed);
    } else {
      EXPECT_EQ(futures[static_cast<std::size_t>(i)].get(), i * i);
    }
  }
}

TEST_P(process_pool_test, a_crash_in_a_map_concerns_one_item) {
  process_pool_executor pool(options());
  std::vector<int> xs(1000);
  std::iota(xs.begin(), xs.end(), 0);
  std::size_t n = 0;
  for (auto&& o : pool.map(square_or_die, xs).outcomes()) {
    EXPECT_EQ(o.index(), n);
    EXPECT_EQ(o.has_value(), n != 3);
    if (o) {
      EXPECT_EQ(*o, static_cast<int>(n * n));
    }
    ++n;
  }
  EXPECT_EQ(n, 1000U);
}

}  // namespace
