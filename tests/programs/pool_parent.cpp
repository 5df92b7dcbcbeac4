// A program with a pool, whose end or whose place in the system is what a test is about:
// pool_parent <start method> <scene>.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "support/pool_test.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;

void leave_a_process_and_sleep() {
  if (fork() == 0) setsid();
  for (;;) pause();
}

// Deaf to all that can be ignored.
void compute_for_ever() {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, nullptr);
  for (std::atomic<unsigned> i = 0;; ++i) {
  }
}

// Two busy workers and two idle ones; then it says so, and waits for its end.
int hold(process_pool_executor& pool) {
  const auto a = pool.submit(leave_a_process_and_sleep);
  const auto b = pool.submit(compute_for_ever);
  const bool ready = eventually([&] {
    int busy = 0, idle = 0;
    for (const worker_stats& w : pool.stats().workers) {
      busy += w.state == worker_state::busy ? 1 : 0;
      idle += w.state == worker_state::idle ? 1 : 0;
    }
    return busy == 2 && idle == 2;
  });
  if (!ready) return 1;
  std::puts("ready");
  std::fflush(stdout);
  for (;;) pause();
}

// A child that is dead and not reaped; 0 if there is none.
pid_t zombie() {
  siginfo_t info{};
  return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0 ? info.si_pid : 0;
}

int failed = 0;

void expect(bool right, const char* what) {
  if (right) return;
  std::fprintf(stderr, "failed: %s\n", what);
  failed = 1;
}

int own_pid() { return getpid(); }

bool one_is_killed(process_pool_executor& pool) {
  try {
    pool.submit([] { raise(SIGKILL); }).get();
  } catch (const worker_crashed& e) {
    return e.signal() == SIGKILL;
  }
  return false;
}

// All orphans are its children: it gets whatever the pool leaves.
void work(const pool_options& options) {
  process_pool_executor pool(options);
  expect(pool.submit(own_pid).get() > 1, "a task");
  std::vector<int> xs(1000, 3);
  expect(pool.map([](int x) { return 2 * x; }, xs).to_vector() == std::vector(1000, 6), "a map");
  for (int i = 0; i < 5; ++i) {
    expect(one_is_killed(pool), "a crash");
    expect(pool.submit(own_pid).get() > 1, "a task after the crash");
    expect(zombie() == 0, "no zombie after a crash");
  }
  expect(eventually([&] { return pool.stats().restarts == 5; }), "five replacements");
  pool.shutdown();
  expect(zombie() == 0, "no zombie after shutdown");
}

int first_process(const pool_options& options) {
  expect(getpid() == 1, "it is process 1");
  work(options);
  // And once more, with what is left of the first.
  work(options);
  {
    process_pool_executor pool(options);
    expect(pool.submit(own_pid).get() > 1, "a task of a pool that is killed");
    pool.kill_workers();
  }
  expect(zombie() == 0, "no zombie after kill_workers");
  return failed;
}

}  // namespace

int main(int, char** argv) {
  pool_options options{.max_workers = 4};
  for (const start_method m : {start_method::fork, start_method::forkserver, start_method::spawn}) {
    if (name_of(m) == argv[1]) options.start = m;
  }
  if (std::strcmp(argv[2], "first_process") == 0) return first_process(options);
  process_pool_executor pool(options);
  return hold(pool);
}
