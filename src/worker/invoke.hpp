// Runs one claimed task: finds its function, decodes the arguments, calls the function, and leaves
// a complete outcome in the slot, which the loop then publishes. One thread.
#pragma once

#include "procpool/detail/codec/wire_io.hpp"
#include "procpool/detail/task/code_ref.hpp"
#include "shm/blocks.hpp"
#include "shm/region.hpp"
#include "worker/outcome.hpp"

namespace procpool::worker {

// Encodes the exception that is being handled, with its origin. Never throws.
void encode_current_exception(detail::wire_writer& out);

class invoker {
 public:
  invoker(const shm::region& r, shm::u32 seat, shm::arena_view& view, result_blocks& blocks)
      : region_(&r), seat_(seat), view_(&view), blocks_(&blocks) {}

  // An exception of the task becomes its outcome; run() itself throws nothing.
  void run(shm::slot& s);

 private:
  void* resolve(shm::u64 code);
  void run_special(shm::slot& s);
  void run_task(shm::slot& s);
  void run_chunk(shm::slot& s);
  static bool fail_rest(shm::slot& s, chunk_writer& out);
  const std::byte* payload(shm::slot& s);

  const shm::region* region_;
  shm::u32 seat_;
  shm::arena_view* view_;
  result_blocks* blocks_;
  shm::u64 last_code_ = 0;
  void* last_function_ = nullptr;
};

}  // namespace procpool::worker
