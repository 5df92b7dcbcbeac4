// What needs no pool, so that tests of single parts can be linked without one.
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "support/pool_test.hpp"

namespace procpool::testing {
namespace {

using namespace std::chrono_literals;

constexpr duration test_limit = 270s;  // ctest's own is longer: tests/CMakeLists.txt

}  // namespace

bool eventually(const std::function<bool()>& condition, duration limit) {
  const time_point deadline = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

// A timer signal and no thread: start_method::fork refuses a process with threads.
struct watchdog::state {
  timer_t timer;
};

namespace {

void on_timeout(int) {
  const char text[] = "watchdog: the test does not end\n";
  [[maybe_unused]] const auto n = write(STDERR_FILENO, text, sizeof text - 1);
  abort();
}

}  // namespace

watchdog::watchdog(duration limit) : state_(new state) {
  struct sigaction action{};
  action.sa_handler = &on_timeout;
  sigaction(SIGRTMAX, &action, nullptr);
  sigevent event{};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGRTMAX;
  timer_create(CLOCK_MONOTONIC, &event, &state_->timer);
  itimerspec when{};
  when.it_value.tv_sec = static_cast<time_t>(limit.count());
  when.it_value.tv_nsec = 1;
  timer_settime(state_->timer, 0, &when, nullptr);
}

watchdog::~watchdog() {
  timer_delete(state_->timer);
  delete state_;
}

leak_free_test::leak_free_test() : watchdog_(test_limit) { adopt_orphans(); }

void leak_free_test::SetUp() { begin_leak_check(); }

leak_free_test::~leak_free_test() = default;

}  // namespace procpool::testing
