// A snapshot of a pool, possibly outdated when it is read. Plain values.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <vector>

namespace procpool {

enum class worker_state {
  starting,  // until the pool knows its process; it may already run its first task
  idle,
  busy,
  ended,  // no process; if the pool continues, another worker will take its place
};

struct worker_stats {
  int index = 0;  // this_worker::index() of its tasks
  pid_t pid = 0;  // not 0 while it is idle or busy; 0 while there is no process, or none known yet
  worker_state state = worker_state::starting;
  std::size_t tasks_done = 0;  // at this index, by this worker and the workers that it replaced
};

struct pool_stats {
  std::vector<worker_stats> workers;
  std::size_t pending = 0;   // submitted, not started
  std::size_t running = 0;   // started; at first there may be fewer busy workers
  std::size_t done = 0;      // finished, with a value or an error, or cancelled
  std::size_t failed = 0;    // tasks and items that were lost with their worker
  std::size_t restarts = 0;  // workers that took the place of a dead worker
};

}  // namespace procpool
