#include "demo/file_stats.hpp"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <memory>
#include <optional>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <utility>

#include "demo/find_files.hpp"
#include "demo/html_text.hpp"
#include "demo/words.hpp"

namespace demo {
namespace {

// Throws std::system_error.
std::string read_file(const std::string& path) {
  const auto fail = [] { throw std::system_error(errno, std::generic_category()); };
  const auto close = [](std::FILE* f) { std::fclose(f); };
  const std::unique_ptr<std::FILE, decltype(close)> file(std::fopen(path.c_str(), "rb"));
  if (!file) fail();
  std::setvbuf(file.get(), nullptr, _IONBF, 0);  // it is read in one go

  std::error_code no_size;
  const std::uintmax_t size = std::filesystem::file_size(path, no_size);
  std::string data(no_size ? 0 : size, '\0');
  std::size_t have = 0;
  for (;;) {  // the size was a guess: the file may have grown, or may not tell its size
    if (have == data.size()) data.resize(have + 4096);
    const std::size_t got = std::fread(data.data() + have, 1, data.size() - have, file.get());
    if (got == 0) break;
    have += got;
  }
  if (std::ferror(file.get())) fail();
  data.resize(have);
  return data;
}

bool is_binary(std::string_view data) {
  constexpr std::size_t looked_at = 8192;
  return data.substr(0, looked_at).find('\0') != std::string_view::npos;
}

std::vector<word_count> count_words(std::string& text) {
  std::unordered_map<std::string_view, std::uint64_t> counts;
  word_reader reader(text);
  while (const std::optional<std::string_view> word = reader.next()) ++counts[*word];

  std::vector<word_count> vocabulary;
  vocabulary.reserve(counts.size());
  for (const auto& [word, count] : counts) vocabulary.push_back({std::string(word), count, 1});
  std::sort(vocabulary.begin(), vocabulary.end(),
            [](const word_count& a, const word_count& b) { return a.word < b.word; });
  return vocabulary;
}

// How often each keyword occurs, or nothing when one of them does not.
std::optional<std::vector<std::uint64_t>> find_keywords(const std::vector<word_count>& vocabulary,
                                                        const std::vector<std::string>& keywords) {
  std::vector<std::uint64_t> counts;
  for (const std::string& keyword : keywords) {
    const auto found =
        std::lower_bound(vocabulary.begin(), vocabulary.end(), keyword,
                         [](const word_count& a, const std::string& b) { return a.word < b; });
    if (found == vocabulary.end() || found->word != keyword) return std::nullopt;
    counts.push_back(found->count);
  }
  return counts;
}

}  // namespace

file_stats analyze(const std::string& path, const std::vector<std::string>& keywords) {
  file_stats stats;
  std::string data;
  try {
    data = read_file(path);
  } catch (const std::exception& e) {
    stats.problems.push_back({path, e.what()});
    return stats;
  }
  if (is_binary(data)) {
    stats.binary_files = 1;
    return stats;
  }
  stats.documents = 1;
  stats.bytes = data.size();
  std::string text = is_html(path) ? html_to_text(data) : std::move(data);
  stats.vocabulary = count_words(text);
  for (const word_count& word : stats.vocabulary) stats.words += word.count;
  if (!keywords.empty()) {
    if (auto counts = find_keywords(stats.vocabulary, keywords)) {
      stats.matches.push_back({path, std::move(*counts)});
    }
  }
  return stats;
}

}  // namespace demo
