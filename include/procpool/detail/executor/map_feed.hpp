// The engine of map_results: takes input, has it packed into chunks, and takes outcomes out of
// them. `Chunks` defines how a chunk is packed, and where it runs: byte_tasks.hpp,
// thread_tasks.hpp.
//
// In progress are at most `buffersize` items, if the caller sets it; otherwise some chunks for each
// worker, and a limited number of bytes. A chunk has `chunksize` items, or as many as fill about
// half a millisecond, measured by earlier chunks, and fewer towards the end of a range whose size
// is known, so that the workers finish together.
//
// One thread: the reader of the results.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstring>
#include <deque>
#include <memory>
#include <optional>
#include <ranges>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "procpool/detail/task/completion_set.hpp"
#include "procpool/detail/task/outcome_value.hpp"
#include "procpool/detail/task/thunks.hpp"
#include "procpool/outcome.hpp"

namespace procpool::detail {

// What map_results holds: outcomes one after the other.
template <class T>
class map_source {
 public:
  virtual ~map_source() = default;

  std::optional<outcome<T>> current;  // empty: the range has ended, or was not begun
  bool handed_out = false;            // the reader has looked at `current`

  // The next outcome into `current`. Throws timeout_error and shutdown_error.
  void fetch() {
    handed_out = false;
    if constexpr (in_runs<T>::value) {
      // A copy of the process has no region to read from.
      if (values_ != values_end_ && home_.is_here()) [[likely]] {
        take_into(index_++, {nullptr, std::exchange(values_, values_ + sizeof(T)), sizeof(T)});
        return;
      }
    }
    current.reset();
    fetch_next();
  }
  // kill_running: also ends the workers of items that run.
  virtual void cancel(bool kill_running) noexcept = 0;
  virtual std::optional<std::size_t> total() const = 0;
  // Reads everything and drops the values. The error of the lowest index, or null.
  virtual std::exception_ptr drain() = 0;

  const home_process& home() const noexcept { return home_; }

  // As fetch(), but throws the error of an item instead.
  void fetch_value() {
    fetch();
    if (current && !current->has_value()) {
      std::exception_ptr e = current->error();
      current.reset();
      std::rethrow_exception(std::move(e));
    }
  }

 protected:
  virtual void fetch_next() = 0;

  // From here on there is a run of values of one size, that of the item `index` first.
  void begin_values(std::size_t index, const outcome_run& run) {
    index_ = index;
    values_ = run.first.data;
    values_end_ = run.first.data + run.first.size * run.count;
  }
  void end_values() { values_ = values_end_ = nullptr; }
  void take_into(std::size_t index, const outcome_view& o) {
    try {
      current.emplace(index, take_value<T>(o));
    } catch (...) {
      current.emplace(index, std::current_exception());
    }
  }

 private:
  home_process home_;
  const std::byte *values_ = nullptr, *values_end_ = nullptr;  // not taken yet
  std::size_t index_ = 0;
};

// Chooses sizes, and does what needs no types. Compiled.
class PROCPOOL_EXPORT chunk_sizer {
 public:
  // Throws std::invalid_argument for a chunksize or buffersize of 0.
  chunk_sizer(const map_options& options, int workers, std::optional<std::size_t> total);

  // Items of the next chunk; 0: enough is under way.
  std::size_t next_chunk() const;
  bool chunk_is_full(std::size_t bytes) const;
  // So many items of `bytes` each make a full chunk.
  std::size_t most_items(std::size_t bytes) const;
  void submitted(std::size_t items, std::size_t bytes);
  // An outcome was taken; for the first of a chunk, how long that chunk took.
  void chunk_done(std::size_t items, std::size_t bytes, std::uint32_t elapsed_ns);
  void taken(std::size_t items) { in_flight_ -= items; }

