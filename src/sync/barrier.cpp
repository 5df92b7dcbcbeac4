// procpool::barrier.
//
//   +---------+---------+--------+---------+--------+-------------------------+---------+
//   | monitor | parties | broken | waiting | turned | seats: two for each party | journal |
//   +---------+---------+--------+---------+--------+-------------------------+---------+
//
//   seat: life of the thread, nobody when free
//         verdict: waits, passed or broke
//
//   1. a party that comes takes a seat and waits for a verdict
//   2. the last one of a turn passes all that wait, in one section, and goes on
//   3. who has a verdict leaves its seat; meanwhile the next turn has seats enough to begin
//
// Who waits looks for the dead: one that died while it waited breaks the barrier, in one section as
// well; one that died with its verdict is only removed.
#include "procpool/barrier.hpp"

#include <atomic>
#include <stdexcept>
#include <string>

#include "procpool/errors.hpp"
#include "sync/object.hpp"
#include "sync/section.hpp"

namespace procpool {
namespace {

using sync::section;
using sync::u64;

constexpr std::size_t most_parties = 65536;
constexpr std::size_t spare_records = 8;
enum verdict : u64 { waits = 1, passed = 2, broke = 3 };

struct seat {
  std::atomic<u64> life;
  std::atomic<u64> verdict;
};
static_assert(sizeof(seat) == 16 && std::is_standard_layout_v<seat>);

struct barrier_words {
  sync::monitor monitor;
  std::atomic<u64> parties;
  std::atomic<u64> broken;
  std::atomic<u64> waiting;
  sync::channel turned;
};
static_assert(sizeof(barrier_words) == 72 && std::is_standard_layout_v<barrier_words>);

// For each party: two seats, and two records, as a section may change every seat.
constexpr std::size_t party_bytes = 2 * sizeof(seat) + 2 * sizeof(sync::journal_record);
constexpr std::size_t fixed_bytes =
    sizeof(barrier_words) + spare_records * sizeof(sync::journal_record);

std::size_t bytes_for(std::size_t parties) {
  if (parties == 0 || parties > most_parties) {
    throw std::invalid_argument("procpool: a barrier of " + std::to_string(parties) +
                                " parties: it can have 1 to " + std::to_string(most_parties));
  }
  return fixed_bytes + parties * party_bytes;
}

[[noreturn]] void throw_broken(const char* why) {
  throw broken_barrier_error(std::string("the barrier is broken: ") + why +
                             "; reset() makes it whole again");
}

struct view {
  std::size_t parties;  // from the size of the object, as this process knows it
  sync::guarded_memory memory;
  barrier_words& words;
  seat* seats;

  view(std::byte* data, std::size_t bytes)
      : parties((bytes - fixed_bytes) / party_bytes),
        memory{data, bytes, 2 * parties + spare_records},
        words(memory.as<barrier_words>()),
        seats(reinterpret_cast<seat*>(data + sizeof(barrier_words))) {}

  std::size_t seat_count() const { return 2 * parties; }

  // The end of a turn.
  void judge(section& s, verdict v) const {
    for (std::size_t i = 0; i < seat_count(); ++i) {
      if (section::get(seats[i].verdict) == waits) s.set(seats[i].verdict, v);
    }
    s.set(words.waiting, 0);
  }
  void leave(section& s, seat& mine) const {
    s.set(mine.verdict, 0);
    s.set(mine.life, os::nobody);
  }
  void end_turn(u64 broken) const {
    {
      section s(memory);
      judge(s, broke);
      s.set(words.broken, broken);
    }
    words.turned.signal_all();
  }

  bool patrol() const {
    bool any = false;
    if (!memory.as<sync::monitor>().is_time_to_patrol()) return any;
    for (std::size_t i = 0; i < seat_count(); ++i) {
      // relaxed: looked at again in the section
      const os::life l = seats[i].life.load(std::memory_order_relaxed);
      if (l == os::nobody || l == os::this_thread_life() || !os::has_ended(l)) continue;
      section s(memory);
      if (section::get(seats[i].life) != l) continue;
      if (section::get(seats[i].verdict) == waits) {
        judge(s, broke);
        s.set(words.broken, 1);
      }
      leave(s, seats[i]);
      any = true;
    }
    if (any) words.turned.signal_all();
    return any;
  }
};

// What a party finds when it comes.
struct arrival {
  seat* mine = nullptr;  // null for the last one
  std::size_t place = 0;
  bool last = false;
};

// False: no seat is free.
bool arrive(const view& v, section& s, arrival& a) {
  if (section::get(v.words.broken) != 0) throw_broken("a party died or was late, or abort()");
  a.place = section::get(v.words.waiting);
  a.last = a.place + 1 >= v.parties;
  if (a.last) {
    v.judge(s, passed);
    return true;
  }
  for (std::size_t i = 0; i < v.seat_count(); ++i) {
    if (section::get(v.seats[i].life) != os::nobody) continue;
    a.mine = &v.seats[i];
    s.set(a.mine->life, os::this_thread_life());
    s.set(a.mine->verdict, waits);
    s.set(v.words.waiting, a.place + 1);
    return true;
  }
  return false;
}

}  // namespace

barrier::barrier(std::size_t parties) : sync_handle(kind, bytes_for(parties)) {
  // relaxed: others get the handle with a task
  view(memory(), bytes()).words.parties.store(parties, std::memory_order_relaxed);
}

std::size_t barrier::wait_limited(const duration* limit) const {
  const view v(memory(), bytes());
  const sync::deadline end = sync::end_of(limit);
  arrival a;
  const bool came = sync::await(
      v.memory, v.words.turned, end, [&](section& s) { return arrive(v, s, a); },
      [&] { return v.patrol(); });
  if (a.last) {
    v.words.turned.signal_all();
    return a.place;
  }
  u64 verdict = waits;
  const auto judged = [&](section& s) {
    verdict = section::get(a.mine->verdict);
    if (verdict == waits) return false;
    v.leave(s, *a.mine);
    return true;
  };
  if (came) sync::await(v.memory, v.words.turned, end, judged, [&] { return v.patrol(); });
  if (verdict == waits) {
    {
      section s(v.memory);
      if (!came || !judged(s)) {
        v.judge(s, broke);
        s.set(v.words.broken, 1);
        if (came) v.leave(s, *a.mine);
      }
    }
    v.words.turned.signal_all();
    if (verdict == waits) throw_broken("not all parties came in time");
  }
  if (verdict == broke) throw_broken("a party died or was late, abort() or reset()");
  return a.place;
}

std::size_t barrier::wait() const { return wait_limited(nullptr); }
std::size_t barrier::wait_for(duration d) const { return wait_limited(&d); }

void barrier::abort() const { view(memory(), bytes()).end_turn(1); }
void barrier::reset() const { view(memory(), bytes()).end_turn(0); }

bool barrier::broken() const {
  const view v(memory(), bytes());
  const section s(v.memory);
  return section::get(v.words.broken) != 0;
}

std::size_t barrier::parties() const { return view(memory(), bytes()).parties; }

std::size_t barrier::waiting() const {
  const view v(memory(), bytes());
  const section s(v.memory);
  return section::get(v.words.waiting);
}

}  // namespace procpool
