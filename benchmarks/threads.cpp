// Pools of threads with a std::future, and std::async.
#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <numeric>
#include <thread>
#include <vector>

#ifdef BENCH_ASIO
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#endif
#ifdef BENCH_TBB
#include <tbb/blocked_range.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>
#endif

#include "pooled.hpp"

namespace bench {
namespace {

// submit() for a pool that has post(): a packaged task on the heap, as in every pool that takes
// copyable functions.
template <class Pool>
struct with_futures {
  template <class F, class... Args>
  auto submit(F f, Args... args) {
    using result = decltype(f(args...));
    auto task = std::make_shared<std::packaged_task<result()>>([f, args...] { return f(args...); });
    std::future<result> future = task->get_future();
    static_cast<Pool&>(*this).post([task] { (*task)(); });
    return future;
  }
};

// What small thread pools are, the well-known BS::thread_pool among them.
class pool_by_hand : public with_futures<pool_by_hand> {
 public:
  explicit pool_by_hand(int workers) {
    for (int i = 0; i < workers; ++i) {
      threads_.emplace_back([this] { serve(); });
    }
  }
  ~pool_by_hand() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    for (std::thread& t : threads_) t.join();
  }
  void post(std::function<void()> task) {
    {
      const std::lock_guard lock(mutex_);
      tasks_.push_back(std::move(task));
    }
    wake_.notify_one();
  }

 private:
  void serve() {
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [this] { return stop_ || !tasks_.empty(); });
      if (tasks_.empty()) return;
      std::function<void()> task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
      task = nullptr;
      lock.lock();
    }
  }
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> tasks_;
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

#ifdef BENCH_ASIO
struct asio_pool : with_futures<asio_pool> {
  explicit asio_pool(int workers) : pool(static_cast<std::size_t>(workers)) {}
  ~asio_pool() { pool.join(); }
  template <class F>
  void post(F f) {
    boost::asio::post(pool, std::move(f));
  }
  boost::asio::thread_pool pool;
};
#endif

#ifdef BENCH_TBB
struct tbb_pool : with_futures<tbb_pool> {
  explicit tbb_pool(int workers)
      : control(tbb::global_control::max_allowed_parallelism,
                static_cast<std::size_t>(workers) + 1),
        arena(workers + 1, 1) {}  // a place for the caller, which waits
  template <class F>
  void post(F f) {
    arena.enqueue(std::move(f));
  }
  tbb::global_control control;
  tbb::task_arena arena;
};
#endif

template <class Pool>
class thread_contender : public pooled_contender<Pool> {
 public:
  using pooled_contender<Pool>::pooled_contender;

  // A std::future does not say when it is done, so callers that want to know put results into a
  // queue.
  double as_completed(int n) override {
    struct {
      std::mutex mutex;
      std::condition_variable wake;
      std::vector<int> done;
    } queue;
    const stopwatch all;
    for (int i = 0; i < n; ++i) {
      this->pool_.post([&queue, i] {
        const std::lock_guard lock(queue.mutex);
        queue.done.push_back(next_of(i));
        queue.wake.notify_one();
      });
    }
    std::int64_t sum = 0;
    std::vector<int> taken;
    for (int left = n; left > 0; left -= static_cast<int>(taken.size())) {
      taken.clear();
      std::unique_lock lock(queue.mutex);
      queue.wake.wait(lock, [&] { return !queue.done.empty(); });
      taken.swap(queue.done);
      lock.unlock();
      for (const int x : taken) sum += x;
    }
    expect(sum == sum_of_next(n));
    return all.seconds();
  }
  double memory_of_each(kept what, int n) override {
    std::promise<void> never;
    return measure_memory(this->pool_, what, n, [&] {
      std::promise<void> begun;
      this->pool_.post([&begun, until = never.get_future().share()] {
        begun.set_value();
        until.wait();
      });
      begun.get_future().wait();
    });
  }
};

#ifdef BENCH_TBB
class tbb_contender final : public thread_contender<tbb_pool> {
 public:
  explicit tbb_contender(int workers)
      : thread_contender(workers), loops_(workers, 1) {}  // the caller works, too
  double small_items(int n) override {
    std::vector<int> in(static_cast<std::size_t>(n)), out(in.size());
    std::iota(in.begin(), in.end(), 0);
    const stopwatch all;
    loops_.execute([&] {
      tbb::parallel_for(tbb::blocked_range<std::size_t>(0, in.size()), [&](const auto& r) {
        for (std::size_t i = r.begin(); i < r.end(); ++i) out[i] = next_of(in[i]);
      });
    });
    const double took = all.seconds();
    expect(std::accumulate(out.begin(), out.end(), std::int64_t{0}) == sum_of_next(n));
    return took;
  }
  double busy_items(double seconds, int n) override {
    const std::uint64_t rounds = rounds_for(seconds);
    std::vector<std::uint64_t> out(static_cast<std::size_t>(n));
    const stopwatch all;
    loops_.execute([&] {
      tbb::parallel_for(std::size_t{0}, out.size(),
                        [&](std::size_t i) { out[i] = compute(rounds); });
    });
    const double took = all.seconds();
    expect(std::ranges::count(out, compute(rounds)) == n);
    return took;
  }

