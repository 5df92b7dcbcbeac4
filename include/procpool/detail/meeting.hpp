// How the tasks of a broadcast begin together: each worker that has taken one waits in it until all
// workers have one, so that none can take two.
//
// The caller's thread watches over it, not a worker: it starts the task of a worker that died
// before the meeting again, and lets all go once everybody is there.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "procpool/detail/callable.hpp"
#include "procpool/detail/task_state.hpp"
#include "procpool/export.hpp"
#include "procpool/shared_array.hpp"

namespace procpool::detail {

// Whether all may begin, how many came, and for each place whether its task is there.
using meeting_words = shared_array<std::uint32_t>;

// In a task: blocks until the meeting is over. Throws std::runtime_error if it was called off.
PROCPOOL_EXPORT void wait_at_meeting(const meeting_words& words, std::uint32_t place);

// In the caller of a broadcast, one thread.
class PROCPOOL_EXPORT meeting {
 public:
  explicit meeting(int places) : words_(static_cast<std::size_t>(places) + 2) {}
  ~meeting() { close(called_off); }  // unless it was held
  meeting(const meeting&) = delete;
  meeting& operator=(const meeting&) = delete;

  const meeting_words& words() const { return words_; }

  // Blocks until each place is taken, then lets all begin. task(i) is the one for place i;
  // again(i) submits another one, where a worker died before the meeting. Throws what again()
  // throws, and what a task has thrown that did not come to the meeting.
  void hold(const std::function<task_state&(std::uint32_t)>& task,
            const std::function<void(std::uint32_t)>& again);

 private:
  enum outcome : std::uint32_t { begun = 1, called_off = 2 };
  void close(outcome o) noexcept;
  std::uint32_t places() const { return static_cast<std::uint32_t>(words_.size() - 2); }
  bool is_taken(std::uint32_t place) const;
  bool look_after(std::uint32_t place, task_state& task,
                  const std::function<void(std::uint32_t)>& again);

  meeting_words words_;
  bool closed_ = false;
};

// f, after the meeting. Travels as f does.
template <class F>
struct after_meeting {
  template <class... Args>
  decltype(auto) operator()(const meeting_words& words, std::uint32_t place, Args&&... args) const {
    wait_at_meeting(words, place);
    return std::invoke(f, std::forward<Args>(args)...);
  }
  F f;
};

template <class F>
struct wire<after_meeting<F>> : wire_composite<> {
  static constexpr auto list_parts() {
    if constexpr (is_stateless<F>) {
      return type_list<>{};
    } else {
      return type_list<F>{};
    }
  }
  static void put(wire_writer& writer, const after_meeting<F>& value) {
    put_function(writer, value.f);
  }
  static after_meeting<F> take(wire_reader& reader) { return {take_function<F>(reader)}; }
};

// submit(function, words, place) makes one future.
template <class Submit>
auto hold_broadcast(int workers, const Submit& submit) {
  meeting all(workers);
  std::vector<decltype(submit(all.words(), 0U))> futures;
  futures.reserve(static_cast<std::size_t>(workers));
  for (std::uint32_t i = 0; i < static_cast<std::uint32_t>(workers); ++i) {
    futures.push_back(submit(all.words(), i));
  }
  all.hold([&](std::uint32_t i) -> task_state& { return *futures[i].native_state(); },
           [&](std::uint32_t i) { futures[i] = submit(all.words(), i); });
  return futures;
}

}  // namespace procpool::detail
