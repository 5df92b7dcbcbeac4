// All that is measured, by theme. Each in a file of its name.
#pragma once

#include "runner.hpp"

namespace bench {

// How pools begin and end, and what happens when a worker dies. First: while this process has no
// thread but one, or it could not be forked.
void measure_lifetimes(runner& r);
// What pools cost while they do nothing.
void measure_memory(runner& r, int cpus);
// For measure_memory(): what a contender takes for each task, on standard output.
void tell_memory(const std::string& name, const std::string& what);
void measure_idle(runner& r, int cpus);

void compare_tasks(runner& r, int cpus);
void compare_loops(runner& r, int cpus);
void compare_payloads(runner& r, int cpus);
// Locks, queues and the like, between processes.
void compare_primitives(runner& r);

}  // namespace bench
