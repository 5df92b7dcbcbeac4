// Reads a text file (of /proc) line by line, by open() and read(), with buffers of a fixed size:
// for signal handlers and for the time before a process may allocate. Async-signal-safe; one
// thread.
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstddef>

namespace procpool::os {

// A line is cut off after LineSize - 1 characters.
template <std::size_t BufferSize, std::size_t LineSize>
class line_reader {
 public:
  // A file that cannot be opened has no lines.
  explicit line_reader(const char* path) noexcept : fd_(::open(path, O_RDONLY | O_CLOEXEC)) {}
  ~line_reader() {
    if (fd_ >= 0) ::close(fd_);
  }
  line_reader(const line_reader&) = delete;
  line_reader& operator=(const line_reader&) = delete;

  // The next line without its end, valid until the next call; null after the last line.
  const char* next() noexcept {
    std::size_t size = 0;
    for (char c = 0; get(c);) {
      if (c == '\n') {
        line_[size] = '\0';
        return line_;
      }
      if (size + 1 < LineSize) line_[size++] = c;
    }
    return nullptr;
  }

 private:
  bool get(char& c) noexcept {
    if (at_ == end_) {
      ssize_t n = -1;
      do {
        n = fd_ < 0 ? 0 : ::read(fd_, buffer_, BufferSize);
      } while (n < 0 && errno == EINTR);
      if (n <= 0) return false;
      at_ = 0;
      end_ = static_cast<std::size_t>(n);
    }
    c = buffer_[at_++];
    return true;
  }

  int fd_;
  char buffer_[BufferSize];
  char line_[LineSize];
  std::size_t at_ = 0, end_ = 0;
};

}  // namespace procpool::os
