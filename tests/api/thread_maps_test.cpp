// Maps of a thread pool over a range that stays with its caller: the elements are read where they
// are, and no thread reads them any more when the results are gone.
#include <atomic>
#include <future>
#include <span>
#include <string>
#include <vector>

#include "support/pool_test.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;

// Counts its copies, and knows that it is gone.
class counted {
 public:
  explicit counted(int v = 0) : value(v) {}
  counted(const counted& other) : value(other.value) { ++copies; }
  counted(counted&& other) noexcept : value(other.value) {}
  counted& operator=(const counted& other) {
    ++copies;
    value = other.value;
    return *this;
  }
  counted& operator=(counted&&) noexcept = default;
  ~counted() { value = -1; }
  int get() const { return value; }

  int value;
  static inline std::atomic<int> copies{0};
};

class thread_maps_test : public leak_free_test {
 protected:
  void SetUp() override {
    leak_free_test::SetUp();
    counted::copies = 0;
    for (int i = 0; i < 100; ++i) kept.emplace_back(i);
    counted::copies = 0;
  }
  std::vector<counted> kept;
  thread_pool_executor pool{2};
};

int by_reference(const counted& c) { return c.value; }
int by_value(counted c) { return c.value; }
int by_rvalue(counted&& c) { return c.value; }
int sum_of(const counted& a, const counted& b) { return a.value + b.value; }

TEST_F(thread_maps_test, a_kept_range_is_not_copied) {
  const auto sum = [](auto results) {
    int s = 0;
    for (int x : results) s += x;
    return s;
  };
  EXPECT_EQ(sum(pool.map(by_reference, kept)), 4950);
  EXPECT_EQ(sum(pool.map({.ordered = false}, by_reference, kept)), 4950);
  EXPECT_EQ(sum(pool.map([](const counted& c) { return c.value; }, std::as_const(kept))), 4950);
  EXPECT_EQ(sum(pool.map(&counted::get, kept)), 4950);
  EXPECT_EQ(sum(pool.map(by_reference, std::span(kept))), 4950);
  EXPECT_EQ(sum(pool.map(sum_of, kept, kept)), 9900);
  std::atomic<int> total{0};
  pool.for_each([&](const counted& c) { total += c.value; }, kept);
  EXPECT_EQ(total, 4950);
  any_executor any(pool);
  EXPECT_EQ(
      any.map([](const std::string& s) { return s.size(); }, std::vector<std::string>{"a", "bc"})
          .to_vector(),
      (std::vector<std::size_t>{1, 2}));
  EXPECT_EQ(counted::copies, 0);
}

TEST_F(thread_maps_test, functions_get_the_elements_of_the_range) {
  std::atomic<int> same{0};
  pool.for_each(
      [&](const counted& c) {
        same += &c >= kept.data() && &c < kept.data() + kept.size() ? 1 : 0;
      },
      kept);
  EXPECT_EQ(same, 100);
}

TEST_F(thread_maps_test, parameters_by_value_get_copies) {
  EXPECT_EQ(pool.map(by_value, kept).to_vector().back(), 99);
  EXPECT_EQ(counted::copies, 100) << "made where the function runs";
  EXPECT_EQ(pool.map(by_rvalue, kept).to_vector().back(), 99);
  EXPECT_EQ(pool.map([](auto&& c) { return std::move(c).value; }, kept).to_vector().back(), 99);
  EXPECT_EQ(kept.back().value, 99) << "the caller's own stay as they are";
}

TEST_F(thread_maps_test, a_range_moved_in_is_moved_on) {
  EXPECT_EQ(pool.map(by_reference, std::move(kept)).to_vector().back(), 99);
  EXPECT_EQ(counted::copies, 0);
}

// With one thread and one item in it, another is waiting.
TEST_F(thread_maps_test, the_end_of_the_results_waits_for_tasks_that_have_started) {
  thread_pool_executor single(1);
  std::promise<void> begun, go;
  std::atomic<int> called{0}, value{0};
  const auto f = [&, gate = go.get_future().share()](const counted& c) {
    if (++called == 1) begun.set_value();
    gate.wait();
    value = c.value;
    return c.value;
  };
  std::future<void> release;
  {
    std::vector<counted> local(10, counted(7));
    auto results = single.map({.chunksize = 5}, f, local);
    begun.get_future().wait();
    release = std::async(std::launch::async, [&] { go.set_value(); });
  }
  EXPECT_EQ(value, 7) << "the element was read before its end";
  release.wait();
}

TEST_F(thread_maps_test, a_map_with_a_timeout_has_copies_and_ends_in_time) {
  std::promise<void> begun, go;
  std::atomic<int> called{0};
  std::atomic<bool> first_is_kept{false};
  const std::shared_future<void> gate = go.get_future().share();
  auto elements = std::make_unique<std::vector<counted>>(2, counted(7));
  const auto* const first = elements->data();
  const auto f = [&, gate](const counted& c) {
    if (&c == first) first_is_kept = true;
    if (++called == 1) begun.set_value();
    gate.wait();
  };
  EXPECT_THROW(pool.for_each({.chunksize = 2, .timeout = 1ms}, f, *elements), timeout_error);
  elements.reset();
  go.set_value();
  pool.shutdown();
  EXPECT_FALSE(first_is_kept);
  EXPECT_LE(called, 1) << "items that had not begun at the timeout did not";
}

// The one thread waits for the results of its own pool, and drops them early.
TEST_F(thread_maps_test, a_task_of_the_same_pool_drops_the_results) {
  EXPECT_EQ(pool.submit([&] {
                  auto results = pool.map({.chunksize = 1}, by_reference, kept);
                  return *results.begin();
                })
                .get(),
            0);
}

}  // namespace
