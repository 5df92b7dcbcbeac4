// Waiting for several futures: as_completed, wait, completion_queue. They take futures of different
// executors together, never throw the tasks' own errors, and cost the same for each future, however
// many are outstanding.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <ranges>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "procpool/detail/task/completion_set.hpp"
#include "procpool/future.hpp"

namespace procpool {

enum class return_when { all_completed, first_completed, first_exception };

struct wait_options {
  std::optional<duration> timeout = {};
  return_when until = return_when::all_completed;
};

namespace detail {

// "2 (of 4) futures unfinished"
[[noreturn]] PROCPOOL_EXPORT void throw_unfinished(std::size_t unfinished, std::size_t all);

template <class T>
inline constexpr bool is_future = false;
template <class T>
inline constexpr bool is_future<future<T>> = true;
template <class T>
inline constexpr bool is_future<shared_future<T>> = true;
template <class T>
inline constexpr bool is_future<droppable_future<T>> = true;

template <class F>
  requires is_future<F>
F& as_future(F& f) {
  return f;
}
template <class F>
  requires is_future<F>
F& as_future(std::reference_wrapper<F> f) {
  return f;
}
template <class F>
  requires is_future<F>
F& as_future(F* f) {
  return *f;
}

// The elements of a range as lvalues or what stands for them, each future once.
template <class View, class Proj>
class completion_range {
 public:
  using reference = std::ranges::range_reference_t<View>;
  using stored = std::conditional_t<std::is_lvalue_reference_v<reference>,
                                    std::add_pointer_t<reference>, std::remove_cvref_t<reference>>;

  completion_range(View view, Proj proj, std::optional<duration> timeout)
      : view_(std::move(view)), proj_(std::move(proj)) {
    if (timeout) deadline_ = deadline_after(*timeout);
    std::unordered_set<task_state*> seen;
    for (auto&& element : view_) {
      task_state* s = as_future(std::invoke(proj_, element)).native_state();
      if (s == nullptr) throw_no_state();
      if (!seen.insert(s).second) continue;
      if constexpr (std::is_lvalue_reference_v<reference>) {
        elements_.push_back(&element);
      } else {
        elements_.push_back(element);
      }
      set_.add(*s, elements_.size() - 1);
    }
    left_ = elements_.size();
  }
  completion_range(completion_range&&) = default;
  completion_range& operator=(completion_range&&) = default;

  // The futures in all, each counted once.
  std::optional<std::size_t> total() const { return elements_.size(); }

  class iterator {
   public:
    using iterator_concept = std::input_iterator_tag;
    using difference_type = std::ptrdiff_t;
    using value_type = std::remove_cvref_t<reference>;
    iterator() = default;
    explicit iterator(completion_range* r) : range_(r) {}
    decltype(auto) operator*() const { return range_->element(); }
    iterator& operator++() {
      range_->advance();
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return range_->over_; }

   private:
    completion_range* range_ = nullptr;
  };
  iterator begin() {
    if (!begun_) advance();
    begun_ = true;
    return iterator(this);
  }
  std::default_sentinel_t end() const noexcept { return {}; }

 private:
  decltype(auto) element() {
    if constexpr (std::is_lvalue_reference_v<reference>) {
      return static_cast<reference>(*elements_[at_]);
    } else {
      return (elements_[at_]);
    }
  }
  void advance() {
    if (left_ == 0) {
      over_ = true;
      return;
    }
    const std::optional<std::uint64_t> next = set_.next(deadline_ ? &*deadline_ : nullptr);
    if (!next) {
      over_ = true;
      throw_unfinished(left_, elements_.size());
    }
    at_ = static_cast<std::size_t>(*next);
    --left_;
  }

  View view_;  // keeps a range alive that was moved in
  Proj proj_;
  std::vector<stored> elements_;
  completion_set set_;
  std::optional<time_point> deadline_;
  std::size_t at_ = 0, left_ = 0;
  bool begun_ = false, over_ = false;
};

}  // namespace detail

// A range of references to the elements of `futures`, in order of completion (a range moved in is
// kept). Reading blocks for the next completed future. Throws timeout_error once `timeout`, counted
// from this call, has passed; completed futures come first. The futures must not move until the
// loop has reached them; leaving the loop early leaves the other tasks running.
template <class R>
[[nodiscard]] auto as_completed(R&& futures, std::optional<duration> timeout = {}) {
  return detail::completion_range(std::views::all(std::forward<R>(futures)), std::identity{},
                                  timeout);
}
// The same for elements that hold a future: for (auto& [url, f] : as_completed(jobs, &job::f)).
template <class R, class Proj>
  requires(!std::is_convertible_v<Proj, std::optional<duration>>)
[[nodiscard]] auto as_completed(R&& jobs, Proj proj, std::optional<duration> timeout = {}) {
  return detail::completion_range(std::views::all(std::forward<R>(jobs)), std::move(proj), timeout);
}

// References to futures, in input order; wait and as_completed accept them again. Valid only as
// long as the container of the futures.
template <class T>
class future_refs {
 public:
  void push_back(T& f) { futures_.push_back(&f); }
  auto begin() const { return deref().begin(); }
  auto end() const { return deref().end(); }
  std::size_t size() const noexcept { return futures_.size(); }
  bool empty() const noexcept { return futures_.empty(); }
  T& operator[](std::size_t i) const { return *futures_[i]; }

