// broadcast: one call in every worker, all at the same time, whatever else the pool does and
// whichever process dies meanwhile.
#include <dlfcn.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <set>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "support/pool_test.hpp"
#include "support/tally.hpp"

#if defined(__SANITIZE_THREAD__)
#define CAN_REFUSE_FORKS 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define CAN_REFUSE_FORKS 0
#endif
#endif
#ifndef CAN_REFUSE_FORKS
#define CAN_REFUSE_FORKS 1
#endif

namespace {

// Fork servers inherit the variable; while its file exists, they cannot fork.
constexpr const char* refusal_variable = "PROCPOOL_TEST_REFUSE_FORKS";
const bool has_refusal_file = [] {
  const std::string path = ::testing::TempDir() + "procpool-no-forks-" + std::to_string(getpid());
  return setenv(refusal_variable, path.c_str(), 0) == 0;
}();

}  // namespace

#if CAN_REFUSE_FORKS
// Found before the C library's own.
extern "C" pid_t fork() noexcept {
  static const auto real = reinterpret_cast<pid_t (*)()>(dlsym(RTLD_NEXT, "fork"));
  const char* const refused = std::getenv(refusal_variable);
  if (refused != nullptr && access(refused, F_OK) == 0) {
    errno = EAGAIN;
    return -1;
  }
  return real();
}
#endif

namespace procpool::testing {

// Arguments that cannot be decoded, each in its way. Not in an unnamed namespace: they are named in
// specialisations.
struct deadly {};
struct undecodable {};

}  // namespace procpool::testing

template <>
struct procpool::codec<procpool::testing::deadly> {
  static int to_wire(const testing::deadly&) { return 0; }
  static testing::deadly from_wire(int) {
    std::raise(SIGKILL);
    return {};
  }
};
template <>
struct procpool::codec<procpool::testing::undecodable> {
  static int to_wire(const testing::undecodable&) { return 0; }
  static testing::undecodable from_wire(int) { throw std::domain_error("not that"); }
};

