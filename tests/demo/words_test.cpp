#include "demo/words.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> words_of(std::string text) {
  std::vector<std::string> words;
  demo::word_reader reader(text);
  while (const auto word = reader.next()) words.emplace_back(*word);
  EXPECT_EQ(reader.next(), std::nullopt) << "the end is final";
  return words;
}

TEST(Words, RunsOfLettersDigitsAndUnderscores) {
  EXPECT_THAT(words_of("std::unordered_map<int, x2>"),
              ElementsAre("std", "unordered_map", "int", "x2"));
  EXPECT_THAT(words_of("  one,two.\n\tthree"), ElementsAre("one", "two", "three"));
  EXPECT_THAT(words_of("__cplusplus"), ElementsAre("__cplusplus"));
}

TEST(Words, AnEmptyTextHasNoWords) {
  EXPECT_THAT(words_of(""), IsEmpty());
  EXPECT_THAT(words_of(" .,;-\n"), IsEmpty());
}

TEST(Words, NumbersAreNoWords) { EXPECT_THAT(words_of("2017 0x1F 3d word"), ElementsAre("word")); }

TEST(Words, CaseDoesNotCount) {
  EXPECT_THAT(words_of("Vector VECTOR vector"), ElementsAre("vector", "vector", "vector"));
  EXPECT_THAT(
      words_of("\u00C9T\u00C9 \u0391\u0392\u03A9 \u041C\u0418\u0420 \u0401\u043B\u043A\u0430"),
      ElementsAre("\u00E9t\u00E9", "\u03B1\u03B2\u03C9", "\u043C\u0438\u0440",
                  "\u0451\u043B\u043A\u0430"));
}

TEST(Words, PunctuationAndSpacesBeyondAsciiSeparate) {
  EXPECT_THAT(words_of("one\u00A0two\u2014three\u00D7four\u3000five\uFEFFsix"),
              ElementsAre("one", "two", "three", "four", "five", "six"));
  EXPECT_THAT(words_of("\u65E5\u672C\u3002\u8A9E"), ElementsAre("\u65E5\u672C", "\u8A9E"));
}

TEST(Words, BytesThatAreNotUtf8Separate) {
  EXPECT_THAT(words_of("a\xFF"
                       "b\xC3"
                       "c\x80"
                       "d\xE2\x82"),
              ElementsAre("a", "b", "c", "d"));
  EXPECT_THAT(words_of("x\xC3"), ElementsAre("x"));
  EXPECT_THAT(words_of("\xC0\x80y"), ElementsAre("y")) << "an overlong form";
}

TEST(Words, OverlongRunsAreData) {
  const std::string longest(demo::longest_word, 'a');
  EXPECT_THAT(words_of(longest + " " + longest + "a b"), ElementsAre(longest, "b"));
}

TEST(Words, AsWordTakesExactlyOneWord) {
  EXPECT_EQ(demo::as_word("Vector"), "vector");
  EXPECT_EQ(demo::as_word("unordered_map"), "unordered_map");
  for (const std::string keyword : {"", "c++", "two words", " x", "x ", "42", "-"}) {
    EXPECT_EQ(demo::as_word(keyword), std::nullopt) << keyword;
  }
}

}  // namespace
