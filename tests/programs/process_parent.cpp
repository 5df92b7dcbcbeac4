// A program with processes that never end by themselves, and its own end: process_parent <start
// method> <action>. Prints their pids on one line.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "procpool/process.hpp"

namespace {

void wait_for_ever() {
  for (;;) pause();
}

std::vector<procpool::process> at_exit;  // in static storage

}  // namespace

int main(int, char** argv) {
  const auto method = std::strcmp(argv[1], "fork") == 0 ? procpool::start_method::fork
                                                        : procpool::start_method::spawn;
  for (int i = 0; i < 3; ++i) {
    at_exit.emplace_back(procpool::process_options{.start = method}, wait_for_ever);
    std::printf("%d ", at_exit.back().pid());
  }
  std::puts("");
  std::fflush(stdout);
  if (std::strcmp(argv[2], "return") == 0) return 0;
  if (std::strcmp(argv[2], "underscore_exit") == 0) _exit(0);
  wait_for_ever();
}
