// Futures as asynchronous operations of Asio, for any completion token.
//
//   #include <procpool/asio.hpp>
//   int x = co_await procpool::async(pool.submit(f, 20), boost::asio::use_awaitable);
//
// With Boost.Asio where its headers are found, otherwise, or with the macro
// PROCPOOL_STANDALONE_ASIO, with standalone Asio. Not part of procpool/procpool.hpp.
//
// The operation completes on the token's associated executor, on which it keeps work outstanding,
// with (std::exception_ptr, T), or just the first for void; without an associated executor on
// procpool's callback thread. Where T has no default constructor it is a std::optional<T>, empty
// with an error. Since Asio 1.19 (Boost 1.77) the token's cancellation slot is heard: total and
// partial cancellation are cancel(), terminal is cancel(cancel_mode::kill_running).
#pragma once

#if !defined(PROCPOOL_STANDALONE_ASIO) && !__has_include(<boost/asio/version.hpp>)
#define PROCPOOL_STANDALONE_ASIO
#endif

#ifdef PROCPOOL_STANDALONE_ASIO
#include <asio/associated_allocator.hpp>
#include <asio/associated_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/dispatch.hpp>
#include <asio/execution/executor.hpp>
#include <asio/execution_context.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/is_executor.hpp>
#include <asio/post.hpp>
#include <asio/version.hpp>
#define PROCPOOL_ASIO_CANCELS (ASIO_VERSION >= 101900)
#if PROCPOOL_ASIO_CANCELS
#include <asio/associated_cancellation_slot.hpp>
#endif
#else
#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/execution/executor.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/is_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/version.hpp>
#define PROCPOOL_ASIO_CANCELS (BOOST_ASIO_VERSION >= 101900)
#if PROCPOOL_ASIO_CANCELS
#include <boost/asio/associated_cancellation_slot.hpp>
#endif
#endif

#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include "procpool/future.hpp"
#include "procpool/via.hpp"

namespace procpool {

// A program may use both, in different files.
#ifdef PROCPOOL_STANDALONE_ASIO
inline namespace with_standalone_asio {
namespace asio_library = ::asio;
#else
inline namespace with_boost_asio {
namespace asio_library = ::boost::asio;
#endif

namespace asio_detail {

namespace lib = asio_library;

// The signature of the operation's completion, and how a handler is called.
template <class T>
struct completion {
  static constexpr bool by_value = std::is_default_constructible_v<T>;
  using argument = std::conditional_t<by_value, T, std::optional<T>>;
  using signature = void(std::exception_ptr, argument);

  template <class Handler>
  static void call(Handler& handler, future<T>& done) {
    std::exception_ptr error;
    std::optional<T> value;
    try {
      value.emplace(done.get());
    } catch (...) {
      error = std::current_exception();
    }
    if constexpr (by_value) {
      std::move(handler)(std::move(error), value ? std::move(*value) : T());
    } else {
      std::move(handler)(std::move(error), std::move(value));
    }
  }
};
template <>
struct completion<void> {
  using signature = void(std::exception_ptr);
  template <class Handler>
  static void call(Handler& handler, future<void>& done) {
    std::exception_ptr error;
    try {
      done.get();
    } catch (...) {
      error = std::current_exception();
    }
    std::move(handler)(std::move(error));
  }
};

// What the executor runs at the end. It is there that the value is decoded.
template <class T, class Handler>
class delivery {
 public:
  delivery(Handler handler, future<T> done)
      : handler_(std::move(handler)), done_(std::move(done)) {}

  using allocator_type = lib::associated_allocator_t<Handler>;
  allocator_type get_allocator() const noexcept { return lib::get_associated_allocator(handler_); }

  void operator()() {
#if PROCPOOL_ASIO_CANCELS
    lib::get_associated_cancellation_slot(handler_).clear();
#endif
    completion<T>::call(handler_, done_);
  }

 private:
  Handler handler_;
  future<T> done_;
};

#if PROCPOOL_ASIO_CANCELS
template <class Handler>
void connect_cancellation(const Handler& handler, detail::task_state& task) {
  auto slot = lib::get_associated_cancellation_slot(handler);
  if (!slot.is_connected()) return;
  task.retain();
  slot.assign([held = detail::state_ptr(&task)](lib::cancellation_type type) {
    using kind = lib::cancellation_type;
    if (type != kind::none) held->cancel((type & kind::terminal) != kind::none);
  });
}
#endif

template <class T>
struct initiation {
  template <class Handler>
  void operator()(Handler&& token_handler, future<T> f) const {
    using handler_type = std::decay_t<Handler>;
    handler_type handler(std::forward<Handler>(token_handler));
    auto work = lib::make_work_guard(lib::get_associated_executor(handler));
#if PROCPOOL_ASIO_CANCELS
    connect_cancellation(handler, *f.native_state());
#endif
    std::move(f).then(
        [work = std::move(work), handler = std::move(handler)](future<T> done) mutable {
          const auto executor = work.get_executor();
          lib::dispatch(executor, delivery<T, handler_type>(std::move(handler), std::move(done)));
        });
  }
};

template <class E>
inline constexpr bool is_executor = lib::is_executor<E>::value || lib::execution::is_executor_v<E>;
template <class E>
concept runs_coroutines = is_executor<std::remove_cvref_t<E>> ||
                          std::is_base_of_v<lib::execution_context, std::remove_cvref_t<E>>;

// Target of via().
template <class Executor>
struct work_and_post {
  lib::executor_work_guard<Executor> work;
  void operator()(const detail::wake_up& w) { lib::post(work.get_executor(), w); }
};

}  // namespace asio_detail

// Starts an operation that completes when the task does. Does not block, and does not complete
// before it returns. Throws invalid_state_error if the future holds no task.
template <class T, class CompletionToken>
auto async(future<T> f, CompletionToken&& token) {
  if (!f.valid()) detail::throw_no_state();
  return asio_library::async_initiate<CompletionToken,
                                      typename asio_detail::completion<T>::signature>(
      asio_detail::initiation<T>{}, token, std::move(f));
}

// procpool/via.hpp for Asio's executors and execution contexts: keeps work outstanding meanwhile.
template <class E, class T>
  requires asio_detail::runs_coroutines<E>
auto via(E&& executor, future<T> f) {
  auto work = asio_library::make_work_guard(executor);
  using target = asio_detail::work_and_post<typename decltype(work)::executor_type>;
  return detail::via_awaitable<T, target>(std::move(f), target{std::move(work)});
}

}  // namespace with_boost_asio / with_standalone_asio
}  // namespace procpool
