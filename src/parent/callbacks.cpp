#include "parent/callbacks.hpp"

#include <deque>
#include <list>
#include <thread>
#include <unordered_map>

#include "launch/thread_gate.hpp"
#include "parent/completions.hpp"

namespace procpool::parent {
namespace {

using namespace std::chrono_literals;

constexpr duration linger =
    100ms;  // so that a stream of callbacks does not make a stream of threads

class callback_engine final : public detail::completion_listener {
 public:
  static callback_engine& instance() {
    // Never destroyed: futures in static objects use it until the very end.
    static callback_engine* const engine = new callback_engine;
    return *engine;
  }

  void run_when_done(detail::task_state& state, std::unique_ptr<detail::callback> what) {
    state.retain();
    const std::lock_guard lock(hub_.mutex());
    waiting_.push_back(std::make_unique<waiting>());
    waiting& w = *waiting_.back();
    w.what = std::move(what);
    w.self = std::prev(waiting_.end());
    w.reporter.reset(&state);
    w.wish = {this, reinterpret_cast<std::uintptr_t>(&w), &state, nullptr, nullptr};
    start_thread();
    state.subscribe(w.wish);  // may deliver at once, and then `w` is gone
    hub_.ring();
  }

  void post(std::function<void()> what) {
    const std::lock_guard lock(hub_.mutex());
    ready_.push_back({std::move(what), nullptr, nullptr});
    start_thread();
    hub_.ring();
  }

  void completed(detail::subscription& s) noexcept override {
    auto& w = *reinterpret_cast<waiting*>(s.tag);
    ready_.push_back({nullptr, std::move(w.what), std::move(w.reporter)});
    waiting_.erase(w.self);
  }

  void finish() noexcept {
    std::unique_lock lock(hub_.mutex());
    while (running_) {
      if (ready_.empty() && waiting_.empty() && !busy_) break;
      lock.unlock();
      std::this_thread::sleep_for(1ms);
      lock.lock();
      hub_.drain();
    }
    leaving_ = true;
    hub_.ring();
    lock.unlock();
    if (thread_.joinable() && thread_.get_id() != std::this_thread::get_id()) thread_.join();
    lock.lock();
    leaving_ = false;
  }

 private:
  struct waiting {
    detail::subscription wish;
    std::unique_ptr<detail::callback> what;
    detail::state_ptr reporter;  // alive until the callback has run: it hears of its errors
    std::list<std::unique_ptr<waiting>>::iterator self;
  };
  struct job {
    std::function<void()> plain;
    std::unique_ptr<detail::callback> of_future;
    detail::state_ptr reporter;
  };

  callback_engine() : hub_(completion_hub::instance()) {}

  // Under the hub's mutex, as is all state here.
  void start_thread() {
    if (running_) return;
    if (thread_.joinable()) thread_.join();  // it has left the hub's mutex for the last time
    running_ = true;
    thread_ = std::thread([this] { work(); });
  }

  void work() {
    const launch::own_thread registered;
    on_own_thread = true;
    std::unique_lock lock(hub_.mutex());
    for (;;) {
      const time_point until = std::chrono::steady_clock::now() + linger;
      const bool found = hub_.wait(lock, waiting_.empty() ? &until : nullptr, {},
                                   [this] { return !ready_.empty() || leaving_; });
      if (ready_.empty()) {
        if ((found && leaving_) || waiting_.empty()) break;
        continue;
      }
      job next = std::move(ready_.front());
      ready_.pop_front();
      busy_ = true;
      lock.unlock();
      run(next);
      lock.lock();
      busy_ = false;
    }
    running_ = false;
  }

  static void run(job& j) noexcept {
    try {
      if (j.plain) {
        j.plain();
      } else {
        j.of_future->run();
      }
    } catch (...) {
      if (j.reporter != nullptr) j.reporter->report(std::current_exception());
    }
    j.of_future.reset();
    j.reporter.reset();
  }

  completion_hub& hub_;
  std::list<std::unique_ptr<waiting>> waiting_;
  std::deque<job> ready_;
  std::thread thread_;
  bool running_ = false, busy_ = false, leaving_ = false;
};

}  // namespace

void post(std::function<void()> what) { callback_engine::instance().post(std::move(what)); }
void finish_callbacks() noexcept { callback_engine::instance().finish(); }

}  // namespace procpool::parent

namespace procpool::detail {

void run_when_done(task_state& state, std::unique_ptr<callback> what) {
  parent::callback_engine::instance().run_when_done(state, std::move(what));
}

}  // namespace procpool::detail
