#include <cstdio>

#include "launch/server.hpp"
#include "launch/start_server.hpp"
#include "os/detached_process.hpp"
#include "os/error.hpp"
#include "os/private_fds.hpp"
#include "runtime/fork_gate.hpp"
#include "runtime/process_role.hpp"

namespace procpool::launch {
namespace {

void become_server(void* argument) {
  const int control = *static_cast<const int*>(argument);
  // Sockets and pidfds of other pools, whose ends would not be noticed while this copy holds them.
  // The program's own open files are inherited: that is the purpose of this start method.
  os::close_private_fds({&control, 1});
  os::remove_private_fd(control);
  run_forked_server(control);
}

}  // namespace

pid_t start_by_fork(int server_end) {
  check_pid_namespace();
  const runtime::fork_guard alone;
  // Each worker that flushes would write the data buffered now once more.
  std::fflush(nullptr);
  const runtime::own_fork guard;
  const os::detached_process server = os::fork_detached(become_server, &server_end);
  if (server.error != 0) os::throw_error(server.error, "cannot fork the fork server");
  return server.pid;
}

}  // namespace procpool::launch
