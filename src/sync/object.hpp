// What the files of this folder share: how memory becomes an object, and ends of waits.
#pragma once

#include <cstddef>

#include "procpool/detail/shared/sync_handle.hpp"
#include "sync/waiting.hpp"

namespace procpool::sync {

// The object in the memory of a handle, which is at least as large: new ones are made so, and those
// that arrive are checked.
template <class T>
T& object_in(std::byte* memory) noexcept {
  return *reinterpret_cast<T*>(memory);
}

inline deadline end_of(const duration* limit) noexcept {
  return limit == nullptr ? deadline::never() : deadline::after(*limit);
}

}  // namespace procpool::sync
