// The works for anything with submit(f, args...) that returns something with get(): a pool of ours,
// and the thread pools with a std::future.
#pragma once

#include <malloc.h>

#include <algorithm>
#include <thread>
#include <utility>
#include <vector>

#include "contender.hpp"
#include "meter.hpp"
#include "work.hpp"

namespace bench {

inline constexpr int window = 1024;

template <class Pool>
double measure_round_trips(Pool& pool, int n, std::vector<double>& each) {
  each.reserve(each.size() + static_cast<std::size_t>(n));
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
  std::int64_t sum = 0;
  for (int i = 0; i < n; ++i) {
    future& f = open[static_cast<std::size_t>(i % width)];
    if (f.valid()) sum += f.get();
    f = pool.submit(next_of, i);
  }
  for (future& f : open) {
    if (f.valid()) sum += f.get();
  }
  expect(sum == sum_of_next(n));
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
  const std::uint64_t right = compute(rounds);
  const stopwatch all;
  std::vector<decltype(pool.submit(compute, rounds))> open;
  open.reserve(static_cast<std::size_t>(n));
  for (int i = 0; i < n; ++i) open.push_back(pool.submit(compute, rounds));
  for (auto& f : open) expect(f.get() == right);
  return all.seconds();
}

template <class Pool>
double measure_submit_only(Pool& pool, int n) {
  std::vector<decltype(pool.submit(next_of, 0))> open;
  open.reserve(static_cast<std::size_t>(n));
  const stopwatch all;
  for (int i = 0; i < n; ++i) open.push_back(pool.submit(next_of, i));
  const double took = all.seconds();
  std::int64_t sum = 0;
  for (auto& f : open) sum += f.get();
  expect(sum == sum_of_next(n));
  return took;
}

// Of each of n tasks that `block`, a task without end, keeps from beginning, or of each future of a
// finished one. In a process that ends afterwards.
template <class Pool, class Block>
double measure_memory(Pool& pool, kept what, int n, Block block) {
  std::vector<decltype(pool.submit(next_of, 0))> open;
  open.reserve(static_cast<std::size_t>(n));
  std::fill_n(reinterpret_cast<char*>(open.data()), sizeof(open[0]) * open.capacity(), 0);
  expect(pool.submit(next_of, 1).get() == 2);
  if (what == kept::pending) block();
  ::malloc_trim(0);  // what was freed before is not at hand
  const double before = session_memory();
  for (int i = 0; i < n; ++i) open.push_back(pool.submit(next_of, i));
  if (what == kept::unread) {
    for (auto& f : open) f.wait();
  }
  const double vector = static_cast<double>(sizeof(open[0])) * n;  // it was there before
  return std::max(0.0, (session_memory() - before + vector) / n);
}

// The contender that such a pool makes: what all of them do in the same way.
template <class Pool>
class pooled_contender : public contender {
 public:
  explicit pooled_contender(int workers) : pool_(workers) {}
  void warm_up() override { measure_in_flight(pool_, 5000); }
  std::vector<ran> who_runs(int n) override {
    std::vector<decltype(pool_.submit(tell_who))> open;
    std::vector<ran> all;
    for (int i = 0; i < n; ++i) open.push_back(pool_.submit(tell_who));
    for (auto& f : open) all.push_back(f.get());
    return all;
  }
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
