// Several steps for each item, each in a pool of its own size: a pipeline. While one text is being
// counted the next one is being expanded, and another one read. One worker reads, since the disk
// would not be faster with two; the rest of the machine computes.

#include <cctype>
#include <cstdio>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <procpool/procpool.hpp>

namespace pp = procpool;

// Stands for a file that is read: some text, for a chapter that exists.
std::string read_chapter(int number) {
  if (number == 13) throw std::runtime_error("there is no chapter 13");
  return "Chapter " + std::to_string(number) + ". The cat sat on the mat, and the mat was flat.";
}

std::vector<std::string> split_into_words(std::string_view text) {
  std::vector<std::string> words(1);
  for (const char c : text) {
    if (std::isalpha(static_cast<unsigned char>(c)) != 0) {
      words.back() += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    } else if (!words.back().empty()) {
      words.emplace_back();
    }
  }
  return words;
}

std::map<std::string, int> count(const std::vector<std::string>& words) {
  std::map<std::string, int> counts;
  for (const std::string& word : words) {
    if (!word.empty()) ++counts[word];
  }
  return counts;
}

int main() {
  pp::process_pool_executor reader(1), workers;
  // What a stage returns is what the next one takes; the compiler checks it.
  const auto chapters_to_counts =
      pp::pipeline(pp::stage(reader, {.retries = 2, .label = "read"}, read_chapter),
                   pp::stage(workers, split_into_words), pp::stage(workers, count));

  std::vector<int> chapters;
  for (int i = 1; i <= 20; ++i) chapters.push_back(i);

  // Results come in order. A chapter that fails skips the other stages, and fails alone.
  int mats = 0, failed = 0;
  for (auto& counts : chapters_to_counts.run(chapters).outcomes()) {
    if (counts) {
      mats += counts->at("mat");
    } else {
      std::printf("chapter %zu: %s\n", counts.index() + 1, counts.what().c_str());
      ++failed;
    }
  }
  std::printf("%d mats, %d chapters could not be read\n", mats, failed);
  return mats == 38 && failed == 1 ? 0 : 1;
}
