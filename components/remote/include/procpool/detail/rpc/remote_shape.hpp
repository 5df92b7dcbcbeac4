// The types that may travel to another machine, and the text by which both sides verify that they
// mean the same types: the shape of the bytes, as codecs write them, without the names of classes.
// A handle, a function or a pointer has no shape, since it means nothing on another machine.
// Compile-time only, except for the text. No state.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "procpool/detail/codec/codec_check.hpp"
#include "procpool/detail/codec/type_name.hpp"
#include "procpool/export.hpp"

namespace procpool::detail {

template <class T, class... Seen>
consteval bool has_shape();

template <class... Seen, class... Parts>
consteval bool parts_have_shapes(type_list<Parts...>) {
  return (has_shape<Parts, Seen...>() && ...);
}

// True for plain values, text, containers of the standard library, aggregates and classes with a
// codec, including all their parts. Other types that can travel within one machine are the
// library's own handles.
template <class T, class... Seen>
consteval bool has_shape() {
  if constexpr (is_one_of<T, Seen...>) {
    return true;
  } else if constexpr (!can_travel<T, bound_for::parent>()) {
    return false;
  } else if constexpr (requires { wire<T>::kind; } || is_in_std<T>) {
    return parts_have_shapes<Seen..., T>(parts_of<T>{});
  } else {
    return false;
  }
}

template <class T>
struct has_no_shape {
  static_assert(always_false<T>,
                "procpool: this type cannot travel to another machine: handles of shared memory, "
                "locks, proxies, functions and pointers mean nothing there");
};

// Fails to compile, with a reason, if T has no shape.
template <class T>
consteval bool require_shape() {
  if constexpr (std::is_void_v<T>) {
    return true;  // as a result
  } else if constexpr (!can_travel<T, bound_for::parent>()) {
    return require_can_travel<T, bound_for::parent>();
  } else if constexpr (!has_shape<T>()) {
    return sizeof(has_no_shape<T>) != 0;
  } else {
    return true;
  }
}

// The "map" of "std::map<int, long int>", whatever the standard library's inline namespaces.
constexpr std::string_view template_name(std::string_view type) {
  type = type.substr(0, type.find('<'));
  return type.substr(type.rfind(':') == type.npos ? 0 : type.rfind(':') + 1);
}

template <class T, class... Seen>
void add_shape(std::string& to);

template <class... Seen, class... Parts>
void add_parts(std::string& to, type_list<Parts...>) {
  [[maybe_unused]] const auto add = [&to](const auto& part) {
    using type = typename std::remove_cvref_t<decltype(part)>::type;
    using element = std::remove_cv_t<std::remove_all_extents_t<type>>;
    add_shape<element, Seen...>(to);
    if constexpr (std::is_array_v<type>) {
      to += '*' + std::to_string(sizeof(type) / sizeof(element));
    }
    to += ' ';
  };
  (add(std::type_identity<Parts>{}), ...);
}

template <class T, class... Seen>
void add_class(std::string& to) {
  if constexpr (requires { wire<T>::kind; }) {
    if constexpr (wire<T>::kind == wire_kind::hook) {
      to += "codec(";
      add_parts<Seen..., T>(to, parts_of<T>{});
    } else if constexpr (enable_bytes<T>) {
      to += "raw(";
    } else {
      to += '(';
      add_parts<Seen..., T>(to, member_types<T>{});
    }
    to += ')';
    // Copied as raw memory: its size includes padding.
    if constexpr (wire<T>::is_bytes) to += std::to_string(sizeof(T));
  } else {
    to += template_name(type_name<T>());
    to += '(';
    add_parts<Seen..., T>(to, parts_of<T>{});
    to += ')' + std::to_string(wire<T>::min_size());
    if constexpr (requires { T::period::num; }) {
      to += '/' + std::to_string(T::period::num) + ':' + std::to_string(T::period::den);
    }
  }
}

template <class T, class... Seen>
void add_shape(std::string& to) {
  if constexpr (is_one_of<T, Seen...>) {
    to += '^';  // a type that holds itself
  } else if constexpr (std::is_void_v<T>) {
    to += "void";
  } else if constexpr (std::is_same_v<T, bool>) {
    to += "bool";
  } else if constexpr (std::is_enum_v<T> && !has_codec<T>) {
    add_shape<std::underlying_type_t<T>>(to);
  } else if constexpr (std::is_integral_v<T>) {
    to += (std::is_signed_v<T> ? 'i' : 'u') + std::to_string(8 * sizeof(T));
  } else if constexpr (std::is_floating_point_v<T>) {
    to += 'f' + std::to_string(8 * sizeof(T));
  } else if constexpr (std::is_same_v<T, std::string>) {
    to += "text";
  } else {
    add_class<T, Seen...>(to);
  }
}

// For example "i64 text -> void". Made once for each signature.
template <class R, class... Stored>
PROCPOOL_LOCAL const std::string& signature_of() {
  static const std::string text = [] {
    std::string s;
    add_parts<>(s, type_list<Stored...>{});
    s += "-> ";
    add_shape<R>(s);
    return s;
  }();
  return text;
}

}  // namespace procpool::detail
