// when_all, when_any and with_timeout: futures of processes, threads, callers and promises
// together.
#include <atomic>
#include <cstdlib>
#include <functional>
#include <memory>
#include <thread>

#include "support/pool_test.hpp"
#include "support/tally.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;

int echo(int x) { return x; }
std::string text(int x) { return std::to_string(x); }
int fail(const std::string& why) { throw std::out_of_range(why); }
std::unique_ptr<int> boxed(int x) { return std::make_unique<int>(x); }
// Ends when it is killed, or when the test opens the gate.
int wait_and_return(const std::string& begun, const std::string& gate, int x) {
  return arrive_and_wait(begun, gate, x);
}

std::string what_is_thrown(const std::function<void()>& f) {
  try {
    f();
  } catch (const std::exception& e) {
    return e.what();
  }
  return "nothing";
}
void expect_in(const std::string& all, const std::string& part) {
  EXPECT_NE(all.find(part), std::string::npos) << all;
}

class combine_test : public pool_test {
 protected:
  // The callback thread may still hold the last callback, and so a pool.
  void TearDown() override {
    promise<void> last;
    std::atomic<bool> called{false};
    last.get_future().on_done([&](const future<void>&) { called = true; });
    last.set_value();
    EXPECT_TRUE(eventually([&] { return called.load(); }));
    pool_test::TearDown();
  }
  // Futures of promises, resolved by hand.
  std::vector<future<int>> futures_of(std::vector<promise<int>>& promises) {
    std::vector<future<int>> all;
    for (promise<int>& p : promises) all.push_back(p.get_future());
    return all;
  }
};
// No start method makes a difference here.
INSTANTIATE_TEST_SUITE_P(start, combine_test, ::testing::Values(start_methods().front()),
                         [](const auto& m) { return name_of(m.param); });

TEST_P(combine_test, all_of_different_executors_and_types) {
  process_pool_executor pool(options(2));
  thread_pool_executor threads(1);
  inline_executor here;
  promise<void> by_hand;
  auto all = when_all(pool.submit(text, 1), threads.submit(echo, 2), here.submit(boxed, 3),
                      by_hand.get_future(), pool.submit(echo, 5).share());
  static_assert(std::is_same_v<
                decltype(all),
                future<std::tuple<std::string, int, std::unique_ptr<int>, std::monostate, int>>>);
  EXPECT_FALSE(all.done());
  EXPECT_FALSE(all.running());
  EXPECT_EQ(all.wait_for(1ms), std::future_status::timeout);
  by_hand.set_value();
  const auto [a, b, c, d, e] = all.get();
  EXPECT_EQ(a, "1");
  EXPECT_EQ(b, 2);
  EXPECT_EQ(*c, 3);
  EXPECT_EQ(e, 5);
  EXPECT_TRUE(when_all().done());
}

TEST_P(combine_test, all_of_a_range) {
  process_pool_executor pool(options(2));
  std::vector<future<std::unique_ptr<int>>> futures;
  for (int i = 0; i < 5; ++i) futures.push_back(pool.submit(boxed, i));
  const std::vector<std::unique_ptr<int>> values = when_all(std::move(futures)).get();
  ASSERT_EQ(values.size(), 5U);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(*values[static_cast<std::size_t>(i)], i);

  const std::vector<shared_future<int>> shared{pool.submit(echo, 1).share(),
                                               pool.submit(echo, 2).share()};
  EXPECT_EQ(when_all(shared).get(), (std::vector<int>{1, 2}));
  EXPECT_EQ(shared[0].get(), 1);

  auto submitted =
      std::views::iota(0, 3) | std::views::transform([&](int i) { return pool.submit(echo, i); });
  EXPECT_EQ(when_all(submitted).get(), (std::vector<int>{0, 1, 2}));

  std::vector<future<void>> nothing;
  nothing.push_back(pool.submit([] {}));
  future<void> all = when_all(std::move(nothing));
  EXPECT_NO_THROW(all.get());
  EXPECT_TRUE(when_all(std::vector<future<int>>()).get().empty());
}