namespace procpool::testing {
namespace {

using namespace std::chrono_literals;

class broadcast_test : public pool_test {};
PROCPOOL_FOR_EACH_START_METHOD(broadcast_test);

std::set<pid_t> pids_of(std::vector<future<pid_t>> futures) {
  std::set<pid_t> pids;
  for (auto& f : futures) pids.insert(f.get());
  return pids;
}

TEST_P(broadcast_test, a_call_runs_once_in_every_worker) {
  process_pool_executor pool(options(4));
  const auto first = pids_of(pool.broadcast([] { return getpid(); }));
  EXPECT_EQ(first.size(), 4U);
  EXPECT_EQ(pids_of(pool.broadcast(getpid)), first);
}

// As submit passes them: views of the bytes, text for a function of C, what is shared.
TEST_P(broadcast_test, parameters_of_all_kinds) {
  process_pool_executor pool(options(2));
  const auto length = [](const char* text) { return std::string(text).size(); };
  for (auto& f : pool.broadcast(length, "four")) EXPECT_EQ(f.get(), 4U);
  const std::vector<int> numbers{1, 2, 3};
  const auto sum = [](std::span<const int> xs) { return xs[0] + xs[1] + xs[2]; };
  for (auto& f : pool.broadcast(sum, numbers)) EXPECT_EQ(f.get(), 6);
  for (auto& f : pool.broadcast(sum, shared_array<int>::copy_of(numbers))) EXPECT_EQ(f.get(), 6);
  const auto value = [](std::unique_ptr<int> p) { return *p; };
  for (auto& f : pool.broadcast(value, std::make_unique<int>(8))) EXPECT_EQ(f.get(), 8);
  const std::string text = "text";
  for (auto& f : pool.broadcast(&std::string::size, text)) EXPECT_EQ(f.get(), 4U);
}

TEST_P(broadcast_test, large_results_and_empty_results) {
  process_pool_executor pool(options(2));
  constexpr std::size_t bytes = std::size_t{8} << 20U;
  for (auto& f : pool.broadcast([](std::size_t n) { return std::string(n, 'x'); }, bytes)) {
    EXPECT_EQ(f.get(), std::string(bytes, 'x'));
  }
  // No thread waits for these.
  for (int i = 0; i < 3; ++i) (void)pool.broadcast([] {});
}

// Each waits for all others: with two calls in one worker no call would return.
TEST_P(broadcast_test, the_calls_run_at_the_same_time) {
  process_pool_executor pool(options(3));
  shared_value<std::atomic<int>> there(0);
  const auto meet = [](const shared_value<std::atomic<int>>& n) {
    ++*n;
    return eventually([&] { return n->load() == 3; });
  };
  for (auto& f : pool.broadcast(meet, there)) EXPECT_TRUE(f.get());
}

TEST_P(broadcast_test, arguments_results_and_errors) {
  process_pool_executor pool(options(2));
  const auto twice = [](std::string_view text, int n) {
    if (n < 0) throw std::invalid_argument("below zero");
    return std::string(text) + std::to_string(n);
  };
  for (auto& f : pool.broadcast(twice, "n = ", 7)) EXPECT_EQ(f.get(), "n = 7");
  for (auto& f : pool.broadcast(twice, "", -1)) EXPECT_THROW(f.get(), std::invalid_argument);
  for (auto& f : pool.broadcast(partial([](int a, int b) { return a + b; }, 2), 3)) {
    EXPECT_EQ(f.get(), 5);
  }
}

TEST_P(broadcast_test, a_broadcast_between_tasks_and_other_broadcasts) {
  process_pool_executor pool(options(2));
  const auto many = [&] {
    for (int i = 0; i < 20; ++i) {
      auto before = pool.submit([](int n) { return n; }, i);
      EXPECT_EQ(pids_of(pool.broadcast(getpid)).size(), 2U);
      EXPECT_EQ(before.get(), i);
    }
  };
  std::thread other(many);
  many();
  other.join();
}

TEST_P(broadcast_test, workers_that_are_replaced_after_each_task) {
  pool_options o = options(2);
  o.max_tasks_per_child = 1;
  process_pool_executor pool(std::move(o));
  std::set<pid_t> all;
  for (int i = 0; i < 5; ++i) all.merge(pids_of(pool.broadcast(getpid)));
  EXPECT_EQ(all.size(), 10U);
}

TEST_P(broadcast_test, a_broadcast_while_a_map_is_read_and_fed) {
  process_pool_executor pool(options(2));
  auto results = pool.map({.chunksize = 1}, [](int x) { return x; }, std::views::iota(0));
  int next = 0;
  for (const int x : results) {
    ASSERT_EQ(x, next);
    if (++next % 50 == 0) {
      EXPECT_EQ(pids_of(pool.broadcast(getpid)).size(), 2U);
    }
    if (next == 500) break;
  }
}

// The worker that has come dies while the other one is still busy.
TEST_P(broadcast_test, a_worker_dies_before_all_workers_have_arrived) {
  process_pool_executor pool(options(2));
  const auto pids = pids_of(pool.broadcast(getpid));
  shared_value<std::atomic<pid_t>> busy(0);
  shared_value<std::atomic<int>> go(0);
  auto holds_one = pool.submit(
      [](const shared_value<std::atomic<pid_t>>& who, const shared_value<std::atomic<int>>& until) {
        *who = getpid();
        return eventually([&] { return until->load() != 0; });
      },
      busy, go);
  ASSERT_TRUE(eventually([&] { return busy->load() != 0; }));
  std::thread killer([&] {
    for (const pid_t p : pids) {
      if (p == busy->load()) continue;
      eventually([&] { return pool.stats().running == 2; });
      kill(p, SIGKILL);
      eventually([&] { return pool.stats().restarts == 1; });
    }
    *go = 1;
  });
  const auto now = pids_of(pool.broadcast(getpid));
  killer.join();
  EXPECT_TRUE(holds_one.get());
  EXPECT_EQ(now.size(), 2U);
  EXPECT_NE(now, pids);
}

TEST_P(broadcast_test, a_crash_in_one_call_costs_that_call) {
  process_pool_executor pool(options(3));
  shared_value<std::atomic<int>> first(0);
  int crashed = 0;
  const auto one_aborts = [](const shared_value<std::atomic<int>>& n) {
    if (n->fetch_add(1) == 0) std::abort();
  };
  for (auto& f : pool.broadcast(one_aborts, first)) {
    crashed += f.exception() != nullptr ? 1 : 0;
  }
  EXPECT_EQ(crashed, 1);
}

// Decoding the argument is part of the call, and kills every worker that tries.
TEST_P(broadcast_test, a_call_that_kills_its_workers_before_it_begins) {
  process_pool_executor pool(options(2));
  EXPECT_THROW((void)pool.broadcast([](deadly) {}, deadly{}), worker_crashed);
  EXPECT_EQ(pids_of(pool.broadcast(getpid)).size(), 2U);
}

TEST_P(broadcast_test, a_call_that_fails_before_it_begins) {
  process_pool_executor pool(options(2));
  EXPECT_THROW((void)pool.broadcast([](undecodable) {}, undecodable{}), std::domain_error);
  EXPECT_EQ(pids_of(pool.broadcast(getpid)).size(), 2U);
}

// A task that waits for the broadcast holds all workers up: it gives up, and they continue.
TEST_P(broadcast_test, a_worker_that_cannot_be_started) {
  if (!CAN_REFUSE_FORKS) GTEST_SKIP() << "the sanitizer has a fork of its own";
  if (method() != start_method::spawn) GTEST_SKIP() << "it takes seconds, and they do the same";
  process_pool_executor pool(options(2));
  auto pids = pids_of(pool.broadcast(getpid));
  const std::string file = std::getenv(refusal_variable);
  add_to_tally(file);
  // One more than the server has forked ahead.
  std::size_t deaths = 0;
  for (int i = 0; i < 2; ++i) {
    auto died = pool.submit([]() -> int { return std::raise(SIGKILL); });
    deaths += died.exception() != nullptr ? 1 : 0;
  }
  EXPECT_EQ(deaths, 2U);
  try {
    (void)pool.broadcast(getpid);
    ADD_FAILURE();
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code().value(), EAGAIN);
    EXPECT_NE(std::string(e.what()).find("cannot be started"), std::string::npos) << e.what();
  }
  EXPECT_EQ(pool.submit([](int x) { return x; }, 5).get(), 5);
  unlink(file.c_str());
  EXPECT_TRUE(eventually([&] {
    try {
      return pids_of(pool.broadcast(getpid)).size() == 2;
    } catch (const std::system_error&) {
      return false;
    }
  }));
}

// A worker that is busy until the gate opens, and a broadcast that waits for it.
class waiting_broadcast {
 public:
  explicit waiting_broadcast(process_pool_executor& pool)
      : busy_(pool.submit([](const std::string& gate) { await_tally(gate, 1); }, gate_.path())) {
    eventually([&] { return busy_.running(); });
    caller_ = std::jthread([this, &pool] {
      try {
        calls_ = pool.broadcast(getpid).size();
      } catch (...) {
        error_ = std::current_exception();
      }
    });
    // One call has come, and the other one is submitted, too.
    eventually([&] {
      const pool_stats s = pool.stats();
      return s.running == 2 && s.pending == 1;
    });
  }
  ~waiting_broadcast() { open(); }
  waiting_broadcast(const waiting_broadcast&) = delete;
  waiting_broadcast& operator=(const waiting_broadcast&) = delete;

