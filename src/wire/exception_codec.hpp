// An exception as bytes: from the worker where it was thrown to the parent where it is rethrown.
//
//   exception := worker:i32 pid:i32 link
//   link      := name_hash:u64 type_name:string what:string payload:bytes nested:bool [link]
//
// The links are the exception and its nested exceptions, the innermost last, at most max_links. The
// parent trusts none of the bytes: it looks up the type to build by its hash among the types that
// it knows itself, limits the length of each string, and turns bytes that do not decode into a
// codec_error.
#pragma once

#include <cstdint>
#include <exception>
#include <string_view>

#include "base/component_export.hpp"
#include "procpool/detail/codec/wire_io.hpp"

namespace procpool::wire {

inline constexpr int max_links = 16;
inline constexpr std::size_t max_type_name = 1024;
inline constexpr std::size_t max_what = std::size_t{1} << 16U;

// Where an exception was thrown.
struct origin {
  std::int32_t worker = -1;
  std::int32_t pid = 0;

  PROCPOOL_COMPONENT_EXPORT static origin here(std::int64_t worker);
};

// Called in the worker. Throws only what the writer throws if it lacks room even for a note of 64
// bytes that says so.
PROCPOOL_COMPONENT_EXPORT void encode_exception(detail::wire_writer& writer,
                                                const std::exception_ptr& thrown, origin from);

// Called in the parent. Never throws and never returns null: an exception that cannot be rebuilt
// becomes a remote_error, bytes that cannot be decoded a codec_error. `label` is the task's label,
// as the parent knows it.
PROCPOOL_COMPONENT_EXPORT std::exception_ptr decode_exception(detail::wire_reader& reader,
                                                              std::string_view label) noexcept;

}  // namespace procpool::wire
