// The results, as tools/bench_page.py reads them.
#pragma once

#include <string>
#include <vector>

namespace bench {

// One line of the results.
struct row {
  std::string work = {}, title = {}, parameter = {}, unit = {}, contender = "procpool";
  double x = 0, median = 0, p99 = -1, cpu = -1;  // negative: not known
  std::vector<double> samples = {};
  std::vector<double> percentiles = {};  // 50, 90, 99, 99.9; or empty
};

void write_json(const std::string& path, const std::vector<row>& rows, int rounds);

}  // namespace bench
