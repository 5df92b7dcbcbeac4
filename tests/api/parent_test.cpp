// The program that has the pool: it is killed, or it is the first process of a container.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <set>
#include <string>

#include "support/names.hpp"
#include "support/pool_test.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;

constexpr char program[] = PROCPOOL_TEST_PROGRAMS_DIR "/pool_parent";
constexpr char marker[] = "PROCPOOL_TEST_FAMILY";

// The live processes that have the marker in their environment: whatever was started from the
// process that was given it, however it was started. Zombies have none.
std::set<pid_t> family(const std::string& name) {
  std::string wanted = marker;
  wanted.append("=").append(name).push_back('\0');
  std::set<pid_t> pids;
  for (const std::string& path : entries_of("/proc")) {
    if (std::isdigit(static_cast<unsigned char>(path[6])) == 0) continue;
    if (text_of(path + "/environ").find(wanted) != std::string::npos) {
      pids.insert(std::stoi(path.substr(6)));
    }
  }
  return pids;
}

class parent_test : public pool_test {
 protected:
  // Orphans come to this process.
  void reap_all() const {
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
  }

  // Kills a program with a pool; the time until no process of it is left.
  duration time_until_all_are_gone(int attempt) {
    const std::string name =
        std::to_string(getpid()) + "." + name_of(method()) + "." + std::to_string(attempt);
    int output[2];
    EXPECT_EQ(pipe2(output, O_CLOEXEC), 0);
    const std::string method_name = name_of(method());
    const pid_t pid = fork();
    if (pid == 0) {
      dup2(output[1], 1);
      setenv(marker, name.c_str(), 1);
      execl(program, program, method_name.c_str(), "hold", nullptr);
      _exit(127);
    }
    close(output[1]);
    char text[6] = {};
    EXPECT_EQ(read(output[0], text, 5), 5);
    EXPECT_STREQ(text, "ready");

    // The program, its fork server, four workers, and what a task has left.
    std::set<pid_t> pids;
    EXPECT_TRUE(eventually([&] {
      pids = family(name);
      return pids.size() >= 7;
    })) << pids.size();
    EXPECT_TRUE(pids.contains(pid));
    EXPECT_THAT(names_held_by(pids), ::testing::IsEmpty());
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_EQ(::kill(pid, SIGKILL), 0);
    EXPECT_TRUE(eventually([&] { return family(name).empty(); }));
    const duration took = std::chrono::steady_clock::now() - begin;
    close(output[0]);
    for (const pid_t p : family(name)) ::kill(p, SIGKILL);
    return took;
  }
};
PROCPOOL_FOR_EACH_START_METHOD(parent_test);

// Soon nothing is left of a program that was killed: no process, and no name in the system, since
// it had none. It takes some hundredths of a second where nothing else runs. A machine may be slow
// once, but not three times.
TEST_P(parent_test, a_killed_program_leaves_no_process_and_no_name) {
  constexpr duration soon(5);
  const int children = holdings::now().children;
  process_pool_executor neighbour(options(1));
  duration least(1e9);
  for (int attempt = 0; attempt < 3 && least >= soon && !HasFailure(); ++attempt) {
    least = std::min(least, time_until_all_are_gone(attempt));
  }
  EXPECT_LT(least, soon);
  // The pools of other programs continue.
  EXPECT_EQ(neighbour.submit([](int x) { return 2 * x; }, 21).get(), 42);
  neighbour.shutdown();
  EXPECT_TRUE(eventually([&] {
    reap_all();
    return holdings::now().children <= children;
  }));
}

constexpr int not_permitted = 77;

// Makes the next child of this process the first one of a new pid namespace.
bool enter_pid_namespace() {
  if (unshare(CLONE_NEWPID) == 0) return true;
  const std::string map = "0 " + std::to_string(getuid()) + " 1";
  if (unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0) return false;
  std::ofstream("/proc/self/uid_map") << map;
  return true;
}

TEST_P(parent_test, the_first_process_of_a_container) {
  const std::string method_name = name_of(method());
  const pid_t outer = fork();
  if (outer == 0) {
    if (!enter_pid_namespace()) _exit(not_permitted);
    const pid_t first = fork();
    if (first == 0) {
      execl(program, program, method_name.c_str(), "first_process", nullptr);
      _exit(127);
    }
    int status = 0;
    if (first < 0 || waitpid(first, &status, 0) != first) _exit(126);
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 125);
  }
  int status = -1;
  ASSERT_EQ(waitpid(outer, &status, 0), outer);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == not_permitted) GTEST_SKIP() << "no pid namespaces for this user";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
