// Futures of futures: when_all, when_any, with_timeout. They take futures of all executors and of
// promises together, and no thread waits for them; wait, as_completed, then and co_await take their
// results as they take any future.
//
//   future<std::tuple<image, text>> both = when_all(pool.submit(load, path),
//   threads.submit(fetch)); future<std::vector<int>> all = when_all(std::move(futures)); auto
//   [index, racers] = when_any(std::move(futures)).get(); reply r = with_timeout(pool.submit(ask,
//   question), 2s, cancel_mode::kill_running).get();
//
// They consume each future<T>, and copy each shared_future<T>. Cancelling their result cancels the
// inputs that they consumed, with the same cancel_mode. Destroying their result destroys those
// inputs, which neither cancels nor waits. They throw invalid_state_error for a future that holds
// no task; then no input is consumed, except by a range that can be read only once.
#pragma once

#include <cstddef>
#include <ranges>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "procpool/cancel.hpp"
#include "procpool/detail/task/combination.hpp"
#include "procpool/future.hpp"
#include "procpool/time.hpp"
#include "procpool/wait.hpp"

namespace procpool {

// What when_any gives: the index of the future that was done first, and all futures in the order of
// the input: std::vector<future<T>>, or std::tuple<future<T>, future<U>, ...>.
template <class Futures>
struct when_any_result {
  std::size_t index;
  Futures futures;
};

namespace detail {

template <class F>
struct combined_input;
template <class T>
struct combined_input<future<T>> {
  using stored = future<T>;
  using value = T;
  static constexpr bool owned = true;
};
template <class T>
struct combined_input<droppable_future<T>> : combined_input<future<T>> {};
template <class T>
struct combined_input<shared_future<T>> {
  using stored = shared_future<T>;
  using value = T;
  static constexpr bool owned = false;
};

template <class F>
using future_input = combined_input<std::remove_cvref_t<F>>;
template <class F>
using stored_future = typename future_input<F>::stored;
template <class F>
using future_value = typename future_input<F>::value;
template <class F>
using input_in_tuple =
    std::conditional_t<std::is_void_v<future_value<F>>, std::monostate, future_value<F>>;

// Whether the call may take the future: it is moved in, or can be copied.
template <class F>
inline constexpr bool may_consume = !future_input<F>::owned || !std::is_reference_v<F>;

template <class F>
concept combinable = is_future<std::remove_cvref_t<F>>;
template <class R>
concept combinable_range =
    std::ranges::input_range<R> && combinable<std::ranges::range_reference_t<R>>;

template <class F>
input_in_tuple<F> take_input(F& f) {
  if constexpr (std::is_void_v<future_value<F>>) {
    f.get();
    return {};
  } else {
    return f.get();
  }
}

struct assemble_tuple {
  template <class... F>
  auto operator()(std::tuple<F...>& inputs, std::size_t) const {
    return std::apply([](F&... f) { return std::tuple<input_in_tuple<F>...>{take_input(f)...}; },
                      inputs);
  }
};
struct assemble_vector {
  template <class F>
  auto operator()(std::vector<F>& inputs, std::size_t) const {
    if constexpr (std::is_void_v<future_value<F>>) {
      for (F& f : inputs) f.get();
      return std::monostate();
    } else {
      std::vector<future_value<F>> values;
      values.reserve(inputs.size());
      for (F& f : inputs) values.push_back(f.get());
      return values;
    }
  }
};
struct assemble_any {
  template <class Futures>
  auto operator()(Futures& inputs, std::size_t first) const {
    return when_any_result<Futures>{first, std::move(inputs)};
  }
};
struct assemble_one {
  template <class F>
  auto operator()(F& input, std::size_t) const {
    return take_input(input);
  }
};

template <class F>
void require_task(const F& f) {
  if (f.native_state() == nullptr) throw_no_state();
}

template <class... F>
std::tuple<stored_future<F>...> take_inputs(F&&... futures) {
  (require_task(futures), ...);
  return {stored_future<F>(std::forward<F>(futures))...};
}
// The futures of a container that was moved in, or of a range that yields them as values, or copies
// of shared futures.
template <class R>
auto take_inputs_of(R&& range) {
  using reference = std::ranges::range_reference_t<R>;
  using stored = stored_future<reference>;
  constexpr bool container_moved_in = !std::is_reference_v<R> && !std::is_const_v<R> &&
                                      !std::ranges::view<std::remove_cvref_t<R>> &&
                                      std::is_lvalue_reference_v<reference>;
  static_assert(container_moved_in || !future_input<reference>::owned ||
                    !std::is_lvalue_reference_v<reference>,
                "procpool: when_all and when_any consume their futures: give them "
                "std::move(container), or shared futures");
  if constexpr (std::ranges::forward_range<R> && std::is_lvalue_reference_v<reference>) {
    for (const auto& f : range) require_task(f);
  }
  std::vector<stored> inputs;
  if constexpr (std::ranges::sized_range<R>) inputs.reserve(std::ranges::size(range));
  for (auto&& f : range) {
    require_task(f);
    if constexpr (container_moved_in) {
      inputs.push_back(std::move(f));
    } else {
      inputs.push_back(std::forward<decltype(f)>(f));
    }
  }
  return inputs;
}

template <class F>
void add_input(combination& to, F& f) {
  to.add(*f.native_state(), future_input<F>::owned);
}

// future<R> of the inputs, which are a tuple, a vector, or one future.
template <class R, class Assemble, class Inputs, class... Limit>
future<R> combine(combination_rule rule, Inputs inputs, Limit... limit) {
  using state = combined<R, Inputs, Assemble>;
  std::size_t count = 1;
  if constexpr (requires { inputs.size(); }) {
    count = inputs.size();
  } else if constexpr (requires { std::tuple_size<Inputs>::value; }) {
    count = std::tuple_size_v<Inputs>;
  }
  auto* const made = new state(rule, count, std::move(inputs));
  state_ptr owner(made);
  if constexpr (requires { made->inputs().size(); }) {
    for (auto& f : made->inputs()) add_input(*made, f);
  } else if constexpr (requires { std::tuple_size<Inputs>::value; }) {
    std::apply([made](auto&... f) { (add_input(*made, f), ...); }, made->inputs());
  } else {
    add_input(*made, made->inputs());
  }
  made->start(limit...);
  return future<R>(std::move(owner));
}

}  // namespace detail

// The values of all futures: std::tuple<T, U, ...>, with std::monostate for a future<void>. If a
// task fails or is cancelled, the result is done at once, with the error of that task: the first
// one in time. The other tasks continue, and their results are dropped.
template <detail::combinable... F>
[[nodiscard]] auto when_all(F&&... futures) {
  static_assert((detail::may_consume<F> && ...),
                "procpool: when_all consumes its futures: give it std::move(f), or f.share()");
  return detail::combine<std::tuple<detail::input_in_tuple<F>...>, detail::assemble_tuple>(
      detail::combination_rule::all, detail::take_inputs(std::forward<F>(futures)...));
}
// The same for a range, of any length: future<std::vector<T>> in the order of the input, or
// future<void> for futures without a value.
template <detail::combinable_range R>
[[nodiscard]] auto when_all(R&& futures) {
  using value = detail::future_value<std::ranges::range_reference_t<R>>;
  // The condition keeps std::vector<void> from being named.
  using kept = std::conditional_t<std::is_void_v<value>, std::monostate, value>;
  using result = std::conditional_t<std::is_void_v<value>, void, std::vector<kept>>;
  return detail::combine<result, detail::assemble_vector>(
      detail::combination_rule::all, detail::take_inputs_of<R>(std::forward<R>(futures)));
}

// Done when the first of the futures is done: with a value, with an error, or cancelled. Gives back
// all futures, so get() of futures[index] returns its value or throws its error, and the others can
// be cancelled, or raced again. Of several that are done already, the first in the input decides.
template <detail::combinable First, detail::combinable... F>
[[nodiscard]] auto when_any(First&& first, F&&... futures) {
  static_assert(detail::may_consume<First> && (detail::may_consume<F> && ...),
                "procpool: when_any consumes its futures: give it std::move(f), or f.share()");
  using inputs = std::tuple<detail::stored_future<First>, detail::stored_future<F>...>;
  return detail::combine<when_any_result<inputs>, detail::assemble_any>(
      detail::combination_rule::any,
      detail::take_inputs(std::forward<First>(first), std::forward<F>(futures)...));
}
// The same for a range. Throws std::invalid_argument if it is empty.
template <detail::combinable_range R>
[[nodiscard]] auto when_any(R&& futures) {
  auto inputs = detail::take_inputs_of<R>(std::forward<R>(futures));
  if (inputs.empty()) detail::throw_nothing_to_wait_for();
  return detail::combine<when_any_result<decltype(inputs)>, detail::assemble_any>(
      detail::combination_rule::any, std::move(inputs));
}

// The result of the future, or timeout_error if it is not done when `limit` has passed since this
// call. Then a future that was consumed is cancelled as `mode` says: with the default a task that
// has not begun is cancelled, and one that runs continues and its result is dropped. The limit
// counts whether or not a thread waits; a slow callback can delay it by as long as it runs.
template <detail::combinable F>
[[nodiscard]] auto with_timeout(F&& source, duration limit,
                                cancel_mode mode = cancel_mode::pending) {
  static_assert(detail::may_consume<F>,
                "procpool: with_timeout consumes its future: give it std::move(f), or f.share()");
  detail::require_task(source);
  return detail::combine<detail::future_value<F>, detail::assemble_one>(
      detail::combination_rule::all, detail::stored_future<F>(std::forward<F>(source)), limit,
      mode == cancel_mode::kill_running);
}

}  // namespace procpool
