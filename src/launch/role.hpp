// What this process is: the user's program, a fork server, a worker, or a process that a task
// forked. Known before any constructor of the program runs, because static
// executors ask. Any thread.
#pragma once

#include <atomic>

namespace procpool::launch {

enum class process_role {
  parent,       // the user's program: may have pools
  fork_server,  // between start and the first worker
  worker,
  forked_copy,  // a process that a task forked: it can have no pools. One that the program itself
                // forked is a parent, of pools of its own (procpool/detail/home_process.hpp)
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
// By an environment variable "PROCPOOL_SERVER=<control>.<pid>.<folder>.<library>.<restore>", which
// names the process it is meant for, so that it means nothing to other programs; it is taken out of
// the environment when it is first read. The numbers are, in this order:
//
//   control  descriptor of the socket
//   pid      of the process that is meant
//   folder   descriptor of the working directory to change to, or 0: the process was started where
//            its program was, so that the loader finds what has a relative name
//   library  descriptor of the library that was preloaded, or 0: as long as it is open, the
//   loader's
//            name for that library (/proc/self/fd/...) means something
//   restore  1: the loader's variables (LD_LIBRARY_PATH and the like) are those of the program's
//            start; those that the program has now have `kept_variable` before their names
inline constexpr char server_variable[] = "PROCPOOL_SERVER=";
inline constexpr char kept_variable[] = "PROCPOOL_KEPT_";

// The control socket of a process that was executed as a server; -1 in all others.
int inherited_control_socket() noexcept;

// --- the hook around main ------------------------------------------------------------------------

// Something runs before main() and turns an executed server into one: the hook of src/main, or
// procpool::init(). Only then may this program be executed again.
void note_hook() noexcept;
bool has_hook() noexcept;

// --- forks
// -----------------------------------------------------------------------------------------

// Makes forked processes close our descriptors and know that what they have inherited is not their
// own. Once is enough; more is harmless.
void install_fork_handlers() noexcept;

// Forks of our own, which do neither. For the thread that forks.
class own_fork {
 public:
  own_fork() noexcept;
  ~own_fork();
  own_fork(const own_fork&) = delete;
  own_fork& operator=(const own_fork&) = delete;
};

}  // namespace procpool::launch
