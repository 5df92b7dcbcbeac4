// What all executors promise alike: processes, threads, in place, and any of them in an
// any_executor. The same tests run for each.
#include <atomic>
#include <cmath>
#include <functional>
#include <future>
#include <numeric>
#include <thread>

#include "support/pool_test.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;

static_assert(executor<process_pool_executor> && executor<thread_pool_executor> &&
              executor<inline_executor> && executor<any_executor> && !executor<int>);

double inverse(int x) { return 1.0 / x; }

int fail_at_7(int x) { return x == 7 ? throw std::out_of_range("seven") : 2 * x; }

std::string join(std::string a, std::string b) { return "(" + std::move(a) + std::move(b) + ")"; }

struct point {
  int x = 0, y = 0;
};

// Two threads or workers, whatever runs them.
template <class E>
struct made {
  E executor{2};
};
template <>
struct made<inline_executor> {
  inline_executor executor;
};
template <>
struct made<any_executor> {
  thread_pool_executor threads{2};
  any_executor executor{threads};
};

template <class E>
class executors_test : public leak_free_test {
 protected:
  void SetUp() override {
    process_pool_executor(1).submit([] {}).get();  // what stays is made
    leak_free_test::SetUp();
  }
};
using all_kinds =
    ::testing::Types<process_pool_executor, thread_pool_executor, inline_executor, any_executor>;
TYPED_TEST_SUITE(executors_test, all_kinds);

TYPED_TEST(executors_test, values_and_errors) {
  made<TypeParam> m;
  auto& e = m.executor;
  EXPECT_EQ(e.submit(join, "a", std::string_view("b")).get(), "(ab)");
  EXPECT_EQ(e.submit([](point p) { return point{p.y, p.x}; }, point{1, 2}).get().x, 2);
  EXPECT_EQ(*e.submit([](std::unique_ptr<int> p) { return p; }, std::make_unique<int>(3)).get(), 3);
  EXPECT_EQ(e.submit([](const char* s) { return std::string(s); }, std::string("text")).get(),
            "text");
  const std::vector<int> numbers{1, 2, 3};
  EXPECT_EQ(e.submit([](std::span<const int> s) { return s.size(); }, numbers).get(), 3U);
  e.submit([] {}).get();
  auto failed = e.submit([](int) -> int { throw std::domain_error("no"); }, 1);
  EXPECT_TRUE(failed.exception());
  EXPECT_THROW(failed.get(), std::domain_error);
  EXPECT_THROW(failed.get(), invalid_state_error);
  EXPECT_EQ(e.submit({.label = "named"}, inverse, 4).get(), 0.25);
  EXPECT_EQ(e.try_submit(inverse, 2)->get(), 0.5);
  auto shared = e.submit(join, "x", "y").share();
  EXPECT_EQ(shared.get(), "(xy)");
  EXPECT_EQ(shared.get(), "(xy)");
}

TYPED_TEST(executors_test, arguments_do_not_change_later) {
  made<TypeParam> m;
  std::string text = "before";
  auto f = m.executor.submit([](std::string s) { return s; }, std::string_view(text));
  text.assign(6, '?');
  EXPECT_EQ(f.get(), "before");
}

TYPED_TEST(executors_test, map) {
  made<TypeParam> m;
  std::vector<int> xs(100);
  std::iota(xs.begin(), xs.end(), 0);
  std::vector<int> expected;
  for (const int x : xs) expected.push_back(x * x);
  const auto square = [](int x, int y) { return x * y; };
  EXPECT_EQ(m.executor.map(square, xs, xs).to_vector(), expected);
  EXPECT_EQ(m.executor.map({.chunksize = 7, .buffersize = 20}, square, xs, xs).to_vector(),
            expected);
  auto any_order = m.executor.map({.chunksize = 3, .ordered = false}, square, xs, xs).to_vector();
  std::ranges::sort(any_order);
  EXPECT_EQ(any_order, expected);
  EXPECT_EQ(m.executor.map([](std::string s) { return s.size(); }, {"a", "bc"}).to_vector(),
            (std::vector<std::size_t>{1, 2}));
  EXPECT_EQ(m.executor.map([](bool b) { return !b; }, std::vector<bool>{true, false}).to_vector(),
            (std::vector<bool>{false, true}));
  auto pieces = m.executor.map([](std::unique_ptr<int> p) { return p; },
                               [] {
                                 std::vector<std::unique_ptr<int>> v;
                                 v.push_back(std::make_unique<int>(8));
                                 return v;
                               }());
  EXPECT_EQ(**pieces.begin(), 8);
}

