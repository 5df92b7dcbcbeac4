// An executor in static storage: conformance_static <start method> <> <folder>. Used by main, by a
// task, which may not, and with work left when main returns.
#include <unistd.h>

#include <fstream>

#include "conformance/meeting_point.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;

// The arguments of main are not there yet.
start_method method_of_this_program() {
  std::ifstream line("/proc/self/cmdline");
  std::string program, name;
  std::getline(line, program, '\0');
  std::getline(line, name, '\0');
  if (name == "fork") return start_method::fork;
  return name == "forkserver" ? start_method::forkserver : start_method::spawn;
}

process_pool_executor pool({.max_workers = 1, .start = method_of_this_program()});

int twice(int x) { return 2 * x; }

void say(const std::string& line) {
  const std::string text = line + "\n";
  if (write(STDOUT_FILENO, text.data(), text.size()) < 0) _exit(125);
}

}  // namespace

int main(int, char** argv) {
  say("main: " + std::to_string(pool.submit(twice, 21).get()));
  try {
    pool.submit([] { return pool.submit(twice, 1).get(); }).get();
    say("task: no error");
  } catch (const nested_use_error&) {
    say("task: nested_use_error");
  }
  const std::string gate = argv[3] + std::string("gate");
  pool.submit(
          [](const std::string& g) {
            wait_for(g);
            say("task runs");
          },
          gate)
      .wait_for(duration(0));
  say("main ends");
  touch(gate);
}
