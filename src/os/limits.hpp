// Resource limits of this process. Any thread.
#pragma once

#include <cstdint>
#include <string>

#include "base/component_export.hpp"

namespace procpool::os {

// RLIMIT_FSIZE: no file, also none in memory, may grow past it. The largest u64 when unlimited.
std::uint64_t file_size_limit() noexcept;

// Whether an errno value says that there is no descriptor left: EMFILE, ENFILE.
PROCPOOL_COMPONENT_EXPORT bool lacks_descriptors(int error) noexcept;
// In that case what to do about it, to be put behind "procpool: no such thing is possible: ".
PROCPOOL_COMPONENT_EXPORT std::string descriptor_advice(int error);
// The same for a thread that could not be started: EAGAIN.
std::string thread_advice();

}  // namespace procpool::os
