// Programs that treat their children, descriptors and forks in ways that pools must survive.

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <atomic>
#include <system_error>
#include <thread>

#include "launch/harness.hpp"
#include "os/unique_fd.hpp"
#include "procpool/errors.hpp"
#include "runtime/fork_gate.hpp"

namespace procpool::testing {
namespace {

class hostile_parent_test : public launch_test {};
PROCPOOL_LAUNCH_TESTS(hostile_parent_test);

// Another action of SIGCHLD for the time of a test.
class child_action {
 public:
  child_action(void (*handler)(int), int flags) {
    struct sigaction action{};
    action.sa_handler = handler;
    action.sa_flags = flags;
    ::sigaction(SIGCHLD, &action, &old_);
  }
  ~child_action() { ::sigaction(SIGCHLD, &old_, nullptr); }
  child_action(const child_action&) = delete;
  child_action& operator=(const child_action&) = delete;

 private:
  struct sigaction old_{};
};

void expect_exact_ends(start_method method) {
  test_pool pool(method);
  EXPECT_EQ(pool.run(make_job(job::leave, 17)).exit_status, 17);
  EXPECT_EQ(pool.run(make_job(job::die, SIGTERM), 1).exit_status, SIGTERM);
}

TEST_P(hostile_parent_test, sigchld_ignored) {
  const child_action ignore(SIG_IGN, 0);
  expect_exact_ends(GetParam());
}

TEST_P(hostile_parent_test, sigchld_without_zombies) {
  const child_action no_zombies(SIG_DFL, SA_NOCLDWAIT);
  expect_exact_ends(GetParam());
}

TEST_P(hostile_parent_test, a_wait_loop_in_another_thread) {
  std::atomic<bool> stop{false};
  std::thread waiter;
  const auto wait_for_all = [&] {
    waiter = std::thread([&] {
      while (!stop) ::waitpid(-1, nullptr, WNOHANG);
    });
  };
  // A fork needs the process to itself; the loop may begin afterwards.
  if (GetParam() != start_method::fork) wait_for_all();
  {
    test_pool pool(GetParam());
    if (GetParam() == start_method::fork) wait_for_all();
    EXPECT_EQ(pool.run(make_job(job::leave, 17)).exit_status, 17);
    EXPECT_EQ(pool.run(make_job(job::die, SIGKILL), 1).exit_status, SIGKILL);
  }
  stop = true;
  waiter.join();
}

std::atomic<int> child_signals{0};

TEST_P(hostile_parent_test, no_child_is_left_to_wait_for) {
  // As in a program that is no subreaper: the servers are not its children.
  launch::stop_master();
  ::prctl(PR_SET_CHILD_SUBREAPER, 0);
  {
    const child_action count([](int) { ++child_signals; }, SA_RESTART);
    child_signals = 0;
    test_pool pool(GetParam());
    pool.start(0, make_job(job::sleep));
    EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG | __WALL), -1);
    EXPECT_EQ(errno, ECHILD);
    // Only a forked server's middle process signals, and it has been reaped before.
    EXPECT_LE(child_signals, GetParam() == start_method::fork ? 1 : 0);
  }
  launch::stop_master();
  adopt_orphans();
}

// --- the user's own forks
// ---------------------------------------------------------------------------

TEST_P(hostile_parent_test, a_process_that_the_user_forks_holds_nothing_of_the_pool) {
  test_pool pool(GetParam());
  pool.start(0, make_job(job::sleep));
  int hold[2];
  ASSERT_EQ(::pipe(hold), 0);
  const int event_fd = pool->event_fd();
  const pid_t copy = ::fork();
  if (copy == 0) {
    ::close(hold[1]);
    adopt_orphans();  // its own servers, which the test would find as zombies
    int faults = 0;
    faults += runtime::current_role() != runtime::process_role::parent;
    faults += ::fcntl(event_fd, F_GETFD) >= 0 || errno != EBADF;
    {
      test_pool own(GetParam());
      own.start(0, make_job(job::leave));
      faults += own.next().what != kind::exited;
    }
    launch::stop_master();
    char byte = 0;
    [[maybe_unused]] const auto end = ::read(hold[0], &byte, 1);  // lives on until told
    ::_exit(faults);
  }
  ::close(hold[0]);
  // The pool works on, and ends although the copy lives.
  pool.start(1, make_job(job::sleep));
  pool.stop();
  for (const pid_t pid : pool.pids()) EXPECT_TRUE(is_gone(pid)) << pid;
  ::close(hold[1]);
  int status = -1;
  EXPECT_EQ(::waitpid(copy, &status, 0), copy);
  EXPECT_EQ(status, 0);
}

// --- limits
// -----------------------------------------------------------------------------------------

TEST_P(hostile_parent_test, too_few_descriptors_are_an_error_and_leak_nothing) {
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &old), 0);
  int failures = 0;
  int successes = 0;
  const int used = os::open_fd_count();
  for (int extra = 0; extra < 24; ++extra) {
    rlimit tight = old;
    tight.rlim_cur = static_cast<rlim_t>(used + extra);
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
    try {
      test_pool pool(GetParam());
      EXPECT_EQ(pool.run(make_job(job::leave, 5)).exit_status, 5);
      ++successes;
    } catch (const std::system_error& e) {
      EXPECT_EQ(e.code().value(), EMFILE) << e.what();
      ++failures;
    } catch (const error& e) {
      EXPECT_NE(std::string(e.what()).find("procpool: "), std::string::npos);
      ++failures;
    }
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &old), 0);
    ASSERT_EQ(leaked_since(before_), "");
  }
  EXPECT_GT(failures, 0);
  EXPECT_GT(successes, 0);
}

// --- threads
// ----------------------------------------------------------------------------------------

class thread_gate_test : public ::testing::Test {};

TEST_F(thread_gate_test, fork_refuses_a_process_with_other_threads) {
  std::atomic<bool> stop{false};
  std::thread other([&] {
    while (!stop) std::this_thread::yield();
  });
  try {
    test_pool pool(start_method::fork);
    ADD_FAILURE() << "forked although another thread runs";
  } catch (const unsafe_fork_error& e) {
    EXPECT_NE(std::string(e.what()).find("1 other thread runs"), std::string::npos) << e.what();
  }
  stop = true;
  other.join();
  test_pool pool(start_method::fork);  // a joined thread is no hindrance
  EXPECT_EQ(pool.run(make_job(job::leave, 1)).exit_status, 1);
}

TEST_F(thread_gate_test, own_threads_wait_at_the_gate) {
  std::atomic<bool> stop{false};
  std::atomic<int> rounds{0};
  std::thread own([&] {
    const runtime::library_thread registered;
    while (!stop) {
      ++rounds;
      const runtime::fork_safe_scope waiting;
      ::poll(nullptr, 0, 1);
    }
  });
  for (int i = 0; i < 3; ++i) {
    test_pool pool(start_method::fork);
    const int before = rounds;
    EXPECT_TRUE(eventually([&] { return rounds > before; }));  // and continues afterwards
    EXPECT_EQ(pool.run(make_job(job::leave, 1)).exit_status, 1);
  }
  stop = true;
  own.join();
}

}  // namespace
}  // namespace procpool::testing
