#include "primitives/crews.hpp"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <new>
#include <stdexcept>

#include "work.hpp"

namespace bench {

void* map_shared(std::size_t bytes) {
  void* const at =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) throw std::bad_alloc();
  return at;
}

void unmap_shared(void* at, std::size_t bytes) { ::munmap(at, bytes); }

void fork_parties(int n, const std::function<void(int)>& party) {
  pid_t group = 0;  // of its own, so that they can be waited for, and ended, together
  for (int i = 0; i < n; ++i) {
    const pid_t pid = ::fork();
    expect(pid >= 0);
    if (pid == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::setpgid(0, group);
      party(i);
      ::_exit(0);
    }
    ::setpgid(pid, group);
    if (group == 0) group = pid;
  }
  bool failed = false;
  for (int i = 0; i < n; ++i) {
    int status = 0;
    if (::waitpid(-group, &status, 0) > 0 && status == 0) continue;
    failed = true;
    ::kill(-group, SIGKILL);  // the others would wait for it
  }
  if (failed) throw std::runtime_error("one of its processes has failed");
}

}  // namespace bench
