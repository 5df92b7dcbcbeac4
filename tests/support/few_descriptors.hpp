// RLIMIT_NOFILE as low as it may be: while this lives, the process can open `spare` descriptors and
// no more. For a process with one thread of its own.
#pragma once

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <vector>

namespace procpool::testing {

class few_descriptors {
 public:
  explicit few_descriptors(int spare) {
    getrlimit(RLIMIT_NOFILE, &usual_);
    int highest = STDERR_FILENO;
    for (int fd = 0; fd < most_looked_at; ++fd) {
      if (fcntl(fd, F_GETFD) >= 0) highest = fd;
    }
    // None is free below.
    for (int fd = dup(0); fd >= 0; fd = dup(0)) {
      if (fd > highest) {
        close(fd);
        break;
      }
      plugs_.push_back(fd);
    }
    rlimit low = usual_;
    low.rlim_cur = static_cast<rlim_t>(highest + 1 + spare);
    setrlimit(RLIMIT_NOFILE, &low);
  }
  ~few_descriptors() {
    setrlimit(RLIMIT_NOFILE, &usual_);
    for (const int fd : plugs_) close(fd);
  }
  few_descriptors(const few_descriptors&) = delete;
  few_descriptors& operator=(const few_descriptors&) = delete;

 private:
  static constexpr int most_looked_at = 4096;
  rlimit usual_{};
  std::vector<int> plugs_;
};

}  // namespace procpool::testing
