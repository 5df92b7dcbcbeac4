// Resource limits of this process, and advice when one is reached: wraps getrlimit. Any thread.
#pragma once

#include <cstdint>
#include <string>

#include "base/component_export.hpp"

namespace procpool::os {

// RLIMIT_FSIZE: the size past which no file may grow, memfds included; the largest u64 if there is
// no limit.
std::uint64_t file_size_limit() noexcept;

// Whether an errno value says that there is no free descriptor: EMFILE, ENFILE.
PROCPOOL_COMPONENT_EXPORT bool lacks_descriptors(int error) noexcept;
// For such an error, what the user can do about it: the end of an error message.
PROCPOOL_COMPONENT_EXPORT std::string descriptor_advice(int error);
// The same for a thread that cannot be started (EAGAIN).
std::string thread_advice();

}  // namespace procpool::os
