// procpool::shared_array<T>: an array in memory that the program and its workers share. Passing one
// to a task, or returning one from it, copies nothing, whatever its size.
//
//   double sum(std::span<const double> xs);
//
//   procpool::shared_array<double> xs(1'000'000);       // zeros
//   std::iota(xs.begin(), xs.end(), 0.0);
//   double total = pool.submit(sum, xs).get();          // sum reads the same memory
//
// A shared_array is a handle, like a shared_ptr: copies refer to the same elements, also copies
// that were passed to tasks. The elements live while any handle, unfinished task or unread result
// refers to them; the handles of a worker that dies are released. A task's argument is kept until
// the task's future is gone, or the task has crashed or was cancelled.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

#include "procpool/detail/codec/shareable.hpp"
#include "procpool/detail/shared/shared_object.hpp"
#include "procpool/detail/task/task_call.hpp"

namespace procpool {

// T: a trivially copyable type without pointers, or std::atomic of one if that is always lock-free,
// or an aggregate of these. shared_array<const T> is mapped read-only in workers: a task that casts
// the const away and writes crashes.
//
// Thread-safety: one shared_array is used by one thread at a time; different handles of the same
// elements by any threads. Access to the elements is not synchronised: tasks that run at the same
// time, and this process meanwhile, must write to different elements or use std::atomic. The reader
// of a task's result sees what the task has written.
//
// When a worker dies in a task, the elements stay as it left them, perhaps half written.
//
// In a process that the user forks, inherited handles may be read while the parent keeps its own;
// they keep nothing alive. A static handle is a separate array in each process: see the guide on
// independent tasks.
template <class T>
class shared_array {
  static_assert(detail::require_shareable<std::remove_cv_t<T>>());

 public:
  using element_type = T;
  using value_type = std::remove_cv_t<T>;
  using size_type = std::size_t;
  using difference_type = std::ptrdiff_t;
  using pointer = T*;
  using reference = T&;
  using iterator = T*;

  // Refers to nothing: no elements.
  shared_array() noexcept = default;

  // `count` elements whose bytes are all zero. Allocates the memory now, which takes about a second
  // for some GiB; accessing it later never fails. In the program or in a task. Throws
  // std::system_error, which says what to do: ENOMEM or ENOSPC when the machine or its control
  // group has not enough memory, or all shared objects that a process can have (16,383) are in use;
  // EFBIG above a file size limit (ulimit -f) or 1 TiB. Throws nested_use_error in a process that a
  // task forked.
  explicit shared_array(std::size_t count)
    requires(!std::is_const_v<T>)
      : count_(count) {
    if (count > std::numeric_limits<std::size_t>::max() / sizeof(T)) {
      detail::fail_too_many_elements(count, sizeof(T));
    }
    if (count != 0) object_ = detail::shared_object::create(count * sizeof(T));
    first_ = reinterpret_cast<T*>(object_.data());
  }

  // A new array with a copy of these elements. Throws as the constructor above.
  static shared_array copy_of(std::span<const value_type> elements)
    requires(!std::is_const_v<T> && std::is_trivially_copyable_v<T>)
  {
    shared_array made(elements.size());
    if (!elements.empty()) std::memcpy(made.data(), elements.data(), elements.size_bytes());
    return made;
  }

  // The elements of a file, read on first access. shared_array<T> writes through to the file,
  // shared_array<const T> only reads. Workers open the file by its path, and check that it is the
  // same file. Throws std::system_error: ENOENT and the like; EINVAL if its size is not a multiple
  // of sizeof(T); in a worker ESTALE if it was replaced or its size has changed. If a process
  // truncates a mapped file, every process that reads past its new end gets SIGBUS.
  static shared_array map_file(const std::string& path)
    requires(std::is_trivially_copyable_v<T>)
  {
    shared_array mapped;
    constexpr auto access =
        std::is_const_v<T> ? detail::object_access::read_only : detail::object_access::read_write;
    mapped.object_ = detail::shared_object::map_file(path, access, sizeof(T));
    mapped.first_ = reinterpret_cast<T*>(mapped.object_.data());
    mapped.count_ = mapped.object_.bytes() / sizeof(T);
    return mapped;
  }

