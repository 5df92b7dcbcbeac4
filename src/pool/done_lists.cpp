// Completions with listeners. Each worker pushes such tasks on its done-list; a waiting thread
// drains all lists and notifies the listeners. All of it under the hub's mutex.
#include <utility>

#include "pool/pool.hpp"

namespace procpool::parent {

using shm::task_phase;
using shm::u32;
using shm::u64;

void task_record::subscribe(detail::subscription& s) {
  detail::check_home(home());
  s.source = owner;
  listeners.add(s);
  if (!set_flag(shm::notify_flag)) deliver();
}

void task_record::unsubscribe(detail::subscription& s) noexcept { listeners.remove(s); }

bool task_record::failed() const noexcept {
  // acquire: as in load()
  const shm::slot* const s = slot.load(std::memory_order_acquire);
  if (s != nullptr) {
    const u64 word = s->word.load(std::memory_order_acquire);
    // acquire: before the second load of the word, which tells whether the slot is still this
    // task's
    const u32 kind = s->kind.load(std::memory_order_acquire);
    if (shm::generation_of(word) == generation &&
        shm::generation_of(s->word.load(std::memory_order_relaxed)) == generation) {
      return shm::phase_of(word) != task_phase::done ||
             (kind != static_cast<u32>(shm::outcome_kind::value) &&
              kind != static_cast<u32>(shm::outcome_kind::value_with_objects));
    }
    // A damaged word; or else the outcome is in private memory meanwhile.
    if (slot.load(std::memory_order_acquire) == s) return true;
  }
  // acquire: `harvested` publishes the copy, a few instructions after the record has lost its slot
  while ((pins.load(std::memory_order_acquire) & harvested) == 0) base::relax();
  return saved_exception || error != nullptr;
}

void task_record::deliver() noexcept {
  listeners.deliver();
  if (dropped) {
    dropped = false;
    owner->dropped_one();
    finish_release();
  }
}

void task_record::leave_list(u64 word) noexcept {
  if (shm::phase_of(word) != task_phase::done) return;
  // acquire: the thread that took the slot off the list no longer uses its link
  if (off_list.load(std::memory_order_acquire)) return;
  const base::lock_guard lock(completion_hub::instance().mutex());
  owner->drain();
}

void pool::drain() noexcept {
  // Entries that were pushed before their word said DONE: checked again at each drain.
  for (task_record** at = &not_done_yet_; *at != nullptr;) {
    task_record* r = *at;
    if (r->resolved()) {
      *at = r->chain;
      r->not_done_yet = false;
      r->deliver();
    } else {
      at = &r->chain;
    }
  }
  for (u32 w = 0; w < region_.workers(); ++w) {
    std::atomic<u32>& head = region_.worker(w).done_list;
    // relaxed: only tests for an empty list; a worker that pushes later also rings later
    if (head.load(std::memory_order_relaxed) == 0) continue;
    // acquire: the links that follow the head
    u32 entry = head.exchange(0, std::memory_order_acquire);
    // The links lie in the region and may be damaged: each is checked, and at most as many are
    // followed as there are slots. A slot that is not in use has no record, or a record without
    // references.
    task_record* first = nullptr;
    for (u32 n = 0; entry != 0 && entry <= shm::max_slots && n < shm::max_slots; ++n) {
      task_record* r = record_at(entry - 1);
      if (r == nullptr) break;
      // relaxed: the exchange has acquired the links
      entry = region_.at(entry - 1).next.load(std::memory_order_relaxed);
      if (r->references.load() == 0 || r->not_done_yet) continue;
      if (r->off_list.exchange(true)) continue;  // twice on a list: a link is damaged
      // The list is in reverse order; listeners are notified in the order of completion.
      r->chain = std::exchange(first, r);
    }
    while (first != nullptr) {
      task_record* r = std::exchange(first, first->chain);
      if (r->resolved()) {
        r->deliver();
      } else {
        r->chain = std::exchange(not_done_yet_, r);
        r->not_done_yet = true;
      }
    }
  }
}

void pool::forget_not_done(task_record& r) noexcept {
  for (task_record** at = &not_done_yet_; *at != nullptr; at = &(*at)->chain) {
    if (*at != &r) continue;
    *at = r.chain;
    r.not_done_yet = false;
    return;
  }
}

bool pool::anything_done() const noexcept {
  for (u32 w = 0; w < region_.workers(); ++w) {
    // relaxed: a hint
    if (region_.worker(w).done_list.load(std::memory_order_relaxed) != 0) return true;
  }
  return false;
}

}  // namespace procpool::parent
