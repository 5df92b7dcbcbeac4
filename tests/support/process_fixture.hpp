// What tests of process objects begin with.
#pragma once

#include <unistd.h>

#include <string>
#include <utility>

#include "procpool/process.hpp"
#include "support/pool_test.hpp"
#include "support/tally.hpp"

namespace procpool::testing {

inline void nothing() {}
inline void wait_for_ever() {
  for (;;) pause();
}
inline void say_and_wait(const std::string& ready) {
  add_to_tally(ready);
  wait_for_ever();
}

// With a process of each start method.
class started_process_test : public pool_test {
 protected:
  // The fork server of all process objects, the host's thread and its file are there for good.
  void SetUp() override {
    process({.start = method()}, nothing).join();
    process(nothing).join();
    pool_test::SetUp();
  }
  process_options started(std::string name = {}) const { return {method(), std::move(name)}; }
};

}  // namespace procpool::testing
