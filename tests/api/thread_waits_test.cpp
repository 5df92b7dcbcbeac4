// Threads of a pool that wait for that pool: the thread that would be the last to sleep gets an
// error, however it waits, and no other thread does.
#include <future>
#include <latch>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "support/pool_test.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;

int one() { return 1; }
int same(int x) { return x; }

class thread_waits_test : public leak_free_test {
 protected:
  // What a task gets that waits in this way for a task of its own pool, which has one thread.
  template <class Wait>
  std::string alone(Wait wait_for) {
    thread_pool_executor pool(1);
    return pool
        .submit([&]() -> std::string {
          try {
            wait_for(pool);
            return "nothing";
          } catch (const nested_use_error&) {
            return "nested_use_error";
          }
        })
        .get();
  }
};

TEST_F(thread_waits_test, the_only_thread_waits) {
  EXPECT_EQ(alone([](auto& pool) { pool.submit(one).get(); }), "nested_use_error");
  EXPECT_EQ(alone([](auto& pool) { pool.submit(one).wait(); }), "nested_use_error");
  EXPECT_EQ(alone([](auto& pool) {
              std::vector<future<int>> all;
              for (int i = 0; i < 3; ++i) all.push_back(pool.submit(one));
              for (auto& f : as_completed(all)) f.get();
            }),
            "nested_use_error");
  EXPECT_EQ(alone([](auto& pool) {
              std::vector<future<int>> all;
              all.push_back(pool.submit(one));
              wait(all, {.until = return_when::first_completed});
            }),
            "nested_use_error");
  EXPECT_EQ(alone([](auto& pool) {
              completion_queue<int> queue;
              queue.add(pool.submit(one));
              queue.next();
            }),
            "nested_use_error");
  EXPECT_EQ(alone([](auto& pool) { pool.map(same, {1, 2}).to_vector(); }), "nested_use_error");
  EXPECT_EQ(alone([](auto& pool) { pool.map({.ordered = false}, same, {1, 2}).to_vector(); }),
            "nested_use_error");
}

TEST_F(thread_waits_test, waits_that_end_by_themselves) {
  EXPECT_EQ(alone([](auto& pool) {
              auto f = pool.submit(one);
              EXPECT_EQ(f.wait_for(10ms), std::future_status::timeout);
              std::vector<future<int>> all;
              all.push_back(std::move(f));
              EXPECT_TRUE(wait(all, {.timeout = 10ms}).done.empty());
              EXPECT_THROW(as_completed(all, 10ms).begin(), timeout_error);
              completion_queue<int> queue;
              queue.add(std::move(all[0]));
              EXPECT_FALSE(queue.next_for(10ms));
            }),
            "nothing");
}

// What comes from elsewhere may wake it.
TEST_F(thread_waits_test, waits_that_a_future_of_another_executor_ends) {
  thread_pool_executor pool(1), other(1);
  promise<int> own;
  std::latch waits(1);
  auto answer = pool.submit([&] {
    std::vector<future<int>> all;
    all.push_back(pool.submit(one));
    all.push_back(own.get_future());
    all.push_back(other.submit([&] {
      waits.wait();
      return 3;
    }));
    int sum = 0;
    try {
      for (auto& f : as_completed(all)) sum += f.get();
    } catch (const nested_use_error&) {
      sum += 100;
    }
    return sum;
  });
  EXPECT_EQ(answer.wait_for(20ms), std::future_status::timeout);
  own.set_value(20);
  EXPECT_EQ(answer.wait_for(20ms), std::future_status::timeout);
  waits.count_down();
  EXPECT_EQ(answer.get(), 123);
}

