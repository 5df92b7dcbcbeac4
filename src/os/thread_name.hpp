// The name under which debuggers, ps and top show a thread: wraps pthread_setname_np.
#pragma once

#include <cstddef>
#include <string>

#include "base/component_export.hpp"

namespace procpool::os {

inline constexpr std::size_t longest_thread_name = 15;

// Names the calling thread; a longer name is cut off.
PROCPOOL_COMPONENT_EXPORT void name_this_thread(const std::string& name) noexcept;

}  // namespace procpool::os