 private:
  std::optional<std::size_t> chunksize_, buffersize_;
  std::size_t workers_;
  std::optional<std::size_t> left_;  // input not submitted yet
  std::size_t in_flight_ = 0, chunks_ = 0, bytes_ = 0;
  std::size_t size_ = 1;  // of the next chunk
  double ns_per_item_ = 0;
};

// `unread` items have no result yet; the caller waited for item number `first`, whose task has
// `oldest` items.
[[noreturn]] PROCPOOL_EXPORT void throw_map_timeout(std::size_t unread, std::size_t first = 0,
                                                    std::size_t oldest = 0);
// "3 items have no result<which>; ..." and what becomes of them, for a timeout.
PROCPOOL_EXPORT std::string unfinished_items(std::size_t count, const std::string& which);

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

// What an item of a map gives; for a function that returns nothing, too.
template <class Result>
using item_of = std::conditional_t<std::is_void_v<Result>, std::monostate, Result>;

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

// Also where waiting is refused, as the caller may be the last thread that could run the task: this
// one runs already.
inline void wait_until_done(task_state& state) noexcept {
  try {
    state.wait_until(nullptr);
  } catch (...) {
    constexpr time_point end_of_time = time_point::max();
    while (!state.wait_until(&end_of_time)) {
    }
  }
}

template <class Chunks, class... Views>
class map_feed final : public map_source<item_of<typename Chunks::result>> {
 public:
  using result = typename Chunks::result;
  using item = item_of<result>;

  map_feed(Chunks chunks, map_options options, Views... views)
      : maker_(std::move(chunks)),
        options_(std::move(options)),
        input_(std::move(views)...),
        total_(input_.size()),
        sizer_(options_, maker_.max_workers(), total_) {
    if (options_.timeout) deadline_ = deadline_after(*options_.timeout);
    input_.begin();
    refill();
    if (feed_error_ && chunks_.empty()) std::rethrow_exception(feed_error_);
  }
  ~map_feed() override {
    cancel_chunks();
    if constexpr (requires { maker_.lends(); }) {
      // The elements may be gone after this.
      if (!maker_.lends()) return;
      for (const chunk& c : begun_) wait_until_done(*c.state);
    }
  }

  std::exception_ptr drain() override {
    check_home(this->home());
    std::exception_ptr first;
    while (run_ != runs_.size() || next_chunk()) {
      const outcome_run& run = runs_[run_++];
      if (run.first.error && !first) first = run.first.error;
      // Input that never ends, of tasks that are always done in time.
      if (run_ == runs_.size() && !input_over_ && deadline_ &&
          std::chrono::steady_clock::now() >= *deadline_) {
        give_up();
      }
    }
    return first;
  }

  void cancel(bool kill_running) noexcept override {
    cancel_chunks();
    if (kill_running && this->home().is_here()) {
      for (const chunk& c : begun_) c.state->cancel(true);
    }
    ended_ = true;
    run_ = runs_.size();
    this->end_values();
  }

  std::optional<std::size_t> total() const override { return total_; }

 private:
  // One error of a run, one value that has a record of its own, or a run of values.
  void fetch_next() override {
    check_home(this->home());
    if (run_ == runs_.size() && !next_chunk()) return;
    const outcome_run& run = runs_[run_];
    const std::size_t index = reading_.first + before_run_ + taken_in_run_;
    if constexpr (in_runs<item>::value) {
      if (!run.first.error && run.first.size == sizeof(item)) {
        this->begin_values(index, run);
        take_from_run(run.count);
        this->fetch();
        return;
      }
    }
    const outcome_view o = run.first;
    take_from_run(1);
    if (o.error) {
      this->current.emplace(index, o.error);
    } else if constexpr (std::is_void_v<result>) {
      this->current.emplace(index, std::monostate{});
    } else {
      this->take_into(index, o);
    }
  }

  void take_from_run(std::uint32_t items) {
    taken_in_run_ += items;
    if (taken_in_run_ < runs_[run_].count) return;
    before_run_ += runs_[run_].count;
    taken_in_run_ = 0;
    ++run_;
  }

  struct chunk {
    state_ptr state;
    std::size_t first = 0, count = 0, bytes = 0;
  };

  // Submits as much as the pace allows. What the input or the pool throws comes when everything
  // before it has been read.
  void refill() {
    if (feed_error_ || input_over_) return;
    try {
      while (const std::size_t most = sizer_.next_chunk()) {
        if (input_.at_end()) {
          input_over_ = true;
          return;
        }
        submit_chunk(most);
      }
    } catch (...) {
      feed_error_ = std::current_exception();
    }
  }

