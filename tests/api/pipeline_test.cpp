// Pipelines: stages that overlap, order, bounds, errors, and what dropping the results does.
#include <atomic>
#include <future>
#include <memory>
#include <optional>
#include <ranges>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "support/pool_test.hpp"
#include "support/tally.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;

int twice(int x) { return 2 * x; }
std::string to_text(int x) { return std::to_string(x); }
std::string exclaim(std::string_view s) { return std::string(s) + "!"; }

class pipeline_test : public pool_test {};
PROCPOOL_FOR_EACH_START_METHOD(pipeline_test);

TEST_P(pipeline_test, results_in_order_through_stages_of_different_types) {
  process_pool_executor numbers(options(2)), texts(options(1));
  // One pool serves two of the stages.
  const auto p = pipeline(stage(numbers, twice), stage(texts, to_text), stage(numbers, exclaim));
  std::vector<int> in(100);
  std::vector<std::string> expected;
  for (int i = 0; i < 100; ++i) {
    in[static_cast<std::size_t>(i)] = i;
    expected.push_back(std::to_string(2 * i) + "!");
  }
  std::vector<std::string> out;
  for (auto&& s : p.run(in)) out.push_back(s);
  EXPECT_EQ(out, expected);
  EXPECT_EQ(p.run(in).to_vector(), expected) << "runs again";
  EXPECT_EQ(p.run({1, 2}).to_vector(), (std::vector<std::string>{"2!", "4!"}));
  EXPECT_EQ(p.run(std::vector<int>{}).to_vector().size(), 0U);
}

// Lets the first item pass and waits with the second one.
int wait_with_the_second(const std::string& gate, int x) {
  if (x == 2) await_tally(gate, 1);
  return x;
}
int tell(const std::string& gate, int x) {
  add_to_tally(gate);
  return x;
}

TEST_P(pipeline_test, stages_overlap_while_no_result_is_read) {
  process_pool_executor first(options(1)), second(options(1));
  tally gate, through;
  // The second item leaves the first stage only once the first one is in the second stage.
  const auto p = pipeline(stage(first, partial(wait_with_the_second, gate.path())),
                          stage(second, partial(tell, gate.path())),
                          stage(first, partial(tell, through.path())));
  auto results = p.run({1, 2});
  EXPECT_TRUE(eventually([&] { return through.count() == 2; }));
  EXPECT_EQ(results.to_vector(), (std::vector<int>{1, 2}));
}

TEST_P(pipeline_test, unordered_results) {
  process_pool_executor pool(options(2));
  tally gate;
  const auto p =
      pipeline(stage(pool, twice), stage(pool, partial(wait_with_the_second, gate.path())));
  // What was 1 waits in the second stage; the others pass it.
  std::vector<int> out;
  for (int x : p.run({.ordered = false}, {1, 5, 6, 7})) {
    out.push_back(x);
    if (out.size() == 3) gate.add();
  }
  EXPECT_EQ(out.back(), 2);
  std::ranges::sort(out);
  EXPECT_EQ(out, (std::vector<int>{2, 10, 12, 14}));
}

TEST_P(pipeline_test, no_more_items_are_under_way_than_the_buffer_allows) {
  process_pool_executor pool(options(1));
  tally done;
  const auto p = pipeline(stage(pool, twice), stage(pool, partial(tell, done.path())));
  int read = 0;
  auto endless = generate([&]() -> std::optional<int> { return read++; });
  auto results = p.run({.buffersize = 3}, endless);
  EXPECT_EQ(read, 3);
  EXPECT_TRUE(eventually([&] { return done.count() == 3; }));
  auto at = results.begin();
  for (int i = 0; i < 50; ++i, ++at) {
    EXPECT_EQ(*at, 2 * i);
    EXPECT_LE(read, i + 4);
  }
}

