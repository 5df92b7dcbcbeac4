// as_completed(), after CPython's test_as_completed.py.
#include <map>
#include <set>
#include <thread>

#include "support/pool_test.hpp"
#include "support/tally.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;

int echo(int x) { return x; }
int wait_and_return(const std::string& gate, int x) {
  await_tally(gate, 1);
  return x;
}

class as_completed_test : public pool_test {};
PROCPOOL_FOR_EACH_START_METHOD(as_completed_test);

// test_no_timeout: futures that are done already, then the others as they complete
TEST_P(as_completed_test, no_timeout) {
  process_pool_executor pool(options(2));
  tally gate;
  std::vector<future<int>> fs;
  fs.push_back(pool.submit(wait_and_return, gate.path(), 0));
  fs.push_back(pool.submit(echo, 1));
  fs[1].wait();
  fs.push_back(pool.submit([]() -> int { throw std::runtime_error("fails"); }));
  fs.push_back(pool.submit(echo, 3));
  const bool cancelled = fs[3].cancel();
  std::vector<const future<int>*> order;
  for (future<int>& f : as_completed(fs)) {
    EXPECT_TRUE(f.done());
    order.push_back(&f);
    if (order.size() == 3) gate.add();
  }
  ASSERT_EQ(order.size(), 4U);
  EXPECT_EQ(order.front(), &fs[1]);
  EXPECT_EQ(order.back(), &fs[0]);
  EXPECT_EQ(fs[3].cancelled(), cancelled);
}

// test_future_times_out: with 0 and with some time, what is done comes first
TEST_P(as_completed_test, future_times_out) {
  process_pool_executor pool(options(2));
  tally gate;
  std::vector<future<int>> fs;
  fs.push_back(pool.submit(wait_and_return, gate.path(), 0));
  fs.push_back(pool.submit(echo, 1));
  fs[1].wait();
  // differs: a cancelled future is named; CPython leaves it out until the executor has noticed.
  fs.push_back(pool.submit(wait_and_return, gate.path(), 2));
  fs.push_back(pool.submit(echo, 3));
  EXPECT_TRUE(eventually([&] { return fs[2].running(); }));
  EXPECT_TRUE(fs[3].cancel());
  for (const duration limit : {duration(0s), duration(20ms)}) {
    std::set<const future<int>*> done;
    try {
      for (future<int>& f : as_completed(fs, limit)) done.insert(&f);
      ADD_FAILURE() << "must throw";
    } catch (const timeout_error&) {
    }
    EXPECT_EQ(done, (std::set<const future<int>*>{&fs[1], &fs[3]}));
  }
}

// test_correct_timeout_exception_msg
TEST_P(as_completed_test, correct_timeout_exception_msg) {
  process_pool_executor pool(options(1));
  tally gate;
  std::vector<future<int>> fs;
  fs.push_back(pool.submit(echo, 0));
  fs.push_back(pool.submit(echo, 1));
  fs[1].wait();
  fs.push_back(pool.submit(wait_and_return, gate.path(), 2));
  fs.push_back(pool.submit(echo, 3));
  try {
    for ([[maybe_unused]] future<int>& f : as_completed(fs, 0s)) {
    }
    ADD_FAILURE() << "must throw";
  } catch (const timeout_error& e) {
    EXPECT_STREQ(e.what(), "2 (of 4) futures unfinished");
  }
}

// test_duplicate_futures
TEST_P(as_completed_test, duplicate_futures) {
  process_pool_executor pool(options(1));
  future<int> f = pool.submit(echo, 7), g = pool.submit(echo, 8);
  std::vector<future<int>*> thrice{&f, &f, &f, &g, &f};
  int named = 0;
  for ([[maybe_unused]] future<int>* each : as_completed(thrice)) ++named;
  EXPECT_EQ(named, 2);
}

// test_free_reference_yielded_future: a future that was named may go at once
TEST_P(as_completed_test, free_reference_yielded_future) {
  process_pool_executor pool(options(2));
  std::vector<future<std::string>> fs;
  for (int i = 0; i < 200; ++i) {
    fs.push_back(pool.submit([](int n) { return std::string(5000, static_cast<char>(n)); }, i));
  }
  std::size_t bytes = 0;
  for (future<std::string>& f : as_completed(fs)) {
    future<std::string> mine = std::move(f);
    bytes += mine.get().size();
  }
  EXPECT_EQ(bytes, 1'000'000U);
  for (const auto& f : fs) EXPECT_FALSE(f.valid());
}

