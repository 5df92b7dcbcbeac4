// Futures as asynchronous operations of Asio, for any completion token.
//
//   #include <procpool/asio.hpp>
//   int x = co_await procpool::async(pool.submit(f, 20), boost::asio::use_awaitable);
//
// Uses Boost.Asio if its headers are found; otherwise, or with the macro PROCPOOL_STANDALONE_ASIO,
// standalone Asio. Not part of procpool/procpool.hpp.
//
// The operation completes on the token's associated executor, on which it keeps work outstanding;
// without an associated executor, on procpool's callback thread. Its handler gets
// (std::exception_ptr, T), or only the exception_ptr for void. If T has no default constructor, the
// second argument is a std::optional<T>, which is empty if there is an error. A context that is
// destroyed destroys the handlers of outstanding operations. Since Asio 1.19 (Boost 1.77) the
// token's cancellation slot works: total and partial cancellation call cancel(), terminal
// cancellation calls cancel(cancel_mode::kill_running).
#pragma once

#if !defined(PROCPOOL_STANDALONE_ASIO) && !__has_include(<boost/asio/version.hpp>)
#define PROCPOOL_STANDALONE_ASIO
#endif

#ifdef PROCPOOL_STANDALONE_ASIO
#include <asio/associated_allocator.hpp>
#include <asio/associated_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/dispatch.hpp>
#include <asio/execution/context.hpp>
#include <asio/execution/executor.hpp>
#include <asio/execution_context.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/is_executor.hpp>
#include <asio/post.hpp>
#include <asio/query.hpp>
#include <asio/system_executor.hpp>
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
#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution/executor.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/is_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/system_executor.hpp>
#include <boost/asio/version.hpp>
#define PROCPOOL_ASIO_CANCELS (BOOST_ASIO_VERSION >= 101900)
#if PROCPOOL_ASIO_CANCELS
#include <boost/asio/associated_cancellation_slot.hpp>
#endif
#endif

#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <variant>

#include "procpool/errors.hpp"
#include "procpool/future.hpp"
#include "procpool/via.hpp"

