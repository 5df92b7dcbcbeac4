#include "demo/words.hpp"

#include <array>
#include <cstdint>

namespace demo {
namespace {

// What each ASCII character is in a word: itself in lower case, or 0 when it separates words.
constexpr std::array<char, 128> ascii_table() {
  std::array<char, 128> table{};
  for (char c = 'a'; c <= 'z'; ++c) table[static_cast<std::size_t>(c)] = c;
  for (char c = 'A'; c <= 'Z'; ++c) {
    table[static_cast<std::size_t>(c)] = static_cast<char>(c - 'A' + 'a');
  }
  for (char c = '0'; c <= '9'; ++c) table[static_cast<std::size_t>(c)] = c;
  table['_'] = '_';
  return table;
}
constexpr std::array<char, 128> ascii = ascii_table();

bool is_digit(char c) { return c >= '0' && c <= '9'; }

struct character {
  std::uint32_t code = 0;
  std::size_t bytes = 1;  // 1 with code 0: not UTF-8
};

// The UTF-8 sequence of two bytes or more at the start of text.
character decode(std::string_view text) {
  const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  const std::size_t bytes = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < bytes) return {};
  std::uint32_t code = lead & (0xFFu >> (bytes + 1));
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {};
    code = code << 6 | (byte(i) & 0x3Fu);
  }
  return {code, bytes};
}

bool is_letter(std::uint32_t code) {
  if (code < 0xC0) return code == 0xAA || code == 0xB5 || code == 0xBA;
  if (code == 0xD7 || code == 0xF7) return false;
  if (code >= 0x2000 && code <= 0x2BFF) return false;  // punctuation, arrows, mathematics
  if (code >= 0x3000 && code <= 0x303F) return false;  // punctuation of East Asia
  return code < 0xE000 || (code >= 0xF900 && code != 0xFEFF && code != 0xFFFD);
}

// Latin-1, Greek and Cyrillic capitals, whose small letters are two bytes long as well.
std::uint32_t fold(std::uint32_t code) {
  if (code >= 0xC0 && code <= 0xDE) return code + 32;
  if (code >= 0x391 && code <= 0x3A9) return code + 32;
  if (code >= 0x410 && code <= 0x42F) return code + 32;
  if (code >= 0x400 && code <= 0x40F) return code + 80;
  return code;
}

}  // namespace

bool word_reader::take_character() {
  const auto first = static_cast<unsigned char>(text_[at_]);
  if (first < 0x80) {
    const char folded = ascii[first];
    if (folded == 0) return false;
    text_[at_++] = folded;
    return true;
  }
  const character c = decode(std::string_view(text_).substr(at_));
  if (!is_letter(c.code)) return false;
  if (const std::uint32_t folded = fold(c.code); folded != c.code) {
    text_[at_] = static_cast<char>(0xC0 | folded >> 6);
    text_[at_ + 1] = static_cast<char>(0x80 | (folded & 0x3F));
  }
  at_ += c.bytes;
  return true;
}

std::optional<std::string_view> word_reader::next() {
  while (at_ < text_.size()) {
    const std::size_t begin = at_;
    while (at_ < text_.size() && take_character()) {
    }
    const std::size_t length = at_ - begin;
    if (length == 0) {
      ++at_;  // a separator
    } else if (length <= longest_word && !is_digit(text_[begin])) {
      return std::string_view(text_).substr(begin, length);
    }
  }
  return std::nullopt;
}

std::optional<std::string> as_word(std::string keyword) {
  const std::size_t length = keyword.size();
  const std::optional<std::string_view> word = word_reader(keyword).next();
  if (!word || word->size() != length) return std::nullopt;
  return std::string(*word);
}

}  // namespace demo
