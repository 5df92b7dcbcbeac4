// The result of future::then: a callback on the future of one task, and the future of the
// callback's result. The callback runs on the callback thread; any thread may use the future, as
// with the future of a task.
#pragma once

#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include "procpool/detail/task/call_function.hpp"
#include "procpool/detail/task/local_task.hpp"
#include "procpool/detail/task/task_state.hpp"
#include "procpool/errors.hpp"

namespace procpool::detail {

// The state of the callback's future. If the callback returns void, its future is often dropped, so
// an unobserved error is reported to the error handler of the task's executor.
template <class R>
class continuation final : public local_value<R> {
 public:
  explicit continuation(task_state& source) : local_value<R>(nullptr) {
    if constexpr (std::is_void_v<R>) {
      source.retain();
      reporter_.reset(&source);
    }
  }

  // Runs f and resolves this future, unless it was cancelled.
  template <class F>
  void resolve(F&& f) noexcept {
    if (!this->begin()) return;
    try {
      if constexpr (std::is_void_v<R>) {
        std::forward<F>(f)();
      } else {
        this->set_value(std::forward<F>(f)());
      }
      reporter_.reset();
    } catch (...) {
      this->set_error(std::current_exception());
    }
    this->drop_if_unwanted();
    this->finish();
  }

  // The callback will never run; only the owner of the future learns of it.
  void abandon() noexcept {
    reporter_.reset();
    try {
      throw cancelled_error("the callback was never run: the program ends");
    } catch (...) {
      this->fail(std::current_exception());
    }
  }

  // Called only by the owner of the future, which has observed the error from here on.
  outcome_view pin() override {
    reporter_.reset();
    return local_value<R>::pin();
  }

 private:
  ~continuation() override { report_unasked(); }
  void drop_outcome() noexcept override {
    report_unasked();
    local_value<R>::drop_outcome();
  }
  void report_unasked() noexcept {
    if (reporter_ && this->error_ && this->home().is_here()) reporter_->report(this->error_);
    reporter_.reset();
  }

  state_ptr reporter_;
};

// Calls f(source) or, if f takes the value, f(source.get()): then an error of the task skips f and
// becomes the error of the continuation.
template <class Source, class F>
struct continue_with {
  static constexpr bool takes_source = std::is_invocable_v<F&, Source>;
  using value = decltype(std::declval<Source&>().get());
  static consteval bool takes_value() {
    if constexpr (std::is_void_v<value>) {
      return std::is_invocable_v<F&>;
    } else {
      return std::is_invocable_v<F&, value>;
    }
  }
  static constexpr bool fits = takes_source || takes_value();

  static decltype(auto) call(Source source, F& f) {
    if constexpr (takes_source) {
      return detail::call_function(f, std::move(source));
    } else if constexpr (std::is_void_v<value>) {
      source.get();
      return detail::call_function(f);
    } else {
      return detail::call_function(f, source.get());
    }
  }
  static consteval auto find_result() {
    if constexpr (fits) {
      return std::type_identity<
          std::decay_t<decltype(call(std::declval<Source>(), std::declval<F&>()))>>{};
    } else {
      return std::type_identity<void>{};  // an error that has been reported already
    }
  }
  using result = typename decltype(find_result())::type;

  class callback final : public detail::callback {
   public:
    callback(Source source, F f) : call_(std::in_place, std::move(source), std::move(f)) {}
    // Dropped without having run, at the end of the program: the future is resolved anyway.
    ~callback() override {
      if (to_ == nullptr) return;
      to_->abandon();
      to_->release_object();
    }
    // The returned pointer is the only owner of the future that this callback resolves.
    state_ptr make_future(task_state& source) {
      to_ = new continuation<result>(source);
      to_->retain_object();
      return state_ptr(to_);
    }
    void run() override {
      to_->resolve([this]() -> result {
        // Destroyed before any thread sees that the continuation is done.
        std::pair<Source, F> here = std::move(*call_);
        call_.reset();
        return call(std::move(here.first), here.second);
      });
      std::exchange(to_, nullptr)->release_object();
    }

   private:
    std::optional<std::pair<Source, F>> call_;
    continuation<result>* to_ = nullptr;
  };

  static state_ptr start(Source source, F f) {
    task_state& s = *source.native_state();
    auto what = std::make_unique<callback>(std::move(source), std::move(f));
    state_ptr future = what->make_future(s);
    run_when_done(s, std::move(what));
    return future;
  }
};

}  // namespace procpool::detail
