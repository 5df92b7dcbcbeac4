// Waiting for the next of many tasks, of any executors, at a constant cost for each: what
// as_completed, wait and completion_queue are made of.
//
// add() and next() may be called from any threads. A task_state must outlive its membership: it
// leaves the set when next() has named it, or with the set.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "procpool/detail/task/task_state.hpp"

namespace procpool::detail {

class PROCPOOL_EXPORT completion_set {
 public:
  completion_set();
  ~completion_set();
  completion_set(completion_set&&) noexcept;
  completion_set& operator=(completion_set&&) noexcept;

  // `tag` comes back from next(). A task that is done already is next at once.
  void add(task_state& state, std::uint64_t tag);
  // Tasks added and not yet named by next().
  std::size_t outstanding() const;
  // The tag of a task that is done, in order of completion; blocks until there is one. Empty once
  // the deadline has passed, or as soon as nothing is outstanding.
  std::optional<std::uint64_t> next(const time_point* deadline);
  // The same without blocking: empty if none is done.
  std::optional<std::uint64_t> try_next();
  // A descriptor that is readable as long as a task is done that next() has not named; made by the
  // first call. Throws std::system_error.
  int descriptor();

 private:
  struct members;
  std::unique_ptr<members> members_;
};

}  // namespace procpool::detail
