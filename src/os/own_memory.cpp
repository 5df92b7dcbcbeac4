#include "os/own_memory.hpp"

#include <unistd.h>

#include <cstdlib>

#include "os/file.hpp"

namespace procpool::os {

memory_meter::memory_meter() : file_(open_file("/proc/self/statm", false)) {}

std::uint64_t memory_meter::bytes() const noexcept {
  if (!file_.is_ours()) return 0;
  char text[128];
  const ssize_t size = ::pread(file_.get(), text, sizeof(text) - 1, 0);
  if (size <= 0) return 0;
  text[size] = '\0';
  // In pages: the address space, what is resident, and how much of that is shared.
  char* at = text;
  std::strtoull(at, &at, 10);
  const std::uint64_t resident = std::strtoull(at, &at, 10);
  const std::uint64_t shared = std::strtoull(at, &at, 10);
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return shared > resident ? 0 : (resident - shared) * page;
}

}  // namespace procpool::os
