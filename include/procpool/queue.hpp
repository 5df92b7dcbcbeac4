// procpool::queue<T>: items on their way between threads of any processes, first in, first out.
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
// T is anything that can be an argument of a task, except for handles (of locks, queues, shared
// arrays): those throw codec_error. An item is in the queue as a whole or not at all, whoever dies:
// one whose put was killed never was there; one that a process has got, and then died, is gone, and
// counts as done for join().
//
// Any thread, as with mutex; handles, as there.
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
  // No more puts: those that wait get queue_closed_error. What is in it can still be got. Does not
  // block; again is harmless.
  void close() const;
  bool closed() const;

  // For something that was got by this process: it is done. Throws invalid_state_error if this
  // process has nothing left to do.
  void task_done() const;
  // Blocks until each item that was put is done.
  void join() const;
  // For this long at most; whether all are.
  bool join_for(duration d) const;

  // How many items there are at this moment.
  std::size_t size() const;
  bool empty() const { return size() == 0; }
  std::size_t capacity() const;
  // How large the largest item may be, encoded.
  std::size_t max_item_bytes() const;

 protected:
  queue_base(std::size_t max_items, std::size_t max_bytes);
  using sync_handle::sync_handle;

  // False: not in time.
  bool put_bytes(const std::byte* data, std::size_t size, const duration* limit) const;
  // Throws queue_closed_error if it is closed and empty, unless `end` is there to be told.
  bool get_bytes(queue_bytes& out, const duration* limit, bool* end = nullptr) const;
  // False if this process has nothing left to do.
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

  // At most `max_items` at a time, which take at most `max_bytes` together, encoded, and each 8
  // bytes more. That much shared memory is allocated at once. Throws std::invalid_argument if one
  // of them is 0 or max_bytes is above 1 TiB, std::system_error if there is no room.
  explicit queue(std::size_t max_items, std::size_t max_bytes = usual_bytes)
      : queue_base(max_items, max_bytes) {}

  // Blocks while the queue is full. Throws queue_closed_error; std::length_error if the item is
  // larger than the whole queue; what encoding it throws.
  void put(const T& item) const { put_limited(item, nullptr); }
  // False if the queue is full; does not block.
  bool try_put(const T& item) const { return try_put_for(item, duration(0)); }
  // Blocks for this long at most; false if the queue was full.
  bool try_put_for(const T& item, duration d) const { return put_limited(item, &d); }
  bool try_put_until(const T& item, detail::wait_end end) const {
    return try_put_for(item, end.left());
  }

  // Blocks while the queue is empty. Throws queue_closed_error once it is closed and empty, and
  // what decoding throws: that item is gone then, and counts as done.
  T get() const { return *get_limited(nullptr); }
  // Nothing if the queue is empty; does not block.
  std::optional<T> try_get() const { return try_get_for(duration(0)); }
  // Blocks for this long at most.
  std::optional<T> try_get_for(duration d) const { return get_limited(&d); }
  std::optional<T> try_get_until(detail::wait_end end) const { return try_get_for(end.left()); }

  // Gets items until the queue is closed and empty. The queue outlives the loop.
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
  // An item that does not come out of its bytes is nobody's: it is done.
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
