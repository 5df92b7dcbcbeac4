// Which items of a pipeline's run are under way and which are done; needs no types. Compiled.
//
//   reader:    add -> ............................ next -> (outcome)
//   callbacks:        under_way -> ... -> settle
//
// The reader's thread calls add, withdraw, next and cancel; any thread calls the rest.
#pragma once

#include <cstddef>
#include <exception>
#include <memory>
#include <optional>

#include "procpool/detail/executor/early_end.hpp"
#include "procpool/detail/task/task_state.hpp"

namespace procpool::detail {

// One item on its way through the stages. Belongs to its pipeline_tracker until it is settled.
struct pipeline_item {
  std::size_t index = 0;
  state_ptr task = nullptr;  // of its present stage; once settled without error, of the last
  std::exception_ptr error = nullptr;
  bool done = false;
};

class PROCPOOL_EXPORT pipeline_tracker {
 public:
  pipeline_tracker(bool ordered, early_end end);
  ~pipeline_tracker();
  pipeline_tracker(const pipeline_tracker&) = delete;
  pipeline_tracker& operator=(const pipeline_tracker&) = delete;

  pipeline_item& add(std::size_t index);
  // Removes the item that was added last, which did not get into its first stage.
  void withdraw() noexcept;
  // The number of items that were added, and neither withdrawn nor returned by next().
  std::size_t in_flight() const;
  // Blocks for the next item that is done: in order, or as they come. Returns an empty optional if
  // no item is in flight. Once the deadline has passed, cancels the run as end() does, and throws
  // timeout_error. Throws invalid_state_error on a thread of this library, which cannot wait for
  // callbacks.
  std::optional<pipeline_item> next(const time_point* deadline);
  // Cancels what has not started; kill_running: also running tasks. When it returns, no thread is
  // between enter() and leave().
  void cancel(bool kill_running) noexcept;
  // Cancels what has not started, and ends running tasks as the constructor's `end` says.
  void end() noexcept;

  // Called around each use of the stages' executors; enter() returns false once cancelled, and then
  // leave() is not called.
  bool enter() noexcept;
  void leave() noexcept;
  // The item is now in `task`, or (null) in no task any more.
  void under_way(pipeline_item& item, task_state* task);
  // The item is through all stages, or has failed. From here on it belongs to the reader.
  void settle(pipeline_item& item, std::exception_ptr error) noexcept;

 private:
  [[noreturn]] void give_up();

  struct members;
  std::unique_ptr<members> members_;
};

}  // namespace procpool::detail
