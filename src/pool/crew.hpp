// The crew of a pool: a seat for each worker, when to start workers, and what a death means for
// the pool. The crew touches no task: the sweep does that, before the seat is vacated. Used under
// the pool's mutex, except start_error().
//
//   empty -> starting            start(): the fork server is asked for a worker
//   starting -> running          note_start(): the fork server has reported its pid
//   starting, running -> empty   vacate(): the worker is dead, or could not be started
//
// Restarts: after a death in a task, or of a worker that has completed tasks, the next worker
// starts at once. Deaths without progress are counted: the pauses before the starts double, and too
// many such deaths within a few seconds break the pool.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "launch/fork_server_client.hpp"
#include "os/program_signals.hpp"
#include "procpool/stats.hpp"
#include "procpool/time.hpp"
#include "shm/region.hpp"
#include "shm/worker_argument.hpp"

namespace procpool::parent {

// How one life of a worker ended.
struct worker_death {
  launch::seat_id id;
  pid_t pid;  // 0: the worker could not be started
  int exit_kind, exit_status, error;
  std::string stderr_tail = {};
};

class crew {
 public:
  using server_ptr = std::unique_ptr<launch::fork_server_client>;

  // `server` is the pool's, which replaces it when it is dead.
  crew(const shm::region& region, const server_ptr& server, bool has_initializer);

  shm::u32 size() const noexcept { return static_cast<shm::u32>(seats_.size()); }
  // Whether a worker has the seat: it starts, runs, or is not known to be dead. False for a number
  // that no seat has.
  bool is_taken(shm::u32 index) const noexcept {
    return index < seats_.size() && seats_[index].phase != seat_phase::empty;
  }
  bool any_taken() const noexcept;
  // Whether the pid of the seat's worker is known.
  bool runs(shm::u32 index) const noexcept { return seats_[index].phase == seat_phase::running; }
  launch::seat_id id_of(shm::u32 index) const noexcept {
    return {index, seats_[index].incarnation};
  }
  worker_stats stats_of(shm::u32 index, bool is_busy) const;
  std::size_t restarts() const noexcept { return restarts_; }
  // The text of the exception that the worker has reported.
  std::string report_of(shm::u32 index) const;
  // The errno value with which the start of a worker has failed for some seconds, while other
  // workers run; or 0. Any thread, without the mutex.
  // relaxed: it publishes nothing else
  int start_error() const noexcept { return start_error_.load(std::memory_order_relaxed); }

  // Plans a start: after the pause the seat is due.
  void want(shm::u32 index, duration pause) noexcept;
  void want_soon(shm::u32 index) noexcept;  // after a start that failed, or had to wait
  void want_all() noexcept;
  void want_none() noexcept;
  bool is_due(shm::u32 index) const noexcept;
  // When the next seat is due, if any is wanted.
  std::optional<time_point> next_start() const noexcept;
  // Requests a worker for the seat, which is empty. If it throws, the seat is as before.
  void start(shm::u32 index, const shm::worker_argument& given);

  // False if the report is about an earlier worker of the seat.
  bool note_start(launch::seat_id id, pid_t pid) noexcept;
  // Whether that worker has its seat.
  bool has(launch::seat_id id) const noexcept {
    return is_taken(id.seat) && seats_[id.seat].incarnation == id.incarnation;
  }
  // Workers that are away: they were told to leave for want of tasks, or have left.
  bool any_away() const noexcept { return away_ != 0; }
  bool is_away(shm::u32 index) const noexcept { return seats_[index].away; }
  // Tells a worker to leave that is asleep and has completed no task since `patience` ago. True if
  // it was told so now.
  bool dismiss_if_idle(shm::u32 index, bool is_asleep, duration patience) noexcept;
  // A worker that is away returns as soon as its process has ended. False if none is away.
  bool recall_one() noexcept;
  // The worker of the seat, which was away, has ended.
  void note_leave(shm::u32 index, bool tasks_wait) noexcept;

  struct past_life {
    shm::u64 partition;  // of the arena
    std::size_t tasks;   // that the worker has completed
  };
  // The worker of the seat is dead and swept. It has counted its tasks, `most_tasks` at most.
  past_life vacate(shm::u32 index, std::size_t most_tasks) noexcept;

  enum class verdict {
    restart,          // another worker starts, at once or later
    settings_failed,  // this verdict and those below break the pool
    initializer_threw,
    initializer_crashes,
    workers_die,
  };
  // What the death means for the pool. `progress`: the worker died in a task, or has completed
  // some. Needs no memory.
  verdict judge(const worker_death& d, bool progress) noexcept;
  // Why the pool breaks.
  std::string cause(verdict v, const worker_death& d) const;

  // Announces the signal to the worker of the seat (os/program_signals.hpp), and sends it.
  void signal(shm::u32 index, int signal) noexcept;
  void signal_all(int signal) noexcept;
  // Ends the worker for the task that it runs.
  void kill_worker(shm::u32 index) noexcept;

 private:
  enum class seat_phase { empty, starting, running };
  struct seat {
    seat_phase phase = seat_phase::empty;
    std::uint32_t incarnation = 0;
    pid_t pid = 0;
    shm::u64 partition = 0;
    std::size_t tasks_before = 0;  // done by earlier workers of this seat
    bool wanted = false;           // start a worker at `start_at`
    time_point start_at{};
    bool away = false;
    bool recalled = false;       // while its process has not ended
    std::size_t tasks_seen = 0;  // at the last look for idle workers
    std::optional<time_point> idle_since{};
  };

  void note_start_failure(int error) noexcept;
  bool too_many_idle_deaths(bool in_initializer) noexcept;
  std::size_t tasks_done() const noexcept;
  bool any_runs() const noexcept;

  const shm::region& region_;
  const server_ptr& server_;
  const bool has_initializer_;
  const os::signal_actions signals_ = os::current_signal_actions();  // when the pool was made
  std::vector<seat> seats_;
  std::size_t away_ = 0;  // seats
  std::size_t restarts_ = 0;
  // Deaths without progress, since the last sign that the pool works.
  std::vector<time_point> idle_deaths_;
  std::size_t done_at_idle_death_ = 0;
  duration pause_{};  // before the next start
  std::optional<time_point> start_fails_since_;
  std::atomic<int> start_error_{0};
};

}  // namespace procpool::parent