TEST_P(combine_test, the_first_error_in_time_is_that_of_all) {
  process_pool_executor pool(options(2));
  tally begun, gate;
  future<int> runs = pool.submit(wait_and_return, begun.path(), gate.path(), 1);
  auto all = when_all(std::move(runs), pool.submit(fail, "first"));
  // The other task still runs.
  EXPECT_EQ(what_is_thrown([&] { all.get(); }), "first");
  gate.add();
  promise<int> never;
  EXPECT_THROW(when_all(pool.submit([] { std::abort(); }), never.get_future()).get(),
               worker_crashed);
  future<int> cancelled = promise<int>().get_future();
  EXPECT_THROW(when_all(std::move(cancelled)).get(), invalid_state_error);
  promise<int> p;
  future<int> of_p = p.get_future();
  of_p.cancel();
  EXPECT_THROW(when_all(std::move(of_p)).get(), cancelled_error);
  std::vector<promise<int>> promises(3);
  future<std::vector<int>> range = when_all(futures_of(promises));
  promises[2].set_exception(std::make_exception_ptr(std::domain_error("in time")));
  EXPECT_TRUE(range.done());
  promises[0].set_exception(std::make_exception_ptr(std::domain_error("in order")));
  EXPECT_TRUE(range.exception());
  EXPECT_EQ(what_is_thrown([&] { range.get(); }), "in time");
}

TEST_P(combine_test, any_gives_back_all_futures) {
  process_pool_executor pool(options(2));
  tally begun, gate;
  auto any =
      when_any(pool.submit(wait_and_return, begun.path(), gate.path(), 1), pool.submit(text, 2));
  auto [index, futures] = any.get();
  EXPECT_EQ(index, 1U);
  EXPECT_EQ(std::get<1>(futures).get(), "2");
  gate.add();
  EXPECT_EQ(std::get<0>(futures).get(), 1);

  std::vector<promise<int>> promises(3);
  auto racers = futures_of(promises);
  for (const std::size_t winner : {2U, 0U, 1U}) {
    auto race = when_any(std::move(racers));
    EXPECT_FALSE(race.done());
    promises[winner].set_exception(std::make_exception_ptr(std::domain_error("wins")));
    auto result = race.get();
    EXPECT_EQ(result.futures.size(), 3U);
    ASSERT_EQ(result.index, winner);
    EXPECT_THROW(result.futures[winner].get(), std::domain_error);
    promises[winner] = promise<int>();
    result.futures[winner] = promises[winner].get_future();
    racers = std::move(result.futures);
  }
  for (promise<int>& p : promises) p.set_value(1);
  EXPECT_EQ(when_any(std::move(racers)).get().index, 0U) << "of those that are done already";
  EXPECT_THROW((void)when_any(std::vector<future<int>>()), std::invalid_argument);
}

TEST_P(combine_test, a_future_without_a_task_is_refused_and_the_others_are_kept) {
  promise<int> p;
  future<int> good = p.get_future(), empty;
  EXPECT_THROW((void)when_all(std::move(good), std::move(empty)), invalid_state_error);
  EXPECT_TRUE(good.valid());
  std::vector<future<int>> both(2);
  both[0] = std::move(good);
  EXPECT_THROW((void)when_any(std::move(both)), invalid_state_error);
  EXPECT_TRUE(both[0].valid());
  EXPECT_THROW((void)with_timeout(future<int>(), 1s), invalid_state_error);
  p.set_value(1);
}

TEST_P(combine_test, results_are_futures_like_others) {
  process_pool_executor pool(options(2));
  future<int> sum =
      when_all(pool.submit(echo, 1), pool.submit(echo, 2)).then([](const std::tuple<int, int>& t) {
        return std::get<0>(t) + std::get<1>(t);
      });
  EXPECT_EQ(sum.get(), 3);
  auto nested = when_all(when_all(pool.submit(echo, 1)), with_timeout(pool.submit(echo, 2), 300s));
  EXPECT_EQ(std::get<0>(std::get<0>(nested.get())), 1);
  std::vector<future<std::tuple<int>>> all;
  all.push_back(when_all(pool.submit(echo, 1)));
  all.push_back(when_all(pool.submit(echo, 2)));
  int total = 0;
  for (auto& f : as_completed(all, 300s)) total += std::get<0>(f.get());
  EXPECT_EQ(total, 3);
  auto shared = when_all(pool.submit(echo, 4)).share();
  std::thread other([&] { EXPECT_EQ(std::get<0>(shared.get()), 4); });
  EXPECT_EQ(std::get<0>(shared.get()), 4);
  other.join();
  auto polled = when_all(pool.submit(echo, 5));
  EXPECT_TRUE(eventually([&] { return polled.done(); })) << "no other thread looks";
  EXPECT_FALSE(polled.cancelled());
  EXPECT_FALSE(polled.cancel());
}

