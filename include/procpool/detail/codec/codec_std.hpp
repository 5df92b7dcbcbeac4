// wire<T> for the vocabulary types of the standard library: text, vectors, arrays, pairs, tuples,
// optional, variant and owning pointers. codec_shapes.hpp has the containers and other types that
// are recognised by their shape. No state.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <variant>
#include <vector>

#include "procpool/detail/codec/codec_core.hpp"
#include "procpool/detail/std/memory.hpp"

namespace procpool::detail {

// The alignment of the bytes of a run of T, which a view reads in place.
template <class T>
inline constexpr std::size_t run_alignment =
    alignof(T) < wire_alignment ? alignof(T) : wire_alignment;

// Writes a run of elements that travel as bytes: a count, padding, the elements.
template <class T>
void put_run(wire_writer& writer, const T* elements, std::size_t n) {
  writer.write_length(n);
  if (n != 0) {
    writer.align(run_alignment<T>);
    writer.write(elements, n * sizeof(T));
  }
}

// Where the run lies in the bytes; null if it is empty. Its bools have not been checked yet.
template <class T>
const std::byte* view_run(wire_reader& reader, std::size_t& n) {
  n = reader.read_length(sizeof(T));
  if (n == 0) {
    return nullptr;
  }
  reader.align(run_alignment<T>);
  return reader.view(n * sizeof(T), "the elements of a container");
}

template <class T>
const T* aligned_run(const std::byte* from) {
  if (reinterpret_cast<std::uintptr_t>(from) % alignof(T) != 0) [[unlikely]] {
    fail_misaligned();
  }
  return reinterpret_cast<const T*>(from);
}

// The number of elements to reserve at once: the claimed number, but bounded for elements that are
// large in memory and small on the wire.
template <class T>
std::size_t first_capacity(std::size_t claimed, const wire_reader& reader) {
  const std::size_t most = reader.remaining() * 16 / sizeof(T) + 1;
  return claimed < most ? claimed : most;
}

template <class C, class Traits, class Allocator>
struct wire<std::basic_string<C, Traits, Allocator>> : wire_composite<C> {
  using string = std::basic_string<C, Traits, Allocator>;

  static void put(wire_writer& writer, const string& value) {
    put_run(writer, value.data(), value.size());
  }
  static string take(wire_reader& reader) {
    std::size_t n = 0;
    const std::byte* from = view_run<C>(reader, n);
    return n == 0 ? string() : string(aligned_run<C>(from), n);
  }
};

template <class T, class Allocator>
struct wire<std::vector<T, Allocator>> : wire_composite<T> {
  using vector = std::vector<T, Allocator>;

  static void put(wire_writer& writer, const vector& value) {
    if constexpr (wire<T>::is_bytes) {
      put_run(writer, value.data(), value.size());
    } else {
      nesting level(writer);
      writer.write_length(value.size());
      for (const T& element : value) {
        wire<T>::put(writer, element);
      }
    }
  }

  static vector take(wire_reader& reader) {
    if constexpr (wire<T>::is_bytes && alignof(T) <= wire_alignment) {
      // Constructed from a range: one memcpy, and the memory is not zeroed first.
      std::size_t n = 0;
      const std::byte* from = view_run<T>(reader, n);
      if (n == 0) {
        return {};
      }
      const T* first = aligned_run<T>(from);
      vector value(first, first + n);
      if constexpr (wire<T>::has_bool) {
        for (const T& element : value) check_bools<T>(element);
      }
      return value;
    } else {
      nesting level(reader);
      const std::size_t n = reader.read_length(wire<T>::min_size());
      if constexpr (wire<T>::is_bytes) {
        if (n != 0) {
          reader.align(run_alignment<T>);
        }
      }
      vector value;
      value.reserve(first_capacity<T>(n, reader));
      for (std::size_t i = 0; i < n; ++i) {
        value.push_back(wire<T>::take(reader));
      }
      return value;
    }
  }
};

// Eight bools in each byte.
template <class Allocator>
struct wire<std::vector<bool, Allocator>> : wire_composite<> {
  using vector = std::vector<bool, Allocator>;

