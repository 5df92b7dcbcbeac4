#include "os/process_settings.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "os/error.hpp"
#include "os/unique_fd.hpp"

namespace procpool::os {

void add_nice(int difference) {
  errno = 0;
  const int now = ::getpriority(PRIO_PROCESS, 0);
  if (errno != 0 || ::setpriority(PRIO_PROCESS, 0, now + difference) != 0) {
    throw_errno("cannot change the nice value");
  }
}

void become_victim() {
  constexpr char most[] = "1000";
  const unique_fd file(::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
  if (!file || ::write(file.get(), most, sizeof(most) - 1) < 0) {
    throw_errno("cannot write to /proc/self/oom_score_adj");
  }
}

void set_umask(unsigned mask) noexcept { ::umask(static_cast<mode_t>(mask)); }

void enter_directory(const std::string& path) {
  if (::chdir(path.c_str()) != 0) throw_errno(("cannot enter the directory " + path).c_str());
}

void set_variable(const std::string& name, const std::optional<std::string>& value) {
  const int result = value ? ::setenv(name.c_str(), value->c_str(), 1) : ::unsetenv(name.c_str());
  if (result != 0) throw_errno(("cannot change the environment variable " + name).c_str());
}

}  // namespace procpool::os
