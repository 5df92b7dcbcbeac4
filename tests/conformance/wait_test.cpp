// wait(), after CPython's test_wait.py.
#include <atomic>
#include <thread>

#include "support/pool_test.hpp"
#include "support/tally.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;

int echo(int x) { return x; }
int fail() { throw std::runtime_error("this task fails"); }
int wait_and_return(const std::string& gate, int x) {
  await_tally(gate, 1);
  return x;
}
int wait_and_fail(const std::string& gate) {
  await_tally(gate, 1);
  throw std::runtime_error("this task fails, later");
}

using futures = std::vector<future<int>>;

template <class Refs>
std::vector<const future<int>*> addresses(const Refs& refs) {
  std::vector<const future<int>*> out;
  for (const future<int>& f : refs) out.push_back(&f);
  return out;
}
using pointers = std::vector<const future<int>*>;

class wait_test : public pool_test {};
PROCPOOL_FOR_EACH_START_METHOD(wait_test);

// As as_completed takes it.
TEST_P(wait_test, a_plain_duration) {
  process_pool_executor pool(options(1));
  tally gate;
  futures fs;
  fs.push_back(pool.submit(echo, 1));
  EXPECT_EQ(wait(fs, 300s).done.size(), 1U);
  fs.push_back(pool.submit(wait_and_return, gate.path(), 2));
  EXPECT_EQ(addresses(wait(fs, 1ms).not_done), (pointers{&fs[1]}));
  gate.add();
  EXPECT_EQ(wait(wait(fs, std::chrono::minutes(5)).done, 0.5s).done.size(), 2U);
}

// test_20369: duplicates count once
TEST_P(wait_test, duplicates) {
  process_pool_executor pool(options());
  futures fs;
  fs.push_back(pool.submit(echo, 1));
  std::vector<future<int>*> listed{&fs[0], &fs[0]};
  const auto result = wait(listed, {.until = return_when::all_completed});
  EXPECT_EQ(addresses(result.done), pointers{&fs[0]});
  EXPECT_TRUE(result.not_done.empty());
}

TEST_P(wait_test, nothing_to_wait_for) {
  futures none;
  const auto result = wait(none);
  EXPECT_TRUE(result.done.empty());
  EXPECT_TRUE(result.not_done.empty());
}

// test_first_completed
TEST_P(wait_test, first_completed) {
  process_pool_executor pool(options(2));
  tally gate;
  futures fs;
  fs.push_back(pool.submit(wait_and_return, gate.path(), 0));
  fs.push_back(pool.submit(echo, 1));
  fs.push_back(pool.submit(wait_and_return, gate.path(), 2));
  const auto result = wait(fs, {.until = return_when::first_completed});
  EXPECT_EQ(addresses(result.done), pointers{&fs[1]});
  EXPECT_EQ(addresses(result.not_done), (pointers{&fs[0], &fs[2]}));
}

// test_first_completed_some_already_completed
TEST_P(wait_test, first_completed_some_already_completed) {
  process_pool_executor pool(options(1));
  tally gate;
  futures fs;
  fs.push_back(pool.submit(echo, 1));
  fs[0].wait();
  fs.push_back(pool.submit(wait_and_return, gate.path(), 2));
  fs.push_back(pool.submit(echo, 3));
  const auto first = wait(fs, {.until = return_when::first_completed});
  EXPECT_EQ(addresses(first.done), pointers{&fs[0]});
  // differs: a cancelled future is done at once; CPython waits until the executor has noticed.
  EXPECT_TRUE(fs[2].cancel());
  const auto second = wait(first.not_done, {.until = return_when::first_completed});
  EXPECT_EQ(addresses(second.done), pointers{&fs[2]});
  EXPECT_EQ(addresses(second.not_done), pointers{&fs[1]});
}

// test_first_exception: a success does not end the wait, a failure does
TEST_P(wait_test, first_exception) {
  process_pool_executor pool(options(2));
  tally to_fail, gate;
  futures fs;
  fs.push_back(pool.submit(echo, 1));
  fs.push_back(pool.submit(wait_and_fail, to_fail.path()));
  fs.push_back(pool.submit(wait_and_return, gate.path(), 3));
  std::thread opener([&] {
    EXPECT_EQ(fs[0].wait_for(30s), std::future_status::ready);
    EXPECT_TRUE(eventually([&] { return fs[2].running(); }));
    to_fail.add();
  });
  const auto result = wait(fs, {.until = return_when::first_exception});
  opener.join();
  EXPECT_EQ(addresses(result.done), (pointers{&fs[0], &fs[1]}));
  EXPECT_EQ(addresses(result.not_done), pointers{&fs[2]});
}

