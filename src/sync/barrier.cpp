// procpool::barrier and procpool::party.
//
// A cyclic barrier: `parties` threads wait, the last one to arrive releases the others, and the
// next generation begins. Java's CyclicBarrier and Python's threading.Barrier have the same rules:
// a generation that cannot be completed breaks the barrier, and all its waiters get an error.
//
//   +--------+---------+--------+---------+------------------+-----------+-----------+----------+
//   | header | parties | broken | waiting | generation_ended | 2n waiter | n regist. | undo log |
//   |        |         |        |         |                  | slots     | parties   |          |
//   +--------+---------+--------+---------+------------------+-----------+-----------+----------+
//
//   waiter_slot:      owner   the waiting thread; no_owner: the slot is free
//                     state   idle, waiting, released or broken
//   registered_party: object  the shared object of a procpool::party; 0: the entry is free
//                     owner   the process that has received it last, or party_departed
//
// The barrier:
//
//   state  | event                                             | next state, and what else happens
//   -------+---------------------------------------------------+-----------------------------------
//   whole  | a thread arrives, fewer than `parties` are there  | whole; waiting + 1
//   whole  | the last thread arrives                           | whole, next generation; waiting =
//   0,
//          |                                                   |   waiters are released
//   whole  | a waiter times out; a thread dies that waits;     | broken; waiting = 0, waiters get
//          |   abort()                                         |   broken_barrier_error
//   whole  | a registered party is gone, or a released thread  | broken, as above, as soon as a
//          |   died before it left its slot                    |   thread waits: this generation
//          |                                                   |   can never be complete
//   broken | a thread arrives                                  | broken; it gets the error at once
//   any    | reset()                                           | whole; waiters get the error
//
// A waiter slot:
//
//   state    | next     | when
//   ---------+----------+--------------------------------------------------------------------------
//   idle     | waiting  | a thread arrives and is not the last one
//   waiting  | released | the last party arrives: the generation ends
//   waiting  | broken   | the barrier breaks or is reset: the generation ends, too
//   released | idle     | its thread returns from wait()
//   broken   | idle     | its thread throws, or another waiter finds it dead
//
// Each row is one transaction. There are two slots for each party, so that the next generation can
// begin while threads of the last one have not left their slots.
//
// A registered party is gone if its process has dropped it or died, or if its shared object is
// freed, since no handle is left. Threads that are not registered can be missed only while they
// wait. Waiters check both after each slice of their sleep.
#include "procpool/barrier.hpp"

#include <algorithm>
#include <atomic>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>

#include "procpool/errors.hpp"
#include "sync/object.hpp"
#include "sync/transaction.hpp"

namespace procpool {
namespace {

using sync::transaction;
using sync::u64;

constexpr std::size_t most_parties = 65536;
constexpr std::size_t spare_records = 8;
enum waiter_state : u64 { slot_idle = 0, slot_waiting = 1, slot_released = 2, slot_broken = 3 };

struct waiter_slot {
  std::atomic<u64> owner;
  std::atomic<u64> state;
};
static_assert(sizeof(waiter_slot) == 16 && std::is_standard_layout_v<waiter_slot>);

struct barrier_words {
  sync::guarded_header header;
  std::atomic<u64> parties;
  std::atomic<u64> broken;
  std::atomic<u64> waiting;
  sync::event_count generation_ended;
};
static_assert(sizeof(barrier_words) == 72 && std::is_standard_layout_v<barrier_words>);

struct registered_party {
  std::atomic<u64> object;
  std::atomic<u64> owner;
};
static_assert(sizeof(registered_party) == 16 && std::is_standard_layout_v<registered_party>);

// The owner of a party that its last process has dropped.
constexpr os::owner_id party_departed = os::owner_id{1} << 63U;

// For each party: two waiter slots, a registered party, and two undo records, as one transaction
// may change the state of every slot.
constexpr std::size_t party_bytes =
    2 * sizeof(waiter_slot) + sizeof(registered_party) + 2 * sizeof(sync::undo_record);
constexpr std::size_t fixed_bytes =
    sizeof(barrier_words) + spare_records * sizeof(sync::undo_record);

std::size_t bytes_for(std::size_t parties) {
  if (parties == 0 || parties > most_parties) {
    throw std::invalid_argument("procpool: a barrier of " + std::to_string(parties) +
                                " parties: it can have 1 to " + std::to_string(most_parties));
  }
  return fixed_bytes + parties * party_bytes;
}

u64 word_of(const detail::object_ref& r) { return u64{r.generation} << 32U | r.id; }
detail::object_ref object_of(u64 word) {
  return {static_cast<std::uint32_t>(word), static_cast<std::uint32_t>(word >> 32U)};
}

[[noreturn]] void throw_broken(const char* why) {
  throw broken_barrier_error(std::string("the barrier is broken: ") + why +
                             "; reset() makes it whole again");
}

// A barrier as this process has it mapped.
struct barrier_view {
  std::size_t parties;  // from the size of the object, as this process knows it
  sync::guarded_memory memory;
  barrier_words& words;
  std::span<waiter_slot> slots;
  std::span<registered_party> registered;

