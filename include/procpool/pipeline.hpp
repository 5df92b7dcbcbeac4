// pipeline: items go through several functions one after the other, each in a pool of its choice.
//
//   auto p = procpool::pipeline(stage(pool, decode), stage(pool, resize), stage(other, encode));
//   for (auto& out : p.run(files)) use(out);
//
// Stages overlap, also while the reader computes: while one item is in the second stage, the next
// is in the first. The number of items in progress is bounded, so infinite ranges work. Only the
// caller's thread reads input, during the call and while it reads results. An item that fails in a
// stage skips the later stages; reading its result throws the error. Destroying the results cancels
// the items that have not started.
//
// The callback thread sends items from stage to stage; a slow callback delays them.
#pragma once

#include <initializer_list>
#include <memory>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "procpool/detail/executor/pipeline_feed.hpp"
#include "procpool/map.hpp"
#include "procpool/options.hpp"

namespace procpool {

struct pipeline_options {
  // Items submitted but not yet taken, at least 1. Default: two for each worker of each stage.
  std::optional<std::size_t> buffersize = {};
  // For the whole run, from the call: then timeout_error, and the remaining items are cancelled.
  std::optional<duration> timeout = {};
  // As in map_options: what a timeout, or the end of a run before its last result, does with
  // running items.
  cancel_mode cancel = cancel_mode::pending;
  duration grace = {};
  // False: results come in order of completion.
  bool ordered = true;
};

// A stage of a pipeline: f in the workers of `executor`, which must outlive the results of all
// runs. f takes one argument, the input or the result of the stage before.
template <class Executor, class F = detail::overloaded_name>
  requires detail::is_task<F>
auto stage(Executor& executor, F f) {
  return detail::pipeline_stage<Executor, F>(executor, std::nullopt, std::move(f));
}
// The same with options for each task of the stage.
template <class Executor, class F>
auto stage(Executor& executor, task_options options, F f) {
  return detail::pipeline_stage<Executor, F>(executor, std::move(options), std::move(f));
}

// The result of pipeline(); any thread may run it any number of times, also at the same time.
template <class... Stages>
class pipeline_of {
 public:
  explicit pipeline_of(Stages... stages) : stages_(std::move(stages)...) {}

  // Returns the results as a range with the members of map's: outcomes(), to_vector(), cancel();
  // progress works. Reading blocks for the next result. Throws std::invalid_argument for a
  // buffersize of 0, and as submit.
  template <class R>
    requires(!std::is_same_v<std::remove_cvref_t<R>, pipeline_options>)
  [[nodiscard("dropping the results cancels the run: use for_each")]] auto run(R&& items) const {
    return run(pipeline_options{}, std::forward<R>(items));
  }
  template <class R>
  [[nodiscard("dropping the results cancels the run: use for_each")]] auto run(
      pipeline_options options, R&& items) const {
    if constexpr (!types<R>::fits) {
      static_assert(types<R>::check());
      return map_results<std::monostate>(nullptr);  // so that this error stays the only one
    } else if constexpr (std::is_void_v<typename types<R>::result>) {
      static_assert(detail::always_false<R>,
                    "procpool: the last stage returns nothing, so run has no results: use "
                    "for_each");
      return map_results<std::monostate>(nullptr);
    } else {
      return map_results<typename types<R>::result>(feed(options, std::forward<R>(items)));
    }
  }
  template <class T>
  [[nodiscard("dropping the results cancels the run: use for_each")]] auto run(
      std::initializer_list<T> items) const {
    return run(pipeline_options{}, std::vector<T>(items));
  }
  template <class T>
  [[nodiscard("dropping the results cancels the run: use for_each")]] auto run(
      pipeline_options options, std::initializer_list<T> items) const {
    return run(options, std::vector<T>(items));
  }

  // Sends all items through all stages, drops the results, and blocks until all items are done;
  // then throws the error of the lowest index, if there is one.
  template <class R>
    requires(!std::is_same_v<std::remove_cvref_t<R>, pipeline_options>)
  void for_each(R&& items) const {
    for_each(pipeline_options{}, std::forward<R>(items));
  }
  template <class R>
  void for_each(pipeline_options options, R&& items) const {
    if constexpr (!types<R>::fits) {
      static_assert(types<R>::check());
    } else {
      options.ordered = true;
      const auto source = feed(options, std::forward<R>(items));
      if (std::exception_ptr first = source->drain()) std::rethrow_exception(std::move(first));
    }
  }
  template <class T>
  void for_each(std::initializer_list<T> items) const {
    for_each(pipeline_options{}, std::vector<T>(items));
  }
  template <class T>
  void for_each(pipeline_options options, std::initializer_list<T> items) const {
    for_each(options, std::vector<T>(items));
  }

 private:
  template <class R>
  using types = detail::pipeline_types<0, detail::given_element<detail::input_of<R>>, Stages...>;

  template <class R>
  auto feed(const pipeline_options& options, R&& items) const {
    if (options.buffersize == 0U) {
      throw std::invalid_argument("pipeline_options::buffersize must be at least 1");
    }
    using feed = detail::pipeline_feed<typename types<R>::result, detail::input_of<R>, Stages...>;
    using source = detail::map_source<detail::outcome_type<typename types<R>::result>>;
    return std::unique_ptr<source>(std::make_unique<feed>(
        options.ordered, detail::early_end{options.cancel, options.grace}, options.buffersize,
        options.timeout, stages_, detail::make_input(std::forward<R>(items))));
  }

  std::tuple<Stages...> stages_;
};

// A pipeline of these stages, in this order; see stage().
template <class... Executors, class... Functions>
auto pipeline(detail::pipeline_stage<Executors, Functions>... stages) {
  static_assert(sizeof...(stages) > 0, "procpool: a pipeline needs at least one stage");
  return pipeline_of<detail::pipeline_stage<Executors, Functions>...>(std::move(stages)...);
}

}  // namespace procpool
