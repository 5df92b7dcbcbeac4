// The texts of the errors that the library makes by itself, whole.
#include <csignal>

#include <gtest/gtest.h>

#include "procpool/errors.hpp"

namespace {

using procpool::death_record;

std::string text_of(const death_record& r) { return procpool::worker_crashed(r).what(); }

TEST(errors_test, a_signal_with_its_name) {
  EXPECT_EQ(text_of({.label = "resize", .pid = 4711, .signal = SIGSEGV}),
            "worker 4711 was ended by signal 11 (SIGSEGV) while it ran task 'resize'");
  EXPECT_EQ(text_of({.label = "resize", .pid = 4711, .signal = SIGABRT, .core_dumped = true}),
            "worker 4711 was ended by signal 6 (SIGABRT), core dumped, while it ran task 'resize'");
  EXPECT_EQ(text_of({.label = "", .pid = 4711, .signal = SIGTERM}),
            "worker 4711 was ended by signal 15 (SIGTERM) while it ran its task");
}

TEST(errors_test, a_signal_without_a_name) {
  EXPECT_EQ(text_of({.label = "", .pid = 1, .signal = 40}),
            "worker 1 was ended by signal 40 while it ran its task");
}

TEST(errors_test, sigkill_hints_at_memory) {
  EXPECT_EQ(text_of({.label = "resize", .pid = 4711, .signal = SIGKILL}),
            "worker 4711 was ended by signal 9 (SIGKILL) while it ran task 'resize'; if no "
            "process sent it, the machine ran out of memory: use fewer workers or smaller tasks");
}

TEST(errors_test, the_end_of_the_whole_pool_hints_at_nothing) {
  EXPECT_EQ(text_of({.label = "", .pid = 4711, .signal = SIGKILL, .with_pool = true}),
            "worker 4711 was ended by signal 9 (SIGKILL) with the whole pool (kill_workers, "
            "terminate_workers, shutdown's timeout) while it ran its task");
}

TEST(errors_test, an_exit_code) {
  EXPECT_EQ(text_of({.label = "resize", .pid = 4711, .exit_code = 3}),
            "worker 4711 left with exit code 3 while it ran task 'resize'; a task must return or "
            "throw, not exit");
  EXPECT_EQ(text_of({.label = "", .pid = 4711}),
            "worker 4711 left with exit code 0 while it ran its task; a task must return or "
            "throw, not exit");
}

TEST(errors_test, a_retry_is_counted) {
  EXPECT_EQ(text_of({.label = "", .pid = 4711, .signal = SIGSEGV, .attempt = 3}),
            "worker 4711 was ended by signal 11 (SIGSEGV) while it ran its task (attempt 3)");
}

TEST(errors_test, a_cancelled_task) {
  EXPECT_STREQ(procpool::cancelled_error().what(), "the task was cancelled before it finished");
}

TEST(errors_test, a_death_with_all_that_is_known_of_the_task) {
  const procpool::worker_crashed e({.label = "resize",
                                    .pid = 4711,
                                    .signal = SIGBUS,
                                    .exit_code = 0,
                                    .attempt = 2,
                                    .core_dumped = true,
                                    .will_retry = true});
  EXPECT_EQ(e.label(), "resize");
  EXPECT_EQ(e.pid(), 4711);
  EXPECT_EQ(e.signal(), SIGBUS);
  EXPECT_EQ(e.exit_code(), 0);
  EXPECT_EQ(e.attempt(), 2);
  EXPECT_TRUE(e.core_dumped());
  EXPECT_TRUE(e.will_retry());
}

}  // namespace
