// Where a task was when its worker died.
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <future>
#include <string>
#include <vector>

#include "os/sanitizers.hpp"
#include "support/pool_test.hpp"

// Not in the anonymous namespace and not inlined: their names are looked for.
namespace traced {

[[gnu::noinline]] int read_through(const volatile int* p) {
  const int value = *p;
  return value + 1;
}
[[gnu::noinline]] int fault(int x) { return read_through(nullptr) + x; }
[[gnu::noinline]] int give_up(int) { std::abort(); }
[[gnu::noinline]] int descend(int n) {
  volatile char frame[4096];
  frame[0] = static_cast<char>(n);
  return n < 0 ? 0 : descend(n + 1) + frame[0];
}

}  // namespace traced

namespace {

using namespace procpool;
using namespace procpool::testing;

int be_killed(int) { return std::raise(SIGKILL); }
int leave(int code) { std::_Exit(code); }
int fault_with_own_handler(int) {
  std::signal(SIGSEGV, SIG_DFL);
  return traced::fault(1);
}
// What the task has started is another process: its end is not the worker's.
int fault_in_a_child(int) {
  const pid_t child = fork();
  if (child == 0) traced::give_up(0);
  int status = 0;
  waitpid(child, &status, 0);
  if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT) return 1;
  std::_Exit(9);
}

class backtrace_test : public pool_test {
 protected:
  void SetUp() override {
    pool_test::SetUp();
    if (os::address_sanitizer || os::thread_sanitizer) GTEST_SKIP() << "the sanitizer has handlers";
  }
  static std::vector<std::string> after(process_pool_executor& pool, int (*task)(int), int signal) {
    try {
      pool.submit(task, 5).get();
    } catch (const worker_crashed& e) {
      EXPECT_EQ(e.signal(), signal) << e.what();
      return e.backtrace();
    }
    ADD_FAILURE() << "it did not crash";
    return {};
  }
  // Which of the frames is in this function; -1: none.
  static int find(const std::vector<std::string>& frames, const std::string& function) {
    for (std::size_t i = 0; i < frames.size(); ++i) {
      if (frames[i].starts_with(function)) return static_cast<int>(i);
    }
    return -1;
  }
};
PROCPOOL_FOR_EACH_START_METHOD(backtrace_test);

TEST_P(backtrace_test, lists_the_innermost_call_first) {
  process_pool_executor pool(options(1));
  const auto frames = after(pool, traced::fault, SIGSEGV);
  const auto text = ::testing::PrintToString(frames);
  EXPECT_EQ(find(frames, "traced::read_through(int const volatile*)+0x"), 0) << text;
  EXPECT_EQ(find(frames, "traced::fault(int)+0x"), 1) << text;
  // The program's file and an address in it, and nothing of what starts a worker.
  EXPECT_NE(frames.at(0).find(" (/"), std::string::npos) << text;
  EXPECT_NE(frames.at(0).find("api_backtrace_test 0x"), std::string::npos) << text;
  EXPECT_EQ(find(frames, "_start"), -1) << text;
  EXPECT_EQ(find(frames, "main"), -1) << text;
}

TEST_P(backtrace_test, abort_and_a_stack_overflow_have_backtraces) {
  process_pool_executor pool(options(1));
  EXPECT_GT(find(after(pool, traced::give_up, SIGABRT), "traced::give_up(int)+0x"), 0);
  const auto frames = after(pool, traced::descend, SIGSEGV);
  EXPECT_EQ(find(frames, "traced::descend(int)+0x"), 0) << ::testing::PrintToString(frames);
  EXPECT_LE(frames.size(), 32u);
}

TEST_P(backtrace_test, each_death_has_its_own_backtrace) {
  process_pool_executor pool(options(1));
  EXPECT_FALSE(after(pool, traced::fault, SIGSEGV).empty());
  EXPECT_EQ(after(pool, be_killed, SIGKILL), std::vector<std::string>());
  EXPECT_EQ(after(pool, leave, 0), std::vector<std::string>());
  EXPECT_EQ(after(pool, fault_in_a_child, 0), std::vector<std::string>());
}

TEST_P(backtrace_test, a_task_may_handle_the_signal_itself) {
  process_pool_executor pool(options(1));
  EXPECT_EQ(after(pool, fault_with_own_handler, SIGSEGV), std::vector<std::string>());
}

TEST_P(backtrace_test, death_reports_have_the_backtrace) {
  std::promise<std::vector<std::string>> reported;
  pool_options o = options(1);
  o.on_worker_death = [&](const task_killed& t) { reported.set_value(t.backtrace()); };
  process_pool_executor pool(o);
  EXPECT_FALSE(after(pool, traced::fault, SIGSEGV).empty());
  EXPECT_EQ(find(reported.get_future().get(), "traced::read_through"), 0);
}

}  // namespace
