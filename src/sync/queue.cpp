// procpool::queue: a ring buffer of bytes in shared memory, with items of any size, for any number
// of producers and consumers in any processes.
//
//   +----------------+-------+----------------------------------+----------------+----------+
//   | guarded_header | words | consumers: a holding a process   | ring of bytes  | undo log |
//   +----------------+-------+----------------------------------+----------------+----------+
//
//   item: size (8 bytes), bytes, padding to a multiple of 8; may wrap around the end of the ring
//
// head and tail count bytes since the queue was made and never wrap, so tail - head is what is in
// use, and the position in the ring is the count modulo its size.
//
//   operation             | items | unfinished | head, tail | holding of the process | notifies
//   ----------------------+-------+------------+------------+------------------------+----------
//   put()                 | +1    | +1         | tail       |                        | filled
//   get()                 | -1    |            | head       | +1                     | emptied
//   task_done()           |       | -1         |            | -1                     | finished at
//   0 a consumer died       |       | -its items |            | removed                | finished
//   close()               |       |            |            |                        | filled,
//   emptied
//
// Each row is one transaction, so a death has done all of it or nothing. put() copies its bytes
// after the tail, where no reader looks, before it moves the tail; get() copies the bytes at the
// head before it moves the head. Items that a dead process had taken and not finished count as
// finished; the processes that wait in join() look for them.
#include "procpool/queue.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <stdexcept>
#include <string>

#include "procpool/errors.hpp"
#include "sync/object.hpp"
#include "sync/transaction.hpp"

namespace procpool::detail {
namespace {

using sync::holding;
using sync::holdings;
using sync::transaction;
using sync::u64;

constexpr std::size_t undo_capacity = 16;
constexpr std::size_t consumer_count = 1024;
constexpr std::size_t item_header = sizeof(u64);  // the size of the item
constexpr std::size_t most_bytes = std::size_t{1} << 40U;

struct queue_words {
  sync::guarded_header header;
  std::atomic<u64> capacity;  // in items
  std::atomic<u64> items;
  std::atomic<u64> unfinished;  // items in the queue, or taken and not finished
  std::atomic<u64> head;
  std::atomic<u64> tail;
  std::atomic<u64> closed;
  sync::event_count filled;
  sync::event_count emptied;
  sync::event_count finished;
};
static_assert(sizeof(queue_words) == 112 && std::is_standard_layout_v<queue_words>);

constexpr std::size_t fixed_bytes = sizeof(queue_words) + consumer_count * sizeof(holding) +
                                    undo_capacity * sizeof(sync::undo_record);

constexpr u64 in_ring(u64 size) { return item_header + (size + 7) / 8 * 8; }

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

// A queue as this process has it mapped.
struct queue_view {
  sync::guarded_memory memory;
  queue_words& words;
  holdings consumers;
  std::byte* ring;
  u64 ring_bytes;

  queue_view(std::byte* data, std::size_t bytes)
      : memory{data, bytes, undo_capacity},
        words(memory.as<queue_words>()),
        consumers{reinterpret_cast<holding*>(data + sizeof(queue_words)), consumer_count},
        ring(data + sizeof(queue_words) + consumer_count * sizeof(holding)),
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

  bool put(transaction& tx, const std::byte* data, u64 size) const {
    if (transaction::get(words.closed) != 0) throw_closed("put() into");
    const u64 head = transaction::get(words.head), tail = transaction::get(words.tail);
    if (transaction::get(words.items) >= transaction::get(words.capacity)) return false;
    if (tail - head + in_ring(size) > ring_bytes) return false;
    write(tail, &size, sizeof size);
    if (size != 0) write(tail + item_header, data, size);
    tx.add(words.items, 1);
    tx.add(words.unfinished, 1);
    tx.set(words.tail, tail + in_ring(size));
    return true;
  }

  // The size in the ring is not trusted: the item must lie within the bytes that are in use.
  // Sets `no_holding` if the table of holdings is full: the item then counts as finished at once.
  bool get(transaction& tx, queue_bytes& out, bool& no_holding) const {
    if (transaction::get(words.items) == 0) return false;
    const u64 head = transaction::get(words.head), tail = transaction::get(words.tail);
    u64 size = 0;
    read(head, &size, sizeof size);
    if (tail - head > ring_bytes || size > tail - head || in_ring(size) > tail - head) {
      throw codec_error("the bytes of a queue are damaged: a process has written there");
    }
    out.data = std::make_unique_for_overwrite<std::byte[]>(size);
    out.size = size;
    if (size != 0) read(head + item_header, out.data.get(), size);
    tx.add(words.items, static_cast<u64>(-1));
    tx.set(words.head, head + in_ring(size));
    if (holding* mine = consumers.find_or_add(tx, os::this_process_owner()); mine != nullptr) {
      tx.add(mine->count, 1);
    } else {
      finish(tx, 1);
      no_holding = true;
    }
    return true;
  }

