// pool_options::capture_stderr: what the workers write to standard error goes on to this process's,
// and the end of what each of them wrote is kept. One thread: the pool's supervisor.
#pragma once

#include <sys/types.h>

#include <string>
#include <unordered_map>

#include "os/private_fds.hpp"

namespace procpool::parent {

class stderr_relay {
 public:
  stderr_relay() = default;    // without capture: everything below does nothing
  static stderr_relay make();  // throws std::system_error

  // For the workers; -1 without capture.
  int worker_end() const noexcept { return writer_.get(); }
  // False once the program has closed the descriptors, which it has not opened.
  bool has_descriptors() const noexcept {
    return !reader_ || (reader_.is_ours() && writer_.is_ours());
  }
  // To wait for: that there is something to read, or, while standard error takes no more, that it
  // does. Negative: nothing to wait for.
  int readable_fd() const noexcept { return backlog_.empty() ? reader_.get() : -1; }
  int writable_fd() const noexcept;

  // Passes on what is there, as far as standard error takes it without waiting. What does not fit
  // stays where it is: in the end a worker that writes on waits, as it would without us.
  void pump();
  // Of a worker that is dead: all that it has written is noted, and forgotten here.
  std::string take_tail(pid_t pid) noexcept;
  // At the end of the pool: waits a moment for a slow reader of standard error.
  void finish();

 private:
  bool read_some();
  void write_backlog();

  os::private_fd reader_, writer_;
  std::string backlog_;  // read, not written yet
  std::unordered_map<pid_t, std::string> tails_;
};

}  // namespace procpool::parent
