// I/O-bound work on threads, CPU-bound work on processes, through one interface: files are read by
// many threads at once, and what they hold is counted by processes.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <procpool/procpool.hpp>
#include <random>
#include <sstream>
#include <string>
#include <vector>

namespace pp = procpool;

std::size_t count_words(std::string_view text) {
  std::size_t words = 0;
  bool inside = false;
  for (const char c : text) {
    const bool is_space = c == ' ' || c == '\n';
    if (!is_space && !inside) ++words;
    inside = !is_space;
  }
  return words;
}

std::string slurp(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

int main() {
  const auto folder = std::filesystem::temp_directory_path() /
                      ("procpool-example-" + std::to_string(std::random_device{}()));
  std::filesystem::create_directory(folder);
  std::vector<std::filesystem::path> files;
  for (int i = 1; i <= 20; ++i) {
    files.push_back(folder / (std::to_string(i) + ".txt"));
    std::ofstream file(files.back());
    for (int word = 0; word < i; ++word) file << "word ";
  }

  pp::thread_pool_executor io({.max_workers = 10, .name = "reader"});
  pp::process_pool_executor cpu(2);

  // A task of a thread may capture, here the pool that does the next step.
  std::size_t words = 0;
  for (auto& count : io.map(
           [&cpu](const std::filesystem::path& p) {
             return cpu.submit(count_words, slurp(p)).get();
           },
           files)) {
    words += count;
  }
  // The same in one step, if the processes may read by themselves.
  const auto again = cpu.map_reduce(
      [](const std::filesystem::path& p) { return count_words(slurp(p)); }, std::plus<>(), files);

  std::filesystem::remove_all(folder);
  std::printf("%zu words, counted again: %zu\n", words, again.value_or(0));
  return words == 210 && again == words ? 0 : 1;
}
