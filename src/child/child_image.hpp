// What a procpool::process runs, written by its parent into a block of the file that all process
// objects share: this head, then the encoded task. The parent writes it before it requests the
// process, and releases the block when the process is dead.
#pragma once

#include <type_traits>

#include "shm/layout.hpp"

namespace procpool::shm {

// The encoded task follows, at a multiple of 16.
struct alignas(16) child_image {
  u64 code;     // of a detail::run_thunk; 0: the process runs `closure`
  u64 closure;  // address of a detail::process_body in the parent, which the child is a copy of
  u64 length;   // of the encoded task
  u32 row;      // in the table of shared objects; 0: none
  char name[20];
  u64 signals;  // sent by the parent to the process: os/program_signals.hpp
};
static_assert(std::is_trivially_copyable_v<child_image> && sizeof(child_image) == 64);

inline constexpr u64 child_arena_begin = window_bytes;  // blocks must begin at a window

// The image's offset in the file, as the argument that launch passes on: no worker_argument has the
// highest bit set.
inline constexpr u64 child_bit = u64{1} << 63U;
constexpr bool names_child(u64 argument) { return (argument & child_bit) != 0; }
constexpr u64 child_argument(u64 offset) { return offset | child_bit; }
constexpr u64 image_offset(u64 argument) { return argument & ~child_bit; }

}  // namespace procpool::shm
