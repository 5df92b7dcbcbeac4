// map_reduce: results are combined in a tree whose shape depends on the number of items alone.
//
//   0 1 2 3 4 5 6 | 7 ...     Two neighbours of equal size make a node of twice the size, as in a
//   \ / \ / \ /   |           binary counter; the remaining nodes are combined from the right.
//    \   /   \    |           A chunk has 2^k items and begins at a multiple of 2^k, so it is a
//      \      \   |           node of that tree, whatever k the pace has chosen.
//
// One task makes the value of one chunk. Nodes that come from different chunks are combined by
// tasks of their own.
#pragma once

#include <bit>
#include <cstdint>
#include <deque>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "procpool/detail/executor/early_end.hpp"
#include "procpool/detail/executor/map_call.hpp"
#include "procpool/detail/executor/map_feed.hpp"
#include "procpool/detail/std/chrono.hpp"
#include "procpool/detail/std/ranges.hpp"
#include "procpool/detail/task/call_function.hpp"
#include "procpool/detail/task/outcome_value.hpp"
#include "procpool/detail/task/stored_for.hpp"

namespace procpool::detail {

// A value, and how many nanoseconds its computation took.
template <class T>
using reduced = std::pair<T, std::uint32_t>;

template <class T, class C>
void combine_top(const C& combine, std::vector<T>& nodes) {
  T right = std::move(nodes.back());
  nodes.pop_back();
  T left = std::move(nodes.back());
  nodes.pop_back();
  nodes.push_back(detail::call_function(combine, std::move(left), std::move(right)));
}

// The task that makes one node: combines f over the items of a chunk, with one list for each range.
template <class T, class F, class C, class... Items>
struct chunk_reducer {
  F f;
  C combine;

  reduced<T> operator()(std::vector<Items>... items) const {
    return reduce(std::index_sequence_for<Items...>{}, items...);
  }

 private:
  template <std::size_t... I>
  reduced<T> reduce(std::index_sequence<I...>, std::vector<Items>&... items) const {
    const auto start = std::chrono::steady_clock::now();
    std::size_t count = static_cast<std::size_t>(-1);
    ((count = items.size() < count ? items.size() : count), ...);
    std::vector<T> nodes;
    for (std::size_t i = 0; i < count; ++i) {
      nodes.push_back(detail::call_function(f, take<I>(items, i)...));
      for (std::size_t n = i + 1; n % 2 == 0; n /= 2) combine_top(combine, nodes);
    }
    while (nodes.size() > 1) combine_top(combine, nodes);
    return {std::move(nodes.front()), nanoseconds_between(start, std::chrono::steady_clock::now())};
  }

  // The argument in the form that the function declares, such as text for a C string parameter.
  template <std::size_t I, class Item>
  static auto take(std::vector<Item>& items, std::size_t i) {
    using parameter = typename parameter_at<I, typename parameters_of<F>::type>::type;
    if constexpr (std::is_same_v<Item, bool>) {
      return static_cast<bool>(items[i]);
    } else {
      return stored_for<parameter, Item>::make(std::move(items[i]));
    }
  }
};

// The task that combines two nodes into one.
template <class T, class C>
struct pair_reducer {
  C combine;
  reduced<T> operator()(T left, T right) const {
    return {detail::call_function(combine, std::move(left), std::move(right)), 0};
  }
};

template <class T, class F, class C, class... Items>
struct wire<chunk_reducer<T, F, C, Items...>> : wire_composite<> {
  static constexpr auto list_parts() { return type_list<>{}; }  // C and T are checked by themselves
  static void put(wire_writer& writer, const chunk_reducer<T, F, C, Items...>& value) {
    put_function(writer, value.f);
    put_function(writer, value.combine);
  }
  static chunk_reducer<T, F, C, Items...> take(wire_reader& reader) {
    F f = take_function<F>(reader);
    return {std::move(f), take_function<C>(reader)};
  }
};

template <class T, class C>
struct wire<pair_reducer<T, C>> : wire_composite<> {
  static constexpr auto list_parts() { return type_list<>{}; }
  static void put(wire_writer& writer, const pair_reducer<T, C>& value) {
    put_function(writer, value.combine);
  }
  static pair_reducer<T, C> take(wire_reader& reader) { return {take_function<C>(reader)}; }
};

// One map_reduce, for the thread of its caller.
template <class Tasks, class T, class F, class C, class... Views>
class reduction {
  using chunk_task = chunk_reducer<T, F, C, stored_t<element_of<Views>>...>;
  using target = typename Tasks::target;