TYPED_TEST(executors_test, each_item_of_a_map_stands_for_itself) {
  made<TypeParam> m;
  for (const std::size_t chunksize : {1U, 4U, 20U}) {
    int values = 0, errors = 0;
    for (const auto& o :
         m.executor.map({.chunksize = chunksize}, fail_at_7, std::views::iota(0, 20)).outcomes()) {
      if (o) {
        EXPECT_EQ(*o, static_cast<int>(2 * o.index()));
        ++values;
      } else {
        EXPECT_EQ(o.index(), 7U);
        EXPECT_EQ(o.what(), "seven");
        ++errors;
      }
    }
    EXPECT_EQ(values, 19);
    EXPECT_EQ(errors, 1);
  }
  EXPECT_THROW(m.executor.for_each({.chunksize = 5}, fail_at_7, std::views::iota(0, 20)),
               std::out_of_range);
  m.executor.for_each([](int) {}, std::views::iota(0, 1000));
  EXPECT_THROW((void)m.executor.map({.chunksize = 0}, fail_at_7, {1}), std::invalid_argument);
}

TYPED_TEST(executors_test, an_infinite_map) {
  made<TypeParam> m;
  int next = 0;
  for (const int x : m.executor.map(std::negate<int>(), std::views::iota(0))) {
    ASSERT_EQ(x, -next);
    if (++next == 500) break;
  }
  EXPECT_EQ(next, 500);
}

// The order is that of the input, and the shape of the tree is that of the number of items.
TYPED_TEST(executors_test, map_reduce) {
  made<TypeParam> m;
  auto& e = m.executor;
  const auto text = [](int i) { return std::string(1, static_cast<char>('a' + i)); };
  const auto reduce = [&](int n, std::optional<std::size_t> chunksize) {
    return e.map_reduce({.chunksize = chunksize}, text, join, std::views::iota(0, n));
  };
  EXPECT_FALSE(reduce(0, {}));
  EXPECT_EQ(reduce(1, {}), "a");
  EXPECT_EQ(reduce(2, {}), "(ab)");
  EXPECT_EQ(reduce(3, {}), "((ab)c)");
  EXPECT_EQ(reduce(4, {}), "((ab)(cd))");
  EXPECT_EQ(reduce(7, {}), "(((ab)(cd))((ef)g))");
  for (const int n : {5, 6, 7, 8, 13, 26}) {
    const auto expected = reduce(n, 1);
    for (const std::size_t chunksize : {2U, 3U, 8U, 100U})
      EXPECT_EQ(reduce(n, chunksize), expected);
  }
  EXPECT_EQ(e.map_reduce([](int a, int b) { return a * b; }, std::plus<>(), std::vector{1, 2, 3},
                         std::vector{4, 5, 6, 7}),
            32);
  EXPECT_THROW((void)e.map_reduce(fail_at_7, std::plus<>(), std::views::iota(0, 30)),
               std::out_of_range);
  EXPECT_THROW((void)e.map_reduce(
                   inverse, [](double, double) -> double { throw std::range_error("combine"); },
                   std::views::iota(1, 30)),
               std::range_error);
  EXPECT_THROW((void)e.map_reduce({.buffersize = 0}, inverse, std::plus<>(), std::vector{1}),
               std::invalid_argument);
}

TYPED_TEST(executors_test, a_sum_of_floating_point_is_always_the_same) {
  const auto sum = [](auto& e, std::optional<std::size_t> chunksize) {
    return e.map_reduce({.chunksize = chunksize}, inverse, std::plus<>(),
                        std::views::iota(1, 5000));
  };
  inline_executor here;
  const std::optional<double> expected = sum(here, 1);
  made<TypeParam> m;
  for (const std::size_t chunksize : {1U, 16U, 1000U})
    EXPECT_EQ(sum(m.executor, chunksize), expected);
  EXPECT_EQ(sum(m.executor, {}), expected);
  // One that is not sized gives the same.
  int next = 1;
  EXPECT_EQ(m.executor.map_reduce(inverse, std::plus<>(), generate([&]() -> std::optional<int> {
                                    return next == 5000 ? std::nullopt : std::optional(next++);
                                  })),
            expected);
}

