#include "os/life.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "os/environment.hpp"

namespace procpool::os {
namespace {

constexpr unsigned number_bits = 22;  // Linux has at most 2^22 threads
constexpr life number_mask = (life{1} << number_bits) - 1;
constexpr life process_bit = life{1} << 63U;
constexpr life begin_mask = (life{1} << 41U) - 1;

constinit thread_local life known_thread = nobody;
constinit std::atomic<life> known_process{nobody};

void forget_in_child() {
  known_thread = nobody;
  known_process.store(nobody, std::memory_order_relaxed);  // there is one thread
}

bool may_remember() noexcept {
  static const bool told_of_forks = on_fork_in_child(&forget_in_child);
  return told_of_forks;
}

struct task_status {
  bool found = false;
  char state = '?';
  std::uint64_t threads = 0;
  std::uint64_t begin = 0;
};

std::size_t read_stat(life number, char* text, std::size_t size) noexcept {
  char path[40];
  std::snprintf(path, sizeof path, "/proc/%llu/stat", static_cast<unsigned long long>(number));
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  const ssize_t n = ::read(fd, text, size);
  ::close(fd);
  return n > 0 ? static_cast<std::size_t>(n) : 0;
}

// The text of /proc/<number>/stat: "number (name) state ...", where the name may hold anything.
task_status status_of_task(life number) noexcept {
  constexpr int threads_field = 20, begin_field = 22;
  char text[1024];
  const std::size_t size = read_stat(number, text, sizeof text - 1);
  text[size] = '\0';
  const char* at = std::strrchr(text, ')');
  if (at == nullptr || at[1] != ' ') return {};
  task_status s;
  s.state = at[2];
  int field = 3;
  for (at += 2; *at != '\0' && field <= begin_field; ++at) {
    if (*at == ' ') {
      ++field;
    } else if (*at >= '0' && *at <= '9') {
      std::uint64_t& value = field == threads_field ? s.threads : s.begin;
      if (field == threads_field || field == begin_field) {
        value = value * 10 + static_cast<std::uint64_t>(*at - '0');
      }
    }
  }
  s.found = field >= begin_field;
  return s;
}

life make_life(life number) noexcept {
  return (number & number_mask) | (status_of_task(number).begin & begin_mask) << number_bits;
}

}  // namespace

life this_thread_life() noexcept {
  if (known_thread != nobody) [[likely]] {
    return known_thread;
  }
  const life l = make_life(static_cast<life>(::gettid()));
  if (may_remember()) known_thread = l;
  return l;
}

life this_process_life() noexcept {
  // relaxed: all threads find the same
  if (const life l = known_process.load(std::memory_order_relaxed); l != nobody) return l;
  const life l = make_life(static_cast<life>(::getpid())) | process_bit;
  if (may_remember()) known_process.store(l, std::memory_order_relaxed);
  return l;
}

bool has_ended(life l) noexcept {
  const life number = l & number_mask, begin = l >> number_bits & begin_mask;
  if (number == 0) return true;  // no such thread: whoever wrote that is not to be waited for
  const task_status s = status_of_task(number);
  if (!s.found) return ::kill(static_cast<pid_t>(number), 0) != 0 && errno == ESRCH;
  if (begin != 0 && s.begin != begin) return true;
  if (s.state != 'Z' && s.state != 'X') return false;
  // A process whose first thread has ended may have others.
  return (l & process_bit) == 0 || s.threads <= 1;
}

}  // namespace procpool::os