  void finish(transaction& tx, u64 n) const {
    const u64 left = transaction::get(words.unfinished);
    tx.set(words.unfinished, left - std::min(n, left));
  }
  bool check_liveness() const {
    const bool any =
        consumers.reap_dead(memory, [&](transaction& tx, u64 count) { finish(tx, count); });
    if (any) words.finished.notify_all();
    return any;
  }
  bool join(sync::deadline end) const {
    return sync::await(
        memory, words.finished, end,
        [&](transaction&) { return transaction::get(words.unfinished) == 0; },
        [&] { return check_liveness(); });
  }
};

constexpr auto no_liveness_check = [] { return false; };

}  // namespace

queue_base::queue_base(std::size_t max_items, std::size_t max_bytes)
    : sync_handle(kind, bytes_for(max_items, max_bytes)) {
  static_assert(least_bytes >= fixed_bytes + item_header + sizeof(u64));
  // relaxed: other processes get the handle by a task, which orders this store
  queue_view(memory(), bytes()).words.capacity.store(max_items, std::memory_order_relaxed);
}

bool queue_base::put_bytes(const std::byte* data, std::size_t size, const duration* limit) const {
  const queue_view v(memory(), bytes());
  if (size > max_item_bytes()) {
    throw std::length_error("procpool: an item of " + std::to_string(size) +
                            " bytes in a queue whose items have at most " +
                            std::to_string(max_item_bytes()) +
                            ": make the queue with more bytes, its second argument");
  }
  const bool in_time = sync::await(
      v.memory, v.words.emptied, sync::end_of(limit),
      [&](transaction& tx) { return v.put(tx, data, size); }, no_liveness_check);
  if (in_time) v.words.filled.notify(1);
  return in_time;
}

bool queue_base::get_bytes(queue_bytes& out, const duration* limit, bool* end) const {
  const queue_view v(memory(), bytes());
  bool over = false, no_holding = false;
  const auto attempt = [&](transaction& tx) {
    if (v.get(tx, out, no_holding)) return true;
    over = transaction::get(v.words.closed) != 0;
    return over;
  };
  if (!sync::await(v.memory, v.words.filled, sync::end_of(limit), attempt, no_liveness_check)) {
    return false;
  }
  if (no_holding) {
    v.words.finished.notify_all();
    v.check_liveness();  // frees the holdings of dead processes for later calls
  }
  if (over && end == nullptr) throw_closed("get() from");
  if (over) *end = true;
  // All producers: the first to wake may have an item that is too large for the free bytes, while
  // the item of another producer fits.
  if (!over) v.words.emptied.notify_all();
  return !over;
}

void queue_base::close() const {
  const queue_view v(memory(), bytes());
  {
    transaction tx(v.memory);
    tx.set(v.words.closed, 1);
  }
  v.words.filled.notify_all();
  v.words.emptied.notify_all();
}

bool queue_base::closed() const {
  const queue_view v(memory(), bytes());
  const transaction tx(v.memory);
  return transaction::get(v.words.closed) != 0;
}

bool queue_base::finish_one() const {
  const queue_view v(memory(), bytes());
  bool all = false;
  {
    transaction tx(v.memory);
    holding* mine = v.consumers.find(os::this_process_owner());
    if (mine == nullptr || transaction::get(mine->count) == 0) return false;
    tx.add(mine->count, static_cast<u64>(-1));
    v.finish(tx, 1);
    all = transaction::get(v.words.unfinished) == 0;
  }
  if (all) v.words.finished.notify_all();
  return true;
}

void queue_base::task_done() const {
  if (finish_one()) return;
  throw invalid_state_error(
      "task_done() of a queue by a process that has nothing of it left to do: call it once for "
      "each item, in the process that got it");
}

void queue_base::join() const { queue_view(memory(), bytes()).join(sync::deadline::never()); }
bool queue_base::join_for(duration d) const {
  return queue_view(memory(), bytes()).join(sync::deadline::after(d));
}

std::size_t queue_base::size() const {
  const queue_view v(memory(), bytes());
  const transaction tx(v.memory);
  return transaction::get(v.words.items);
}

std::size_t queue_base::capacity() const {
  return queue_view(memory(), bytes()).words.capacity.load(std::memory_order_relaxed);
}

std::size_t queue_base::max_item_bytes() const {
  return queue_view(memory(), bytes()).ring_bytes - item_header;
}

}  // namespace procpool::detail