  template <class Range>
  static void put_range(wire_writer& writer, const Range& bits, std::size_t n) {
    writer.write(&n, sizeof(n));
    std::byte* to = writer.extend((n + 7) / 8);
    std::size_t i = 0;
    for (const bool bit : bits) {
      if (i % 8 == 0) {
        to[i / 8] = std::byte{0};
      }
      to[i / 8] |= static_cast<std::byte>(static_cast<unsigned>(bit) << i % 8);
      ++i;
    }
  }
  static void put(wire_writer& writer, const vector& value) {
    put_range(writer, value, value.size());
  }
  static constexpr std::size_t min_size() { return sizeof(std::size_t); }
  static vector take(wire_reader& reader) {
    const auto n = loaded_once(reader.read_value<std::size_t>("a length"));
    if (n / 8 > reader.remaining()) [[unlikely]] {
      fail_count(n, reader.remaining());
    }
    const std::byte* from = reader.view(n / 8 + (n % 8 != 0), "bits");
    vector value(n);
    for (std::size_t i = 0; i < n; ++i) {
      value[i] = (from[i / 8] >> i % 8 & std::byte{1}) != std::byte{0};
    }
    return value;
  }
};

template <class T, std::size_t N>
struct wire<std::array<T, N>> : wire_composite<T> {
  static constexpr bool is_bytes = wire<T>::is_bytes && N != 0;
  static constexpr bool has_bool = is_bytes && wire<T>::has_bool;
  static constexpr std::size_t min_size() { return N == 0 ? 1 : N * wire<T>::min_size(); }
  using array = std::array<T, N>;

  static void check(const array& value) {
    for (const T& element : value) check_bools<T>(element);
  }
  static void put(wire_writer& writer, const array& value) {
    if constexpr (N == 0) {
      *writer.extend(1) = std::byte{0};
    } else if constexpr (is_bytes) {
      writer.write(value.data(), sizeof(array));
    } else {
      for (const T& element : value) {
        wire<T>::put(writer, element);
      }
    }
  }
  static array take(wire_reader& reader) {
    if constexpr (N == 0) {
      reader.view(1, "an array");
      return {};
    } else if constexpr (is_bytes) {
      array value = from_bytes<array>(reader.view(sizeof(array), "an array"));
      if constexpr (has_bool) {
        check(value);
      }
      return value;
    } else if constexpr (N > max_members && std::is_default_constructible_v<T>) {
      array value;
      for (T& element : value) {
        element = wire<T>::take(reader);
      }
      return value;
    } else {
      return take_each(reader, std::make_index_sequence<N>{});
    }
  }

 private:
  template <std::size_t... I>
  static array take_each(wire_reader& reader, std::index_sequence<I...>) {
    return array{{(static_cast<void>(I), wire<T>::take(reader))...}};
  }
};

template <class A, class B>
struct wire<std::pair<A, B>> : wire_composite<A, B> {
  static constexpr std::size_t min_size() {
    return wire_of<A>::min_size() + wire_of<B>::min_size();
  }
  static void put(wire_writer& writer, const std::pair<A, B>& value) {
    wire_of<A>::put(writer, value.first);
    wire_of<B>::put(writer, value.second);
  }
  static std::pair<A, B> take(wire_reader& reader) {
    auto first = wire_of<A>::take(reader);
    return {std::move(first), wire_of<B>::take(reader)};
  }
};

template <class... Ts>
struct wire<std::tuple<Ts...>> : wire_composite<Ts...> {
  static constexpr std::size_t min_size() {
    return sizeof...(Ts) == 0 ? 1 : (std::size_t{0} + ... + wire_of<Ts>::min_size());
  }
  static void put(wire_writer& writer, const std::tuple<Ts...>& value) {
    if constexpr (sizeof...(Ts) == 0) {
      *writer.extend(1) = std::byte{0};
    } else {
      std::apply([&](const auto&... element) { (put_member(writer, element), ...); }, value);
    }
  }
  static std::tuple<Ts...> take(wire_reader& reader) {
    if constexpr (sizeof...(Ts) == 0) {
      reader.view(1, "a tuple");
    }
    return std::tuple<Ts...>{wire_of<Ts>::take(reader)...};
  }
};

template <class T>
struct wire<std::optional<T>> : wire_composite<T> {
  static void put(wire_writer& writer, const std::optional<T>& value) {
    *writer.extend(1) = static_cast<std::byte>(value.has_value());
    if (value.has_value()) {
      wire<T>::put(writer, *value);
    }
  }
  static std::optional<T> take(wire_reader& reader) {
    if (!reader.read_bool()) {
      return std::nullopt;
    }
    return std::optional<T>(wire<T>::take(reader));
  }
};

template <class... Ts>
struct wire<std::variant<Ts...>> : wire_composite<Ts...> {
  using variant = std::variant<Ts...>;
  static_assert(sizeof...(Ts) < 256, "procpool: a variant of more than 255 alternatives");

