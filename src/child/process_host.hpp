// Starts the processes of procpool::process objects. One fork server serves all processes that run
// task functions; it starts with the first of them and stays until the program ends. Each copy of
// this process (captures, start_method::fork) has a fork server of its own, which forks once. No
// fork server is a child of the program, so no wait loop of the program sees a process of the
// library or takes its exit status.
//
// One thread receives the reports of starts and deaths. It sleeps in poll() without any lock, so
// that the program can be forked meanwhile. Any thread may call the members.
#pragma once

#include <memory>
#include <vector>

#include "base/guarded.hpp"
#include "base/per_process.hpp"
#include "child/child_image.hpp"
#include "child/child_process.hpp"
#include "launch/fork_server_client.hpp"
#include "os/event_fd.hpp"
#include "os/poll.hpp"
#include "os/private_fds.hpp"
#include "shm/blocks.hpp"

namespace procpool::parent {

// A fork server and its processes, by seat. Guarded by the host's mutex, except the client's
// functions that any thread may call.
struct process_group {
  std::unique_ptr<launch::fork_server_client> client;
  std::vector<std::shared_ptr<child_process>> seats;
  std::vector<std::uint32_t> incarnations;
  bool copies = false;  // the server is a copy of this process, for one start only
  bool used = false;    // the one start was requested
  bool gone = false;    // the server has died; the group is removed soon
};

class process_host {
 public:
  // One per process, never destroyed, since static objects outlive everything. Throws
  // std::system_error if it cannot be created.
  static process_host& instance();

  // Both return when the process runs; they throw as the constructor of procpool::process does.
  void start(const std::shared_ptr<child_process>& child, detail::run_thunk thunk,
             detail::noting_writer& task) EXCLUDES(start_mutex_, mutex_);
  void start_copy(const std::shared_ptr<child_process>& child) EXCLUDES(start_mutex_, mutex_);

  // False if neither this process nor the fork server can send it. True if the process has ended.
  bool signal(child_process& child, int number) noexcept EXCLUDES(mutex_);
  // Does what the host's thread does when it wakes up. Any thread.
  void handle_pending_events() noexcept EXCLUDES(mutex_);

 private:
  friend base::per_process<process_host>;
  process_host();
  ~process_host() = delete;

  void require_file() const;
  void ensure_thread() REQUIRES(start_mutex_);
  void watch();
  std::chrono::milliseconds poll_timeout() EXCLUDES(mutex_);
  bool handle_events() noexcept EXCLUDES(mutex_);
  void handle(process_group& group, const launch::server_event& event) REQUIRES(mutex_);
  void remove_finished() noexcept EXCLUDES(mutex_);

  std::shared_ptr<process_group> common_group() EXCLUDES(start_mutex_, mutex_);
  std::shared_ptr<process_group> add_group(bool copies) REQUIRES(start_mutex_) EXCLUDES(mutex_);
  // The child keeps what write_image() acquires until release().
  void write_image(child_process& child, const shm::child_image& head, const std::byte* task)
      REQUIRES(mutex_);
  void launch(process_group& group, const std::shared_ptr<child_process>& child) REQUIRES(mutex_);
  // The process is dead or was never started.
  void release(child_process& child) noexcept REQUIRES(mutex_);

  base::mutex start_mutex_;  // one fork server starts at a time; the host thread never locks it
  bool has_thread_ GUARDED_BY(start_mutex_) = false;

  // Any thread: the first is constant, and the kernel synchronizes the others.
  os::private_fd file_;
  os::wake_socket wake_;
  os::event_set events_;

  base::mutex mutex_;
  shm::block_allocator blocks_ GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<process_group>> groups_ GUARDED_BY(mutex_);
  std::chrono::milliseconds linger_pause_ GUARDED_BY(mutex_){0};
};

}  // namespace procpool::parent
