// promise<T>: a future<T> that the program itself resolves, for example from a callback of another
// library; wait, as_completed and completion_queue take such futures together with those of
// executors.
//
//   procpool::promise<reply> p;
//   client.ask(question, [&p](reply r) { p.set_value(std::move(r)); });
//   reply r = p.get_future().get_for(2s);
//
// As std::promise: movable, one owner; several threads may set it at once, and the first one wins.
// A promise cannot be set once its future was cancelled.
#pragma once

#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

#include "procpool/detail/task/local_task.hpp"
#include "procpool/future.hpp"

namespace procpool {

namespace detail {

enum class promise_misuse { no_state, future_taken, already_set, no_error };
[[noreturn]] PROCPOOL_EXPORT void throw_misuse(promise_misuse what);
PROCPOOL_EXPORT std::exception_ptr broken_promise();

}  // namespace detail

template <class T>
class promise {
  static_assert(!std::is_reference_v<T>, "procpool: the value of a future is no reference");

 public:
  promise() : state_(new detail::local_value<T>(nullptr)) { state_->retain_object(); }
  promise(promise&& other) noexcept
      : state_(std::exchange(other.state_, nullptr)), taken_(other.taken_) {}
  promise& operator=(promise&& other) noexcept {
    promise moved(std::move(other));
    std::swap(state_, moved.state_);
    std::swap(taken_, moved.taken_);
    return *this;
  }
  // If the promise is never set, its future throws invalid_state_error.
  ~promise() {
    if (state_ == nullptr) return;
    if (!taken_) state_->release();
    state_->fail(detail::broken_promise());
    state_->release_object();
  }

  // May be called once; then throws invalid_state_error.
  [[nodiscard]] future<T> get_future() {
    if (state_ == nullptr) detail::throw_misuse(detail::promise_misuse::no_state);
    if (std::exchange(taken_, true)) detail::throw_misuse(detail::promise_misuse::future_taken);
    return future<T>(detail::state_ptr(state_));  // the first owner
  }

  // Throw invalid_state_error if the promise is already set or cancelled, and exceptions of T's
  // constructor: then it is not set. Do not block.
  template <class U = T>
    requires(!std::is_void_v<T> && std::is_constructible_v<T, U &&>)
  void set_value(U&& value) {
    set([&] { state_->set_value(std::forward<U>(value)); });
  }
  void set_value()
    requires(std::is_void_v<T>)
  {
    set([] {});
  }
  // Throws std::invalid_argument for a null pointer, too.
  void set_exception(std::exception_ptr error) {
    if (!error) detail::throw_misuse(detail::promise_misuse::no_error);
    set([&] { state_->set_error(std::move(error)); });
  }

 private:
  template <class Keep>
  void set(Keep keep) {
    if (state_ == nullptr) detail::throw_misuse(detail::promise_misuse::no_state);
    if (!state_->begin()) detail::throw_misuse(detail::promise_misuse::already_set);
    try {
      keep();
    } catch (...) {
      state_->give_up();
      throw;
    }
    // A thread that sees the value may destroy this promise before finish() returns.
    detail::local_task* const state = state_;
    state->retain_object();
    state->finish();
    state->release_object();
  }

  detail::local_value<T>* state_;
  bool taken_ = false;
};

}  // namespace procpool
