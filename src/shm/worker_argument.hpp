// The parent's argument for one life of a worker, packed into the number that launch passes on.
#pragma once

#include "shm/layout.hpp"

namespace procpool::shm {

struct worker_argument {
  u64 partition = 0;  // of the arena, for its large results
  u32 row = 0;        // in the table of shared objects; 0: none

  u64 pack() const { return u64{row} << 32U | partition; }
  static worker_argument unpack(u64 packed) {
    return {packed & 0xffff'ffffU, static_cast<u32>(packed >> 32U)};
  }
};

}  // namespace procpool::shm
