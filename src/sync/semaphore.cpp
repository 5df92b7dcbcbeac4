// procpool::counting_semaphore, bounded_semaphore and permit.
//
//   +----------------+-----------+-------+----------+-------------------------------+----------+
//   | guarded_header | available | limit | released | permits: a holding a process  | undo log |
//   +----------------+-----------+-------+----------+-------------------------------+----------+
//
//   operation                    | available | holding of the process | then
//   -----------------------------+-----------+------------------------+---------------------------
//   acquire()                    | -1        |                        |
//   release(n)                   | +n        |                        | wakes n waiters
//   permit: constructor          | -1        | +1                     |
//   permit: release, destructor  | +1        | -1                     | wakes all waiters
//   a process with n permits died| +n        | -n                     | wakes all waiters
//
// Each row is one transaction. A plain acquire() belongs to no process and is lost when the process
// dies; a permit is in the holding of its process, and waiters put the permits of dead processes
// back (at most up to the limit).
#include "procpool/semaphore.hpp"

#include <algorithm>
#include <atomic>
#include <limits>
#include <stdexcept>
#include <string>

#include "procpool/errors.hpp"
#include "sync/object.hpp"
#include "sync/transaction.hpp"

namespace procpool {
namespace {

using sync::deadline;
using sync::event_count;
using sync::holding;
using sync::holdings;
using sync::transaction;
using sync::u64;

constexpr std::size_t semaphore_undo_capacity = 8;
constexpr std::size_t least_permits = 200, most_permits = 4096;
constexpr u64 highest_count = static_cast<u64>(std::numeric_limits<std::ptrdiff_t>::max());

struct semaphore_words {
  sync::guarded_header header;
  std::atomic<u64> available;
  std::atomic<u64> limit;
  event_count released;
};
static_assert(sizeof(semaphore_words) == 64 && std::is_standard_layout_v<semaphore_words>);

constexpr std::size_t semaphore_fixed_bytes =
    sizeof(semaphore_words) + semaphore_undo_capacity * sizeof(sync::undo_record);

// With a holding for each process that can have a permit, within limits.
std::size_t bytes_for(std::ptrdiff_t initial) {
  if (initial < 0) {
    throw std::invalid_argument("procpool: a semaphore cannot begin with " +
                                std::to_string(initial));
  }
  const auto n = std::clamp(static_cast<std::size_t>(initial), least_permits, most_permits);
  return semaphore_fixed_bytes + n * sizeof(holding);
}

// A semaphore as this process has it mapped.
struct semaphore_view {
  sync::guarded_memory memory;
  semaphore_words& words;
  holdings permits;

  semaphore_view(std::byte* data, std::size_t bytes)
      : memory{data, bytes, semaphore_undo_capacity},
        words(memory.as<semaphore_words>()),
        permits{reinterpret_cast<holding*>(data + sizeof(semaphore_words)),
                (bytes - semaphore_fixed_bytes) / sizeof(holding)} {}

