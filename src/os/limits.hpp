// Resource limits of this process. Any thread.
#pragma once

#include <cstdint>

namespace procpool::os {

// RLIMIT_FSIZE: no file, also none in memory, may grow past it. The largest u64 when unlimited.
std::uint64_t file_size_limit() noexcept;

}  // namespace procpool::os
