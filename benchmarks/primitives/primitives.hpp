// Who is measured where processes share a lock, a queue or a barrier: procpool, and what people
// would use instead. The parties are processes, but for those of std::thread.
#pragma once

#include <cstddef>
#include <vector>

#include "contender.hpp"

namespace bench {

enum class held { mutex, semaphore };
enum class signal_by { semaphores, condition, events };

inline constexpr int most_parties = 4;

// Each work: n operations of all parties together, in the seconds from when all of them were there
// until the last one was done. What a party found is compared with what it must be.
class primitives : public contender {
 public:
  // Takes it and gives it back, n times; nobody else wants it.
  virtual double alone(held, int /*n*/) { return not_done; }
  // Locks, counts, unlocks, and computes for about 100 ns, n times. How long it took to get the
  // lock is appended to `waits`, if it is there, for some of them.
  virtual double contend(int /*parties*/, int /*n*/, std::vector<double>* /*waits*/) {
    return not_done;
  }
  // The acquisitions of the party that got the lock least in the last contend(), as a share of
  // what an equal one would be.
  virtual double least_share() const { return not_done; }
  // A lock goes from one of two processes to the other n times; both want it all the time.
  virtual double hand_over(int /*n*/) { return not_done; }
  // One of two processes wakes the other, which wakes it: n times; the time of each.
  virtual double wake_each_other(signal_by, int /*n*/, std::vector<double>& /*each*/) {
    return not_done;
  }
  // n items of `bytes` through a queue that holds 64, from some processes to as many others.
  virtual double pass(int /*pairs*/, std::size_t /*bytes*/, int /*n*/) { return not_done; }
  // One item, through a queue to another process and through another queue back.
  virtual double there_and_back(std::size_t /*bytes*/, int /*n*/, std::vector<double>& /*each*/) {
    return not_done;
  }
  // All parties come to a barrier, n times.
  virtual double meet(int /*parties*/, int /*n*/) { return not_done; }
  // Adds 1 to a number that lies in another process, n times; the time of each.
  virtual double call(int /*clients*/, int /*n*/, std::vector<double>& /*each*/) {
    return not_done;
  }
};

// Each in a file of its name. Those that this machine lacks are absent.
std::vector<entry> ours();
std::vector<entry> boost_primitives();
std::vector<entry> posix_primitives();
std::vector<entry> thread_primitives();
std::vector<entry> python_primitives();

}  // namespace bench
