// What co_await of a future makes: the coroutine sleeps until the task is done and goes on upon the
// callback thread. A coroutine that is destroyed meanwhile is not resumed; the task goes on.
#pragma once

#include <atomic>
#include <coroutine>
#include <memory>
#include <utility>

#include "procpool/detail/task_state.hpp"

namespace procpool::detail {

// One co_await. Lives in the coroutine's frame, which may be gone when the task is done.
template <class Future>
class future_awaiter {
 public:
  explicit future_awaiter(Future f) : source_(std::move(f)) {}
  ~future_awaiter() {
    if (sleeper_) sleeper_->over = true;
  }
  future_awaiter(const future_awaiter&) = delete;
  future_awaiter& operator=(const future_awaiter&) = delete;

  bool await_ready() const { return source_.done(); }
  void await_suspend(std::coroutine_handle<> coroutine) {
    sleeper_ = std::make_shared<sleeper>(coroutine);
    // The coroutine may be running again, and this be gone, before the next line returns.
    run_when_done(*source_.native_state(), std::make_unique<call>(sleeper_));
  }
  decltype(auto) await_resume() { return source_.get(); }

 private:
  struct sleeper {
    explicit sleeper(std::coroutine_handle<> c) : coroutine(c) {}
    std::coroutine_handle<> coroutine;
    std::atomic<bool> over{false};  // resumed, or destroyed
  };
  struct call final : callback {
    explicit call(std::shared_ptr<sleeper> w) : who(std::move(w)) {}
    void run() override {
      if (!who->over.exchange(true)) who->coroutine.resume();
    }
    std::shared_ptr<sleeper> who;
  };

  Future source_;
  std::shared_ptr<sleeper> sleeper_;
};

}  // namespace procpool::detail
