// procpool::mutex and procpool::recursive_mutex: a robust_lock in a shared object; the recursive
// one also counts how often its owner has locked it. The protocol and its states are those of
// robust_lock.hpp.
#include "procpool/mutex.hpp"

#include <atomic>

#include "procpool/errors.hpp"
#include "sync/object.hpp"
#include "sync/robust_lock.hpp"

namespace procpool {
namespace {

using sync::deadline;
using sync::lock_result;
using sync::robust_lock;

struct mutex_words {
  std::atomic<sync::u64> kind;
  robust_lock lock;
  std::atomic<sync::u64> depth;  // of a recursive_mutex; only the owner reads and writes it
};
static_assert(sizeof(mutex_words) == 32 && std::is_standard_layout_v<mutex_words>);

mutex_words& mutex_in(std::byte* memory) { return sync::object_in<mutex_words>(memory); }

void check_owner(const robust_lock& lock) {
  if (lock.is_mine()) return;
  throw invalid_state_error(
      lock.is_locked()
          ? "unlock() of a mutex that another thread owns: it belongs to the thread that locked "
            "it; use an event or a semaphore to signal other threads"
          : "unlock() of a mutex that is not locked: use std::lock_guard or std::unique_lock");
}

// Throws if this thread is the owner and the wait has no end: it would wait for itself for ever.
bool lock_once(robust_lock& lock, deadline end, bool bounded) {
  if (!bounded && lock.is_mine()) {
    throw invalid_state_error(
        "lock() of a mutex that this thread has already: unlock it first, or use "
        "procpool::recursive_mutex");
  }
  return lock.lock(end) != lock_result::busy;
}

// Of a recursive_mutex: true if this thread is the owner, which then has it once more.
bool lock_again(mutex_words& words) {
  if (!words.lock.is_mine()) return false;
  words.depth.store(words.depth.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  return true;
}

// Begins a new ownership of a recursive_mutex: a dead owner may have left any depth.
bool own_once(mutex_words& words, lock_result result) {
  if (result == lock_result::busy) return false;
  words.depth.store(1, std::memory_order_relaxed);
  return true;
}

bool previous_owner_died(const robust_lock& lock) {
  return lock.is_mine() && lock.owner_died.load(std::memory_order_relaxed) != 0;
}

}  // namespace

mutex::mutex() : sync_handle(kind, sizeof(mutex_words)) {}

void mutex::lock() const { lock_once(mutex_in(memory()).lock, deadline::never(), false); }
bool mutex::try_lock() const { return mutex_in(memory()).lock.try_lock() != lock_result::busy; }
bool mutex::try_lock_for(duration d) const {
  return lock_once(mutex_in(memory()).lock, deadline::after(d), true);
}
void mutex::unlock() const {
  robust_lock& lock = mutex_in(memory()).lock;
  check_owner(lock);
  lock.unlock();
}
bool mutex::owner_died() const { return previous_owner_died(mutex_in(memory()).lock); }
bool mutex::locked() const { return mutex_in(memory()).lock.is_locked(); }
bool mutex::is_mine() const { return mutex_in(memory()).lock.is_mine(); }

recursive_mutex::recursive_mutex() : sync_handle(kind, sizeof(mutex_words)) {}

void recursive_mutex::lock() const {
  mutex_words& words = mutex_in(memory());
  if (!lock_again(words)) own_once(words, words.lock.lock(deadline::never()));
}
bool recursive_mutex::try_lock() const {
  mutex_words& words = mutex_in(memory());
  return lock_again(words) || own_once(words, words.lock.try_lock());
}
bool recursive_mutex::try_lock_for(duration d) const {
  mutex_words& words = mutex_in(memory());
  return lock_again(words) || own_once(words, words.lock.lock(deadline::after(d)));
}
void recursive_mutex::unlock() const {
  mutex_words& words = mutex_in(memory());
  check_owner(words.lock);
  const sync::u64 depth = words.depth.load(std::memory_order_relaxed);
  if (depth > 1) {
    words.depth.store(depth - 1, std::memory_order_relaxed);
  } else {
    words.lock.unlock();
  }
}
bool recursive_mutex::owner_died() const { return previous_owner_died(mutex_in(memory()).lock); }
bool recursive_mutex::locked() const { return mutex_in(memory()).lock.is_locked(); }
std::size_t recursive_mutex::depth() const {
  const mutex_words& words = mutex_in(memory());
  return words.lock.is_mine() ? words.depth.load(std::memory_order_relaxed) : 0;
}

}  // namespace procpool
