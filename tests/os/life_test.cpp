// Names of threads and processes that end with them.
#include "os/life.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "os/sanitizers.hpp"
#include "support/pool_test.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;

struct shared_lives {
  std::atomic<os::life> thread{0}, process{0};
  std::atomic<bool> end{false};
};

class life_test : public leak_free_test {
 protected:
  life_test() {
    void* memory = mmap(nullptr, sizeof(shared_lives), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    lives = new (memory) shared_lives;
  }
  ~life_test() override { munmap(lives, sizeof(shared_lives)); }
  shared_lives* lives;
};

TEST_F(life_test, ones_own) {
  EXPECT_EQ(os::this_thread_life(), os::this_thread_life());
  EXPECT_NE(os::this_thread_life(), os::this_process_life());
  EXPECT_FALSE(os::has_ended(os::this_thread_life()));
  EXPECT_FALSE(os::has_ended(os::this_process_life()));
  EXPECT_TRUE(os::has_ended(os::nobody));
}

TEST_F(life_test, a_number_that_is_used_again_is_somebody_else) {
  const os::life one_tick = os::life{1} << 22U;
  EXPECT_TRUE(os::has_ended(os::this_thread_life() - one_tick));
  EXPECT_TRUE(os::has_ended(os::this_process_life() + one_tick));
}

TEST_F(life_test, threads) {
  std::thread t([this] {
    lives->thread = os::this_thread_life();
    lives->process = os::this_process_life();
    while (!lives->end) std::this_thread::yield();
  });
  EXPECT_TRUE(eventually([this] { return lives->process != 0; }));
  EXPECT_NE(lives->thread, os::this_thread_life());
  EXPECT_EQ(lives->process, os::this_process_life());
  EXPECT_FALSE(os::has_ended(lives->thread));
  lives->end = true;
  t.join();
  EXPECT_TRUE(eventually([this] { return os::has_ended(lives->thread); }));
}

TEST_F(life_test, a_fork_is_somebody_else_and_ends_before_it_is_waited_for) {
  os::this_thread_life();
  os::this_process_life();
  const pid_t child = fork();
  if (child == 0) {
    lives->thread = os::this_thread_life();
    lives->process = os::this_process_life();
    for (;;) pause();
  }
  EXPECT_TRUE(eventually([this] { return lives->process != 0; }));
  EXPECT_NE(lives->thread, os::this_thread_life());
  EXPECT_NE(lives->process, os::this_process_life());
  EXPECT_FALSE(os::has_ended(lives->process));
  kill(child, SIGKILL);
  EXPECT_TRUE(eventually([this] { return os::has_ended(lives->process); }));
  EXPECT_TRUE(os::has_ended(lives->thread));
  EXPECT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_TRUE(os::has_ended(lives->process));
}

TEST_F(life_test, a_process_lives_without_its_first_thread) {
  if (os::thread_sanitizer) GTEST_SKIP() << "does not follow a fork";
  const pid_t child = fork();
  if (child == 0) {
    lives->thread = os::this_thread_life();
    lives->process = os::this_process_life();
    std::thread([this] {
      while (!lives->end) std::this_thread::yield();
      _exit(0);
    }).detach();
    syscall(SYS_exit, 0);  // the thread, not the process
  }
  EXPECT_TRUE(eventually([this] { return lives->process != 0; }));
  EXPECT_TRUE(eventually([this] { return os::has_ended(lives->thread); }));
  EXPECT_FALSE(os::has_ended(lives->process));
  lives->end = true;
  EXPECT_TRUE(eventually([this] { return os::has_ended(lives->process); }));
  EXPECT_EQ(waitpid(child, nullptr, 0), child);
}

}  // namespace
