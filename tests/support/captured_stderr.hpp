// What is written to standard error while it lives, by this process and by processes that it
// starts. Standard error is a pipe then, or a terminal.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

namespace procpool::testing {

class captured_stderr {
 public:
  explicit captured_stderr(bool terminal = false, unsigned short columns = 120) : saved_(dup(2)) {
    if (terminal) {
      source_ = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
      EXPECT_EQ(grantpt(source_), 0);
      EXPECT_EQ(unlockpt(source_), 0);
      const int end = open(ptsname(source_), O_RDWR | O_NOCTTY | O_CLOEXEC);
      const winsize size{50, columns, 0, 0};
      EXPECT_EQ(ioctl(end, TIOCSWINSZ, &size), 0);
      dup2(end, 2);
      close(end);
    } else {
      int ends[2];
      EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
      source_ = ends[0];
      dup2(ends[1], 2);
      close(ends[1]);
    }
    fcntl(source_, F_SETFL, O_NONBLOCK);
  }
  ~captured_stderr() {
    restore();
    close(source_);
  }
  captured_stderr(const captured_stderr&) = delete;
  captured_stderr& operator=(const captured_stderr&) = delete;

  // What has come since the last call.
  std::string read_more() {
    char buffer[4096];
    std::string text;
    for (ssize_t n; (n = read(source_, buffer, sizeof buffer)) > 0;) {
      text.append(buffer, static_cast<std::size_t>(n));
    }
    return text;
  }
  // The same, and standard error is what it was before.
  std::string take() {
    std::string text = read_more();
    restore();
    return text;
  }

 private:
  void restore() {
    if (saved_ < 0) return;
    dup2(saved_, 2);
    close(saved_);
    saved_ = -1;
  }
  int saved_, source_ = -1;
};

}  // namespace procpool::testing