 private:
  struct dereference {
    T& operator()(T* f) const { return *f; }
  };
  auto deref() const { return std::views::transform(futures_, dereference{}); }
  std::vector<T*> futures_;
};

namespace detail {

template <class R>
inline constexpr bool is_future_refs = false;
template <class T>
inline constexpr bool is_future_refs<future_refs<T>> = true;

}  // namespace detail

template <class T>
struct wait_result {
  future_refs<T> done, not_done;
};

// Blocks until all futures are done, the first is done, or the first has failed; or until the
// timeout has passed, which is no error. Cancelled futures are done, and have not failed.
template <class R>
auto wait(R&& futures, wait_options options = {}) {
  static_assert(std::is_lvalue_reference_v<R> || std::ranges::borrowed_range<R> ||
                    std::ranges::view<std::remove_cvref_t<R>> ||
                    detail::is_future_refs<std::remove_cvref_t<R>>,
                "procpool: the result of wait refers to the futures, so they cannot be in a "
                "temporary: keep the container in a variable");
  using T = std::remove_reference_t<decltype(detail::as_future(*std::ranges::begin(futures)))>;
  std::optional<time_point> deadline;
  if (options.timeout) deadline = detail::deadline_after(*options.timeout);
  std::vector<T*> all;
  std::unordered_set<detail::task_state*> seen;
  detail::completion_set set;
  for (auto&& element : futures) {
    T& f = detail::as_future(element);
    detail::task_state* s = f.native_state();
    if (s == nullptr) detail::throw_no_state();
    if (!seen.insert(s).second) continue;
    set.add(*s, all.size());
    all.push_back(&f);
  }
  std::vector<bool> done(all.size());
  while (set.outstanding() != 0) {
    const std::optional<std::uint64_t> next = set.next(deadline ? &*deadline : nullptr);
    if (!next) break;
    const auto i = static_cast<std::size_t>(*next);
    done[i] = true;
    if (options.until == return_when::first_completed) break;
    if (options.until == return_when::first_exception && !all[i]->cancelled() &&
        all[i]->exception()) {
      break;
    }
  }
  wait_result<T> result;
  for (std::size_t i = 0; i < all.size(); ++i) {
    // A future that completes just now counts as done, too.
    (done[i] || all[i]->done() ? result.done : result.not_done).push_back(*all[i]);
  }
  return result;
}

// The same with a timeout alone: wait(futures, 5s).
template <class R, class Rep, class Period>
auto wait(R&& futures, std::chrono::duration<Rep, Period> timeout) {
  return wait(std::forward<R>(futures), wait_options{.timeout = timeout});
}

// Futures go in at any time, from any thread, and come out when they are done, to any thread.
template <class T>
class completion_queue {
 public:
  // Throws invalid_state_error for a future that holds no task; f is then unchanged.
  void add(future<T>&& f) {
    detail::task_state* s = f.native_state();
    if (s == nullptr) detail::throw_no_state();
    std::uint64_t id = 0;
    {
      const std::lock_guard lock(mutex_);
      id = next_id_++;
      futures_[id] = std::move(f);
    }
    try {
      set_.add(*s, id);
    } catch (...) {
      f = std::move(*remove(id));
      throw;
    }
  }
  // Blocks until a task is done and returns its future; empty when no future is left, also when
  // another thread takes the last one meanwhile.
  std::optional<future<T>> next() { return take(set_.next(nullptr)); }
  // The same with a time limit: empty also when the time is over.
  std::optional<future<T>> next_for(duration d) {
    const time_point deadline = detail::deadline_after(d);
    return take(set_.next(&deadline));
  }
  // Does not block: empty if no task is done.
  std::optional<future<T>> try_next() { return take(set_.try_next()); }
  // For poll, epoll and any event loop: a descriptor that is readable as long as try_next() can
  // return a future. It belongs to the queue: poll it, but neither read nor write nor close it. The
  // callback thread makes it readable, so a slow callback delays it. Throws std::system_error.
  int native_handle() { return set_.descriptor(); }
  // The number of futures that were added and not taken.
  std::size_t size() const { return set_.outstanding(); }
  bool empty() const { return size() == 0; }

 private:
  std::optional<future<T>> take(std::optional<std::uint64_t> id) {
    return id ? remove(*id) : std::nullopt;
  }
  std::optional<future<T>> remove(std::uint64_t id) {
    const std::lock_guard lock(mutex_);
    const auto at = futures_.find(id);
    std::optional<future<T>> f(std::move(at->second));
    futures_.erase(at);
    return f;
  }
  std::mutex mutex_;
  std::unordered_map<std::uint64_t, future<T>> futures_;
  std::uint64_t next_id_ = 0;
  detail::completion_set set_;  // forgets its tasks before the futures go
};

}  // namespace procpool
