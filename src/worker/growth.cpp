#include "worker/growth.hpp"

#include <limits>

namespace procpool::worker {

growth_limit::growth_limit(shm::u64 most) {
  if (most == 0) return;
  const shm::u64 now = meter_.emplace().bytes();
  limit_ = most > std::numeric_limits<shm::u64>::max() - now ? most : now + most;
}

bool growth_limit::is_exceeded() const { return meter_ && meter_->bytes() > limit_; }

}  // namespace procpool::worker
