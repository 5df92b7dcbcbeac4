// How the parent hears of many completions: the hub of the process.
//
//   worker:  slot on its done-list -> word DONE -> doorbell, if armed
//   hub:     whoever waits takes the done-lists of all pools (drain), and hands each task that is
//            done to its listeners; one thread's drain serves all, and rings for the others
//
// One mutex guards all lists. It is never held while code of the user runs or while somebody
// sleeps. Order of locks: a pool's own mutex first, then the hub's; drain takes no other.
#pragma once

#include <chrono>
#include <mutex>
#include <vector>

#include "base/per_process.hpp"
#include "procpool/detail/task/task_state.hpp"
#include "shm/process_page.hpp"

namespace procpool::detail {

// Where completions come from: a back end. A process pool is one that the hub has to ask, and
// overrides all of it. The defaults are those of tasks that run in this process, whose threads tell
// the hub by themselves: asking finds nothing, and spinning takes the CPU from those threads.
class completion_source {
 public:
  // Under the hub's mutex: delivers what is done.
  virtual void drain() noexcept {}
  // Without it: whether a drain would find something. A hint.
  virtual bool anything_done() const noexcept { return false; }
  // Without it: how long a waiting thread had better sleep without being woken, since a backlog
  // keeps its workers busy; 0: not at all. A hint.
  virtual std::chrono::nanoseconds pause_for_backlog() const noexcept { return {}; }
  // Without it: whether its workers have all CPUs. A hint.
  virtual bool cpus_saturated() const noexcept { return true; }
  // Without it, when nothing has happened for a while: takes care of tasks that are stuck.
  virtual void revive() noexcept {}
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
  // One per process, also in those that the program forks, and never destroyed: pools in static
  // objects use it until the very end.
  static completion_hub& instance();

  std::mutex& mutex() { return mutex_; }

  // All of these with the mutex held.
  void attach(detail::completion_source& source);
  void detach(detail::completion_source& source) noexcept;
  bool has(const detail::completion_source* source) const noexcept;
  void drain() noexcept;
  // Something was delivered to a listener that may be another thread's.
  void ring() noexcept;

  // Until `ready` or the deadline; true if ready. The mutex is released while it waits. `sources`
  // are looked at for some microseconds before the thread sleeps.
  template <class Ready>
  bool wait(std::unique_lock<std::mutex>& lock, const time_point* deadline,
            const std::vector<detail::completion_source*>& sources, Ready ready) {
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
          revive(lock);
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
            const std::vector<detail::completion_source*>& sources);
  enum class rest { woken, silence, deadline };
  rest sleep(std::unique_lock<std::mutex>& lock, std::uint32_t doorbell,
             const time_point* deadline);
  void revive(std::unique_lock<std::mutex>& lock);
  std::uint32_t arm();

  std::mutex mutex_;
  shm::process_page* page_;
  std::vector<detail::completion_source*> sources_;
  unsigned sleeping_ = 0;
};

// How long until then: at least 0, at most an hour.
std::chrono::nanoseconds time_until(time_point t);

}  // namespace procpool::futures
