// The whole life of a worker process: set up, initializer, loop, finalizer. Entered by the fork
// server's child with one thread; never returns.
#pragma once

#include "launch/worker_context.hpp"

namespace procpool::worker {

[[noreturn]] void run(const launch::worker_context& context);

// The seat of this worker; negative in every other process.
int current_seat() noexcept;

// In a catch block: the parent hears of that exception as the reason why this worker has left.
[[noreturn]] void leave_disowned() noexcept;

}  // namespace procpool::worker
