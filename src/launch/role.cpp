#include "launch/role.hpp"

#include <atomic>
#include <cstdlib>
#include <utility>

#include "os/child_setup.hpp"
#include "os/environment.hpp"
#include "os/modules.hpp"
#include "os/private_fds.hpp"
#include "procpool/detail/task_state.hpp"

namespace procpool {

constinit std::atomic<bool> detail::in_other_process{false};

namespace launch {

constinit std::atomic<int> detail::role{detail::role_unknown};

namespace {

// Everything here is ready before the first constructor runs.
constinit std::atomic<bool> hook{false};
constinit std::atomic<bool> handlers_installed{false};
constinit thread_local bool own_fork_under_way = false;

struct variable {
  int control_socket = -1;  // -1: it is not for this process
  bool preloaded = false;
  const char* library = "";
};

// "<descriptor>.<pid>.[p].<library>"
variable parse(const char* text) noexcept {
  char* end = nullptr;
  const long fd = std::strtol(text, &end, 10);
  if (fd <= 2 || *end != '.') return {};
  const long pid = std::strtol(end + 1, &end, 10);
  if (pid != os::this_process() || *end != '.') return {};
  variable found;
  found.preloaded = *++end == 'p';
  if (found.preloaded) ++end;
  if (*end != '.') return {};
  found.control_socket = static_cast<int>(fd);
  found.library = end + 1;
  return found;
}

process_role find_out() noexcept {
  const char* text = os::find_variable(server_variable);
  if (text == nullptr) return process_role::parent;
  const variable found = os::has_elevated_rights() ? variable{} : parse(text);
  if (found.control_socket < 0) {
    os::take_variable(server_variable);
    return process_role::parent;
  }
  // From here on the socket is this process's alone, and programs that tasks run do not get it.
  os::set_close_on_exec(found.control_socket, true);
  if (found.preloaded && found.library == this_copy()) os::drop_first_preload();
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

std::string this_copy() {
  const auto module = os::module_of(reinterpret_cast<const void*>(&this_copy));
  return !module || module->is_executable ? std::string() : module->path;
}

server_order take_server_order() noexcept {
  if (current_role() != process_role::fork_server) return {};
  const char* text = os::find_variable(server_variable);
  const variable found = text == nullptr ? variable{} : parse(text);
  server_order order;
  order.control_socket = found.control_socket;
  if (order.control_socket < 0) return order;
  order.for_this_copy = found.library == this_copy();
  order.for_missing_copy = *found.library != '\0' && !os::is_loaded(found.library);
  if (order.for_this_copy || order.for_missing_copy) {
    os::take_variable(server_variable);
  }
  return order;
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
