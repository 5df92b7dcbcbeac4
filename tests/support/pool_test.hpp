// Fixtures for tests of pools: one suite runs for every start method, each test under a watchdog
// and, like all tests, followed by the check that nothing is left (leak_check.hpp).
//
//   class map_test : public pool_test {};
//   PROCPOOL_FOR_EACH_START_METHOD(map_test);
//   TEST_P(map_test, keeps_the_order) { process_pool_executor pool(options(2)); ... }
//
// PROCPOOL_TEST_START_METHODS=spawn,forkserver restricts the methods: ThreadSanitizer cannot follow
// a fork of a process with threads.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "procpool/procpool.hpp"
#include "support/leak_check.hpp"

namespace procpool::testing {

// The start methods to test, from the environment.
std::vector<start_method> start_methods();
std::string name_of(start_method m);

// Polls until `condition` holds; false after `limit`, which is long: the machine may have much else
// to do, and only a failure takes so long. The only way in which tests wait for what is not
// announced.
bool eventually(const std::function<bool()>& condition, duration limit = duration(30));

// Aborts the process, with a message, if a test does not end in time: a hang is a failure.
class watchdog {
 public:
  explicit watchdog(duration limit);
  ~watchdog();
  watchdog(const watchdog&) = delete;
  watchdog& operator=(const watchdog&) = delete;

 private:
  struct state;
  state* state_;
};

// Under a watchdog, and counts the orphans of its pools as its own.
class leak_free_test : public ::testing::Test {
 protected:
  leak_free_test();
  ~leak_free_test() override;
  void SetUp() override;  // fixtures that override it call it when they have made what stays

 private:
  watchdog watchdog_;
};

// For shared objects between threads: what stays of the first one is there before.
class handle_test : public leak_free_test {
 protected:
  void SetUp() override {
    const mutex first;
    leak_free_test::SetUp();
  }
};

class pool_test : public leak_free_test, public ::testing::WithParamInterface<start_method> {
 protected:
  // What a process has once for all its pools (the process page, the fork server's master) is there
  // before anything is counted.
  void SetUp() override;
  start_method method() const { return GetParam(); }
  pool_options options(int workers = 2) const {
    return pool_options{.max_workers = workers, .start = method()};
  }
};

}  // namespace procpool::testing

#define PROCPOOL_FOR_EACH_START_METHOD(fixture)                                       \
  INSTANTIATE_TEST_SUITE_P(start, fixture,                                            \
                           ::testing::ValuesIn(::procpool::testing::start_methods()), \
                           [](const auto& m) { return ::procpool::testing::name_of(m.param); })
