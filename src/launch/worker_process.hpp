// Forks workers, in the fork server. One worker is forked ahead of time, as a spare that waits for
// its order: then replacing a dead worker takes a wake-up, not a fork. One thread; no allocation.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <span>

#include "launch/worker_context.hpp"
#include "os/children.hpp"
#include "os/program_signals.hpp"
#include "os/unique_fd.hpp"

namespace procpool::launch {

// Settings that all workers of a server share.
struct worker_template {
  int region_fd = -1;
  int page_fd = -1;
  int stderr_fd = -1;  // -1: that of the server
  int stdin_fd = -1;   // -1: that of the server, /dev/null
  pid_t server_pid = 0;
  // The server's own descriptors, which a worker closes: while it holds the control socket, the
  // parent does not notice the server's end.
  std::span<const int> server_fds;
};

// The order for one worker.
struct worker_order {
  seat_id id;
  std::uint64_t argument = 0;
  os::signal_actions signals;  // the program's signal actions
};

class worker_forker {
 public:
  explicit worker_forker(const worker_template& common) noexcept : common_(common) {}

  // Wakes the spare, or forks. The result's pid is never 0 in the server.
  os::forked start(const worker_order& order) noexcept;
  // Forks a spare if there is none: its pid, or 0. A failure is not reported: start() then forks,
  // and reports its own failure.
  pid_t prepare_spare() noexcept;
  // True if the dead process was the spare.
  bool forget_spare(pid_t pid) noexcept;
  void kill_spare(std::chrono::steady_clock::time_point end) noexcept;

 private:
  bool wake_spare(const worker_order& order) noexcept;

  worker_template common_;
  pid_t spare_pid_ = 0;
  os::unique_fd spare_order_;  // write end; closing it makes the spare leave
  bool spare_failed_ = false;  // no further attempt until the next start()
};

}  // namespace procpool::launch
