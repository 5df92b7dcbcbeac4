// The program that has the pool: it is killed, or it is the first process of a container.
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>

#include "support/pool_test.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;

constexpr char program[] = PROCPOOL_TEST_PROGRAMS_DIR "/pool_parent";
constexpr char marker[] = "PROCPOOL_TEST_FAMILY";

std::set<std::string> entries_of(const char* folder) {
  std::set<std::string> names;
  DIR* dir = opendir(folder);
  if (dir == nullptr) return names;
  while (const dirent* e = readdir(dir)) names.insert(std::string(folder) + "/" + e->d_name);
  closedir(dir);
  return names;
}

// With read(): a stream throws when the process vanishes between open and read.
std::string text_of(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  std::string text;
  char part[4096];
  for (ssize_t n = 0; (n = read(fd, part, sizeof part)) > 0;) {
    text.append(part, static_cast<std::size_t>(n));
  }
  close(fd);
  return text;
}

// The live processes that have the marker in their environment: whatever was started from the one
// that was given it, however it was started. Zombies have none.
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

// Where shared memory, semaphores, sockets and files have their names.
std::set<std::string> names_in_the_system() {
  std::set<std::string> names = entries_of("/dev/shm");
  names.merge(entries_of("/tmp"));
  std::istringstream sockets(text_of("/proc/net/unix"));
  for (std::string line; std::getline(sockets, line);) {
    std::istringstream words(line);
    const std::vector<std::string> columns(std::istream_iterator<std::string>(words), {});
    if (columns.size() > 7) names.insert("socket " + columns[7]);
  }
  return names;
}

// New names that are the library's, or that name one of the processes. Other tests, which may run
// at the same time, have files of their own.
std::string names_of(const std::set<pid_t>& pids, const std::set<std::string>& before) {
  std::string found;
  for (const std::string& name : names_in_the_system()) {
    if (before.contains(name)) continue;
    bool ours = name.find("procpool") != std::string::npos;
    for (const char* prefix : {"procpool-tally-", "procpool-test-", "procpool-cost-"}) {
      if (name.find(prefix) != std::string::npos) ours = false;
    }
    for (auto at = name.begin(); at != name.end();) {
      at = std::find_if(at, name.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
      const auto end =
          std::find_if(at, name.end(), [](unsigned char c) { return std::isdigit(c) == 0; });
      const std::string number(at, end);
      ours = ours || std::any_of(pids.begin(), pids.end(),
                                 [&](pid_t p) { return std::to_string(p) == number; });
      at = end;
    }
    if (ours) found += name + "\n";
  }
  return found;
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
    const std::set<std::string> before = names_in_the_system();
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
    EXPECT_EQ(names_of(pids, before), "");
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_EQ(::kill(pid, SIGKILL), 0);
    EXPECT_TRUE(eventually([&] { return family(name).empty(); }));
    const duration took = std::chrono::steady_clock::now() - begin;
    close(output[0]);
    EXPECT_EQ(names_of(pids, before), "");
    for (const pid_t p : family(name)) ::kill(p, SIGKILL);
    return took;
  }
};
PROCPOOL_FOR_EACH_START_METHOD(parent_test);

// After one second nothing is left of a program that was killed: no process, and no name in the
// system. A machine may be slow once, but not three times.
TEST_P(parent_test, a_killed_program_leaves_nothing_after_a_second) {
  const int children = holdings::now().children;
  process_pool_executor neighbour(options(1));
  duration least(1e9);
  for (int attempt = 0; attempt < 3 && least >= duration(1) && !HasFailure(); ++attempt) {
    least = std::min(least, time_until_all_are_gone(attempt));
  }
  EXPECT_LT(least.count(), 1.0);
  // The pools of others go on.
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
