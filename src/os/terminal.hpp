// Standard error as a terminal. Any thread.
#pragma once

#include <string_view>

namespace procpool::os {

bool stderr_is_terminal() noexcept;
// Columns of the terminal; 80 when not known.
int terminal_columns() noexcept;
void write_stderr(std::string_view text) noexcept;

}  // namespace procpool::os
