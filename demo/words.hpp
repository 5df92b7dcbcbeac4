// Cuts UTF-8 text into words.
//
// A word is a run of letters, digits and '_' that does not begin with a digit; case does not count.
// Letters are ASCII letters and everything above that is not punctuation, a symbol or a space.
// Bytes that are not UTF-8 separate words, and a "word" of more than longest_word bytes is taken
// for encoded data and skipped.

#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace demo {

inline constexpr std::size_t longest_word = 64;

class word_reader {
 public:
  // The text is folded to lower case in place while it is read.
  explicit word_reader(std::string& text) : text_(text) {}

  // The next word, or nothing at the end; it points into the text.
  std::optional<std::string_view> next();

 private:
  // Folds the character at at_ and moves past it; false when it does not belong to a word.
  bool take_character();

  std::string& text_;
  std::size_t at_ = 0;
};

// The word that a keyword stands for ("Vector" is "vector"), or nothing when it is not exactly one
// word ("c++").
std::optional<std::string> as_word(std::string keyword);

}  // namespace demo
