// The contenders of the works in which processes share a lock, a queue or a barrier: procpool and
// its alternatives. The parties are processes, except for std::thread's.
#pragma once

#include <cstddef>
#include <vector>

#include "contender.hpp"

namespace bench {

enum class held { mutex, semaphore };
enum class signal_by { semaphores, condition, events };

inline constexpr int most_parties = 4;

// Each work does n operations, of all parties together, and returns the seconds from the moment
// when all parties have arrived until the last one is done. A party's results are checked.
class primitives : public contender {
 public:
  // Takes it and gives it back, n times, without contention.
  virtual double alone(held, int /*n*/) { return not_done; }
  // Locks, counts, unlocks, and computes for about 100 ns, n times. The times of some lock
  // operations are appended to `waits`, if it is given.
  virtual double contend(int /*parties*/, int /*n*/, std::vector<double>* /*waits*/) {
    return not_done;
  }
  // The acquisitions of the party that got the lock least often in the last contend(), divided by
  // an equal share.
  virtual double least_share() const { return not_done; }
  // Two processes, which contend all the time, pass a lock to each other n times.
  virtual double hand_over(int /*n*/) { return not_done; }
  // Two processes wake each other in turn, n times; the time of each round trip.
  virtual double wake_each_other(signal_by, int /*n*/, std::vector<double>& /*each*/) {
    return not_done;
  }
  // Sends n items of `bytes` through a queue of 64, from some processes to as many others.
  virtual double pass(int /*pairs*/, std::size_t /*bytes*/, int /*n*/) { return not_done; }
  // Sends one item through a queue to another process and back through another queue.
  virtual double there_and_back(std::size_t /*bytes*/, int /*n*/, std::vector<double>& /*each*/) {
    return not_done;
  }
  // All parties arrive at a barrier, n times.
  virtual double meet(int /*parties*/, int /*n*/) { return not_done; }
  // Adds 1 to a number in another process, n times; the time of each.
  virtual double call(int /*clients*/, int /*n*/, std::vector<double>& /*each*/) {
    return not_done;
  }
};

// Each contender is defined in a file of its name. Contenders that this machine lacks are absent.
std::vector<entry> ours();
std::vector<entry> boost_primitives();
std::vector<entry> posix_primitives();
std::vector<entry> thread_primitives();
std::vector<entry> python_primitives();

}  // namespace bench
