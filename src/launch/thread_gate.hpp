// The gate between this library's own threads and start_method::fork. A process may only be forked
// while nobody else holds a lock that the copy would need (malloc's, the loader's, a stream's). The
// user's threads cannot be known, so fork refuses when there are any; our own threads stand at this
// gate, holding nothing, while the fork happens.
#pragma once

#include <chrono>

namespace procpool::launch {

// First object of each thread that the library starts. Waits while a fork is under way.
class own_thread {
 public:
  own_thread();
  ~own_thread();
  own_thread(const own_thread&) = delete;
  own_thread& operator=(const own_thread&) = delete;
};

// In a process that was forked from one with such threads: only the calling one is left.
void forget_other_threads() noexcept;

// True on such a thread.
bool on_own_thread() noexcept;

// Around what an own thread waits for: a system call that holds no lock and allocates nothing. A
// fork may happen meanwhile; the destructor waits until it is over.
class blocking_scope {
 public:
  blocking_scope();
  ~blocking_scope();
  blocking_scope(const blocking_scope&) = delete;
  blocking_scope& operator=(const blocking_scope&) = delete;
};

// Held by the thread that forks: all own threads are in a blocking_scope, and no other threads
// exist.
class exclusive_gate {
 public:
  // Throws unsafe_fork_error when other threads run, an own thread that runs code of the user among
  // them; one that has just been joined is waited for. Bounded.
  exclusive_gate();
  ~exclusive_gate();
  exclusive_gate(const exclusive_gate&) = delete;
  exclusive_gate& operator=(const exclusive_gate&) = delete;
};

}  // namespace procpool::launch