namespace procpool {

// A program may use both libraries, in different files.
#ifdef PROCPOOL_STANDALONE_ASIO
inline namespace with_standalone_asio {
namespace asio_library = ::asio;
#else
inline namespace with_boost_asio {
namespace asio_library = ::boost::asio;
#endif

namespace asio_detail {

namespace lib = asio_library;

// The signature of the operation's completion, and how its handler is called.
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

// The function that the executor runs when the task is done. It decodes the value.
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

// The outstanding operations of one context. When the context ends, so do these operations: their
// handlers are destroyed, as Asio destroys its own, and a task that is done later finds no handler.
class outstanding {
 public:
  class operation : public std::enable_shared_from_this<operation> {
   public:
    virtual ~operation() = default;
    virtual void abandon() noexcept = 0;
  };

  // Returns false if the context has ended: then the caller destroys its handler.
  bool add(const std::shared_ptr<operation>& o) {
    const std::lock_guard lock(mutex_);
    if (!over_) operations_.emplace(o.get(), o);
    return !over_;
  }
  // Calls f while keeping the context alive. Returns false if the context has ended.
  template <class F>
  bool finish(operation& o, F f) {
    const std::lock_guard lock(mutex_);
    if (operations_.erase(&o) == 0) return false;
    f();
    return true;
  }
  void abandon_all() noexcept {
    std::unique_lock lock(mutex_);
    over_ = true;
    const auto all = std::move(operations_);
    operations_.clear();
    lock.unlock();
    for (const auto& [address, o] : all) o->abandon();
  }

 private:
  std::mutex mutex_;
  std::unordered_map<operation*, std::shared_ptr<operation>> operations_;
  bool over_ = false;
};

// The service by which the context's end is noticed.
class context_service final : public lib::execution_context::service {
 public:
  using key_type = context_service;
  static inline lib::execution_context::id id;
  explicit context_service(lib::execution_context& c)
      : service(c), operations_(std::make_shared<outstanding>()) {}
  const std::shared_ptr<outstanding>& operations() const { return operations_; }

 private:
  void shutdown() override { operations_->abandon_all(); }
  std::shared_ptr<outstanding> operations_;
};

// Whether an executor belongs to a context that may end. The system executor does not, nor does
// that of use_future.
template <class Executor>
inline constexpr bool has_context = [] {
  if constexpr (std::is_same_v<Executor, lib::system_executor>) {
    return false;
  } else if constexpr (lib::execution::is_executor_v<Executor>) {
    return lib::can_query_v<const Executor&, lib::execution::context_t>;
  } else {
    return true;
  }
}();

template <class Executor>
std::shared_ptr<outstanding> operations_of(const Executor& e) {
  if constexpr (lib::execution::is_executor_v<Executor>) {
    lib::execution_context& context = lib::query(e, lib::execution::context);
    return lib::use_service<context_service>(context).operations();
  } else {
    return lib::use_service<context_service>(e.context()).operations();
  }
}

// One operation: outstanding work on the executor, and the function that is posted there when the
// task is done.
template <class Executor, class Held>
class posted final : public outstanding::operation {
 public:
  static std::shared_ptr<posted> make(const Executor& e, Held held) {
    auto made = std::make_shared<posted>(e, std::move(held));
    if (!made->all_->add(made)) made->abandon();
    return made;
  }
  posted(const Executor& e, Held held)
      : all_(operations_of(e)), parts_(parts{lib::make_work_guard(e), std::move(held)}) {}

  // Returns false if the context has ended.
  template <class MakeFunction>
  bool post(MakeFunction make) {
    const auto self = this->shared_from_this();
    return all_->finish(*this, [&] {
      lib::post(parts_->work.get_executor(), make(parts_->held));
      parts_.reset();
    });
  }
  void forget() {
    all_->finish(*this, [] {});
  }
  void abandon() noexcept override { parts_.reset(); }

 private:
  struct parts {
    lib::executor_work_guard<Executor> work;
    Held held;
  };
  std::shared_ptr<outstanding> all_;
  std::optional<parts> parts_;
};

template <class T>
struct initiation {
  template <class Handler>
  void operator()(Handler&& token_handler, future<T> f) const {
    using handler_type = std::decay_t<Handler>;
    using executor_type = lib::associated_executor_t<handler_type>;
    handler_type handler(std::forward<Handler>(token_handler));
    const executor_type executor = lib::get_associated_executor(handler);
#if PROCPOOL_ASIO_CANCELS
    connect_cancellation(handler, *f.native_state());
#endif
    if constexpr (!has_context<executor_type>) {
      auto work = lib::make_work_guard(executor);
      std::move(f).native_then(
          [work = std::move(work), handler = std::move(handler)](future<T> done) mutable {
            lib::dispatch(work.get_executor(),
                          delivery<T, handler_type>(std::move(handler), std::move(done)));
          });
    } else {
      const auto operation =
          posted<executor_type, handler_type>::make(executor, std::move(handler));
      try {
        std::move(f).native_then([operation](future<T> done) {
          operation->post([&](handler_type& h) {
            return delivery<T, handler_type>(std::move(h), std::move(done));
          });
        });
      } catch (...) {
        operation->forget();
        throw;
      }
    }
  }
};

template <class E>
inline constexpr bool is_executor = lib::is_executor<E>::value || lib::execution::is_executor_v<E>;
template <class E>
concept runs_coroutines = is_executor<std::remove_cvref_t<E>> ||
                          std::is_base_of_v<lib::execution_context, std::remove_cvref_t<E>>;

// The target of via().
template <class Executor>
class work_and_post {
 public:
  explicit work_and_post(const Executor& e)
      : operation_(posted<Executor, std::monostate>::make(e, {})) {}
  work_and_post(work_and_post&&) noexcept = default;
  ~work_and_post() {
    if (operation_) operation_->forget();
  }
  void operator()(const detail::wake_up& w) {
    if (operation_->post([&](std::monostate) { return w; })) return;
    throw cancelled_error("the Asio context that should resume this coroutine is gone");
  }

 private:
  std::shared_ptr<posted<Executor, std::monostate>> operation_;
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

// As procpool/via.hpp, for Asio's executors and execution contexts: keeps work outstanding until
// the coroutine resumes.
template <class E, class T>
  requires asio_detail::runs_coroutines<E>
auto via(E&& executor, future<T> f) {
  using type = std::remove_cvref_t<E>;
  if constexpr (asio_detail::is_executor<type>) {
    using target =
        std::conditional_t<asio_detail::has_context<type>, asio_detail::work_and_post<type>,
                           detail::executor_copy<type>>;
    return detail::via_awaitable<T, target>(std::move(f), target{executor});
  } else {
    return via(executor.get_executor(), std::move(f));
  }
}

}  // namespace with_boost_asio / with_standalone_asio
}  // namespace procpool