TYPED_TEST(executors_test, broadcast) {
  made<TypeParam> m;
  constexpr std::size_t calls = std::is_same_v<TypeParam, inline_executor> ? 1 : 2;
  auto texts = m.executor.broadcast(join, "a", std::string_view("b"));
  EXPECT_EQ(texts.size(), calls);
  for (auto& f : texts) EXPECT_EQ(f.get(), "(ab)");
  auto failed = m.executor.broadcast(fail_at_7, 7);
  EXPECT_EQ(failed.size(), calls);
  for (auto& f : failed) EXPECT_THROW(f.get(), std::out_of_range);
  EXPECT_EQ(m.executor.broadcast([] {}).size(), calls);
}

TYPED_TEST(executors_test, callbacks_and_completions) {
  made<TypeParam> m;
  std::atomic<int> called = 0;
  m.executor.submit(inverse, 2).on_done([&](const future<double>& f) { called += f.done(); });
  m.executor.submit(inverse, 2).then([&](future<double> f) { called += f.get() == 0.5; });
  EXPECT_TRUE(eventually([&] { return called == 2; }));
  completion_queue<double> queue;
  for (int i = 1; i <= 3; ++i) queue.add(m.executor.submit(inverse, i));
  double sum = 0;
  while (auto f = queue.next()) sum += f->get();
  EXPECT_NEAR(sum, 1 + 0.5 + 1.0 / 3, 1e-9);
}

TYPED_TEST(executors_test, after_shutdown) {
  made<TypeParam> m;
  auto f = m.executor.submit(inverse, 4);
  m.executor.shutdown();
  m.executor.shutdown();
  EXPECT_TRUE(f.done());
  EXPECT_EQ(f.get(), 0.25);
  EXPECT_THROW((void)m.executor.submit(inverse, 1), shutdown_error);
  EXPECT_THROW((void)m.executor.try_submit(inverse, 1), shutdown_error);
  EXPECT_THROW((void)m.executor.map(inverse, {1}), shutdown_error);
  EXPECT_THROW((void)m.executor.broadcast(inverse, 1), shutdown_error);
  EXPECT_THROW((void)m.executor.map_reduce(inverse, std::plus<>(), {1}), shutdown_error);
}

// Futures of all kinds in one set.
TYPED_TEST(executors_test, futures_of_several_executors) {
  made<TypeParam> m;
  thread_pool_executor threads(2);
  process_pool_executor processes(1);
  inline_executor here;
  promise<double> own;
  for (int round = 0; round < 20; ++round) {
    std::vector<future<double>> all;
    for (const any_executor& e : {any_executor(threads), any_executor(processes),
                                  any_executor(here), any_executor(m.executor)}) {
      for (int i = 1; i <= 5; ++i) all.push_back(any_executor(e).submit(inverse, 4));
    }
    promise<double> mine;
    all.push_back(mine.get_future());
    const auto first = wait(all, {.until = return_when::first_completed});
    EXPECT_FALSE(first.done.empty());
    double sum = 0;
    std::size_t n = 0;
    for (auto& f : as_completed(all)) {
      if (++n == all.size() - 1) mine.set_value(0.25);
      sum += f.get();
    }
    EXPECT_EQ(n, all.size());
    EXPECT_EQ(sum, 0.25 * static_cast<double>(all.size()));
  }
}

// --- in place only ------------------------------------------------------------------------------

int calls = 0;

void count_call() { ++calls; }
void fail_to_start() { throw std::runtime_error("no model"); }

class inline_test : public leak_free_test {};

TEST_F(inline_test, runs_in_the_caller_before_submit_returns) {
  inline_executor here;
  calls = 0;
  auto f = here.submit(count_call);
  EXPECT_EQ(calls, 1);
  EXPECT_TRUE(f.done());
  EXPECT_FALSE(f.cancel());
  EXPECT_FALSE(this_worker::index());
  EXPECT_EQ(here.stats().done, 1U);
}

// What would not work in a worker does not work here.
TEST_F(inline_test, values_and_errors_travel) {
  inline_executor here;
  const auto p = std::make_shared<int>(4);
  EXPECT_NE(here.submit([](std::shared_ptr<int> q) { return q; }, p).get(), p);
  struct unknown {};
  EXPECT_THROW(here.submit([] { throw unknown(); }).get(), remote_error);
  try {
    here.submit({.label = "it"}, [] { throw std::domain_error("no"); }).get();
    ADD_FAILURE();
  } catch (const std::domain_error& e) {
    try {
      std::rethrow_if_nested(e);
      ADD_FAILURE();
    } catch (const remote_error& r) {
      EXPECT_NE(r.where().find("'it'"), std::string::npos) << r.where();
    }
  }
}

