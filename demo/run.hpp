// The same job twice: in this process, and on a pool of processes.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "demo/file_stats.hpp"
#include "demo/options.hpp"

namespace demo {

file_stats run_serially(const std::vector<std::string>& paths, const options& options);

struct pool_answer {
  file_stats stats;
  int workers = 0;
  std::uint64_t killed = 0;   // workers, by us
  std::uint64_t retried = 0;  // tasks that ran again because their worker had died
};

pool_answer run_on_pool(const std::vector<std::string>& paths, const options& options);

}  // namespace demo
