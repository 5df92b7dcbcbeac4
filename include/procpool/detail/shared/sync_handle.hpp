// The common part of the handles of mutexes, semaphores, events, queues and the like: a shared
// object (see shared_object.hpp) whose first word is its kind. The algorithms are in src/sync.
//
// All of these classes are used like references: operations are const, and any number of handles,
// threads and processes may use one object at once. A single handle is assigned or moved by one
// thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "procpool/detail/codec/wire_base.hpp"
#include "procpool/detail/shared/shared_object.hpp"
#include "procpool/detail/std/chrono.hpp"
#include "procpool/export.hpp"
#include "procpool/time.hpp"

namespace procpool::detail {

enum class sync_kind : std::uint64_t {
  mutex = 0x70705f6d75746578,
  recursive_mutex,
  semaphore,
  condition_variable,
  event,
  latch,
  barrier,
  queue,
};

class PROCPOOL_EXPORT sync_handle {
 public:
  // Whether the handle refers to an object: a moved-from handle does not, and its use throws
  // invalid_state_error.
  explicit operator bool() const noexcept { return static_cast<bool>(object_); }
  // Whether both refer to the same object.
  friend bool operator==(const sync_handle& a, const sync_handle& b) noexcept {
    return a.object_ == b.object_;
  }

 protected:
  // Creates an object that is zero except for its kind.
  sync_handle(sync_kind kind, std::size_t bytes);
  explicit sync_handle(shared_object object) noexcept : object_(std::move(object)) {}

  // Throws invalid_state_error if the handle refers to no object.
  std::byte* memory() const {
    if (!object_) [[unlikely]] {
      throw_no_object();
    }
    return object_.data();
  }
  std::size_t bytes() const noexcept { return object_.bytes(); }

 private:
  template <class>
  friend struct sync_wire;
  [[noreturn]] static void throw_no_object();
  // Throws codec_error unless the bytes name an object of this kind, or no object.
  static shared_object take(wire_reader& reader, sync_kind kind, std::size_t least_bytes);

  shared_object object_;
};

// How a handle of type T travels.
template <class T>
struct sync_wire : wire_composite<> {
  static void put(wire_writer& writer, const T& v) { handle_of(v).object_.put(writer); }
  static T take(wire_reader& reader) {
    return T(sync_handle::take(reader, T::kind, T::least_bytes));
  }

 private:
  static const sync_handle& handle_of(const sync_handle& v) { return v; }
};

// The end of a wait, for the _until members: given by any clock, which is read once, when the wait
// begins. From then on only the steady clock counts, whatever happens to the other clock.
class wait_end {
 public:
  template <class Clock, class Duration>
  // NOLINTNEXTLINE(google-explicit-constructor): the conversion is the purpose
  wait_end(const std::chrono::time_point<Clock, Duration>& end) : wait_end(until(end)) {}
  explicit wait_end(duration d) : end_(std::chrono::steady_clock::now() + d) {}

  // Negative once the end has passed.
  duration left() const { return end_ - std::chrono::steady_clock::now(); }

 private:
  // Exact for ends within a year. For later ends clocks would overflow, and floating point does
  // not.
  template <class Clock, class Duration>
  static duration until(const std::chrono::time_point<Clock, Duration>& end) {
    constexpr duration near = std::chrono::hours(24 * 365);
    const auto now = Clock::now();
    const duration about = duration(end.time_since_epoch()) - duration(now.time_since_epoch());
    if (!(about > -near && about < near)) return about;
    return end - now;
  }

  time_point end_;
};

}  // namespace procpool::detail
