// Text of the user for one line of a terminal: what is dropped, how wide it is, where it is cut.
#include "base/plain_text.hpp"

#include <gtest/gtest.h>

#include <string>

namespace {

using procpool::base::bytes_within;
using procpool::base::columns_of;
using procpool::base::plain_line;

TEST(plain_text_test, letters_stay_as_they_are) {
  for (const std::string text : {"", "resize", "Größe", "\u8fdb\u5ea6", "e\u0301", "\U0001f600",
                                 "\u0645\u0631\u062d\u0628\u0627", "\U0010fffd"}) {
    EXPECT_EQ(plain_line(text), text);
  }
}

TEST(plain_text_test, characters_that_move_the_cursor_are_removed) {
  EXPECT_EQ(plain_line("a\nb\tc\rd\ve\ff"), "a b c d e f");
  EXPECT_EQ(plain_line("a\u2028b\u2029c"), "a b c");
  EXPECT_EQ(plain_line("\a\b\x7f|\u0085\u009b|"), "||");
  EXPECT_EQ(plain_line(std::string("a\0b", 3)), "ab");
  EXPECT_EQ(plain_line("\u202eabc\u202c\u200f\ufeff"), "abc");
}

TEST(plain_text_test, escape_sequences_are_removed) {
  EXPECT_EQ(plain_line("\x1b[1;31mred\x1b[0m \x1b[2J\x1b[Kx"), "red x");
  EXPECT_EQ(plain_line("\x1b]0;title\x07x\x1b]8;;http://a\x1b\\link"), "xlink");
  EXPECT_EQ(plain_line("\x1b"), "");
  EXPECT_EQ(plain_line("\x1b["), "");
  EXPECT_EQ(plain_line("\x1b[31"), "");
  EXPECT_EQ(plain_line("\x1b]no end"), "]no end");
  EXPECT_EQ(plain_line("\x1b\x1b[31mx"), "x");
}

TEST(plain_text_test, bytes_that_are_no_text_are_replaced) {
  EXPECT_EQ(plain_line("\xff|\x80|\xc3|\xe8\xbf|"), "?|?|?|??|");
  EXPECT_EQ(plain_line("\xc0\x80|\xe0\x80\x80|"), "??|???|") << "longer than needed";
  EXPECT_EQ(plain_line("\xed\xa0\x80"), "???") << "a surrogate";
  EXPECT_EQ(plain_line("\xf4\x90\x80\x80"), "????") << "beyond the end";
  EXPECT_EQ(plain_line("\xf0\x9f\x98"), "???") << "an emoji's beginning";
}

TEST(plain_text_test, columns) {
  EXPECT_EQ(columns_of(""), 0U);
  EXPECT_EQ(columns_of("resize"), 6U);
  EXPECT_EQ(columns_of("Größe"), 5U);
  EXPECT_EQ(columns_of("\u8fdb\u5ea6"), 4U);
  EXPECT_EQ(columns_of("\uff41\uac00"), 4U);
  EXPECT_EQ(columns_of("e\u0301o\u0308"), 2U);
  EXPECT_EQ(columns_of("\U0001f600"), 2U);
  EXPECT_EQ(columns_of("\u2764"), 1U);
  EXPECT_EQ(columns_of("\u2764\ufe0f"), 2U) << "as an emoji";
  EXPECT_EQ(columns_of("\U0001f600\ufe0f"), 2U);
}

TEST(plain_text_test, cuts_are_between_letters) {
  EXPECT_EQ(bytes_within("resize", 4), 4U);
  EXPECT_EQ(bytes_within("resize", 100), 6U);
  EXPECT_EQ(bytes_within("resize", 0), 0U);
  EXPECT_EQ(bytes_within("\u8fdb\u5ea6", 1), 0U);
  EXPECT_EQ(bytes_within("\u8fdb\u5ea6", 2), 3U);
  EXPECT_EQ(bytes_within("\u8fdb\u5ea6", 3), 3U);
  EXPECT_EQ(bytes_within("e\u0301x", 1), 3U) << "the accent belongs to its letter";
  EXPECT_EQ(bytes_within("\u2764\ufe0fx", 1), 3U);
}

}  // namespace
