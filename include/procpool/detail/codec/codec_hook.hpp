// The two customization points for users, in a header of their own, so that all other headers can
// test for specialisations. procpool/codec.hpp shows their use.
#pragma once

#include <type_traits>
#include <utility>

namespace procpool {

template <class T>
struct codec;  // to_wire and from_wire: specialise it for your class

template <class T>
inline constexpr bool enable_bytes = false;  // specialise as true: T may be copied as bytes

namespace detail {

template <class T>
concept has_codec = requires(const T& value) { codec<T>::to_wire(value); };

template <class T>
using to_wire_t = decltype(codec<T>::to_wire(std::declval<const T&>()));

}  // namespace detail
}  // namespace procpool
