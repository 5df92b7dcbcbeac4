#include "demo/chaos.hpp"

#include <signal.h>
#include <sys/types.h>

#include <vector>

namespace demo {

void chaos::after_result(const procpool::pool_stats& stats) {
  if (killed_ > 0 && random_() % 8 != 0) return;

  std::vector<pid_t> living, busy;
  for (const procpool::worker_stats& worker : stats.workers) {
    if (worker.pid == 0) continue;
    living.push_back(worker.pid);
    if (worker.state == procpool::worker_state::busy) busy.push_back(worker.pid);
  }
  const std::vector<pid_t>& candidates = busy.empty() ? living : busy;
  if (candidates.empty()) return;
  if (::kill(candidates[random_() % candidates.size()], SIGKILL) == 0) ++killed_;
}

}  // namespace demo
