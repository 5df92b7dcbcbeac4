// Pools that cannot make progress: workers that die before any task, fork servers that do not start
// and do not start again.
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <set>
#include <thread>

#include "conformance/meeting_point.hpp"
#include "launch/start_server.hpp"
#include "os/sanitizers.hpp"
#include "runtime/process_role.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;

int echo(int x) { return x; }

// What to do in a process that is becoming a fork server: the first line of the file that this
// variable names, if there is one.
constexpr char spoiler[] = "PROCPOOL_TEST_SPOILER";

void spoil() {
  const char* path = std::getenv(spoiler);
  std::string what;
  if (path == nullptr || !std::getline(std::ifstream(path), what)) return;
  if (what == "leave") _exit(7);
  if (what == "wait") eventually([path] { return !exists(path); }, duration(40));
  if (what == "thread") std::thread([] { pause(); }).detach();
}

// A program whose constructors spoil its fork server: this one, when it is executed as that.
const bool spoilt = [] {
  if (runtime::current_role() == runtime::process_role::fork_server) spoil();
  return true;
}();

// Calls f and expects an E; returns its message.
template <class E, class F>
std::string message_of(F&& f) {
  try {
    f();
  } catch (const E& e) {
    return e.what();
  } catch (const std::exception& e) {
    ADD_FAILURE() << "another error: " << e.what();
    return "";
  }
  ADD_FAILURE() << "no error";
  return "";
}

// Polls until submit says why the pool is broken.
std::string why_broken(process_pool_executor& pool) {
  std::string why;
  EXPECT_TRUE(eventually([&] {
    try {
      (void)pool.submit(echo, 1);
    } catch (const broken_process_pool& e) {
      why = e.what();
    }
    return !why.empty();
  }));
  return why;
}

class broken_pool_test : public pool_test {
 protected:
  broken_pool_test() {
    setenv(spoiler, at_("spoiler").c_str(), 1);
    if (method() == start_method::fork) pthread_atfork(nullptr, nullptr, &spoil);
  }
  ~broken_pool_test() override { unsetenv(spoiler); }

  // From here on no fork server of this program comes to life.
  void spoil_servers(const std::string& how) {
    append_line(at_("spoiler"), how);
    // The process that makes the fork servers of start_method::forkserver.
    launch::stop_master();
  }
  void spare_servers() { std::filesystem::remove(at_("spoiler")); }
  process_pool_executor any_pool() const { return process_pool_executor(options(1)); }

  const meeting_point at_;
};
PROCPOOL_FOR_EACH_START_METHOD(broken_pool_test);

pid_t parent_of(pid_t pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(stat, text);
  const auto end = text.rfind(')');
  return end == std::string::npos ? 0 : std::stoi(text.substr(end + 4));
}

pid_t any_worker(const process_pool_executor& pool) {
  for (const worker_stats& w : pool.stats().workers) {
    if (w.pid != 0) return w.pid;
  }
  return 0;
}

// Whatever kills them, there is a limit to how often they are replaced without success.
TEST_P(broken_pool_test, workers_die_before_any_task) {
  for (const int workers : {1, 3}) {
    process_pool_executor pool(options(workers));
    std::set<pid_t> killed;
    EXPECT_TRUE(eventually([&] {
      bool all_ended = true;
      for (const worker_stats& w : pool.stats().workers) {
        all_ended = all_ended && w.state == worker_state::ended;
        if (w.pid != 0 && killed.insert(w.pid).second) ::kill(w.pid, SIGKILL);
      }
      // Fewer may all be dead for a moment, and are replaced.
      return all_ended && static_cast<int>(killed.size()) > std::max(3, 2 * workers);
    }));
    const std::string why = why_broken(pool);
    EXPECT_EQ(why,
              "the pool's workers were ended by signal 9 (SIGKILL) before they ran any task, again "
              "and again");
    EXPECT_THROW((void)pool.map(echo, std::vector{1}), broken_process_pool);
    EXPECT_GE(pool.stats().restarts, static_cast<std::size_t>(std::max(3, 2 * workers)));
    EXPECT_EQ(pool.stats().failed, 0U);
  }
}

