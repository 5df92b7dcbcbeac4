// How much memory this process has for itself: reads /proc/self/statm. One thread.
#pragma once

#include <cstdint>

#include "os/private_fds.hpp"

namespace procpool::os {

class memory_meter {
 public:
  memory_meter();  // the file stays open

  // The resident bytes that neither a file nor shared memory backs. 0: not known, without /proc or
  // after a task has closed the descriptor.
  std::uint64_t bytes() const noexcept;

 private:
  private_fd file_;
};

}  // namespace procpool::os
