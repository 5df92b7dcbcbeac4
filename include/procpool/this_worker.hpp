// Functions for a task to learn about the worker that runs it. Any thread.
#pragma once

#include <optional>

#include "procpool/export.hpp"

namespace procpool::this_worker {

// 0 to max_workers() - 1 in a worker, empty in the parent. A worker that replaces a dead one has
// its index. Does not block.
PROCPOOL_EXPORT std::optional<int> index();

}  // namespace procpool::this_worker
