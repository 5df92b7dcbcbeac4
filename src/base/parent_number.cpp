// The number that tells the processes of a program apart. Here, at the bottom, since per_process
// and all objects with a home_process compare it; only runtime/process_role.cpp changes it.
#include "procpool/detail/task/home_process.hpp"

namespace procpool::detail {

// Ready before the first constructor runs.
constinit std::atomic<std::uint32_t> parent_number{1};

}  // namespace procpool::detail
