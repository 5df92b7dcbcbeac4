// The statistics of files, and analyze(): the task of this program.
//
// These are plain aggregates. That is all it takes for procpool to carry them from a worker to the
// parent. analyze() is pure: its answer depends on its arguments and the file alone. So it may run
// in any process, twice if a worker died half-way, and files may be analyzed in any order.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace demo {

struct word_count {
  std::string word = {};
  std::uint64_t count = 0;      // how often it occurs
  std::uint64_t documents = 0;  // in how many documents
  bool operator==(const word_count&) const = default;
};

// A document that has all the keywords.
struct match {
  std::string path = {};
  std::vector<std::uint64_t> counts = {};  // of each keyword, in the order of the keywords
  bool operator==(const match&) const = default;
};

// A file that could not be read.
struct problem {
  std::string path = {};
  std::string reason = {};
  bool operator==(const problem&) const = default;
};

// Of one file or of many.
struct file_stats {
  std::uint64_t documents = 0;
  std::uint64_t binary_files = 0;  // not text, not counted in anything else
  std::uint64_t bytes = 0;
  std::uint64_t words = 0;
  std::vector<word_count> vocabulary = {};  // in the order of the words' bytes
  std::vector<match> matches = {};          // in the order of the files
  std::vector<problem> problems = {};       // in the order of the files
  bool operator==(const file_stats&) const = default;
};

// The statistics of one file. Keywords are words as as_word() returns them. A file that cannot be
// read is a problem in the answer, not an exception: one bad file among thousands should not end
// the run.
file_stats analyze(const std::string& path, const std::vector<std::string>& keywords);

}  // namespace demo