 public:
  reduction(const target& to, int workers, const map_options& options, F f, C combine,
            Views... views)
      : to_(to),
        options_(options),
        f_(std::move(f)),
        combine_(std::move(combine)),
        input_(std::move(views)...),
        sizer_(options, workers, input_.size()) {
    if (options_.timeout) deadline_ = deadline_after(*options_.timeout);
  }
  // If the reduction ends early, cancels the tasks that have not started, and perhaps all others.
  ~reduction() {
    cancel_pending();
    end_tasks([this](auto f) { this->each_task(f); }, {options_.cancel, options_.grace});
  }
  reduction(const reduction&) = delete;
  reduction& operator=(const reduction&) = delete;

  std::optional<T> run() {
    input_.begin();
    for (refill(); !chunks_.empty(); refill()) take_chunk();
    if (nodes_.empty()) return std::nullopt;
    while (nodes_.size() > 1) combine_top_nodes();
    return value_of(nodes_.back());
  }

 private:
  struct chunk {
    state_ptr task;
    std::size_t first = 0, count = 0, bytes = 0;
  };
  struct node {
    std::size_t items = 0;
    std::optional<T> value;
    state_ptr task;  // makes the value; null if `value` is set
  };
  static constexpr std::index_sequence_for<Views...> all{};

  void refill() {
    while (!input_over_) {
      const std::size_t most = sizer_.next_chunk();
      if (most == 0) return;
      // Checks the deadline here too, for endless input whose tasks are all done in time.
      if (deadline_ && std::chrono::steady_clock::now() >= *deadline_) give_up();
      submit_chunk(std::bit_floor(most));
    }
  }

  void submit_chunk(std::size_t most) {
    const std::size_t aligned = submitted_ & (0 - submitted_);
    if (submitted_ != 0 && most > aligned) most = aligned;
    std::tuple<std::vector<stored_t<element_of<Views>>>...> items;
    std::size_t count = 0;
    while (count < most && !(input_over_ = input_.at_end())) {
      take_items(items, all);
      ++count;
      // The chunk is full: a smaller node will do.
      if (std::has_single_bit(count) && sizer_.chunk_is_full(count * item_bytes)) break;
    }
    if (count == 0) return;
    chunk c{start(chunk_task{f_, combine_}, items, all), submitted_, count, count * item_bytes};
    submitted_ += count;
    sizer_.submitted(c.count, c.bytes);
    chunks_.push_back(std::move(c));
  }

  static constexpr std::size_t item_bytes = (0 + ... + sizeof(stored_t<element_of<Views>>));

  template <class Lists, std::size_t... I>
  void take_items(Lists& items, std::index_sequence<I...>) {
    input_.take([&](auto&... at) { (std::get<I>(items).push_back(element<Views>(at)), ...); });
  }
  template <class View, class Iterator>
  static stored_t<element_of<View>> element(Iterator& at) {
    if constexpr (owns_elements<View>) {
      return make_stored<std::ranges::range_value_t<View>>(std::ranges::iter_move(at));
    } else {
      return make_stored<element_of<View>>(*at);
    }
  }

  template <class Lists, std::size_t... I>
  state_ptr start(chunk_task task, Lists& items, std::index_sequence<I...>) {
    return Tasks::template submit<chunk_task, std::tuple_element_t<I, Lists>...>(
        to_, &options_.task, true, task, std::move(std::get<I>(items))...);
  }

