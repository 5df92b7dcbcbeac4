// The input of a map: its elements as arguments, several ranges side by side, and the range of
// generate(). For one thread: the reader of the results.
#pragma once

#include <cstddef>
#include <iterator>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "procpool/detail/std/memory.hpp"
#include "procpool/detail/std/ranges.hpp"

namespace procpool::detail {

// A range that stays with the caller of the map.
template <class R>
class lent_range {
 public:
  explicit lent_range(R& range) : range_(std::addressof(range)) {}
  auto begin() const { return std::ranges::begin(*range_); }
  auto end() const { return std::ranges::end(*range_); }
  auto size() const
    requires std::ranges::sized_range<R>
  {
    return std::ranges::size(*range_);
  }

 private:
  R* range_;
};

// A range that was moved in.
template <class R>
class kept_range {
 public:
  explicit kept_range(R&& range) : range_(std::move(range)) {}
  auto begin() { return std::ranges::begin(range_); }
  auto end() { return std::ranges::end(range_); }
  auto size()
    requires std::ranges::sized_range<R>
  {
    return std::ranges::size(range_);
  }

 private:
  R range_;
};

// The form in which a map keeps a range: a view as it is.
template <class R>
auto make_input(R&& range) {
  using range_type = std::remove_reference_t<R>;
  if constexpr (std::ranges::view<std::remove_cv_t<range_type>>) {
    return std::decay_t<R>(std::forward<R>(range));
  } else if constexpr (std::is_lvalue_reference_v<R>) {
    return lent_range<range_type>(range);
  } else {
    return kept_range<range_type>(std::forward<R>(range));
  }
}
template <class R>
using input_of = decltype(make_input(std::declval<R>()));

// The type by which an element is passed as an argument. A proxy, as in a vector of bool, is passed
// as its value.
template <class View>
using element_of =
    std::conditional_t<std::is_reference_v<std::ranges::range_reference_t<View>>,
                       std::ranges::range_reference_t<View>, std::ranges::range_value_t<View>>;

template <class View>
inline constexpr bool owns_elements = false;
template <class R>
inline constexpr bool owns_elements<kept_range<R>> =
    std::is_reference_v<std::ranges::range_rvalue_reference_t<R>>;

// The type by which an element is given to a task that keeps it: elements of a range that was moved
// in are moved.
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

// The number of items, if all ranges know their sizes.
template <class... Views>
std::optional<std::size_t> common_size(std::tuple<Views...>& views) {
  if constexpr ((std::ranges::sized_range<Views> && ...)) {
    return std::apply(
        [](auto&... v) {
          std::size_t least = static_cast<std::size_t>(-1), size = 0;
          ((size = static_cast<std::size_t>(std::ranges::size(v)),
            least = size < least ? size : least),
           ...);
          return least;
        },
        views);
  } else {
    return std::nullopt;
  }
}

// Several ranges, read side by side to the end of the shortest. For one thread.
template <class... Views>
class zipped_input {
 public:
  explicit zipped_input(Views... views) : views_(std::move(views)...) {}

  std::optional<std::size_t> size() { return common_size(views_); }
  // Called once, before any element is read.
  void begin() { at_.emplace(begin_all(all)); }
  bool at_end() {
    // The step is put off until now: it may block, and an element that is not needed stays in its
    // source.
    if (std::exchange(step_due_, false)) step(all);
    return is_at_end(all);
  }
  // Calls take(iterators...) for the element that at_end() has found; unless that throws, the next
  // call is for the next element.
  template <class Take>
  void take(Take&& take) {
    std::apply(take, *at_);
    step_due_ = true;
  }

  // The iterator of a single range, which the caller moves.
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
  bool step_due_ = false;  // take() has used *at_
};

// The range that generate() returns. The closure is on the heap, since a closure cannot be assigned
// and a range must be assignable.
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

// As for the views of the standard: an iterator outlives its view if it outlives this.
template <class R>
inline constexpr bool std::ranges::enable_borrowed_range<procpool::detail::lent_range<R>> = true;
template <class R>
inline constexpr bool std::ranges::enable_borrowed_range<procpool::detail::kept_range<R>> =
    std::ranges::enable_borrowed_range<R>;
