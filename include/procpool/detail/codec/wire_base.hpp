// The declaration of wire<T>, which defines how a T is written and read, and the common part of its
// specialisations: enough for a class of the library to specialise wire<T> without the codecs of
// all other types. codec_core.hpp defines the template itself. No state.
#pragma once

#include <cstddef>
#include <type_traits>

#include "procpool/detail/codec/type_list.hpp"

namespace procpool::detail {

class wire_reader;
class wire_writer;

template <class T>
struct wire;

// The common part of the specialisations of wire.
template <class... Parts>
struct wire_composite {
  static constexpr bool is_bytes = false;
  static constexpr bool has_bool = false;
  static constexpr auto list_parts() { return type_list<std::remove_cv_t<Parts>...>{}; }
  static constexpr std::size_t min_size() { return 1; }
};

}  // namespace procpool::detail
