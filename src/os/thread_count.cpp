#include "os/thread_count.hpp"

#include <sys/stat.h>

namespace procpool::os {

int thread_count() noexcept {
  // The link count of a directory is two and one for each subdirectory, here one for each thread.
  struct stat status{};
  if (::stat("/proc/self/task", &status) != 0 || status.st_nlink < 3) return -1;
  return static_cast<int>(status.st_nlink) - 2;
}

}  // namespace procpool::os
