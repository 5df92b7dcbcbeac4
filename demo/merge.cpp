#include "demo/merge.hpp"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <numeric>
#include <utility>

namespace demo {
namespace {

template <class T>
void append(std::vector<T>& to, std::vector<T>&& from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

template <class T, class Before>
std::vector<T> first(std::vector<T> all, std::size_t n, Before before) {
  const auto end = all.begin() + static_cast<std::ptrdiff_t>(std::min(n, all.size()));
  std::partial_sort(all.begin(), end, all.end(), before);
  all.erase(end, all.end());
  return all;
}

std::uint64_t total(const match& m) {
  return std::accumulate(m.counts.begin(), m.counts.end(), std::uint64_t{0});
}

}  // namespace

void merger::add(file_stats&& part) {
  sum_.documents += part.documents;
  sum_.binary_files += part.binary_files;
  sum_.bytes += part.bytes;
  sum_.words += part.words;
  append(sum_.matches, std::move(part.matches));
  append(sum_.problems, std::move(part.problems));
  for (word_count& word : part.vocabulary) {
    totals& known = words_[std::move(word.word)];
    known.count += word.count;
    known.documents += word.documents;
  }
}

file_stats merger::take() {
  file_stats sum = std::exchange(sum_, {});
  sum.vocabulary.reserve(words_.size());
  while (!words_.empty()) {
    auto word = words_.extract(words_.begin());
    sum.vocabulary.push_back({std::move(word.key()), word.mapped().count, word.mapped().documents});
  }
  std::sort(sum.vocabulary.begin(), sum.vocabulary.end(),
            [](const word_count& a, const word_count& b) { return a.word < b.word; });
  return sum;
}

file_stats analyze_files(const std::vector<std::string>& keywords,
                         const std::vector<std::string>& paths) {
  merger sum;
  for (const std::string& path : paths) sum.add(analyze(path, keywords));
  return sum.take();
}

std::vector<word_count> top_words(const file_stats& stats, std::size_t n) {
  return first(stats.vocabulary, n, [](const word_count& a, const word_count& b) {
    return a.count != b.count ? a.count > b.count : a.word < b.word;
  });
}

std::vector<match> top_matches(const file_stats& stats, std::size_t n) {
  return first(stats.matches, n, [](const match& a, const match& b) {
    return total(a) != total(b) ? total(a) > total(b) : a.path < b.path;
  });
}

}  // namespace demo
