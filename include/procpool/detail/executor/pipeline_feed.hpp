// The engine of a pipeline's results: reads the input, and sends each item from stage to stage.
//
// The reader's thread reads the input and submits the first stage. When a task is done, the
// callback thread takes its value and submits the next stage, so that items advance while the
// reader computes; where a task is done as soon as it is submitted (inline_executor), the
// submitting thread does so itself. The reader decodes the values of the last stage.
#pragma once

#include <memory>
#include <optional>
#include <ranges>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include "procpool/detail/executor/map_feed.hpp"
#include "procpool/detail/executor/pipeline_tracker.hpp"
#include "procpool/detail/task/outcome_value.hpp"
#include "procpool/detail/task/task_call.hpp"
#include "procpool/errors.hpp"

namespace procpool::detail {

// The compile errors of pipelines.
template <std::size_t Stage, class F, class Value>
struct stage_does_not_fit {
  static_assert(
      always_false<F>,
      "procpool: a stage of this pipeline cannot be called with the result of the stage before it; "
      "named here are the stage, from 1, its function, and the value as it arrives");
};
template <std::size_t Stage, class F>
struct stage_without_result {
  static_assert(always_false<F>,
                "procpool: a stage of this pipeline returns nothing, so the next one has no "
                "argument; named here are the stage, from 1, and its function");
};

// One stage; made by stage(). Refers to its executor.
template <class Executor, class F>
class pipeline_stage {
 public:
  pipeline_stage(Executor& executor, std::optional<task_options> options, F f)
      : executor_(&executor), options_(std::move(options)), f_(std::move(f)) {}

  using function = F;
  template <class Value>
  static constexpr bool accepts = [] {
    if constexpr (std::is_invocable_v<const F&, stored_t<Value>>) {
      return true;
    } else {
      return body_of<F, Value>::fits();
    }
  }();

  template <class Value>
  auto submit(Value&& value) const {
    return options_ ? executor_->submit(*options_, f_, std::forward<Value>(value))
                    : executor_->submit(f_, std::forward<Value>(value));
  }
  int max_workers() const { return executor_->max_workers(); }

 private:
  Executor* executor_;
  std::optional<task_options> options_;
  F f_;
};

// Checks that the result of the N-th stage is T, and the stages after it.
template <std::size_t N, class T, class... Stages>
struct pipeline_types {
  using result = T;
  static constexpr bool fits = true;
  static consteval bool check() { return true; }
};
template <std::size_t N, class T, class Stage, class... Rest>
struct pipeline_types<N, T, Stage, Rest...> {
  static constexpr bool stage_fits = Stage::template accepts<T>;

  static consteval auto find_next() {
    if constexpr (stage_fits) {
      return std::type_identity<typename decltype(std::declval<const Stage&>().submit(
          std::declval<T>()))::value_type>{};
    } else {
      return std::type_identity<void>{};
    }
  }
  using value = typename decltype(find_next())::type;
  static constexpr bool has_value = !std::is_void_v<value> || sizeof...(Rest) == 0;

  static consteval auto find_rest() {
    if constexpr (stage_fits && has_value) {
      return std::type_identity<pipeline_types<N + 1, value, Rest...>>{};
    } else {
      return std::type_identity<pipeline_types<N + 1, void>>{};
    }
  }
  using rest = typename decltype(find_rest())::type;

