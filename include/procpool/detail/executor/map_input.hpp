// The input of a map: its elements as arguments, several ranges side by side, and the range of
// generate(). One thread: the reader of the results.
#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <tuple>
#include <type_traits>
#include <utility>

namespace procpool::detail {

// As what an element is an argument. What stands for one, as in a vector of bool, is the value.
template <class View>
using element_of =
    std::conditional_t<std::is_reference_v<std::ranges::range_reference_t<View>>,
                       std::ranges::range_reference_t<View>, std::ranges::range_value_t<View>>;

template <class View>
inline constexpr bool owns_elements = false;
template <class R>
inline constexpr bool owns_elements<std::ranges::owning_view<R>> =
    std::is_reference_v<std::ranges::range_rvalue_reference_t<R>>;

// What a task gets that keeps it: of a range that was moved in the elements are moved on.
template <class View>
using given_element =
    std::conditional_t<owns_elements<View>, std::ranges::range_rvalue_reference_t<View>,
                       element_of<View>>;
template <class View, class Iterator>
given_element<View> give_element(Iterator& at) {
  if constexpr (owns_elements<View>) {
    return std::ranges::iter_move(at);
  } else {
    return static_cast<given_element<View>>(*at);
  }
}

// How many items there will be, if all ranges know.
template <class... Views>
std::optional<std::size_t> common_size(std::tuple<Views...>& views) {
  if constexpr ((std::ranges::sized_range<Views> && ...)) {
    return std::apply(
        [](auto&... v) { return std::min({static_cast<std::size_t>(std::ranges::size(v))...}); },
        views);
  } else {
    return std::nullopt;
  }
}

// Several ranges, read side by side to the end of the shortest. One thread.
template <class... Views>
class zipped_input {
 public:
  explicit zipped_input(Views... views) : views_(std::move(views)...) {}

  std::optional<std::size_t> size() { return common_size(views_); }
  // Once, before anything is read.
  void begin() { at_.emplace(begin_all(all)); }
  bool at_end() {
    // Only now: a source may block, and an unneeded element stays in it.
    if (std::exchange(step_due_, false)) step(all);
    return is_at_end(all);
  }
  // Calls take(iterators...), where at_end() has said that there is an element; next time it is
  // another one, unless that throws.
  template <class Take>
  void take(Take&& take) {
    std::apply(take, *at_);
    step_due_ = true;
  }

  // Of one range, whose iterator the caller moves.
  auto& iterator() { return std::get<0>(*at_); }
  auto end() { return std::ranges::end(std::get<0>(views_)); }

 private:
  static constexpr std::index_sequence_for<Views...> all{};

  template <std::size_t... I>
  auto begin_all(std::index_sequence<I...>) {
    return std::tuple<std::ranges::iterator_t<Views>...>{
        std::ranges::begin(std::get<I>(views_))...};
  }
  template <std::size_t... I>
  void step(std::index_sequence<I...>) {
    (static_cast<void>(++std::get<I>(*at_)), ...);
  }
  template <std::size_t... I>
  bool is_at_end(std::index_sequence<I...>) {
    return ((std::get<I>(*at_) == std::ranges::end(std::get<I>(views_))) || ...);
  }

  std::tuple<Views...> views_;
  std::optional<std::tuple<std::ranges::iterator_t<Views>...>> at_;
  bool step_due_ = false;  // *at_ was taken
};

// The range that generate() returns. On the heap, since a closure cannot be assigned and a range
// must be.
template <class G>
class generated_range {
  using value = typename std::remove_cvref_t<std::invoke_result_t<G&>>::value_type;

 public:
  explicit generated_range(G next) : next_(std::make_unique<G>(std::move(next))) {}
  class iterator {
   public:
    using iterator_concept = std::input_iterator_tag;
    using difference_type = std::ptrdiff_t;
    using value_type = value;
    iterator() = default;
    explicit iterator(generated_range* r) : range_(r) {}
    value& operator*() const { return *range_->current_; }
    iterator& operator++() {
      range_->current_ = (*range_->next_)();
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return !range_->current_.has_value(); }

   private:
    generated_range* range_ = nullptr;
  };
  iterator begin() {
    if (!begun_) current_ = (*next_)();
    begun_ = true;
    return iterator(this);
  }
  std::default_sentinel_t end() const noexcept { return {}; }

 private:
  std::unique_ptr<G> next_;
  std::optional<value> current_;
  bool begun_ = false;
};

}  // namespace procpool::detail
