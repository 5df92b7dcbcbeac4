// For tools/bench_instructions.py, which runs it under callgrind: what a task costs the parent and
// the worker, in instructions. Counts do not depend on how busy the machine is.
//
// A worker is kept in a task until everything is submitted, then runs all tasks in a row, and is
// done with them before the parent reads a result: no process ever waits while it is counted.
#include <fcntl.h>
#include <unistd.h>
#include <valgrind/callgrind.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "procpool/procpool.hpp"

namespace {

namespace pp = procpool;

constexpr int tasks = 10'000;
constexpr int chunk = 1'000;
constexpr int items = 100 * chunk;

void expect(bool right) {
  if (!right) std::abort();
}

int next_of(int x) { return x + 1; }

void start() {
  CALLGRIND_START_INSTRUMENTATION;
  CALLGRIND_ZERO_STATS;
}

// What was counted since start() stands for so many of it.
void stop(const std::string& what, int n) {
  const std::string text = what + " " + std::to_string(n);
  CALLGRIND_DUMP_STATS_AT(text.c_str());
  CALLGRIND_STOP_INSTRUMENTATION;
}

// A pipe that both sides know by its descriptors: the worker is forked from this process.
class signal_pipe {
 public:
  signal_pipe() { expect(::pipe(ends_.data()) == 0); }
  void give() const { expect(::write(ends_[1], "x", 1) == 1); }
  void wait_for() const {
    char byte = 0;
    expect(::read(ends_[0], &byte, 1) == 1);
  }

 private:
  std::array<int, 2> ends_{};
};

// Made before the pool.
const signal_pipe& all_submitted() {
  static const signal_pipe one;
  return one;
}
const signal_pipe& all_done() {
  static const signal_pipe one;
  return one;
}

// In the worker, in front of what is counted, and after it.
int begin_counting() {
  all_submitted().wait_for();
  start();
  return 0;
}
int end_counting(const std::string& what, int n) {
  stop(what, n);
  all_done().give();
  return 0;
}

void count_tasks(pp::process_pool_executor& pool) {
  std::vector<pp::future<int>> open;
  open.reserve(tasks);
  auto begin = pool.submit(begin_counting);
  start();
  for (int i = 0; i < tasks; ++i) open.push_back(pool.submit(next_of, i));
  stop("submit", tasks);
  auto end = pool.submit(end_counting, "claim, run and publish", tasks);
  all_submitted().give();
  all_done().wait_for();
  begin.get();
  end.get();
  start();
  long long sum = 0;
  for (pp::future<int>& f : open) sum += f.get();
  stop("get", tasks);
  expect(sum == static_cast<long long>(tasks) * (tasks + 1) / 2);
}

// All of the input is submitted at the call, in chunks of a size that depends on nothing measured.
void count_items(pp::process_pool_executor& pool) {
  std::vector<int> in;
  for (int i = 0; i < items; ++i) in.push_back(i);
  auto begin = pool.submit(begin_counting);
  start();
  auto results = pool.map({.chunksize = chunk, .buffersize = items}, next_of, in);
  stop("map, an item submitted", items);
  auto end = pool.submit(end_counting, "map, an item run", items);
  all_submitted().give();
  all_done().wait_for();
  begin.get();
  end.get();
  start();
  long long sum = 0;
  for (const int x : results) sum += x;
  stop("map, an item read", items);
  expect(sum == static_cast<long long>(items) * (items + 1) / 2);
}

}  // namespace

int main() {
  all_submitted();
  all_done();
  pp::process_pool_executor pool({.max_workers = 1, .start = pp::start_method::fork});
  // Memory that is used for the first time costs more, and only then.
  for (int i = 0; i < 2; ++i) {
    std::vector<pp::future<int>> open;
    for (int k = 0; k < tasks; ++k) open.push_back(pool.submit(next_of, k));
    for (pp::future<int>& f : open) f.wait();
  }
  count_tasks(pool);
  count_items(pool);
}
