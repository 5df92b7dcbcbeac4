#include "threads/thread_pool.hpp"

#include <algorithm>
#include <exception>
#include <new>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "base/per_process.hpp"
#include "futures/future_errors.hpp"
#include "os/cpu_count.hpp"
#include "os/limits.hpp"
#include "os/thread_name.hpp"
#include "procpool/errors.hpp"
#include "procpool/outcome.hpp"
#include "runtime/at_exit.hpp"
#include "runtime/process_role.hpp"

namespace procpool::detail {
namespace {

constexpr int most_by_default = 32, more_than_cpus = 4;

struct registry {
  base::mutex mutex;
  std::vector<std::weak_ptr<thread_pool>> pools GUARDED_BY(mutex);
  int made GUARDED_BY(mutex) = 0;
};
constinit base::per_process<registry> registries;
registry& all_thread_pools() { return registries.get(); }

int checked_workers(const std::optional<int>& wanted) {
  if (wanted && *wanted < 1) {
    throw std::invalid_argument("max_workers must be at least 1, not " + std::to_string(*wanted));
  }
  return wanted.value_or(std::min(most_by_default, os::cpu_count() + more_than_cpus));
}

[[noreturn]] void throw_deadlock() {
  throw nested_use_error(
      "every thread of this pool waits for a task of the same pool, so that no thread is left to "
      "run one: return the future instead of waiting for it, or use another pool");
}

std::string name_or_number(const std::string& name) {
  if (!name.empty()) return name;
  registry& all = all_thread_pools();
  const base::lock_guard lock(all.mutex);
  return "threads-" + std::to_string(++all.made);
}

}  // namespace

thread_pool::thread_pool(thread_pool_options options)
    : options_(std::move(options)),
      max_workers_(checked_workers(options_.max_workers)),
      name_(name_or_number(options_.name)),
      on_error_(std::make_shared<std::function<void(std::exception_ptr)>>(options_.on_error)) {}

thread_pool::~thread_pool() = default;

void thread_pool::check_open() const {
  if (!broken_.empty()) throw broken_thread_pool(broken_);
  if (stopping_) throw_shut_down();
}

void thread_pool::commit(local_task* task) {
  const base::lock_guard lock(mutex_);
  check_open();
  if (!registered_) {
    registry& all = all_thread_pools();
    const base::lock_guard inner(all.mutex);
    std::erase_if(all.pools, [](const auto& p) { return p.expired(); });
    all.pools.push_back(weak_from_this());
    // Registered after the program's static objects were constructed, so that it runs before their
    // destructors.
    registered_ =
        runtime::finish_at_exit(runtime::finish_order::thread_pools, &thread_pool::finish_all);
  }
  // Done before the task is queued: if no thread can be started, nothing has changed.
  if (queued_ >= idle_ && alive_ < static_cast<std::size_t>(max_workers_)) {
    try {
      start_thread();
    } catch (const std::exception&) {
      if (alive_ == 0) throw;  // otherwise the task waits for an existing thread
    }
  }
  task->group_ = id();
  task->next_ = nullptr;
  (last_ == nullptr ? first_ : last_->next_) = task;
  last_ = task;
  ++queued_;
  ++submitted_;
  work_cv_.notify_one();
}

void thread_pool::start_thread() {
  const std::size_t index = workers_.size();
  workers_.reserve(index + 1);
  auto s = std::make_unique<worker>();
  try {
    s->thread = std::thread([self = shared_from_this(), index] { self->work(index); });
  } catch (const std::system_error& e) {
    throw std::system_error(e.code(), "procpool: " + os::thread_advice());
  }
  s->alive = true;
  workers_.push_back(std::move(s));
  ++alive_;
  ++idle_;  // until it takes the task for which it was started
}

void thread_pool::work(std::size_t index) {
  runtime::enter_group(*this);
  const std::string number = "_" + std::to_string(index);
  os::name_this_thread(name_.substr(0, os::longest_thread_name - number.size()) + number);
  if (!initialize(index)) return;
  base::unique_lock lock(mutex_);
  worker& own = *workers_[index];
  while (local_task* task = take(lock, own)) {
    lock.unlock();
    const bool begun = task->begin();
    if (begun) {
      task->run();
      task->drop_if_unwanted();  // code of the user, while the thread counts as busy
    }
    lock.lock();
    own.busy = false;
    own.tasks_done += begun ? 1U : 0U;
    ++idle_;
    lock.unlock();
    if (begun) task->finish();
    task->release_object();
    lock.lock();
  }
  lock.unlock();
  leave(index);
}

// The next task; null: there will be no more. The calling thread counts as idle before and after.
local_task* thread_pool::take(std::unique_lock<std::mutex>& lock, worker& own) {
  work_cv_.wait(lock, [this] {
    base::assert_held(mutex_);
    return first_ != nullptr || stopping_;
  });
  local_task* task = first_;
  if (task == nullptr) return nullptr;
  first_ = task->next_;
  if (first_ == nullptr) last_ = nullptr;
  --queued_;
  --idle_;
  own.busy = true;
  return task;
}

bool thread_pool::initialize(std::size_t index) noexcept {
  if (!options_.initializer) return true;
  try {
    options_.initializer();
    return true;
  } catch (...) {
    std::string why = "out of memory";  // short enough to need no memory
    try {
      why = "the initializer of this thread pool failed: " + describe(std::current_exception());
    } catch (const std::bad_alloc&) {
    }
    break_with(std::move(why));
  }
  leave(index);
  return false;
}

void thread_pool::break_with(std::string why) noexcept {
  std::exception_ptr error;
  try {
    error = std::make_exception_ptr(broken_thread_pool(why));
  } catch (const std::bad_alloc&) {
    error = std::current_exception();
  }
  local_task* lost = nullptr;
  {
    const base::lock_guard lock(mutex_);
    broken_ = std::move(why);
    stopping_ = true;
    lost = take_all();
    abort(error);
    work_cv_.notify_all();
  }
  while (lost != nullptr) {
    local_task* task = std::exchange(lost, lost->next_);
    task->fail(error);
    task->release_object();
  }
}

local_task* thread_pool::take_all() noexcept {
  queued_ = 0;
  last_ = nullptr;
  return std::exchange(first_, nullptr);
}

void thread_pool::leave(std::size_t index) noexcept {
  const base::lock_guard lock(mutex_);
  worker& own = *workers_[index];
  own.alive = false;
  --alive_;
  --idle_;
  // Otherwise shutdown() joins this thread, or has taken the handle to do so.
  if (abandoned_ && own.thread.joinable()) own.thread.detach();
  ended_cv_.notify_all();
}

void thread_pool::shutdown(const shutdown_options& o) {
  if (o.timeout) {
    throw std::invalid_argument(
        "shutdown_options::timeout needs processes: a thread that runs cannot be stopped");
  }
  local_task* dropped = nullptr;
  {
    const base::lock_guard lock(mutex_);
    stopping_ = true;
    if (o.cancel_futures) {
      dropped = take_all();
      abort(std::make_exception_ptr(cancelled_error()));
    } else if (o.wait && has_this_thread()) {
      abort(std::make_exception_ptr(shutdown_error(
          "a task of this pool shuts it down, and waits for the threads that wait for it in a "
          "broadcast: the broadcast was aborted")));
    }
    work_cv_.notify_all();
  }
  while (dropped != nullptr) {
    local_task* task = std::exchange(dropped, dropped->next_);
    task->cancel(false);
    task->release_object();
  }
  if (o.wait) wait_for_the_end();
}

// Waits for all threads except the calling thread and other threads that wait here.
void thread_pool::wait_for_the_end() {
  const std::size_t self = has_this_thread() ? 1 : 0;
  std::vector<std::thread> ended;
  {
    base::unique_lock lock(mutex_);
    closing_ += self;
    if (self != 0 && deadlocked()) {
      closing_ -= self;
      throw_deadlock();
    }
    ended_cv_.notify_all();
    ended_cv_.wait(lock, [&] {
      base::assert_held(mutex_);
      return alive_ <= self * closing_;
    });
    closing_ -= self;
    for (const auto& s : workers_) {
      if (!s->alive && s->thread.joinable()) ended.push_back(std::move(s->thread));
    }
  }
  for (std::thread& t : ended) t.join();
}

void thread_pool::abandon() noexcept {
  const base::lock_guard lock(mutex_);
  abandoned_ = true;
  stopping_ = true;
  for (const auto& s : workers_) {
    if (!s->alive && s->thread.joinable()) s->thread.detach();
  }
  work_cv_.notify_all();
}

pool_stats thread_pool::stats() const {
  const base::lock_guard lock(mutex_);
  pool_stats out;
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    const worker& s = *workers_[i];
    worker_stats w;
    w.index = static_cast<int>(i);
    w.tasks_done = s.tasks_done;
    w.state = !s.alive ? worker_state::ended : s.busy ? worker_state::busy : worker_state::idle;
    if (s.busy) ++out.running;
    out.workers.push_back(w);
  }
  for (const local_task* t = first_; t != nullptr; t = t->next_) {
    if (t->status() == task_status::pending) ++out.pending;
  }
  out.done = submitted_ - out.pending - out.running;
  return out;
}

