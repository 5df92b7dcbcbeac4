// What is left when the program itself goes: nothing, whichever way it goes.

#include <fcntl.h>

#include <sstream>
#include <vector>

#include "launch/harness.hpp"

namespace procpool::testing {
namespace {

std::string program_name(start_method method) {
  return method == start_method::fork         ? "fork"
         : method == start_method::forkserver ? "forkserver"
                                              : "spawn";
}

struct child_program {
  pid_t pid = 0;
  os::unique_fd output;
};

child_program start_program(start_method method, const std::string& action) {
  int ends[2];
  EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const std::string name = program_name(method);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::dup2(ends[1], 1);
    // The servers of other processes must not be reached by a terminal's signals to ours.
    ::setpgid(0, 0);
    ::execl(PROCPOOL_TEST_PROGRAMS_DIR "/launch_parent", "launch_parent", name.c_str(),
            action.c_str(), nullptr);
    ::_exit(127);
  }
  ::close(ends[1]);
  return {pid, os::unique_fd(ends[0])};
}

// The pids that the program prints on one line.
std::vector<pid_t> read_pids(int fd) {
  std::string line;
  for (char c = 0; ::read(fd, &c, 1) == 1 && c != '\n';) line += c;
  std::istringstream words(line);
  std::vector<pid_t> pids;
  for (pid_t pid = 0; words >> pid;) pids.push_back(pid);
  return pids;
}

class parent_death_test : public ::testing::TestWithParam<start_method> {};
PROCPOOL_LAUNCH_TESTS(parent_death_test);

void expect_all_gone(const std::vector<pid_t>& pids) {
  for (const pid_t pid : pids) {
    // A second is the promise; a machine under load gets more.
    EXPECT_TRUE(eventually([&] { return is_gone(pid); }, 5s)) << pid << " is still there";
  }
}

TEST_P(parent_death_test, a_killed_program_leaves_no_process) {
  const child_program program = start_program(GetParam(), "hold");
  const std::vector<pid_t> pids = read_pids(program.output.get());
  ASSERT_GE(pids.size(), 7U);
  EXPECT_FALSE(is_gone(pids.front()));
  EXPECT_FALSE(is_gone(pids.back()));  // what the task has left
  ASSERT_EQ(::kill(program.pid, SIGKILL), 0);
  ASSERT_EQ(::waitpid(program.pid, nullptr, 0), program.pid);
  expect_all_gone(pids);
}

TEST_P(parent_death_test, a_signal_to_the_whole_group_leaves_no_process) {
  const child_program program = start_program(GetParam(), "hold");
  const std::vector<pid_t> pids = read_pids(program.output.get());
  ASSERT_GE(pids.size(), 7U);
  ASSERT_EQ(::kill(-program.pid, SIGINT), 0);
  int status = 0;
  ASSERT_EQ(::waitpid(program.pid, &status, 0), program.pid);
  EXPECT_TRUE(WIFSIGNALED(status));
  expect_all_gone(pids);
}

TEST_P(parent_death_test, a_program_without_standard_streams_has_pools) {
  const child_program program = start_program(GetParam(), "without_streams");
  int status = -1;
  ASSERT_EQ(::waitpid(program.pid, &status, 0), program.pid);
  EXPECT_EQ(status, 0) << WEXITSTATUS(status);
}

}  // namespace
}  // namespace procpool::testing