 private:
  tbb::task_arena loops_;
};

// Its own best way where results may lie in an array: no thread waits for a single task.
class tbb_group_contender final : public contender {
 public:
  explicit tbb_group_contender(int workers)
      : control_(tbb::global_control::max_allowed_parallelism,
                 static_cast<std::size_t>(workers) + 1),  // as above: the least of all counts
        arena_(workers, 1) {}
  void warm_up() override { in_flight(5000); }
  double in_flight(int n) override {
    std::vector<int> out(window);
    std::int64_t sum = 0;
    const stopwatch all;
    arena_.execute([&] {
      tbb::task_group group;
      for (int begin = 0; begin < n; begin += window) {
        const int count = std::min(window, n - begin);
        for (int i = 0; i < count; ++i) {
          group.run([&out, begin, i] { out[static_cast<std::size_t>(i)] = next_of(begin + i); });
        }
        group.wait();
        for (int i = 0; i < count; ++i) sum += out[static_cast<std::size_t>(i)];
      }
    });
    expect(sum == sum_of_next(n));
    return all.seconds();
  }
  double tasks_of(double seconds, int n) override {
    const std::uint64_t rounds = rounds_for(seconds);
    std::vector<std::uint64_t> out(static_cast<std::size_t>(n));
    const stopwatch all;
    arena_.execute([&] {
      tbb::task_group group;
      for (std::uint64_t& result : out) {
        group.run([&result, rounds] { result = compute(rounds); });
      }
      group.wait();
    });
    const double took = all.seconds();
    expect(std::ranges::count(out, compute(rounds)) == n);
    return took;
  }

 private:
  tbb::global_control control_;
  tbb::task_arena arena_;
};
#endif

struct async_threads {
  template <class F, class... Args>
  auto submit(F f, Args... args) {
    return std::async(std::launch::async, f, args...);
  }
};
class async_contender final : public contender {
 public:
  explicit async_contender(int) {}
  double round_trips(int n, std::vector<double>& each) override {
    return measure_round_trips(threads_, n, each);
  }
  double in_flight(int n) override { return measure_in_flight(threads_, n); }
  double as_completed(int /*n*/) override { return not_done; }  // a thread each, 100,000 at once

 private:
  async_threads threads_;
};

template <class Pool>
lifetime one_life() {
  lifetime life;
  const stopwatch all;
  auto pool = std::make_unique<Pool>(2);
  expect(pool->submit(next_of, 1).get() == 2);
  life.start = all.seconds();
  const stopwatch end;
  pool.reset();
  life.stop = end.seconds();
  return life;
}

template <class C>
entry make_entry(const char* name) {
  return {.name = name, .make = [](int workers) { return std::make_unique<C>(workers); }};
}
template <class C, class Pool>
entry make_pool_entry(const char* name) {
  entry made = make_entry<C>(name);
  made.live = [](const std::string& method) {
    if (method != "fork") return lifetime();
    // In a process of its own each: where threads stay, no contender could fork any more.
    lifetime life;
    life.start = in_a_child([] { return one_life<Pool>().start; });
    life.stop = in_a_child([] { return one_life<Pool>().stop; });
    return life;
  };
  return made;
}

}  // namespace

std::vector<entry> thread_contenders() {
  std::vector<entry> all;
#ifdef BENCH_TBB
  all.push_back(make_pool_entry<tbb_contender, tbb_pool>("oneTBB"));
  all.push_back(make_entry<tbb_group_contender>("oneTBB task_group (no futures)"));
#endif
#ifdef BENCH_ASIO
  all.push_back(make_pool_entry<thread_contender<asio_pool>, asio_pool>("Boost.Asio"));
#endif
  all.push_back(
      make_pool_entry<thread_contender<pool_by_hand>, pool_by_hand>("thread pool by hand"));
  all.push_back(make_entry<async_contender>("std::async"));
  return all;
}

}  // namespace bench
