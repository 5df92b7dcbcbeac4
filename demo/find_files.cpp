#include "demo/find_files.hpp"

#include <algorithm>
#include <cctype>
#include <functional>
#include <stdexcept>
#include <system_error>

namespace demo {
namespace {

namespace fs = std::filesystem;

void collect(const fs::path& folder, std::vector<std::string>& paths,
             std::vector<problem>& problems) {
  std::error_code error;
  fs::directory_iterator entry(folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const fs::path& path = entry->path();
    if (path.filename().native().starts_with('.')) continue;
    std::error_code gone;  // a file that has just vanished is neither of the two
    if (entry->is_directory(gone) && !entry->is_symlink(gone)) {
      collect(path, paths, problems);
    } else if (entry->is_regular_file(gone)) {
      paths.push_back(path.string());
    }
  }
  if (error) problems.push_back({folder.string(), error.message()});
}

}  // namespace

found_files find_files(const fs::path& folder) {
  std::error_code error;
  const fs::file_status status = fs::status(folder, error);
  if (!fs::exists(status)) {
    throw std::invalid_argument("there is no folder " + folder.string());
  }
  if (!fs::is_directory(status)) throw std::invalid_argument(folder.string() + " is not a folder");

  found_files found;
  collect(folder, found.paths, found.problems);
  std::sort(found.paths.begin(), found.paths.end());
  found.only_html = std::any_of(found.paths.begin(), found.paths.end(), is_html);
  if (found.only_html) std::erase_if(found.paths, std::not_fn(is_html));
  return found;
}

bool is_html(const fs::path& path) {
  std::string extension = path.extension().string();
  for (char& c : extension) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return extension == ".html" || extension == ".htm" || extension == ".xhtml";
}

std::vector<std::vector<std::string>> in_blocks(const std::vector<std::string>& paths,
                                                std::size_t size) {
  std::vector<std::vector<std::string>> blocks;
  for (std::size_t begin = 0; begin < paths.size(); begin += size) {
    const std::size_t end = std::min(begin + size, paths.size());
    blocks.emplace_back(paths.begin() + static_cast<std::ptrdiff_t>(begin),
                        paths.begin() + static_cast<std::ptrdiff_t>(end));
  }
  return blocks;
}

}  // namespace demo
