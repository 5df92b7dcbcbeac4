// OpenMP: its loops, and its tasks, which have no futures.
#include <numeric>
#include <vector>

#include "pooled.hpp"
#ifdef _OPENMP
#include <omp.h>
#endif

namespace bench {

#ifdef _OPENMP
namespace {

class loop_contender final : public contender {
 public:
  explicit loop_contender(int workers) : workers_(workers) {}
  void warm_up() override { small_items(1000); }
  double small_items(int n) override {
    std::vector<int> in(static_cast<std::size_t>(n)), out(in.size());
    std::iota(in.begin(), in.end(), 0);
    const stopwatch all;
#pragma omp parallel for num_threads(workers_) schedule(static)
    for (int i = 0; i < n; ++i) {
      out[static_cast<std::size_t>(i)] = next_of(in[static_cast<std::size_t>(i)]);
    }
    const double took = all.seconds();
    expect(std::accumulate(out.begin(), out.end(), std::int64_t{0}) == sum_of_next(n));
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
    const double took = std::min(fixed, pieces.seconds());
    expect(std::ranges::count(out, compute(rounds)) == n);
    return took;
  }

 private:
  int workers_;
};

class task_contender final : public contender {
 public:
  explicit task_contender(int workers) : workers_(workers) {}
  void warm_up() override { in_flight(5000); }
  // Its own limit of tasks that wait is below 1,024 with few threads: past it the thread that makes
  // them runs them itself.
  double in_flight(int n) override {
    std::vector<int> out(window);
    std::int64_t sum = 0;
    const stopwatch all;
#pragma omp parallel num_threads(workers_)
#pragma omp single
    for (int begin = 0; begin < n; begin += window) {
      const int count = std::min(window, n - begin);
      for (int i = 0; i < count; ++i) {
#pragma omp task firstprivate(begin, i) shared(out)
        out[static_cast<std::size_t>(i)] = next_of(begin + i);
      }
#pragma omp taskwait
      for (int i = 0; i < count; ++i) sum += out[static_cast<std::size_t>(i)];
    }
    expect(sum == sum_of_next(n));
    return all.seconds();
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
    const double took = all.seconds();
    expect(std::ranges::count(out, compute(rounds)) == n);
    return took;
  }

 private:
  int workers_;
};

}  // namespace

std::vector<entry> openmp_contenders() {
  return {{.name = "OpenMP",
           .make = [](int workers) { return std::make_unique<loop_contender>(workers); }},
          {.name = "OpenMP tasks (no futures)",
           .make = [](int workers) { return std::make_unique<task_contender>(workers); }}};
}
#else
std::vector<entry> openmp_contenders() { return {}; }
#endif

}  // namespace bench