TEST_P(combine_test, cancelling_the_result_cancels_the_inputs_that_it_consumed) {
  process_pool_executor pool(options(1));
  tally begun, gate;
  future<int> runs = pool.submit(wait_and_return, begun.path(), gate.path(), 1);
  await_tally(begun.path(), 1);
  promise<int> consumed, kept;
  const shared_future<int> other = kept.get_future().share();
  auto all = when_all(std::move(runs), consumed.get_future(), other);
  EXPECT_TRUE(all.cancel());
  EXPECT_TRUE(all.done());
  EXPECT_TRUE(all.cancelled());
  EXPECT_FALSE(other.cancelled());
  EXPECT_THROW(consumed.set_value(1), invalid_state_error);
  // The running task ends only now.
  EXPECT_TRUE(all.cancel(cancel_mode::kill_running));
  EXPECT_EQ(pool.submit(echo, 1).get(), 1) << "the only worker was killed, or it would wait";
  EXPECT_THROW(all.get(), cancelled_error);
  kept.set_value(1);
}

TEST_P(combine_test, cancelling_while_another_thread_waits) {
  std::vector<promise<int>> promises(4);
  auto all = when_all(futures_of(promises));
  std::thread waits([&] { EXPECT_THROW(all.get(), cancelled_error); });
  EXPECT_TRUE(all.cancel());
  waits.join();
}

TEST_P(combine_test, dropped_results_cancel_nothing) {
  process_pool_executor pool(options(1));
  tally begun, gate, after;
  {
    auto all = when_all(pool.submit(wait_and_return, begun.path(), gate.path(), 1),
                        pool.submit(add_to_tally, after.path()));
    auto any = when_any(pool.submit(add_to_tally, after.path()));
    // The callback thread forgets the limit; the check for leaks would find the thread.
    auto limited = with_timeout(pool.submit(add_to_tally, after.path()), 3000s);
    promise<int> never;
    auto one = when_all(never.get_future());
  }
  gate.add();
  EXPECT_TRUE(eventually([&] { return after.count() == 3; })) << after.count();
}

TEST_P(combine_test, a_timeout_ends_what_has_not_begun) {
  process_pool_executor pool(options(1));
  tally begun, gate;
  future<int> first = pool.submit(wait_and_return, begun.path(), gate.path(), 1);
  await_tally(begun.path(), 1);
  auto pending = with_timeout(pool.submit(echo, 2), 1ms);
  expect_in(what_is_thrown([&] { pending.get(); }),
            "the task did not finish within 0.001 s; it had not begun, and is cancelled");
  auto running = with_timeout(std::move(first), 1ms);
  EXPECT_FALSE(running.cancelled());
  expect_in(what_is_thrown([&] { running.get(); }), "it continues, and cancel_mode::kill_running");
  gate.add();
  EXPECT_EQ(with_timeout(pool.submit(echo, 3), 300s).get(), 3);
  EXPECT_EQ(what_is_thrown([&] { with_timeout(pool.submit(fail, "own"), 300s).get(); }), "own");
  EXPECT_NO_THROW(with_timeout(pool.submit([] {}), 300s).get());
  const shared_future<int> shared = pool.submit(echo, 4).share();
  EXPECT_EQ(with_timeout(shared, 300s).get(), 4);
}

TEST_P(combine_test, a_timeout_kills_a_running_task_though_no_thread_waits) {
  process_pool_executor pool(options(1));
  tally begun, gate;
  future<int> task = pool.submit(wait_and_return, begun.path(), gate.path(), 1);
  await_tally(begun.path(), 1);
  auto limited = with_timeout(std::move(task), 1ms, cancel_mode::kill_running);
  EXPECT_EQ(pool.submit(echo, 2).get(), 2) << "the only worker is free again";
  EXPECT_TRUE(limited.done());
  expect_in(what_is_thrown([&] { limited.get(); }), "its worker is killed");
  thread_pool_executor threads(1);
  future<int> of_thread = threads.submit(wait_and_return, begun.path(), gate.path(), 3);
  await_tally(begun.path(), 2);
  auto stays = with_timeout(std::move(of_thread), 1ms, cancel_mode::kill_running);
  expect_in(what_is_thrown([&] { stays.get(); }), "it continues, since a thread cannot be stopped");
  gate.add();
}

