// CPython's _TestQueue and JoinableQueue, by the names of their tests
// (test/_test_multiprocessing.py), and what queues between workers are for, under each start
// method.
#include <gmock/gmock.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <numeric>
#include <stdexcept>
#include <thread>

#include "support/shared_memory.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;
using steady = std::chrono::steady_clock;

class queue_test : public shared_test {};
PROCPOOL_FOR_EACH_START_METHOD(queue_test);

using words = std::vector<std::string>;

TEST_P(queue_test, put) {
  const queue<int> q(3);
  EXPECT_EQ(q.capacity(), 3U);
  EXPECT_TRUE(q.empty());
  q.put(1);
  EXPECT_TRUE(q.try_put(2));
  EXPECT_TRUE(q.try_put_for(3, 1s));
  EXPECT_EQ(q.size(), 3U);
  EXPECT_FALSE(q.try_put(4));
  EXPECT_FALSE(q.try_put_for(4, -1s));
  const auto start = steady::now();
  EXPECT_FALSE(q.try_put_for(4, 30ms));
  EXPECT_FALSE(q.try_put_until(4, start + 60ms));
  EXPECT_GE(steady::now() - start, 60ms);
  EXPECT_EQ(q.get() + q.get() + q.get(), 6);
}

TEST_P(queue_test, get) {
  const queue<std::string> q(3);
  EXPECT_FALSE(q.try_get());
  const auto start = steady::now();
  EXPECT_FALSE(q.try_get_for(30ms));
  EXPECT_FALSE(q.try_get_until(start + 60ms));
  EXPECT_GE(steady::now() - start, 60ms);
  for (const char* s : {"a", "", "c"}) q.put(s);
  EXPECT_EQ(q.get(), "a");
  EXPECT_EQ(q.try_get(), "");
  EXPECT_EQ(q.try_get_for(1s), "c");
}

TEST_P(queue_test, items_of_all_sizes_wrap_around_the_ring) {
  const queue<words> q(4, 4096);
  for (std::size_t i = 0; i < 500; ++i) {
    const words item(i % 7, std::string(i % 120, static_cast<char>('a' + i % 26)));
    q.put(item);
    q.put({});
    EXPECT_EQ(q.get(), item);
    EXPECT_EQ(q.get(), words());
  }
}

TEST_P(queue_test, the_largest_item) {
  const queue<std::string> q(2, 1000);
  // A length of nine bytes comes first.
  const std::string largest(q.max_item_bytes() - 9, 'x');
  EXPECT_GE(q.max_item_bytes(), 1000U);
  EXPECT_TRUE(q.try_put(largest));
  EXPECT_FALSE(q.try_put(""));  // full by bytes
  EXPECT_EQ(q.get(), largest);
  EXPECT_THAT([&] { q.put(largest + "x"); },
              ThrowsMessage<std::length_error>(HasSubstr("second argument")));
  EXPECT_THROW(queue<int>(0), std::invalid_argument);
  EXPECT_THROW(queue<int>(1, 0), std::invalid_argument);
}

struct fussy {
  int value = 0;
};

}  // namespace

template <>
struct procpool::codec<fussy> {
  static int to_wire(const fussy& f) { return f.value; }
  static fussy from_wire(int n) {
    if (n < 0) throw std::domain_error("less than nothing");
    return {n};
  }
};

