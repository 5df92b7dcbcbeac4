// The supervisor: one thread for each pool, which sleeps in poll() until a worker starts or dies,
// or until the pool closes. No task passes through it.
#include <algorithm>
#include <array>
#include <csignal>
#include <new>
#include <system_error>
#include <utility>

#include "futures/kept_error.hpp"
#include "os/event_fd.hpp"
#include "os/file.hpp"
#include "os/poll.hpp"
#include "pool/pool.hpp"
#include "procpool/errors.hpp"
#include "runtime/fork_gate.hpp"

namespace procpool::parent {
namespace {

using futures::kept_error;
using shm::u32;
using namespace std::chrono_literals;

// While a pool winds down, its tasks end without a wake-up for the supervisor.
constexpr std::chrono::milliseconds wind_down_step{10};
// After this pause the supervisor checks all its work, whatever poll() reports.
constexpr std::chrono::milliseconds longest_look_pause{1000};
constexpr std::chrono::milliseconds retry_pause{10};
constexpr std::chrono::milliseconds blind_pause{100};  // no descriptor wakes the thread any more
// Slots taken out of use because a task has overwritten their words.
constexpr std::size_t most_lost_slots = 1024;
// Looks for idle workers. No divisor of the second at which sleeping workers wake and look, or both
// could look at the same time again and again.
constexpr std::chrono::milliseconds idle_look_pause{700};
constexpr int stdin_fd = 0;

}  // namespace

void pool::wake_supervisor() noexcept { wake_->signal(); }

std::unique_ptr<launch::fork_server_client> pool::start_server() {
  // If the descriptor now refers to another file, the workers would map that file.
  if (!region_.owns_file()) throw shm::disowned_file(region_.fd());
  return launch::fork_server_client::start(
      {.start = options_.start,
       .region_fd = region_.fd(),
       .page_fd = shm::parent_page_fd(),
       .stderr_fd = stderr_.worker_end(),
       .stdin_fd = options_.workers.inherit_stdin && os::is_open(stdin_fd) ? stdin_fd : -1,
       .environment = &environment_});
}

void pool::supervise() {
  // Forking this process is safe while this thread sleeps in poll, and only then.
  const runtime::library_thread registered;
  for (bool more = true; more;) {
    std::array<os::poll_item, 4> items{};
    if (has_descriptors()) {
      items[0].fd = server_lost_ ? -1 : server_->event_fd();
      items[1].fd = wake_->fd();
      items[2].fd = stderr_.readable_fd();
      items[3] = {stderr_.writable_fd(), os::poll_for::output};
    }
    const std::chrono::milliseconds timeout = next_timeout();
    {
      const runtime::fork_safe_scope forks_may_happen;
      os::poll_items(items, timeout);
    }
    wake_->clear();
    try {
      more = handle_events();
      stderr_.pump();
    } catch (const std::exception&) {
      // Without memory or descriptors. The next round finds the remaining work.
      const runtime::fork_safe_scope forks_may_happen;
      os::poll_items({}, retry_pause);
      wake_supervisor();
    }
  }
  server_->stop(launch::fork_server_client::default_grace);
  stderr_.finish();
  {
    // No task is unresolved: after this drain no dropped task is left, either.
    const base::lock_guard hub(completion_hub::instance().mutex());
    drain();
  }
  base::unique_lock lock(mutex_);
  deliver_lost();
  ended_ = true;
  ended_cv_.notify_all();
  const bool abandoned = abandoned_;
  if (abandoned) supervisor_.detach();
  lock.unlock();
  // After abandon() this thread is an owner of the pool.
  if (abandoned) release();
}

std::chrono::milliseconds pool::next_timeout() {
  const base::lock_guard lock(mutex_);
  std::chrono::milliseconds most = longest_look_pause;
  const auto at_most = [&most](std::chrono::milliseconds pause) { most = std::min(most, pause); };
  if (!server_lost_ && server_->poll_timeout() >= 0ms) at_most(server_->poll_timeout());
  if (stopping_ && !drained_) most = wind_down_step;
  const auto not_after = [&](time_point t) {
    at_most(std::chrono::ceil<std::chrono::milliseconds>(std::max(duration::zero(), t - now())));
  };
  if (const std::optional<time_point> next = crew_.next_start()) not_after(*next);
  if (trims_) not_after(trim_at_);
  if (options_.idle_timeout) at_most(idle_look_pause);
  if (give_up_at_ && !given_up_) not_after(*give_up_at_);
  if (given_up_) at_most(blind_pause);
  if (const std::optional<time_point> next = watch_.next_look(); next && !given_up_) {
    not_after(std::min(*next, now() + duration(longest_look_pause)));
  }
  if (linger_pause_ != 0ms) at_most(linger_pause_);
  return most;
}

// False once the pool is closed and no process is left.
bool pool::handle_events() {
  if (!has_descriptors()) {
    const base::lock_guard lock(mutex_);
    give_up(
        "a descriptor of procpool was closed by the program, which had not opened it: close only "
        "what you have opened (closefrom, close_range, a loop over all numbers), or do so before "
        "the pool is made");
    return !wind_down();
  }
  while (const std::optional<launch::server_event> e = server_->next_event()) {
    handle(*e);
  }
  look_at_limits();
  send_reports();
  look_after_objects();
  trim_blocks();
  const base::lock_guard lock(mutex_);
  if (slots_.lost_slots() > most_lost_slots && broken_.empty()) {
    break_pool([] {
      return std::string(
          "tasks have damaged the shared memory of this pool again and again: they write where "
          "they must not");
    });
  }
  dismiss_idle();
  start_wanted();
  return !wind_down();
}

// Kills the workers of tasks that are over their time limits.
void pool::look_at_limits() noexcept {
  const base::lock_guard lock(mutex_);
  const std::optional<time_point> next = watch_.next_look();
  if (!next || now() < *next) return;
  watch_.look([this](task_record& r, shm::u64 word) {
    base::assert_held(mutex_);
    end_overrun(r, word);
  });
}

// `word` is CLAIMED. The winner of the CAS decides: either the task is done in time, or its worker
// finds KILL and takes no other task.
void pool::end_overrun(task_record& r, shm::u64 word) noexcept {
  if (!is_possible(r, word)) return;
  const shm::u64 claimed = word & ~shm::flags_mask;
  // relaxed: changed and read under the mutex, except for a guess in cancel()
  r.overrun.store(r.generation, std::memory_order_relaxed);
  while (!region_.at(r.index).word.compare_exchange_strong(
      word, shm::with_phase(word, shm::task_phase::kill))) {
    if ((word & ~shm::flags_mask) == claimed) continue;
    r.overrun.store(no_generation, std::memory_order_relaxed);  // done, or cancelled
    return;
  }
  crew_.kill_worker(shm::worker_of(word));
}

// Frees the memory of large arguments of finished tasks. Unlocks the mutex in between, so that
// other threads can submit.
void pool::trim_blocks() {
  base::unique_lock lock(mutex_);
  if (!trims_ || now() < trim_at_) return;
  slots_.collect_returned();
  blocks_.start_trim();
  while (blocks_.trim_some()) {
    lock.unlock();
    lock.lock();
  }
  trims_ = blocks_.needs_trim();
  trim_at_ = now() + trim_pause;
}

// Does not fail without memory: a death without a sweep would leave tasks unresolved forever.
void pool::handle(const launch::server_event& e) noexcept {
  base::unique_lock lock(mutex_);
  switch (e.what) {
    case launch::server_event::kind::started:
      on_started(e);
      break;
    case launch::server_event::kind::exited:
      on_exited(e);
      break;
    case launch::server_event::kind::start_failed:
      on_start_failed(e);
      break;
    case launch::server_event::kind::server_gone:
      on_server_gone(lock);
      break;
  }
  staffed_cv_.notify_all();
}

// Without mutex_: only the supervisor replaces the server's client.
bool pool::has_descriptors() const noexcept {
  return wake_->is_ours() && region_.owns_file() && stderr_.has_descriptors() &&
         server_->has_descriptors();
}

// The fork server is dead; the death of each of its workers was reported before. With spawn and
// forkserver the pool starts another server; a forked server cannot be forked again from a program
// whose state has changed since.
void pool::on_server_gone(std::unique_lock<os::short_mutex>& lock) noexcept {
  if (drained_ || doomed_with_ != 0 || !broken_.empty()) {
    server_lost_ = true;
    return;
  }
  if (options_.start == start_method::fork) {
    server_lost_ = true;
    break_pool([] {
      return std::string(
          "the pool's fork server died, and a forked one cannot be made again: use "
          "start_method::spawn, or make a new pool");
    });
    return;
  }
  try {
    // Starting a program may take long: threads that submit do not wait for it.
    lock.unlock();
    std::unique_ptr<launch::fork_server_client> next;
    try {
      next = start_server();
    } catch (...) {
      lock.lock();
      throw;
    }
    lock.lock();
    server_.swap(next);
    crew_.want_all();
    lock.unlock();
    next.reset();  // waits for the processes of the old server
    lock.lock();
  } catch (const std::exception& e) {
    server_lost_ = true;
    break_pool([&] {
      return std::string("the pool's fork server died and cannot be started again: ") + e.what();
    });
  }
}

}  // namespace procpool::parent
