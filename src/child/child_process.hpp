// The process of a procpool::process object: the state that host and object share. The object's
// threads read it and wait; the host's thread changes it.
#pragma once

#include <sys/types.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "child/child_image.hpp"
#include "launch/worker_context.hpp"
#include "os/mapping.hpp"
#include "os/private_fds.hpp"
#include "procpool/detail/rpc/process_start.hpp"
#include "procpool/detail/shared/shared_object.hpp"
#include "procpool/detail/task/home_process.hpp"
#include "procpool/options.hpp"
#include "shm/blocks.hpp"

namespace procpool::parent {

struct process_group;

class child_process {
 public:
  enum class phase { starting, running, ended, failed };

  explicit child_process(std::string name) : name_(std::move(name)) {}
  child_process(const child_process&) = delete;
  child_process& operator=(const child_process&) = delete;

  // Both wait functions also handle the host's pending events from time to time. await_start()
  // throws std::system_error if the process did not start.
  void await_start();
  bool await_end(const std::optional<duration>& limit);
  bool has_ended() const;
  // Whether the process is dead, which has_ended() may not know yet; false if that cannot be known.
  bool is_dead() const noexcept;
  std::optional<int> exit_code() const;
  // Set once the process runs.
  pid_t pid() const noexcept { return pid_; }
  int sentinel() const noexcept { return sentinel_.get(); }
  const std::string& name() const noexcept { return name_; }
  // False in a forked copy of the process that started the child.
  bool is_here() const noexcept { return home_.is_here(); }

  // For a child that is a copy of this process: the function that it runs, kept until it has ended.
  // Only the object's threads destroy it, since its destructor is user code.
  void keep(std::unique_ptr<detail::process_body> body) { body_ = std::move(body); }
  detail::process_body* body() const noexcept { return body_.get(); }

 private:
  friend class process_host;

  // Called by the host. False: no thread waits for the process any more, and the host must kill it.
  bool started(pid_t pid, os::unique_fd pidfd) noexcept;
  void failed(int error) noexcept;
  void ended(int exit_code) noexcept;

  const detail::home_process home_;
  const std::string name_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  phase phase_ = phase::starting;
  int error_ = 0;
  int exit_code_ = 0;
  pid_t pid_ = 0;
  bool sentinel_is_event_ = false;
  os::private_fd sentinel_;
  std::unique_ptr<detail::process_body> body_;

  // Guarded by the host's mutex.
  process_group* group_ = nullptr;  // null: the process does not run
  launch::seat_id id_;
  shm::block block_;
  os::mapping image_pages_;
  shm::child_image* image_ = nullptr;  // the process's block, in image_pages_
  shm::u32 row_ = 0;
  std::vector<detail::shared_object> objects_;  // shared objects named in its arguments
};

}  // namespace procpool::parent