TEST_P(pipeline_test, a_single_pass_source) {
  process_pool_executor pool(options(2));
  std::istringstream in("1 2 3 4 5");
  const auto p = pipeline(stage(pool, twice), stage(pool, twice));
  EXPECT_EQ(p.run(std::views::istream<int>(in)).to_vector(), (std::vector<int>{4, 8, 12, 16, 20}));
}

int fail_at_three(int x) {
  if (x == 3) throw std::out_of_range("three");
  return x;
}
int die_at_six(const std::string& seen, int x) {
  add_to_tally(seen);
  if (x == 6) std::_Exit(7);
  return x;
}

TEST_P(pipeline_test, errors_belong_to_their_items) {
  process_pool_executor pool(options(2));
  tally seen;
  const auto p = pipeline(stage(pool, fail_at_three), stage(pool, twice),
                          stage(pool, {.label = "die"}, partial(die_at_six, seen.path())));
  auto results = p.run({1, 3, 2, 0});
  std::vector<int> out;
  EXPECT_THROW(
      {
        for (int x : results) out.push_back(x);
      },
      std::out_of_range);
  for (int x : results) out.push_back(x);
  EXPECT_EQ(out, (std::vector<int>{2, 4, 0}));
  EXPECT_EQ(seen.count(), 3) << "an item that failed skips the later stages";

  std::vector<std::string> what;
  for (auto& o : p.run({3, 4}).outcomes()) what.push_back(o ? std::to_string(*o) : o.what());
  EXPECT_EQ(what, (std::vector<std::string>{"three", "8"}));

  const auto q =
      pipeline(stage(pool, twice), stage(pool, {.label = "die"}, partial(die_at_six, seen.path())));
  std::size_t crashed = 0;
  for (auto& o : q.run({2, 3, 4}).outcomes()) {
    if (o) continue;
    EXPECT_EQ(o.index(), 1U);
    EXPECT_THROW(o.value(), worker_crashed);
    EXPECT_NE(o.what().find("'die'"), std::string::npos) << o.what();
    ++crashed;
  }
  EXPECT_EQ(crashed, 1U);
}

int die_once(const std::string& tries, int x) {
  add_to_tally(tries);
  if (std::filesystem::file_size(tries) == 1) std::_Exit(7);
  return x;
}

TEST_P(pipeline_test, task_options_of_a_stage) {
  process_pool_executor pool(options(1));
  tally tries;
  const auto p = pipeline(stage(pool, {.retries = 1}, partial(die_once, tries.path())));
  EXPECT_EQ(p.run({5}).to_vector(), std::vector<int>{5});
  EXPECT_EQ(tries.count(), 2);
}

TEST_P(pipeline_test, an_input_that_throws) {
  process_pool_executor pool(options(1));
  const auto p = pipeline(stage(pool, twice), stage(pool, twice));
  int n = 0;
  auto source = generate([&]() -> std::optional<int> {
    if (++n == 3) throw std::domain_error("source");
    return n;
  });
  auto results = p.run(source);
  std::vector<int> out;
  EXPECT_THROW(
      {
        for (int x : results) out.push_back(x);
      },
      std::domain_error);
  EXPECT_EQ(out, (std::vector<int>{4, 8}));
  EXPECT_EQ(results.to_vector().size(), 0U);
}

TEST_P(pipeline_test, dropping_the_results_cancels_items_that_have_not_started) {
  process_pool_executor pool(options(1));
  tally arrived, gate, second;
  {
    const auto p = pipeline(stage(pool, partial(arrive_and_wait, arrived.path(), gate.path())),
                            stage(pool, partial(tell, second.path())));
    auto results = p.run({.buffersize = 8}, {1, 2, 3, 4, 5, 6, 7, 8});
    EXPECT_TRUE(eventually([&] { return arrived.count() == 1; }));
  }
  gate.add();
  pool.submit(twice, 1).get();
  EXPECT_EQ(arrived.count(), 1);
  EXPECT_EQ(second.count(), 0);
}

