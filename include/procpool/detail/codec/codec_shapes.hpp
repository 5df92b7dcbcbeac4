// wire<T> for standard types that are recognised by namespace and shape instead of by name, so that
// this header includes none of <deque>, <list>, <map>, <set>, <unordered_map>, <unordered_set>,
// <chrono>, <complex>, <bitset> and <filesystem>. Classes of other namespaces are never recognised,
// whatever their shape. No state.
#pragma once

#include <concepts>
#include <cstddef>
#include <type_traits>
#include <utility>

#include "procpool/detail/codec/codec_std.hpp"
#include "procpool/detail/codec/type_name.hpp"

namespace procpool::detail {

// deque, list.
template <class T>
concept std_sequence = is_in_std<T> && requires(T& c, typename T::value_type v) {
  typename T::allocator_type;
  c.push_back(std::move(v));
  c.pop_front();
  c.size();
};

// map, set, and their unordered and multi kinds.
template <class T>
concept std_associative = is_in_std<T> && requires(T& c, typename T::key_type key) {
  typename T::value_type;
  typename T::allocator_type;
  c.erase(key);
  c.count(key);
};

template <class T>
concept std_map = std_associative<T> && requires { typename T::mapped_type; };

// chrono::duration, chrono::time_point, complex: one or two numbers.
template <class T>
concept std_duration = is_in_std<T> && requires(const T& d) {
  typename T::rep;
  typename T::period;
  d.count();
} && !requires { typename T::clock; };

template <class T>
concept std_time_point = is_in_std<T> && requires(const T& t) {
  typename T::clock;
  typename T::duration;
  t.time_since_epoch();
};

template <class T>
concept std_complex = is_in_std<T> && std::is_class_v<T> && requires(const T& z) {
  requires std::is_floating_point_v<typename T::value_type>;
  z.real();
  z.imag();
};

template <class T>
concept std_bitset = is_in_std<T> && requires(T& b) {
  b.test(0);
  b.to_ullong();
  b.flip();
};

template <class T>
concept std_path = is_in_std<T> && requires(const T& p) {
  { p.native() } -> std::same_as<const typename T::string_type&>;
  p.root_directory();
};

template <std_sequence T>
struct wire<T> : wire_composite<typename T::value_type> {
  using element = typename T::value_type;

  static void put(wire_writer& writer, const T& value) {
    nesting level(writer);
    writer.write_length(value.size());
    for (const element& e : value) {
      wire<element>::put(writer, e);
    }
  }
  static T take(wire_reader& reader) {
    nesting level(reader);
    const std::size_t n = reader.read_length(wire<element>::min_size());
    T value;
    for (std::size_t i = 0; i < n; ++i) {
      value.push_back(wire<element>::take(reader));
    }
    return value;
  }
};

template <std_associative T>
struct wire<T> : wire_composite<typename T::key_type> {
  using key = typename T::key_type;

  static void put(wire_writer& writer, const T& value) {
    nesting level(writer);
    writer.write_length(value.size());
    for (const key& k : value) {
      wire<key>::put(writer, k);
    }
  }
  static T take(wire_reader& reader) {
    nesting level(reader);
    const std::size_t n = reader.read_length(wire<key>::min_size());
    T value;
    for (std::size_t i = 0; i < n; ++i) {
      value.emplace_hint(value.end(), wire<key>::take(reader));  // the keys arrive in order
    }
    return value;
  }
};

template <std_map T>
struct wire<T> : wire_composite<typename T::key_type, typename T::mapped_type> {
  using key = typename T::key_type;
  using mapped = typename T::mapped_type;

  static void put(wire_writer& writer, const T& value) {
    nesting level(writer);
    writer.write_length(value.size());
    for (const auto& [k, m] : value) {
      wire<key>::put(writer, k);
      wire<mapped>::put(writer, m);
    }
  }
  static T take(wire_reader& reader) {
    nesting level(reader);
    const std::size_t n = reader.read_length(wire<key>::min_size() + wire<mapped>::min_size());
    T value;
    for (std::size_t i = 0; i < n; ++i) {
      key k = wire<key>::take(reader);
      value.emplace_hint(value.end(), std::move(k), wire<mapped>::take(reader));
    }
    return value;
  }
};

template <class T, class Number>
struct wire_numbers : wire_composite<Number> {
  static constexpr bool is_bytes = std::is_trivially_copyable_v<T> && wire<Number>::is_bytes;
  static constexpr std::size_t min_size() { return sizeof(T); }
  static_assert(is_bytes,
                "procpool: a duration or time point whose representation is not a plain number");

  static void put(wire_writer& writer, const T& value) { writer.write(&value, sizeof(T)); }
  static T take(wire_reader& reader) { return from_bytes<T>(reader.view(sizeof(T), "a number")); }
};

template <std_duration T>
struct wire<T> : wire_numbers<T, typename T::rep> {};
template <std_time_point T>
struct wire<T> : wire_numbers<T, typename T::rep> {};
template <std_complex T>
struct wire<T> : wire_numbers<T, typename T::value_type> {};

template <std_bitset T>
struct wire<T> : wire_composite<> {
  static constexpr std::size_t min_size() { return sizeof(T); }

  static void put(wire_writer& writer, const T& value) { writer.write(&value, sizeof(T)); }
  static T take(wire_reader& reader) {
    static_assert(std::is_trivially_copyable_v<T>);
    // Bits beyond the last bit would falsify count() and ==.
    return from_bytes<T>(reader.view(sizeof(T), "a bitset")) & T().set();
  }
};

template <std_path T>
struct wire<T> : wire_composite<> {
  using text = wire<typename T::string_type>;

  static void put(wire_writer& writer, const T& value) { text::put(writer, value.native()); }
  static T take(wire_reader& reader) { return T(text::take(reader)); }
};

}  // namespace procpool::detail
