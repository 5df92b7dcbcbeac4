// Standard error: as a terminal, and for what others have written. Any thread.
#pragma once

#include <cstddef>
#include <string_view>

namespace procpool::os {

bool stderr_is_terminal() noexcept;
// Columns of the terminal; 80 when not known.
int terminal_columns() noexcept;
void write_stderr(std::string_view text) noexcept;
// As much of it as goes without waiting: how many bytes; all of them, too, when nobody can have
// them (closed, or nobody reads). Raises no SIGPIPE.
std::size_t try_write_stderr(std::string_view text) noexcept;

}  // namespace procpool::os
