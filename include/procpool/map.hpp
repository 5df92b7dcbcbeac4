// map: a parallel for-loop over one or several ranges, lazy and bounded.
//
// A chunk of items is one task, but items are independent: an exception, a crash or a retry
// concerns one item. Only the caller's thread reads input, during the call and while it reads
// results, and only as far as the buffer allows, so infinite ranges work. Destroying the results
// cancels the items that have not started.
#pragma once

#include <cstddef>
#include <deque>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "procpool/detail/executor/map_call.hpp"
#include "procpool/detail/executor/map_feed.hpp"
#include "procpool/detail/std/memory.hpp"
#include "procpool/detail/task/completion_set.hpp"
#include "procpool/future.hpp"
#include "procpool/outcome.hpp"

namespace procpool {

// The results of a map: a move-only input range of R&. `auto r` copies or moves one out. Reading
// blocks until the next result is available, and submits more items. Reading a failed item throws
// its error and counts as reading it: begin() then continues with the next item. For use by one
// thread.
template <class R>
class [[nodiscard("dropping the results cancels the map: use for_each")]] map_results {
 public:
  using value_type = R;

  explicit map_results(std::unique_ptr<detail::map_source<R>> source)
      : source_(std::move(source)) {}
  map_results(map_results&&) noexcept = default;
  map_results& operator=(map_results&&) noexcept = default;

  class iterator {
   public:
    using iterator_concept = std::input_iterator_tag;
    using difference_type = std::ptrdiff_t;
    using value_type = R;
    using reference = R&;

    iterator() = default;
    R& operator*() const {
      source_->handed_out = true;
      return **source_->current;
    }
    R* operator->() const { return &**this; }
    iterator& operator++() {
      source_->current.reset();
      source_->fetch_value();
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return !source_->current; }

   private:
    friend map_results;
    explicit iterator(detail::map_source<R>* s) : source_(s) {}
    detail::map_source<R>* source_ = nullptr;
  };

  // The next unread result. Throws the error of its item, worker_crashed, timeout_error once
  // map_options::timeout has passed, shutdown_error if the pool was shut down before all input was
  // submitted.
  iterator begin() {
    if (source_->current && source_->handed_out) source_->current.reset();
    if (!source_->current) source_->fetch_value();
    return iterator(source_.get());
  }
  std::default_sentinel_t end() const noexcept { return {}; }

  // All remaining results, in order; throws the first error.
  std::vector<R> to_vector() {
    std::vector<R> all;
    for (R& r : *this) all.push_back(std::move(r));
    return all;
  }

  // The same without throwing the items' errors: a range of outcome<R>&.
  class outcome_range {
   public:
    explicit outcome_range(detail::map_source<R>* s) : source_(s) {}
    explicit outcome_range(std::unique_ptr<detail::map_source<R>> s)
        : owned_(std::move(s)), source_(owned_.get()) {}

    class iterator {
     public:
      using iterator_concept = std::input_iterator_tag;
      using difference_type = std::ptrdiff_t;
      using value_type = outcome<R>;
      using reference = outcome<R>&;
      iterator() = default;
      explicit iterator(detail::map_source<R>* s) : source_(s) {}
      outcome<R>& operator*() const {
        source_->handed_out = true;
        return *source_->current;
      }
      outcome<R>* operator->() const { return &**this; }
      iterator& operator++() {
        source_->fetch();
        return *this;
      }
      void operator++(int) { ++*this; }
      bool operator==(std::default_sentinel_t) const { return !source_->current; }

     private:
      detail::map_source<R>* source_ = nullptr;
    };
    iterator begin() {
      if (source_->current && source_->handed_out) source_->current.reset();
      if (!source_->current) source_->fetch();
      return iterator(source_);
    }
    std::default_sentinel_t end() const noexcept { return {}; }

    // As map_results::total.
    std::optional<std::size_t> total() const { return source_->total(); }

   private:
    std::unique_ptr<detail::map_source<R>> owned_;
    detail::map_source<R>* source_;
  };
  outcome_range outcomes() & { return outcome_range(source_.get()); }
  outcome_range outcomes() && { return outcome_range(std::move(source_)); }

  // Cancels the items that have not started and ends the range. kill_running: also running items,
  // also after a timeout; their workers are killed and replaced.
  void cancel(cancel_mode mode = cancel_mode::pending) {
    source_->cancel(mode == cancel_mode::kill_running);
  }
  // The number of items if it is known beforehand; empty for single-pass and infinite input.
  std::optional<std::size_t> total() const { return source_->total(); }

 private:
  std::unique_ptr<detail::map_source<R>> source_;
};

// A range of the values that `next` returns, until it returns std::nullopt: for streams.
template <class G>
auto generate(G next) {
  return detail::generated_range<G>(std::move(next));
}

namespace detail {

// `Tasks` knows how to pack a chunk for `target`.
template <class Tasks, class F, class... Ranges>
auto make_map(const typename Tasks::target& target, map_options options, F f, Ranges&&... ranges) {
  if constexpr (map_fits<Tasks, true, F, Ranges...>()) {
    return map_results(Tasks::make_source(target, std::move(options), std::move(f),
                                          detail::make_input(std::forward<Ranges>(ranges))...));
  } else {
    explain_map<Tasks, F, Ranges...>();
    return map_results<std::monostate>(nullptr);  // so that this error stays the only one
  }
}

template <class Tasks, class F, class... Ranges>
void run_for_each(const typename Tasks::target& target, map_options options, F f,
                  Ranges&&... ranges) {
  if constexpr (map_fits<Tasks, false, F, Ranges...>()) {
    options.ordered = true;
    const auto source = Tasks::make_source(target, std::move(options), std::move(f),
                                           detail::make_input(std::forward<Ranges>(ranges))...);
    if (std::exception_ptr first = source->drain()) std::rethrow_exception(std::move(first));
  } else {
    explain_map<Tasks, F, Ranges...>();
  }
}

}  // namespace detail
}  // namespace procpool
