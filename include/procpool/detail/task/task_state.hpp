// The interface between futures and back ends: an opaque task goes in, an opaque outcome comes out.
// future<T> knows the type of the outcome's bytes or object; a back end knows where they are. One
// task_state exists per task, and exactly one future refers to it.
//
// Thread-safety: any thread may call status() and cancel() while another waits. All other members
// are for the one owner of the future.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <utility>
#include <vector>

#include "procpool/detail/std/memory.hpp"
#include "procpool/detail/task/home_process.hpp"
#include "procpool/export.hpp"
#include "procpool/time.hpp"

namespace procpool::detail {

// Names a group of threads that run each other's tasks: a thread pool; null: no group. Opaque.
using thread_group_id = const void*;

enum class task_status { pending, running, cancelled, finished };

// One outcome as the owner of the future sees it. With an error the other members are empty. All of
// it is valid until release() or unpin().
struct outcome_view {
  std::exception_ptr error;         // the exception that get() throws; null if there is a value
  const std::byte* data = nullptr;  // the encoded value
  std::size_t size = 0;
  void* object = nullptr;  // or the value itself, from a task of this process: the reader moves it
};

// Outcomes of several map items: `count` times the same error, or `count` values that lie `size`
// bytes apart.
struct outcome_run {
  outcome_view first;
  std::uint32_t count = 1;
};

class task_state;
class completion_listener;
class completion_source;

// A request to be told when a task is done. The listener owns it; the back end links it.
struct subscription {
  completion_listener* listener = nullptr;
  std::uint64_t tag = 0;
  task_state* state = nullptr;          // null once delivered or withdrawn
  completion_source* source = nullptr;  // where the completion will come from
  subscription* next = nullptr;
  thread_group_id group = nullptr;  // the threads that run the task, if it is for threads
  bool will_come = false;           // a combination of tasks that executors run
};

// Told about completions, under the hub's mutex, so it only notes them and returns.
class PROCPOOL_EXPORT completion_listener {
 public:
  virtual void completed(subscription& s) noexcept = 0;

 protected:
  ~completion_listener() = default;
};

// The subscriptions of one task. Also under the hub's mutex.
class listener_list {
 public:
  bool empty() const noexcept { return first_ == nullptr; }
  void add(subscription& s) noexcept {
    s.next = first_;
    first_ = &s;
  }
  // Withdraws the subscription, if it has not been delivered.
  void remove(subscription& s) noexcept;
  // Tells all listeners, in the order in which they subscribed; the list is empty afterwards.
  void deliver() noexcept;

 private:
  subscription* first_ = nullptr;
};

class PROCPOOL_EXPORT task_state {
 public:
  task_state() = default;
  task_state(const task_state&) = delete;
  task_state& operator=(const task_state&) = delete;

  virtual task_status status() const = 0;
  // Blocks until the task is done or the deadline has passed; null means no deadline.
  virtual bool wait_until(const time_point* deadline) = 0;
  // Waits without a deadline, then calls pin().
  virtual outcome_view wait_and_pin() = 0;
  // Called once the task is done: its outcome, which stays in place until unpin() or release().
  virtual outcome_view pin() = 0;
  virtual void unpin() noexcept = 0;
  // As pin(), for a chunk of map items: appends the outcomes of all items in order.
  virtual void pin_items(std::vector<outcome_run>& out) = 0;
  // How long a chunk took in its worker, in nanoseconds; 0 if unknown. Advisory.
  virtual std::uint32_t elapsed_ns() const noexcept = 0;
  // kill_running: also kills the worker of a running task.
  virtual bool cancel(bool kill_running) = 0;
  // Tells s.listener when the task is done, at once if it is done already.
  virtual void subscribe(subscription& s) = 0;
  virtual void unsubscribe(subscription& s) noexcept = 0;
  // Under the hub's mutex, once the task is done: whether it has an error instead of a value. Runs
  // no code of the user. May miss a value that will not decode.
  virtual bool failed() const noexcept = 0;
  // Adds an owner (a callback), which calls release() as well.
  virtual void retain() noexcept = 0;
  // Removes an owner. Without an owner the outcome has no reader.
  virtual void release() noexcept = 0;
  // Reports an unobserved error as the executor's options define.
  virtual void report(std::exception_ptr error) noexcept = 0;

  const home_process& home() const noexcept { return home_; }

 protected:
  ~task_state() = default;

 private:
  home_process home_;
};

struct state_release {
  void operator()(task_state* s) const noexcept { s->release(); }
};
using state_ptr = std::unique_ptr<task_state, state_release>;

// A function of a future's user that runs once its task is done, on the callback thread of the
// process.
class PROCPOOL_EXPORT callback {
 public:
  virtual ~callback() = default;
  virtual void run() = 0;
};
// Queues the callback, and keeps `state` until it has run. Does not block.
PROCPOOL_EXPORT void run_when_done(task_state& state, std::unique_ptr<callback> what);

// Throws nested_use_error: a future, or an object made of futures, belongs to another process.
[[noreturn]] PROCPOOL_EXPORT void throw_other_process();
inline void check_home(const home_process& home) {
  if (!home.is_here()) [[unlikely]]
    throw_other_process();
}

// Now plus d; the end of time if that is later, now if d is negative or not a number.
PROCPOOL_EXPORT time_point deadline_after(duration d);

[[noreturn]] PROCPOOL_EXPORT void throw_no_state();
[[noreturn]] PROCPOOL_EXPORT void throw_wait_timeout();

}  // namespace procpool::detail