  void open() { gate_.add(); }
  std::size_t calls() {
    caller_.join();
    if (error_) std::rethrow_exception(error_);
    return calls_;
  }

 private:
  tally gate_;
  future<void> busy_;
  std::size_t calls_ = 0;
  std::exception_ptr error_;
  std::jthread caller_;
};

TEST_P(broadcast_test, a_shutdown_waits_for_a_broadcast) {
  process_pool_executor pool(options(2));
  waiting_broadcast b(pool);
  pool.shutdown({.wait = false});
  b.open();
  EXPECT_EQ(b.calls(), 2U);
}

TEST_P(broadcast_test, a_shutdown_cancels_a_broadcast) {
  process_pool_executor pool(options(2));
  waiting_broadcast b(pool);
  pool.shutdown({.wait = false, .cancel_futures = true});
  EXPECT_THROW((void)b.calls(), cancelled_error);
  b.open();
}

TEST_P(broadcast_test, a_shutdown_with_a_deadline_ends_a_broadcast) {
  process_pool_executor pool(options(2));
  waiting_broadcast b(pool);
  pool.shutdown({.timeout = 10ms});
  EXPECT_THROW((void)b.calls(), error);
}

process_pool_executor* shared_pool = nullptr;

TEST_P(broadcast_test, a_broadcast_inside_of_a_task) {
  if (method() != start_method::fork) GTEST_SKIP() << "globals of the parent: only with fork";
  process_pool_executor outer(options(1));
  shared_pool = &outer;
  process_pool_executor pool(options(1));
  EXPECT_THROW(pool.submit([] { return shared_pool->broadcast(getpid).size(); }).get(),
               nested_use_error);
  shared_pool = nullptr;
}

TEST_P(broadcast_test, a_pool_that_ends_or_breaks) {
  {
    process_pool_executor pool(options(2));
    pool.shutdown();
    EXPECT_THROW((void)pool.broadcast(getpid), shutdown_error);
  }
  pool_options o = options(2);
  o.initializer = [] { throw std::runtime_error("no licence"); };
  process_pool_executor pool(std::move(o));
  EXPECT_THROW((void)pool.broadcast(getpid), broken_process_pool);
}

// What waits at the meeting goes with the workers.
TEST_P(broadcast_test, the_workers_are_killed_during_a_broadcast) {
  process_pool_executor pool(options(2));
  auto holds_one = pool.submit([] { pause(); });
  ASSERT_TRUE(eventually([&] { return holds_one.running(); }));
  std::thread killer([&] {
    eventually([&] { return pool.stats().running == 2; });
    pool.kill_workers();
  });
  EXPECT_THROW((void)pool.broadcast(getpid), std::exception);
  killer.join();
  EXPECT_THROW(holds_one.get(), worker_crashed);
}

}  // namespace
}  // namespace procpool::testing
