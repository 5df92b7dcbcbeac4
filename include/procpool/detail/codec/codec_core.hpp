// wire<T>: how a T is written and read, for values that travel as bytes, for aggregates, and for
// types with a procpool::codec. codec_std.hpp specialises it for standard types.
//
//   is_bytes   a T is its sizeof(T) bytes, and a run of T is one memcpy
//   has_bool   travels as bytes and holds bools, which are checked after the copy
//   parts      the types inside, for the search for types that cannot be sent
//   min_size   the fewest bytes a T takes, at least 1: bounds what a forged count can allocate
//   put, take  write a T, read a T
//
// No state; called by the thread that owns the writer or reader.
#pragma once

#include <bit>
#include <cstddef>
#include <cstring>
#include <type_traits>
#include <utility>

#include "procpool/detail/codec/aggregate.hpp"
#include "procpool/detail/codec/codec_hook.hpp"
#include "procpool/detail/codec/stored.hpp"
#include "procpool/detail/codec/wire_base.hpp"
#include "procpool/detail/codec/wire_io.hpp"
#include "procpool/detail/std/memory.hpp"

namespace procpool::detail {

enum class wire_kind { bytes, hook, aggregate, none };

template <class T>
using wire_of = wire<std::remove_cv_t<std::remove_all_extents_t<T>>>;

template <class List>
struct members_of;
template <class... Ts>
struct members_of<type_list<Ts...>> {
  static constexpr bool all_bytes = ((!std::is_reference_v<Ts> && wire_of<Ts>::is_bytes) && ...);
  static constexpr bool any_bool = (wire_of<Ts>::has_bool || ...);
  static constexpr bool any_array = (std::is_array_v<Ts> || ...);
  using parts = type_list<std::conditional_t<std::is_reference_v<Ts>, Ts,
                                             std::remove_cv_t<std::remove_all_extents_t<Ts>>>...>;
  static constexpr std::size_t elements =
      (0 + ... + (sizeof(Ts) / sizeof(std::remove_all_extents_t<Ts>)));
  static constexpr std::size_t min_size() {
    const std::size_t sum =
        (0 + ... +
         (wire_of<Ts>::min_size() * (sizeof(Ts) / sizeof(std::remove_all_extents_t<Ts>))));
    return sum == 0 ? 1 : sum;
  }
};

template <class T>
using members = members_of<member_types<T>>;

template <class T>
consteval wire_kind kind_of() {
  if constexpr (has_codec<T>) {
    return wire_kind::hook;
  } else if constexpr (enable_bytes<T>) {
    static_assert(std::is_trivially_copyable_v<T>,
                  "procpool::enable_bytes is for trivially copyable types: this one wants "
                  "procpool::codec");
    return wire_kind::bytes;
  } else if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T>) {
    return wire_kind::bytes;
  } else if constexpr (member_count<T> == unknown_members) {
    return wire_kind::none;
  } else if constexpr (std::is_trivially_copyable_v<T>) {
    return members<T>::all_bytes ? wire_kind::bytes : wire_kind::aggregate;
  } else {
    return wire_kind::aggregate;
  }
}

template <class T>
inline constexpr bool holds_bool = [] {
  if constexpr (std::is_same_v<T, bool>) {
    return true;
  } else if constexpr (enable_bytes<T> || !std::is_class_v<T>) {
    return false;
  } else {
    return members<T>::any_bool;
  }
}();

template <class T>
T from_bytes(const std::byte* from) {
  if constexpr (std::is_trivially_default_constructible_v<T>) {
    T value;
    std::memcpy(static_cast<void*>(std::addressof(value)), from, sizeof(T));
    return value;
  } else {
    struct image {
      alignas(T) std::byte bytes[sizeof(T)];
    } copy;
    std::memcpy(copy.bytes, from, sizeof(T));
    return std::bit_cast<T>(copy);
  }
}

// Throws if a bool among these bytes is neither 0 nor 1. Reads a private copy only.
template <class T>
void check_bools(const T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    unsigned char byte = 0;
    std::memcpy(&byte, &value, 1);
    if (byte > 1) [[unlikely]] {
      fail_invalid("a bool", byte);
    }
  } else if constexpr (std::is_array_v<T>) {
    for (const auto& element : value) {
      check_bools(element);
    }
  } else if constexpr (wire<T>::has_bool) {
    if constexpr (requires { wire<T>::check(value); }) {
      wire<T>::check(value);
    } else {
      visit_members(value, [](const auto&... member) { (check_bools(member), ...); });
    }
  }
}

// Writes one member, or each element of an array member.
template <class T>
void put_member(wire_writer& writer, const T& member) {
  if constexpr (!std::is_array_v<T>) {
    wire<T>::put(writer, member);
  } else if constexpr (wire_of<T>::is_bytes) {
    writer.write(&member, sizeof(T));
  } else {
    for (const auto& element : member) {
      put_member(writer, element);
    }
  }
}

