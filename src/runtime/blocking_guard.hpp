// Detects that a group of threads is about to wait for itself for ever.
//
// A thread pool is such a group: only its threads run its tasks. If all of them sleep until tasks
// of the same pool are done, no thread is left to run those tasks. Each thread therefore announces
// a sleep without an end by a waiting_scope, and the last thread that would sleep gets an error
// instead.
//
//   thread of the group   enter_group(pool), once
//   future, pipeline      waiting_scope scope(what);  ... sleep ...
//   thread_group          begin_waiting: all threads sleep, and what each waits for depends_on(the
//                         group)? Then it throws
//
// Futures know a group by its id alone, so neither they nor this file depend on thread pools.
#pragma once

#include <cstddef>

#include "procpool/detail/task/task_state.hpp"

namespace procpool::runtime {

using procpool::detail::thread_group_id;

// An event for which a thread may sleep without an end.
class awaited {
 public:
  // Whether only threads of this group can wake the sleeper. Under the group's mutex.
  virtual bool depends_on(thread_group_id group) const noexcept = 0;

 protected:
  ~awaited() = default;
};

class waiting_scope;

class thread_group {
 public:
  thread_group_id id() const noexcept { return this; }
  // Called when a thread of the group is about to sleep. Returns false if there is nothing to
  // guard; then end_waiting is not called. Throws nested_use_error if all threads would sleep for
  // events that depend on the group.
  virtual bool begin_waiting(waiting_scope& scope) = 0;
  virtual void end_waiting(waiting_scope& scope) noexcept = 0;

 protected:
  ~thread_group() = default;
};

// The calling thread belongs to the group from now on, and ends before the group does.
void enter_group(thread_group& group) noexcept;
// The group of the calling thread; null for threads of the program.
thread_group* current_group() noexcept;

// Encloses a sleep. Throws the errors of begin_waiting. With `for_ever` false the sleep has an end,
// and nothing is checked.
class waiting_scope {
 public:
  explicit waiting_scope(const awaited& what, bool for_ever = true);
  ~waiting_scope();
  waiting_scope(const waiting_scope&) = delete;
  waiting_scope& operator=(const waiting_scope&) = delete;

 private:
  friend class waiting_threads;

  thread_group* group_ = nullptr;  // null: nothing to guard
  const awaited& what_;
  waiting_scope* next_ = nullptr;
};

// The sleeping threads of one group, guarded by the group's mutex.
class waiting_threads {
 public:
  void add(waiting_scope& scope) noexcept;
  void remove(waiting_scope& scope) noexcept;
  std::size_t count() const noexcept { return count_; }
  bool all_depend_on(thread_group_id group) const noexcept;

 private:
  waiting_scope* first_ = nullptr;
  std::size_t count_ = 0;
};

}  // namespace procpool::runtime
