// procpool::barrier and procpool::party: a fixed number of threads, in any processes, wait until
// all of them have arrived.
//
//   const std::size_t place = b.wait();     // blocks; a different number 0 .. parties - 1 in each
//   if (place == 0) print_summary();        // exactly one thread
//   b.wait();                               // and again
//
// The barrier breaks when a process dies that waits at it, when a wait_for times out, or when a
// thread calls abort(): all current and later waits throw broken_barrier_error, until reset(). A
// process that dies before it arrives cannot be told from a late one, unless it holds a
// procpool::party; without a party, use wait_for where that can happen. Tasks that meet at a
// barrier must run at the same time, each in a worker of its own: with fewer workers than parties,
// running tasks wait for tasks that cannot start.
//
// Thread-safety and handles: as with mutex.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "procpool/detail/shared/sync_handle.hpp"

namespace procpool {

class PROCPOOL_EXPORT barrier : public detail::sync_handle {
 public:
  // Throws std::invalid_argument unless `parties` is in 1 .. 65,536.
  explicit barrier(std::size_t parties);

  // Blocks until all parties have arrived. Throws broken_barrier_error.
  std::size_t wait() const;
  // The same; if not all parties arrive within this time, the barrier breaks.
  std::size_t wait_for(duration d) const;
  std::size_t wait_until(detail::wait_end end) const { return wait_for(end.left()); }

  // Breaks the barrier. Does not block.
  void abort() const;
  // Makes the barrier as new: current waits throw broken_barrier_error, later waits do not.
  void reset() const;

  bool broken() const;
  std::size_t parties() const;
  // The number of threads that wait at this moment.
  std::size_t waiting() const;

 private:
  friend class party;
  friend detail::sync_wire<barrier>;
  using sync_handle::sync_handle;
  static constexpr auto kind = detail::sync_kind::barrier;
  static constexpr std::size_t least_bytes = 256;

  std::size_t wait_limited(const duration* limit) const;
  // State of a party: it exists, it is in this process, it has left this process.
  void register_party(const detail::object_ref& one) const;
  void receive_party(const detail::object_ref& one) const;
  void deregister_party(const detail::object_ref& one) const noexcept;
};

// The handle of one participant of a barrier; with it the barrier notices that the participant will
// not arrive.
//
//   const procpool::barrier b(3);
//   for (int i = 0; i < 3; ++i) {
//     pool.submit([](const procpool::party& p) { p.wait(); ... p.wait(); }, procpool::party(b));
//   }
//
// A party belongs to the process that received it last. Once that process drops the handle (its
// task has returned) or dies, or no handle exists anywhere, the party counts as gone: the barrier
// breaks for current waits, or for the next one. Another party can be made in its place. So pass
// each party to one task only, without retries, and keep the handle while you wait. If a task is
// cancelled or dies before it has received its party, no handle exists; if its other arguments
// cannot be decoded, the party counts as gone when the task's future is gone. Takes a page of
// shared memory, as a barrier does.
class PROCPOOL_EXPORT party {
 public:
  // Throws invalid_state_error if all parties of the barrier exist already, and as barrier().
  explicit party(barrier b);
  party(const party&) = default;
  party(party&&) noexcept = default;
  party& operator=(party other) noexcept {
    std::swap(barrier_, other.barrier_);
    std::swap(self_, other.self_);
    std::swap(process_, other.process_);
    return *this;
  }
  ~party();

  // As the functions of barrier.
  std::size_t wait() const { return barrier_.wait(); }
  std::size_t wait_for(duration d) const { return barrier_.wait_for(d); }
  std::size_t wait_until(detail::wait_end end) const { return barrier_.wait_until(end); }

  explicit operator bool() const noexcept { return static_cast<bool>(barrier_); }
  friend bool operator==(const party& a, const party& b) noexcept { return a.self_ == b.self_; }

 private:
  friend detail::wire<party>;
  // A party that has arrived in this process as an argument.
  party(barrier b, detail::shared_object self);

  barrier barrier_;
  detail::shared_object self_;  // nothing is in it; that it lives is what counts
  std::uint64_t process_;       // that has it: not a copy made by fork
};

namespace detail {

template <>
struct wire<barrier> : sync_wire<barrier> {};

template <>
struct wire<party> : wire_composite<> {
  static void put(wire_writer& writer, const party& v) {
    wire<barrier>::put(writer, v.barrier_);
    v.self_.put(writer);
  }
  static party take(wire_reader& reader) {
    barrier b = wire<barrier>::take(reader);
    return party(std::move(b), shared_object::take(reader, object_access::read_only));
  }
};

}  // namespace detail
}  // namespace procpool
