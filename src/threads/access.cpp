// The functions that the templates of thread_pool_executor call:
// procpool/detail/executor/thread_access.hpp.
#include <exception>
#include <memory>
#include <new>
#include <stdexcept>
#include <utility>

#include "futures/future_errors.hpp"
#include "runtime/process_role.hpp"
#include "threads/thread_pool.hpp"

namespace procpool::detail {
namespace {

void check(const task_options& o) {
  if (o.retries != 0) {
    throw std::invalid_argument(
        "task_options::retries needs processes: a crash in a thread ends the program; use a "
        "process_pool_executor");
  }
  if (o.time_limit) {
    throw std::invalid_argument(
        "task_options::time_limit needs processes: a thread cannot be ended; use a "
        "process_pool_executor");
  }
}

}  // namespace

thread_pool& use(const thread_pool_ptr& pool) {
  if (pool == nullptr || !pool->is_here()) throw_unusable(pool != nullptr);
  return *pool;
}

state_ptr commit(const thread_pool_ptr& pool, local_ptr task, const task_options* options) {
  if (options != nullptr) check(*options);
  task->retain_object();
  try {
    use(pool).commit(task.get());
  } catch (...) {
    task->release_object();
    throw;
  }
  return state_ptr(task.release());
}

const error_handler& on_error_of(const thread_pool_ptr& pool) { return use(pool).on_error(); }
int max_workers_of(const thread_pool_ptr& pool) { return use(pool).max_workers(); }

owned_thread_pool::owned_thread_pool(thread_pool_options options)
    : uncaught_(std::uncaught_exceptions()) {
  if (runtime::current_role() != runtime::process_role::parent) return;
  runtime::install_fork_handlers();
  pool_ = std::make_shared<thread_pool>(std::move(options));
}

owned_thread_pool::~owned_thread_pool() {
  if (pool_ == nullptr) return;
  if (!pool_->is_here()) {
    // A copy of the process has none of the threads: their handles cannot be joined there.
    [[maybe_unused]] const auto* kept = new (std::nothrow) thread_pool_ptr(std::move(pool_));
    return;
  }
  if (!released_) {
    try {
      pool_->shutdown({.cancel_futures = std::uncaught_exceptions() > uncaught_});
    } catch (...) {
      pool_->abandon();
    }
  }
  pool_->abandon();
}

void owned_thread_pool::shutdown(const shutdown_options& options) {
  released_ = !options.wait;
  use(pool_).shutdown(options);
}

pool_stats owned_thread_pool::stats() const { return use(pool_).stats(); }

}  // namespace procpool::detail
