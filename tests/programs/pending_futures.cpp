// For tests/api/cost_test.cpp: argv[1] futures are waited for under callgrind, which counts between
// start() and stop(). Some of them become done one after the other while all the rest are pending,
// so whatever looks at each of the rest for each completion shows. Cancelling makes them done in
// this thread: nothing depends on how fast a worker is.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>
#include <vector>

#include "procpool/procpool.hpp"

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_START_INSTRUMENTATION
#define CALLGRIND_STOP_INSTRUMENTATION
#define CALLGRIND_ZERO_STATS
#define CALLGRIND_DUMP_STATS_AT(text)
#endif

namespace {

using procpool::future;
using futures = std::vector<future<int>>;

constexpr std::size_t completions = 1'000;

int sleep_until_killed() {
  for (;;) sleep(1);
}

void start() {
  CALLGRIND_START_INSTRUMENTATION;
  CALLGRIND_ZERO_STATS;
}

// What was counted since start() stands for so many futures.
void stop(const char* what, std::size_t n) {
  const std::string text = std::string(what) + " " + std::to_string(n);
  CALLGRIND_DUMP_STATS_AT(text.c_str());
  CALLGRIND_STOP_INSTRUMENTATION;
}

std::size_t read_as_completed(futures& fs) {
  auto range = procpool::as_completed(fs);
  std::size_t read = 0;
  start();
  fs[0].cancel();
  for (future<int>& f : range) {
    read += f.cancelled() ? 1 : 0;
    if (read == completions) break;
    fs[read].cancel();
  }
  stop("as_completed", read);
  return read;
}

std::size_t read_completion_queue(futures& fs) {
  procpool::completion_queue<int> q;
  // The queue owns its futures; these are for cancelling.
  std::vector<procpool::detail::task_state*> states;
  for (const future<int>& f : fs) states.push_back(f.native_state());
  for (future<int>& f : fs) q.add(std::move(f));
  std::size_t read = 0;
  start();
  states[0]->cancel(false);
  while (const std::optional<future<int>> f = q.next()) {
    read += f->cancelled() ? 1 : 0;
    if (read != 0) states[read - 1] = nullptr;
    if (read == completions) break;
    states[read]->cancel(false);
  }
  stop("completion_queue", read);
  for (procpool::detail::task_state* s : states) {
    if (s != nullptr) s->cancel(false);
  }
  return read;
}

// A wait names all at once: some of the pending ones when its time is over, and when they are done.
std::size_t read_wait(futures& fs) {
  const auto some = std::span(fs).first(std::min<std::size_t>(fs.size(), 20'000));
  start();
  const auto pending = procpool::wait(some, {.timeout = procpool::duration::zero()});
  stop("wait, pending", some.size());
  for (future<int>& f : some) f.cancel();
  start();
  const auto all = procpool::wait(some);
  stop("wait, done", some.size());
  const bool right = pending.not_done.size() == some.size() && all.done.size() == some.size();
  return right ? completions : 0;
}

}  // namespace

int main(int, char** argv) {
  const auto n = static_cast<std::size_t>(std::atoi(argv[1]));
  procpool::process_pool_executor pool(1);
  const future<int> occupied = pool.submit(sleep_until_killed);
  while (!occupied.running()) usleep(1000);
  bool ok = true;
  for (const auto read : {&read_as_completed, &read_completion_queue, &read_wait}) {
    futures fs;
    for (std::size_t i = 0; i < n; ++i) fs.push_back(pool.submit([](int x) { return x; }, 1));
    const std::size_t got = (*read)(fs);
    for (future<int>& f : fs) {
      if (f.valid()) f.cancel();
    }
    if (got != completions) {
      std::fprintf(stderr, "%zu of %zu futures\n", got, completions);
      ok = false;
    }
  }
  pool.kill_workers();
  return ok ? 0 : 1;
}
