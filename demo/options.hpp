// The command line of word_stats.

#pragma once

#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace demo {

struct options {
  std::string dir = "/usr/share/cppreference/doc/html";
  std::vector<std::string> keywords = {"thread", "exception"};
  std::optional<int> workers = {};  // default: one for each CPU
  std::size_t top = 10;
  std::string start = "spawn";
  bool chaos = false;
  bool quiet = false;
  bool help = false;
};

// What is wrong with the command line, in words for the person who typed it.
struct usage_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

extern const std::string_view usage;

// From the arguments after the program's name. Throws usage_error.
options parse_options(const std::vector<std::string>& arguments);

}  // namespace demo
