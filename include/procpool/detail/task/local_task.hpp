// A task of this process: run by threads, run in place, or resolved by a promise. The counterpart
// of a process pool's task record, with the same futures.
//
//   pending -> running (begin) -> finished (finish)
//           -> cancelled
//
// One word holds its state, and one CAS decides which thread resolves it. Futures and callbacks are
// its owners; when the last of them has gone, the outcome is destroyed. The owners and the thread
// that will resolve it keep the object itself alive.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "procpool/detail/std/function.hpp"
#include "procpool/detail/std/memory.hpp"
#include "procpool/detail/task/task_state.hpp"

namespace procpool::detail {

class thread_pool;  // of src/threads

// The handler of unobserved errors; if it is null or empty, they are written to stderr, one line
// each.
using error_handler = std::shared_ptr<const std::function<void(std::exception_ptr)>>;

class PROCPOOL_EXPORT local_task : public task_state {
 public:
  task_status status() const override;
  bool wait_until(const time_point* deadline) override;
  outcome_view wait_and_pin() override;
  outcome_view pin() override;
  void unpin() noexcept override {}
  void pin_items(std::vector<outcome_run>& out) override;
  std::uint32_t elapsed_ns() const noexcept override { return elapsed_ns_; }
  bool cancel(bool kill_running) override;
  void subscribe(subscription& s) override;
  void unsubscribe(subscription& s) noexcept override;
  bool failed() const noexcept override;
  void retain() noexcept override;
  void release() noexcept override;
  void report(std::exception_ptr e) noexcept override;

  // Called by the thread that will resolve the task, which keeps the object alive as well.
  void retain_object() noexcept;
  void release_object() noexcept;
  // Called by the thread that resolves the task. Returns false if the task is cancelled, or another
  // thread has begun it.
  bool begin() noexcept;
  // A task that has begun and cannot be resolved after all becomes pending again.
  void give_up() noexcept;
  // Runs a task that has begun, and keeps its value or error. No other thread sees either before
  // finish().
  virtual void run() noexcept {}
  void set_error(std::exception_ptr e) noexcept { error_ = std::move(e); }
  void finish() noexcept;
  // The same under the hub's mutex.
  void finish_under_hub() noexcept;
  // Destroys the outcome of a task that has run if no reader is left.
  void drop_if_unwanted() noexcept;
  // Whether a thread of this group has yet to run the task.
  bool waits_for(thread_group_id group) const noexcept;
  // begin(), set_error() and finish(), unless another thread has begun the task.
  bool fail(std::exception_ptr e) noexcept;

 protected:
  explicit local_task(error_handler on_error) noexcept : on_error_(std::move(on_error)) {}
  virtual ~local_task();

  // From now on the end of the task rings the hub, where threads wait for it.
  void end_rings_hub() noexcept;

  // Under the hub's mutex: says where the end of the task will come from.
  virtual void name_source(subscription& s) const;
  // Called when the task has finished without an error.
  virtual outcome_view value() noexcept { return {}; }
  virtual void items(std::vector<outcome_run>& out);
  virtual std::uint32_t item_count() const noexcept { return 1; }
  // Called when the task is cancelled: the function is no longer needed.
  virtual void drop_call() noexcept {}
  // Called when the task is resolved and no reader is left.
  virtual void drop_outcome() noexcept { error_ = nullptr; }

  std::exception_ptr error_;
  std::uint32_t elapsed_ns_ = 0;

 private:
  friend class thread_pool;

  void notify(std::uint32_t word) noexcept;

  mutable std::atomic<std::uint32_t> word_{0};  // task_status, and the flags of local_task.cpp
  std::atomic<std::uint32_t> owners_{1}, references_{1};
  listener_list listeners_;     // under the hub's mutex
  local_task* next_ = nullptr;  // in a thread pool's queue, under its mutex
  thread_group_id group_ = nullptr;
  error_handler on_error_;
};

// A local_task that has a value.
template <class R>
class local_value : public local_task {
 public:
  explicit local_value(error_handler on_error) noexcept : local_task(std::move(on_error)) {}

  template <class... Args>
  void set_value(Args&&... args) {
    value_.emplace(std::forward<Args>(args)...);
  }

 protected:
  outcome_view value() noexcept override {
    if constexpr (std::is_void_v<R>) {
      return {};
    } else {
      return {nullptr, nullptr, 0, std::addressof(*value_)};
    }
  }
  void drop_outcome() noexcept override {
    value_.reset();
    local_task::drop_outcome();
  }

 private:
  std::optional<std::conditional_t<std::is_void_v<R>, std::monostate, R>> value_;
};

}  // namespace procpool::detail
