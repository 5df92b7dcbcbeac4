// The caller's side of a broadcast; worker/broadcast.cpp has the workers' side.
#include "procpool/detail/executor/broadcast.hpp"

#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "futures/completion_hub.hpp"
#include "objects/rendezvous_words.hpp"
#include "os/futex.hpp"
#include "pool/pool.hpp"
#include "procpool/errors.hpp"

namespace procpool::detail {
namespace {

using futures::completion_hub;
using std::uint32_t;

// If workers die this often before one call begins, the call itself kills them: user code decodes
// its arguments there.
constexpr unsigned most_deaths = 4;

// Is notified of tasks that end before the meeting.
class early_ends final : public completion_listener {
 public:
  explicit early_ends(uint32_t places) : tasks_(places) {}
  ~early_ends() {
    const base::lock_guard lock(completion_hub::instance().mutex());
    for (watched& t : tasks_) {
      if (t.wish.state != nullptr) t.wish.state->unsubscribe(t.wish);
    }
  }
  early_ends(const early_ends&) = delete;
  early_ends& operator=(const early_ends&) = delete;

  void watch(uint32_t place, task_state& task) {
    const base::lock_guard lock(completion_hub::instance().mutex());
    subscription& s = tasks_[place].wish;
    s = {this, place, &task, nullptr, nullptr};
    task.subscribe(s);
  }
  // Returns how many workers have died with the task for this place.
  unsigned count_death(uint32_t place) { return ++tasks_[place].deaths; }

  // The functions below require the hub's mutex.
  bool any() const { return first_ != nullptr; }
  std::optional<uint32_t> take() {
    if (first_ == nullptr) return std::nullopt;
    return static_cast<uint32_t>(std::exchange(first_, first_->next)->tag);
  }

 private:
  void completed(subscription& s) noexcept override { s.next = std::exchange(first_, &s); }

  struct watched {
    subscription wish;
    unsigned deaths = 0;
  };
  std::vector<watched> tasks_;
  subscription* first_ = nullptr;
};

// Rethrows the error of the task, unless its worker died and `deaths` is below the limit.
void look_after(task_state& task, unsigned deaths) {
  const std::exception_ptr error = task.pin().error;
  task.unpin();
  if (!error) throw broken_process_pool("a task of a broadcast ended before it began");
  try {
    std::rethrow_exception(error);
  } catch (const task_killed&) {
    if (deaths >= most_deaths) throw;
  }
}

[[noreturn]] void throw_start_error(int error) {
  throw std::system_error(
      error, std::generic_category(),
      "procpool: a broadcast needs all workers of the pool, and one cannot be started");
}

}  // namespace

rendezvous::rendezvous(parent::pool& pool)
    : pool_(&pool),
      turn_(pool.broadcasting()),
      words_(static_cast<std::size_t>(pool.max_workers()) + 1) {}

void rendezvous::await_all(const std::function<task_state&(uint32_t)>& task,
                           const std::function<void(uint32_t)>& again) {
  completion_hub& hub = completion_hub::instance();
  early_ends early(places());
  for (uint32_t i = 0; i < places(); ++i) early.watch(i, task(i));
  // A place is left only when its task ends, so the count of places already seen stays valid.
  uint32_t there = 0;
  const auto all_there = [&] {
    // seq_cst, after this thread has armed the doorbell: see ring_doorbell
    while (there < places() && sync::place_of(words_, there).load() != 0) ++there;
    return there == places();
  };
  for (;;) {
    std::optional<uint32_t> ended;
    int start_error = 0;
    {
      base::unique_lock lock(hub.mutex());
      hub.wait(lock, nullptr, {}, [&] {
        start_error = pool_->start_error();
        return early.any() || all_there() || start_error != 0;
      });
      ended = early.take();
    }
    if (!ended && all_there()) break;
    if (!ended) throw_start_error(start_error);
    look_after(task(*ended), early.count_death(*ended));
    sync::place_of(words_, *ended).store(0);
    there = std::min(there, *ended);
    again(*ended);
    early.watch(*ended, task(*ended));
  }
  close(gate::open);
}

void rendezvous::close(gate g) noexcept {
  if (std::exchange(closed_, true)) return;
  // release: pairs with the acquire of the waiting workers
  sync::gate_of(words_).store(static_cast<uint32_t>(g), std::memory_order_release);
  os::futex_wake(sync::gate_of(words_), std::numeric_limits<int>::max());
}

}  // namespace procpool::detail
