#include "demo/report.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>

namespace {

using demo::file_stats;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

TEST(Report, NumbersAreGrouped) {
  EXPECT_EQ(demo::grouped(0), "0");
  EXPECT_EQ(demo::grouped(999), "999");
  EXPECT_EQ(demo::grouped(1000), "1,000");
  EXPECT_EQ(demo::grouped(1234567), "1,234,567");
  EXPECT_EQ(demo::counted(1, "file"), "1 file");
  EXPECT_EQ(demo::counted(2000, "file"), "2,000 files");
}

TEST(Report, ABusyMachineIsNamed) {
  EXPECT_EQ(demo::busy_machine(0, 1), "");
  EXPECT_EQ(demo::busy_machine(2, 2), "");
  EXPECT_EQ(demo::busy_machine(2.26, 2),
            "this machine is busy: load 2.3 on 2 CPUs, so the ratio will be low");
}

TEST(Report, UnreadableFilesAreCountedAndNamedUpToALimit) {
  file_stats stats;
  for (int i = 0; i < 12; ++i) stats.problems.push_back({"p" + std::to_string(i), "why"});
  std::ostringstream out;
  demo::print_summary(out, stats);
  EXPECT_THAT(out.str(), HasSubstr("12 files could not be read"));
  EXPECT_THAT(out.str(), HasSubstr("p9: why"));
  EXPECT_THAT(out.str(), Not(HasSubstr("p10: why")));
  EXPECT_THAT(out.str(), HasSubstr("and 2 more"));
}

TEST(Report, TheTopListsWordsAndMatches) {
  const file_stats stats{.vocabulary = {{"apple", 2, 1}, {"pear", 1500, 7}},
                         .matches = {{"p", {3}}}};
  std::ostringstream out;
  demo::print_top(out, stats, {"apple"}, 1);
  EXPECT_THAT(out.str(), HasSubstr("1,500           7  pear\n"));
  EXPECT_THAT(out.str(), HasSubstr("1 document with apple, and how often\n"));
  EXPECT_THAT(out.str(), HasSubstr("3  p\n"));
  EXPECT_THAT(out.str(), Not(HasSubstr("2           1  apple")));
}

TEST(Report, EveryPartIsCompared) {
  const file_stats a{.documents = 1,
                     .binary_files = 1,
                     .bytes = 1,
                     .words = 1,
                     .vocabulary = {{"x", 1, 1}},
                     .matches = {{"p", {1}}},
                     .problems = {{"p", "why"}}};
  EXPECT_THAT(demo::differences(a, a), IsEmpty());
  file_stats b = a;
  b.vocabulary[0].documents = 2;
  b.matches[0].counts[0] = 2;
  EXPECT_THAT(demo::differences(a, b), ElementsAre("word counts", "matching documents"));
  EXPECT_EQ(demo::differences(a, {}).size(), 7u);
}

}  // namespace
