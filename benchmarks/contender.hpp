// Who is measured: procpool, and what people would use instead. Each contender does a work in the
// way in which its own users would; what it cannot do, it leaves out.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace bench {

// Seconds that one run of a work took, or < 0: not for this contender.
inline constexpr double not_done = -1;

// Warm: workers run before anything is measured. One thread calls it, but for submit_from().
class contender {
 public:
  virtual ~contender() = default;
  virtual std::string name() const = 0;

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
  // A value of `bytes` to a worker and back, n times.
  virtual double payloads(std::size_t /*bytes*/, int /*n*/) { return not_done; }
  // n futures, all submitted first, then taken in order of completion.
  virtual double as_completed(int /*n*/) { return not_done; }
  // submit alone, n times; nothing is read meanwhile.
  virtual double submit_only(int /*n*/) { return not_done; }
};

struct entry {
  std::string name;
  std::function<std::unique_ptr<contender>(int workers)> make;
};

// In procpool.cpp, threads.cpp, by_hand.cpp, python.cpp. Those that this machine lacks are absent.
std::vector<entry> procpool_contenders();
std::vector<entry> thread_contenders();
std::vector<entry> by_hand_contenders();
std::vector<entry> python_contenders();

}  // namespace bench