// test_first_exception_some_already_complete: neither success nor cancellation is a failure
TEST_P(wait_test, first_exception_some_already_complete) {
  process_pool_executor pool(options(1));
  tally to_fail;
  futures fs;
  fs.push_back(pool.submit(echo, 1));
  fs[0].wait();
  fs.push_back(pool.submit(wait_and_fail, to_fail.path()));
  fs.push_back(pool.submit(echo, 3));
  EXPECT_TRUE(fs[2].cancel());
  const auto before = wait(fs, {.timeout = 20ms, .until = return_when::first_exception});
  EXPECT_EQ(addresses(before.not_done), pointers{&fs[1]});
  to_fail.add();
  const auto after = wait(fs, {.until = return_when::first_exception});
  EXPECT_EQ(addresses(after.done), (pointers{&fs[0], &fs[1], &fs[2]}));
}

// test_first_exception_one_already_failed
TEST_P(wait_test, first_exception_one_already_failed) {
  process_pool_executor pool(options(1));
  tally gate;
  futures fs;
  fs.push_back(pool.submit(fail));
  fs[0].wait();
  fs.push_back(pool.submit(wait_and_return, gate.path(), 2));
  const auto result = wait(fs, {.until = return_when::first_exception});
  EXPECT_EQ(addresses(result.done), pointers{&fs[0]});
  EXPECT_EQ(addresses(result.not_done), pointers{&fs[1]});
}

// test_all_completed
TEST_P(wait_test, all_completed) {
  process_pool_executor pool(options(2));
  futures fs;
  fs.push_back(pool.submit(echo, 1));
  fs.push_back(pool.submit(fail));
  for (int i = 0; i < 50; ++i) fs.push_back(pool.submit(echo, i));
  const bool cancelled = fs.back().cancel();
  const auto result = wait(fs);
  EXPECT_EQ(result.done.size(), fs.size());
  EXPECT_TRUE(result.not_done.empty());
  EXPECT_EQ(&result.done[1], &fs[1]) << "in input order";
  EXPECT_THROW(fs[1].get(), std::runtime_error) << "wait never throws what the tasks threw";
  EXPECT_EQ(fs.back().cancelled(), cancelled);
}

// test_timeout: a partition, and no exception
TEST_P(wait_test, timeout) {
  process_pool_executor pool(options(2));
  tally gate;
  futures fs;
  fs.push_back(pool.submit(echo, 1));
  fs[0].wait();
  fs.push_back(pool.submit(wait_and_return, gate.path(), 2));
  for (const duration limit : {duration(0s), duration(50ms), duration(-1s)}) {
    const auto result = wait(fs, {.timeout = limit});
    EXPECT_EQ(addresses(result.done), pointers{&fs[0]});
    EXPECT_EQ(addresses(result.not_done), pointers{&fs[1]});
  }
}

// test_pending_calls_race: many finish together while one waits
TEST_P(wait_test, many_futures_at_once) {
  process_pool_executor pool(options(2));
  tally gate;
  futures fs;
  for (int i = 0; i < 100; ++i) fs.push_back(pool.submit(wait_and_return, gate.path(), i));
  std::thread opener([&] { gate.add(); });
  const auto result = wait(fs);
  opener.join();
  EXPECT_EQ(result.done.size(), 100U);
}

// wait and as_completed over futures of different executors, and of a pool that is gone
TEST_P(wait_test, futures_of_several_executors) {
  process_pool_executor one(options(1)), two(options(1));
  tally gate;
  futures fs;
  {
    process_pool_executor gone(options(1));
    fs.push_back(gone.submit(echo, 0));
  }
  fs.push_back(one.submit(wait_and_return, gate.path(), 1));
  fs.push_back(two.submit(echo, 2));
  const auto first = wait(fs, {.timeout = 10s, .until = return_when::first_completed});
  EXPECT_FALSE(first.done.empty());
  fs[2].wait();
  gate.add();
  EXPECT_EQ(wait(fs).done.size(), 3U);
  EXPECT_EQ(fs[0].get() + fs[1].get() + fs[2].get(), 3);
}

// Two threads wait for overlapping sets: neither takes a completion away from the other.
TEST_P(wait_test, two_threads_wait_for_the_same_futures) {
  process_pool_executor pool(options(2));
  for (int round = 0; round < 20; ++round) {
    tally gate;
    futures fs;
    for (int i = 0; i < 10; ++i) fs.push_back(pool.submit(wait_and_return, gate.path(), i));
    std::atomic<std::size_t> other{0};
    std::thread second([&] { other = wait(fs).done.size(); });
    gate.add();
    EXPECT_EQ(wait(fs).done.size(), 10U);
    second.join();
    EXPECT_EQ(other, 10U);
  }
}

}  // namespace
