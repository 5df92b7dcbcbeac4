// Every wait of the parent has an end, whatever a descriptor, a worker or a fork server does.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <string>
#include <vector>

#include "os/sanitizers.hpp"
#include "support/pool_test.hpp"
#include "support/process_fixture.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;

constexpr char program[] = PROCPOOL_TEST_PROGRAMS_DIR "/waits_parent";
constexpr int cannot_be_played = 77;
constexpr duration soon = 20s;

int twice(int x) { return 2 * x; }
int die() { return std::raise(SIGKILL); }
int own_pid() { return getpid(); }
int parent_of_this() { return getppid(); }
std::size_t size_of(const std::vector<char>& v) { return v.size(); }
std::vector<char> make(std::size_t n) { return std::vector<char>(n, 'x'); }

int close_one_by_one() {
  int closed = 0;
  for (int round = 0; round < 20; ++round) {  // long enough for its worker to look afterwards
    for (int fd = 3; fd < 1024; ++fd) closed += ::close(fd) == 0 ? 1 : 0;
  }
  return closed;
}
int close_region_quickly() {
  for (int fd = 3; fd < 32; ++fd) ::close(fd);
  return 1;
}
std::vector<char> close_and_make(std::size_t n) {
  close_region_quickly();
  return make(n);
}

template <class F>
duration time_of(F&& f) {
  const auto begin = std::chrono::steady_clock::now();
  f();
  return std::chrono::steady_clock::now() - begin;
}

class waits_test : public pool_test {
 protected:
  // A program that plays that scene, whose pipes are the two descriptors.
  struct played {
    pid_t pid = 0;
    int to = -1, from = -1;
  };
  played begin(const char* scene) const {
    int to[2] = {}, from[2] = {};
    EXPECT_EQ(pipe2(to, O_CLOEXEC), 0);
    EXPECT_EQ(pipe2(from, O_CLOEXEC), 0);
    const std::string name = name_of(method());
    const pid_t pid = fork();
    if (pid == 0) {
      dup2(to[0], 0);
      dup2(from[1], 1);
      alarm(50);
      execl(program, program, name.c_str(), scene, nullptr);
      _exit(127);
    }
    close(to[0]);
    close(from[1]);
    return {pid, to[1], from[0]};
  }
  // Its wait status.
  static int end(const played& p) {
    int status = 0;
    EXPECT_EQ(waitpid(p.pid, &status, 0), p.pid);
    close(p.to);
    close(p.from);
    return status;
  }
  void play(const char* scene) const {
    const int children = holdings::now().children;
    const int status = end(begin(scene));
    EXPECT_TRUE(all_are_gone(children));
    ASSERT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
    if (WEXITSTATUS(status) == cannot_be_played) GTEST_SKIP() << "not here, see standard error";
    EXPECT_EQ(WEXITSTATUS(status), 0);
  }
  // Orphans come to this process.
  static bool all_are_gone(int children) {
    return eventually([&] {
      while (waitpid(-1, nullptr, WNOHANG) > 0) {
      }
      return holdings::now().children <= children;
    });
  }
};
PROCPOOL_FOR_EACH_START_METHOD(waits_test);

// --- no right to signal ---

TEST_P(waits_test, a_program_that_gives_up_its_rights_still_ends_its_workers) { play("dropped"); }

TEST_P(waits_test, a_shutdown_returns_where_no_worker_can_be_killed) {
  const int children = holdings::now().children;
  const played p = begin("dropped_and_stopped");
  char text[32] = {};
  if (read(p.from, text, sizeof text - 1) > 0) {
    const pid_t server = std::stoi(text);
    EXPECT_EQ(::kill(server, SIGSTOP), 0);
    EXPECT_EQ(write(p.to, "x", 1), 1);
    const int status = end(p);
    EXPECT_EQ(::kill(server, SIGCONT), 0);
    ASSERT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
    EXPECT_EQ(WEXITSTATUS(status), 0);
    // It sees that its parent has ended.
    EXPECT_TRUE(all_are_gone(children));
  } else {
    ASSERT_EQ(WEXITSTATUS(end(p)), cannot_be_played);
    GTEST_SKIP() << "only root can give up rights";
  }
}

class orphans_test : public waits_test {
 protected:
  void leave(const char* scene) const {
    const int children = holdings::now().children;
    const int status = end(begin(scene));
    if (WIFEXITED(status) && WEXITSTATUS(status) == cannot_be_played) {
      GTEST_SKIP() << "only root can give up rights";
    }
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
    EXPECT_TRUE(all_are_gone(children));
  }
};
PROCPOOL_FOR_EACH_START_METHOD(orphans_test);

TEST_P(orphans_test, workers_whose_initializer_changes_their_user) {
  leave("orphans_of_an_initializer");
}
TEST_P(orphans_test, workers_whose_task_changes_their_user) { leave("orphans_of_a_task"); }

TEST_P(waits_test, system_calls_that_are_refused_from_the_beginning) {
  play("EPERM_before");
  play("EACCES_before");
  play("ENOSYS_before");
}
TEST_P(waits_test, system_calls_that_are_refused_later) {
  play("EPERM_after");
  play("EACCES_after");
  play("ENOSYS_after");
}
TEST_P(waits_test, no_process_may_send_any_signal) { play("no_signals"); }

// --- descriptors that are gone ---

