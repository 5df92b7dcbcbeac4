// A folder of generated files for one test; it is removed with everything in it.

#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <stdexcept>
#include <string>
#include <system_error>

namespace demo_test {

class temporary_folder {
 public:
  temporary_folder() {
    std::string name = (std::filesystem::temp_directory_path() / "word_stats_XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp: " + name);
    path_ = name;
  }
  temporary_folder(const temporary_folder&) = delete;
  temporary_folder& operator=(const temporary_folder&) = delete;
  ~temporary_folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::filesystem::path& path() const { return path_; }

  // Folders on the way are made. Returns the file's full name.
  std::string write(const std::filesystem::path& name, const std::string& content) const {
    const std::filesystem::path file = path_ / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << content;
    return file.string();
  }

  // A file that exists but cannot be read, not even by root. Returns its full name.
  std::string write_unreadable(const std::filesystem::path& name) const {
    const std::filesystem::path file = path_ / name;
    std::filesystem::create_directories(file.parent_path());
    std::filesystem::create_symlink("/proc/self/mem", file);
    return file.string();
  }

 private:
  std::filesystem::path path_;
};

// HTML of about that many words, of a vocabulary of some hundreds; the same for the same seed.
inline std::string generated_html(unsigned seed, std::size_t words) {
  std::mt19937 random(seed);
  std::string html =
      "<html><head><title>Document " + std::to_string(seed) + "</title></head><body>";
  for (std::size_t i = 0; i < words; ++i) {
    html += i % 10 == 0 ? "<p>" : " ";
    html += "w" + std::to_string(random() % 20 * (random() % 50));
  }
  return html + "</body></html>";
}

}  // namespace demo_test
