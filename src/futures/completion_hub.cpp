#include "futures/completion_hub.hpp"

#include <algorithm>
#include <limits>
#include <optional>
#include <span>

#include "futures/adaptive_spinner.hpp"
#include "os/futex.hpp"
#include "runtime/fork_gate.hpp"
#include "runtime/process_role.hpp"

namespace procpool::futures {
namespace {

using namespace std::chrono_literals;

// A process that dies between DONE and the doorbell loses a wake-up; the next look finds the task.
constexpr std::chrono::nanoseconds longest_silence = 100ms;

constinit base::per_process<completion_hub> hubs;

}  // namespace

completion_hub& completion_hub::instance() { return hubs.get(); }

completion_hub::completion_hub() : page_(&shm::parent_page()) { runtime::install_fork_handlers(); }

void completion_hub::attach(detail::completion_source& source) {
  base::assert_held(mutex_);
  sources_.push_back(&source);
}

void completion_hub::detach(detail::completion_source& source) noexcept {
  base::assert_held(mutex_);
  std::erase(sources_, &source);
}

bool completion_hub::has(const detail::completion_source* source) const noexcept {
  base::assert_held(mutex_);
  return std::ranges::find(sources_, source) != sources_.end();
}

void completion_hub::drain() noexcept {
  base::assert_held(mutex_);
  for (detail::completion_source* s : sources_) s->drain();
}

void completion_hub::ring() noexcept {
  base::assert_held(mutex_);
  if (sleeping_ == 0) return;
  page_->doorbell.fetch_add(1);
  os::futex_wake(page_->doorbell, std::numeric_limits<int>::max());
}

std::uint32_t completion_hub::arm() {
  const std::uint32_t doorbell = page_->doorbell.load();
  // seq_cst: before the drain that follows; the worker stores DONE before it reads this
  page_->doorbell_armed.store(1);
  return doorbell;
}

namespace {

// Keeps some sources alive while the mutex is free. Constructed while the mutex is held, destroyed
// before it is taken again.
class held_sources {
 public:
  explicit held_sources(const std::vector<detail::completion_source*>& all) {
    for (detail::completion_source* s : all) {
      if (count_ == most) return;
      if (s->try_retain()) held_[count_++] = s;
    }
  }
  ~held_sources() {
    for (detail::completion_source* s : get()) s->release();
  }
  held_sources(const held_sources&) = delete;
  held_sources& operator=(const held_sources&) = delete;

  std::span<detail::completion_source* const> get() const { return {held_, count_}; }

 private:
  static constexpr std::size_t most = 8;  // checking more would take longer than sleeping
  detail::completion_source* held_[most] = {};
  std::size_t count_ = 0;
};

// The shortest pause: with many sources, one of them may have a result soon.
std::chrono::nanoseconds pause_for_backlog(std::span<detail::completion_source* const> sources) {
  std::chrono::nanoseconds shortest = 1s;
  for (const detail::completion_source* s : sources) {
    shortest = std::min(shortest, s->pause_for_backlog());
  }
  return sources.empty() ? 0ns : shortest;
}

bool cpus_saturated(std::span<detail::completion_source* const> sources) {
  return std::ranges::any_of(sources, [](const auto* s) { return s->cpus_saturated(); });
}

}  // namespace

bool completion_hub::spin(std::unique_lock<std::mutex>& lock, const time_point* deadline,
                          const std::vector<detail::completion_source*>& sources) {
  if (sources.empty()) return false;
  bool found = false;
  {
    const held_sources watched(sources);
    lock.unlock();
    const auto anything = [&] {
      return std::ranges::any_of(watched.get(), [](const auto* s) { return s->anything_done(); });
    };
    const std::chrono::nanoseconds pause = time_until(deadline, pause_for_backlog(watched.get()));
    if (pause > 0ns && !anything()) {
      os::futex_wait(page_->doorbell, page_->doorbell.load(), pause);
      found = anything();
    } else {
      found = adaptive_spinner::of_this_thread().spin(anything, cpus_saturated(watched.get()));
    }
  }
  lock.lock();
  return found;
}

void completion_hub::requeue_stale_hints(std::unique_lock<std::mutex>& lock) {
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    detail::completion_source* s = sources_[i];
    if (!s->try_retain()) continue;
    lock.unlock();
    s->requeue_stale_hints();
    s->release();
    lock.lock();
  }
}

completion_hub::rest completion_hub::sleep(std::unique_lock<std::mutex>& lock,
                                           std::uint32_t doorbell, const time_point* deadline) {
  const std::chrono::nanoseconds left = time_until(deadline, longest_silence);
  if (left == 0ns) return rest::deadline;
  ++sleeping_;
  lock.unlock();
  os::futex_result slept{};
  {
    std::optional<runtime::fork_safe_scope> forks_may_happen;
    if (runtime::on_library_thread()) forks_may_happen.emplace();
    slept = os::futex_wait(page_->doorbell, doorbell, left);
  }
  lock.lock();
  --sleeping_;
  return slept == os::futex_result::timed_out && left == longest_silence ? rest::silence
                                                                         : rest::woken;
}

std::chrono::nanoseconds time_until(const time_point* deadline, std::chrono::nanoseconds most) {
  if (deadline == nullptr) return most;
  const duration left = *deadline - std::chrono::steady_clock::now();
  if (left >= most) return most;
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::max(left, duration::zero()));
}

}  // namespace procpool::futures
