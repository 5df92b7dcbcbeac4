// procpool::counting_semaphore, procpool::bounded_semaphore and procpool::permit: limit how many
// threads, in all processes together, do something at a time.
//
//   procpool::bounded_semaphore connections(3);
//   pool.for_each([](const procpool::bounded_semaphore& s, ...) {
//     const procpool::permit p(s);                       // at most three tasks are here
//     ...
//   }, ...
//
// Different threads and processes may call acquire() and release(); plain acquisitions are lost
// when their process dies. A permit belongs to its process: when that process dies, the permit is
// returned within about 0.1 s.
//
// Thread-safety and handles: as with mutex.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "procpool/detail/shared/sync_handle.hpp"

namespace procpool {

class PROCPOOL_EXPORT counting_semaphore : public detail::sync_handle {
 public:
  // Throws std::invalid_argument if the initial count is negative.
  explicit counting_semaphore(std::ptrdiff_t initial = 1);

  // Decrements the count; blocks while it is 0.
  void acquire() const;
  bool try_acquire() const;
  // Blocks for this long at most; returns false if the count stayed 0.
  bool try_acquire_for(duration d) const;
  bool try_acquire_until(detail::wait_end end) const { return try_acquire_for(end.left()); }
  // Adds n. Does not block. Throws std::invalid_argument if n is negative, invalid_state_error if
  // the count would exceed its maximum, or its initial value if the semaphore is bounded.
  void release(std::ptrdiff_t n = 1) const;

  // The count at this moment.
  std::ptrdiff_t available() const;

 protected:
  counting_semaphore(std::ptrdiff_t initial, bool bounded);
  using sync_handle::sync_handle;

 private:
  friend class permit;
  friend detail::sync_wire<counting_semaphore>;
  static constexpr auto kind = detail::sync_kind::semaphore;
  static constexpr std::size_t least_bytes = 512;

  bool acquire_permit(const duration* limit) const;
  void return_permit(std::uint64_t process) const noexcept;
};

// A semaphore whose count never exceeds its initial value: releasing too often is an error.
class PROCPOOL_EXPORT bounded_semaphore : public counting_semaphore {
 public:
  explicit bounded_semaphore(std::ptrdiff_t initial = 1) : counting_semaphore(initial, true) {}

 private:
  friend detail::sync_wire<bounded_semaphore>;
  using counting_semaphore::counting_semaphore;
  static constexpr auto kind = detail::sync_kind::semaphore;
  static constexpr std::size_t least_bytes = 512;
};

// One acquisition of a semaphore, which ends with this guard or with the process. Movable; cannot
// be sent to other processes. As many processes at a time can hold permits of one semaphore as its
// initial count, but at least 200 and at most 4096; further processes wait.
class PROCPOOL_EXPORT permit {
 public:
  // Blocks until the count is above 0.
  explicit permit(counting_semaphore s);
  // Blocks for this long at most, then is empty. 0 does not block.
  permit(counting_semaphore s, duration d);
  permit(permit&& other) noexcept
      : semaphore_(std::exchange(other.semaphore_, std::nullopt)), process_(other.process_) {}
  permit& operator=(permit&& other) noexcept {
    std::swap(semaphore_, other.semaphore_);
    std::swap(process_, other.process_);
    return *this;
  }
  ~permit() { release(); }

  explicit operator bool() const noexcept { return semaphore_.has_value(); }
  // Returns the permit now.
  void release() noexcept;

 private:
  std::optional<counting_semaphore> semaphore_;
  std::uint64_t process_;  // that has it: not a copy made by fork
};

namespace detail {

template <>
struct wire<counting_semaphore> : sync_wire<counting_semaphore> {};
template <>
struct wire<bounded_semaphore> : sync_wire<bounded_semaphore> {};

}  // namespace detail
}  // namespace procpool
