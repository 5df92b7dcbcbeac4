// Which types of exceptions can be rebuilt. Looked up by the hash of the type's name, as a type has
// no address that two processes agree on. May be used from any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <typeinfo>

#include "procpool/exception.hpp"

namespace procpool::wire {

// The type as a person would write it. std::throw_with_nested wraps what it throws, and so do we:
// this is the type inside.
std::string exception_type_name(const std::type_info& type);

// Never 0.
std::uint64_t hash_name(std::string_view name);

// The standard library's exceptions and ours; constant.
std::span<const detail::exception_entry> standard_exceptions();

// Copies the entry into `found`, if exactly one type of that name is known.
bool find_exception(std::uint64_t name_hash, detail::exception_entry& found);

}  // namespace procpool::wire
