// A program that closes all descriptors but the first three, as old recipes for daemons do, while
// its process and its manager run: closed_descriptors. Prints what is wrong; 0 if nothing is.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <system_error>

#include "procpool/procpool.hpp"

namespace {

using namespace procpool;
using namespace std::chrono_literals;

int wrong = 0;

void expect(bool right, const char* what) {
  if (right) return;
  std::printf("wrong: %s\n", what);
  ++wrong;
}

void wait_for_ever() {
  for (;;) pause();
}

long add(long& sum, long x) { return sum += x; }

bool is_lost(const proxy<long>& sum) {
  const auto end = std::chrono::steady_clock::now() + 20s;
  while (std::chrono::steady_clock::now() < end) {
    try {
      sum.call(add, 1);  // the manager's process is about to notice
    } catch (const manager_lost_error&) {
      return true;
    }
  }
  return false;
}

}  // namespace

int main() {
  alarm(100);
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  const process p(wait_for_ever);
  manager m;
  const auto sum = m.make<long>(0);
  expect(sum.call(add, 1) == 1, "a call before");
  for (int fd = 3; fd < 4096; ++fd) close(fd);
  // The numbers are those of the program's own files now.
  for (int i = 0; i < 30; ++i) {
    if (open("/dev/null", O_RDWR | O_CLOEXEC) < 0) return 2;
  }
  expect(p.join_for(20s), "the process is known to have ended");
  expect(is_lost(sum), "the manager is known to have ended");
  try {
    process(wait_for_ever).join();
    expect(false, "another process is refused");
  } catch (const std::system_error& e) {
    expect(e.code().value() == EBADF, e.what());
  }
  const auto begin = std::chrono::steady_clock::now();
  m.shutdown();
  expect(std::chrono::steady_clock::now() - begin < 20s, "the manager's end takes no time");
  for (int fd = 3; fd < 33; ++fd) {
    expect(fcntl(fd, F_GETFD) >= 0, "the program's own files stay open");
  }
  return wrong == 0 ? 0 : 1;
}
