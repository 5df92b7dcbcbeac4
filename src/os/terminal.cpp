#include "os/terminal.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

namespace procpool::os {

bool stderr_is_terminal() noexcept { return isatty(STDERR_FILENO) == 1; }

int terminal_columns() noexcept {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

void write_stderr(std::string_view text) noexcept {
  while (!text.empty()) {
    const ssize_t n = write(STDERR_FILENO, text.data(), text.size());
    if (n <= 0) return;  // a progress bar is not worth an error
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

}  // namespace procpool::os
