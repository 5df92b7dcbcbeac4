// From pool_options::workers to what each worker applies.
#pragma once

#include "procpool/options.hpp"
#include "shm/worker_settings.hpp"

namespace procpool::parent {

// Throws std::invalid_argument, whose message names the option.
void check(const worker_options& options);

// With defaults filled in, as of the state of this process now. The pool may use `cpus` CPUs.
shm::worker_settings settings_for(const pool_options& options, unsigned cpus);

}  // namespace procpool::parent
