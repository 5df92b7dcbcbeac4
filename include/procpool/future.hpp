// future<T>: the result of one task, and shared_future<T>, a result with several readers.
//
// A future has one owner, like std::future; it outlives its executor and always resolves: with the
// task's value, the task's exception, worker_crashed, cancelled_error or broken_process_pool.
// Destroying a future neither cancels nor waits. Any thread may call done(), running(), cancelled()
// and cancel() while another waits; all other members belong to the owner.
// The semantics are those of Python's concurrent.futures.Future, with the differences that
// docs/differences.md lists.
#pragma once

#include <optional>
#include <type_traits>
#include <utility>

#include "procpool/cancel.hpp"
#include "procpool/detail/std/future_status.hpp"
#include "procpool/detail/std/memory.hpp"
#include "procpool/detail/std/mutex.hpp"
#include "procpool/detail/task/awaiter.hpp"
#include "procpool/detail/task/continuation.hpp"
#include "procpool/detail/task/outcome_value.hpp"
#include "procpool/detail/task/task_state.hpp"

namespace procpool {

template <class T>
class future;
template <class T>
class shared_future;

namespace detail {

template <class T>
class droppable_future;
template <class Source, class F>
concept returns_nothing =
    continue_with<Source, F>::fits && std::is_void_v<typename continue_with<Source, F>::result>;

}  // namespace detail

template <class T>
class [[nodiscard]] future {
 public:
  using value_type = T;

  // A future without a task: valid() is false.
  future() noexcept = default;
  explicit future(detail::state_ptr state) noexcept : state_(std::move(state)) {}

  // Blocks until the task is done; returns its value or throws its error. Consumes the future.
  // Throws invalid_state_error if it holds no task.
  T get() { return take(state().wait_and_pin()); }
  // The same with a time limit: then timeout_error, and the future stays valid.
  T get_for(duration d) { return get_until(detail::deadline_after(d)); }
  // The same with a point in time.
  T get_until(time_point t) {
    if (!state().wait_until(&t)) detail::throw_wait_timeout();
    return take(state().pin());
  }

  // Blocks until the task is done; never throws the task's error.
  void wait() const { state().wait_until(nullptr); }
  // The same with a time limit: returns std::future_status::ready or timeout.
  std::future_status wait_for(duration d) const { return wait_until(detail::deadline_after(d)); }
  // The same with a point in time.
  std::future_status wait_until(time_point t) const {
    return detail::wait_status(state().wait_until(&t));
  }

  // Blocks until the task is done; returns its error, null when it has a value. Does not consume.
  std::exception_ptr exception() const {
    state().wait_until(nullptr);
    std::exception_ptr e = state().pin().error;
    state().unpin();
    return e;
  }

  // Whether it holds a task: not after get(), then() or a move.
  bool valid() const noexcept { return state_ != nullptr; }
  // A cancelled task counts as done.
  bool done() const { return status() >= detail::task_status::cancelled; }
  // True only once a worker has started the task.
  bool running() const { return status() == detail::task_status::running; }
  // Whether the task has no result since it was cancelled.
  bool cancelled() const { return status() == detail::task_status::cancelled; }

  // True if the task is cancelled now or was already. Does not block. With kill_running the task
  // may resolve a moment later, when its worker is gone; if the worker cannot be killed, since it
  // runs as another user, at the end of the task.
  bool cancel(cancel_mode mode = cancel_mode::pending) {
    return state().cancel(mode == cancel_mode::kill_running);
  }