// Exactly the last thread gets the error, which lets the others continue.
TEST_F(thread_waits_test, all_threads_wait) {
  constexpr int threads = 4;
  thread_pool_executor pool(threads);
  for (int round = 0; round < 20; ++round) {
    std::latch together(threads);
    std::vector<future<int>> all;
    for (int i = 0; i < threads; ++i) {
      all.push_back(pool.submit([&, i] {
        together.arrive_and_wait();
        std::vector<future<int>> mine;
        mine.push_back(pool.submit(one));
        try {
          if (i % 2 == 0) return mine[0].get();
          for (auto& f : as_completed(mine)) return f.get();
        } catch (const nested_use_error&) {
        }
        return 100;
      }));
    }
    int sum = 0;
    for (auto& f : all) sum += f.get();
    EXPECT_TRUE(sum == threads || sum == threads - 1 + 100) << sum;
  }
}

TEST_F(thread_waits_test, a_task_reads_a_pipeline_of_its_pool) {
  const auto read = [](auto& pool) {
    const auto p = pipeline(stage(pool, same));
    p.run({1, 2}).to_vector();
  };
  EXPECT_EQ(alone(read), "nested_use_error");
  EXPECT_EQ(alone([](auto& pool) {
              // Items get stuck after the first stage, while the reader sleeps.
              process_pool_executor elsewhere(1);
              const auto p = pipeline(stage(elsewhere, same), stage(pool, same));
              p.run({.ordered = false}, {1, 2}).to_vector();
            }),
            "nested_use_error");
  thread_pool_executor pool(2);
  EXPECT_EQ(pool.submit([&] {
                  const auto p = pipeline(stage(pool, same), stage(pool, same));
                  return p.run({1, 2}).to_vector().size();
                })
                .get(),
            2U);
}

// An unwanted result ends in its task, and may do there what a task may.
TEST_F(thread_waits_test, the_end_of_an_unwanted_result) {
  struct waits_at_its_end {
    waits_at_its_end(thread_pool_executor& p, std::promise<int>& s) : pool(&p), seen(&s) {}
    waits_at_its_end(waits_at_its_end&& other) noexcept
        : pool(std::exchange(other.pool, nullptr)), seen(other.seen) {}
    ~waits_at_its_end() {
      if (pool != nullptr) seen->set_value(pool->submit(one).get());
    }
    thread_pool_executor* pool;
    std::promise<int>* seen;
  };
  thread_pool_executor pool(2);
  std::latch dropped(1);
  std::promise<int> seen;
  {
    auto f = pool.submit([&] {
      dropped.wait();
      return waits_at_its_end(pool, seen);
    });
  }
  dropped.count_down();
  EXPECT_EQ(seen.get_future().get(), 1);
  pool.shutdown();
}

// --- shutdown and destruction in a task ----------------------------------------------------------

TEST_F(thread_waits_test, several_tasks_shut_their_pool_down) {
  constexpr int threads = 3;
  thread_pool_executor pool(threads);
  std::latch together(threads);
  std::vector<future<void>> all;
  for (int i = 0; i < threads; ++i) {
    all.push_back(pool.submit([&] {
      together.arrive_and_wait();
      pool.shutdown();
    }));
  }
  pool.shutdown();
  for (auto& f : all) f.get();
}

TEST_F(thread_waits_test, a_shutdown_waits_for_a_task_that_waits) {
  thread_pool_executor pool(2);
  std::latch begun(1);
  future<int> late;
  auto waits = pool.submit([&] {
    begun.wait();
    try {
      return late.get();
    } catch (const nested_use_error&) {
      return 100;
    }
  });
  auto ends = pool.submit([&] {
    late = pool.submit(one);
    begun.count_down();
    try {
      pool.shutdown();
      return 1;
    } catch (const nested_use_error&) {
      return 100;
    }
  });
  const int sum = waits.get() + ends.get();
  EXPECT_EQ(sum, 101);
}

TEST_F(thread_waits_test, a_task_destroys_its_pool) {
  std::latch submitted(1);
  auto pool = std::make_unique<thread_pool_executor>(2);
  auto other = pool->submit([&] { submitted.wait(); });
  auto last = pool->submit([&] {
    submitted.wait();
    pool.reset();
    return 7;
  });
  submitted.count_down();
  other.get();
  EXPECT_EQ(last.get(), 7);
}

}  // namespace
