// What all primitives of this folder need: the memory of a handle as a struct, and the deadline of
// an optional duration.
#pragma once

#include <cstddef>

#include "procpool/detail/shared/sync_handle.hpp"
#include "sync/waiting.hpp"

namespace procpool::sync {

// The words at the begin of a handle's memory. The memory is large enough for T: new objects are
// made so, and sync_handle checks handles that arrive.
template <class T>
T& object_in(std::byte* memory) noexcept {
  return *reinterpret_cast<T*>(memory);
}

inline deadline end_of(const duration* limit) noexcept {
  return limit == nullptr ? deadline::never() : deadline::after(*limit);
}

}  // namespace procpool::sync
