// Text of the user as it can be shown on one line of a terminal. No locale is asked: text is UTF-8.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace procpool::base {

// The text without what moves a cursor: escape sequences and control characters are dropped, line
// ends and tabs become spaces, and a byte that is no UTF-8 becomes '?'. Throws std::bad_alloc.
std::string plain_line(std::string_view text);

// How many columns of a terminal a plain line takes: 2 for a wide East Asian letter or an emoji, 0
// for a combining mark, otherwise 1. Where terminals differ it is the larger number.
std::size_t columns_of(std::string_view line) noexcept;

// How many bytes at the beginning of a plain line fit into so many columns. Letters are not cut,
// nor are the combining marks of one.
std::size_t bytes_within(std::string_view line, std::size_t columns) noexcept;

}  // namespace procpool::base
