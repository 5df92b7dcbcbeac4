#include "launch/role.hpp"

#include <atomic>
#include <cstdlib>
#include <limits>
#include <optional>
#include <utility>

#include "launch/thread_gate.hpp"
#include "os/child_setup.hpp"
#include "os/environment.hpp"
#include "os/file.hpp"
#include "os/private_fds.hpp"
#include "procpool/detail/home_process.hpp"

namespace procpool {

constinit std::atomic<std::uint32_t> detail::parent_number{1};

namespace launch {

constinit std::atomic<int> detail::role{detail::role_unknown};

namespace {

// Everything here is ready before the first constructor runs.
constinit std::atomic<int> control_socket{-1};
constinit std::atomic<bool> hook{false};
constinit std::atomic<bool> handlers_installed{false};
constinit thread_local bool own_fork_under_way = false;

struct server_call {
  int control = -1;
  int folder = -1;
  int library = -1;
  bool restore = false;
};

// -1: no number, or none of a descriptor.
int next_descriptor(char*& at) noexcept {
  if (*at != '.') return -1;
  const long fd = std::strtol(at + 1, &at, 10);
  return fd > 2 && fd <= std::numeric_limits<int>::max() ? static_cast<int>(fd) : -1;
}

// Empty when it is not for this process.
std::optional<server_call> parse(const char* text) noexcept {
  char* at = nullptr;
  server_call call;
  const long control = std::strtol(text, &at, 10);
  if (control <= 2 || control > std::numeric_limits<int>::max() || *at != '.') return std::nullopt;
  const long pid = std::strtol(at + 1, &at, 10);
  if (pid != os::this_process()) return std::nullopt;
  call.control = static_cast<int>(control);
  call.folder = next_descriptor(at);
  call.library = next_descriptor(at);
  call.restore = at[0] == '.' && at[1] == '1';
  return call;
}

// All of that name are taken, so that none is left for the programs that this one starts.
std::optional<server_call> take_server_call() noexcept {
  std::optional<server_call> found;
  while (const char* text = os::take_variable(server_variable)) {
    if (!found && !os::has_elevated_rights()) found = parse(text);
  }
  return found;
}

process_role find_out() noexcept {
  const std::optional<server_call> call = take_server_call();
  if (!call) return process_role::parent;
  // From here on they are this process's alone, and programs that tasks run do not get them.
  os::set_close_on_exec(call->control, true);
  if (call->library >= 0) os::set_close_on_exec(call->library, true);
  if (call->folder >= 0) {
    os::enter_folder(call->folder);
    os::close_fd(call->folder);
  }
  if (call->restore) os::restore_loader_variables(kept_variable);
  control_socket.store(call->control);
  return process_role::fork_server;
}

void in_forked_child() {
  if (std::exchange(own_fork_under_way, false)) return;
  os::close_private_fds({});
  if (current_role() != process_role::parent) {
    set_role(process_role::forked_copy);
    return;
  }
  // A program like the one that it is a copy of: a daemon, say. What that one has is not its own.
  // relaxed: there is one thread
  procpool::detail::parent_number.fetch_add(1, std::memory_order_relaxed);
  forget_other_threads();
}

}  // namespace

process_role detail::find_role() noexcept {
  const process_role found = find_out();
  set_role(found);
  return found;
}

void set_role(process_role new_role) noexcept {
  // release: for a thread that finds it set; relaxed: see this_parent_number
  detail::role.store(static_cast<int>(new_role), std::memory_order_release);
  if (new_role != process_role::parent) {
    procpool::detail::parent_number.store(0, std::memory_order_relaxed);
  }
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
