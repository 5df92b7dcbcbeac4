// The name of a function across processes: the module (executable or shared library) that holds it,
// and its offset there. Valid under ASLR and in a worker that was executed afresh; raw addresses
// never travel. Both functions may be called from any thread.
#pragma once

#include <cstdint>

#include "procpool/export.hpp"

namespace procpool::detail {

// Index of the module in the parent's table << 48 | offset from the start of the module. Zero, the
// default, names no function.
struct code_ref {
  std::uint64_t bits = 0;
  friend bool operator==(const code_ref&, const code_ref&) = default;
};

// In the parent the first address of a module registers the module for the workers; later addresses
// cost a comparison. A worker can name functions only of modules that the parent has registered.
// Throws procpool::error when no (registered) module holds the address.
PROCPOOL_EXPORT code_ref to_code_ref(const void* address);

// Called in a worker (and in the parent, where tasks run in place). Loads a library that the parent
// loaded after the workers had started. Throws procpool::error when the module is unknown, cannot
// be loaded, or is another build than the parent's.
PROCPOOL_EXPORT void* from_code_ref(code_ref ref);

// The reference of a function that one of the library's templates has made, looked up once. Each
// module has its own reference: two libraries may each contain a copy of procpool, or different
// types of the same name.
template <auto Function>
PROCPOOL_LOCAL code_ref code_of() {
  static const code_ref code = to_code_ref(reinterpret_cast<const void*>(Function));
  return code;
}

}  // namespace procpool::detail
