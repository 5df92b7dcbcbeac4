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
  // Sockets and pidfds of other pools, whose ends would not be seen while this copy holds them.
  // What the program itself has open is inherited: that is what this start method is for.
  os::close_private_fds({&control, 1});
  os::remove_private_fd(control);
  run_forked_server(control);
}

}  // namespace

pid_t start_by_fork(int server_end) {
  check_pid_namespace();
  const runtime::fork_guard alone;
  // What is buffered now would be written once more by each worker that flushes.
  std::fflush(nullptr);
  const runtime::own_fork guard;
  const os::detached_process server = os::fork_detached(become_server, &server_end);
  if (server.error != 0) os::throw_error(server.error, "cannot fork the fork server");
  return server.pid;
}

}  // namespace procpool::launch
