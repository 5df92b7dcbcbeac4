// any_executor: refers to an executor of any kind, where the kind is known at run time only.
//
//   procpool::any_executor e = remote ? procpool::any_executor(processes) : io;
//   e.submit(resize, image);
//
// Tasks and values must meet the rules for processes, whichever executor it refers to. A value that
// is cheap to copy; the executor must outlive it. Several threads may call all members at once.
#pragma once

#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "procpool/detail/executor/byte_tasks.hpp"
#include "procpool/detail/executor/thread_tasks.hpp"
#include "procpool/executor.hpp"
#include "procpool/stats.hpp"

namespace procpool {

namespace detail {

// A reference to one of the two kinds of pools.
struct any_target {
  any_target(task_target to) : bytes(to) {}
  any_target(const thread_pool_ptr& pool) : threads(&pool) {}
  task_target bytes;
  const thread_pool_ptr* threads = nullptr;
};

// Checks a task as bytes, and packs it for the executor that runs it.
struct any_tasks {
  using target = any_target;
  template <class F, class... Args>
  using call = byte_tasks::call<F, Args...>;
  template <class F, class... Args>
  using result = byte_tasks::result<F, Args...>;

  template <class F, class... Args>
  static state_ptr submit(const target& to, const task_options* options, bool may_wait, F& f,
                          Args&&... args) {
    if (to.threads == nullptr) {
      return byte_tasks::submit<F, Args...>(to.bytes, options, may_wait, f,
                                            std::forward<Args>(args)...);
    }
    static_assert(std::is_same_v<result<F, Args...>, thread_tasks::result<F, Args...>>);
    return thread_tasks::submit<F, Args...>(*to.threads, options, may_wait, f,
                                            std::forward<Args>(args)...);
  }

  template <class F, class... Args>
  using broadcast_result = byte_tasks::broadcast_result<F, Args...>;
  template <class F, class... Args>
  static std::vector<state_ptr> broadcast(const target& to, F& f, const Args&... args) {
    if (to.threads == nullptr) return byte_tasks::broadcast<F, Args...>(to.bytes, f, args...);
    static_assert(
        std::is_same_v<broadcast_result<F, Args...>, thread_tasks::broadcast_result<F, Args...>>);
    return thread_tasks::broadcast<F, Args...>(*to.threads, f, args...);
  }

  template <class F, class... Views>
  static auto make_source(const target& to, map_options options, F f, Views... views) {
    if (to.threads == nullptr) {
      return byte_tasks::make_source(to.bytes, std::move(options), std::move(f),
                                     std::move(views)...);
    }
    return thread_tasks::make_source(*to.threads, std::move(options), std::move(f),
                                     std::move(views)...);
  }
};

}  // namespace detail

class any_executor : public basic_executor<any_executor, detail::any_tasks> {
 public:
  // Any executor of this library; another any_executor is copied.
  template <class E>
    requires(!std::is_same_v<E, any_executor> &&
             requires(E& e) {
               detail::any_target(e.native_target());
               e.shutdown(shutdown_options{});
               e.max_workers();
               e.stats();
             })
  any_executor(E& executor) noexcept  // implicit, as a reference is
      : executor_(std::addressof(executor)), does_(&actions_of<E>) {}

  using basic_executor::shutdown;
  // Of the executor that it refers to, which other any_executors may refer to as well.
  void shutdown(shutdown_options options = {}) { does_->shutdown(executor_, options); }
  // Of the executor that it refers to.
  int max_workers() const { return does_->max_workers(executor_); }
  pool_stats stats() const { return does_->stats(executor_); }

  // For the library: where tasks go.
  detail::any_target native_target() const { return does_->target(executor_); }

 private:
  struct actions {
    void (*shutdown)(void*, const shutdown_options&);
    int (*max_workers)(void*);
    pool_stats (*stats)(void*);
    detail::any_target (*target)(void*);
  };
  template <class E>
  static constexpr actions actions_of{
      [](void* e, const shutdown_options& o) { static_cast<E*>(e)->shutdown(o); },
      [](void* e) { return static_cast<E*>(e)->max_workers(); },
      [](void* e) { return static_cast<E*>(e)->stats(); },
      [](void* e) { return detail::any_target(static_cast<E*>(e)->native_target()); }};

  void* executor_;
  const actions* does_;
};

}  // namespace procpool
