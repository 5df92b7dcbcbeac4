// The registry of exception types that can be rebuilt. Types are looked up by the hash of their
// name, since a type's address differs between processes. Any thread may use it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <typeinfo>

#include "procpool/exception.hpp"

namespace procpool::wire {

// The type's name as a programmer writes it. std::throw_with_nested and procpool wrap what they
// throw: this is the name of the type inside.
std::string exception_type_name(const std::type_info& type);

// Never 0.
std::uint64_t hash_name(std::string_view name);

// The exceptions of the standard library and of procpool; constant.
std::span<const detail::exception_entry> standard_exceptions();

// Copies the entry into `found` if exactly one type of that name is known; else returns false.
bool find_exception(std::uint64_t name_hash, detail::exception_entry& found);

}  // namespace procpool::wire
