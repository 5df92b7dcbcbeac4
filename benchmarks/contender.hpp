// What is measured: procpool, and what people would use instead. Each contender does a work in the
// way in which its own users would; what it cannot do, it leaves out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace bench {

// Seconds that one run of a work took, or < 0: not for this contender.
inline constexpr double not_done = -1;

// What a task says of the worker that ran it: its id, and how many such tasks it has run by now.
struct ran {
  std::uint64_t who = 0;
  std::uint64_t count = 0;
};

// What a large value does: it goes to a worker and comes back, is read there, or is made there.
enum class payload_way { there_and_back, argument, result };

// What memory is taken for: tasks that wait, or results that are not read.
enum class kept { pending, unread };

// One thread calls it, except for submit_from().
class contender {
 public:
  virtual ~contender() = default;

  // Until all workers have begun to work. Whatever is measured comes after it.
  virtual void warm_up() {}
  // Which worker ran each of n tasks; empty: such a contender cannot tell.
  virtual std::vector<ran> who_runs(int /*n*/) { return {}; }

  // n empty tasks, one after the other, each awaited before the next; the time of each is appended.
  virtual double round_trips(int /*n*/, std::vector<double>& /*each*/) { return not_done; }
  // n empty tasks, 1,024 of them in flight.
  virtual double in_flight(int /*n*/) { return not_done; }
  // The same from several threads at once, n in all.
  virtual double submit_from(int /*threads*/, int /*n*/) { return not_done; }
  // n tasks that compute for `seconds` each, submitted at once, read in order.
  virtual double tasks_of(double /*seconds*/, int /*n*/) { return not_done; }
  // n small items through a parallel for, by the contender's own batching.
  virtual double small_items(int /*n*/) { return not_done; }
  // n items that compute for `seconds` each, through a parallel for.
  virtual double busy_items(double /*seconds*/, int /*n*/) { return not_done; }
  // A value of `bytes`, n times, one after the other; the time of each is appended.
  virtual double payloads(payload_way, std::size_t /*bytes*/, int /*n*/,
                          std::vector<double>& /*each*/) {
    return not_done;
  }
  // An array of `bytes` that both sides may read already: n tasks that are told of it, and look.
  virtual double by_handle(std::size_t /*bytes*/, int /*n*/, std::vector<double>& /*each*/) {
    return not_done;
  }
  // n tasks, all submitted first, then taken in order of completion.
  virtual double as_completed(int /*n*/) { return not_done; }
  // submit alone, n times; nothing is read meanwhile.
  virtual double submit_only(int /*n*/) { return not_done; }
  // Bytes for each of n tasks, with one worker. The contender is of no use afterwards.
  virtual double memory_of_each(kept, int /*n*/) { return not_done; }
};

// One pool from beginning to end: seconds to its first result, and from its last one to its end.
struct lifetime {
  double start = not_done;
  double stop = not_done;
};

struct entry {
  std::string name = {};
  std::function<std::unique_ptr<contender>(int workers)> make = {};
  // It is slow to make and costs nothing while it waits: it serves for many works.
  bool stays = false;
  // A new pool of 2 workers, by a start method ("fork", "forkserver", "spawn"). Threads live with
  // "fork", which is the quickest.
  std::function<lifetime(const std::string& method)> live = {};
  // Seconds from the SIGKILL of a pool's only worker to the next result, of a new pool if need be.
  std::function<double(const std::string& method)> recover = {};
};

inline constexpr const char* kill_and_waitpid = "kill and waitpid (the limit)";

// Each in a file of its name. Contenders that this machine lacks are absent.
std::vector<entry> procpool_contenders();
std::vector<entry> thread_contenders();
std::vector<entry> openmp_contenders();
std::vector<entry> by_hand_contenders();
std::vector<entry> limit_contenders();
std::vector<entry> python_contenders();
std::vector<entry> program_contenders();

}  // namespace bench
