// One process that a procpool::process object stands for, as host and object share it. The object's
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

  // Both look themselves from time to time at what the host's thread waits for. Throws
  // std::system_error when it has not come to life.
  void await_start();
  bool await_end(const std::optional<duration>& limit);
  bool has_ended() const;
  // It is dead, which has_ended() may not know yet; false where nobody can tell.
  bool is_dead() const noexcept;
  std::optional<int> exit_code() const;
  // As set once it runs.
  pid_t pid() const noexcept { return pid_; }
  int sentinel() const noexcept { return sentinel_.get(); }
  const std::string& name() const noexcept { return name_; }
  // False in a copy of the process that has started it.
  bool is_here() const noexcept { return home_.is_here(); }

  // For a copy of this process: what it runs, until it has ended. Destroyed by the object's threads
  // only: it may be anything.
  void keep(std::unique_ptr<detail::process_body> body) { body_ = std::move(body); }
  detail::process_body* body() const noexcept { return body_.get(); }

 private:
  friend class process_host;

  // By the host. False: nobody waits for it any more, and it is to be killed.
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

  // Under the host's mutex.
  process_group* group_ = nullptr;  // null: nothing runs (any more)
  launch::seat_id id_;
  shm::block block_;
  os::mapping image_pages_;
  shm::child_image* image_ = nullptr;  // in these pages, with the process's block
  shm::u32 row_ = 0;
  std::vector<detail::shared_object> objects_;  // that its arguments name
};

}  // namespace procpool::parent
