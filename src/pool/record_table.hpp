// Which record has which slot, and the records that are returned. Any thread may use both without
// the pool's mutex; the table changes only under it.
#pragma once

#include <atomic>
#include <cstdlib>
#include <memory>
#include <new>
#include <utility>

#include "pool/task_record.hpp"

namespace procpool::parent {

class record_table {
 public:
  // calloc: pages that are never used cost nothing. All bits zero is a null pointer.
  record_table()
      : records_(static_cast<entry*>(std::calloc(shm::max_slots, sizeof(entry))), &std::free) {
    if (records_ == nullptr) throw std::bad_alloc();
  }

  // Null: the slot was never used. acquire: pairs with set()
  task_record* at(shm::u32 slot) const noexcept {
    return records_[slot].load(std::memory_order_acquire);
  }
  void set(shm::u32 slot, task_record& r) noexcept {
    records_[slot].store(&r, std::memory_order_release);
  }

 private:
  using entry = std::atomic<task_record*>;
  std::unique_ptr<entry[], void (*)(void*)> records_;
};

// Records whose futures are destroyed, most recent first.
class returned_list {
 public:
  // False: the list is closed.
  bool push(task_record& r) noexcept {
    task_record* head = first_.load(std::memory_order_relaxed);
    while (head != sentinel()) {
      r.next = head;
      // release: publishes the last changes of the record
      if (first_.compare_exchange_weak(head, &r, std::memory_order_release,
                                       std::memory_order_relaxed)) {
        return true;
      }
    }
    return false;
  }
  task_record* take_all() noexcept {
    // relaxed: only tests for an empty list
    const task_record* waiting = first_.load(std::memory_order_relaxed);
    if (waiting == nullptr || waiting == sentinel()) return nullptr;
    // acquire: the last changes of the releasing threads to the records
    return first_.exchange(nullptr, std::memory_order_acquire);
  }
  // Takes all records for the last time: later push() calls fail.
  task_record* close() noexcept { return first_.exchange(sentinel(), std::memory_order_acquire); }

 private:
  static task_record* sentinel() noexcept {
    static char mark;
    return reinterpret_cast<task_record*>(&mark);
  }
  std::atomic<task_record*> first_{nullptr};
};

}  // namespace procpool::parent
