// procpool::barrier and procpool::party: a fixed number of threads, in any processes, wait until
// all of them are there.
//
//   const std::size_t place = b.wait();     // blocks; each has another of 0 .. parties - 1
//   if (place == 0) print_summary();        // one of them
//   b.wait();                               // and again
//
// When one of them dies while it waits, when it does not come in time, or when somebody calls
// abort(), the barrier is broken: all that wait, and all that come later, get
// broken_barrier_error, until reset(). One that dies before it comes cannot be told from one that
// is late, unless it has a procpool::party; otherwise use wait_for where that can happen. Tasks
// that meet at a barrier must run at the same time, each in a worker of its own: have as many
// workers, or they wait for tasks that have not begun.
//
// Any thread, as with mutex; handles, as there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "procpool/detail/shared/sync_handle.hpp"

namespace procpool {

class PROCPOOL_EXPORT barrier : public detail::sync_handle {
 public:
  // Throws std::invalid_argument unless it is in 1 .. 65,536.
  explicit barrier(std::size_t parties);

  // Blocks until all parties are there. Throws broken_barrier_error.
  std::size_t wait() const;
  // The same; if they are not all there after this long, the barrier breaks.
  std::size_t wait_for(duration d) const;
  std::size_t wait_until(detail::wait_end end) const { return wait_for(end.left()); }

  // Breaks it. Does not block.
  void abort() const;
  // As new: those that wait get broken_barrier_error, those that come later do not.
  void reset() const;

  bool broken() const;
  std::size_t parties() const;
  // How many wait at this moment.
  std::size_t waiting() const;

 private:
  friend class party;
  friend detail::sync_wire<barrier>;
  using sync_handle::sync_handle;
  static constexpr auto kind = detail::sync_kind::barrier;
  static constexpr std::size_t least_bytes = 256;

  std::size_t wait_limited(const duration* limit) const;
  // What is known of the party that this names: it begins, is in this process, has left it.
  void register_party(const detail::object_ref& one) const;
  void receive_party(const detail::object_ref& one) const;
  void deregister_party(const detail::object_ref& one) const noexcept;
};

// One of those that a barrier waits for, as a handle, so that it is known when it will not come.
//
//   const procpool::barrier b(3);
//   for (int i = 0; i < 3; ++i) {
//     pool.submit([](const procpool::party& p) { p.wait(); ... p.wait(); }, procpool::party(b));
//   }
//
// It is in the process that has received it last. When that one has let go of it (the task has
// returned) or has died, or when it is nowhere any more, it will not come: the barrier breaks for
// those that wait, and for the next that does. Another party can be made in its place. So pass each
// to one task only, without retries, and have it while you wait. A task that is cancelled or dies
// before it has received its party is nowhere; one whose other arguments cannot be decoded is
// missed when its future is gone. Takes a page of shared memory, as a barrier does.
class PROCPOOL_EXPORT party {
 public:
  // Throws invalid_state_error if the barrier has as many already, and what making a barrier does.
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

  // As those of the barrier.
  std::size_t wait() const { return barrier_.wait(); }
  std::size_t wait_for(duration d) const { return barrier_.wait_for(d); }
  std::size_t wait_until(detail::wait_end end) const { return barrier_.wait_until(end); }

  explicit operator bool() const noexcept { return static_cast<bool>(barrier_); }
  friend bool operator==(const party& a, const party& b) noexcept { return a.self_ == b.self_; }

 private:
  friend detail::wire<party>;
  // One that has arrived here.
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