  // Makes n more available, but never more than the limit.
  void put_back(transaction& tx, u64 n) const {
    const u64 now = transaction::get(words.available);
    const u64 room = transaction::get(words.limit) - std::min(now, transaction::get(words.limit));
    tx.set(words.available, now + std::min(n, room));
  }
  bool check_liveness() const {
    const bool any =
        permits.reap_dead(memory, [&](transaction& tx, u64 count) { put_back(tx, count); });
    if (any) words.released.notify_all();
    return any;
  }
  bool acquire_one(transaction& tx) const {
    const u64 now = transaction::get(words.available);
    if (now == 0) return false;
    tx.set(words.available, now - 1);
    return true;
  }
  bool acquire_as_permit(transaction& tx) const {
    if (transaction::get(words.available) == 0) return false;
    holding* mine = permits.find_or_add(tx, os::this_process_owner());
    if (mine == nullptr) return false;
    tx.add(mine->count, 1);
    return acquire_one(tx);
  }
  bool acquire(deadline end) const {
    return sync::await(
        memory, words.released, end, [&](transaction& tx) { return acquire_one(tx); },
        [&] { return check_liveness(); });
  }
};

int at_most_int(std::ptrdiff_t n) {
  return static_cast<int>(std::min<std::ptrdiff_t>(n, std::numeric_limits<int>::max()));
}

}  // namespace

counting_semaphore::counting_semaphore(std::ptrdiff_t initial)
    : counting_semaphore(initial, false) {}

counting_semaphore::counting_semaphore(std::ptrdiff_t initial, bool bounded)
    : sync_handle(kind, bytes_for(initial)) {
  const auto n = static_cast<u64>(initial);
  const semaphore_view v(memory(), bytes());
  // relaxed: other processes get the handle by a task, which orders this store
  v.words.available.store(n, std::memory_order_relaxed);
  v.words.limit.store(bounded ? n : highest_count, std::memory_order_relaxed);
}

void counting_semaphore::acquire() const {
  semaphore_view(memory(), bytes()).acquire(deadline::never());
}

bool counting_semaphore::try_acquire() const { return try_acquire_for(duration(0)); }

bool counting_semaphore::try_acquire_for(duration d) const {
  return semaphore_view(memory(), bytes()).acquire(deadline::after(d));
}

void counting_semaphore::release(std::ptrdiff_t n) const {
  if (n < 0) {
    throw std::invalid_argument("procpool: release(" + std::to_string(n) + ") of a semaphore");
  }
  const semaphore_view v(memory(), bytes());
  {
    transaction tx(v.memory);
    const u64 now = transaction::get(v.words.available), limit = transaction::get(v.words.limit);
    if (now > limit || static_cast<u64>(n) > limit - now) {
      throw invalid_state_error("release(" + std::to_string(n) + ") of a semaphore that has " +
                                std::to_string(now) + " of at most " + std::to_string(limit) +
                                ": release once for each acquire(), or use procpool::permit");
    }
    tx.set(v.words.available, now + static_cast<u64>(n));
  }
  v.words.released.notify(at_most_int(n));
}

std::ptrdiff_t counting_semaphore::available() const {
  const semaphore_view v(memory(), bytes());
  const transaction tx(v.memory);
  return static_cast<std::ptrdiff_t>(transaction::get(v.words.available));
}

bool counting_semaphore::acquire_permit(const duration* limit) const {
  const semaphore_view v(memory(), bytes());
  return sync::await(
      v.memory, v.words.released, sync::end_of(limit),
      [&](transaction& tx) { return v.acquire_as_permit(tx); }, [&] { return v.check_liveness(); });
}

void counting_semaphore::return_permit(std::uint64_t process) const noexcept {
  if (process != os::this_process_owner()) return;
  const semaphore_view v(memory(), bytes());
  {
    transaction tx(v.memory);
    holding* mine = v.permits.find(process);
    // Only if a process has overwritten the table.
    if (mine == nullptr || transaction::get(mine->count) == 0) return;
    const u64 left = transaction::get(mine->count) - 1;
    tx.set(mine->count, left);
    if (left == 0) tx.set(mine->owner, os::no_owner);
    v.put_back(tx, 1);
  }
  // All of them: a waiter may wait for a free holding instead of for a permit, and a single wake
  // could reach a waiter for which there is still none.
  v.words.released.notify_all();
}

permit::permit(counting_semaphore s)
    : semaphore_(std::move(s)), process_(os::this_process_owner()) {
  semaphore_->acquire_permit(nullptr);
}

permit::permit(counting_semaphore s, duration d)
    : semaphore_(std::move(s)), process_(os::this_process_owner()) {
  if (!semaphore_->acquire_permit(&d)) semaphore_.reset();
}

void permit::release() noexcept {
  if (!semaphore_) return;
  semaphore_->return_permit(process_);
  semaphore_.reset();
}

}  // namespace procpool