TEST_P(waits_test, a_program_that_closes_all_descriptors) { play("all_closed"); }
TEST_P(waits_test, files_that_get_the_numbers_of_closed_descriptors_are_left_alone) {
  play("all_replaced");
  play("all_replaced_with_capture");
}
TEST_P(waits_test, a_program_that_closes_any_one_of_the_descriptors) { play("one_closed"); }
TEST_P(waits_test, no_descriptor_is_available) { play("no_descriptors"); }
TEST_P(waits_test, the_limit_of_descriptors_is_zero) { play("no_limit_at_all"); }

TEST_P(waits_test, there_is_no_memory) {
  if (os::address_sanitizer || os::thread_sanitizer) GTEST_SKIP() << "needs plain memory limits";
  play("no_memory");
}

TEST_P(waits_test, a_task_that_closes_descriptors_costs_no_other_task) {
  process_pool_executor pool(options(1));
  EXPECT_GT(pool.submit(close_one_by_one).get(), 0);
  EXPECT_EQ(pool.submit(make, std::size_t{3} << 20U).get().size(), std::size_t{3} << 20U);
  // It is quick, and the next one finds out before it begins.
  EXPECT_EQ(pool.submit(close_region_quickly).get(), 1);
  const std::vector<char> large(std::size_t{80} << 20U, 'x');
  EXPECT_EQ(pool.submit(size_of, large).get(), large.size());
  EXPECT_EQ(pool.submit(twice, 4).get(), 8);
}

TEST_P(waits_test, a_crash_for_lack_of_a_descriptor_names_the_cause) {
  process_pool_executor pool(options(1));
  future<std::vector<char>> f = pool.submit(close_and_make, std::size_t{3} << 20U);
  try {
    f.get();
    ADD_FAILURE() << "there is no memory that it could be written to";
  } catch (const worker_crashed& e) {
    EXPECT_NE(std::string(e.what()).find("was closed by other code"), std::string::npos)
        << e.what();
  }
}

// --- stopped processes ---

TEST_P(waits_test, an_idle_worker_that_is_stopped_ends_with_its_pool) {
  {
    process_pool_executor pool(options(1));
    ASSERT_EQ(::kill(pool.submit(own_pid).get(), SIGSTOP), 0);
    EXPECT_LT(time_of([&] { pool.shutdown(); }), soon);
  }
  process_pool_executor pool(options(1));
  ASSERT_EQ(::kill(pool.submit(own_pid).get(), SIGSTOP), 0);
  EXPECT_LT(time_of([&] { pool.shutdown({.timeout = 100ms}); }), soon);
}

TEST_P(waits_test, a_busy_worker_that_is_stopped_can_be_killed) {
  process_pool_executor pool(options(1));
  int pid = pool.submit(own_pid).get();
  future<void> f = pool.submit(wait_for_ever);
  ASSERT_TRUE(eventually([&] { return f.running(); }));
  ASSERT_EQ(::kill(pid, SIGSTOP), 0);
  EXPECT_TRUE(f.cancel(cancel_mode::kill_running));
  EXPECT_THROW(f.get_for(30s), cancelled_error);
  pid = pool.submit(own_pid).get_for(30s);
  future<void> g = pool.submit(wait_for_ever);
  ASSERT_TRUE(eventually([&] { return g.running(); }));
  ASSERT_EQ(::kill(pid, SIGSTOP), 0);
  EXPECT_LT(time_of([&] { pool.shutdown({.timeout = 100ms}); }), soon);
  EXPECT_THROW(g.get(), task_killed);
}

TEST_P(waits_test, a_stopped_fork_server_delays_no_shutdown) {
  for (const bool by_force : {false, true}) {
    process_pool_executor pool(options(2));
    const int server = pool.submit(parent_of_this).get();
    future<void> f = pool.submit(wait_for_ever);
    ASSERT_TRUE(eventually([&] { return f.running(); }));
    ASSERT_EQ(::kill(server, SIGSTOP), 0);
    EXPECT_LT(time_of([&] {
                if (by_force) {
                  pool.kill_workers();
                  pool.shutdown();
                } else {
                  pool.shutdown({.timeout = 100ms});
                }
              }),
              soon);
    EXPECT_THROW(f.get(), task_killed);
  }
}

// All children of the server but the pool's own workers.
std::vector<pid_t> spares_of(pid_t server, pid_t worker) {
  std::ifstream list("/proc/" + std::to_string(server) + "/task/" + std::to_string(server) +
                     "/children");
  std::vector<pid_t> pids;
  for (pid_t pid = 0; list >> pid;) {
    if (pid != worker) pids.push_back(pid);
  }
  return pids;
}

TEST_P(waits_test, a_stopped_spare_delays_no_shutdown) {
  process_pool_executor pool(options(1));
  const int server = pool.submit(parent_of_this).get();
  const int worker = pool.submit(own_pid).get();
  std::vector<pid_t> spares;
  if (!eventually([&] { return !(spares = spares_of(server, worker)).empty(); })) {
    GTEST_SKIP() << "this kernel has no list of children";
  }
  for (const pid_t pid : spares) EXPECT_EQ(::kill(pid, SIGSTOP), 0);
  EXPECT_THROW(pool.submit(die).get_for(30s), worker_crashed);
  future<int> f = pool.submit(twice, 1);
  EXPECT_LT(time_of([&] { pool.shutdown({.timeout = 100ms}); }), soon);
  EXPECT_TRUE(f.done());
}

}  // namespace
