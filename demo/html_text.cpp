#include "demo/html_text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <system_error>
#include <utility>

namespace demo {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

bool is_alpha(char c) { return lower(c) >= 'a' && lower(c) <= 'z'; }

bool is_alnum(char c) { return is_alpha(c) || (c >= '0' && c <= '9'); }

bool starts_with_any_case(std::string_view text, std::string_view lower_prefix) {
  return text.size() >= lower_prefix.size() &&
         std::equal(lower_prefix.begin(), lower_prefix.end(), text.begin(),
                    [](char want, char have) { return want == lower(have); });
}

// Tags inside which a word may continue; every other tag ends the word.
bool is_inline(std::string_view name) {
  constexpr std::array<std::string_view, 25> names{
      "a",      "abbr", "b",   "bdi",  "bdo", "cite", "code", "dfn",   "em",
      "font",   "i",    "kbd", "mark", "q",   "s",    "samp", "small", "span",
      "strong", "sub",  "sup", "tt",   "u",   "var",  "wbr"};
  static_assert(std::is_sorted(names.begin(), names.end()));
  return std::binary_search(names.begin(), names.end(), name);
}

// Where the next a or b stands, or the end of the text; find_first_of() takes five times as long.
std::size_t find_either(std::string_view text, char a, char b, std::size_t from) {
  while (from < text.size() && text[from] != a && text[from] != b) ++from;
  return from;
}

void append_utf8(std::string& out, std::uint32_t c) {
  const auto byte = [&out](std::uint32_t b) { out.push_back(static_cast<char>(b)); };
  if (c < 0x80) {
    byte(c);
  } else if (c < 0x800) {
    byte(0xC0 | c >> 6);
    byte(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    byte(0xE0 | c >> 12);
    byte(0x80 | (c >> 6 & 0x3F));
    byte(0x80 | (c & 0x3F));
  } else {
    byte(0xF0 | c >> 18);
    byte(0x80 | (c >> 12 & 0x3F));
    byte(0x80 | (c >> 6 & 0x3F));
    byte(0x80 | (c & 0x3F));
  }
}

// The code point of a reference's name (without & and ;), or 0 when there is no such reference.
std::uint32_t code_point(std::string_view name) {
  if (name.starts_with('#')) {
    name.remove_prefix(1);
    const bool hex = name.starts_with('x') || name.starts_with('X');
    if (hex) name.remove_prefix(1);
    std::uint32_t value = 0;
    const auto [end, error] =
        std::from_chars(name.data(), name.data() + name.size(), value, hex ? 16 : 10);
    const bool surrogate = value >= 0xD800 && value <= 0xDFFF;
    const bool number = error == std::errc{} && end == name.data() + name.size();
    return number && value <= 0x10FFFF && !surrogate ? value : 0;
  }
  using entry = std::pair<std::string_view, std::uint32_t>;
  constexpr std::array<entry, 34> entries{{
      {"amp", '&'},       {"lt", '<'},       {"gt", '>'},       {"quot", '"'},
      {"apos", '\''},     {"nbsp", 0xA0},    {"copy", 0xA9},    {"reg", 0xAE},
      {"deg", 0xB0},      {"plusmn", 0xB1},  {"micro", 0xB5},   {"middot", 0xB7},
      {"times", 0xD7},    {"divide", 0xF7},  {"szlig", 0xDF},   {"auml", 0xE4},
      {"ouml", 0xF6},     {"uuml", 0xFC},    {"Auml", 0xC4},    {"Ouml", 0xD6},
      {"Uuml", 0xDC},     {"eacute", 0xE9},  {"egrave", 0xE8},  {"agrave", 0xE0},
      {"ccedil", 0xE7},   {"ntilde", 0xF1},  {"ndash", 0x2013}, {"mdash", 0x2014},
      {"lsquo", 0x2018},  {"rsquo", 0x2019}, {"ldquo", 0x201C}, {"rdquo", 0x201D},
      {"hellip", 0x2026}, {"minus", 0x2212},
  }};
  const auto found = std::find_if(entries.begin(), entries.end(),
                                  [name](const entry& e) { return e.first == name; });
  return found == entries.end() ? 0 : found->second;
}

class scanner {
 public:
  explicit scanner(std::string_view html) : html_(html) {}

  std::string run() {
    text_.reserve(html_.size() / 4);
    while (at_ < html_.size()) {
      const std::size_t special = find_either(html_, '<', '&', at_);
      text_.append(html_, at_, special - at_);
      at_ = special;
      if (at_ == html_.size()) break;
      if (html_[at_] == '&') {
        reference();
      } else {
        markup();
      }
    }
    return std::move(text_);
  }

 private:
  void reference() {
    constexpr std::size_t longest = 10;
    const std::size_t end = html_.substr(at_, longest).find(';');
    const std::uint32_t c =
        end == std::string_view::npos ? 0 : code_point(html_.substr(at_ + 1, end - 1));
    if (c == 0) {
      text_.push_back('&');  // not a reference: the character stands for itself
      ++at_;
    } else {
      append_utf8(text_, c);
      at_ += end + 1;
    }
  }

  void markup() {
    const std::string_view rest = html_.substr(at_);
    if (rest.starts_with("<!--")) {
      skip_past("-->", 4);
    } else if (rest.starts_with("<!") || rest.starts_with("<?")) {
      skip_past(">", 2);
    } else if (rest.size() > 1 && (is_alpha(rest[1]) || rest[1] == '/')) {
      tag();
    } else {
      text_.push_back('<');  // as in "a < b", which browsers show as it stands
      ++at_;
    }
  }

  void tag() {
    const bool closing = html_[at_ + 1] == '/';
    at_ += closing ? 2 : 1;
    std::string name;
    while (at_ < html_.size() && is_alnum(html_[at_])) name.push_back(lower(html_[at_++]));
    skip_attributes();
    if (!is_inline(name)) text_.push_back(' ');
    if (!closing && (name == "script" || name == "style")) skip_until_closed(name);
  }

  // To the end of the tag. A '>' inside a quoted value does not end it.
  void skip_attributes() {
    for (;;) {
      at_ = find_either(html_, '>', '=', at_);
      if (at_ == html_.size()) return;
      if (html_[at_++] == '>') return;
      const std::size_t value = html_.find_first_not_of(" \t\r\n", at_);
      if (value == std::string_view::npos) continue;
      if (html_[value] != '"' && html_[value] != '\'') continue;
      at_ = std::min(html_.find(html_[value], value + 1), html_.size() - 1) + 1;
    }
  }

  void skip_until_closed(std::string_view name) {
    for (;;) {
      at_ = std::min(html_.find("</", at_), html_.size());
      if (at_ == html_.size()) return;
      if (starts_with_any_case(html_.substr(at_ + 2), name)) return;  // the end is read as a tag
      at_ += 2;
    }
  }

  void skip_past(std::string_view end, std::size_t from) {
    const std::size_t found = html_.find(end, at_ + from);
    at_ = found == std::string_view::npos ? html_.size() : found + end.size();
    text_.push_back(' ');
  }

  std::string_view html_;
  std::size_t at_ = 0;
  std::string text_;
};

}  // namespace

std::string html_to_text(std::string_view html) { return scanner(html).run(); }

}  // namespace demo