  // From shared_array<T> to shared_array<const T>, of the same elements.
  template <class U>
    requires(std::is_const_v<T> && std::is_same_v<U, value_type>)
  shared_array(const shared_array<U>& other) noexcept  // implicit, as from T* to const T*
      : object_(other.object_), first_(other.first_), count_(other.count_) {}

  // Moving leaves an array without elements.
  shared_array(const shared_array&) noexcept = default;
  shared_array(shared_array&& other) noexcept
      : object_(std::move(other.object_)),
        first_(std::exchange(other.first_, nullptr)),
        count_(std::exchange(other.count_, 0)) {}
  shared_array& operator=(shared_array other) noexcept {
    object_ = std::move(other.object_);
    first_ = other.first_;
    count_ = other.count_;
    return *this;
  }
  ~shared_array() = default;

  // As with a span, a const handle does not make the elements const.
  T* data() const noexcept { return first_; }
  std::size_t size() const noexcept { return count_; }
  std::size_t size_bytes() const noexcept { return count_ * sizeof(T); }
  bool empty() const noexcept { return count_ == 0; }
  T* begin() const noexcept { return first_; }
  T* end() const noexcept { return first_ + count_; }
  T& operator[](std::size_t i) const noexcept { return first_[i]; }
  T& front() const noexcept { return first_[0]; }
  T& back() const noexcept { return first_[count_ - 1]; }

  // Valid while this process has any handle of the elements.
  operator std::span<T>() const noexcept { return {first_, count_}; }
  operator std::span<const T>() const noexcept
    requires(!std::is_const_v<T>)
  {
    return {first_, count_};
  }

  // A handle of `count` elements, starting at `first`: the whole array lives while this handle
  // does. Throws std::out_of_range.
  shared_array subarray(std::size_t first, std::size_t count) const {
    if (first > count_ || count > count_ - first) detail::fail_subarray(first, count, count_);
    shared_array part(*this);
    part.first_ += first;
    part.count_ = count;
    return part;
  }

  // Whether both handles refer to the same elements; does not compare values.
  friend bool operator==(const shared_array& a, const shared_array& b) noexcept {
    return a.first_ == b.first_ && a.count_ == b.count_;
  }

 private:
  template <class>
  friend class shared_array;
  friend detail::wire<shared_array>;

  detail::shared_object object_;
  T* first_ = nullptr;
  std::size_t count_ = 0;
};

namespace detail {

template <class T>
struct wire<shared_array<T>> : wire_composite<> {
  using array = shared_array<T>;

  static void put(wire_writer& writer, const array& value) {
    value.object_.put(writer);
    if (!value.object_) return;
    const auto offset = static_cast<std::uint64_t>(
        reinterpret_cast<const std::byte*>(value.first_) - value.object_.data());
    writer.write_value(offset);
    writer.write_value(std::uint64_t{value.count_});
  }
  static array take(wire_reader& reader) {
    array value;
    constexpr auto access =
        std::is_const_v<T> ? object_access::read_only : object_access::read_write;
    value.object_ = shared_object::take(reader, access);
    if (!value.object_) return value;
    const auto offset = loaded_once(reader.read_value<std::uint64_t>("an offset"));
    const auto count = loaded_once(reader.read_value<std::uint64_t>("a count"));
    check_stretch(value.object_, offset, count, sizeof(T), alignof(T));
    value.first_ = reinterpret_cast<T*>(value.object_.data() + offset);
    value.count_ = count;
    return value;
  }
};

// Parameters that only read get it mapped read-only.
template <class Parameter, class T>
  requires(std::is_same_v<std::remove_cvref_t<Parameter>, std::span<const T>> ||
           std::is_same_v<std::remove_cvref_t<Parameter>, shared_array<const T>>)
struct argument<Parameter, shared_array<T>> {
  using held = shared_array<const T>;
  static held take(wire_reader& reader) { return wire<held>::take(reader); }
};

}  // namespace detail
}  // namespace procpool
