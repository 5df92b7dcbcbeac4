// procpool::progress: a range that shows how far its reader has got.
//
//   for (auto& r : procpool::progress(pool.map(f, xs), {.label = "resize"})) ...
//
// Shows a bar on one line of stderr on a terminal, plain lines from time to time elsewhere, and
// nothing when quiet. The thread that reads the range draws the bar, at most ten times a second;
// the cost per element is a comparison. For use by one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <ranges>
#include <string>
#include <utility>

#include "procpool/export.hpp"

namespace procpool {

struct progress_options {
  // UTF-8. Line ends, control characters and escape sequences in the label and in the unit are
  // dropped, and a line is cut between letters where the terminal is too narrow.
  std::string label = {};
  // The number of elements; default: the range's own size, if it is known.
  std::optional<std::size_t> total = {};
  // The name of the elements, in the plural: "files".
  std::string unit = {};
  // Shows nothing. Also with the environment variable PROCPOOL_QUIET.
  bool quiet = false;
};

namespace detail {

// The display; compiled.
class PROCPOOL_EXPORT progress_meter {
 public:
  progress_meter(progress_options options, std::optional<std::size_t> total);
  ~progress_meter();
  progress_meter(progress_meter&&) noexcept;
  progress_meter& operator=(progress_meter&&) noexcept;
  void step() {
    if (++count_ >= look_at_) look();
  }

 private:
  struct display;
  void look();
  std::size_t count_ = 0, look_at_ = 1;
  std::unique_ptr<display> display_;
};

}  // namespace detail

template <std::ranges::view V>
class progress_view {
 public:
  progress_view(V base, progress_options options)
      : base_(std::move(base)), meter_(std::move(options), known_total(base_)) {}

  class iterator {
   public:
    using iterator_concept = std::input_iterator_tag;
    using difference_type = std::ptrdiff_t;
    using value_type = std::ranges::range_value_t<V>;
    iterator() = default;
    iterator(progress_view* v, std::ranges::iterator_t<V> i) : view_(v), at_(std::move(i)) {}
    iterator(iterator&&) = default;
    iterator& operator=(iterator&&) = default;
    decltype(auto) operator*() const { return *at_; }
    iterator& operator++() {
      view_->meter_.step();
      ++at_;
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return at_ == std::ranges::end(view_->base_); }

   private:
    progress_view* view_ = nullptr;
    std::ranges::iterator_t<V> at_{};
  };
  iterator begin() { return iterator(this, std::ranges::begin(base_)); }
  std::default_sentinel_t end() const noexcept { return {}; }

 private:
  static std::optional<std::size_t> known_total(V& base) {
    if constexpr (std::ranges::sized_range<V>) {
      return static_cast<std::size_t>(std::ranges::size(base));
    } else if constexpr (requires { base.base().total(); }) {
      return base.base().total();  // results of a map or a pipeline, as_completed
    } else {
      return std::nullopt;
    }
  }
  V base_;
  detail::progress_meter meter_;
};

template <std::ranges::viewable_range R>
[[nodiscard]] auto progress(R&& range, progress_options options = {}) {
  return progress_view<std::views::all_t<R>>(std::views::all(std::forward<R>(range)),
                                             std::move(options));
}

}  // namespace procpool
