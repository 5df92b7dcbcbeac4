// procpool::counting_semaphore, bounded_semaphore and permit.
//
//   +---------+-----------+-------+-------+--------------------------+---------+
//   | monitor | available | limit | freed | permits: one per process | journal |
//   +---------+-----------+-------+-------+--------------------------+---------+
//
// A permit moves one from `available` to the process's tally, in one section; whoever waits brings
// back what the dead have there.
#include "procpool/semaphore.hpp"

#include <algorithm>
#include <atomic>
#include <limits>
#include <stdexcept>
#include <string>

#include "procpool/errors.hpp"
#include "sync/object.hpp"
#include "sync/section.hpp"

namespace procpool {
namespace {

using sync::channel;
using sync::deadline;
using sync::section;
using sync::tallies;
using sync::tally;
using sync::u64;

constexpr std::size_t journal_records = 8;
constexpr std::size_t least_permits = 200, most_permits = 4096;
constexpr u64 highest = static_cast<u64>(std::numeric_limits<std::ptrdiff_t>::max());

struct semaphore_words {
  sync::monitor monitor;
  std::atomic<u64> available;
  std::atomic<u64> limit;
  channel freed;
};
static_assert(sizeof(semaphore_words) == 64 && std::is_standard_layout_v<semaphore_words>);

constexpr std::size_t fixed_bytes =
    sizeof(semaphore_words) + journal_records * sizeof(sync::journal_record);

// With a place for each process that can have one.
std::size_t bytes_for(std::ptrdiff_t initial) {
  if (initial < 0) {
    throw std::invalid_argument("procpool: a semaphore cannot begin with " +
                                std::to_string(initial));
  }
  const auto n = std::clamp(static_cast<std::size_t>(initial), least_permits, most_permits);
  return fixed_bytes + n * sizeof(tally);
}

// A semaphore as this process has it mapped.
struct view {
  sync::guarded_memory memory;
  semaphore_words& words;
  tallies permits;

  view(std::byte* data, std::size_t bytes)
      : memory{data, bytes, journal_records},
        words(memory.as<semaphore_words>()),
        permits{reinterpret_cast<tally*>(data + sizeof(semaphore_words)),
                (bytes - fixed_bytes) / sizeof(tally)} {}

  // n more, but never more than the limit.
  void give_back(section& s, u64 n) const {
    const u64 now = section::get(words.available);
    const u64 room = section::get(words.limit) - std::min(now, section::get(words.limit));
    s.set(words.available, now + std::min(n, room));
  }
  bool patrol() const {
    const bool any =
        permits.bury_the_dead(memory, [&](section& s, u64 count) { give_back(s, count); });
    if (any) words.freed.signal_all();
    return any;
  }
  bool take(section& s) const {
    const u64 now = section::get(words.available);
    if (now == 0) return false;
    s.set(words.available, now - 1);
    return true;
  }
  bool take_as_permit(section& s) const {
    if (section::get(words.available) == 0) return false;
    tally* mine = permits.of_or_new(s, os::this_process_owner());
    if (mine == nullptr) return false;
    s.add(mine->count, 1);
    return take(s);
  }
  bool acquire(deadline end) const {
    return sync::await(
        memory, words.freed, end, [&](section& s) { return take(s); }, [&] { return patrol(); });
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
  const view v(memory(), bytes());
  // relaxed: others get the handle with a task
  v.words.available.store(n, std::memory_order_relaxed);
  v.words.limit.store(bounded ? n : highest, std::memory_order_relaxed);
}

void counting_semaphore::acquire() const { view(memory(), bytes()).acquire(deadline::never()); }

bool counting_semaphore::try_acquire() const { return try_acquire_for(duration(0)); }

bool counting_semaphore::try_acquire_for(duration d) const {
  return view(memory(), bytes()).acquire(deadline::after(d));
}

void counting_semaphore::release(std::ptrdiff_t n) const {
  if (n < 0) {
    throw std::invalid_argument("procpool: release(" + std::to_string(n) + ") of a semaphore");
  }
  const view v(memory(), bytes());
  {
    section s(v.memory);
    const u64 now = section::get(v.words.available), limit = section::get(v.words.limit);
    if (now > limit || static_cast<u64>(n) > limit - now) {
      throw invalid_state_error("release(" + std::to_string(n) + ") of a semaphore that has " +
                                std::to_string(now) + " of at most " + std::to_string(limit) +
                                ": release once for each acquire(), or use procpool::permit");
    }
    s.set(v.words.available, now + static_cast<u64>(n));
  }
  v.words.freed.signal(at_most_int(n));
}

std::ptrdiff_t counting_semaphore::available() const {
  const view v(memory(), bytes());
  const section s(v.memory);
  return static_cast<std::ptrdiff_t>(section::get(v.words.available));
}

bool counting_semaphore::acquire_permit(const duration* limit) const {
  const view v(memory(), bytes());
  return sync::await(
      v.memory, v.words.freed, sync::end_of(limit), [&](section& s) { return v.take_as_permit(s); },
      [&] { return v.patrol(); });
}

void counting_semaphore::return_permit(std::uint64_t process) const noexcept {
  if (process != os::this_process_owner()) return;
  const view v(memory(), bytes());
  {
    section s(v.memory);
    tally* mine = v.permits.of(process);
    if (mine == nullptr || section::get(mine->count) == 0) return;  // somebody has written there
    const u64 left = section::get(mine->count) - 1;
    s.set(mine->count, left);
    if (left == 0) s.set(mine->owner, os::no_owner);
    v.give_back(s, 1);
  }
  // One that waits for a place among the processes may not be the one that is woken.
  v.words.freed.signal_all();
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
