// For tests/api/cost_test.cpp: argv[1] futures are waited for under callgrind, which counts between
// start() and stop(), from before anything is told of the futures. They become done one after the
// other while all the rest are pending, so whatever looks at each of the rest for each completion
// shows. Most parts cancel them, in this thread: nothing depends on how fast a worker is, and all
// of them can be read. In one part a worker finishes them, as it is let; neither what it does nor
// what this process does while it waits for it is counted.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "procpool/procpool.hpp"

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_START_INSTRUMENTATION
#define CALLGRIND_STOP_INSTRUMENTATION
#define CALLGRIND_ZERO_STATS
#define CALLGRIND_TOGGLE_COLLECT
#define CALLGRIND_DUMP_STATS_AT(text)
#endif

namespace {

using procpool::future;
using futures = std::vector<future<int>>;

constexpr std::size_t finished_ones = 500;

std::vector<char> large_block;

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

// The futures that were read in the right state.
std::size_t read_as_completed(futures& fs) {
  std::size_t read = 0;
  start();
  auto range = procpool::as_completed(fs);
  fs[0].cancel();
  for (future<int>& f : range) {
    read += f.cancelled() ? 1 : 0;
    if (read < fs.size()) fs[read].cancel();
  }
  stop("as_completed", fs.size());
  return read;
}

std::size_t read_completion_queue(futures& fs) {
  procpool::completion_queue<int> q;
  // The queue owns its futures; these are for cancelling.
  std::vector<procpool::detail::task_state*> states;
  for (const future<int>& f : fs) states.push_back(f.native_state());
  std::size_t read = 0;
  start();
  for (future<int>& f : fs) q.add(std::move(f));
  states[0]->cancel(false);
  while (const std::optional<future<int>> f = q.next()) {
    read += f->cancelled() ? 1 : 0;
    if (read < states.size()) states[read]->cancel(false);
  }
  stop("completion_queue", states.size());
  return read;
}

// A wait names all at once: the pending ones when its time is over, and the done ones.
std::size_t read_wait(futures& fs) {
  start();
  const auto pending = procpool::wait(fs, {.timeout = procpool::duration::zero()});
  stop("wait, pending", fs.size());
  for (future<int>& f : fs) f.cancel();
  start();
  const auto all = procpool::wait(fs);
  stop("wait, done", fs.size());
  return pending.not_done.size() == fs.size() ? all.done.size() : 0;
}

// --- finished by a worker ------------------------------------------------------------------------

// How many tasks the worker may finish: in a file that both map, or a task could not be held back
// without a system call of this process for each.
class allowance {
 public:
  explicit allowance(const char* path) {
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, sizeof(std::atomic<int>)) != 0) std::abort();
    void* const page =
        mmap(nullptr, sizeof(std::atomic<int>), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED) std::abort();
    close(fd);
    tasks_ = static_cast<std::atomic<int>*>(page);
  }
  std::atomic<int>& tasks() const { return *tasks_; }

 private:
  std::atomic<int>* tasks_;
};

int finish_when_allowed(const std::string& path, int i) {
  static const allowance allowed(path.c_str());
  while (allowed.tasks() <= i) usleep(50);
  return i;
}

// Only some of the futures: each costs the time of a worker. What as_completed does first, for all,
// is a part of its own.
std::size_t read_finished(procpool::process_pool_executor& pool, std::size_t n,
                          const std::string& path) {
  const allowance allowed(path.c_str());
  futures fs;
  for (std::size_t i = 0; i < n; ++i) {
    fs.push_back(pool.submit(finish_when_allowed, path, static_cast<int>(i)));
  }
  std::size_t read = 0;
  start();
  auto range = procpool::as_completed(fs);
  // The allocator puts off some of the work of freeing until a large block is wanted. It has
  // been freed here, all at once, and so it belongs to this part.
  large_block.assign(100'000, 'x');
  stop("finished, begin", n);
  // How often it looks, or whether it sleeps, is a matter of luck: so that is done before.
  const auto let_next_finish = [&] {
    CALLGRIND_TOGGLE_COLLECT;
    allowed.tasks() = static_cast<int>(read) + 1;
    while (!fs[read].done()) usleep(100);
    CALLGRIND_TOGGLE_COLLECT;
  };
  start();
  let_next_finish();
  for (future<int>& f : range) {
    if (&f != &fs[read] || f.cancelled()) break;
    if (++read == finished_ones) break;
    let_next_finish();
  }
  stop("finished, read", finished_ones);
  for (future<int>& f : fs) f.cancel();
  allowed.tasks() = static_cast<int>(n);
  unlink(path.c_str());
  return read;
}

}  // namespace

int main(int, char** argv) {
  const auto n = static_cast<std::size_t>(std::atoi(argv[1]));
  procpool::process_pool_executor pool(1);
  bool ok = true;
  const auto expect = [&](std::size_t got, std::size_t wanted) {
    if (got == wanted) return;
    std::fprintf(stderr, "%zu of %zu futures\n", got, wanted);
    ok = false;
  };
  expect(read_finished(pool, n, argv[2]), finished_ones);

  const future<int> occupied = pool.submit(sleep_until_killed);
  while (!occupied.running()) usleep(1000);
  for (const auto read : {&read_as_completed, &read_completion_queue, &read_wait}) {
    futures fs;
    for (std::size_t i = 0; i < n; ++i) fs.push_back(pool.submit([](int x) { return x; }, 1));
    expect((*read)(fs), n);
  }
  pool.kill_workers();
  return ok ? 0 : 1;
}
