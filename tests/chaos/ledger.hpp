// The ledger: what tasks did, counted where no pool can reach it. One memfd of the test's process,
// which the tasks map through /proc; a start is counted by the first instruction of the task's own
// code, so it survives whatever kills the worker right after.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <system_error>

namespace procpool::testing {

class ledger {
 public:
  // How a task finds it.
  struct address {
    pid_t owner;
    int fd;
    std::uint64_t entries;
  };

  // The test's own. Sparse: entries that are never used cost nothing.
  explicit ledger(std::uint64_t entries) : fd_(memfd_create("ledger", MFD_CLOEXEC)) {
    if (fd_ < 0 || ftruncate(fd_, static_cast<off_t>(2 * entries)) != 0) fail("ledger");
    map({getpid(), fd_, entries});
  }
  ~ledger() {
    munmap(starts_, 2 * entries_);
    close(fd_);
  }
  ledger(const ledger&) = delete;
  ledger& operator=(const ledger&) = delete;

  address where() const { return {getpid(), fd_, entries_}; }

  // In a task. Mapped once per process.
  static ledger& of(const address& a) {
    static ledger mine(a);
    return mine;
  }

  std::atomic<std::uint8_t>& starts(std::uint64_t id) { return starts_[id % entries_]; }
  std::atomic<std::uint8_t>& ends(std::uint64_t id) { return starts_[entries_ + id % entries_]; }

 private:
  explicit ledger(const address& a) {
    const std::string path = "/proc/" + std::to_string(a.owner) + "/fd/" + std::to_string(a.fd);
    fd_ = open(path.c_str(), O_RDWR | O_CLOEXEC);
    if (fd_ < 0) fail("open the ledger");
    map(a);
  }
  void map(const address& a) {
    entries_ = a.entries;
    void* p = mmap(nullptr, 2 * entries_, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
    if (p == MAP_FAILED) fail("map the ledger");
    starts_ = static_cast<std::atomic<std::uint8_t>*>(p);
  }
  [[noreturn]] static void fail(const char* what) {
    throw std::system_error(errno, std::generic_category(), what);
  }

  int fd_ = -1;
  std::uint64_t entries_ = 0;
  std::atomic<std::uint8_t>* starts_ = nullptr;
};

}  // namespace procpool::testing
