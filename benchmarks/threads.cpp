// Threads: pools of them behind a std::future, std::async, and OpenMP's loops.
#include <future>
#include <memory>
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
#include <tbb/parallel_reduce.h>
#include <tbb/task_arena.h>
#endif
#ifdef _OPENMP
#include <omp.h>
#endif

#include "pooled.hpp"

namespace bench {
namespace {

// f(args...) as work without arguments, and the future of its result. The task is on the heap, as
// in every pool that takes copyable functions.
template <class F, class... Args>
auto package(F f, Args... args) {
  using result = decltype(f(args...));
  auto task = std::make_shared<std::packaged_task<result()>>([f, args...] { return f(args...); });
  std::future<result> future = task->get_future();
  return std::pair([task] { (*task)(); }, std::move(future));
}

#ifdef BENCH_ASIO
struct asio_pool {
  explicit asio_pool(int workers) : pool(static_cast<std::size_t>(workers)) {}
  ~asio_pool() { pool.join(); }
  template <class F, class... Args>
  auto submit(F f, Args... args) {
    auto [task, future] = package(f, args...);
    boost::asio::post(pool, std::move(task));
    return std::move(future);
  }
  boost::asio::thread_pool pool;
};
struct asio_contender final : pooled_contender<asio_pool> {
  using pooled_contender::pooled_contender;
  std::string name() const override { return "Boost.Asio"; }
};
#endif

#ifdef BENCH_TBB
struct tbb_pool {
  explicit tbb_pool(int workers)
      : control(tbb::global_control::max_allowed_parallelism,
                static_cast<std::size_t>(workers) + 1),
        arena(workers + 1, 1) {}  // a place for the caller, who waits
  template <class F, class... Args>
  auto submit(F f, Args... args) {
    auto [task, future] = package(f, args...);
    arena.enqueue(std::move(task));
    return std::move(future);
  }
  tbb::global_control control;
  tbb::task_arena arena;
};
class tbb_contender final : public pooled_contender<tbb_pool> {
 public:
  explicit tbb_contender(int workers)
      : pooled_contender(workers), loops_(workers, 1) {}  // the caller works, too
  std::string name() const override { return "oneTBB"; }
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
    expect(out.back() == n);
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
    return all.seconds();
  }

 private:
  tbb::task_arena loops_;
};
#endif

struct async_threads {
  explicit async_threads(int) {}
  template <class F, class... Args>
  auto submit(F f, Args... args) {
    return std::async(std::launch::async, f, args...);
  }
};
struct async_contender final : contender {
  explicit async_contender(int) {}
  std::string name() const override { return "std::async"; }
  double round_trips(int n, std::vector<double>& each) override {
    async_threads pool(0);
    return measure_round_trips(pool, n, each);
  }
  double in_flight(int n) override {
    async_threads pool(0);
    return measure_in_flight(pool, n);
  }
};

#ifdef _OPENMP
class openmp_contender final : public contender {
 public:
  explicit openmp_contender(int workers) : workers_(workers) { small_items(1000); }
  std::string name() const override { return "OpenMP"; }
  double small_items(int n) override {
    std::vector<int> in(static_cast<std::size_t>(n)), out(in.size());
    std::iota(in.begin(), in.end(), 0);
    const stopwatch all;
#pragma omp parallel for num_threads(workers_) schedule(static)
    for (int i = 0; i < n; ++i) {
      out[static_cast<std::size_t>(i)] = next_of(in[static_cast<std::size_t>(i)]);
    }
    const double took = all.seconds();
    expect(out.back() == n);
    return took;
  }
  // The better of two schedules.
  double busy_items(double seconds, int n) override {
    const std::uint64_t rounds = rounds_for(seconds);
    std::vector<std::uint64_t> out(static_cast<std::size_t>(n));
    const stopwatch whole;
#pragma omp parallel for num_threads(workers_) schedule(static)
    for (int i = 0; i < n; ++i) out[static_cast<std::size_t>(i)] = compute(rounds);
    const double fixed = whole.seconds();
    const stopwatch pieces;
#pragma omp parallel for num_threads(workers_) schedule(dynamic, 64)
    for (int i = 0; i < n; ++i) out[static_cast<std::size_t>(i)] = compute(rounds);
    return std::min(fixed, pieces.seconds());
  }
  double tasks_of(double seconds, int n) override {
    const std::uint64_t rounds = rounds_for(seconds);
    std::vector<std::uint64_t> out(static_cast<std::size_t>(n));
    const stopwatch all;
#pragma omp parallel num_threads(workers_)
#pragma omp single
    for (int i = 0; i < n; ++i) {
#pragma omp task firstprivate(i) shared(out)
      out[static_cast<std::size_t>(i)] = compute(rounds);
    }
    return all.seconds();
  }

 private:
  int workers_;
};
#endif

template <class C>
entry make_entry(const char* name) {
  return {name, [](int workers) { return std::make_unique<C>(workers); }};
}

}  // namespace

std::vector<entry> thread_contenders() {
  std::vector<entry> all;
#ifdef BENCH_TBB
  all.push_back(make_entry<tbb_contender>("oneTBB"));
#endif
#ifdef BENCH_ASIO
  all.push_back(make_entry<asio_contender>("Boost.Asio"));
#endif
#ifdef _OPENMP
  all.push_back(make_entry<openmp_contender>("OpenMP"));
#endif
  all.push_back(make_entry<async_contender>("std::async"));
  return all;
}

}  // namespace bench
