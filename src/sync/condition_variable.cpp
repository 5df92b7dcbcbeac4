// procpool::condition_variable.
//
//   +---------+------+------+---------------------------+---------+
//   | monitor | next | used | seats: one for each waiter | journal |
//   +---------+------+------+---------------------------+---------+
//
//   seat: life of the thread, nobody when free
//         state: number << 1 | notified; each waiter has a higher number, and sleeps on this word
//
//   1. the waiter takes a seat, unlocks the mutex, and sleeps until its seat is notified
//   2. notify() marks the seat with the lowest number that is not, and wakes it
//   3. the waiter locks the mutex, then leaves its seat
//
// Who waits looks for seats of the dead. One that was notified before it died has the notification
// passed on. Without a free seat a waiter is told to look again every now and then.
#include "procpool/condition_variable.hpp"

#include <algorithm>
#include <atomic>

#include "procpool/errors.hpp"
#include "sync/object.hpp"
#include "sync/section.hpp"

namespace procpool {
namespace {

using sync::section;
using sync::u32;
using sync::u64;

constexpr std::size_t journal_records = 8;
constexpr std::size_t no_seat = static_cast<std::size_t>(-1);
constexpr u64 notified = 1;

struct seat {
  std::atomic<u64> life;
  std::atomic<u64> state;
};
static_assert(sizeof(seat) == 16 && std::is_standard_layout_v<seat>);

struct condition_words {
  sync::monitor monitor;
  std::atomic<u64> next;  // number of the next waiter
  std::atomic<u64> used;  // seats from here on were never taken
};
static_assert(sizeof(condition_words) == 56 && std::is_standard_layout_v<condition_words>);

constexpr std::size_t object_bytes = 16384;
constexpr std::size_t seat_count =
    (object_bytes - sizeof(condition_words) - journal_records * sizeof(sync::journal_record)) /
    sizeof(seat);

struct view {
  sync::guarded_memory memory;
  condition_words& words;
  seat* seats;

  explicit view(std::byte* data)
      : memory{data, object_bytes, journal_records},
        words(memory.as<condition_words>()),
        seats(reinterpret_cast<seat*>(data + sizeof(condition_words))) {}

  std::size_t used() const { return std::min<u64>(section::get(words.used), seat_count); }

  std::size_t take_seat() const {
    section s(memory);
    std::size_t i = 0;
    while (i < seat_count && section::get(seats[i].life) != os::nobody) ++i;
    if (i == seat_count) return no_seat;
    const u64 number = section::get(words.next);
    s.set(words.next, number + 1);
    s.set(seats[i].state, number << 1U);
    s.set(seats[i].life, os::this_thread_life());
    if (i >= section::get(words.used)) s.set(words.used, i + 1);
    return i;
  }

  // Notifies the one that has waited longest, of those with a number below the limit; no_seat if
  // there is none. It is woken after the section.
  std::size_t notify_oldest(section& s, u64 limit) const {
    std::size_t oldest = no_seat;
    for (std::size_t i = 0, n = used(); i < n; ++i) {
      const u64 state = section::get(seats[i].state);
      if (section::get(seats[i].life) == os::nobody || (state & notified) != 0) continue;
      if (state >> 1U >= limit) continue;
      if (oldest == no_seat || state < section::get(seats[oldest].state)) oldest = i;
    }
    if (oldest != no_seat) s.set(seats[oldest].state, section::get(seats[oldest].state) | notified);
    return oldest;
  }

  void wake(std::size_t i) const {
    if (i != no_seat) os::futex_wake(seats[i].state, 1);
  }

  // Frees the seat if it is that waiter's; a notification that nobody has received goes on.
  void bury(std::size_t i, os::life dead) const {
    std::size_t heir = no_seat;
    {
      section s(memory);
      if (section::get(seats[i].life) != dead) return;
      s.set(seats[i].life, os::nobody);
      if ((section::get(seats[i].state) & notified) != 0) {
        heir = notify_oldest(s, section::get(words.next));
      }
    }
    wake(heir);
  }

  void patrol() const {
    if (!memory.as<sync::monitor>().is_time_to_patrol()) return;
    for (std::size_t i = 0, n = used(); i < n; ++i) {
      // relaxed: looked at again in the section
      const os::life l = seats[i].life.load(std::memory_order_relaxed);
      if (l != os::nobody && l != os::this_thread_life() && os::has_ended(l)) bury(i, l);
    }
  }
};

}  // namespace

condition_variable::condition_variable() : sync_handle(kind, object_bytes) {}

void condition_variable::notify(std::size_t n) const {
  const view v(memory());
  u64 limit = 0;
  {
    const section s(v.memory);
    limit = section::get(v.words.next);
  }
  for (; n != 0; --n) {
    std::size_t i = no_seat;
    {
      section s(v.memory);
      i = v.notify_oldest(s, limit);
    }
    if (i == no_seat) return;
    v.wake(i);
  }
}

condition_variable::waiter::waiter(const condition_variable& of)
    : of_(of), seat_(view(of.memory()).take_seat()) {}

condition_variable::waiter::~waiter() { leave(); }

void condition_variable::waiter::sleep(const duration* limit) {
  const view v(of_.memory());
  sync::slices pause(sync::end_of(limit));
  if (seat_ == no_seat) {
    std::atomic<u32> nothing{0};
    os::futex_wait(nothing, 0, pause.next());
    v.patrol();
    over_ = pause.over();
    return;
  }
  std::atomic<u64>& state = v.seats[seat_].state;
  for (;;) {
    // relaxed: the mutex orders what it is about
    const u64 now = state.load(std::memory_order_relaxed);
    if ((now & notified) != 0) return;
    if (pause.over()) return;
    os::futex_wait(state, static_cast<u32>(now), pause.next());
    if (pause.due()) v.patrol();
  }
}

bool condition_variable::waiter::leave() {
  const std::size_t i = std::exchange(seat_, no_seat);
  if (i == no_seat) return !over_;  // as if it were notified, which may happen
  const view v(of_.memory());
  section s(v.memory);
  s.set(v.seats[i].life, os::nobody);
  return (section::get(v.seats[i].state) & notified) != 0;
}

void condition_variable::check(const mutex& m) {
  if (m.is_mine()) return;
  throw_not_locked();
}

void condition_variable::check(const recursive_mutex& m) {
  if (m.depth() == 1) return;
  if (m.depth() == 0) throw_not_locked();
  throw invalid_state_error(
      "wait() with a recursive_mutex that is locked more than once: it would stay locked, and "
      "no thread could notify");
}

void condition_variable::throw_not_locked() {
  throw invalid_state_error(
      "wait() of a condition variable by a thread that does not have the mutex: lock it first");
}

}  // namespace procpool
