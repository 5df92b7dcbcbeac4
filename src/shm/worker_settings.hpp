// The part of the options that a worker applies to itself, as bytes in a block of the region: the
// parent writes them once, before the first worker starts, and each worker reads them when it
// starts. Values.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "procpool/detail/codec/heap_writer.hpp"
#include "shm/layout.hpp"

namespace procpool::shm {

// Names and values; an empty value removes the variable.
using variables = std::vector<std::pair<std::string, std::optional<std::string>>>;

struct worker_settings {
  int nice = 0;
  std::optional<u32> umask = {};
  std::string working_directory = {};  // absolute, or empty
  variables environment = {};
  u64 max_memory_growth = 0;  // bytes; 0: no limit
  bool is_victim = false;     // out_of_memory_victim::worker
  // To which all workers are bound, near ones in a row; empty: no worker is bound.
  std::vector<u32> cpus = {};
  bool shares_cpus = false;  // worker_pinning::spread
};

// The CPUs of the worker with this seat.
std::vector<u32> cpus_of(const worker_settings& settings, u32 seat, u32 workers);

detail::wire_buffer encode_settings(const worker_settings& settings);
worker_settings decode_settings(const std::byte* bytes, std::size_t size);

}  // namespace procpool::shm
