// procpool::queue: a ring of bytes, with items of any size one behind the other.
//
//   +---------+-------+-------------------------------+--------------+---------+
//   | monitor | words | takers: one for each process  | ring of bytes | journal |
//   +---------+-------+-------------------------------+--------------+---------+
//
//   item: size (8 bytes), bytes, up to a multiple of 8; may go round the end of the ring
//
// head and tail count bytes from the queue's first day on, so that tail - head is what is used. A
// put writes its bytes behind the tail, where nobody looks, and then moves the tail; a get copies
// what is at the head, and then moves the head: each in a section, so that a death has done all of
// it or nothing.
//
// What was got and is not done is in the tally of the process that got it. Whoever waits in join()
// writes off what the dead have there.
#include "procpool/queue.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <stdexcept>
#include <string>

#include "procpool/errors.hpp"
#include "sync/object.hpp"
#include "sync/section.hpp"

namespace procpool::detail {
namespace {

using sync::section;
using sync::tallies;
using sync::tally;
using sync::u64;

constexpr std::size_t journal_records = 16;
constexpr std::size_t taker_count = 1024;
constexpr std::size_t header = sizeof(u64);
constexpr std::size_t most_bytes = std::size_t{1} << 40U;

struct queue_words {
  sync::monitor monitor;
  std::atomic<u64> capacity;  // in items
  std::atomic<u64> items;
  std::atomic<u64> unfinished;  // in the queue, or got and not done
  std::atomic<u64> head;
  std::atomic<u64> tail;
  std::atomic<u64> closed;
  sync::channel filled;
  sync::channel emptied;
  sync::channel finished;
};
static_assert(sizeof(queue_words) == 112 && std::is_standard_layout_v<queue_words>);

constexpr std::size_t fixed_bytes = sizeof(queue_words) + taker_count * sizeof(tally) +
                                    journal_records * sizeof(sync::journal_record);

constexpr u64 in_ring(u64 size) { return header + (size + 7) / 8 * 8; }

std::size_t bytes_for(std::size_t max_items, std::size_t max_bytes) {
  if (max_items == 0) throw std::invalid_argument("procpool: a queue of 0 items holds nothing");
  if (max_bytes == 0 || max_bytes > most_bytes) {
    throw std::invalid_argument("procpool: a queue of " + std::to_string(max_bytes) +
                                " bytes: it can have 1 to 2^40");
  }
  return fixed_bytes + in_ring(max_bytes);
}

[[noreturn]] void throw_closed(const char* what) {
  throw queue_closed_error(std::string(what) + " a queue that is closed");
}

struct view {
  sync::guarded_memory memory;
  queue_words& words;
  tallies takers;
  std::byte* ring;
  u64 ring_bytes;

  view(std::byte* data, std::size_t bytes)
      : memory{data, bytes, journal_records},
        words(memory.as<queue_words>()),
        takers{reinterpret_cast<tally*>(data + sizeof(queue_words)), taker_count},
        ring(data + sizeof(queue_words) + taker_count * sizeof(tally)),
        ring_bytes(bytes - fixed_bytes) {}

  void write(u64 at, const void* from, std::size_t n) const {
    const u64 offset = at % ring_bytes;
    const std::size_t first = std::min<u64>(n, ring_bytes - offset);
    const auto* bytes = static_cast<const std::byte*>(from);
    std::memcpy(ring + offset, bytes, first);
    if (n != first) std::memcpy(ring, bytes + first, n - first);
  }
  void read(u64 at, void* to, std::size_t n) const {
    const u64 offset = at % ring_bytes;
    const std::size_t first = std::min<u64>(n, ring_bytes - offset);
    auto* bytes = static_cast<std::byte*>(to);
    std::memcpy(bytes, ring + offset, first);
    if (n != first) std::memcpy(bytes + first, ring, n - first);
  }

  bool put(section& s, const std::byte* data, u64 size) const {
    if (section::get(words.closed) != 0) throw_closed("put() into");
    const u64 head = section::get(words.head), tail = section::get(words.tail);
    if (section::get(words.items) >= section::get(words.capacity)) return false;
    if (tail - head + in_ring(size) > ring_bytes) return false;
    write(tail, &size, sizeof size);
    if (size != 0) write(tail + header, data, size);
    s.add(words.items, 1);
    s.add(words.unfinished, 1);
    s.set(words.tail, tail + in_ring(size));
    return true;
  }

