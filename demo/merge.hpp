// Adds up the statistics of many files.
//
// A hash table takes the words while files are added, because most of them are known already;
// take() sorts them once. The result is the same whatever groups the files were added in, as long
// as the order of the files is the same.

#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "demo/file_stats.hpp"

namespace demo {

class merger {
 public:
  void add(file_stats&& part);
  file_stats take();

 private:
  struct totals {
    std::uint64_t count = 0;
    std::uint64_t documents = 0;
  };

  file_stats sum_;  // its vocabulary is in words_ until take()
  std::unordered_map<std::string, totals> words_;
};

// The block of files as one statistic: what a task returns, so that the parent has little left to
// add up.
file_stats analyze_files(const std::vector<std::string>& keywords,
                         const std::vector<std::string>& paths);

// The words that occur most often, at most n; of equally frequent ones, those first in the
// alphabet.
std::vector<word_count> top_words(const file_stats& stats, std::size_t n);

// The documents in which the keywords occur most often, all keywords taken together, at most n.
std::vector<match> top_matches(const file_stats& stats, std::size_t n);

}  // namespace demo
