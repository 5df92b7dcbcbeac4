#include "futures/callbacks.hpp"

#include <algorithm>
#include <list>
#include <new>
#include <system_error>
#include <thread>
#include <unordered_map>

#include "base/per_process.hpp"
#include "futures/completion_hub.hpp"
#include "os/limits.hpp"
#include "procpool/detail/task/awaiter.hpp"
#include "procpool/errors.hpp"
#include "runtime/at_exit.hpp"
#include "runtime/fork_gate.hpp"

namespace procpool::futures {
namespace {

using namespace std::chrono_literals;

// Keeps a stream of callbacks from starting a stream of threads.
constexpr duration linger = 100ms;

void finish_callbacks(bool cancel) noexcept;

void register_finisher_once() {
  static const bool registered =
      runtime::finish_at_exit(runtime::finish_order::callbacks, &finish_callbacks);
  static_cast<void>(registered);
}

class callback_engine final : public detail::completion_listener {
 public:
  static callback_engine& instance();

  void run_when_done(detail::task_state& state, std::unique_ptr<detail::callback> what) {
    detail::check_home(state.home());
    std::list<entry> fresh(1);
    entry& e = fresh.front();
    e.of_future = std::move(what);
    e.self = fresh.begin();
    e.wish = {this, reinterpret_cast<std::uintptr_t>(&e), &state, nullptr, nullptr, nullptr};
    std::thread former;
    {
      const base::lock_guard lock(hub_.mutex());
      former = start_thread();  // first: if this throws, nothing has changed
      state.retain();
      e.reporter.reset(&state);
      waiting_.splice(waiting_.end(), fresh);
      state.subscribe(e.wish);  // may deliver at once, and then `e` is destroyed
      hub_.ring();
    }
    if (former.joinable()) former.join();
  }

  void post(std::function<void()> what) {
    std::list<entry> fresh(1);
    fresh.front().plain = std::move(what);
    std::thread former;
    {
      const base::lock_guard lock(hub_.mutex());
      former = start_thread();
      ready_.splice(ready_.end(), fresh);
      hub_.ring();
    }
    if (former.joinable()) former.join();
  }

  std::thread begin_watch() {
    base::assert_held(hub_.mutex());
    std::thread former = start_thread();
    ++watchers_;
    hub_.ring();  // the thread may be about to end
    return former;
  }
  void end_watch() noexcept {
    base::assert_held(hub_.mutex());
    if (--watchers_ == 0) hub_.ring();
  }

  std::thread set_alarm(alarm& which, time_point when) {
    base::assert_held(hub_.mutex());
    std::thread former = start_thread();
    which.entry = alarms_.emplace(when, &which);
    if (*which.entry == alarms_.begin()) hub_.ring();
    return former;
  }
  void clear_alarm(alarm& which) noexcept {
    base::assert_held(hub_.mutex());
    if (!which.entry) return;
    alarms_.erase(*which.entry);
    which.entry.reset();
    if (alarms_.empty()) hub_.ring();  // the thread may be about to end
  }

  void completed(detail::subscription& s) noexcept override {
    base::assert_held(hub_.mutex());
    auto& e = *reinterpret_cast<entry*>(s.tag);
    ready_.splice(ready_.end(), waiting_, e.self);
  }

  // At exit: returns when no callback is queued, running or waiting for a task. Does not wait for
  // promises that are not set.
  void finish() noexcept {
    // A callback that ends the program does not wait for itself.
    if (runtime::on_library_thread()) return;
    base::unique_lock lock(hub_.mutex());
    // A callback of a promise may never become due.
    const auto will_be_done = [this](const entry& e) {
      return e.wish.group != nullptr || e.wish.will_come || hub_.has(e.wish.source);
    };
    while (running_) {
      if (ready_.empty() && !busy_ && std::ranges::none_of(waiting_, will_be_done)) break;
      lock.unlock();
      std::this_thread::sleep_for(1ms);
      lock.lock();
      hub_.drain();
    }
    leaving_ = over_ = true;
    hub_.ring();
    lock.unlock();
    if (thread_.joinable()) thread_.join();
    lock.lock();
    leaving_ = false;
  }

  // Whether the program ends.
  bool over() {
    const base::lock_guard lock(hub_.mutex());
    return over_;
  }

 private:
  struct entry {
    detail::subscription wish;
    std::function<void()> plain;  // or:
    std::unique_ptr<detail::callback> of_future;
    detail::state_ptr reporter;  // kept until the callback has run: reports its errors
    std::list<entry>::iterator self;
  };

  friend base::per_process<callback_engine>;
  callback_engine() : hub_(completion_hub::instance()) {}

  // Starts the callback thread, unless it runs. Returns the former thread, which the caller joins
  // without the mutex: it has released the mutex for the last time, but destructors of its
  // thread_local objects may still run.
  std::thread start_thread() REQUIRES(hub_.mutex()) {
    if (running_) return {};
    register_finisher_once();
    std::thread former;
    try {
      former = std::thread([this] { work(); });
    } catch (const std::system_error& e) {
      throw std::system_error(e.code(), "procpool: no callback can be run: " + os::thread_advice());
    }
    running_ = true;
    former.swap(thread_);
    // The caller is such a destructor.
    if (former.get_id() == std::this_thread::get_id()) former.detach();
    return former;
  }

