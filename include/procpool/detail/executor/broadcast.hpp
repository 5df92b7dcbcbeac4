// How the tasks of a broadcast begin together: each worker waits in its task at the rendezvous
// until every worker has a task, so that no worker takes two.
//
//   caller                                 worker
//   submits a task for each place
//   sleeps                                 takes a task, marks its place, rings, waits
//   learns of each arrival and each death  ...
//   opens the gate                         calls the function
//
// No step relies on a worker: the caller sleeps on the doorbell of the process, which each arriving
// task rings, and learns of each task that ends too early. It submits the task of a dead worker
// again. The fork server reports a worker that dies, also a worker that dies before it has rung;
// the sleep is bounded anyway.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "procpool/detail/executor/pool_access.hpp"
#include "procpool/detail/shared/shared_object.hpp"
#include "procpool/detail/std/function.hpp"
#include "procpool/detail/std/mutex.hpp"
#include "procpool/detail/task/call_function.hpp"
#include "procpool/detail/task/callable.hpp"
#include "procpool/detail/task/task_state.hpp"
#include "procpool/export.hpp"

namespace procpool::detail {

// Words in memory that the caller shares with its tasks: whether all tasks may begin, and for each
// place whether its task has arrived. A handle, which travels as an argument.
class rendezvous_words {
 public:
  rendezvous_words() noexcept = default;  // no words
  // The words are 0. Throws the errors of shared_array.
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

// The count does not travel: a task uses only the word of its own place.
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

// In a task: blocks until all tasks have arrived. Throws std::runtime_error if the rendezvous was
// aborted.
PROCPOOL_EXPORT void arrive_and_wait(const rendezvous_words& words, std::uint32_t place);

// The caller's side of a broadcast, for one thread.
class PROCPOOL_EXPORT rendezvous {
 public:
  // Blocks while another broadcast of the pool is under way: two at once would wait for each other.
  // Throws the errors of shared_array.
  explicit rendezvous(parent::pool& pool);
  ~rendezvous() { close(gate::aborted); }  // unless await_all() has returned
  rendezvous(const rendezvous&) = delete;
  rendezvous& operator=(const rendezvous&) = delete;

  const rendezvous_words& words() const { return words_; }
  std::uint32_t places() const { return static_cast<std::uint32_t>(words_.size() - 1); }

  // Blocks until a task has arrived at each place, then lets all tasks begin. task(i) is the task
  // for place i; again(i) submits it again when a worker died before the rendezvous. Throws the
  // errors of again(); the error of a task that failed before it arrived; worker_crashed if the
  // workers of one place die again and again; std::system_error if a worker cannot be started.
  void await_all(const std::function<task_state&(std::uint32_t)>& task,
                 const std::function<void(std::uint32_t)>& again);

 private:
  void close(gate g) noexcept;

  parent::pool* pool_;
  std::unique_lock<std::mutex> turn_;
  rendezvous_words words_;
  bool closed_ = false;
};

// Calls f after the rendezvous. Travels as f does, and takes f's arguments.
template <class F>
struct after_rendezvous {
  template <class... Args>
  decltype(auto) operator()(const rendezvous_words& words, std::uint32_t place,
                            Args&&... args) const {
    arrive_and_wait(words, place);
    return detail::call_function(f, std::forward<Args>(args)...);
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
