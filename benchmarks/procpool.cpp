// procpool, as its users write it.
#include <chrono>
#include <csignal>
#include <numeric>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "pooled.hpp"
#include "procpool/procpool.hpp"

namespace bench {
namespace {

namespace pp = procpool;

std::vector<char> give_back(std::vector<char> v) { return v; }

int sleep_until_killed() {
  for (;;) ::pause();
}

pp::future<int> occupy(pp::process_pool_executor& pool) {
  pp::future<int> endless = pool.submit(sleep_until_killed);
  while (!endless.running()) std::this_thread::yield();
  return endless;
}

class procpool_contender final : public pooled_contender<pp::process_pool_executor> {
 public:
  using pooled_contender::pooled_contender;

  double small_items(int n) override {
    if (items_.size() != static_cast<std::size_t>(n)) {
      items_.resize(static_cast<std::size_t>(n));
      std::iota(items_.begin(), items_.end(), 0);
    }
    const stopwatch all;
    std::int64_t sum = 0;
    for (const int x : pool_.map(next_of, items_)) sum += x;
    expect(sum == sum_of_next(n));
    return all.seconds();
  }
  double busy_items(double seconds, int n) override {
    const std::uint64_t right = compute(rounds_for(seconds));
    const std::vector<std::uint64_t> rounds(static_cast<std::size_t>(n), rounds_for(seconds));
    const stopwatch all;
    int count = 0;
    for (const std::uint64_t x : pool_.map(compute, rounds)) count += x == right ? 1 : 0;
    expect(count == n);
    return all.seconds();
  }
  double payloads(payload_way way, std::size_t bytes, int n, std::vector<double>& each) override {
    const std::vector<char> value(bytes, 'x');
    const std::string_view view(value.data(), bytes);
    const std::uint64_t sum = sum_of(view);
    if (checked_bytes_ != bytes) {  // the whole of it, once: else it would be in the CPU time
      expect(pool_.submit(give_back, value).get() == value);
      expect(pool_.submit(value_of, bytes).get() == value);
      checked_bytes_ = bytes;
    }
    const stopwatch all;
    for (int i = 0; i < n; ++i) {
      const stopwatch one;
      switch (way) {
        case payload_way::there_and_back:
          expect(pool_.submit(give_back, value).get().size() == bytes);
          break;
        case payload_way::argument:
          expect(pool_.submit(sum_of, view).get() == sum);
          break;
        case payload_way::result:
          expect(pool_.submit(value_of, bytes).get().size() == bytes);
          break;
      }
      each.push_back(one.seconds());
    }
    return all.seconds();
  }
  double as_completed(int n) override {
    std::vector<pp::future<int>> open;
    open.reserve(static_cast<std::size_t>(n));
    const stopwatch all;
    for (int i = 0; i < n; ++i) open.push_back(pool_.submit(next_of, i));
    std::int64_t sum = 0;
    for (pp::future<int>& f : pp::as_completed(open)) sum += f.get();
    expect(sum == sum_of_next(n));
    return all.seconds();
  }
  double by_handle(std::size_t bytes, int n, std::vector<double>& each) override {
    if (array_.size() != bytes) {
      array_ = pp::shared_array<char>(bytes);
      array_[0] = 1;
      array_[bytes - 1] = 2;
    }
    const auto ends = [](std::span<const char> all) { return all.front() + all.back(); };
    const stopwatch all;
    for (int i = 0; i < n; ++i) {
      const stopwatch one;
      expect(pool_.submit(ends, array_).get() == 3);
      each.push_back(one.seconds());
    }
    return all.seconds();
  }
  double memory_of_each(kept what, int n) override {
    return measure_memory(pool_, what, n, [this] { occupied_ = occupy(pool_); });
  }

 private:
  std::vector<int> items_;
  pp::shared_array<char> array_;
  std::size_t checked_bytes_ = 0;
  pp::future<int> occupied_;
};

pp::start_method method_of(const std::string& name) {
  if (name == "fork") return pp::start_method::fork;
  return name == "spawn" ? pp::start_method::spawn : pp::start_method::forkserver;
}

lifetime one_life(const std::string& method) {
  lifetime life;
  const stopwatch all;
  auto pool = std::make_unique<pp::process_pool_executor>(
      pp::pool_options{.max_workers = 2, .start = method_of(method)});
  expect(pool->submit(next_of, 1).get() == 2);
  life.start = all.seconds();
  const stopwatch end;
  pool.reset();
  life.stop = end.seconds();
  return life;
}

// The next task waits already, as it would: no process has to notice the crash first.
double one_recovery(pp::process_pool_executor& pool) {
  const pp::future<int> endless = occupy(pool);
  pp::future<int> next = pool.submit(next_of, 1);
  const stopwatch all;
  expect(::kill(pool.stats().workers.at(0).pid, SIGKILL) == 0);
  expect(next.get() == 2);
  return all.seconds();
}

}  // namespace

std::vector<entry> procpool_contenders() {
  // One pool for all samples of a method: each of its workers has been a spare one.
  const auto recover = [pool = std::shared_ptr<pp::process_pool_executor>(),
                        of = std::string()](const std::string& method) mutable {
    if (pool == nullptr || of != method) {
      pool = std::make_shared<pp::process_pool_executor>(
          pp::pool_options{.max_workers = 1, .start = method_of(method)});
      of = method;
      expect(pool->submit(next_of, 1).get() == 2);
      std::this_thread::sleep_for(std::chrono::seconds(1));  // its spare worker is there
    }
    return one_recovery(*pool);
  };
  return {{.name = "procpool",
           .make = [](int workers) { return std::make_unique<procpool_contender>(workers); },
           .live = one_life,
           .recover = recover}};
}

}  // namespace bench
