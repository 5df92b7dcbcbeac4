#include "launch/fork_server_client.hpp"

#include <algorithm>
#include <system_error>

#include "launch/harness.hpp"
#include "os/sanitizers.hpp"
#include "procpool/errors.hpp"

namespace procpool::testing {
namespace {

class fork_server_client_test : public launch_test {};
PROCPOOL_LAUNCH_TESTS(fork_server_client_test);

// The mask of signals that `text` gives after `name`, as /proc/self/status writes it: in
// hexadecimal. Without 32 and 33: the C library keeps them for itself and refuses to change what is
// done about them, so a worker has them as the process had them that started the tests.
std::uint64_t signals(const std::string& text, const std::string& name) {
  constexpr std::uint64_t libc_signals = std::uint64_t{3} << 31;
  const auto at = text.find(name);
  if (at == std::string::npos) return ~std::uint64_t{0};
  return std::stoull(text.substr(at + name.size(), 16), nullptr, 16) & ~libc_signals;
}

TEST_P(fork_server_client_test, reports_exit_codes_exactly) {
  test_pool pool(GetParam());
  std::uint32_t incarnation = 0;
  for (const int code : {0, 1, 42, 255}) {
    const auto end =
        pool.run(make_job(job::leave, static_cast<std::uint64_t>(code)), incarnation++);
    EXPECT_EQ(end.exit_kind, CLD_EXITED);
    EXPECT_EQ(end.exit_status, code);
    EXPECT_EQ(end.error, 0);
    EXPECT_TRUE(is_gone(end.pid));
  }
}

TEST_P(fork_server_client_test, reports_signals_exactly) {
  test_pool pool(GetParam());
  std::uint32_t incarnation = 0;
  for (const int signal : {SIGKILL, SIGTERM, SIGUSR1, SIGALRM, SIGPIPE, SIGRTMIN}) {
    const auto end =
        pool.run(make_job(job::die, static_cast<std::uint64_t>(signal)), incarnation++);
    EXPECT_TRUE(end.exit_kind == CLD_KILLED || end.exit_kind == CLD_DUMPED) << end.exit_kind;
    EXPECT_EQ(end.exit_status, signal);
  }
}

TEST_P(fork_server_client_test, an_entry_that_returns_is_exit_code_0) {
  test_pool pool(GetParam());
  const auto end = pool.run(make_job(job::observe));
  EXPECT_EQ(end.exit_kind, CLD_EXITED);
  EXPECT_EQ(end.exit_status, 0);
}

TEST_P(fork_server_client_test, workers_start_in_a_clean_process) {
  // What a hostile parent might hand down.
  struct sigaction old{};
  struct sigaction handler{};
  handler.sa_handler = [](int) {};
  ::sigaction(SIGTERM, &handler, &old);
  struct sigaction ignored{};
  ignored.sa_handler = SIG_IGN;
  struct sigaction old_hup{};
  ::sigaction(SIGHUP, &ignored, &old_hup);
  sigset_t block, old_mask;
  ::sigemptyset(&block);
  ::sigaddset(&block, SIGUSR2);
  ::sigprocmask(SIG_BLOCK, &block, &old_mask);

  {
    test_pool pool(GetParam());
    pool.run(make_job(job::observe));
    const std::string text = pool.at(0).text;
    EXPECT_NE(text.find("role=2 "), std::string::npos) << text;
    EXPECT_NE(text.find("blocked=0000000000000000"), std::string::npos) << text;
    EXPECT_EQ(signals(text, " ignored="), 0x6u) << text;  // INT and QUIT
    EXPECT_NE(text.find("stdin=0"), std::string::npos) << text;
    EXPECT_NE(text.find("variable=0"), std::string::npos) << text;
    EXPECT_NE(text.find("parent_is_server=1"), std::string::npos) << text;
    EXPECT_NE(text.find("own_session=0"), std::string::npos) << text;
    EXPECT_NE(text.find("high_fds=1"), std::string::npos) << text;
    if (!os::address_sanitizer && !os::thread_sanitizer) {
      const os::signal_set caught = signals(text, " caught=");
      for (const int signal : {SIGHUP, SIGTERM, SIGUSR2, SIGALRM, SIGTSTP, SIGRTMIN, SIGRTMAX}) {
        EXPECT_NE(caught & os::signal_bit(signal), 0U) << signal << text;
      }
      for (const int signal : {SIGSEGV, SIGABRT, SIGFPE, SIGCHLD, SIGINT, SIGQUIT, SIGWINCH}) {
        EXPECT_EQ(caught & os::signal_bit(signal), 0U) << signal << text;
      }
      EXPECT_NE(text.find("threads=1"), std::string::npos) << text;
    }
    EXPECT_EQ(text.find("name=exe"), std::string::npos) << text;
  }
  ::sigaction(SIGTERM, &old, nullptr);
  ::sigaction(SIGHUP, &old_hup, nullptr);
  ::sigprocmask(SIG_SETMASK, &old_mask, nullptr);
}

TEST_P(fork_server_client_test, a_spare_takes_the_place_of_a_dead_worker) {
  test_pool pool(GetParam());
  const server_event first = pool.start(0, make_job(job::sleep));
  // The next worker is there before it is asked for: a child of the server that is not ours.
  const auto children = [&] {
    return read_file("/proc/" + std::to_string(pool->server_pid()) + "/task/" +
                     std::to_string(pool->server_pid()) + "/children");
  };
  ASSERT_TRUE(eventually([&] {
    const std::string list = children();
    return std::count(list.begin(), list.end(), ' ') == 2;
  }));
  const std::string with_spare = children();
  EXPECT_TRUE(pool->signal_worker(first.id, SIGKILL));
  EXPECT_EQ(pool.next().what, kind::exited);
  const server_event second = pool.start(0, make_job(job::sleep), 1);
  EXPECT_NE(with_spare.find(std::to_string(second.pid)), std::string::npos) << with_spare;
}

TEST_P(fork_server_client_test, a_killed_spare_costs_nothing) {
  test_pool pool(GetParam());
  const std::string list = "/proc/" + std::to_string(pool->server_pid()) + "/task/" +
                           std::to_string(pool->server_pid()) + "/children";
  ASSERT_TRUE(eventually([&] { return !read_file(list).empty(); }));
  const pid_t spare = std::stoi(read_file(list));
  ASSERT_EQ(::kill(spare, SIGKILL), 0);
  ASSERT_TRUE(eventually([&] { return is_gone(spare); }));
  pool.start(0, make_job(job::sleep));
  pool.start(1, make_job(job::sleep));
}

TEST_P(fork_server_client_test, many_workers_at_once) {
  test_pool pool(GetParam());
  constexpr std::uint32_t count = 60;
  for (std::uint32_t i = 0; i < count; ++i) pool->start_worker({i, 7}, make_job(job::leave, i));
  std::uint32_t ended = 0;
  for (std::uint32_t events = 0; events < 2 * count; ++events) {
    const server_event event = pool.next();
    ASSERT_TRUE(event.what == kind::started || event.what == kind::exited);
    if (event.what == kind::exited) {
      EXPECT_EQ(event.exit_status, static_cast<int>(event.id.seat));
      ++ended;
    }
  }
  EXPECT_EQ(ended, count);
}

TEST_P(fork_server_client_test, signals_reach_their_incarnation_only) {
  test_pool pool(GetParam());
  const server_event first = pool.start(0, make_job(job::sleep), 1);
  EXPECT_FALSE(pool->signal_worker({0, 0}, SIGKILL));
  EXPECT_FALSE(pool->signal_worker({0, 2}, SIGKILL));
  EXPECT_FALSE(pool->signal_worker({1, 1}, SIGKILL));
  EXPECT_FALSE(is_gone(first.pid));
  EXPECT_TRUE(pool->signal_worker({0, 1}, SIGTERM));
  EXPECT_EQ(pool.next().exit_status, SIGTERM);
  EXPECT_FALSE(pool->signal_worker({0, 1}, SIGKILL));
}

TEST_P(fork_server_client_test, a_seat_that_is_taken_is_refused) {
  test_pool pool(GetParam());
  pool.start(0, make_job(job::sleep));
  EXPECT_THROW(pool->start_worker({0, 1}, 0), std::system_error);
  EXPECT_THROW(pool->start_worker({launch::max_seats, 0}, 0), std::system_error);
}

TEST_P(fork_server_client_test, a_killed_server_takes_its_workers_with_it_and_all_are_reported) {
  test_pool pool(GetParam());
  std::set<pid_t> workers;
  for (std::uint32_t i = 0; i < 3; ++i) workers.insert(pool.start(i, make_job(job::sleep)).pid);
  ASSERT_EQ(::kill(pool->server_pid(), SIGSTOP), 0);
  pool->start_worker({3, 0}, make_job(job::sleep));  // never answered
  ASSERT_EQ(::kill(pool->server_pid(), SIGKILL), 0);
  std::set<std::uint32_t> ended;
  for (int i = 0; i < 4; ++i) {
    const server_event event = pool.next();
    ASSERT_EQ(event.what, kind::exited);
    EXPECT_EQ(event.error, EOWNERDEAD);
    EXPECT_EQ(event.exit_status, SIGKILL);
    EXPECT_EQ(event.exit_kind, CLD_KILLED);
    if (event.pid != 0) {
      EXPECT_TRUE(is_gone(event.pid));
    }
    ended.insert(event.id.seat);
  }
  EXPECT_EQ(ended, (std::set<std::uint32_t>{0, 1, 2, 3}));
  EXPECT_EQ(pool.next().what, kind::server_gone);
  EXPECT_FALSE(pool->next_event().has_value());
  EXPECT_FALSE(pool->signal_worker({0, 0}, SIGKILL));
  pool.stop();
  reap_strangers();
}

TEST_P(fork_server_client_test, stop_kills_running_workers) {
  test_pool pool(GetParam());
  for (std::uint32_t i = 0; i < 3; ++i) pool.start(i, make_job(job::sleep));
  pool.stop();
  for (const pid_t pid : pool.pids()) EXPECT_TRUE(is_gone(pid)) << pid;
  EXPECT_FALSE(pool->next_event().has_value());
  EXPECT_FALSE(pool->signal_worker({0, 0}, SIGKILL));
  pool.stop();
}

TEST_P(fork_server_client_test, stop_does_not_wait_for_a_stopped_server) {
  test_pool pool(GetParam());
  pool.start(0, make_job(job::sleep));
  ASSERT_EQ(::kill(pool->server_pid(), SIGSTOP), 0);
  const auto begin = std::chrono::steady_clock::now();
  pool->stop(100ms);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 30s);
  for (const pid_t pid : pool.pids()) EXPECT_TRUE(eventually([&] { return is_gone(pid); })) << pid;
  reap_strangers();
}

TEST_P(fork_server_client_test, signals_to_the_server_do_not_end_it) {
  test_pool pool(GetParam());
  for (const int signal : {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGPIPE, SIGUSR1, SIGALRM, SIGTSTP}) {
    ASSERT_EQ(::kill(pool->server_pid(), signal), 0);
  }
  EXPECT_EQ(pool.run(make_job(job::leave, 3)).exit_status, 3);
}

TEST_P(fork_server_client_test, the_interrupt_key_does_not_end_workers) {
  test_pool pool(GetParam());
  const server_event worker = pool.start(0, make_job(job::sleep));
  EXPECT_TRUE(pool->signal_worker(worker.id, SIGINT));
  EXPECT_TRUE(pool->signal_worker(worker.id, SIGQUIT));
  EXPECT_TRUE(pool->signal_worker(worker.id, SIGTERM));
  EXPECT_EQ(pool.next().exit_status, SIGTERM);
}

TEST_P(fork_server_client_test, one_server_does_not_keep_another_alive) {
  test_pool first(GetParam());
  test_pool second(GetParam());
  first.start(0, make_job(job::sleep));
  second.start(0, make_job(job::sleep));
  first.stop();
  for (const pid_t pid : first.pids()) EXPECT_TRUE(is_gone(pid));
  for (const pid_t pid : second.pids()) EXPECT_FALSE(is_gone(pid));
}

TEST_P(fork_server_client_test, the_server_reaps_processes_that_tasks_leave_behind) {
  test_pool pool(GetParam());
  pool.run(make_job(job::leave_child));
  const auto child = static_cast<pid_t>(pool.at(0).value);
  ASSERT_GT(child, 0);
  ASSERT_FALSE(is_gone(child));
  ASSERT_EQ(::kill(child, SIGKILL), 0);
  EXPECT_TRUE(eventually([&] { return ::kill(child, 0) != 0 && errno == ESRCH; }));
}

TEST_P(fork_server_client_test, processes_that_a_task_leaves_behind_outlive_an_orderly_end) {
  pid_t child = 0;
  {
    test_pool pool(GetParam());
    pool.run(make_job(job::leave_child));
    child = static_cast<pid_t>(pool.at(0).value);
  }
  EXPECT_FALSE(is_gone(child));
  ::kill(child, SIGKILL);
  EXPECT_TRUE(eventually([&] { return ::waitpid(child, nullptr, WNOHANG) == child; }));
}

TEST_P(fork_server_client_test, a_child_of_a_task_does_not_hide_the_death_of_its_worker) {
  test_pool pool(GetParam());
  pool.run(make_job(job::leave_child));
  const auto child = static_cast<pid_t>(pool.at(0).value);
  pool.start(0, make_job(job::sleep), 1);
  ASSERT_EQ(::kill(pool->server_pid(), SIGKILL), 0);
  EXPECT_EQ(pool.next().what, kind::exited);
  EXPECT_EQ(pool.next().what, kind::server_gone);
  EXPECT_FALSE(is_gone(child));
  ::kill(child, SIGKILL);
  EXPECT_TRUE(eventually([&] { return ::waitpid(child, nullptr, WNOHANG) == child; }));
  pool.stop();
  reap_strangers();
}

}  // namespace
}  // namespace procpool::testing
