// The engine of map_results: reads the input, has it packed into chunks, and reads outcomes out of
// the chunks. `Chunks` defines how a chunk is packed and where it runs: byte_tasks.hpp,
// thread_tasks.hpp.
//
// At most `buffersize` items are in progress, if the caller sets it; otherwise a few chunks for
// each worker, and a limited number of bytes. A chunk has `chunksize` items, or as many as take
// about half a millisecond, as measured on earlier chunks, and fewer towards the end of a range
// whose size is known, so that the workers finish together.
//
// For one thread: the reader of the results.
#pragma once

#include <cstring>
#include <deque>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "procpool/detail/executor/early_end.hpp"
#include "procpool/detail/executor/map_input.hpp"
#include "procpool/detail/executor/map_source.hpp"
#include "procpool/detail/std/chrono.hpp"
#include "procpool/detail/std/memory.hpp"
#include "procpool/detail/task/completion_set.hpp"
#include "procpool/detail/task/outcome_value.hpp"
#include "procpool/detail/task/thunks.hpp"
#include "procpool/outcome.hpp"

namespace procpool::detail {

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
    end_tasks([this](auto f) { this->each_begun(f); }, {options_.cancel, options_.grace});
    if constexpr (requires { maker_.lends(); }) {
      // The caller may destroy the elements after this.
      if (!maker_.lends()) return;
      each_begun([](task_state& task) { await_end(task, nullptr); });
    }
  }

  std::exception_ptr drain() override {
    check_home(this->home());
    std::exception_ptr first;
    while (run_ != runs_.size() || next_chunk()) {
      const outcome_run& run = runs_[run_++];
      if (run.first.error && !first) first = run.first.error;
      // Checks the deadline here too, for endless input whose tasks are all done in time.
      if (run_ == runs_.size() && !input_over_ && deadline_ &&
          std::chrono::steady_clock::now() >= *deadline_) {
        give_up();
      }
    }
    return first;
  }

  void cancel(bool kill_running) noexcept override {
    cancel_chunks();
    if (kill_running) each_begun([](task_state& task) { task.cancel(true); });
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

  // Submits as much as the pace allows. An error of the input or of the pool is thrown when
  // everything before it has been read.
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
      // The input threw: the items that it gave before are still submitted.
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
    std::size_t count = sizer_.most_items(Chunks::item_bytes);
    if (count > most) count = most;
    if (count > left) count = left;
    task.add_block(std::to_address(at), count);
    at += static_cast<std::ptrdiff_t>(count);
    return count;
  }

  // Waits for the next chunk and opens it. Returns false if no chunk is left.
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
      position = position_of(*id);
    } else if (!chunks_.front().state->wait_until(deadline)) {
      give_up();
    }
    const auto offset = static_cast<std::ptrdiff_t>(position);
    reading_ = std::move(chunks_[position]);
    chunks_.erase(chunks_.begin() + offset);
    ids_.erase(ids_.begin() + offset);
    sizer_.chunk_done(reading_.count, reading_.bytes, reading_.state->elapsed_ns());
    reading_.state->pin_items(runs_);
    // Submits more work before this chunk is read, so that the workers do not wait for the reader.
    refill();
    return true;
  }

  // Where a submitted chunk is, by a binary search.
  std::size_t position_of(std::uint64_t id) const {
    std::size_t first = 0, end = ids_.size();
    while (end - first > 1) {
      const std::size_t middle = first + (end - first) / 2;
      (ids_[middle] <= id ? first : end) = middle;
    }
    return first;
  }

  [[noreturn]] void give_up() {
    std::size_t unread = 0;
    for (const chunk& c : chunks_) unread += c.count;
    unfinished_items rest("map", unread);
    // In an unordered map the front chunk may be done already.
    if (options_.ordered && !chunks_.empty()) {
      rest.waited_for(chunks_.front().first, chunks_.front().count);
    }
    cancel(false);
    std::vector<begun_task> tasks;
    for (const chunk& c : begun_) tasks.push_back({c.state.get(), c.first, c.count});
    rest.end(tasks, {options_.cancel, options_.grace});
    rest.fail();
  }

  // A copy of the process has no task to wait for, or to cancel.
  template <class F>
  void each_begun(F f) noexcept {
    if (!this->home().is_here()) return;
    for (const chunk& c : begun_) f(*c.state);
  }

  void cancel_chunks() noexcept {
    completions_.reset();
    // A copy of the process has no task to cancel.
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
  std::deque<chunk> begun_;        // chunks that could not be cancelled any more
  std::deque<std::uint64_t> ids_;  // of chunks_, ascending
  std::uint64_t next_id_ = 0;
  std::size_t submitted_ = 0;
  std::optional<completion_set> completions_;

  chunk reading_;
  std::vector<outcome_run> runs_;  // of `reading_`
  std::size_t run_ = 0, before_run_ = 0;
  std::uint32_t taken_in_run_ = 0;
};

}  // namespace procpool::detail