  static void put(wire_writer& writer, const variant& value) {
    if (value.valueless_by_exception()) [[unlikely]] {
      fail_unencodable("a std::variant that is valueless");
    }
    *writer.extend(1) = static_cast<std::byte>(value.index());
    std::visit([&](const auto& held) { put_member(writer, held); }, value);
  }
  static variant take(wire_reader& reader) {
    const auto index = loaded_once(reader.read_value<unsigned char>("a variant"));
    if (index >= sizeof...(Ts)) [[unlikely]] {
      fail_invalid("the index of a variant", index);
    }
    return take_any(reader, index, std::make_index_sequence<sizeof...(Ts)>{});
  }

 private:
  template <std::size_t I>
  static variant take_one(wire_reader& reader) {
    using alternative = std::variant_alternative_t<I, variant>;
    return variant(std::in_place_index<I>, wire_of<alternative>::take(reader));
  }
  template <std::size_t... I>
  static variant take_any(wire_reader& reader, std::size_t index, std::index_sequence<I...>) {
    using taker = variant (*)(wire_reader&);
    static constexpr taker takers[] = {&take_one<I>...};
    return takers[index](reader);
  }
};

// A pointer that owns an object travels as that object, or as nothing. Two shared_ptr to one object
// point to two objects in the other process; the limit on nesting cuts off cycles.
template <class Pointer, class T>
struct wire_owner : wire_composite<T> {
  static void put(wire_writer& writer, const Pointer& value) {
    nesting level(writer);
    *writer.extend(1) = static_cast<std::byte>(value != nullptr);
    if (value != nullptr) {
      if constexpr (std::is_polymorphic_v<T> && !std::is_final_v<T>) {
        const T& object = *value;
        if (typeid(object) != typeid(T)) [[unlikely]] {
          fail_unencodable(
              "a pointer to a base class that points to a derived object: only the base would "
              "travel (specialise procpool::codec for the pointer's owner, or use std::variant)");
        }
      }
      wire_of<T>::put(writer, *value);
    }
  }
  static Pointer take(wire_reader& reader) {
    nesting level(reader);
    if (!reader.read_bool()) {
      return nullptr;
    }
    using object = std::remove_cv_t<T>;
    return Pointer(new object(wire<object>::take(reader)));
  }
};

template <class T>
  requires(!std::is_array_v<T>)
struct wire<std::unique_ptr<T>> : wire_owner<std::unique_ptr<T>, T> {};

template <class T>
  requires(!std::is_array_v<T>)
struct wire<std::shared_ptr<T>> : wire_owner<std::shared_ptr<T>, T> {
  static std::shared_ptr<T> take(wire_reader& reader) {
    return wire_owner<std::unique_ptr<T>, T>::take(reader);
  }
};

// The text of an argument, as a view.
inline std::string_view as_text(const char* text) {
  if (text == nullptr) [[unlikely]] {
    fail_unencodable("a null char*: it has no text");
  }
  return text;
}
inline std::string_view as_text(std::string_view text) { return text; }

template <class T>
inline constexpr bool is_span = false;
template <class T, std::size_t N>
inline constexpr bool is_span<std::span<T, N>> = true;

template <class Stored, class T>
void put_as(wire_writer& writer, const T& value) {
  if constexpr (std::is_same_v<Stored, T>) {
    wire<Stored>::put(writer, value);
  } else if constexpr (std::is_same_v<Stored, std::string>) {
    const std::string_view text = as_text(value);
    put_run(writer, text.data(), text.size());
  } else if constexpr (is_span<T>) {
    using element = typename Stored::value_type;
    if constexpr (std::is_same_v<element, bool>) {
      wire<Stored>::put_range(writer, value, value.size());
    } else if constexpr (wire<element>::is_bytes) {
      put_run<element>(writer, value.data(), value.size());
    } else {
      nesting level(writer);
      writer.write_length(value.size());
      for (const element& e : value) {
        wire<element>::put(writer, e);
      }
    }
  } else {
    // A tuple or pair that contains references or views.
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      (put_as<std::tuple_element_t<I, Stored>>(writer, std::get<I>(value)), ...);
    }(std::make_index_sequence<std::tuple_size_v<Stored>>{});
  }
}

}  // namespace procpool::detail
