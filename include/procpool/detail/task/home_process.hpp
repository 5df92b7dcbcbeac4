// The process that an object of the library belongs to. A process that the program forks is a
// parent of its own: objects that it makes are its own, and inherited objects remain the other
// process's, whose threads, sockets and workers it does not have.
#pragma once

#include <atomic>
#include <cstdint>

#include "procpool/export.hpp"

namespace procpool::detail {

// 1 in the program, and one more in each process forked from it; 0 in workers and fork servers, and
// in processes that tasks fork: such processes have no workers.
PROCPOOL_EXPORT extern std::atomic<std::uint32_t> parent_number;

inline std::uint32_t this_parent_number() noexcept {
  // relaxed: it changes before the process has a second thread, or in the forked process
  return parent_number.load(std::memory_order_relaxed);
}
inline bool in_parent_process() noexcept { return this_parent_number() != 0; }

// A member of objects that belong to the process that made them.
class home_process {
 public:
  // Always false in processes with parent number 0.
  bool is_here() const noexcept {
    const std::uint32_t now = this_parent_number();
    return now == number_ && now != 0;
  }
  // As is_here(), but a worker counts as the same process as its fork server.
  bool is_like_here() const noexcept { return this_parent_number() == number_; }

 private:
  std::uint32_t number_ = this_parent_number();
};

}  // namespace procpool::detail
