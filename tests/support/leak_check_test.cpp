// That the check which every test ends with sees what it is there for.
#include "support/leak_check.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <thread>

namespace {

using namespace procpool::testing;
using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

std::string left_since(const holdings& before) { return leaked_since(before, 0ms); }

pid_t child_that_waits() {
  const pid_t pid = fork();
  while (pid == 0) pause();
  return pid;
}

TEST(leak_check_test, nothing_is_left) {
  EXPECT_EQ(end_leak_check(), "");
  EXPECT_EQ(left_since(holdings::now()), "");
}

TEST(leak_check_test, a_descriptor_since_the_beginning_of_the_test) {
  begin_leak_check(0ms);
  const int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
  EXPECT_THAT(end_leak_check(), HasSubstr("descriptors: 1 more"));
  EXPECT_THAT(end_leak_check(), HasSubstr(" -> /dev/zero"));
  close(fd);
  EXPECT_EQ(end_leak_check(), "");
}

TEST(leak_check_test, shared_memory_in_place_of_another_descriptor) {
  const int other = open("/dev/zero", O_RDONLY | O_CLOEXEC);
  const holdings before = holdings::now();
  close(other);
  const int fd = memfd_create("procpool-something", MFD_CLOEXEC);
  EXPECT_THAT(left_since(before), HasSubstr("descriptors of shared memory: 1 more"));
  EXPECT_THAT(left_since(before), Not(HasSubstr("descriptors: ")));
  close(fd);
}

TEST(leak_check_test, a_mapping_without_a_descriptor) {
  const holdings before = holdings::now();
  const int fd = memfd_create("procpool-something", MFD_CLOEXEC);
  ASSERT_EQ(ftruncate(fd, 4096), 0);
  void* mapped = mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd, 0);
  ASSERT_NE(mapped, MAP_FAILED);
  close(fd);
  EXPECT_THAT(left_since(before), HasSubstr("mappings of shared memory: 1 more"));
  EXPECT_THAT(left_since(before), HasSubstr("/memfd:procpool-something"));
  munmap(mapped, 4096);
}

TEST(leak_check_test, a_thread) {
  const holdings before = holdings::now();
  int hold[2];
  ASSERT_EQ(pipe(hold), 0);
  std::thread thread([&] {
    char c = 0;
    [[maybe_unused]] const ssize_t n = read(hold[0], &c, 1);
  });
  EXPECT_THAT(left_since(before), HasSubstr("threads: 1 more"));
  begin_leak_check(0ms);
  std::thread second([] {
    for (;;) pause();
  });
  second.detach();
  EXPECT_THAT(end_leak_check(), HasSubstr("threads: 1 more"));
  keep_threads(1);
  EXPECT_EQ(end_leak_check(), "");
  close(hold[1]);
  thread.join();
  close(hold[0]);
}

TEST(leak_check_test, a_process_and_then_its_zombie) {
  const holdings before = holdings::now();
  const pid_t child = child_that_waits();
  EXPECT_THAT(left_since(before), HasSubstr("processes: 1 more\n    " + std::to_string(child)));
  const holdings alive = holdings::now();
  kill(child, SIGKILL);
  siginfo_t info{};
  waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT);
  EXPECT_THAT(left_since(alive), HasSubstr("zombies: 1 more"));
  EXPECT_THAT(left_since(alive), Not(HasSubstr("processes: ")));
  waitpid(child, nullptr, 0);
  EXPECT_EQ(left_since(before), "");
}

// Runs itself in another process, where it leaves something.
TEST(leak_check_test, a_test_that_leaves_something_fails) {
  if (std::getenv("PROCPOOL_TEST_LEAK") != nullptr) {
    begin_leak_check(0ms);
    EXPECT_GT(open("/dev/zero", O_RDONLY | O_CLOEXEC), 0);
    return;
  }
  char program[PATH_MAX] = {};
  ASSERT_GT(readlink("/proc/self/exe", program, sizeof program - 1), 0);
  const std::string test = std::string(program) + " --gtest_filter=leak_check_test.";
  const std::string quiet = " > /dev/null";
  EXPECT_EQ(std::system((test + "nothing_is_left" + quiet).c_str()), 0);
  const int status = std::system(
      ("PROCPOOL_TEST_LEAK=1 " + test + "a_test_that_leaves_something_fails" + quiet).c_str());
  EXPECT_EQ(WEXITSTATUS(status), 1);
}

}  // namespace
