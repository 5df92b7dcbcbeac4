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

#include "base/cycle_clock.hpp"
#include "base/per_process.hpp"
#include "procpool/detail/task/task_state.hpp"
#include "shm/process_page.hpp"

namespace procpool::detail {

// A back end whose tasks complete by themselves.
class completion_source {
 public:
  // Under the hub's mutex: delivers what is done.
  virtual void drain() noexcept = 0;
  // Without it: whether a drain would find something. A hint.
  virtual bool anything_done() const noexcept = 0;
  // Without it: how long it is better not to look or be woken; 0: not at all. A hint.
  virtual std::chrono::nanoseconds pause_for_backlog() const noexcept = 0;
  // Without it: whether its workers have all CPUs. A hint.
  virtual bool crowded() const noexcept = 0;
  // Without it, when nothing has happened for a while: takes care of tasks that are stuck.
  virtual void revive() noexcept = 0;
  // Keeps it alive without the mutex; false if it is going. let_go() may end it.
  virtual bool hold() noexcept = 0;
  virtual void let_go() noexcept = 0;

 protected:
  ~completion_source() = default;
};

}  // namespace procpool::detail

namespace procpool::parent {

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
      if (look(lock, deadline, sources)) continue;
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
  bool look(std::unique_lock<std::mutex>& lock, const time_point* deadline,
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

// Looking for some microseconds before sleeping pays only where the answer comes soon. Backs off:
// after k failures the next 2^k - 1 times are skipped. One per thread.
class patience {
 public:
  static patience& of_this_thread();
  // Turns `check` over until it is true or the time for looking is over, which is short where the
  // machine is crowded. Each look takes a line away from who writes it: where many results are on
  // their way, it is better done rarely.
  template <class Check>
  bool look(Check check, bool crowded, bool rarely = false) {
    if (!begin(crowded)) return false;
    const std::uint64_t gap = rarely ? rare_look_ns * base::cycles_per_us() / 1000 : 0;
    bool found = false;
    std::uint64_t now = base::cycles();
    do {
      const std::uint64_t next = now + gap;
      do {
        base::relax();
        now = base::cycles();
      } while (now < next);
      found = check();
    } while (!found && now < limit_);
    end(found);
    return found;
  }

 private:
  bool begin(bool crowded);
  void end(bool found);
  static constexpr std::uint64_t rare_look_ns = 600;
  std::uint64_t limit_ = 0;
  unsigned failed_ = 0, skip_ = 0;
};

}  // namespace procpool::parent
