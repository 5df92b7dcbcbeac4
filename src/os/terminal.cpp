#include "os/terminal.hpp"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "os/poll.hpp"
#include "os/unique_fd.hpp"

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
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;  // a progress bar is not worth an error
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

namespace {

// Standard error without waiting. poll() promises room for PIPE_BUF bytes in a pipe, but in a
// terminal for one: that is opened once more, so that other processes that have it open do not see
// the flag.
class patient_stderr {
 public:
  patient_stderr() noexcept {
    struct stat status{};
    if (::fstat(STDERR_FILENO, &status) != 0) return;
    is_socket_ = S_ISSOCK(status.st_mode);
    if (!S_ISCHR(status.st_mode)) return;
    own_.reset(::open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  }
  ssize_t write(const char* bytes, std::size_t size) const noexcept {
    if (is_socket_) return ::send(STDERR_FILENO, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    return ::write(own_ ? own_.get() : STDERR_FILENO, bytes, size);
  }

 private:
  bool is_socket_ = false;
  unique_fd own_;
};

}  // namespace

std::size_t try_write_stderr(std::string_view text) noexcept {
  if (text.empty()) return 0;
  // What poll promises a pipe, and what it takes without waiting.
  constexpr std::size_t piece = PIPE_BUF;
  sigset_t pipe_only, before;
  sigemptyset(&pipe_only);
  sigaddset(&pipe_only, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
  const patient_stderr out;
  std::size_t done = 0;
  while (done < text.size()) {
    const poll_item end = poll_one(STDERR_FILENO, poll_for::output, std::chrono::milliseconds(0));
    if (!end.writable && !end.hung_up) break;
    const ssize_t n = out.write(text.data() + done, std::min(piece, text.size() - done));
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) break;
    if (n < 0) {
      const timespec now{};
      if (errno == EPIPE) sigtimedwait(&pipe_only, nullptr, &now);
      done = text.size();
      break;
    }
    done += static_cast<std::size_t>(n);
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return done;
}

}  // namespace procpool::os
