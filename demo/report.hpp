// What word_stats prints about its answer.

#pragma once

#include <cstddef>
#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "demo/file_stats.hpp"

namespace demo {

// 1234567 as "1,234,567".
std::string grouped(std::uint64_t number);

// "1 file", "2 files".
std::string counted(std::uint64_t number, const std::string& noun);

// What a reader should know of a machine that has other work than us; empty when it has none. The
// load is the number of threads that want to run.
std::string busy_machine(double load, unsigned cpus);

// How much there was, which files could not be read, and what was not text.
void print_summary(std::ostream& out, const file_stats& stats);

// The most frequent words, and the documents in which the keywords are most frequent.
void print_top(std::ostream& out, const file_stats& stats, const std::vector<std::string>& keywords,
               std::size_t n);

// What two answers differ in, part by part; nothing when they are identical.
std::vector<std::string> differences(const file_stats& a, const file_stats& b);

}  // namespace demo
