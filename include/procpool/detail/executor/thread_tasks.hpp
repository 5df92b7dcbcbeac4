// Tasks as objects: a callable and its arguments, kept until a thread of this process runs them.
// Nothing is encoded, so they may capture, refer to the caller's objects, and return what cannot
// travel. The counterpart of byte_tasks.hpp.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <ranges>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "procpool/detail/executor/map_feed.hpp"
#include "procpool/detail/executor/thread_access.hpp"
#include "procpool/detail/task/kept.hpp"
#include "procpool/detail/task/task_call.hpp"

namespace procpool::detail {

template <class Function, class Parameters, class Arguments>
struct thread_call_does_not_fit {
  static_assert(always_false<Function>,
                "procpool: the function cannot be called with these arguments; named here are the "
                "function, its parameters where they are known, and the arguments as they arrive: "
                "as rvalues, and in a map to a function that is const");
};

// F as it is called: an rvalue in submit, const in a map, whose items share it.
template <class F, class Indices, class... Args>
struct thread_body;
template <class F, std::size_t... I, class... Args>
struct thread_body<F, std::index_sequence<I...>, Args...> {
  using parameters = typename parameters_of<std::remove_cvref_t<F>>::type;
  template <std::size_t N, class Arg>
  using kept_at = kept<typename parameter_at<N, parameters>::type, Arg>;

  static constexpr bool ok() { return std::is_invocable_v<F, typename kept_at<I, Args>::type...>; }
  static consteval bool check() {
    if constexpr (!ok()) {
      return sizeof(thread_call_does_not_fit<F, parameters,
                                             type_list<typename kept_at<I, Args>::type...>>) != 0;
    }
    return true;
  }
  static consteval auto find_result() {
    if constexpr (ok()) {
      return std::type_identity<
          std::decay_t<std::invoke_result_t<F, typename kept_at<I, Args>::type...>>>{};
    } else {
      return std::type_identity<void>{};  // an error that is reported already
    }
  }
  using result_type = typename decltype(find_result())::type;
  using arguments = std::tuple<typename kept_at<I, Args>::type...>;

  static arguments keep(Args&&... args) {
    return arguments{kept_at<I, Args>::make(std::forward<Args>(args))...};
  }
};

template <class R, class F, class Arguments>
class thread_call final : public local_value<R> {
 public:
  thread_call(error_handler on_error, F&& f, Arguments&& arguments)
      : local_value<R>(std::move(on_error)),
        call_(std::in_place, std::forward<F>(f), std::move(arguments)) {}

  void run() noexcept override {
    try {
      const auto call = [this](auto&&... args) -> decltype(auto) {
        return std::invoke(std::move(call_->first), std::move(args)...);
      };
      if constexpr (std::is_void_v<R>) {
        std::apply(call, call_->second);
      } else {
        this->set_value(std::apply(call, call_->second));
      }
    } catch (...) {
      this->set_error(std::current_exception());
    }
    call_.reset();  // before anybody hears that it is done
  }

 private:
  void drop_call() noexcept override { call_.reset(); }
  std::optional<std::pair<F, Arguments>> call_;
};

// f, after the meeting of a broadcast.
template <class F>
struct after_thread_meeting {
  template <class... Args>
  decltype(auto) operator()(Args&&... args) && {
    wait_at_meeting(point);
    return std::invoke(std::move(f), std::forward<Args>(args)...);
  }
  thread_broadcast::meeting_point point;
  F f;
};

template <class T>
struct broadcast_needs_copies {
  static_assert(std::is_copy_constructible_v<T>,
                "procpool: in a broadcast each thread gets a function and arguments of its own, "
                "and this one cannot be copied: pass a std::shared_ptr to it");
};

// Items of a map, with an outcome each.
template <class R, class F, class Arguments>
class thread_chunk final : public local_task {
 public:
  thread_chunk(error_handler on_error, std::shared_ptr<const F> f)
      : local_task(std::move(on_error)), f_(std::move(f)) {}
  void add(Arguments&& item) {
    items_.push_back(std::move(item));
    ++count_;
  }
  std::size_t size() const { return items_.size(); }

