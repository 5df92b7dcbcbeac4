#include "support/pool_test.hpp"

#include <cstdlib>
#include <string>
#include <vector>

namespace procpool::testing {

std::string name_of(start_method m) {
  switch (m) {
    case start_method::fork:
      return "fork";
    case start_method::forkserver:
      return "forkserver";
    default:
      return "spawn";
  }
}

std::vector<start_method> start_methods() {
  const char* chosen = std::getenv("PROCPOOL_TEST_START_METHODS");
  std::vector<start_method> methods;
  for (const start_method m : {start_method::fork, start_method::forkserver, start_method::spawn}) {
    const std::string list = "," + std::string(chosen == nullptr ? "" : chosen) + ",";
    if (chosen == nullptr || list.find("," + name_of(m) + ",") != std::string::npos) {
      methods.push_back(m);
    }
  }
  return methods;
}

void pool_test::SetUp() {
  process_pool_executor({.max_workers = 1, .start = GetParam()}).submit([] {}).get();
  leak_free_test::SetUp();
}

}  // namespace procpool::testing
