// future<T>: the result of one task, and shared_future<T>, which several may read.
//
// A future has one owner, like std::future; it outlives its executor and always resolves: with the
// task's value, with what the task threw, with worker_crashed, cancelled_error or
// broken_process_pool. Dropping one neither cancels nor waits. done(), running(), cancelled() and
// cancel() may be called by any thread while another waits; everything else belongs to the owner.
// The semantics are those of Python's concurrent.futures.Future, with the differences that
// docs/differences.md lists.
#pragma once

#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>

#include "procpool/detail/task/awaiter.hpp"
#include "procpool/detail/task/outcome_value.hpp"
#include "procpool/detail/task/task_state.hpp"

namespace procpool {

template <class T>
class shared_future;

enum class cancel_mode {
  pending,       // only what no worker has begun
  kill_running,  // also a running task: its worker is killed and replaced
};

template <class T>
class [[nodiscard]] future {
 public:
  using value_type = T;

  // Holds no task: valid() is false.
  future() noexcept = default;
  explicit future(detail::state_ptr state) noexcept : state_(std::move(state)) {}

  // Blocks until the task is done; returns its value or throws its error. Consumes the future.
  // Throws invalid_state_error if it holds no task.
  T get() { return take(state().wait_and_pin()); }
  // The same with an end: timeout_error, and the future stays valid.
  T get_for(duration d) { return get_until(detail::deadline_after(d)); }
  T get_until(time_point t) {
    if (!state().wait_until(&t)) detail::throw_wait_timeout();
    return take(state().pin());
  }

  // Block until the task is done or the time is over; never throw the task's error.
  void wait() const { state().wait_until(nullptr); }
  std::future_status wait_for(duration d) const { return wait_until(detail::deadline_after(d)); }
  std::future_status wait_until(time_point t) const {
    return state().wait_until(&t) ? std::future_status::ready : std::future_status::timeout;
  }

  // Blocks until the task is done; null when it has a value. Does not consume.
  std::exception_ptr exception() const {
    state().wait_until(nullptr);
    std::exception_ptr e = state().pin().error;
    state().unpin();
    return e;
  }

  bool valid() const noexcept { return state_ != nullptr; }
  // A cancelled task counts as done.
  bool done() const { return status() >= detail::task_status::cancelled; }
  // Only once a worker has begun it.
  bool running() const { return status() == detail::task_status::running; }
  bool cancelled() const { return status() == detail::task_status::cancelled; }

  // True if the task is cancelled now or was already. Does not block. With kill_running the task
  // may resolve a moment later, when its worker is gone: at the end of the task where the worker
  // cannot be killed, since it runs as another user.
  bool cancel(cancel_mode mode = cancel_mode::pending) {
    return state().cancel(mode == cancel_mode::kill_running);
  }

  // Calls callback(const future<T>&) on the callback thread once the task is done; at once if it
  // is. Callbacks run one after another; one that throws goes to pool_options::on_error.
  template <class F>
  void on_done(F f) const {
    static_assert(std::is_invocable_v<F&, const future&>,
                  "on_done wants a callback that can be called with const future<T>&");
    struct call final : detail::callback {
      call(detail::state_ptr s, F g) : alias(std::move(s)), fn(std::move(g)) {}
      void run() override { fn(std::as_const(alias)); }
      future alias;
      F fn;
    };
    detail::task_state& s = state();
    s.retain();
    detail::state_ptr owner(&s);
    detail::run_when_done(s, std::make_unique<call>(std::move(owner), std::move(f)));
  }

  // Hands the future over: callback(future<T>) on the callback thread once the task is done.
  template <class F>
  void then(F f) && {
    static_assert(std::is_invocable_v<F&, future>,
                  "then wants a callback that can be called with future<T>");
    struct call final : detail::callback {
      call(future s, F g) : source(std::move(s)), fn(std::move(g)) {}
      void run() override { fn(std::move(source)); }
      future source;
      F fn;
    };
    detail::task_state& s = state();
    detail::run_when_done(s, std::make_unique<call>(std::move(*this), std::move(f)));
  }

