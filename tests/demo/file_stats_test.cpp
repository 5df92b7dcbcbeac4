#include "demo/file_stats.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "demo/temporary_folder.hpp"

namespace {

using demo::analyze;
using demo::file_stats;
using demo::match;
using demo::word_count;
using testing::ElementsAre;
using testing::IsEmpty;

class FileStats : public testing::Test {
 protected:
  demo_test::temporary_folder folder_;
};

TEST_F(FileStats, CountsTheWordsOfAnHtmlFile) {
  const std::string html = "<p>The <b>v</b>ector and the list</p><script>the()</script>";
  const file_stats stats = analyze(folder_.write("a.html", html), {});
  EXPECT_EQ(stats.documents, 1u);
  EXPECT_EQ(stats.bytes, html.size());
  EXPECT_EQ(stats.words, 5u);
  EXPECT_THAT(stats.vocabulary, ElementsAre(word_count{"and", 1, 1}, word_count{"list", 1, 1},
                                            word_count{"the", 2, 1}, word_count{"vector", 1, 1}));
  EXPECT_THAT(stats.matches, IsEmpty());
  EXPECT_THAT(stats.problems, IsEmpty());
}

TEST_F(FileStats, OtherFilesAreText) {
  const file_stats stats = analyze(folder_.write("a.txt", "a<b>c &amp;"), {});
  EXPECT_THAT(stats.vocabulary, ElementsAre(word_count{"a", 1, 1}, word_count{"amp", 1, 1},
                                            word_count{"b", 1, 1}, word_count{"c", 1, 1}));
}

TEST_F(FileStats, AMatchHasAllKeywords) {
  const std::string path = folder_.write("a.txt", "mutex lock mutex thread mutex");
  EXPECT_THAT(analyze(path, {"mutex"}).matches, ElementsAre(match{path, {3}}));
  EXPECT_THAT(analyze(path, {"thread", "mutex"}).matches, ElementsAre(match{path, {1, 3}}));
  EXPECT_THAT(analyze(path, {"mutex", "future"}).matches, IsEmpty());
  EXPECT_THAT(analyze(path, {"mut"}).matches, IsEmpty()) << "half a word";
  EXPECT_THAT(analyze(path, {"zzz"}).matches, IsEmpty()) << "after the last word";
}

TEST_F(FileStats, AnEmptyFileIsADocument) {
  const file_stats stats = analyze(folder_.write("a.html", ""), {"x"});
  EXPECT_EQ(stats, (file_stats{.documents = 1}));
}

TEST_F(FileStats, BinaryFilesAreCountedApart) {
  const std::string path = folder_.write("a.html", std::string("text\0text", 9));
  EXPECT_EQ(analyze(path, {"text"}), (file_stats{.binary_files = 1}));
}

TEST_F(FileStats, AFileThatIsGoneIsAProblem) {
  const std::string path = (folder_.path() / "gone.html").string();
  const file_stats stats = analyze(path, {"x"});
  ASSERT_EQ(stats.problems.size(), 1u);
  EXPECT_EQ(stats.problems[0].path, path);
  EXPECT_EQ(stats.problems[0].reason, "No such file or directory");
  EXPECT_EQ(stats.documents, 0u);
}

TEST_F(FileStats, AFileThatCannotBeReadIsAProblem) {
  const file_stats stats = analyze(folder_.write_unreadable("a.html"), {});
  ASSERT_EQ(stats.problems.size(), 1u);
  EXPECT_FALSE(stats.problems[0].reason.empty());
  EXPECT_EQ(stats.documents, 0u);

  EXPECT_EQ(analyze(folder_.path().string(), {}).problems.size(), 1u) << "a folder";
}

TEST_F(FileStats, FilesThatDoNotTellTheirSizeAreReadWhole) {
  const file_stats stats = analyze("/proc/self/status", {"threads"});
  EXPECT_EQ(stats.matches.size(), 1u);
  EXPECT_GT(stats.bytes, 100u);
}

TEST_F(FileStats, LargeFilesAreReadWhole) {
  std::string text;
  for (int i = 0; i < 300'000; ++i) text += "word ";
  const file_stats stats = analyze(folder_.write("a.txt", text), {});
  EXPECT_THAT(stats.vocabulary, ElementsAre(word_count{"word", 300'000, 1}));
  EXPECT_EQ(stats.bytes, text.size());
}

}  // namespace
