// Which files a run is about.

#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "demo/file_stats.hpp"

namespace demo {

struct found_files {
  std::vector<std::string> paths;  // sorted
  bool only_html = true;
  std::vector<problem> problems;  // folders that could not be read
};

// The HTML files below a folder, or every file when there are none. Hidden files and folders are
// left out, links to folders are not followed. Throws std::invalid_argument when the folder itself
// is not there or not a folder.
found_files find_files(const std::filesystem::path& folder);

// By its name: .html, .htm or .xhtml.
bool is_html(const std::filesystem::path& path);

// Neighbours in a list form a block; all blocks but the last have the same size.
std::vector<std::vector<std::string>> in_blocks(const std::vector<std::string>& paths,
                                                std::size_t size);

}  // namespace demo
