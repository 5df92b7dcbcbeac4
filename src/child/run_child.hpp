// What a procpool::process runs, instead of a worker's loop.
#pragma once

#include "launch/worker_context.hpp"

namespace procpool::worker {

// Does not return: leaves with 0, or with 1 when the task threw.
void run_child(const launch::worker_context& context);

}  // namespace procpool::worker
