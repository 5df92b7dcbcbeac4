// How the tasks of a broadcast begin together: each worker that has taken one waits in it until all
// workers have one, so that none can take two.
//
//   caller                                 worker
//   submits a task for each place
//   sleeps                                 takes one, says that it is there, rings, waits
//   hears of each that comes, or dies      ...
//   opens the gate                         calls the function
//
// Nothing depends on a worker: the caller sleeps on the doorbell of the process, which each
// arriving call rings, and it is told of each task that ends too early. The task of a worker that
// died is submitted again. A worker that dies is heard of by the fork server, and one that dies
// before it has rung by that as well; the sleep is bounded all the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

#include "procpool/detail/executor/pool_access.hpp"
#include "procpool/detail/shared/shared_object.hpp"
#include "procpool/detail/task/callable.hpp"
#include "procpool/detail/task/task_state.hpp"
#include "procpool/export.hpp"

namespace procpool::detail {

// Whether all may begin, and for each place whether its task is there: words in memory that the
// caller shares with its tasks. A handle, which travels as an argument.
class rendezvous_words {
 public:
  rendezvous_words() noexcept = default;  // none
  // Zeros. Throws what a shared_array throws.
  explicit rendezvous_words(std::size_t count)
      : object_(shared_object::create(count * sizeof(std::uint32_t))), count_(count) {}

  std::uint32_t& operator[](std::size_t i) const noexcept {
    return reinterpret_cast<std::uint32_t*>(object_.data())[i];
  }
  std::size_t size() const noexcept { return count_; }

 private:
  friend struct wire<rendezvous_words>;
  explicit rendezvous_words(shared_object object) : object_(std::move(object)) {}

  shared_object object_;
  std::size_t count_ = 0;
};

// How many there are is for the caller to know: a task names its own place.
template <>
struct wire<rendezvous_words> : wire_composite<> {
  static void put(wire_writer& writer, const rendezvous_words& words) { words.object_.put(writer); }
  static rendezvous_words take(wire_reader& reader) {
    rendezvous_words words(shared_object::take(reader, object_access::read_write));
    words.count_ = words.object_.bytes() / sizeof(std::uint32_t);
    return words;
  }
};

enum class gate : std::uint32_t { closed = 0, open = 1, aborted = 2 };

// In a task: blocks until the meeting is over. Throws std::runtime_error if it was called off.
PROCPOOL_EXPORT void arrive_and_wait(const rendezvous_words& words, std::uint32_t place);

// In the caller of a broadcast, one thread.
class PROCPOOL_EXPORT rendezvous {
 public:
  // Blocks while there is another one in the pool: two at once would wait for each other. Throws
  // what a shared_array throws.
  explicit rendezvous(parent::pool& pool);
  ~rendezvous() { close(gate::aborted); }  // unless it was held
  rendezvous(const rendezvous&) = delete;
  rendezvous& operator=(const rendezvous&) = delete;

  const rendezvous_words& words() const { return words_; }
  std::uint32_t places() const { return static_cast<std::uint32_t>(words_.size() - 1); }

  // Blocks until each place is taken, then lets all begin. task(i) is the one for place i;
  // again(i) submits another one, where a worker died before the meeting. Throws what again()
  // throws; what a task has thrown that did not come to the meeting; worker_crashed if the workers
  // of one place die again and again; std::system_error if one cannot be started.
  void await_all(const std::function<task_state&(std::uint32_t)>& task,
                 const std::function<void(std::uint32_t)>& again);

 private:
  void close(gate g) noexcept;

  parent::pool* pool_;
  std::unique_lock<std::mutex> turn_;
  rendezvous_words words_;
  bool closed_ = false;
};

// f, after the meeting. Travels as f does, and takes its arguments as f does.
template <class F>
struct after_rendezvous {
  template <class... Args>
  decltype(auto) operator()(const rendezvous_words& words, std::uint32_t place,
                            Args&&... args) const {
    arrive_and_wait(words, place);
    return std::invoke(f, std::forward<Args>(args)...);
  }
  F f;
};

template <class F>
struct wire<after_rendezvous<F>> : wire_composite<> {
  static constexpr auto list_parts() {
    if constexpr (is_stateless<F>) {
      return type_list<>{};
    } else {
      return type_list<F>{};
    }
  }
  static void put(wire_writer& writer, const after_rendezvous<F>& value) {
    put_function(writer, value.f);
  }
  static after_rendezvous<F> take(wire_reader& reader) { return {take_function<F>(reader)}; }
};

template <class List>
struct after_place {
  using type = unknown_parameters;
};
template <class... Ps>
struct after_place<type_list<Ps...>> {
  using type = type_list<const rendezvous_words&, std::uint32_t, Ps...>;
};
template <class F>
struct parameters_of<after_rendezvous<F>> {
  using type = typename after_place<typename parameters_of<F>::type>::type;
};

}  // namespace procpool::detail
