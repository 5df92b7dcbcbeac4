#include "runtime/process_role.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <limits>
#include <optional>
#include <utility>

#include "os/child_setup.hpp"
#include "os/environment.hpp"
#include "os/file.hpp"
#include "os/modules.hpp"
#include "os/private_fds.hpp"
#include "procpool/detail/task/home_process.hpp"
#include "runtime/fork_gate.hpp"

namespace procpool::runtime {

constinit std::atomic<int> detail::role{detail::role_unknown};

namespace {

// Initialised before the first constructor runs.
constinit std::atomic<bool> hook{false};
constinit std::atomic<bool> handlers_installed{false};
constinit thread_local bool own_fork_under_way = false;

struct server_call {
  int control = -1;
  int folder = -1;
  int library = -1;
  bool restore = false;
  const char* copy = "";
};

// Reads the next field, with its dot, as a descriptor; -1: there is none. `use_up` replaces the
// field by 0 in the variable.
int take_descriptor(char*& at, bool use_up) noexcept {
  if (*at != '.') return -1;
  char* const begin = at + 1;
  const long fd = std::strtol(begin, &at, 10);
  if (use_up) std::fill(begin, at, '0');
  return fd > 2 && fd <= std::numeric_limits<int>::max() ? static_cast<int>(fd) : -1;
}

// Empty if the variable is meant for another process.
std::optional<server_call> parse(char* text) noexcept {
  char* at = nullptr;
  server_call call;
  const long control = std::strtol(text, &at, 10);
  if (control <= 2 || control > std::numeric_limits<int>::max() || *at != '.') return std::nullopt;
  const long pid = std::strtol(at + 1, &at, 10);
  if (pid != os::this_process()) return std::nullopt;
  call.control = static_cast<int>(control);
  call.folder = take_descriptor(at, true);
  call.library = take_descriptor(at, false);
  if (at[0] != '.' || at[1] == '\0') return call;
  call.restore = std::exchange(at[1], '0') == '1';
  if (at[2] == '.') call.copy = at + 3;
  return call;
}

// Finds the variable that is meant for this process, which stays in the environment. Removes all
// other variables of that name, so that programs that this process starts do not inherit them.
std::optional<server_call> find_server_call() noexcept {
  while (char* text = os::find_variable(server_variable)) {
    if (!os::has_elevated_rights()) {
      if (const auto call = parse(text)) return call;
    }
    os::take_variable(server_variable);
  }
  return std::nullopt;
}

process_role find_out() noexcept {
  const std::optional<server_call> call = find_server_call();
  if (!call) return process_role::parent;
  // From here on only this process has these descriptors: programs that tasks start do not get
  // them.
  os::set_close_on_exec(call->control, true);
  if (call->library >= 0) os::set_close_on_exec(call->library, true);
  if (call->folder >= 0) {
    os::enter_folder(call->folder);
    os::close_fd(call->folder);
  }
  if (call->restore) os::restore_loader_variables(kept_variable);
  return process_role::fork_server;
}

void in_forked_child() {
  if (std::exchange(own_fork_under_way, false)) return;
  os::close_private_fds({});
  if (current_role() != process_role::parent) {
    set_role(process_role::forked_copy);
    return;
  }
  // A program like its parent: a daemon, for example. It does not own the parent's objects.
  // relaxed: the process has one thread
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

std::string this_copy() {
  const auto module = os::module_of(reinterpret_cast<const void*>(&this_copy));
  return !module || module->is_executable ? std::string() : module->path;
}

server_order take_server_order() noexcept {
  if (current_role() != process_role::fork_server) return {};
  const std::optional<server_call> call = find_server_call();
  if (!call) return {};
  server_order order;
  order.control_socket = call->control;
  order.for_this_copy = call->copy == this_copy();
  order.for_missing_copy = *call->copy != '\0' && !os::is_loaded(call->copy);
  if (order.for_this_copy || order.for_missing_copy) {
    while (os::take_variable(server_variable) != nullptr) {
    }
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

}  // namespace procpool::runtime
