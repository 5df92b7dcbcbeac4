// An object of which each process has its own. It is made at the first use and never destroyed,
// since static objects use it to the very end. After a fork the child does not use the parent's
// object, whose mutexes may be locked by threads that the child does not have, but makes a new one.
//
// Constant-initialized, and any thread may call the members: for objects of namespace scope.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <thread>

#include "base/guarded.hpp"
#include "procpool/detail/task/home_process.hpp"

namespace procpool::base {

template <class T>
class per_process {
 public:
  constexpr per_process() = default;
  per_process(const per_process&) = delete;
  per_process& operator=(const per_process&) = delete;

  // This process's object. Throws what the constructor of T throws; the next call tries again.
  T& get() {
    if (T* made = existing()) [[likely]]
      return *made;
    return make();
  }
  // This process's object, or null if it was not made yet.
  T* existing() const noexcept {
    // acquire: the object, with its address
    const node* n = current_.load(std::memory_order_acquire);
    return n != nullptr && n->number == detail::this_parent_number() ? n->value : nullptr;
  }
  // The object that was made last, or null: this process's, or the object of the process that
  // this process was forked from. Within the constructor of T it is always an object of that other
  // process.
  T* latest() const noexcept {
    const node* n = current_.load(std::memory_order_acquire);
    return n != nullptr ? n->value : nullptr;
  }
  // Whether the predicate holds for this process's object or for an inherited one.
  template <class Predicate>
  bool holds_for_any(Predicate predicate) const {
    for (const node* n = current_.load(std::memory_order_acquire); n != nullptr; n = n->older) {
      if (predicate(*n->value)) return true;
    }
    return false;
  }

 private:
  struct node {
    std::uint32_t number;
    T* value;
    node* older;
  };

  T& make() {
    const std::uint32_t number = detail::this_parent_number();
    // A value of maker_ that is not ours is 0 or of a process that this one was forked from.
    const std::uint32_t ours = number << 1U | 1U;
    std::uint32_t seen = maker_.load(std::memory_order_relaxed);
    for (;;) {
      if (T* made = existing()) return *made;
      if (seen == ours) {
        // Another thread makes the object: rare and short. Sleeps, since a thread of high priority
        // that only yields may keep the CPU from that thread.
        std::this_thread::sleep_for(std::chrono::microseconds(50));
        seen = maker_.load(std::memory_order_relaxed);
      } else if (maker_.compare_exchange_weak(seen, ours, std::memory_order_acquire)) {
        break;
      }
    }
    const maker_scope scope{maker_};
    if (T* made = existing()) return *made;  // made between the check and the exchange
    auto n = std::make_unique<node>();
    n->number = number;
    n->value = new T;
    n->older = current_.load(std::memory_order_relaxed);
    // release: see existing()
    current_.store(n.get(), std::memory_order_release);
    return *n.release()->value;
  }

  struct maker_scope {
    std::atomic<std::uint32_t>& maker;
    // release: the next thread finds the object
    ~maker_scope() { maker.store(0, std::memory_order_release); }
  };

  std::atomic<node*> current_{nullptr};
  std::atomic<std::uint32_t> maker_{0};
};

// A mutex that is unlocked in a forked child, for state that the child keeps.
template <class Mutex>
class CAPABILITY("mutex") per_process_lockable {
 public:
  constexpr per_process_lockable() = default;
  void lock() ACQUIRE() NO_THREAD_SAFETY_ANALYSIS { mutex_.get().lock(); }
  void unlock() RELEASE() NO_THREAD_SAFETY_ANALYSIS { mutex_.get().unlock(); }

 private:
  per_process<Mutex> mutex_;
};

}  // namespace procpool::base
