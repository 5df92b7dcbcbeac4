#include "procpool/detail/meeting.hpp"

#include <atomic>
#include <limits>
#include <stdexcept>

#include "os/futex.hpp"
#include "procpool/errors.hpp"

namespace procpool::detail {
namespace {

using std::uint32_t;
using namespace std::chrono_literals;

constexpr std::chrono::nanoseconds longest_sleep = 1s;  // a wake may die with its sender
constexpr std::chrono::nanoseconds longest_watch = 10ms;

// The words: whether all may begin, how many came in all, and one for each place.
std::atomic<uint32_t>& word(const meeting_words& words, std::size_t i) {
  static_assert(sizeof(std::atomic<uint32_t>) == sizeof(uint32_t));
  return reinterpret_cast<std::atomic<uint32_t>&>(words[i]);
}
std::atomic<uint32_t>& gate(const meeting_words& words) { return word(words, 0); }
std::atomic<uint32_t>& arrivals(const meeting_words& words) { return word(words, 1); }

void wake_all(std::atomic<uint32_t>& w) { os::futex_wake(w, std::numeric_limits<int>::max()); }

bool is_death(const std::exception_ptr& e) {
  try {
    std::rethrow_exception(e);
  } catch (const task_killed&) {
    return true;
  } catch (...) {
    return false;
  }
}

}  // namespace

void wait_at_meeting(const meeting_words& words, std::uint32_t place) {
  std::atomic<uint32_t>& open = gate(words);
  word(words, place + 2U).store(1);
  arrivals(words).fetch_add(1);
  wake_all(arrivals(words));
  while (open.load() == 0) os::futex_wait(open, 0, longest_sleep);
  if (open.load() != 1) throw std::runtime_error("this broadcast was called off");
}

bool meeting::is_taken(std::uint32_t place) const { return word(words_, place + 2U).load() != 0; }

// True while its task is at the meeting.
bool meeting::look_after(std::uint32_t place, task_state& task,
                         const std::function<void(std::uint32_t)>& again) {
  if (task.status() < task_status::cancelled) return is_taken(place);
  const std::exception_ptr error = task.pin().error;
  task.unpin();
  if (!error) throw broken_process_pool("a task of a broadcast ended before it began");
  if (!is_death(error)) std::rethrow_exception(error);
  word(words_, place + 2U).store(0);
  again(place);
  return false;
}

void meeting::hold(const std::function<task_state&(std::uint32_t)>& task,
                   const std::function<void(std::uint32_t)>& again) {
  for (;;) {
    const uint32_t seen = arrivals(words_).load();
    uint32_t there = 0;
    for (uint32_t i = 0; i < places(); ++i) there += look_after(i, task(i), again) ? 1U : 0U;
    if (there == places()) break;
    os::futex_wait(arrivals(words_), seen, longest_watch);
  }
  close(begun);
}

void meeting::close(outcome o) noexcept {
  if (std::exchange(closed_, true)) return;
  gate(words_).store(o);
  wake_all(gate(words_));
}

}  // namespace procpool::detail