TEST_P(pipeline_test, shutdown_while_a_pipeline_runs) {
  process_pool_executor first(options(1)), second(options(1));
  tally gate;
  gate.add();
  const auto p = pipeline(stage(first, twice), stage(second, twice));
  second.shutdown();
  auto late = p.run({1, 2});
  for (auto& o : late.outcomes()) EXPECT_THROW(o.value(), shutdown_error);
  first.shutdown();
  EXPECT_THROW(static_cast<void>(p.run({1, 2})), shutdown_error);
}

void note(const std::string& seen, int x) {
  if (x == 4) throw std::out_of_range("four");
  if (x == 8) throw std::domain_error("eight");
  add_to_tally(seen);
}

TEST_P(pipeline_test, for_each_runs_all_and_throws_the_first_error) {
  process_pool_executor pool(options(2));
  tally seen;
  const auto p = pipeline(stage(pool, twice), stage(pool, partial(note, seen.path())));
  p.for_each({1, 3, 5});
  EXPECT_EQ(seen.count(), 3);
  EXPECT_THROW(p.for_each({1, 2, 3, 4, 5}), std::out_of_range);
  EXPECT_EQ(seen.count(), 6);
}

TEST_P(pipeline_test, move_only_values_and_vector_of_bool) {
  process_pool_executor pool(options(1));
  const auto p = pipeline(stage(pool, [](int x) { return std::make_unique<int>(x); }),
                          stage(pool, [](std::unique_ptr<int> x) { return *x + 1; }));
  EXPECT_EQ(p.run({1, 2}).to_vector(), (std::vector<int>{2, 3}));
  const auto flip = pipeline(stage(pool, [](bool b) { return b ? 0 : 1; }));
  EXPECT_EQ(flip.run(std::vector<bool>{true, false}).to_vector(), (std::vector<int>{0, 1}));
}

TEST_P(pipeline_test, results_are_read_on_any_thread_except_the_callback_thread) {
  process_pool_executor pool(options(1));
  const auto p = pipeline(stage(pool, twice), stage(pool, twice));
  std::promise<std::string> said;
  pool.submit(twice, 1).then([&](future<int>) {
    try {
      said.set_value(std::to_string(p.run({1, 2, 3}).to_vector().size()));
    } catch (const invalid_state_error& e) {
      said.set_value(e.what());
    }
  });
  EXPECT_NE(said.get_future().get().find("procpool::via"), std::string::npos);
}

TEST_P(pipeline_test, two_runs_of_a_pipeline_at_once) {
  process_pool_executor pool(options(2));
  const auto p = pipeline(stage(pool, twice), stage(pool, to_text));
  const auto run = [&](int first) {
    std::string all;
    for (auto& s : p.run(std::views::iota(first, first + 50))) all += s;
    return all;
  };
  std::string other;
  std::thread reader([&] { other = run(0); });
  EXPECT_EQ(run(0).size(), 95U);
  reader.join();
  EXPECT_EQ(other, run(0));
}

// What a range that is moved in holds is moved on.
TEST_P(pipeline_test, a_source_of_move_only_values) {
  process_pool_executor pool(options(1));
  thread_pool_executor threads(2);
  const auto make = [](int n) {
    std::vector<std::unique_ptr<int>> all;
    for (int i = 0; i < n; ++i) all.push_back(std::make_unique<int>(i));
    return all;
  };
  const auto add_one = [](std::unique_ptr<int> p) {
    ++*p;
    return p;
  };
  const auto take = [](std::unique_ptr<int> p) { return *p; };
  const auto p = pipeline(stage(threads, add_one), stage(pool, add_one), stage(threads, add_one),
                          stage(threads, take));
  EXPECT_EQ(p.run(make(3)).to_vector(), (std::vector<int>{3, 4, 5}));
  std::vector<std::string> kept{"a long text, that is copied where it is kept"};
  EXPECT_EQ(
      pipeline(stage(threads, [](const std::string& s) { return s.size(); })).run(kept).to_vector(),
      (std::vector<std::size_t>{kept[0].size()}));
}