  void submit_chunk(std::size_t most) {
    typename Chunks::packing task(maker_);
    chunk c;
    c.first = submitted_;
    std::exception_ptr failed;
    try {
      if constexpr (Chunks::is_one_block) {
        c.count = pack_block(task, most);
      } else {
        do {
          input_.take([&task](auto&... at) { task.add(at...); });
          ++c.count;
        } while (c.count < most && !sizer_.chunk_is_full(task.size()) && !input_.at_end());
      }
    } catch (...) {
      // The input threw: what it gave before goes on its way.
      failed = std::current_exception();
      if (c.count == 0) throw;
    }
    c.bytes = task.size();
    c.state = task.commit(options_.task, static_cast<std::uint32_t>(c.count));
    submitted_ += c.count;
    sizer_.submitted(c.count, c.bytes);
    if (!options_.ordered) {
      if (!completions_) completions_.emplace();
      completions_->add(*c.state, next_id_);
    }
    chunks_.push_back(std::move(c));
    ids_.push_back(next_id_++);
    if (failed) std::rethrow_exception(failed);
  }

  std::size_t pack_block(typename Chunks::packing& task, std::size_t most) {
    auto& at = input_.iterator();
    const auto left = static_cast<std::size_t>(input_.end() - at);
    const std::size_t count = std::min({most, left, sizer_.most_items(Chunks::item_bytes)});
    task.add_block(std::to_address(at), count);
    at += static_cast<std::ptrdiff_t>(count);
    return count;
  }

  // Waits for the next chunk and opens it. False: there is none.
  bool next_chunk() {
    runs_.clear();
    run_ = 0;
    before_run_ = 0;
    sizer_.taken(reading_.count);
    reading_ = chunk{};
    refill();
    if (chunks_.empty()) {
      if (feed_error_ && !ended_) {
        ended_ = true;
        std::rethrow_exception(feed_error_);
      }
      return false;
    }
    const time_point* deadline = deadline_ ? &*deadline_ : nullptr;
    std::size_t position = 0;
    if (completions_) {
      const std::optional<std::uint64_t> id = completions_->next(deadline);
      if (!id) give_up();
      position =
          static_cast<std::size_t>(std::lower_bound(ids_.begin(), ids_.end(), *id) - ids_.begin());
    } else if (!chunks_.front().state->wait_until(deadline)) {
      give_up();
    }
    const auto offset = static_cast<std::ptrdiff_t>(position);
    reading_ = std::move(chunks_[position]);
    chunks_.erase(chunks_.begin() + offset);
    ids_.erase(ids_.begin() + offset);
    sizer_.chunk_done(reading_.count, reading_.bytes, reading_.state->elapsed_ns());
    reading_.state->pin_items(runs_);
    // More work goes out before this chunk is read, so that the workers do not wait for the reader.
    refill();
    return true;
  }

  [[noreturn]] void give_up() {
    std::size_t unread = 0;
    for (const chunk& c : chunks_) unread += c.count;
    // Those of an unordered map may be done by now, and others not.
    const chunk oldest{nullptr, chunks_.empty() ? 0 : chunks_.front().first,
                       chunks_.empty() || !options_.ordered ? 0 : chunks_.front().count, 0};
    cancel(false);
    throw_map_timeout(unread, oldest.first, oldest.count);
  }

  void cancel_chunks() noexcept {
    completions_.reset();
    // A copy of the process has nothing to cancel.
    if (this->home().is_here()) {
      if constexpr (requires { maker_.end(); }) {
        if (!chunks_.empty()) maker_.end();
      }
      std::erase_if(chunks_, [](const chunk& c) { return c.state->cancel(false); });
      if (begun_.empty()) begun_.swap(chunks_);
    }
    chunks_.clear();
    ids_.clear();
    input_over_ = true;
  }

  Chunks maker_;
  map_options options_;
  zipped_input<Views...> input_;
  std::optional<std::size_t> total_;
  chunk_sizer sizer_;
  std::optional<time_point> deadline_;
  std::exception_ptr feed_error_;
  bool input_over_ = false, ended_ = false;

  std::deque<chunk> chunks_;       // submitted, not read, in input order
  std::deque<chunk> begun_;        // could not be cancelled any more
  std::deque<std::uint64_t> ids_;  // of chunks_, ascending
  std::uint64_t next_id_ = 0;
  std::size_t submitted_ = 0;
  std::optional<completion_set> completions_;

  chunk reading_;
  std::vector<outcome_run> runs_;  // of `reading_`
  std::size_t run_ = 0, before_run_ = 0;
  std::uint32_t taken_in_run_ = 0;
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
