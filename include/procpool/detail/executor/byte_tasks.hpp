// Tasks as bytes: packed for another process, and by the same rules for this process where tasks
// run in place. One of the two kinds of tasks that executors have; thread_tasks.hpp has the other.
// Any thread may submit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>
#include <vector>

#include "procpool/detail/executor/broadcast.hpp"
#include "procpool/detail/executor/map_feed.hpp"
#include "procpool/detail/executor/pool_access.hpp"
#include "procpool/detail/std/memory.hpp"
#include "procpool/detail/std/ranges.hpp"
#include "procpool/detail/task/code_ref.hpp"
#include "procpool/detail/task/thunks.hpp"

namespace procpool::detail {

// Packs the chunks of one map. Belongs to the thread that reads the map's results.
template <class F, class... Views>
class byte_chunks {
  using types = thunks<F, element_of<Views>...>;

 public:
  using result = typename types::result;

  byte_chunks(task_target to, F f)
      : pool_(std::make_unique<pool_keepalive>(to)), f_(std::move(f)) {}
  int max_workers() const noexcept { return pool_->max_workers(); }

  // Whether the items lie in memory as they will in the task: one range of plain bytes, one copy.
  static constexpr bool is_one_block = [] {
    if constexpr (sizeof...(Views) == 1 && types::plain_items) {
      return (... &&
              (std::ranges::contiguous_range<Views> &&
               std::sized_sentinel_for<std::ranges::sentinel_t<Views>,
                                       std::ranges::iterator_t<Views>> &&
               std::is_same_v<stored_t<element_of<Views>>, std::ranges::range_value_t<Views>>));
    } else {
      return false;
    }
  }();
  static constexpr std::size_t item_bytes = types::call::plain_size;

  class packing {
   public:
    explicit packing(byte_chunks& map) : task_(map.pool_->get()) {
      types::call::pack_function(task_, map.f_);
    }
    std::size_t size() const { return task_.size(); }

    void add_block(const void* items, std::size_t count) { task_.write(items, count * item_bytes); }
    // Packs the arguments of one item; unless they are plain, aligned and with their length in
    // front. An item that throws while it is packed leaves no trace.
    template <class... Iterators>
    void add(Iterators&... at) {
      if constexpr (types::plain_items) {
        types::call::pack_arguments(task_, *at...);
      } else {
        add_with_length(at...);
      }
    }
    state_ptr commit(const task_options& options, std::uint32_t count) {
      return task_.commit(code_of<&types::run_chunk>(), &options, count, true);
    }

   private:
    template <class... Iterators>
    void add_with_length(Iterators&... at) {
      const std::size_t start = task_.size();
      task_.extend(sizeof(std::uint64_t));
      task_.align(wire_alignment);
      const std::size_t begin = task_.size();
      try {
        types::call::pack_arguments(task_, *at...);
      } catch (...) {
        task_.rewind(start);
        throw;
      }
      const std::uint64_t length = task_.size() - begin;
      std::memcpy(task_.data() + start, &length, sizeof length);
    }
    submission task_;
  };

 private:
  std::unique_ptr<pool_keepalive> pool_;
  F f_;
};

struct byte_tasks {
  using target = task_target;
  template <class F, class... Args>
  using call = body_of<F, Args...>;
  template <class F, class... Args>
  using result = typename thunks<F, Args...>::result;

  // Returns null if the task would have to wait for room and may not.
  template <class F, class... Args>
  static state_ptr submit(const target& to, const task_options* options, bool may_wait, F& f,
                          Args&&... args) {
    return pack<thunks<F, Args...>>(to, options, may_wait, f, args...);
  }

  template <class F, class... Args>
  using broadcast_result = result<F, Args...>;
  // Submits one task for each worker; where tasks run in the caller, one task.
  template <class F, class... Args>
  static std::vector<state_ptr> broadcast(const target& to, F& f, const Args&... args) {
    // The type of f without references, so that the compiler's errors name f itself.
    using call = typename thunks<F, Args...>::call;
    std::vector<state_ptr> tasks;
    if constexpr (call::is_valid) {
      if (to.pool == nullptr) {
        tasks.push_back(pack<thunks<F, Args...>>(to, nullptr, true, f, args...));
        return tasks;
      }
      const after_rendezvous<F> after{std::move(f)};
      rendezvous all(*to.pool);
      const auto start = [&](std::uint32_t place) {
        return pack<thunks<after_rendezvous<F>, const rendezvous_words&, std::uint32_t, Args...>>(
            to, nullptr, true, after, all.words(), place, args...);
      };
      tasks.reserve(all.places());
      for (std::uint32_t i = 0; i < all.places(); ++i) tasks.push_back(start(i));
      all.await_all([&](std::uint32_t i) -> task_state& { return *tasks[i]; },
                    [&](std::uint32_t i) { tasks[i] = start(i); });
    }
    return tasks;
  }

  template <class F, class... Views>
  static auto make_source(const target& to, map_options options, F f, Views... views) {
    using chunks = byte_chunks<F, Views...>;
    std::unique_ptr<map_source<item_of<typename chunks::result>>> source =
        std::make_unique<map_feed<chunks, Views...>>(chunks(to, std::move(f)), std::move(options),
                                                     std::move(views)...);
    return source;
  }

 private:
  template <class Thunks, class F, class... Args>
  static state_ptr pack(const target& to, const task_options* options, bool may_wait, const F& f,
                        const Args&... args) {
    const code_ref code = code_of<&Thunks::run_task>();
    submission task(to);
    Thunks::call::pack(task, f, args...);
    return task.commit(code, options, 0, may_wait);
  }
};

}  // namespace procpool::detail