  barrier_view(std::byte* data, std::size_t bytes)
      : parties((bytes - fixed_bytes) / party_bytes),
        memory{data, bytes, 2 * parties + spare_records},
        words(memory.as<barrier_words>()),
        slots(reinterpret_cast<waiter_slot*>(data + sizeof(barrier_words)), 2 * parties),
        registered(
            reinterpret_cast<registered_party*>(data + sizeof(barrier_words) + slots.size_bytes()),
            parties) {}

  // The waiters leave with `result`, and no process waits any more.
  void end_generation(transaction& tx, waiter_state result) const {
    for (waiter_slot& slot : slots) {
      if (transaction::get(slot.state) == slot_waiting) tx.set(slot.state, result);
    }
    tx.set(words.waiting, 0);
  }
  void break_barrier(transaction& tx) const {
    end_generation(tx, slot_broken);
    tx.set(words.broken, 1);
  }
  void leave(transaction& tx, waiter_slot& mine) const {
    tx.set(mine.state, slot_idle);
    tx.set(mine.owner, os::no_owner);
  }
  // abort() and reset(): waiters get the error, and the barrier is broken or whole afterwards.
  void interrupt(bool broken_afterwards) const {
    {
      transaction tx(memory);
      end_generation(tx, slot_broken);
      tx.set(words.broken, broken_afterwards ? 1 : 0);
    }
    words.generation_ended.notify_all();
  }

