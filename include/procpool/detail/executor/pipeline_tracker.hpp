// Which items of a pipeline's run are under way and which are done: what needs no types. Compiled.
//
//   reader:    add -> ............................ next -> (outcome)
//   callbacks:        under_way -> ... -> settle
//
// add, withdraw, next and cancel belong to the reader's thread, the rest to any.
#pragma once

#include <cstddef>
#include <exception>
#include <memory>
#include <optional>

#include "procpool/detail/task/task_state.hpp"

namespace procpool::detail {

// One item on its way through the stages. Belongs to its pipeline_tracker until it is settled.
struct pipeline_item {
  std::size_t index = 0;
  state_ptr task = nullptr;  // of the stage that it is in; once settled without error, of the last
  std::exception_ptr error = nullptr;
  bool done = false;
};

class PROCPOOL_EXPORT pipeline_tracker {
 public:
  explicit pipeline_tracker(bool ordered);
  ~pipeline_tracker();
  pipeline_tracker(const pipeline_tracker&) = delete;
  pipeline_tracker& operator=(const pipeline_tracker&) = delete;

  pipeline_item& add(std::size_t index);
  // The last one added, which did not get into its first stage.
  void withdraw() noexcept;
  // Added, and neither withdrawn nor named by next().
  std::size_t in_flight() const;
  // Blocks for the next one that is done: in order, or as they come. Empty if none is in flight.
  // Throws timeout_error once the deadline has passed, and invalid_state_error on a thread of this
  // library, which cannot wait for callbacks.
  std::optional<pipeline_item> next(const time_point* deadline);
  // Cancels what has not started; kill_running: also running tasks. When it returns no thread is
  // between enter() and leave().
  void cancel(bool kill_running) noexcept;

  // Around what uses the stages' executors; false once cancelled, and then there is no leave().
  bool enter() noexcept;
  void leave() noexcept;
  // The item is a task now, or (null) no task any more.
  void under_way(pipeline_item& item, task_state* task);
  // It is through, or failed. From here on it belongs to the reader.
  void settle(pipeline_item& item, std::exception_ptr error) noexcept;

 private:
  struct members;
  std::unique_ptr<members> members_;
};

}  // namespace procpool::detail
