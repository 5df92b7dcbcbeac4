// An object of which each process has one of its own, made when it is first asked for and never
// destroyed (static objects use it to the very end). A process that was forked does not find the
// one of the process that it is a copy of, whose mutexes may be held by threads that do not exist
// in the copy, but gets a new one.
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

  // Throws what the constructor of T throws; the next call tries once more.
  T& get() {
    if (T* made = existing()) [[likely]]
      return *made;
    return make();
  }
  // Null if it was not made yet.
  T* existing() const noexcept {
    // acquire: all of it, with its address
    const node* n = current_.load(std::memory_order_acquire);
    return n != nullptr && n->number == detail::this_parent_number() ? n->value : nullptr;
  }
  // The latest one, which may be that of the process that this one was forked from; or null. In the
  // constructor of T it is always that.
  T* latest() const noexcept {
    const node* n = current_.load(std::memory_order_acquire);
    return n != nullptr ? n->value : nullptr;
  }
  // Whether it holds for this process's or for an inherited one.
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
    // Of another process it means nothing, whatever it says.
    const std::uint32_t ours = number << 1U | 1U;
    std::uint32_t seen = maker_.load(std::memory_order_relaxed);
    for (;;) {
      if (T* made = existing()) return *made;
      if (seen == ours) {
        // Rare and short. A sleep, since a thread of high priority that only yields may keep the
        // CPU from the one that makes it.
        std::this_thread::sleep_for(std::chrono::microseconds(50));
        seen = maker_.load(std::memory_order_relaxed);
      } else if (maker_.compare_exchange_weak(seen, ours, std::memory_order_acquire)) {
        break;
      }
    }
    const maker_scope scope{maker_};
    if (T* made = existing()) return *made;  // between the look and the exchange
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
    // release: the next one finds what was made
    ~maker_scope() { maker.store(0, std::memory_order_release); }
  };

  std::atomic<node*> current_{nullptr};
  std::atomic<std::uint32_t> maker_{0};
};

// A mutex that is free in a process that was forked, for state that the copy keeps.
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
