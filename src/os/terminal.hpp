// Standard error, as a terminal and for output of other processes: wraps isatty, ioctl(TIOCGWINSZ)
// and write. Any thread.
#pragma once

#include <cstddef>
#include <string_view>

namespace procpool::os {

bool stderr_is_terminal() noexcept;
// Columns of the terminal; 80 if unknown.
int terminal_columns() noexcept;
void write_stderr(std::string_view text) noexcept;
// Writes as many bytes as it can without blocking, and returns their number; all if they can reach
// no reader any more (standard error is closed, or a pipe without readers). Raises no SIGPIPE.
std::size_t try_write_stderr(std::string_view text) noexcept;

}  // namespace procpool::os
