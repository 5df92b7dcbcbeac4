// procpool::shared_value<T>: one object in memory that the program and its workers share.
//
//   procpool::shared_value<std::atomic<long>> found(0);
//   pool.for_each([](const procpool::shared_value<std::atomic<long>>& n, int x) { *n += f(x); },
//   ...
//
// A handle, as shared_array is: the same rules hold for lifetime, thread-safety and dying workers.
// Each object takes a page of memory (4 KiB) and one of the 16,383 shared objects that a process
// can have: for many objects, share an array or a struct of them.
#pragma once

#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

#include "procpool/detail/codec/shareable.hpp"
#include "procpool/detail/shared/shared_object.hpp"
#include "procpool/detail/task/task_call.hpp"

namespace procpool {

// T as for shared_array; its destructor, which is trivial, never runs. shared_value<const T> is
// mapped read-only in workers.
template <class T>
class shared_value {
  static_assert(detail::require_shareable<std::remove_cv_t<T>>());

 public:
  using element_type = T;
  using value_type = std::remove_cv_t<T>;

  // Constructs T(args...). Does not block. Throws std::system_error and nested_use_error as
  // shared_array does, and exceptions of T's constructor.
  template <class... Args>
    requires(!std::is_const_v<T> && std::is_constructible_v<T, Args...> &&
             !(sizeof...(Args) == 1 &&
               (std::is_same_v<std::remove_cvref_t<Args>, shared_value> && ...)))
  explicit shared_value(Args&&... args) : object_(detail::shared_object::create(sizeof(T))) {
    ::new (static_cast<void*>(object_.data())) T(std::forward<Args>(args)...);
  }

  // From shared_value<T> to shared_value<const T>, of the same object.
  template <class U>
    requires(std::is_const_v<T> && std::is_same_v<U, value_type>)
  shared_value(const shared_value<U>& other) noexcept : object_(other.object_) {}

  // As with a pointer, a const handle does not make the object const. A moved-from handle has none.
  T& operator*() const noexcept { return *get(); }
  T* operator->() const noexcept { return get(); }
  T* get() const noexcept { return reinterpret_cast<T*>(object_.data()); }
  explicit operator bool() const noexcept { return static_cast<bool>(object_); }

  // Whether both handles refer to the same object; does not compare values.
  friend bool operator==(const shared_value& a, const shared_value& b) noexcept {
    return a.object_ == b.object_;
  }

 private:
  template <class>
  friend class shared_value;
  friend detail::wire<shared_value>;
  struct from_wire {};
  shared_value(from_wire, detail::shared_object object) noexcept : object_(std::move(object)) {}

  detail::shared_object object_;
};

namespace detail {

template <class T>
struct wire<shared_value<T>> : wire_composite<> {
  using value = shared_value<T>;

  static void put(wire_writer& writer, const value& v) { v.object_.put(writer); }
  static value take(wire_reader& reader) {
    constexpr auto access =
        std::is_const_v<T> ? object_access::read_only : object_access::read_write;
    value v(typename value::from_wire{}, shared_object::take(reader, access));
    if (v.object_) check_stretch(v.object_, 0, 1, sizeof(T), alignof(T));
    return v;
  }
};

template <class Parameter, class T>
  requires(std::is_same_v<std::remove_cvref_t<Parameter>, shared_value<const T>>)
struct argument<Parameter, shared_value<T>> {
  using held = shared_value<const T>;
  static held take(wire_reader& reader) { return wire<held>::take(reader); }
};

}  // namespace detail
}  // namespace procpool
