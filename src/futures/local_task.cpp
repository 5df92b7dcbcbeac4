#include "procpool/detail/task/local_task.hpp"

#include <algorithm>
#include <limits>
#include <mutex>

#include "futures/completion_hub.hpp"
#include "futures/unobserved_error.hpp"
#include "os/futex.hpp"
#include "procpool/errors.hpp"
#include "runtime/blocking_guard.hpp"

namespace procpool::detail {
namespace {

using namespace std::chrono_literals;
using futures::completion_hub;

// The word: the task_status in the low byte, and flags for a thread that waits on the word and for
// listeners.
constexpr std::uint32_t status_mask = 0xff, waiter_flag = 0x100, listener_flag = 0x200;

constexpr task_status status_of(std::uint32_t word) {
  return static_cast<task_status>(word & status_mask);
}
constexpr std::uint32_t bits(task_status s) { return static_cast<std::uint32_t>(s); }
constexpr bool is_resolved(std::uint32_t word) { return status_of(word) >= task_status::cancelled; }

class awaited_task final : public runtime::awaited {
 public:
  explicit awaited_task(const local_task& task) : task_(task) {}
  bool depends_on(thread_group_id group) const noexcept override { return task_.waits_for(group); }

 private:
  const local_task& task_;
};

// The source of tasks that run in this process: their threads tell the hub, and there is nothing to
// drain. So all members are those of the base class.
class this_process final : public completion_source {
 public:
  static this_process& instance() {
    static this_process* const s = new this_process;
    return *s;
  }
};

}  // namespace

local_task::~local_task() = default;

task_status local_task::status() const {
  check_home(home());
  return status_of(word_.load(std::memory_order_acquire));
}

bool local_task::begin() noexcept {
  std::uint32_t word = word_.load(std::memory_order_relaxed);
  do {
    if (status_of(word) != task_status::pending) return false;
    // acquire: the packed function and arguments
  } while (!word_.compare_exchange_weak(word, word | bits(task_status::running),
                                        std::memory_order_acquire));
  return true;
}

void local_task::drop_if_unwanted() noexcept {
  // acquire: the last owner does not use it any more
  if (owners_.load(std::memory_order_acquire) == 0) drop_outcome();
}

bool local_task::waits_for(thread_group_id group) const noexcept {
  return group_ == group && !is_resolved(word_.load(std::memory_order_acquire));
}

void local_task::give_up() noexcept { word_.fetch_and(~bits(task_status::running)); }

void local_task::finish() noexcept {
  // release: the outcome before the word; acquire: the listeners
  notify(word_.exchange(bits(task_status::finished), std::memory_order_acq_rel));
}

void local_task::finish_under_hub() noexcept {
  // release and acquire: as in finish()
  const std::uint32_t word = word_.exchange(bits(task_status::finished), std::memory_order_acq_rel);
  if ((word & waiter_flag) != 0) os::futex_wake(word_, std::numeric_limits<int>::max());
  listeners_.deliver();
  completion_hub& hub = completion_hub::instance();
  base::assert_held(hub.mutex());
  hub.ring();
}

void local_task::end_rings_hub() noexcept {
  // relaxed: no other thread knows the task yet
  word_.fetch_or(listener_flag, std::memory_order_relaxed);
}

bool local_task::failed() const noexcept {
  // acquire: the error before the word
  return status_of(word_.load(std::memory_order_acquire)) == task_status::cancelled ||
         error_ != nullptr;
}

bool local_task::fail(std::exception_ptr e) noexcept {
  if (!begin()) return false;
  set_error(std::move(e));
  finish();
  return true;
}

// `word` is the last value before the task was resolved: its flags tell whether threads or
// listeners wait. A thread that asks later finds the task resolved.
void local_task::notify(std::uint32_t word) noexcept {
  if ((word & waiter_flag) != 0) os::futex_wake(word_, std::numeric_limits<int>::max());
  // In a copy of the process there are no listeners, and the mutex may be held for ever.
  if ((word & listener_flag) == 0 || !home().is_here()) return;
  completion_hub& hub = completion_hub::instance();
  const base::lock_guard lock(hub.mutex());
  listeners_.deliver();
  hub.ring();
}

bool local_task::cancel(bool) {
  check_home(home());
  std::uint32_t word = word_.load(std::memory_order_acquire);
  do {
    // A running thread cannot be stopped.
    if (status_of(word) != task_status::pending) return status_of(word) == task_status::cancelled;
  } while (!word_.compare_exchange_weak(word, bits(task_status::cancelled),
                                        std::memory_order_acq_rel, std::memory_order_acquire));
  drop_call();
  notify(word);
  return true;
}

bool local_task::wait_until(const time_point* deadline) {
  check_home(home());
  std::uint32_t word = word_.load(std::memory_order_acquire);
  if (is_resolved(word)) return true;
  const awaited_task what(*this);
  const runtime::waiting_scope not_the_last(what, deadline == nullptr);
  for (;;) {
    while (!is_resolved(word) && (word & waiter_flag) == 0 &&
           !word_.compare_exchange_weak(word, word | waiter_flag, std::memory_order_acquire)) {
    }
    if (is_resolved(word)) return true;
    const std::chrono::nanoseconds left = futures::time_until(deadline, futures::longest_sleep);
    if (left == 0ns) return false;
    os::futex_wait(word_, word | waiter_flag, left);
    word = word_.load(std::memory_order_acquire);
  }
}

outcome_view local_task::wait_and_pin() {
  wait_until(nullptr);
  return pin();
}

outcome_view local_task::pin() {
  if (status_of(word_.load(std::memory_order_acquire)) == task_status::cancelled) {
    return {std::make_exception_ptr(cancelled_error())};
  }
  if (error_) return {error_};
  return value();
}

void local_task::pin_items(std::vector<outcome_run>& out) {
  if (outcome_view o = pin(); o.error) {
    out.push_back({std::move(o), item_count()});
  } else {
    items(out);
  }
}

void local_task::items(std::vector<outcome_run>& out) { out.push_back({value(), 1}); }

void local_task::name_source(subscription& s) const {
  s.source = &this_process::instance();
  s.group = group_;
}

void local_task::subscribe(subscription& s) {
  check_home(home());
  name_source(s);
  listeners_.add(s);
  // seq_cst is not needed: one word has both the status and the flag
  if (is_resolved(word_.fetch_or(listener_flag, std::memory_order_acq_rel))) {
    listeners_.deliver();
  }
}

void local_task::unsubscribe(subscription& s) noexcept { listeners_.remove(s); }

void local_task::retain() noexcept { owners_.fetch_add(1, std::memory_order_relaxed); }

void local_task::release() noexcept {
  if (owners_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  // Otherwise the thread that runs or sets the task is still writing the outcome, and will drop it.
  if (is_resolved(word_.load(std::memory_order_acquire))) drop_outcome();
  release_object();
}

void local_task::retain_object() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }

void local_task::release_object() noexcept {
  if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
}

void local_task::report(std::exception_ptr e) noexcept {
  futures::report_unobserved(on_error_ ? *on_error_ : nullptr, std::move(e));
}

}  // namespace procpool::detail
