// The common interface of all executors: submit, map and the like, for generic code that runs its
// tasks on any executor.
//
//   template <procpool::executor E>
//   double total(E& e, const std::vector<double>& xs) {
//     return e.map_reduce(cost, std::plus<>{}, xs).value_or(0);
//   }
//
// The executors are process_pool_executor, thread_pool_executor, inline_executor and any_executor,
// which refers to one of the others. Several threads may call all members at once.
#pragma once

#include <concepts>
#include <initializer_list>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "procpool/detail/executor/map_reduce.hpp"
#include "procpool/detail/std/chrono.hpp"
#include "procpool/detail/task/thunks.hpp"
#include "procpool/future.hpp"
#include "procpool/map.hpp"
#include "procpool/options.hpp"

namespace procpool {

// The members that submit, of an executor `Self`. Not to be used by name.
template <class Self, class Tasks>
class basic_executor {
 public:
  // Runs f(args...) and returns a future<R>, R being what f returns. Does not wait for the task,
  // but a process pool waits for room: see pool_options::max_pending_bytes. Throws shutdown_error,
  // broken_executor, nested_use_error, and what copying (encoding) f and the arguments throws.
  template <class F = detail::overloaded_name, class... Args>
    requires detail::is_task<F>
  [[nodiscard]] auto submit(F f, Args&&... args) {
    return future<result<F, Args...>>(Tasks::template submit<F, Args...>(
        target(), nullptr, true, f, std::forward<Args>(args)...));
  }
  // The same with options for this task. Also throws std::invalid_argument for options out of
  // range, or not supported by this executor.
  template <class F = detail::overloaded_name, class... Args>
  [[nodiscard]] auto submit(const task_options& options, F f, Args&&... args) {
    return future<result<F, Args...>>(Tasks::template submit<F, Args...>(
        target(), &options, true, f, std::forward<Args>(args)...));
  }
  // As submit, without waiting for room: an empty optional where submit would wait.
  template <class F = detail::overloaded_name, class... Args>
    requires detail::is_task<F>
  [[nodiscard]] auto try_submit(F f, Args&&... args) {
    return if_any<result<F, Args...>>(Tasks::template submit<F, Args...>(
        target(), nullptr, false, f, std::forward<Args>(args)...));
  }
  template <class F, class... Args>
  [[nodiscard]] auto try_submit(const task_options& options, F f, Args&&... args) {
    return if_any<result<F, Args...>>(Tasks::template submit<F, Args...>(
        target(), &options, false, f, std::forward<Args>(args)...));
  }

  // Calls f for the elements of one or several ranges, zipped to the shortest; see
  // procpool/map.hpp. Work starts now and continues while results are read. Throws
  // std::invalid_argument for a chunksize or buffersize of 0.
  template <class F = detail::overloaded_name, class... Ranges>
    requires detail::is_task<F>
  [[nodiscard("dropping the results cancels the map: use for_each")]] auto map(F f,
                                                                               Ranges&&... ranges) {
    return map(map_options{}, std::move(f), std::forward<Ranges>(ranges)...);
  }
  template <class F, class... Ranges>
  [[nodiscard("dropping the results cancels the map: use for_each")]] auto map(map_options options,
                                                                               F f,
                                                                               Ranges&&... ranges) {
    return detail::make_map<Tasks, F>(target(), std::move(options), std::move(f),
                                      std::forward<Ranges>(ranges)...);
  }
  template <class F = detail::overloaded_name, class T>
    requires detail::is_task<F>
  [[nodiscard("dropping the results cancels the map: use for_each")]] auto map(
      F f, std::initializer_list<T> items) {
    return map(map_options{}, std::move(f), std::vector<T>(items));
  }
  template <class F, class T>
  [[nodiscard("dropping the results cancels the map: use for_each")]] auto map(
      map_options options, F f, std::initializer_list<T> items) {
    return map(std::move(options), std::move(f), std::vector<T>(items));
  }

  // Calls f for all elements and drops the results; blocks until all calls have run, then throws
  // the error of the lowest index, if there is one.
  template <class F = detail::overloaded_name, class... Ranges>
    requires detail::is_task<F>
  void for_each(F f, Ranges&&... ranges) {
    for_each(map_options{}, std::move(f), std::forward<Ranges>(ranges)...);
  }
  template <class F, class... Ranges>
  void for_each(map_options options, F f, Ranges&&... ranges) {
    detail::run_for_each<Tasks, F>(target(), std::move(options), std::move(f),
                                   std::forward<Ranges>(ranges)...);
  }
  template <class F = detail::overloaded_name, class T>
    requires detail::is_task<F>
  void for_each(F f, std::initializer_list<T> items) {
    for_each(map_options{}, std::move(f), std::vector<T>(items));
  }
  template <class F, class T>
  void for_each(map_options options, F f, std::initializer_list<T> items) {
    for_each(std::move(options), std::move(f), std::vector<T>(items));
  }

