// A parent that a test may kill, or start in odd circumstances: launch_parent <method> <action>.

#include <fcntl.h>

#include <cstdio>

#include "launch/harness.hpp"

namespace procpool::testing {
namespace {

start_method method_of(const std::string& name) {
  if (name == "fork") return start_method::fork;
  return name == "forkserver" ? start_method::forkserver : start_method::spawn;
}

// Two pools, three workers, and a process that a task has left; their pids on one line. Then it
// waits for its end.
int hold(start_method method) {
  test_pool first(method);
  test_pool second(method);
  first.start(0, make_job(job::sleep));
  first.start(1, make_job(job::sleep));
  second.start(0, make_job(job::sleep));
  second.start(1, make_job(job::leave_child));
  if (second.next().what != kind::exited) return 1;
  for (const test_pool* pool : {&first, &second}) {
    for (const pid_t pid : pool->pids()) std::printf("%d ", static_cast<int>(pid));
  }
  std::printf("%d\n", static_cast<int>(second.at(1).value));
  std::fflush(stdout);
  for (;;) ::pause();
}

// Without standard streams: the pool's descriptors must not become 0, 1 or 2.
int without_streams(start_method method) {
  for (int fd = 0; fd <= 2; ++fd) ::close(fd);
  test_pool pool(method);
  pool.start(0, make_job(job::observe));
  if (pool.next().exit_status != 0) return 1;
  for (int fd = 0; fd <= 2; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0) return 2;
  }
  const std::string text = pool.at(0).text;
  return text.find("high_fds=1") != std::string::npos && text.find("stdin=0") != std::string::npos
             ? 0
             : 3;
}

}  // namespace
}  // namespace procpool::testing

int main(int argc, char** argv) {
  using namespace procpool::testing;
  if (argc != 3) return 64;
  const std::string action = argv[2];
  if (action == "hold") return hold(method_of(argv[1]));
  if (action == "without_streams") return without_streams(method_of(argv[1]));
  return 64;
}
