// A test's own look at the region of the one pool of this process, found among the descriptors:
// nothing of the pool is touched, and nothing is written.
#pragma once

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "shm/layout.hpp"

namespace procpool::testing {

// The descriptor of the newest region, -1 if there is none.
inline int find_region() {
  int found = -1;
  for (int fd = 3; fd < 1024; ++fd) {
    char target[64] = {};
    const std::string path = "/proc/self/fd/" + std::to_string(fd);
    if (readlink(path.c_str(), target, sizeof target - 1) <= 0) continue;
    if (std::string(target).starts_with("/memfd:procpool-region")) found = fd;
  }
  return found;
}

class region_window {
 public:
  explicit region_window(std::uint32_t workers)
      : plan_(shm::region_plan::make(workers)), fd_(find_region()) {
    void* p = mmap(nullptr, plan_.fixed_bytes, PROT_READ, MAP_SHARED, fd_, 0);
    if (p == MAP_FAILED) throw std::runtime_error("the pool's region is not there");
    base_ = static_cast<const std::byte*>(p);
  }
  ~region_window() { munmap(const_cast<std::byte*>(base_), plan_.fixed_bytes); }
  region_window(const region_window&) = delete;
  region_window& operator=(const region_window&) = delete;

  // Past the end of the file there is nothing to read; slots of word 0 were never in use.
  std::uint32_t slots() const {
    struct stat status{};
    if (fstat(fd_, &status) != 0) return 0;
    const auto end = static_cast<std::uint64_t>(status.st_size);
    if (end <= plan_.slots_offset) return 0;
    return static_cast<std::uint32_t>(
        std::min<std::uint64_t>((end - plan_.slots_offset) / sizeof(shm::slot), shm::max_slots));
  }
  const shm::slot& slot(std::uint32_t i) const {
    return reinterpret_cast<const shm::slot*>(base_ + plan_.slots_offset)[i];
  }
  const shm::worker_block& worker(std::uint32_t seat) const {
    return reinterpret_cast<const shm::worker_block*>(base_ + plan_.worker_blocks_offset)[seat];
  }
  const shm::control_block& control() const {
    return *reinterpret_cast<const shm::control_block*>(base_ + 4096);
  }

 private:
  shm::region_plan plan_;
  int fd_ = -1;  // the pool's own
  const std::byte* base_ = nullptr;
};

}  // namespace procpool::testing