namespace {

// The item is gone, and no process has to say that it is done.
TEST_P(queue_test, items_that_do_not_decode) {
  const queue<fussy> q(3);
  q.put({-1});
  q.put({-2});
  q.put({3});
  EXPECT_THROW(q.get(), std::domain_error);
  EXPECT_THROW(q.try_get(), std::domain_error);
  EXPECT_THROW(q.task_done(), invalid_state_error);
  EXPECT_EQ(q.get().value, 3);
  EXPECT_FALSE(q.join_for(0s));
  q.task_done();
  EXPECT_TRUE(q.join_for(0s));
}

struct nothing_at_all {};

TEST_P(queue_test, items_without_bytes) {
  const queue<nothing_at_all> q(2, 64);
  q.put({});
  EXPECT_TRUE(q.try_put({}));
  EXPECT_FALSE(q.try_put({}));
  q.get();
  q.put({});
  EXPECT_EQ(q.size(), 2U);
}

TEST_P(queue_test, unserializable_items_leave_the_queue_usable) {
  const queue<shared_value<int>> q(1);
  EXPECT_THROW(q.put(shared_value<int>(1)), codec_error);
  EXPECT_TRUE(q.empty());
}

long sum_of(const queue<int>& q) {
  long sum = 0;
  for (const int i : q) sum += i;
  return sum;
}
void put_range(const queue<int>& q, int from, int to) {
  for (int i = from; i < to; ++i) q.put(i);
}

TEST_P(queue_test, several_producers_and_consumers) {
  process_pool_executor pool(options(4));
  const queue<int> q(10);
  std::vector<future<long>> sums;
  std::vector<future<void>> producers;
  for (int i = 0; i < 2; ++i) sums.push_back(pool.submit(sum_of, q));
  for (int i = 0; i < 2; ++i) {
    producers.push_back(pool.submit(put_range, q, i * 1000, (i + 1) * 1000));
  }
  for (auto& f : producers) f.get_for(20s);
  q.close();
  long sum = 0;
  for (auto& f : sums) sum += f.get_for(20s);
  EXPECT_EQ(sum, 1999 * 1000);
}

TEST_P(queue_test, fifo_for_each_producer) {
  process_pool_executor pool(options(1));
  const queue<int> q(5);
  auto f = pool.submit(put_range, q, 0, 300);
  for (int i = 0; i < 300; ++i) EXPECT_EQ(q.get(), i);
  f.get();
}

TEST_P(queue_test, closed_queue_put_and_get) {
  const queue<int> q(2);
  q.put(1);
  EXPECT_FALSE(q.closed());
  q.close();
  q.close();
  EXPECT_TRUE(q.closed());
  EXPECT_THROW(q.put(2), queue_closed_error);
  EXPECT_THROW(q.try_put(2), queue_closed_error);
  EXPECT_EQ(q.get(), 1);
  EXPECT_THROW(q.get(), queue_closed_error);
  EXPECT_THROW(q.try_get(), queue_closed_error);
  for (const int i : q) ADD_FAILURE() << i;
}

TEST_P(queue_test, close_wakes_all_waiters) {
  process_pool_executor pool(options(2));
  const queue<int> empty(1), full(1);
  full.put(1);
  auto gets = pool.submit([](const queue<int>& q) { return q.get(); }, empty);
  auto puts = pool.submit([](const queue<int>& q) { q.put(2); }, full);
  EXPECT_TRUE(eventually([&] { return gets.running() && puts.running(); }));
  empty.close();
  full.close();
  EXPECT_THROW(gets.get_for(20s), queue_closed_error);
  EXPECT_THROW(puts.get_for(20s), queue_closed_error);
}

TEST_P(queue_test, task_done) {
  process_pool_executor pool(options(2));
  const queue<int> q(20);
  EXPECT_TRUE(q.join_for(0s));
  EXPECT_THROW(q.task_done(), invalid_state_error);
  const auto work = [](const queue<int>& from) {
    int n = 0;
    for (const int i : from) {
      n += i;
      from.task_done();
    }
    return n;
  };
  auto a = pool.submit(work, q), b = pool.submit(work, q);
  for (int i = 0; i < 50; ++i) q.put(1);
  q.join();
  EXPECT_TRUE(q.empty());
  EXPECT_THROW(q.task_done(), invalid_state_error);  // what others got is theirs
  q.close();
  EXPECT_EQ(a.get_for(20s) + b.get_for(20s), 50);
}

TEST_P(queue_test, join_timeout) {
  const queue<int> q(1);
  q.put(1);
  EXPECT_FALSE(q.join_for(20ms));
  EXPECT_EQ(q.get(), 1);
  EXPECT_FALSE(q.join_for(0s));
  q.task_done();
  EXPECT_TRUE(q.join_for(0s));
}

TEST_P(queue_test, a_consumer_that_dies_takes_its_item_from_the_queue) {
  process_pool_executor pool(options(1));
  const queue<int> q(3);
  for (int i = 1; i <= 3; ++i) q.put(i);
  const auto die = [](const queue<int>& from) {
    from.get();
    raise(SIGKILL);
  };
  EXPECT_THROW(pool.submit(die, q).get(), worker_crashed);
  EXPECT_EQ(q.get(), 2);
  EXPECT_EQ(q.get(), 3);
  q.task_done();
  q.task_done();
  EXPECT_TRUE(q.join_for(20s));
}

TEST_P(queue_test, join_finds_the_dead_while_others_poll) {
  process_pool_executor pool(options(1));
  const queue<int> q(1);
  q.put(1);
  const auto die = [](const queue<int>& from) {
    from.get();
    raise(SIGKILL);
  };
  EXPECT_THROW(pool.submit(die, q).get(), worker_crashed);
  std::atomic<bool> over{false};
  std::thread polls([&] {
    while (!over) EXPECT_FALSE(q.try_get_for(1ms));
  });
  EXPECT_TRUE(q.join_for(20s));
  over = true;
  polls.join();
}

TEST_P(queue_test, a_queue_made_by_a_task) {
  process_pool_executor pool(options(1));
  const auto q = pool.submit([] {
                       queue<words> made(3);
                       made.put({"x", "y"});
                       return made;
                     })
                     .get();
  EXPECT_THAT(q.get(), ElementsAre("x", "y"));
}

}  // namespace
