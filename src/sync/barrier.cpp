// procpool::barrier and procpool::party.
//
//   +---------+---------+--------+---------+--------+------------+----------+---------+
//   | monitor | parties | broken | waiting | turned | 2n seats   | n guests | journal |
//   +---------+---------+--------+---------+--------+------------+----------+---------+
//
//   seat:  life of the thread, nobody when free
//          verdict: waits, passed or broke
//   guest: the object of a procpool::party, 0 when free
//          life of the process that has it
//
//   1. a party that comes takes a seat and waits for a verdict
//   2. the last one of a turn passes all that wait, in one section, and goes on
//   3. who has a verdict leaves its seat; meanwhile the next turn has seats enough to begin
//
// Who waits looks for the dead, and for guests that are gone: either breaks the barrier, in one
// section as well. One that died in its seat after it had passed will not come again, so it breaks
// the next turn, as soon as somebody waits there.
#include "procpool/barrier.hpp"

#include <algorithm>
#include <atomic>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>

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

struct guest {
  std::atomic<u64> object;
  std::atomic<u64> life;
};
static_assert(sizeof(guest) == 16 && std::is_standard_layout_v<guest>);

// Of no process: the one that had it has let go.
constexpr os::life departed = os::life{1} << 63U;

// For each party: two seats, a guest, and two records, as a section may change every seat.
constexpr std::size_t party_bytes =
    2 * sizeof(seat) + sizeof(guest) + 2 * sizeof(sync::journal_record);
constexpr std::size_t fixed_bytes =
    sizeof(barrier_words) + spare_records * sizeof(sync::journal_record);

std::size_t bytes_for(std::size_t parties) {
  if (parties == 0 || parties > most_parties) {
    throw std::invalid_argument("procpool: a barrier of " + std::to_string(parties) +
                                " parties: it can have 1 to " + std::to_string(most_parties));
  }
  return fixed_bytes + parties * party_bytes;
}

u64 guest_of(const detail::object_ref& r) { return u64{r.generation} << 32U | r.id; }
detail::object_ref object_of(u64 g) {
  return {static_cast<std::uint32_t>(g), static_cast<std::uint32_t>(g >> 32U)};
}

[[noreturn]] void throw_broken(const char* why) {
  throw broken_barrier_error(std::string("the barrier is broken: ") + why +
                             "; reset() makes it whole again");
}

struct view {
  std::size_t parties;  // from the size of the object, as this process knows it
  sync::guarded_memory memory;
  barrier_words& words;
  std::span<seat> seats;
  std::span<guest> guests;

  view(std::byte* data, std::size_t bytes)
      : parties((bytes - fixed_bytes) / party_bytes),
        memory{data, bytes, 2 * parties + spare_records},
        words(memory.as<barrier_words>()),
        seats(reinterpret_cast<seat*>(data + sizeof(barrier_words)), 2 * parties),
        guests(reinterpret_cast<guest*>(data + sizeof(barrier_words) + seats.size_bytes()),
               parties) {}

  // The end of a turn.
  void judge(section& s, verdict v) const {
    for (seat& one : seats) {
      if (section::get(one.verdict) == waits) s.set(one.verdict, v);
    }
    s.set(words.waiting, 0);
  }
  void break_it(section& s) const {
    judge(s, broke);
    s.set(words.broken, 1);
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
    for (seat& one : seats) any |= bury(one);
    for (guest& one : guests) any |= miss(one);
    if (any) words.turned.signal_all();
    return any;
  }
  bool bury(seat& one) const {
    // relaxed: looked at again in the section
    const os::life l = one.life.load(std::memory_order_relaxed);
    if (l == os::nobody || l == os::this_thread_life() || !os::has_ended(l)) return false;
    section s(memory);
    if (section::get(one.life) != l) return false;
    if (section::get(one.verdict) != broke) {
      if (section::get(words.waiting) == 0) return false;  // for those that wait next
      break_it(s);
    }
    leave(s, one);
    return true;
  }
  bool miss(guest& one) const {
    // relaxed: as above
    const u64 g = one.object.load(std::memory_order_relaxed);
    const os::life l = one.life.load(std::memory_order_relaxed);
    if (g == 0 || !is_gone(g, l)) return false;
    section s(memory);
    if (section::get(one.object) != g || section::get(one.life) != l) return false;
    if (section::get(words.waiting) == 0) return false;
    s.set(one.object, 0);
    break_it(s);
    return true;
  }
  static bool is_gone(u64 object, os::life l) {
    if (l == departed || !detail::shared_object::lives(object_of(object))) return true;
    return l != os::this_process_life() && os::has_ended(l);
  }
  guest* find(const detail::object_ref& one) const {
    const auto at = std::find_if(guests.begin(), guests.end(), [&](const guest& g) {
      return section::get(g.object) == guest_of(one);
    });
    return at == guests.end() ? nullptr : &*at;
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
  if (section::get(v.words.broken) != 0) {
    throw_broken("a party is gone or was late, or abort()");
  }
  a.place = section::get(v.words.waiting);
  a.last = a.place + 1 >= v.parties;
  if (a.last) {
    v.judge(s, passed);
    return true;
  }
  for (seat& one : v.seats) {
    if (section::get(one.life) != os::nobody) continue;
    a.mine = &one;
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
        v.break_it(s);
        if (came) v.leave(s, *a.mine);
      }
    }
    v.words.turned.signal_all();
    if (verdict == waits) throw_broken("not all parties came in time");
  }
  if (verdict == broke) throw_broken("a party is gone or was late, abort() or reset()");
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

void barrier::expect(const detail::object_ref& one) const {
  const view v(memory(), bytes());
  section s(v.memory);
  // Or one that is gone, before anybody has missed it.
  const auto place = std::find_if(v.guests.begin(), v.guests.end(), [](const guest& g) {
    const u64 known = section::get(g.object);
    return known == 0 || view::is_gone(known, section::get(g.life));
  });
  if (place == v.guests.end()) {
    throw invalid_state_error("a barrier of " + std::to_string(v.parties) +
                              " parties has a procpool::party for each of them already");
  }
  s.set(place->object, guest_of(one));
  s.set(place->life, os::this_process_life());
}

void barrier::accept(const detail::object_ref& one) const {
  const view v(memory(), bytes());
  section s(v.memory);
  if (guest* g = v.find(one); g != nullptr) s.set(g->life, os::this_process_life());
}

void barrier::dismiss(const detail::object_ref& one) const noexcept {
  const view v(memory(), bytes());
  section s(v.memory);
  guest* const g = v.find(one);
  if (g != nullptr && section::get(g->life) == os::this_process_life()) s.set(g->life, departed);
}

party::party(barrier b)
    : barrier_(std::move(b)),
      self_(detail::shared_object::create(1)),
      process_(os::this_process_life()) {
  barrier_.expect(self_.mapping()->ref);
}

party::party(barrier b, detail::shared_object self)
    : barrier_(std::move(b)), self_(std::move(self)), process_(os::this_process_life()) {
  if (barrier_ && self_) barrier_.accept(self_.mapping()->ref);
}

party::~party() {
  // What an argument or a result on its way holds counts as a handle here, too.
  if (!barrier_ || !self_ || self_.mapping()->handles.load(std::memory_order_relaxed) != 1) return;
  if (process_ == os::this_process_life()) barrier_.dismiss(self_.mapping()->ref);
}

std::size_t barrier::parties() const { return view(memory(), bytes()).parties; }

std::size_t barrier::waiting() const {
  const view v(memory(), bytes());
  const section s(v.memory);
  return section::get(v.words.waiting);
}

}  // namespace procpool
