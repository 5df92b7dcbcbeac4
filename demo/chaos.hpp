// Kills workers of a pool at random, to show that the answer does not suffer.

#pragma once

#include <cstdint>
#include <random>

#include <procpool/procpool.hpp>

namespace demo {

class chaos {
 public:
  // To be called after each result. Kills a worker the first time, and one time in eight after
  // that: in the middle of a task, because the others continue while the parent takes a result.
  void after_result(const procpool::pool_stats& stats);

  std::uint64_t killed() const { return killed_; }

 private:
  std::mt19937 random_{std::random_device{}()};
  std::uint64_t killed_ = 0;
};

}  // namespace demo