  void take_chunk() {
    await(*chunks_.front().task);
    chunk c = std::move(chunks_.front());
    chunks_.pop_front();
    reduced<T> first = take_result<reduced<T>>(std::move(c.task));
    sizer_.chunk_done(c.count, c.bytes, first.second);
    sizer_.taken(c.count);
    refill();  // submit more before the workers run out of work
    nodes_.push_back({c.count, std::move(first.first), {}});
    while (nodes_.size() > 1 && nodes_.back().items == nodes_[nodes_.size() - 2].items) {
      combine_top_nodes();
    }
  }

  void combine_top_nodes() {
    using task_type = pair_reducer<T, C>;
    T right = value_of(nodes_.back());
    const std::size_t items = nodes_.back().items;
    nodes_.pop_back();
    T left = value_of(nodes_.back());
    task_type task{combine_};
    nodes_.back() = {items + nodes_.back().items, std::nullopt,
                     Tasks::template submit<task_type, T, T>(to_, &options_.task, true, task,
                                                             std::move(left), std::move(right))};
  }

  T value_of(node& n) {
    if (n.value) return *std::move(n.value);
    await(*n.task);
    return take_result<reduced<T>>(std::move(n.task)).first;
  }
  void await(task_state& task) {
    if (deadline_ && !task.wait_until(&*deadline_)) give_up();
  }
  [[noreturn]] void give_up() {
    std::size_t unread = 0;
    for (const chunk& c : chunks_) unread += c.count;
    unfinished_items rest("map_reduce", unread);
    std::vector<begun_task> tasks;
    for (const chunk& c : chunks_) {
      if (!c.task->cancel(false)) tasks.push_back({c.task.get(), c.first, c.count});
    }
    rest.end(tasks, {options_.cancel, options_.grace});
    rest.fail();
  }

  void cancel_pending() noexcept {
    each_task([](task_state& task) { task.cancel(false); });
  }
  // A copy of the process has no task to wait for, or to cancel.
  template <class Use>
  void each_task(Use use) noexcept {
    if (!home_.is_here()) return;
    for (chunk& c : chunks_) use(*c.task);
    for (node& n : nodes_) {
      if (n.task) use(*n.task);
    }
  }

  const target& to_;
  const map_options options_;
  F f_;
  C combine_;
  zipped_input<Views...> input_;
  chunk_sizer sizer_;
  home_process home_;
  std::optional<time_point> deadline_;
  bool input_over_ = false;
  std::size_t submitted_ = 0;
  std::deque<chunk> chunks_;  // in input order
  std::vector<node> nodes_;   // the larger nodes first
};

template <class C, class T>
struct reduce_does_not_fit {
  static_assert(always_false<C>,
                "procpool: map_reduce needs a second function that makes one result of two: it is "
                "called as combine(T, T), where T is what the first one returns, and returns a T");
};

template <class Tasks, class F, class C, class... Ranges>
auto run_map_reduce(const typename Tasks::target& to, int workers, const map_options& options, F f,
                    C combine, Ranges&&... ranges) {
  if constexpr (map_fits<Tasks, true, F, Ranges...>()) {
    using T = typename map_call<Tasks, F, Ranges...>::result_type;
    using call = typename Tasks::template call<C, T, T>;
    // If C can be called as T(T, T), check() names what else is wrong: captures, or an operator()
    // that is not const.
    if constexpr (std::is_invocable_r_v<T, C&, T, T>) {
      static_assert(call::check());
    } else {
      static_cast<void>(sizeof(reduce_does_not_fit<C, T>));
    }
    if constexpr (std::is_invocable_r_v<T, const C&, T, T> && call::ok()) {
      return reduction<Tasks, T, F, C, input_of<Ranges>...>(
                 to, workers, options, std::move(f), std::move(combine),
                 make_input(std::forward<Ranges>(ranges))...)
          .run();
    } else {
      return std::optional<T>();
    }
  } else {
    explain_map<Tasks, F, Ranges...>();
    return std::optional<std::monostate>();
  }
}

}  // namespace procpool::detail