TEST_P(as_completed_test, leaving_early_leaves_the_rest_running) {
  process_pool_executor pool(options(2));
  tally gate;
  std::vector<future<int>> fs;
  for (int i = 0; i < 10; ++i) fs.push_back(pool.submit(wait_and_return, gate.path(), i));
  fs.push_back(pool.submit(echo, 10));
  EXPECT_TRUE(eventually([&] { return fs[0].running(); }));
  EXPECT_TRUE(fs[5].cancel());
  for ([[maybe_unused]] future<int>& f : as_completed(fs)) break;
  gate.add();
  int sum = 0;
  for (int i : {0, 1, 2, 3, 4, 6, 7, 8, 9, 10}) sum += fs[static_cast<std::size_t>(i)].get();
  EXPECT_EQ(sum, 50);
}

struct job {
  std::string url;
  future<int> f;
};

// The range's own elements: futures inside of something, by projection; maps; ranges moved in.
TEST_P(as_completed_test, elements_that_hold_a_future) {
  process_pool_executor pool(options(2));
  std::vector<job> jobs;
  for (int i = 0; i < 20; ++i) jobs.push_back({std::to_string(i), pool.submit(echo, i)});
  int seen = 0;
  for (auto& [url, f] : as_completed(jobs, &job::f)) {
    EXPECT_EQ(std::to_string(f.get()), url);
    ++seen;
  }
  EXPECT_EQ(seen, 20);

  std::map<std::string, future<int>> by_name;
  for (int i = 0; i < 20; ++i) by_name.emplace(std::to_string(i), pool.submit(echo, i));
  for (auto& [name, f] : as_completed(by_name, [](auto& e) -> auto& { return e.second; }, 30s)) {
    EXPECT_EQ(std::to_string(f.get()), name);
    ++seen;
  }
  EXPECT_EQ(seen, 40);

  std::vector<future<int>> moved_in;
  for (int i = 0; i < 20; ++i) moved_in.push_back(pool.submit(echo, i));
  int sum = 0;
  for (future<int>& f : as_completed(std::move(moved_in))) sum += f.get();
  EXPECT_EQ(sum, 190);
  for (future<int>& f : as_completed(std::vector<future<int>>{})) sum += f.get();
  EXPECT_EQ(sum, 190);
}

// Futures of different executors, one of them gone, and a worker that dies among them.
TEST_P(as_completed_test, futures_of_several_executors) {
  process_pool_executor one(options(1)), two(options(1));
  std::vector<future<int>> fs;
  {
    process_pool_executor gone(options(1));
    fs.push_back(gone.submit(echo, 1));
    fs.push_back(gone.submit([]() -> int { std::_Exit(3); }));
  }
  for (int i = 0; i < 10; ++i) {
    fs.push_back(one.submit(echo, 1));
    fs.push_back(two.submit(echo, 1));
  }
  fs.push_back(two.submit([]() -> int { std::_Exit(4); }));
  int values = 0, crashes = 0;
  for (future<int>& f : as_completed(fs)) {
    try {
      values += f.get();
    } catch (const worker_crashed& e) {
      EXPECT_EQ(e.signal(), 0);
      EXPECT_TRUE(e.exit_code() == 3 || e.exit_code() == 4);
      ++crashes;
    }
  }
  EXPECT_EQ(values, 21);
  EXPECT_EQ(crashes, 2);
}

// Submitting more while others complete: completion_queue.
TEST_P(as_completed_test, completion_queue_takes_futures_while_results_are_read) {
  process_pool_executor pool(options(2));
  completion_queue<int> q;
  EXPECT_FALSE(q.next().has_value()) << "empty at once when nothing is outstanding";
  q.add(pool.submit(echo, 10));
  int done = 0;
  while (std::optional<future<int>> f = q.next()) {
    const int left = f->get();
    ++done;
    if (left > 0) {
      q.add(pool.submit(echo, left - 1));
      if (left % 2 == 0) q.add(pool.submit(echo, 0));
    }
  }
  EXPECT_EQ(done, 16);
  EXPECT_TRUE(q.empty());
  EXPECT_THROW(q.add(future<int>{}), invalid_state_error);
}

}  // namespace
