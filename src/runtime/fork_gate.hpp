// The gate between this library's own threads and start_method::fork. A process may only be forked
// while no other thread holds a lock that the copy would need (malloc's, the loader's, a stream's).
// The library cannot know which locks the user's threads hold, so fork is refused when there are
// any such threads; the library's own threads stop at this gate, without any lock, while the fork
// happens.
#pragma once

#include <chrono>

namespace procpool::runtime {

// The first object of each thread that the library starts. Waits while a fork is under way.
class library_thread {
 public:
  library_thread();
  ~library_thread();
  library_thread(const library_thread&) = delete;
  library_thread& operator=(const library_thread&) = delete;
};

// Called in a process that was forked from a process with such threads: only the calling thread is
// left.
void forget_other_threads() noexcept;

// True on a thread that the library has started.
bool on_library_thread() noexcept;

// Encloses a system call in which a thread of the library waits, without a lock and without
// allocating memory. A fork may happen meanwhile; the destructor waits until it is over.
class fork_safe_scope {
 public:
  fork_safe_scope();
  ~fork_safe_scope();
  fork_safe_scope(const fork_safe_scope&) = delete;
  fork_safe_scope& operator=(const fork_safe_scope&) = delete;
};

// Held by the thread that forks: all threads of the library are in a fork_safe_scope, and no other
// threads exist.
class fork_guard {
 public:
  // Waits, for a bounded time, until the kernel has forgotten threads that were just joined. Throws
  // unsafe_fork_error if other threads run, or the library's callback thread runs code of the user.
  fork_guard();
  ~fork_guard();
  fork_guard(const fork_guard&) = delete;
  fork_guard& operator=(const fork_guard&) = delete;
};

}  // namespace procpool::runtime
