// Waiting for the next of many tasks, of any executors, at a constant cost for each: the base of
// as_completed, wait and completion_queue.
//
// Any threads may call add() and next(). A task_state must outlive its membership: it leaves the
// set when next() has returned its tag, or with the set.
#pragma once

#include <cstdint>
#include <optional>

#include "procpool/detail/std/memory.hpp"
#include "procpool/detail/task/task_state.hpp"

namespace procpool::detail {

class PROCPOOL_EXPORT completion_set {
 public:
  completion_set();
  ~completion_set();
  completion_set(completion_set&&) noexcept;
  completion_set& operator=(completion_set&&) noexcept;

  // next() returns `tag`. A task that is already done is available at once.
  void add(task_state& state, std::uint64_t tag);
  // The number of tasks that were added and not yet returned by next().
  std::size_t outstanding() const;
  // The tag of a task that is done, in order of completion; blocks until a task is done. Returns an
  // empty optional once the deadline has passed, or as soon as no task is outstanding.
  std::optional<std::uint64_t> next(const time_point* deadline);
  // As next(), without blocking: empty if no task is done.
  std::optional<std::uint64_t> try_next();
  // A descriptor that is readable while a task is done that next() has not returned; made by the
  // first call. Throws std::system_error.
  int descriptor();

 private:
  struct members;
  std::unique_ptr<members> members_;
};

}  // namespace procpool::detail
