// What this process is: the user's program, a fork server, a worker, or a process that a task
// forked. Each copy of procpool in a process keeps a role of its own. Known before any constructor
// of the program runs, because static executors ask. Any thread.
#pragma once

#include <atomic>
#include <string>

#include "base/component_export.hpp"

namespace procpool::runtime {

enum class process_role {
  parent,       // the user's program: may have pools
  fork_server,  // between start and the first worker
  worker,
  forked_copy,  // a process that a task forked: it can have no pools. One that the program itself
                // forked is a parent, of pools of its own (procpool/detail/task/home_process.hpp)
};

namespace detail {
inline constexpr int role_unknown = -1;
extern constinit std::atomic<int> role;  // ready before the first constructor runs
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
// By an environment variable
// "PROCPOOL_SERVER=<control>.<pid>.<folder>.<library>.<restore>.<copy>", which names the process it
// is meant for, so that it means nothing to other programs. In this order:
//
//   control  descriptor of the socket
//   pid      of the process that is meant
//   folder   descriptor of the working directory to change to, or 0: the process was started where
//            its program was, so that the loader finds what has a relative name
//   library  descriptor of the library that was preloaded, or 0: as long as it is open, the
//            loader's name for that library (/proc/self/fd/...) means something
//   restore  1: the loader's variables (LD_LIBRARY_PATH and the like) are those of the program's
//            start; those that the program has now have `kept_variable` before their names
//   copy     the file of the library whose copy of procpool is to be the server, to the end;
//            nothing: the copy of the program itself
//
// A process may have several copies of procpool, in the program and in its libraries. The first one
// that reads the variable does what <folder> and <restore> say, and writes 0 there. When main would
// begin, the copy that is meant takes the variable out of the environment; until then all copies
// see by it that this is a server, not the program.
inline constexpr char server_variable[] = "PROCPOOL_SERVER=";
inline constexpr char kept_variable[] = "PROCPOOL_KEPT_";

// The file of the library that this copy is in; empty if that is the program itself.
std::string this_copy();

struct server_order {
  int control_socket = -1;  // -1: this is no executed server
  bool for_this_copy = false;
  bool for_missing_copy = false;  // the library that is meant is not in this process
};
// What the variable says, which is gone afterwards unless it is for another copy. For hooks and
// procpool::init(), when main would begin.
server_order take_server_order() noexcept;

// --- the hook around main ------------------------------------------------------------------------

// Something runs before main() and turns an executed server into one: the hook of src/main, or
// procpool::init(). Only then may this program be executed again.
void note_hook() noexcept;
bool has_hook() noexcept;

// --- forks
// -----------------------------------------------------------------------------------------

// Makes forked processes close our descriptors and know that what they have inherited is not their
// own. Once is enough; more is harmless.
PROCPOOL_COMPONENT_EXPORT void install_fork_handlers() noexcept;

// Forks of our own, which do neither. For the thread that forks.
class own_fork {
 public:
  own_fork() noexcept;
  ~own_fork();
  own_fork(const own_fork&) = delete;
  own_fork& operator=(const own_fork&) = delete;
};

}  // namespace procpool::runtime
