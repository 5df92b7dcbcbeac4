#include "os/limits.hpp"

#include <sys/resource.h>

#include <cerrno>
#include <limits>

namespace procpool::os {

std::uint64_t file_size_limit() noexcept {
  rlimit limit{};
  if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
    return std::numeric_limits<std::uint64_t>::max();
  }
  return limit.rlim_cur;
}

bool lacks_descriptors(int error) noexcept { return error == EMFILE || error == ENFILE; }

std::string descriptor_advice(int error) {
  if (error == ENFILE) {
    return "this machine has no file descriptor left: close some, or raise fs.file-max";
  }
  rlimit limit{};
  const bool known = getrlimit(RLIMIT_NOFILE, &limit) == 0;
  return "this process has no file descriptor left: close some, or raise RLIMIT_NOFILE (ulimit -n" +
         (known ? ", now " + std::to_string(limit.rlim_cur) : std::string()) + ")";
}

std::string thread_advice() {
  return "no thread can be started: end some, or raise the limits of processes and memory (ulimit "
         "-u, ulimit -v, pids.max of a container); a process that has called "
         "unshare(CLONE_NEWPID) or setns can start none";
}

}  // namespace procpool::os
