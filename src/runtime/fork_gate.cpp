#include "runtime/fork_gate.hpp"

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <new>
#include <string>

#include "base/guarded.hpp"
#include "os/sanitizers.hpp"
#include "os/thread_count.hpp"
#include "procpool/errors.hpp"

namespace procpool::runtime {
namespace {

constexpr int hidden_threads = os::thread_sanitizer ? 1 : 0;  // the sanitizer's own thread
constexpr std::chrono::milliseconds gate_timeout{200};

constinit thread_local bool is_own = false;

struct gate {
  base::mutex mutex;
  std::condition_variable changed;
  int registered GUARDED_BY(mutex) = 0;  // threads of the library
  int active GUARDED_BY(mutex) = 0;      // of these, outside of a fork_safe_scope
  bool forking GUARDED_BY(mutex) = false;

  void enter(std::unique_lock<std::mutex>& lock) REQUIRES(mutex) {
    changed.wait(lock, [this] {
      base::assert_held(mutex);
      return !forking;
    });
    ++active;
  }
  void leave() REQUIRES(mutex) {
    --active;
    changed.notify_all();
  }
};

// Never destroyed: threads may end after static destructors have run.
alignas(gate) std::byte gate_storage[sizeof(gate)];  // not on the heap: used when a thread begins
gate& the_gate() {
  static auto* const g = new (gate_storage) gate;
  return *g;
}

// Whether the process has no threads except the caller and threads of the library that wait at the
// gate.
bool alone(int registered) {
  const int threads = os::thread_count();
  return threads >= 0 && threads <= 1 + registered + hidden_threads;
}

}  // namespace

bool on_library_thread() noexcept { return is_own; }

void forget_other_threads() noexcept {
  the_gate();
  // The mutex may be held by a thread that does not exist in this process.
  auto* const g = new (gate_storage) gate;
  base::assert_held(g->mutex);  // no other thread exists
  g->registered = g->active = is_own ? 1 : 0;
}

library_thread::library_thread() {
  is_own = true;
  gate& g = the_gate();
  base::unique_lock lock(g.mutex);
  ++g.registered;
  g.changed.notify_all();
  g.enter(lock);
}

library_thread::~library_thread() {
  gate& g = the_gate();
  const base::lock_guard lock(g.mutex);
  --g.registered;
  g.leave();
}

fork_safe_scope::fork_safe_scope() {
  gate& g = the_gate();
  const base::lock_guard lock(g.mutex);
  g.leave();
}

fork_safe_scope::~fork_safe_scope() {
  gate& g = the_gate();
  base::unique_lock lock(g.mutex);
  g.enter(lock);
}

fork_guard::fork_guard() {
  if (is_own) {
    throw unsafe_fork_error(
        "procpool: start_method::fork is not possible in a callback, which runs beside the "
        "program's own thread: create the pool there, or use start_method::spawn");
  }
  gate& g = the_gate();
  base::unique_lock lock(g.mutex);
  g.changed.wait(lock, [&g] {
    base::assert_held(g.mutex);
    return !g.forking;
  });
  g.forking = true;
  // The kernel counts a joined thread for a moment longer, and counts a new thread of the library
  // before it has registered: so the count is read more than once.
  const auto deadline = std::chrono::steady_clock::now() + gate_timeout;
  for (;;) {
    const bool all_asleep = g.changed.wait_until(lock, deadline, [&g] {
      base::assert_held(g.mutex);
      return g.active == 0;
    });
    if (all_asleep && alone(g.registered)) return;
    if (std::chrono::steady_clock::now() >= deadline) break;
    g.changed.wait_for(lock, std::chrono::milliseconds(1));
  }
  const int threads = os::thread_count();
  const int others = std::max(threads - 1 - g.registered, 1);
  g.forking = false;
  lock.unlock();
  g.changed.notify_all();
  if (threads < 0) {
    throw unsafe_fork_error(
        "procpool: start_method::fork needs a process without other threads, and how many run "
        "cannot be known, because /proc is not mounted: use start_method::spawn");
  }
  throw unsafe_fork_error(
      "procpool: start_method::fork needs a process without other threads, and " +
      std::to_string(others) + (others == 1 ? " other thread runs" : " other threads run") +
      ": create the pool before threads are started, or use start_method::spawn");
}

fork_guard::~fork_guard() {
  gate& g = the_gate();
  {
    const base::lock_guard lock(g.mutex);
    g.forking = false;
  }
  g.changed.notify_all();
}

}  // namespace procpool::runtime
