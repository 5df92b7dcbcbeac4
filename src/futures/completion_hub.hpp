// How the parent learns of many completions: the hub of the process.
//
//   worker:  slot on its done-list -> word DONE -> doorbell, if armed
//   hub:     each waiting thread takes the done-lists of all pools (drain), and hands each finished
//            task to its listeners; one thread's drain serves all threads, and wakes the others
//
// One mutex guards all lists. No thread holds it while code of the user runs or while it sleeps.
// Order of locks: a pool's own mutex first, then the hub's; drain takes no other.
#pragma once

#include <chrono>
#include <mutex>
#include <vector>

#include "base/guarded.hpp"
#include "base/per_process.hpp"
#include "procpool/detail/task/task_state.hpp"
#include "shm/process_page.hpp"

namespace procpool::detail {

// A back end, from which completions come. The hub has to ask process pools, which override all
// members. The defaults are for tasks that run in this process, whose threads tell the hub
// themselves: asking finds nothing, and spinning would take the CPU from those threads.
class completion_source {
 public:
  // Under the hub's mutex: delivers all completions.
  virtual void drain() noexcept {}
  // Without the mutex: whether a drain would find a completion. A hint.
  virtual bool anything_done() const noexcept { return false; }
  // Without the mutex: how long a waiting thread should sleep without being woken, since a backlog
  // keeps the workers busy; 0: not at all. A hint.
  virtual std::chrono::nanoseconds pause_for_backlog() const noexcept { return {}; }
  // Without the mutex: whether the workers use all CPUs. A hint.
  virtual bool cpus_saturated() const noexcept { return true; }
  // Without the mutex, after a while without completions: takes care of tasks that are stuck.
  virtual void requeue_stale_hints() noexcept {}
  // Keeps the source alive without the mutex; false if it is about to end. release() may end it.
  virtual bool try_retain() noexcept { return true; }
  virtual void release() noexcept {}

 protected:
  ~completion_source() = default;
};

}  // namespace procpool::detail

namespace procpool::futures {

class completion_hub {
 public:
  // One per process, also in processes that the program forks, and never destroyed: pools in static
  // objects use it until the very end.
  static completion_hub& instance();

  base::mutex& mutex() RETURN_CAPABILITY(mutex_) { return mutex_; }

  // Called with the mutex held: asserted, not required, since callers in other rooms reach it by
  // completion_source, which knows no hub.
  void attach(detail::completion_source& source);
  void detach(detail::completion_source& source) noexcept;
  bool has(const detail::completion_source* source) const noexcept;
  void drain() noexcept;
  // Called when a task was delivered to a listener of perhaps another thread: wakes all waiting
  // threads.
  void ring() noexcept;

  // Waits until ready() or the deadline; returns whether it is ready. The mutex is released while
  // the thread waits. The thread spins on `sources` for some microseconds before it sleeps.
  template <class Ready>
  bool wait(std::unique_lock<std::mutex>& lock, const time_point* deadline,
            const std::vector<detail::completion_source*>& sources, Ready ready) REQUIRES(mutex_) {
    for (;;) {
      drain();
      if (ready()) return true;
      if (spin(lock, deadline, sources)) continue;
      // A task that finishes from here on rings, or is found by this drain.
      const std::uint32_t doorbell = arm();
      drain();
      if (ready()) return true;
      switch (sleep(lock, doorbell, deadline)) {
        case rest::woken:
          break;
        case rest::silence:
          requeue_stale_hints(lock);
          break;
        case rest::deadline:
          drain();
          return ready();
      }
    }
  }

 private:
  friend base::per_process<completion_hub>;
  completion_hub();
  bool spin(std::unique_lock<std::mutex>& lock, const time_point* deadline,
            const std::vector<detail::completion_source*>& sources) REQUIRES(mutex_);
  enum class rest { woken, silence, deadline };
  rest sleep(std::unique_lock<std::mutex>& lock, std::uint32_t doorbell, const time_point* deadline)
      REQUIRES(mutex_);
  void requeue_stale_hints(std::unique_lock<std::mutex>& lock) REQUIRES(mutex_);
  std::uint32_t arm();

  base::mutex mutex_;
  shm::process_page* page_;
  std::vector<detail::completion_source*> sources_ GUARDED_BY(mutex_);
  unsigned sleeping_ GUARDED_BY(mutex_) = 0;
};

// For how long a thread sleeps that waits for a task: then it looks by itself, since the wake-up of
// a process that has died is lost.
inline constexpr std::chrono::nanoseconds longest_sleep = std::chrono::milliseconds(500);
// The time from now to the deadline: at least 0, and at most `most`, also without a deadline.
std::chrono::nanoseconds time_until(const time_point* deadline, std::chrono::nanoseconds most);

}  // namespace procpool::futures
