// What the executor's templates need of the compiled pool: pack a task, commit it, and the
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
class inline_pool;
class pool;
}  // namespace procpool::parent

namespace procpool::detail {

// Where packed tasks go: to worker processes, or, without a pool, to this thread.
struct task_target {
  parent::pool* pool = nullptr;
  parent::inline_pool* here = nullptr;
};

enum class run_in { workers, caller };

// Throws nested_use_error: an executor that this process has inherited, or that does nothing here.
[[noreturn]] void throw_unusable(bool inherited);

// The pool of an executor; empty in a process that is not its parent, where use() throws
// nested_use_error.
class PROCPOOL_EXPORT pool_ref {
 public:
  // Outside of the parent nothing is started. With PROCPOOL_INLINE=1 in the environment tasks run
  // in the caller, whatever is asked for.
  explicit pool_ref(pool_options options, run_in where = run_in::workers);
  ~pool_ref();  // shutdown(), unless one with wait = false came before; cancels while unwinding
  pool_ref(const pool_ref&) = delete;
  pool_ref& operator=(const pool_ref&) = delete;

  task_target use() const;
  int max_workers() const;
  void shutdown(const shutdown_options& options);
  void signal_workers(int signal);
  pool_stats stats() const;

 private:
  task_target target_;
  int uncaught_ = 0;                  // exceptions in flight when it was made
  std::atomic<bool> let_go_ = false;  // shutdown({.wait = false}) was called
};

// Keeps a pool alive beyond its executor, for code that will submit more. After the executor is
// gone, submitting throws shutdown_error.
class PROCPOOL_EXPORT pool_hold {
 public:
  explicit pool_hold(task_target to) noexcept;
  ~pool_hold();
  pool_hold(const pool_hold&) = delete;
  pool_hold& operator=(const pool_hold&) = delete;
  task_target get() const noexcept { return target_; }
  int max_workers() const noexcept;

 private:
  task_target target_;
};

// One task on its way in: write its payload here, then commit. One thread.
class PROCPOOL_EXPORT submission final : public wire_writer {
 public:
  explicit submission(task_target to);
  ~submission();  // gives back what was not committed

  // Drops the bytes written after `to`.
  void rewind(std::size_t to) { cur_ = begin_ + to; }

  // The task belongs to the workers from here on, or has run; without options it has the defaults.
  // Null if it would have to wait and may not.
  state_ptr commit(code_ref code, const task_options* options, std::uint32_t items, bool may_wait);

 private:
  static void grow(wire_writer& self, std::size_t need);
  static void note(wire_writer& self, const shared_object& object);
  void grow_here(std::size_t need);
  state_ptr run_here(code_ref code, const task_options* options, std::uint32_t items);

  parent::pool* pool_;  // null: it runs here
  parent::inline_pool* here_;
  std::vector<shared_object>* objects_ = nullptr;  // that the payload names; usually none
  std::uint64_t offset_ = 0, capacity_ = 0;
  std::uint32_t size_class_ = 0;
  static constexpr std::size_t inline_bytes = 80;
  alignas(16) std::byte buffer_[inline_bytes];
};

}  // namespace procpool::detail
