// How many threads this process has, as the kernel counts them: wraps stat of /proc/self/task. Any
// thread; no allocation.
#pragma once

namespace procpool::os {

// -1 without /proc. A thread that was joined a moment ago may still be counted: the kernel lets the
// join return before it has removed the thread.
int thread_count() noexcept;

}  // namespace procpool::os