void thread_pool::finish_all(bool cancel) noexcept {
  if (registries.existing() == nullptr) return;
  registry& all = all_thread_pools();
  for (;;) {
    std::shared_ptr<thread_pool> next;
    {
      const base::lock_guard lock(all.mutex);
      if (all.pools.empty()) return;
      next = all.pools.back().lock();
      all.pools.pop_back();
    }
    if (next == nullptr) continue;
    try {
      next->shutdown({.cancel_futures = cancel});
    } catch (...) {
      return;  // the threads end with the process
    }
  }
}

// --- threads that wait for their own pool --------------------------------------------------------

bool thread_pool::begin_waiting(runtime::waiting_scope& scope) {
  // In a copy of the process, made by a task of this pool, no other thread waits.
  if (!is_here()) return false;
  const base::lock_guard lock(mutex_);
  waiting_.add(scope);
  if (deadlocked()) abort_stuck();
  if (deadlocked()) {
    waiting_.remove(scope);
    throw_deadlock();
  }
  return true;
}

void thread_pool::end_waiting(runtime::waiting_scope& scope) noexcept {
  const base::lock_guard lock(mutex_);
  waiting_.remove(scope);
}

// A thread whose wait is over continues as soon as it wakes, so it counts as able to run tasks.
bool thread_pool::deadlocked() const noexcept {
  const std::size_t at_rendezvous = rendezvous_ != nullptr ? rendezvous_->arrived : 0;
  if (waiting_.count() == 0 || waiting_.count() + closing_ + at_rendezvous < alive_) return false;
  return waiting_.all_depend_on(id());
}

}  // namespace procpool::detail
