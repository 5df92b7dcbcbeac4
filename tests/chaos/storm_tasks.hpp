// The tasks of the kill storm, and what may become of them. Everything about a task follows from
// its id, so that the checker needs no notes.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "chaos/ledger.hpp"
#include "procpool/procpool.hpp"

namespace procpool::testing {

struct storm_job {
  ledger::address book;
  std::uint64_t id;
  std::uint32_t busy_us;
};

inline constexpr int storm_retries = 2;
inline bool has_retries(std::uint64_t id) { return id % 16 == 5; }
inline std::uint64_t expected_value(std::uint64_t id) { return id * 0x9e3779b97f4a7c15U + 1; }

inline std::uint64_t storm_task(storm_job job) {
  ledger& book = ledger::of(job.book);
  book.starts(job.id).fetch_add(1);
  if (job.busy_us != 0) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(job.busy_us);
    while (std::chrono::steady_clock::now() < end) {
    }
  }
  const std::uint64_t value = expected_value(job.id);
  book.ends(job.id).fetch_add(1);
  return value;
}

// Its value does not fit the slot.
inline std::vector<std::uint64_t> large_storm_task(storm_job job) {
  return std::vector<std::uint64_t>(100 + job.id % 2000, storm_task(job));
}

inline std::uint64_t value_in(std::uint64_t v) { return v; }
inline std::uint64_t value_in(const std::vector<std::uint64_t>& v) {
  for (const std::uint64_t x : v) {
    if (x != v.front()) return 0;
  }
  return v.empty() ? 0 : v.front();
}

}  // namespace procpool::testing
