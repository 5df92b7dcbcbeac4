// One way to turn a failed system call into an exception: std::system_error that says what was
// being done. For the parent's side and for start-up only; code that runs between fork and the
// worker's loop uses the noexcept functions of this folder, which return -errno.
#pragma once

#include <cerrno>
#include <string>
#include <system_error>

namespace procpool::os {

[[noreturn]] inline void throw_error(int error, const char* what) {
  throw std::system_error(error, std::generic_category(), std::string("procpool: ") + what);
}

[[noreturn]] inline void throw_errno(const char* what) { throw_error(errno, what); }

}  // namespace procpool::os
