// The works for anything with submit(f, args...) that returns something with get(): a pool of ours,
// and the thread pools behind a std::future.
#pragma once

#include <cstdlib>
#include <thread>
#include <utility>
#include <vector>

#include "contender.hpp"
#include "work.hpp"

namespace bench {

inline constexpr int window = 1024;

// A result that is not what the task must have returned is no measurement.
inline void expect(bool right) {
  if (!right) std::abort();
}

template <class Pool>
double measure_round_trips(Pool& pool, int n, std::vector<double>& each) {
  const stopwatch all;
  for (int i = 0; i < n; ++i) {
    const stopwatch one;
    expect(pool.submit(next_of, i).get() == i + 1);
    each.push_back(one.seconds());
  }
  return all.seconds();
}

template <class Pool>
void keep_in_flight(Pool& pool, int n, int width) {
  using future = decltype(pool.submit(next_of, 0));
  std::vector<future> open(static_cast<std::size_t>(width));
  for (int i = 0; i < n; ++i) {
    future& f = open[static_cast<std::size_t>(i % width)];
    if (f.valid()) expect(f.get() == i - width + 1);
    f = pool.submit(next_of, i);
  }
  for (future& f : open) {
    if (f.valid()) f.get();
  }
}

template <class Pool>
double measure_in_flight(Pool& pool, int n) {
  const stopwatch all;
  keep_in_flight(pool, n, window);
  return all.seconds();
}

template <class Pool>
double measure_submit_from(Pool& pool, int threads, int n) {
  const stopwatch all;
  std::vector<std::thread> submitters;
  for (int t = 0; t < threads; ++t) {
    submitters.emplace_back([&] { keep_in_flight(pool, n / threads, window / threads); });
  }
  for (std::thread& t : submitters) t.join();
  return all.seconds();
}

template <class Pool>
double measure_tasks(Pool& pool, double seconds, int n) {
  const std::uint64_t rounds = rounds_for(seconds);
  const stopwatch all;
  std::vector<decltype(pool.submit(compute, rounds))> open;
  open.reserve(static_cast<std::size_t>(n));
  for (int i = 0; i < n; ++i) open.push_back(pool.submit(compute, rounds));
  for (auto& f : open) expect(f.get() != 0);
  return all.seconds();
}

template <class Pool>
double measure_submit_only(Pool& pool, int n) {
  std::vector<decltype(pool.submit(next_of, 0))> open;
  open.reserve(static_cast<std::size_t>(n));
  const stopwatch all;
  for (int i = 0; i < n; ++i) open.push_back(pool.submit(next_of, i));
  const double took = all.seconds();
  for (auto& f : open) f.get();
  return took;
}

// The contender that such a pool makes: what all of them do in the same way.
template <class Pool>
class pooled_contender : public contender {
 public:
  explicit pooled_contender(int workers) : pool_(workers) { measure_in_flight(pool_, 5000); }
  double round_trips(int n, std::vector<double>& each) override {
    return measure_round_trips(pool_, n, each);
  }
  double in_flight(int n) override { return measure_in_flight(pool_, n); }
  double submit_from(int threads, int n) override { return measure_submit_from(pool_, threads, n); }
  double tasks_of(double seconds, int n) override { return measure_tasks(pool_, seconds, n); }
  double submit_only(int n) override { return measure_submit_only(pool_, n); }

 protected:
  Pool pool_;
};

}  // namespace bench
