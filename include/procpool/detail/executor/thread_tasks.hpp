// Tasks as objects: a callable and its arguments, kept until a thread of this process runs them.
// Nothing is encoded, so a task may capture, refer to the caller's objects, and return values that
// cannot travel. The counterpart of byte_tasks.hpp.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "procpool/detail/executor/map_feed.hpp"
#include "procpool/detail/executor/thread_access.hpp"
#include "procpool/detail/executor/thread_items.hpp"
#include "procpool/detail/std/chrono.hpp"
#include "procpool/detail/std/memory.hpp"
#include "procpool/detail/task/call_function.hpp"
#include "procpool/detail/task/task_call.hpp"

namespace procpool::detail {

template <class R, class F, class Arguments>
class thread_call final : public local_value<R> {
 public:
  thread_call(error_handler on_error, F&& f, Arguments&& arguments)
      : local_value<R>(std::move(on_error)),
        call_(std::in_place, std::forward<F>(f), std::move(arguments)) {}

  void run() noexcept override {
    try {
      const auto call = [this](auto&&... args) -> decltype(auto) {
        return detail::call_function(std::move(call_->first), std::move(args)...);
      };
      if constexpr (std::is_void_v<R>) {
        std::apply(call, call_->second);
      } else {
        this->set_value(std::apply(call, call_->second));
      }
    } catch (...) {
      this->set_error(std::current_exception());
    }
    call_.reset();  // before any thread learns that the task is done
  }

 private:
  void drop_call() noexcept override { call_.reset(); }
  std::optional<std::pair<F, Arguments>> call_;
};

// Calls f after the rendezvous of a broadcast.
template <class F>
struct after_thread_rendezvous {
  template <class... Args>
  decltype(auto) operator()(Args&&... args) && {
    arrive_and_wait(rendezvous);
    return detail::call_function(std::move(f), std::forward<Args>(args)...);
  }
  thread_broadcast::rendezvous_ptr rendezvous;
  F f;
};

template <class T>
struct broadcast_needs_copies {
  static_assert(std::is_copy_constructible_v<T>,
                "procpool: in a broadcast each thread gets a function and arguments of its own, "
                "and this one cannot be copied: pass a std::shared_ptr to it");
};

// What the chunks of a map share.
template <class F>
struct thread_map {
  explicit thread_map(F&& function) : f(std::move(function)) {}
  const F f;
  std::atomic<bool> over{false};  // the reader of the results is gone: no further item starts
};

// Items of a map, with an outcome each.
template <class R, class F, class Arguments>
class thread_chunk final : public local_task {
 public:
  thread_chunk(error_handler on_error, std::shared_ptr<const thread_map<F>> map)
      : local_task(std::move(on_error)), map_(std::move(map)) {}
  void add(Arguments&& item) {
    items_.push_back(std::move(item));
    ++count_;
  }
  std::size_t size() const { return items_.size(); }

  void run() noexcept override {
    const auto start = std::chrono::steady_clock::now();
    try {
      outcomes_.resize(items_.size());
      for (std::size_t i = 0; i < items_.size(); ++i) {
        if (map_->over.load(std::memory_order_relaxed)) break;  // relaxed: no data depends on it
        run_item(items_[i], outcomes_[i]);
      }
    } catch (...) {
      this->set_error(std::current_exception());  // no memory for outcomes
    }
    drop_call();
    elapsed_ns_ = nanoseconds_between(start, std::chrono::steady_clock::now());
  }

 private:
  struct result_of_item {
    std::optional<item_of<R>> value;
    std::exception_ptr error;
  };

  void run_item(Arguments& item, result_of_item& to) noexcept {
    try {
      const auto call = [this](auto&... args) -> decltype(auto) {
        return detail::call_function(map_->f, argument_of(args)...);
      };
      if constexpr (std::is_void_v<R>) {
        std::apply(call, item);
      } else {
        to.value.emplace(std::apply(call, item));
      }
    } catch (...) {
      to.error = std::current_exception();
    }
  }

  std::uint32_t item_count() const noexcept override { return count_; }
  void items(std::vector<outcome_run>& out) override {
    for (result_of_item& o : outcomes_) {
      outcome_view view;
      if (o.value) view.object = std::addressof(*o.value);
      view.error = o.error;
      out.push_back({std::move(view), 1});
    }
  }
  void drop_call() noexcept override {
    items_.clear();
    map_.reset();
  }
  void drop_outcome() noexcept override {
    outcomes_.clear();
    local_task::drop_outcome();
  }

