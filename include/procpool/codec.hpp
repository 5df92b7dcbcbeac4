// Encoding of values for other processes.
//
// Arguments and results are encoded on one side and decoded on the other. These types need no code:
// arithmetic types, enums, std::byte; string, vector, array, deque, list, the maps and sets, pair,
// tuple, optional, variant; unique_ptr and shared_ptr to such an object; durations, time points,
// complex, bitset, filesystem::path; and aggregates of all these, with up to 64 members:
//
//   struct job { std::string name; std::vector<double> samples; };   // can be sent as it is
//
// A class with private members defines which values represent it:
//
//   template <>
//   struct procpool::codec<account> {
//     static auto to_wire(const account& a) { return std::tie(a.owner(), a.balance()); }
//     static account from_wire(std::tuple<std::string, long>&& wire);
//   };
//
// to_wire returns anything encodable, also a tuple of references or views (they arrive as values);
// it is called once for each object. from_wire gets the decoded values.
//
// A trivially copyable class that is no aggregate is copied as bytes only if its author allows it:
//
//   template <> inline constexpr bool procpool::enable_bytes<vec3> = true;
//
// Raw pointers, references and views into one process do not compile; the message names the type
// and the member. Bytes that cannot be decoded throw codec_error. Encoding and decoding take no
// locks and may run in any thread.
#pragma once

#include <type_traits>

#include "procpool/detail/codec/codec_check.hpp"
#include "procpool/detail/codec/codec_hook.hpp"
#include "procpool/detail/codec/encode.hpp"

namespace procpool {

template <class T>
concept encodable =
    detail::can_travel<std::remove_cv_t<T>, detail::bound_for::worker>() && !std::is_void_v<T>;

}  // namespace procpool