// Between the stages there is never more than the buffer holds, wherever it is slow.
TEST_P(pipeline_test, a_slow_stage_holds_the_others_back) {
  process_pool_executor pool(options(2));
  thread_pool_executor first(4), last(4);
  std::atomic<int> entered = 0, left = 0, most = 0;
  const auto enter = [&](int x) {
    const int inside = ++entered - left;
    int seen = most;
    while (seen < inside && !most.compare_exchange_weak(seen, inside)) {
    }
    return x;
  };
  for (const bool slow_last : {false, true}) {
    entered = left = most = 0;
    std::promise<void> gate;
    const auto opened = gate.get_future().share();
    const auto p =
        pipeline(stage(first, enter), stage(pool, twice), stage(last, [&, opened](int x) {
                   if (slow_last) opened.wait();
                   return x;
                 }));
    auto results = p.run({.buffersize = 6}, std::views::iota(0));
    EXPECT_TRUE(eventually([&] { return entered == 6; }));
    gate.set_value();
    auto at = results.begin();
    for (int i = 0; i < 100; ++i, ++at) {
      EXPECT_EQ(*at, 2 * i);
      ++left;
    }
    EXPECT_LE(most, 7) << "six, and the item that is being read";
  }
}

TEST_P(pipeline_test, a_timeout_for_the_whole_run) {
  process_pool_executor pool(options(1));
  tally gate, second;
  const auto p = pipeline(stage(pool, partial(wait_with_the_second, gate.path())),
                          stage(pool, partial(tell, second.path())));
  EXPECT_EQ(p.run({.timeout = 60s}, {1, 3}).to_vector(), (std::vector<int>{1, 3}));
  auto results = p.run({.timeout = 50ms, .ordered = false}, {2, 3, 4});
  EXPECT_THROW(results.begin(), timeout_error);
  EXPECT_EQ(results.to_vector().size(), 0U);
  EXPECT_THROW(p.for_each({.timeout = 0s}, {2, 3}), timeout_error);
  gate.add();
  pool.submit(twice, 1).get();
  EXPECT_EQ(second.count(), 2) << "what was cancelled went no further";
}

// Whatever a reader leaves half-way, the next one finds the stages free.
TEST_P(pipeline_test, a_reader_leaves_half_way) {
  process_pool_executor pool(options(2));
  thread_pool_executor threads(2);
  const auto counted = std::make_shared<int>(0);
  const auto p =
      pipeline(stage(threads, [](std::shared_ptr<int> x) { return x; }),
               stage(threads, [](const std::shared_ptr<int>& x) { return x.use_count() != 0; }),
               stage(pool, [](bool b) { return b; }));
  for (int round = 0; round < 20; ++round) {
    int read = 0;
    auto endless = generate([&]() -> std::optional<std::shared_ptr<int>> { return counted; });
    for (const bool ordered : {true, false}) {
      for (const bool b : p.run({.ordered = ordered}, endless)) {
        EXPECT_TRUE(b);
        if (++read % 5 == round % 5) break;
      }
    }
  }
  // What was under way is gone, with its values.
  EXPECT_TRUE(eventually([&] { return counted.use_count() == 1; })) << counted.use_count();
  EXPECT_EQ(p.run(std::vector{counted}).to_vector(), std::vector<bool>{true});
}

TEST_P(pipeline_test, progress_knows_the_total) {
  process_pool_executor pool(options(1));
  const auto p = pipeline(stage(pool, twice));
  EXPECT_EQ(p.run(std::vector<int>{1, 2, 3}).total(), 3U);
  EXPECT_THROW(static_cast<void>(p.run({.buffersize = 0}, {1})), std::invalid_argument);
}

}  // namespace
