#include "support/pool_test.hpp"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>

namespace procpool::testing {
namespace {

using namespace std::chrono_literals;

constexpr duration test_limit = 55s;

}  // namespace

std::string name_of(start_method m) {
  switch (m) {
    case start_method::fork:
      return "fork";
    case start_method::forkserver:
      return "forkserver";
    case start_method::spawn:
      return "spawn";
    default:
      return "automatic";
  }
}

std::vector<start_method> start_methods() {
  const char* chosen = std::getenv("PROCPOOL_TEST_START_METHODS");
  std::vector<start_method> methods;
  for (const start_method m : {start_method::fork, start_method::forkserver, start_method::spawn}) {
    const std::string list = "," + std::string(chosen == nullptr ? "" : chosen) + ",";
    if (chosen == nullptr || list.find("," + name_of(m) + ",") != std::string::npos) {
      methods.push_back(m);
    }
  }
  return methods;
}

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

void pool_test::SetUp() {
  process_pool_executor({.max_workers = 1, .start = GetParam()}).submit([] {}).get();
  leak_free_test::SetUp();
}

leak_free_test::~leak_free_test() = default;

}  // namespace procpool::testing