  bool check_liveness() const {
    bool any = false;
    if (!memory.as<sync::guarded_header>().is_time_to_check_liveness()) return any;
    for (waiter_slot& slot : slots) any |= reap_dead_waiter(slot);
    for (registered_party& p : registered) any |= reap_gone_party(p);
    if (any) words.generation_ended.notify_all();
    return any;
  }
  bool reap_dead_waiter(waiter_slot& slot) const {
    // relaxed: checked again in the transaction
    const os::owner_id owner = slot.owner.load(std::memory_order_relaxed);
    if (owner == os::no_owner || owner == os::this_thread_owner() || !os::has_ended(owner)) {
      return false;
    }
    transaction tx(memory);
    if (transaction::get(slot.owner) != owner) return false;
    if (transaction::get(slot.state) != slot_broken) {
      // Released before it died: the next generation breaks, once there are waiters to tell.
      if (transaction::get(words.waiting) == 0) return false;
      break_barrier(tx);
    }
    leave(tx, slot);
    return true;
  }
  bool reap_gone_party(registered_party& p) const {
    // relaxed: checked again in the transaction
    const u64 object = p.object.load(std::memory_order_relaxed);
    const os::owner_id owner = p.owner.load(std::memory_order_relaxed);
    if (object == 0 || !is_gone(object, owner)) return false;
    transaction tx(memory);
    if (transaction::get(p.object) != object || transaction::get(p.owner) != owner) return false;
    if (transaction::get(words.waiting) == 0) return false;
    tx.set(p.object, 0);
    break_barrier(tx);
    return true;
  }
  static bool is_gone(u64 object, os::owner_id owner) {
    if (owner == party_departed || !detail::shared_object::lives(object_of(object))) return true;
    return owner != os::this_process_owner() && os::has_ended(owner);
  }
  registered_party* find(const detail::object_ref& object) const {
    const auto at = std::find_if(
        registered.begin(), registered.end(),
        [&](const registered_party& p) { return transaction::get(p.object) == word_of(object); });
    return at == registered.end() ? nullptr : &*at;
  }
};

// What a thread finds when it arrives.
struct arrival {
  waiter_slot* mine = nullptr;  // null for the last thread of a generation
  std::size_t index = 0;        // how many have arrived before
  bool last = false;
};

// Returns false if no slot is free: threads of earlier generations have not left theirs yet.
bool arrive(const barrier_view& v, transaction& tx, arrival& a) {
  if (transaction::get(v.words.broken) != 0) {
    throw_broken("a party is gone or was late, or abort()");
  }
  a.index = transaction::get(v.words.waiting);
  a.last = a.index + 1 >= v.parties;
  if (a.last) {
    v.end_generation(tx, slot_released);
    return true;
  }
  for (waiter_slot& slot : v.slots) {
    if (transaction::get(slot.owner) != os::no_owner) continue;
    a.mine = &slot;
    tx.set(slot.owner, os::this_thread_owner());
    tx.set(slot.state, slot_waiting);
    tx.set(v.words.waiting, a.index + 1);
    return true;
  }
  return false;
}

}  // namespace

barrier::barrier(std::size_t parties) : sync_handle(kind, bytes_for(parties)) {
  // relaxed: other processes get the handle by a task, which orders this store
  barrier_view(memory(), bytes()).words.parties.store(parties, std::memory_order_relaxed);
}

std::size_t barrier::wait_limited(const duration* limit) const {
  const barrier_view v(memory(), bytes());
  const sync::deadline end = sync::end_of(limit);
  arrival a;
  const bool arrived = sync::await(
      v.memory, v.words.generation_ended, end, [&](transaction& tx) { return arrive(v, tx, a); },
      [&] { return v.check_liveness(); });
  if (a.last) {
    v.words.generation_ended.notify_all();
    return a.index;
  }
  u64 result = slot_waiting;
  const auto leave_if_ended = [&](transaction& tx) {
    result = transaction::get(a.mine->state);
    if (result == slot_waiting) return false;
    v.leave(tx, *a.mine);
    return true;
  };
  if (arrived) {
    sync::await(v.memory, v.words.generation_ended, end, leave_if_ended,
                [&] { return v.check_liveness(); });
  }
  if (result == slot_waiting) {
    {
      transaction tx(v.memory);
      // The generation may have ended after the last attempt.
      if (!arrived || !leave_if_ended(tx)) {
        v.break_barrier(tx);
        if (arrived) v.leave(tx, *a.mine);
      }
    }
    v.words.generation_ended.notify_all();
    if (result == slot_waiting) throw_broken("not all parties came in time");
  }
  if (result == slot_broken) {
    throw_broken("a party is gone or was late, abort() or reset()");
  }
  return a.index;
}

std::size_t barrier::wait() const { return wait_limited(nullptr); }
std::size_t barrier::wait_for(duration d) const { return wait_limited(&d); }

void barrier::abort() const { barrier_view(memory(), bytes()).interrupt(true); }
void barrier::reset() const { barrier_view(memory(), bytes()).interrupt(false); }

bool barrier::broken() const {
  const barrier_view v(memory(), bytes());
  const transaction tx(v.memory);
  return transaction::get(v.words.broken) != 0;
}

void barrier::register_party(const detail::object_ref& object) const {
  const barrier_view v(memory(), bytes());
  transaction tx(v.memory);
  // A free entry, or that of a party which is gone and which no waiter has found yet.
  const auto place =
      std::find_if(v.registered.begin(), v.registered.end(), [](const registered_party& p) {
        const u64 known = transaction::get(p.object);
        return known == 0 || barrier_view::is_gone(known, transaction::get(p.owner));
      });
  if (place == v.registered.end()) {
    throw invalid_state_error("a barrier of " + std::to_string(v.parties) +
                              " parties has a procpool::party for each of them already");
  }
  tx.set(place->object, word_of(object));
  tx.set(place->owner, os::this_process_owner());
}

void barrier::receive_party(const detail::object_ref& object) const {
  const barrier_view v(memory(), bytes());
  transaction tx(v.memory);
  if (registered_party* p = v.find(object); p != nullptr) {
    tx.set(p->owner, os::this_process_owner());
  }
}

void barrier::deregister_party(const detail::object_ref& object) const noexcept {
  const barrier_view v(memory(), bytes());
  transaction tx(v.memory);
  registered_party* const p = v.find(object);
  if (p != nullptr && transaction::get(p->owner) == os::this_process_owner()) {
    tx.set(p->owner, party_departed);
  }
}

party::party(barrier b)
    : barrier_(std::move(b)),
      self_(detail::shared_object::create(1)),
      process_(os::this_process_owner()) {
  barrier_.register_party(self_.mapping()->ref);
}

party::party(barrier b, detail::shared_object self)
    : barrier_(std::move(b)), self_(std::move(self)), process_(os::this_process_owner()) {
  if (barrier_ && self_) barrier_.receive_party(self_.mapping()->ref);
}

party::~party() {
  // Departed only with the last handle of this process. A handle within an argument or a result
  // that is on its way counts, too.
  if (!barrier_ || !self_ || self_.mapping()->handles.load(std::memory_order_relaxed) != 1) return;
  if (process_ == os::this_process_owner()) barrier_.deregister_party(self_.mapping()->ref);
}

std::size_t barrier::parties() const { return barrier_view(memory(), bytes()).parties; }

std::size_t barrier::waiting() const {
  const barrier_view v(memory(), bytes());
  const transaction tx(v.memory);
  return transaction::get(v.words.waiting);
}

}  // namespace procpool