  // What was written there is not believed: it must lie in the ring, and in what is used of it.
  // `crowded`: there was no tally for this process.
  bool get(section& s, queue_bytes& out, bool& crowded) const {
    if (section::get(words.items) == 0) return false;
    const u64 head = section::get(words.head), tail = section::get(words.tail);
    u64 size = 0;
    read(head, &size, sizeof size);
    if (tail - head > ring_bytes || size > tail - head || in_ring(size) > tail - head) {
      throw codec_error("the bytes of a queue are damaged: a process has written there");
    }
    out.data = std::make_unique_for_overwrite<std::byte[]>(size);
    out.size = size;
    if (size != 0) read(head + header, out.data.get(), size);
    s.add(words.items, static_cast<u64>(-1));
    s.set(words.head, head + in_ring(size));
    if (tally* mine = takers.of_or_new(s, os::this_process_owner()); mine != nullptr) {
      s.add(mine->count, 1);
    } else {
      finish(s, 1);  // nobody could know when
      crowded = true;
    }
    return true;
  }

  void finish(section& s, u64 n) const {
    const u64 left = section::get(words.unfinished);
    s.set(words.unfinished, left - std::min(n, left));
  }
  bool patrol() const {
    const bool any = takers.bury_the_dead(memory, [&](section& s, u64 count) { finish(s, count); });
    if (any) words.finished.signal_all();
    return any;
  }
  bool join(sync::deadline end) const {
    return sync::await(
        memory, words.finished, end, [&](section&) { return section::get(words.unfinished) == 0; },
        [&] { return patrol(); });
  }
};

constexpr auto nothing_to_look_for = [] { return false; };

}  // namespace

queue_base::queue_base(std::size_t max_items, std::size_t max_bytes)
    : sync_handle(kind, bytes_for(max_items, max_bytes)) {
  static_assert(least_bytes >= fixed_bytes + header + sizeof(u64));
  // relaxed: others get the handle with a task
  view(memory(), bytes()).words.capacity.store(max_items, std::memory_order_relaxed);
}

bool queue_base::put_bytes(const std::byte* data, std::size_t size, const duration* limit) const {
  const view v(memory(), bytes());
  if (size > max_item_bytes()) {
    throw std::length_error("procpool: an item of " + std::to_string(size) +
                            " bytes in a queue whose items have at most " +
                            std::to_string(max_item_bytes()) +
                            ": make the queue with more bytes, its second argument");
  }
  const bool in_time = sync::await(
      v.memory, v.words.emptied, sync::end_of(limit),
      [&](section& s) { return v.put(s, data, size); }, nothing_to_look_for);
  if (in_time) v.words.filled.signal(1);
  return in_time;
}

bool queue_base::get_bytes(queue_bytes& out, const duration* limit, bool* end) const {
  const view v(memory(), bytes());
  bool over = false, crowded = false;
  const auto attempt = [&](section& s) {
    if (v.get(s, out, crowded)) return true;
    over = section::get(v.words.closed) != 0;
    return over;
  };
  if (!sync::await(v.memory, v.words.filled, sync::end_of(limit), attempt, nothing_to_look_for)) {
    return false;
  }
  if (crowded) {
    v.words.finished.signal_all();
    v.patrol();  // so that there is room for the next
  }
  if (over && end == nullptr) throw_closed("get() from");
  if (over) *end = true;
  // All of them: the next item may be small enough for another one.
  if (!over) v.words.emptied.signal_all();
  return !over;
}

void queue_base::close() const {
  const view v(memory(), bytes());
  {
    section s(v.memory);
    s.set(v.words.closed, 1);
  }
  v.words.filled.signal_all();
  v.words.emptied.signal_all();
}

bool queue_base::closed() const {
  const view v(memory(), bytes());
  const section s(v.memory);
  return section::get(v.words.closed) != 0;
}

bool queue_base::finish_one() const {
  const view v(memory(), bytes());
  bool all = false;
  {
    section s(v.memory);
    tally* mine = v.takers.of(os::this_process_owner());
    if (mine == nullptr || section::get(mine->count) == 0) return false;
    s.add(mine->count, static_cast<u64>(-1));
    v.finish(s, 1);
    all = section::get(v.words.unfinished) == 0;
  }
  if (all) v.words.finished.signal_all();
  return true;
}

void queue_base::task_done() const {
  if (finish_one()) return;
  throw invalid_state_error(
      "task_done() of a queue by a process that has nothing of it left to do: call it once for "
      "each item, in the process that got it");
}

void queue_base::join() const { view(memory(), bytes()).join(sync::deadline::never()); }
bool queue_base::join_for(duration d) const {
  return view(memory(), bytes()).join(sync::deadline::after(d));
}

std::size_t queue_base::size() const {
  const view v(memory(), bytes());
  const section s(v.memory);
  return section::get(v.words.items);
}

std::size_t queue_base::capacity() const {
  return view(memory(), bytes()).words.capacity.load(std::memory_order_relaxed);
}

std::size_t queue_base::max_item_bytes() const {
  return view(memory(), bytes()).ring_bytes - header;
}

}  // namespace procpool::detail
