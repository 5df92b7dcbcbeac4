// What the executor's templates need of the compiled pool: packing and committing a task, and the
// implementation of the executor's members. The pool itself is opaque here.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "procpool/detail/codec/wire_io.hpp"
#include "procpool/detail/task/code_ref.hpp"
#include "procpool/detail/task/task_state.hpp"
#include "procpool/options.hpp"
#include "procpool/stats.hpp"

namespace procpool::parent {
class pool;
class task_backend;
}  // namespace procpool::parent

namespace procpool::detail {

// Where packed tasks are submitted.
struct task_target {
  parent::task_backend* backend = nullptr;  // for all but the tasks
  parent::pool* pool = nullptr;  // the same, if it has workers; null: tasks run in their caller
};

enum class run_in { workers, caller };

// The pool of an executor; empty in a process that is not its parent, where use() throws
// nested_use_error.
class PROCPOOL_EXPORT owned_pool {
 public:
  // Outside of the parent nothing is started. With PROCPOOL_INLINE=1 in the environment tasks run
  // in the caller, whatever `where` is.
  explicit owned_pool(pool_options options, run_in where = run_in::workers);
  // The usual options, so that not each program makes an object of them.
  owned_pool();
  explicit owned_pool(int max_workers);
  // shutdown(), unless shutdown({.wait = false}) came before; during stack unwinding it cancels the
  // tasks that have not started.
  ~owned_pool();
  owned_pool(const owned_pool&) = delete;
  owned_pool& operator=(const owned_pool&) = delete;

  task_target use() const;
  int max_workers() const;
  void shutdown(const shutdown_options& options);
  void signal_workers(int signal);
  pool_stats stats() const;

 private:
  task_target target_;
  int uncaught_ = 0;                    // exceptions in flight at construction
  std::atomic<bool> released_ = false;  // shutdown({.wait = false}) was called
};

// Keeps a pool alive beyond its executor, for code that will submit more tasks. After the executor
// is destroyed, submitting throws shutdown_error.
class PROCPOOL_EXPORT pool_keepalive {
 public:
  explicit pool_keepalive(task_target to) noexcept;
  ~pool_keepalive();
  pool_keepalive(const pool_keepalive&) = delete;
  pool_keepalive& operator=(const pool_keepalive&) = delete;
  task_target get() const noexcept { return target_; }
  int max_workers() const noexcept;

 private:
  task_target target_;
};

// One task that is being submitted: write its payload here, then commit. For one thread.
class PROCPOOL_EXPORT submission final : public wire_writer {
 public:
  explicit submission(task_target to);
  ~submission();  // gives back the room of a payload that was not committed

  // Drops the bytes written after `to`.
  void rewind(std::size_t to) { cur_ = begin_ + to; }

  // From here on the task belongs to the workers, or has run; without options it has the defaults.
  // Returns null if it would have to wait and may not.
  state_ptr commit(code_ref code, const task_options* options, std::uint32_t items, bool may_wait);

 private:
  static void grow(wire_writer& self, std::size_t need);
  static void note(wire_writer& self, const shared_object& object);
  state_ptr run_here(code_ref code, const task_options* options, std::uint32_t items);

  task_target to_;
  std::vector<shared_object>* objects_ = nullptr;  // objects in the payload; usually none
  std::uint64_t offset_ = 0, capacity_ = 0;
  std::uint32_t size_class_ = 0;
  static constexpr std::size_t inline_bytes = 80;
  alignas(16) std::byte buffer_[inline_bytes];
};

}  // namespace procpool::detail
