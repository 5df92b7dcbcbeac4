#include "launch/role.hpp"

#include <atomic>
#include <cstdlib>
#include <utility>

#include "os/child_setup.hpp"
#include "os/environment.hpp"
#include "os/private_fds.hpp"
#include "procpool/detail/task_state.hpp"

namespace procpool {

constinit std::atomic<bool> detail::in_other_process{false};

namespace launch {

constinit std::atomic<int> detail::role{detail::role_unknown};

namespace {

// Everything here is ready before the first constructor runs.
constinit std::atomic<int> control_socket{-1};
constinit std::atomic<bool> hook{false};
constinit std::atomic<bool> handlers_installed{false};
constinit thread_local bool own_fork_under_way = false;

// "<descriptor>.<pid>[.p]": -1 when it is not for this process.
int parse(const char* text) noexcept {
  char* end = nullptr;
  const long fd = std::strtol(text, &end, 10);
  if (fd <= 2 || *end != '.') return -1;
  const long pid = std::strtol(end + 1, &end, 10);
  if (pid != os::this_process()) return -1;
  if (end[0] == '.' && end[1] == 'p') os::drop_first_preload();
  return static_cast<int>(fd);
}

process_role find_out() noexcept {
  const char* text = os::take_variable(server_variable);
  const int fd = text == nullptr || os::has_elevated_rights() ? -1 : parse(text);
  if (fd < 0) return process_role::parent;
  // From here on the socket is this process's alone, and programs that tasks run do not get it.
  os::set_close_on_exec(fd, true);
  control_socket.store(fd);
  return process_role::fork_server;
}

void in_forked_child() {
  if (std::exchange(own_fork_under_way, false)) return;
  os::close_private_fds({});
  set_role(process_role::forked_copy);
}

}  // namespace

process_role detail::find_role() noexcept {
  const process_role found = find_out();
  set_role(found);
  return found;
}

void set_role(process_role new_role) noexcept {
  // release: for a thread that finds it set; relaxed: see in_parent_process
  detail::role.store(static_cast<int>(new_role), std::memory_order_release);
  procpool::detail::in_other_process.store(new_role != process_role::parent,
                                           std::memory_order_relaxed);
}

int inherited_control_socket() noexcept {
  current_role();
  return control_socket.load();
}

void note_hook() noexcept { hook.store(true); }
bool has_hook() noexcept { return hook.load(); }

void install_fork_handlers() noexcept {
  if (!handlers_installed.exchange(true)) os::on_fork_in_child(in_forked_child);
}

own_fork::own_fork() noexcept { own_fork_under_way = true; }
own_fork::~own_fork() { own_fork_under_way = false; }

}  // namespace launch
}  // namespace procpool
