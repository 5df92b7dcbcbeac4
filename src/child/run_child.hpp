// What the process of a procpool::process object runs instead of a worker's loop.
#pragma once

#include "launch/worker_context.hpp"

namespace procpool::worker {

// Does not return: the process exits with 0, or with 1 if the task threw.
void run_child(const launch::worker_context& context);

}  // namespace procpool::worker