  // combine(... combine(f(x0), f(x1)) ..., f(xn)), in input order; an empty optional without
  // elements. The workers combine neighbouring results as they become available, so combine must be
  // associative. The grouping depends on the number of elements alone: floating point sums are the
  // same each time, whatever the number of workers or the chunksize. Blocks. Throws the first error
  // of f or combine, and cancels the rest; timeout_error after map_options::timeout.
  template <class F = detail::overloaded_name, class C, class... Ranges>
    requires detail::is_task<F>
  [[nodiscard]] auto map_reduce(F f, C combine, Ranges&&... ranges) {
    return map_reduce(map_options{}, std::move(f), std::move(combine),
                      std::forward<Ranges>(ranges)...);
  }
  template <class F, class C, class... Ranges>
  [[nodiscard]] auto map_reduce(const map_options& options, F f, C combine, Ranges&&... ranges) {
    return detail::run_map_reduce<Tasks>(target(), self().max_workers(), options, std::move(f),
                                         std::move(combine), std::forward<Ranges>(ranges)...);
  }
  template <class F = detail::overloaded_name, class C, class T>
    requires detail::is_task<F>
  [[nodiscard]] auto map_reduce(F f, C combine, std::initializer_list<T> items) {
    return map_reduce(map_options{}, std::move(f), std::move(combine), std::vector<T>(items));
  }
  template <class F, class C, class T>
  [[nodiscard]] auto map_reduce(const map_options& options, F f, C combine,
                                std::initializer_list<T> items) {
    return map_reduce(options, std::move(f), std::move(combine), std::vector<T>(items));
  }

  // The same as shutdown({.timeout = timeout}).
  template <class Rep, class Period>
  void shutdown(std::chrono::duration<Rep, Period> timeout) {
    self().shutdown(shutdown_options{.timeout = timeout});
  }

  // Calls f(args...) once in every worker (thread), all at the same time, so that the calls may
  // wait for each other at a barrier, and returns one future for each call. An inline_executor
  // calls it once. Tasks that were submitted before run first. Blocks until all workers are free
  // and have started the call; workers that are free earlier wait, and run nothing else meanwhile.
  // Throws as submit does, cancelled_error if a shutdown cancels it, and nested_use_error in a task
  // of the same executor.
  template <class F = detail::overloaded_name, class... Args>
    requires detail::is_task<F>
  [[nodiscard]] auto broadcast(F f, Args&&... args) {
    std::vector<future<typename Tasks::template broadcast_result<F, Args...>>> futures;
    std::vector<detail::state_ptr> tasks =
        Tasks::template broadcast<F, Args...>(target(), f, args...);
    futures.reserve(tasks.size());
    for (detail::state_ptr& task : tasks) futures.emplace_back(std::move(task));
    return futures;
  }

 private:
  // Only Self derives from it.
  friend Self;
  basic_executor() = default;
  ~basic_executor() = default;

  template <class F, class... Args>
  using result = typename Tasks::template result<F, Args...>;

  template <class R>
  static std::optional<future<R>> if_any(detail::state_ptr state) {
    return state ? std::optional<future<R>>(std::in_place, std::move(state)) : std::nullopt;
  }
  Self& self() { return static_cast<Self&>(*this); }
  decltype(auto) target() { return self().native_target(); }
};

namespace detail {

// A task that any executor takes.
struct example_task {
  int operator()(int x) const { return x; }
  int operator()(int x, int y) const { return x + y; }
};

}  // namespace detail

// The requirements of generic code; any_executor.hpp has one type for all executors.
template <class E>
concept executor = requires(E& e, detail::example_task f, std::vector<int>& xs, task_options task,
                            map_options options, shutdown_options end) {
  { e.submit(f, 1) } -> std::same_as<future<int>>;
  { e.submit(task, f, 1) } -> std::same_as<future<int>>;
  { e.try_submit(f, 1) } -> std::same_as<std::optional<future<int>>>;
  { e.map(f, xs) } -> std::same_as<map_results<int>>;
  { e.map(options, f, xs) } -> std::same_as<map_results<int>>;
  e.for_each(f, xs);
  { e.map_reduce(f, f, xs) } -> std::same_as<std::optional<int>>;
  { e.broadcast(f, 1) } -> std::same_as<std::vector<future<int>>>;
  e.shutdown(end);
  { e.max_workers() } -> std::same_as<int>;
};

}  // namespace procpool
