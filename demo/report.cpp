#include "demo/report.hpp"

#include <algorithm>
#include <cstddef>
#include <iomanip>
#include <sstream>

#include "demo/merge.hpp"

namespace demo {
namespace {

constexpr int number_width = 12;
constexpr std::size_t problems_named = 10;

std::string size_of(std::uint64_t bytes) {
  return bytes < 10'000'000 ? grouped(bytes / 1000) + " kB" : grouped(bytes / 1'000'000) + " MB";
}

void print_words(std::ostream& out, const file_stats& stats, std::size_t n) {
  out << '\n'
      << std::setw(number_width) << "count" << std::setw(number_width) << "documents"
      << "  word\n";
  for (const word_count& word : top_words(stats, n)) {
    out << std::setw(number_width) << grouped(word.count) << std::setw(number_width)
        << grouped(word.documents) << "  " << word.word << '\n';
  }
}

void print_matches(std::ostream& out, const file_stats& stats,
                   const std::vector<std::string>& keywords, std::size_t n) {
  out << '\n' << counted(stats.matches.size(), "document") << " with ";
  for (std::size_t i = 0; i < keywords.size(); ++i) out << (i == 0 ? "" : ", ") << keywords[i];
  out << (keywords.size() == 1 ? ", and how often\n" : ", and how often each\n");
  for (const match& m : top_matches(stats, n)) {
    for (const std::uint64_t count : m.counts) out << std::setw(number_width) << grouped(count);
    out << "  " << m.path << '\n';
  }
}

}  // namespace

std::string grouped(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t at = digits.size(); at > 3;) digits.insert(at -= 3, 1, ',');
  return digits;
}

std::string counted(std::uint64_t number, const std::string& noun) {
  return grouped(number) + " " + noun + (number == 1 ? "" : "s");
}

std::string busy_machine(double load, unsigned cpus) {
  if (load <= cpus) return {};
  std::ostringstream text;
  text << "this machine is busy: load " << std::fixed << std::setprecision(1) << load << " on "
       << counted(cpus, "CPU") << ", so the ratio will be low";
  return text.str();
}

void print_summary(std::ostream& out, const file_stats& stats) {
  out << counted(stats.documents, "document") << ", " << size_of(stats.bytes) << ", "
      << counted(stats.words, "word") << ", " << grouped(stats.vocabulary.size())
      << " of them different\n";
  if (stats.binary_files > 0) out << counted(stats.binary_files, "binary file") << " left out\n";
  if (stats.problems.empty()) return;
  out << counted(stats.problems.size(), "file") << " could not be read:\n";
  for (std::size_t i = 0; i < std::min(problems_named, stats.problems.size()); ++i) {
    out << "  " << stats.problems[i].path << ": " << stats.problems[i].reason << '\n';
  }
  if (stats.problems.size() > problems_named) {
    out << "  and " << grouped(stats.problems.size() - problems_named) << " more\n";
  }
}

void print_top(std::ostream& out, const file_stats& stats, const std::vector<std::string>& keywords,
               std::size_t n) {
  if (n == 0) return;
  print_words(out, stats, n);
  if (!keywords.empty()) print_matches(out, stats, keywords, n);
}

std::vector<std::string> differences(const file_stats& a, const file_stats& b) {
  std::vector<std::string> found;
  const auto compare = [&found](const char* what, const auto& x, const auto& y) {
    if (!(x == y)) found.emplace_back(what);
  };
  compare("number of documents", a.documents, b.documents);
  compare("number of binary files", a.binary_files, b.binary_files);
  compare("number of bytes", a.bytes, b.bytes);
  compare("number of words", a.words, b.words);
  compare("word counts", a.vocabulary, b.vocabulary);
  compare("matching documents", a.matches, b.matches);
  compare("unreadable files", a.problems, b.problems);
  return found;
}

}  // namespace demo
