// The process of a procpool::process object: the state that host and object share. The object's
// threads read it and wait; the host's thread changes it.
#pragma once

#include <sys/types.h>

#include <condition_variable>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/guarded.hpp"
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
  void await_start() EXCLUDES(mutex_);
  bool await_end(const std::optional<duration>& limit) EXCLUDES(mutex_);
  bool has_ended() const EXCLUDES(mutex_);
  // Whether the process is dead, which has_ended() may not know yet; false if that cannot be known.
  bool is_dead() const noexcept EXCLUDES(mutex_);
  std::optional<int> exit_code() const EXCLUDES(mutex_);
  // Set once the process runs.
  pid_t pid() const noexcept { return pid_; }
  int sentinel() const noexcept { return sentinel_.get(); }
  const std::string& name() const noexcept { return name_; }
  // False in a forked copy of the process that started the child.
  bool is_here() const noexcept { return home_.is_here(); }

  // For a child that is a copy of this process: the function that it runs, kept until it has ended.
  // Only the object's threads destroy it, since its destructor is user code. keep() leaves the
  // former function, and its destruction without the mutex, to the caller's argument.
  void keep(std::unique_ptr<detail::process_body> body) EXCLUDES(mutex_) {
    const base::lock_guard lock(mutex_);
    body_.swap(body);
  }
  detail::process_body* body() const noexcept EXCLUDES(mutex_) {
    const base::lock_guard lock(mutex_);
    return body_.get();
  }

 private:
  friend class process_host;

  // Called by the host. False: no thread waits for the process any more, and the host must kill it.
  bool started(pid_t pid, os::unique_fd pidfd) noexcept EXCLUDES(mutex_);
  void failed(int error) noexcept EXCLUDES(mutex_);
  void ended(int exit_code) noexcept EXCLUDES(mutex_);

  const detail::home_process home_;
  const std::string name_;
  mutable base::mutex mutex_;
  std::condition_variable changed_;
  phase phase_ GUARDED_BY(mutex_) = phase::starting;
  int error_ GUARDED_BY(mutex_) = 0;
  int exit_code_ GUARDED_BY(mutex_) = 0;
  bool sentinel_is_event_ GUARDED_BY(mutex_) = false;
  std::unique_ptr<detail::process_body> body_ GUARDED_BY(mutex_);
  // Set by started(), before the phase is `running`, and constant afterwards: await_start() makes
  // both visible to the object's threads.
  pid_t pid_ = 0;
  os::private_fd sentinel_;

  // Under the host's mutex, in functions of the host that require it.
  process_group* group_ = nullptr;  // null: the process does not run
  launch::seat_id id_;
  shm::block block_;
  os::mapping image_pages_;
  shm::child_image* image_ = nullptr;  // the process's block, in image_pages_
  shm::u32 row_ = 0;
  std::vector<detail::shared_object> objects_;  // shared objects named in its arguments
};

}  // namespace procpool::parent