  // Calls callback(const future<T>&) on the callback thread once the task is done, even if it is
  // done already. Callbacks run one after another; an exception of a callback goes to
  // pool_options::on_error.
  template <class F>
  void on_done(F f) const {
    static_assert(std::is_invocable_v<F&, const future&>,
                  "on_done needs a callback that can be called with const future<T>&");
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

  // Consumes the future: calls f on the callback thread once the task is done, and returns the
  // future of f's result (a reference is copied). f takes the future<T>, with the task's value or
  // error; or only the value (nothing for future<void>), and then f is not called for a task that
  // failed: the returned future has the task's error. If f returns nothing, the returned future may
  // be dropped; an error that no get() reads goes to pool_options::on_error. Cancelling the
  // returned future prevents the call of f, and does not cancel the task. While f runs, other
  // callbacks wait: submit long work to an executor.
  template <class F>
    requires(!detail::returns_nothing<future, F>)
  [[nodiscard]] auto then(F f) && {
    using next = detail::continue_with<future, F>;
    static_assert(next::fits,
                  "then needs a callback that can be called with future<T>, or with its value");
    state();
    return future<typename next::result>(next::start(std::move(*this), std::move(f)));
  }
  template <class F>
    requires detail::returns_nothing<future, F>
  auto then(F f) && {
    using next = detail::continue_with<future, F>;
    state();
    return detail::droppable_future<typename next::result>(
        next::start(std::move(*this), std::move(f)));
  }

  // Gives up the result: an error of the task goes to pool_options::on_error.
  void detach() && {
    detail::task_state* s = &state();
    std::move(*this).native_then([s](future f) {
      if (std::exception_ptr e = f.exception()) s->report(std::move(e));
    });
  }

  // In any coroutine: T value = co_await pool.submit(f, x). Returns or throws as get() does.
  // Resumes on the callback thread; does not suspend if the task is already done. Consumes the
  // future.
  auto operator co_await() && {
    state();
    return detail::future_awaiter<future>(std::move(*this));
  }

  // Consumes the future; the result can then have several readers.
  shared_future<T> share() { return shared_future<T>(std::move(*this)); }

  // For the library: what this future refers to.
  detail::task_state* native_state() const noexcept { return state_.get(); }
  // For the library: calls f(future<T>) on the callback thread, and makes no future of it.
  template <class F>
  void native_then(F f) && {
    struct call final : detail::callback {
      call(future s, F g) : source(std::move(s)), fn(std::move(g)) {}
      void run() override { fn(std::move(source)); }
      future source;
      F fn;
    };
    detail::task_state& s = state();
    detail::run_when_done(s, std::make_unique<call>(std::move(*this), std::move(f)));
  }

 private:
  detail::task_state& state() const {
    if (!state_) detail::throw_no_state();
    return *state_;
  }
  detail::task_status status() const { return state().status(); }

  T take(detail::outcome_view o) { return detail::take_result<T>(std::move(state_), std::move(o)); }

  detail::state_ptr state_;
};

namespace detail {

// The future of a callback that returns nothing: a future<void> that may be dropped.
template <class T>
class droppable_future : public future<T> {
 public:
  using future<T>::future;
};

}  // namespace detail

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
  // Blocks until the task is done; returns its error, null when it has a value.
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

  // As the function of the same name of future<T>, but f takes the shared_future<T>, or const T&,
  // or nothing for shared_future<void>; and this shared_future stays valid.
  template <class F>
    requires(!detail::returns_nothing<shared_future, F>)
  [[nodiscard]] auto then(F f) const {
    using next = detail::continue_with<shared_future, F>;
    static_assert(next::fits,
                  "then needs a callback that can be called with shared_future<T>, or with its "
                  "value");
    state();
    return future<typename next::result>(next::start(*this, std::move(f)));
  }
  template <class F>
    requires detail::returns_nothing<shared_future, F>
  auto then(F f) const {
    using next = detail::continue_with<shared_future, F>;
    state();
    return detail::droppable_future<typename next::result>(next::start(*this, std::move(f)));
  }

  // For the library: what it refers to; null if it holds no task.
  detail::task_state* native_state() const noexcept {
    return shared_ ? shared_->source.native_state() : nullptr;
  }

 private:
  struct shared {
    explicit shared(future<T> f) : source(std::move(f)) {}
    // The source stays valid, so that other threads may still ask it.
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
