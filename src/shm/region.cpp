#include "shm/region.hpp"

#include <algorithm>
#include <new>
#include <string>

#include "os/limits.hpp"
#include "os/memfd.hpp"
#include "procpool/errors.hpp"
#include "shm/blocks.hpp"

namespace procpool::shm {
namespace {

// Room for the largest value of a partition; costs nothing, since the file is sparse.
constexpr u64 usual_partition_stride = u64{1} << 38U;
constexpr u64 least_stride = 4 * window_bytes;
// Each seat has one partition in use, and some of dead workers whose results are not read yet. A
// half-read map keeps one for any length of time, so there are many more where offsets cost
// nothing.
constexpr u64 partitions_per_seat = 4;
constexpr u64 more_partitions = 4096;

// A file size limit (ulimit -f) applies to offsets, not to allocated bytes: under a limit the
// partitions are smaller.
u64 choose_stride(u64 arena_offset, u32 workers) {
  const u64 limit = os::file_size_limit();
  const u64 count = 1 + partitions_per_seat * u64{workers};
  if (limit <= arena_offset) return least_stride;  // growing will fail with a clear EFBIG
  const u64 fit = (limit - arena_offset) / count / window_bytes * window_bytes;
  return std::clamp(fit, least_stride, usual_partition_stride);
}

u64 count_partitions(u64 arena_offset, u64 stride, u32 workers) {
  const u64 least = 1 + partitions_per_seat * u64{workers};
  const u64 limit = os::file_size_limit();
  const u64 fit = limit <= arena_offset ? 0 : (limit - arena_offset) / stride;
  return std::clamp(fit, least, least + more_partitions);
}

}  // namespace

region region::create(u32 workers) {
  const region_plan plan = region_plan::make(workers);
  region r;
  r.owned_ = os::private_fd(os::create_memfd("procpool-region"));
  // No process can shrink the file under the mappings of others, which would give them SIGBUS.
  r.fd_ = r.owned_.get();
  os::grow_memfd(r.fd_, plan.slots_offset);
  os::forbid_shrink(r.fd_);
  r.fixed_ = os::mapping::shared(r.fd_, 0, plan.fixed_bytes);
  // A process that the program forks must not be able to write here, and the core files of N
  // processes must not contain the region N times.
  r.fixed_.exclude_from_fork();
  r.fixed_.exclude_from_core();
  r.workers_ = workers;
  r.stride_ = choose_stride(plan.arena_offset, workers);
  r.partitions_ = count_partitions(plan.arena_offset, r.stride_, workers);
  r.bind(plan);
  region_header& h = *new (r.header_) region_header{};
  h.magic = region_magic;
  h.version = region_version;
  h.header_bytes = sizeof(region_header);
  h.workers = workers;
  h.worker_blocks_offset = plan.worker_blocks_offset;
  h.ring_offset = plan.ring_offset;
  h.slots_offset = plan.slots_offset;
  h.arena_offset = plan.arena_offset;
  h.partition_stride = r.stride_;
  return r;
}

region region::attach(int fd) {
  os::mapping first = os::mapping::shared(fd, 0, 4096);
  const auto& h = *reinterpret_cast<const region_header*>(first.data());
  if (h.magic != region_magic || h.version != region_version ||
      h.header_bytes != sizeof(region_header) || h.workers == 0 || h.workers > max_workers) {
    throw error("the worker's program has another build of procpool than the parent: rebuild both");
  }
  const region_plan plan = region_plan::make(h.workers);
  region r;
  r.fd_ = fd;
  r.workers_ = h.workers;
  r.stride_ = h.partition_stride;
  r.fixed_ = os::mapping::shared(fd, 0, plan.fixed_bytes);
  // Processes that a task forks outlive their worker: they must not reach the slots of others.
  r.fixed_.exclude_from_fork();
  r.fixed_.exclude_from_core();
  r.bind(plan);
  return r;
}

void region::bind(const region_plan& plan) {
  std::byte* base = fixed_.data();
  header_ = reinterpret_cast<region_header*>(base);
  control_ = reinterpret_cast<control_block*>(base + 4096);
  worker_blocks_ = reinterpret_cast<worker_block*>(base + plan.worker_blocks_offset);
  ring_ = reinterpret_cast<std::atomic<u64>*>(base + plan.ring_offset);
  slots_ = reinterpret_cast<slot*>(base + plan.slots_offset);
  arena_offset_ = plan.arena_offset;
}

void region::allocate_slots(u32 count) {
  count = std::min(count, max_slots);
  if (count <= allocated_slots_) return;
  const region_plan plan = region_plan::make(workers_);
  if (!owns_file()) throw disowned_file(fd_);
  os::grow_memfd(fd_, plan.slots_offset + u64{count} * sizeof(slot));
  for (u32 i = allocated_slots_; i < count; ++i) {
    // relaxed: no hint refers to the slot yet
    slots_[i].word.store(make_word(0, task_phase::free), std::memory_order_relaxed);
  }
  allocated_slots_ = count;
}

}  // namespace procpool::shm
