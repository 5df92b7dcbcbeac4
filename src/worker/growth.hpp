// pool_options::max_memory_growth, in a worker: how much larger the process may become.
#pragma once

#include <optional>

#include "os/own_memory.hpp"
#include "shm/layout.hpp"

namespace procpool::worker {

class growth_limit {
 public:
  // Counts from the memory that the process has now. 0: no limit.
  explicit growth_limit(shm::u64 most);

  // Without a limit this costs a comparison, with one two system calls, about 3 us.
  bool is_exceeded() const;

 private:
  std::optional<os::memory_meter> meter_;
  shm::u64 limit_ = 0;  // bytes of the whole process
};

}  // namespace procpool::worker
