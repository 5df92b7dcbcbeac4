// max_pending_bytes: submit waits for room and try_submit does not, and neither can lock up a
// program that submits everything before it reads anything.
#include <numeric>

#include "support/pool_test.hpp"
#include "support/tally.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;

std::string grow(const std::string& s, std::size_t size) { return s + std::string(size, 'r'); }

class budget_test : public pool_test {
 protected:
  pool_options with_budget(std::optional<std::size_t> bytes, int workers = 2) const {
    pool_options o = options(workers);
    o.max_pending_bytes = bytes;
    return o;
  }
};
PROCPOOL_FOR_EACH_START_METHOD(budget_test);

// Only what waits counts: unread results hold no thread up, however large they are.
TEST_P(budget_test, submit_everything_and_read_afterwards) {
  struct {
    std::optional<std::size_t> budget;
    int tasks;
    std::size_t result;  // bytes of each
  } const cases[] = {
      {1, 200, 20'000}, {4'000, 500, 20'000}, {1'000'000, 30, 1'500'000}, {{}, 500, 20'000}};
  for (const auto& c : cases) {
    SCOPED_TRACE(c.budget.value_or(0));
    process_pool_executor pool(with_budget(c.budget));
    std::vector<future<std::string>> futures;
    for (int i = 0; i < c.tasks; ++i) {
      futures.push_back(pool.submit(grow, std::to_string(i) + std::string(100, 'a'), c.result));
    }
    for (int i = 0; i < c.tasks; ++i) {
      const std::string text = std::to_string(i) + std::string(100, 'a');
      const std::string got = futures[static_cast<std::size_t>(i)].get();
      ASSERT_EQ(got.size(), text.size() + c.result);
      ASSERT_EQ(got.substr(0, text.size() + 1), text + "r");
    }
  }
}

// The same with arguments of which a single one is more than the budget.
TEST_P(budget_test, arguments_larger_than_the_budget) {
  process_pool_executor pool(with_budget(1'000));
  std::vector<future<std::size_t>> futures;
  for (std::size_t i = 0; i < 50; ++i) {
    futures.push_back(
        pool.submit([](const std::string& s) { return s.size(); }, std::string(100'000 + i, 'x')));
  }
  for (std::size_t i = 0; i < 50; ++i) EXPECT_EQ(futures[i].get(), 100'000 + i);
}

int count_and_return(const std::string& ran, int x, const std::string&) {
  add_to_tally(ran);
  return x;
}

// What is refused never runs; what is accepted does; and after it there is room again.
TEST_P(budget_test, try_submit_is_empty_where_submit_would_wait) {
  process_pool_executor pool(with_budget(1'000, 1));
  tally begun, gate, ran;
  future<int> running = pool.submit(arrive_and_wait, begun.path(), gate.path(), 5);
  await_tally(begun.path(), 1);
  std::vector<future<int>> accepted;
  const std::string argument(300, 'x');
  int i = 0;
  for (; i < 100; ++i) {
    auto f = pool.try_submit(count_and_return, ran.path(), i, argument);
    if (!f) break;
    accepted.push_back(std::move(*f));
  }
  // 300 bytes, the path and a little more each: two or three of them fit, or one if the path is
  // long.
  EXPECT_GE(i, 1);
  EXPECT_LE(i, 3);
  for (int again = 0; again < 10; ++again) {
    EXPECT_FALSE(pool.try_submit(count_and_return, ran.path(), -1, argument));
    EXPECT_FALSE(pool.try_submit({.label = "large"}, count_and_return, ran.path(), -1,
                                 std::string(100'000, 'x')));
  }
  EXPECT_EQ(pool.stats().pending, accepted.size());
  EXPECT_EQ(ran.count(), 0);
  gate.add();
  EXPECT_EQ(running.get(), 5);
  for (int k = 0; k < i; ++k) EXPECT_EQ(accepted[static_cast<std::size_t>(k)].get(), k);
  auto later = pool.try_submit(count_and_return, ran.path(), 7, argument);
  ASSERT_TRUE(later);
  EXPECT_EQ(later->get(), 7);
  EXPECT_EQ(ran.count(), i + 1);
}

// Room made by cancelling is room as well.
TEST_P(budget_test, try_submit_after_a_cancel) {
  process_pool_executor pool(with_budget(1, 1));
  tally begun, gate, ran;
  future<int> running = pool.submit(arrive_and_wait, begun.path(), gate.path(), 5);
  await_tally(begun.path(), 1);
  auto first = pool.try_submit(count_and_return, ran.path(), 1, "");
  ASSERT_TRUE(first);
  EXPECT_FALSE(pool.try_submit(count_and_return, ran.path(), 2, ""));
  EXPECT_TRUE(first->cancel());
  auto second = pool.try_submit(count_and_return, ran.path(), 3, "");
  ASSERT_TRUE(second);
  gate.add();
  EXPECT_EQ(running.get(), 5);
  EXPECT_EQ(second->get(), 3);
  EXPECT_EQ(ran.count(), 1);
}

// Without a budget the number of unfinished tasks is the limit.
TEST_P(budget_test, try_submit_is_empty_when_all_slots_hold_unfinished_tasks) {
  if (method() != start_method::spawn) GTEST_SKIP() << "the same code; once is enough";
  process_pool_executor pool(options(1));
  tally begun, gate;
  future<int> running = pool.submit(arrive_and_wait, begun.path(), gate.path(), -1);
  await_tally(begun.path(), 1);
  std::vector<future<int>> accepted;
  const auto same = [](int x) { return x; };
  for (int i = 0; i < 1'000'000; ++i) {
    auto f = pool.try_submit(same, i);
    if (!f) break;
    accepted.push_back(std::move(*f));
  }
  EXPECT_LT(accepted.size(), 1'000'000U);
  EXPECT_GT(accepted.size(), 100'000U);
  EXPECT_FALSE(pool.try_submit(same, 1));
  gate.add();
  EXPECT_EQ(running.get(), -1);
  for (std::size_t i = 0; i < accepted.size(); ++i) {
    ASSERT_EQ(accepted[i].get(), static_cast<int>(i));
  }
  auto later = pool.try_submit(same, 7);
  ASSERT_TRUE(later);
  EXPECT_EQ(later->get(), 7);
}

}  // namespace
