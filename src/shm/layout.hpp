// The layout of the region that the parent and its workers share.
//
//   +--------+---------+--------------+-----------+---------------------+----------------------+
//   | header | control | worker blocks | hint ring | slots (grow)        | arena: blocks        |
//   +--------+---------+--------------+-----------+---------------------+----------------------+
//   0        4 KiB     8 KiB          computed in region_plan           64 MiB aligned
//
// The arena is divided into partitions of equal stride. Partition 0 belongs to the parent (large
// arguments), each other partition to one life of one worker (large results). The file is sparse:
// bytes never allocated cost no memory.
//
// All types here are fixed-width, trivially destructible, without pointers, and pinned by
// tests/shm/layout_test.cpp. Several processes read and write them at once; a process that may die
// at any instruction writes in the order that state_word.hpp explains.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "procpool/detail/task/chunk_outcomes.hpp"
#include "shm/state_word.hpp"

namespace procpool::shm {

using u32 = std::uint32_t;
using u64 = std::uint64_t;

inline constexpr u64 region_magic = 0x31306c6f6f706370;  // "pcpool01"
inline constexpr u32 region_version = 1;

inline constexpr u32 max_workers = 4096;
inline constexpr u32 slot_index_bits = 17;
inline constexpr u32 max_slots = 1U << slot_index_bits;  // unfinished tasks of one pool
inline constexpr u32 ring_entries = 2 * max_slots;       // so the ring hardly ever overruns itself
inline constexpr u64 slot_index_mask = (1U << generation_shift) - 1;
inline constexpr std::size_t cache_line = 64;
inline constexpr std::size_t inline_bytes = 80;
inline constexpr u64 window_bytes = u64{64} << 20U;  // blocks up to this never cross a window

using detail::make_progress;
using detail::outcome_kind;
using detail::progress_finished;
using detail::progress_units;

// One task. Written by the parent up to READY, by the claiming worker up to DONE.
struct alignas(2 * cache_line) slot {
  state_word word;
  std::atomic<u32> started;         // started_stamp of the generation last started; for the sweep
  std::atomic<u32> next;            // done-list: index + 1 of the next slot, 0 at the end
  u64 code;                         // code_ref of the function that decodes, runs and encodes
  std::atomic<u64> block;           // file offset of the payload; 0: it is in `bytes`
  std::atomic<u64> length;          // bytes of the payload: arguments first, then the outcome
  std::atomic<std::uint16_t> kind;  // outcome_kind, valid once DONE
  std::uint16_t traits;             // of the task, see below; 0 for most tasks
  std::atomic<u32> elapsed;         // a chunk, once DONE: its nanoseconds, or all ones; advisory
  alignas(16) std::byte bytes[inline_bytes];
};
static_assert(sizeof(slot) == 128 && offsetof(slot, bytes) == 48);

// slot::traits. The bits of a task that is not plain.
inline constexpr std::uint16_t is_chunk = 1;    // of a map: `bytes` holds a chunk_progress
inline constexpr std::uint16_t is_watched = 2;  // its worker keeps a run_stamp

// A chunk keeps its progress in its own inline bytes; its items are always in a block.
struct chunk_progress {
  u32 first;                  // the first item to run; items before it are settled
  u32 count;                  // items in the payload
  std::atomic<u32> begun;     // index + 1 of the item last started
  std::atomic<u32> objects;   // 1: some items name shared objects
  std::atomic<u64> progress;  // make_progress; stored after the item's outcome is complete
  std::atomic<u64> outcomes;  // file offset of the outcomes, 0 while there are none
};
static_assert(sizeof(chunk_progress) <= inline_bytes);

// Settings of the workers, written by the parent before the first worker starts.
struct region_header {
  u64 magic;
  u32 version;
  u32 header_bytes;
  u32 workers;
  u32 tasks_per_worker;  // 0: no limit
  u64 ring_offset;
  u64 slots_offset;
  u64 worker_blocks_offset;
  u64 arena_offset;
  u64 partition_stride;
  u64 cycles_per_us;                                            // of base/cycle_clock.hpp
  u64 initializer_code, initializer_block, initializer_length;  // code 0: none
  u64 finalizer_code, finalizer_block, finalizer_length;
  u64 settings_block, settings_length;  // worker_settings.hpp; length 0: none
  u32 cpus;                             // CPUs that the pool may use: with one, no worker spins
};
static_assert(sizeof(region_header) <= 4096);

// Words that all processes use. Words of one writer share cache lines; those of different writers
// do not.
struct control_block {
  alignas(2 * cache_line) std::atomic<u64> tail;  // parent: hints put
  alignas(2 * cache_line) std::atomic<u64> head;  // workers: hints taken
  alignas(2 *
          cache_line) std::atomic<u64> roles;  // {spinning seat + 1 : 16, watchdog seat + 1 : 16}
  std::atomic<u32> typical_task_ns;            // running time of a typical task; 0: unknown
  alignas(2 * cache_line) std::atomic<u64> asleep[max_workers / 64];  // one bit per seat
  alignas(2 * cache_line) std::atomic<u32> stopping;  // 1: workers end when the ring is empty
};
static_assert(sizeof(control_block) <= 4096);

inline constexpr std::size_t report_bytes = 1024;
inline constexpr std::size_t trace_bytes = 2040;

// worker_block::ready, which is 0 while the worker starts.
inline constexpr u32 worker_is_ready = 1;     // the initializer is done
inline constexpr u32 initializer_failed = 2;  // the worker has left, see report
inline constexpr u32 descriptors_closed = 3;  // by a task: the worker has left, see report
inline constexpr u32 settings_failed = 4;     // the worker has left, see report

// Which watched task a worker runs, and since when: the parent, which knows the limits, computes
// from it when to end the task. The worker writes `begin` last, and clears it first, so two equal
// values of `begin` around one of `task` belong together.
struct run_stamp {
  std::atomic<u64> begin;  // cycles when it started; 0: no watched task runs
  std::atomic<u64> task;   // its hint: generation and slot
};

// The cache lines of one worker. The parent clears them before each life of the worker.
struct alignas(2 * cache_line) worker_block {
  std::atomic<u32> futex;  // 0 while asleep, 1 when woken
  std::atomic<u32> ready;
  std::atomic<u64> tasks;  // tasks done in this life; advisory
  std::atomic<u32> leave;  // 1: the worker ends when it finds no task
  u64 signals;             // that the parent sends to end the worker: os/program_signals.hpp
  alignas(2 * cache_line) std::atomic<u32> done_list;  // index + 1 of the slot pushed last
  alignas(2 * cache_line) run_stamp running;
  alignas(2 * cache_line) std::atomic<u32> report_length;
  std::byte report[report_bytes];  // the exception, encoded
  std::atomic<u32> trace_length;
  char trace[trace_bytes];  // where a fault ended the worker: os/trace/crash_trace.hpp
};

// Precedes each block of the arena.
struct alignas(cache_line) block_header {
  std::atomic<u32> in_use;  // the reader stores 0: the partition's owner may use it again
};
static_assert(sizeof(block_header) == cache_line);

// Offsets in a region with the given number of workers.
struct region_plan {
  u64 worker_blocks_offset, ring_offset, slots_offset, arena_offset, fixed_bytes;

  static constexpr u64 round_up(u64 v, u64 to) { return (v + to - 1) / to * to; }
  static constexpr region_plan make(u32 workers) {
    region_plan p{};
    p.worker_blocks_offset = 8192;
    p.ring_offset = round_up(p.worker_blocks_offset + workers * sizeof(worker_block), 4096);
    p.slots_offset = p.ring_offset + ring_entries * sizeof(u64);
    p.fixed_bytes = round_up(p.slots_offset + u64{max_slots} * sizeof(slot), 4096);
    p.arena_offset = round_up(p.fixed_bytes, window_bytes);
    return p;
  }
};

}  // namespace procpool::shm
