// How a function is named across processes: by the module (executable or shared library) that holds
// it and its offset there. Right under ASLR and in a worker that was executed afresh; raw addresses
// never travel. Both functions may be called from any thread.
#pragma once

#include <cstdint>

#include "procpool/export.hpp"

namespace procpool::detail {

// Index of the module in the parent's table << 48 | offset from where the module starts. Zero names
// nothing: it is what default construction gives.
struct code_ref {
  std::uint64_t bits = 0;
  friend bool operator==(const code_ref&, const code_ref&) = default;
};

// In the parent the first address of a module registers it for the workers; after that it is a
// comparison. In a worker only what the parent has registered can be named. Throws procpool::error
// when no (such) module holds the address.
PROCPOOL_EXPORT code_ref to_code_ref(const void* address);

// Called in a worker (and in the parent, where tasks run in place). A library that was loaded in
// the parent after the workers started is loaded here now. Throws procpool::error when the module
// is unknown, cannot be loaded, or is another build than the parent's.
PROCPOOL_EXPORT void* from_code_ref(code_ref ref);

// The reference of a function of ours that was made from a template, found once. Each module has
// its own: two libraries may have a copy of procpool each, or types of one name that differ.
template <auto Function>
PROCPOOL_LOCAL code_ref code_of() {
  static const code_ref code = to_code_ref(reinterpret_cast<const void*>(Function));
  return code;
}

}  // namespace procpool::detail
