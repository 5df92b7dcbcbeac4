// How many threads this process has, as the kernel counts them. Any thread; no allocation.
#pragma once

namespace procpool::os {

// -1 when /proc is not there. A thread that was joined a moment ago may still be counted: the
// kernel tells the joiner before it has finished with the thread.
int thread_count() noexcept;

}  // namespace procpool::os
