// The program as a person runs it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdio.h>
#include <sys/wait.h>

#include <array>
#include <filesystem>
#include <stdexcept>
#include <string>

#include "demo/temporary_folder.hpp"

namespace {

using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;

struct outcome {
  int status = -1;
  std::string output;  // standard output and standard error
};

outcome word_stats(const std::string& arguments) {
  const std::string command = "'" WORD_STATS_PROGRAM "' " + arguments + " 2>&1";
  FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error("popen: " + command);
  outcome result;
  std::array<char, 4096> buffer;
  while (const std::size_t got = ::fread(buffer.data(), 1, buffer.size(), pipe)) {
    result.output.append(buffer.data(), got);
  }
  const int status = ::pclose(pipe);
  if (WIFEXITED(status)) result.status = WEXITSTATUS(status);
  return result;
}

class WordStats : public testing::Test {
 protected:
  void write_documents(unsigned count, std::size_t words) {
    for (unsigned i = 0; i < count; ++i) {
      const std::string name = std::to_string(i % 5) + "/" + std::to_string(i) + ".html";
      folder_.write(name, demo_test::generated_html(i, words));
    }
  }

  outcome run(const std::string& arguments) {
    return word_stats("--dir '" + folder_.path().string() + "' " + arguments);
  }

  demo_test::temporary_folder folder_;
};

class WordStatsStart : public WordStats, public testing::WithParamInterface<const char*> {};

TEST_P(WordStatsStart, BothAnswersAreIdentical) {
  write_documents(100, 200);
  const outcome result =
      run("--workers 2 --keywords w0,Document --start " + std::string(GetParam()));
  EXPECT_EQ(result.status, 0) << result.output;
  EXPECT_THAT(result.output, HasSubstr("100 HTML files in "));
  EXPECT_THAT(result.output, HasSubstr("100 documents with w0, document"));
  EXPECT_THAT(result.output, HasSubstr("2 workers"));
  EXPECT_THAT(result.output, HasSubstr("identical"));
}

TEST_P(WordStatsStart, BothAnswersAreIdenticalWhileWorkersAreKilled) {
  write_documents(300, 3000);
  const outcome result = run("--workers 2 --quiet --chaos --start " + std::string(GetParam()));
  EXPECT_EQ(result.status, 0) << result.output;
  EXPECT_THAT(result.output, HasSubstr("identical"));
  EXPECT_THAT(result.output, MatchesRegex("(.|\n)*chaos +[1-9][0-9]* workers? killed, "
                                          "[0-9]+ tasks? run again\n(.|\n)*"));
}

INSTANTIATE_TEST_SUITE_P(EveryStart, WordStatsStart, testing::Values("spawn", "forkserver", "fork"),
                         [](const auto& param) { return std::string(param.param); });

TEST_F(WordStats, BadFilesAreNamedAndNotFatal) {
  write_documents(3, 10);
  folder_.write("binary.html", std::string(100, '\0'));
  const std::string unreadable = folder_.write_unreadable("unreadable.html");
  const outcome result = run("--workers 2");
  EXPECT_EQ(result.status, 0) << result.output;
  EXPECT_THAT(result.output, HasSubstr("3 documents"));
  EXPECT_THAT(result.output, HasSubstr("1 binary file left out"));
  EXPECT_THAT(result.output, HasSubstr("1 file could not be read:\n  " + unreadable + ": "));
  EXPECT_THAT(result.output, HasSubstr("identical"));
}

TEST_F(WordStats, BothRunsCountFiles) {
  write_documents(1100, 3);
  folder_.write("binary.html", std::string(100, '\0'));
  folder_.write_unreadable("unreadable.html");
  const outcome result = run("--workers 2");
  EXPECT_EQ(result.status, 0) << result.output;
  for (const std::string label : {"serial", "pool"}) {
    EXPECT_THAT(result.output, HasSubstr('\n' + label + ": 100% 1,102/1,102 files, "));
  }
}

TEST_F(WordStats, QuietPrintsTheResultAlone) {
  write_documents(3, 10);
  const outcome result = run("--workers 1 --quiet");
  EXPECT_EQ(result.status, 0) << result.output;
  EXPECT_THAT(result.output, HasSubstr("ratio"));
  EXPECT_THAT(result.output, Not(HasSubstr("100%"))) << "a progress bar";
  EXPECT_THAT(result.output, Not(HasSubstr("documents  word")));
}

TEST_F(WordStats, ThereMustBeSomethingToRead) {
  outcome result = run("");
  EXPECT_EQ(result.status, 2);
  EXPECT_EQ(result.output, "word_stats: there are no files in " + folder_.path().string() + "\n");
  result = word_stats("--dir /nonexistent/folder");
  EXPECT_EQ(result.status, 2);
  EXPECT_EQ(result.output, "word_stats: there is no folder /nonexistent/folder\n");
}

TEST_F(WordStats, OptionsAreChecked) {
  outcome result = word_stats("--nosuch");
  EXPECT_EQ(result.status, 2);
  EXPECT_EQ(result.output, "word_stats: there is no option '--nosuch'; --help lists the options\n");
  result = word_stats("--help");
  EXPECT_EQ(result.status, 0);
  EXPECT_THAT(result.output, HasSubstr("usage: word_stats"));
}

}  // namespace
