#include "os/owner_id.hpp"

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
constexpr owner_id number_mask = (owner_id{1} << number_bits) - 1;
constexpr owner_id process_bit = owner_id{1} << 63U;
constexpr owner_id begin_mask = (owner_id{1} << 41U) - 1;

constinit thread_local owner_id known_thread = no_owner;
constinit std::atomic<owner_id> known_process{no_owner};

void forget_in_child() {
  known_thread = no_owner;
  known_process.store(no_owner, std::memory_order_relaxed);  // the child has one thread
}

bool may_remember() noexcept {
  static const bool handler_installed = on_fork_in_child(&forget_in_child);
  return handler_installed;
}

struct task_status {
  bool found = false;
  char state = '?';
  std::uint64_t threads = 0;
  std::uint64_t begin = 0;
};

std::size_t read_stat(owner_id number, char* text, std::size_t size) noexcept {
  char path[40];
  std::snprintf(path, sizeof path, "/proc/%llu/stat", static_cast<unsigned long long>(number));
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  const ssize_t n = ::read(fd, text, size);
  ::close(fd);
  return n > 0 ? static_cast<std::size_t>(n) : 0;
}

// The text of /proc/<number>/stat: "number (name) state ...", where the name may hold anything.
task_status status_of_task(owner_id number) noexcept {
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

owner_id make_owner_id(owner_id number) noexcept {
  return (number & number_mask) | (status_of_task(number).begin & begin_mask) << number_bits;
}

}  // namespace

owner_id this_thread_owner() noexcept {
  if (known_thread != no_owner) [[likely]] {
    return known_thread;
  }
  const owner_id id = make_owner_id(static_cast<owner_id>(::gettid()));
  if (may_remember()) known_thread = id;
  return id;
}

owner_id this_process_owner() noexcept {
  // relaxed: all threads compute the same value
  if (const owner_id id = known_process.load(std::memory_order_relaxed); id != no_owner) return id;
  const owner_id id = make_owner_id(static_cast<owner_id>(::getpid())) | process_bit;
  if (may_remember()) known_process.store(id, std::memory_order_relaxed);
  return id;
}

bool has_ended(owner_id owner) noexcept {
  const owner_id number = owner & number_mask, begin = owner >> number_bits & begin_mask;
  if (number == 0) return true;  // no thread has number 0: the word was overwritten
  const task_status s = status_of_task(number);
  if (!s.found) return ::kill(static_cast<pid_t>(number), 0) != 0 && errno == ESRCH;
  if (begin != 0 && s.begin != begin) return true;
  if (s.state != 'Z' && s.state != 'X') return false;
  // In a process whose first thread is a zombie, other threads may still run.
  return (owner & process_bit) == 0 || s.threads <= 1;
}

}  // namespace procpool::os
