// The threads of a pool meet, so that their calls of a broadcast begin together.
//
// The last one that comes lets all go. A meeting is called off when one thread can never come:
//
//   * the pool breaks, or a shutdown cancels the tasks that have not begun
//   * a task of the pool waits for all other threads to end: shutdown()
//   * all threads that are not here wait for tasks that only those that are here could run
#include <stdexcept>
#include <utility>

#include "procpool/errors.hpp"
#include "threads/thread_pool.hpp"

namespace procpool::detail {

// Starts no task: those are queued by the caller, who cannot be one of the threads.
std::shared_ptr<thread_rendezvous> thread_pool::open_rendezvous() {
  auto m = std::make_shared<thread_rendezvous>(*this, static_cast<std::size_t>(max_workers_));
  const std::lock_guard lock(mutex_);
  check_open();
  while (alive_ < m->places) start_thread();
  rendezvous_ = m.get();
  return m;
}

void thread_pool::arrive_and_wait(thread_rendezvous& m) {
  std::unique_lock lock(mutex_);
  if (!m.is_over()) {
    ++m.here;
    if (m.is_over()) {
      rendezvous_ = nullptr;
      rendezvous_cv_.notify_all();
    } else if (deadlocked()) {
      abort_stuck();
    }
    rendezvous_cv_.wait(lock, [&m] { return m.is_over(); });
  }
  if (m.abort_reason) throw std::runtime_error("this broadcast was aborted");
}

void thread_pool::await_all(thread_rendezvous& m) {
  std::unique_lock lock(mutex_);
  rendezvous_cv_.wait(lock, [&m] { return m.is_over(); });
  if (m.abort_reason) std::rethrow_exception(m.abort_reason);
}

void thread_pool::abort_if_open(thread_rendezvous& m) noexcept {
  const std::lock_guard lock(mutex_);
  if (rendezvous_ == &m) abort(std::make_exception_ptr(cancelled_error()));
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
    : pool_(use_from_outside(pool)), turn_(pool_.broadcasting()), point_(pool_.open_rendezvous()) {}
thread_broadcast::~thread_broadcast() { pool_.abort_if_open(*point_); }

std::size_t thread_broadcast::places() const noexcept { return point_->places; }
void thread_broadcast::await_all() { pool_.await_all(*point_); }

void arrive_and_wait(const thread_broadcast::rendezvous_ptr& point) {
  point->pool.arrive_and_wait(*point);
}

}  // namespace procpool::detail
