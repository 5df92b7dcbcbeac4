// A worker process from its first to its last instruction: attach to the region, run the
// initializer, run the loop, run the finalizer, exit. The fork server's child calls it with one
// thread.
#pragma once

#include "launch/worker_context.hpp"

namespace procpool::worker {

[[noreturn]] void run(const launch::worker_context& context);

// The seat (the index in the pool) of this worker; negative in every other process.
int current_seat() noexcept;

// In a catch block: ends this worker, and reports the exception to the parent as the reason.
[[noreturn]] void leave_disowned() noexcept;

}  // namespace procpool::worker
