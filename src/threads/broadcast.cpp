// The rendezvous of a pool's threads, so that their calls of a broadcast begin together.
//
// The last task that arrives releases all of them. The broadcast is aborted when a thread can never
// arrive:
//
//   * the pool breaks, or a shutdown cancels the tasks that have not begun
//   * a task of the pool waits for all other threads to end: shutdown()
//   * all threads that have not arrived wait for tasks which only arrived threads could run
#include <stdexcept>
#include <utility>

#include "procpool/errors.hpp"
#include "threads/thread_pool.hpp"

namespace procpool::detail {

// Starts no task: the caller queues the tasks, and is not a thread of the pool.
std::shared_ptr<thread_rendezvous> thread_pool::open_rendezvous() {
  auto r = std::make_shared<thread_rendezvous>(*this, static_cast<std::size_t>(max_workers_));
  const base::lock_guard lock(mutex_);
  check_open();
  while (alive_ < r->places) start_thread();
  rendezvous_ = r.get();
  return r;
}

void thread_pool::arrive_and_wait(thread_rendezvous& r) {
  base::unique_lock lock(mutex_);
  if (!r.is_over()) {
    ++r.arrived;
    if (r.is_over()) {
      rendezvous_ = nullptr;
      rendezvous_cv_.notify_all();
    } else if (deadlocked()) {
      abort_stuck();
    }
    rendezvous_cv_.wait(lock, [&r] { return r.is_over(); });
  }
  if (r.abort_reason) throw std::runtime_error("this broadcast was aborted");
}

void thread_pool::await_all(thread_rendezvous& r) {
  base::unique_lock lock(mutex_);
  rendezvous_cv_.wait(lock, [&r] { return r.is_over(); });
  if (r.abort_reason) std::rethrow_exception(r.abort_reason);
}

void thread_pool::abort_if_open(thread_rendezvous& r) noexcept {
  const base::lock_guard lock(mutex_);
  if (rendezvous_ == &r) abort(std::make_exception_ptr(cancelled_error()));
}

void thread_pool::abort(std::exception_ptr why) noexcept {
  if (rendezvous_ == nullptr) return;
  std::exchange(rendezvous_, nullptr)->abort_reason = std::move(why);
  rendezvous_cv_.notify_all();
}

void thread_pool::abort_stuck() noexcept {
  abort(std::make_exception_ptr(nested_use_error(
      "this broadcast waits for threads whose tasks wait for other tasks of the same pool, which "
      "none is left to run: use another pool for one of both")));
}

namespace {

thread_pool& use_from_outside(const thread_pool_ptr& pool) {
  thread_pool& p = use(pool);
  if (p.has_this_thread()) {
    throw nested_use_error(
        "a broadcast waits for every thread of this pool, and this is one of them: call it outside "
        "of the pool's tasks");
  }
  return p;
}

}  // namespace

thread_broadcast::thread_broadcast(const thread_pool_ptr& pool)
    : pool_(use_from_outside(pool)),
      turn_(pool_.broadcasting()),
      rendezvous_(pool_.open_rendezvous()) {}
thread_broadcast::~thread_broadcast() { pool_.abort_if_open(*rendezvous_); }

std::size_t thread_broadcast::places() const noexcept { return rendezvous_->places; }
void thread_broadcast::await_all() { pool_.await_all(*rendezvous_); }

void arrive_and_wait(const thread_broadcast::rendezvous_ptr& point) {
  point->pool.arrive_and_wait(*point);
}

}  // namespace procpool::detail
