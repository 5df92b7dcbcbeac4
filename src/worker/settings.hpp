// Applies pool_options::workers in a worker, before its initializer.
#pragma once

#include "shm/worker_settings.hpp"

namespace procpool::worker {

// Throws std::system_error, which says what could not be done.
// For the worker of the seat, one of `workers`.
void apply(const shm::worker_settings& settings, shm::u32 seat, shm::u32 workers);

}  // namespace procpool::worker