// The server's process lives, and ends before it is ready.
TEST_P(broken_pool_test, the_fork_server_ends_at_once) {
  spoil_servers("leave");
  const std::string what = message_of<broken_process_pool>([&] { any_pool(); });
  EXPECT_NE(what.find("the fork server ended before it was ready"), std::string::npos) << what;
  // The cause is nested, as the type that it has.
  try {
    any_pool();
    ADD_FAILURE() << "no error";
  } catch (const broken_process_pool& e) {
    EXPECT_EQ(message_of<procpool::error>([&] { std::rethrow_if_nested(e); }), what);
  }
  spare_servers();
  EXPECT_EQ(any_pool().submit(echo, 4).get(), 4);
}

// Constructors of static objects start a thread, which a process that will be forked must not
// have.
TEST_P(broken_pool_test, the_fork_server_has_threads) {
  if (method() == start_method::fork) GTEST_SKIP() << "it executes nothing";
  if (os::thread_sanitizer) GTEST_SKIP() << "it has a thread itself, so none is counted";
  spoil_servers("thread");
  const std::string what = message_of<broken_process_pool>([&] { any_pool(); });
  EXPECT_NE(what.find("starts threads before main()"), std::string::npos) << what;
  EXPECT_NE(what.find("(1 run)"), std::string::npos) << what;
}

// The pool's own thread waits for the new server, and a shutdown does not wait for that thread.
TEST_P(broken_pool_test, the_fork_server_takes_its_time_to_start_again) {
  if (method() == start_method::fork) GTEST_SKIP() << "a forked server is not started again";
  const int children = holdings::now().children;
  {
    process_pool_executor pool(options(1));
    ASSERT_EQ(pool.submit(echo, 1).get(), 1);
    ASSERT_TRUE(eventually([&] { return any_worker(pool) != 0; }));
    const pid_t server = parent_of(any_worker(pool));
    ASSERT_GT(server, 1);
    spoil_servers("wait");
    ASSERT_EQ(::kill(server, SIGKILL), 0);
    // Its worker may live a moment longer, and take one more task.
    ASSERT_TRUE(eventually([&] { return any_worker(pool) == 0; }));
    auto queued = pool.submit(echo, 2);
    EXPECT_EQ(queued.wait_for(duration(0.2)), std::future_status::timeout);
    const auto before = std::chrono::steady_clock::now();
    pool.shutdown({.timeout = duration(0.1)});
    EXPECT_LT(std::chrono::steady_clock::now() - before, duration(20));
    EXPECT_TRUE(queued.done());
    spare_servers();
  }
  EXPECT_EQ(any_pool().submit(echo, 4).get(), 4);
  EXPECT_TRUE(eventually([&] {
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    return holdings::now().children <= children;
  }));
}

// A fork that would be unsafe is an error of its own.
TEST_P(broken_pool_test, a_thread_of_this_process_is_no_broken_pool) {
  if (method() != start_method::fork) GTEST_SKIP() << "others do not mind";
  std::atomic<bool> stop{false};
  std::thread other([&] { stop.wait(false); });
  EXPECT_THROW(any_pool(), unsafe_fork_error);
  stop = true;
  stop.notify_all();
  other.join();
}

TEST_P(broken_pool_test, the_fork_server_dies_and_cannot_be_started_again) {
  const int children = holdings::now().children;
  {
    process_pool_executor pool(options(1));
    auto running = pool.submit(between_gates, at_("begun"), at_("never"), at_("ended"));
    auto queued = pool.submit(echo, 1);
    ASSERT_TRUE(eventually([&] { return exists(at_("begun")) && any_worker(pool) != 0; }));
    const pid_t server = parent_of(any_worker(pool));
    ASSERT_GT(server, 1);
    ASSERT_NE(server, getpid());
    spoil_servers("leave");
    ASSERT_EQ(::kill(server, SIGKILL), 0);
    EXPECT_THROW(running.get(), worker_crashed);
    const std::string why = message_of<broken_process_pool>([&] { queued.get(); });
    if (method() == start_method::fork) {
      EXPECT_NE(why.find("a forked one cannot be made again"), std::string::npos) << why;
    } else {
      EXPECT_NE(why.find("died and cannot be started again: "), std::string::npos) << why;
      EXPECT_NE(why.find("ended before it was ready"), std::string::npos) << why;
    }
    EXPECT_EQ(why_broken(pool), why);
  }
  spare_servers();
  EXPECT_EQ(any_pool().submit(echo, 4).get(), 4);
  // A worker that the server forked in its last moment is this process's to reap.
  EXPECT_TRUE(eventually([&] {
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    return holdings::now().children <= children;
  }));
}

}  // namespace
