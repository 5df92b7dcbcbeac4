#include "base/plain_text.hpp"

#include <algorithm>
#include <cstdint>
#include <span>

namespace procpool::base {
namespace {

struct range {
  char32_t first, last;
};

// Sorted. Marks that are left out count as a column: then a line is shorter than it might be, and
// never longer.
constexpr range without_width[] = {
    {0x0300, 0x036f}, {0x0483, 0x0489}, {0x0591, 0x05bd},  {0x05bf, 0x05bf}, {0x05c1, 0x05c2},
    {0x05c4, 0x05c5}, {0x05c7, 0x05c7}, {0x0610, 0x061a},  {0x064b, 0x065f}, {0x0670, 0x0670},
    {0x06d6, 0x06dc}, {0x06df, 0x06e4}, {0x06e7, 0x06e8},  {0x06ea, 0x06ed}, {0x0941, 0x0948},
    {0x094d, 0x094d}, {0x0e31, 0x0e31}, {0x0e34, 0x0e3a},  {0x0e47, 0x0e4e}, {0x1160, 0x11ff},
    {0x1ab0, 0x1aff}, {0x1dc0, 0x1dff}, {0x200b, 0x200d},  {0x20d0, 0x20ff}, {0x3099, 0x309a},
    {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}, {0xe0100, 0xe01ef}};

// Sorted. Some pictographs among them take one column on some terminals.
constexpr range wide[] = {
    {0x1100, 0x115f},   {0x231a, 0x231b},   {0x2329, 0x232a},   {0x23e9, 0x23f3},
    {0x25fd, 0x25fe},   {0x2614, 0x2615},   {0x2648, 0x2653},   {0x267f, 0x267f},
    {0x2693, 0x2693},   {0x26a1, 0x26a1},   {0x26aa, 0x26ab},   {0x26bd, 0x26be},
    {0x26c4, 0x26c5},   {0x26ce, 0x26ce},   {0x26d4, 0x26d4},   {0x26ea, 0x26ea},
    {0x26f2, 0x26f5},   {0x26fa, 0x26fa},   {0x26fd, 0x26fd},   {0x2705, 0x2705},
    {0x270a, 0x270b},   {0x2728, 0x2728},   {0x274c, 0x274c},   {0x274e, 0x274e},
    {0x2753, 0x2757},   {0x2795, 0x2797},   {0x27b0, 0x27b0},   {0x27bf, 0x27bf},
    {0x2b1b, 0x2b1c},   {0x2b50, 0x2b50},   {0x2b55, 0x2b55},   {0x2e80, 0x303e},
    {0x3041, 0xa4cf},   {0xa960, 0xa97f},   {0xac00, 0xd7a3},   {0xf900, 0xfaff},
    {0xfe10, 0xfe19},   {0xfe30, 0xfe6f},   {0xff00, 0xff60},   {0xffe0, 0xffe6},
    {0x16fe0, 0x18dff}, {0x1aff0, 0x1b2ff}, {0x1f004, 0x1f004}, {0x1f0cf, 0x1f0cf},
    {0x1f18e, 0x1f18e}, {0x1f191, 0x1f19a}, {0x1f1e6, 0x1f265}, {0x1f300, 0x1f6ff},
    {0x1f7e0, 0x1f7f0}, {0x1f900, 0x1f9ff}, {0x1fa70, 0x1faff}, {0x20000, 0x3fffd}};

// Sorted. What steers the direction of the letters around it, or shows nothing.
constexpr range unseen[] = {{0x200e, 0x200f}, {0x202a, 0x202e}, {0x2060, 0x206f}, {0xfeff, 0xfeff}};

constexpr char32_t emoji_variant = 0xfe0f;  // what stands before it is drawn as an emoji
constexpr char32_t line_separator = 0x2028, paragraph_separator = 0x2029;

constexpr bool is_sorted(std::span<const range> ranges) {
  return std::ranges::is_sorted(ranges, {}, &range::last);
}
static_assert(is_sorted(without_width) && is_sorted(wide) && is_sorted(unseen));

bool is_in(std::span<const range> ranges, char32_t letter) noexcept {
  const auto at = std::ranges::lower_bound(ranges, letter, {}, &range::last);
  return at != ranges.end() && letter >= at->first;
}

struct decoded {
  char32_t letter = 0;
  std::size_t bytes = 0;  // 0: what begins here is no UTF-8
};

// Neither a longer form than needed, nor a surrogate, nor beyond Unicode's end.
decoded decode(std::string_view text) noexcept {
  const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(0);
  if (first < 0x80) return {first, 1};
  const std::size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < size) return {};
  constexpr char32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  char32_t letter = first & (0x7fU >> size);
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0U) != 0x80) return {};
    letter = letter << 6U | (byte(i) & 0x3fU);
  }
  const bool surrogate = letter >= 0xd800 && letter <= 0xdfff;
  if (letter < least[size] || surrogate || letter > 0x10ffff) return {};
  return {letter, size};
}

// How long the escape sequence is that begins here. Sequences that set colours and move the cursor
// end with a letter, sequences that carry text (a title, a link) with an end mark.
std::size_t escape_sequence(std::string_view text) noexcept {
  constexpr char bell = 0x07;
  if (text.size() < 2) return 1;
  if (text[1] == '[') {
    std::size_t end = 2;
    while (end < text.size() && text[end] >= 0x20 && text[end] <= 0x3f) ++end;
    return end < text.size() && text[end] >= 0x40 && text[end] <= 0x7e ? end + 1 : end;
  }
  if (text[1] == ']') {
    for (std::size_t end = 2; end < text.size(); ++end) {
      if (text[end] == bell) return end + 1;
      if (text.substr(end, 2) == "\x1b\\") return end + 2;
    }
  }
  return 1;
}

// Of a letter that follows one of so many columns.
std::size_t width(char32_t letter, std::size_t before) noexcept {
  if (letter < 0x300) return 1;
  if (letter == emoji_variant) return before == 1 ? 1 : 0;
  if (is_in(without_width, letter)) return 0;
  return is_in(wide, letter) ? 2 : 1;
}

struct measured {
  std::size_t bytes = 0, columns = 0;
};

measured measure(std::string_view line, std::size_t most) noexcept {
  measured all;
  std::size_t before = 0;
  for (std::size_t at = 0; at < line.size();) {
    decoded next = decode(line.substr(at));
    if (next.bytes == 0) next = {'?', 1};
    const std::size_t now = width(next.letter, before);
    if (all.columns + now > most) break;
    if (now != 0) before = now;
    all.columns += now;
    all.bytes = at += next.bytes;
  }
  return all;
}

}  // namespace

std::string plain_line(std::string_view text) {
  std::string line;
  line.reserve(text.size());
  while (!text.empty()) {
    decoded next = decode(text);
    const char32_t letter = next.letter;
    if (next.bytes == 0) {
      line += '?';
      next.bytes = 1;
    } else if (letter == 0x1b) {
      next.bytes = escape_sequence(text);
    } else if ((letter >= '\t' && letter <= '\r') || letter == line_separator ||
               letter == paragraph_separator) {
      line += ' ';
    } else if (letter >= ' ' && (letter < 0x7f || letter > 0x9f) && !is_in(unseen, letter)) {
      line += text.substr(0, next.bytes);
    }
    text.remove_prefix(next.bytes);
  }
  return line;
}

std::size_t columns_of(std::string_view line) noexcept {
  return measure(line, static_cast<std::size_t>(-1)).columns;
}

std::size_t bytes_within(std::string_view line, std::size_t columns) noexcept {
  return measure(line, columns).bytes;
}

}  // namespace procpool::base
