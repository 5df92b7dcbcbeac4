// Names of threads and processes that end with them.
#include "os/owner_id.hpp"

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

struct shared_owners {
  std::atomic<os::owner_id> thread{0}, process{0};
  std::atomic<bool> end{false};
};

class owner_id_test : public leak_free_test {
 protected:
  owner_id_test() {
    void* memory = mmap(nullptr, sizeof(shared_owners), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    owners = new (memory) shared_owners;
  }
  ~owner_id_test() override { munmap(owners, sizeof(shared_owners)); }
  shared_owners* owners;
};

TEST_F(owner_id_test, the_calling_thread_and_process_are_owners) {
  EXPECT_EQ(os::this_thread_owner(), os::this_thread_owner());
  EXPECT_NE(os::this_thread_owner(), os::this_process_owner());
  EXPECT_FALSE(os::has_ended(os::this_thread_owner()));
  EXPECT_FALSE(os::has_ended(os::this_process_owner()));
  EXPECT_TRUE(os::has_ended(os::no_owner));
}

TEST_F(owner_id_test, a_reused_process_number_is_another_owner) {
  const os::owner_id one_tick = os::owner_id{1} << 22U;
  EXPECT_TRUE(os::has_ended(os::this_thread_owner() - one_tick));
  EXPECT_TRUE(os::has_ended(os::this_process_owner() + one_tick));
}

TEST_F(owner_id_test, each_thread_is_an_owner) {
  std::thread t([this] {
    owners->thread = os::this_thread_owner();
    owners->process = os::this_process_owner();
    while (!owners->end) std::this_thread::yield();
  });
  EXPECT_TRUE(eventually([this] { return owners->process != 0; }));
  EXPECT_NE(owners->thread, os::this_thread_owner());
  EXPECT_EQ(owners->process, os::this_process_owner());
  EXPECT_FALSE(os::has_ended(owners->thread));
  owners->end = true;
  t.join();
  EXPECT_TRUE(eventually([this] { return os::has_ended(owners->thread); }));
}

TEST_F(owner_id_test, a_forked_process_is_another_owner_and_ends_before_it_is_waited_for) {
  os::this_thread_owner();
  os::this_process_owner();
  const pid_t child = fork();
  if (child == 0) {
    owners->thread = os::this_thread_owner();
    owners->process = os::this_process_owner();
    for (;;) pause();
  }
  EXPECT_TRUE(eventually([this] { return owners->process != 0; }));
  EXPECT_NE(owners->thread, os::this_thread_owner());
  EXPECT_NE(owners->process, os::this_process_owner());
  EXPECT_FALSE(os::has_ended(owners->process));
  kill(child, SIGKILL);
  EXPECT_TRUE(eventually([this] { return os::has_ended(owners->process); }));
  EXPECT_TRUE(os::has_ended(owners->thread));
  EXPECT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_TRUE(os::has_ended(owners->process));
}

TEST_F(owner_id_test, a_process_lives_without_its_first_thread) {
  if (os::thread_sanitizer) GTEST_SKIP() << "does not follow a fork";
  const pid_t child = fork();
  if (child == 0) {
    owners->thread = os::this_thread_owner();
    owners->process = os::this_process_owner();
    std::thread([this] {
      while (!owners->end) std::this_thread::yield();
      _exit(0);
    }).detach();
    syscall(SYS_exit, 0);  // the thread, not the process
  }
  EXPECT_TRUE(eventually([this] { return owners->process != 0; }));
  EXPECT_TRUE(eventually([this] { return os::has_ended(owners->thread); }));
  EXPECT_FALSE(os::has_ended(owners->process));
  owners->end = true;
  EXPECT_TRUE(eventually([this] { return os::has_ended(owners->process); }));
  EXPECT_EQ(waitpid(child, nullptr, 0), child);
}

}  // namespace
