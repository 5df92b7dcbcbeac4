// shared_value: one object, atomics and aggregates of them included.
#include <gmock/gmock.h>
#include <signal.h>

#include <array>
#include <atomic>
#include <numeric>

#include "support/shared_memory.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;

class shared_value_test : public shared_test {};
PROCPOOL_FOR_EACH_START_METHOD(shared_value_test);

struct point {
  int x = 1, y = 2;
};
struct counters {
  std::atomic<long> items;
  std::atomic<long> sum;
  std::array<int, 4> rest;
};

void count(const shared_value<counters>& c, int x) {
  c->items.fetch_add(1);
  c->sum.fetch_add(x);
}

TEST_P(shared_value_test, begins_with_the_value_of_its_constructor) {
  const shared_value<point> standard, own(point{3, 4});
  EXPECT_EQ(standard->x + standard->y, 3);
  EXPECT_EQ(own->y, 4);
  const shared_value<std::atomic<int>> seven(7);
  EXPECT_EQ(seven->load(), 7);
  const shared_value<long> zero;
  EXPECT_EQ(*zero, 0);
  EXPECT_FALSE(zero == shared_value<long>());
  EXPECT_TRUE(zero == shared_value<long>(zero));
}

TEST_P(shared_value_test, all_workers_count_in_one_place) {
  process_pool_executor pool(options());
  const shared_value<counters> c;
  std::vector<int> xs(2000);
  std::iota(xs.begin(), xs.end(), 1);
  pool.for_each(partial(count, c), xs);
  EXPECT_EQ(c->items.load(), 2000);
  EXPECT_EQ(c->sum.load(), 2001 * 1000);
}

TEST_P(shared_value_test, a_shared_flag_stops_a_running_task) {
  process_pool_executor pool(options());
  const shared_value<std::atomic<bool>> stop(false);
  const auto until_stopped = [](const shared_value<std::atomic<bool>>& s) {
    long turns = 0;
    while (!*s) ++turns;
    return turns;
  };
  auto f = pool.submit(until_stopped, stop);
  EXPECT_TRUE(eventually([&] { return f.running(); }));
  stop->store(true);
  EXPECT_GE(f.get(), 0);
}

TEST_P(shared_value_test, a_shared_value_as_a_result_and_as_a_part_of_a_result) {
  process_pool_executor pool(options());
  const auto made = pool.submit([] { return shared_value<point>(point{5, 6}); }).get();
  EXPECT_EQ(made->x, 5);
  const auto both = pool.submit(
                            [](shared_value<point> p) {
                              p->y = 60;
                              return std::pair(p, shared_value<int>(9));
                            },
                            made)
                        .get();
  EXPECT_EQ(made->y, 60);
  EXPECT_TRUE(both.first == made);
  EXPECT_EQ(*both.second, 9);
}

TEST_P(shared_value_test, a_const_value_is_read_only_in_a_worker) {
  process_pool_executor pool(options(1));
  const shared_value<point> p;
  const auto cheat = [](shared_value<const point> q) {
    signal(SIGSEGV, SIG_DFL);  // a sanitizer would write a report
    const_cast<int&>(q->x) = 8;
  };
  EXPECT_THROW(pool.submit(cheat, p).get(), worker_crashed);
  EXPECT_EQ(p->x, 1);
  EXPECT_EQ(pool.submit([](shared_value<const point> q) { return q->y; }, p).get(), 2);
}

TEST_P(shared_value_test, the_constructor_may_throw) {
  struct throws {
    throws(int) { throw std::runtime_error("no"); }
    int x = 0;
  };
  EXPECT_THROW(shared_value<throws>(1), std::runtime_error);
}

TEST_P(shared_value_test, a_worker_that_dies_leaves_the_value_unchanged) {
  process_pool_executor pool(options(1));
  const shared_value<point> p;
  const auto half = [](const shared_value<point>& q) {
    q->x = 100;
    raise(SIGKILL);
    q->y = 100;
  };
  EXPECT_THROW(pool.submit(half, p).get(), worker_crashed);
  EXPECT_EQ(p->x, 100);
  EXPECT_EQ(p->y, 2);
}

}  // namespace
