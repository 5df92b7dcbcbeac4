// What a task can reach that writes where it must not: the region of its worker, found as a wild
// pointer would find it. Called in a worker.
#pragma once

#include <cstdio>
#include <cstring>

#include "procpool/this_worker.hpp"
#include "shm/layout.hpp"

namespace procpool::testing {

inline std::byte* region_of_this_worker() {
  std::FILE* const maps = std::fopen("/proc/self/maps", "re");
  if (maps == nullptr) return nullptr;
  std::byte* begin = nullptr;
  char line[512];
  while (begin == nullptr && std::fgets(line, sizeof line, maps) != nullptr) {
    unsigned long address = 0, end = 0, offset = 1;
    char mode[8];
    if (std::strstr(line, "procpool-region") == nullptr) continue;
    if (std::sscanf(line, "%lx-%lx %7s %lx", &address, &end, mode, &offset) != 4) continue;
    if (offset == 0) begin = reinterpret_cast<std::byte*>(address);
  }
  std::fclose(maps);
  return begin;
}

inline shm::u32 seat_of_this_worker() { return static_cast<shm::u32>(*this_worker::index()); }

inline shm::region_header& header_of_this_worker() {
  return *reinterpret_cast<shm::region_header*>(region_of_this_worker());
}
inline shm::control_block& control_of_this_worker() {
  return *reinterpret_cast<shm::control_block*>(region_of_this_worker() + 4096);
}
inline shm::worker_block& block_of_this_worker() {
  std::byte* const begin = region_of_this_worker();
  auto* const lines =
      reinterpret_cast<shm::worker_block*>(begin + header_of_this_worker().worker_blocks_offset);
  return lines[seat_of_this_worker()];
}

// The first slots: as many as every pool has.
inline constexpr shm::u32 first_slots = 256;

// Each of them that this worker has in that phase.
template <class What>
void each_slot_of_this_worker(shm::task_phase phase, What what) {
  std::byte* const begin = region_of_this_worker();
  auto* const slots = reinterpret_cast<shm::slot*>(begin + header_of_this_worker().slots_offset);
  for (shm::u32 i = 0; i < first_slots; ++i) {
    const shm::u64 word = slots[i].word.load();
    if (shm::phase_of(word) == phase && shm::worker_of(word) == seat_of_this_worker()) {
      what(slots[i]);
    }
  }
}

}  // namespace procpool::testing
