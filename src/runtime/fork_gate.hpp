// The gate between this library's own threads and start_method::fork. A process may only be forked
// while nobody else holds a lock that the copy would need (malloc's, the loader's, a stream's). The
// user's threads cannot be known, so fork refuses when there are any; our own threads stand at this
// gate, holding nothing, while the fork happens.
#pragma once

#include <chrono>

namespace procpool::runtime {

// First object of each thread that the library starts. Waits while a fork is under way.
class library_thread {
 public:
  library_thread();
  ~library_thread();
  library_thread(const library_thread&) = delete;
  library_thread& operator=(const library_thread&) = delete;
};

// In a process that was forked from one with such threads: only the calling one is left.
void forget_other_threads() noexcept;

// True on such a thread.
bool on_library_thread() noexcept;

// Around what an own thread waits for: a system call that holds no lock and allocates nothing. A
// fork may happen meanwhile; the destructor waits until it is over.
class fork_safe_scope {
 public:
  fork_safe_scope();
  ~fork_safe_scope();
  fork_safe_scope(const fork_safe_scope&) = delete;
  fork_safe_scope& operator=(const fork_safe_scope&) = delete;
};

// Held by the thread that forks: all own threads are in a fork_safe_scope, and no other threads
// exist.
class fork_guard {
 public:
  // Throws unsafe_fork_error when other threads run, an own thread that runs code of the user among
  // them; one that has just been joined is waited for. Bounded.
  fork_guard();
  ~fork_guard();
  fork_guard(const fork_guard&) = delete;
  fork_guard& operator=(const fork_guard&) = delete;
};

}  // namespace procpool::runtime
