// procpool::counting_semaphore, procpool::bounded_semaphore and procpool::permit: how many may do
// something at a time, in all processes together.
//
//   procpool::bounded_semaphore connections(3);
//   pool.for_each([](const procpool::bounded_semaphore& s, ...) {
//     const procpool::permit p(s);                       // at most three tasks are here
//     ...
//   }, ...
//
// acquire() and release() may be called by different threads and processes, and what a process has
// acquired is lost when it dies. A permit is not: it is known whose it is, and it returns within
// about a tenth of a second to those that wait.
//
// Any thread, as with mutex; handles, as there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "procpool/detail/shared/sync_handle.hpp"

namespace procpool {

class PROCPOOL_EXPORT counting_semaphore : public detail::sync_handle {
 public:
  // Throws std::invalid_argument if it is negative.
  explicit counting_semaphore(std::ptrdiff_t initial = 1);

  // Takes one, and blocks until there is one.
  void acquire() const;
  bool try_acquire() const;
  // Blocks for this long at most; false if there was none.
  bool try_acquire_for(duration d) const;
  bool try_acquire_until(detail::wait_end end) const { return try_acquire_for(end.left()); }
  // Adds n. Throws std::invalid_argument if n is negative, invalid_state_error if there would be
  // more than the semaphore can count, or more than it began with if it is bounded.
  void release(std::ptrdiff_t n = 1) const;

  // How many there are at this moment.
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

// One that never has more than it began with: releasing too often is an error.
class PROCPOOL_EXPORT bounded_semaphore : public counting_semaphore {
 public:
  explicit bounded_semaphore(std::ptrdiff_t initial = 1) : counting_semaphore(initial, true) {}

 private:
  friend detail::sync_wire<bounded_semaphore>;
  using counting_semaphore::counting_semaphore;
  static constexpr auto kind = detail::sync_kind::semaphore;
  static constexpr std::size_t least_bytes = 512;
};

// One of a semaphore, taken by this process until the guard goes, or the process dies. Movable;
// not copied to other processes. At a time so many processes can have permits of one semaphore as
// it began with, 200 at least and 4096 at most; others wait.
class PROCPOOL_EXPORT permit {
 public:
  // Blocks until there is one.
  explicit permit(counting_semaphore s);
  // Empty if there is none after this long. 0 does not block.
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
  // Gives it back now.
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