  void run() noexcept override {
    const auto start = std::chrono::steady_clock::now();
    try {
      outcomes_.resize(items_.size());
      for (std::size_t i = 0; i < items_.size(); ++i) run_item(items_[i], outcomes_[i]);
    } catch (...) {
      this->set_error(std::current_exception());  // no memory for outcomes
    }
    drop_call();
    const std::chrono::nanoseconds took = std::chrono::steady_clock::now() - start;
    elapsed_ns_ = static_cast<std::uint32_t>(std::clamp<std::int64_t>(
        took.count(), 1, std::int64_t{std::numeric_limits<std::uint32_t>::max()}));
  }

 private:
  struct result_of_item {
    std::optional<item_of<R>> value;
    std::exception_ptr error;
  };

  void run_item(Arguments& item, result_of_item& to) noexcept {
    try {
      const auto call = [this](auto&... args) -> decltype(auto) {
        return std::invoke(*f_, std::move(args)...);
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
    f_.reset();
  }
  void drop_outcome() noexcept override {
    outcomes_.clear();
    local_task::drop_outcome();
  }

  std::shared_ptr<const F> f_;
  std::vector<Arguments> items_;
  std::vector<result_of_item> outcomes_;
  std::uint32_t count_ = 0;  // also when the items are gone
};

template <class F, class... Views>
class thread_chunks {
  using body = thread_body<const F&, std::index_sequence_for<Views...>, given_element<Views>...>;
  using arguments = typename body::arguments;

 public:
  using result = typename body::result_type;
  using chunk = thread_chunk<result, F, arguments>;

  thread_chunks(const thread_hold& pool, F f)
      : pool_(pool), f_(std::make_shared<const F>(std::move(f))) {}
  int max_workers() const { return max_workers_of(pool_); }

  static constexpr bool is_one_block = false;
  static constexpr std::size_t item_bytes = sizeof(arguments);

  class packing {
   public:
    explicit packing(thread_chunks& map)
        : pool_(map.pool_), chunk_(new chunk(on_error_of(map.pool_), map.f_)) {}
    std::size_t size() const { return chunk_->size() * item_bytes; }
    template <class... Iterators>
    void add(Iterators&... at) {
      chunk_->add(body::keep(give_element<Views>(at)...));
    }
    state_ptr commit(const task_options& options, std::uint32_t) {
      return detail::commit(pool_, local_ptr(chunk_.release()), &options);
    }

   private:
    const thread_hold& pool_;
    std::unique_ptr<chunk, local_release> chunk_;
  };

 private:
  thread_hold pool_;
  std::shared_ptr<const F> f_;
};

struct thread_tasks {
  using target = thread_hold;
  // As a map calls it.
  template <class F, class... Args>
  using call = thread_body<const F&, std::index_sequence_for<Args...>, Args...>;
  template <class F, class... Args>
  using body = thread_body<F, std::index_sequence_for<Args...>, Args...>;
  template <class F, class... Args>
  using result = typename body<F, Args...>::result_type;

  // There is always room.
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
  // One task for each thread. Each has copies of its own.
  template <class F, class... Args>
  static std::vector<state_ptr> broadcast(const target& pool, const F& f, const Args&... args) {
    using types = body<F, const Args&...>;
    static_assert(types::check());
    static_assert((sizeof(broadcast_needs_copies<F>) + ... +
                   sizeof(broadcast_needs_copies<std::decay_t<Args>>)) != 0);
    std::vector<state_ptr> tasks;
    if constexpr (types::ok() && std::is_copy_constructible_v<F> &&
                  (... && std::is_copy_constructible_v<std::decay_t<Args>>)) {
      using after = after_thread_meeting<F>;
      using task = thread_call<typename types::result_type, after, typename types::arguments>;
      thread_broadcast all(pool);
      tasks.reserve(all.places());
      for (std::size_t i = 0; i < all.places(); ++i) {
        local_ptr one(new task(on_error_of(pool), after{all.point(), f}, types::keep(args...)));
        tasks.push_back(commit(pool, std::move(one), nullptr));
      }
      all.hold();
    }
    return tasks;
  }

  template <class F, class... Views>
  static auto make_source(const target& pool, map_options options, F f, Views... views) {
    using chunks = thread_chunks<F, Views...>;
    std::unique_ptr<map_source<item_of<typename chunks::result>>> source =
        std::make_unique<map_feed<chunks, Views...>>(chunks(pool, std::move(f)), std::move(options),
                                                     std::move(views)...);
    return source;
  }
};

}  // namespace procpool::detail
