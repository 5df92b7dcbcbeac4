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

namespace procpool::parent {

// Starts no task: those are queued by the caller, who cannot be one of the threads.
std::shared_ptr<thread_meeting> thread_pool::call_meeting() {
  auto m = std::make_shared<thread_meeting>(*this, static_cast<std::size_t>(max_workers_));
  const std::lock_guard lock(mutex_);
  check_open();
  while (alive_ < m->places) start_thread();
  gathering_ = m.get();
  return m;
}

void thread_pool::come_to(thread_meeting& m) {
  std::unique_lock lock(mutex_);
  if (!m.is_over()) {
    ++m.here;
    if (m.is_over()) {
      gathering_ = nullptr;
      meeting_cv_.notify_all();
    } else if (deadlocked()) {
      call_off_stuck();
    }
    meeting_cv_.wait(lock, [&m] { return m.is_over(); });
  }
  if (m.called_off) throw std::runtime_error("this broadcast was aborted");
}

void thread_pool::hold(thread_meeting& m) {
  std::unique_lock lock(mutex_);
  meeting_cv_.wait(lock, [&m] { return m.is_over(); });
  if (m.called_off) std::rethrow_exception(m.called_off);
}

void thread_pool::end_meeting(thread_meeting& m) noexcept {
  const std::lock_guard lock(mutex_);
  if (gathering_ == &m) call_off(std::make_exception_ptr(cancelled_error()));
}

void thread_pool::call_off(std::exception_ptr why) noexcept {
  if (gathering_ == nullptr) return;
  std::exchange(gathering_, nullptr)->called_off = std::move(why);
  meeting_cv_.notify_all();
}

void thread_pool::call_off_stuck() noexcept {
  call_off(std::make_exception_ptr(nested_use_error(
      "this broadcast waits for threads whose tasks wait for other tasks of the same pool, which "
      "none is left to run: use another pool for one of both")));
}

}  // namespace procpool::parent

namespace procpool::detail {
namespace {

parent::thread_pool& use_from_outside(const thread_hold& pool) {
  parent::thread_pool& p = use(pool);
  if (p.has_this_thread()) {
    throw nested_use_error(
        "a broadcast waits for every thread of this pool, and this is one of them: call it outside "
        "of the pool's tasks");
  }
  return p;
}

}  // namespace

thread_broadcast::thread_broadcast(const thread_hold& pool)
    : pool_(use_from_outside(pool)), turn_(pool_.broadcasting()), point_(pool_.call_meeting()) {}
thread_broadcast::~thread_broadcast() { pool_.end_meeting(*point_); }

std::size_t thread_broadcast::places() const noexcept { return point_->places; }
void thread_broadcast::hold() { pool_.hold(*point_); }

void wait_at_meeting(const thread_broadcast::meeting_point& point) { point->pool.come_to(*point); }

}  // namespace procpool::detail
