// procpool::queue<T>: a first-in, first-out queue between threads of any processes.
//
//   procpool::queue<std::string> lines(100);            // at most 100 at a time
//   auto f = pool.submit([](const procpool::queue<std::string>& q) {
//     long n = 0;
//     for (const std::string& s : q) n += s.size();     // until it is closed and empty
//     return n;
//   }, lines);
//   lines.put("one");
//   lines.close();
//
// T is any type that can be an argument of a task, except for handles (of locks, queues, shared
// arrays): those throw codec_error. An item is in the queue as a whole or not at all, whichever
// process dies: if a process is killed in put(), its item never was in the queue; if a process dies
// after it has taken an item, that item is lost, and counts as done for join().
//
// Thread-safety and handles: as with mutex.
#pragma once

#include <cstddef>
#include <iterator>
#include <memory>
#include <optional>

#include "procpool/codec.hpp"
#include "procpool/detail/codec/heap_writer.hpp"
#include "procpool/detail/shared/sync_handle.hpp"

namespace procpool {
namespace detail {

// The encoded item that was got.
struct queue_bytes {
  std::unique_ptr<std::byte[]> data;
  std::size_t size = 0;
};

// What does not depend on T.
class PROCPOOL_EXPORT queue_base : public sync_handle {
 public:
  // Ends puts: current and later ones throw queue_closed_error. Items in the queue can still be
  // taken. Does not block; calling it again is harmless.
  void close() const;
  bool closed() const;

  // Marks one item that this process has taken as done. Throws invalid_state_error if this process
  // has no unfinished items.
  void task_done() const;
  // Blocks until every item that was put is done.
  void join() const;
  // Blocks for this long at most; returns whether all items are done.
  bool join_for(duration d) const;

  // The number of items in the queue at this moment.
  std::size_t size() const;
  bool empty() const { return size() == 0; }
  std::size_t capacity() const;
  // The size limit of one encoded item, in bytes.
  std::size_t max_item_bytes() const;

 protected:
  queue_base(std::size_t max_items, std::size_t max_bytes);
  using sync_handle::sync_handle;

  // False: the time was over first.
  bool put_bytes(const std::byte* data, std::size_t size, const duration* limit) const;
  // Throws queue_closed_error if the queue is closed and empty, unless `end` can report it.
  bool get_bytes(queue_bytes& out, const duration* limit, bool* end = nullptr) const;
  // False if this process has no unfinished items.
  bool finish_one() const;

  static constexpr auto kind = sync_kind::queue;
  static constexpr std::size_t least_bytes = 16768;
};

}  // namespace detail

template <class T>
class queue : public detail::queue_base {
 public:
  using value_type = T;
  static constexpr std::size_t usual_bytes = std::size_t{1} << 20U;

  // At most `max_items` at a time, whose encoded sizes plus 8 bytes each add up to at most
  // `max_bytes`. The queue allocates that much shared memory at once. Throws std::invalid_argument
  // if one of them is 0 or max_bytes is above 1 TiB, std::system_error if memory runs out.
  explicit queue(std::size_t max_items, std::size_t max_bytes = usual_bytes)
      : queue_base(max_items, max_bytes) {}

  // Blocks while the queue is full. Throws queue_closed_error, std::length_error if the item is
  // larger than the whole queue, and errors of encoding.
  void put(const T& item) const { put_limited(item, nullptr); }
  // False if the queue is full; does not block.
  bool try_put(const T& item) const { return try_put_for(item, duration(0)); }
  // Blocks for this long at most; false if the queue stayed full.
  bool try_put_for(const T& item, duration d) const { return put_limited(item, &d); }
  bool try_put_until(const T& item, detail::wait_end end) const {
    return try_put_for(item, end.left());
  }

  // Blocks while the queue is empty. Throws queue_closed_error once it is closed and empty, and
  // errors of decoding: the item is then lost, and counts as done.
  T get() const { return *get_limited(nullptr); }
  // An empty optional if the queue is empty; does not block.
  std::optional<T> try_get() const { return try_get_for(duration(0)); }
  // Blocks for this long at most; then an empty optional.
  std::optional<T> try_get_for(duration d) const { return get_limited(&d); }
  std::optional<T> try_get_until(detail::wait_end end) const { return try_get_for(end.left()); }

  // A range that takes items until the queue is closed and empty. The queue must outlive the loop.
  class iterator {
   public:
    using iterator_concept = std::input_iterator_tag;
    using value_type = T;
    using difference_type = std::ptrdiff_t;

    explicit iterator(const queue& q) : queue_(&q), item_(q.next()) {}
    T& operator*() const { return *item_; }
    iterator& operator++() {
      item_ = queue_->next();
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const iterator& i, std::default_sentinel_t) {
      return !i.item_.has_value();
    }

   private:
    const queue* queue_;
    mutable std::optional<T> item_;
  };
  iterator begin() const { return iterator(*this); }
  std::default_sentinel_t end() const { return {}; }

 private:
  friend detail::sync_wire<queue>;
  using queue_base::queue_base;

  bool put_limited(const T& item, const duration* limit) const {
    detail::heap_writer writer;
    detail::encode(writer, item);
    return put_bytes(writer.data(), writer.size(), limit);
  }
  // An item that cannot be decoded reaches no caller: it counts as done.
  T decode(const detail::queue_bytes& bytes) const {
    try {
      detail::wire_reader reader(bytes.data.get(), bytes.size);
      T item = detail::decode<T>(reader);
      reader.expect_end();
      return item;
    } catch (...) {
      finish_one();
      throw;
    }
  }
  std::optional<T> get_limited(const duration* limit) const {
    detail::queue_bytes bytes;
    if (!get_bytes(bytes, limit)) return std::nullopt;
    return decode(bytes);
  }
  std::optional<T> next() const {
    detail::queue_bytes bytes;
    bool end = false;
    if (!get_bytes(bytes, nullptr, &end)) return std::nullopt;
    return decode(bytes);
  }
};

namespace detail {

template <class T>
struct wire<queue<T>> : sync_wire<queue<T>> {};

}  // namespace detail
}  // namespace procpool
