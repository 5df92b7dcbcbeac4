#include "demo/options.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace {

using demo::options;
using demo::parse_options;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string error_of(const std::vector<std::string>& arguments) {
  try {
    parse_options(arguments);
  } catch (const demo::usage_error& e) {
    return e.what();
  }
  return "no error";
}

TEST(Options, Defaults) {
  const options parsed = parse_options({});
  EXPECT_EQ(parsed.dir, "/usr/share/cppreference/doc/html");
  EXPECT_EQ(parsed.workers, std::nullopt);
  EXPECT_EQ(parsed.start, "spawn");
  EXPECT_FALSE(parsed.chaos || parsed.quiet || parsed.help);
}

TEST(Options, ValuesFollowOrStandAfterAnEqualsSign) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"--dir", "d=e", "--workers", "3", "--top", "0", "--start", "fork"},
        std::vector<std::string>{"--dir=d=e", "--workers=3", "--top=0", "--start=fork"}}) {
    const options parsed = parse_options(arguments);
    EXPECT_EQ(parsed.dir, "d=e");
    EXPECT_EQ(parsed.workers, 3);
    EXPECT_EQ(parsed.top, 0u);
    EXPECT_EQ(parsed.start, "fork");
  }
}

TEST(Options, Flags) {
  const options parsed = parse_options({"--chaos", "--quiet", "--help"});
  EXPECT_TRUE(parsed.chaos && parsed.quiet && parsed.help);
}

TEST(Options, KeywordsAreWordsInSmallLetters) {
  EXPECT_THAT(parse_options({"--keywords", "Vector,,list,"}).keywords,
              ElementsAre("vector", "list"));
  EXPECT_THAT(parse_options({"--keywords="}).keywords, IsEmpty());
  EXPECT_THAT(error_of({"--keywords", "a,c++"}), HasSubstr("'c++' is not a word"));
}

TEST(Options, ErrorsNameTheWrongArgument) {
  EXPECT_EQ(error_of({"--nosuch"}), "there is no option '--nosuch'");
  EXPECT_EQ(error_of({"--chaos=1"}), "there is no option '--chaos=1'");
  EXPECT_EQ(error_of({"folder"}), "there is no option 'folder'");
  EXPECT_EQ(error_of({"--dir"}), "--dir wants a value");
  EXPECT_EQ(error_of({"--dir="}), "--dir wants the name of a folder");
  EXPECT_EQ(error_of({"--workers", "0"}), "--workers wants a number from 1 to 4096, not '0'");
  for (const std::string number : {"4097", "-1", "two", "2x", "", "99999999999999999999"}) {
    EXPECT_THAT(error_of({"--workers", number}), HasSubstr("not '" + number + "'"));
  }
  EXPECT_EQ(error_of({"--start", "vfork"}), "--start wants spawn, forkserver or fork, not 'vfork'");
}

TEST(Options, TheUsageNamesEveryOption) {
  for (const char* option :
       {"--dir", "--keywords", "--workers", "--top", "--start", "--chaos", "--quiet", "--help"}) {
    EXPECT_THAT(std::string(demo::usage), HasSubstr(option));
  }
}

}  // namespace
