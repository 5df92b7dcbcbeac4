// The awaiter of a future: the coroutine sleeps until the task is done, and resumes on the callback
// thread, or where a target resumes it. A coroutine that is destroyed meanwhile is not resumed; the
// task continues.
#pragma once

#include <atomic>
#include <coroutine>
#include <exception>
#include <type_traits>
#include <utility>

#include "procpool/detail/std/memory.hpp"
#include "procpool/detail/task/task_state.hpp"

namespace procpool::detail {

// A sleeping coroutine. Several threads may wake it; the first of them resumes it, once.
class sleeper {
 public:
  explicit sleeper(std::coroutine_handle<> coroutine) : coroutine_(coroutine) {}
  bool is_over() const noexcept { return over_; }
  bool is_here() const noexcept { return home_.is_here(); }
  void wake() {
    if (!over_.exchange(true)) coroutine_.resume();
  }
  // As wake(), but co_await throws. Returns false if the coroutine is awake or destroyed.
  bool wake_with(std::exception_ptr error) {
    if (over_.exchange(true)) return false;
    refusal_ = std::move(error);
    coroutine_.resume();
    return true;
  }
  void forget() noexcept { over_ = true; }
  const std::exception_ptr& refusal() const noexcept { return refusal_; }

 private:
  std::coroutine_handle<> coroutine_;
  std::exception_ptr refusal_;  // set by the target
  std::atomic<bool> over_{false};
  home_process home_;
};

// Called when an executor has dropped the function that was to wake the coroutine: co_await throws
// cancelled_error, on the callback thread; or within this call, if there can be no callback thread.
// Does not throw.
PROCPOOL_EXPORT void wake_dropped(std::shared_ptr<sleeper> who) noexcept;

// The function that a target runs: it resumes the coroutine in the calling thread. One of the
// copies must be called before the last copy is destroyed.
class wake_up {
 public:
  explicit wake_up(std::shared_ptr<sleeper> who)
      : ticket_(std::make_shared<const ticket>(std::move(who))) {}
  const std::shared_ptr<sleeper>& who() const noexcept { return ticket_->who; }
  void operator()() const { who()->wake(); }

 private:
  struct ticket {
    explicit ticket(std::shared_ptr<sleeper> w) : who(std::move(w)) {}
    ticket(const ticket&) = delete;
    ticket& operator=(const ticket&) = delete;
    ~ticket() {
      if (!who->is_over()) wake_dropped(who);
    }
    const std::shared_ptr<sleeper> who;
  };
  std::shared_ptr<const ticket> ticket_;
};

// The coroutine resumes on the callback thread.
struct no_target {};

// One co_await. Lives in the coroutine's frame, which may be destroyed before the task is done.
template <class Future, class Target = no_target>
class future_awaiter {
 public:
  explicit future_awaiter(Future f, Target t = {}) : source_(std::move(f)), to_(std::move(t)) {}
  ~future_awaiter() {
    if (sleeper_) sleeper_->forget();
  }
  future_awaiter(const future_awaiter&) = delete;
  future_awaiter& operator=(const future_awaiter&) = delete;

  bool await_ready() const {
    if constexpr (std::is_same_v<Target, no_target>) return source_.done();
    return false;
  }
  void await_suspend(std::coroutine_handle<> coroutine) {
    sleeper_ = std::make_shared<sleeper>(coroutine);
    // The coroutine may resume, and destroy this awaiter, before the next line returns.
    run_when_done(*source_.native_state(), std::make_unique<call>(sleeper_, std::move(to_)));
  }
  decltype(auto) await_resume() {
    if (sleeper_ && sleeper_->refusal()) std::rethrow_exception(sleeper_->refusal());
    return source_.get();
  }

 private:
  struct call final : callback {
    call(std::shared_ptr<sleeper> w, Target t) : who(std::move(w)), to(std::move(t)) {}
    void run() override {
      if constexpr (std::is_same_v<Target, no_target>) {
        who->wake();
      } else {
        const wake_up w(who);
        try {
          to(w);
        } catch (...) {
          if (!who->wake_with(std::current_exception())) throw;
        }
      }
    }
    std::shared_ptr<sleeper> who;
    [[no_unique_address]] Target to;
  };

  Future source_;
  Target to_;
  std::shared_ptr<sleeper> sleeper_;
};

}  // namespace procpool::detail