TEST_F(inline_test, an_inline_executor_inside_of_a_task) {
  static inline_executor* outer = nullptr;
  inline_executor here;
  outer = &here;
  EXPECT_THROW(here.submit([] { return outer->submit([] { return 1; }).get(); }).get(),
               nested_use_error);
  EXPECT_EQ(here.submit([] { return 1; }).get(), 1);
}

// In a worker no executor could be used, so none can here.
TEST_F(inline_test, another_inline_executor_inside_of_a_task) {
  static inline_executor* other = nullptr;
  inline_executor here, there;
  other = &there;
  EXPECT_THROW(here.submit([] { return other->submit([] { return 1; }).get(); }).get(),
               nested_use_error);
  EXPECT_THROW(here.submit([] { other->shutdown(); }).get(), nested_use_error);
  EXPECT_THROW(here.submit([] { inline_executor().submit([] {}).get(); }).get(), nested_use_error);
  EXPECT_EQ(there.submit([] { return 1; }).get(), 1);
}

std::promise<void>* begun = nullptr;
std::promise<void>* gate = nullptr;

// The finalizer runs after the tasks of other threads.
TEST_F(inline_test, shutdown_waits_for_other_threads) {
  for (const bool wait : {true, false}) {
    std::promise<void> begun_here, gate_here;
    begun = &begun_here;
    gate = &gate_here;
    calls = 0;
    std::optional<inline_executor> here(std::in_place,
                                        pool_options{.max_workers = 1, .finalizer = count_call});
    std::thread other([&] {
      here->submit([] {
            begun->set_value();
            gate->get_future().wait();
            EXPECT_EQ(calls, 0);
          })
          .get();
    });
    begun_here.get_future().wait();
    std::thread opens;
    if (wait) {
      opens = std::thread([&] {
        EXPECT_TRUE(eventually([&] {
          try {
            here->submit([] {}).get();
            return false;
          } catch (const shutdown_error&) {
            return true;
          }
        }));
        gate_here.set_value();
      });
    }
    here->shutdown({.wait = wait});
    if (wait) {
      EXPECT_EQ(calls, 1);
      opens.join();
    } else {
      gate_here.set_value();
    }
    other.join();
    EXPECT_EQ(calls, 1);
  }
}

TEST_F(inline_test, initializer_and_finalizer) {
  calls = 0;
  {
    inline_executor here({.initializer = count_call, .finalizer = count_call});
    EXPECT_EQ(calls, 0);
    here.submit([] {}).get();
    here.submit([] {}).get();
    EXPECT_EQ(calls, 1);
  }
  EXPECT_EQ(calls, 2);
  inline_executor broken({.initializer = fail_to_start});
  for (int i = 0; i < 2; ++i) {
    try {
      (void)broken.submit([] {});
      ADD_FAILURE();
    } catch (const broken_process_pool& e) {
      EXPECT_NE(std::string(e.what()).find("no model"), std::string::npos);
    }
  }
}

TEST_F(inline_test, shared_arrays) {
  inline_executor here;
  auto xs = here.submit([](std::size_t n) { return shared_array<int>(n); }, 5U).get();
  here.submit([](std::span<int> s) { s[2] = 7; }, xs).get();
  EXPECT_EQ(xs[2], 7);
  auto all = here.map([](std::size_t n) { return shared_array<int>(n); }, {1U, 2U}).to_vector();
  EXPECT_EQ(all[1].size(), 2U);
}

TEST_F(inline_test, the_environment_makes_every_process_pool_inline) {
  setenv("PROCPOOL_INLINE", "1", 1);
  {
    process_pool_executor pool(3);
    calls = 0;
    EXPECT_EQ(pool.max_workers(), 3);
    pool.submit(count_call).get();
    pool.for_each([](int) { ++calls; }, std::views::iota(0, 9));
    EXPECT_EQ(calls, 10);
    pool.kill_workers();
    EXPECT_THROW((void)pool.submit(count_call), shutdown_error);
    EXPECT_THROW(process_pool_executor(0), std::invalid_argument);
    EXPECT_EQ(holdings::now().children, 0);
  }
  unsetenv("PROCPOOL_INLINE");
}

}  // namespace