  // Nobody will ask: an error of the task goes to pool_options::on_error.
  void detach() && {
    detail::task_state* s = &state();
    std::move(*this).then([s](future f) {
      if (std::exception_ptr e = f.exception()) s->report(std::move(e));
    });
  }

  // In any coroutine: T value = co_await pool.submit(f, x). Returns or throws as get() does, and
  // goes on upon the callback thread, or at once if the task is done. Consumes the future.
  auto operator co_await() && {
    state();
    return detail::future_awaiter<future>(std::move(*this));
  }

  // Moves the result to where several may read it.
  shared_future<T> share() { return shared_future<T>(std::move(*this)); }

  // For the library: what this future refers to.
  detail::task_state* native_state() const noexcept { return state_.get(); }

 private:
  detail::task_state& state() const {
    if (!state_) detail::throw_no_state();
    return *state_;
  }
  detail::task_status status() const { return state().status(); }

  T take(detail::outcome_view o) { return detail::take_result<T>(std::move(state_), std::move(o)); }

  detail::state_ptr state_;
};

// Copyable; all members may be called from several threads. Blocks as future<T> does.
template <class T>
class shared_future {
 public:
  shared_future() noexcept = default;
  explicit shared_future(future<T> f) : shared_(std::make_shared<shared>(std::move(f))) {}

  // The value lives as long as any copy of this shared_future. Throws the task's error each time.
  std::conditional_t<std::is_void_v<T>, void, std::add_lvalue_reference_t<const T>> get() const {
    shared& s = state();
    s.source.wait();
    const std::lock_guard lock(s.mutex);
    if (!s.taken) {
      s.error = s.source.exception();
      if constexpr (std::is_void_v<T>) {
        s.value = !s.error;
      } else {
        if (!s.error) s.decode();
      }
      s.taken = true;
    }
    if (s.error) std::rethrow_exception(s.error);
    if constexpr (!std::is_void_v<T>) return *s.value;
  }
  // Blocks until the task is done; null when it has a value.
  std::exception_ptr exception() const {
    shared& s = state();
    s.source.wait();
    const std::lock_guard lock(s.mutex);
    return s.source.exception();
  }
  void wait() const { state().source.wait(); }
  std::future_status wait_for(duration d) const { return state().source.wait_for(d); }
  std::future_status wait_until(time_point t) const { return state().source.wait_until(t); }
  bool valid() const noexcept { return shared_ != nullptr; }
  bool done() const { return state().source.done(); }
  bool running() const { return state().source.running(); }
  bool cancelled() const { return state().source.cancelled(); }
  bool cancel(cancel_mode mode = cancel_mode::pending) const { return state().source.cancel(mode); }

  // For the library: what it refers to; null if it holds no task.
  detail::task_state* native_state() const noexcept {
    return shared_ ? shared_->source.native_state() : nullptr;
  }

 private:
  struct shared {
    explicit shared(future<T> f) : source(std::move(f)) {}
    // The source stays valid, so that other threads may go on asking it.
    void decode() {
      detail::task_state* t = source.native_state();
      const detail::outcome_view o = t->pin();
      struct unpin {
        detail::task_state* t;
        ~unpin() { t->unpin(); }
      } guard{t};
      try {
        value.emplace(detail::take_value<T>(o));
      } catch (...) {
        value.reset();
        error = std::current_exception();
      }
    }
    std::mutex mutex;
    future<T> source;
    bool taken = false;
    std::exception_ptr error;
    std::conditional_t<std::is_void_v<T>, bool,
                       std::optional<std::conditional_t<std::is_void_v<T>, int, T>>>
        value{};
  };
  shared& state() const {
    if (!shared_) detail::throw_no_state();
    return *shared_;
  }
  std::shared_ptr<shared> shared_;
};

}  // namespace procpool
