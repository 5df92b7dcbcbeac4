// via: co_await of a future that resumes on an executor of your choice.
//
//   int x = co_await procpool::via(executor, pool.submit(f, 20));
//
// The executor is anything with one of: execute(f), post(f), get_executor().execute(f), procpool's
// own submit(f) (threads only: a coroutine cannot resume in another process), or a call operator
// that takes f. A copyable executor is copied; any other must outlive the wait. If the executor
// throws when it is given f, co_await rethrows that exception; if it drops f without running it,
// co_await throws cancelled_error; both on the callback thread. For executors of Asio include
// procpool/asio.hpp, which also keeps their run() from returning meanwhile.
#pragma once

#include <type_traits>
#include <utility>

#include "procpool/detail/codec/type_list.hpp"
#include "procpool/detail/task/awaiter.hpp"
#include "procpool/future.hpp"

namespace procpool {

class process_pool_executor;

namespace detail {

template <class E>
void resume_on(E& e, const wake_up& w) {
  static_assert(!std::is_same_v<E, process_pool_executor>,
                "procpool: a coroutine cannot continue in a worker process: give via an executor "
                "of this process, such as a thread pool");
  if constexpr (requires { e.execute(w); }) {
    e.execute(w);
  } else if constexpr (requires { e.post(w); }) {
    e.post(w);
  } else if constexpr (requires { e.get_executor().execute(w); }) {
    e.get_executor().execute(w);
  } else if constexpr (requires { e.max_workers(); }) {
    // Cancelled by a shutdown, it would not run. What the coroutine lets out goes to on_error.
    e.submit(w).native_then([w](future<void> f) {
      const std::exception_ptr error = f.exception();
      if (!error || w.who()->wake_with(error) || f.cancelled()) return;
      std::rethrow_exception(error);
    });
  } else if constexpr (std::is_invocable_v<E&, const wake_up&>) {
    e(w);
  } else {
    static_assert(always_false<E>,
                  "procpool: via needs an executor: something with execute(f), post(f), "
                  "get_executor(), submit(f) or a call operator that takes a function");
  }
}

template <class E>
struct executor_copy {
  E executor;
  void operator()(const wake_up& w) { resume_on(executor, w); }
};
template <class E>
struct executor_pointer {
  E* executor;
  void operator()(const wake_up& w) { resume_on(*executor, w); }
};

// The result of via(): await it once.
template <class T, class Target>
class [[nodiscard]] via_awaitable {
 public:
  via_awaitable(future<T> f, Target t) : source_(std::move(f)), to_(std::move(t)) {
    if (!source_.valid()) throw_no_state();
  }
  auto operator co_await() && {
    return future_awaiter<future<T>, Target>(std::move(source_), std::move(to_));
  }

 private:
  future<T> source_;
  Target to_;
};

}  // namespace detail

// Awaits the future, and resumes on `executor`, even if the task is already done. Throws
// invalid_state_error if the future holds no task.
template <class E, class T>
auto via(E&& executor, future<T> f) {
  using type = std::remove_cvref_t<E>;
  if constexpr (std::is_constructible_v<type, E>) {
    using target = detail::executor_copy<type>;
    return detail::via_awaitable<T, target>(std::move(f), target{std::forward<E>(executor)});
  } else {
    static_assert(std::is_lvalue_reference_v<E>,
                  "procpool: this executor cannot be copied, so it cannot be a temporary");
    using target = detail::executor_pointer<std::remove_reference_t<E>>;
    return detail::via_awaitable<T, target>(std::move(f), target{&executor});
  }
}

}  // namespace procpool