  void work() {
    const runtime::library_thread registered;
    base::unique_lock lock(hub_.mutex());
    for (;;) {
      const bool wanted = is_wanted();
      const time_point until =
          wanted ? next_alarm() : time_point(std::chrono::steady_clock::now() + linger);
      const bool endless = wanted && alarms_.empty();
      const bool found = hub_.wait(lock, endless ? nullptr : &until, {}, [&] {
        base::assert_held(hub_.mutex());
        return !ready_.empty() || leaving_ || wanted != is_wanted() || next_alarm() < until;
      });
      if (next_alarm() <= std::chrono::steady_clock::now()) {
        alarm& due = *alarms_.begin()->second;
        due.keep();
        clear_alarm(due);
        busy_ = true;
        lock.unlock();
        due.go_off();
        lock.lock();
        busy_ = false;
        continue;
      }
      if (ready_.empty()) {
        if ((found && leaving_) || (!found && !is_wanted())) break;
        continue;
      }
      std::list<entry> next;
      next.splice(next.end(), ready_, ready_.begin());
      busy_ = true;
      lock.unlock();
      run(next.front());
      next.clear();
      // In a copy of the process, which a callback has forked, this thread has nothing to do.
      if (!home_.is_here()) return;
      lock.lock();
      busy_ = false;
    }
    running_ = false;
  }

  // Whether there is a task, or a time, to wait for.
  bool is_wanted() const REQUIRES(hub_.mutex()) {
    return !waiting_.empty() || watchers_ != 0 || !alarms_.empty();
  }
  time_point next_alarm() const REQUIRES(hub_.mutex()) {
    return alarms_.empty() ? time_point::max() : alarms_.begin()->first;
  }

  static void run(entry& e) noexcept {
    try {
      if (e.plain) {
        e.plain();
      } else {
        e.of_future->run();
      }
    } catch (...) {
      if (e.reporter != nullptr) e.reporter->report(std::current_exception());
    }
    e.of_future.reset();
    e.reporter.reset();
  }

  completion_hub& hub_;
  const detail::home_process home_;
  std::list<entry> waiting_ GUARDED_BY(hub_.mutex()), ready_ GUARDED_BY(hub_.mutex());
  std::size_t watchers_ GUARDED_BY(hub_.mutex()) = 0;
  std::multimap<time_point, alarm*> alarms_ GUARDED_BY(hub_.mutex());
  std::thread thread_;                             // replaced under the mutex, joined without it
  bool running_ GUARDED_BY(hub_.mutex()) = false;  // the thread runs
  bool busy_ GUARDED_BY(hub_.mutex()) = false;     // the thread runs a callback
  bool leaving_ GUARDED_BY(hub_.mutex()) = false;  // tells the thread to end
  bool over_ GUARDED_BY(hub_.mutex()) = false;     // the program ends
};

constinit base::per_process<callback_engine> engines;
callback_engine& callback_engine::instance() { return engines.get(); }

}  // namespace

bool post(const std::function<void()>& what) noexcept {
  try {
    callback_engine::instance().post(what);
    return true;
  } catch (...) {
    return false;
  }
}
std::thread begin_watch() { return callback_engine::instance().begin_watch(); }
void end_watch() noexcept { callback_engine::instance().end_watch(); }
std::thread set_alarm(alarm& which, time_point when) {
  return callback_engine::instance().set_alarm(which, when);
}
void clear_alarm(alarm& which) noexcept {
  // An alarm that was never set needs no engine.
  if (which.entry) callback_engine::instance().clear_alarm(which);
}

namespace {
void finish_callbacks(bool) noexcept {
  if (callback_engine* const engine = engines.existing()) engine->finish();
}
}  // namespace

}  // namespace procpool::futures

namespace procpool::detail {

void run_when_done(task_state& state, std::unique_ptr<callback> what) {
  futures::callback_engine::instance().run_when_done(state, std::move(what));
}

// The caller may have the last reference, which is gone before the callback runs.
// NOLINTNEXTLINE(performance-unnecessary-value-param)
void wake_dropped(std::shared_ptr<sleeper> who) noexcept {
  // In a copy of the process, and once the program ends, no thread would resume the coroutine.
  if (!who->is_here() || futures::callback_engine::instance().over()) return;
  const auto refuse = [](sleeper& s) {
    s.wake_with(std::make_exception_ptr(cancelled_error(
        "the executor that should resume this coroutine is gone, or was shut down")));
  };
  try {
    if (futures::post([who, refuse] { refuse(*who); })) return;
  } catch (const std::bad_alloc&) {
    // Handled like a thread that cannot be started.
  }
  refuse(*who);  // in the calling thread, rather than never
}

}  // namespace procpool::detail