TEST_P(combine_test, a_timeout_is_kept_while_a_callback_is_busy) {
  promise<void> begin;
  std::atomic<bool> begun{false}, leave{false}, left{false};
  begin.get_future().on_done([&](const future<void>&) {
    begun = true;
    EXPECT_TRUE(eventually([&] { return leave.load(); }));
    left = true;
  });
  begin.set_value();
  EXPECT_TRUE(eventually([&] { return begun.load(); }));
  promise<int> never;
  auto limited = with_timeout(never.get_future(), 1ms);
  EXPECT_THROW(limited.get(), timeout_error);
  EXPECT_THROW(never.set_value(1), invalid_state_error);
  EXPECT_FALSE(left);
  leave = true;
  EXPECT_TRUE(eventually([&] { return left.load(); }));
}

TEST_P(combine_test, timeouts_in_any_order) {
  std::vector<promise<int>> promises(100);
  std::vector<future<int>> limited;
  int i = 0;
  for (future<int>& f : futures_of(promises)) {
    limited.push_back(with_timeout(std::move(f), i % 3 == 0 ? 300s : (101 - i) * 1ms));
    ++i;
  }
  for (std::size_t k = 0; k < promises.size(); k += 3) promises[k].set_value(static_cast<int>(k));
  for (std::size_t k = 0; k < promises.size(); ++k) {
    if (k % 3 == 0) {
      EXPECT_EQ(limited[k].get(), static_cast<int>(k));
    } else {
      EXPECT_THROW(limited[k].get(), timeout_error);
    }
  }
}

TEST_P(combine_test, a_thread_that_would_wait_for_itself_gets_an_error) {
  thread_pool_executor threads(1);
  auto blocked =
      threads.submit([&] { return std::get<0>(when_all(threads.submit(echo, 1)).get()); });
  EXPECT_THROW(blocked.get(), nested_use_error);
}

int combine_here() {
  promise<int> p, never;
  auto all = when_all(p.get_future(), with_timeout(never.get_future(), 1ms));
  p.set_value(1);
  try {
    all.get();
  } catch (const timeout_error&) {
    return 1;
  }
  return 0;
}
TEST_P(combine_test, inside_a_task_of_a_thread_and_of_a_worker) {
  process_pool_executor pool(options(1));
  EXPECT_THROW(pool.submit(combine_here).get(), nested_use_error);
  EXPECT_THROW(pool.submit([] { return when_all().done(); }).get(), nested_use_error);
  thread_pool_executor threads(1);
  EXPECT_EQ(threads.submit(combine_here).get(), 1);
}

// Each future costs the same, however many there are: with quadratic work this would take minutes.
TEST_P(combine_test, many_inputs) {
  constexpr int many = 10'000;
  process_pool_executor pool(options(2));
  std::vector<future<int>> tasks;
  tasks.reserve(many);
  for (int i = 0; i < many; ++i) tasks.push_back(pool.submit(echo, i));
  const std::vector<int> values = when_all(std::move(tasks)).get();
  ASSERT_EQ(values.size(), std::size_t{many});
  EXPECT_EQ(values.back(), many - 1);

  std::vector<promise<int>> promises(many);
  auto any = when_any(futures_of(promises));
  auto lost = when_all(std::vector<future<int>>());
  promises.back().set_value(1);
  EXPECT_EQ(any.get().index, std::size_t{many - 1});
  std::vector<promise<int>> dropped(many);
  {
    auto all = when_all(futures_of(dropped));
  }
  for (promise<int>& p : dropped) p.set_value(1);
}

// Each future resolves once, whatever comes first: its value, its limit, or a cancellation.
TEST_P(combine_test, races) {
  for (int i = 0; i < 300; ++i) {
    promise<int> p;
    auto f = with_timeout(when_all(p.get_future()), i % 2 == 0 ? 300s : duration(0.0005));
    std::thread sets([&] {
      try {
        p.set_value(1);
      } catch (const invalid_state_error&) {
      }
    });
    std::thread cancels([&] { f.cancel(); });
    f.wait();
    sets.join();
    cancels.join();
    const bool was_cancelled = f.cancelled();
    const std::exception_ptr error = f.exception();
    if (was_cancelled) {
      EXPECT_TRUE(error);
    } else if (!error) {
      EXPECT_EQ(std::get<0>(f.get()), 1);
    }
  }
}

}  // namespace
