// process_pool_executor: runs functions in worker processes that share memory with this one.
//
//   procpool::process_pool_executor pool;              // a worker for each CPU
//   auto f = pool.submit(simulate, 42);                // procpool::future<result>
//   for (auto& r : pool.map(decode, files)) use(r);    // a parallel for-loop, in order
//
// Scope it: the destructor is shutdown(). All members may be called from several threads at once.
// One crash costs one task: its future throws worker_crashed, the worker is replaced, nothing else
// notices. The semantics are those of Python's ProcessPoolExecutor, with the differences that
// docs/differences.md lists.
#pragma once

#include <csignal>
#include <cstdint>
#include <initializer_list>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>

#include "procpool/detail/meeting.hpp"
#include "procpool/detail/pool_access.hpp"
#include "procpool/detail/thunks.hpp"
#include "procpool/future.hpp"
#include "procpool/map.hpp"
#include "procpool/options.hpp"
#include "procpool/stats.hpp"

namespace procpool {

class process_pool_executor {
 public:
  // Starts the workers, but does not wait for them. Throws std::invalid_argument (the message names
  // the option), std::system_error when this process lacks descriptors, threads or memory,
  // broken_process_pool when the fork server cannot be started (its cause is nested in it, and in
  // its message), unsafe_fork_error and nested_use_error.
  process_pool_executor() : process_pool_executor(pool_options{}) {}
  explicit process_pool_executor(int max_workers)
      : process_pool_executor(pool_options{.max_workers = max_workers}) {}
  explicit process_pool_executor(pool_options options) : pool_(std::move(options)) {}
  // Blocks until everything submitted is done; while an exception passes, what has not started is
  // cancelled first. Does not block after shutdown({.wait = false}).
  ~process_pool_executor() = default;
  process_pool_executor(const process_pool_executor&) = delete;
  process_pool_executor& operator=(const process_pool_executor&) = delete;

  // Runs f(args...) in a worker. The arguments are encoded before submit returns; it does not wait
  // for the task, but for room: see pool_options::max_pending_bytes. Throws shutdown_error,
  // broken_process_pool, nested_use_error, and what the arguments' codecs throw.
  template <class F = detail::overloaded_name, class... Args>
    requires detail::is_task<F>
  [[nodiscard]] auto submit(F f, Args&&... args) {
    using types = detail::thunks<F, Args...>;
    return future<typename types::result>(pack<types>(nullptr, true, f, args...));
  }
  // Throws also std::invalid_argument for options out of range.
  template <class F = detail::overloaded_name, class... Args>
  [[nodiscard]] auto submit(const task_options& options, F f, Args&&... args) {
    using types = detail::thunks<F, Args...>;
    return future<typename types::result>(pack<types>(&options, true, f, args...));
  }
  // The same without waiting for room: empty where submit would wait.
  template <class F = detail::overloaded_name, class... Args>
    requires detail::is_task<F>
  [[nodiscard]] auto try_submit(F f, Args&&... args) {
    return try_pack<detail::thunks<F, Args...>>(nullptr, f, args...);
  }
  template <class F, class... Args>
  [[nodiscard]] auto try_submit(const task_options& options, F f, Args&&... args) {
    return try_pack<detail::thunks<F, Args...>>(&options, f, args...);
  }

  // f over the elements of one or several ranges, zipped to the shortest; see procpool/map.hpp.
  // Work starts now and goes on while results are read. Throws std::invalid_argument for a
  // chunksize or buffersize of 0.
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
    return detail::make_map<F>(pool_.use(), std::move(options), std::move(f),
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

  // f over all elements, results dropped; blocks until all have run, then throws the error of the
  // lowest index, if there is one.
  template <class F = detail::overloaded_name, class... Ranges>
    requires detail::is_task<F>
  void for_each(F f, Ranges&&... ranges) {
    for_each(map_options{}, std::move(f), std::forward<Ranges>(ranges)...);
  }
  template <class F, class... Ranges>
  void for_each(map_options options, F f, Ranges&&... ranges) {
    detail::run_for_each<F>(pool_.use(), std::move(options), std::move(f),
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

  // f(args...) once in every worker, all at the same time, so that the calls may wait for each
  // other at a barrier: one future for each worker. Blocks until all workers are free and have
  // begun; what was submitted before runs first. A worker that dies before that is replaced, and
  // its call starts anew. Throws as submit does, and broken_process_pool when workers cannot be
  // started.
  template <class F = detail::overloaded_name, class... Args>
    requires detail::is_task<F>
  [[nodiscard]] auto broadcast(F f, Args&&... args) {
    using types = detail::thunks<F, Args...>;
    static_assert(sizeof(typename types::result*) != 0);  // says what is wrong with f by its name
    const std::lock_guard one_at_a_time(pool_.broadcasting());
    const detail::after_meeting<F> call{std::move(f)};
    return detail::hold_broadcast(max_workers(),
                                  [&](const detail::meeting_words& words, std::uint32_t place) {
                                    return submit(call, words, place, args...);
                                  });
  }

  // Ends the pool; submit throws shutdown_error from here on. By default blocks until all tasks are
  // done and all processes are gone. Any number of times, from any thread, but not from a callback
  // when it waits.
  void shutdown(shutdown_options options = {}) { pool_.shutdown(options); }
  // Cancels what waits, ends the workers with SIGTERM (a task may catch it) or SIGKILL, and comes
  // back at once. Tasks that ran throw worker_crashed.
  void terminate_workers() { pool_.signal_workers(SIGTERM); }
  void kill_workers() { pool_.signal_workers(SIGKILL); }

  int max_workers() const { return pool_.max_workers(); }
  // Takes time in proportion to the tasks that are unfinished.
  pool_stats stats() const { return pool_.stats(); }

 private:
  template <class Thunks, class F, class... Args>
  detail::state_ptr pack(const task_options* options, bool may_wait, const F& f,
                         const Args&... args) {
    static const detail::code_ref code =
        detail::to_code_ref(reinterpret_cast<const void*>(&Thunks::run_task));
    detail::submission task(pool_.use());
    Thunks::call::pack(task, f, args...);
    return task.commit(code, options, 0, may_wait);
  }

  template <class Thunks, class F, class... Args>
  auto try_pack(const task_options* options, const F& f, const Args&... args) {
    using result = future<typename Thunks::result>;
    detail::state_ptr state = pack<Thunks>(options, false, f, args...);
    return state ? std::optional<result>(std::in_place, std::move(state)) : std::nullopt;
  }

  detail::pool_ref pool_;
};

}  // namespace procpool