  using result = typename rest::result;
  static constexpr bool fits = stage_fits && has_value && rest::fits;
  static consteval bool check() {
    if constexpr (!stage_fits) {
      return sizeof(stage_does_not_fit<N + 1, typename Stage::function, T>) != 0;
    } else if constexpr (!has_value) {
      return sizeof(stage_without_result<N + 1, typename Stage::function>) != 0;
    } else {
      return rest::check();
    }
  }
};

// The stages of one run. The callbacks of its tasks keep it alive.
template <class... Stages>
class pipeline_run final : public pipeline_tracker,
                           public std::enable_shared_from_this<pipeline_run<Stages...>> {
 public:
  pipeline_run(bool ordered, early_end end, std::tuple<Stages...> stages)
      : pipeline_tracker(ordered, end), stages_(std::move(stages)) {}

  int workers() const {
    return std::apply([](const auto&... s) { return (0 + ... + s.max_workers()); }, stages_);
  }

  // Submits to the first stage. For the reader's thread; throws the errors of submit, and then no
  // stage has begun.
  template <class Value>
  void start(std::size_t index, Value&& value) {
    pipeline_item& item = add(index);
    try {
      submit<0>(item, std::forward<Value>(value));
    } catch (...) {
      withdraw();
      throw;
    }
  }

 private:
  template <std::size_t N, class Value>
  void submit(pipeline_item& item, Value&& value) {
    auto task = std::get<N>(stages_).submit(std::forward<Value>(value));
    under_way(item, task.native_state());
    if (task.done()) {
      leave_stage<N>(item, std::move(task));
    } else {
      std::move(task).native_then([self = this->shared_from_this(), &item](auto done) {
        self->template leave_stage<N>(item, std::move(done));
      });
    }
  }

  template <std::size_t N, class Future>
  void leave_stage(pipeline_item& item, Future task) noexcept {
    if constexpr (N + 1 == sizeof...(Stages)) {
      settle(item, nullptr);
    } else {
      if (!enter()) return;
      std::exception_ptr error;
      try {
        auto value = task.get();
        under_way(item, nullptr);  // the slot of the finished task is free for the next task
        submit<N + 1>(item, std::move(value));
      } catch (...) {
        error = std::current_exception();
      }
      // Only an error settles the item here; otherwise a later stage does.
      if (error) settle(item, std::move(error));
      leave();
    }
  }

  std::tuple<Stages...> stages_;
};

template <class T>
using outcome_type = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

// The reader's side.
template <class Result, class View, class... Stages>
class pipeline_feed final : public map_source<outcome_type<Result>> {
 public:
  pipeline_feed(bool ordered, early_end end, std::optional<std::size_t> buffersize,
                std::optional<duration> timeout, std::tuple<Stages...> stages, View view)
      : run_(std::make_shared<pipeline_run<Stages...>>(ordered, end, std::move(stages))),
        view_(std::move(view)),
        total_(size_of(view_)),
        most_(buffersize.value_or(2 * static_cast<std::size_t>(run_->workers()))) {
    if (timeout) deadline_ = deadline_after(*timeout);
    refill();
    if (input_error_ && run_->in_flight() == 0) std::rethrow_exception(input_error_);
  }
  ~pipeline_feed() override {
    // A copy of the process has no task to cancel.
    if (this->home().is_here()) run_->end();
  }

  void cancel(bool kill_running) noexcept override {
    input_over_ = ended_ = true;
    // A copy of the process has no task to cancel.
    if (this->home().is_here()) run_->cancel(kill_running);
  }

  // Reads in order, so the first error is that of the lowest index.
  std::exception_ptr drain() override {
    std::exception_ptr first;
    for (this->fetch(); this->current; this->fetch()) {
      if (!first) first = this->current->error();
    }
    return first;
  }

  std::optional<std::size_t> total() const override { return total_; }

 private:
  void fetch_next() override {
    check_home(this->home());
    if (ended_) return;
    refill();
    std::optional<pipeline_item> next;
    try {
      next = run_->next(deadline_ ? &*deadline_ : nullptr);
    } catch (const timeout_error&) {
      input_over_ = ended_ = true;  // and the run is cancelled
      throw;
    }
    if (!next) {
      ended_ = true;
      if (input_error_) std::rethrow_exception(input_error_);
      return;
    }
    // Submits more work before this item is read.
    refill();
    try {
      if (next->error) std::rethrow_exception(next->error);
      if constexpr (std::is_void_v<Result>) {
        take_result<Result>(std::move(next->task));
        this->current.emplace(next->index, std::monostate{});
      } else {
        this->current.emplace(next->index, take_result<Result>(std::move(next->task)));
      }
    } catch (...) {
      this->current.emplace(next->index, std::current_exception());
    }
  }

  // Submits as much as may be under way. An error of the input or of the first stage's executor is
  // thrown when everything before it has been read.
  void refill() {
    if (input_over_) return;
    try {
      while (run_->in_flight() < most_) {
        if (!at_) {
          at_.emplace(std::ranges::begin(view_));
        } else if (std::exchange(step_due_, false)) {
          ++*at_;  // not earlier: a source may block, and an element that is not needed stays
        }
        if (*at_ == std::ranges::end(view_)) {
          input_over_ = true;
          return;
        }
        step_due_ = true;
        run_->start(begun_, give_element<View>(*at_));
        ++begun_;
      }
    } catch (...) {
      input_error_ = std::current_exception();
      input_over_ = true;
    }
  }

  std::shared_ptr<pipeline_run<Stages...>> run_;
  static std::optional<std::size_t> size_of(View& view) {
    if constexpr (std::ranges::sized_range<View>) {
      return static_cast<std::size_t>(std::ranges::size(view));
    } else {
      return std::nullopt;
    }
  }

  View view_;
  std::optional<std::size_t> total_;
  std::size_t most_;
  std::optional<time_point> deadline_;
  std::optional<std::ranges::iterator_t<View>> at_;
  bool step_due_ = false;  // *at_ is under way
  std::size_t begun_ = 0;
  std::exception_ptr input_error_;
  bool input_over_ = false, ended_ = false;
};

}  // namespace procpool::detail
