#include "demo/merge.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "demo/find_files.hpp"
#include "demo/temporary_folder.hpp"

namespace {

using demo::file_stats;
using demo::match;
using demo::merger;
using demo::word_count;
using testing::ElementsAre;
using testing::IsEmpty;

file_stats sample(const std::string& path, std::vector<word_count> vocabulary) {
  file_stats stats{.documents = 1, .bytes = 10, .vocabulary = std::move(vocabulary)};
  for (const word_count& word : stats.vocabulary) stats.words += word.count;
  stats.matches = {{path, {1}}};
  return stats;
}

TEST(Merge, TheSumOfNothingIsEmpty) {
  merger sum;
  EXPECT_EQ(sum.take(), file_stats{});
  sum.add({});
  EXPECT_EQ(sum.take(), file_stats{});
}

TEST(Merge, TheSumOfOneBlockIsThatBlock) {
  const file_stats one = sample("one", {{"a", 3, 1}, {"b", 1, 1}});
  merger sum;
  sum.add(file_stats(one));
  EXPECT_EQ(sum.take(), one);
  EXPECT_EQ(sum.take(), file_stats{}) << "take() starts over";
}

TEST(Merge, CountsAddUp) {
  merger sum;
  sum.add(sample("one", {{"b", 3, 1}, {"c", 1, 1}}));
  sum.add(sample("two", {{"a", 2, 1}, {"b", 4, 1}}));
  sum.add({.binary_files = 2, .problems = {{"three", "why"}}});
  const file_stats stats = sum.take();
  EXPECT_EQ(stats.documents, 2u);
  EXPECT_EQ(stats.binary_files, 2u);
  EXPECT_EQ(stats.bytes, 20u);
  EXPECT_EQ(stats.words, 10u);
  EXPECT_THAT(stats.vocabulary,
              ElementsAre(word_count{"a", 2, 1}, word_count{"b", 7, 2}, word_count{"c", 1, 1}));
  EXPECT_THAT(stats.matches, ElementsAre(match{"one", {1}}, match{"two", {1}}));
  EXPECT_THAT(stats.problems, ElementsAre(demo::problem{"three", "why"}));
}

TEST(Merge, BlocksOfAnySizeGiveTheSameAnswer) {
  const demo_test::temporary_folder folder;
  std::vector<std::string> paths;
  for (unsigned i = 0; i < 30; ++i) {
    const std::string name = std::to_string(i) + (i % 7 == 0 ? ".txt" : ".html");
    paths.push_back(folder.write(name, demo_test::generated_html(i, 50 * i)));
  }
  paths.push_back((folder.path() / "gone.html").string());
  paths.push_back(folder.write("binary.html", std::string(10, '\0')));

  const std::vector<std::string> keywords = {"w0", "w12"};
  const file_stats whole = demo::analyze_files(keywords, paths);
  EXPECT_EQ(whole.documents, 30u);
  EXPECT_FALSE(whole.matches.empty());
  for (const std::size_t size : {1u, 2u, 7u, 31u, 32u, 100u}) {
    merger sum;
    for (const auto& block : demo::in_blocks(paths, size)) {
      sum.add(demo::analyze_files(keywords, block));
    }
    EXPECT_EQ(sum.take(), whole) << "blocks of " << size;
  }
}

TEST(Merge, TopWordsAreTheMostFrequent) {
  const file_stats stats{.vocabulary = {{"a", 1, 1}, {"b", 5, 1}, {"c", 3, 2}, {"d", 5, 3}}};
  EXPECT_THAT(demo::top_words(stats, 3),
              ElementsAre(word_count{"b", 5, 1}, word_count{"d", 5, 3}, word_count{"c", 3, 2}));
  EXPECT_EQ(demo::top_words(stats, 100).size(), 4u);
  EXPECT_THAT(demo::top_words(stats, 0), IsEmpty());
}

TEST(Merge, TopMatchesHaveTheKeywordsMostOften) {
  const file_stats stats{.matches = {{"x", {1, 2}}, {"y", {9, 1}}, {"a", {2, 1}}}};
  EXPECT_THAT(demo::top_matches(stats, 2), ElementsAre(match{"y", {9, 1}}, match{"a", {2, 1}}));
  EXPECT_THAT(demo::top_matches({}, 5), IsEmpty());
}

}  // namespace