  std::shared_ptr<const thread_map<F>> map_;
  std::vector<Arguments> items_;
  std::vector<result_of_item> outcomes_;
  std::uint32_t count_ = 0;  // stays when the items are gone
};

template <class F, class... Views>
class thread_chunks {
  using items = thread_items<F, std::index_sequence_for<Views...>, Views...>;
  using arguments = typename items::arguments;

 public:
  using result = typename items::body::result_type;
  using chunk = thread_chunk<result, F, arguments>;

  // The tasks of a map with a timeout may outlive the map, so they get copies.
  thread_chunks(const thread_pool_ptr& pool, bool may_end_early, F f)
      : pool_(pool), map_(std::make_shared<thread_map<F>>(std::move(f))), copies_(may_end_early) {}
  int max_workers() const { return max_workers_of(pool_); }

  static constexpr bool is_one_block = false;
  static constexpr std::size_t item_bytes = sizeof(arguments);

  // Whether tasks that have begun read the caller's elements.
  bool lends() const noexcept { return items::lends && !copies_; }
  // relaxed: an item that misses it runs, and its result is dropped
  void end() noexcept { map_->over.store(true, std::memory_order_relaxed); }

  class packing {
   public:
    explicit packing(thread_chunks& map)
        : pool_(map.pool_),
          by_copy_(map.copies_),
          chunk_(new chunk(on_error_of(map.pool_), map.map_)) {}
    std::size_t size() const { return chunk_->size() * item_bytes; }
    template <class... Iterators>
    void add(Iterators&... at) {
      chunk_->add(items::keep(by_copy_, at...));
    }
    state_ptr commit(const task_options& options, std::uint32_t) {
      return detail::commit(pool_, local_ptr(chunk_.release()), &options);
    }

   private:
    const thread_pool_ptr& pool_;
    const bool by_copy_;
    std::unique_ptr<chunk, local_release> chunk_;
  };

 private:
  thread_pool_ptr pool_;
  std::shared_ptr<thread_map<F>> map_;
  bool copies_;
};

struct thread_tasks {
  using target = thread_pool_ptr;
  // The call of an item of a map.
  template <class F, class... Args>
  using call = thread_body<const F&, std::index_sequence_for<Args...>, Args...>;
  template <class F, class... Args>
  using body = thread_body<F, std::index_sequence_for<Args...>, Args...>;
  template <class F, class... Args>
  using result = typename body<F, Args...>::result_type;

  // There is always room, so the result is never null.
  template <class F, class... Args>
  static state_ptr submit(const target& pool, const task_options* options, bool, F& f,
                          Args&&... args) {
    using types = body<F, Args...>;
    static_assert(types::check());
    if constexpr (types::ok()) {
      using task = thread_call<result<F, Args...>, F, typename types::arguments>;
      return commit(pool,
                    local_ptr(new task(on_error_of(pool), std::move(f),
                                       types::keep(std::forward<Args>(args)...))),
                    options);
    } else {
      return nullptr;
    }
  }

  template <class F, class... Args>
  using broadcast_result = typename body<F, const Args&...>::result_type;
  // Submits one task for each thread, with copies of its own.
  template <class F, class... Args>
  static std::vector<state_ptr> broadcast(const target& pool, const F& f, const Args&... args) {
    using types = body<F, const Args&...>;
    static_assert(types::check());
    static_assert((sizeof(broadcast_needs_copies<F>) + ... +
                   sizeof(broadcast_needs_copies<std::decay_t<Args>>)) != 0);
    std::vector<state_ptr> tasks;
    if constexpr (types::ok() && std::is_copy_constructible_v<F> &&
                  (... && std::is_copy_constructible_v<std::decay_t<Args>>)) {
      using after = after_thread_rendezvous<F>;
      using task = thread_call<typename types::result_type, after, typename types::arguments>;
      thread_broadcast all(pool);
      tasks.reserve(all.places());
      for (std::size_t i = 0; i < all.places(); ++i) {
        local_ptr one(
            new task(on_error_of(pool), after{all.rendezvous(), f}, types::keep(args...)));
        tasks.push_back(commit(pool, std::move(one), nullptr));
      }
      all.await_all();
    }
    return tasks;
  }

  template <class F, class... Views>
  static auto make_source(const target& pool, map_options options, F f, Views... views) {
    using chunks = thread_chunks<F, Views...>;
    const bool may_end_early = options.timeout.has_value();
    std::unique_ptr<map_source<item_of<typename chunks::result>>> source =
        std::make_unique<map_feed<chunks, Views...>>(chunks(pool, may_end_early, std::move(f)),
                                                     std::move(options), std::move(views)...);
    return source;
  }
};

}  // namespace procpool::detail
