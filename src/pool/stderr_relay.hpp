// pool_options::capture_stderr: forwards the workers' standard error to this process's, and keeps
// the tail of each worker's output. One thread: the pool's supervisor.
#pragma once

#include <sys/types.h>

#include <string>
#include <unordered_map>

#include "os/private_fds.hpp"

namespace procpool::parent {

class stderr_relay {
 public:
  stderr_relay() = default;    // without capture: all members do nothing
  static stderr_relay make();  // throws std::system_error

  // For the workers; -1 without capture.
  int worker_end() const noexcept { return writer_.get(); }
  // False if the program has closed the descriptors, which it had not opened.
  bool has_descriptors() const noexcept {
    return !reader_ || (reader_.is_ours() && writer_.is_ours());
  }
  // Descriptors to poll: for input, or for output while standard error accepts no more. Negative:
  // nothing to poll.
  int readable_fd() const noexcept { return backlog_.empty() ? reader_.get() : -1; }
  int writable_fd() const noexcept;

  // Forwards available output as far as standard error accepts it without blocking. The rest stays
  // in the pipe: when that is full, a worker that writes blocks, as it would without capture.
  void pump();
  // Of a dead worker: returns the tail of its output and discards it here.
  std::string take_tail(pid_t pid) noexcept;
  // At the end of the pool: waits briefly for a slow reader of standard error.
  void finish();

 private:
  bool read_some();
  void write_backlog();

  os::private_fd reader_, writer_;
  std::string backlog_;  // read but not yet written
  std::unordered_map<pid_t, std::string> tails_;
};

}  // namespace procpool::parent
