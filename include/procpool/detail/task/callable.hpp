// Functions as values: how function pointers and pointers to members travel (by module and offset,
// see code_ref.hpp), how the function of a task travels, and which parameters it declares. No
// state; called by the thread that owns the writer or reader.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "procpool/detail/codec/codec_check.hpp"
#include "procpool/detail/task/code_ref.hpp"

namespace procpool::detail {

template <class T>
concept function_pointer = std::is_pointer_v<T> && std::is_function_v<std::remove_pointer_t<T>>;

struct wire_code : wire_composite<> {
  static constexpr bool is_code = true;  // the parent never takes a function from a worker
};

template <function_pointer T>
struct wire<T> : wire_code {
  static constexpr std::size_t min_size() { return sizeof(code_ref); }

  static void put(wire_writer& writer, T function) {
    writer.write_value(function == nullptr ? code_ref{}
                                           : to_code_ref(reinterpret_cast<const void*>(function)));
  }
  static T take(wire_reader& reader) {
    const auto ref = reader.read_value<code_ref>("a function");
    return ref == code_ref{} ? nullptr : reinterpret_cast<T>(from_code_ref(ref));
  }
};

// A pointer to a member function, in the C++ ABI of all Linux platforms: a code address, or for a
// virtual function an offset in the vtable; and the adjustment of `this`. The lowest bit of one of
// the two words marks virtual functions.
struct member_function_image {
  std::uintptr_t code;
  std::intptr_t adjustment;

  bool is_virtual() const {
#if defined(__aarch64__) || defined(__arm__)
    return (adjustment & 1) != 0;
#else
    return (code & 1) != 0;
#endif
  }
};

template <class T>
  requires std::is_member_function_pointer_v<T>
struct wire<T> : wire_code {
  static_assert(sizeof(T) == sizeof(member_function_image));
  static constexpr std::size_t min_size() { return 1 + sizeof(member_function_image); }

  static void put(wire_writer& writer, T function) {
    auto image = std::bit_cast<member_function_image>(function);
    const bool by_address = function != nullptr && !image.is_virtual();
    if (by_address) {
      image.code = to_code_ref(reinterpret_cast<const void*>(image.code)).bits;
    }
    *writer.extend(1) = static_cast<std::byte>(by_address);
    writer.write_value(image);
  }
  static T take(wire_reader& reader) {
    const bool by_address = reader.read_bool();
    auto image = reader.read_value<member_function_image>("a member function");
    if (by_address) {
      image.code = reinterpret_cast<std::uintptr_t>(from_code_ref(code_ref{image.code}));
    }
    return std::bit_cast<T>(image);
  }
};

template <class T>
  requires std::is_member_object_pointer_v<T>
struct wire<T> : wire_code {
  static constexpr std::size_t min_size() { return sizeof(T); }
  static void put(wire_writer& writer, T member) { writer.write_value(member); }
  static T take(wire_reader& reader) { return reader.read_value<T>("a member"); }
};

// A function object without state takes no bytes.
template <class F>
inline constexpr bool is_stateless =
    std::is_empty_v<F> && !has_codec<F> &&
    (std::is_default_constructible_v<F> || std::is_trivially_copyable_v<F>);

template <class F>
void put_function(wire_writer& writer, const F& f) {
  if constexpr (std::is_pointer_v<F> || std::is_member_pointer_v<F>) {
    if (f == nullptr) [[unlikely]] {
      fail_unencodable("a task whose function is null");
    }
  }
  if constexpr (!is_stateless<F>) {
    wire<F>::put(writer, f);
  }
}

template <class F>
F take_function([[maybe_unused]] wire_reader& reader) {
  if constexpr (!is_stateless<F>) {
    return wire<F>::take(reader);
  } else if constexpr (std::is_default_constructible_v<F>) {
    return F{};
  } else {  // a [=] or [&] lambda that captures nothing
    struct nothing {};
    return std::bit_cast<F>(nothing{});
  }
}

// Whether F can be called only as non-const: a `mutable` lambda, or an operator() that is not
// const. operator() is named because a captureless lambda also converts to a function pointer,
// which could be called as const.
template <class F, class... Args>
inline constexpr bool wants_to_change = requires(F& f) {
  f.operator()(std::declval<Args>()...);
} && !requires(const F& f) { f.operator()(std::declval<Args>()...); };

// The declared parameters of a function, if it declares them once: not for overloaded or generic
// function objects. For a pointer to a member, the object is the first parameter.
struct unknown_parameters {};
struct object_parameter {};

template <class Signature>
struct parameters_of_signature {
  using type = unknown_parameters;
};
template <class R, class... Ps>
struct parameters_of_signature<R (*)(Ps...)> {
  using type = type_list<Ps...>;
};
template <class R, class... Ps>
struct parameters_of_signature<R (*)(Ps...) noexcept> {
  using type = type_list<Ps...>;
};

#define PROCPOOL_DETAIL_MEMBER_SIGNATURE(qualifiers)                    \
  template <class R, class C, class... Ps>                              \
  struct parameters_of_signature<R (C::*)(Ps...) qualifiers> {          \
    using type = type_list<object_parameter, Ps...>;                    \
  };                                                                    \
  template <class R, class C, class... Ps>                              \
  struct parameters_of_signature<R (C::*)(Ps...) qualifiers noexcept> { \
    using type = type_list<object_parameter, Ps...>;                    \
  };
PROCPOOL_DETAIL_MEMBER_SIGNATURE()
PROCPOOL_DETAIL_MEMBER_SIGNATURE(const)
PROCPOOL_DETAIL_MEMBER_SIGNATURE(&)
PROCPOOL_DETAIL_MEMBER_SIGNATURE(const&)
PROCPOOL_DETAIL_MEMBER_SIGNATURE(&&)
PROCPOOL_DETAIL_MEMBER_SIGNATURE(const&&)
#undef PROCPOOL_DETAIL_MEMBER_SIGNATURE

template <class F>
struct parameters_of : parameters_of_signature<F> {};
template <class F>
  requires requires { &F::operator(); }
struct parameters_of<F> {
  using type =
      typename drop_front<1,
                          typename parameters_of_signature<decltype(&F::operator())>::type>::type;
};

// The I-th declared parameter; void where there is none.
template <std::size_t I, class List>
struct parameter_at {
  using type = void;
};
template <class P, class... Ps>
struct parameter_at<0, type_list<P, Ps...>> {
  using type = P;
};
template <std::size_t I, class P, class... Ps>
  requires(I > 0)
struct parameter_at<I, type_list<P, Ps...>> : parameter_at<I - 1, type_list<Ps...>> {};

}  // namespace procpool::detail
