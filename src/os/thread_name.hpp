// The name under which a thread is shown by debuggers, ps and top.
#pragma once

#include <cstddef>
#include <string>

#include "base/component_export.hpp"

namespace procpool::os {

inline constexpr std::size_t longest_thread_name = 15;

// Of the calling thread; cut off behind the longest one that the system takes.
PROCPOOL_COMPONENT_EXPORT void name_this_thread(const std::string& name) noexcept;

}  // namespace procpool::os
