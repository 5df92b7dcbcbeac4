// The main function of all test programs. Each test is followed by the leak check, whatever its
// fixture is; the watchdog of a fixture ends before.
#include <gtest/gtest.h>

#include <thread>

#include "os/sanitizers.hpp"
#include "procpool/detail/task/code_ref.hpp"
#include "support/leak_check.hpp"

namespace {

// What a process has once and keeps is there before the first test: the page with its modules, and
// the thread that ThreadSanitizer adds to the first one of the program's own.
void make_what_stays() {
  if (procpool::os::thread_sanitizer) std::thread([] {}).join();
  static_cast<void>(procpool::detail::to_code_ref(reinterpret_cast<const void*>(&make_what_stays)));
}

class leak_listener final : public ::testing::EmptyTestEventListener {
  void OnTestStart(const ::testing::TestInfo&) override { procpool::testing::begin_leak_check(); }
  void OnTestEnd(const ::testing::TestInfo&) override {
    EXPECT_EQ(procpool::testing::end_leak_check(), "") << "left behind by the test";
  }
};

}  // namespace

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  make_what_stays();
  ::testing::UnitTest::GetInstance()->listeners().Append(new leak_listener);
  return RUN_ALL_TESTS();
}
