// The role of this process: the user's program, a fork server, a worker, or a process that a task
// forked. Each copy of procpool in a process keeps a role of its own. Known before any constructor
// of the program runs, because static executors ask for it. Any thread.
#pragma once

#include <atomic>
#include <string>

#include "base/component_export.hpp"

namespace procpool::runtime {

enum class process_role {
  parent,       // the user's program, or a process that it forked: may have pools of its own
  fork_server,  // from its start to the first worker
  worker,
  forked_copy,  // a process that a task forked: can have no pools
};

namespace detail {
inline constexpr int role_unknown = -1;
extern constinit std::atomic<int> role;  // initialised before the first constructor runs
process_role find_role() noexcept;
}  // namespace detail

inline process_role current_role() noexcept {
  const int known = detail::role.load(std::memory_order_acquire);
  // The first call comes from the hook, or from a constructor before it: there is one thread.
  if (known == detail::role_unknown) [[unlikely]]
    return detail::find_role();
  return static_cast<process_role>(known);
}
void set_role(process_role role) noexcept;

// --- how an executed server knows that it is one -------------------------------------------------
//
// By an environment variable "PROCPOOL_SERVER=<control>.<pid>.<folder>.<library>.<restore>.<copy>",
// which names the process that it is meant for, so that other programs ignore it. The fields:
//
//   control  descriptor of the socket
//   pid      of the process that the variable is meant for
//   folder   descriptor of the working directory to change to, or 0. Set if the process was started
//            in the program's initial directory, so that the loader finds relative names
//   library  descriptor of the preloaded library, or 0. While it is open, the loader's name for
//            that library (/proc/self/fd/...) is valid
//   restore  1: the loader's variables (LD_LIBRARY_PATH and the like) have their values from the
//            program's start; the present values have `kept_variable` before their names
//   copy     the file of the library whose copy of procpool becomes the server, up to the end;
//            empty: the program's own copy
//
// A process may have several copies of procpool, in the program and in its libraries. The first
// copy that reads the variable carries out <folder> and <restore>, and writes 0 there. When main
// would begin, the intended copy removes the variable from the environment; until then all copies
// see by it that this is a server, not the program.
inline constexpr char server_variable[] = "PROCPOOL_SERVER=";
inline constexpr char kept_variable[] = "PROCPOOL_KEPT_";

// The file of the library that contains this copy; empty if the program itself contains it.
std::string this_copy();

struct server_order {
  int control_socket = -1;  // -1: this is no executed server
  bool for_this_copy = false;
  bool for_missing_copy = false;  // the intended library is not in this process
};
// Reads the variable, and removes it unless it is for another copy. For hooks and procpool::init(),
// when main would begin.
server_order take_server_order() noexcept;

// --- the hook around main ------------------------------------------------------------------------

// Code runs before main() that makes an executed server act as one: the hook of src/main, or
// procpool::init(). Only then may this program be executed again.
void note_hook() noexcept;
bool has_hook() noexcept;

// --- forks ---------------------------------------------------------------------------------------

// Makes forked processes close the library's descriptors and treat inherited objects as another
// process's. Calling it more than once is harmless.
PROCPOOL_COMPONENT_EXPORT void install_fork_handlers() noexcept;

// The library's own forks, which do neither. For the forking thread.
class own_fork {
 public:
  own_fork() noexcept;
  ~own_fork();
  own_fork(const own_fork&) = delete;
  own_fork& operator=(const own_fork&) = delete;
};

}  // namespace procpool::runtime
