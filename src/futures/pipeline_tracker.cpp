#include "procpool/detail/executor/pipeline_tracker.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <iterator>
#include <list>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "base/guarded.hpp"
#include "futures/completion_hub.hpp"
#include "procpool/detail/executor/early_end.hpp"
#include "procpool/detail/task/local_task.hpp"
#include "procpool/errors.hpp"
#include "runtime/blocking_guard.hpp"
#include "runtime/fork_gate.hpp"

namespace procpool::detail {

namespace {

struct node : pipeline_item {
  std::list<node>::iterator self;
};

}  // namespace

struct pipeline_tracker::members final : runtime::awaited {
  members(bool o, early_end e) : ordered(o), end(e) {}

  // Moves the next item that is done to the end of `taken`.
  bool take(std::list<node>& taken) REQUIRES(mutex) {
    std::list<node>& from = ordered ? flying : settled;
    if (from.empty() || !from.front().done) return false;
    taken.splice(taken.end(), from, from.begin());
    return true;
  }
  bool depends_on(thread_group_id group) const noexcept override {
    const auto stuck = [group](const pipeline_item& item) {
      const auto* const task = dynamic_cast<const local_task*>(item.task.get());
      return task != nullptr && task->waits_for(group);
    };
    const base::lock_guard lock(mutex);
    if (!settled.empty() || flying.empty()) return false;
    return ordered ? stuck(flying.front()) : std::ranges::all_of(flying, stuck);
  }

  // Tasks that could not be cancelled, when `cancelled` is set: no further task begins then.
  std::vector<std::pair<state_ptr, std::size_t>> begun_tasks() REQUIRES(mutex) {
    std::vector<std::pair<state_ptr, std::size_t>> tasks;
    tasks.reserve(flying.size());
    for (node& item : flying) {
      if (!item.task || item.done || item.task->cancel(false)) continue;
      item.task->retain();
      tasks.emplace_back(state_ptr(item.task.get()), item.index);
    }
    return tasks;
  }

  const bool ordered;
  const early_end end;
  mutable base::mutex mutex;
  std::condition_variable changed;
  // In the order of the input; settled items leave `flying` if that order does not matter.
  std::list<node> flying GUARDED_BY(mutex), settled GUARDED_BY(mutex);
  std::size_t inside GUARDED_BY(mutex) = 0;  // calls between enter() and leave()
  bool cancelled GUARDED_BY(mutex) = false;
};

pipeline_tracker::pipeline_tracker(bool ordered, early_end end)
    : members_(std::make_unique<members>(ordered, end)) {}
pipeline_tracker::~pipeline_tracker() = default;

pipeline_item& pipeline_tracker::add(std::size_t index) {
  std::list<node> fresh;
  node& item = fresh.emplace_back();
  item.index = index;
  item.self = fresh.begin();
  const base::lock_guard lock(members_->mutex);
  members_->flying.splice(members_->flying.end(), fresh);
  return item;
}

void pipeline_tracker::withdraw() noexcept {
  std::list<node> gone;  // freed without the mutex
  const base::lock_guard lock(members_->mutex);
  gone.splice(gone.end(), members_->flying, std::prev(members_->flying.end()));
  if (gone.front().task) gone.front().task->cancel(false);
}

std::size_t pipeline_tracker::in_flight() const {
  const base::lock_guard lock(members_->mutex);
  return members_->flying.size() + members_->settled.size();
}

std::optional<pipeline_item> pipeline_tracker::next(const time_point* deadline) {
  std::list<node> taken;
  while (taken.empty()) {
    // Checked again after each sleep: other threads of the group may have gone to sleep meanwhile.
    const runtime::waiting_scope not_the_last(*members_, deadline == nullptr);
    base::unique_lock lock(members_->mutex);
    if (members_->flying.empty() && members_->settled.empty()) return std::nullopt;
    if (members_->take(taken)) break;
    if (runtime::on_library_thread()) {
      throw invalid_state_error(
          "a callback, or a coroutine that resumes on the callback thread, cannot wait for a "
          "pipeline, because that thread moves its items: read the pipeline on another thread, or "
          "resume there with co_await procpool::via(executor, future)");
    }
    const std::chrono::nanoseconds left = futures::time_until(deadline, futures::longest_sleep);
    if (left <= left.zero()) {
      lock.unlock();
      give_up();
    }
    members_->changed.wait_for(lock, left, [&] {
      base::assert_held(members_->mutex);
      return members_->take(taken);
    });
  }
  return std::move(taken.front());
}

void pipeline_tracker::cancel(bool kill_running) noexcept {
  std::list<node> settled;  // freed without the mutex
  base::unique_lock lock(members_->mutex);
  members_->cancelled = true;
  for (node& item : members_->flying) {
    if (item.task && !item.done) item.task->cancel(kill_running);
  }
  settled.swap(members_->settled);
  // A call between enter() and leave() may wait for room, which cancelled tasks make. On the
  // callback thread that call would be this function's own caller.
  if (!runtime::on_library_thread()) {
    members_->changed.wait(lock, [this] {
      base::assert_held(members_->mutex);
      return members_->inside == 0;
    });
  }
}

void pipeline_tracker::end() noexcept {
  cancel(false);
  const early_end how = members_->end;
  if (how.mode != cancel_mode::kill_running) return;
  try {
    const time_point limit = deadline_after(how.grace);
    base::unique_lock lock(members_->mutex);
    const auto begun = members_->begun_tasks();
    lock.unlock();
    for (const auto& [task, index] : begun) await_end(*task, &limit);
  } catch (const std::bad_alloc&) {
    // Without memory there is no grace.
  }
  cancel(true);
}

void pipeline_tracker::give_up() {
  base::unique_lock lock(members_->mutex);
  unfinished_items rest("pipeline", members_->flying.size() + members_->settled.size());
  if (members_->ordered && !members_->flying.empty()) {
    rest.waited_for(members_->flying.front().index, 1);
  }
  lock.unlock();
  cancel(false);
  lock.lock();
  const auto begun = members_->begun_tasks();
  lock.unlock();
  std::vector<begun_task> tasks;
  tasks.reserve(begun.size());
  for (const auto& [task, index] : begun) tasks.push_back({task.get(), index, 1});
  rest.end(tasks, members_->end);
  rest.fail();
}

bool pipeline_tracker::enter() noexcept {
  const base::lock_guard lock(members_->mutex);
  if (members_->cancelled) return false;
  ++members_->inside;
  return true;
}

void pipeline_tracker::leave() noexcept {
  const base::lock_guard lock(members_->mutex);
  if (--members_->inside == 0 && members_->cancelled) members_->changed.notify_all();
}

void pipeline_tracker::under_way(pipeline_item& item, task_state* task) {
  if (task != nullptr) task->retain();
  state_ptr other(task);  // released without the mutex
  const base::lock_guard lock(members_->mutex);
  if (members_->cancelled && task != nullptr) task->cancel(false);
  item.task.swap(other);
}

void pipeline_tracker::settle(pipeline_item& item, std::exception_ptr error) noexcept {
  const base::lock_guard lock(members_->mutex);
  if (members_->cancelled) return;
  item.error = std::move(error);
  item.done = true;
  if (!members_->ordered) {
    members_->settled.splice(members_->settled.end(), members_->flying,
                             static_cast<node&>(item).self);
  }
  members_->changed.notify_all();
}

}  // namespace procpool::detail