template <class T>
void take_member(wire_reader& reader, T& member) {
  if constexpr (!std::is_array_v<T>) {
    member = wire<T>::take(reader);
  } else if constexpr (wire_of<T>::is_bytes) {
    reader.read(static_cast<void*>(&member), sizeof(T), "an array");
    check_bools(member);
  } else {
    for (auto& element : member) {
      take_member(reader, element);
    }
  }
}

// Array members are initialised without inner braces, element by element.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmissing-braces"

template <class List, class T, std::size_t N>
struct append_times : append_times<typename append<List, T>::type, T, N - 1> {};
template <class List, class T>
struct append_times<List, T, 0> {
  using type = List;
};

template <class Done, class... Ts>
struct flatten {
  using type = Done;
};
template <class Done, class T, class... Ts>
struct flatten<Done, T, Ts...>
    : flatten<typename append_times<Done, std::remove_cv_t<std::remove_all_extents_t<T>>,
                                    sizeof(T) / sizeof(std::remove_all_extents_t<T>)>::type,
              Ts...> {};

template <class T, class... Elements>
T take_flat(wire_reader& reader, type_list<Elements...>) {
  return T{wire<Elements>::take(reader)...};
}

template <class T, class... Ts>
T take_aggregate(wire_reader& reader, type_list<Ts...>) {
  if constexpr (!members<T>::any_array) {
    return T{wire_of<Ts>::take(reader)...};
  } else if constexpr (std::is_default_constructible_v<T> &&
                       (std::is_move_assignable_v<std::remove_all_extents_t<Ts>> && ...)) {
    T value{};
    visit_members(value, [&](auto&... member) { (take_member(reader, member), ...); });
    return value;
  } else {
    static_assert(members<T>::elements <= max_flat_members,
                  "procpool: this aggregate has an array member of too many elements that have no "
                  "default: use std::array or std::vector, or specialise procpool::codec");
    return take_flat<T>(reader, typename flatten<type_list<>, Ts...>::type{});
  }
}

#pragma GCC diagnostic pop

// Writes an argument, or the result of a to_wire, as the type Stored that stands for it.
template <class Stored, class T>
void put_as(wire_writer& writer, const T& value);

template <class T>
struct wire {
  static constexpr wire_kind kind = kind_of<T>();
  static constexpr bool is_bytes = kind == wire_kind::bytes;
  static constexpr bool has_bool = [] {
    if constexpr (is_bytes) {
      return holds_bool<T>;
    } else {
      return false;
    }
  }();

  static constexpr auto list_parts() {
    if constexpr (kind == wire_kind::hook) {
      return type_list<stored_parts_t<to_wire_t<T>>>{};
    } else if constexpr (kind == wire_kind::aggregate) {
      return typename members<T>::parts{};
    } else {
      return type_list<>{};
    }
  }

  static constexpr std::size_t min_size() {
    if constexpr (kind == wire_kind::hook) {
      return wire<stored_parts_t<to_wire_t<T>>>::min_size();
    } else if constexpr (kind == wire_kind::aggregate) {
      return members<T>::min_size();
    } else {
      return sizeof(T);
    }
  }

  static void put(wire_writer& writer, const T& value) {
    if constexpr (kind == wire_kind::hook) {
      put_as<stored_parts_t<to_wire_t<T>>>(writer, codec<T>::to_wire(value));
    } else if constexpr (std::is_empty_v<T>) {
      *writer.extend(1) = std::byte{0};
    } else if constexpr (is_bytes) {
      writer.write(std::addressof(value), sizeof(T));
    } else {
      visit_members(value, [&](const auto&... member) { (put_member(writer, member), ...); });
    }
  }

  static T take(wire_reader& reader) {
    if constexpr (kind == wire_kind::hook) {
      return codec<T>::from_wire(wire<stored_parts_t<to_wire_t<T>>>::take(reader));
    } else if constexpr (std::is_same_v<T, bool>) {
      return reader.read_bool();
    } else if constexpr (is_bytes && has_bool) {
      T value = from_bytes<T>(reader.view(sizeof(T), "a value"));
      check_bools(value);
      return value;
    } else if constexpr (is_bytes) {
      return from_bytes<T>(reader.view(sizeof(T), "a value"));
    } else {
      return take_aggregate<T>(reader, member_types<T>{});
    }
  }
};

template <class T>
using parts_of = decltype(wire<T>::list_parts());

template <>
struct wire<void> {
  static constexpr wire_kind kind = wire_kind::none;
  static constexpr bool is_bytes = false;
  static constexpr bool has_bool = false;
  static constexpr auto list_parts() { return type_list<>{}; }
};

}  // namespace procpool::detail
