#include "child/child_process.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <system_error>
#include <utility>

#include "child/process_host.hpp"
#include "os/event_fd.hpp"
#include "os/pidfd.hpp"

namespace procpool::parent {
namespace {

// A longer limit counts as no limit; the bound keeps the clock's numbers from overflowing.
constexpr duration longest_wait = std::chrono::hours(24 * 365);
constexpr duration start_limit = std::chrono::minutes(1);
constexpr std::chrono::nanoseconds longest_sleep = std::chrono::seconds(1);

std::chrono::nanoseconds bounded(duration d) {
  if (!(d > duration::zero())) return {};  // also a NaN
  return std::chrono::ceil<std::chrono::nanoseconds>(std::min(d, longest_wait));
}

// Releases the lock from time to time to handle the host's events, so that the wait depends neither
// on the host's thread nor on the descriptor on which that thread sleeps.
template <class Done>
bool wait_and_look(std::unique_lock<std::mutex>& lock, std::condition_variable& changed,
                   duration limit, Done done) {
  const auto deadline = std::chrono::steady_clock::now() + bounded(limit);
  for (;;) {
    const auto left = deadline - std::chrono::steady_clock::now();
    const std::chrono::nanoseconds now = std::min<std::chrono::nanoseconds>(left, longest_sleep);
    if (changed.wait_for(lock, now, done)) return true;
    if (left <= now) return false;
    lock.unlock();
    process_host::instance().handle_pending_events();
    lock.lock();
  }
}

}  // namespace

void child_process::await_start() {
  base::unique_lock lock(mutex_);
  const auto answered = [this] {
    base::assert_held(mutex_);
    return phase_ != phase::starting;
  };
  if (!wait_and_look(lock, changed_, start_limit, answered)) {
    phase_ = phase::failed;
    error_ = ETIMEDOUT;
  }
  if (phase_ != phase::failed) return;
  if (error_ == EOWNERDEAD) {
    throw std::system_error(error_, std::generic_category(),
                            "procpool: the fork server died while it started a process");
  }
  throw std::system_error(error_, std::generic_category(), "procpool: cannot start a process");
}

bool child_process::await_end(const std::optional<duration>& limit) {
  std::unique_ptr<detail::process_body> done;  // destroyed without the lock
  base::unique_lock lock(mutex_);
  const auto over = [this] {
    base::assert_held(mutex_);
    return phase_ == phase::ended;
  };
  while (!wait_and_look(lock, changed_, limit.value_or(longest_wait), over)) {
    if (limit) return false;
  }
  done = std::move(body_);
  lock.unlock();
  return true;
}

bool child_process::has_ended() const {
  const base::lock_guard lock(mutex_);
  return phase_ == phase::ended;
}

std::optional<int> child_process::exit_code() const {
  const base::lock_guard lock(mutex_);
  if (phase_ != phase::ended) return std::nullopt;
  return exit_code_;
}

bool child_process::is_dead() const noexcept {
  const base::lock_guard lock(mutex_);
  return phase_ == phase::ended ||
         (sentinel_ && !sentinel_is_event_ && os::pidfd_dead(sentinel_.get()));
}

bool child_process::started(pid_t pid, os::unique_fd pidfd) noexcept {
  const base::lock_guard lock(mutex_);
  pid_ = pid;
  sentinel_is_event_ = !pidfd;
  sentinel_ = os::private_fd(std::move(pidfd));
  if (sentinel_is_event_) {
    // The process ended before a pidfd could be opened, or the system has no pidfds.
    try {
      sentinel_ = os::make_event_fd();
    } catch (const std::system_error&) {
      // No descriptor is left: process::pidfd() reports that.
    }
  }
  if (phase_ == phase::failed) return false;
  phase_ = phase::running;
  changed_.notify_all();
  return true;
}

void child_process::failed(int error) noexcept {
  const base::lock_guard lock(mutex_);
  error_ = error;
  phase_ = phase::failed;
  changed_.notify_all();
}

void child_process::ended(int exit_code) noexcept {
  const base::lock_guard lock(mutex_);
  if (sentinel_is_event_ && sentinel_) os::signal_event_fd(sentinel_.get());
  exit_code_ = exit_code;
  if (phase_ != phase::failed) phase_ = phase::ended;
  changed_.notify_all();
}

}  // namespace procpool::parent
